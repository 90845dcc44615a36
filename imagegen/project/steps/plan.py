"""Plan what a step moves, or refuse it before any file moves."""

import os
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from imagegen.errors import StorageError
from imagegen.project.layout import ProjectPaths
from imagegen.project.steps.paths import archive_path, is_place
from imagegen.project.steps.relocate import look, refuse_links
from imagegen.project.steps.step import Move, reject_duplicates


def plan_moves(
    layout: ProjectPaths, here: str, moves: list[Move], new: list[Move]
) -> tuple[Move, ...]:
    """Return the moves that are to be made, with those of what has to give way.

    `here` is the step's folder, `new` the moves of files that will be written there. Raises
    ValueError, `OSError`, `StorageError` and `UsageError`.
    """
    _refuse_foreign([*moves, *new])
    reject_duplicates([*moves, *new])
    refuse_links(layout, [*moves, *new])
    root = layout.root
    sources = {
        move.source: status.st_ino
        for move in moves
        if (status := look(f"{root}/{move.source}")) and stat.S_ISREG(status.st_mode)
    }
    spelled = {_fold(source): source for source in sources}
    planned, evicted = [], []
    for move in (*(move for move in moves if move.source in sources), *new):
        target = move.target
        status = look(f"{root}/{target}") if target not in sources else None
        if status is not None:
            _refuse_no_file(root / target, status)
            # A disk that folds case shows a source under the target's spelling.
            same = spelled.get(_fold(target), target)
            if same != target and status.st_ino and status.st_ino == sources[same]:
                target = same
            else:
                evicted.append(Move(target, archive_path(here, target)))
        if target != move.source:
            planned.append(Move(move.source, target))
    everything = (*planned, *evicted)
    reject_duplicates(everything)
    return everything


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _refuse_foreign(moves: Iterable[Move]) -> None:
    for move in moves:
        for path in (move.source, move.target):
            if not is_place(path):
                raise ValueError(f"no step may move from or to {path!r}")


def _refuse_no_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no file"
        raise StorageError(f"{path} is {kind}, and a file has to go there", hint="move it away")
