"""Which key may send now: leases on budgets, shared fairly between styles and processes.

A lease is one request's worth of one key's budget. It is stored before the connection is
made, so that a killed process's requests are never forgotten. `docs/key-pool.md` tells the
algorithm and why.
"""

import random
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from functools import partial
from typing import Final

import msgspec

from imagegen.keys.budget import WINDOW, Budget, Grant
from imagegen.keys.clock import Clock, next_pacific_midnight
from imagegen.keys.forecast import Supply, last_departures
from imagegen.keys.keyfile import Key
from imagegen.keys.ledger import Account, Ledger
from imagegen.secret import Secret

NOTHING_BUT_REFUSALS: Final = 900.0
"""Seconds of 429s alone after which a budget is given up for this run."""

_LATE: Final = 2.0
_YIELD: Final = 0.05


class KeyState(StrEnum):
    """What can be said of a key at one moment."""

    READY = "ready"
    WAITING = "waiting"
    """Its minute is used up."""
    COOLING = "cooling"
    """The service asked for a pause."""
    SPENT_TODAY = "spent today"
    SPENT = "spent"
    """Nothing but refusals for a quarter of an hour: given up for this run."""
    NO_QUOTA = "no quota"
    REJECTED = "rejected"


USELESS: Final = frozenset({KeyState.NO_QUOTA, KeyState.REJECTED})
"""States that only a person can mend."""


class KeyNews(msgspec.Struct, frozen=True, kw_only=True):
    """A key and its state. `until` is in `Clock.now()` seconds, where known.

    `per_minute` is what the key may send a minute at present; `pace` the same where that is
    less than it was given.
    """

    tail: str
    state: KeyState
    until: float | None = None
    message: str = ""
    pace: int | None = None
    per_minute: int | None = None


class Lease(msgspec.Struct, frozen=True):
    """The right to send one request with `secret`; to be settled whatever comes of it."""

    secret: Secret
    style: str
    slot: int
    grant: int


class Wait(msgspec.Struct, frozen=True):
    """No key is free; `until` is when to ask again at the latest."""

    until: float


class Exhausted(msgspec.Struct, frozen=True):
    """No key of the style will be free again in this run, and why for each."""

    keys: tuple[KeyNews, ...]

    @property
    def useless(self) -> bool:
        """Whether only a person can help: no key, or none that is accepted."""
        return all(key.state in USELESS for key in self.keys)


class _Slot:
    """A budget as this run sees it: its keys, and what only this run knows of them."""

    def __init__(self, index: int, account: Account, first: Key) -> None:
        self.index = index
        self.account = account
        self.limit = first.limit
        self.keys: list[Key] = []
        self.styles: set[str] = set()
        self.rejected: dict[Secret, str] = {}
        self.verdict: KeyNews | None = None
        self.verdict_ends: float | None = None
        self.refused_since: float | None = None
        self.served: dict[str, int] = {}
        self.free_at = 0.0

    @property
    def budget(self) -> Budget:
        """What is known of the budget, as of its last change by this process."""
        return self.account.budget

    def key(self, style_keys: Collection[Secret]) -> Key | None:
        """Return the first key of this budget that the style has and that is not rejected."""
        for key in self.keys:
            if key.secret in style_keys and key.secret not in self.rejected:
                return key
        return None


