"""What is known of each image file, so that it is opened once and not at every command.

The file is ours and safe to delete. An entry counts only while the file's size, time of change
and inode are the same: two images may change places. A file changed within two seconds of
being looked at is not entered, since a second change could leave all three as they were.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.images import png

_FILE: Final = "index"
_SCHEMA: Final = 3
_MAX_BYTES: Final = 512 * 1024 * 1024
_SETTLE_SECONDS: Final = 2.0


_NONE: Final = -1


class _Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A file, the image in it, and what it was drawn from: `origin` counts in the file's list."""

    size: int
    changed: int
    inode: int
    width: int
    height: int
    content: int
    origin: int = _NONE
    shot: str = ""
    beat: str = ""
    words: str = ""
    id: str | None = None
    continues: int | None = None


class _File(msgspec.Struct):
    """All entries; the inputs of 100,000 images differ only in number and prompt."""

    schema: int
    origins: list[png.Provenance]
    entries: dict[str, _Entry]


class Index:
    """The whole PNGs of a project by their path relative to it; without a folder in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / _FILE if folder is not None else None
        self._entries: dict[str, _Entry] = {}
        self._origins: dict[png.Provenance, int] = {}
        self._listed: list[png.Provenance] = []
        self._dirty = False
        data = files.read_cached(self._path, _MAX_BYTES) if self._path is not None else None
        if data is not None:
            try:
                file = msgspec.msgpack.decode(data, type=_File)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                self._dirty = True
            else:
                self._dirty = file.schema != _SCHEMA
                if not self._dirty:
                    self._entries, self._listed = file.entries, file.origins
                    self._origins = {origin: n for n, origin in enumerate(file.origins)}

    def find(self, path: str, file_stat: os.stat_result) -> png.PngInfo | None:
        """Return what is known of a file, if it has not changed since."""
        entry = self._entries.get(path)
        if (
            entry is None
            or entry.size != file_stat.st_size
            or entry.changed != file_stat.st_mtime_ns
            or entry.inode != file_stat.st_ino
        ):
            return None
        return self._whole(entry)

    def _whole(self, entry: _Entry) -> png.PngInfo | None:
        if entry.origin == _NONE:
            return png.PngInfo(entry.width, entry.height, None, entry.content)
        if not 0 <= entry.origin < len(self._listed):
            # The file may come from another user.
            return None
        origin = self._listed[entry.origin]
        # Copied and amended: four times as fast as making it field by field.
        drawn = msgspec.structs.replace(
            origin,
            shot=entry.shot,
            beat=entry.beat,
            words=png.Hash(entry.words, origin.words.origin),
            id=entry.id,
            continues=entry.continues,
        )
        return png.PngInfo(entry.width, entry.height, drawn, entry.content)

    def add(self, path: str, file_stat: os.stat_result, whole: png.PngInfo, now: float) -> None:
        """Remember a whole PNG. `now` is the wall clock's time, in seconds."""
        if now - file_stat.st_mtime > _SETTLE_SECONDS:
            drawn = whole.provenance
            provenance = () if drawn is None else self._pack(drawn)
            self._entries[path] = _Entry(
                *files.stat_signature(file_stat),
                whole.width,
                whole.height,
                whole.pixel_checksum,
                *provenance,
            )
            self._dirty = True

    def _pack(self, drawn: png.Provenance) -> tuple[int, str, str, str, str | None, int | None]:
        common = msgspec.structs.replace(
            drawn, shot="", beat="", words=png.Hash("", drawn.words.origin), id=None, continues=None
        )
        origin = self._origins.setdefault(common, len(self._listed))
        if origin == len(self._listed):
            self._listed.append(common)
        return origin, drawn.shot, drawn.beat, drawn.words.sha256, drawn.id, drawn.continues

    def move(self, paths: Mapping[str, str]) -> None:
        """Move the entries of files that get other paths."""
        entries = {now: self._entries.pop(before, None) for before, now in paths.items()}
        self._entries |= {now: entry for now, entry in entries.items() if entry is not None}
        self._dirty = True

    @property
    def has_changed(self) -> bool:
        """Whether it knows more than its file."""
        return self._dirty

    def save(self) -> None:
        """Write the index if it has changed. Raises `StorageError`."""
        if self._dirty and self._path is not None:
            files.write(
                self._path, msgspec.msgpack.encode(_File(_SCHEMA, self._listed, self._entries))
            )
            self._dirty = False
