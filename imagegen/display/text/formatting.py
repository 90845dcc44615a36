"""Money, tokens, times and commands, in words that a person reads or types."""

import datetime as dt
from typing import Final

from imagegen import shell
from imagegen.display.text.sanitize import plural, sanitize

_DAY: Final = 86400


def numbers_moved_warning(count: int) -> str:
    """Say that numbers have moved, and how many pictures have the words of another beat."""
    pictures = "1 picture has" if count == 1 else f"{count:,} pictures have"
    return f"Numbers have moved: {pictures} the words of another beat."


def money(dollars: float) -> str:
    """Write US dollars as $16.77; less than a cent is said to be so."""
    return f"${dollars:,.2f}" if dollars >= 0.005 or not dollars else "less than $0.01"


def price(dollars: float) -> str:
    """Write what one thing costs as $0.067 or $0.10: to the tenth of a cent where it matters."""
    return f"${dollars:.3f}".removesuffix("0")


def tokens(count: int) -> str:
    """Write a number of tokens as 950, 12k or 1.2M."""
    if count < 1000:
        return str(count)
    if count < 999_500:
        return f"{count / 1000:.0f}k"
    return f"{count / 1e6:.1f}M"


def minutes(seconds: float) -> str:
    """Write a span of time in round words: `30 s`, `12 min`, `2 h 5 min`, `3 days`."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{round(whole / 60)} min"
    if whole < 2 * _DAY:
        hours, rest = divmod(round(whole / 60), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return plural(round(whole / _DAY), "day")


def local_time(iso: str | None, now: float) -> str:
    """Write a moment as this place's time of day, with the day unless it is today's.

    `iso` is in ISO 8601, `now` the wall clock's time in seconds. What is no time at all is
    shown as it stands.
    """
    moment = _local(iso)
    if moment is None:
        return sanitize(iso or "")
    today = dt.datetime.fromtimestamp(now).astimezone().date()
    time = moment.strftime("%H:%M")
    if moment.date() == today:
        return time
    if moment.date() == today + dt.timedelta(days=1):
        return f"tomorrow {time}"
    return f"{moment.day} {moment.strftime('%b')} {time}"


def time_range(begun: str, ended: str | None, now: float) -> str:
    """Write a stretch of time as `14:02–14:05`."""
    start, end = local_time(begun, now), local_time(ended, now)
    first, last = _local(begun), _local(ended)
    if first is not None and last is not None and first.date() == last.date():
        end = end.rpartition(" ")[2]
    return start if start == end else f"{start}–{end}"


def seconds_until(iso: str, now: float) -> float:
    """Return how many seconds from `now` a moment is; 0 for what is past or no time."""
    moment = _local(iso)
    return 0.0 if moment is None else max(0.0, moment.timestamp() - now)


def command(*words: str) -> str:
    """Return a command as a person types it in this system's shell."""
    return shell.command(*(sanitize(word, 4096) for word in words))


def project_command(name: str, path: str, *options: str) -> str:
    """Return `imagegen NAME PATH …` as a person types it; the current folder is left out."""
    return shell.project_command(
        name, sanitize(path, 4096), *(sanitize(word, 4096) for word in options)
    )


def _local(iso: str | None) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(iso or "").astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def without_prompts(count: int) -> str:
    """Say how many beats that beats.json lists have no prompt."""
    return "1 has no prompt" if count == 1 else f"{count:,} have no prompt"
