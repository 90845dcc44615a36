"""One frame of the live view: lines of text for a screen of any size."""

import time
from collections.abc import Sequence
from typing import Final

import msgspec
from rich.text import Text

from imagegen.display.text.beat_grid import BeatGrid
from imagegen.display.text.formatting import money
from imagegen.display.text.sanitize import Glyphs, duration, plural
from imagegen.display.text.wrap import justify, sanitize_glyphs, truncate, wrap
from imagegen.display.views.bars import Bars
from imagegen.display.views.key_line import KeyLine
from imagegen.display.views.run_progress import Failure, RunProgress, StyleProgress
from imagegen.project.beat_status import Status

_FEW_ROWS: Final = 3
_FEW_TROUBLES: Final = 3
_MANY_TROUBLES: Final = 8
_WARNINGS: Final = 2
_NARROWEST: Final = 20
"""Columns for which a frame is made at least; a narrower screen shows the left of it."""

_TALL: Final = 14
"""Lines of a screen on which the last line may become two."""

_LONG_WAY_OUT: Final = len("Ctrl-C: finish those 99, then stop")

_KINDS: Final = {
    "refused": "refused",
    "bad request": "bad request",
    "no picture": "no image",
    "passing": "failed",
    "limited": "too many requests",
    "spent today": "daily quota used",
    "out of credit": "out of credit",
    "no quota": "no quota",
    "key rejected": "key rejected",
}
"""Labels of causes of errors; the number of attempts follows if there were several."""


class _Block(msgspec.Struct):
    """The lines shown below a style's bar."""

    style: StyleProgress
    sheet: BeatGrid
    keys: KeyLine
    rows: int = 0
    key_line: bool = False


class _LineBudget:
    """Shares out the lines of a screen."""

    def __init__(self, lines: int) -> None:
        self.left = max(0, lines)

    def take(self, lines: int) -> int:
        """Take `count` lines, or as many as are left."""
        granted = max(0, min(lines, self.left))
        self.left -= granted
        return granted

    def take_or_none(self, lines: int) -> bool:
        """Take `count` lines, or none."""
        return lines <= self.left and self.take(lines) == lines


