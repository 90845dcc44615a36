"""The run's log for people: one line per event, with its time.

The journal has the same for programs.
"""

import contextlib
import os
from io import FileIO
from pathlib import Path
from typing import Final, TextIO

from imagegen import files
from imagegen.display.text import github_escape
from imagegen.display.text.sanitize import sanitize
from imagegen.events.types import (
    Complete,
    Event,
    Forecast,
    KeyChange,
    Progress,
    Start,
    Waiting,
    WarningEvent,
)
from imagegen.project.layout import ensure_own_log
from imagegen.secret import redact

LARGEST: Final = 4 * 1024 * 1024
"""Bytes after which a log is rotated; one older log is kept."""


class RunLog:
    """A listener that writes a line for each event to a file, and to `echo` if there is one.

    A log that is too large is renamed to `run.log.1`. Raises `StorageError` if
    it cannot be written.
    """

    def __init__(self, path: Path, echo: TextIO | None = None, *, largest: int = LARGEST) -> None:
        self._path = path
        self._echo = echo
        self._largest = largest
        self._file = _open(path)
        self._size = os.fstat(self._file.fileno()).st_size

    def handle(self, event: Event) -> None:
        """Write the event."""
        line = f"{event.time}  {redact(describe(event))}\n"
        if self._echo is not None:
            try:
                self._echo.write(github_escape.harmless(line) if github_escape.running() else line)
                self._echo.flush()
            except (OSError, ValueError):
                # The reader is gone; the file is still written.
                self._echo = None
        data = line.encode("utf-8", "backslashreplace")
        if self._size + len(data) > self._largest:
            self._rotate()
        try:
            rest = memoryview(data)
            while rest:
                # An almost full disk accepts a part and refuses the next.
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise files.storage_error(error, self._path) from error
        self._size += len(data)

    def tick(self) -> None:
        """Do nothing: each line is written at once."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        # Windows renames no file that is open.
        self._file.close()
        with contextlib.suppress(OSError):
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = _open(self._path)
        self._size = 0


def describe(event: Event) -> str:
    """Return an event as one line without control sequences."""
    label, *parts = _parts(event)
    return "  ".join([f"{label:<10}", *(sanitize(part, 600) for part in parts if part)])


def _parts(event: Event) -> list[str]:
    match event:
        case Start():
            left = sum(style.pending for style in event.styles.values())
            existing = sum(style.skipped for style in event.styles.values())
            settings = f"{event.provider} {event.model} {event.image_size} {event.aspect_ratio}"
            resumes = f"resumes {event.resumes}" if event.resumes else ""
            shard = f"shard {event.shard}" if event.shard else ""
            drawn = f"{left} to draw, {existing} exist"
            return ["start", f"run {event.run}", shard, drawn, settings, resumes]
        case Progress():
            return _progress(event)
        case Waiting():
            scope = event.style or "all styles"
            return ["wait", scope, event.reason, _span(event.seconds), event.message]
        case KeyChange():
            key = f"{event.key} {event.state}"
            return ["key", event.style, key, _span(event.seconds), event.message]
        case Forecast():
            cost = f"about ${event.cost_in_all:.2f} in all" if event.cost_in_all else ""
            return ["forecast", f"{_span(event.seconds) or 'unknown'} left", cost]
        case WarningEvent():
            return ["note" if event.note else "warning", event.message]
        case Complete():
            return _complete(event)
    return [type(event).__name__.lower()]


def _progress(event: Progress) -> list[str]:
    error = event.error
    return [
        event.status.value,
        str(event.address),
        f"attempt {event.attempt}" if event.attempt else "",
        f"key {event.key}" if event.key else "",
        f"{event.seconds:.1f} s" if event.seconds is not None else "",
        f"{event.bytes} bytes" if event.bytes is not None else "",
        f"${event.cost:.3f}" if event.cost else "",
        f"{error.cause}, {error.reason}: {error.message}" if error is not None else "",
    ]


def _complete(event: Complete) -> list[str]:
    return [
        "end",
        f"exit {event.exit_code}, {event.reason}",
        f"{event.seconds:.0f} s",
        f"{event.requests} requests, {event.limited} times 429",
        f"about ${event.cost:.2f}" if event.cost else "",
        *event.messages,
    ]


def _span(seconds: float | None) -> str:
    return f"{seconds:.0f} s" if seconds is not None else ""


def _open(path: Path) -> FileIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | files.READ_FLAGS
    try:
        ensure_own_log(path)
        return FileIO(os.open(path, flags, 0o600), "ab")
    except OSError as error:
        raise files.storage_error(error, path) from error
