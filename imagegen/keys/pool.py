"""Which key may send now: leases on budgets, shared fairly between styles and processes.

A lease is one request's worth of one key's budget. It is stored before the connection is
made, so that a killed process's requests are never forgotten. `docs/key-pool.md` tells the
algorithm and why.
"""

import math
import random
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import msgspec

from imagegen.keys.budget import LONGEST_TOLD, MARGIN, WINDOW, Budget, Grant
from imagegen.keys.clock import Clock, next_pacific_midnight
from imagegen.keys.forecast import Supply, last_departures
from imagegen.keys.keyfile import Key
from imagegen.keys.ledger import Ledger
from imagegen.keys.shelf import Shelf, Slot
from imagegen.keys.state import USELESS, KeyNews, KeyState
from imagegen.secret import Secret

NOTHING_BUT_REFUSALS: Final = 900.0
"""Seconds of 429s alone after which a budget is given up for this run."""

_QUIET: Final = 300.0
"""Seconds after a cool-down's end without a refusal, when the next one begins a new row: the
machine slept, or nobody asked."""

_TOGETHER: Final = 10.0
"""Seconds within which budgets that are refused are refused together."""

_LATE: Final = 2.0
_YIELD: Final = 0.05


class Lease(msgspec.Struct, frozen=True):
    """The right to send one request with `secret`; to be settled whatever comes of it."""

    secret: Secret
    style: str
    slot: int
    grant: int


class Wait(msgspec.Struct, frozen=True):
    """No key is free; `until` is when to ask again at the latest.

    Infinite where only another style's keys can help, once that one is done.
    """

    until: float


class Exhausted(msgspec.Struct, frozen=True):
    """No key of the style will be free again in this run, and why for each."""

    keys: tuple[KeyNews, ...]

    @property
    def useless(self) -> bool:
        """Whether only a person can help: no key, or none that is accepted."""
        return all(key.state in USELESS for key in self.keys)


