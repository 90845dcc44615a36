"""A line for each beat, for pipes and logs: no control characters, nothing overwritten."""

import time
from typing import Final, TextIO

from imagegen.display.tally import Tally
from imagegen.display.text import Glyphs, clean, duration, plural, printable
from imagegen.generation.events import Complete, Event, KeyChange, Progress, Start, Wait, Warned
from imagegen.generation.plan import Plan
from imagegen.project.status import Status

TICK: Final = 5.0
_HEARTBEAT: Final = 30.0


class Plain:
    """A listener that prints lines, and one every half minute in which nothing happened."""

    def __init__(self, plan: Plan, out: TextIO, glyphs: Glyphs) -> None:
        self._tally = Tally(plan)
        self._out = out
        self._glyphs = glyphs
        self._last = time.monotonic()
        self._told = ""

    def handle(self, event: Event) -> None:
        """Print what a person would want to know of the event."""
        self._tally.handle(event)
        for style in self._tally.styles.values():
            style.changes.clear()
        line = self._line(event)
        if line:
            self._print(line)

    def tick(self) -> None:
        """Show that the run is alive."""
        if time.monotonic() - self._last < _HEARTBEAT:
            return
        waits = [style.waits_for for style in self._tally.styles.values()]
        soonest = min((wait for wait in waits if wait is not None), default=None)
        left = f", next request in {duration(soonest)}" if soonest is not None else ""
        self._print(
            f"  {self._tally.completed}/{self._tally.total} pictures, "
            f"{self._tally.in_flight} in flight{left}"
        )

    def close(self) -> None:
        """Flush."""
        self._out.flush()

    def _line(self, event: Event) -> str | None:
        match event:
            case Start():
                left = sum(style.pending for style in event.styles.values())
                there = sum(style.skipped for style in event.styles.values())
                exists = f", {there:,} exist" if there else ""
                return (
                    f"{clean(event.project)}: {plural(left, 'picture')} to draw{exists} "
                    f"({clean(event.provider)}, {clean(event.model)})"
                )
            case Progress():
                return self._beat(event)
            case Wait(style=None) | Wait(reason="round"):
                told, self._told = self._told, event.message
                return f"  {clean(event.message)}" if event.message != told else None
            case KeyChange(state="ready" | "waiting"):
                return None
            case KeyChange():
                span = f" for {duration(event.seconds)}" if event.seconds else ""
                why = f": {clean(event.message)}" if event.message else ""
                return f"  {event.style} {event.key} {event.state}{span}{why}"
            case Warned():
                return f"  warning: {clean(event.message)}"
            case Complete():
                return None
        return None

    def _beat(self, event: Progress) -> str | None:
        sign = self._glyphs[event.status]
        name = f"{event.style}/{event.shot_number}/{event.beat_number}"
        count = f"{event.completed}/{event.total}"
        if event.status is Status.COMPLETE:
            seconds = f"{event.seconds:.1f} s" if event.seconds is not None else ""
            return f"{sign} {name:<28} {count:>9}  {seconds}"
        if event.status is Status.ERROR and event.error is not None:
            error = event.error
            return f"{sign} {name:<28} {count:>9}  {error.cause}, {clean(error.message)}"
        if event.status is Status.PENDING and event.error is not None:
            return f"  {name} will be tried again: {clean(event.error.message)}"
        return None

    def _print(self, line: str) -> None:
        self._last = time.monotonic()
        self._out.write(printable(line) + "\n")
        self._out.flush()
