"""PNG files: whether one is whole, and what it was drawn from.

Facts from the PNG specification (third edition, W3C 2025): sections 5.2 to 5.6 and 11.2 for
the structure, 11.3.3.1 for the keywords and the format of a time, 11.3.3.2 for `tEXt`,
11.3.3.4 for `iTXt`.
"""

import io
import re
import struct
import time
import zlib
from collections.abc import Iterator
from typing import Final, Literal, Protocol

import msgspec

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_PIXELS: Final = 100_000_000
_PLAIN: Final = b"\0\0\0\0\0"
"""The bytes between keyword and text in an `iTXt` that is not compressed, in no language."""
_OURS: Final = b"imagegen" + _PLAIN
_SOFTWARE: Final = b"Software"
_DESCRIPTION: Final = b"Description"
_CREATED: Final = b"Creation Time"
_TEXT_KINDS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_LONGEST_KEYWORD: Final = 79
_LATIN: Final = re.compile("[\n -~\xa0-\xff]*")
"""What `tEXt` has a meaning for: printable Latin-1, and a line feed as the end of a line."""
_MAX_TEXT: Final = 64 * 1024
"""Bytes of a chunk's body beyond which none of ours is read, nor a text written."""
MAX_METADATA_BYTES: Final = 4 * _MAX_TEXT
"""Bytes that saving an image may add: its provenance and three texts."""
_MAX_CHUNKS: Final = 100_000
"""Encoders write chunks of 8 KiB and more; empty ones would keep the walk busy for minutes."""
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_IHDR_END: Final = 8 + 8 + 13 + 4
_HEAD: Final = struct.Struct(">4sI4s")


class Stream(Protocol):
    """What a PNG is read from."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""
        ...

    def read(self, size: int, /) -> bytes | None:
        """Read up to `size` bytes."""
        ...


class Hash(
    msgspec.Struct,
    frozen=True,
    gc=False,
    # The names that are on disk.
    rename={"origin": "by"},
):
    """A hash of an input that an image was drawn from, and its origin."""

    sha256: str
    origin: Literal["user", "default"] = "user"


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The inputs of an image, as recorded in its PNG.

    `words` are the row's own; `look` and `references` are absent where there were none.
    `thinking` is the level that was asked for, None if that was left to the model.
    `run` names the run that drew it; a resumed run keeps the name of the first. `id` is the
    row's own where it has one. `chosen` names which of provider, model, aspect_ratio and
    image_size were the user's choice; those that it leaves out were defaults. `continues` is
    the `Whole.content` of the image before it that was sent along, `scaled` means that a
    reference was larger than the service takes and was sent smaller.
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
    thinking: str | None = None
    run: str = ""
    id: str | None = None
    chosen: tuple[str, ...] = ()
    continues: int | None = None
    scaled: bool = False


class TextFields(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What image tools show of an image: its Software, Description and Creation Time.

    `description` is the beat's words, `created` the wall clock's time in seconds; either is
    left out where it is None. Of each text a PNG holds what `truncate_text` returns.
    """

    software: str
    description: str | None
    created: float | None


class PngInfo(msgspec.Struct, frozen=True, gc=False):
    """A whole PNG, its size in pixels, and what it says of itself.

    `content` identifies the pixels of an image, independent of its metadata: a checksum
    of the checksums that its critical chunks bear.
    """

    width: int
    height: int
    provenance: Provenance | None = None
    pixel_checksum: int = 0


def read_info(stream: Stream) -> PngInfo | None:
    """Walk a PNG's chunks from IHDR to IEND; None if it is torn or no PNG.

    Reads the chunks' heads only: the pixels are not looked at.
    """
    header = _at(stream, 0, _IHDR_END)
    size = _dimensions(header)
    if size is None:
        return None
    provenance, pixels, content, critical = None, False, 0, True
    for kind, at, length, sum_before in _chunks(stream):
        if critical:
            content = zlib.crc32(sum_before, content)
        if kind == b"IEND":
            whole = length == 0 and len(_at(stream, at, 4)) == 4
            return PngInfo(*size, provenance, content) if whole and pixels else None
        if kind == b"iTXt" and provenance is None and length <= _MAX_TEXT:
            provenance = _provenance(_at(stream, at, length))
        pixels = pixels or kind == b"IDAT"
        critical = kind[:1].isupper()
    return None


def description(stream: Stream) -> str | None:
    """Return the Description of a PNG of ours; None if there is none, or it is not ours.

    Reads the chunks before the pixels. Whether the PNG is whole is for `read_info` to say.
    """
    if _dimensions(_at(stream, 0, _IHDR_END)) is None:
        return None
    ours, text = False, None
    for kind, at, length, _ in _chunks(stream):
        if kind == b"IDAT":
            return text if ours else None
        if kind not in _TEXT_KINDS or length > _MAX_TEXT:
            continue
        body = _at(stream, at, length)
        ours = ours or (kind == b"iTXt" and _provenance(body) is not None)
        text = _description(kind, body) if text is None else text
    return None


