"""`[spending]`: the most that runs may spend in a day and in a month, in US dollars.

In the user's own keys file it limits all runs, in a project's imagegen.toml the runs of that
project. Days and months are those of UTC, so that they are the same on every machine.
"""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from imagegen import toml
from imagegen.errors import InputError

TABLE: Final = "spending"
MOST: Final = 1_000_000
"""US dollars. A larger limit was probably meant as another unit."""

_MICROS: Final = 1_000_000

_Dollars = Annotated[float, msgspec.Meta(ge=0, le=MOST)]


def micros(usd: float) -> int:
    """Return an amount in millionths of a US dollar: their sums are exact."""
    return round(usd * _MICROS)


def dollars(millionths: int) -> float:
    """Return an amount in US dollars."""
    return millionths / _MICROS


class SpendingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """A `[spending]` table, in US dollars; None: no limit."""

    usd_per_day: _Dollars | None = None
    usd_per_month: _Dollars | None = None

    def lower(self, other: "SpendingLimits") -> "SpendingLimits":
        """Return the lower of each limit."""
        return SpendingLimits(
            usd_per_day=_lower(self.usd_per_day, other.usd_per_day),
            usd_per_month=_lower(self.usd_per_month, other.usd_per_month),
        )


def _lower(first: float | None, second: float | None) -> float | None:
    return min((limit for limit in (first, second) if limit is not None), default=None)


def read(table: object, label: str, faults: list[InputError]) -> SpendingLimits:
    """Read a `[spending]` table; what is wrong in it is left out and reported."""
    if not isinstance(table, dict):
        hint = "under [spending]: usd_per_day = 20"
        faults.append(InputError(file=label, field=TABLE, message="expected a table", hint=hint))
        return SpendingLimits()
    return toml.convert(table, SpendingLimits, label=label, faults=faults, prefix=f"{TABLE}.")


class Period(StrEnum):
    """The time that a limit is for."""

    DAY = "day"
    MONTH = "month"

    def first_day(self, day: dt.date) -> dt.date:
        """Return the first day of the period that has this day."""
        return day if self is Period.DAY else day.replace(day=1)

    def next(self, day: dt.date) -> dt.date:
        """Return the first day of the period after the one that has this day."""
        if self is Period.DAY:
            return day + dt.timedelta(days=1)
        return (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit that a run keeps to.

    `most` is in millionths of a US dollar. `project` is the folder whose runs count, None: all
    runs of the user. `file` is where the limit is, as shown to the user.
    """

    period: Period
    most: int
    project: str | None = None
    file: str = ""

    @property
    def setting(self) -> str:
        """The name of the setting."""
        return f"usd_per_{self.period}"

    @property
    def shown(self) -> str:
        """The setting as a message names it: `usd_per_day = 20 (keys.toml)`."""
        return f"{self.setting} = {dollars(self.most):g} ({self.file})"


def limits_of(table: SpendingLimits, *, file: str, project: str | None = None) -> tuple[Limit, ...]:
    """Return the limits that a `[spending]` table sets, of a file and for a project."""
    limits = {Period.DAY: table.usd_per_day, Period.MONTH: table.usd_per_month}
    return tuple(
        Limit(period=period, most=micros(usd), project=project, file=file)
        for period, usd in limits.items()
        if usd is not None
    )
