"""Small pictures for the page: made once from each picture, and kept in `.imagegen/thumbnails`."""

import hashlib
import io
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


def kept(layout: Layout, picture: Path, version: str) -> bytes | None:
    """Return the thumbnail that was made of a picture, or None.

    `version` tells its content from that of others that lay or will lie at its place.
    """
    return files.read(_place(layout, picture, version), _MAX_BYTES)


def made(layout: Layout, picture: Path, version: str) -> bytes | None:
    """Make a picture's thumbnail, a WebP of `WIDTH` pixels, and keep it; None if it is none."""
    data = _made(picture)
    if data is not None:
        _keep(layout, _place(layout, picture, version), data)
    return data


def _place(layout: Layout, picture: Path, version: str) -> Path:
    folder = layout.ours / _FOLDER
    refuse_link(folder)
    name = hashlib.blake2s(layout.relative(picture).encode(), digest_size=12).hexdigest()
    return folder / name[:2] / f"{name}-{version}-{WIDTH}.webp"


def _made(picture: Path) -> bytes | None:
    data = files.read(picture, png.MAX_BYTES)
    if data is None or png.format_of(data) is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > png.MAX_PIXELS:
                return None
            # One of another mode is not made small before it is RGB: it would look rough.
            small = image if image.mode == "RGB" else image.convert("RGB")
            small.thumbnail((WIDTH, image.height), reducing_gap=2.0)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # Torn: whoever draws next puts it aside.
        return None
    written = io.BytesIO()
    small.save(written, "WEBP", quality=_QUALITY, method=2)
    return written.getvalue()


def _keep(layout: Layout, place: Path, data: bytes) -> None:
    try:
        layout.prepare()
        refuse_link(place.parent)
        files.make_folder(place.parent)
        # Of one picture the older ones go: they share the first part of the name.
        for older in place.parent.glob(f"{place.name.partition('-')[0]}-*"):
            older.unlink(missing_ok=True)
        files.write(place, data)
    except (StorageError, OSError):
        # A disk that takes no more: it is made anew whenever it is looked at.
        return
