"""selected_images/: a copy of each chosen image, under the name of its beat.

image_selections.json is the truth, and this folder follows it. New copies are staged in a folder
within it before the file is written, and get their names after: a crash before that leaves all as
it was, one after it is finished by the next command. They are copies, not hard links, because
this folder is handed on, and a program that writes into a file would change the image that
was drawn. A copy that has no twin among the images is kept in `old_images/selected_images`
before another takes its place.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.images import formats, png
from imagegen.project.beat_ids import BeatId, BeatIndex
from imagegen.project.file_lock import exclusive
from imagegen.project.layout import ProjectPaths, reject_symlink
from imagegen.project.selections import file as selections
from imagegen.project.selections.file import FILE, FOLDER, Choice, Entries, Selections

STAGED: Final = ".imagegen-new"
"""The folder of copies that are about to get their names; while it is there, work is in flight."""
_OUT: Final = ".out"
"""How the name of a copy ends in there that is to go."""
_LOCK: Final = "selections.lock"


class ExpectedCopy(msgspec.Struct, frozen=True):
    """A file that should be in the folder: of which entry, and of which beat if that is known."""

    key: str
    choice: Choice
    beat: BeatId | None = None


class ChangedMeanwhileError(Exception):
    """Another program wrote the file of choices since it was read."""


def alone(layout: ProjectPaths) -> AbstractContextManager[None]:
    """Lock the choices against other writers. Raises as `exclusive` does."""
    return exclusive(layout, _LOCK, FILE)


@contextlib.contextmanager
def locked_selections(layout: ProjectPaths) -> Iterator[None]:
    """Lock the choices against other writers, and finish what a crash left half done.

    A run may be active. Raises `UsageError`, also while images are being moved, and `StorageError`.
    """
    with alone(layout):
        for folder in (
            layout.root / FOLDER,
            layout.root / FOLDER / STAGED,
            layout.archive_dir / FOLDER,
        ):
            reject_symlink(folder)
        if has_pending(layout):
            sync(layout)
        yield


def require_no_step(layout: ProjectPaths) -> None:
    """Raise `UsageError` if a step is half done: it may be about to move choices too."""
    if not layout.archive_dir.is_dir():
        return
    # What most commands read of choices needs none of it.
    from imagegen.project import steps  # noqa: PLC0415

    if steps.unfinished(layout):
        raise UsageError("images are being moved", hint="try again in a moment")


def has_pending(layout: ProjectPaths) -> bool:
    """Return whether another process is changing choices, or was at a crash."""
    return os.path.lexists(layout.root / FOLDER / STAGED)


def finish_if_idle(layout: ProjectPaths) -> None:
    """Finish what a crash left half done; nothing, if a process is still doing it.

    Raises `StorageError`, and `UsageError` if a folder is a symbolic link.
    """
    # Busy, or a file that is torn: the next command that changes choices reports it.
    with contextlib.suppress(UsageError), exclusive(layout, _LOCK, FILE, seconds=0):
        if has_pending(layout):
            sync(layout)


def begin(layout: ProjectPaths) -> None:
    """Mark that work is in flight. Raises `StorageError`."""
    files.make_folder(layout.root / FOLDER / STAGED)


def stage(layout: ProjectPaths, file: str, picture: Path) -> str:
    """Copy an image, to be called `file` once the choice is saved; returns its hash.

    Raises `NotAPictureError` and `StorageError`.
    """
    data = files.read(picture, png.MAX_BYTES)
    whole = formats.as_png(data or b"")
    staged = layout.root / FOLDER / STAGED / file
    files.write(staged, whole)
    if whole is data:
        _same_time(staged, picture)
    return sha256(whole)


def signature(layout: ProjectPaths) -> tuple[int, ...] | None:
    """Return what changes with the file of choices; None without one."""
    try:
        return files.stat_signature((layout.root / FILE).lstat())
    except OSError:
        return None


def commit(
    layout: ProjectPaths, entries: Entries, signature_before: tuple[int, ...] | None
) -> None:
    """Write the file: from here on the choices stand. Raises `StorageError`.

    `signature_before` is the file's signature before it was read. Raises
    `ChangedMeanwhileError` if it is another now: only our own commands know the lock.

    It is written among what is staged: a run that begins sweeps half-written files if the
    file itself is.
    """
    staged, place = layout.root / FOLDER / STAGED / FILE, layout.root / FILE
    files.write(staged, selections.encode(entries))
    if signature(layout) != signature_before:
        staged.unlink()
        raise ChangedMeanwhileError
    try:
        files.replace(staged, place)
    except OSError as error:
        raise files.storage_error(error, place) from error
    files.sync_folder(layout.root)


def remove(layout: ProjectPaths, file: str, pictures: Iterable[Path]) -> None:
    """Stage a copy for removal once the choice is removed. Raises `StorageError`.

    `pictures` are those of its beat: a copy of none of them is kept.
    """
    path = layout.root / FOLDER / file
    if os.path.lexists(path):
        _archive(layout, path, pictures)
        try:
            files.replace(path, layout.root / FOLDER / STAGED / f"{file}{_OUT}")
        except OSError as error:
            raise files.storage_error(error, path) from error


def sync(layout: ProjectPaths, index: BeatIndex | None = None) -> None:
    """Bring the folder in line with the file. Call it with the lock held.

    With the storyboard's `index` also copy what other tools chose.
    Raises `StorageError`, and `UsageError` for a file that cannot be read.
    """
    _Folder(layout, selections.read(layout.root), index).finish()


def expected_copies(selected: Selections) -> dict[str, ExpectedCopy]:
    """Return which files should be in the folder, by name: one for each beat."""
    beats = {key: beat for beat, key in selected.counting().items()}
    # Entries that are not known to be of one beat have their copies all the same.
    keys = (key for key, of in selected.beats.items() if key in beats or len(of) != 1)
    return {
        file: ExpectedCopy(key, selected.choices[key], beats.get(key))
        for key in keys
        if (file := selections.file_of(key, flagged=selected.choices[key].flagged)) is not None
    }


def _copies_without_storyboard(entries: Entries) -> dict[str, ExpectedCopy]:
    """Return the same if nothing is known of beats: entries of one file are of one."""
    copies = {}
    for key in selections.last_chosen(entries).values():
        choice = selections.choice_of(entries[key])
        file = selections.file_of(key, flagged=choice.flagged) if choice is not None else None
        if choice is not None and file is not None:
            copies[file] = ExpectedCopy(key, choice)
    return copies


class _Folder:
    """The folder on its way to what the file says."""

    def __init__(self, layout: ProjectPaths, entries: Entries, index: BeatIndex | None) -> None:
        self._layout = layout
        self._index = index
        self._path = layout.root / FOLDER
        self._expected = (
            _copies_without_storyboard(entries)
            if index is None
            else expected_copies(Selections(entries, index))
        )
        self._existing = selections.names_in(self._path)

    def finish(self) -> None:
        try:
            for file in sorted(selections.names_in(self._path / STAGED)):
                if file.endswith(_OUT):
                    self._give_back(file.removesuffix(_OUT))
                else:
                    self._place_staged(file)
            for file, want in self._expected.items():
                self._replace_other(file, want)
                # Without a storyboard it is not known which entry counts.
                if self._index is not None and file not in self._existing:
                    self._copy_again(file, want)
            files.remove_stale(self._path)
            files.sync_folder(self._path)
            if has_pending(self._layout):
                (self._path / STAGED).rmdir()
        except OSError as error:
            raise files.storage_error(error, self._path) from error

    def _place_staged(self, file: str) -> None:
        """Give a staged copy its name, if the choice is saved; every staged file has a twin."""
        want = self._expected.get(file)
        staged = self._path / STAGED / file
        if want is None or _hash_of(staged) != want.choice.sha256:
            staged.unlink()
            return
        self._replace_other(file, want)
        if file in self._existing:
            _archive(self._layout, self._path / file, self._pictures(want))
        files.replace(staged, self._path / file)
        self._existing.add(file)

    def _give_back(self, file: str) -> None:
        """Delete a copy that was withdrawn, or put it back if the choice is still there."""
        staged = self._path / STAGED / f"{file}{_OUT}"
        if file in self._expected and file not in self._existing:
            files.replace(staged, self._path / file)
            self._existing.add(file)
        else:
            staged.unlink()

    def _replace_other(self, file: str, want: ExpectedCopy) -> None:
        """Rename a copy from flagged to plain or back: never both."""
        for other in selections.files_of(want.key):
            # A beat's own number may end in _flagged.
            if other not in self._existing or other in self._expected:
                continue
            if file in self._existing:
                _archive(self._layout, self._path / other, self._pictures(want))
                (self._path / other).unlink()
            else:
                files.replace(self._path / other, self._path / file)
                self._existing.add(file)
            self._existing.discard(other)

    def _copy_again(self, file: str, want: ExpectedCopy) -> None:
        """Make a copy that is missing, if the image is still the one that was chosen."""
        picture = self._picture(want)
        data = read_image(picture) if picture is not None else None
        # Without a hash it is another tool's choice, of the image that is there.
        if picture is None or data is None or want.choice.sha256 not in {None, sha256(data)}:
            return
        files.write(self._path / file, data)
        _same_time(self._path / file, picture)
        self._existing.add(file)

    def _picture(self, want: ExpectedCopy) -> Path | None:
        """Return where the image is that was chosen."""
        if self._index is None or want.beat is None:
            shot_and_beat = selections.parse_name(want.key)
            shot = (shot_and_beat[0] or want.choice.shot) if shot_and_beat is not None else None
            if shot_and_beat is None or shot is None:
                return None
            return self._layout.picture(want.choice.style, shot, shot_and_beat[1])
        key = self._index.key(want.beat, want.choice.style)
        return self._layout.picture(want.choice.style, *key) if key is not None else None

    def _pictures(self, want: ExpectedCopy) -> list[Path]:
        """Return where the images of a beat are, in every style."""
        if self._index is not None and want.beat is not None:
            return pictures_of(self._layout, self._index, want.beat)
        picture = self._picture(want)
        if picture is None:
            return []
        within = picture.relative_to(self._layout.style_folder(want.choice.style))
        styles = selections.names_in(self._layout.pictures)
        return [self._layout.style_folder(style) / within for style in styles]


def pictures_of(layout: ProjectPaths, index: BeatIndex, beat: BeatId) -> list[Path]:
    """Return where the images of a beat are, in every style that has it."""
    return [layout.picture(style, *key) for style, key in index.keys(beat).items()]


def _archive(layout: ProjectPaths, path: Path, pictures: Iterable[Path]) -> None:
    """Give a copy that has no twin among these images a second place among the old ones."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise UsageError(f"{path} is in the way of a chosen image", hint="move it away")
    if not any(_is_twin(path, twin) for twin in pictures):
        files.archive_copy(path, layout.archive_dir / FOLDER / path.name)


