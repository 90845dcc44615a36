"""The rows of a beats file: typed, with every error of every row.

A strict file is decoded in one pass. Any other is read as a document first: its rows are
looked for, and what they call their fields (`shapes`, `names`); broken JSON is read as far as
it can be (`lenient`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from imagegen.errors import InputError, lower_first
from imagegen.project.storyboard import names, shapes
from imagegen.project.storyboard import reader as source
from imagegen.project.storyboard.blanks import is_invisible
from imagegen.project.storyboard.messages import quoted
from imagegen.project.storyboard.names import KEPT, Names
from imagegen.project.storyboard.numbers import Number, file_number
from imagegen.project.storyboard.shapes import Found

_KINDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a number",
    "null": "nothing",
    "object": "an object",
    "str": "text",
}
_WANTED = {
    "shot_number": "text or a number",
    "beat_number": "text or a number",
    "ai_prompts": 'one text per style, {"clear": "…"}',
}
_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<field>\w*)(?P<deeper>.*)`)?", re.DOTALL)
_ROW_AT = re.compile(r"`\$(?:\.beats)?\[(\d{1,9})\]")
_GOT = re.compile(r"Expected `.*`, got `(\w+)`")
MOST_FAULTS = 10_000
"""Errors of one file that are kept: the rest of it is not read."""

TOO_MANY = "too many errors: the rest was not read"
MOST_ROWS = 1_000_000

# A file of nothing but empty rows or texts takes fifty times its size in memory. 100,000
# beats of three prompts have a third of these, dialogue in the prompts included.
_MOST = {'"': 12_000_000, "{": 2_000_000, "[": 2_000_000, "`": 4_000_000, "'": 12_000_000}
_MOST_INTERPRETED = 3_000_000
"""Commas up to which a file that is not strict is read as a document."""

_OPTIONAL = {"transition_type": str, "script_phrase": str, "ai_prompts": dict}
"""Fields that are read under another name only if all rows have this type there."""

_EXPECTED = ("transition_type", "script_phrase")
"""Optional fields that nearly every storyboard has."""

_MOST_UNUSED = 5
_MOST_PLACES = 5
_LONGEST_PLACE = 60
_SHAPE = 'expected a list of rows, or {"beats": [rows]}'
_DEEP = "is nested too deeply"


class _Fields(msgspec.Struct, frozen=True):
    shot_number: Number | None = None
    beat_number: Number | None = None
    transition_type: str | None = None
    script_phrase: str | None = None
    ai_prompt: str | None = None
    ai_prompts: dict[str, str | None] | None = None
    id: Any = None
    """Other tools give rows ids of any shape: only a text or a whole number is used."""

    references: Any = None
    """Paths of images to send along: a list, or one. Other tools may mean something else."""

    text_overlay: Any = None
    kinetic_text: Any = None
    sfx: Any = None
    duration: Any = None
    start: Any = None
    end: Any = None

    @property
    def has_prompt(self) -> bool:
        """Whether the row has a prompt for any style."""
        if self.ai_prompt and not is_invisible(self.ai_prompt):
            return True
        return bool(self.ai_prompts) and any(
            words is not None for words in (self.ai_prompts or {}).values()
        )

    def kept(self) -> dict[str, Any]:
        """Return the fields that later steps read, without those that the row leaves out."""
        fields = {name: getattr(self, name) for name in KEPT}
        return {name: value for name, value in fields.items() if value is not None}


class BeatRow(_Fields, frozen=True):
    """One row of a beats file, as it is there; other fields are ignored."""


class _StrictRow(BeatRow, frozen=True, forbid_unknown_fields=True):
    """The same, of a file in which nothing is ignored."""


class ParsedFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one file.

    `file` is its path as shown to the user. A row that could not be read is None and has
    its error among `faults`. `holds_prompts` is true also if that is not known; `is_strict`
    says that it is JSON of our fields and no others, `guessed` that the prompts were found under
    another name than ours. `lines` has the line at which each row begins, from 1, if it is
    known; `style_columns` are the styles that have a column of their own in a table, `header_line`
    the line of its headings.

    `keeps` says whether a row may have one of `names.KEPT`, `others` has fields of rows that are
    not ours, by row; `misnamed` what rows call the fields of ours that they lack, by row and
    field. `notes` say what was read in another way than it is there.
    """

    file: str
    holds_prompts: bool
    is_strict: bool = False
    guessed: bool = False
    rows: tuple[BeatRow | None, ...] = ()
    faults: tuple[InputError, ...] = ()
    lines: tuple[int, ...] = ()
    style_columns: tuple[str, ...] = ()
    header_line: int | None = None
    keeps: bool = False
    others: Mapping[int, dict[str, Any]] = {}  # copied by msgspec
    misnamed: Mapping[int, dict[str, str]] = {}
    notes: tuple[str, ...] = ()

    def line(self, row: int) -> int | None:
        """Return the line at which a row begins, if it is known."""
        return self.lines[row - 1] if row <= len(self.lines) else None


