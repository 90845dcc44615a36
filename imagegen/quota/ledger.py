"""Budgets shared between processes: read, changed and written back as one step.

A change is made to the budget as last read and written back if no other process wrote in
between; if one did, it is made again on the new value. If the store fails, the run continues
with what it knows, in memory and at half pace, with one warning. Every minute it checks whether
the store can be used again. If the store was deleted during the run, it stays at half pace.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from imagegen.clock import Clock
from imagegen.quota.budget import MARGIN, WINDOW, Budget
from imagegen.quota.store import (
    BUSY_SECONDS,
    MemoryStore,
    SqliteStore,
    Store,
    StoreTornError,
    StoreUnavailableError,
    digest,
)

_COOLDOWN_MARKER: Final = "just used"
_LOOK_AGAIN: Final = 60.0
_LOOK_SECONDS: Final = 0.2
"""How long the run is held up by such a look at a store that is still locked."""


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

    `alone` means that other processes cannot be seen, so that only half of each limit may
    be used. `warn` is called with a sentence when that happens.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        warn: Callable[[str], None],
        *,
        alone: bool = False,
        folder: Path | None = None,
    ) -> None:
        self.is_fallback = alone
        self._folder = folder
        self._look_again = clock.now() + _LOOK_AGAIN
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
        try:
            store = SqliteStore(folder, busy_seconds=busy_seconds)
        except (StoreUnavailableError, StoreTornError) as error:
            warn(_alone_because(f"cannot be used ({error})"))
            return cls(MemoryStore(), clock, warn, alone=True, folder=folder)
        ledger = cls(store, clock, warn, folder=folder)
        if store.damaged or store.lost:
            what = "was damaged and was moved away" if store.damaged else "was deleted"
            warn(f"the record of sent requests {what}: nothing is sent for a minute")
            ledger._count_as_just_used()
        return ledger

    @property
    def holder(self) -> str:
        """This process's name in budgets."""
        return self._store.holder

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
            damaged = isinstance(error, StoreTornError)
            self._warn(_alone_because("is damaged" if damaged else f"cannot be used ({error})"))
            self._fall_back(just_used=damaged)
            self._edit(account, change)

    def refresh(self) -> bool:
        """Fall back if the store was deleted; return whether a store can be used again."""
        if self.is_fallback:
            return self._look_again <= self._clock.now() and self._recover()
        if self._store.gone:
            self._warn(_alone_because("was deleted"))
            self._fall_back(just_used=False)
            # Other runs use a new one, which knows nothing of what this run has sent.
            self._folder = None
        return False

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
        elif self.is_fallback or not account.known:
            # While others could be seen, what they had sent was known too.
            _, just_used = self._read(_COOLDOWN_MARKER)
            account.budget.cool_until = just_used.cool_until

    def _read(self, name: str) -> tuple[int, Budget]:
        found = self._store.load(name)
        if found is None:
            return 0, Budget.fresh(self._clock)
        version, row = found
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
        return version, budget

    def _just_used(self, budget: Budget) -> None:
        budget.cool_until = max(budget.cool_until, self._clock.now() + WINDOW + MARGIN)

    def _count_as_just_used(self) -> None:
        self.update(StoredBudget(_COOLDOWN_MARKER, Budget.fresh(self._clock)), self._just_used)

    def _recover(self) -> bool:
        """Use the store again, if that is possible now."""
        self._look_again = self._clock.now() + _LOOK_AGAIN
        if self._folder is None:
            return False
        try:
            store = SqliteStore(self._folder, busy_seconds=_LOOK_SECONDS)
            self._move_to(store, forgotten=store.damaged or store.lost)
        except (StoreUnavailableError, StoreTornError):
            return False
        self.is_fallback = False
        return True

    def _move_to(self, store: SqliteStore, *, forgotten: bool) -> None:
        """Write what is known into another store.

        `forgotten` means that this one knows nothing of runs that are over: budgets that no run
        in flight knows count as just used.
        """
        before, self._store = self._store, store
        rows = [(a.name, a.version, a.budget, a.row) for a in self._accounts]
        try:
            if forgotten:
                self._edit(
                    StoredBudget(_COOLDOWN_MARKER, Budget.fresh(self._clock)), self._just_used
                )
            for account in self._accounts:
                known = msgspec.msgpack.decode(account.row, type=Budget)
                known.rename(before.holder, store.holder)
                account.name, account.version = digest(store.salt, *account.owner), 0
                self._edit(account, partial(Budget.merge, known=known))
        except (StoreUnavailableError, StoreTornError):
            for account, row in zip(self._accounts, rows, strict=True):
                account.name, account.version, account.budget, account.row = row
            self._store = before
            store.close()
            raise
        before.close()

    def _fall_back(self, *, just_used: bool) -> None:
        holder, self.is_fallback = self._store.holder, True
        self._look_again = self._clock.now() + _LOOK_AGAIN
        self._store.close()
        self._store = MemoryStore(self._store.salt, holder)
        for account in self._accounts:
            # The change that failed may be half made: go back to what was last written.
            account.budget = msgspec.msgpack.decode(account.row, type=Budget)
            if just_used:
                self._just_used(account.budget)
            self._store.swap(account.name, 0, msgspec.msgpack.encode(account.budget))
            account.version = 1


def _alone_because(what: str) -> str:
    return (
        f"the record of sent requests {what}: going on at half pace, "
        "because other runs with the same keys cannot be seen"
    )
