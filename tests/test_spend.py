"""What all runs cost: recorded by commands, limited by settings, shown by `imagegen spend`."""

import datetime as dt
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from commands import Commands
from gemini_server import Answer, GeminiServer
from imagegen.spending import exports, report
from imagegen.spending.ledger import FILE, Entry, SpendingLedger

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC).timestamp()
DAY = dt.date(2026, 11, 20)


def record(folder: Path, *requests: tuple[float, int, dict[str, str]]) -> None:
    """Record answered requests: each its time, its micro-dollars, and what else is known."""
    ledger = SpendingLedger(folder)
    for at, cost, fields in requests:
        own = {"project": "/films/one", "provider": "gemini", "model": "m", "style": "clear"}
        ledger.settle(Entry(time=at, **own | fields), cost)  # type: ignore[arg-type]
    ledger.close()


# -- commands --------------------------------------------------------------------------


def in_users_file(commands: Commands, text: str) -> Path:
    """Write the user's own keys file."""
    path = commands.config / "imagegen/keys.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def journal_costs(root: Path) -> float:
    """Return what the journals of a project say was spent."""
    lines = [
        json.loads(line)
        for journal in root.rglob("*.jsonl")
        for line in journal.read_text("utf-8").splitlines()
    ]
    return sum(line.get("cost") or 0.0 for line in lines if line["type"] == "progress")