class _StrictDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    beats: list[_StrictRow]


class _Document(msgspec.Struct, frozen=True):
    beats: list[BeatRow]


_STRICT = msgspec.json.Decoder(list[_StrictRow] | _StrictDocument)
_TYPED = msgspec.json.Decoder(list[BeatRow] | _Document)


def failed_file(file: str, message: str, *, hint: str | None = None) -> ParsedFile:
    """Return the sheet of a file that could not be read at all."""
    fault = InputError(file=file, message=message, hint=hint)
    return ParsedFile(file=file, holds_prompts=True, faults=(fault,))


def _from_rows(rows: Sequence[BeatRow], file: str) -> ParsedFile:
    """Return the sheet of rows that are typed already."""
    prompted = any(row.has_prompt for row in rows)
    return ParsedFile(file=file, rows=tuple(rows), holds_prompts=prompted)


def from_json(data: bytes, file: str, styles: Sequence[str] = ()) -> ParsedFile:
    """Read rows from JSON: a list of rows, an object with a list named `beats`, and most else.

    `styles` are the names of those that there are. Raises source.UnreadableError for bytes
    that are not text.
    """
    if full := size_error(data):
        return failed_file(file, full)
    try:
        # Not from a text: one emoji makes that four times as large as the file.
        plain = memoryview(data)[len(source.MARK) :] if data.startswith(source.MARK) else data
        source.require_text(data)
        document = _STRICT.decode(plain)
    except (msgspec.DecodeError, RecursionError, source.UnreadableError):
        return _from_text(data, file, styles)
    rows = document if isinstance(document, list) else document.beats
    sheet = _from_rows(rows, file)
    counts = {name: data.count(f'"{name}"'.encode()) for name in (*names.FIELDS, *KEPT)}
    if _may_repeat(counts, rows) and _repeats(data.decode("utf-8-sig")):
        return _from_text(data, file, styles)
    keeps = any(counts[name] for name in KEPT)
    return msgspec.structs.replace(sheet, is_strict=True, keeps=keeps)


def _from_text(data: bytes, file: str, styles: Sequence[str]) -> ParsedFile:
    from imagegen.project.storyboard import lenient  # noqa: PLC0415  # for broken files alone

    text, notes = source.as_text(data)
    if data.count(b",") > _MOST_INTERPRETED:
        return _from_very_many(text, file)
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        if len(text) > lenient.LARGEST:
            return failed_file(file, f"is not valid JSON: {lower_first(str(error))}")
    else:
        if len(text) > lenient.LARGEST or not _repeats(text):
            return interpret([document], file, styles, notes=notes)
    if not text.strip("\ufeff\u200b \t\r\n\0"):
        return failed_file(file, "is empty", hint="write one row for each beat")
    read = lenient.parse(text)
    if not read.values and not read.errors:
        return ParsedFile(file=file, holds_prompts=True, faults=(_not_json(text, file),))
    remarks = [f"read past {', '.join(read.remarks)}"] if read.remarks else []
    sheet = interpret(read.values, file, styles, notes=[*notes, *remarks], lines=read.lines)
    faults = [
        InputError(
            file=file,
            line=error.line,
            column=error.column,
            message=error.message,
            source=error.text,
        )
        for error in read.errors
    ]
    if faults and not sheet.rows:
        return ParsedFile(file=file, holds_prompts=True, faults=tuple(faults))
    prompted = sheet.holds_prompts or bool(faults)
    return msgspec.structs.replace(sheet, faults=(*faults, *sheet.faults), holds_prompts=prompted)