def truncate_text(text: str) -> str:
    """Return what of a text a PNG of ours can hold: no NUL, no half of a surrogate pair.

    Of a text that is longer than 64 KiB as UTF-8, the beginning.
    """
    longest = _MAX_TEXT - _LONGEST_KEYWORD - len(_PLAIN)
    return text.replace("\0", "").encode("utf-8", "ignore")[:longest].decode("utf-8", "ignore")


def add_metadata(
    png: bytes, provenance: Provenance, texts: TextFields | None = None
) -> tuple[bytes, memoryview]:
    """Return the PNG with what it says of itself, right after IHDR, in two parts.

    The second are the bytes that came, pixels and all: they are not copied. Texts under the
    same keywords that came with them stay, behind ours.
    """
    return png[:_IHDR_END] + _metadata(provenance, texts), memoryview(png)[_IHDR_END:]


def replace_metadata(
    png: bytes, provenance: Provenance, texts: TextFields
) -> tuple[bytes, memoryview]:
    """Return a whole PNG that says this of itself and not what it said before, in two parts.

    What it said in our chunk and under the keywords of `TextFields`, before the pixels, is left
    out. Every other byte stays; those from the pixels on are not copied.
    """
    chunks, end = [], _IHDR_END
    for kind, at, length, _ in _chunks(io.BytesIO(png)):
        if kind in {b"IDAT", b"IEND"}:
            break
        end = at + length + 4
        if not _is_replaced(kind, png[at : at + min(length, _LONGEST_KEYWORD + len(_PLAIN))]):
            chunks.append(png[at - 8 : end])
    head = png[:_IHDR_END] + _metadata(provenance, texts) + b"".join(chunks)
    return head, memoryview(png)[end:]


def _at(stream: Stream, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size) or b""


def _chunks(stream: Stream) -> Iterator[tuple[bytes, int, int, bytes]]:
    """Yield each chunk after IHDR: its kind, and its body's place and length in bytes.

    The checksum that the chunk before it bears comes with it. Ends after IEND, or where the
    PNG is torn or beyond its bounds.
    """
    # Images have hundreds of chunks, projects many thousands of images.
    seek, read, unpack = stream.seek, stream.read, _HEAD.unpack
    offset = _IHDR_END
    for _ in range(_MAX_CHUNKS):
        seek(offset - 4)
        head = read(12)
        if head is None or len(head) < 12:
            return
        sum_before, length, kind = unpack(head)
        yield kind, offset + 8, length, sum_before
        offset += 12 + length
        if kind == b"IEND" or length > MAX_BYTES or offset > MAX_BYTES:
            return


def _dimensions(header: bytes) -> tuple[int, int] | None:
    size = size_of(header)
    return size if size is not None and size[0] * size[1] <= MAX_PIXELS else None


def size_of(header: bytes) -> tuple[int, int] | None:
    """Return the width and height in a PNG's first bytes, even if it is too large.

    None if they are no PNG's.
    """
    if len(header) < _IHDR_END or not header.startswith(SIGNATURE):
        return None
    length, kind, width, height, depth, colour, compression, filters, interlace = struct.unpack(
        ">I4sIIBBBBB", header[8:29]
    )
    if (length, kind, compression, filters) != (13, b"IHDR", 0, 0) or interlace > 1:
        return None
    if depth not in _DEPTHS.get(colour, ()) or not width * height:
        return None
    return width, height


def _provenance(body: bytes) -> Provenance | None:
    if not body.startswith(_OURS):
        return None
    try:
        return msgspec.json.decode(body[len(_OURS) :], type=Provenance)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _description(kind: bytes, body: bytes) -> str | None:
    """Return the text of a chunk, if it is a Description as `_field` writes it."""
    latin = kind == b"tEXt"
    prefix = _DESCRIPTION + (b"\0" if latin else _PLAIN)
    if kind == b"zTXt" or not body.startswith(prefix):
        return None
    try:
        text = body[len(prefix) :].decode("latin-1" if latin else "utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _is_replaced(kind: bytes, beginning: bytes) -> bool:
    """Return whether restamping an image replaces this chunk."""
    if kind == b"iTXt" and beginning.startswith(_OURS):
        return True
    keyword = beginning.partition(b"\0")[0]
    return kind in _TEXT_KINDS and keyword in {_SOFTWARE, _DESCRIPTION, _CREATED}


def _metadata(provenance: Provenance, texts: TextFields | None) -> bytes:
    """Return the chunks in which an image says this of itself."""
    chunks = [_chunk(b"iTXt", _OURS + msgspec.json.encode(provenance))]
    if texts is not None:
        chunks.append(_field(_SOFTWARE, texts.software))
        if texts.description is not None:
            chunks.append(_field(_DESCRIPTION, texts.description))
        if texts.created is not None:
            chunks.append(_field(_CREATED, _rfc3339(texts.created)))
    return b"".join(chunks)


def _field(keyword: bytes, text: str) -> bytes:
    text = truncate_text(text)
    if _LATIN.fullmatch(text):
        return _chunk(b"tEXt", keyword + b"\0" + text.encode("latin-1"))
    return _chunk(b"iTXt", keyword + _PLAIN + text.encode())


def _rfc3339(wall: float) -> str:
    # The third edition prefers this to the older standard's RFC 1123; image tools show it as
    # it is.
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
