"""Time as budgets need it: comparable between processes, and settable in tests."""

import datetime as dt
import functools
import subprocess
import sys
import time
import zoneinfo
from pathlib import Path
from typing import Final, NewType, Protocol

DAY: Final = 86_400.0
_QUARTER: Final = 900.0

_PACIFIC = "America/Los_Angeles"
_PACIFIC_WINTER = dt.timezone(dt.timedelta(hours=-8))


MonotonicTime = NewType("MonotonicTime", float)
"""Seconds since the machine started, as `Clock.now` gives them."""
WallTime = NewType("WallTime", float)
"""Seconds since 1970, as `Clock.wall` gives them: the two never compare."""


class Clock(Protocol):
    """Two clocks and the name of the boot within which the first one counts."""

    @property
    def boot(self) -> str:
        """Names the boot; times of `now` compare only within one."""
        ...

    def now(self) -> MonotonicTime:
        """Return the time by a clock that is never set back, the same for all processes."""
        ...

    def wall(self) -> WallTime:
        """Return the time as the machine's clock is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    @property
    def boot(self) -> str:
        """Names the boot, or is a constant if the system does not report it."""
        return _boot()

    def now(self) -> MonotonicTime:
        """Seconds since the machine started, time asleep included if that is known."""
        if sys.platform == "linux":
            return MonotonicTime(time.clock_gettime(time.CLOCK_BOOTTIME))
        return MonotonicTime(time.monotonic())

    def wall(self) -> WallTime:
        """Seconds since 1970."""
        return WallTime(time.time())


@functools.cache
def _boot() -> str:
    if sys.platform == "linux":
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            return "linux"
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        try:
            done = subprocess.run(  # noqa: S603  # a fixed command
                command, capture_output=True, text=True, timeout=5, check=False, env={}
            )
        except (OSError, subprocess.TimeoutExpired):
            return "darwin"
        return done.stdout.strip() or "darwin"
    # Windows names no boot session. Its start, to a quarter of an hour, changes with a
    # boot; a clock set by hand changes it too, which only makes budgets wait.
    return f"{sys.platform}-{round((time.time() - time.monotonic()) / _QUARTER)}"


def _pacific() -> dt.tzinfo:
    """Return the time zone; winter's if the system has no time zone data (small images)."""
    try:
        return zoneinfo.ZoneInfo(_PACIFIC)
    except zoneinfo.ZoneInfoNotFoundError:
        return _PACIFIC_WINTER


def pacific_day(wall: WallTime) -> str:
    """Return the date on the US Pacific coast, where the API's day quotas begin again."""
    return _day_of_quarter(int(wall // _QUARTER))


@functools.lru_cache(maxsize=8)
def _day_of_quarter(quarter: int) -> str:
    """Return the date of a quarter of an hour: zones and their changes keep to whole ones."""
    return dt.datetime.fromtimestamp(quarter * _QUARTER, _pacific()).date().isoformat()


def next_pacific_midnight(wall: WallTime) -> WallTime:
    """Return when the next day begins on the US Pacific coast, in seconds since 1970."""
    zone = _pacific()
    tomorrow = dt.datetime.fromtimestamp(wall, zone).date() + dt.timedelta(days=1)
    return WallTime(dt.datetime.combine(tomorrow, dt.time(), zone).timestamp())
