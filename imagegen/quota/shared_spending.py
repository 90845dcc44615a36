"""What a team's machines spend together, on a Redis or Valkey server. Needs the extra `redis`.

One hash for each day, which the server deletes after the month that has it:

    imagegen:{TEAM}:spent:2026-11-30    total, and each request by its id: what it can cost at
                                        most, in micro-dollars, or `-` once its cost is known

This machine's ledger has the same requests and keeps to the same limits, so a server that lost its
data lets no machine spend more than it could alone.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis

from imagegen.keys.budget_server import BudgetServer
from imagegen.quota.redis_store import ANSWER_SECONDS, client, why
from imagegen.spending.ledger import Entry, LedgerError, SpendingLedger
from imagegen.spending.limits import Limit, Period

_KEEP_SECONDS: Final = 40 * 86_400
"""Seconds for which a day is kept: the longest month, and requests that end after it."""

_LOOK_AGAIN: Final = 30.0

_RESERVE: Final = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return {} end

local passed = {}
local month = 0
for _, key in ipairs(KEYS) do month = month + tonumber(redis.call('HGET', key, 'total') or '0') end
local day = tonumber(redis.call('HGET', KEYS[1], 'total') or '0')

if ARGV[4] ~= '' and day + ARGV[2] > tonumber(ARGV[4]) then table.insert(passed, 'day') end
if ARGV[5] ~= '' and month + ARGV[2] > tonumber(ARGV[5]) then table.insert(passed, 'month') end

if #passed > 0 then return passed end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'total', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return passed
"""

_TOTAL: Final = """
local sum = 0
for _, key in ipairs(KEYS) do sum = sum + tonumber(redis.call('HGET', key, 'total') or '0') end
return sum
"""

_SETTLE: Final = """
local most = redis.call('HGET', KEYS[1], ARGV[1])
if most == '-' then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], '-')
redis.call('HINCRBY', KEYS[1], 'total', string.format('%.0f', ARGV[2] - (tonumber(most or '0'))))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""May be repeated: the answer to a change can be lost when the change is not."""


def _days_of_month(day: dt.date) -> list[dt.date]:
    first = Period.MONTH.first_day(day)
    return [first + dt.timedelta(n) for n in range((Period.MONTH.next(day) - first).days)]


class SharedSpending:
    """The ledger of this machine, with the limits of all runs counted on a team's server.

    Limits of a project stay with this machine. While the server cannot be reached, `reserve` with
    limits raises `LedgerError`. Without limits what was spent is sent
    when the server is back. `now` returns seconds. Every method may be called from any thread.
    """

    def __init__(
        self,
        local: SpendingLedger,
        server: BudgetServer,
        *,
        now: Callable[[], float],
        warn: Callable[[str], None],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._local = local
        self._name, self._prefix = server.name, f"imagegen:{{{server.team}}}:spent:"
        self._now = now
        self._warn = warn
        self._look_again = 0.0
        self._unsent: dict[int, tuple[dt.date, int]] = {}
        self._redis = client(server, answer_seconds)
        self._reserve = self._redis.register_script(_RESERVE)
        self._total = self._redis.register_script(_TOTAL)
        self._settle = self._redis.register_script(_SETTLE)

    def reserve(self, entry: Entry, most: int | None, limits: Sequence[Limit] = ()) -> list[Limit]:
        """Write down a request of at most `most` micro-dollars, or return the limits in its way."""
        passed = self._local.reserve(entry, most, limits)
        if passed:
            return passed
        team = [limit for limit in limits if limit.project is None]
        try:
            self._flush()
            periods = self._ask(entry, most or 0, team)
        except LedgerError:
            if team:
                # The server may have written it before the answer was lost.
                self._unsent[entry.id] = (entry.day, 0)
                self._rest()
                self._local.release(entry)
                raise
            self._rest()
            return []
        if periods:
            self._local.release(entry)
        return [limit for limit in team if limit.period in periods]

    def spent(self, limit: Limit, day: dt.date) -> int:
        """Return what counts against a limit on a day, in micro-dollars."""
        here = self._local.spent(limit, day)
        if limit.project is not None:
            return here
        days = [day] if limit.period is Period.DAY else _days_of_month(day)
        reply = self._call(self._total, days)
        if not isinstance(reply, int):
            raise LedgerError(f"{self._name} gave an unexpected answer")
        return max(here, reply)

    def settle(self, entry: Entry, cost: int | None) -> None:
        """Record what its answer cost, in micro-dollars; None: its price is not known."""
        self._local.settle(entry, cost)
        self._tell(entry, cost or 0)

    def release(self, entry: Entry) -> None:
        """Forget a request that never left, or that cost nothing."""
        self._local.release(entry)
        self._tell(entry, 0)

    def _ask(self, entry: Entry, most: int, team: Sequence[Limit]) -> frozenset[Period]:
        """Reserve a request on the server; return the periods whose limits it could pass."""
        lowest = [
            min((limit.most for limit in team if limit.period is period), default="")
            for period in (Period.DAY, Period.MONTH)
        ]
        days = [entry.day, *(day for day in _days_of_month(entry.day) if day != entry.day)]
        reply = self._call(self._reserve, days, entry.id, most, _KEEP_SECONDS, *lowest)
        if not isinstance(reply, list) or not set(reply) <= {b"day", b"month"}:
            raise LedgerError(f"{self._name} gave an unexpected answer")
        return frozenset(Period(name.decode()) for name in reply)

    def _tell(self, entry: Entry, cost: int) -> None:
        """Report what a request cost; if the server cannot be reached, later."""
        self._unsent[entry.id] = (entry.day, cost)
        try:
            self._flush()
        except LedgerError:
            self._rest()

    def _flush(self) -> None:
        if self._now() < self._look_again:
            raise LedgerError(f"{self._name} could not be reached")
        for number, (day, cost) in list(self._unsent.items()):
            self._call(self._settle, [day], number, cost, _KEEP_SECONDS)
            self._unsent.pop(number, None)

    def _call(self, script: Callable[..., Any], days: Sequence[dt.date], *arguments: Any) -> Any:
        keys = [f"{self._prefix}{day.isoformat()}" for day in days]
        try:
            return script(keys=keys, args=arguments)
        except (redis.RedisError, OSError) as error:
            # An answer is never quoted: it may be of anything.
            raise LedgerError(f"{self._name} {why(error)}") from None

    def _rest(self) -> None:
        """Leave the server alone for a while: each attempt may wait for a second."""
        if self._now() >= self._look_again:
            self._look_again = self._now() + _LOOK_AGAIN

    def close(self) -> None:
        """Send what the server does not know yet, and close the connection."""
        self._look_again = 0.0
        try:
            self._flush()
        except LedgerError as error:
            self._warn(f"other machines do not know what this run spent: {error}")
        self._redis.close()
        self._local.close()
