"""Sums of the ledger: by day, week and month, and by what was drawn with."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from imagegen.errors import UsageError
from imagegen.spending.ledger import LedgerError, SpendingLedger, Sum
from imagegen.spending.limits import Limit, Period
from imagegen.times import day as day_of


class By(StrEnum):
    """What amounts are summed by."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    PROJECT = "project"
    PROVIDER = "provider"
    MODEL = "model"
    STYLE = "style"
    KEY = "key"
    MODE = "mode"

    @property
    def is_time(self) -> bool:
        """Whether it is a time, whose rows are in order."""
        return self in {By.DAY, By.WEEK, By.MONTH}


_COLUMNS: Final = {
    By.WEEK: "date(day, '-' || ((strftime('%w', day) + 6) % 7) || ' days')",
    By.MONTH: "substr(day, 1, 7)",
}
"""What is summed by, if it is not the column of that name. A week is named by its Monday."""


_DAYS: Final = 30
_WEEKS: Final = 12
_MONTHS: Final = 12


class LimitState(msgspec.Struct, frozen=True):
    """A limit, and how much of it was used in the period that has today."""

    limit: Limit
    used: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `imagegen spend` shows. Days are those of UTC; `until` is today."""

    by: By
    since: dt.date
    until: dt.date
    rows: tuple[Sum, ...]
    total: Sum
    today: Sum
    week: Sum
    month: Sum
    limits: tuple[LimitState, ...] = ()


def gather(
    folder: Path,
    *,
    by: By = By.DAY,
    since: dt.date | None = None,
    limits: Sequence[Limit] = (),
    now: float,
) -> Report:
    """Sum up the ledger in a folder since a day; without one, since some weeks or months.

    Raises `UsageError` if it cannot be used.
    """
    today = day_of(now)
    first = _first(by, today) if since is None else since
    with _open(folder) as ledger:
        rows = ledger.sums(_COLUMNS.get(by, by.value), first)
        if not by.is_time:
            rows.sort(key=lambda row: (row.cost + row.unanswered_cost, row.requests), reverse=True)
        return Report(
            by=by,
            since=first,
            until=today,
            rows=tuple(rows),
            total=_all(ledger, first),
            today=_all(ledger, today),
            week=_all(ledger, _monday(today)),
            month=_all(ledger, Period.MONTH.first_day(today)),
            limits=tuple(LimitState(limit, ledger.spent(limit, today)) for limit in limits),
        )


def _first(by: By, today: dt.date) -> dt.date:
    """Return the first day that is shown by default: weeks and months are whole."""
    match by:
        case By.WEEK:
            return _monday(today) - dt.timedelta(weeks=_WEEKS - 1)
        case By.MONTH:
            months = 12 * today.year + today.month - _MONTHS
            return dt.date(months // 12, months % 12 + 1, 1)
    return today - dt.timedelta(days=_DAYS - 1)


def _monday(day: dt.date) -> dt.date:
    return day - dt.timedelta(days=day.weekday())


def daily(folder: Path, provider: str) -> dict[dt.date, int]:
    """Return what a provider's requests cost, in micro-dollars by day.

    Raises `UsageError` if the ledger cannot be used.
    """
    with _open(folder) as ledger:
        days = ledger.sums("day", dt.date.min, provider=provider)
    return {dt.date.fromisoformat(day.name): day.cost for day in days}


@contextlib.contextmanager
def _open(folder: Path) -> Iterator[SpendingLedger]:
    try:
        with contextlib.closing(SpendingLedger(folder)) as ledger:
            yield ledger
    except LedgerError as error:
        raise UsageError(str(error)) from error


def _all(ledger: SpendingLedger, since: dt.date) -> Sum:
    return next(iter(ledger.sums("''", since)), Sum(""))
