"""How long a run will take yet and what it will cost, from what its keys allow."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagegen.clock import MonotonicTime
from imagegen.engine.estimate import Estimate, longest
from imagegen.engine.queue import ROUND_DELAY
from imagegen.engine.state import RunState
from imagegen.engine.worker import Worker
from imagegen.events.types import Forecast
from imagegen.quota.pool import KeyPool
from imagegen.quota.simulation import ChainLoad

_EVERY: Final = 1.0
_IDLE: Final = 50.0
"""Playing through the minutes of very many beats takes a while, and holds up the run: it is
done so rarely that this is a fiftieth of the time at most."""

_RARELY: Final = 60.0

_CHANGE: Final = 2.0
_SHARE: Final = 0.03


class Forecaster:
    """Emits a forecast when it differs from the last one, adjusted for elapsed time.

    Called under the runtime's lock.
    """

    def __init__(self, run: RunState, workers: Sequence[Worker]) -> None:
        self._run = run
        self._workers = workers
        self._next = 0.0
        self._ends: dict[str, float | None] | None = None
        self._cost: float | None = None

    def step(self, now: MonotonicTime) -> None:
        """Emit how long it will take, if that has changed."""
        run = self._run
        if now < self._next or run.shutdown is not None:
            return
        began = run.runtime.clock.now()
        expected = self._forecast(now)
        took = run.runtime.clock.now() - began
        self._next = now + min(max(_EVERY, _IDLE * took), _RARELY)
        ends = {style: None if s is None else now + s for style, s in expected.items()}
        cost = run.spending.projected_total(sum(w.remaining + w.in_flight for w in self._workers))
        if not self._has_changed(ends, cost, now):
            return
        self._ends, self._cost = ends, cost
        run.emit(
            Forecast(
                seconds=longest(expected.values()),
                styles={style: _round(seconds) for style, seconds in expected.items()},
                cost=run.spending.total,
                cost_in_all=cost,
            )
        )

    def _forecast(self, now: MonotonicTime) -> dict[str, float | None]:
        """Return in how many seconds each style's last image will be there."""
        run, answer = self._run, self._run.mean_latency
        if run.circuit_breaker.is_open:
            # An outage's end cannot be predicted.
            return {w.style: None if w.remaining or w.in_flight else 0.0 for w in self._workers}
        left = {worker.style: worker.remaining for worker in self._workers}
        counts = {worker.style: worker.remaining + worker.in_flight for worker in self._workers}
        if run.key_pool is None:
            counts = _in_turns(counts)
        by_width = {w.style: _for_width(w, counts[w.style], answer, now) for w in self._workers}
        chained = {
            w.style: w.queue.chain_counts(answer or 0.0)
            for w in self._workers
            if w.queue.waiting_count
        }
        departures = _departures(left, run.key_pool, by_width, chained)
        return {w.style: _end(w, departures[w.style], answer, now) for w in self._workers}

    def _has_changed(
        self, ends: Mapping[str, float | None], cost: float | None, now: MonotonicTime
    ) -> bool:
        before = self._ends
        if before is None or any(_differ(before[style], end, now) for style, end in ends.items()):
            return True
        return cost is not None and abs(cost - (self._cost or 0.0)) > _SHARE * cost


def _end(
    worker: Worker, departure: float | None, answer: float | None, now: MonotonicTime
) -> float | None:
    """Return in how many seconds a style's last image will be there; None if unknown.

    `departure` is in how many seconds its last request can leave.
    """
    if not worker.remaining and not worker.in_flight:
        return 0.0
    if departure is None or answer is None:
        return None
    end = max(0.0, worker.last_sent + answer - now) if worker.in_flight else 0.0
    if worker.remaining > worker.queue.deferred:
        end = max(departure, worker.queue.last_due_at - now) + answer
    if worker.queue.deferred:
        end = max(end + ROUND_DELAY, departure) + answer
    return end


def estimate(
    chains: Mapping[str, Mapping[int, int]],
    *,
    pool: KeyPool | None,
    widths: Mapping[str, int],
    each: float | None = None,
    answer_seconds: float | None = None,
) -> Estimate:
    """Return how long the images of each style would take, and what they would cost.

    `chains` say how many of each style are drawn one after another: how many chains have how
    many images. `pool` is None for a provider that needs no keys. `widths` are how many
    requests of each style may be in flight at once; without keys, of all styles together.
    `each` is what one image costs with its references.
    """
    left = {s: sum(n * count for n, count in lengths.items()) for s, lengths in chains.items()}
    longest = {s: max(lengths, default=0) for s, lengths in chains.items()}
    answer = answer_seconds or 0.0
    counts = _in_turns(left) if pool is None else left
    by_width = {s: _by_width(count, widths[s], answer_seconds) for s, count in counts.items()}
    if pool is None:
        by_width = {
            s: None if at is None else max(at, (longest[s] - 1) * answer)
            for s, at in by_width.items()
        }
    chained = {
        s: ChainLoad(ready=lengths, latency=answer)
        for s, lengths in chains.items()
        if longest[s] > 1
    }
    return Estimate(
        last_send_seconds=_departures(left, pool, by_width, chained),
        longest_chain=max(longest.values(), default=0),
        answer_seconds=answer_seconds,
        price=each,
        cost=None if each is None else round(each * sum(left.values()), 6),
    )


def _departures(
    left: Mapping[str, int],
    pool: KeyPool | None,
    by_width: Mapping[str, float | None],
    chained: Mapping[str, ChainLoad],
) -> dict[str, float | None]:
    """Return in how many seconds each style's last request can leave, `by_width` at the least.

    None where not all of them ever can, or where that depends on how long answers take and
    unknown.
    """
    if pool is None:
        return dict(by_width)
    departures = pool.forecast(left, chained)
    return {
        style: None if at is None else max(at, by_width[style] or 0.0)
        for style, at in departures.items()
    }


def _in_turns(counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many requests leave until each style's last, where styles take turns."""
    return {style: sum(min(count, n) for n in counts.values()) for style, count in counts.items()}


def _for_width(
    worker: Worker, count: int, answer: float | None, now: MonotonicTime
) -> float | None:
    """Return when the last of `count` requests leaves, some of which are in flight."""
    seconds = _by_width(count, worker.width, answer)
    if seconds is None or not worker.in_flight:
        return seconds
    return max(0.0, seconds - (now - worker.last_sent))


def _by_width(count: int, width: int, answer: float | None) -> float | None:
    """Return when the last of `count` requests leaves if only `width` limits them."""
    rounds = max(0, count - 1) // width
    if answer is None:
        return None if rounds else 0.0
    return rounds * answer


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _differ(before: float | None, after: float | None, now: MonotonicTime) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(before - after) > max(_CHANGE, _SHARE * (after - now))
