"""Stand-ins for the clock, so that no test waits."""

from imagegen.clock import Clock, MonotonicTime, WallTime


class FakeClock(Clock):
    """A clock that a test sets. It starts long after boot, on a day in November 2026."""

    def __init__(self, now: float = 100_000.0, wall: float = 1_795_341_600.0) -> None:
        self._boot = "boot-1"
        self._now = now
        self._wall = wall

    @property
    def boot(self) -> str:
        """The name of the boot."""
        return self._boot

    def now(self) -> MonotonicTime:
        """Seconds since boot."""
        return MonotonicTime(self._now)

    def wall(self) -> WallTime:
        """Seconds since 1970."""
        return WallTime(self._wall)

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._now += seconds
        self._wall += seconds

    def set_wall(self, by: float) -> None:
        """Set the wall clock forward, or back where negative."""
        self._wall += by

    def reboot(self, away: float = 0.0) -> None:
        """Restart the machine: the monotonic clock begins again."""
        self._boot += "+"
        self._now = 10.0
        self._wall += away
