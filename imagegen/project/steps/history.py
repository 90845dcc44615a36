"""The steps of the past, runs among them, and taking the last of them back."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import files
from imagegen.images import png
from imagegen.project.layout import OLD, PICTURES, ProjectPaths
from imagegen.project.steps.folders import NEW, STEP, newest_first
from imagegen.project.steps.paths import is_place
from imagegen.project.steps.perform import execute, recover
from imagegen.project.steps.step import Move, Step, read_step, read_undoable, write_step

_style: Final = re.compile(r"[^_.].*")
_shot: Final = re.compile(r"Shot_.+")
_beat: Final = re.compile(r"Beat_(?!.* \([0-9]+\)\.png).+\.png")
"""What was kept under a name that was taken has a number in brackets."""


def record_run(folder: Path, run: str, settled: Mapping[str, Any] | None = None) -> None:
    """Mark a folder in `old_images` as that of a run that is about to replace images.

    `settled` is what undo has to restore in addition to images. Raises `StorageError`.
    """
    files.make_folder(folder)
    write_step(folder, Step(kind="run", state="done", run=run, settled=dict(settled or {})))


def last(layout: ProjectPaths) -> tuple[Path, Step] | None:
    """Return the newest step that can be undone, and its folder, if any.

    Of a run, the moves are those that brought the whole images in its folder there.
    """
    for folder in newest_first(layout):
        step = _to_take_back(folder)
        if step is not None and (step.moves or step.settled):
            return folder, step
    return None


def unreadable(layout: ProjectPaths) -> Path | None:
    """Return a step.json that is newer than the last step and cannot be read, or None."""
    for folder in newest_first(layout):
        if files.exists(folder / STEP) and read_step(folder) is None:
            return folder / STEP
        if _to_take_back(folder) is not None:
            return None
    return None


def undo(
    layout: ProjectPaths, wall: float, *, contents: Mapping[str, bytes] | None = None
) -> tuple[Step, Step] | None:
    """Undo the last step in a step of its own, if any.

    Returns the step that was undone, and the one that did it, which has its `settled`.
    Files in the way are kept. `contents` are small files, by their path, that get
    these bytes instead of their old file. `wall` is in seconds. Call it with the
    run's lock held. Raises as `perform` does.
    """
    recover(layout)
    last_step = last(layout)
    if last_step is None:
        return None
    folder, step = last_step
    contents = contents or {}
    new = f"{layout.relative(folder)}/{NEW}/"
    back = [
        Move(move.target, move.source)
        for move in step.moves
        if move.source not in contents and move.target not in contents
    ]
    undoing = Step(kind="undo", state="begun", settled=step.settled, takes_back=folder.name)
    done = execute(
        layout,
        undoing,
        [move for move in back if not move.target.startswith(new)],
        wall=wall,
        away=[move.source for move in back if move.target.startswith(new)],
        contents=contents,
    )
    return msgspec.structs.replace(step, undone=True), done


def _to_take_back(folder: Path) -> Step | None:
    """Return the step of a folder, but None for what cannot or must not be taken back."""
    if not files.exists(folder / STEP):
        return Step(kind="run", state="done", moves=tuple(_replaced_moves(folder)))
    step = read_undoable(folder)
    if step is None or step.kind != "run":
        return step
    return msgspec.structs.replace(step, moves=tuple(_replaced_moves(folder)))


def _replaced_moves(folder: Path) -> Iterator[Move]:
    """Yield the moves that a run made of images into its folder."""
    for style in _folders_in(str(folder), _style):
        for shot in _folders_in(style, _shot):
            for path in _pictures_in(shot):
                place = Path(path).relative_to(folder).as_posix()
                move = Move(f"{PICTURES}/{place}", f"{OLD}/{folder.name}/{place}")
                if is_place(move.source) and is_place(move.target):
                    yield move


def _folders_in(folder: str, name: re.Pattern[str]) -> list[str]:
    with _readable(folder), os.scandir(folder) as entries:
        folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        return sorted(entry.path for entry in folders if name.fullmatch(entry.name))
    return []


def _pictures_in(folder: str) -> list[str]:
    with _readable(folder), os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        paths = sorted(entry.path for entry in files if _beat.fullmatch(entry.name))
        return [path for path in paths if _is_whole(path)]
    return []


def _is_whole(path: str) -> bool:
    with _readable(path):
        descriptor = os.open(path, os.O_RDONLY | files.READ_FLAGS)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            return png.read_info(file) is not None
    return False


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    """Pass over what is not there, and raise `StorageError` for what cannot be read.

    An undo that takes that for missing would take back less than the step.
    """
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        raise files.unreadable(error, path) from error