def spend(commands: Commands, *words: str) -> dict[str, Any]:
    """Return what `spend --json` prints."""
    done = commands.run("spend", *words, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.slow
def test_every_command_that_draws_is_recorded(commands: Commands, server: GeminiServer) -> None:
    """Run, redraw, try and cast, also answers without an image; the key only by its tail."""
    root = commands.project(beats=2, settings='[characters.mara]\nabout = "A girl."\n')
    to = ("--base-url", server.address)
    assert commands.run("run", root, *to).code == 0
    server.fault(lambda _: True, Answer.REFUSED, times=1)
    assert commands.run("redraw", root, "clear/1.1", *to).code == 1
    assert commands.run("try", root, "--style", "clear", "--look", "Chalk.", *to).code == 0
    assert commands.run("cast", root, "mara", *to).code == 0
    found = spend(commands)
    assert found["total"]["usd"] == pytest.approx(journal_costs(root), abs=1e-6)
    assert found["total"]["unanswered"] == 0
    assert found["prices"] == "list"
    (project,) = spend(commands, "--by", "project")["rows"]
    assert project["project"] == str(root.resolve())
    keys = {row["key"] for row in spend(commands, "--by", "key")["rows"]}
    assert all(key.startswith("…0000") for key in keys)


@pytest.mark.slow
def test_what_costs_nothing_is_not_recorded(commands: Commands) -> None:
    """The sketch provider's images are free."""
    root = commands.project(beats=2)
    in_users_file(commands, "[spending]\nusd_per_day = 0\n")
    assert commands.run("run", root, "--provider", "sketch").code == 0
    assert not (commands.state / FILE).exists()
    assert spend(commands)["rows"] == []


def test_the_limit_of_the_users_file_ends_a_run(commands: Commands, server: GeminiServer) -> None:
    """Wherever its keys come from: with exit 3, and `resume_after` at midnight in UTC."""
    root = commands.project(beats=5)
    file = in_users_file(commands, "[spending]\nusd_per_day = 0.2\nusd_per_month = 100\n")
    dry = commands.run("run", root, "--base-url", server.address, "--dry-run")
    assert f"the run ends early: $0.20 is left of usd_per_day = 0.2 ({file})" in dry.out
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    end = done.events[-1]
    assert done.code == 3, done.err
    assert end["reason"] == "spending limit"
    assert str(end["resume_after"]).endswith("T00:00:00Z")
    assert 0.15 < journal_costs(root) <= 0.2
    day, month = spend(commands)["limits"]
    assert (day["setting"], day["usd"], month["usd"]) == ("usd_per_day", 0.2, 100.0)
    assert day["used_usd"] == pytest.approx(journal_costs(root), abs=1e-6)
    sent = len(server.requests)
    assert commands.run("resume", root, "--base-url", server.address).code == 3
    assert len(server.requests) == sent


def test_a_project_has_a_limit_of_its_own(commands: Commands, server: GeminiServer) -> None:
    """In imagegen.toml: it counts this project's runs, and the user's limit counts too."""
    limited = "[spending]\nusd_per_month = 0.1\n"
    root, other = commands.project(beats=2, settings=limited), commands.project("other", beats=1)
    to = ("--base-url", server.address)
    assert commands.run("run", other, *to).code == 0
    done = commands.run("run", root, *to)
    assert done.code == 3
    assert "another image could pass usd_per_month = 0.1" in done.text
    assert "imagegen.toml)" in done.text
    assert journal_costs(other) > 0.05 < journal_costs(root) <= 0.1


@pytest.mark.slow
def test_parallel_runs_of_several_projects_share_the_limit(
    commands: Commands, server: GeminiServer
) -> None:
    """Each a process of its own: what they spend together never passes it, and uses it up."""
    in_users_file(commands, "[spending]\nusd_per_day = 0.5\n")
    roots = [commands.project(f"film-{number}", beats=5) for number in range(3)]
    started = [commands.start("run", root, "--base-url", server.address) for root in roots]
    codes = [commands.wait(run).code for run in started]
    assert set(codes) <= {0, 3}
    assert 3 in codes
    paid = sum(map(journal_costs, roots))
    assert 0.42 < paid <= 0.5
    assert spend(commands)["today"]["usd"] == pytest.approx(paid, abs=1e-6)


def test_a_limit_needs_a_price(commands: Commands, server: GeminiServer) -> None:
    """Of a model that is on no list nothing is sent; without a limit its cost is unknown."""
    root = commands.project(beats=1, settings='model = "my-image-model"')
    server.models = (*server.models, "my-image-model")
    asked = ("run", root, "--base-url", server.address)
    file = in_users_file(commands, "[spending]\nusd_per_day = 5\n")
    done = commands.run(*asked)
    assert done.code == 2
    assert f"usd_per_day = 5 ({file}): the price of a 1K image" in done.err
    assert "[prices] in keys.toml" in done.err
    assert server.requests == []
    file.unlink()
    assert commands.run(*asked).code == 0
    total = spend(commands)["total"]
    assert (total["usd"], total["requests"], total["unknown"]) == (0.0, 3, 3)
    assert "the price of 3 requests is not known" in commands.run("spend").out


def test_a_ledger_that_cannot_be_used_is_a_warning(
    commands: Commands, server: GeminiServer
) -> None:
    """The run draws all the same; with a limit it does not start."""
    root = commands.project(beats=1)
    commands.state.mkdir()
    (commands.state / FILE).write_bytes(b"not a database" * 1000)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.err
    assert done.text.count("is not recorded for `imagegen spend`") == 1
    in_users_file(commands, "[spending]\nusd_per_day = 5\n")
    done = commands.run("redraw", root, "clear/1.1", "--base-url", server.address)
    assert done.code == 2
    assert "is damaged" in done.err
    assert "usd_per_day = 5" in done.err
    assert len(server.requests) == 3
    assert commands.run("spend").code == 2


def test_what_a_killed_run_had_sent_keeps_counting(
    commands: Commands, server: GeminiServer
) -> None:
    """It is probably paid for; `spend` shows it apart."""
    root = commands.project(beats=1)
    with server.held():
        run = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(3)
        run.kill()
        commands.wait(run)
    total = spend(commands)["total"]
    assert (total["requests"], total["unanswered"]) == (0, 3)
    assert total["unanswered_usd"] > 0.1
    assert "3 requests without an answer can cost" in commands.run("spend").out


def test_spend_shows_sums_in_a_table_and_for_programs(commands: Commands) -> None:
    """By time in order, by all else the dearest first."""
    now, film, other = time.time(), {"project": "/b/film"}, {"project": "/c/other"}
    record(
        commands.state,
        (now, 500_000, {"project": "/a/film", "model": "=model"}),
        (now - 86_400, 2_000_000, film),
        (now - 86_400, 250_000, other),
        (now - 400 * 86_400, 9_000_000, other),
    )
    out = commands.run("spend").out
    assert "List prices, not a bill" in out
    assert re.search(r"today +\$0\.50\n", out)
    assert re.search(r"━+─* +\$2\.25 +2 requests\n.*━+─* +\$0\.50 +1 request\n", out)
    projects = commands.run("spend", "--by", "project").out
    names = re.findall(r"^  (\S+) +━", projects, re.MULTILINE)
    assert names == ["/b/film", "/a/film", "other"]
    table = commands.run("spend", "--by", "model", "--csv").out
    assert table == (
        "model,usd,requests,unknown,unanswered,unanswered_usd\n"
        "m,2.250000,2,0,0,0.000000\n'=model,0.500000,1,0,0,0.000000\n"
    )
    since = spend(commands, "--by", "month", "--since", "2020-01-01")
    assert sum(row["usd"] for row in since["rows"]) == 11.75
    (mode,) = spend(commands, "--by", "mode")["rows"]
    assert (mode["mode"], mode["usd"]) == ("live", 2.75)


def test_weeks_begin_on_monday(tmp_path: Path) -> None:
    """A week is named by that day."""
    monday = dt.datetime(2026, 11, 16, tzinfo=dt.UTC)
    days = (monday + dt.timedelta(days=days) for days in range(-1, 8))
    record(tmp_path, *((day.timestamp(), 1, {}) for day in days))
    found = report.gather(
        tmp_path, by=report.By.WEEK, since=dt.date(2026, 1, 1), now=monday.timestamp()
    )
    assert [(row.name, row.requests) for row in found.rows] == [
        ("2026-11-09", 1),
        ("2026-11-16", 7),
        ("2026-11-23", 1),
    ]
    assert found.week.requests == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--by", "modell"), 'did you mean "model"'),
        (("--since", "yesterday"), '"yesterday" is not a day'),
        (("--since", "2026-02-30"), '"2026-02-30" is not a day'),
        (("--json", "--csv"), "cannot be combined"),
    ],
)
def test_wrong_options_of_spend_are_refused(
    commands: Commands, words: tuple[str, ...], message: str
) -> None:
    """With what would be right."""
    done = commands.run("spend", *words)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert "imagegen check" not in done.err