def _may_repeat(counts: Mapping[str, int], rows: Sequence[BeatRow]) -> bool:
    """Return whether an object of a strict file may have a field twice.

    So it is if `counts` has a field more often than rows have it; null and texts count as well.
    """
    for name, count in counts.items():
        if count > len(rows):
            return True
        # As often as there are rows: each has it, of nearly every file.
        if 0 < count < len(rows) and count > sum(getattr(row, name) is not None for row in rows):
            return True
    return False


def _repeats(text: str) -> bool:
    """Return whether an object of a JSON text has a field twice, of which decoders keep one."""
    import json  # noqa: PLC0415  # the decoder that shows every pair

    is_repeated = False

    def count_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal is_repeated
        value = dict(pairs)
        is_repeated = is_repeated or len(value) < len(pairs)
        return value

    try:
        json.loads(text, object_pairs_hook=count_pairs)
    except (ValueError, RecursionError):
        return False
    return is_repeated


def _not_json(text: str, file: str) -> InputError:
    """Return the error of a text without a list or object."""
    import json  # noqa: PLC0415  # knows where a text is invalid

    begins = quoted(text[:40])
    message, line, column = f"is not JSON: it begins with {begins}", None, None
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        message, line, column = f"{message} ({error.msg})", error.lineno, error.colno
    except (ValueError, RecursionError):
        pass
    else:
        message = _SHAPE
    source_line = text.split("\n", line)[line - 1] if line else None
    return InputError(
        file=file,
        message=message,
        line=line,
        column=column,
        source=source_line,
        hint=_SHAPE if message != _SHAPE else None,
    )


def _from_very_many(text: str, file: str) -> ParsedFile:
    """Read a very large file that is not strict: by our names alone, and its first error."""
    try:
        document = _TYPED.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        field, message = _explain(error)
        at = _ROW_AT.search(str(error))
        row = int(at[1]) + 1 if at else None
        fault = InputError(file=file, message=message, row=row, field=field)
        return ParsedFile(file=file, holds_prompts=True, faults=(fault,))
    sheet = _from_rows(document if isinstance(document, list) else document.beats, file)
    note = "other fields than ours are not read: the file is very large"
    return msgspec.structs.replace(sheet, notes=(note,))


def lines_in(text: str, styles: Sequence[str]) -> tuple[int, ...]:
    """Return the line at which each row of a JSON text begins; none if a row has no line."""
    from imagegen.project.storyboard import lenient  # noqa: PLC0415  # as above

    if len(text) > lenient.LARGEST:
        return ()
    read = lenient.parse(text)
    items = shapes.find(read.values, styles).found
    lines = [read.lines.get(id(item.value), 0) for item in items]
    return tuple(lines) if all(lines) else ()


def size_error(data: bytes | str) -> str | None:
    """Return what a file has too much of to be read into memory, or None."""
    for sign, most in _MOST.items():
        count = data.count(sign.encode()) if isinstance(data, bytes) else data.count(sign)
        if count > most:
            return f"is not a list of beats: it has {sign} {count:,} times"
    return None


