"""Which key may send now: leases on budgets, shared fairly between styles and processes.

A lease is one request's worth of one key's budget. It is stored before the connection is
made, so that a killed process's requests are never forgotten. Which style is next is in
`scheduler`, what a 429 means in `backoff`; `docs/key-pool.md` explains the algorithms.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Final

import msgspec

from imagegen.clock import Clock
from imagegen.keys.keyring import ApiKey
from imagegen.quota.accounts import BudgetSet
from imagegen.quota.backoff import Backoff
from imagegen.quota.budget import LONGEST_TOLD, Budget
from imagegen.quota.key_state import NEEDS_USER, UNUSABLE, KeyState, KeyUpdate
from imagegen.quota.ledger import Ledger
from imagegen.quota.scheduler import FairScheduler
from imagegen.quota.simulation import ChainLoad, last_departures
from imagegen.secret import Secret

_YIELD: Final = 0.05
"""Minimum seconds before a waiting worker asks again."""


class Lease(msgspec.Struct, frozen=True):
    """The right to send one request with `secret`; to be returned in every case.

    `holder` is this process's name in the budget.
    """

    secret: Secret
    style: str
    slot: int
    grant: int
    holder: str


class Throttled(msgspec.Struct, frozen=True):
    """No key is free; `until` is when to ask again at the latest.

    Infinite where only another style's keys can help, once that one is done.
    """

    until: float


class Exhausted(msgspec.Struct, frozen=True):
    """No key of the style will be free again in this run, and why for each."""

    keys: tuple[KeyUpdate, ...]

    @property
    def needs_other_keys(self) -> bool:
        """Whether only other keys can help: there is none, or none that is accepted."""
        return all(key.state in UNUSABLE for key in self.keys)

    @property
    def needs_user_action(self) -> bool:
        """Whether only a person can help, with other keys or with credit."""
        return all(key.state in NEEDS_USER for key in self.keys)


class KeyPool:
    """The keys of all styles. Every method may be called from any thread.

    `keys` gives each style's keys, also of styles that draw nothing: with `lend`, the keys
    of a style that has nothing to send serve those that have, if they have keys of their
    own. One lock guards everything below it; no method waits for anything else.
    """

    def __init__(
        self,
        keys: Mapping[str, Iterable[ApiKey]],
        *,
        provider: str,
        model: str,
        ledger: Ledger,
        clock: Clock,
        lend: bool = False,
        seed: int | None = None,
    ) -> None:
        self._clock = clock
        self._departed: deque[tuple[Lease, float]] = deque()
        self._guard = _Lock(self._note_departures)
        self._slots = BudgetSet(keys, provider=provider, model=model, ledger=ledger, clock=clock)
        self._scheduler = FairScheduler(self._slots, clock, lend=lend)
        self._backoff = Backoff(self._slots, clock, seed)
        self._revived = False

    @property
    def lends(self) -> bool:
        """Whether styles that have nothing to send lend their keys."""
        return self._scheduler.lends

    def register_demand(self, style: str) -> None:
        """Announce that the style will ask at once, so that its turn is kept."""
        with self._guard:
            self._scheduler.want(style)

    def cancel_demand(self, style: str) -> None:
        """Say that the style needs no key for now."""
        with self._guard:
            self._scheduler.withdraw(style)

    def mark_idle(self, style: str) -> bool:
        """Say that the style has nothing left to send, until it asks again.

        Returns whether others may have its keys from now on, and should ask.
        """
        with self._guard:
            return self._scheduler.rest(style)

    def lease(self, style: str) -> Lease | Throttled | Exhausted:
        """Take a key for one request of this style, or learn when to ask again."""
        with self._guard:
            now = self._clock.now()
            self._revived |= self._slots.reenable()
            granted = self._scheduler.take(style, now)
            if granted is not None:
                slot, key, grant = granted
                return Lease(key.secret, style, slot.index, grant, self._slots.ledger.holder)
            comes = self._scheduler.next_at(style, now)
            if comes is None:
                return Exhausted(self._slots.key_states(style))
            return Throttled(max(comes, now + _YIELD))

    def key_states(self, style: str) -> tuple[KeyUpdate, ...]:
        """Return the state of each key of the style."""
        with self._guard:
            return self._slots.key_states(style)

    def forecast(
        self, left: Mapping[str, int], chained: Mapping[str, ChainLoad] | None = None
    ) -> dict[str, float | None]:
        """Return in how many seconds the last of these requests of each style can leave.

        `chained` has the styles of which requests wait for others. Judged by what this run
        knows of its budgets. None if not all of them can leave today, or ever.
        """
        with self._guard:
            now, wall = self._clock.now(), self._clock.wall()
            supplies = [self._scheduler.capacity(slot, left, now, wall) for slot in self._slots]
        return last_departures(supplies, left, now, chained)

    def probe_key(self) -> Secret | None:
        """Return a key for the service's free endpoint: any that was not rejected."""
        with self._guard:
            for slot in self._slots:
                for key in slot.keys:
                    if key.secret not in slot.rejected:
                        return key.secret
        return None

    def may_send(self, lease: Lease) -> bool:
        """Return whether the request may leave now, to be asked right before it does.

        It may not if this machine slept so long that others count it as sent and done.
        """
        return self._slots.ledger.may_send(lease.holder)

    def sent(self, lease: Lease) -> None:
        """Record that the request has left: its minute runs from now.

        Never waits: hundreds of threads call this at once. If the pool is busy, it is
        noted before anything else is asked of the pool; until then the request counts as
        leaving now, which is never too early.
        """
        self._departed.append((lease, self._clock.now()))
        self._guard.unless_busy()

    def release(self, lease: Lease) -> None:
        """Give back a lease whose request never left: its place in the minute is free again."""
        self._change(lease, lambda budget: budget.revoke(lease.grant))

    def answered(self, lease: Lease) -> None:
        """Record any answer of the service but a refusal for quota."""
        slot = self._slots[lease.slot]
        # Without the lock, for nearly every answer comes this way: a refusal that comes at
        # the same moment may as well have come a moment later.
        slot.refused_since = None
        if slot.budget.consecutive_429s or slot.budget.spent_wall is not None:
            self._change(lease, Budget.answered)

    def record_server_limit(
        self, lease: Lease, *, per_minute: int | None, remaining: int | None, reset: float | None
    ) -> None:
        """Record what any answer says that the key may still send.

        `per_minute` is the service's limit: if it is lower than ours, it counts. Where none
        of it is `remaining`, the key rests until `reset` seconds after the request left: the
        service counts a request when it comes, and its answer takes a while.
        """
        slot = self._slots[lease.slot]
        with self._guard:
            now, until = self._clock.now(), 0.0
            if per_minute is not None:
                per_minute = self._slots.own_share(per_minute)
            if remaining == 0 and reset is not None:
                until = slot.budget.sent_at(lease.grant, now) + min(reset, LONGEST_TOLD)
            # An answer costs no write unless it says something new.
            if not slot.budget.has_server_limit(per_minute, until if until > now else 0.0):
                self._slots.edit(slot, lambda budget: budget.set_server_limit(per_minute, until))

    def record_429(self, lease: Lease, retry_after: float | None) -> KeyUpdate:
        """Record a 429 that passes; `retry_after` is in seconds, where the service says so."""
        with self._guard:
            slot = self._slots[lease.slot]
            return self._backoff.record_429(slot, lease.grant, lease.secret.tail, retry_after)

    def pop_shared_keys(self) -> tuple[str, ...]:
        """Return the tails of keys that seem to share one quota, once each time they grow."""
        with self._guard:
            return self._backoff.pop_shared_keys()

    def spent_today(self, lease: Lease, message: str = "") -> KeyUpdate:
        """Record the service's word that the day's quota is used up."""
        wall = self._clock.wall()

        def spend(budget: Budget) -> None:
            budget.spent_wall = wall

        with self._guard:
            slot = self._slots[lease.slot]
            self._slots.edit(slot, spend)
            news = self._slots.disable_until_midnight(slot, message)
        return msgspec.structs.replace(news, tail=lease.secret.tail)

    def no_quota(self, lease: Lease, message: str = "") -> KeyUpdate:
        """Record the service's word that the plan has no quota for the model."""
        return self._give_up(lease, KeyState.NO_QUOTA, message)

    def out_of_credit(self, lease: Lease, message: str = "") -> KeyUpdate:
        """Record the service's word that there is no credit; forgotten when this run ends.

        A person who has added some runs again at once.
        """
        return self._give_up(lease, KeyState.OUT_OF_CREDIT, message)

    def reject(self, lease: Lease, message: str = "") -> KeyUpdate:
        """Record that the service does not accept the key; forgotten when this run ends."""
        with self._guard:
            self._slots.reject(self._slots[lease.slot], lease.secret, message)
        return KeyUpdate(tail=lease.secret.tail, state=KeyState.REJECTED, message=message)

    def refresh(self) -> bool:
        """See whether the ledger is still where it was; to be called every second or so.

        Returns whether styles should ask again: a new day has given keys back that were spent, or
        the ledger can be used again, and earlier wait times are too long.
        """
        with self._guard:
            self._revived |= self._slots.look()
            revived, self._revived = self._revived | self._slots.reenable(), False
            return revived

    def close(self) -> None:
        """Withdraw this process's limits and release the store."""
        with self._guard:
            self._slots.close()

    def _give_up(self, lease: Lease, state: KeyState, message: str) -> KeyUpdate:
        """Use a budget no more in this run."""
        news = KeyUpdate(tail=lease.secret.tail, state=state, message=message)
        with self._guard:
            self._slots.disable(self._slots[lease.slot], news)
        return news

    def _change(self, lease: Lease, change: Callable[[Budget], object]) -> None:
        with self._guard:
            self._slots.edit(self._slots[lease.slot], change)

    def _note_departures(self) -> None:
        """Write down when requests left, those of one budget together."""
        if not self._departed:
            return
        by_slot: dict[int, dict[int, float]] = {}
        while self._departed:
            lease, at = self._departed.popleft()
            by_slot.setdefault(lease.slot, {})[lease.grant] = at
        for index, times in by_slot.items():
            self._slots.edit(self._slots[index], partial(Budget.sent, times=times))


class _Lock:
    """A lock with a queue of work that its next holder does first."""

    def __init__(self, first: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._first = first

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._first()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def unless_busy(self) -> None:
        """Do the queued work, if the lock is free."""
        if self._lock.acquire(blocking=False):
            try:
                self._first()
            finally:
                self._lock.release()
