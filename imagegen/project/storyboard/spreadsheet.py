"""Excel files, read as rows of cells with python-calamine, which is an extra (`xlsx`)."""

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterator
from typing import Final

from imagegen.project.storyboard.reader import UnreadableError

_AS_CSV: Final = "save it as CSV UTF-8"
_MOST_BYTES: Final = 200 * 1024 * 1024
_MOST_CELLS: Final = 5_000_000
_MOST_SHEETS: Final = 50
# The library fills the whole rectangle up to the last cell: two cells can be all of its memory.
_CELL: Final = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["']""")
_SHEET: Final = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)

Cell = str | int | float
Cells = list[tuple[int, list[Cell]]]
"""The rows of a sheet that are not empty, each with its number as Excel shows it."""


class MissingExtraError(Exception):
    """The library that reads Excel files is not installed."""


def sheets(data: bytes) -> Iterator[tuple[str, Cells]]:
    """Yield the name and the cells of each sheet. Empty cells are empty texts.

    Raises UnreadableError for a file that is broken or unpacks to too much, and
    MissingExtraError.
    """
    try:
        import python_calamine  # noqa: PLC0415  # an extra
    except ImportError:
        raise MissingExtraError from None
    _require_bounded(data)
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        for name in book.sheet_names[:_MOST_SHEETS]:
            sheet = book.get_sheet_by_name(name)
            first = (sheet.start or (0, 0))[0] + 1
            rows = sheet.to_python(skip_empty_area=True)
            plain = ((at, [_plain(cell) for cell in row]) for at, row in enumerate(rows, first))
            yield name, [(at, row) for at, row in plain if any(cell != "" for cell in row)]
    except UnreadableError:
        raise
    except Exception as error:
        # Its reader raises errors of many kinds for a broken file.
        raise _broken_error(error) from error


def _plain(cell: object) -> Cell:
    """Return a cell as a text or a number; a whole number is one without a decimal point."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, str | int | float):
        return cell
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return cell.date().isoformat()
    return str(cell) if cell is not None else ""


def _require_bounded(data: bytes) -> None:
    """Raise UnreadableError for a file that would take far more memory than it is large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            members = package.infolist()
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise UnreadableError("is an Excel file that unpacks to too much", hint=_AS_CSV)
            for member in members:
                if not _SHEET.fullmatch(member.filename):
                    continue
                with package.open(member) as file:
                    xml = file.read(member.file_size + 1)
                rows = columns = 0
                for column, row in _CELL.findall(xml):
                    rows, columns = max(rows, int(row)), max(columns, _column(column))
                if rows * columns > _MOST_CELLS:
                    raise UnreadableError(
                        f"is an Excel file with a sheet of {rows:,} rows and {columns:,} columns",
                        hint=f"delete what is far outside the table, or {_AS_CSV}",
                    )
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        if isinstance(error, UnreadableError):
            raise
        raise _broken_error(error) from error


def _broken_error(error: Exception) -> UnreadableError:
    reason = " ".join(str(error).split())[:100]
    return UnreadableError(f"is an Excel file that cannot be read ({reason})", hint=_AS_CSV)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number or 1