def interpret(
    documents: Sequence[object],
    file: str,
    styles: Sequence[str],
    *,
    notes: Iterable[str] = (),
    lines: Mapping[int, int] | None = None,
) -> ParsedFile:
    """Read rows from documents that are decoded already, with any field names.

    `lines` has the line of each object by its `id`.
    """
    result = shapes.find(documents, styles)
    items = result.found
    if not items and not all(isinstance(document, list) for document in documents):
        return failed_file(file, _SHAPE)
    if len(items) == 1 and items[0].value is documents[0] and not names.is_row(documents[0]):
        return failed_file(file, _SHAPE)
    reader = Interpreter(items, styles, where=result.where if result.is_nested else ())
    starts = [(lines or {}).get(id(item.value), 0) for item in items]
    return from_items(reader, file, notes=[*notes, *_unread_notes(result)], lines=starts)


def _unread_notes(result: shapes.Rows) -> list[str]:
    """Return a note on each place that has rows or prompts and is not read."""
    notes = []
    for (kind, place), count in result.passed.items():
        those = f"1 {kind} of" if count == 1 else f"{count:,} {kind}s of"
        are = "is" if count == 1 else "are"
        notes.append(f'{those} "{place[:_LONGEST_PLACE]}" {are} not read')
        if len(notes) == _MOST_PLACES:
            break
    return notes


def from_items(
    reader: "Interpreter", file: str, *, notes: Iterable[str] = (), lines: Sequence[int] = ()
) -> ParsedFile:
    """Return the sheet of rows that are brought under our names. `lines` are 0 if not known."""
    rows, faults = _convert_rows([reader.row(item) for item in reader.items], file)
    prompted = any(row.has_prompt for row in rows if row is not None) or reader.means_prompts
    return ParsedFile(
        file=file,
        rows=rows,
        faults=faults,
        holds_prompts=prompted,
        keeps=not reader.called.fields.keys().isdisjoint(KEPT),
        guessed=reader.called.fields.get("ai_prompt", "ai_prompt") != "ai_prompt",
        lines=tuple(lines) if lines and all(lines) else (),
        others=reader.others(),
        misnamed=reader.misnamed(),
        notes=(*notes, *reader.notes()),
    )


