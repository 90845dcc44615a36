"""Times as they are written: ISO 8601 in UTC. All are the wall clock's, in seconds."""

import datetime as dt
from typing import Final

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def iso(wall: float) -> str:
    """Write a time to the second: `2026-11-22T06:00:00Z`."""
    return _utc(int(wall)).isoformat().replace("+00:00", "Z")


def iso_exact(wall: float) -> str:
    """Write a time to the millisecond."""
    return _utc(wall).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_name(wall: float) -> str:
    """Write a time as names of folders have it, which sort by it: `2026-11-22T06-00-00Z`."""
    return iso(wall).replace(":", "-")


def in_words(day: dt.date) -> str:
    """Write a day as a sentence has it: `15 March 2027`."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def day(wall: float) -> dt.date:
    """Return the day of a time, in UTC."""
    return _utc(wall).date()


def _utc(wall: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(wall, dt.UTC)
