"""The budgets of a run: which keys draw on each, and what each is still good for."""

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec

from imagegen.clock import Clock, MonotonicTime, WallTime, next_pacific_midnight
from imagegen.keys.keyring import ApiKey
from imagegen.quota.budget import Budget, Grant
from imagegen.quota.key_state import KeyState, KeyUpdate
from imagegen.quota.ledger import Ledger
from imagegen.quota.ready_queue import ReadyQueue, TrackedBudget
from imagegen.secret import Secret, tell_apart


class BudgetSet:
    """Every budget of a run, kept in the ledger, each in the queue of the styles that it serves.

    `secrets` has each style's keys. Calls must not overlap; the pool's lock sees to that.
    """

    def __init__(
        self,
        keys: Mapping[str, Iterable[ApiKey]],
        *,
        provider: str,
        model: str,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self.ledger: Final = ledger
        self._clock: Final = clock
        self._ending: dict[int, float] = {}
        # Other processes' grants stand beside ours: numbers begin anywhere.
        self._grants = itertools.count(secrets.randbits(48))
        tell_apart(key.secret for pool in keys.values() for key in pool)
        self.secrets = {style: {key.secret for key in pool} for style, pool in keys.items()}
        self._of_style: dict[str, list[TrackedBudget]] = {style: [] for style in keys}
        self._all = self._sort_into_budgets(keys, provider, model)
        by_styles: dict[frozenset[str], ReadyQueue] = {}
        for slot in self._all:
            styles = frozenset(slot.styles)
            by_styles.setdefault(styles, ReadyQueue(styles, self._room)).add(slot)
        self.queues = tuple(by_styles.values())
        self._queue_of = [by_styles[frozenset(slot.styles)] for slot in self._all]
        self._register()

    def __iter__(self) -> Iterator[TrackedBudget]:
        return iter(self._all)

    def __getitem__(self, index: int) -> TrackedBudget:
        return self._all[index]

    def key(self, slot: TrackedBudget, style: str) -> ApiKey | None:
        """Return the budget's key for a style; for one that is lent it, any."""
        return slot.key(self.secrets[style] if style in slot.styles else None)

    def usable(self, slot: TrackedBudget, style: str) -> bool:
        """Return whether the style may send by this budget, now or later."""
        return slot.disabled_reason is None and self.key(slot, style) is not None

    def limit(self, slot: TrackedBudget) -> int:
        """Return the requests a minute that this run may ask of a budget."""
        return self.own_share(slot.limit.per_minute)

    def own_share(self, limit: int) -> int:
        """Return how much of a limit is this process's, who may not see others."""
        return max(1, limit // self.ledger.sharers)

    def edit(self, slot: TrackedBudget, change: Callable[[Budget], object]) -> None:
        """Change a budget, for all processes, and put it in its new place."""
        self.ledger.update(slot.account, change)
        now = self._clock.now()
        slot.free_at = slot.budget.free_at(now, self.limit(slot))
        self._queue_of[slot.index].push(slot, now)

    def put_back(self, slot: TrackedBudget) -> None:
        """Give a budget that was taken from its queue its place again."""
        self._queue_of[slot.index].push(slot, self._clock.now())

    def grant(self, slot: TrackedBudget) -> int | None:
        """Grant one request if the budget has room; None, with `free_at` put right, if not."""
        grant: int | None = None

        def take(budget: Budget) -> None:
            nonlocal grant
            grant = None
            now, wall, limit = self._clock.now(), self._clock.wall(), self.limit(slot)
            if budget.free_at(now, limit) > now or self._is_spent(slot, budget, wall):
                return
            grant = next(self._grants)
            budget.grant(Grant(grant, now, self.ledger.holder), limit, wall)

        self.edit(slot, take)
        return grant

    def disable(
        self, slot: TrackedBudget, verdict: KeyUpdate | None, ends: float | None = None
    ) -> None:
        """Say of a budget that it is not used any more, and until when; None: it is again."""
        slot.disabled_reason, slot.disabled_until = verdict, ends
        self._ending.pop(slot.index, None)
        if ends is not None:
            self._ending[slot.index] = ends
        self.put_back(slot)

    def disable_until_midnight(self, slot: TrackedBudget, message: str) -> KeyUpdate:
        """Use a budget no more until the quota's next day begins; return the change to report."""
        ends = next_pacific_midnight(self._clock.wall())
        until = self._clock.now() + ends - self._clock.wall()
        tail = slot.keys[0].secret.tail
        news = KeyUpdate(tail=tail, state=KeyState.SPENT_TODAY, until=until, message=message)
        self.disable(slot, news, ends)
        return news

    def reenable(self) -> bool:
        """Take back verdicts that ended: a new day has a new quota. Returns whether any did."""
        if not self._ending or self._clock.wall() < min(self._ending.values()):
            return False
        for slot in [self._all[index] for index in self._ending]:
            if slot.disabled_until is not None and self._clock.wall() >= slot.disabled_until:
                self.disable(slot, None)
        return True

    def reject(self, slot: TrackedBudget, secret: Secret, message: str) -> None:
        """Use a key no more, for the service does not accept it."""
        slot.rejected[secret] = message
        self._queue_of[slot.index].has_rejected_keys = True
        self.put_back(slot)

    def key_states(self, style: str) -> tuple[KeyUpdate, ...]:
        """Return the state of each key of the style."""
        now = self._clock.now()
        return tuple(
            self._state(slot, key, now)
            for slot in self._of_style.get(style, ())
            for key in slot.keys
            if key.secret in self.secrets[style]
        )

    def look(self) -> bool:
        """See whether the ledger is still where it was; returns whether it can be used again."""
        joined = self.ledger.refresh()
        if joined:
            self._register()
        return joined

    def close(self) -> None:
        """Withdraw this process's limits and release the ledger."""
        for slot in self._all:
            self.edit(slot, lambda budget: budget.limits.pop(self.ledger.holder, None))
        self.ledger.close()

    def _sort_into_budgets(
        self, keys: Mapping[str, Iterable[ApiKey]], provider: str, model: str
    ) -> list[TrackedBudget]:
        slots: dict[str, TrackedBudget] = {}
        for style, pool in keys.items():
            for key in pool:
                account = self.ledger.account(provider, *key.owner, model)
                slot = slots.setdefault(account.name, TrackedBudget(len(slots), account, key))
                if key.secret not in {other.secret for other in slot.keys}:
                    slot.keys.append(key)
                if style not in slot.styles:
                    slot.styles.add(style)
                    self._of_style[style].append(slot)
        return list(slots.values())

    def _register(self) -> None:
        """Share the limits of this process with other processes."""
        for slot in self._all:
            limits = {self.ledger.holder: self.limit(slot)}
            self.edit(slot, partial(_give, limits))

    def _room(self, slot: TrackedBudget, now: MonotonicTime) -> int:
        return slot.budget.remaining(now, self.limit(slot))

    def _is_spent(self, slot: TrackedBudget, budget: Budget, wall: WallTime) -> bool:
        per_day = slot.limit.per_day
        if per_day is not None and budget.used_today(wall) >= per_day:
            self.disable_until_midnight(slot, f"requests_per_day = {per_day} is reached")
        elif budget.spent_today(wall):
            self.disable_until_midnight(slot, "")
        return slot.disabled_reason is not None

    def _state(self, slot: TrackedBudget, key: ApiKey, now: MonotonicTime) -> KeyUpdate:
        tail, pace = key.secret.tail, slot.budget.throttled_limit
        if key.secret in slot.rejected:
            message = slot.rejected[key.secret]
            return KeyUpdate(tail=tail, state=KeyState.REJECTED, message=message)
        if slot.disabled_reason is not None:
            return msgspec.structs.replace(slot.disabled_reason, tail=tail)
        until = slot.free_at if slot.free_at > now else None
        state = KeyState.READY if until is None else KeyState.WAITING
        if until is not None and slot.budget.available_at > now:
            state = KeyState.COOLING
        per_minute = slot.budget.effective_limit(self.limit(slot))
        return KeyUpdate(tail=tail, state=state, until=until, pace=pace, per_minute=per_minute)


def _give(limits: Mapping[str, int], budget: Budget) -> None:
    budget.limits |= limits