class Interpreter:
    """Brings rows under our names.

    `where` is where they are in a nested document; `shapes` are lists of names that rows may
    have, of which a table without rows has one.
    """

    def __init__(
        self,
        items: Sequence[Found],
        styles: Sequence[str],
        *,
        where: Sequence[str] = (),
        shapes: Iterable[tuple[str, ...]] = (),
    ) -> None:
        self.items = items
        self._where = where
        self._styles = {names.squashed(style): style for style in styles}
        self._shapes: dict[tuple[str, ...], int] = dict.fromkeys(shapes, 0)
        for item in items:
            if isinstance(item.value, dict):
                shape = tuple(item.value)
                self._shapes[shape] = self._shapes.get(shape, 0) + 1
        self._nested = any(item.shot is not None for item in items)
        self.called = self._with_numbers(self._usable(names.match(list(self._shapes), styles)))
        self._used_names = {*self.called.fields.values(), *self.called.styles.values()}
        self._plans = {shape: self._plan(shape) for shape in self._shapes}

    @property
    def means_prompts(self) -> bool:
        """Whether a row has a field that is, or should be, a prompt."""
        field_names = {*self.called.fields, *self.called.others.values()}
        means = (
            "ai_prompt" in field_names or "ai_prompts" in field_names or bool(self.called.styles)
        )
        return means and any(
            isinstance(item.value, dict) and self._means_prompt(item.value) for item in self.items
        )

    def _means_prompt(self, value: Mapping[str, Any]) -> bool:
        prompts = ("ai_prompt", "ai_prompts")
        read = {self.called.fields.get(field, field) for field in prompts}
        read |= {n for n, field in self.called.others.items() if field in prompts}
        return any(value.get(name) for name in read)

    def _usable(self, called: Names) -> Names:
        """Return the names without those under which other tools mean something else."""
        unusable = {}
        for field, kind in _OPTIONAL.items():
            name = called.fields.get(field, field)
            values = (item.value.get(name) for item in self.items if isinstance(item.value, dict))
            if name != field and not all(
                value is None or isinstance(value, kind) for value in values
            ):
                unusable[name] = field
        fields = {ours: name for ours, name in called.fields.items() if name not in unusable}
        return msgspec.structs.replace(called, fields=fields, others=called.others | unusable)

    def _with_numbers(self, called: Names) -> Names:
        """Return the names with what numbers the rows, if nothing has our name for it."""
        if "beat_number" in {*called.fields, *called.others.values()} or not self._shapes:
            return called
        first, *other_shapes = self._shapes
        every = [name for name in first if all(name in shape for shape in other_shapes)]
        shot = called.fields.get("shot_number")
        if shot is not None and shot not in every:
            return called
        scene, other = names.numbers(every)
        fields = {field: name for field, name in called.fields.items() if field != "shot_number"}
        # The outermost number is that of the shot, the innermost that of the beat.
        outer = [name for name in (scene, shot, other) if name is not None]
        if other == "id" and len(outer) > 1:
            # A field of ours, which numbers rows only if nothing else does.
            outer.pop()
        if not outer or outer == ["shot_number"]:
            return called
        fields["beat_number"] = outer[-1]
        if not self._nested:
            fields["shot_number"] = outer[-2] if len(outer) > 1 else outer[-1]
        if fields.get("shot_number") == fields["beat_number"] and not self._differ(outer[-1]):
            return called
        return msgspec.structs.replace(called, fields=fields)

    def _differ(self, name: str) -> bool:
        """Return whether a field is another in every row, as a number of rows is."""
        values = [item.value.get(name) for item in self.items if isinstance(item.value, dict)]
        kinds = all(isinstance(value, str | int | float) for value in values)
        return kinds and len(set(values)) == len(values)

    def _plan(self, shape: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[str]]:
        """Return what is read from rows of this shape, and which fields are not ours."""
        here = set(shape)
        read = [(ours, theirs) for ours, theirs in self.called.fields.items() if theirs in here]
        return read, [name for name in shape if name not in self._used_names]

    def row(self, item: Found) -> object:
        """Return a row under our names; what is not an object is returned as it is."""
        value = item.value
        if not isinstance(value, dict):
            return value
        read, _ = self._plans[tuple(value)]
        row = {ours: value[theirs] for ours, theirs in read}
        if item.shot is not None and row.get("shot_number") is None:
            row["shot_number"] = item.shot
        if item.beat is not None and row.get("beat_number") is None:
            row["beat_number"] = item.beat
            if row.get("shot_number") is None:
                row["shot_number"] = _before_dot(item.beat)
        prompts = {s: value[n] for s, n in self.called.styles.items() if value.get(n) is not None}
        if isinstance(row.get("ai_prompt"), dict):
            prompts = row.pop("ai_prompt") | prompts
        listed = row.get("ai_prompts") or {}
        if prompts and isinstance(listed, dict):
            row["ai_prompts"] = listed | prompts
        style = item.style or self._style_of(value)
        if style is not None and isinstance(row.get("ai_prompt"), str):
            row["ai_prompts"] = {style: row.pop("ai_prompt")}
        return row

    def _style_of(self, value: Mapping[str, Any]) -> str | None:
        """Return the style that a row names, as a table with a row for each image does."""
        name = value.get("style", value.get("Style"))
        return self._styles.get(names.squashed(name)) if isinstance(name, str) else None

    def others(self) -> dict[int, dict[str, Any]]:
        """Return the fields of each row that are not ours, by its number from 1."""
        by_row = {}
        for at, item in enumerate(self.items, 1):
            if isinstance(item.value, dict):
                _, rest = self._plans[tuple(item.value)]
                if rest:
                    by_row[at] = {name: item.value[name] for name in rest}
        return by_row

    def misnamed(self) -> dict[int, dict[str, str]]:
        """Return what rows call the fields of ours that they lack."""
        if not self.called.others:
            return {}
        by_row = {}
        for at, item in enumerate(self.items, 1):
            if not isinstance(item.value, dict):
                continue
            read = {ours for ours, _ in self._plans[tuple(item.value)][0]}
            missing = {
                field: name
                for name, field in self.called.others.items()
                if name in item.value and field not in read
            }
            if missing:
                by_row[at] = missing
        return by_row

    def notes(self) -> list[str]:
        """Return notes on how the rows were read."""
        renamed = self.called.renamed()
        if self._nested and "shot_number" not in self.called.fields:
            renamed.append("shot_number from what they are in")
        count = len(self.items)
        rows = "1 row" if count == 1 else f"{count:,} rows"
        where = f" of {' and '.join(filter(None, self._where[:3]))}" if self._where else ""
        notes = []
        if renamed or where:
            notes.append(f"read {rows}{where}" + (f": {', '.join(renamed)}" if renamed else ""))
        for name, field in self.called.others.items():
            if field in names.REQUIRED and field not in self.called.fields:
                # Each row that lacks it is an error.
                continue
            read = self.called.fields.get(field)
            having = sum(n for shape, n in self._shapes.items() if name in shape)
            without = sum(
                n for shape, n in self._shapes.items() if name in shape and read not in shape
            )
            many = "" if having == count else f"{having:,} row{'s' * (having != 1)}: "
            if read is None or without:
                notes.append(f'{many}"{name[:60]}" is not read: rename it to {field}')
            else:
                notes.append(f'{many}"{name[:60]}" is not read: {field} is read from "{read}"')
        return [*notes, *self._not_used()]

    def _not_used(self) -> Iterator[str]:
        """Yield a note if a field may be under a name that is not known."""
        missing = [field for field in _EXPECTED if field not in self.called.fields]
        read = {*self.called.fields.values(), *self.called.styles.values(), *self.called.others}
        every = dict.fromkeys(name for shape in self._shapes for name in shape)
        unknown = [name for name in every if name not in read and not names.field_of(name)]
        if missing and unknown:
            not_used = ", ".join(f'"{name[:60]}"' for name in unknown[:_MOST_UNUSED])
            if len(unknown) > _MOST_UNUSED:
                not_used += f" and {len(unknown) - _MOST_UNUSED:,} more"
            yield f"nothing is read as {' or '.join(missing)}; not used: {not_used}"


