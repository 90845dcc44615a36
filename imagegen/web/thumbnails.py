"""Small pictures for the page: made once from each picture, and kept in `.imagegen/thumbnails`."""

import hashlib
import io
import threading
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from imagegen import files
from imagegen.errors import StorageError
from imagegen.project import png
from imagegen.project.layout import Layout, refuse_link

WIDTH: Final = 480
"""Pixels: a third of a wide window, and sharp on a phone."""

_QUALITY: Final = 80
_FOLDER: Final = "thumbnails"
_MAX_BYTES: Final = 1024 * 1024
_SHARE: Final = 2
_at_work: Final = threading.BoundedSemaphore(_SHARE)
"""A picture is many times as large unpacked: only so many are at a time."""


def thumbnail(layout: Layout, picture: Path, version: str) -> bytes | None:
    """Return a picture as a WebP of `WIDTH` pixels; None where it is no picture.

    `version` tells its content from that of others that lay or will lie at its place.
    """
    folder = layout.ours / _FOLDER
    refuse_link(folder)
    # Of one picture the older ones go: they share the first part of the name.
    place = hashlib.blake2s(layout.relative(picture).encode(), digest_size=12).hexdigest()
    kept = folder / place[:2] / f"{place}-{version}-{WIDTH}.webp"
    data = files.read(kept, _MAX_BYTES)
    if data is not None:
        return data
    with _at_work:
        data = _made(picture)
    if data is not None:
        _keep(layout, kept, place, data)
    return data


def _made(picture: Path) -> bytes | None:
    data = files.read(picture, png.MAX_BYTES)
    if data is None or png.format_of(data) is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > png.MAX_PIXELS:
                return None
            image.draft("RGB", (WIDTH, WIDTH))
            small = image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # Torn: whoever draws next puts it aside.
        return None
    small.thumbnail((WIDTH, small.height), reducing_gap=2.0)
    made = io.BytesIO()
    small.save(made, "WEBP", quality=_QUALITY, method=2)
    return made.getvalue()


def _keep(layout: Layout, kept: Path, place: str, data: bytes) -> None:
    try:
        layout.prepare()
        refuse_link(kept.parent)
        files.make_folder(kept.parent)
        for older in kept.parent.glob(f"{place}-*"):
            older.unlink(missing_ok=True)
        files.write(kept, data)
    except (StorageError, OSError):
        # A disk that takes no more: it is made anew whenever it is looked at.
        return
