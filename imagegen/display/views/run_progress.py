"""The state of a run, computed from its plan and its events."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from imagegen.display.text.beat_labels import BeatLabels
from imagegen.events.types import (
    Complete,
    Event,
    Forecast,
    KeyChange,
    Progress,
    Start,
    Waiting,
    WarningEvent,
)
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import BeatKey
from imagegen.workspace.plan import Plan

ENDING: Final = frozenset({"finishing", "stopping"})
"""Reasons of waits after which no new request is sent."""


class Failure(msgspec.Struct, frozen=True):
    """A beat in error: its name as typed, the error, and the attempts (0: unknown)."""

    beat: str
    error: BeatError
    tries: int


class KeyProgress:
    """One key of a style: its last state, and when it is ready again.

    `ready_at` is in `time.monotonic()` seconds; None if only another event decides.
    """

    def __init__(self, news: KeyChange, received_at: float) -> None:
        self.news = news
        self.ready_at = None if news.seconds is None else received_at + news.seconds

    @property
    def state(self) -> str:
        """The key's state now: one that waited until a moment is ready after it."""
        if self.news.state in {"waiting", "cooling"} and not self.left:
            return "ready"
        return self.news.state

    @property
    def left(self) -> float:
        """Seconds until it is ready again; 0 where that is past or not known."""
        return max(0.0, (self.ready_at or 0.0) - time.monotonic())


class StyleProgress:
    """One style: the status of each beat in file order, its keys, and what it waits for."""

    def __init__(self, name: str, statuses: Mapping[BeatKey, Status]) -> None:
        self.name = name
        self.statuses = dict(statuses)
        self.total = len(self.statuses)
        counts = Counter(self.statuses.values())
        self.blocked = counts[Status.BLOCKED]
        self.waived = counts[Status.WAIVED]
        self.completed = self.total - self.blocked - counts[Status.PENDING]
        self.errors: dict[BeatKey, BeatError] = {}
        self.keys: dict[str, KeyProgress] = {}
        self.wait: Waiting | None = None
        self.wait_ends = 0.0
        self.in_flight = 0
        self.ends_at: float | None = None
        """When its last image will be there, in `time.monotonic()` seconds; None: unknown."""
        self.changes: set[BeatKey] = set()
        """Beats that have changed since they were displayed."""
        self.retrying: set[BeatKey] = set()
        """Beats that failed and will be retried."""

    @property
    def done(self) -> int:
        """The number of beats that have an image and need no more requests."""
        return self.completed - self.waived

    @property
    def unsent(self) -> int:
        """The number of beats that are neither finished nor in flight."""
        finished = self.completed + len(self.errors) + self.blocked
        return max(0, self.total - finished - self.in_flight)

    @property
    def wait_seconds(self) -> float | None:
        """Seconds until the next request may leave, or None if none waits."""
        left = self.wait_ends - time.monotonic()
        return left if self.wait is not None and left > 0 else None

    @property
    def settled(self) -> bool:
        """Whether every beat has its image or needs none, is in error, or blocked by one."""
        return self.completed + len(self.errors) + self.blocked >= self.total

    @property
    def left(self) -> float | None:
        """Approximate seconds until its last image is drawn; None if unknown.

        Never less than until its next request may leave: a forecast only counts down, while a
        key may have to wait.
        """
        if self.ends_at is None:
            return None
        return max(0.0, self.ends_at - time.monotonic(), self.next_request or 0.0)

    @property
    def next_request(self) -> float | None:
        """Seconds until its next request may leave; None if none waits for a certain time."""
        if not self.unsent:
            return None
        if self.wait_seconds is not None:
            return self.wait_seconds
        keys = [key for key in self.keys.values() if key.state in {"ready", "waiting", "cooling"}]
        # A key that is ready may send at once.
        return min((key.left for key in keys), default=None)


