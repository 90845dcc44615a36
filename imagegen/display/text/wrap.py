"""Fits text into columns; wide characters take two."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from imagegen.display.text.charset import in_ascii
from imagegen.display.text.sanitize import ASCII, Glyphs, sanitize

_LEAST: Final = 8
_WIDE: Final = 2


def sanitize_glyphs(text: str, glyphs: Glyphs, limit: int = 300) -> str:
    """Return text as one line without control sequences."""
    safe_text = sanitize(text, limit)
    return in_ascii(safe_text) if glyphs.dot == ASCII.dot else safe_text


def truncate(text: Text, width: int, glyphs: Glyphs) -> Text:
    """Return a text cut to the columns, with a sign at the cut."""
    if text.cell_len <= width:
        return text
    short = text.copy()
    short.truncate(max(0, width - len(glyphs.more)))
    short.rstrip()
    if width >= len(glyphs.more):
        short.append(glyphs.more)
    return short


def justify(lefts: Sequence[Text], rights: Sequence[Text], width: int, glyphs: Glyphs) -> Text:
    """Put a text at each end of a line, in the longest versions that fit.

    Versions come longest first. If not even the shortest fit, the left one is cut.
    """
    for right in rights:
        for left in lefts:
            if left.cell_len + 2 + right.cell_len <= width:
                return _apart(left, right, width)
    left, right = lefts[-1], rights[-1]
    room = width - right.cell_len - 2
    if room >= min(left.cell_len, _LEAST):
        return _apart(truncate(left, room, glyphs), right, width)
    return truncate(left, width, glyphs)


def wrap(words: str, width: int, indent: int) -> list[str]:
    """Break a line between words, or in one that is too long; later lines are indented.

    If not even one character fits, each character has its own line, which is too long.
    """
    # There is room for a wide character next to the indent.
    indent = max(0, min(indent, width - _WIDE))
    lines: list[str] = []
    line = ""
    for word in words.split(" "):
        if line.strip() and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = " " * indent + word
        else:
            line = f"{line} {word}" if line else word
        while cell_len(line) > width:
            head = Text(line)
            head.truncate(width)
            end = len(head.plain.rstrip())
            blanks = len(line) - len(line.lstrip())
            # If only blanks would fit, those beyond the indent are removed.
            if end or blanks <= indent:
                end = end or blanks + 1
                lines.append(line[:end])
            line = " " * indent + line[end:].lstrip()
    return [*lines, line] if line.strip() or not lines else lines


def _apart(left: Text, right: Text, width: int) -> Text:
    line = left.copy()
    line.append(" " * (width - left.cell_len - right.cell_len))
    return line.append_text(right)
