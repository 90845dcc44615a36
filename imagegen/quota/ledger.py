"""Budgets shared between processes: read, changed and written back as one step.

A change is made to the budget as last read and written back if no other process wrote in
between; if one did, it is made again on the new value. If the store fails, the run continues
with what it knows, in memory and at half pace, with one warning. It checks again and again whether
the store can be used. If a file was deleted during the run, it stays at half pace.

Other machines use a store on a server too. If it fails, this run cannot know what they have just
sent, so it sends nothing for a minute first. A server that restarts is usually back by then.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Self

import msgspec

from imagegen.clock import Clock
from imagegen.errors import UsageError
from imagegen.keys.budget_server import BudgetServer
from imagegen.quota.budget import MARGIN, WINDOW, Budget
from imagegen.quota.server_clock import ServerClock
from imagegen.quota.store import (
    BUSY_SECONDS,
    MemoryStore,
    SqliteStore,
    Store,
    StoreLostError,
    StoreTornError,
    StoreUnavailableError,
    digest,
)

_COOLDOWN_MARKER: Final = "just used"
_LOOK_AGAIN: Final = 60.0
_SERVER_LOOKS: Final = (1.0, 30.0)
"""Seconds until the first look at a server that failed, and the longest between two. A restart
takes a second or two, a failover half a minute."""
_LOOK_SECONDS: Final = 0.2
"""How long the run is held up by such a look at a store that is still locked."""
_LOOK_SHARE: Final = 0.05
"""The share of its time for which a run is held up by looks: name lookups have no time limit."""

_FEWEST_SHARERS: Final = 2

Opener = Callable[[], Store]
"""Opens the store again, and waits only briefly for it."""


class StoredBudget:
    """One budget's name in the store, and what was last read or written of it.

    `known` means that there is such a thing.
    """

    def __init__(self, name: str, budget: Budget, owner: tuple[str, ...] = ()) -> None:
        self.name = name
        self.owner = owner
        self.version = 0
        self.known = False
        self.budget = budget
        self.row = msgspec.msgpack.encode(budget)


class Ledger:
    """The budgets in a store. Calls must not overlap; the pool's lock sees to that.

    `alone` means that other processes cannot be seen, so that only a part of each limit may
    be used: `sharers` is the number by which it is divided. `warn` is called with a sentence when
    that happens. `reopen` opens the store again; `looks` are the seconds until the first attempt
    and the longest between two.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        warn: Callable[[str], None],
        *,
        alone: bool = False,
        reopen: Opener | None = None,
        looks: tuple[float, float] = (_LOOK_AGAIN, _LOOK_AGAIN),
    ) -> None:
        self.is_fallback = alone
        self.sharers = _FEWEST_SHARERS if alone else 1
        self.clock = clock
        self._reopen = reopen
        self._looks = looks
        self._next_look = looks[0]
        self._look_again = clock.now() + self._next_look
        self._quiet_until = 0.0
        self._store = store
        self._clock = clock
        self._warn = warn
        self._accounts: list[StoredBudget] = []
        self._rows_mended = False

    @classmethod
    def open(
        cls,
        folder: Path,
        clock: Clock,
        warn: Callable[[str], None],
        *,
        busy_seconds: float = BUSY_SECONDS,
    ) -> "Ledger":
        """Open the ledger in the user's state folder; made where it is missing.

        A damaged one is moved away: every budget then counts as just used, and so does one that
        is gone although runs have been here before. Where the folder
        cannot be used, the ledger is kept in memory.
        """

        def reopen() -> Store:
            return SqliteStore(folder, busy_seconds=_LOOK_SECONDS)

        try:
            store = SqliteStore(folder, busy_seconds=busy_seconds)
        except (StoreUnavailableError, StoreTornError) as error:
            warn(_alone_because(f"cannot be used ({error})"))
            return cls(MemoryStore(), clock, warn, alone=True, reopen=reopen)
        ledger = cls(store, clock, warn, reopen=reopen)
        ledger._report_loss()
        return ledger

    @classmethod
    def connect(cls, server: BudgetServer, clock: Clock, warn: Callable[[str], None]) -> Self:
        """Open the ledger on a server that other machines use too.

        A server that has no budgets yet may have lost them: every budget counts as just used. If
        it cannot be used, the ledger is kept in memory, and nothing is sent for a minute. Raises
        `UsageError` if the extra `redis` is not installed.
        """
        try:
            # An extra, and slow to import.
            from imagegen.quota.redis_store import RedisStore  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise UsageError(
                "budgets on a server need an extra that is not installed",
                hint="python -m pip install 'imagegen-storyboard[redis]'",
            ) from error
        shared = ServerClock(clock)

        def reopen() -> Store:
            return RedisStore(server, shared)

        try:
            store = reopen()
        except StoreUnavailableError as error:
            warn(_alone_because(f"cannot be used ({error})", quiet=True))
            ledger = cls(
                MemoryStore(), shared, warn, alone=True, reopen=reopen, looks=_SERVER_LOOKS
            )
            ledger._be_quiet()
            ledger._count_as_just_used()
            return ledger
        ledger = cls(store, shared, warn, reopen=reopen, looks=_SERVER_LOOKS)
        ledger._report_loss()
        return ledger

    @property
    def holder(self) -> str:
        """This process's name in budgets."""
        return self._store.holder

    def may_send(self, holder: str) -> bool:
        """Return whether what was granted to this process under that name may be sent now."""
        return self._store.holds(holder)

    def account(self, *owner: str) -> StoredBudget:
        """Return the budget of provider, kind of owner, owner and model."""
        account = StoredBudget(digest(self._store.salt, *owner), Budget.fresh(self._clock), owner)
        self._accounts.append(account)
        return account

    def update(self, account: StoredBudget, change: Callable[[Budget], object]) -> None:
        """Apply a change to the budget as it is now, however many others change it too."""
        try:
            self._edit(account, change)
        except (StoreUnavailableError, StoreTornError) as error:
            self._leave(error)
            self._edit(account, change)

    def refresh(self) -> bool:
        """Show others that this process runs, and fall back if the store is gone.

        Returns whether this process is new to the store: it can be used again, or others took
        this process for dead.
        """
        if self.is_fallback:
            return self._look_again <= self._clock.now() and self._recover()
        try:
            renamed = self._store.renew()
        except StoreUnavailableError as error:
            self._leave(error)
            return False
        if self._store.gone:
            self._warn(_alone_because("was deleted"))
            self._fall_back(just_used=False)
            # Other runs use a new one, which knows nothing of what this run has sent.
            self._reopen = None
        return renamed

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _edit(self, account: StoredBudget, change: Callable[[Budget], object]) -> None:
        while True:
            if account.version == 0:
                self._load(account)
            account.budget.refresh(self._clock, self._store.alive)
            change(account.budget)
            row = msgspec.msgpack.encode(account.budget)
            if self._store.swap(account.name, account.version, row):
                account.version += 1
                account.known = True
                account.row = row
                return
            self._load(account)

    def _load(self, account: StoredBudget) -> None:
        account.version, account.budget = self._read(account.name)
        if account.version > 0:
            account.row = msgspec.msgpack.encode(account.budget)
        elif self.is_fallback or not (account.known or self._store.is_remote):
            # While others could be seen, what they had sent was known too.
            _, just_used = self._read(_COOLDOWN_MARKER)
            account.budget.cool_until = just_used.cool_until

    def _read(self, name: str) -> tuple[int, Budget]:
        row = self._store.load(name)
        if row is None:
            version, budget = 0, Budget.fresh(self._clock)
        else:
            version, budget = row[0], self._decode(row[1])
        budget.cool_until = max(budget.cool_until, self._store.made_at + WINDOW + MARGIN)
        return version, budget

    def _decode(self, row: bytes) -> Budget:
        try:
            budget = msgspec.msgpack.decode(row, type=Budget)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # The file is valid, so no later run would replace it: fix the row.
            if not self._rows_mended:
                self._warn("a key's record of sent requests was damaged: it waits for a minute")
            self._rows_mended = True
            budget = Budget.fresh(self._clock)
            self._just_used(budget)
        budget.refresh(self._clock, self._store.alive)
        budget.clamp(self._clock.now())
        return budget

    def _just_used(self, budget: Budget) -> None:
        now = self._clock.now()
        until = self._quiet_until if self._quiet_until > now else now + WINDOW + MARGIN
        budget.cool_until = max(budget.cool_until, until)

    def _be_quiet(self) -> None:
        """Send nothing for a minute: what other machines have just sent is not known."""
        self._quiet_until = self._clock.now() + WINDOW + MARGIN

    def _count_as_just_used(self) -> None:
        self.update(StoredBudget(_COOLDOWN_MARKER, Budget.fresh(self._clock)), self._just_used)

    def _report_loss(self) -> None:
        """Warn if the store was opened without what was in it, and count budgets as just used."""
        if self._store.reason:
            record = f"the record of sent requests {self._store.reason}"
            self._warn(f"{record}: nothing is sent for a minute")
        if self._store.reason and not self._store.is_remote:
            # Whoever opens it next learns of this; a server remembers when it was made.
            self._count_as_just_used()

    def _leave(self, error: StoreUnavailableError | StoreTornError) -> None:
        """Warn that the store cannot be used, and go on without it."""
        if isinstance(error, StoreLostError):
            self._warn(f"the record of sent requests {error}: nothing is sent for a minute")
        elif isinstance(error, StoreTornError):
            self._warn(_alone_because("is damaged"))
        else:
            problem = f"cannot be used ({error})"
            self._warn(_alone_because(problem, quiet=self._store.is_remote))
        self._fall_back(just_used=self._store.is_remote or isinstance(error, StoreTornError))

    def _recover(self) -> bool:
        """Use the store again, if that is possible now."""
        if self._reopen is None:
            return False
        began = self._clock.now()
        try:
            self._move_to(self._reopen())
        except (StoreUnavailableError, StoreTornError):
            took = self._clock.now() - began
            self._next_look = min(2 * self._next_look, self._looks[1])
            self._look_again = self._clock.now() + max(self._next_look, took / _LOOK_SHARE)
            return False
        self.is_fallback, self.sharers = False, 1
        self._quiet_until = 0.0
        return True

    def _move_to(self, store: Store) -> None:
        """Write what is known into another store.

        If this one knows nothing of runs that are over, budgets that no run in flight knows
        count as just used.
        """
        before, self._store = self._store, store
        rows = [(a.name, a.version, a.budget, a.row) for a in self._accounts]
        try:
            if store.reason and not store.is_remote:
                self._edit(
                    StoredBudget(_COOLDOWN_MARKER, Budget.fresh(self._clock)), self._just_used
                )
            for account in self._accounts:
                budget = msgspec.msgpack.decode(account.row, type=Budget)
                budget.rename(before.holder, store.holder)
                if budget.cool_until == self._quiet_until:
                    # This run alone was quiet, for what is known again.
                    budget.cool_until = 0.0
                account.name, account.version = digest(store.salt, *account.owner), 0
                self._edit(account, partial(Budget.merge, other=budget))
        except (StoreUnavailableError, StoreTornError):
            for account, row in zip(self._accounts, rows, strict=True):
                account.name, account.version, account.budget, account.row = row
            self._store = before
            store.close()
            raise
        before.close()

    def _fall_back(self, *, just_used: bool) -> None:
        self.is_fallback = True
        self.sharers = max([_FEWEST_SHARERS, *(len(a.budget.limits) for a in self._accounts)])
        self._next_look = self._looks[0]
        self._look_again = self._clock.now() + self._next_look
        # Others will count what this process holds on a server as sent: nothing that was granted
        # before is sent under a new name.
        holder = "" if self._store.is_remote else self._store.holder
        if self._store.is_remote:
            self._be_quiet()
        self._store.close()
        self._store = MemoryStore(self._store.salt, holder)
        for account in self._accounts:
            # The change that failed may be half made: go back to what was last written.
            account.budget = msgspec.msgpack.decode(account.row, type=Budget)
            if just_used:
                self._just_used(account.budget)
            self._store.swap(account.name, 0, msgspec.msgpack.encode(account.budget))
            account.version = 1


def _alone_because(problem: str, *, quiet: bool = False) -> str:
    then = "nothing is sent for a minute, then going on" if quiet else "going on"
    return (
        f"the record of sent requests {problem}: {then} at half pace, "
        "because other runs with the same keys cannot be seen"
    )
