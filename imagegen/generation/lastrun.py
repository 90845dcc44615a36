"""What the last run of a project tells those that come after it."""

from pathlib import Path

import msgspec

from imagegen import providers
from imagegen.errors import UsageError
from imagegen.project import progress, record
from imagegen.project.layout import Layout
from imagegen.project.record import Asked, RunRecord
from imagegen.shell import on_project


def to_resume(root: Path) -> RunRecord | None:
    """Return the run to carry on, or None where pictures or progress tell of one.

    Raises `UsageError` where nothing tells that a run ever began.
    """
    layout = Layout(root)
    last = record.read(layout)
    if last is None and not layout.pictures.is_dir() and not any(root.glob(progress.PATTERN)):
        raise UsageError(
            f"{layout.name} has no run to resume", hint=f"begin with: {on_project('run', root)}"
        )
    beats_file = last.asked.beats_file if last else None
    if beats_file and Path(beats_file).is_absolute():
        # The record may be somebody else's: it must not choose what of yours is read.
        raise UsageError(
            "the last run read its beats from outside the project",
            hint=f"name them again: {on_project('run', root, '--beats', beats_file)}",
        )
    return last


def as_last_drawn(root: Path, asked: Asked) -> Asked:
    """Return what is asked with the last run's provider, model and continuity.

    For looking at pictures: else all that a run with `--provider` drew would be outdated as soon
    as it is looked at. What is asked for wins; provider and model belong together.
    """
    last = record.read(Layout(root))
    if last is None or last.drawer.provider not in {None, *providers.NAMES}:
        # The record may be somebody else's.
        return asked
    by = last.drawer
    if asked.continuity is None:
        asked = msgspec.structs.replace(asked, continuity=by.continuity)
    if asked.provider is None and asked.model is None:
        asked = msgspec.structs.replace(asked, provider=by.provider, model=by.model)
    return asked
