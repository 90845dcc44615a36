"""When the last of so many requests can leave: the budgets' next minutes, played through.

The same arithmetic as leases follow, without the jitter of real answers: at each moment at
which places become free they are given to the styles in turn.
"""

import heapq
from collections.abc import Mapping, Sequence

import msgspec

from imagegen.keys.budget import MARGIN, WINDOW


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """What one budget allows from now on, and to which styles.

    With `lent`, the others may use it too, once none of `styles` has anything left.
    `per_minute` is the limit that counts, `places` the moments (not before now) at which
    each of its places is free, `spacing` the least seconds between two requests, `most` how
    many requests the day still allows.
    """

    styles: frozenset[str]
    lent: bool = False
    per_minute: int
    places: tuple[float, ...]
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
        self._last: dict[str, float | None] = dict.fromkeys(left, 0.0)
        self._most = [supply.most for supply in supplies]
        # Budgets that few styles can use come first, as they do when leases are granted.
        self._heap = [
            (at, len(supply.styles), index, count)
            for index, supply in enumerate(supplies)
            for at, count in _bursts(supply)
        ]
        heapq.heapify(self._heap)

    def out(self) -> dict[str, float | None]:
        while self._left and self._heap:
            at, _, index, count = heapq.heappop(self._heap)
            supply = self._supplies[index]
            used = self._give(at, index, count)
            if used:
                again = at + (supply.spacing or WINDOW + MARGIN)
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
            share = max(1, (room - used) // len(wanting))
            for style in wanting[: room - used]:
                taken = min(share, self._left[style])
                used += taken
                self._last[style] = at - self._now
                self._left[style] -= taken
                if not self._left[style]:
                    del self._left[style]
        if most is not None:
            self._most[index] = most - used
        return used

    def _wanting(self, supply: Supply) -> list[str]:
        own = [style for style in self._left if style in supply.styles]
        return own if own or not supply.lent else list(self._left)


def _bursts(supply: Supply) -> list[tuple[float, int]]:
    """Return when how many places are free first; one at a time where they are spaced."""
    if supply.spacing:
        return [(min(supply.places), 1)] if supply.places else []
    counts: dict[float, int] = {}
    for at in supply.places:
        counts[at] = counts.get(at, 0) + 1
    return list(counts.items())
