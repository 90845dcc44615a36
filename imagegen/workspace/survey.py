"""What is on the disk for each beat of a storyboard."""

import itertools
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.images import formats, png
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths, reject_symlink
from imagegen.project.storyboard import Beat, BeatKey

_HEAD: Final = 16
_NAMED: Final = 3
_SHOT: Final = re.compile(r"Shot_(.+)")
_BEAT: Final = re.compile(r"Beat_(.+)\.png")
_DIGITS: Final = re.compile(r"([0-9]{1,18})")
_SHOT_OF: Final = attrgetter("shot")


class ImageState(StrEnum):
    """What is at a beat's image path."""

    NOTHING = "nothing"
    VALID = "whole"
    """A whole PNG: the image."""
    CONVERTIBLE = "convertible"
    """A JPEG or WebP under the PNG's name: the image, once converted."""
    INVALID = "foreign"
    """Torn, or not an image: moved to old_images/ and drawn."""

    ELSEWHERE = "elsewhere"
    """A cloud drive's placeholder: the image exists, but not on this machine."""


THERE: Final = frozenset({ImageState.VALID, ImageState.CONVERTIBLE, ImageState.ELSEWHERE})
"""What is a beat's image."""


class BeatImage(msgspec.Struct, frozen=True, gc=False):
    """A beat and what is at its path; `whole` is set for a whole PNG.

    `changed` says what has changed since its image was drawn, `waived` that it needs none.
    `placeholder` marks a sketch in a project that is drawn by another provider.
    """

    beat: Beat
    found: ImageState
    whole: png.PngInfo | None = None
    changed: tuple[str, ...] = ()
    waived: bool = False
    placeholder: bool = False

    @property
    def key(self) -> BeatKey:
        """Shot and beat number."""
        return self.beat.key

    @property
    def name(self) -> str:
        """The beat's address as text; `BeatLabels` has shorter ones."""
        return str(self.beat.address)

    @property
    def provenance(self) -> png.Provenance | None:
        """The image's metadata on its origin, if any."""
        return self.whole.provenance if self.whole else None

    @property
    def has_image(self) -> bool:
        """Whether the beat has its image, and not only a placeholder."""
        return self.found in THERE and not self.placeholder


class OrphanImage(msgspec.Struct, frozen=True, gc=False):
    """A file that belongs to no beat; `key` is its shot and beat number."""

    key: BeatKey
    found: ImageState
    whole: png.PngInfo | None = None

    @property
    def provenance(self) -> png.Provenance | None:
        """The image's metadata on its origin, if any."""
        return self.whole.provenance if self.whole else None


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the folders of some styles.

    `beats` has each style's beats in file order. `strays` are images of beats that the
    storyboard no longer has, `moves` the (from, to) places of moved images.
    `unfinished` are folders with files that a crash left half-written. `tidy` are shots' folders
    with nothing in them but beats' images, relative to the project. `elsewhere` are the beats
    with an image only on a cloud drive.
    `older` counts images that were drawn without the reference that their transition gives
    them since 0.1.0, and that are not outdated by that.
    """

    beats: dict[str, list[BeatImage]]
    strays: dict[str, list[OrphanImage]] = {}
    moves: dict[str, dict[BeatKey, BeatKey]] = {}
    unfinished: tuple[str, ...] = ()
    tidy: frozenset[str] = frozenset()
    elsewhere: tuple[str, ...] = ()
    older: int = 0

    @property
    def there(self) -> dict[str, dict[BeatKey, str | None]]:
        """The beats of each style that have their image, with the hash of its prompt if known."""
        return {
            style: {image.key: _words_in(image.whole) for image in beats if image.has_image}
            for style, beats in self.beats.items()
        }


def survey(
    layout: ProjectPaths, beats: Mapping[str, Sequence[Beat]], index: Index, now: float
) -> Survey:
    """Read every beat's image; a file in the index is not opened.

    `now` is the wall clock's time in seconds. Raises `UsageError` if a folder of
    images is a symbolic link or cannot be read.
    """
    styles = {style: _Style(layout, style, index, now) for style in beats}
    looked = {style: styles[style].look(style_beats) for style, style_beats in beats.items()}
    strays = {style: folder.strays() for style, folder in styles.items()}
    return Survey(
        beats=looked,
        strays={style: orphans for style, orphans in strays.items() if orphans},
        unfinished=tuple(path for style in styles.values() for path in style.unfinished()),
        tidy=frozenset(path for style in styles.values() for path in style.tidy()),
        elsewhere=tuple(
            image.name
            for style, images in looked.items()
            # Rare, and there may be very many images.
            if styles[style].is_partly_elsewhere
            for image in images
            if image.found is ImageState.ELSEWHERE
        ),
    )


def _words_in(whole: png.PngInfo | None) -> str | None:
    drawn = whole.provenance if whole is not None else None
    return drawn.words.sha256 if drawn is not None else None


def counted(number: str) -> list[tuple[int, str]]:
    """Return what sorts numbers as people do: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in _DIGITS.split(number)]


