"""The folders in `old_images`: one for each step and each run, by name in their order."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

from imagegen import files
from imagegen.errors import StorageError
from imagegen.project.layout import ProjectPaths
from imagegen.times import path_timestamp

STEP: Final = "step.json"
"""The file in which a step says what it is."""
STAGED: Final = "_staged"
"""The folder of second names, within a step's own."""
NEW: Final = "_new"
"""The folder of small files that are about to get their place, within a step's own."""

_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z"
_NAME: Final = rf"\A({_TIME})(?:-([0-9]{{2,}}))?\Z"
_name: Final = re.compile(_NAME)
_number: Final = re.compile(r"0|[1-9][0-9]*")

FolderName = Annotated[str, msgspec.Meta(pattern=_NAME)]
"""The name of a folder in `old_images`: a time in UTC, and a number from the second on."""


def new_folder(layout: ProjectPaths, wall: float) -> Path:
    """Make a folder in `old_images` that sorts after all others. Raises `StorageError`.

    `wall` is in seconds. After a clock was set back, the newest folder's time is used on. One
    that stays empty is removed by the next `recover`.
    """
    folder = layout.archive_dir / free_name(layout, wall)
    files.make_folder(folder)
    return folder


def newest_first(layout: ProjectPaths) -> Iterator[Path]:
    """Return the folders in `old_images`, those of no step of ours left out.

    Raises `StorageError` if it cannot be read.
    """
    return (layout.archive_dir / name for _, _, name in sorted(_list_folders(layout), reverse=True))


def free_name(layout: ProjectPaths, wall: float) -> str:
    """Return the name of the folder that `new_folder` would make."""
    # By name alone does a step come after another, also if the clock was set back.
    time, number, _ = max([*_list_folders(layout), (path_timestamp(wall), 0, "")])
    number += 1
    while os.path.lexists(layout.archive_dir / _add_number(time, number)):
        number += 1
    return _add_number(time, number)


def remove_leftovers(folder: Path) -> None:
    """Remove what a crash before its `step.json` left of a step, which had moved nothing."""
    if files.exists(folder / STEP):
        return
    with contextlib.suppress(OSError, StorageError):
        files.remove_stale(folder)
        new = folder / NEW
        if new.is_dir() and not new.is_symlink():
            files.remove_stale(new)
            for number in numbers_in(str(new)):
                (new / str(number)).unlink()
            new.rmdir()
        # Not of a run that kept images here: then it is not empty.
        folder.rmdir()


def numbers_in(folder: str) -> dict[int, int]:
    """Return the files in a folder with numbers for names, in order, and their inodes."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        numbered = [entry for entry in entries if _number.fullmatch(entry.name)]
        whole = [entry for entry in numbered if entry.is_file(follow_symlinks=False)]
        return dict(sorted((int(entry.name), entry.inode()) for entry in whole))
    return {}


def _list_folders(layout: ProjectPaths) -> list[tuple[str, int, str]]:
    """Return time, number and name of each folder in `old_images`. Raises `StorageError`."""
    try:
        with os.scandir(layout.archive_dir) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.unreadable(error, layout.archive_dir) from error
    matches = filter(None, map(_name.search, names))
    return [(match[1], int(match[2] or 1), match[0]) for match in matches]


def _add_number(time: str, number: int) -> str:
    return time if number == 1 else f"{time}-{number:02}"
