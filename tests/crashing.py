"""A process that ends, or a disk that refuses, at any one of the calls that change a disk."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest


class Crash(BaseException):
    """The end of a process: nothing catches it."""


def full() -> BaseException:
    """Return what a full disk raises."""
    return OSError(errno.ENOSPC, "No space left on device")


CALLS = ("link", "mkdir", "open", "fsync", "rename", "replace", "rmdir", "unlink", "write")
"""What changes a disk."""


@contextlib.contextmanager
def failing(
    at: int | None = None,
    *,
    raising: Callable[[], BaseException] = Crash,
    only: bool = False,
) -> Iterator[list[str]]:
    """Let the disk's call number `at` fail and all after it, or that one only.

    Yields the calls so far. Syncing is counted and not done: no power fails here.
    """
    calls: list[str] = []

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            if name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR):
                return call(*args, **options)
            calls.append(name)
            if at is not None and (len(calls) == at or (len(calls) > at and not only)):
                raise raising()
            return None if name == "fsync" else call(*args, **options)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, watched(name, getattr(os, name)))
        yield calls
