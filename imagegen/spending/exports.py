"""Cost exports of providers: CSV files, summed up by day.

Google Cloud's, from BigQuery (`usage_start_time`, `cost`) or from the page Reports of the console
(`Date`, `Cost ($)`):
https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage
OpenAI's, from the dashboard's page Usage, view Cost (`start_time`, `amount_value`), in UTC:
https://help.openai.com/en/articles/8554956-understanding-your-api-usage
"""

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import msgspec

from imagegen.csv_rows import CsvError, read_rows
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.times import day as day_of
from imagegen.times import seconds

_MOST_BYTES: Final = 256 * 1024 * 1024
_BEFORE_HEADINGS: Final = 30
"""Lines of the billing account that the console writes before the headings, at most."""

_MOST_FAULTS: Final = 20
_LARGEST: Final = Decimal(10) ** 12
_AMOUNT: Final = re.compile(
    r"(?P<sign>[+-]?)\$?(?P<minus>-?)"
    r"(?P<number>(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?)"
)
"""An amount as exports in dollars write it: commas are only between groups of three digits."""
_DOLLARS: Final = frozenset({"", "$", "US$", "USD"})
_MICROS: Final = 1_000_000
_LONGEST: Final = 25 * 3600.0
"""Seconds of a day on which clocks are set back."""


_KNOWN_EXPORTS: Final = (
    "OpenAI's (Usage, Cost, Export) and Google Cloud's (BigQuery, or Reports with a row for each "
    "date), in US dollars"
)
_EXPORT_AGAIN: Final = f"imagegen reads {_KNOWN_EXPORTS}"


