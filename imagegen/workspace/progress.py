"""Progress files: one for each style, written during a run and after edits.

A file is rewritten after each success while it is small, and later only as often as keeps
its bytes within a hundredth of the images'.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from imagegen import files
from imagegen.events.types import Progress
from imagegen.project import progress
from imagegen.project.beat_status import Status
from imagegen.project.layout import ProjectPaths
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.project.storyboard.hashing import words_hash
from imagegen.workspace.project import Project

_SMALL: Final = 16 * 1024


_SHARE: Final = 0.01


def rewrite(project: Project, wall: float) -> None:
    """Write a project's progress files as the disk has it, outside of a run.

    `wall` is the wall clock's time, in seconds. Raises `StorageError`.
    """
    drawn, errors = project.survey(wall).there, project.errors()
    for file in progress_writers(project.layout, project.beats, drawn, errors).values():
        file.write(wall)


class ProgressWriter:
    """One style's progress file, as a run or an edit changes what is drawn."""

    def __init__(
        self,
        layout: ProjectPaths,
        style: str,
        beats: Sequence[Beat],
        drawn: Mapping[BeatKey, str | None],
        errors: Mapping[BeatKey, BeatError],
    ) -> None:
        self._path = layout.progress(style)
        self._beats = beats
        self._drawn = set(drawn)
        self._words = {key: words for key, words in drawn.items() if words}
        self._errors = {
            key: e for key, e in errors.items() if key in self._words_of and key not in drawn
        }
        for key in self._errors:
            self._words[key] = words_hash(self._words_of[key])
        self._picture_bytes = 0
        self._written_bytes = 0
        self._size = 0
        self._dirty = True

    @cached_property
    def _words_of(self) -> dict[BeatKey, str]:
        """Each beat's prompt; not needed by a run that draws nothing of a large storyboard."""
        return {beat.key: beat.words for beat in self._beats}

    def record(self, event: Progress) -> None:
        """Record that a beat was drawn or failed."""
        key = event.address.key
        if event.status is Status.ERROR and event.error is not None:
            self._errors[key] = event.error
            self._words[key] = words_hash(self._words_of[key])
            self._dirty = True
        elif event.status is Status.COMPLETE:
            self._errors.pop(key, None)
            self._drawn.add(key)
            self._words[key] = words_hash(self._words_of[key])
            self._picture_bytes += event.bytes or 0
            self._dirty = True

    def flush_if_cheap(self, wall: float) -> None:
        """Write the file if it is stale and writing it is cheap."""
        allowed = self._picture_bytes * _SHARE
        cheap = self._size < _SMALL or self._written_bytes + self._size <= allowed
        if self._dirty and cheap:
            self.write(wall)

    def flush(self, wall: float) -> None:
        """Write the file if it is stale."""
        if self._dirty:
            self.write(wall)

    def write(self, wall: float) -> None:
        """Write the file. Raises `StorageError`."""
        data = progress.render(self._beats, self._drawn, self._errors, self._words, wall)
        files.write(self._path, data)
        self._dirty = False
        self._size = len(data)
        if self._size >= _SMALL:
            self._written_bytes += self._size


def progress_writers(
    layout: ProjectPaths,
    beats: Mapping[str, Sequence[Beat]],
    drawn: Mapping[str, Mapping[BeatKey, str | None]],
    errors: Mapping[str, Mapping[BeatKey, BeatError]],
) -> dict[str, ProgressWriter]:
    """Return the writer of each style's progress file; no new file for a style without beats.

    `drawn` are beats that have their image, with the hash of its prompt if that is known.
    """
    return {
        style: ProgressWriter(
            layout, style, style_beats, drawn.get(style, {}), errors.get(style, {})
        )
        for style, style_beats in beats.items()
        if style_beats or layout.progress(style).exists()
    }
