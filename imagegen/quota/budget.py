"""One budget: the requests that a quota allows in any rolling minute.

A budget is kept as its grants, the times at which requests left, and never as a count or a
reserved slot: a changed limit is right at once, and a killed process loses nothing. This
module is the arithmetic alone; `pool` owns budgets and `store` keeps them.

All times are `Clock.now()` seconds unless a name says `wall`.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec

from imagegen.clock import DAY, Clock, MonotonicTime, WallTime, pacific_day

WINDOW: Final = 60.0
MARGIN: Final = 0.5
"""What two requests' ways to the server may differ by, in seconds. The server counts
arrivals, we know departures: a slot is used again this much later than the window says."""

RECOVERY_SECONDS: Final = 900.0
"""Seconds without a refusal after which a slowed budget may have one more a minute."""

REMEMBER_SPENT: Final = 3600.0
"""Seconds for which other runs believe that a day's quota is used up. Quotas get raised
in the middle of a day; asking once an hour finds out."""

_FIRST_COOLDOWN: Final = 4.0
_LONGEST_COOLDOWN: Final = 64.0
_DOUBLINGS: Final = 4
_SHORTEST_TOLD: Final = 1.0
LONGEST_TOLD: Final = 3600.0


_MOST: Final = 2**62
"""No count comes near it, and one more can still be written."""
_LATEST: Final = 2.5e11
"""Seconds after which no calendar has a date: in the year 9892."""

_Positive = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]


class Grant(msgspec.Struct, array_like=True):
    """One request. `holder` names the process while the request has not left yet."""

    id: int
    at: float
    holder: str = ""
    refused: bool = False


class Budget(
    msgspec.Struct,
    omit_defaults=True,
    # The names that are on disk.
    rename={"server_limit": "told", "consecutive_429s": "strikes", "throttled_limit": "pace"},
):
    """The state of one budget, as it is stored and shared between processes.

    `boot`, `now` and `wall` say when it was written, so that its times can be carried over
    a restart of the machine. `limits` holds the limit that each running process was given;
    the lowest counts. `server_limit` is the limit that the service names in its answers, and
    `empty_until` when, by its word, there is something left of it again; refusals cool a
    budget down until `cool_until`.
    """

    boot: str
    now: float
    wall: float
    grants: list[Grant] = []
    limits: dict[str, _Positive] = {}
    server_limit: _Positive | None = None
    empty_until: float = 0.0
    cool_until: float = 0.0
    consecutive_429s: _Count = 0
    burst_limit: _Count = 0
    throttled_limit: _Positive | None = None
    pace_grows_at: float = 0.0
    spent_wall: float | None = None
    day: str = ""
    day_used: _Count = 0

    def __post_init__(self) -> None:
        """Raise `ValueError` at times that are none: what comes from a file may be damaged."""
        waits = (self.cool_until, self.empty_until, self.pace_grows_at, self.spent_wall or 0.0)
        times = (self.now, self.wall, *waits, *(grant.at for grant in self.grants))
        if not all(abs(time) < _LATEST for time in times):
            raise ValueError("an invalid time")

    @classmethod
    def fresh(cls, clock: Clock) -> "Budget":
        """Return a budget that nothing has been asked of."""
        return cls(boot=clock.boot, now=clock.now(), wall=clock.wall())

    def refresh(self, clock: Clock, alive: Callable[[str], bool]) -> None:
        """Bring the budget up to now: another boot, dead processes, old grants.

        A request that a dead process may have sent counts from when it is found.
        """
        now = clock.now()
        # Where the system names no boot, a clock that runs backwards indicates one. Machines that
        # share a server know its time to a few milliseconds only.
        if self.boot != clock.boot or now < self.now - MARGIN:
            # Across boots only the wall clock is left, and it may have been set back.
            away = max(0.0, clock.wall() - self.wall)
            self.shift(now - self.now - away)
        # Of a budget with hundreds of grants nearly all are one process's.
        for holder in {grant.holder for grant in self.grants}.union(self.limits):
            if holder and not alive(holder):
                self._let_go(holder, now)
        self._forget(now)
        self.boot, self.now, self.wall = clock.boot, now, clock.wall()

    def clamp(self, now: MonotonicTime) -> None:
        """Limit every wait to its maximum, regardless of the file."""
        for grant in self.grants:
            grant.at = min(grant.at, now)
        self.cool_until = min(self.cool_until, now + LONGEST_TOLD)
        self.empty_until = min(self.empty_until, now + LONGEST_TOLD)
        self.pace_grows_at = min(self.pace_grows_at, now + RECOVERY_SECONDS)

    def _let_go(self, holder: str, now: MonotonicTime) -> None:
        """Let what a dead process holds count as sent now."""
        for grant in self.grants:
            if grant.holder == holder:
                grant.holder, grant.at = "", now
        self.limits.pop(holder, None)

    def _forget(self, now: MonotonicTime) -> None:
        """Drop grants of the minutes before: once the first, which is about the oldest, is."""
        oldest = now - WINDOW - MARGIN
        if self.grants and self.grants[0].at <= oldest:
            self.grants = [g for g in self.grants if g.holder or g.at > oldest]

    def shift(self, by: float) -> None:
        """Add seconds to every time of `Clock.now()`."""
        for grant in self.grants:
            grant.at += by
        self.cool_until += by
        self.empty_until += by
        self.pace_grows_at += by

    @property
    def available_at(self) -> float:
        """When the service is to be asked again, regardless of our own count."""
        return max(self.cool_until, self.empty_until)

    def effective_limit(self, limit: int) -> int:
        """Return the requests a minute that count now, for a process that was given `limit`."""
        lowest = self._lowest(limit)
        return lowest if self.throttled_limit is None else min(lowest, self.throttled_limit)

    def _lowest(self, limit: int) -> int:
        """Return the least of what this process, others and the service say is allowed."""
        limits = [limit, *self.limits.values()]
        return min(limits if self.server_limit is None else [*limits, self.server_limit])

    def free_at(self, now: MonotonicTime, limit: int) -> float:
        """Return when the next request may leave; not after `now` means at once."""
        limit = self.effective_limit(limit)
        if len(self.grants) < limit and self.throttled_limit is None:
            return self.available_at
        # A request that has not left counts as leaving now, for as long as that lasts.
        times = sorted((now if g.holder else g.at for g in self.grants), reverse=True)
        free = self.available_at
        if len(times) >= limit:
            free = max(free, times[limit - 1] + WINDOW + MARGIN)
        if self.throttled_limit is not None and times:
            free = max(free, times[0] + WINDOW / limit)
        return free

    def free_slots(self, now: MonotonicTime, limit: int) -> list[tuple[float, int]]:
        """Return when how many of the minute's places are free, soonest first, not before now."""
        limit = self.effective_limit(limit)
        earliest = max(now, self.available_at)
        if self.throttled_limit is not None:
            return [(max(earliest, self.free_at(now, limit)), 1)]
        times = sorted(now if g.holder else g.at for g in self.grants)[-limit:]
        unused = limit - len(times)
        ends = [(max(earliest, at + WINDOW + MARGIN), 1) for at in times]
        return [(earliest, unused), *ends] if unused else ends

    def remaining(self, now: MonotonicTime, limit: int) -> int:
        """Return how many requests fit into the minute that ends now."""
        oldest, used = now - WINDOW - MARGIN, len(self.grants)
        if self.grants and self.grants[0].at <= oldest:
            used = len([1 for g in self.grants if g.holder or g.at > oldest])
        return self.effective_limit(limit) - used

    def granted_last_minute(self, now: MonotonicTime) -> int:
        """Return how many requests of the last minute were not refused."""
        return sum(not g.refused for g in self.grants if g.holder or g.at > now - WINDOW)

    def used_today(self, wall: WallTime) -> int:
        """Return the requests since the last Pacific midnight.

        A clock that is set back over midnight does not give the day's requests once more.
        """
        today = self.day == pacific_day(wall) or self.day == pacific_day(WallTime(wall + DAY))
        return self.day_used if today else 0

    def spent_today(self, wall: WallTime) -> bool:
        """Whether the service said lately that the day's quota is used up."""
        spent = self.spent_wall
        if spent is None or abs(wall - spent) >= REMEMBER_SPENT:
            return False
        return pacific_day(WallTime(spent)) == pacific_day(wall)

    def grant(self, grant: Grant, limit: int, wall: WallTime) -> None:
        """Record a request that is about to leave."""
        now = MonotonicTime(grant.at)
        self._grow(now, limit)
        self._forget(now)
        self.grants.append(grant)
        used = self.used_today(wall)
        self.day_used = used + 1
        if not used:
            self.day = pacific_day(wall)

    def sent(self, times: Mapping[int, float]) -> None:
        """Record when granted requests have left, by the grants' numbers."""
        for grant in self.grants:
            if grant.id in times:
                grant.holder, grant.at = "", times[grant.id]

    def revoke(self, grant_id: int) -> None:
        """Take back a grant for a request that never left; one that has left counts."""
        grants = [g for g in self.grants if g.id != grant_id or not g.holder]
        if len(grants) < len(self.grants):
            self.grants = grants
            self.day_used = max(0, self.day_used - 1)

    def merge(self, other: "Budget") -> None:
        """Take in what this process knows of the budget and its record does not."""
        ids = {grant.id for grant in self.grants}
        self.grants += [grant for grant in other.grants if grant.id not in ids]
        self.limits |= other.limits
        self.server_limit = (
            other.server_limit if other.server_limit is not None else self.server_limit
        )
        self.cool_until = max(self.cool_until, other.cool_until)
        self.empty_until = max(self.empty_until, other.empty_until)
        self.consecutive_429s = max(self.consecutive_429s, other.consecutive_429s)
        self.pace_grows_at = max(self.pace_grows_at, other.pace_grows_at)
        paces = [pace for pace in (self.throttled_limit, other.throttled_limit) if pace is not None]
        self.throttled_limit = min(paces, default=None)
        self.spent_wall = max(self.spent_wall or 0.0, other.spent_wall or 0.0) or None
        self.day, self.day_used = max((self.day, self.day_used), (other.day, other.day_used))

    def rename(self, before: str, now: str) -> None:
        """Give what one holder holds to another: the same process by another name."""
        for grant in self.grants:
            if grant.holder == before:
                grant.holder = now
        if before in self.limits:
            self.limits[now] = self.limits.pop(before)

    def answered(self) -> None:
        """Record an answer that was no refusal for quota: the next refusal starts small."""
        self.consecutive_429s = 0
        self.spent_wall = None

    def has_server_limit(self, limit: int | None, empty_until: float) -> bool:
        """Return whether `set_server_limit` would change nothing."""
        return limit in {None, self.server_limit} and empty_until <= self.empty_until

    def set_server_limit(self, limit: int | None, empty_until: float) -> None:
        """Record what an answer says of the quota: its limit, and until when nothing is left."""
        self.server_limit = limit if limit is not None else self.server_limit
        self.empty_until = max(self.empty_until, empty_until)

    def sent_at(self, grant_id: int, now: MonotonicTime) -> float:
        """Return when a granted request left; one that is forgotten left over a minute ago."""
        return next((g.at for g in self.grants if g.id == grant_id), now - WINDOW)

    def record_429(
        self,
        grant_id: int,
        now: MonotonicTime,
        limit: int,
        retry_after: float | None,
        jitter: float,
    ) -> None:
        """Record a 429: cool down, and slow the pace if our own count does not explain it.

        `retry_after` is what the service asked for, in seconds; without it the wait doubles
        with each burst, times `jitter` (about 1).
        """
        grant = next((g for g in self.grants if g.id == grant_id), None)
        left_at = grant.at if grant else now
        if grant:
            grant.refused = True
        # No lease is granted in a cool-down: what left before its end was leased before the
        # first refusal was known, and belongs to one burst with it.
        burst_begins = left_at >= self.cool_until
        if burst_begins:
            self.consecutive_429s += 1
            self.burst_limit = self.effective_limit(limit)
        if retry_after is not None:
            wait = min(max(retry_after, _SHORTEST_TOLD), LONGEST_TOLD)
        elif burst_begins:
            doublings = min(self.consecutive_429s - 1, _DOUBLINGS)
            wait = min(_LONGEST_COOLDOWN, _FIRST_COOLDOWN * 2**doublings) * jitter
        else:
            wait = 0.0
        self.cool_until = max(self.cool_until, now + wait)
        self._slow(left_at, now, limit)

    def _slow(self, left_at: float, now: MonotonicTime, limit: int) -> None:
        """Set the pace to what the service granted in the last minute.

        It is measured again with each refusal of a burst, always against the pace before
        the burst. Of a budget in full use the measure is exact; of one that was half idle,
        or that was granted nothing, it says little, and the pace is halved instead.
        """
        lowest = self._lowest(limit)
        if sum(1 for g in self.grants if left_at - WINDOW < g.at <= left_at) > lowest:
            return
        recent = [g for g in self.grants if g.at > now - WINDOW - MARGIN]
        granted = sum(1 for g in recent if not g.refused)
        if granted == 0 or len(recent) < self.burst_limit:
            granted = max(granted, (self.burst_limit + 1) // 2)
        self.throttled_limit = max(1, min(granted, lowest))
        self.pace_grows_at = now + RECOVERY_SECONDS

    def throttle_to_granted(self, now: MonotonicTime) -> None:
        """Let the pace be no more than what was granted in the last minute."""
        self.throttled_limit = max(
            1,
            min(
                self.granted_last_minute(now), self.throttled_limit or self.granted_last_minute(now)
            ),
        )

    def _grow(self, now: MonotonicTime, limit: int) -> None:
        while self.throttled_limit is not None and now >= self.pace_grows_at:
            self.throttled_limit += 1
            self.pace_grows_at += RECOVERY_SECONDS
            if self.throttled_limit >= self._lowest(limit):
                self.throttled_limit = None
