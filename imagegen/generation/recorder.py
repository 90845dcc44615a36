"""Writes what happens: the journal, and a progress file per style.

The picture is the save; these files follow it. The journal has every event at once. A
progress file is rewritten after each success while it is small, and later only as often as
keeps its bytes within a hundredth of the pictures'; of successes that come faster than it
can be written, once for all.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from imagegen import encoding, files
from imagegen.generation.events import Complete, Event, Progress
from imagegen.generation.project import Project
from imagegen.keys.clock import Clock
from imagegen.project import progress
from imagegen.project.layout import Layout
from imagegen.project.progress import BeatError
from imagegen.project.status import Status
from imagegen.project.storyboard import Beat, Key
from imagegen.project.storyboard.hashing import words_hash

_SMALL: Final = 16 * 1024
_SHARE: Final = 0.01
_JOURNALS: Final = 5


class Recorder:
    """A listener that owns the journal and the progress files of one run.

    `beats` are all beats of the storyboard by style; `there` are those that have their
    picture, with the hash of the words that it was drawn from where that is known.
    """

    def __init__(
        self,
        layout: Layout,
        run: str,
        *,
        beats: Mapping[str, Sequence[Beat]],
        there: Mapping[str, Mapping[Key, str | None]],
        errors: Mapping[str, Mapping[Key, BeatError]],
        clock: Clock,
    ) -> None:
        self._styles = {
            style: _StyleFile(layout, style, own, there.get(style, {}), errors.get(style, {}))
            for style, own in beats.items()
            if own or layout.progress(style).exists()
        }
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
            raise files.refused(error, self._path) from error
        if isinstance(event, Progress):
            self._styles[event.style].note(event)
        elif isinstance(event, Complete):
            for file in self._styles.values():
                file.finish(self._clock.wall())

    def write_all(self) -> None:
        """Rewrite every progress file. Raises `StorageError`."""
        for file in self._styles.values():
            file.write(self._clock.wall())

    def tick(self) -> None:
        """Rewrite the progress files that are behind: nothing else is to be heard now."""
        for file in self._styles.values():
            file.catch_up(self._clock.wall())

    def close(self) -> None:
        """Close the journal."""
        os.close(self._journal)


def rewrite(project: Project, wall: float) -> None:
    """Write a project's progress files as the disk has it, outside of a run.

    `wall` is the wall clock's time, in seconds. Raises `StorageError`.
    """
    layout, there, errors = project.layout, project.survey(wall).there, project.errors()
    for style, own in project.beats.items():
        if own or layout.progress(style).exists():
            of_style = there.get(style, {}), errors.get(style, {})
            _StyleFile(layout, style, own, *of_style).write(wall)


class _StyleFile:
    def __init__(
        self,
        layout: Layout,
        style: str,
        beats: Sequence[Beat],
        there: Mapping[Key, str | None],
        errors: Mapping[Key, BeatError],
    ) -> None:
        self._path = layout.progress(style)
        self._beats = beats
        self._drawn = set(there)
        self._words = {key: words for key, words in there.items() if words}
        self._errors = {
            key: e for key, e in errors.items() if key in self._words_of and key not in there
        }
        for key in self._errors:
            self._words[key] = words_hash(self._words_of[key])
        self._picture_bytes = 0
        self._written_bytes = 0
        self._size = 0
        self._behind = True

    @cached_property
    def _words_of(self) -> dict[Key, str]:
        """Each beat's words; a run that draws nothing of a large storyboard needs none."""
        return {(beat.shot, beat.beat): beat.words for beat in self._beats}

    def note(self, event: Progress) -> None:
        key = (event.shot_number, event.beat_number)
        if event.status is Status.ERROR and event.error is not None:
            self._errors[key] = event.error
            self._words[key] = words_hash(self._words_of[key])
            self._behind = True
        elif event.status is Status.COMPLETE:
            self._errors.pop(key, None)
            self._drawn.add(key)
            self._words[key] = words_hash(self._words_of[key])
            self._picture_bytes += event.bytes or 0
            self._behind = True

    def catch_up(self, wall: float) -> None:
        allowed = self._picture_bytes * _SHARE
        cheap = self._size < _SMALL or self._written_bytes + self._size <= allowed
        if self._behind and cheap:
            self.write(wall)

    def finish(self, wall: float) -> None:
        if self._behind:
            self.write(wall)

    def write(self, wall: float) -> None:
        data = progress.render(self._beats, self._drawn, self._errors, self._words, wall)
        files.write(self._path, data)
        self._behind = False
        self._size = len(data)
        if self._size >= _SMALL:
            self._written_bytes += self._size


def _open_journal(path: Path) -> int:
    """Make the journal of a run, and delete all but the newest few. Raises `StorageError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | files.OPEN_FLAGS
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise files.refused(error, path) from error
    others = sorted(other for other in path.parent.glob("*.jsonl") if other != path)
    for old in others[: 1 - _JOURNALS]:
        # On Windows one that somebody still reads stays until the next run.
        with contextlib.suppress(OSError):
            old.unlink()
    return descriptor
