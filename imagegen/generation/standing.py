"""Where a project stands: what `status` tells, as values."""

import contextlib
from collections import Counter
from collections.abc import Mapping

import msgspec

from imagegen.errors import Exit, StorageError
from imagegen.generation.project import Project
from imagegen.project import record
from imagegen.project.progress import BeatError
from imagegen.project.record import RunRecord
from imagegen.project.status import Status


class BeatStanding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One beat of a style. The path is relative to the project."""

    shot_number: str
    beat_number: str
    status: Status
    image_path: str | None = msgspec.field(default=None, name="imagePath")
    error: BeatError | None = None


class StyleStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One style: how many beats are of each status, and every beat in file order."""

    total: int
    complete: int
    error: int
    pending: int
    beats: tuple[BeatStanding, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A whole project. `resume_after` is set where the last run ended early.

    `price` is about what a picture costs, in US dollars; None where it is not known.
    """

    schema: int = 1
    project: str
    active: bool
    pid: int | None = None
    resume_after: str | None = None
    last_run: RunRecord | None = None
    price: float | None = None
    styles: Mapping[str, StyleStanding]

    @property
    def check(self) -> Exit:
        """The exit code that scripts ask for: 3 some pending, else 1 some in error, else 0."""
        if any(style.pending for style in self.styles.values()):
            return Exit.ENDED_EARLY
        if any(style.error for style in self.styles.values()):
            return Exit.BEATS_IN_ERROR
        return Exit.OK


def standing(project: Project, now: float) -> Standing:
    """Look at the disk and the last run's record. `now` is the wall clock's time."""
    errors = project.errors()
    styles = {}
    for style, surveyed in project.survey(now).beats.items():
        beats = []
        for one in surveyed:
            there, key = one.there, one.beat.key
            error = errors[style].get(key)
            status = Status.COMPLETE if there else Status.ERROR if error else Status.PENDING
            beats.append(
                BeatStanding(
                    shot_number=one.beat.shot,
                    beat_number=one.beat.beat,
                    status=status,
                    image_path=project.layout.shown_picture(style, *key) if there else None,
                    error=None if there else error,
                )
            )
        counts = Counter(beat.status for beat in beats)
        styles[style] = StyleStanding(
            total=len(beats),
            complete=counts[Status.COMPLETE],
            error=counts[Status.ERROR],
            pending=counts[Status.PENDING],
            beats=tuple(beats),
        )
    # In this order: a run records its end before it lets go of the project.
    active = record.is_active(project.layout)
    if not active and project.layout.ours.is_dir():
        # What was found out once need not be found out again; a disk that refuses is none
        # of status's business.
        with contextlib.suppress(StorageError):
            project.index.save()
    last = record.read(project.layout)
    return Standing(
        project=project.layout.name,
        active=active,
        # A run that only begins has not replaced the record of the one before.
        pid=last.pid if last and active and last.ended is None else None,
        resume_after=last.resume_after if last and not active else None,
        last_run=last,
        price=project.picture_price(),
        styles=styles,
    )
