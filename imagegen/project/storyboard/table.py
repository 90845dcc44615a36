"""CSV as spreadsheets write it, read as rows."""

import csv
import itertools
import re
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from imagegen.errors import InputFault
from imagegen.project.storyboard.rows import (
    MOST_FAULTS,
    MOST_ROWS,
    PER_STYLE,
    TOO_MANY,
    Row,
    Sheet,
    broken,
    from_rows,
)
from imagegen.project.storyboard.wording import quoted
from imagegen.tables import nearest

if TYPE_CHECKING:
    from _csv import Reader

_DELIMITERS = (",", ";", "\t")
_IN_ORDER = ("shot_number", "beat_number", "transition_type", "script_phrase", "ai_prompt")
_COLUMNS = frozenset(_IN_ORDER)
# Excel's own first line, which names the delimiter.
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>[^\r\n"])"?(?:\r\n|\r|\n)')
# Without going back, and not `io.StringIO`, which holds four bytes for every character.
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++")
_field_size = threading.Lock()


def from_csv(text: str, file: str) -> Sheet:
    """Read rows from CSV whose first row names the columns, in any order and case.

    The delimiter is a comma, a semicolon or a tab, whichever makes the header readable.
    A column `ai_prompt_clear` holds the style's own prompts. Empty rows are neither read
    nor counted, empty cells are as if left out.
    """
    separator = _SEPARATOR_LINE.match(text)
    body = text[separator.end() :] if separator else text
    delimiter = separator["delimiter"] if separator else _delimiter(body)
    before = 1 if separator else 0
    with _any_field_size(len(text)):
        reader = csv.reader(lines_of(body), delimiter=delimiter, strict=True)
        try:
            return _sheet(_filled(reader, before), file)
        except csv.Error as error:
            line = reader.line_num + before
            return broken(file, f"is no valid CSV: {error} (line {line})")


@contextmanager
def _any_field_size(size: int) -> Iterator[None]:
    """Let a field be as long as the file: the module's limit holds for the whole process."""
    with _field_size:
        before = csv.field_size_limit(max(size, 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _delimiter(text: str) -> str:
    """Return the delimiter that makes most known column names of the header row."""
    header = text.lstrip("\r\n")[:65536]

    def known(delimiter: str) -> int:
        reader = csv.reader(lines_of(header), delimiter=delimiter)
        try:
            return len(_COLUMNS.intersection(_named(next(reader, []))))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=known)


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines of a table, each with what ends it.

    Only line breaks end them: a cell may hold what `str.splitlines` takes for one, as the soft
    line break of a spreadsheet.
    """
    return (line[0] for line in _LINE.finditer(text))


def _filled(reader: "Reader", before: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the line at which it begins.

    `before` is how many lines of the file the reader does not see.
    """
    line = before + 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = before + reader.line_num + 1


def _named(cells: Sequence[str]) -> list[str]:
    return [cell.strip().casefold().replace(" ", "_") for cell in cells]


def _sheet(filled: Iterator[tuple[int, list[str]]], file: str) -> Sheet:
    heading, names = next(filled, (0, []))
    header = _named(names)
    if not header:
        return from_rows((), file)
    places = {name: at for at, name in enumerate(header) if name}
    missing = _missing(places)
    if missing is not None:
        return _without_column(missing, filled, places, file, heading)
    twice = next((name for name in places if header.count(name) > 1), None)
    if twice is not None:
        return broken(file, f"has two columns named {quoted(twice)}: keep one")
    styles = {
        name.removeprefix(PER_STYLE): at
        for name, at in places.items()
        if name.startswith(PER_STYLE)
    }
    rows: list[Row] = []
    faults: list[InputFault] = []
    lines: list[int] = []
    for number, (line, cells) in enumerate(filled, 1):
        if number > MOST_ROWS or len(faults) >= MOST_FAULTS:
            message = TOO_MANY if faults else f"a storyboard has {MOST_ROWS:,} rows at most"
            faults.append(InputFault(file=file, message=message, row=number, line=line))
            break
        if any(cell.strip() for cell in cells[len(header) :]):
            message = (
                f"{len(cells)} cells under {len(header)} column names: "
                "a text that holds the delimiter must stand in quotes"
            )
            faults.append(InputFault(file=file, message=message, row=number, line=line))
        rows.append(_row(cells, places, styles))
        lines.append(line)
    sheet = from_rows(rows, file, faults, lines)
    return msgspec.structs.replace(sheet, headed=tuple(styles), heading=heading)


def _missing(header: Collection[str]) -> str | None:
    """Return the first column that a table needs and has not."""
    for required in ("shot_number", "beat_number"):
        if required not in header:
            return required
    prompts = "ai_prompt" in header or any(name.startswith(PER_STYLE) for name in header)
    return None if prompts else "ai_prompt"


def _without_column(
    required: str, filled: Iterator[object], header: Collection[str], file: str, heading: int
) -> Sheet:
    near = nearest(required, [name for name in header if name not in _COLUMNS])
    fault = InputFault(
        file=file,
        line=heading,
        message=f'has no column "{required}": the first row must name the columns',
        hint=f'by {quoted(near)}, did you mean "{required}"?' if near else ",".join(_IN_ORDER),
    )
    # A list of phrases without prompts is passed over for a file that has them.
    listed = _COLUMNS.intersection(header) and not any("ai_prompt" in name for name in header)
    rows = tuple(None for _ in itertools.islice(filled, MOST_ROWS))
    return Sheet(file=file, rows=rows, faults=(fault,), holds_prompts=not listed)


def _listed(text: str | None) -> list[str] | None:
    """Return the paths of a cell, between which there is a semicolon."""
    parts = [part.strip() for part in text.split(";")] if text else []
    return [part for part in parts if part] or None


def _row(cells: Sequence[str], places: dict[str, int], styles: dict[str, int]) -> Row:
    def cell(at: int | None) -> str | None:
        if at is None or at >= len(cells) or not cells[at].strip():
            return None
        return cells[at]

    def trimmed(name: str) -> str | None:
        text = cell(places.get(name))
        return text.strip() if text else None

    own = {style: words for style, at in styles.items() if (words := cell(at))}
    return Row(
        shot_number=trimmed("shot_number"),
        beat_number=trimmed("beat_number"),
        transition_type=cell(places.get("transition_type")),
        script_phrase=cell(places.get("script_phrase")),
        ai_prompt=cell(places.get("ai_prompt")),
        ai_prompts=dict[str, str | None](own) or None,
        id=trimmed("id"),
        references=_listed(trimmed("references")),
    )
