"""Times as they are written: ISO 8601 in UTC. All are the wall clock's, in seconds."""

import datetime as dt
from typing import Final

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MOST_SECONDS: Final = 1e11
"""A larger number is of milliseconds, as JavaScript counts: in seconds it is the year 5138."""


def iso(wall: float) -> str:
    """Write a time to the second: `2026-11-22T06:00:00Z`."""
    return _utc(int(wall)).isoformat().replace("+00:00", "Z")


def iso_millis(wall: float) -> str:
    """Write a time to the millisecond."""
    return _utc(wall).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def path_timestamp(wall: float) -> str:
    """Write a time as names of folders have it, which sort by it: `2026-11-22T06-00-00Z`."""
    return iso(wall).replace(":", "-")


def in_words(day: dt.date) -> str:
    """Write a day as a sentence has it: `15 March 2027`."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def day(wall: float) -> dt.date:
    """Return the day of a time, in UTC."""
    return _utc(wall).date()


def seconds(written: object) -> float | None:
    """Return the time that another program wrote; None if it is none.

    ISO 8601 with or without an offset (then it is UTC), or a number since 1970, of seconds or
    milliseconds.
    """
    if isinstance(written, str):
        text = written.strip()
        try:
            # A date in ISO 8601 has eight digits at most without any other sign.
            if not text.isdecimal() or len(text) <= len("20261122"):
                moment = dt.datetime.fromisoformat(text)
                return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
            return seconds(int(text))
        except (ValueError, OverflowError):
            return None
    if not isinstance(written, int | float) or isinstance(written, bool):
        return None
    wall = written / 1000 if abs(written) > _MOST_SECONDS else written
    try:
        return _utc(wall).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _utc(wall: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(wall, dt.UTC)
