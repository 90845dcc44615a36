"""Formats money, tokens, times and commands for people."""

import datetime as dt
from typing import Final

from imagegen import shell
from imagegen.display.text.sanitize import plural, sanitize

_DAY: Final = 86400


def numbers_moved_warning(count: int) -> str:
    """Return the warning that beat numbers changed, with the number of moved images."""
    images = "1 image now belongs" if count == 1 else f"{count:,} images now belong"
    return f"Beat numbers changed: {images} to another beat."


def money(dollars: float) -> str:
    """Write US dollars as $16.77, or `less than $0.01`."""
    return f"${dollars:,.2f}" if dollars >= 0.005 or not dollars else "less than $0.01"


def price(dollars: float) -> str:
    """Write a unit price as $0.067 or $0.10: to a tenth of a cent if needed."""
    return f"${dollars:.3f}".removesuffix("0")


def tokens(count: int) -> str:
    """Write a number of tokens as 950, 12k or 1.2M."""
    if count < 1000:
        return str(count)
    if count < 999_500:
        return f"{count / 1000:.0f}k"
    return f"{count / 1e6:.1f}M"


def minutes(seconds: float) -> str:
    """Write a duration, rounded: `30 s`, `12 min`, `2 h 5 min`, `3 days`."""
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
    """Write a moment as local time of day, with the date unless it is today.

    `iso` is in ISO 8601, `now` the wall clock's time in seconds. An invalid time is returned
    unchanged.
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
    """Write a period as `14:02–14:05`."""
    start, end = local_time(begun, now), local_time(ended, now)
    first, last = _local(begun), _local(ended)
    if first is not None and last is not None and first.date() == last.date():
        end = end.rpartition(" ")[2]
    return start if start == end else f"{start}–{end}"


def seconds_until(iso: str, now: float) -> float:
    """Return the seconds from `now` to a moment; 0 if it is past or invalid."""
    moment = _local(iso)
    return 0.0 if moment is None else max(0.0, moment.timestamp() - now)


def command(*words: str) -> str:
    """Return a command as typed in this system's shell."""
    return shell.command(*(sanitize(word, 4096) for word in words))


def project_command(name: str, path: str, *options: str) -> str:
    """Return `imagegen NAME PATH …` as typed; the current folder is omitted."""
    return shell.project_command(
        name, sanitize(path, 4096), *(sanitize(word, 4096) for word in options)
    )


def _local(iso: str | None) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(iso or "").astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def without_prompts(count: int) -> str:
    """Return how many beats in beats.json have no prompt."""
    return "1 has no prompt" if count == 1 else f"{count:,} have no prompt"
