"""What a run looks like at one moment, put together from its plan and its events."""

import time
from collections.abc import Mapping

from imagegen.generation.events import Complete, Event, KeyChange, Progress, Start, Wait, Warned
from imagegen.generation.plan import Plan
from imagegen.project.progress import BeatError
from imagegen.project.status import Status

Key = tuple[str, str]


class StyleTally:
    """One style: the status of each beat in file order, and what it waits for."""

    def __init__(self, name: str, statuses: Mapping[Key, Status]) -> None:
        self.name = name
        self.statuses = dict(statuses)
        self.total = len(self.statuses)
        self.completed = sum(status is Status.SKIPPED for status in self.statuses.values())
        self.errors: dict[Key, BeatError] = {}
        self.keys: dict[str, KeyChange] = {}
        self.wait: Wait | None = None
        self.wait_ends = 0.0
        self.in_flight = 0
        self.changes: list[tuple[Key, Status]] = []
        """Beats that changed and what they were before, for whoever draws them."""

    @property
    def waits_for(self) -> float | None:
        """Seconds until the next request may leave, or None if nothing is waited for."""
        left = self.wait_ends - time.monotonic()
        return left if self.wait is not None and left > 0 else None


class Tally:
    """The whole run. Fed with every event, in order, by one thread."""

    def __init__(self, plan: Plan) -> None:
        self.styles = {
            style: StyleTally(style, {one.beat.key: one.status for one in beats})
            for style, beats in plan.styles.items()
            if beats
        }
        self.start: Start | None = None
        self.started = time.monotonic()
        self.wait: Wait | None = None
        self.warnings: list[str] = []
        self.complete: Complete | None = None

    @property
    def completed(self) -> int:
        """How many beats have their picture."""
        return sum(style.completed for style in self.styles.values())

    @property
    def total(self) -> int:
        """How many beats were asked for."""
        return sum(style.total for style in self.styles.values())

    @property
    def in_flight(self) -> int:
        """How many beats are being drawn now."""
        return sum(style.in_flight for style in self.styles.values())

    def handle(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case Start():
                self.start = event
            case Progress():
                self._progress(event)
            case Wait(style=str()):
                self._style_wait(event)
            case Wait():
                self.wait = None if event.reason == "online" else event
            case KeyChange():
                self.styles[event.style].keys[event.key] = event
            case Warned():
                self.warnings.append(event.message)
            case Complete():
                self.complete = event

    def _progress(self, event: Progress) -> None:
        style = self.styles[event.style]
        key = (event.shot_number, event.beat_number)
        before = style.statuses[key]
        style.statuses[key] = event.status
        style.completed = event.completed
        style.in_flight += (event.status is Status.GENERATING) - (before is Status.GENERATING)
        style.changes.append((key, before))
        if event.status is Status.ERROR and event.error is not None:
            style.errors[key] = event.error
        if event.status is Status.GENERATING:
            style.wait = None

    def _style_wait(self, event: Wait) -> None:
        style = self.styles.get(event.style or "")
        if style is not None:
            style.wait = event
            style.wait_ends = time.monotonic() + (event.seconds or 0.0)
