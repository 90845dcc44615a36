"""What one run writes into the ledger, and what its limits let it send."""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec

from imagegen.clock import Clock
from imagegen.errors import encodable
from imagegen.spending.ledger import Entry, LedgerError
from imagegen.spending.limits import Limit, dollars, micros

_LOOK_AGAIN: Final = 60.0
_TRY_AGAIN: Final = 600.0


class Refusal(msgspec.Struct, frozen=True):
    """Why a request must not leave, and when one may: in seconds of the wall clock.

    None if a person must act first.
    """

    message: str
    resume_after: float | None


class Reservations(Protocol):
    """Where requests are written down and compared with limits, as `SpendingLedger` does it.

    Of parallel callers, none may pass a limit: also if they are on other machines. Every method
    may be called from any thread and raises `LedgerError`. `settle` and `release` may be repeated.
    """

    def reserve(self, entry: Entry, most: int | None, limits: Sequence[Limit] = ()) -> list[Limit]:
        """Write down a request of at most `most` micro-dollars, or return the limits in its way."""
        ...

    def settle(self, entry: Entry, cost: int | None) -> None:
        """Record what its answer cost, in micro-dollars; None: its price is not known."""
        ...

    def release(self, entry: Entry) -> None:
        """Forget a request that never left, or that cost nothing."""
        ...

    def spent(self, limit: Limit, day: dt.date) -> int:
        """Return what counts against a limit on a day, in micro-dollars."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


class RunAccount:
    """The requests of one run in the user's ledger. May be used from any thread.

    `project` is its folder; `limits` are all those that it keeps to. Without limits a ledger that
    cannot be used never holds up the run: `warn` is called once, and what could not be written is
    written when the ledger can be used again.
    """

    def __init__(
        self,
        ledger: Reservations,
        *,
        project: str,
        provider: str,
        model: str,
        limits: Sequence[Limit] = (),
        clock: Clock,
        warn: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._project, self._provider, self._model = project, provider, encodable(model)
        self._limits = limits
        self._clock = clock
        self._warn = warn
        self._warned = False
        self._look_again = 0.0
        self._unwritten: dict[int, Callable[[], None]] = {}

    def reserve(self, style: str, key: str, most: float | None) -> Entry | Refusal:
        """Write down a request that is about to leave, of at most `most` US dollars.

        `key` is its key's tail. Returns why it must not leave if it could pass a limit.
        """
        entry = Entry(
            time=self._clock.wall(),
            project=self._project,
            provider=self._provider,
            model=self._model,
            style=style,
            key=key,
        )
        if self._is_paused and not self._limits:
            return entry
        price = None if most is None else micros(most)
        try:
            passed = self._ledger.reserve(entry, price, self._limits)
        except LedgerError as error:
            if self._limits:
                setting = self._limits[0].setting
                message = f"{error}; without it {setting} cannot be kept"
                return Refusal(message, self._clock.wall() + _TRY_AGAIN)
            self._pause(error)
            return entry
        return _refusal(passed, price or 0, entry.day) if passed else entry

    def settle(self, entry: Entry, cost: float | None) -> None:
        """Record what an answer cost, in US dollars; None: its price is not known."""
        price = None if cost is None else micros(cost)
        self._write(entry, partial(self._ledger.settle, entry, price))

    def release(self, entry: Entry) -> None:
        """Forget a request that never left or cost nothing."""
        self._write(entry, partial(self._ledger.release, entry))

    def close(self) -> None:
        """Write what could not be written yet, and close the ledger."""
        self._flush()
        self._ledger.close()

    def _write(self, entry: Entry, write: Callable[[], None]) -> None:
        self._unwritten[entry.id] = write
        if not self._is_paused:
            self._flush()

    def _flush(self) -> None:
        for number, write in list(self._unwritten.items()):
            try:
                write()
            except LedgerError as error:
                self._pause(error)
                return
            self._unwritten.pop(number, None)

    @property
    def _is_paused(self) -> bool:
        return self._clock.now() < self._look_again

    def _pause(self, error: LedgerError) -> None:
        """Leave the ledger alone for a minute: each attempt may wait for seconds."""
        self._look_again = self._clock.now() + _LOOK_AGAIN
        if not self._warned:
            self._warned = True
            self._warn(not_recorded(error))


def not_recorded(error: LedgerError) -> str:
    """Return the warning of a run whose costs cannot be recorded now."""
    return f"what this run costs is not recorded for `imagegen spend`: {error}"


def _refusal(passed: Sequence[Limit], price: int, day: dt.date) -> Refusal:
    """Return why a request of this price must not leave on this day."""
    # Once all of them have begun a new period it may.
    last = max(passed, key=lambda limit: limit.period.next(day))
    if any(price > limit.most for limit in passed):
        # No day has money for it: a person must act.
        low = min(passed, key=lambda limit: limit.most)
        return Refusal(f"one image can cost ${dollars(price):.3g}, more than {low.shown}", None)
    message = f"another image could pass {last.shown}"
    start = dt.datetime.combine(last.period.next(day), dt.time(), dt.UTC)
    return Refusal(message, start.timestamp())
