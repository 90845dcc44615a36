"""Images that were paid for and that the project's disk refused: kept elsewhere meanwhile.

They are files like a project's own, and say in their metadata what they were drawn from. The next
run finds them as it finds images in `old_images/`, by their inputs.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from imagegen import files
from imagegen.errors import StorageError
from imagegen.paths import state_folder
from imagegen.project.layout import ProjectPaths

_FOLDER: Final = "rescued"
_MODE: Final = 0o700


def keep(layout: ProjectPaths, parts: Iterable[bytes | memoryview]) -> Path | None:
    """Write an image of a project outside of it; returns its folder, or None if nothing takes it.

    The user's state folder comes first, then the system's folder for temporary files.
    """
    for folder in _folders(layout):
        try:
            _make_own(folder)
            files.write_parts(folder / f"{os.urandom(8).hex()}.png", parts, mode=0o600)
        except (StorageError, OSError):
            continue
        return folder
    return None


def images(layout: ProjectPaths) -> Iterator[Path]:
    """Yield the images of a project that are kept elsewhere. Raises `StorageError`."""
    for folder in _folders(layout):
        try:
            if not _is_own(folder):
                continue
            names = sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".png")
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            # Nothing could be kept there.
            continue
        except OSError as error:
            raise files.unreadable(error, folder) from error
        yield from (folder / name for name in names)


def _folders(layout: ProjectPaths) -> Iterator[Path]:
    """Yield where images of a project may be kept, by the path of its folder."""
    name = hashlib.sha256(os.fsencode(layout.root)).hexdigest()[:16]
    yield state_folder() / _FOLDER / name
    user = os.getuid() if hasattr(os, "getuid") else "user"
    yield Path(tempfile.gettempdir()) / f"imagegen-{user}" / _FOLDER / name


def _make_own(folder: Path) -> None:
    """Make a folder, and those around it that are ours, for the user alone."""
    ours = [folder, *folder.parents][: len((_FOLDER, "name", "imagegen"))]
    for folder_above in reversed(ours):
        if not folder_above.is_dir():
            folder_above.mkdir(_MODE, parents=True, exist_ok=True)
    if not _is_own(folder):
        raise PermissionError(f"{folder} is another user's")


def _is_own(folder: Path) -> bool:
    """Return whether a folder and the two around it are the user's: others write in /tmp too."""
    for folder_above in [folder, *folder.parents][:3]:
        status = folder_above.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return False
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            return False
    return True
