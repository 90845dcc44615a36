"""The clock of a server that several machines share: theirs may differ by minutes.

A machine reads the server's time in each answer. It knows the moment of that reading only to the
length of the round trip, so every answer gives a range for the difference between both clocks.
All ranges together give it to a few milliseconds (Marzullo's algorithm, as in NTP).
"""

import math
from typing import Final

from imagegen.clock import Clock, MonotonicTime, WallTime

_DRIFT: Final = 0.001
"""Seconds a second by which two clocks may move apart: each is slewed by 500 ppm at most
(adjtimex(2))."""


class ServerClock(Clock):
    """This machine's clock, with the server's date and time once an answer had it.

    `now` and `boot` are the machine's, so that they compare with all its other times.
    """

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._low, self._high = -math.inf, math.inf
        self._observed_at = 0.0
        self._awake = 0.0

    @property
    def boot(self) -> str:
        """The name of this machine's boot."""
        return self._local.boot

    def now(self) -> MonotonicTime:
        """Seconds since this machine started."""
        return self._local.now()

    def wall(self) -> WallTime:
        """Seconds since 1970 by the server's clock, or by ours until it has answered."""
        return WallTime(self._local.now() + self.offset) if self._is_known else self._local.wall()

    @property
    def offset(self) -> float:
        """Seconds to add to `now` for the server's time."""
        return (self._low + self._high) / 2 if self._is_known else 0.0

    @property
    def error(self) -> float:
        """Seconds by which `offset` may be wrong."""
        return (self._high - self._low) / 2

    def observe(self, server: float, sent_at: float, answered: float) -> float:
        """Take in the server's time, read between two times of `now`.

        Returns the seconds by which the server's clock was set forward since the last reading,
        0 if it was not. A clock that was set back is followed: budgets then only wait longer.
        """
        low, high = server - answered, server - sent_at
        # Where `now` stops while the machine sleeps, its wall clock shows how long that was.
        awake = self._local.wall() - answered
        slept, drift = max(0.0, awake - self._awake), _DRIFT * (answered - self._observed_at)
        self._observed_at, self._awake = answered, awake
        self._low, self._high = self._low - drift, self._high + drift
        if not self._is_known:
            self._low, self._high = low, high
            return 0.0
        forward = low - self._high
        if forward <= 0 and high >= self._low:
            self._low, self._high = max(low, self._low), min(high, self._high)
            return 0.0
        self._low, self._high = low, high
        return max(0.0, forward - slept)

    @property
    def _is_known(self) -> bool:
        return math.isfinite(self._low)
