"""Small images for the page: made once of each image, and kept in `.imagegen/thumbnails`."""

import hashlib
from pathlib import Path
from typing import Final

from imagegen import files
from imagegen.errors import StorageError
from imagegen.images.formats import NotAPictureError
from imagegen.images.thumbnails import thumbnail
from imagegen.project.layout import ProjectPaths, reject_symlink

WIDTH: Final = 480
"""Pixels: a third of a wide window, and sharp on a phone."""

_FOLDER: Final = "thumbnails"
_MAX_BYTES: Final = 1024 * 1024


def cached(layout: ProjectPaths, picture: Path, version: str) -> bytes | None:
    """Return the thumbnail that was made of an image, or None.

    `version` distinguishes its content from others at the same path. Raises
    `UsageError` where the folder is a symbolic link.
    """
    return files.read_cached(_place(layout, picture, version), _MAX_BYTES)


def create(layout: ProjectPaths, picture: Path, version: str) -> bytes | None:
    """Make an image's thumbnail, a JPEG of at most `WIDTH` pixels, and keep it.

    Returns None for what is no image. Raises as `kept` does.
    """
    try:
        data = thumbnail(picture, WIDTH)
    except NotAPictureError:
        # Damaged or foreign: the next run moves it to old_images/.
        return None
    _keep(layout, _place(layout, picture, version), data)
    return data


def _place(layout: ProjectPaths, picture: Path, version: str) -> Path:
    folder = layout.state_dir / _FOLDER
    reject_symlink(folder)
    name = hashlib.blake2s(layout.relative(picture).encode(), digest_size=12).hexdigest()
    reject_symlink(folder / name[:2])
    return folder / name[:2] / f"{name}-{version}-{WIDTH}.jpg"


def _keep(layout: ProjectPaths, place: Path, data: bytes) -> None:
    try:
        layout.prepare()
        files.make_folder(place.parent)
        # Of one image the older ones go: they share the first part of the name.
        for older in place.parent.glob(f"{place.name.partition('-')[0]}-*"):
            older.unlink(missing_ok=True)
        files.write(place, data)
    except (StorageError, OSError):
        # The disk is full: it is made again on each request.
        return
