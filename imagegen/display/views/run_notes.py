"""Collects the events that the final summary needs."""

from typing import Final

from imagegen.events.types import Event, KeyChange, Progress, Start, WarningEvent
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import BeatAddress

_HELD_UP: Final = frozenset({"cooling", "spent", "spent today"})


class RunNotes:
    """A listener that collects failed beats and rate-limited keys.

    `errors` are in order of arrival. `blocked` has the beats
    that cannot be drawn, each with the number of the beat that it continues. `limited` are the
    tails of keys that got a 429, `drawn` the drawn beats, `warnings` each warning once,
    with its label. `misfits` are images that differ from the request, and how.
    """

    def __init__(self) -> None:
        self.start: Start | None = None
        self.errors: dict[BeatAddress, BeatError] = {}
        self.blocked: dict[BeatAddress, str] = {}
        self.limited: dict[str, None] = {}
        self.drawn: set[BeatAddress] = set()
        self.warnings: dict[str, str] = {}
        self.misfits: dict[BeatAddress, str] = {}

    def handle(self, event: Event) -> None:
        """Handle an event."""
        match event:
            case Start():
                self.start = event
            case KeyChange() if event.state in _HELD_UP:
                self.limited[event.key] = None
            case Progress(status=Status.ERROR) if event.error is not None:
                self.errors[event.address] = event.error
            case Progress(status=Status.BLOCKED):
                self.blocked[event.address] = event.blocked_by or ""
            case WarningEvent():
                self.warnings[event.message] = "note" if event.note else "warning"
            case Progress(status=Status.COMPLETE):
                self.drawn.add(event.address)
                if event.misfit is not None:
                    self.misfits[event.address] = event.misfit

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
