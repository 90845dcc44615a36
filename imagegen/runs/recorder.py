"""Writes what happens: the journal, and a progress file per style.

The image is the save; these files follow it. The journal has every event at once. A
progress file is rewritten after each success while it is small, and later only as often as
keeps its bytes within a hundredth of the images'; of successes that come faster than it
can be written, once for all.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from imagegen import encoding, files
from imagegen.clock import Clock
from imagegen.events.types import Complete, Event, Progress
from imagegen.project.layout import ProjectPaths
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.workspace.plan import Plan
from imagegen.workspace.progress import progress_writers
from imagegen.workspace.project import Project
from imagegen.workspace.survey import ImageState

_JOURNALS: Final = 5


class Recorder:
    """A listener that owns the journal and the progress files of one run.

    `beats` are all beats of the storyboard by style; `there` are those that have their
    image, with the hash of the prompt that it was drawn from if that is known.
    """

    def __init__(
        self,
        layout: ProjectPaths,
        run: str,
        *,
        beats: Mapping[str, Sequence[Beat]],
        drawn: Mapping[str, Mapping[BeatKey, str | None]],
        errors: Mapping[str, Mapping[BeatKey, BeatError]],
        clock: Clock,
    ) -> None:
        self._styles = progress_writers(layout, beats, drawn, errors)
        self._clock = clock
        self._path = layout.journal(run)
        self._journal = _open_journal(self._path)

    def handle(self, event: Event) -> None:
        """Write an event down. Raises `StorageError`."""
        try:
            line = memoryview(encoding.to_json(event) + b"\n")
            while line:
                # A disk that is nearly full takes a part and refuses the next.
                line = line[os.write(self._journal, line) :]
        except OSError as error:
            raise files.storage_error(error, self._path) from error
        if isinstance(event, Progress):
            self._styles[event.style].record(event)
        elif isinstance(event, Complete):
            for file in self._styles.values():
                file.flush(self._clock.wall())

    def write_all(self) -> None:
        """Rewrite every progress file. Raises `StorageError`."""
        for file in self._styles.values():
            file.write(self._clock.wall())

    def tick(self) -> None:
        """Rewrite the progress files that are behind: nothing else is to be heard now."""
        for file in self._styles.values():
            file.flush_if_cheap(self._clock.wall())

    def close(self) -> None:
        """Close the journal."""
        os.close(self._journal)


def start_recording(
    project: Project,
    run: str,
    plan: Plan,
    drawn: dict[str, dict[BeatKey, str | None]],
    clock: Clock,
) -> Recorder:
    """Return what records a run, with its progress files written. Raises `StorageError`.

    `drawn` are the images as the survey found them, `plan` is as it is after files were moved
    away.
    """
    for style, beats in plan.styles.items():
        for planned in beats:
            if planned.found is ImageState.NOTHING:
                drawn[style].pop(planned.beat.key, None)
    project.index.save()
    recorder = Recorder(
        project.layout,
        run,
        beats=project.beats,
        drawn=drawn,
        errors=project.errors(),
        clock=clock,
    )
    recorder.write_all()
    return recorder


def _open_journal(path: Path) -> int:
    """Make the journal of a run, and delete all but the newest few. Raises `StorageError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | files.OPEN_FLAGS
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise files.storage_error(error, path) from error
    others_by_age = sorted(other for other in path.parent.glob("*.jsonl") if other != path)
    for old in others_by_age[: 1 - _JOURNALS]:
        # On Windows one that is still being read stays until the next run.
        with contextlib.suppress(OSError):
            old.unlink()
    return descriptor
