"""Errors that stop a command, and how to fix them."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from imagegen.display.text.formatting import project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import escape_control, plural, sanitize
from imagegen.errors import ImagegenError, InputError, InvalidInputError

_SHOWN: Final = 60
_ROWS: Final = 5
_NARROW: Final = 20


def show(paper: Paper, error: ImagegenError, project: str) -> None:
    """Print what failed and how to fix it. `project` is the folder as it was typed."""
    if isinstance(error, InvalidInputError):
        _input_faults(paper, error, project)
        return
    first, *rest = error.message.split("\n")
    paper.wrap("imagegen: ", sanitize(first, 2000), indent=2)
    for line in rest:
        paper.wrap("  ", sanitize(line, 2000), indent=4)
    if error.hint:
        paper.wrap("  ", sanitize(error.hint, 2000))


def _input_faults(paper: Paper, error: InvalidInputError, project: str) -> None:
    shown_count = 0
    by_file: dict[str, list[list[InputError]]] = {}
    for cause in _causes(error.faults):
        by_file.setdefault(cause[0].file, []).append(cause)
    # Files with few errors come first: many errors of another file would hide them.
    for file, file_errors in sorted(by_file.items(), key=lambda item: (len(item[1]), item[0])):
        causes = sorted(file_errors, key=lambda cause: (cause[0].line or 0, cause[0].row or 0))
        rows = error.rows.get(file)
        among = f" in {plural(rows, 'row')}" if rows else ""
        count = plural(len(causes), "error")
        paper.line(f"{sanitize(file)}: {count}{among}. Nothing was drawn or changed.")
        paper.line()
        part = causes[: max(0, _SHOWN - shown_count)]
        _lines(paper, part, rows)
        shown_count += len(part)
        if len(part) < len(causes):
            paper.line(f"  … and {len(causes) - len(part):,} more: fix these first")
        paper.line()
    if error.hint:
        paper.justify(sanitize(error.hint, 2000), f"exit {int(error.exit_code)}")
        return
    them = "it" if sum(map(len, by_file.values())) == 1 else "them"
    check = project_command("check", project)
    paper.justify(
        f"Fix {them}, then check without drawing:  {check}", f"exit {int(error.exit_code)}"
    )


def _causes(faults: Sequence[InputError]) -> list[list[InputError]]:
    """Return errors grouped by cause: several rows of a file may have the same error."""
    causes: dict[tuple[object, ...], list[InputError]] = {}
    for at, fault in enumerate(faults):
        line = None if fault.row else at
        causes.setdefault((fault.file, fault.field, fault.message, fault.hint, line), []).append(
            fault
        )
    return list(causes.values())


def _place(cause: Sequence[InputError], rows: int | None) -> str:
    """Return the place in a file: the rows with data, and the line as editors count."""
    first = cause[0]
    numbers = sorted({fault.row for fault in cause if fault.row})
    if len(numbers) > 1:
        if len(numbers) == rows:
            return f"all {rows:,} rows"
        ranges = _ranges(numbers)[:_ROWS]
        rest = len(numbers) - sum(last - first + 1 for first, last in ranges)
        labels = (f"{a:,}" if a == b else f"{a:,}–{b:,}" for a, b in ranges)
        return f"rows {', '.join(labels)}" + (f" and {rest:,} more" if rest else "")
    line = f"line {first.line}" if first.line else ""
    if first.line and first.column:
        line += f", column {first.column}"
    if not first.row:
        return line
    return f"row {first.row} ({line})" if line else f"row {first.row}"


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return consecutive numbers as ranges, each by its first and last."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ranges


def _lines(paper: Paper, causes: Sequence[Sequence[InputError]], rows: int | None) -> None:
    places = [_place(cause, rows) for cause in causes]
    first = max(map(len, places), default=0)
    second = max((len(cause[0].field or "") for cause in causes), default=0)
    for place, cause in zip(places, causes, strict=True):
        fault = cause[0]
        columns = [f"{place:<{first}}", f"{sanitize(fault.field or ''):<{second}}"]
        head = "".join(f"  {column}" for column in columns if column) + "  "
        detail = f" ({fault.detail})" if fault.detail and len(cause) == 1 else ""
        paper.wrap(head, sanitize(f"{fault.message}{detail}", 1000))
        if fault.source is not None and fault.line and fault.column:
            _excerpt(paper, fault.source, fault.line, fault.column)
        if fault.hint:
            paper.wrap(" " * len(head), sanitize(fault.hint))


def _excerpt(paper: Paper, source: str, line: int, column: int) -> None:
    """Print a line of a file with a caret below the position."""
    margin = f"    {line} | "
    room = max(_NARROW, paper.width - len(margin) - 1)
    begin = max(0, min(column - room // 2, len(source) - room))
    before = escape_control(source[begin : column - 1].expandtabs(1))
    after = escape_control(source[column - 1 : begin + room].expandtabs(1))
    paper.line(f"{margin}{before}{after}".rstrip())
    paper.line(f"{' ' * (len(margin) - 2)}| {' ' * cell_len(before)}^")
