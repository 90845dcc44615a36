"""The content of a `step.json`, which may come from another user."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from imagegen import encoding, files
from imagegen.errors import StorageError
from imagegen.project.record import RunId
from imagegen.project.steps.folders import STEP, FolderName
from imagegen.project.steps.paths import Place, ancestors

_MAX_BYTES: Final = 256 * 1024 * 1024


class Move(msgspec.Struct, frozen=True, gc=False):
    """A file that changes its place; both are `Place`s."""

    source: Place
    target: Place


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `old_images/{time}/step.json`.

    `moves` includes replaced files. `settled` is the caller's: what undo has to restore
    in addition to files. `undone` says that the step was undone, `takes_back` names the folder of
    the step that this one undoes, and `run` the run that replaced the images here.
    """

    schema: Literal[1] = 1
    kind: Annotated[str, msgspec.Meta(max_length=64)]
    state: Literal["begun", "staged", "done"]
    moves: tuple[Move, ...] = ()
    settled: dict[str, Any] = msgspec.field(default_factory=dict)
    undone: bool = False
    takes_back: FolderName | None = None
    run: RunId | None = None


class _Head(msgspec.Struct, frozen=True):
    """The head of a step, which shows whether the rest, which may be long, has to be read."""

    kind: str
    state: str
    undone: bool = False


_steps: Final = msgspec.json.Decoder(Step)
_heads: Final = msgspec.json.Decoder(_Head)


def write_step(folder: Path, step: Step) -> None:
    """Write a folder's step down. Raises `StorageError`."""
    data = encoding.to_json(step) + b"\n"
    if len(data) > _MAX_BYTES - 1024:
        raise StorageError(f"{folder / STEP} would be too large: too many files move at once")
    files.write(folder / STEP, data)


def read_step(folder: Path) -> Step | None:
    """Return a folder's step, if it has a valid one."""
    return _validate(_read(folder))


def read_unfinished(folder: Path) -> Step | None:
    """Return a folder's step if a crash interrupted it, or if it is being performed now."""
    data = _read(folder)
    head = _head(data)
    if head is None or head.state == "done" or head.kind == "run":
        return None
    return _validate(data)


def read_undoable(folder: Path) -> Step | None:
    """Return a folder's step, but None for one that was taken back, and for an undo."""
    data = _read(folder)
    head = _head(data)
    if head is None or head.undone or head.kind == "undo":
        return None
    return _validate(data)


def reject_duplicates(moves: Iterable[Move]) -> None:
    """Raise ValueError if two files would go to one place, or one file to two."""
    sources: set[str] = set()
    targets: set[str] = set()
    for move in moves:
        if move.source in sources or move.target in targets:
            raise ValueError(f"moved twice: {move.source!r} or {move.target!r}")
        sources.add(move.source)
        targets.add(move.target)
    conflicts = targets & ancestors(targets)
    if conflicts:
        raise ValueError(f"a file and a folder at once: {conflicts.pop()!r}")


def _read(folder: Path) -> bytes | None:
    return files.read(folder / STEP, _MAX_BYTES)


def _validate(data: bytes | None) -> Step | None:
    """Return the step that is written here, if it is one that can be followed."""
    try:
        step = _steps.decode(data or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    try:
        reject_duplicates(step.moves)
    except ValueError:
        return None
    return step


def _head(data: bytes | None) -> _Head | None:
    try:
        return _heads.decode(data or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
