"""One line per beat, for pipes and logs, without control characters."""

import time
from collections.abc import Callable
from typing import Final, TextIO

from imagegen.display.text import github_escape
from imagegen.display.text.beat_labels import BeatLabels
from imagegen.display.text.charset import in_ascii
from imagegen.display.text.formatting import minutes, money, price
from imagegen.display.text.sanitize import ASCII, Glyphs, duration, escape_control, plural, sanitize
from imagegen.display.views.run_progress import RunProgress
from imagegen.events.types import Event, Forecast, KeyChange, Progress, Start, Waiting, WarningEvent
from imagegen.project.beat_status import Status
from imagegen.workspace.plan import Plan

TICK: Final = 5.0
_HEARTBEAT: Final = 25.0
"""Together with `TICK`: a line at least every 30 seconds."""


class Plain:
    """A listener that prints a line per event, and a heartbeat in long pauses.

    `now` returns monotonic seconds.
    """

    def __init__(
        self, plan: Plan, out: TextIO, glyphs: Glyphs, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tally = RunProgress(plan)
        self._out = out
        self._glyphs = glyphs
        self._now = now
        self._last = now()
        self._wait_message = ""
        self._forecast = False
        beats = [
            planned.beat.address for style_beats in plan.styles.values() for planned in style_beats
        ]
        self._names = BeatLabels(beats, certain=not plan.unselected_count)
        self._width = max((len(self._names.full(beat)) for beat in beats), default=0)

    def handle(self, event: Event) -> None:
        """Print the event, if it matters to people."""
        self._tally.handle(event)
        for style in self._tally.styles.values():
            style.changes.clear()
        line = self._line(event)
        if line:
            self._print(line)
        else:
            self.tick()

    def tick(self) -> None:
        """Print a heartbeat."""
        if self._now() - self._last >= _HEARTBEAT and self._tally.start is not None:
            self._print(f"  {self._heartbeat()}")

    def close(self) -> None:
        """Flush."""
        self._out.flush()

    def _heartbeat(self) -> str:
        tally = self._tally
        # If its beats cannot be read, a watched run has no total.
        parts = [f"{tally.there:,}/{tally.total:,} images" if tally.total else "running"]
        if tally.in_flight:
            parts.append(f"{tally.in_flight:,} in flight")
        waits = [style.wait_seconds for style in tally.styles.values()]
        soonest = min((wait for wait in waits if wait is not None), default=None)
        if tally.wait is not None:
            parts.append(sanitize(tally.wait.message))
        elif soonest is not None:
            parts.append(f"next request in {duration(soonest)}")
        if tally.wait is None and tally.left:
            parts.append(f"about {duration(tally.left)} left")
        if tally.spent:
            parts.append(f"about {money(tally.spent)} spent")
        return ", ".join(parts)

    def _line(self, event: Event) -> str | None:
        match event:
            case Start():
                return _start(event)
            case Progress():
                return self._beat(event)
            case Waiting(style=None) | Waiting(reason="round"):
                last, self._wait_message = self._wait_message, event.message
                return f"  {sanitize(event.message)}" if event.message != last else None
            case KeyChange(state="ready" | "waiting"):
                return None
            case KeyChange():
                span = f" for {minutes(event.seconds)}" if event.seconds else ""
                why = f": {sanitize(event.message)}" if event.message else ""
                return f"  {event.style} {event.key} {event.state}{span}{why}"
            case Forecast(seconds=float() | int()) if not self._forecast:
                self._forecast = True
                return _forecast(event)
            case WarningEvent():
                return f"  {'note' if event.note else 'warning'}: {sanitize(event.message)}"
        return None

    def _beat(self, event: Progress) -> str | None:
        name = self._names.full(event.address)
        head = f"{self._glyphs[event.status]} {name:<{self._width}}"
        style = self._tally.styles.get(event.style)
        drawn = event.completed - (style.waived if style else 0)
        count = f"{drawn:,}/{event.total:,}"
        if event.status is Status.COMPLETE:
            seconds = f"  {event.seconds:.1f} s" if event.seconds is not None else ""
            return f"{head} {count:>9}{seconds}"
        if event.status is Status.BLOCKED:
            return f"{head} {count:>9}  blocked by {sanitize(event.blocked_by or '')}"
        if event.error is None:
            return None
        if event.status is Status.ERROR:
            error = event.error
            return f"{head} {count:>9}  {error.cause}, {error.reason}: {sanitize(error.message)}"
        if event.status is Status.PENDING:
            return f"  {name} will be retried: {sanitize(event.error.message)}"
        return None

    def _print(self, line: str) -> None:
        self._write(github_escape.harmless(line) if github_escape.running() else line)

    def _write(self, line: str) -> None:
        self._last = self._now()
        safe_text = escape_control(line)
        self._out.write(
            (in_ascii(safe_text) if self._glyphs.dot == ASCII.dot else safe_text) + "\n"
        )
        self._out.flush()


def _start(event: Start) -> str:
    left = sum(style.pending for style in event.styles.values())
    existing = sum(style.there for style in event.styles.values())
    exists = f", {existing:,} exist" if existing else ""
    cost = f"about {price(event.price)} an image" if event.price else ""
    parts = [event.provider, event.model, event.image_size, event.aspect_ratio, cost]
    # The sketch provider's only model has its name.
    details = dict.fromkeys(sanitize(part) for part in parts if part)
    resumes = ", resuming the last run" if event.resumes else ""
    exists += f", {event.reused:,} of them reused" if event.reused else ""
    of = f", shard {sanitize(event.shard)}" if event.shard else ""
    return (
        f"{sanitize(event.project)}{of}: {plural(left, 'image')} to draw{exists} "
        f"({', '.join(details)}){resumes}"
    )


def _forecast(event: Forecast) -> str | None:
    parts = [f"{duration(event.seconds)} left"] if event.seconds else []
    if event.cost_in_all:
        parts.append(f"{money(event.cost_in_all)} in all")
    return f"  about {', '.join(parts)}" if parts else None
