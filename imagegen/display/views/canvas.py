"""A terminal's whole screen, painted line by line: only what changed is written.

Drawn on the alternate screen: on the normal one a resize leaves stale frames above the view.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment, Segments
from rich.text import Text

from imagegen.display.views import tty

_HEAL: Final = 2.0
"""Seconds after which every line is rewritten, to repair foreign output."""

_PATIENCE: Final = 1.0
"""Seconds that Ctrl-Z waits for a frame to be written."""

_NOTHING: Final = Text()
_BOTH: Final = (True, False)


class Canvas:
    """Owns the terminal from the first `paint` to `close`, while this process is in its foreground.

    `_lock` guards all of it: Ctrl-Z comes between two lines of a frame too.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.RLock()
        self._leave: Callable[[], None] | None = None
        self._size: tuple[int, int] | None = None
        self._shown: list[Text] = []
        self._healed = 0.0
        tty.on_suspend(self._aside)

    @property
    def size(self) -> tuple[int, int]:
        """The terminal's columns and lines, now."""
        width, height = self._console.size
        return width, height

    def paint(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        """Show these lines, made for a screen of `size`, and nothing else.

        A frame is one write, and terminals that can show it as one do. In the background
        (`&`, `bg`) nothing is shown, and the terminal is given back if it was not yet.
        """
        with self._lock:
            if tty.in_foreground(self._console.file):
                self._paint(lines, size)
            else:
                self.close()

    def close(self) -> None:
        """Give the terminal back as it was; another `paint` takes it again."""
        with self._lock:
            leave, self._leave = self._leave, None
            if leave is not None:
                leave()

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Give the terminal back for a while, and paint nothing."""
        # The holder may wait for a terminal that accepts no output now.
        has_lock = self._lock.acquire(timeout=_PATIENCE)
        try:
            if has_lock:
                self.close()
            yield
        finally:
            if has_lock:
                self._lock.release()

    def _paint(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        if self._leave is None:
            self._size = None
            self._leave = self._enter()
        resized, self._size = size != self._size, size
        now = time.monotonic()
        whole = resized or now - self._healed >= _HEAL
        if whole:
            self._healed = now
        segments = [_raw("\x1b[?2026h")]
        if resized:
            segments.append(Control.clear().segment)
        width, height = size
        before = [] if whole else self._shown
        for row in range(height):
            line = lines[row] if row < len(lines) else _NOTHING
            if row < len(before) and before[row] == line:
                continue
            segments.append(Control.move_to(0, row).segment)
            segments += self._rendered(line)
            if line.cell_len < width:
                # In the last column it would take away the character just written.
                segments.append(Control((ControlType.ERASE_IN_LINE, 0)).segment)
        # Where a terminal loses lines, some keep those above the cursor for the normal screen.
        segments += [Control.home().segment, _raw("\x1b[?2026l")]
        self._shown = list(lines[:height])
        if len(segments) > 3:
            self._write(segments)

    def _rendered(self, line: Text) -> Iterable[Segment]:
        if line.spans:
            return line.render(self._console)
        # Rich leaves out the style of a text all of which has the same.
        return [Segment(line.plain, self._console.get_style(line.style))]

    def _enter(self) -> Callable[[], None]:
        """Take the terminal; returns what gives it back."""
        console = self._console
        echo = tty.silence()
        # An old Windows console has no second screen. Without automatic wrapping a character
        # that the terminal finds wider than we do is cut off at the edge, and the lines below
        # stay where they are.
        other = not console.legacy_windows
        screens = [Control.alt_screen(enable) if other else Control.clear() for enable in _BOTH]
        cursors = [Control.show_cursor(show) for show in _BOTH]
        self._write([screens[0].segment, cursors[1].segment, _raw("\x1b[?7l")])

        def leave() -> None:
            # Emptied first: tmux keeps what does not fit any more after a resize.
            empty = [Control.home().segment, Control.clear().segment]
            try:
                self._write(
                    [_raw("\x1b[?2026l\x1b[?7h"), *empty, screens[1].segment, cursors[0].segment]
                )
            finally:
                echo()

        return leave

    def _write(self, segments: Sequence[Segment]) -> None:
        self._console.print(Segments(segments), end="", soft_wrap=True)


def _raw(sequence: str) -> Segment:
    """Return a sequence that Rich has no name for; nothing on an old Windows console."""
    return Segment(sequence, None, [])
