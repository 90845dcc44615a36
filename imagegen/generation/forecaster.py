"""How long a run will take yet and what it will cost, from what its keys allow."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from imagegen.generation.events import Forecast
from imagegen.generation.run import Run
from imagegen.generation.worker import Worker

_EVERY: Final = 1.0
_BEATS_A_SECOND: Final = 2000
"""Playing through the minutes of very many beats takes a while: it is done more rarely."""

_CHANGE: Final = 2.0
_SHARE: Final = 0.03


class Forecaster:
    """Tells a forecast whenever it is no longer what was told last, and counted down since.

    Called under the runtime's lock.
    """

    def __init__(self, run: Run, workers: Sequence[Worker]) -> None:
        self._run = run
        self._workers = workers
        self._next = 0.0
        self._told: dict[str, float | None] | None = None

    def step(self, now: float) -> None:
        """Tell how long it will take, if that has changed."""
        run = self._run
        if now < self._next or run.haste is not None or run.outage.suspended:
            return
        left = sum(worker.left for worker in self._workers)
        self._next = now + max(_EVERY, left / _BEATS_A_SECOND)
        expected = self._expected(now)
        ends = {style: None if s is None else now + s for style, s in expected.items()}
        if self._told is not None and not self._changed(ends, now):
            return
        self._told = ends
        run.emit(
            Forecast(
                seconds=in_all(expected.values()),
                styles={style: _rounded(seconds) for style, seconds in expected.items()},
                cost=run.purse.spent,
                cost_in_all=run.purse.in_all(sum(w.totals.pending for w in self._workers)),
            )
        )

    def _expected(self, now: float) -> dict[str, float | None]:
        left = {worker.style: worker.left for worker in self._workers}
        keys = self._run.keys
        if keys is not None:
            departures = keys.forecast(left)
        else:
            departures = by_width(left, self._run.provider.width, self._run.mean_answer)
        return {w.style: w.expected(departures[w.style], now) for w in self._workers}

    def _changed(self, ends: dict[str, float | None], now: float) -> bool:
        assert self._told is not None  # noqa: S101  # asked only then
        return any(_differ(self._told[style], end, now) for style, end in ends.items())


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would take and cost, before it starts.

    `departures` are the seconds until each style's last request can leave, None where not
    all of them ever can; `answer_seconds` is how long a picture took to come last time.
    `price` is a picture's, `cost` that of all, in US dollars.
    """

    departures: Mapping[str, float | None]
    answer_seconds: float | None = None
    price: float | None = None
    cost: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long the whole run takes at least; None where a style can never be drawn."""
        longest = in_all(self.departures.values())
        return None if longest is None else longest + (self.answer_seconds or 0.0)


def by_width(left: Mapping[str, int], width: int, answer: float | None) -> dict[str, float | None]:
    """Return when each style's last request leaves where only `width` limits them."""
    if answer is None:
        return {style: 0.0 if count <= width else None for style, count in left.items()}
    return {style: max(0, count - 1) // width * answer for style, count in left.items()}


def in_all(styles: Iterable[float | None]) -> float | None:
    """Return the longest of the styles' times in seconds; None where one is not known."""
    longest = 0.0
    for seconds in styles:
        if seconds is None:
            return None
        longest = max(longest, seconds)
    return round(longest, 1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _differ(before: float | None, after: float | None, now: float) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(before - after) > max(_CHANGE, _SHARE * (after - now))