def test_amounts_may_be_negative_and_have_thousands(tmp_path: Path) -> None:
    """A correction is subtracted."""
    file = tmp_path / "costs.csv"
    file.write_text(
        "Date,Service description,Cost ($)\n"
        '2026-11-20,Gemini API,"$1,234,567.5"\n'
        "2026-11-20,Gemini API,-$0.5\n2026-11-20,Gemini API,$-1\n2026-11-20,Gemini API,.25\n"
        "2026-11-20,Gemini API,5e-1\n"
    )
    assert exports.read(file).days == {DAY: 1_234_566_750_000}


def test_limits_of_a_named_keys_file_are_shown(commands: Commands) -> None:
    """The file of `$IMAGEGEN_KEYS` limits runs, so `spend` shows its limits."""
    file = commands.folder / "studio.toml"
    file.write_text("[spending]\nusd_per_day = 0.42\n")
    shown = commands.run("spend", "--json", env={"IMAGEGEN_KEYS": str(file)})
    assert [limit["usd"] for limit in json.loads(shown.out)["limits"]] == [0.42]


@pytest.mark.parametrize(
    ("by", "first"),
    [(report.By.MONTH, dt.date(2026, 1, 1)), (report.By.WEEK, dt.date(2026, 9, 14))],
)
def test_the_first_week_or_month_is_whole(tmp_path: Path, by: report.By, first: dt.date) -> None:
    """Twelve rows, of which the first begins on a Monday or the first of a month."""
    now = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC).timestamp()
    assert report.gather(tmp_path, by=by, now=now).since == first


def test_limits_are_in_the_users_file_or_in_the_projects_settings(
    commands: Commands, server: GeminiServer
) -> None:
    """A project's keys.toml has none; a misspelt limit of the user stops every run."""
    root = commands.project(beats=1)
    keys = root / "keys.toml"
    before = keys.read_text()
    keys.write_text(f"{before}\n[spending]\nusd_per_day = 5\n")
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 2
    assert "write it into imagegen.toml for this project" in done.err
    keys.write_text(before)
    in_users_file(commands, "[spending]\nusd_a_day = 5\n")
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 2
    assert 'did you mean "usd_per_day"' in done.err
    assert server.requests == []


def test_a_users_file_of_limits_alone_leaves_keys_to_the_environment(
    commands: Commands, server: GeminiServer
) -> None:
    """Its prices count too, for there is no other file for them."""
    root = commands.project(beats=1, keys={}, settings='model = "my-image-model"')
    (root / "keys.toml").unlink()
    server.models = (*server.models, "my-image-model")
    in_users_file(commands, '[prices]\n"my-image-model" = 0.05\n\n[spending]\nusd_per_day = 0.1\n')
    env = {"GEMINI_API_KEY": "test-key-alpha-000001"}
    commands.keys.add(env["GEMINI_API_KEY"])
    done = commands.run("run", root, "--base-url", server.address, env=env)
    assert done.code == 3, done.err
    assert len(server.requests) == 2


# -- reconcile -------------------------------------------------------------------------

OPENAI = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,line_item
1795046400,1795132800,2026-11-19T00:00:00+00:00,2026-11-20T00:00:00+00:00,,,,
1795132800,1795219200,2026-11-20T00:00:00+00:00,2026-11-21T00:00:00+00:00,0.40,usd,,"gpt-image-2, input"
1795132800,1795219200,2026-11-20T00:00:00+00:00,2026-11-21T00:00:00+00:00,0.700000000000001,usd,,"gpt-image-2, output"
1795132800,1795219200,2026-11-20T00:00:00+00:00,2026-11-21T00:00:00+00:00,9.5,usd,,"gpt-5-nano, input"
1795305600,1795392000,2026-11-22T00:00:00+00:00,2026-11-23T00:00:00+00:00,0.25,usd,,"gpt-image-2, output"
"""  # noqa: E501

BIGQUERY = """\
service.description,sku.description,usage_start_time,usage_end_time,cost,currency,currency_conversion_rate,cost_type
Gemini API,Image output,2026-11-20 07:00:00 UTC,2026-11-20 08:00:00 UTC,0.9,EUR,0.9,regular
Gemini API,Text input,2026-11-20 23:00:00 UTC,2026-11-21 00:00:00 UTC,0.09,EUR,0.9,regular
Gemini API,Text input,2026-11-21 00:00:00 UTC,2026-11-21 01:00:00 UTC,0.18,EUR,0.9,regular
Invoice,Tax,2026-11-20 07:00:00 UTC,2026-11-20 08:00:00 UTC,0.2,EUR,1,tax
Compute Engine,Core,2026-11-20 07:00:00 UTC,2026-11-20 08:00:00 UTC,100,EUR,1,regular
"""

REPORTS = """\
Billing account ID,ABCDEF-123456-ABCDEF
Currency,USD

