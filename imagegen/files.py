"""Files written so that a reader never sees half of one, and read so that none can harm."""

import contextlib
import errno
import itertools
import os
import stat
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from imagegen.errors import StorageError

if sys.platform != "win32":
    import fcntl

TEMP_PREFIX: Final = ".imagegen-"
"""What the names of files that are being written begin with; a crash may leave them."""

_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0)
"""Without it, opening a pipe waits until a process writes to it."""
_BINARY: Final = getattr(os, "O_BINARY", 0)
OPEN_FLAGS: Final = _NOFOLLOW | _BINARY
"""No symbolic link is followed, and bytes stay bytes, if the system has these flags."""
READ_FLAGS: Final = OPEN_FLAGS | _NONBLOCK
"""The same, and a pipe in the way does not block."""

_ABSENT: Final = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG),
        # What other systems say of a link that must not be followed.
        *(getattr(errno, name) for name in ("EMLINK", "EFTYPE") if hasattr(errno, name)),
    }
)
"""What opening a file fails with if it is not there, or is a link or another thing than a file."""

_UNLOCKABLE_SECONDS: Final = 3600.0
"""How old a temporary file is before it counts as left over, if locks do not show it."""
swept_folders: Final[set[str]] = set()
"""The folders from which this process has removed leftovers; guarded by `_sweeping`."""
_sweeping: Final = threading.Lock()


_REPLACE_TRIES: Final = 10
_REPLACE_PAUSE: Final = 0.05


def write(path: Path, *parts: bytes | memoryview, mode: int = 0o666) -> None:
    """Put the parts, one after the other, at `path`: as one step that survives any crash.

    Written beside its place, fsynced, renamed. `mode` is less what the umask takes away.
    Raises `StorageError`.
    """
    write_parts(path, parts, mode=mode)


def write_parts(path: Path, parts: Iterable[bytes | memoryview], *, mode: int = 0o666) -> None:
    """Put at `path` what comes, part by part, as `write` does; not all of it is in memory.

    What the parts raise goes on, and nothing is there then that was not before.
    """
    placed = False
    try:
        temporary, descriptor = _begin(path.parent, mode)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for part in parts:
                    _write_all(file.fileno(), part)
                os.fsync(file.fileno())
                if sys.platform != "win32":
                    # As long as it is open it is known to be in use. Folders that are
                    # shared from Windows want it closed first.
                    with contextlib.suppress(OSError):
                        replace(temporary, path)
                        placed = True
            if not placed:
                replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error


def read(path: Path, limit: int) -> bytes | None:
    """Return the bytes of a regular file, or None if it is missing, foreign or too large.

    Symbolic links are not followed. For our own files, which may come from another user.
    Raises `StorageError` if the file may be there and cannot be read, as on a faulty disk or
    with too many files open: never treat that as a missing file.
    """
    if not _NOFOLLOW and path.is_symlink():
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | READ_FLAGS)
    except OSError as error:
        # Windows opens no folder, and says that this is not permitted.
        if error.errno in _ABSENT or path.is_dir():
            return None
        raise unreadable(error, path) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return None
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return file.readall()
    except OSError as error:
        raise unreadable(error, path) from error
    finally:
        os.close(descriptor)


def read_cached(path: Path, limit: int) -> bytes | None:
    """Return what `read` does, or None if it cannot be read: for what can be made again."""
    with contextlib.suppress(StorageError):
        return read(path, limit)
    return None


def exists(path: Path) -> bool:
    """Return whether anything is at a path, a link itself included.

    Raises `StorageError` if the disk does not say: `os.path.lexists` takes that for a no.
    """
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise unreadable(error, path) from error
    return True


_DATALESS: Final = 0x40000000
"""`SF_DATALESS` of macOS: https://developer.apple.com/documentation/kernel, sys/stat.h"""
_RECALL: Final = 0x1000 | 0x40000 | 0x400000
"""Windows' attributes of offline files, and of those that opening or reading downloads."""
_BESIDE: Final = (".{}.icloud", "{}.nextcloud", "{}.owncloud")


