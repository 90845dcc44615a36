"""Budgets in the order in which they are taken: found in a few steps, however many there are."""

import heapq
import math
from collections.abc import Callable, Collection, Iterable

from imagegen.clock import MonotonicTime
from imagegen.keys.keyring import ApiKey
from imagegen.quota.budget import Budget
from imagegen.quota.key_state import KeyUpdate
from imagegen.quota.ledger import StoredBudget
from imagegen.secret import Secret

_ROOM_FOR_STALE = 64


class TrackedBudget:
    """A budget as this run sees it: its keys, and what only this run knows of them.

    `disabled_reason` says why it is not used any more in this run, `disabled_until` until when
    by the wall clock. `throttled_at` is when a 429 last showed that its limit is lower than was
    known, `free_at` when its next request may leave, as of its last change.
    """

    def __init__(self, index: int, account: StoredBudget, first: ApiKey) -> None:
        self.index = index
        self.account = account
        self.limit = first.limit
        self.keys: list[ApiKey] = []
        self.styles: set[str] = set()
        self.rejected: dict[Secret, str] = {}
        self.disabled_reason: KeyUpdate | None = None
        self.disabled_until: float | None = None
        self.refused_since: float | None = None
        self.throttled_at = -math.inf
        self.free_at = 0.0
        self.version = 0

    @property
    def budget(self) -> Budget:
        """What is known of the budget, as of its last change by this process."""
        return self.account.budget

    def key(self, secrets: Collection[Secret] | None) -> ApiKey | None:
        """Return the first key that is wanted (None: any) and that is not rejected."""
        for key in self.keys:
            if (secrets is None or key.secret in secrets) and key.secret not in self.rejected:
                return key
        return None


class ReadyQueue:
    """The budgets that the same styles may use: the roomiest of those free, or when one is.

    `room` is how many requests a budget's minute has room for. `last_served` says for
    each style when it last took from here, as a number that grows. `has_rejected_keys` means
    that some keys here are of no use.
    """

    def __init__(
        self, styles: Iterable[str], room: Callable[[TrackedBudget, MonotonicTime], int]
    ) -> None:
        self.styles = frozenset(styles)
        self.has_rejected_keys = False
        self._room = room
        self.slots: list[TrackedBudget] = []
        self.last_served: dict[str, int] = {}
        # Both heaps keep entries of the past until they come up: those of an older version.
        self._free: list[tuple[int, int, int]] = []
        self._later: list[tuple[float, int, int]] = []
        self._by_index: dict[int, TrackedBudget] = {}

    def add(self, slot: TrackedBudget) -> None:
        """Take in a budget; `push` then gives it its place."""
        self.slots.append(slot)
        self._by_index[slot.index] = slot

    def push(self, slot: TrackedBudget, now: MonotonicTime) -> None:
        """Give a budget its place, again after every change; none if it is unusable."""
        slot.version += 1
        if slot.disabled_reason is not None or slot.key(None) is None:
            return
        if slot.free_at <= now:
            heapq.heappush(self._free, (-self._room(slot, now), slot.index, slot.version))
        else:
            heapq.heappush(self._later, (slot.free_at, slot.index, slot.version))
        if len(self._free) + len(self._later) > 4 * len(self.slots) + _ROOM_FOR_STALE:
            self._free = [entry for entry in self._free if self._is_new(*entry[1:])]
            self._later = [entry for entry in self._later if self._is_new(*entry[1:])]
            heapq.heapify(self._free)
            heapq.heapify(self._later)

    def pop(self, now: MonotonicTime) -> TrackedBudget | None:
        """Remove and return the roomiest budget that is free; it is to be pushed back."""
        while self._later and self._later[0][0] <= now:
            _, index, version = heapq.heappop(self._later)
            if self._is_new(index, version):
                room = self._room(self._by_index[index], now)
                heapq.heappush(self._free, (-room, index, version))
        while self._free:
            _, index, version = heapq.heappop(self._free)
            if self._is_new(index, version):
                return self._by_index[index]
        return None

    def free_at(self, now: MonotonicTime) -> float | None:
        """Return when a budget is free, not before now; None if none ever is."""
        while self._free and not self._is_new(*self._free[0][1:]):
            heapq.heappop(self._free)
        if self._free:
            return now
        while self._later and not self._is_new(*self._later[0][1:]):
            heapq.heappop(self._later)
        return max(now, self._later[0][0]) if self._later else None

    def _is_new(self, index: int, version: int) -> bool:
        return self._by_index[index].version == version