Date,Service description,Cost ($),Savings programs ($),Subtotal ($)
2026-11-20,Gemini API,"1,001.50",-5,996.50
2026-11-20,Cloud Run,3,0,3
"""


def test_openais_export_is_compared_by_day(commands: Commands) -> None:
    """Rows of its other models are left out; days of either side count."""
    record(
        commands.state,
        (NOON, 1_000_000, {"provider": "openai"}),
        (NOON + 86_400, 500_000, {"provider": "openai"}),
        (NOON, 7_000_000, {}),
        (NOON + 30 * 86_400, 7_000_000, {"provider": "openai"}),
    )
    file = commands.folder / "costs.csv"
    file.write_text(OPENAI, encoding="utf-8")
    done = commands.run("spend", "reconcile", file)
    assert done.code == 0, done.err
    assert re.search(r"2026-11-20 +\$1\.00 +\$1\.10 +\+\$0\.10\n", done.out)
    assert re.search(r"2026-11-21 +\$0\.50 +\$0\.00 +-\$0\.50\n", done.out)
    assert "1 row of other services, taxes and credits left out: $9.50" in done.out
    found = json.loads(commands.run("spend", "reconcile", file, "--json").out)
    assert [day["difference_usd"] for day in found["days"]] == [0.1, -0.5, 0.25]
    assert (found["list_usd"], found["export_usd"]) == (1.5, 1.35)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        (BIGQUERY, {DAY: 1_100_000, dt.date(2026, 11, 21): 200_000}),
        (REPORTS, {DAY: 1_001_500_000}),
    ],
)
def test_googles_exports_are_read(tmp_path: Path, text: str, days: dict[dt.date, int]) -> None:
    """Of Gemini alone, before credits and without taxes, in US dollars."""
    file = tmp_path / "costs.csv"
    file.write_text(text, encoding="utf-8-sig")
    found = exports.read(file)
    assert found.provider == "gemini"
    assert found.days == days


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Month,Service description,Cost ($)\n2026-11,Gemini API,5\n", "not a cost export by day"),
        ("", "not a cost export by day"),
        (REPORTS.replace("Currency,USD", "Currency,EUR"), "is in EUR"),
        (REPORTS.replace("2026-11-20", "some day"), '"some day" is not a day'),
        (REPORTS.replace('"1,001.50"', "free"), '"free" is not an amount'),
        (REPORTS.replace('"1,001.50"', "NaN"), '"NaN" is not an amount'),
        (REPORTS.replace('"1,001.50"', '"0,30"'), '"0,30" is not an amount'),
        (REPORTS.replace('"1,001.50"', '"1.234,56"'), '"1.234,56" is not an amount'),
        (REPORTS.replace('"1,001.50"', '"1234,5"'), '"1234,5" is not an amount'),
        (REPORTS.replace("($)", "(€)"), "is in €"),
        (REPORTS.replace("($)", "(EUR)"), "is in EUR"),
        (BIGQUERY.replace("0.09,EUR,0.9", "0.09,EUR,"), "without a currency_conversion_rate"),
        (BIGQUERY.replace("0.09,EUR,0.9", "0.09,EUR,0"), '"0" is not a rate above 0'),
        (BIGQUERY.replace("0.09,EUR,0.9", "0.09,EUR,-0.9"), '"-0.9" is not a rate above 0'),
        (REPORTS.replace('"1,001.50"', "1e999"), '"1e999" is not an amount'),
        (BIGQUERY.replace("2026-11-20 08:00", "2026-11-30 08:00"), "is of more than one day"),
        (REPORTS.replace('"1,001.50"', '"1,001.50'), "is not valid CSV"),
    ],
)
def test_an_export_that_cannot_be_compared_is_refused(
    commands: Commands, text: str, message: str
) -> None:
    """With the row and what is wrong there."""
    file = commands.folder / "costs.csv"
    file.write_text(text, encoding="utf-8")
    done = commands.run("spend", "reconcile", file)
    assert done.code == 2
    assert message in done.err
