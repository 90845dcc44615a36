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

from imagegen.keys.clock import Clock, SystemClock

MAX_WIDTH = 256
"""Threads of one style at most: more cost memory and gain nothing."""


_LONGEST_WAIT = 3600.0
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
    """Runs jobs beside the steppers, at most so many at once."""

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

    def ring(self) -> None:
        """Call every stepper again."""
        ...

    def drive(self, steppers: Sequence[Stepper]) -> None:
        """Call steppers until the last of them is done; that one is called in this thread."""
        ...


class ThreadRuntime:
    """Real time, a thread for each stepper.

    One condition is both the lock that guards the engine's state and the bell.
    """

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self._bell = threading.Condition(threading.RLock())
        self.lock: AbstractContextManager[object] = self._bell
        self._crash: BaseException | None = None

    def executor(self, width: int, name: str) -> Executor:
        """Return a thread pool."""
        return ThreadPoolExecutor(min(width, MAX_WIDTH), thread_name_prefix=name)

    def ring(self) -> None:
        """Wake every stepper."""
        with self._bell:
            self._bell.notify_all()

    def drive(self, steppers: Sequence[Stepper]) -> None:
        """Run all steppers; raises what any of them raised."""
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
        try:
            with self._bell:
                while self._crash is None:
                    again = stepper.step()
                    if again is None:
                        break
                    pause = max(0.0, again - self.clock.now())
                    self._bell.wait(min(_LONGEST_WAIT, pause))
        except BaseException as error:  # noqa: BLE001  # raised again by `drive`
            self._crash = error
        self.ring()
