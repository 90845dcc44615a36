"""What 429s mean for budgets: a pause, a slower pace, one quota under several names, the end."""

import random
from typing import Final

from imagegen.clock import Clock, MonotonicTime
from imagegen.quota.accounts import BudgetSet
from imagegen.quota.key_state import KeyState, KeyUpdate
from imagegen.quota.ready_queue import TrackedBudget

NOTHING_BUT_REFUSALS: Final = 900.0
"""Seconds of 429s alone after which a budget is given up for this run."""

_QUIET: Final = 300.0
"""Seconds after a cool-down's end without a refusal, when the next one begins a new row: the
machine slept, or there were no requests."""

_TOGETHER: Final = 10.0
"""Seconds within which budgets that are refused are refused together."""


class Backoff:
    """What refusals have shown of the budgets so far.

    `seed` makes the jitter of pauses repeatable. Calls must not overlap; the pool's lock sees
    to that.
    """

    def __init__(self, slots: BudgetSet, clock: Clock, seed: int | None) -> None:
        self._slots = slots
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311  # jitter
        self._shared_tails: tuple[str, ...] = ()
        self._reported_tails: set[str] = set()

    def record_429(
        self, slot: TrackedBudget, grant: int, tail: str, retry_after: float | None
    ) -> KeyUpdate:
        """Record that a grant was refused; returns the state of the key with this tail.

        `retry_after` is what the service asked for, in seconds, where it did.
        """
        now, limit = self._clock.now(), self._slots.limit(slot)
        jitter = self._random.uniform(0.75, 1.25)
        quiet = now - slot.budget.cool_until
        self._slots.edit(slot, lambda b: b.record_429(grant, now, limit, retry_after, jitter))
        # An answer that comes at this moment forgets it: see `Pool.answered`.
        since = slot.refused_since
        if since is None or quiet > _QUIET:
            since = slot.refused_since = now
        if now - since >= NOTHING_BUT_REFUSALS and slot.disabled_reason is None:
            message = "nothing but 429s for 15 minutes"
            news = KeyUpdate(tail=tail, state=KeyState.SPENT, message=message)
            self._slots.disable(slot, news)
            return news
        self._look_for_one_quota(slot, now)
        return KeyUpdate(
            tail=tail,
            state=KeyState.COOLING,
            until=slot.free_at,
            pace=slot.budget.throttled_limit,
            per_minute=slot.budget.effective_limit(limit),
        )

    def pop_shared_keys(self) -> tuple[str, ...]:
        """Return the tails of keys that seem to share one quota, once each time they grow."""
        tails, self._shared_tails = self._shared_tails, ()
        return tails

    def _look_for_one_quota(self, slot: TrackedBudget, now: MonotonicTime) -> None:
        """Look whether budgets that hit a limit at one time were granted one limit in all.

        Limits that are merely lower than configured are hit together too, for their bursts
        begin together: but then each grants its own.
        """
        if slot.budget.throttled_limit is None:
            return
        slot.throttled_at = now
        group = [member for member in self._slots if now - member.throttled_at < _TOGETHER]
        granted = sum(member.budget.granted_last_minute(now) for member in group)
        limit = max(self._slots.limit(member) for member in group)
        tails = tuple(sorted(member.keys[0].secret.tail for member in group))
        if len(group) < 2 or granted > limit:
            return
        if 2 * granted >= limit:
            # Each was half idle by itself, together they were not: the measure is exact.
            for member in group:
                self._slots.edit(member, lambda budget: budget.throttle_to_granted(now))
        if not set(tails) <= self._reported_tails:
            self._reported_tails |= set(tails)
            self._shared_tails = tails
