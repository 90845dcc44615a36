"""Plans, events and runs that have ended, for tests of what is printed."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from imagegen.display.printer import Printer
from imagegen.display.reports.summary import RunSummary
from imagegen.display.text.sanitize import UNICODE, Glyphs
from imagegen.display.views.run_notes import RunNotes
from imagegen.events.types import BeatCounts, Complete, Event, Progress, Start
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import Beat
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState

STYLES = ("illustration", "clear", "consistent")
NOW = 1_795_341_600.0
"""A day in November 2026."""


def plan(
    count: int = 3,
    *,
    styles: tuple[str, ...] = STYLES,
    others: int = 0,
    found: ImageState = ImageState.NOTHING,
    draw: bool = True,
) -> Plan:
    """Return a plan of so many beats in each style, five beats a shot."""
    return Plan(
        styles={
            style: tuple(Planned(beat(style, n), found, draw=draw) for n in range(count))
            for style in styles
        },
        unselected_count=others,
    )


def beat(style: str, number: int, **fields: Any) -> Beat:
    """Return a beat numbered as 1.1, but for the fields that are given."""
    shot, place = divmod(number, 5)
    name = f"{shot + 1}.{place + 1}"
    defaults: dict[str, Any] = {
        "style": style,
        "shot": str(shot + 1),
        "beat": name,
        "written": name,
        "words": "words",
        "own_words": True,
    }
    return Beat(**(defaults | fields))


def start(**fields: Any) -> Start:
    """Return the beginning of a run that costs money, but for the fields that are given."""
    defaults: dict[str, Any] = {
        "project": "my-video",
        "provider": "gemini",
        "model": "flash",
        "image_size": "1K",
        "aspect_ratio": "16:9",
        "price": 0.067,
        "styles": {style: BeatCounts(total=3, pending=3) for style in STYLES},
    }
    return Start(**(defaults | fields))


def progress(status: Status, number: int = 0, *, style: str = "clear", **fields: Any) -> Progress:
    """Return news of one beat."""
    one = beat(style, number)
    defaults: dict[str, Any] = {"completed": 1, "total": 3}
    return Progress(
        style=style,
        shot_number=one.shot,
        beat_number=one.beat,
        status=status,
        **(defaults | fields),
    )


def failed(number: int = 0, *, style: str = "clear", **fields: str) -> Progress:
    """Return news of a beat in error."""
    defaults = {"cause": "refused", "reason": "SAFETY", "message": "I will not draw that."}
    return progress(Status.ERROR, number, style=style, error=BeatError(**(defaults | fields)))


def complete(**fields: Any) -> Complete:
    """Return the ending of a run that drew everything, but for the fields that are given."""
    defaults: dict[str, Any] = {
        "exit_code": 0,
        "reason": "complete",
        "counts": {style: BeatCounts(total=3, complete=3) for style in STYLES},
        "seconds": 190.0,
        "requests": 9,
        "answers": {"picture": 9},
        "cost": 0.6,
    }
    return Complete(**(defaults | fields))


def ended(
    how: Complete,
    *events: Event,
    drawn: Plan | None = None,
    path: str = "my-video",
    sources: Sequence[str] = (),
    limited: bool = False,
    vanished: bool = False,
) -> RunSummary:
    """Return a run that has ended so, after these events."""
    heard = RunNotes()
    for event in events or (start(),):
        heard.handle(event)
    return RunSummary(
        complete=how,
        plan=drawn or plan(),
        heard=heard,
        name="my-video",
        path=path,
        source_options=sources,
        limited=limited,
        view_cleared=vanished,
        now=NOW,
    )


class Printed:
    """A printer whose lines a test can read."""

    def __init__(self, glyphs: Glyphs = UNICODE, width: int = 100) -> None:
        self._out = io.StringIO()
        self.printer = Printer(Console(file=self._out, width=width, color_system=None), glyphs)

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self._out.getvalue()

    @property
    def lines(self) -> list[str]:
        """What was printed, line by line."""
        return self.text.splitlines()


def counts(**styles: Mapping[str, int]) -> dict[str, BeatCounts]:
    """Return totals, each style's from its numbers."""
    return {name: BeatCounts(total=sum(own.values()), **own) for name, own in styles.items()}