def _composed(name: str) -> str:
    """Return a name as it is compared: macOS keeps names decomposed, and copies stay so."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


class _Folder:
    """The entries of a folder by name, each to be taken once."""

    __slots__ = ("_folded", "names", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, os.DirEntry[str]] = {}
        self._folded: dict[str, str] | None = None
        try:
            with os.scandir(path) as entries:
                self.names = {_composed(entry.name): entry for entry in entries}
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error

    def pop(self, name: str) -> os.DirEntry[str] | None:
        """Take the entry of this name."""
        return self.names.pop(_composed(name), None)

    def pop_case_insensitive(self, name: str) -> os.DirEntry[str] | None:
        """Remove and return the entry that a case-insensitive disk would open for `name`."""
        plain = _composed(name)
        if self._folded is None:
            self._folded = {name.casefold(): name for name in self.names}
        other = self._folded.get(plain.casefold())
        # A disk that folds case would write to the other; on other disks this is free.
        if other is None or not os.path.lexists(os.path.join(self.path, name)):  # noqa: PTH118 - of very many beats much faster than by paths
            return None
        return self.names.pop(other, None)


class _Style:
    def __init__(self, layout: ProjectPaths, style: str, index: Index, now: float) -> None:
        path = layout.style_folder(style)
        reject_symlink(path)
        self._relative = layout.relative(path)
        self._index = index
        self._now = now
        self._folder = _Folder(str(path))
        # None: the folder is missing, or all its files are claimed.
        self._shots: dict[str, _Folder | None] = {}
        self.is_partly_elsewhere = False

    def look(self, beats: Iterable[Beat]) -> list[BeatImage]:
        images: list[BeatImage] = []
        for shot, shot_beats in itertools.groupby(beats, _SHOT_OF):
            images += self._look_in(f"Shot_{shot}", list(shot_beats))
        return images

    def strays(self) -> list[OrphanImage]:
        """Return what no beat has claimed, in the order of its numbers; to be asked last."""
        for name, entry in self._folder.names.items():
            # Shots that the storyboard does not have any more.
            if _SHOT.fullmatch(name) and entry.is_dir(follow_symlinks=False):
                self._shots[name] = _Folder(entry.path)
        orphans = []
        for shot, folder in self._shots.items():
            for name, entry in folder.names.items() if folder is not None else ():
                number = _BEAT.fullmatch(name)
                if number:
                    looked = self._look_at(entry, f"{self._relative}/{shot}/{name}")
                    orphans.append(OrphanImage((shot.removeprefix("Shot_"), number[1]), *looked))
        return sorted(orphans, key=lambda stray: [counted(number) for number in stray.key])

    def tidy(self) -> Iterator[str]:
        """Return the shots' folders without anything that no beat has claimed, if they exist."""
        for shot, folder in self._shots.items():
            if folder is None:
                yield f"{self._relative}/{shot}"

    def unfinished(self) -> Iterator[str]:
        """Return the folders that hold what a crash left half-written."""
        for folder in (self._folder, *filter(None, self._shots.values())):
            if any(files.is_temporary(name) for name in folder.names):
                yield folder.path

    def _look_in(self, shot: str, beats: Sequence[Beat]) -> list[BeatImage]:
        """Read the images of consecutive beats of one shot."""
        if shot not in self._shots:
            self._shots[shot] = self._shot(shot)
        folder = self._shots[shot]
        if folder is None:
            return [BeatImage(beat, ImageState.NOTHING) for beat in beats]
        names = [f"Beat_{beat.beat}.png" for beat in beats]
        entries = [folder.pop(name) for name in names]
        if folder.names:
            # Mostly nothing is left, and nothing needs to be folded.
            pairs = zip(entries, names, strict=True)
            entries = [entry or folder.pop_case_insensitive(name) for entry, name in pairs]
        else:
            self._shots[shot] = None
        within = f"{self._relative}/{shot}/"
        return [
            BeatImage(beat, self._missing(folder, name) if folder.names else ImageState.NOTHING)
            if entry is None
            else BeatImage(beat, *self._look_at(entry, within + name))
            for beat, entry, name in zip(beats, entries, names, strict=True)
        ]

    def _missing(self, folder: _Folder, name: str) -> ImageState:
        """Return what is there if an image is not at its place."""
        stubs = files.stub_names(name)
        return self._elsewhere() if any(map(folder.pop, stubs)) else ImageState.NOTHING

    def _elsewhere(self) -> ImageState:
        self.is_partly_elsewhere = True
        return ImageState.ELSEWHERE

    def _shot(self, name: str) -> _Folder | None:
        entry = self._folder.pop(name) or self._folder.pop_case_insensitive(name)
        if entry is None:
            return None
        if not entry.is_dir(follow_symlinks=False):
            reject_symlink(Path(entry.path))
        return _Folder(entry.path)

    def _look_at(
        self, entry: os.DirEntry[str], relative: str
    ) -> tuple[ImageState, png.PngInfo | None]:
        if not entry.is_file(follow_symlinks=False):
            return ImageState.INVALID, None
        try:
            file_stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # Moved away since the folder was read: a run may be active while `status` looks.
            return ImageState.NOTHING, None
        whole = self._index.find(relative, file_stat)
        if whole is not None:
            return ImageState.VALID, whole
        if files.is_stub(file_stat):
            return self._elsewhere(), None
        kind, whole = inspect_image(Path(entry.path))
        if kind is ImageState.INVALID and files.is_hollow(file_stat):
            return self._elsewhere(), None
        if whole is not None:
            self._index.add(relative, file_stat, whole, self._now)
        return kind, whole


def inspect_image(path: Path) -> tuple[ImageState, png.PngInfo | None]:
    """Return what one file is. Raises `UsageError` if it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD) or b""
            kind = formats.format_of(head)
            if kind is formats.Format.PNG:
                whole = png.read_info(file)
                return (ImageState.VALID, whole) if whole else (ImageState.INVALID, None)
    except FileNotFoundError:
        return ImageState.NOTHING, None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    # Whether a JPEG or WebP is whole shows when it is converted.
    if kind in {formats.Format.JPEG, formats.Format.WEBP}:
        return ImageState.CONVERTIBLE, None
    return ImageState.INVALID, None


def not_here(beats: Sequence[str]) -> str:
    """Return a note on beats with an image only on a cloud drive."""
    count = len(beats)
    pictures = "1 image is" if count == 1 else f"{count:,} images are"
    some = ", ".join(beats[:_NAMED]) + (" …" if count > _NAMED else "")
    return (
        f"{pictures} not on this machine but on a cloud drive ({some}): not drawn again; download "
        "them to choose or to check them"
    )
