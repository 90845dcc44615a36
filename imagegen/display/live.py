"""The live view: a bar, a glyph per beat and a message for each style.

Drawn on the terminal's alternate screen: on the normal one a resize leaves stale frames
above the view. Whoever runs the view prints a summary on the normal screen afterwards.
"""

import time
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from imagegen.display.sheet import Sheet
from imagegen.display.tally import StyleTally, Tally
from imagegen.display.text import Glyphs, clean, duration, plural
from imagegen.generation.events import Event
from imagegen.generation.plan import Plan
from imagegen.project.status import Status

TICK: Final = 0.25
_SHORTEST_FRAME: Final = 0.1
_ERRORS_SHOWN: Final = 4


class LiveView:
    """A listener that draws the run while it goes on.

    Repaints at most ten times a second; only lines with a changed beat are rebuilt.
    """

    def __init__(self, plan: Plan, console: Console, glyphs: Glyphs) -> None:
        self._tally = Tally(plan)
        self._console = console
        self._glyphs = glyphs
        self._sheets: dict[str, Sheet] = {}
        self._drawn = 0.0
        self._live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def handle(self, event: Event) -> None:
        """Take note of an event, and repaint if the last frame is old enough."""
        self._tally.handle(event)
        if time.monotonic() - self._drawn >= _SHORTEST_FRAME:
            self._draw()

    def tick(self) -> None:
        """Repaint: times count down."""
        self._draw()

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._live.update(self._view(), refresh=True)

    def _view(self) -> RenderableType:
        width, height = self._console.size
        errors = self._errors(width)
        styles = list(self._tally.styles.values())
        room = height - 4 - len(errors)
        rows = max(1, room // max(1, len(styles)) - 3)
        spaced = room >= len(styles) * (rows + 3)
        lines: list[RenderableType] = [self._head(width), Text()]
        for style in styles:
            lines += [self._bar(style, width), *self._beats(style, width, rows)]
            lines.append(self._message(style, width))
            if spaced:
                lines.append(Text())
        return Group(*lines, *errors, self._foot(width))

    def _head(self, width: int) -> Text:
        tally = self._tally
        start = tally.start
        name = clean(start.project) if start else ""
        model = f" {self._glyphs.dot} {clean(start.model)}" if start else ""
        head = f"{name} {self._glyphs.dot} {plural(tally.total, 'beat')}{model}"
        gone = f"{duration(time.monotonic() - tally.started)} gone"
        return _ends(Text(head, style="bold"), Text(gone, style="dim"), width)

    def _bar(self, style: StyleTally, width: int) -> Table:
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(width=min(16, width // 4), no_wrap=True)
        grid.add_column(ratio=1)
        for _ in range(3):
            grid.add_column(justify="right", no_wrap=True)
        share = style.completed / style.total if style.total else 1.0
        failed = f"{self._glyphs[Status.ERROR]} {len(style.errors)}" if style.errors else ""
        grid.add_row(
            Text(style.name, style="bold"),
            ProgressBar(total=max(1, style.total), completed=style.completed),
            f"{style.completed}/{style.total}",
            f"{int(share * 100)} %",
            Text(failed, style="bold red"),
        )
        return grid

    def _beats(self, style: StyleTally, width: int, rows: int) -> list[Text]:
        """Return the style's glyphs, grouped by shot, in at most so many rows."""
        sheet = self._sheets.get(style.name)
        if sheet is None or sheet.width != width - 4:
            sheet = Sheet(style.statuses, self._glyphs, width - 4)
            self._sheets[style.name] = sheet
            style.changes.clear()
        for key, before in style.changes:
            sheet.changed(key, before)
        style.changes.clear()
        return sheet.rows(rows)

    def _message(self, style: StyleTally, width: int) -> Text:
        parts = [f"{tail} {k.state}" for tail, k in style.keys.items() if k.state != "ready"]
        waits = style.waits_for
        if style.completed + len(style.errors) == style.total:
            parts.append("done")
        elif self._tally.wait is not None:
            parts.append(clean(self._tally.wait.message))
        elif waits is not None:
            parts.append(f"next request in {duration(waits)}")
        if style.in_flight:
            parts.append(f"{style.in_flight} in flight")
        text = Text("  " + f" {self._glyphs.dot} ".join(parts), style="dim")
        text.truncate(width, overflow="ellipsis")
        return text

    def _errors(self, width: int) -> list[Text]:
        sign = self._glyphs[Status.ERROR]
        found = [
            clean(f"{sign} {style.name}/{beat}  {error.cause}, {error.reason}: {error.message}")
            for style in self._tally.styles.values()
            for (_, beat), error in style.errors.items()
        ]
        lines = [Text(line, style="red") for line in found[-_ERRORS_SHOWN:]]
        lines += [
            Text(f"! {clean(warning)}", style="yellow") for warning in self._tally.warnings[-2:]
        ]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _foot(self, width: int) -> Text:
        tally = self._tally
        flying = tally.in_flight
        left = f"{tally.completed}/{tally.total} pictures {self._glyphs.dot} {flying} in flight"
        if tally.wait is not None and tally.wait.reason == "finishing":
            right = "Ctrl-C again: stop at once"
        elif flying:
            right = f"Ctrl-C: finish those {flying}, then stop"
        else:
            right = "Ctrl-C: stop"
        return _ends(Text(left), Text(right, style="dim"), width)


def _ends(left: Text, right: Text, width: int) -> Text:
    """Put two texts at the two ends of a line; the right one gives way."""
    if len(left) + 2 + len(right) > width:
        left.truncate(width, overflow="ellipsis")
        return left
    return left.append(" " * (width - len(left) - len(right))).append_text(right)
