"""Finds the rows of a storyboard in a document, however its lists and objects are nested."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from imagegen.project.storyboard import names
from imagegen.project.storyboard.names import squashed
from imagegen.project.storyboard.numbers import Number, file_number

_DEEPEST = 20
_FEWEST = 2
"""Names of fields that make headings of a list of texts."""

_TOP = "[]"
"""Where the rows of a strict file are."""

# If an object holds several, the first of these has the rows.
_LISTS = tuple(
    """
    beats shots frames panels rows items scenes storyboard storyboards sequences sequence acts
    segments slides pages clips entries images pictures prompts records results result data list
    output response project script values
    """.split()  # noqa: SIM905  # a list has a line for each
)


_OF_ROWS = ("transition_type", "script_phrase", "references", "text_overlay", "kinetic_text", "sfx")
"""Fields that a row has, and what it is in has not."""


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row: its value, and what the lists and objects around it say.

    `shot` is the number of its shot or scene, `beat` its name if it is in an object, and
    `style` the style if it is in that style's list.
    """

    value: Any
    shot: Number | None = None
    beat: str | None = None
    style: str | None = None


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a file, and where they are in it, as `scenes[].shots[]`.

    `passed` counts rows and prompts that are not read, by what they are and their place.
    """

    found: tuple[Found, ...]
    where: tuple[str, ...]
    passed: Mapping[tuple[str, str], int] = {}  # copied by msgspec

    @property
    def is_nested(self) -> bool:
        """Whether they are elsewhere than a strict file has them."""
        return bool(set(self.where) - {"", "beats[]"})


def find(documents: Sequence[object], styles: Sequence[str]) -> Rows:
    """Return the rows of one or more documents. What is not an object may be among them."""
    walk = _Walk(styles)
    listed = list(walk.all(documents))
    return Rows(found=tuple(listed), where=tuple(dict.fromkeys(walk.where)), passed=walk.passed)


class _Walk:
    """Goes through documents, and notes where rows are."""

    def __init__(self, styles: Sequence[str]) -> None:
        self._styles = {squashed(style): style for style in styles}
        self._counts = Counter[str]()
        self.where: list[str] = []
        self.passed = Counter[tuple[str, str]]()

    def all(self, documents: Sequence[object]) -> Iterator[Found]:
        objects = [document for document in documents if isinstance(document, dict)]
        if len(objects) > 1 and len(objects) == len(documents):
            # JSON lines: each is a row, or one of several documents.
            yield from self._walk_list(documents, "", Found(value=None), 0)
            return
        for document in documents:
            yield from self._any(document, "", Found(value=None), 0)

    def _any(self, value: object, path: str, above: Found, depth: int) -> Iterator[Found]:
        if isinstance(value, list):
            yield from self._walk_list(value, path, above, depth)
        elif isinstance(value, dict):
            yield from self._object(value, path, above, depth)

    def _walk_list(
        self, values: Sequence[object], path: str, above: Found, depth: int
    ) -> Iterator[Found]:
        path = path if path == _TOP else f"{path}[]"
        values = _with_names(values)
        for value in values:
            if isinstance(value, list) and depth < _DEEPEST:
                yield from self._walk_list(value, path, above, depth + 1)
            elif isinstance(value, dict):
                yield from self._object(value, path, above, depth)
            else:
                yield self._row(value, path, above)

    def _object(
        self, value: dict[str, Any], path: str, above: Found, depth: int
    ) -> Iterator[Found]:
        inner = self._inner(value) if depth < _DEEPEST else []
        if inner:
            within = self._within(value, path, above)
            self._pass(value, path, {name for name, _, _ in inner})
            for name, listed, style in inner:
                at = f"{path}.{name}" if path else name
                parent = within if style is None else msgspec.structs.replace(within, style=style)
                yield from self._any(listed, at, parent, depth + 1)
            return
        if not names.is_row(value) and depth < _DEEPEST and (keyed := _find_numbered(value)):
            for name, row, number in keyed:
                if isinstance(row, dict) and names.is_row(row) and not self._inner(row):
                    yield self._row(row, f"{path}{{}}", msgspec.structs.replace(above, beat=number))
                else:
                    within = msgspec.structs.replace(above, shot=number)
                    yield from self._any(row, f"{path}.{name}" if path else name, within, depth + 1)
            return
        yield self._row(value, path, above)

    def _inner(self, value: Mapping[str, Any]) -> list[tuple[str, Any, str | None]]:
        """Return the lists of rows that an object holds, each with its name and its style."""
        entries: list[tuple[str, Any, str | None]] = []
        if {"beat_number", "ai_prompt"} <= {names.field_of(name) for name in value}:
            # A row, even if it has other lists.
            return entries
        for name, content in value.items():
            if not _holds_objects(content):
                continue
            style = self._styles.get(squashed(name))
            if squashed(name) in _LISTS or style is not None:
                entries.append((name, content, style))
        lists = [entry for entry in entries if entry[2] is None]
        if len(lists) > 1:
            best = min(lists, key=lambda entry: _LISTS.index(squashed(entry[0])))
            entries = [entry for entry in entries if entry[2] is not None or entry is best]
        if entries or names.is_row(value):
            return entries
        # An object of any other name, if it is the only list there is.
        entries += [
            (n, content, None) for n, content in value.items() if _is_list_of_objects(content)
        ]
        return entries if len(entries) == 1 else []

    def _within(self, value: Mapping[str, Any], path: str, above: Found) -> Found:
        """Return what an object says of the rows within it: the number of their shot."""
        if not path.endswith("[]"):
            return above
        self._counts[path] += 1
        number = next((value[name] for name in _by_rank(value) if _is_number(value[name])), None)
        if number is None:
            # Objects without a name around them may be anything: parts of an answer, say.
            number = self._counts[path] if path != _TOP else above.shot
        return msgspec.structs.replace(above, shot=number)

    def _pass(self, value: Mapping[str, Any], path: str, read: Container[str]) -> None:
        """Count what an object holds beside what is `read`, and looks like rows or a prompt."""
        for name, content in value.items():
            if name in read:
                continue
            at = f"{path}.{name}" if path else name
            if isinstance(content, dict | list) and names.field_of(name) not in _OF_ROWS:
                if count := _rows_in(content, 0):
                    self.passed["row", at + "[]" * isinstance(content, list)] += count
            # Scenes have descriptions, of which nobody thinks that they are drawn.
            elif read and content and _is_prompt(name):
                self.passed["prompt", at] += 1
            elif read and content and names.field_of(name) in _OF_ROWS:
                self.passed["field", at] += 1

    def _row(self, value: object, path: str, above: Found) -> Found:
        self.where.append("" if path == _TOP else path)
        if isinstance(value, dict):
            self._pass(value, path, ())
        return msgspec.structs.replace(above, value=value)


def _by_rank(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that number an object: of a shot, of a scene, any."""
    yield from (name for name in value if names.field_of(name) == "shot_number")
    yield from filter(None, names.numbers(list(value)))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        return bool(file_number(value, "shot"))
    except ValueError:
        return False