def same_file_stat(copy: Path | str, picture: Path | str) -> bool:
    """Compare size and time to see whether a copy and its image are unchanged."""
    try:
        first, second = os.lstat(copy), os.lstat(picture)
    except OSError:
        return False
    return (
        stat.S_ISREG(first.st_mode)
        and stat.S_ISREG(second.st_mode)
        and (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)
    )


def is_file(path: str) -> bool:
    """Return whether a file is there, and no link."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_twin(copy: Path, picture: Path) -> bool:
    if same_file_stat(copy, picture):
        return True
    data = files.read(copy, png.MAX_BYTES)
    return data is not None and data == files.read(picture, png.MAX_BYTES)


def read_image(picture: Path) -> bytes | None:
    """Return an image as PNG, converted if necessary; None if it is not an image."""
    data = files.read(picture, png.MAX_BYTES)
    try:
        return formats.as_png(data or b"")
    except formats.NotAPictureError:
        return None


def sha256(data: bytes) -> str:
    """Return the hash of an image, as hexadecimal digits."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which few commands need

    return hashlib.sha256(data).hexdigest()


def _hash_of(path: Path) -> str | None:
    data = files.read(path, png.MAX_BYTES)
    return sha256(data) if data is not None else None


def _same_time(copy: Path, picture: Path) -> None:
    """Give a copy the time of its image: while both have it, neither is read."""
    with contextlib.suppress(OSError):
        os.utime(copy, ns=(copy.lstat().st_atime_ns, picture.lstat().st_mtime_ns))
