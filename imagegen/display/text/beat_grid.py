"""One style's glyphs in lines, a space between shots; only lines that changed are rebuilt."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final, TypeVar

from rich.text import Text

from imagegen.display.text.sanitize import STYLES, Glyphs
from imagegen.project.beat_status import Status
from imagegen.project.storyboard import BeatKey

T = TypeVar("T")
INDENT: Final = "  "
_ORDER: Final = (
    Status.COMPLETE,
    Status.SKIPPED,
    Status.ERROR,
    Status.GENERATING,
    Status.BLOCKED,
    Status.OUTDATED,
    Status.WAIVED,
    Status.PENDING,
)


class BeatGrid:
    """The glyphs of a style's beats, laid out once for a number of columns.

    `statuses` is the tally's own mapping; `changed` says which of its beats have changed.
    """

    def __init__(self, statuses: Mapping[BeatKey, Status], glyphs: Glyphs, width: int) -> None:
        self.width = width
        self._statuses = statuses
        self._glyphs = glyphs
        self._lines = lay_out(statuses, itemgetter(0), max(1, width - len(INDENT)))
        self._line_of = {key: n for n, line in enumerate(self._lines) for key in line if key}
        self._texts: list[Text | None] = [None] * len(self._lines)
        self._counted = dict(statuses)
        self._counts = {status: [0] * len(self._lines) for status in Status}
        """How many of each line's beats have a status."""
        for key, status in statuses.items():
            self._counts[status][self._line_of[key]] += 1
        self._first = 0

    @property
    def height(self) -> int:
        """The number of lines of the whole grid."""
        return len(self._lines)

    def changed(self, key: BeatKey) -> None:
        """Record that a beat's status may have changed."""
        line = self._line_of[key]
        self._texts[line] = None
        self._counts[self._counted[key]][line] -= 1
        self._counted[key] = self._statuses[key]
        self._counts[self._counted[key]][line] += 1

    def rows(self, most: int) -> list[Text]:
        """Return at most `most` lines.

        If there are more, return the busiest ones, with counts of those before and after.
        """
        if most <= 0:
            return []
        lines = len(self._lines)
        if lines <= most:
            return [self._row(n) for n in range(lines)]
        if most == 1:
            return [self._sum(0, lines, "")]
        if most == 2:
            first = self._first = self._window(1)
            return [self._sum(0, lines, ""), self._row(first)]
        first = self._first = self._window(most - 2)
        last = first + most - 2
        # A single line is shown instead of counted.
        if first <= 1:
            first, last = 0, most - 1
        elif last >= lines - 1:
            first, last = lines - most + 1, lines
        rows = [self._row(n) for n in range(first, last)]
        if first:
            rows.insert(0, self._sum(0, first, "before"))
        if last < lines:
            rows.append(self._sum(last, lines, "after"))
        return rows

    def _window(self, size: int) -> int:
        """Return the first of the `size` busiest lines.

        The lines shown last stay while no others are busier: beats are easier to follow.
        """
        moving = [(n, c) for n, c in enumerate(self._counts[Status.GENERATING]) if c]
        furthest = len(self._lines) - size
        if not moving:
            pending = self._counts[Status.PENDING]
            start = next((n for n, count in enumerate(pending) if count), furthest)
            stays = self._first <= start < self._first + size
            return min(self._first if stays else max(0, start - 1), furthest)
        count_in_window = sum(count for n, count in moving if self._first <= n < self._first + size)
        best, (first, last) = _densest(moving, size)
        if count_in_window == best:
            return min(self._first, furthest)
        # One finished line above, if all busy lines fit below it.
        return min(max(0, last - size + 1, first - 1), first, furthest)

    def _row(self, number: int) -> Text:
        text = self._texts[number]
        if text is None:
            keys = self._lines[number]
            statuses = (None if key is None else self._statuses[key] for key in keys)
            text = self._texts[number] = signs(statuses, self._glyphs)
        return text

    def _sum(self, first: int, last: int, where: str) -> Text:
        """Return a line with the numbers of what lines from `first` to before `last` hold."""
        text = Text(f"{INDENT}{self._glyphs.more}" if where else INDENT.removesuffix(" "))
        for status in _ORDER:
            count = sum(self._counts[status][first:last])
            if count:
                text.append(f" {count:,} ", style="dim")
                text.append(self._glyphs[status], style=STYLES[status])
        text.append(f" {where}", style="dim")
        text.rstrip()
        text.truncate(self.width)
        return text


def _densest(moving: Sequence[tuple[int, int]], size: int) -> tuple[int, tuple[int, int]]:
    """Return the most that `size` lines in a row hold, and the first and last that do move.

    `moving` are line numbers, rising, with how much moves in each.
    """
    best, ends = 0, (0, 0)
    window_count = start = 0
    for number, count in moving:
        window_count += count
        while moving[start][0] <= number - size:
            window_count -= moving[start][1]
            start += 1
        if window_count > best:
            best, ends = window_count, (moving[start][0], number)
    return best, ends


def signs(statuses: Iterable[Status | None], glyphs: Glyphs) -> Text:
    """Return a line of signs, one for each beat; None is the space between two shots."""
    text = Text(INDENT)
    for status, run in itertools.groupby(statuses):
        count = sum(1 for _ in run)
        if status is None:
            text.append(" " * count)
        else:
            text.append(glyphs[status] * count, style=STYLES[status])
    return text


def lay_out(beats: Iterable[T], shot: Callable[[T], str], width: int) -> list[list[T | None]]:
    """Put beats in lines of at most `width` signs, shots together if they fit.

    `shot` returns a beat's shot; None is the space between two shots.
    """
    lines: list[list[T | None]] = [[]]
    for _, group in itertools.groupby(beats, shot):
        shot_beats = list(group)
        if lines[-1] and len(lines[-1]) + 1 + len(shot_beats) > width:
            lines.append([])
        elif lines[-1]:
            lines[-1].append(None)
        for beat in shot_beats:
            if len(lines[-1]) >= width:
                lines.append([])
            lines[-1].append(beat)
    return lines