class Pool:
    """The keys of all styles. Every method may be called from any thread.

    `keys` gives each style's keys. One lock guards everything below it; no method waits
    for anything else.
    """

    def __init__(
        self,
        keys: Mapping[str, Iterable[Key]],
        *,
        provider: str,
        model: str,
        ledger: Ledger,
        clock: Clock,
        seed: int | None = None,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._random = random.Random(seed)  # noqa: S311  # jitter
        self._lock = threading.Lock()
        self._turn = 0
        self._waiting: dict[str, float] = {}
        self._secrets = {style: {key.secret for key in pool} for style, pool in keys.items()}
        self._of_style: dict[str, list[_Slot]] = {style: [] for style in keys}
        self._slots = self._sort_into_budgets(keys, provider, model)
        with self._lock:
            for slot in self._slots:
                self._edit(slot, partial(self._register, self._limit(slot)))

    def want(self, style: str) -> None:
        """Announce that the style will ask at once, so that its turn is kept."""
        with self._lock:
            self._waiting[style] = self._clock.now()

    def withdraw(self, style: str) -> None:
        """Say that the style needs no key for now."""
        with self._lock:
            self._waiting.pop(style, None)

    def lease(self, style: str) -> Lease | Wait | Exhausted:
        """Take a key for one request of this style, or learn when to ask again."""
        with self._lock:
            now = self._clock.now()
            usable = [slot for slot in self._of_style.get(style, ()) if self._usable(slot, style)]
            if not usable:
                self._waiting.pop(style, None)
                return Exhausted(self._news(style))
            for slot in self._by_preference([s for s in usable if s.free_at <= now], now):
                if not self._has_turn(slot, style, now):
                    continue
                grant = self._take(slot)
                key = slot.key(self._secrets[style])
                if grant is not None and key is not None:
                    self._turn += 1
                    slot.served[style] = self._turn
                    self._waiting.pop(style, None)
                    return Lease(key.secret, style, slot.index, grant)
            if not any(self._usable(slot, style) for slot in usable):
                self._waiting.pop(style, None)
                return Exhausted(self._news(style))
            until = min(slot.free_at for slot in usable)
            self._waiting[style] = max(until, now)
            return Wait(max(until, now + _YIELD))

    def states(self, style: str) -> tuple[KeyNews, ...]:
        """Return the state of each key of the style."""
        with self._lock:
            return self._news(style)

    def forecast(self, left: Mapping[str, int]) -> dict[str, float | None]:
        """Return in how many seconds the last of so many requests of each style can leave.

        Judged by what this run knows of its budgets. None where not all of them can leave
        today, or ever.
        """
        with self._lock:
            now, wall = self._clock.now(), self._clock.wall()
            supplies = [self._supply(slot, left, now, wall) for slot in self._slots]
        return last_departures(supplies, left, now)

    def _supply(self, slot: _Slot, left: Iterable[str], now: float, wall: float) -> Supply:
        limit, budget, per_day = self._limit(slot), slot.budget, slot.limit.per_day
        effective = budget.effective(limit)
        return Supply(
            styles=frozenset(s for s in left if s in slot.styles and self._usable(slot, s)),
            per_minute=effective,
            places=budget.places(now, limit),
            spacing=WINDOW / effective if budget.pace is not None else 0.0,
            most=None if per_day is None else max(0, per_day - budget.used_today(wall)),
        )

    def any_key(self) -> Secret | None:
        """Return a key for the service's free endpoint: any that was not rejected."""
        with self._lock:
            for slot in self._slots:
                for key in slot.keys:
                    if key.secret not in slot.rejected:
                        return key.secret
        return None

    def sent(self, lease: Lease) -> None:
        """Record that the request has left: its minute runs from now."""
        self._change(lease, lambda b: b.sent(lease.grant, self._clock.now()))

    def release(self, lease: Lease) -> None:
        """Give back a lease whose request never left: its place in the minute is free again."""
        self._change(lease, lambda b: b.drop(lease.grant))

    def answered(self, lease: Lease) -> None:
        """Record any answer of the service but a refusal for quota."""
        slot = self._slots[lease.slot]
        with self._lock:
            slot.refused_since = None
            idle = slot.budget.strikes == 0 and slot.budget.spent_wall is None
        if not idle:
            self._change(lease, Budget.answered)

    def limited(self, lease: Lease, retry_after: float | None) -> KeyNews:
        """Record a 429 that passes; `retry_after` is in seconds, where the service says so."""
        slot = self._slots[lease.slot]
        now = self._clock.now()
        jitter = self._random.uniform(0.75, 1.25)
        limit = self._limit(slot)
        self._change(lease, lambda b: b.refused(lease.grant, now, limit, retry_after, jitter))
        with self._lock:
            if slot.refused_since is None:
                slot.refused_since = now
            if now - slot.refused_since >= NOTHING_BUT_REFUSALS and slot.verdict is None:
                message = "nothing but 429s for 15 minutes"
                slot.verdict = KeyNews(
                    tail=lease.secret.tail, state=KeyState.SPENT, message=message
                )
                return slot.verdict
            return KeyNews(
                tail=lease.secret.tail,
                state=KeyState.COOLING,
                until=slot.free_at,
                pace=slot.budget.pace,
                per_minute=slot.budget.effective(limit),
            )

    def spent_today(self, lease: Lease, message: str = "") -> KeyNews:
        """Record the service's word that the day's quota is used up."""
        wall = self._clock.wall()

        def spend(budget: Budget) -> None:
            budget.spent_wall = wall

        self._change(lease, spend)
        slot = self._slots[lease.slot]
        with self._lock:
            self._spend_today(slot, message)
            assert slot.verdict is not None  # noqa: S101  # set just above
            return msgspec.structs.replace(slot.verdict, tail=lease.secret.tail)

    def no_quota(self, lease: Lease, message: str = "") -> KeyNews:
        """Record the service's word that the plan has no quota for the model."""
        slot = self._slots[lease.slot]
        news = KeyNews(tail=lease.secret.tail, state=KeyState.NO_QUOTA, message=message)
        with self._lock:
            slot.verdict, slot.verdict_ends = news, None
        return news

    def reject(self, lease: Lease, message: str = "") -> KeyNews:
        """Record that the service does not accept the key; forgotten when this run ends."""
        with self._lock:
            self._slots[lease.slot].rejected[lease.secret] = message
        return KeyNews(tail=lease.secret.tail, state=KeyState.REJECTED, message=message)

    def close(self) -> None:
        """Withdraw this process's limits and let go of the store."""
        with self._lock:
            for slot in self._slots:
                self._edit(slot, lambda budget: budget.limits.pop(self._ledger.holder, None))
            self._ledger.close()

    def _sort_into_budgets(
        self, keys: Mapping[str, Iterable[Key]], provider: str, model: str
    ) -> list[_Slot]:
        slots: dict[str, _Slot] = {}
        for style, pool in keys.items():
            for key in pool:
                account = self._ledger.account(provider, *key.owner, model)
                slot = slots.setdefault(account.name, _Slot(len(slots), account, key))
                if key.secret not in {known.secret for known in slot.keys}:
                    slot.keys.append(key)
                if style not in slot.styles:
                    slot.styles.add(style)
                    self._of_style[style].append(slot)
        return list(slots.values())

    def _limit(self, slot: _Slot) -> int:
        limit = slot.limit.per_minute
        return max(1, limit // 2) if self._ledger.alone else limit

    def _register(self, limit: int, budget: Budget) -> None:
        budget.limits[self._ledger.holder] = limit

    def _usable(self, slot: _Slot, style: str) -> bool:
        if slot.verdict is not None:
            ends = slot.verdict_ends
            if ends is None or self._clock.wall() < ends:
                return False
            slot.verdict = slot.verdict_ends = None
        return slot.key(self._secrets[style]) is not None

    def _by_preference(self, free: list[_Slot], now: float) -> list[_Slot]:
        """Order free budgets: those that fewest waiting styles can use, then the roomiest."""
        waiting = self._waiting.keys()
        return sorted(
            free,
            key=lambda slot: (
                len(slot.styles & waiting),
                -slot.budget.room(now, self._limit(slot)),
            ),
        )

    def _has_turn(self, slot: _Slot, style: str, now: float) -> bool:
        """Tell whether no other style that waits for this budget was served longer ago.

        A style that was told to come later has no turn before: a place that became free
        early would stay empty until then.
        """
        mine = slot.served.get(style, 0)
        for other in slot.styles:
            comes = self._waiting.get(other)
            if other == style or comes is None or not comes <= now <= comes + _LATE:
                continue
            if slot.served.get(other, 0) < mine and self._usable(slot, other):
                return False
        return True

    def _take(self, slot: _Slot) -> int | None:
        """Grant one request if the budget has room; None, with `free_at` put right, if not."""
        grant: int | None = None

        def take(budget: Budget) -> None:
            nonlocal grant
            grant = None
            now, wall, limit = self._clock.now(), self._clock.wall(), self._limit(slot)
            if budget.free_at(now, limit) > now or self._is_spent(slot, budget, wall):
                return
            grant = secrets.randbits(48)
            budget.grant(Grant(grant, now, self._ledger.holder), limit, wall)

        self._edit(slot, take)
        return grant

    def _is_spent(self, slot: _Slot, budget: Budget, wall: float) -> bool:
        per_day = slot.limit.per_day
        if per_day is not None and budget.used_today(wall) >= per_day:
            self._spend_today(slot, f"requests_per_day = {per_day} is reached")
        elif budget.spent_today(wall):
            self._spend_today(slot, "")
        return slot.verdict is not None

    def _spend_today(self, slot: _Slot, message: str) -> None:
        ends = next_pacific_midnight(self._clock.wall())
        until = self._clock.now() + ends - self._clock.wall()
        tail = slot.keys[0].secret.tail
        slot.verdict_ends = ends
        slot.verdict = KeyNews(tail=tail, state=KeyState.SPENT_TODAY, until=until, message=message)

    def _change(self, lease: Lease, change: Callable[[Budget], object]) -> None:
        slot = self._slots[lease.slot]
        with self._lock:
            self._edit(slot, change)

    def _edit(self, slot: _Slot, change: Callable[[Budget], object]) -> None:
        self._ledger.edit(slot.account, change)
        slot.free_at = slot.budget.free_at(self._clock.now(), self._limit(slot))

    def _news(self, style: str) -> tuple[KeyNews, ...]:
        now = self._clock.now()
        return tuple(
            self._state(slot, key, now)
            for slot in self._of_style.get(style, ())
            for key in slot.keys
            if key.secret in self._secrets[style]
        )

    def _state(self, slot: _Slot, key: Key, now: float) -> KeyNews:
        tail, pace = key.secret.tail, slot.budget.pace
        if key.secret in slot.rejected:
            message = slot.rejected[key.secret]
            return KeyNews(tail=tail, state=KeyState.REJECTED, message=message)
        if slot.verdict is not None:
            return msgspec.structs.replace(slot.verdict, tail=tail)
        until = slot.free_at if slot.free_at > now else None
        state = KeyState.READY if until is None else KeyState.WAITING
        if until is not None and slot.budget.cool_until > now:
            state = KeyState.COOLING
        per_minute = slot.budget.effective(self._limit(slot))
        return KeyNews(tail=tail, state=state, until=until, pace=pace, per_minute=per_minute)
