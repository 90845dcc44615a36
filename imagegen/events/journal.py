"""Following a run from outside, by the journal that it writes."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.events.bus import Listener
from imagegen.events.types import AnyEvent, Complete, Event
from imagegen.project import record
from imagegen.project.layout import ProjectPaths

LOOK: Final = 0.2
"""Seconds between two looks at the journal."""

_LOOK_FOR_RUN: Final = 1.0
_CHUNK: Final = 1024 * 1024
_LONGEST_LINE: Final = 16 * 1024 * 1024


class Journal:
    """Reads the events of a journal as they are written.

    The file may come from another user: it is not opened through a link, unknown lines are
    skipped, and a line without an end is given up. It is read `piece` bytes at a time, and
    with `last` only the last bytes.
    """

    def __init__(self, path: Path, piece: int = _CHUNK, *, last: int | None = None) -> None:
        self._path = path
        self._chunk = piece
        self._last = last
        self._descriptor: int | None = None
        self._buffer = b""
        self._decoder = msgspec.json.Decoder(AnyEvent)

    def events(self) -> Iterator[Event]:
        """Yield what was written since it was read last; nothing while there is no file.

        Only a few of very many events are in memory.
        """
        while (piece := self.read_chunk()) is not None:
            yield from piece

    def read_chunk(self) -> list[Event] | None:
        """Return the events of the next piece; None if there is no more for now."""
        if self._descriptor is None:
            self._descriptor = _open(self._path, self._last)
        chunk = os.read(self._descriptor, self._chunk) if self._descriptor is not None else b""
        if not chunk:
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        if len(self._buffer) > _LONGEST_LINE:
            self._buffer = b""
        return list(filter(None, map(self._event, lines)))

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _event(self, line: bytes) -> Event | None:
        try:
            event: Event = self._decoder.decode(line)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            # Of a later version, perhaps.
            return None
        return event


def follow(
    layout: ProjectPaths,
    run: str,
    listeners: Sequence[tuple[Listener, float | None]],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Complete | None:
    """Bring a run's events to listeners until it ends; returns how, or None if it broke off.

    Each listener comes with the idle seconds after which it acts. What has happened so far
    is brought first.
    """
    journal = Journal(layout.journal(run))
    heard_at = [now()] * len(listeners)
    looked = now()
    over = False
    try:
        while True:
            for event in journal.events():
                for nth, (listener, _) in enumerate(listeners):
                    listener.handle(event)
                    heard_at[nth] = now()
                if isinstance(event, Complete):
                    return event
            if over:
                return None
            for nth, (listener, tick) in enumerate(listeners):
                if tick is not None and now() - heard_at[nth] >= tick:
                    listener.tick()
                    heard_at[nth] = now()
            if now() - looked >= _LOOK_FOR_RUN:
                looked = now()
                # What it wrote before it died is read once more.
                over = not is_running(layout, run)
            sleep(LOOK)
    finally:
        journal.close()
        for listener, _ in listeners:
            listener.close()


def is_running(layout: ProjectPaths, run: str) -> bool:
    """Return whether this run works on the project, and not one that came after its death."""
    last = record.peek(layout)
    return record.is_active(layout) and (last is None or last.run == run)


def _open(path: Path, last: int | None) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | files.READ_FLAGS)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    if last is not None:
        # In the middle of a line, mostly, which is then no event.
        os.lseek(descriptor, max(0, status.st_size - last), os.SEEK_SET)
    return descriptor
