"""CSV as people's programs write it: what ends a line, and where an error is."""

import pytest

from imagegen.csv_rows import CsvError, read_rows


def test_each_row_has_the_line_at_which_it_begins() -> None:
    """A quoted line break and any kind of line end count as lines of the file."""
    text = 'a,b\r\n"1\n2",3\r\rx,y'
    assert list(read_rows(text)) == [
        (1, ["a", "b"]),
        (2, ["1\n2", "3"]),
        (4, []),
        (5, ["x", "y"]),
    ]


def test_only_line_breaks_end_a_line() -> None:
    """A soft line break of a spreadsheet stays in its cell, quoted or not."""
    assert list(read_rows("a\u2028b,c\x0bd\n")) == [(1, ["a\u2028b", "c\x0bd"])]


def test_an_error_names_its_line_and_the_start_of_its_row() -> None:
    """A quote without an end is found where its row begins."""
    with pytest.raises(CsvError) as caught:
        list(read_rows('a,b\n1,"2\n3,4\n'))
    assert (caught.value.row, caught.value.line) == (2, 3)
