"""What runs the engine: clock, threads, and the bell that wakes them.

The engine's parts are steppers: each `step` does all that can be done now and says when to
call it again. Real threads drive them here; tests drive the same steppers through virtual
minutes in one thread.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol

from imagegen.clock import Clock, SystemClock

MAX_WIDTH = 256
"""Threads of one style at most: more cost memory and gain nothing."""


_LOOK = 1.0
"""Seconds between looks at the clock in a wait. Waits are measured by a clock that stops
while the machine sleeps, and `Clock.now()` goes on: without a look, a wait would last its full
time after the machine woke, though all it waited for had passed."""

_LAST_STEP = 1.0
"""Seconds that a stepper has for its last step; it does not wait in one."""


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
        return ThreadPoolExecutor(min(width, MAX_WIDTH), thread_name_prefix=name)

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
        *others, last = steppers
        threads = [
            threading.Thread(target=self._loop, args=(stepper,), name=stepper.name, daemon=True)
            for stepper in others
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
                    again = stepper.step()
                if again is None:
                    break
                self._wait(bell, again)
        except BaseException as error:  # noqa: BLE001  # raised again by `drive`
            self._crash = error
        self.wake()

    def _wait(self, bell: threading.Event, until: float) -> None:
        """Wait until that time, or for the bell."""
        while not bell.wait(min(_LOOK, max(0.0, until - self.clock.now()))):
            if self.clock.now() >= until:
                return