class RunProgress:
    """The whole run; one thread passes it every event, in order.

    Events may be older than now, since a run can be followed from another process. Their own
    times say how old they are.
    """

    def __init__(self, plan: Plan) -> None:
        self.styles = {
            style: StyleProgress(style, {planned.beat.key: planned.status for planned in beats})
            for style, beats in plan.styles.items()
            if beats
        }
        self._names = BeatLabels(
            (one.beat.address for beats in plan.styles.values() for one in beats),
            certain=not plan.unselected_count,
        )
        self.start: Start | None = None
        self.started = time.monotonic()
        self.wait: Waiting | None = None
        self.wait_ends = 0.0
        self.warnings: list[str] = []
        self.failures: list[Failure] = []
        """Beats in error, in the order in which they failed."""
        self.spent: float | None = None
        self.spent_in_all: float | None = None
        self.limited: Counter[str] = Counter()
        """The number of 429 answers of each key, by its tail."""
        self.ends_at: float | None = None
        self.complete: Complete | None = None

    @property
    def there(self) -> int:
        """The number of beats that have an image and need no more requests."""
        return sum(style.done for style in self.styles.values())

    @property
    def total(self) -> int:
        """The number of selected beats."""
        return sum(style.total for style in self.styles.values())

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return sum(style.in_flight for style in self.styles.values())

    @property
    def left(self) -> float | None:
        """Approximate seconds until the last image is drawn; None if unknown."""
        if self.ends_at is None:
            return None
        styles = [style.next_request or 0.0 for style in self.styles.values()]
        return max(0.0, self.ends_at - time.monotonic(), *styles)

    @property
    def ending(self) -> bool:
        """Whether no new request is sent, and the run ends after those in flight."""
        return self.wait is not None and self.wait.reason in ENDING

    @property
    def wait_left(self) -> float:
        """Seconds for which the whole run still waits."""
        return max(0.0, self.wait_ends - time.monotonic())

    def handle(self, event: Event) -> None:
        """Handle an event."""
        received_at = _moment(event)
        match event:
            case Start():
                self.start, self.started = event, received_at
                self.spent = 0.0 if event.price is not None else None
            case Progress():
                self._progress(event)
            case Waiting(style=str()):
                self._style_wait(event, received_at)
            case Waiting() if event.reason in ENDING or not self.ending:
                self.wait = None if event.reason == "online" else event
                self.wait_ends = received_at + (event.seconds or 0.0)
            case KeyChange():
                self._key(event, received_at)
            case Forecast():
                self._forecast(event, received_at)
            case WarningEvent(note=False):
                self.warnings.append(event.message)
            case Complete():
                self.complete = event
                self.spent = event.cost

    def _progress(self, event: Progress) -> None:
        style = self.styles.get(event.style)
        key = event.address.key
        if style is None or key not in style.statuses:
            return
        before = style.statuses[key]
        style.statuses[key] = event.status
        style.completed = event.completed
        style.in_flight += (event.status is Status.GENERATING) - (before is Status.GENERATING)
        style.blocked += (event.status is Status.BLOCKED) - (before is Status.BLOCKED)
        style.waived -= before is Status.WAIVED
        style.changes.add(key)
        if event.cost is not None:
            self.spent = (self.spent or 0.0) + event.cost
        if event.status is Status.ERROR and event.error is not None:
            style.errors[key] = event.error
            self.failures.append(
                Failure(self._names.full(event.address), event.error, event.attempt)
            )
        if event.status is Status.PENDING and event.error is not None:
            style.retrying.add(key)
        else:
            style.retrying.discard(key)
        if event.status is Status.GENERATING:
            style.wait = None

    def _style_wait(self, event: Waiting, received_at: float) -> None:
        style = self.styles.get(event.style or "")
        if style is not None:
            style.wait = event
            style.wait_ends = received_at + (event.seconds or 0.0)

    def _key(self, event: KeyChange, received_at: float) -> None:
        if event.state == "cooling":
            self.limited[event.key] += 1
        style = self.styles.get(event.style)
        if style is not None:
            style.keys[event.key] = KeyProgress(event, received_at)

    def _forecast(self, event: Forecast, received_at: float) -> None:
        self.ends_at = None if event.seconds is None else received_at + event.seconds
        self.spent_in_all = event.cost_in_all
        for name, seconds in event.styles.items():
            if name in self.styles:
                self.styles[name].ends_at = None if seconds is None else received_at + seconds


def _moment(event: Event) -> float:
    """Return when an event happened, in `time.monotonic()` seconds."""
    try:
        happened = dt.datetime.fromisoformat(event.time).timestamp()
    except (ValueError, OverflowError, OSError):
        return time.monotonic()
    return time.monotonic() - max(0.0, time.time() - happened)
