"""The live view: shows a run on the whole screen while it draws.

The caller prints a summary on the normal screen afterwards.
"""

import time
from typing import Final

from rich.console import Console

from imagegen.display.text.sanitize import Glyphs
from imagegen.display.views.canvas import Canvas
from imagegen.display.views.frame import FrameRenderer
from imagegen.display.views.run_progress import RunProgress
from imagegen.events.types import Event
from imagegen.workspace.plan import Plan

TICK: Final = 0.25
_SHORTEST_FRAME: Final = 0.125


class LiveView:
    """A listener that displays the run, at most eight times a second.

    `watching` means that the run is another process's, which Ctrl-C does not reach.
    """

    def __init__(
        self, plan: Plan, console: Console, glyphs: Glyphs, *, watching: bool = False
    ) -> None:
        self._tally = RunProgress(plan)
        self._frames = FrameRenderer(self._tally, glyphs, watching=watching)
        self._canvas = Canvas(console)
        self._drawn = 0.0

    def handle(self, event: Event) -> None:
        """Handle an event, and repaint if the last frame is old enough."""
        self._tally.handle(event)
        if time.monotonic() - self._drawn >= _SHORTEST_FRAME:
            self.tick()

    def tick(self) -> None:
        """Repaint: times count down."""
        self._drawn = time.monotonic()
        size = self._canvas.size
        self._canvas.paint(self._frames.lines(*size), size)

    def close(self) -> None:
        """Give the terminal back."""
        self._canvas.close()
