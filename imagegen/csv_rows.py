"""Rows of CSV files, each with the line at which it begins."""

import csv
import re
from collections.abc import Iterator
from typing import Final

# Without going back, and not `io.StringIO`, which holds four bytes for every character.
_LINE: Final = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++")


class CsvError(Exception):
    """A row that is not CSV: `row` is the line at which it begins, `line` that of the error."""

    def __init__(self, message: str, row: int, line: int) -> None:
        super().__init__(message)
        self.row = row
        self.line = line


def read_rows(
    text: str, delimiter: str = ",", *, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV text, each with the line at which it begins, from 1.

    Only line breaks end a line: a cell may hold what `str.splitlines` takes for one, as the soft
    line break of a spreadsheet. Raises `CsvError`.
    """
    lines = (line[0] for line in _LINE.finditer(text))
    reader = csv.reader(lines, delimiter=delimiter, strict=strict)
    begin = 1
    try:
        for cells in reader:
            yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise CsvError(str(error), begin, reader.line_num) from None