class Pool:
    """The keys of all styles. Every method may be called from any thread.

    `keys` gives each style's keys, also of styles that draw nothing: with `lend`, the keys
    of a style that has nothing to send serve those that have, if they have keys of their
    own. One lock guards everything below it; no method waits for anything else.
    """

    def __init__(
        self,
        keys: Mapping[str, Iterable[Key]],
        *,
        provider: str,
        model: str,
        ledger: Ledger,
        clock: Clock,
        lend: bool = False,
        seed: int | None = None,
    ) -> None:
        self.lends = lend
        self._clock = clock
        self._ledger = ledger
        self._random = random.Random(seed)  # noqa: S311  # jitter
        self._lock = threading.Lock()
        self._turn = 0
        self._waiting: dict[str, float] = {}
        self._resting = set(keys)
        self._ending: dict[int, float] = {}
        self._together: tuple[str, ...] = ()
        self._told_together: set[str] = set()
        self._secrets = {style: {key.secret for key in pool} for style, pool in keys.items()}
        self._of_style: dict[str, list[Slot]] = {style: [] for style in keys}
        self._slots = self._sort_into_budgets(keys, provider, model)
        self._shelves: dict[frozenset[str], Shelf] = {}
        with self._lock:
            for slot in self._slots:
                styles = frozenset(slot.styles)
                self._shelves.setdefault(styles, Shelf(styles, self._room)).add(slot)
            for slot in self._slots:
                self._edit(slot, partial(self._register, self._limit(slot)))

    def want(self, style: str) -> None:
        """Announce that the style will ask at once, so that its turn is kept."""
        with self._lock:
            self._resting.discard(style)
            self._waiting[style] = self._clock.now()

    def withdraw(self, style: str) -> None:
        """Say that the style needs no key for now."""
        with self._lock:
            self._waiting.pop(style, None)

    def rest(self, style: str) -> bool:
        """Say that the style has nothing left to send, until it asks again.

        Returns whether others may have its keys from now on, and should ask.
        """
        with self._lock:
            self._waiting.pop(style, None)
            news = self.lends and style not in self._resting
            self._resting.add(style)
            return news

    def lease(self, style: str) -> Lease | Wait | Exhausted:
        """Take a key for one request of this style, or learn when to ask again."""
        with self._lock:
            now = self._clock.now()
            self._resting.discard(style)
            self._revive()
            shelves = self._open_to(style)
            # What few can use first; of what is lent and what is the style's own, the latter.
            for shelf in sorted(
                shelves, key=lambda shelf: (self._waiting_for(shelf), style not in shelf.styles)
            ):
                if self._has_turn(shelf, style, now):
                    lease = self._lease_from(shelf, style, now)
                    if lease is not None:
                        return lease
            free = [self._free_at(shelf, style, now) for shelf in shelves]
            until = min((at for at in free if at is not None), default=None)
            if until is not None:
                self._waiting[style] = until
                return Wait(max(until, now + _YIELD))
            self._waiting.pop(style, None)
            if self._may_be_lent(style):
                return Wait(math.inf)
            return Exhausted(self._news(style))

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

    def _supply(self, slot: Slot, left: Iterable[str], now: float, wall: float) -> Supply:
        limit, budget, per_day = self._limit(slot), slot.budget, slot.limit.per_day
        effective = budget.effective(limit)
        most = None if per_day is None else max(0, per_day - budget.used_today(wall))
        lent = self.lends and slot.verdict is None and slot.key(None) is not None
        others = [s for s in left if s not in slot.styles and self._secrets.get(s)]
        return Supply(
            styles=frozenset(s for s in left if s in slot.styles and self._usable(slot, s)),
            borrowers=frozenset(others if lent else ()),
            per_minute=effective,
            places=budget.places(now, limit),
            # The rolling minute holds for a slowed budget too.
            spacing=(WINDOW + MARGIN) / effective if budget.pace is not None else 0.0,
            most=0 if budget.spent_today(wall) else most,
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

    def told(
        self, lease: Lease, *, per_minute: int | None, remaining: int | None, reset: float | None
    ) -> None:
        """Record what any answer says that the key may still send.

        `per_minute` is the service's limit: if it is lower than ours, it counts. Where none
        of it is `remaining`, the key rests until `reset` seconds after the request left: the
        service counts a request when it comes, and its answer takes a while.
        """
        slot = self._slots[lease.slot]
        now = self._clock.now()
        if per_minute is not None:
            per_minute = self._share(per_minute)
        until = 0.0
        with self._lock:
            if remaining == 0 and reset is not None:
                until = slot.budget.left_at(lease.grant, now) + min(reset, LONGEST_TOLD)
            # An answer costs no write unless it says something new.
            known = slot.budget.knows(per_minute, until if until > now else 0.0)
        if not known:
            self._change(lease, lambda b: b.hear(per_minute, until))

    def limited(self, lease: Lease, retry_after: float | None) -> KeyNews:
        """Record a 429 that passes; `retry_after` is in seconds, where the service says so."""
        slot = self._slots[lease.slot]
        now = self._clock.now()
        jitter = self._random.uniform(0.75, 1.25)
        limit = self._limit(slot)
        with self._lock:
            quiet = now - slot.budget.cool_until
        self._change(lease, lambda b: b.refused(lease.grant, now, limit, retry_after, jitter))
        with self._lock:
            if slot.refused_since is None or quiet > _QUIET:
                slot.refused_since = now
            if now - slot.refused_since >= NOTHING_BUT_REFUSALS and slot.verdict is None:
                message = "nothing but 429s for 15 minutes"
                news = KeyNews(tail=lease.secret.tail, state=KeyState.SPENT, message=message)
                self._judge(slot, news)
                return news
            self._note_together(slot, now)
            return KeyNews(
                tail=lease.secret.tail,
                state=KeyState.COOLING,
                until=slot.free_at,
                pace=slot.budget.pace,
                per_minute=slot.budget.effective(limit),
            )

    def take_together(self) -> tuple[str, ...]:
        """Return the tails of keys that seem to share one quota, once each time they grow."""
        with self._lock:
            found, self._together = self._together, ()
            return found

    def _note_together(self, slot: Slot, now: float) -> None:
        """Look whether budgets that hit a limit at one time were granted one limit in all.

        Limits that are merely lower than we were told are hit together too, for their bursts
        begin together: but then each grants its own.
        """
        if slot.budget.pace is None:
            return
        slot.slowed_at = now
        group = [one for one in self._slots if now - one.slowed_at < _TOGETHER]
        granted = sum(one.budget.granted(now) for one in group)
        limit = max(self._limit(one) for one in group)
        tails = tuple(sorted(one.keys[0].secret.tail for one in group))
        if len(group) < 2 or granted > limit:
            return
        if 2 * granted >= limit:
            # Each was half idle by itself, together they were not: the measure is exact.
            for one in group:
                self._edit(one, lambda budget: budget.slow_to_granted(now))
        if not set(tails) <= self._told_together:
            self._told_together |= set(tails)
            self._together = tails

    def spent_today(self, lease: Lease, message: str = "") -> KeyNews:
        """Record the service's word that the day's quota is used up."""
        wall = self._clock.wall()

        def spend(budget: Budget) -> None:
            budget.spent_wall = wall

        self._change(lease, spend)
        slot = self._slots[lease.slot]
        with self._lock:
            news = self._spend_today(slot, message)
            return msgspec.structs.replace(news, tail=lease.secret.tail)

    def no_quota(self, lease: Lease, message: str = "") -> KeyNews:
        """Record the service's word that the plan has no quota for the model."""
        slot = self._slots[lease.slot]
        news = KeyNews(tail=lease.secret.tail, state=KeyState.NO_QUOTA, message=message)
        with self._lock:
            self._judge(slot, news)
        return news

    def reject(self, lease: Lease, message: str = "") -> KeyNews:
        """Record that the service does not accept the key; forgotten when this run ends."""
        with self._lock:
            slot = self._slots[lease.slot]
            slot.rejected[lease.secret] = message
            self._shelves[frozenset(slot.styles)].partly_rejected = True
            self._place(slot)
        return KeyNews(tail=lease.secret.tail, state=KeyState.REJECTED, message=message)

    def look(self) -> None:
        """See whether the ledger is still where it was; to be called every second or so."""
        with self._lock:
            if self._ledger.look():
                for slot in self._slots:
                    self._edit(slot, partial(self._register, self._limit(slot)))

    def close(self) -> None:
        """Withdraw this process's limits and let go of the store."""
        with self._lock:
            for slot in self._slots:
                self._edit(slot, lambda budget: budget.limits.pop(self._ledger.holder, None))
            self._ledger.close()

    def _sort_into_budgets(
        self, keys: Mapping[str, Iterable[Key]], provider: str, model: str
    ) -> list[Slot]:
        slots: dict[str, Slot] = {}
        for style, pool in keys.items():
            for key in pool:
                account = self._ledger.account(provider, *key.owner, model)
                slot = slots.setdefault(account.name, Slot(len(slots), account, key))
                if key.secret not in {known.secret for known in slot.keys}:
                    slot.keys.append(key)
                if style not in slot.styles:
                    slot.styles.add(style)
                    self._of_style[style].append(slot)
        return list(slots.values())

    def _limit(self, slot: Slot) -> int:
        return self._share(slot.limit.per_minute)

    def _share(self, limit: int) -> int:
        """Return how much of a limit is this process's, who cannot see others if it is alone."""
        return max(1, limit // 2) if self._ledger.alone else limit

    def _room(self, slot: Slot) -> int:
        return slot.budget.room(self._clock.now(), self._limit(slot))

    def _register(self, limit: int, budget: Budget) -> None:
        budget.limits[self._ledger.holder] = limit

    def _open_to(self, style: str) -> list[Shelf]:
        """Return the budgets that the style may use: its own, and those it is lent."""
        return [shelf for shelf in self._shelves.values() if self._may_use(shelf, style)]

    def _may_use(self, shelf: Shelf, style: str) -> bool:
        return style in shelf.styles or (
            self.lends and bool(self._secrets.get(style)) and shelf.styles <= self._resting
        )

    def _may_be_lent(self, style: str) -> bool:
        """Tell whether another style has keys that it could lend once it is done."""
        if not self.lends or not self._secrets.get(style):
            return False
        return any(slot.verdict is None and slot.key(None) for slot in self._slots)

    def _any_usable(self, shelf: Shelf, style: str) -> bool:
        return any(self._usable(slot, style) for slot in shelf.slots)

    def _free_at(self, shelf: Shelf, style: str, now: float) -> float | None:
        """Return when the style may ask again, not before now; None: never again."""
        if not shelf.partly_rejected:
            return shelf.free_at(now)
        usable = [slot.free_at for slot in shelf.slots if self._usable(slot, style)]
        return max(now, min(usable)) if usable else None

    def _usable(self, slot: Slot, style: str) -> bool:
        return slot.verdict is None and self._key(slot, style) is not None

    def _key(self, slot: Slot, style: str) -> Key | None:
        return slot.key(self._secrets[style] if style in slot.styles else None)

    def _revive(self) -> None:
        """Take back verdicts that ended: a new day has a new quota."""
        if not self._ending or self._clock.wall() < min(self._ending.values()):
            return
        for slot in [self._slots[index] for index in self._ending]:
            if slot.verdict_ends is not None and self._clock.wall() >= slot.verdict_ends:
                self._judge(slot, None)

    def _judge(self, slot: Slot, verdict: KeyNews | None, ends: float | None = None) -> None:
        """Say of a budget that it is not used any more, and until when; None: it is again."""
        slot.verdict, slot.verdict_ends = verdict, ends
        self._ending.pop(slot.index, None)
        if ends is not None:
            self._ending[slot.index] = ends
        self._place(slot)

    def _place(self, slot: Slot) -> None:
        self._shelves[frozenset(slot.styles)].put(slot, self._clock.now())

    def _waiting_for(self, shelf: Shelf) -> int:
        """Count the waiting styles that could use it."""
        return sum(self._may_use(shelf, style) for style in self._waiting)

    def _has_turn(self, shelf: Shelf, style: str, now: float) -> bool:
        """Tell whether no other style that waits for these budgets was served longer ago.

        A style that was told to come later has no turn before: a place that became free
        early would stay empty until then.
        """
        mine = shelf.served.get(style, 0)
        for other, comes in self._waiting.items():
            if other == style or not comes <= now <= comes + _LATE:
                continue
            if (
                shelf.served.get(other, 0) < mine
                and self._may_use(shelf, other)
                and self._any_usable(shelf, other)
            ):
                return False
        return True

    def _lease_from(self, shelf: Shelf, style: str, now: float) -> Lease | None:
        not_ours = []
        lease = None
        while lease is None and (slot := shelf.take(now)) is not None:
            key = self._key(slot, style)
            if key is None:
                not_ours.append(slot)
                continue
            grant = self._take(slot)
            if grant is not None:
                self._turn += 1
                shelf.served[style] = self._turn
                self._waiting.pop(style, None)
                lease = Lease(key.secret, style, slot.index, grant)
        for slot in not_ours:
            self._place(slot)
        return lease

    def _take(self, slot: Slot) -> int | None:
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

    def _is_spent(self, slot: Slot, budget: Budget, wall: float) -> bool:
        per_day = slot.limit.per_day
        if per_day is not None and budget.used_today(wall) >= per_day:
            self._spend_today(slot, f"requests_per_day = {per_day} is reached")
        elif budget.spent_today(wall):
            self._spend_today(slot, "")
        return slot.verdict is not None

    def _spend_today(self, slot: Slot, message: str) -> KeyNews:
        ends = next_pacific_midnight(self._clock.wall())
        until = self._clock.now() + ends - self._clock.wall()
        tail = slot.keys[0].secret.tail
        news = KeyNews(tail=tail, state=KeyState.SPENT_TODAY, until=until, message=message)
        self._judge(slot, news, ends)
        return news

    def _change(self, lease: Lease, change: Callable[[Budget], object]) -> None:
        slot = self._slots[lease.slot]
        with self._lock:
            self._edit(slot, change)

    def _edit(self, slot: Slot, change: Callable[[Budget], object]) -> None:
        self._ledger.edit(slot.account, change)
        slot.free_at = slot.budget.free_at(self._clock.now(), self._limit(slot))
        self._place(slot)

    def _news(self, style: str) -> tuple[KeyNews, ...]:
        now = self._clock.now()
        return tuple(
            self._state(slot, key, now)
            for slot in self._of_style.get(style, ())
            for key in slot.keys
            if key.secret in self._secrets[style]
        )

    def _state(self, slot: Slot, key: Key, now: float) -> KeyNews:
        tail, pace = key.secret.tail, slot.budget.pace
        if key.secret in slot.rejected:
            message = slot.rejected[key.secret]
            return KeyNews(tail=tail, state=KeyState.REJECTED, message=message)
        if slot.verdict is not None:
            return msgspec.structs.replace(slot.verdict, tail=tail)
        until = slot.free_at if slot.free_at > now else None
        state = KeyState.READY if until is None else KeyState.WAITING
        if until is not None and slot.budget.rests_until > now:
            state = KeyState.COOLING
        per_minute = slot.budget.effective(self._limit(slot))
        return KeyNews(tail=tail, state=state, until=until, pace=pace, per_minute=per_minute)
