"""What is on the disk for each beat of a storyboard."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from imagegen.errors import UsageError
from imagegen.project import png
from imagegen.project.index import Index
from imagegen.project.layout import Layout, refuse_link
from imagegen.project.storyboard import Beat

_HEAD: Final = 16


class Found(StrEnum):
    """What lies where a beat's picture belongs."""

    NOTHING = "nothing"
    WHOLE = "whole"
    """A whole PNG: the picture."""
    CONVERTIBLE = "convertible"
    """A JPEG or WebP under the PNG's name: the picture, once converted."""
    FOREIGN = "foreign"
    """Torn, or no picture: to be put aside and drawn."""


class Surveyed(msgspec.Struct, frozen=True, gc=False):
    """A beat and what lies at its place; `whole` is set for a whole PNG."""

    beat: Beat
    found: Found
    whole: png.Whole | None = None

    @property
    def provenance(self) -> png.Provenance | None:
        """What the picture says of its origin, if it says so."""
        return self.whole.provenance if self.whole else None

    @property
    def there(self) -> bool:
        """Whether the beat has its picture."""
        return self.found is Found.WHOLE or self.found is Found.CONVERTIBLE


def survey(
    layout: Layout, beats: Mapping[str, Sequence[Beat]], index: Index, now: float
) -> dict[str, list[Surveyed]]:
    """Look at every beat's picture; a file that the index knows is not opened.

    `now` is the wall clock's time in seconds. Raises `UsageError` where a folder of
    pictures is a symbolic link or cannot be read.
    """
    return {style: _Style(layout, style, index, now).look(own) for style, own in beats.items()}


class _Style:
    def __init__(self, layout: Layout, style: str, index: Index, now: float) -> None:
        self._folder = layout.style_folder(style)
        self._relative = layout.relative(self._folder)
        self._index = index
        self._now = now
        self._shots: dict[str, dict[str, os.DirEntry[str]]] = {}
        self._folded: dict[str, dict[str, os.DirEntry[str]]] = {}
        refuse_link(self._folder)

    def look(self, beats: Iterable[Beat]) -> list[Surveyed]:
        return [self._beat(beat) for beat in beats]

    def _beat(self, beat: Beat) -> Surveyed:
        shot, name = f"Shot_{beat.shot}", f"Beat_{beat.beat}.png"
        entry = self._entry(shot, unicodedata.normalize("NFC", name))
        if entry is None:
            return Surveyed(beat, Found.NOTHING)
        if not entry.is_file(follow_symlinks=False):
            return Surveyed(beat, Found.FOREIGN)
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # Moved away since the folder was read: a run may be active while `status` looks.
            return Surveyed(beat, Found.NOTHING)
        relative = f"{self._relative}/{shot}/{name}"
        whole = self._index.find(relative, found)
        if whole is not None:
            return Surveyed(beat, Found.WHOLE, whole)
        kind, whole = look_at(Path(entry.path))
        if whole is not None:
            self._index.add(relative, found, whole, self._now)
        return Surveyed(beat, kind, whole)

    def _entry(self, shot: str, name: str) -> os.DirEntry[str] | None:
        """Return the file of this name, or one whose name the disk takes for the same."""
        entries = self._shot(shot)
        if name in entries:
            return entries[name]
        if shot not in self._folded:
            self._folded[shot] = {known.casefold(): one for known, one in entries.items()}
        other = self._folded[shot].get(name.casefold())
        # A disk that folds case would write to the other; where it does not, this is free.
        same = other is not None and os.path.lexists(self._folder / shot / name)
        return other if same else None

    def _shot(self, name: str) -> dict[str, os.DirEntry[str]]:
        if name not in self._shots:
            folder = self._folder / name
            refuse_link(folder)
            try:
                with os.scandir(folder) as entries:
                    self._shots[name] = {
                        # macOS keeps names decomposed, and copies of them stay so elsewhere.
                        unicodedata.normalize("NFC", entry.name): entry
                        for entry in entries
                    }
            except FileNotFoundError:
                self._shots[name] = {}
            except OSError as error:
                raise UsageError(f"{folder} cannot be read: {error.strerror}") from error
        return self._shots[name]


def look_at(path: Path) -> tuple[Found, png.Whole | None]:
    """Tell what one file is. Raises `UsageError` if it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD) or b""
            kind = png.format_of(head)
            if kind is png.Format.PNG:
                whole = png.examine(file)
                return (Found.WHOLE, whole) if whole else (Found.FOREIGN, None)
    except FileNotFoundError:
        return Found.NOTHING, None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    # Whether a JPEG or WebP is whole shows when it is converted.
    if kind in {png.Format.JPEG, png.Format.WEBP}:
        return Found.CONVERTIBLE, None
    return Found.FOREIGN, None