def stub_names(name: str) -> tuple[str, ...]:
    """Return the names that cloud drives give to a placeholder of a file of this name."""
    return tuple(pattern.format(name) for pattern in _BESIDE)


def has_stub(path: Path) -> bool:
    """Return whether a file is a cloud drive's placeholder."""
    return any(os.path.lexists(path.with_name(name)) for name in stub_names(path.name))


def is_stub(status: os.stat_result) -> bool:
    """Return whether a file's bytes are on a cloud drive alone: reading it would download it."""
    flags: int = getattr(status, "st_flags", 0)
    attributes: int = getattr(status, "st_file_attributes", 0)
    return bool(flags & _DATALESS or attributes & _RECALL)


def is_hollow(status: os.stat_result) -> bool:
    """Return whether a file has a size and takes no space on the disk.

    Some systems report this for complete files too: it only explains a file that cannot be read.
    """
    return status.st_size > 0 and getattr(status, "st_blocks", 1) == 0


def stat_signature(status: os.stat_result) -> tuple[int, int, int]:
    """Return (size, mtime_ns, inode); equal tuples mean an unchanged file.

    A folder's listing on Windows has no inode, and says 0.
    """
    return status.st_size, status.st_mtime_ns, status.st_ino


def make_folder(path: Path) -> None:
    """Make a folder and its parents, to stay. Raises `StorageError`."""
    if path.is_dir():
        return
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error
    for folder in missing:
        sync_folder(folder.parent)


def archive_copy(path: Path, old: Path) -> None:
    """Give the file at `path` a second place at `old`, so that replacing it loses nothing.

    If `old` is taken, a numbered name beside it is used. Raises `StorageError`.
    """
    make_folder(old.parent)
    old = _free(old)
    try:
        try:
            os.link(path, old, follow_symlinks=False)
            sync_folder(old.parent)
        except (OSError, NotImplementedError):
            # FAT and some network file systems have no hard links.
            data = read(path, sys.maxsize)
            if data is None:
                raise StorageError(f"{path} cannot be kept: it is unreadable") from None
            write(old, data)
    except OSError as error:
        raise storage_error(error, old) from error


def move(path: Path, to: Path) -> Path:
    """Move what is at `path` (a file, a link itself, a folder), and return where it is.

    If `to` is taken, a numbered name beside it is used. Raises `StorageError`.
    """
    make_folder(to.parent)
    to = _free(to)
    try:
        try:
            replace(path, to)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            import shutil  # noqa: PLC0415  # rarely needed

            # A disk of its own for images: a crash now leaves what is moved in both places.
            shutil.move(path, to)
        sync_folder(to.parent)
    except OSError as error:
        raise storage_error(error, to) from error
    return to


def replace(source: Path | str, target: Path | str) -> None:
    """Rename over `target`; on Windows wait a little if another process has it open.

    Raises `OSError`. If both are names of one file, POSIX systems leave both.
    """
    for attempt in range(_REPLACE_TRIES):
        try:
            Path(source).replace(target)
        except PermissionError:
            if sys.platform != "win32" or attempt == _REPLACE_TRIES - 1:
                raise
            time.sleep(_REPLACE_PAUSE)
        else:
            return


def sync_folder(folder: Path | str) -> None:
    """Sync a folder's names to disk, if the system can."""
    if sys.platform == "win32":
        return
    # Some network file systems cannot sync a folder, and one that may be written to need not
    # be readable; the file itself is safe.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Return whether a file of this name is one that is being written, or was at a crash."""
    return name.startswith(TEMP_PREFIX) and name.endswith(".tmp")


def sweep_once(folder: Path) -> None:
    """Sweep a folder unless this process has done so before.

    Every write does this first. A command that only reads in a folder in which a crash may have
    left secrets calls it too.
    """
    name = os.path.abspath(folder)  # noqa: PTH100  # does not follow links
    with _sweeping:
        if name not in swept_folders:
            remove_stale(folder)
            swept_folders.add(name)


