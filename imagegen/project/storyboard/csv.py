"""Tables as spreadsheets write them, read as rows: CSV, and the cells of an Excel file."""

import csv
import itertools
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from imagegen.csv_rows import CsvError, read_rows
from imagegen.errors import InputError
from imagegen.project.storyboard import names, rows
from imagegen.project.storyboard.blanks import is_invisible
from imagegen.project.storyboard.messages import quoted
from imagegen.project.storyboard.names import FIELDS, KEPT, PER_STYLE, REQUIRED, Names
from imagegen.project.storyboard.rows import (
    MOST_FAULTS,
    MOST_ROWS,
    TOO_MANY,
    ParsedFile,
    failed_file,
)
from imagegen.project.storyboard.shapes import Found
from imagegen.project.storyboard.spreadsheet import Cell, Cells
from imagegen.toml import nearest

_DELIMITERS = (",", ";", "\t", "|")
_IN_ORDER = ("shot_number", "beat_number", "transition_type", "script_phrase", "ai_prompt")
# Excel's own first line, which names the delimiter.
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>[^\r\n"])"?(?:\r\n|\r|\n)', re.IGNORECASE)
_BEFORE_HEADING = 30
"""Rows among which the headings are looked for: others may have a title before them."""

_FEWEST = 2
_TOTAL = re.compile(
    r"\W*(?:total|totals|subtotal|sum|count|average|summe|gesamt|anzahl|somme|suma|totale)\b.{0,40}",
    re.IGNORECASE,
)
_DECIMAL = re.compile(r"[0-9]+\.0")
_RULE = re.compile(r":?-{2,}:?")
"""A cell of the line below the headings of a Markdown table."""

_KEPT_AS_TEXT = re.compile(r'="(.*)"', re.DOTALL)
"""How spreadsheets keep `1.10` as text: a formula of a text alone."""

_field_size = threading.Lock()

_Row = tuple[int, Sequence[Cell]]
"""The cells of a row, with the line at which it begins."""


def from_csv(
    text: str, file: str, styles: Sequence[str] = (), notes: Iterable[str] = ()
) -> ParsedFile:
    """Read rows from CSV, of which a row names the columns, in any order and case.

    The delimiter is a comma, a semicolon, a tab or a bar, whichever makes the headings
    readable. A column `ai_prompt_clear` holds the style's own prompts. Rows in which nothing
    that is read is filled are not counted, empty cells are as if left out.
    """
    separator = _SEPARATOR_LINE.match(text)
    body = text[separator.end() :] if separator else text
    delimiter = separator["delimiter"] if separator else _delimiter(body)
    before = 1 if separator else 0
    filled = (
        (before + line, cells)
        for line, cells in read_rows(body, delimiter)
        if any(map(_is_filled, cells))
    )
    try:
        with _any_field_size(len(text)):
            sheet = _sheet(filled, file, styles, notes)
    except CsvError as error:
        at, row = before + error.line, before + error.row
        begun = f", in the row that begins in line {row}: a quote there may have no end"
        return failed_file(file, f"is not valid CSV: {error} (line {at}){begun * (at > row)}")
    below = [line for line in text.splitlines()[sheet.header_line or 1 :] if _is_filled(line)]
    if below and not sheet.rows and not any(delimiter in line for line in below):
        named = "tab" if delimiter == "\t" else f'"{delimiter}"'
        return failed_file(file, f"has no {named} in its rows, as there is in its headings")
    return sheet


def from_sheets(
    sheets: Iterable[tuple[str, Cells]], file: str, styles: Sequence[str]
) -> ParsedFile:
    """Read rows from the sheet of an Excel file with the most known headings."""
    listed = [(name, cells) for name, cells in sheets if cells]
    if not listed:
        return failed_file(file, "has no cells")
    best = max(listed, key=lambda sheet: _score_of(sheet[1], styles))
    unread = [quoted(name) for name, _ in listed if name != best[0]]
    notes = [f"sheet {quoted(best[0])} is read, not {', '.join(unread)}"] if unread else []
    return _sheet(iter(best[1]), file, styles, notes)


@contextmanager
def _any_field_size(size: int) -> Iterator[None]:
    """Allow a field as long as the file: the module's limit is per process."""
    with _field_size:
        before = csv.field_size_limit(max(size, 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _delimiter(text: str) -> str:
    """Return the delimiter that makes most known column names of one of the first rows."""
    header = text.lstrip("\r\n")[:65536]

    def known_count(delimiter: str) -> int:
        rows = read_rows(header, delimiter, strict=False)
        try:
            return _score_of(rows, ())
        except CsvError:
            return 0

    return max(_DELIMITERS, key=known_count)


def _is_filled(cell: Cell) -> bool:
    return not isinstance(cell, str) or not is_invisible(cell)


def _score(cells: Sequence[Cell], styles: Sequence[str]) -> int:
    """Return how many of our fields a row of headings names."""
    headings = [str(cell) for cell in cells if _is_filled(cell)]
    if len(headings) > 1000:
        return 0
    called = names.match([headings], styles)
    scene, number = names.numbers(headings)
    extra = 1 if (scene or number) and "beat_number" not in called.fields else 0
    return len(called.fields) + len(called.styles) + extra


def _score_of(cells: Iterable[_Row], styles: Sequence[str]) -> int:
    first = itertools.islice(cells, _BEFORE_HEADING)
    return max((_score(row, styles) for _, row in first), default=0)


def _split_headings(
    filled: Iterator[_Row], styles: Sequence[str]
) -> tuple[list[_Row], Iterator[_Row]]:
    """Return the rows up to the headings, which come last, and those that follow."""
    first = list(itertools.islice(filled, _BEFORE_HEADING))
    scores = [_score(cells, styles) for _, cells in first]
    best = max(scores, default=0)
    at = scores.index(best) if best >= _FEWEST else 0
    return first[: at + 1], itertools.chain(first[at + 1 :], filled)


def _sheet(
    filled: Iterator[_Row], file: str, styles: Sequence[str], notes: Iterable[str]
) -> ParsedFile:
    before, filled = _split_headings(filled, styles)
    if not before:
        return ParsedFile(file=file, holds_prompts=False)
    *titles, (heading, cells) = before
    headings = [str(cell).strip("\ufeff\u200b\u00a0 \t\r\n") for cell in cells]
    columns = {name: at for at, name in reversed(list(enumerate(headings))) if name}
    unknown = [
        plain.removeprefix(PER_STYLE)
        for name in columns
        if (plain := "_".join(name.casefold().split())).startswith(PER_STYLE)
    ]
    every = tuple(dict.fromkeys((*styles, *unknown)))
    body = _Body(columns, len(headings), file, names.match([list(columns)], every))
    twice = _twice(headings)
    if twice is not None:
        return failed_file(file, f"has two columns named {quoted(twice)}: keep one")
    body.take(filled)
    row_notes = body.notes()
    called = rows.Interpreter(body.items, every, shapes=[tuple(columns)])
    missing = _missing(called.called)
    if missing:
        lacking = _without_columns(missing, called.called, columns, file, heading, styles=every)
        return msgspec.structs.replace(lacking, rows=(None,) * len(body.items))
    if titles:
        first, last = titles[0][0], titles[-1][0]
        lines = f"line {first} is" if first == last else f"lines {first} to {last} are"
        notes = [*notes, f"{lines} not read: the headings are in line {heading}"]
    sheet = rows.from_items(called, file, notes=[*notes, *row_notes], lines=body.lines)
    style_columns = tuple(style for style in called.called.styles if style in unknown)
    return msgspec.structs.replace(
        sheet,
        style_columns=style_columns,
        header_line=heading,
        faults=(*body.faults, *sheet.faults),
    )


class _Body:
    """Takes the rows below the headings."""

    def __init__(self, columns: Mapping[str, int], width: int, file: str, called: Names) -> None:
        self._columns = columns
        self._width = width
        self._file = file
        self._called = called
        read = {*called.fields.values(), *called.styles.values()}
        scene, number = names.numbers(list(columns))
        read |= {name for name in (scene, number) if name}
        self._read = [columns[name] for name in read] or list(columns.values())
        self._scene, self._number = scene, number
        self._skipped: dict[str, list[int]] = {}
        self._filled_down: list[int] = []
        self.items: list[Found] = []
        self.lines: list[int] = []
        self.faults: list[InputError] = []

    def take(self, filled: Iterator[_Row]) -> None:
        """Read every row with known fields, up to a million."""
        width = self._width
        above: Cell | None = None
        shot = self._called.fields.get("shot_number") or self._scene
        for line, cells in filled:
            reason = self._skipped_for(cells)
            if reason:
                self._skipped.setdefault(reason, []).append(line)
                continue
            number = len(self.items) + 1
            if number > MOST_ROWS or len(self.faults) >= MOST_FAULTS:
                message = (
                    TOO_MANY if self.faults else f"a storyboard has at most {MOST_ROWS:,} rows"
                )
                self._fault(message, number, line)
                return
            if any(map(_is_filled, cells[width:])):
                self._fault(
                    f"{len(cells)} cells under {width} column names: "
                    "a text that holds the delimiter must stand in quotes",
                    number,
                    line,
                )
            row = {name: _cell(cells, at) for name, at in self._columns.items()}
            if shot is not None:
                if row[shot] is None and above is not None and self._is_beat(row):
                    row[shot] = above
                    self._filled_down.append(line)
                above = row[shot]
            self.items.append(Found(value=self._trim(row)))
            self.lines.append(line)

    def _without_decimals(self) -> Iterator[str]:
        """Write numbers as whole ones that a program made decimal, all of a column: 1.0, 2.0."""
        for field in ("shot_number", "beat_number"):
            name = self._called.fields.get(field)
            values = [item.value[name] for item in self.items] if name is not None else []
            texts = [value for value in values if value is not None]
            if texts and all(isinstance(text, str) and _DECIMAL.fullmatch(text) for text in texts):
                for item in self.items:
                    if item.value[name] is not None:
                        item.value[name] = item.value[name].partition(".")[0]
                yield f"{field} is read without the .0 that all of its numbers end with"

    def _is_beat(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row has a number and a prompt, so that its shot is that above it."""
        fields = self._called.fields
        prompts = [fields.get("ai_prompt"), *self._called.styles.values()]
        number = fields.get("beat_number") or self._number
        return bool(number and row[number]) and any(row[name] for name in prompts if name)

    def _skipped_for(self, cells: Sequence[Cell]) -> str | None:
        """Return why a row is not one of the storyboard, or None if it is."""
        filled = [at for at, cell in enumerate(cells) if _is_filled(cell)]
        texts = [str(cells[at]).strip() for at in filled]
        if not any(at in filled for at in self._read) or all(map(_RULE.fullmatch, texts)):
            return "nothing that is read is filled in"
        if texts and _TOTAL.fullmatch(texts[0]) and len(filled) <= _FEWEST + 1:
            return "a total"
        filled_columns = [name for name, at in self._columns.items() if at in filled]
        if len(filled) > 1 and all(
            str(cells[self._columns[n]]).strip() == n for n in filled_columns
        ):
            return "the headings again"
        if len(filled) == 1 and len(self._read) > 1 and _is_title(texts[0]):
            return "a title"
        return None

    def _trim(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row with its numbers trimmed, and its references as a list."""
        for field in ("shot_number", "beat_number", "id", "transition_type"):
            name = self._called.fields.get(field)
            if name is not None and isinstance(row[name], str):
                row[name] = row[name].strip() if field != "transition_type" else row[name]
        name = self._called.fields.get("references")
        if name is not None and row[name] is not None:
            parts = [part.strip() for part in str(row[name]).split(";")]
            row[name] = [part for part in parts if part] or None
        texts = [self._called.fields.get(field) for field in (*FIELDS[2:5], *KEPT[:3])]
        for name in (*texts, *self._called.styles.values()):
            if name is not None and isinstance(row[name], int | float):
                row[name] = str(row[name])
        return row

    def notes(self) -> list[str]:
        """Return notes on rows that were not read, or read with those above."""
        notes = list(self._without_decimals())
        for reason, lines in self._skipped.items():
            if reason != "nothing that is read is filled in":
                notes.append(f"{_lines(lines)} not read: {reason}")
        if self._filled_down:
            notes.append(
                f"the shot of {_lines(self._filled_down, be=False)} is that of the row above"
            )
        return notes

    def _fault(self, message: str, row: int, line: int) -> None:
        self.faults.append(InputError(file=self._file, message=message, row=row, line=line))


def _is_title(text: str) -> bool:
    """Return whether the only text of a row is a heading within the table, and no number."""
    return " " in text and any(char.isalpha() for char in text)


def _lines(lines: Sequence[int], *, be: bool = True) -> str:
    numbers = ", ".join(map(str, lines[:5])) + (f" and {len(lines) - 5:,} more" * (len(lines) > 5))
    verb = (" is" if len(lines) == 1 else " are") if be else ""
    return f"line{'s' if len(lines) > 1 else ''} {numbers}{verb}"


def _cell(cells: Sequence[Cell], at: int) -> Cell | None:
    if at >= len(cells) or not _is_filled(cells[at]):
        return None
    cell = cells[at]
    if isinstance(cell, str) and (text := _KEPT_AS_TEXT.fullmatch(cell)):
        return text[1].replace('""', '"')
    return cell


def _twice(headings: Sequence[str]) -> str | None:
    """Return the first heading that occurs twice, in any spelling."""
    seen_headings: set[str] = set()
    for name in headings:
        plain = names.squashed(name)
        if plain and plain in seen_headings and names.field_of(name):
            return "_".join(name.casefold().split())
        seen_headings.add(plain)
    return None


def _named_as_style(columns: Sequence[str], styles: Sequence[str]) -> str | None:
    """Return a hint on columns that have the name of a style alone; None if there is none."""
    style_by_name = {names.squashed(style): style for style in styles}
    matches = [name for name in columns if names.squashed(name) in style_by_name]
    if not matches:
        return None
    should = ", ".join(PER_STYLE + style_by_name[names.squashed(name)] for name in matches)
    return f"if {', '.join(map(quoted, matches))} hold prompts, name them {should}"


def _missing(called: Names) -> list[str]:
    """Return the columns that a table needs and has not."""
    has_prompts = "ai_prompt" in called.fields or bool(called.styles)
    return [
        field
        for field in REQUIRED
        if field not in called.fields and not (field == "ai_prompt" and has_prompts)
    ]


def _without_columns(
    missing: Sequence[str],
    called: Names,
    columns: Mapping[str, int],
    file: str,
    heading: int,
    *,
    styles: Sequence[str],
) -> ParsedFile:
    """Return the sheet of a table that lacks columns, with an error for each."""
    faults = []
    free = [name for name in columns if name not in called.fields.values()]
    for field in missing:
        near = next((name for name in free if called.others.get(name) == field), None)
        near = near or nearest(field, [name.casefold().replace(" ", "_") for name in free])
        style_hint = _named_as_style(free[::-1], styles) if field == "ai_prompt" else None
        faults.append(
            InputError(
                file=file,
                line=heading,
                message=f'has no column "{field}": the first row must name the columns',
                hint=f'by {quoted(near)}, did you mean "{field}"?' if near else style_hint,
            )
        )
    if not any(fault.hint for fault in faults):
        faults[-1] = msgspec.structs.replace(faults[-1], hint=",".join(_IN_ORDER))
    # A list of phrases without prompts is passed over for a file that has them.
    listed = called.fields and not any(
        names.squashed("ai_prompt") in names.squashed(n) for n in columns
    )
    return ParsedFile(file=file, faults=tuple(faults), holds_prompts=not listed)
