"""What later commands need from the last run's record."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagegen.errors import UsageError
from imagegen.project import progress, record
from imagegen.project.layout import ProjectPaths
from imagegen.project.progress import BeatError
from imagegen.project.record import DrawRequest, RunRecord
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.project.storyboard.hashing import words_hash
from imagegen.shell import command, project_command
from imagegen.workspace.survey import inspect_image

_MOST_LOOKED_AT: Final = 20
_MOST_THOUGHTS: Final = 1_000_000.0
"""Tokens for one image; more in a record is not plausible."""


def find_resumable(root: Path) -> RunRecord | None:
    """Return the run to resume, or None if only images or progress show that one began.

    Raises `UsageError` if nothing shows that a run ever began.
    """
    layout = ProjectPaths(root)
    run_record = record.read(layout)
    last = run_record.resumable if run_record is not None else None
    if last is None and not layout.pictures.is_dir() and not any(root.glob(progress.PATTERN)):
        raise UsageError(
            f"{layout.name} has no run to resume",
            hint=f"begin with: {project_command('run', root)}",
        )
    beats_file = last.asked.beats_file if last else None
    if beats_file and Path(beats_file).is_absolute():
        # The record may come from another user: it must not choose which of your files are read.
        raise UsageError(
            "the last run read its beats from outside the project",
            hint=f"name them again: {project_command('run', root, '--beats', beats_file)}",
        )
    return last


def drawn_with(root: Path, last: RunRecord | None) -> str | None:
    """Return the model that `resume` goes on with if none is named: the one that drew the rest.

    As the record of the run says, or else an image that the default of its time has drawn.
    """
    if last is not None and last.model is not None:
        return last.model
    paths = itertools.islice(ProjectPaths(root).pictures.glob("*/*/*.png"), _MOST_LOOKED_AT)
    for path in paths:
        _, whole = inspect_image(path)
        drawn = whole.provenance if whole is not None else None
        if drawn is not None and "model" not in drawn.chosen:
            return drawn.model
    return None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the last run with a model measured of an image; None if unknown.

    `answer_seconds` is how long one took to come, `thought_tokens` how many tokens the model
    thought about it.
    """

    answer_seconds: float | None = None
    thought_tokens: float | None = None


def measured(last: RunRecord | None, model: str, timeout: float) -> Measured:
    """Return what the last run measured, if it drew with this model. `timeout` is in seconds."""
    if last is None or last.model != model:
        return Measured()
    # The record may come from another user.
    seconds, thoughts = last.answer_seconds, last.thought_tokens
    return Measured(
        answer_seconds=None if seconds is None else min(max(0.0, seconds), timeout),
        thought_tokens=None if thoughts is None else min(max(0.0, thoughts), _MOST_THOUGHTS),
    )


def suspended_by(
    before: RunRecord | None, request: DrawRequest, resumed: RunRecord | None
) -> RunRecord | None:
    """Return the run that is still to be resumed after this one.

    `before` is the last run, `resumed` the one that this one resumes. A run of named beats
    does not replace the run before; any other run does.
    """
    if before is None:
        return None
    if resumed is not None:
        return before.suspended_run if before.run == resumed.run else None
    earlier = before.resumable
    if not request.beats or not earlier.is_resumable:
        return None
    return msgspec.structs.replace(earlier, suspended_run=None)


def beats_file_hint(root: Path) -> str | None:
    """Return a hint on the last run's file, if a project has no beats."""
    last = record.read(ProjectPaths(root))
    beats_file = last.draw_settings.beats_file if last is not None else None
    if beats_file is None:
        return None
    read_from = (
        f"the last run read {beats_file}: name it with {command('--beats', str(root / beats_file))}"
    )
    return "; ".join(filter(None, (read_from, adopt_beats_hint(beats_file))))


def adopt_beats_hint(beats_file: str) -> str | None:
    """Return how to make a beats file the project's own; None if it is outside the project."""
    if Path(beats_file).is_absolute():
        return None
    return f"beats = {msgspec.json.encode(beats_file).decode()} in imagegen.toml keeps it"


def errors(layout: ProjectPaths, style: str, beats: Sequence[Beat]) -> dict[BeatKey, BeatError]:
    """Return the errors of a style's beats in the last run, from its progress file.

    An error belongs to the prompt that went wrong: an edited prompt has not been
    tried.
    """
    read = progress.read(layout.progress(style))
    if read is None or not read.errors:
        return {}
    now = {beat.key: words_hash(beat.words) for beat in beats}
    astray = {read.words[key]: e for key, e in read.errors.items() if key in read.words}
    errors_by_beat = {}
    for key, words in now.items():
        error = read.errors.get(key)
        if error is None or read.words.get(key, words) != words:
            error = astray.get(words)
        if error is not None:
            errors_by_beat[key] = error
    return errors_by_beat