def remove_stale(folder: Path) -> None:
    """Remove what a crash left half-written in a folder; what is being written stays."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  # names alone: there may be 60,000 folders
    except OSError:
        return
    for name in names:
        if is_temporary(name):
            with contextlib.suppress(OSError):
                _sweep(folder / name)


def unreadable(error: OSError, path: Path | str) -> StorageError:
    """Return the error for something that cannot be read, with the reason."""
    hint = "close some programs, or see ulimit -n" if error.errno == errno.EMFILE else None
    if error.errno in {errno.EACCES, errno.EPERM}:
        return StorageError(f"not permitted to read {path}")
    return StorageError(f"{path} cannot be read: {error.strerror or error}", hint=hint)


def storage_error(error: OSError, path: Path) -> StorageError:
    """Return the error for a failed write, with the reason and a hint.

    It names the file that the system names, or else `path`, for example if that is a
    temporary file of ours.
    """
    names = (error.filename2, error.filename)
    # Of an open file the system names the descriptor, a number.
    involved = [Path(name) for name in names if isinstance(name, str | os.PathLike)]
    if error.errno in {errno.EACCES, errno.EPERM}:
        # What was refused may be a file beside it, or a folder above it.
        closed = (name for name in involved if not os.access(name.parent, os.W_OK))
        # A file that is renamed may be refused by the folder it comes from, or goes to.
        refused = next(closed, involved[-1] if involved else path)
        where = str(path) if refused == path else f"in {refused.parent}"
        return StorageError(f"not permitted to write {where}")
    path = next((name for name in involved if not is_temporary(name.name)), path)
    if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", None)}:
        message = f"the disk is full: {path.parent} cannot be written to"
        return StorageError(message, hint="free some space first")
    if error.errno == errno.EROFS:
        return StorageError(f"{path.parent} is on a read-only disk")
    if error.errno == errno.EFBIG:
        hint = "see ulimit -f, or whether the disk takes large files"
        return StorageError(f"{path} cannot be written: no file may be so large", hint=hint)
    if error.errno == errno.EISDIR:
        message = f"{path} cannot be written: there is a folder in its place"
        return StorageError(message, hint="move it away")
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return StorageError(f"{path} cannot be created: there is a file in its place")
    return StorageError(f"{path} cannot be written: {error.strerror or error}")


def _begin(folder: Path, mode: int) -> tuple[Path, int]:
    """Make a file to be written and renamed, and open it. Raises `OSError`.

    It is locked while it is open: the system releases the lock when the process dies, and only
    that distinguishes leftovers from files in use.
    """
    sweep_once(folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN_FLAGS
    while True:
        temporary = folder / f"{TEMP_PREFIX}{os.urandom(6).hex()}.tmp"
        descriptor = os.open(temporary, flags, mode)
        if _lock(descriptor) and os.path.lexists(temporary):
            return temporary, descriptor
        # Another process has swept it before it was locked.
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a new file, if necessary and possible; returns whether we have it alone."""
    # Windows deletes no file that is open.
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some network file systems lock nothing.
            return True
    return True


def _sweep(file: Path) -> None:
    """Remove a file unless another process is writing it. Raises `OSError`."""
    if sys.platform == "win32":
        file.unlink()
        return
    with contextlib.ExitStack() as opened:
        try:
            descriptor = os.open(file, os.O_RDONLY | READ_FLAGS)
        except OSError:
            # A link: no process writes through one.
            file.unlink()
            return
        opened.callback(os.close, descriptor)
        try:
            # Not `LOCK_EX`: over NFS only what may be written to can have that.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            # Some network file systems lock nothing: then its age decides.
            if time.time() - os.fstat(descriptor).st_mtime < _UNLOCKABLE_SECONDS:
                return
        file.unlink()


def _free(path: Path) -> Path:
    """Return the path, or the first numbered one beside it that is not taken."""
    numbered = (path.with_name(f"{path.stem} ({n}){path.suffix}") for n in itertools.count(2))
    return next(free for free in itertools.chain([path], numbered) if not os.path.lexists(free))


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
