"""Watches over a run: signals, requests to stop, outages, and when all is done."""

import errno
from collections import deque
from collections.abc import Sequence
from typing import Final

from imagegen.clock import MonotonicTime
from imagegen.engine import stop_reasons
from imagegen.engine.circuit_breaker import State
from imagegen.engine.eta import Forecaster
from imagegen.engine.state import RunState, Shutdown
from imagegen.engine.worker import Worker
from imagegen.errors import ClosedOutputError, Exit, StorageError
from imagegen.events.types import Waiting, WarningEvent
from imagegen.project import record
from imagegen.providers.base import FaultKind, ProviderError
from imagegen.times import day, iso_millis

_LOOK: Final = 0.1
"""Seconds between looks at signals: a handler may not ring, only leave a note."""

_DISK_POLL_SECONDS: Final = 0.5

_AFTER: Final = "`status` then shows which images are outdated"


class Supervisor:
    """Runs in the main thread until the run is over."""

    name = "supervisor"

    def __init__(self, run: RunState, workers: Sequence[Worker]) -> None:
        self._run = run
        self._workers = workers
        self._executor = run.runtime.executor(1, "probe")
        self._signals: deque[Exit] = deque()
        self._broken: deque[BaseException] = deque()
        self._answers: deque[tuple[str, ...] | ProviderError | BaseException] = deque()
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
            self._run.emit(WarningEvent(message=message))

    def step(self) -> float | None:
        """Check everything that may end the run, and probe during an outage."""
        run, now = self._run, self._run.runtime.clock.now()
        self._handle_signals()
        self._handle_listeners()
        self._poll_disk(now)
        self._handle_answers(now)
        if run.stopping_now or all(worker.ended for worker in self._workers):
            self._executor.shutdown(wait=False)
            return None
        self._probe_if_due(now)
        self._forecaster.step(now)
        if run.shutdown is None and run.circuit_breaker.has_timed_out:
            run.request_stop(stop_reasons.provider_down(run))
        return now + _LOOK

    def _handle_signals(self) -> None:
        while self._signals:
            code = self._signals.popleft()
            first = code is Exit.SIGINT and not self._signalled
            haste = Shutdown.GRACEFUL if first else Shutdown.IMMEDIATE
            self._signalled = True
            self._run.request_stop(stop_reasons.interrupted(code, self._run), haste)
            in_flight = sum(worker.in_flight for worker in self._workers)
            if haste is Shutdown.GRACEFUL and in_flight:
                words = f"finishing {in_flight} in flight, then stopping; again to stop at once"
                self._announce_stop("finishing", words)

    def _announce_stop(self, reason: str, message: str) -> None:
        self._run.emit(
            Waiting(
                reason=reason,
                message=message,
                seconds=self._run.options.timeout,
                until=iso_millis(self._run.wall_after(self._run.options.timeout)),
            )
        )

    def _handle_listeners(self) -> None:
        while self._broken:
            error = self._broken.popleft()
            if isinstance(error, ClosedOutputError):
                self._run.request_stop(stop_reasons.stdout_closed(), Shutdown.IMMEDIATE)
            elif isinstance(error, StorageError):
                self._run.fail(error)
            else:
                raise error

    def collect_listener_errors(self) -> bool:
        """Handle errors of listeners since the last step; returns whether any failed."""
        any_failed = bool(self._broken)
        with self._run.runtime.lock:
            self._handle_listeners()
        return any_failed

    def _poll_disk(self, now: MonotonicTime) -> None:
        """See whether the ledger is there, what was edited, and whether a stop is asked for."""
        if self._run.shutdown is not None or now - self._looked < _DISK_POLL_SECONDS:
            return
        self._looked = now
        if self._run.key_pool is not None and self._run.key_pool.refresh():
            self._run.runtime.wake()
        for name in self._run.file_watch.changed():
            message = f"{name} has changed: this run draws what it read at its start. {_AFTER}"
            self._run.emit(WarningEvent(message=message))
        if record.stop_requested(self._run.layout, self._run.options.run):
            self._run.request_stop(stop_reasons.stopped(self._run))
            in_flight = sum(worker.in_flight for worker in self._workers)
            if in_flight:
                self._announce_stop("stopping", f"finishing {in_flight} in flight, then stopping")

    def _probe_if_due(self, now: MonotonicTime) -> None:
        at = 0.0 if self._run.model_gone is not None else self._run.circuit_breaker.next_probe_at()
        if at is None or at > now or self._asking or self._run.shutdown is not None:
            return
        self._asking = True
        self._executor.submit(self._probe)

    def _probe(self) -> None:
        """Run in a pool thread."""
        answer: tuple[str, ...] | ProviderError | BaseException
        try:
            key = self._run.key_pool.probe_key() if self._run.key_pool is not None else None
            answer = self._run.provider.models(key)
        except BaseException as error:  # noqa: BLE001  # raised again by `step`
            answer = error
        self._answers.append(answer)
        self._run.runtime.wake()

    def _handle_answers(self, now: MonotonicTime) -> None:
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
                self._run.request_stop(
                    stop_reasons.model_gone(provider.model, self._run.model_gone, answer, about)
                )
                self._run.model_gone = None
                continue
            up = not (
                isinstance(answer, ProviderError)
                and answer.kind in {FaultKind.PASSING, FaultKind.NETWORK}
            )
            if isinstance(answer, ProviderError) and not up:
                self._run.trouble = answer
            was_suspended = self._run.circuit_breaker.is_open
            for task in self._run.circuit_breaker.on_probe_result(up=up, now=now):
                task.worker.refund_attempt(task)
            self._report_outage(now, was_suspended=was_suspended)
            self._run.runtime.wake()

    def _report_outage(self, now: MonotonicTime, *, was_suspended: bool) -> None:
        outage = self._run.circuit_breaker
        if outage.state is State.OPEN:
            since = self._run.wall_after((outage.since or now) - now)
            next_ask = outage.next_probe_at() or now
            self._run.emit(
                Waiting(
                    reason="offline",
                    message=f"offline since {stop_reasons.clock_time(since)}{self._run.harm}",
                    seconds=round(next_ask - now, 1),
                    until=iso_millis(self._run.wall_after(next_ask - now)),
                )
            )
        elif outage.state is State.HALF_OPEN:
            self._run.announce_half_open()
        elif was_suspended:
            self._run.emit(Waiting(reason="online", message="the service answers again"))