class FrameRenderer:
    """Makes frames of a run; `watching` means that the run is another process's.

    On a small screen, spaces are omitted first, then rows of glyphs beyond a few, then most
    failures, then the lines about keys, then all glyphs. The bars and the last line stay.
    """

    def __init__(self, tally: RunProgress, glyphs: Glyphs, *, watching: bool = False) -> None:
        self._tally = tally
        self._glyphs = glyphs
        self._watching = watching
        self._sheets: dict[str, BeatGrid] = {}
        keys = [key for style in tally.styles.values() for key in style.statuses]
        self._beats = len(set(keys))
        self._shots = len({shot for shot, _ in keys})

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the lines of a screen of this size, at most as many and as wide as it has."""
        if width < _NARROWEST:
            # Nothing readable fits there: it only has to be harmless.
            return [truncate(line, width, self._glyphs) for line in self.lines(_NARROWEST, height)]
        foot = self._footer(width, height)
        room = _LineBudget(height - len(foot))
        styles, more = self._styles(room)
        head = self._header(width)[: room.take(1)]
        notice = self._notice(width)
        notice = notice[: room.take(len(notice))]
        blocks = [self._block(style, width) for style in styles]
        troubles, spaced = self._allocate(room, blocks, width)
        bars = Bars(styles, self._tally, self._glyphs, width)

        lines = head
        if spaced >= 1 and head:
            lines.append(Text())
        for n, block in enumerate(blocks):
            if n and spaced >= 2:
                lines.append(Text())
            lines.append(bars.line(block.style))
            lines += block.sheet.rows(block.rows)
            if block.key_line:
                lines.append(block.keys.text(width))
        lines += more
        if spaced >= 1:
            lines.append(Text())
        return [*lines, *troubles, *notice, *foot][:height]

    def _styles(self, room: _LineBudget) -> tuple[list[StyleProgress], list[Text]]:
        """Return the styles that fit, and a line for the others.

        Unfinished styles come first.
        """
        styles = list(self._tally.styles.values())
        if room.take_or_none(len(styles)):
            return styles, []
        count = max(0, room.take(len(styles)) - 1)
        relevant = sorted(styles, key=lambda style: style.settled)[:count]
        hidden_count = len(styles) - len(relevant)
        visible = [style for style in styles if style in relevant]
        return visible, [
            Text(f"{self._glyphs.more} {plural(hidden_count, 'more style')}", style="dim")
        ]

    def _block(self, style: StyleProgress, width: int) -> _Block:
        sheet = self._sheets.get(style.name)
        if sheet is None or sheet.width != width:
            sheet = self._sheets[style.name] = BeatGrid(style.statuses, self._glyphs, width)
        else:
            for key in style.changes:
                sheet.changed(key)
        style.changes.clear()
        return _Block(style, sheet, KeyLine(style, self._tally, self._glyphs))

    def _allocate(
        self, room: _LineBudget, blocks: Sequence[_Block], width: int
    ) -> tuple[list[Text], int]:
        """Share out the lines; return those about problems, and how spaced the frame is."""
        busy = sorted(blocks, key=lambda block: block.style.settled)
        for block in busy:
            block.rows = room.take(1)
        requested = len(self._tally.failures) + len(self._tally.warnings[-_WARNINGS:])
        troubles = room.take(min(1, requested))
        for block in sorted(busy, key=lambda block: not block.keys.urgent):
            block.key_line = block.keys.needed and bool(room.take(1))
        troubles += room.take(min(_FEW_TROUBLES, requested) - troubles)
        _grow_rows(room, busy, _FEW_ROWS)
        spaced = 0
        if room.take_or_none(2):
            spaced = 2 if room.take_or_none(len(blocks) - 1) else 1
        troubles += room.take(min(_MANY_TROUBLES, requested) - troubles)
        hidden = sum(block.sheet.height - block.rows for block in blocks)
        troubles += room.take(min(requested - troubles, room.left - hidden))
        problems = self._problems(width, troubles, room)
        _grow_rows(room, busy, max((block.sheet.height for block in blocks), default=0))
        return problems, spaced

    def _header(self, width: int) -> list[Text]:
        tally, dot = self._tally, f" {self._glyphs.dot} "
        start = tally.start
        name = truncate(
            Text(self._harmless(start.project) if start else ""), max(12, width // 3), self._glyphs
        )
        beats = plural(self._beats, "beat")
        if start is not None and start.shard:
            beats += f" of shard {self._harmless(start.shard)}"
        shots = f"{beats} in {plural(self._shots, 'shot')}"
        size = self._harmless(f"{start.image_size} {start.aspect_ratio}") if start else ""
        lefts = [
            Text(dot.join(filter(None, words)), style="bold")
            for words in ((name.plain, shots, size), (name.plain, shots), (name.plain, beats))
        ]
        lefts.append(Text(name.plain, style="bold"))
        elapsed = f"{duration(time.monotonic() - tally.started)} elapsed"
        left = self._left()
        rights = [f"{elapsed}{dot}{left}", left] if left else [elapsed]
        return [justify(lefts, [Text(right, style="dim") for right in rights], width, self._glyphs)]

    def _left(self) -> str:
        """Return the remaining time, or nothing if it depends on something else."""
        tally = self._tally
        if tally.wait is not None or tally.left is None or not tally.styles:
            return ""
        if all(style.settled for style in tally.styles.values()):
            return "done"
        return f"about {duration(tally.left)} left" if tally.left else "any moment now"

    def _notice(self, width: int) -> list[Text]:
        """Return the line about the whole run: that it is stopping, or why it pauses."""
        tally = self._tally
        if tally.wait is None:
            return []
        left = duration(tally.wait_left)
        if tally.ending:
            cause = "Stopping on request" if tally.wait.reason == "stopping" else "Stopping"
            finished = f"in flight {'is' if tally.in_flight == 1 else 'are'} finished and saved"
            words = f"{cause}: {tally.in_flight:,} {finished}"
            words += f", {left} at most" if tally.wait_left else ""
        else:
            words = self._harmless(tally.wait.message)
            words += f" {self._glyphs.dot} next attempt in {left}" if tally.wait_left else ""
        return [truncate(Text(words, style="bold yellow"), width, self._glyphs)]

    def _problems(self, width: int, count: int, room: _LineBudget) -> list[Text]:
        """Return at most `count` lines of warnings and of the latest failures.

        If there is room, long ones continue on the next line.
        """
        failures, warnings = self._tally.failures, self._tally.warnings
        warned = min(_WARNINGS, len(warnings), count - bool(failures))
        count -= max(0, warned)
        sign = self._glyphs[Status.ERROR]
        lines: list[tuple[str, str]] = []
        if len(failures) > count > 1:
            count -= 1
            lines.append((f"{sign} {len(failures) - count:,} earlier failures", "red"))
        latest = failures[-count:] if count > 0 else []
        wide = max((len(failure.beat) for failure in latest), default=0)
        lines += [(f"{sign} {self._describe(failure, wide)}", "red") for failure in latest]
        if warned > 0:
            lines += [(f"! {self._harmless(warning)}", "yellow") for warning in warnings[-warned:]]
        return [line for words, style in lines for line in self._wrapped(words, style, width, room)]

    def _describe(self, failure: Failure, wide: int) -> str:
        error, tries = failure.error, failure.tries
        kind = _KINDS.get(error.cause, self._harmless(error.cause))
        kind += f" in {tries:,} attempts" if tries > 1 else ""
        reason = f", {error.reason}" if error.reason and error.reason != error.cause else ""
        return f"{failure.beat:<{wide}}  {kind}{self._harmless(f'{reason}: {error.message}')}"

    def _harmless(self, text: str) -> str:
        return sanitize_glyphs(text, self._glyphs)

    def _wrapped(self, words: str, style: str, width: int, room: _LineBudget) -> list[Text]:
        lines = wrap(words, width, 4)
        if len(lines) > 1 and room.take_or_none(len(lines) - 1):
            return [Text(line, style=style) for line in lines]
        return [truncate(Text(words, style=style), width, self._glyphs)]

    def _footer(self, width: int, height: int) -> list[Text]:
        tally, dot = self._tally, f" {self._glyphs.dot} "
        done = f"{tally.there:,}/{tally.total:,}"
        flying = f"{tally.in_flight:,} in flight"
        spent = self._spent()
        pictures = f"{done} {'image' if tally.total == 1 else 'images'}"
        lefts = [
            Text(dot.join(filter(None, words)))
            for words in ((pictures, flying, spent), (done, flying, spent), (done, flying), (done,))
        ]
        rights = [Text(words, style="dim") for words in self._key_hints()]
        # Independent of what fits now: the lines above would jump with every request.
        least_width = lefts[0].cell_len + 2 + max(rights[0].cell_len, _LONG_WAY_OUT)
        if least_width > width and height >= _TALL:
            return [
                justify(lefts, [Text()], width, self._glyphs),
                truncate(rights[0], width, self._glyphs),
            ]
        return [justify(lefts, rights, width, self._glyphs)]

    def _spent(self) -> str:
        tally = self._tally
        if tally.spent is None or not (tally.spent or tally.spent_in_all):
            return ""
        about = f" of about {money(tally.spent_in_all)}" if tally.spent_in_all else ""
        return f"{money(tally.spent)}{about}"

    def _key_hints(self) -> list[str]:
        """Return what Ctrl-C does, in shorter and shorter versions."""
        flying = self._tally.in_flight
        if self._watching:
            return ["Ctrl-C: leave; the run continues", "Ctrl-C: leave"]
        if self._tally.wait is not None and self._tally.wait.reason == "stopping":
            return ["Ctrl-C twice: stop at once"]
        if self._tally.ending:
            return ["Ctrl-C again: stop at once"]
        if not flying:
            return ["Ctrl-C: stop"]
        these = f"those {flying:,}" if flying > 1 else "that one"
        return [
            f"Ctrl-C: finish {these}, then stop",
            "Ctrl-C: finish, then stop",
            "Ctrl-C: stop",
        ]


def _grow_rows(room: _LineBudget, blocks: Sequence[_Block], most: int) -> None:
    """Give each style in turn another row of glyphs, up to what it needs or `most`."""
    growing = list(blocks)
    while growing and room.left:
        growing = [block for block in growing if block.rows < min(most, block.sheet.height)]
        for block in growing:
            block.rows += room.take(1)
