"""What becomes of a beat after its request: it is drawn, tried again, or in error."""

import random
from typing import Any, Final

import msgspec

from imagegen.clock import MonotonicTime
from imagegen.engine import stop_reasons
from imagegen.engine.attempt import Attempt, Saved
from imagegen.engine.circuit_breaker import State
from imagegen.engine.queue import BeatQueue
from imagegen.engine.rejections import ALIKE
from imagegen.engine.reporter import StyleReporter
from imagegen.engine.state import PICTURE, RunState
from imagegen.engine.task import Task
from imagegen.engine.usage import record_usage
from imagegen.errors import ImagegenError
from imagegen.events.types import Waiting
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.providers.base import FaultKind, ProviderError

BACKOFF_SECONDS: Final = (2.0, 8.0, 30.0)
_LONGEST_WAIT: Final = 3600.0
"""Seconds that a service may ask a beat to wait, as it may ask a key."""

_QUOTA_OR_KEY: Final = frozenset(
    {
        FaultKind.LIMITED,
        FaultKind.SPENT_TODAY,
        FaultKind.NO_QUOTA,
        FaultKind.OUT_OF_CREDIT,
        FaultKind.KEY_REJECTED,
    }
)

_BEATS_OWN: Final = frozenset({FaultKind.REFUSED, FaultKind.BAD_REQUEST, FaultKind.BLOCKED})
"""Kinds of errors that say nothing of how the service is."""


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A beat without an image, `now` in `Clock.now()` seconds, with the fields to report."""

    task: Task
    fault: ProviderError
    now: MonotonicTime
    usage: dict[str, Any]
    sent: bool

    @property
    def error(self) -> BeatError:
        """The error as progress files have it."""
        fault = self.fault
        return BeatError(cause=fault.kind.value, reason=fault.reason, message=fault.message)


class Outcomes:
    """Decides what becomes of one style's beats; called under the runtime's lock."""

    def __init__(
        self,
        run: RunState,
        style: str,
        queue: BeatQueue,
        reporter: StyleReporter,
        seed: int | None = None,
    ) -> None:
        self._run = run
        self._style = style
        self._queue = queue
        self._reporter = reporter
        self._random = random.Random(seed)  # noqa: S311  # jitter

    def settle(self, task: Task, done: Attempt, now: MonotonicTime) -> None:
        """Act on what an attempt at a beat brought. `now` is in `Clock.now()` seconds."""
        usage, result = record_usage(self._run, done), done.result
        if done.key_update is not None:
            words = self._run.new_limit(result) if isinstance(result, ProviderError) else ""
            self._reporter.report_key(done.key_update, words=words)
        if isinstance(result, Saved):
            self._complete(task, result, usage)
        elif isinstance(result, ImagegenError):
            self._requeue(task, now, **usage)
            self._run.fail(result)
        else:
            self._fail(_Failure(task=task, fault=result, now=now, usage=usage, sent=done.sent))

    def give_up_for_good(self) -> None:
        """Put beats in error that met temporary errors in every round."""
        for task, error in self._queue.drain_given_up().items():
            self._in_error(task, error)

    def _complete(self, task: Task, saved: Saved, usage: dict[str, Any]) -> None:
        self._on_answer(task)
        self._run.room.saved(saved.bytes)
        self._run.trouble, self._run.useless_probes = None, 0
        if self._run.rejections.drawn(self._run.runtime.clock.now()):
            self._run.runtime.wake()
        self._queue.drawn(task)
        self._run.note_shape(saved.misfit)
        self._report(
            task,
            Status.COMPLETE,
            attempt=task.attempts + 1,
            image_path=saved.path,
            bytes=saved.bytes,
            width=saved.width,
            height=saved.height,
            misfit=saved.misfit.words if saved.misfit is not None else None,
            **usage,
        )

    def _fail(self, failure: _Failure) -> None:
        task, fault = failure.task, failure.fault
        if fault.kind not in _BEATS_OWN:
            self._run.trouble = fault
        if fault.stale:
            # Nothing was answered: the connection was gone before the request was there.
            self._run.circuit_breaker.on_unsent(task)
            self._requeue_failed(failure)
        elif fault.kind is FaultKind.PASSING:
            self._passing(failure)
        elif fault.kind is FaultKind.NETWORK:
            self._in_the_way(failure)
        else:
            self._answer(failure)

    def _answer(self, failure: _Failure) -> None:
        """Act on an answer of the service, or on a beat that could not be sent."""
        run, task, fault = self._run, failure.task, failure.fault
        if failure.sent:
            self._on_answer(task)
        else:
            run.circuit_breaker.on_unsent(task)
            if run.circuit_breaker.is_open:
                # Another beat may be the probe.
                run.runtime.wake()
        if fault.kind in _QUOTA_OR_KEY and run.key_pool is not None:
            run.counts.limited += fault.kind is FaultKind.LIMITED
            self._reporter.warn_shared_quota()
            self._requeue_failed(failure)
        elif fault.kind is FaultKind.UNKNOWN_FIELD:
            self._requeue_failed(failure)
            run.warn_once(fault.message)
        elif fault.kind is FaultKind.MODEL_GONE:
            self._requeue_failed(failure)
            run.model_gone = run.model_gone or fault.message
        elif fault.kind in {FaultKind.REDIRECTED, FaultKind.UNUSABLE}:
            self._requeue_failed(failure)
            run.request_stop(stop_reasons.bad_base_url(fault.kind, fault.message))
        elif fault.kind is FaultKind.NO_PICTURE or fault.kind in _QUOTA_OR_KEY:
            # Without keys nothing but the attempts bounds how often this is met.
            task.attempts += 1
            task.empty_responses += 1
            if task.empty_responses >= run.options.max_attempts:
                self._reject(failure)
            else:
                self._retry(failure)
        elif failure.sent and fault.kind is FaultKind.BAD_REQUEST:
            task.attempts += 1
            self._reject(failure)
        else:
            task.attempts += 1
            self._in_error(task, failure.error, **failure.usage)

    def _reject(self, failure: _Failure) -> None:
        """Put a beat in error, unless every request may be rejected as this one is."""
        task, fault = failure.task, failure.fault
        if self._run.rejections.charges(task, task.beat.key, fault, task.beat.words):
            self._in_error(task, failure.error, **failure.usage)
        else:
            # Other beats come first, for they may show what caused the error.
            self._requeue(task, failure.now + BACKOFF_SECONDS[-1], **failure.usage)

    def _in_the_way(self, failure: _Failure) -> None:
        """Handle an error on the way to the service that needs the user.

        Once the service has answered in this run, it may be a moment's trouble.
        """
        task, drawn = failure.task, self._run.counts.answers[PICTURE] > 0
        limit = ALIKE if drawn else 1
        if self._run.rejections.charges(task, task, failure.fault, limit=limit) and drawn:
            self._passing(failure)
        else:
            self._run.circuit_breaker.on_unsent(task)
            self._requeue_failed(failure)

    def _passing(self, failure: _Failure) -> None:
        run, task, fault = self._run, failure.task, failure.fault
        if fault.is_useless:
            sent_at = failure.now - failure.usage.get("seconds", 0.0)
            run.rejections.note(task.beat.key, fault, task.beat.words, sent_at=sent_at)
        outage = run.circuit_breaker
        retry_after = min(fault.retry_after or 0.0, _LONGEST_WAIT)
        counts, taken_back = outage.on_failure(task, failure.now, retry_after)
        if not counts:
            self._requeue(task, failure.now, error=failure.error, **failure.usage)
        else:
            task.attempts += 1
            self._retry(failure, at_least=retry_after)
        if outage.state is State.HALF_OPEN and fault.was_drawn:
            run.useless_probes += 1
            if run.useless_probes >= ALIKE and run.shutdown is None:
                run.request_stop(stop_reasons.useless_answers(fault))
        for other in taken_back:
            other.worker.refund_attempt(other)
        if taken_back:
            run.announce_half_open()
        if outage.is_open:
            # When the next probe may leave has changed, for every style.
            run.runtime.wake()

    def _on_answer(self, task: Task) -> None:
        held_up = self._run.circuit_breaker.state is not State.CLOSED
        if self._run.circuit_breaker.on_response(task):
            self._run.emit(Waiting(reason="online", message="the service answers again"))
        if held_up:
            # Other styles may be waiting for no certain time.
            self._run.runtime.wake()

    def _retry(self, failure: _Failure, *, at_least: float = 0.0) -> None:
        """Try a beat again, after a back-off or, its attempts used up, in another round.

        Not before `at_least` seconds have passed.
        """
        task, error = failure.task, failure.error
        if task.attempts < self._run.options.max_attempts:
            pause = BACKOFF_SECONDS[min(task.attempts, len(BACKOFF_SECONDS)) - 1]
            pause = max(pause * self._random.uniform(0.75, 1.25), at_least)
            at = failure.now + pause
            self._requeue(task, at, error=error, attempt=task.attempts, **failure.usage)
            return
        self._queue.give_up(task, error)
        self._report(task, Status.PENDING, error=error, **failure.usage)

    def _requeue_failed(self, failure: _Failure) -> None:
        """Send a beat again at once: the error is not counted against it."""
        self._requeue(failure.task, failure.now, **failure.usage)

    def _requeue(self, task: Task, at: float, **fields: object) -> None:
        self._queue.requeue(task, at)
        self._report(task, Status.PENDING, **fields)

    def _in_error(self, task: Task, error: BeatError, **fields: object) -> None:
        self._run.counts.errors += 1
        blocked_by_it = self._queue.in_error(task)
        self._report(task, Status.ERROR, error=error, attempt=task.attempts, **fields)
        for blocked in blocked_by_it:
            self._report(blocked, Status.BLOCKED, blocked_by=task.beat.beat)
        if self._run.options.fail_fast and self._run.shutdown is None:
            self._run.request_stop(stop_reasons.first_error(self._style, task.beat))

    def _report(self, task: Task, status: Status, **fields: object) -> None:
        self._reporter.report_beat(task.beat, status, self._queue.completed, **fields)
