"""The rows of a beats file: typed, with every fault of every row.

A file without faults is decoded in one pass; only after a failure is it looked at row by
row, because the decoder names the first fault alone.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from imagegen.errors import InputFault, within_sentence
from imagegen.project.storyboard import source
from imagegen.project.storyboard.numbers import Number

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
"""Faults of one file that are kept: after so many the rest of it is not looked at."""

TOO_MANY = "from here on nothing was read: there are too many faults"
MOST_ROWS = 1_000_000
PER_STYLE = "ai_prompt_"
"""What a table's heading begins with that ends with the name of a style."""

# A file of nothing but empty rows or texts takes fifty times its size in memory. 100,000
# beats of three prompts have a third of these, dialogue in the prompts included.
_MOST = {'"': 12_000_000, "{": 2_000_000, "[": 2_000_000, "`": 4_000_000, "'": 12_000_000}
_MOST_TOLD_APART = 8_000_000
"""Commas up to which a file that has a fault is looked at row by row."""

_SHAPE = 'expected a list of rows, or {"beats": [rows]}'


class Row(msgspec.Struct, frozen=True):
    """One row of a beats file, as it stands there; other fields are ignored."""

    shot_number: Number | None = None
    beat_number: Number | None = None
    transition_type: str | None = None
    script_phrase: str | None = None
    ai_prompt: str | None = None
    ai_prompts: dict[str, str | None] | None = None
    id: Any = None
    """Other tools give rows ids of any shape: only a text or a whole number is used."""

    references: Any = None
    """Paths of pictures to send along: a list, or one. Other tools may mean something else."""

    @property
    def has_prompt(self) -> bool:
        """Whether the row has a prompt for any style."""
        if self.ai_prompt and not self.ai_prompt.isspace():
            return True
        return bool(self.ai_prompts) and any(
            words is not None for words in (self.ai_prompts or {}).values()
        )


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What one file holds.

    `file` is its path as shown to the user. A row that could not be read is None and has
    its fault among `faults`. `holds_prompts` is true also where that cannot be told. `lines`
    says of a table where in the file each row begins, from 1; `headed` are the styles that have
    a column of their own there, `heading` the line of its headings.
    """

    file: str
    holds_prompts: bool
    rows: tuple[Row | None, ...] = ()
    faults: tuple[InputFault, ...] = ()
    lines: tuple[int, ...] = ()
    headed: tuple[str, ...] = ()
    heading: int | None = None

    def line(self, row: int) -> int | None:
        """Return the line at which a row begins, if the file is a table."""
        return self.lines[row - 1] if row <= len(self.lines) else None


class _Document(msgspec.Struct, frozen=True):
    beats: list[Row]


class _RawDocument(msgspec.Struct, frozen=True):
    beats: list[msgspec.Raw]


class _Prompts(msgspec.Struct, frozen=True):
    """What a faulty row may still tell: whether it means to hold a prompt."""

    ai_prompt: Any = None
    ai_prompts: Any = None


_DOCUMENT = msgspec.json.Decoder(list[Row] | _Document)
_RAW_DOCUMENT = msgspec.json.Decoder(list[msgspec.Raw] | _RawDocument)
_ROW = msgspec.json.Decoder(Row)
_PROMPTS = msgspec.json.Decoder(_Prompts)


def broken(file: str, message: str, *, hint: str | None = None) -> Sheet:
    """Return the sheet of a file that could not be read at all."""
    fault = InputFault(file=file, message=message, hint=hint)
    return Sheet(file=file, holds_prompts=True, faults=(fault,))


def from_rows(
    rows: Iterable[Row], file: str, faults: Iterable[InputFault] = (), lines: Iterable[int] = ()
) -> Sheet:
    """Return the sheet of rows that are typed already."""
    kept = tuple(rows)
    prompted = any(row.has_prompt for row in kept)
    return Sheet(
        file=file, rows=kept, faults=tuple(faults), lines=tuple(lines), holds_prompts=prompted
    )


def from_json(data: bytes, file: str) -> Sheet:
    """Read rows from JSON: a list of rows, or an object with a list named `beats`.

    Raises source.UnreadableError for what is not UTF-8.
    """
    if full := too_full(data):
        return broken(file, full)
    source.require_text(data)
    try:
        # Not from a text: one emoji makes that four times as large as the file.
        document = _DOCUMENT.decode(memoryview(data)[len(source.MARK) :] if _marked(data) else data)
    except (msgspec.DecodeError, RecursionError) as error:
        if data.count(b",") > _MOST_TOLD_APART:
            field, message = _explained(error)
            at = _ROW_AT.search(str(error))
            first = InputFault(
                file=file, message=message, row=int(at[1]) + 1 if at else None, field=field
            )
            return Sheet(file=file, holds_prompts=True, faults=(first,))
        return _from_faulty_json(source.as_text(data), file)
    return from_rows(document if isinstance(document, list) else document.beats, file)


def from_objects(document: object, file: str) -> Sheet:
    """Read rows from a document decoded already, in the shape that JSON would have."""
    try:
        typed = msgspec.convert(document, list[Row] | _Document)
    except (ValueError, RecursionError):
        items = document.get("beats") if isinstance(document, dict) else document
        if not isinstance(items, list):
            return broken(file, _SHAPE)
        return _each(
            items,
            file,
            decode=lambda item: msgspec.convert(item, Row),
            peek=lambda item: msgspec.convert(item, _Prompts),
        )
    return from_rows(typed if isinstance(typed, list) else typed.beats, file)


def too_full(data: bytes | str) -> str | None:
    """Say what a file has too much of to be read into memory, or return None."""
    for sign, most in _MOST.items():
        count = data.count(sign.encode()) if isinstance(data, bytes) else data.count(sign)
        if count > most:
            return f"is no list of beats: it has {count:,} times {sign}"
    return None


def _marked(data: bytes) -> bool:
    return data.startswith(source.MARK)


def _from_faulty_json(text: str, file: str) -> Sheet:
    try:
        document = _RAW_DOCUMENT.decode(text)
    except msgspec.ValidationError:
        return broken(file, _SHAPE)
    except (msgspec.DecodeError, RecursionError):
        return _from_lenient_json(text, file)
    items = document if isinstance(document, list) else document.beats
    return _each(items, file, decode=_ROW.decode, peek=_PROMPTS.decode)


def _from_lenient_json(text: str, file: str) -> Sheet:
    """Find where the syntax is broken, with the decoder that gives line and column.

    What it lets through (halves of surrogate pairs, NaN) is found row by row.
    """
    import json  # noqa: PLC0415  # tells where a faulty file is

    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        # Some of its messages end with a word that wants the place.
        return broken(file, f"is no valid JSON: {error.msg.removesuffix(' at')} at {place}")
    except RecursionError:
        return broken(file, "is nested too deeply")
    except ValueError as error:
        return broken(file, f"is no valid JSON: {error}")
    return from_objects(document, file)


def _each(
    items: Iterable[Any],
    file: str,
    *,
    decode: Callable[[Any], Row],
    peek: Callable[[Any], _Prompts],
) -> Sheet:
    rows: list[Row | None] = []
    faults: list[InputFault] = []
    prompted = False
    for number, item in enumerate(items, 1):
        if len(faults) >= MOST_FAULTS:
            faults.append(InputFault(file=file, message=TOO_MANY, row=number))
            break
        try:
            row = decode(item)
        except (ValueError, RecursionError) as error:
            field, message = _explained(error)
            faults.append(InputFault(file=file, message=message, row=number, field=field))
            rows.append(None)
            prompted = prompted or _means_prompt(item, peek)
        else:
            rows.append(row)
            prompted = prompted or row.has_prompt
    return Sheet(file=file, rows=tuple(rows), faults=tuple(faults), holds_prompts=prompted)


def _means_prompt(item: Any, peek: Callable[[Any], _Prompts]) -> bool:
    try:
        prompts = peek(item)
    except (ValueError, RecursionError):
        return False
    return bool(prompts.ai_prompt or prompts.ai_prompts)


def _explained(error: Exception) -> tuple[str | None, str]:
    """Put the decoder's complaint about one row into words: the field, and what is wrong."""
    if isinstance(error, UnicodeError):
        return None, "holds half of a surrogate pair, which is no character"
    if not isinstance(error, msgspec.ValidationError):
        return None, "cannot be read: it is nested too deeply or holds what is no text"
    complaint = _COMPLAINT.fullmatch(str(error))
    field = (complaint and complaint["field"]) or None
    got = _GOT.match(str(error))
    if got is None:
        what = complaint["what"] if complaint else str(error)
        return field, within_sentence(what)
    if field is None:
        return None, f"expected a row ({{…}}), got {_KINDS.get(got[1], got[1])}"
    return field, f"expected {_WANTED.get(field, 'text')}, got {_KINDS.get(got[1], got[1])}"
