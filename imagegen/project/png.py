"""PNG files: whether one is whole, and what it was drawn from.

Facts from the PNG specification (third edition, W3C 2025): sections 5.2 to 5.6 and 11.2 for
the structure, 11.3.3.4 for `iTXt`.
"""

import io
import os
import struct
import threading
import warnings
import zlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_PIXELS: Final = 100_000_000
_KEYWORD: Final = b"imagegen"
_MAX_PROVENANCE: Final = 64 * 1024
_MAX_CHUNKS: Final = 100_000
"""Encoders write chunks of 8 KiB and more; empty ones would keep the walk busy for minutes."""
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_IHDR_END: Final = 8 + 8 + 13 + 4
_LARGE: Final = 20_000_000
"""Pixels beyond which pictures are converted one at a time: a few kilobytes may unpack to
half a gigabyte, and every thread of a run may be sent such an answer at once."""
_one_large_at_a_time: Final = threading.Lock()
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


class Stream(Protocol):
    """What a PNG is read from."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""
        ...

    def read(self, size: int, /) -> bytes | None:
        """Read up to so many bytes."""
        ...


class Hash(msgspec.Struct, frozen=True, gc=False):
    """A hash of something that a picture was drawn from, and whose choice that was."""

    sha256: str
    by: Literal["user", "default"] = "user"


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a picture was drawn from, as its PNG tells.

    `words` are the row's own; `look` and `references` are absent where there were none.
    `run` names the run that drew it; a resumed run keeps the name of the first.
    """

    schema: int = 1
    style: str
    shot: str
    beat: str
    provider: str
    model: str
    aspect_ratio: str
    image_size: str
    words: Hash
    look: Hash | None = None
    references: Hash | None = None
    run: str = ""


class Whole(msgspec.Struct, frozen=True, gc=False):
    """A whole PNG, its size in pixels, and what it says of itself."""

    width: int
    height: int
    provenance: Provenance | None = None


def format_of(data: bytes) -> Format | None:
    """Tell a picture's type by its first bytes, or None."""
    if data.startswith(SIGNATURE):
        return Format.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp" and data[8:12] in {b"heic", b"heix", b"mif1", b"heif"}:
        return Format.HEIC
    return None


def examine(stream: Stream) -> Whole | None:
    """Walk a PNG's chunks from IHDR to IEND; None where it is torn or no PNG.

    Reads the chunks' heads only: the pixels are not looked at.
    """
    header = _at(stream, 0, _IHDR_END)
    size = _dimensions(header)
    if size is None:
        return None
    provenance, pixels, offset = None, False, _IHDR_END
    for _ in range(_MAX_CHUNKS):
        head = _at(stream, offset, 8)
        if len(head) < 8:
            return None
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            whole = length == 0 and len(_at(stream, offset + 8, 4)) == 4
            return Whole(*size, provenance) if whole and pixels else None
        if kind == b"iTXt" and provenance is None and length <= _MAX_PROVENANCE:
            provenance = _provenance(_at(stream, offset + 8, length))
        pixels = pixels or kind == b"IDAT"
        offset += 12 + length
        if length > MAX_BYTES or offset > MAX_BYTES:
            return None
    return None


def with_provenance(png: bytes, provenance: Provenance) -> tuple[bytes, memoryview]:
    """Return the PNG with one more chunk, right after IHDR, in two parts.

    The second are the bytes that came, pixels and all: they are not copied.
    """
    text = msgspec.json.encode(provenance)
    body = b"iTXt" + _KEYWORD + b"\0\0\0\0\0" + text
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_IHDR_END] + chunk, memoryview(png)[_IHDR_END:]


def as_png(data: bytes) -> bytes:
    """Return a whole PNG of the same pixels: the bytes themselves if they are one.

    Raises `NotAPictureError` for what is torn, too large or of another type than PNG, JPEG
    or WebP.
    """
    kind = format_of(data)
    if kind is Format.PNG:
        if examine(io.BytesIO(data)) is None:
            raise NotAPictureError("the PNG is not whole")
    elif kind in {Format.JPEG, Format.WEBP}:
        data = _converted(data, kind)
    else:
        raise NotAPictureError("neither PNG, JPEG nor WebP")
    # What `examine` would not take back with its provenance would be drawn again and again.
    if len(data) > MAX_BYTES - _MAX_PROVENANCE:
        raise NotAPictureError(f"the picture has {len(data) // 1024**2} MB as PNG")
    return data


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
    except Exception as error:
        # Its parsers raise whatever they come across in hostile bytes.
        raise NotAPictureError(f"the {name} cannot be read: {error}") from error


def _encoded(image: "Image") -> bytes:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are too many")
    if image.width * image.height > _LARGE:
        with _one_large_at_a_time:
            return _reencoded(image)
    return _reencoded(image)


def _reencoded(image: "Image") -> bytes:
    image.load()
    profile = image.info.get("icc_profile")
    if image.mode not in {"L", "RGB", "RGBA"}:
        # The profile speaks of the colours before, as of the four inks of a CMYK.
        image, profile = image.convert("RGB"), None
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=_FAST, icc_profile=profile)
    return out.getvalue()


def _at(stream: Stream, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size) or b""


def _dimensions(header: bytes) -> tuple[int, int] | None:
    if len(header) < _IHDR_END or not header.startswith(SIGNATURE):
        return None
    length, kind, width, height, depth, colour, compression, filters, interlace = struct.unpack(
        ">I4sIIBBBBB", header[8:29]
    )
    if (length, kind, compression, filters) != (13, b"IHDR", 0, 0) or interlace > 1:
        return None
    if depth not in _DEPTHS.get(colour, ()) or not 0 < width * height <= MAX_PIXELS:
        return None
    return width, height


def _provenance(chunk: bytes) -> Provenance | None:
    prefix = _KEYWORD + b"\0\0\0\0\0"
    if not chunk.startswith(prefix):
        return None
    try:
        return msgspec.json.decode(chunk[len(prefix) :], type=Provenance)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