def _before_dot(number: str) -> str:
    """Return the shot of a beat that is known by its number alone: 1 of 1.2."""
    try:
        return file_number(number, "beat").partition(".")[0] or number
    except ValueError:
        return number


def _convert_rows(
    values: Sequence[object], file: str
) -> tuple[tuple[BeatRow | None, ...], tuple[InputError, ...]]:
    """Return rows of the right types, None for each that has others, and the errors of these."""
    try:
        return tuple(msgspec.convert(values, list[BeatRow])), ()
    except (ValueError, RecursionError):
        pass
    rows: list[BeatRow | None] = []
    faults: list[InputError] = []
    for number, value in enumerate(values, 1):
        if len(faults) >= MOST_FAULTS:
            faults.append(InputError(file=file, message=TOO_MANY, row=number))
            break
        try:
            rows.append(msgspec.convert(value, BeatRow))
        except (ValueError, RecursionError) as error:
            field, message = _explain(error)
            faults.append(InputError(file=file, message=message, row=number, field=field))
            rows.append(None)
    return tuple(rows), tuple(faults)


def _explain(error: Exception) -> tuple[str | None, str]:
    """Return the field and the message of the decoder's error about one row."""
    if isinstance(error, UnicodeError):
        return None, "has half of a surrogate pair, which is not a character"
    if not isinstance(error, msgspec.ValidationError):
        return None, "cannot be read: it is nested too deeply or has invalid text"
    complaint = _COMPLAINT.fullmatch(str(error))
    field = (complaint and complaint["field"]) or None
    got = _GOT.match(str(error))
    if got is None:
        message = complaint["what"] if complaint else str(error)
        return field, lower_first(message)
    if field is None:
        return None, f"expected a row ({{…}}), got {_KINDS.get(got[1], got[1])}"
    return field, f"expected {_WANTED.get(field, 'text')}, got {_KINDS.get(got[1], got[1])}"
