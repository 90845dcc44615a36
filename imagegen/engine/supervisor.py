"""Watches over a run: signals, requests to stop, outages, and when all is done."""

import errno
from collections import deque
from collections.abc import Sequence
from typing import Final

from imagegen.engine import stop_reasons
from imagegen.engine.circuit_breaker import State
from imagegen.engine.eta import Forecaster
from imagegen.engine.state import Haste, Run
from imagegen.engine.worker import Worker
from imagegen.errors import ClosedOutputError, Exit, StorageError
from imagegen.events.types import Wait, Warned
from imagegen.project import record
from imagegen.providers.base import Fault, Kind
from imagegen.times import day, iso_exact

_LOOK: Final = 0.1
"""Seconds between looks at signals: a handler may not ring, only leave a note."""

_LOOK_AT_DISK: Final = 0.5

_AFTER: Final = "status tells afterwards which pictures are outdated"


class Supervisor:
    """Runs in the main thread until the run is over."""

    name = "supervisor"

    def __init__(self, run: Run, workers: Sequence[Worker]) -> None:
        self._run = run
        self._workers = workers
        self._executor = run.runtime.executor(1, "probe")
        self._signals: deque[Exit] = deque()
        self._broken: deque[BaseException] = deque()
        self._answers: deque[tuple[str, ...] | Fault | BaseException] = deque()
        self._signalled = False
        self._asking = False
        self._looked = 0.0
        self._forecaster = Forecaster(run, workers)

    def signal(self, code: Exit) -> None:
        """Leave a note of a signal. May be called from a signal handler."""
        self._signals.append(code)

    def recorder_failed(self, error: BaseException) -> None:
        """Leave a note that nothing can be recorded. May be called from any thread."""
        self._broken.append(error)

    def display_failed(self, error: BaseException) -> None:
        """Leave a note that a display failed: a closed pipe or our own disk ends the run.

        May be called from any thread.
        """
        # Windows says of a closed pipe that the argument is invalid.
        closed = isinstance(error, OSError) and error.errno in {errno.EPIPE, errno.EINVAL}
        if closed or isinstance(error, ClosedOutputError):
            self._broken.append(ClosedOutputError(str(error)))
        elif isinstance(error, StorageError):
            # The run's log: what is drawn next would not find room either.
            self._broken.append(error)
        else:
            message = f"what happens cannot be shown any more ({error}); drawing goes on"
            self._run.emit(Warned(message=message))

    def step(self) -> float | None:
        """Look at everything that may end the run, or that an outage wants asked."""
        run, now = self._run, self._run.runtime.clock.now()
        self._heed_signals()
        self._heed_listeners()
        self._look_at_disk(now)
        self._heed_answers(now)
        if run.hurried or all(worker.ended for worker in self._workers):
            self._executor.shutdown(wait=False)
            return None
        self._ask_where_due(now)
        self._forecaster.step(now)
        if run.haste is None and run.outage.hopeless:
            run.end(stop_reasons.provider_down(run))
        return now + _LOOK

    def _heed_signals(self) -> None:
        while self._signals:
            code = self._signals.popleft()
            first = code is Exit.SIGINT and not self._signalled
            haste = Haste.FINISH if first else Haste.NOW
            self._signalled = True
            self._run.end(stop_reasons.interrupted(code, self._run), haste)
            in_flight = sum(worker.in_flight for worker in self._workers)
            if haste is Haste.FINISH and in_flight:
                words = f"finishing {in_flight} in flight, then stopping; again to stop at once"
                self._say_stopping("finishing", words)

    def _say_stopping(self, reason: str, message: str) -> None:
        self._run.emit(
            Wait(
                reason=reason,
                message=message,
                seconds=self._run.options.timeout,
                until=iso_exact(self._run.wall_in(self._run.options.timeout)),
            )
        )

    def _heed_listeners(self) -> None:
        while self._broken:
            error = self._broken.popleft()
            if isinstance(error, ClosedOutputError):
                self._run.end(stop_reasons.closed_output(), Haste.NOW)
            elif isinstance(error, StorageError):
                self._run.end_with(error)
            else:
                raise error

    def heed_late_faults(self) -> bool:
        """Take in what listeners failed at after the last step; returns whether any did."""
        found = bool(self._broken)
        with self._run.runtime.lock:
            self._heed_listeners()
        return found

    def _look_at_disk(self, now: float) -> None:
        """See whether the ledger is there, what was edited, and whether a stop is asked for."""
        if self._run.haste is not None or now - self._looked < _LOOK_AT_DISK:
            return
        self._looked = now
        if self._run.keys is not None and self._run.keys.look():
            self._run.runtime.ring()
        for name in self._run.edited.since():
            message = f"{name} has changed: this run draws what it read at its start. {_AFTER}"
            self._run.emit(Warned(message=message))
        if record.stop_requested(self._run.layout, self._run.options.run):
            self._run.end(stop_reasons.stopped(self._run))
            in_flight = sum(worker.in_flight for worker in self._workers)
            if in_flight:
                self._say_stopping("stopping", f"finishing {in_flight} in flight, then stopping")

    def _ask_where_due(self, now: float) -> None:
        at = 0.0 if self._run.model_gone is not None else self._run.outage.ask_at()
        if at is None or at > now or self._asking or self._run.haste is not None:
            return
        self._asking = True
        self._executor.submit(self._ask)

    def _ask(self) -> None:
        """Run in a pool thread."""
        answer: tuple[str, ...] | Fault | BaseException
        try:
            key = self._run.keys.any_key() if self._run.keys is not None else None
            answer = self._run.provider.models(key)
        except BaseException as error:  # noqa: BLE001  # raised again by `step`
            answer = error
        self._answers.append(answer)
        self._run.runtime.ring()

    def _heed_answers(self, now: float) -> None:
        while self._answers:
            answer = self._answers.popleft()
            self._asking = False
            if isinstance(answer, BaseException):
                raise answer
            if self._run.model_gone is not None:
                provider = self._run.provider
                about = provider.catalogue.find(provider.model).about_end(
                    day(self._run.runtime.clock.wall())
                )
                self._run.end(
                    stop_reasons.model_gone(provider.model, self._run.model_gone, answer, about)
                )
                self._run.model_gone = None
                continue
            up = not (isinstance(answer, Fault) and answer.kind in {Kind.PASSING, Kind.NETWORK})
            if isinstance(answer, Fault) and not up:
                self._run.trouble = answer
            was_suspended = self._run.outage.suspended
            for task in self._run.outage.told(up=up, now=now):
                task.worker.take_back(task)
            self._tell_outage(now, was_suspended=was_suspended)
            self._run.runtime.ring()

    def _tell_outage(self, now: float, *, was_suspended: bool) -> None:
        outage = self._run.outage
        if outage.state is State.DOWN:
            since = self._run.wall_in((outage.since or now) - now)
            next_ask = outage.ask_at() or now
            self._run.emit(
                Wait(
                    reason="offline",
                    message=f"offline since {stop_reasons.clock_time(since)}{self._run.harm}",
                    seconds=round(next_ask - now, 1),
                    until=iso_exact(self._run.wall_in(next_ask - now)),
                )
            )
        elif outage.state is State.TRYING:
            self._run.tell_trying()
        elif was_suspended:
            self._run.emit(Wait(reason="online", message="the service answers again"))
