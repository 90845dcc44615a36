"""Detects image types by their first bytes, and converts images to PNG."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from imagegen.images import integrity, png

if TYPE_CHECKING:
    from PIL.Image import Image

_LARGE: Final = 20_000_000
"""Pixels beyond which images are converted one at a time: a few kilobytes may unpack to
half a gigabyte, and every thread of a run may be sent such an answer at once."""
_one_large_at_a_time: Final = threading.Lock()
_TOO_MANY: Final = f"{{}} pixels are too many: {png.MAX_PIXELS // 10**6} million at most"
_HEAD: Final = 256
_READ: Final = ("GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "PSD", "SGI", "QOI")
"""Formats of Pillow that are read, in addition to JPEG and WebP. Not those that any bytes may look
like (TGA), nor those that start other programs (EPS)."""
_UNREADABLE: Final = (
    (b"<svg", "SVG"),
    (b"<?xml", "SVG"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\x1aE\xdf\xa3", "WebM"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
)
_WHITE, _WHITE_16 = 255, 65_535
"""The lightest value of a channel of 8 and of 16 bits."""
_VAGUE: Final = frozenset({"application/octet-stream", "binary/octet-stream", "text/plain"})
_FAST: Final = 1
"""zlib level for images that come as JPEG or WebP: three times as fast as the default."""


class Format(StrEnum):
    """An image's real type, by its first bytes."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    HEIC = "image/heic"


class NotAPictureError(Exception):
    """The bytes are no whole image of a known type; the message says why."""


class UnreadableTypeError(NotAPictureError):
    """The bytes are of a known type that cannot be read, as SVG; further ones will be too."""


def format_of(data: bytes) -> Format | None:
    """Detect an image's type by its first bytes, or return None."""
    if data.startswith(png.SIGNATURE):
        return Format.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp" and data[8:12] in {b"heic", b"heix", b"mif1", b"heif"}:
        return Format.HEIC
    return None


def as_png(data: bytes, claimed: str = "") -> bytes:
    """Return a whole PNG of the same pixels: the bytes themselves if they are one.

    Takes every type of raster image that Pillow reads: JPEG, WebP, GIF, BMP, TIFF, AVIF and
    others; of an animated one the first frame. A PNG is checked to its last pixel. `claimed`
    is the media type that a service gave to bytes that are of no known type. Raises
    `NotAPictureError` for what is torn, damaged or too large, `UnreadableTypeError` for what is
    of a type that cannot be read.
    """
    kind = format_of(data)
    if kind is Format.PNG:
        if png.read_info(io.BytesIO(data)) is None:
            raise NotAPictureError(pixel_limit_error(data) or "the PNG is not whole")
        damaged = integrity.damage(data)
        if damaged is not None:
            raise NotAPictureError(f"the PNG is damaged: {damaged}")
    else:
        data = _convert(data, claimed)
    # An image that `read_info` rejects would be redrawn again and again.
    if len(data) > png.MAX_BYTES - png.MAX_METADATA_BYTES:
        raise NotAPictureError(f"the image has {len(data) // 1024**2} MB as PNG")
    return data


def pixel_limit_error(data: bytes) -> str | None:
    """Say of a PNG that it has more pixels than any image may have; None if it has not."""
    size = png.size_of(data)
    if size is None or size[0] * size[1] <= png.MAX_PIXELS:
        return None
    return _TOO_MANY.format(f"{size[0]} x {size[1]}")


@contextlib.contextmanager
def unpacking(width: int, height: int) -> Iterator[None]:
    """Wait, with a large image, until no other large one is in memory. Sizes in pixels."""
    with _one_large_at_a_time if width * height > _LARGE else contextlib.nullcontext():
        yield


def _convert(data: bytes, claimed: str) -> bytes:
    name = _unreadable(data, claimed)
    if name is not None:
        raise UnreadableTypeError(f"a file of the type {name}, which imagegen cannot read")
    # Pixels in smaller blocks stay with the thread that had them: 12 threads kept 2.2 GB.
    os.environ.setdefault("PILLOW_BLOCK_SIZE", "64m")
    import PIL.Image  # noqa: PLC0415  # slow to import

    # It warns of odd metadata, which is not needed. Not `catch_warnings`: threads share that.
    warnings.filterwarnings("ignore", module="PIL")
    kind = format_of(data)
    names = [kind.name] if kind is not None else []
    try:
        if not names:
            PIL.Image.init()
            names = [name for name in _READ if name in PIL.Image.OPEN]
        with PIL.Image.open(io.BytesIO(data), formats=names) as image:
            return _encode(image)
    except (NotAPictureError, MemoryError):
        raise
    except PIL.UnidentifiedImageError as error:
        raise NotAPictureError("not an image of a known type") from error
    except PIL.Image.DecompressionBombError as error:
        raise NotAPictureError(_TOO_MANY.format("its")) from error
    except Exception as error:
        # Its parsers raise any exception on hostile bytes.
        name = kind.name if kind is not None else "image"
        raise NotAPictureError(f"the {name} cannot be read: {error}") from error


def _unreadable(data: bytes, claimed: str) -> str | None:
    """Return the name of the type of bytes that nothing here reads; None if it may be read."""
    if format_of(data) is Format.HEIC:
        return "HEIC"
    beginning = data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, name in _UNREADABLE:
        if beginning.startswith(signature):
            return name
    if data[4:8] == b"ftyp" and data[8:12] not in {b"avif", b"avis"}:
        return "MP4"
    # A type of which not even the beginning is known here, if that is what the service says.
    other = claimed and not claimed.startswith("image/") and claimed not in _VAGUE
    return claimed if other or claimed in {"image/jxl", "image/svg+xml"} else None


def _encode(image: "Image") -> bytes:
    if image.width * image.height > png.MAX_PIXELS:
        raise NotAPictureError(_TOO_MANY.format(f"{image.width} x {image.height}"))
    with unpacking(image.width, image.height):
        return _reencode(image)


def _reencode(image: "Image") -> bytes:
    # The first frame of an animated one.
    image.seek(0)
    image.load()
    _turn_upright(image)
    profile = image.info.get("icc_profile")
    if image.mode not in {"L", "RGB", "RGBA"}:
        # The profile speaks of the colours before, as of the four inks of a CMYK.
        image, profile = _in_usual_colours(image), None
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=_FAST, icc_profile=profile)
    return out.getvalue()


def _in_usual_colours(image: "Image") -> "Image":
    """Return an image in 8 bits of grey, or of red, green and blue; transparency stays."""
    if image.mode in {"LA", "La", "PA", "RGBa"} or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode[0] in "IF":
        # By itself the conversion cuts every value off at 255: all would be white.
        scale = _WHITE / _lightest(image)
        return image.convert("F").point(lambda value: value * scale).convert("L")
    return image.convert("RGB")


def _lightest(image: "Image") -> float:
    """Return which value is white in an image of more than 8 bits a pixel."""
    high = image.getextrema()[1]
    highest = high if isinstance(high, int | float) else 0
    if image.mode == "F":
        return 1.0 if highest <= 1 else max(highest, _WHITE)
    return _WHITE_16 if image.mode.startswith("I;16") or highest > _WHITE else _WHITE


def _turn_upright(image: "Image") -> None:
    """Turn a photograph as its camera was held, for nothing but its pixels is kept."""
    import PIL.ImageOps  # noqa: PLC0415  # slow to import

    # Metadata that cannot be read costs no image; its parser may raise any exception.
    with contextlib.suppress(Exception):
        PIL.ImageOps.exif_transpose(image, in_place=True)
