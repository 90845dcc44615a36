"""Perform a step, and finish one that a crash interrupted."""

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import files
from imagegen.errors import ImagegenError, StorageError
from imagegen.project.layout import OLD, ProjectPaths
from imagegen.project.steps.folders import (
    NEW,
    STEP,
    free_name,
    new_folder,
    newest_first,
    remove_leftovers,
)
from imagegen.project.steps.paths import archive_path
from imagegen.project.steps.plan import plan_moves
from imagegen.project.steps.relocate import Relocation
from imagegen.project.steps.step import Move, Step, read_step, read_unfinished, write_step

_RESERVED_KINDS: Final = frozenset({"run", "undo"})


def perform(
    layout: ProjectPaths,
    kind: str,
    moves: Iterable[Move] = (),
    *,
    wall: float,
    away: Iterable[str] = (),
    contents: Mapping[str, bytes] | None = None,
    settled: Mapping[str, Any] | None = None,
) -> Step:
    """Move files, all of them in one step, and return it as it was done.

    `away` are files that go into the step's folder; `contents` are small files, by their path,
    that get new bytes. An existing target that does not move goes into the step's folder.
    Sources that are missing, links or folders are left out. `wall` is in seconds. Call it with
    the run's lock held, and after `recover`.

    Raises ValueError for a path that no step may touch or that occurs twice. Raises
    `StorageError` if the disk refuses, and `UsageError` if a folder on the way is a symbolic
    link: then nothing has changed, or a later `recover` finishes the step.
    """
    if kind in _RESERVED_KINDS:
        raise ValueError(f"{kind} is not a kind of step")
    step = Step(kind=kind, state="begun", settled=dict(settled or {}))
    return execute(layout, step, moves, wall=wall, away=away, contents=contents or {})


def recover(layout: ProjectPaths) -> Step | None:
    """Finish the step that a crash interrupted, and return it, if any.

    Call it with the run's lock held. Raises `StorageError`, and `UsageError` if a folder on
    the way is a symbolic link.
    """
    folder = next(newest_first(layout), None)
    if folder is None:
        return None
    if not files.exists(folder / STEP):
        remove_leftovers(folder)
        return None
    step = read_unfinished(folder)
    return _finish(layout, folder, step) if step is not None else None


def unfinished(layout: ProjectPaths) -> bool:
    """Return whether a crash interrupted a step, or one is being performed now."""
    folder = next(newest_first(layout), None)
    return folder is not None and read_unfinished(folder) is not None


def execute(
    layout: ProjectPaths,
    step: Step,
    moves: Iterable[Move],
    *,
    wall: float,
    away: Iterable[str],
    contents: Mapping[str, bytes],
) -> Step:
    """Move files in this step, and return it as it was done. Raises as `perform` does."""
    # The newest step alone is looked at after a crash: none may be put on top of it.
    recover(layout)
    here = f"{OLD}/{free_name(layout, wall)}"
    # Numbers, so that what a crash leaves before there is a `step.json` can be recognized.
    new = [Move(f"{here}/{NEW}/{number}", path) for number, path in enumerate(contents)]
    put_away = [Move(path, archive_path(here, path)) for path in away]
    try:
        planned = plan_moves(layout, here, [*moves, *put_away], new)
    except OSError as error:
        raise _move_error(error, layout.archive_dir) from error
    step = msgspec.structs.replace(step, moves=planned)
    if not (step.moves or step.settled or step.takes_back):
        return msgspec.structs.replace(step, state="done")
    folder = new_folder(layout, wall)
    try:
        for move in new:
            files.make_folder(folder / NEW)
            files.write(layout.root / move.source, contents[move.target])
        write_step(folder, step)
    except ImagegenError:
        remove_leftovers(folder)
        raise
    return _finish(layout, folder, step)


def _finish(layout: ProjectPaths, folder: Path, step: Step) -> Step:
    """Do what is left of a step."""
    relocation = Relocation(layout, folder, step)
    try:
        if step.state == "begun":
            step = relocation.stage()
        relocation.place()
        relocation.remove_sources()
        if step.takes_back is not None:
            _mark_undone(layout.archive_dir / step.takes_back)
        files.remove_stale(folder)
        step = msgspec.structs.replace(step, state="done")
        write_step(folder, step)
    except OSError as error:
        raise _move_error(error, folder) from error
    return step


def _mark_undone(folder: Path) -> None:
    if not folder.is_dir() or folder.is_symlink():
        return
    files.remove_stale(folder)
    step = read_step(folder)
    if step is None and not files.exists(folder / STEP):
        step = Step(kind="run", state="done")
    if step is not None and not step.undone:
        write_step(folder, msgspec.structs.replace(step, undone=True))


def _move_error(error: OSError, folder: Path) -> StorageError:
    if error.errno == errno.EXDEV:
        return StorageError(
            f"{error.filename} cannot move in one step: {folder.parent} is on another disk",
            hint=f"let {OLD} be on the disk of the project",
        )
    return files.storage_error(error, folder)
