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
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class UnreadableError(ValueError):
    """A file cannot be read; the message says why, to be read after the file's name."""


def read_text(path: Path, *, within: Sequence[Path] = ()) -> str:
    """Return a regular file's text; see `read` and `as_text`. Raises UnreadableError."""
    return as_text(read(path, within=within))


def read(path: Path, *, within: Sequence[Path] = ()) -> bytes:
    """Return a regular file's bytes.

    Where `within` names folders, a file that lies in none of them once its symbolic links
    are followed is refused. Raises UnreadableError.
    """
    return _read(resolved(path, within=within))


def as_text(data: bytes) -> str:
    """Decode UTF-8 with or without a byte order mark. Raises UnreadableError."""
    if data.startswith(_UTF16):
        raise UnreadableError("is UTF-16: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark that it skipped.
        mark = len(MARK) if data.startswith(MARK) else 0
        raise UnreadableError(
            f"is not UTF-8 (at byte {error.start + mark}): save it as UTF-8"
        ) from None


def require_text(data: bytes) -> None:
    """Raise UnreadableError for bytes that `as_text` would refuse, without making a text."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _PIECE):
            decoder.decode(data[start : start + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        as_text(data)


def resolved(path: Path, *, within: Sequence[Path] = ()) -> Path:
    """Follow a path's symbolic links, and refuse it where they lead out of `within`.

    Raises UnreadableError, also where nothing lies at the path.
    """
    try:
        real = path.resolve(strict=True)
        roots = [folder.resolve() for folder in within]
    except FileNotFoundError:
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
