"""One style's worker: takes its beats one by one, and has a pool of threads send and save them."""

import math
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from imagegen.clock import MonotonicTime
from imagegen.engine import stop_reasons
from imagegen.engine.attempt import Attempt, draw_once
from imagegen.engine.outcomes import Outcomes
from imagegen.engine.queue import ROUND_DELAY, BeatQueue
from imagegen.engine.reporter import StyleReporter
from imagegen.engine.runtime import max_width
from imagegen.engine.state import RunState
from imagegen.engine.task import Task
from imagegen.project.beat_status import Status
from imagegen.quota.pool import Exhausted, Lease
from imagegen.quota.pool import Throttled as KeyWait
from imagegen.spending.account import Refusal
from imagegen.spending.ledger import Entry
from imagegen.workspace.plan import Planned

NEVER: Final = math.inf
EPSILON: Final = 0.001
"""Seconds after the last chance to send, when it is surely gone."""


class Worker:
    """Draws the beats of one style, those of its `queue`.

    Its state is guarded by the runtime's lock.
    """

    def __init__(
        self,
        run: RunState,
        style: str,
        beats: Sequence[Planned],
        width: int,
        seed: int | None = None,
    ) -> None:
        self.name = f"worker {style}"
        self.style = style
        self.ended = False
        self._run = run
        self._width = width
        self._executor = run.runtime.executor(width, style)
        self.queue = BeatQueue(self, beats)
        self._in_flight = 0
        self._inbox: deque[tuple[Task, Attempt | BaseException]] = deque()
        self._finished = False
        self.last_sent = 0.0
        """When the latest request was begun, in `Clock.now()` seconds."""
        self._reporter = StyleReporter(run, style, self.queue.total)
        self._outcomes = Outcomes(run, style, self.queue, self._reporter, seed)
        self._began = False
        if run.key_pool is not None and self.queue.next_due is not None:
            run.key_pool.register_demand(style)

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return self._in_flight

    @property
    def width(self) -> int:
        """How many requests may be in flight at once."""
        return self._width

    @property
    def remaining(self) -> int:
        """How many beats are still to be sent in this run, as far as is known."""
        return 0 if self._finished else self.queue.remaining

    def step(self) -> float | None:
        """Process answers, and send what can be sent."""
        now = self._run.runtime.clock.now()
        if not self._began:
            self._began = True
            self._reporter.report_keys()
        self._process_results(now)
        next_at = self._advance(now)
        if self._run.shutdown is not None or self._finished:
            return self._shut_down()
        last_chance = self._run.send_deadline
        return min(next_at, last_chance + EPSILON) if last_chance >= now else next_at

    def refund_attempt(self, task: Task) -> None:
        """Undo one error that was counted against a beat but was the service's."""
        task.attempts = max(0, task.attempts - 1)
        self.queue.restore(task, self._run.runtime.clock.now())

    def _advance(self, now: MonotonicTime) -> float:
        """Do what comes next, if anything is left to do; returns when to look again."""
        run = self._run
        if run.shutdown is not None or self._finished:
            return now
        next_at = self._send(now)
        if self._finished or self.queue.next_due is not None or self._in_flight:
            return next_at
        if self.queue.has_given_up and run.circuit_breaker.next_probe_at() is not None:
            # It is about to be known whether the beats or the service caused the errors.
            if not self._past_deadline(now):
                return NEVER
            self._out_of_time(now)
        elif not self._another_round(now):
            self._outcomes.give_up_for_good()
            self._finished = True
        return now

    def _past_deadline(self, at: float) -> bool:
        """Return whether to stop because a request that leaves `at` could not finish in time.

        While requests are in flight that is not decided yet: their answers may show
        that the service is faster than `timeout`.
        """
        return not self._in_flight and at > self._run.send_deadline

    def _send(self, now: MonotonicTime) -> float:
        """Send while beats are due and keys free; returns when to go on."""
        run = self._run
        next_at = NEVER
        while (next_due := self.queue.next_due) is not None and self._in_flight < self._width:
            if run.rejections.suspect is not None:
                # What is in flight shows whether every request is rejected.
                next_at = NEVER
                break
            due = max(next_due, run.circuit_breaker.next_send_at(now))
            # When an outage ends is not known: until then only the clock decides.
            if self._past_deadline(due if due < NEVER else now):
                self._out_of_time(due if due < NEVER else now)
                break
            if due > now or now > run.send_deadline or run.model_gone is not None:
                if now < next_due == due:
                    self._reporter.retries(due, now)
                next_at = due if due > now else NEVER
                break
            if not self._has_means():
                next_at = NEVER
                break
            if run.concurrency is not None and not run.concurrency.acquire(self.style):
                return NEVER
            lease = run.key_pool.lease(self.style) if run.key_pool is not None else None
            if isinstance(lease, KeyWait):
                self._wait(lease.until, now)
                return lease.until
            if not self._send_next(lease):
                break
        self._release_demand()
        return next_at

    def _has_means(self) -> bool:
        """Return whether money and room allow one more request; end the run if none ever will."""
        run = self._run
        means = {
            run.spending.can_afford: stop_reasons.out_of_money,
            run.room.allows: stop_reasons.out_of_room,
        }
        for allows, ending in means.items():
            if not allows(run.counts.in_flight + 1):
                # Those in flight may turn out cheaper or smaller than they could.
                if not run.counts.in_flight:
                    run.request_stop(ending(run))
                return False
        return True

    def _send_next(self, lease: Lease | Exhausted | None) -> bool:
        """Send the next beat; return False if no key is left, or no money."""
        if isinstance(lease, Exhausted):
            self._stop_without_keys(lease)
            return False
        reserved = self._reserve(lease)
        if isinstance(reserved, Refusal):
            return False
        self._start(self.queue.pop(), lease, reserved)
        return True

    def _reserve(self, lease: Lease | None) -> Entry | Refusal | None:
        """Write the next request into the ledger of the user's spending.

        If it could pass a limit, give back its key and place, and end the run unless requests in
        flight may turn out cheaper.
        """
        run = self._run
        if run.account is None:
            return None
        tail = lease.secret.tail if lease is not None else ""
        reserved = run.account.reserve(self.style, tail, run.spending.highest)
        if isinstance(reserved, Refusal):
            if lease is not None and run.key_pool is not None:
                run.key_pool.release(lease)
            if run.concurrency is not None:
                run.concurrency.release()
            run.spending.limit_reached = True
            if not run.counts.in_flight:
                run.request_stop(stop_reasons.spending_limit(reserved, run))
        return reserved

    def _release_demand(self) -> None:
        """Leave the keys, or the places, to others for now."""
        if self._run.concurrency is not None and self._run.concurrency.cancel(self.style):
            self._run.runtime.wake()
        if self._run.key_pool is None:
            return
        waiting = self.queue.next_due is not None
        if waiting and self._in_flight >= max_width():
            self._reporter.warn_width_cap(max_width())
        self._run.key_pool.cancel_demand(self.style)
        if not waiting:
            self._lend_keys()

    def _start(self, task: Task, lease: Lease | None, reserved: Entry | None) -> None:
        self._in_flight += 1
        self._run.counts.in_flight += 1
        self.last_sent = self._run.runtime.clock.now()
        self._run.circuit_breaker.on_send(task)
        tail = lease.secret.tail if lease else None
        self._reporter.report_beat(
            task.beat,
            Status.GENERATING,
            self.queue.completed,
            attempt=task.attempts + 1,
            key=tail,
        )
        try:
            self._executor.submit(partial(self._job, task, lease, reserved))
        except RuntimeError:
            # No more threads are allowed here. The job waits for one of those there are;
            # from now on no more are sent at once than they can carry.
            if self._in_flight == 1:
                raise
            self._width = self._in_flight

    def _job(self, task: Task, lease: Lease | None, reserved: Entry | None) -> None:
        """Run in a pool thread."""
        result: Attempt | BaseException
        try:
            result = draw_once(self._run, task.beat, lease, reserved)
        except BaseException as error:  # noqa: BLE001  # raised again where it ends the run
            result = error
        self._inbox.append((task, result))
        if isinstance(result, Attempt) and result.sent:
            self._run.runtime.wake(self)
        else:
            # A place in a minute that was given back may be one that others wait for.
            self._run.runtime.wake()

    def _lend_keys(self) -> None:
        """Lend this style's keys to other styles until it has something to send."""
        keys, places = self._run.key_pool, self._run.concurrency
        if (keys is not None and keys.mark_idle(self.style)) or (
            places is not None and places.cancel(self.style)
        ):
            self._run.runtime.wake()

    def _wait(self, until: float, now: MonotonicTime) -> None:
        # When another style is done and lends its keys is not known: only the clock decides.
        if self._past_deadline(until if until < NEVER else now):
            self._out_of_time(until if until < NEVER else now)
        else:
            self._reporter.report_wait(until, now)

    def _process_results(self, now: MonotonicTime) -> None:
        answered = bool(self._inbox)
        while self._inbox:
            task, result = self._inbox.popleft()
            self._in_flight -= 1
            self._run.counts.in_flight -= 1
            if self._run.concurrency is not None:
                self._run.concurrency.release()
                self._run.runtime.wake()
            if isinstance(result, BaseException):
                raise result
            self._outcomes.settle(task, result, now)
        if answered and (self._run.spending.limit_reached or self._run.room.short):
            # Whether money or room is left after all concerns every style.
            self._run.spending.limit_reached = self._run.room.short = False
            self._run.runtime.wake()
        suspect = self._run.rejections.suspect
        if suspect is not None and not self._run.counts.in_flight and self._run.shutdown is None:
            self._run.request_stop(stop_reasons.rejected_alike(suspect))

    def _another_round(self, now: MonotonicTime) -> bool:
        """Give beats that only met temporary errors one more round, half a minute later."""
        beats = self.queue.start_retry_round(now)
        if beats:
            self._reporter.report_retry_round(beats, ROUND_DELAY)
        return beats > 0

    def _shut_down(self) -> float | None:
        """End this worker as soon as nothing is in flight."""
        self._finished = True
        self._lend_keys()
        if self._in_flight and not self._run.stopping_now:
            return NEVER
        if not self.ended:
            self.ended = True
            self._executor.shutdown(wait=False)
            self._run.runtime.wake()
        return None

    def _out_of_time(self, at: float) -> None:
        """End this style: what could leave `at` that time could not finish in time."""
        self._finished = True
        self._run.stop_reasons.append(stop_reasons.out_of_time(self.style, at, self._run))

    def _stop_without_keys(self, keys: Exhausted) -> None:
        self._finished = True
        self._reporter.report_keys()
        self._run.stop_reasons.append(stop_reasons.keys_exhausted(self.style, keys, self._run))
