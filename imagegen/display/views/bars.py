"""The styles' bars, in columns that align at any width."""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.text import Text

from imagegen.display.text.sanitize import Glyphs, duration
from imagegen.display.text.wrap import truncate
from imagegen.display.views.run_progress import RunProgress, StyleProgress
from imagegen.project.beat_status import Status

_SHORTEST: Final = 6
"""Columns below which a bar is useless."""

_COMFORTABLE: Final = 16
_SHORTEST_NAME: Final = 8
_LONGEST_TIME: Final = len("59:59 left")

_LAYOUTS: Final = (
    (("count", "percent", "errors", "left"), 2),
    (("count", "percent", "errors", "left"), 1),
    (("count", "errors", "left"), 1),
    (("count", "errors"), 1),
    (("count",), 1),
)
"""Columns to show and the space between them, from the widest to the narrowest."""

_STYLES: Final = {"count": "", "percent": "", "errors": "bold red", "left": "dim"}


class _Row(msgspec.Struct):
    """A style's columns as words: count, percent, errors, time left."""

    count: str
    percent: str
    errors: str
    left: str


class Bars:
    """Lays out one line for each style.

    If the screen is narrow, names are cut, then percents omitted, then the time left.
    """

    def __init__(
        self, styles: Sequence[StyleProgress], tally: RunProgress, glyphs: Glyphs, width: int
    ) -> None:
        self._glyphs = glyphs
        self._width = width
        self._rows = {style.name: self._row(style, tally) for style in styles}
        names = max((len(style.name) for style in styles), default=0)
        for columns, gap in _LAYOUTS:
            self._widths = {name: self._widest(name) for name in columns}
            used = sum(size + gap for size in self._widths.values() if size)
            room = width - used - gap
            comfortable = _COMFORTABLE if gap > 1 else _SHORTEST
            if room >= min(names, 12) + comfortable:
                break
        self._gap = gap
        self._name = max(min(names, room, _SHORTEST_NAME), min(names, room - comfortable))
        self._bar = max(0, room - self._name)

    def line(self, style: StyleProgress) -> Text:
        """Return a style's line."""
        row = self._rows[style.name]
        line = truncate(Text(style.name), self._name, self._glyphs).copy()
        line.stylize("bold")
        line.append(" " * (self._name - line.cell_len + self._gap))
        full = self._bar * style.done // style.total if style.total else self._bar
        full = max(full, min(self._bar, style.done, 1))
        line.append(self._glyphs.full * full, style="green")
        line.append(self._glyphs.empty * (self._bar - full), style="dim")
        for name, size in self._widths.items():
            if size:
                words = getattr(row, name)
                line.append(" " * (self._gap + size - len(words)))
                line.append(words, style=_STYLES[name])
        return truncate(line, self._width, self._glyphs)

    def _widest(self, name: str) -> int:
        widest = max((len(getattr(row, name)) for row in self._rows.values()), default=0)
        # Keeps the bars from jumping when the time gets shorter.
        return max(widest, _LONGEST_TIME) if name == "left" and widest else widest

    def _row(self, style: StyleProgress, tally: RunProgress) -> _Row:
        total = style.total
        failed = len(style.errors)
        return _Row(
            count=f"{style.done:,}/{total:,}",
            percent=f"{100 * style.done // total if total else 100} %",
            errors=f"{self._glyphs[Status.ERROR]} {failed:,}" if failed else "",
            left=_left(style, tally),
        )


def _left(style: StyleProgress, tally: RunProgress) -> str:
    """Return a style's remaining time, or nothing if it depends on something else."""
    if style.settled:
        return "done"
    if tally.wait is not None or style.left is None:
        return ""
    return f"{duration(style.left)} left"
