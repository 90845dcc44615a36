"""Takes back the last step that moved or replaced images, and says what steps keep for that."""

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from imagegen.errors import ImagegenError, UsageError
from imagegen.project import overrides, record, steps
from imagegen.project.layout import ProjectPaths
from imagegen.project.overrides import Override
from imagegen.project.record import DrawRequest
from imagegen.project.selections import copies, file, moves
from imagegen.project.selections.moves import UndoData
from imagegen.project.steps import Step
from imagegen.project.storyboard import BeatAddress
from imagegen.times import iso
from imagegen.workspace import progress as progress_files
from imagegen.workspace.reading import read_project
from imagegen.workspace.undo_data import OVERRIDES, SELECTIONS


def undo(layout: ProjectPaths, wall: float) -> tuple[Step, Step] | None:
    """Undo the last step that moved or replaced images, if any.

    Returns it, and the step that undid it.

    Raises `RunActiveError`, `UsageError` and `StorageError`.
    """
    if not layout.archive_dir.is_dir() and not layout.state_dir.is_dir():
        return None
    with record.project_lock(layout), overrides.locked(layout), copies.locked_selections(layout):
        steps.recover(layout)
        _refuse_unreadable(layout)
        last = steps.last(layout)
        if last is None:
            return None
        before = _overrides_before(last[1].settled)
        contents = {overrides.FILE: overrides.render(layout.root, before)} if before else {}
        contents |= _choices_before(layout, last[1].settled)
        undone = steps.undo(layout, wall, contents=contents)
        _end(layout, last[1], wall)
        # Errors of the project's files are no reason to keep what was undone.
        with contextlib.suppress(ImagegenError):
            project = read_project(layout.root, DrawRequest())
            progress_files.rewrite(project, wall)
            if SELECTIONS in last[1].settled:
                # What was chosen since may have lost its copy to the one that came back.
                copies.sync(layout, project.beat_index)
    return undone


def _refuse_unreadable(layout: ProjectPaths) -> None:
    """Raise `UsageError` if the last step cannot be read: never undo an earlier one instead."""
    unreadable = steps.unreadable(layout)
    if unreadable is not None:
        raise UsageError(
            f"{unreadable} cannot be understood: it is torn, or of a newer version",
            hint="move its folder out of old_images to take back the step before it",
        )


def _end(layout: ProjectPaths, step: Step, wall: float) -> None:
    """Prevent resuming a run after its images were undone."""
    last = record.read(layout)
    if last is None:
        return
    if last.suspended_run is not None and step.run == last.suspended_run.run:
        record.write(layout, msgspec.structs.replace(last, suspended_run=None))
    if step.run == last.run and last.is_resumable:
        ended = last.ended or iso(wall)
        record.write(
            layout, msgspec.structs.replace(last, ended=ended, exit_code=0, reason="undone")
        )


def _overrides_before(settled: Mapping[str, Any]) -> dict[BeatAddress, Override | None]:
    """Read what overrides.toml said before a step; the file may come from another user."""
    try:
        before = msgspec.convert(settled.get(OVERRIDES, {}), dict[str, Override | None])
    except msgspec.ValidationError:
        return {}
    addresses = {name: name.split("/") for name in before}
    return {BeatAddress(*a): before[name] for name, a in addresses.items() if len(a) == len("abc")}


def _choices_before(layout: ProjectPaths, settled: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the file of choices as it was before a step, with what was chosen since."""
    if SELECTIONS not in settled:
        return {}
    try:
        choices = msgspec.convert(settled[SELECTIONS], UndoData)
    except msgspec.ValidationError:
        # The step may come from another user.
        return {}
    back = moves.restore(file.read(layout.root), choices)
    # Without any choice the file goes as it came.
    return {file.FILE: file.encode(back)} if back else {}
