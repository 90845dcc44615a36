"""What is known of each picture file, so that it is opened once and not at every command.

The file is ours and safe to delete. An entry counts only while the file's size and time of
change are the same; a file changed within two seconds of being looked at is not entered,
since a second change could leave both as they were.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.project import png

_FILE: Final = "index"
_SCHEMA: Final = 1
_MAX_BYTES: Final = 512 * 1024 * 1024
_SETTLED: Final = 2.0


class _Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    size: int
    changed: int
    whole: png.Whole


class _File(msgspec.Struct):
    schema: int
    entries: dict[str, _Entry]


class Index:
    """The whole PNGs of a project by their path relative to it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._entries: dict[str, _Entry] = {}
        self._dirty = False
        data = files.read(self._path, _MAX_BYTES)
        if data is not None:
            try:
                file = msgspec.msgpack.decode(data, type=_File)
                self._entries = file.entries if file.schema == _SCHEMA else {}
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                self._dirty = True

    def find(self, path: str, found: os.stat_result) -> png.Whole | None:
        """Return what is known of a file, if it has not changed since."""
        entry = self._entries.get(path)
        if entry and (entry.size, entry.changed) == (found.st_size, found.st_mtime_ns):
            return entry.whole
        return None

    def add(self, path: str, found: os.stat_result, whole: png.Whole, now: float) -> None:
        """Remember a whole PNG. `now` is the wall clock's time, in seconds."""
        if now - found.st_mtime > _SETTLED:
            self._entries[path] = _Entry(found.st_size, found.st_mtime_ns, whole)
            self._dirty = True

    def save(self) -> None:
        """Write the index if it has changed. Raises `StorageError`."""
        if self._dirty:
            files.write(self._path, msgspec.msgpack.encode(_File(_SCHEMA, self._entries)))
            self._dirty = False
