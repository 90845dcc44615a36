"""Times as they are written: ISO 8601 in UTC. All are the wall clock's, in seconds."""

import datetime as dt
import re
from typing import Final

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MOST_SECONDS: Final = 1e11
"""A larger number is of milliseconds, as JavaScript counts: in seconds it is the year 5138."""

_DATE_IN_WORDS: Final = re.compile(
    r"(?:[A-Z][a-z]{2},? )?"
    r"(?:(?P<day>[0-9]{1,2}) (?P<month>[A-Z][a-z]{2})"
    r"|(?P<first>[A-Z][a-z]{2}) (?P<then>[0-9]{1,2}))"
    r" (?P<year>[0-9]{4}) (?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?: (?:GMT|UTC)?(?P<offset>[+-][0-9]{2}:?[0-9]{2})?)?(?: \(.*\))?"
)
"""RFC 5322, and JavaScript's text of a date: `Fri Nov 20 2026 11:30:00 GMT+0100 (CET)`."""


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
    """Return the time that another program wrote; None if it is not valid.

    ISO 8601 with or without an offset (then it is UTC). Or a date in English as mail and
    JavaScript write it, or a number since 1970, of seconds or milliseconds.
    """
    if isinstance(written, str):
        text = _in_digits(written.strip())
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


def _in_digits(text: str) -> str:
    """Return a date in words in ISO 8601, and any other text as it is, without `UTC` behind it."""
    match = _DATE_IN_WORDS.fullmatch(text)
    months = [name[:3] for name in _MONTHS]
    month = match and (match["month"] or match["first"])
    if match is None or month not in months:
        return text.removesuffix(" UTC").removesuffix(" GMT")
    day = int(match["day"] or match["then"])
    return (
        f"{match['year']}-{months.index(month) + 1:02}-{day:02}T{match['time']}"
        f"{match['offset'] or '+00:00'}"
    )


def _utc(wall: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(wall, dt.UTC)
