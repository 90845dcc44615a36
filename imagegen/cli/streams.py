"""Prepare stdout and stderr for any terminal, pipe or full disk."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagegen.display.text import charset

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    from imagegen import encoding

    sys.stdout.buffer.write(encoding.to_json(value))
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def configure_streams() -> None:
    """Make stdout and stderr accept any character; only stdout reports write errors.

    If stderr is on a full disk or its reader is gone, messages are lost and only the exit code
    remains.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Closed by the caller (`>&-`): discard what is written.
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until the end
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows a substitute, not a traceback.
            encoding = "ascii" if charset.wants_ascii() else None
            stream.reconfigure(encoding=encoding, errors=charset.ERRORS)
    stderr = sys.stderr
    if isinstance(stderr, io.TextIOWrapper):
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_IgnoreErrors(stderr)),
            encoding=stderr.encoding,
            errors=stderr.errors,
            line_buffering=True,
        )


def discard_stdout() -> None:
    """Discard what Python flushes at exit, after stdout failed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _IgnoreErrors(io.RawIOBase):
    """Writes to a stream without a buffer, and ignores its errors."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        # Without this reference the stream would close the file.
        self._stream = stream
        self._raw: Any = getattr(stream.buffer, "raw", stream.buffer)

    def write(self, data: "ReadableBuffer", /) -> int | None:
        try:
            written: int | None = self._raw.write(data)
        except OSError:
            return memoryview(data).nbytes
        return written

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
