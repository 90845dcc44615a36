"""Faults of a disk, and kills, at any one of the calls that a command makes on a folder."""

import builtins
import contextlib
import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from crashing import Crash

CHANGING: Final = ("link", "mkdir", "rename", "replace", "rmdir", "unlink")
"""Calls that change a disk by paths; opening to write, `write` and `fsync` come besides."""
LISTING: Final = ("listdir", "scandir")
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def refused(number: int) -> Callable[[str], BaseException]:
    """Return what raises this error of the system for a path."""
    return lambda path: OSError(number, os.strerror(number), path or None)


def killed(_: str) -> BaseException:
    """Return the end of the process."""
    return Crash()


EIO: Final = refused(errno.EIO)
EMFILE: Final = refused(errno.EMFILE)
EACCES: Final = refused(errno.EACCES)
ENOSPC: Final = refused(errno.ENOSPC)


class Calls:
    """The calls on what lies in `folder`; number `at` of those that `reads` or not fails.

    All after it fail too if `lasting`. Syncing is counted and not done: no power fails here.
    """

    def __init__(
        self,
        folder: Path,
        at: int | None = None,
        raising: Callable[[str], BaseException] = EIO,
        *,
        lasting: bool = False,
        reads: bool = False,
    ) -> None:
        self.seen: list[str] = []
        self._folder = str(folder)
        self._at = at
        self._raising = raising
        self._lasting = lasting
        self._reads = reads
        self._lock = threading.Lock()
        self._files: dict[int, str] = {}

    @contextlib.contextmanager
    def watched(self) -> Iterator["Calls"]:
        """Count calls, and let them fail, until the context ends."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CHANGING:
                patch.setattr(os, name, self._by_path(name, getattr(os, name), reads=False))
            for name in LISTING:
                patch.setattr(os, name, self._by_path(name, getattr(os, name), reads=True))
            patch.setattr(os, "open", self._opening(os.open))
            patch.setattr(os, "close", self._closing(os.close))
            patch.setattr(os, "write", self._by_file("write", os.write))
            patch.setattr(os, "fsync", self._by_file("fsync", lambda _: None))
            opened = self._opening_files(io.open)
            patch.setattr(io, "open", opened)
            patch.setattr(builtins, "open", opened)
            yield self

    def _count(self, name: str, path: str, *, reads: bool) -> None:
        if reads is not self._reads or not path.startswith(self._folder):
            return
        with self._lock:
            self.seen.append(f"{name} {path[len(self._folder) :]}")
            number = len(self.seen)
        at = self._at
        if at is not None and (number == at or (self._lasting and number > at)):
            raise self._raising(path)

    def _by_path(self, name: str, call: Callable[..., Any], *, reads: bool) -> Callable[..., Any]:
        def wrapped(path: Any = ".", *args: Any, **options: Any) -> Any:
            self._count(name, _text(path), reads=reads)
            return call(path, *args, **options)

        return wrapped

    def _by_file(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(descriptor: Any, *args: Any) -> Any:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self._count(name, self._files.get(number, ""), reads=False)
            return call(descriptor, *args)

        return wrapped

    def _opening(self, call: Callable[..., int]) -> Callable[..., int]:
        def wrapped(path: Any, flags: int, *args: Any, **options: Any) -> int:
            reads = not flags & _WRITING
            self._count("read" if reads else "open", _text(path), reads=reads)
            descriptor = call(path, flags, *args, **options)
            self._files[descriptor] = _text(path)
            return descriptor

        return wrapped

    def _closing(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def wrapped(descriptor: int) -> None:
            self._files.pop(descriptor, None)
            call(descriptor)

        return wrapped

    def _opening_files(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if not isinstance(file, int):
                reads = set(mode) <= set("rbt")
                self._count("read" if reads else "open", _text(file), reads=reads)
            return call(file, mode, *args, **options)

        return wrapped


def _text(path: Any) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
