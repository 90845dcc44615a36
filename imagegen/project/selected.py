"""selected_images/: a copy of each chosen picture, under the name of its beat.

image_selections.json is the truth, and this folder follows it. New copies are staged in a folder
within it before the file is written, and get their names after: a crash before that leaves all as
it was, one after it is finished by whoever comes next. They are copies and no hard links, for
this folder is handed on, and a program that writes into a file would change the picture that
was drawn. A copy that has no twin among the pictures is kept in `old_images/selected_images`
before another takes its place.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.project import formats, png, selections
from imagegen.project.exclusive import exclusive
from imagegen.project.layout import Layout, refuse_link
from imagegen.project.selections import FILE, FOLDER, Choice, Entries, Names
from imagegen.project.storyboard import Key

STAGED: Final = ".imagegen-new"
"""The folder of copies that are about to get their names; while it is there, work is under way."""
_OUT: Final = ".out"
"""How the name of a copy ends in there that is to go."""
_LOCK: Final = "selections.lock"


class Wanted(msgspec.Struct, frozen=True):
    """A file that should be in the folder: of which entry, and of which beat if that is known."""

    name: str
    choice: Choice
    key: Key | None


def alone(layout: Layout) -> AbstractContextManager[None]:
    """Let nobody else change choices meanwhile. Raises as `exclusive` does."""
    return exclusive(layout, _LOCK, FILE)


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Let nobody else change choices meanwhile, and finish what a crash left half done.

    A run may be active. Raises `UsageError`, also where pictures are moving, and `StorageError`.
    """
    with alone(layout):
        for folder in (layout.root / FOLDER, layout.root / FOLDER / STAGED, layout.old / FOLDER):
            refuse_link(folder)
        if interrupted(layout):
            finish(layout)
        yield


def refuse_moving(layout: Layout) -> None:
    """Raise `UsageError` where a step is half done: it may be about to move choices too."""
    if not layout.old.is_dir():
        return
    # What most commands read of choices needs none of it.
    from imagegen.project import steps  # noqa: PLC0415

    if steps.unfinished(layout):
        raise UsageError("pictures are being moved", hint="try again in a moment")


def interrupted(layout: Layout) -> bool:
    """Tell whether somebody is changing choices, or was at a crash."""
    return os.path.lexists(layout.root / FOLDER / STAGED)


def recover(layout: Layout) -> None:
    """Finish what a crash left half done; nothing, while whoever does it is at it.

    Raises `StorageError`, and `UsageError` where a folder is a symbolic link.
    """
    # Busy, or a file that is torn: whoever changes choices next is told.
    with contextlib.suppress(UsageError), exclusive(layout, _LOCK, FILE, seconds=0):
        if interrupted(layout):
            finish(layout)


def begin(layout: Layout) -> None:
    """Mark that work is under way. Raises `StorageError`."""
    files.make_folder(layout.root / FOLDER / STAGED)


def stage(layout: Layout, file: str, picture: Path) -> str:
    """Copy a picture, to be called `file` once the choice stands; returns its hash.

    Raises `NotAPictureError` and `StorageError`.
    """
    data = files.read(picture, png.MAX_BYTES)
    whole = formats.as_png(data or b"")
    staged = layout.root / FOLDER / STAGED / file
    files.write(staged, whole)
    if whole is data:
        _same_time(staged, picture)
    return sha256(whole)


def commit(layout: Layout, entries: Entries) -> None:
    """Write the file: from here on the choices stand. Raises `StorageError`.

    It is written among what is staged: a run that begins sweeps half-written files where the
    file itself is.
    """
    staged, place = layout.root / FOLDER / STAGED / FILE, layout.root / FILE
    files.write(staged, selections.encoded(entries))
    try:
        files.replace(staged, place)
    except OSError as error:
        raise files.refused(error, place) from error
    files.sync_folder(layout.root)


def withdraw(layout: Layout, file: str, key: Key | None) -> None:
    """Take a copy out of the folder, to go once the choice is gone. Raises `StorageError`."""
    path = layout.root / FOLDER / file
    if os.path.lexists(path):
        _keep(layout, path, key)
        try:
            files.replace(path, layout.root / FOLDER / STAGED / f"{file}{_OUT}")
        except OSError as error:
            raise files.refused(error, path) from error


def finish(layout: Layout, names: Names | None = None) -> None:
    """Bring the folder in line with the file. For whoever holds the lock.

    With the storyboard's `names` also copies are made of what other tools chose.
    Raises `StorageError`, and `UsageError` for a file that cannot be read.
    """
    folder = layout.root / FOLDER
    entries = selections.read(layout.root)
    wanted = files_wanted(entries, names)
    there = selections.names_in(folder)
    try:
        for file in sorted(selections.names_in(folder / STAGED)):
            if file.endswith(_OUT):
                _give_back(layout, file.removesuffix(_OUT), wanted, there)
            else:
                _place_staged(layout, file, wanted, there)
        for file in wanted:
            _settle(layout, file, wanted, there)
        files.sweep(folder)
        files.sync_folder(folder)
        if interrupted(layout):
            (folder / STAGED).rmdir()
    except OSError as error:
        raise files.refused(error, Path(error.filename2 or error.filename or folder)) from error


