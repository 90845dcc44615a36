"""When the last of so many requests can leave: the budgets' next minutes, played through.

The same arithmetic as leases follow, without the jitter of real answers: at each moment at
which places become free they are given to the styles in turn.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from imagegen.keys.budget import MARGIN, WINDOW

_GRAIN: Final = 1.0
_SHARE: Final = 0.01
"""Places that become free within a second, or within a hundredth of the whole time, are
taken for one moment, the last of them: 100,000 beats are played through in a few steps."""


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """What one budget allows from now on, and to which styles.

    Once none of `styles` has anything left, `borrowers` may use it. `per_minute` is the limit
    that counts, `places` when (not before now) how many of its places are free, soonest first,
    `spacing` the least seconds between two requests, `most` how many requests the day still
    allows.
    """

    styles: frozenset[str]
    borrowers: frozenset[str] = frozenset()
    per_minute: int
    places: Sequence[tuple[float, int]]
    spacing: float = 0.0
    most: int | None = None


def last_departures(
    supplies: Sequence[Supply], left: Mapping[str, int], now: float
) -> dict[str, float | None]:
    """Return in how many seconds the last of each style's requests can leave.

    0 where nothing is left; None where not all of them can ever leave.
    """
    return _Play(supplies, left, now).out()


class _Play:
    def __init__(self, supplies: Sequence[Supply], left: Mapping[str, int], now: float) -> None:
        self._now = now
        self._supplies = supplies
        self._left = {style: count for style, count in left.items() if count > 0}
        self._turns = list(self._left)
        self._last: dict[str, float | None] = dict.fromkeys(left, 0.0)
        self._most = [supply.most for supply in supplies]
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

    def out(self) -> dict[str, float | None]:
        while self._left and self._heap:
            at, _, index, count = heapq.heappop(self._heap)
            supply = self._supplies[index]
            used = self._give(at, index, count)
            if used:
                again = at + (used * supply.spacing or WINDOW + MARGIN)
                heapq.heappush(self._heap, (again, len(supply.styles), index, used))
        return self._last | dict.fromkeys(self._left)

    def _give(self, at: float, index: int, count: int) -> int:
        """Give the places to styles in turn; returns how many were taken."""
        most = self._most[index]
        room = count if most is None else min(count, most)
        used = 0
        while used < room:
            wanting = self._wanting(self._supplies[index])
            if not wanting:
                break
            share, over = divmod(room - used, len(wanting))
            for nth, style in enumerate(wanting):
                taken = min(share + (nth < over), self._left[style])
                if taken:
                    used += taken
                    self._take(style, taken, at)
            # Who had one more than others has the last turn next time.
            ahead = wanting[:over]
            self._turns.sort(key=ahead.__contains__)
        if most is not None:
            self._most[index] = most - used
        return used

    def _take(self, style: str, count: int, at: float) -> None:
        self._last[style] = at - self._now
        self._left[style] -= count
        if not self._left[style]:
            del self._left[style]
            self._turns.remove(style)

    def _wanting(self, supply: Supply) -> list[str]:
        own = [style for style in self._turns if style in supply.styles]
        return own or [style for style in self._turns if style in supply.borrowers]


def _bursts(supply: Supply, grain: float) -> list[tuple[float, int]]:
    """Return when how many places are free first."""
    if not supply.places:
        return []
    if supply.spacing:
        count = max(1, int(grain / supply.spacing))
        at, _ = min(supply.places)
        return [(at + (count - 1) * supply.spacing, count)]
    bursts: list[tuple[float, int]] = []
    first = -grain
    for at, count in supply.places:
        if bursts and at - first <= grain:
            bursts[-1] = (at, bursts[-1][1] + count)
        else:
            first = at
            bursts.append((at, count))
    return bursts