def _find_numbered(value: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Return an object's rows with their names and numbers, if its names are numbers."""
    numbered = []
    for name, content in value.items():
        number = _number(name)
        if number is None or not isinstance(content, dict | list):
            return []
        numbered.append((name, content, number))
    return numbered


def _number(name: str) -> str | None:
    for kind in ("beat", "shot"):
        try:
            number = file_number(name.removeprefix("scene_").removeprefix("Scene "), kind)
        except ValueError:
            continue
        if number[:1].isdigit():
            return number
    return None


def _rows_in(value: object, depth: int) -> int:
    """Return how many objects within a value have a number and a prompt, as rows have."""
    if depth > _DEEPEST:
        return 0
    if isinstance(value, list):
        return sum(_rows_in(item, depth + 1) for item in value if isinstance(item, dict | list))
    if not isinstance(value, dict):
        return 0
    fields = {names.field_of(name) for name in value}
    if fields & {"shot_number", "beat_number"} and fields & {"ai_prompt", "ai_prompts"}:
        return 1
    return sum(
        _rows_in(item, depth + 1) for item in value.values() if isinstance(item, dict | list)
    )


def _with_names(values: Sequence[object]) -> Sequence[object]:
    """Return the rows of a table as objects, if the first of its lists names the columns."""
    first = values[0] if values else None
    if not isinstance(first, list) or not all(isinstance(heading, str) for heading in first):
        return values
    if len(names.match([first], ()).fields) < _FEWEST or len(set(first)) < len(first):
        return values
    return [
        dict(zip(first, row, strict=False)) if isinstance(row, list) else row for row in values[1:]
    ]


def _is_prompt(name: str) -> bool:
    return names.field_of(name) == "ai_prompt" and "prompt" in squashed(name)


def _holds_objects(value: object) -> bool:
    if isinstance(value, dict):
        return any(isinstance(item, dict | list) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, dict | list) for item in value)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)