def files_wanted(entries: Entries, names: Names | None = None) -> dict[str, Wanted]:
    """Return which files should be in the folder; `names` tell of more choices which beat's."""
    found: dict[str, Wanted] = {}
    beats = {name: key for key, name in names.standing(entries).items()} if names else {}
    for name, entry in entries.items():
        choice = selections.choice_of(entry)
        file = selections.file_of(name, flagged=choice.flagged) if choice is not None else None
        if choice is None or file is None:
            continue
        if names is not None and name not in beats and names.key(name, choice) is not None:
            # Another entry is this beat's choice.
            continue
        found[file] = Wanted(name, choice, beats.get(name) or selections.place(name, choice))
    return found


def _place_staged(layout: Layout, file: str, wanted: Mapping[str, Wanted], there: set[str]) -> None:
    """Give a staged copy its name, if the choice stands; whatever is staged has a twin."""
    want = wanted.get(file)
    folder = layout.root / FOLDER
    staged = folder / STAGED / file
    if want is None or _hash_of(staged) != want.choice.sha256:
        staged.unlink()
        return
    _rename_other(layout, file, wanted, there)
    if file in there:
        _keep(layout, folder / file, want.key)
    files.replace(staged, folder / file)
    there.add(file)


def _give_back(layout: Layout, file: str, wanted: Mapping[str, Wanted], there: set[str]) -> None:
    """Let go of a copy that was withdrawn, or put it back where the choice stands after all."""
    staged = layout.root / FOLDER / STAGED / f"{file}{_OUT}"
    if file in wanted and file not in there:
        files.replace(staged, layout.root / FOLDER / file)
        there.add(file)
    else:
        staged.unlink()


def _settle(layout: Layout, file: str, wanted: Mapping[str, Wanted], there: set[str]) -> None:
    """Let one choice have its copy under its name, and under no other."""
    _rename_other(layout, file, wanted, there)
    if file not in there:
        for other in _called_before(wanted[file]):
            if other in there and other not in wanted:
                _rename(layout, other, file, there)
                break
        else:
            _copy_anew(layout, file, wanted[file], there)


def _rename_other(layout: Layout, file: str, wanted: Mapping[str, Wanted], there: set[str]) -> None:
    """Let a flagged copy become a plain one, or a plain one a flagged one: never both."""
    want = wanted[file]
    for other in selections.files_of(want.name):
        # A beat's own number may end in _flagged.
        if other in there and other not in wanted:
            if file in there:
                _keep(layout, layout.root / FOLDER / other, want.key)
                (layout.root / FOLDER / other).unlink()
                there.discard(other)
            else:
                _rename(layout, other, file, there)


def _called_before(want: Wanted) -> list[str]:
    """Return what a copy may have been called before another shot had its beat's number."""
    if want.key is None:
        return []
    shot, beat = want.key
    names = {f"{shot}/{beat}", beat} - {want.name}
    return [file for name in sorted(names) for file in selections.files_of(name)]


def _rename(layout: Layout, before: str, now: str, there: set[str]) -> None:
    folder = layout.root / FOLDER
    files.replace(folder / before, folder / now)
    there.discard(before)
    there.add(now)


def _copy_anew(layout: Layout, file: str, want: Wanted, there: set[str]) -> None:
    """Make a copy that is missing, if the picture is still the one that was chosen."""
    if want.key is None:
        return
    picture = layout.picture(want.choice.style, *want.key)
    data = whole_bytes(picture)
    # Without a hash it is another tool's choice, of the picture that is there.
    if data is not None and want.choice.sha256 in {None, sha256(data)}:
        files.write(layout.root / FOLDER / file, data)
        _same_time(layout.root / FOLDER / file, picture)
        there.add(file)


def _keep(layout: Layout, path: Path, key: Key | None) -> None:
    """Give a copy that has no twin a second place among the old pictures."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise UsageError(f"{path} is no file, and a chosen picture goes there", hint="move it away")
    if not any(_is_twin(path, twin) for twin in _pictures(layout, key)):
        files.keep_old(path, layout.old / FOLDER / path.name)


def _pictures(layout: Layout, key: Key | None) -> list[Path]:
    """Return where the pictures of a beat lie, in every style."""
    if key is None:
        return []
    return [layout.picture(style, *key) for style in selections.names_in(layout.pictures)]


def unchanged(copy: Path | str, picture: Path | str) -> bool:
    """Tell by size and time whether a copy and its picture are as they were when it was made."""
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
    """Tell whether a file is there, and no link."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_twin(copy: Path, picture: Path) -> bool:
    if unchanged(copy, picture):
        return True
    data = files.read(copy, png.MAX_BYTES)
    return data is not None and data == files.read(picture, png.MAX_BYTES)


def whole_bytes(picture: Path) -> bytes | None:
    """Return a picture as the PNG that it is, or will be converted to; None if it is none."""
    data = files.read(picture, png.MAX_BYTES)
    try:
        return formats.as_png(data or b"")
    except formats.NotAPictureError:
        return None


def sha256(data: bytes) -> str:
    """Return the hash of a picture, as hexadecimal digits."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which few commands need

    return hashlib.sha256(data).hexdigest()


def _hash_of(path: Path) -> str | None:
    data = files.read(path, png.MAX_BYTES)
    return sha256(data) if data is not None else None


def _same_time(copy: Path, picture: Path) -> None:
    """Let a copy have the time of its picture: as long as both have it they need not be read."""
    with contextlib.suppress(OSError):
        os.utime(copy, ns=(copy.lstat().st_atime_ns, picture.lstat().st_mtime_ns))
