"""A small file is changed by one command at a time, whatever its lock does."""

import errno
from pathlib import Path

import filelock
import pytest

from imagegen.errors import StorageError, UsageError
from imagegen.project.file_lock import exclusive
from imagegen.project.layout import ProjectPaths


def test_a_lock_that_cannot_be_released_is_the_disk_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no closed output, and hides no error that was there before it."""
    release = filelock.FileLock.release

    def fail(lock: filelock.BaseFileLock, **forced: bool) -> None:
        release(lock, **forced)
        if not forced:  # The finalizer of a lock forces its release, and may not raise.
            raise OSError(errno.EIO, "Input/output error")

    layout = ProjectPaths(tmp_path)
    monkeypatch.setattr(filelock.FileLock, "release", fail)
    with pytest.raises(StorageError, match="Input/output error"):  # noqa: SIM117  # what it raises
        with exclusive(layout, "a.lock", "a.toml"):
            pass
    with pytest.raises(UsageError, match="mine"):  # noqa: SIM117
        with exclusive(layout, "b.lock", "b.toml"):
            raise UsageError("mine")
