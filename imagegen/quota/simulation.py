"""Simulates the budgets' next minutes: when the last of N requests can leave.

The same arithmetic as leases follow, without the jitter of real answers: at each moment at
which places become free they are given to the styles in turn.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from imagegen.quota.budget import MARGIN, WINDOW

_GRAIN: Final = 1.0
_SHARE: Final = 0.01
"""Places that become free within a second, or within a hundredth of the whole time, are
taken for one moment, the last of them: 100,000 beats are played through in a few steps."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What one budget allows from now on, and to which styles.

    Once none of `styles` has anything left, `borrowers` may use it. `per_minute` is the limit
    that counts. `free_slots` holds when (not before now) how many requests may leave, soonest
    first. `spacing` is the least seconds between two requests. `daily_limit` is how many
    requests the day still allows.
    """

    styles: frozenset[str]
    borrowers: frozenset[str] = frozenset()
    per_minute: int
    free_slots: Sequence[tuple[float, int]]
    spacing: float = 0.0
    daily_limit: int | None = None


class ChainLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of which each must be answered before the next of its chain can leave.

    `ready` says how many chains have how many requests left, of which the first can leave now;
    `pending` the same for those with their last request in flight. `latency` is how many
    seconds one takes.
    """

    ready: Mapping[int, int]
    pending: Mapping[int, int] = {}  # copied by msgspec
    latency: float = 0.0


def last_departures(
    supplies: Sequence[Capacity],
    left: Mapping[str, int],
    now: float,
    chained: Mapping[str, ChainLoad] | None = None,
) -> dict[str, float | None]:
    """Return in how many seconds the last of each style's requests can leave.

    0 where nothing is left; None if not all of them can ever leave. `chained` has the
    styles of which requests wait for others of the same style.
    """
    return _Simulation(supplies, left, now, chained or {}).run()


class _Queue:
    """One style's requests: those that can leave, of the longest chains first."""

    def __init__(self, chained: ChainLoad, now: float) -> None:
        self._answer = chained.latency
        self._ready = Counter(dict(chained.ready))
        self._coming = [(now + chained.latency, n, count) for n, count in chained.pending.items()]
        heapq.heapify(self._coming)

    def ready(self, at: float) -> int:
        """Return how many requests can leave at that moment."""
        while self._coming and self._coming[0][0] <= at:
            _, length, count = heapq.heappop(self._coming)
            self._ready[length] += count
        return self._ready.total()

    @property
    def next(self) -> float | None:
        """When a request can leave that cannot yet."""
        return self._coming[0][0] if self._coming else None

    def take(self, count: int, at: float) -> None:
        """Send `count` requests now; requests that depend on them follow their answers."""
        while count:
            length = max(self._ready)
            sent = min(count, self._ready[length])
            self._ready[length] -= sent
            if not self._ready[length]:
                del self._ready[length]
            if length > 1:
                heapq.heappush(self._coming, (at + self._answer, length - 1, sent))
            count -= sent


class _Simulation:
    def __init__(
        self,
        supplies: Sequence[Capacity],
        left: Mapping[str, int],
        now: float,
        chained: Mapping[str, ChainLoad],
    ) -> None:
        self._now = now
        self._supplies = supplies
        self._left = {style: count for style, count in left.items() if count > 0}
        self._queues = {
            style: _Queue(chained.get(style) or ChainLoad(ready={1: count}), now)
            for style, count in self._left.items()
        }
        self._order = list(self._left)
        self._last: dict[str, float | None] = dict.fromkeys(left, 0.0)
        self._most = [supply.daily_limit for supply in supplies]
        a_minute = sum(supply.per_minute for supply in supplies) or 1
        whole = sum(self._left.values()) / a_minute * WINDOW
        grain = min(WINDOW, max(_GRAIN, whole * _SHARE))
        # Budgets that few styles can use come first, as they do when leases are granted.
        self._heap = [
            (at, len(supply.styles), index, count)
            for index, supply in enumerate(supplies)
            for at, count in _bursts(supply, grain)
        ]
        heapq.heapify(self._heap)

    def run(self) -> dict[str, float | None]:
        while self._left and self._heap:
            at, _, index, count = heapq.heappop(self._heap)
            supply = self._supplies[index]
            used = self._assign(at, index, count)
            later = self._next(supply) if used < count else None
            if later is not None:
                heapq.heappush(self._heap, (later, len(supply.styles), index, count - used))
            if used:
                next_at = at + (used * supply.spacing or WINDOW + MARGIN)
                heapq.heappush(self._heap, (next_at, len(supply.styles), index, used))
        return self._last | dict.fromkeys(self._left)

    def _assign(self, at: float, index: int, count: int) -> int:
        """Give the places to styles in turn; returns how many were taken."""
        most = self._most[index]
        room = count if most is None else min(count, most)
        used = 0
        while used < room:
            wanting = self._candidates(self._supplies[index], at)
            if not wanting:
                break
            share, over = divmod(room - used, len(wanting))
            for nth, style in enumerate(wanting):
                assigned = min(share + (nth < over), self._queues[style].ready(at))
                if assigned:
                    used += assigned
                    self._take(style, assigned, at)
            # Who had one more than others has the last turn next time.
            ahead = wanting[:over]
            self._order.sort(key=ahead.__contains__)
        if most is not None:
            self._most[index] = most - used
        return used

    def _take(self, style: str, count: int, at: float) -> None:
        self._last[style] = at - self._now
        self._queues[style].take(count, at)
        self._left[style] -= count
        if not self._left[style]:
            del self._left[style]
            self._order.remove(style)

    def _candidates(self, supply: Capacity, at: float) -> list[str]:
        able = [style for style in self._order if self._queues[style].ready(at)]
        owners = [style for style in able if style in supply.styles]
        return owners or [style for style in able if style in supply.borrowers]

    def _next(self, supply: Capacity) -> float | None:
        """Return when a place of this budget becomes usable."""
        able = [s for s in self._order if s in supply.styles or s in supply.borrowers]
        return min((at for s in able if (at := self._queues[s].next) is not None), default=None)


def _bursts(supply: Capacity, grain: float) -> list[tuple[float, int]]:
    """Return when how many places are free first."""
    if not supply.free_slots:
        return []
    if supply.spacing:
        count = max(1, int(grain / supply.spacing))
        at, _ = min(supply.free_slots)
        return [(at + (count - 1) * supply.spacing, count)]
    bursts: list[tuple[float, int]] = []
    first = -grain
    for at, count in supply.free_slots:
        if bursts and at - first <= grain:
            bursts[-1] = (at, bursts[-1][1] + count)
        else:
            first = at
            bursts.append((at, count))
    return bursts
