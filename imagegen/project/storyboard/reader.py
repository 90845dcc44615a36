"""The bytes of a beats file, however hostile the place they lie in."""

import codecs
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from imagegen import files

LARGEST = 256 * 1024 * 1024
"""Bytes of the largest beats file that is read."""

MARK = b"\xef\xbb\xbf"
"""The byte order mark that some editors put before UTF-8."""

_PIECE = 1024 * 1024
_WIDE = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_TRIED = 400
_MANY = 0.35
_AS_CSV = "save it as CSV UTF-8"
_KINDS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel file of an old kind", _AS_CSV),
    (b"%PDF", "a PDF", "save it as text"),
    (b"{\\rtf", "an RTF document", "save it as plain text"),
    (b"\x89PNG", "a PNG image", None),
    (b"\xff\xd8\xff", "a JPEG image", None),
    (b"\x1f\x8b", "packed with gzip", "unpack it"),
    (b"bplist", "a property list", "save it as plain text"),
)
_ZIPS = (
    (b"word/", "a Word document", "save it as plain text"),
    (b"ppt/", "a PowerPoint file", "save it as plain text"),
    (b"opendocument.spreadsheet", "a LibreOffice spreadsheet", _AS_CSV),
    (b"opendocument", "a LibreOffice document", "save it as plain text"),
    (b"Index/", "a Numbers document", "export it as CSV"),
)
_NOT_HERE = "is not on this machine: a cloud drive has a placeholder for it"
_DOWNLOAD = "download it, or make it available offline"
EXCEL = b"PK\x03\x04"
"""The bytes that an Excel file begins with, as any ZIP does."""


class UnreadableError(ValueError):
    """A file cannot be read; the message says why, to be read after the file's name."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def read(path: Path, *, within: Sequence[Path] = ()) -> bytes:
    """Return a regular file's bytes.

    If `within` names folders, a file that is in none of them once its symbolic links are
    followed is refused. Raises UnreadableError.
    """
    return _read(resolved(path, within=within))


def refuse_other_kinds(data: bytes) -> None:
    """Raise UnreadableError for a file that is not text, with what it is and what to do.

    A ZIP that may be an Excel file is not refused.
    """
    for head, kind, hint in _KINDS:
        if data.startswith(head):
            raise UnreadableError(f"is {kind}", hint=hint)
    if data.startswith(EXCEL):
        names = data[:4096] + data[-65536:]
        for part, kind, hint in _ZIPS:
            if part in names and b"xl/" not in names:
                raise UnreadableError(f"is {kind}", hint=hint)
    elif data[:1024].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise UnreadableError("is a web page", hint=_AS_CSV)


def as_text(data: bytes) -> tuple[str, list[str]]:
    """Decode a text, with or without a byte order mark, and say what was guessed.

    UTF-8 and UTF-16 are recognised; anything else is read as Windows-1252, which a note says.
    Raises UnreadableError for bytes that are no text.
    """
    encoding = next((name for mark, name in _WIDE if data.startswith(mark)), None)
    encoding = encoding or _wide_without_mark(data)
    if encoding is not None:
        try:
            return data.decode(encoding).removeprefix("\ufeff"), []
        except UnicodeDecodeError as error:
            at = f"at byte {error.start}"
            raise UnreadableError(
                f"is not whole {encoding.upper()} ({at})", hint="save it as UTF-8"
            ) from None
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark that it skipped.
        place = error.start + (len(MARK) if data.startswith(MARK) else 0)
    if b"\0" not in data and not data.startswith(MARK):
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            pass
        else:
            return text, [
                f"read as Windows-1252, since it is not UTF-8 (at byte {place}): check its accents"
            ]
    raise UnreadableError(f"is not UTF-8 (at byte {place}): save it as UTF-8")


def _wide_without_mark(data: bytes) -> str | None:
    """Return which UTF-16 a text without a byte order mark is: half of its bytes are NUL."""
    head = data[:_TRIED]
    half = len(head) // 2
    if half < 8 or len(data) % 2:
        return None
    if head[1::2].count(0) >= _MANY * half and not head[::2].count(0):
        return "utf-16-le"
    if head[::2].count(0) >= _MANY * half and not head[1::2].count(0):
        return "utf-16-be"
    return None


def require_text(data: bytes) -> None:
    """Raise UnreadableError for bytes that are not UTF-8, without making a text."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _PIECE):
            decoder.decode(data[start : start + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UnreadableError("is not UTF-8") from None


def resolved(path: Path, *, within: Sequence[Path] = ()) -> Path:
    """Follow a path's symbolic links, and refuse it if they lead out of `within`.

    Raises UnreadableError, also if there is nothing at the path.
    """
    try:
        real = path.resolve(strict=True)
        roots = [folder.resolve() for folder in within]
    except FileNotFoundError:
        if files.has_stub(path):
            raise UnreadableError(_NOT_HERE, hint=_DOWNLOAD) from None
        if path.is_symlink():
            raise UnreadableError("is a symbolic link to a file that is not there") from None
        raise UnreadableError("is not there") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise UnreadableError(f"cannot be opened: {_cause(error)}") from None
    if roots and not any(real.is_relative_to(root) for root in roots):
        raise UnreadableError("is a symbolic link that leads out of the project: copy the file in")
    return real


def _read(path: Path) -> bytes:
    try:
        # Windows cannot open a folder at all; elsewhere the check after opening is the one
        # that counts.
        _require_regular(path.stat())
        # Nor must what was just resolved have become a link.
        descriptor = os.open(path, os.O_RDONLY | files.READ_FLAGS)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            facts = os.fstat(descriptor)
            _require_regular(facts)
            data = file.read(facts.st_size + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {_cause(error)}") from None
    if not data.strip(b"\0") and files.is_hollow(facts):
        raise UnreadableError(_NOT_HERE, hint=_DOWNLOAD)
    if len(data) > facts.st_size:
        raise UnreadableError("is being written: try again when that is done")
    return data


def _require_regular(facts: os.stat_result) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise UnreadableError("is a folder, not a file")
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableError("is not a regular file")
    if facts.st_size > LARGEST:
        size = facts.st_size / 1024**2
        raise UnreadableError(f"is {size:,.0f} MiB large, {LARGEST // 1024**2} are read at most")


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
