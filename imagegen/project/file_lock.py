"""A small file of the project is changed by one command at a time; the others wait."""

import contextlib
from collections.abc import Iterator
from typing import Final

from imagegen import files
from imagegen.errors import UsageError
from imagegen.project.layout import ProjectPaths, reject_hardlink

_SECONDS: Final = 10.0


@contextlib.contextmanager
def exclusive(
    layout: ProjectPaths, name: str, file: str, *, seconds: float = _SECONDS
) -> Iterator[None]:
    """Lock a file against other writers; waits up to this many seconds for the lock.

    `name` is the lock's, in our own folder; `file` the one that is changed, for messages. A
    run may be active. Raises `UsageError` if that takes too long, or the lock is not our
    file, and `StorageError` if the disk refuses.
    """
    import filelock  # noqa: PLC0415  # slow to import

    layout.prepare()
    path = layout.state_dir / name
    reject_hardlink(path)
    lock = filelock.FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UsageError(f"another command is changing {file}", hint="try again") from None
    except OSError as error:
        raise files.storage_error(error, path) from error
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            lock.release()
        raise
    try:
        lock.release()
    except OSError as error:
        raise files.storage_error(error, path) from error
