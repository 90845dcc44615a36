"""The types of picture files: told by their first bytes, and made PNG."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from imagegen.project import integrity, png

if TYPE_CHECKING:
    from PIL.Image import Image

_LARGE: Final = 20_000_000
"""Pixels beyond which pictures are converted one at a time: a few kilobytes may unpack to
half a gigabyte, and every thread of a run may be sent such an answer at once."""
_one_large_at_a_time: Final = threading.Lock()
_TOO_MANY: Final = f"{{}} pixels are too many: {png.MAX_PIXELS // 10**6} million at most"
_FAST: Final = 1
"""zlib level for pictures that come as JPEG or WebP: three times as fast as the default."""


class Format(StrEnum):
    """A picture's real type, by its first bytes."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    HEIC = "image/heic"


class NotAPictureError(Exception):
    """The bytes are no whole picture of a known type; the message says why."""


def format_of(data: bytes) -> Format | None:
    """Tell a picture's type by its first bytes, or None."""
    if data.startswith(png.SIGNATURE):
        return Format.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp" and data[8:12] in {b"heic", b"heix", b"mif1", b"heif"}:
        return Format.HEIC
    return None


def as_png(data: bytes) -> bytes:
    """Return a whole PNG of the same pixels: the bytes themselves if they are one.

    A PNG is checked to its last pixel. Raises `NotAPictureError` for what is torn, damaged, too
    large or of another type than PNG, JPEG or WebP.
    """
    kind = format_of(data)
    if kind is Format.PNG:
        if png.examine(io.BytesIO(data)) is None:
            raise NotAPictureError(too_many(data) or "the PNG is not whole")
        damaged = integrity.damage(data)
        if damaged is not None:
            raise NotAPictureError(f"the PNG is damaged: {damaged}")
    elif kind in {Format.JPEG, Format.WEBP}:
        data = _converted(data, kind)
    else:
        raise NotAPictureError("neither PNG, JPEG nor WebP")
    # What `examine` would not take back with what it tells would be drawn again and again.
    if len(data) > png.MAX_BYTES - png.MAX_TOLD:
        raise NotAPictureError(f"the picture has {len(data) // 1024**2} MB as PNG")
    return data


def too_many(data: bytes) -> str | None:
    """Say of a PNG that it has more pixels than any picture may have; None where it has not."""
    size = png.size_of(data)
    if size is None or size[0] * size[1] <= png.MAX_PIXELS:
        return None
    return _TOO_MANY.format(f"{size[0]} x {size[1]}")


@contextlib.contextmanager
def unpacking(width: int, height: int) -> Iterator[None]:
    """Wait, with a large picture, until no other large one is in memory. Sizes in pixels."""
    with _one_large_at_a_time if width * height > _LARGE else contextlib.nullcontext():
        yield


def _converted(data: bytes, kind: Format) -> bytes:
    # Pixels in smaller blocks stay with the thread that had them: 12 threads kept 2.2 GB.
    os.environ.setdefault("PILLOW_BLOCK_SIZE", "64m")
    import PIL.Image  # noqa: PLC0415  # slow to import

    name = kind.name
    # It warns of odd metadata, which nobody needs. Not `catch_warnings`: threads share that.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=[name]) as image:
            return _encoded(image)
    except NotAPictureError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise NotAPictureError(_TOO_MANY.format("its")) from error
    except Exception as error:
        # Its parsers raise whatever they come across in hostile bytes.
        raise NotAPictureError(f"the {name} cannot be read: {error}") from error


def _encoded(image: "Image") -> bytes:
    if image.width * image.height > png.MAX_PIXELS:
        raise NotAPictureError(_TOO_MANY.format(f"{image.width} x {image.height}"))
    with unpacking(image.width, image.height):
        return _reencoded(image)


def _reencoded(image: "Image") -> bytes:
    image.load()
    _turn_upright(image)
    profile = image.info.get("icc_profile")
    if image.mode not in {"L", "RGB", "RGBA"}:
        # The profile speaks of the colours before, as of the four inks of a CMYK.
        image, profile = image.convert("RGB"), None
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=_FAST, icc_profile=profile)
    return out.getvalue()


def _turn_upright(image: "Image") -> None:
    """Turn a photograph as its camera was held, for nothing but its pixels is kept."""
    import PIL.ImageOps  # noqa: PLC0415  # slow to import

    # Metadata that cannot be read costs no picture; its parser raises whatever it comes across.
    with contextlib.suppress(Exception):
        PIL.ImageOps.exif_transpose(image, in_place=True)
