"""The commands for costs: `spend`, `spend reconcile`."""

import datetime as dt
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import App, Group, examples
from imagegen.cli.options import JsonOption
from imagegen.cli.streams import print_json
from imagegen.cli.usage import translate_click_errors
from imagegen.errors import UsageError

_BY: Final = ("day", "week", "month", "project", "provider", "model", "style", "key", "mode")


class SpendGroup(Group):
    """The group of these commands; without one of them, `spend` shows the sums."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before the command."""
        with translate_click_errors(ctx):
            return list(super(Group, self).parse_args(ctx, args))


def _by(text: str) -> str:
    if text in _BY:
        return text
    from imagegen.toml import did_you_mean

    hint = did_you_mean(text, _BY) or f"one of: {', '.join(_BY)}"
    raise UsageError(f'--by: "{text}" is not known', hint=hint)


def _day(text: str) -> dt.date:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f'--since: "{text}" is not a day', hint="for example: --since 2026-11-01")


app = App(
    group=SpendGroup,
    name="spend",
    help="Show what all runs cost: list prices, not a bill. Days are UTC.\n\n"
    "Also shows today, this week and this month, and how much is used of your limits: usd_per_day "
    "and usd_per_month under [spending] in your own keys.toml.",
    epilog=examples(
        ("imagegen spend", "the last 30 days"),
        ("imagegen spend --by model --since 2026-11-01", "which models cost how much"),
        ("imagegen spend --by month --csv > months.csv", "for a spreadsheet"),
        ("imagegen spend reconcile costs.csv", "compares with the provider's amounts"),
    ),
)


@app.callback(invoke_without_command=True)
def spend(
    ctx: typer.Context,
    *,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="WHAT",
            help=f"Sum by {', '.join(_BY[:-1])} or {_BY[-1]} (live or batch).",
            parser=_by,
            autocompletion=complete.one_of(*_BY),
        ),
    ] = "day",
    since: Annotated[
        dt.date | None,
        typer.Option(
            "--since",
            metavar="DAY",
            help="First day, in UTC: 2026-11-01.  [default: 30 days; 12 weeks or months]",
            parser=_day,
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets.")] = False,
) -> None:
    """Show what all runs of this user cost."""
    if ctx.invoked_subcommand is not None:
        return
    if json and csv:
        raise UsageError("--json and --csv cannot be combined")
    from imagegen.display import terminal
    from imagegen.display.reports import spend as screen
    from imagegen.keys.keyfile import user_limits
    from imagegen.paths import state_folder
    from imagegen.spending import report

    sums = report.gather(
        state_folder(), by=report.By(by), since=since, limits=user_limits(), now=time.time()
    )
    if json:
        print_json(screen.as_json(sums))
    elif csv:
        _write(screen.as_csv(sums))
    else:
        screen.show(terminal.printer(), sums)


@app.command(
    epilog=examples(
        ("imagegen spend reconcile costs.csv", "prints the difference of each day"),
        ("imagegen spend reconcile costs.csv --json", "for programs"),
    ),
)
def reconcile(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="OpenAI's cost export (Usage, Cost, Export), or Google Cloud's billing export: "
            "from BigQuery as CSV, or Reports with a row for each date.",
            show_default=False,
        ),
    ],
    *,
    json: JsonOption = False,
) -> None:
    """Compare list prices with a provider's cost export, day by day.

    Only the rows of image models count. A difference can come from other programs with the same
    account, discounts, or days in another time zone.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import spend as screen
    from imagegen.paths import state_folder
    from imagegen.spending import exports, report

    export = exports.read(file)
    days = list(exports.compare(export, report.daily(state_folder(), export.provider)))
    if json:
        print_json(screen.differences_as_json(export, days))
    else:
        screen.show_differences(terminal.printer(), export, days)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
