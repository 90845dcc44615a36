"""Which budget a style may send by next: what few can use first, in turn, and what is lent."""

import math
from collections.abc import Iterable
from typing import Final

from imagegen.clock import Clock, MonotonicTime, WallTime
from imagegen.keys.keyring import ApiKey
from imagegen.quota.accounts import BudgetSet
from imagegen.quota.budget import MARGIN, WINDOW
from imagegen.quota.ready_queue import ReadyQueue, TrackedBudget
from imagegen.quota.simulation import Capacity

_LATE: Final = 2.0
"""Seconds for which a style's turn is kept once it was to come again."""


class FairScheduler:
    """Who waits for budgets, who lends them, and who was served when.

    Calls must not overlap; the pool's lock sees to that.
    """

    def __init__(self, slots: BudgetSet, clock: Clock, *, lend: bool) -> None:
        self.lends = lend
        self._slots = slots
        self._clock = clock
        self._served = 0
        self._waiting: dict[str, float] = {}
        self._idle = set(slots.secrets)

    def want(self, style: str) -> None:
        """Keep the turn of a style that will ask at once."""
        self._idle.discard(style)
        self._waiting[style] = self._clock.now()

    def withdraw(self, style: str) -> None:
        """Keep no turn for the style: it needs no key for now."""
        self._waiting.pop(style, None)

    def rest(self, style: str) -> bool:
        """Lend the style's budgets until it asks again; returns whether that is news."""
        self._waiting.pop(style, None)
        news = self.lends and style not in self._idle
        self._idle.add(style)
        return news

    def take(self, style: str, now: MonotonicTime) -> tuple[TrackedBudget, ApiKey, int] | None:
        """Grant the style a request: returns the budget, its key and the grant's number."""
        self._idle.discard(style)
        # What few can use first; of what is lent and what is the style's own, the latter.
        for queue in sorted(
            self._open_to(style),
            key=lambda queue: (self._waiting_for(queue), style not in queue.styles),
        ):
            if self._is_next(queue, style, now):
                granted = self._take_from(queue, style, now)
                if granted is not None:
                    return granted
        return None

    def next_at(self, style: str, now: MonotonicTime) -> float | None:
        """Return when a style that was granted nothing is to ask again, and keep its turn then.

        Infinite where only another style's keys can help, once that one is done; None if
        nothing ever will.
        """
        free = [self._free_at(queue, style, now) for queue in self._open_to(style)]
        until = min((at for at in free if at is not None), default=None)
        if until is not None:
            self._waiting[style] = until
            return until
        self._waiting.pop(style, None)
        return math.inf if self._may_be_lent(style) else None

    def capacity(
        self, slot: TrackedBudget, left: Iterable[str], now: MonotonicTime, wall: WallTime
    ) -> Capacity:
        """Return what a budget allows from now on to the styles that have something left."""
        limit, budget, per_day = self._slots.limit(slot), slot.budget, slot.limit.per_day
        effective = budget.effective_limit(limit)
        most = None if per_day is None else max(0, per_day - budget.used_today(wall))
        lent = self.lends and slot.disabled_reason is None and slot.key(None) is not None
        users = [s for s in left if s in slot.styles and self._slots.usable(slot, s)]
        borrowers = [s for s in left if s not in users and self._slots.secrets.get(s)]
        return Capacity(
            styles=frozenset(users),
            borrowers=frozenset(borrowers if lent else ()),
            per_minute=effective,
            free_slots=budget.free_slots(now, limit),
            # The rolling minute holds for a slowed budget too.
            spacing=(WINDOW + MARGIN) / effective if budget.throttled_limit is not None else 0.0,
            daily_limit=0 if budget.spent_today(wall) else most,
        )

    def _open_to(self, style: str) -> list[ReadyQueue]:
        """Return the budgets that the style may use: its own, and those it is lent."""
        return [queue for queue in self._slots.queues if self._may_use(queue, style)]

    def _may_use(self, queue: ReadyQueue, style: str) -> bool:
        return style in queue.styles or (self._can_borrow(style) and queue.styles <= self._idle)

    def _key(self, slot: TrackedBudget, style: str) -> ApiKey | None:
        """Return the key by which the style may send on a budget: its own, or one that it is lent.

        Of a budget that it shares with others, its own keys may be rejected and theirs not. Who
        has none that works there lends none, and others need not wait for that.
        """
        key = self._slots.key(slot, style)
        if key is not None or not self._can_borrow(style):
            return key
        lenders = {other for other in slot.styles if self._slots.key(slot, other) is not None}
        return slot.key(None) if lenders <= self._idle else None

    def _can_borrow(self, style: str) -> bool:
        return self.lends and bool(self._slots.secrets.get(style))

    def _may_be_lent(self, style: str) -> bool:
        """Return whether another style has keys that it could lend once it is done."""
        if not self._can_borrow(style):
            return False
        return any(slot.disabled_reason is None and slot.key(None) for slot in self._slots)

    def _free_at(self, queue: ReadyQueue, style: str, now: MonotonicTime) -> float | None:
        """Return when the style may ask again, not before now; None: never again."""
        if not queue.has_rejected_keys:
            return queue.free_at(now)
        usable = [
            slot.free_at
            for slot in queue.slots
            if slot.disabled_reason is None and self._key(slot, style) is not None
        ]
        return max(now, min(usable)) if usable else None

    def _waiting_for(self, queue: ReadyQueue) -> int:
        """Count the waiting styles that could use it."""
        return sum(self._may_use(queue, style) for style in self._waiting)

    def _is_next(self, queue: ReadyQueue, style: str, now: MonotonicTime) -> bool:
        """Return whether no other style that waits for these budgets was served longer ago.

        A style that must wait has no turn before: a place that became free
        early would stay empty until then.
        """
        mine = queue.last_served.get(style, 0)
        for other, comes in self._waiting.items():
            if other == style or not comes <= now <= comes + _LATE:
                continue
            if (
                queue.last_served.get(other, 0) < mine
                and self._may_use(queue, other)
                and any(self._slots.usable(slot, other) for slot in queue.slots)
            ):
                return False
        return True

    def _take_from(
        self, queue: ReadyQueue, style: str, now: MonotonicTime
    ) -> tuple[TrackedBudget, ApiKey, int] | None:
        not_ours = []
        granted = None
        while granted is None and (slot := queue.pop(now)) is not None:
            key = self._key(slot, style)
            if key is None:
                not_ours.append(slot)
                continue
            grant = self._slots.grant(slot)
            if grant is not None:
                self._served += 1
                queue.last_served[style] = self._served
                self._waiting.pop(style, None)
                granted = slot, key, grant
        for slot in not_ours:
            self._slots.put_back(slot)
        return granted
