"""What runs the engine: clock, threads, and the bell that wakes them.

The engine's parts are steppers: each `step` does all that can be done now and says when to
call it again. Real threads drive them here; tests drive the same steppers through virtual
minutes in one thread.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from imagegen.clock import Clock, SystemClock
from imagegen.providers.base import MAX_IN_FLIGHT

_LEAST: Final = 64
_STYLES: Final = 3
_MEMORY: Final = 4 * 1024 * 1024
"""Bytes of a request in flight: its thread, and an answer of 2 MB in base64 that is decoded."""
_DESCRIPTORS: Final = 256
"""Open files that are for all else."""
_CONTAINER_LIMITS: Final = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
"""A container's limit of memory in bytes, in version 2 and 1 of control groups:
https://docs.kernel.org/admin-guide/cgroup-v2.html, `memory.max`, and cgroup-v1/memory.html"""

_LOOK = 1.0
"""Seconds between looks at the clock in a wait. Waits are measured by a clock that stops
while the machine sleeps, and `Clock.now()` goes on: without a look, a wait would last its full
time after the machine woke, though all it waited for had passed."""

_LAST_STEP = 1.0
"""Seconds that a stepper has for its last step; it does not wait in one."""


@cache
def max_width() -> int:
    """Return how many requests of one style may be in flight: by memory and open files.

    Three styles may take half of the machine's memory. The soft limit of open files is raised
    as far as the system lets this process raise it.
    """
    by_memory = _memory() // 2 // _MEMORY // _STYLES
    return max(_LEAST, min(MAX_IN_FLIGHT, by_memory, _open_files() // _STYLES))


def _memory() -> int:
    """Return the machine's or container's memory in bytes; enough for all if it is unknown."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        # Windows has no sysconf.
        machine = 2 * MAX_IN_FLIGHT * _MEMORY * _STYLES
    limits = [machine]
    for file in _CONTAINER_LIMITS:
        # Another system has no such file, and "max" is no limit.
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text("ascii")))
    return min(limits)


def _open_files() -> int:
    """Return how many files the requests of all styles may have open, each its connection."""
    if sys.platform == "win32":
        # A socket there is not limited by the number of open files.
        return MAX_IN_FLIGHT * _STYLES
    import resource  # noqa: PLC0415  # Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MAX_IN_FLIGHT * _STYLES + _DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return needed if soft == resource.RLIM_INFINITY else soft - _DESCRIPTORS


class Stepper(Protocol):
    """A part of the engine that acts at moments and waits in between."""

    name: str

    def step(self) -> float | None:
        """Act, and return when to be called again (in `Clock.now()` seconds) or None: done.

        Called with the runtime's lock held, at that time at the latest and at every ring.
        """
        ...


class Executor(Protocol):
    """Runs jobs beside the steppers, a limited number at once."""

    def submit(self, job: Callable[[], None], /) -> object:
        """Run a job soon. Jobs do not raise."""
        ...

    def shutdown(self, *, wait: bool = True) -> None:
        """Take no more jobs."""
        ...


class Runtime(Protocol):
    """The outside world of the engine."""

    clock: Clock
    lock: AbstractContextManager[object]

    def executor(self, width: int, name: str) -> Executor:
        """Return an executor of at most `width` threads, made as needed."""
        ...

    def wake(self, stepper: Stepper | None = None) -> None:
        """Call a stepper again, or every one."""
        ...

    def drive(self, steppers: Sequence[Stepper]) -> None:
        """Call steppers until the last of them is done; that one is called in this thread."""
        ...


class ThreadRuntime:
    """Real time, a thread for each stepper.

    One lock guards the engine's state. Each stepper has a bell of its own, so that a
    thread that rings waits for no lock.
    """

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.lock: AbstractContextManager[object] = threading.RLock()
        self._wakeups: dict[Stepper, threading.Event] = {}
        self._crash: BaseException | None = None

    def executor(self, width: int, name: str) -> Executor:
        """Return a thread pool."""
        return ThreadPoolExecutor(min(width, max_width()), thread_name_prefix=name)

    def wake(self, stepper: Stepper | None = None) -> None:
        """Wake a stepper, or every one."""
        if stepper is None:
            for bell in self._wakeups.values():
                bell.set()
        elif stepper in self._wakeups:
            self._wakeups[stepper].set()

    def drive(self, steppers: Sequence[Stepper]) -> None:
        """Run all steppers; raises what any of them raised."""
        self._wakeups = {stepper: threading.Event() for stepper in steppers}
        *background, last = steppers
        threads = [
            threading.Thread(target=self._loop, args=(stepper,), name=stepper.name, daemon=True)
            for stepper in background
        ]
        for thread in threads:
            thread.start()
        self._loop(last)
        for thread in threads:
            thread.join(_LAST_STEP)
        if self._crash is not None:
            raise self._crash

    def _loop(self, stepper: Stepper) -> None:
        bell = self._wakeups[stepper]
        try:
            while self._crash is None:
                # First, so that what rings during the step is not lost.
                bell.clear()
                with self.lock:
                    next_at = stepper.step()
                if next_at is None:
                    break
                self._wait(bell, next_at)
        except BaseException as error:  # noqa: BLE001  # raised again by `drive`
            self._crash = error
        self.wake()

    def _wait(self, bell: threading.Event, until: float) -> None:
        """Wait until that time, or for the bell."""
        while not bell.wait(min(_LOOK, max(0.0, until - self.clock.now()))):
            if self.clock.now() >= until:
                return