class _Format(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of export: who writes it, and its columns, each by the names that it may have.

    `item` says what was paid for; rows count if it matches `items`. Names are as `_plain` has them.
    """

    name: str
    provider: str
    day: tuple[str, ...]
    end: tuple[str, ...]
    amount: tuple[str, ...]
    item: str
    items: re.Pattern[str]


_FORMATS: Final = (
    _Format(
        name="OpenAI's cost export",
        provider="openai",
        day=("start time iso", "start time"),
        end=("end time iso", "end time"),
        amount=("amount value",),
        item="line item",
        items=re.compile("image|dall-?e", re.IGNORECASE),
    ),
    _Format(
        name="Google Cloud's billing export",
        provider="gemini",
        day=("usage start time", "usage start date", "date"),
        end=("usage end time", "usage end date"),
        amount=("cost", "unrounded cost", "unrounded cost at list", "cost at list"),
        item="service description",
        items=re.compile("gemini|generative language", re.IGNORECASE),
    ),
)


class CostExport(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's export says, in micro-dollars by day.

    `left_out` counts rows of other services, and of taxes and credits.
    """

    name: str
    provider: str
    days: Mapping[dt.date, int]
    left_out: int = 0
    left_out_cost: int = 0


def read(path: Path) -> CostExport:
    """Read a provider's cost export.

    Raises `UsageError` if it cannot be read or is of no known kind, and `InvalidInputError` for
    rows without a day or an amount in US dollars.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is larger than 256 MiB", hint="export fewer days")
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return _Reader(str(path), text).read()
    except CsvError as error:
        raise UsageError(f"{path} is not valid CSV: {error}") from error


class _Reader:
    """Reads one file; `faults` are those of its rows."""

    def __init__(self, label: str, text: str) -> None:
        self._label = label
        self._rows = (cells for _, cells in read_rows(text))
        self._faults: list[InputError] = []
        self._currency = "USD"

    def read(self) -> CostExport:
        form, columns = self._headings()
        days: dict[dt.date, Decimal] = {}
        left_out, left_out_cost = 0, Decimal(0)
        for number, row in enumerate(self._rows, 1):
            amount = self._amount(number, row, form, columns)
            if amount is None:
                continue
            if not _counts(row, form, columns):
                left_out, left_out_cost = left_out + 1, left_out_cost + amount
                continue
            day = self._day(number, row, form, columns)
            if day is not None:
                days[day] = days.get(day, Decimal(0)) + amount
            if len(self._faults) >= _MOST_FAULTS:
                break
        if self._faults:
            raise InvalidInputError(self._faults, hint=_EXPORT_AGAIN)
        return CostExport(
            name=form.name,
            provider=form.provider,
            days={day: _micros(amount) for day, amount in sorted(days.items())},
            left_out=left_out,
            left_out_cost=_micros(left_out_cost),
        )

    def _headings(self) -> tuple[_Format, dict[str, int]]:
        for row in itertools.islice(self._rows, _BEFORE_HEADINGS):
            columns: dict[str, int] = {}
            for place, name in enumerate(row):
                columns.setdefault(_plain(name), place)
            for form in _FORMATS:
                amount = _find(columns, form.amount)
                if _find(columns, form.day) is not None and amount is not None:
                    unit = re.search(r"\((.*)\)", row[amount])
                    if unit is not None and unit[1].strip().upper() not in _DOLLARS:
                        self._currency = unit[1].strip()
                    return form, columns
            if len(row) > 1 and _plain(row[0]) == "currency":
                self._currency = row[1].strip().upper()
        raise UsageError(
            f"{self._label} is not a cost export by day that imagegen knows",
            hint=f"it reads {_KNOWN_EXPORTS}",
        )

    def _amount(
        self, number: int, row: Sequence[str], form: _Format, columns: Mapping[str, int]
    ) -> Decimal | None:
        """Return a row's amount in US dollars; None for a row without one."""
        written = _cell(row, _find(columns, form.amount))
        if not written:
            return None
        amount = _decimal(written)
        if amount is None:
            self._fault(number, "cost", f'"{written[:50]}" is not an amount, such as 1234.56')
            return None
        currency = _cell(row, _find(columns, ("currency", "amount currency"))) or self._currency
        if currency.upper() in _DOLLARS:
            return amount
        # How many units of the currency are one US dollar.
        written_rate = _cell(row, columns.get("currency conversion rate"))
        if not written_rate:
            message = f"is in {currency[:10]}, without a currency_conversion_rate to US dollars"
            self._fault(number, "cost", message)
            return None
        rate = _decimal(written_rate)
        if rate is None or rate <= 0:
            message = f'"{written_rate[:50]}" is not a rate above 0'
            self._fault(number, "currency_conversion_rate", message)
            return None
        return amount / rate

    def _day(
        self, number: int, row: Sequence[str], form: _Format, columns: Mapping[str, int]
    ) -> dt.date | None:
        written, end = (_cell(row, _find(columns, names)) for names in (form.day, form.end))
        time, until = _time(written), _time(end)
        if time is None:
            self._fault(number, "day", f'"{written[:50]}" is not a day')
            return None
        if until is not None and until - time > _LONGEST:
            self._fault(number, "day", f"is of more than one day: {written[:30]} to {end[:30]}")
            return None
        return day_of(time)

    def _fault(self, row: int, field: str, message: str) -> None:
        self._faults.append(InputError(file=self._label, row=row, field=field, message=message))


def _counts(row: Sequence[str], form: _Format, columns: Mapping[str, int]) -> bool:
    """Return whether a row is of images, and is no tax or credit."""
    kind = _cell(row, columns.get("cost type")).lower()
    if kind not in {"", "regular", "usage"} or _cell(row, columns.get("credit type")):
        return False
    item = _cell(row, columns.get(form.item))
    return not item or form.items.search(item) is not None


def _plain(name: str) -> str:
    """Return a heading in one spelling: `Unrounded Cost ($)` and `unrounded_cost` are the same."""
    return re.sub(r"[\s._]+", " ", re.sub(r"\(.*\)", "", name)).strip().lower()


def _find(columns: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((columns[name] for name in names if name in columns), None)


def _cell(row: Sequence[str], place: int | None) -> str:
    return row[place].strip() if place is not None and place < len(row) else ""


def _decimal(written: str) -> Decimal | None:
    """Return a number; None for anything else."""
    match = _AMOUNT.fullmatch(written)
    try:
        number = Decimal(match["number"].replace(",", "")) if match else None
    except InvalidOperation:
        return None
    if match is None or number is None or number >= _LARGEST:
        return None
    return -number if "-" in {match["sign"], match["minus"]} else number


def _time(written: str) -> float | None:
    return seconds(int(written) if written.isdecimal() else written)


def _micros(amount: Decimal) -> int:
    return int((amount * _MICROS).to_integral_value())


class DayDifference(msgspec.Struct, frozen=True):
    """One day in micro-dollars: what the ledger has, and what the provider's export has."""

    day: dt.date
    ledger: int
    export: int

    @property
    def difference(self) -> int:
        """How much more the provider charges."""
        return self.export - self.ledger


def compare(export: CostExport, ledger: Mapping[dt.date, int]) -> Iterator[DayDifference]:
    """Yield each day that the export has, and those between for which only the ledger has costs."""
    if not export.days:
        return
    first, last = min(export.days), max(export.days)
    for day in sorted({*export.days, *(day for day in ledger if first <= day <= last)}):
        yield DayDifference(day, ledger.get(day, 0), export.days.get(day, 0))
