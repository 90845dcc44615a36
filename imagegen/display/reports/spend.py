"""What runs cost: a table with bars for people, JSON and CSV for programs."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final

from rich.text import Text

from imagegen.display.text.formatting import money
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import plural, sanitize
from imagegen.spending.exports import CostExport, DayDifference
from imagegen.spending.ledger import Sum
from imagegen.spending.limits import Period, dollars
from imagegen.spending.report import By, LimitState, Report

_NOT_A_BILL: Final = "List prices, not a bill; days are UTC."
_WIDEST_BAR: Final = 30
_SHORTEST_BAR: Final = 6
_LONGEST_NAME: Final = 30
_FORMULA: Final = re.compile(r"[=+@\t\r-]")
"""How a cell begins that a spreadsheet would run."""

_COLUMNS: Final = ("usd", "requests", "unknown", "unanswered", "unanswered_usd")


def as_json(report: Report) -> dict[str, object]:
    """Return what `spend --json` prints. Amounts are in US dollars."""
    return {
        "schema": 1,
        "prices": "list",
        "currency": "USD",
        "by": report.by.value,
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "rows": [{report.by.value: row.name} | _numbers(row) for row in report.rows],
        "total": _numbers(report.total),
        "today": _numbers(report.today),
        "week": _numbers(report.week),
        "month": _numbers(report.month),
        "limits": [
            {
                "setting": state.limit.setting,
                "file": state.limit.file,
                "usd": dollars(state.limit.most),
                "used_usd": dollars(state.used),
            }
            for state in report.limits
        ],
    }


def _numbers(row: Sum) -> dict[str, float | int]:
    return {
        "usd": dollars(row.cost),
        "requests": row.requests,
        "unknown": row.unknown,
        "unanswered": row.unanswered,
        "unanswered_usd": dollars(row.unanswered_cost),
    }


def as_csv(report: Report) -> bytes:
    """Return what `spend --csv` prints: a row for each day, project or model."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((report.by.value, *_COLUMNS))
    for row in report.rows:
        name = f"'{row.name}" if _FORMULA.match(row.name) else row.name
        numbers = _numbers(row)
        cells = (numbers[column] for column in _COLUMNS)
        amounts = (f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in cells)
        writer.writerow((name, *amounts))
    return out.getvalue().encode()


def show(paper: Paper, report: Report) -> None:
    """Print today, this week and this month, then a row with a bar for each sum."""
    paper.line(_NOT_A_BILL)
    paper.line()
    for label, period, row in (
        ("today", Period.DAY, report.today),
        ("this week", None, report.week),
        ("this month", Period.MONTH, report.month),
    ):
        limits = [state for state in report.limits if state.limit.period is period]
        paper.line(f"  {label:<10}  {_exact(row.cost):>10}{_of(limits)}")
    paper.line()
    if not report.rows:
        paper.line(f"  nothing since {report.since.isoformat()}")
        return
    _table(paper, report)
    _apart(paper, report.total)


def _of(limits: Sequence[LimitState]) -> str:
    """Return how much of a limit is used, as the end of a line."""
    if not limits:
        return ""
    state = min(limits, key=lambda state: state.limit.most)
    used, most = money(dollars(state.used)), money(dollars(state.limit.most))
    return f"   {used} of {most} ({state.limit.setting})"


def _table(paper: Paper, report: Report) -> None:
    names = _short_names(report.by, [row.name for row in report.rows])
    labels = {row.name: sanitize(names[row.name], _LONGEST_NAME) for row in report.rows}
    total = f"since {report.since.isoformat()}"
    width = max(len(total), *map(len, labels.values()))
    room = paper.width - 1 - width - 2 - 2 - 2 - 12 - 18
    cells = max(_SHORTEST_BAR, min(_WIDEST_BAR, room))
    most = max(row.cost for row in report.rows) or 1
    for row in report.rows:
        full = max(cells * row.cost // most, min(1, row.cost))
        line = Text(f"  {labels[row.name]:<{width}}  ")
        line.append(paper.glyphs.full * full, style="green")
        line.append(paper.glyphs.empty * (cells - full), style="dim")
        line.append(_amounts(row))
        paper.line(line)
    paper.line(f"  {total:<{width}}  {'':<{cells}}{_amounts(report.total)}")


def _amounts(row: Sum) -> str:
    return f"  {_exact(row.cost):>10}  {plural(row.requests, 'request'):>14}"


def _exact(micros: int) -> str:
    """Write an amount to the cent, so that a column adds up for the eye."""
    return f"{'-' * (micros < 0)}${dollars(abs(micros)):,.2f}"


def _apart(paper: Paper, total: Sum) -> None:
    """Print what is not in the sums."""
    if total.unknown:
        paper.wrap(
            "  note: ",
            f"the price of {plural(total.unknown, 'request')} is not known, and not in the sums "
            "([prices] in keys.toml is for those to come)",
        )
    if total.unanswered:
        paper.wrap(
            "  note: ",
            f"{plural(total.unanswered, 'request')} without an answer can cost "
            f"{money(dollars(total.unanswered_cost))} more: in flight, or the run was killed; "
            "they count against limits",
        )


def _short_names(by: By, names: Sequence[str]) -> Mapping[str, str]:
    """Return projects' folders by their names, unless two of them share one."""
    if by is not By.PROJECT:
        return {name: name or "no key" for name in names}
    short = {name: PurePath(name).name or name for name in names}
    count = Counter(short.values())
    return {
        name: short_name if count[short_name] == 1 else name for name, short_name in short.items()
    }


def differences_as_json(export: CostExport, days: Sequence[DayDifference]) -> dict[str, object]:
    """Return what `spend reconcile --json` prints. Amounts are in US dollars."""
    return {
        "schema": 1,
        "provider": export.provider,
        "export": export.name,
        "currency": "USD",
        "days": [
            {
                "day": day.day.isoformat(),
                "list_usd": dollars(day.ledger),
                "export_usd": dollars(day.export),
                "difference_usd": dollars(day.difference),
            }
            for day in days
        ],
        "list_usd": dollars(sum(day.ledger for day in days)),
        "export_usd": dollars(sum(day.export for day in days)),
        "difference_usd": dollars(sum(day.difference for day in days)),
        "left_out": export.left_out,
        "left_out_usd": dollars(export.left_out_cost),
    }


def show_differences(paper: Paper, export: CostExport, days: Sequence[DayDifference]) -> None:
    """Print list price, export and difference of each day."""
    paper.line(f"{export.name}: {export.provider}, {plural(len(days), 'day')}")
    paper.line()
    if days:
        paper.line(f"  {'day':<10}  {'list price':>12}  {'export':>12}  {'difference':>12}")
        for day in days:
            paper.line(_difference(day.day.isoformat(), day.ledger, day.export))
        ledger, paid = sum(day.ledger for day in days), sum(day.export for day in days)
        paper.line(_difference("total", ledger, paid))
    else:
        paper.line("  no row of an image model")
    if export.left_out:
        amount = _exact(export.left_out_cost)
        rows = plural(export.left_out, "row")
        paper.wrap("  note: ", f"{rows} of other services, taxes and credits left out: {amount}")


def _difference(name: str, ledger: int, export: int) -> str:
    amount = _exact(abs(export - ledger))
    sign = "" if amount == _exact(0) else "+" if export > ledger else "-"
    signed = f"{sign}{amount}"
    return f"  {name:<10}  {_exact(ledger):>12}  {_exact(export):>12}  {signed:>12}"
