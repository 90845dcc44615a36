"""What runs spent: the ledger of the user, and the limits on days and months."""

import contextlib
import datetime as dt
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from fakes import FakeClock
from imagegen.errors import Exit, InputError
from imagegen.events.types import Progress
from imagegen.providers.base import (
    BROKEN_PICTURE,
    FaultKind,
    Outcome,
    Picture,
    Price,
    ProviderError,
    Request,
    TokenPrices,
    Usage,
)
from imagegen.runs.recorder import Recorder
from imagegen.spending import limits as spending_limits
from imagegen.spending.account import Refusal, RunAccount
from imagegen.spending.ledger import FILE, Entry, LedgerError, SpendingLedger, Sum
from imagegen.spending.limits import Limit, Period, SpendingLimits, micros
from sweep import examples
from virtual import PNG, Show, passing

TEN_CENTS = Price(picture=0.1)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC).timestamp()
DAY = dt.date(2026, 11, 20)
LONG_AGO = dt.date(2000, 1, 1)


def entry(time: float = NOON, **fields: object) -> Entry:
    """Return a request of a project."""
    own = {"project": "/films/one", "provider": "gemini", "model": "m", "style": "clear"} | fields
    return Entry(time=time, key="…abcd", **own)  # type: ignore[arg-type]


def per_day(usd: float, project: str | None = None) -> Limit:
    """Return a limit on a day."""
    return Limit(period=Period.DAY, most=micros(usd), project=project, file="keys.toml")


def per_month(usd: float) -> Limit:
    """Return a limit on a month."""
    return Limit(period=Period.MONTH, most=micros(usd), file="keys.toml")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SpendingLedger]:
    """Return an empty ledger."""
    own = SpendingLedger(tmp_path / "state")
    yield own
    own.close()


def whole(ledger: SpendingLedger) -> Sum:
    """Return the sum of everything that a ledger has."""
    return next(iter(ledger.sums("''", LONG_AGO)), Sum(""))


# -- the ledger ------------------------------------------------------------------------


def test_an_answer_replaces_what_its_request_could_cost(ledger: SpendingLedger) -> None:
    """Until it comes the highest price counts; a request that never left counts nothing."""
    first, second, third = entry(), entry(), entry()
    for one in (first, second, third):
        assert ledger.reserve(one, 40_000) == []
    assert ledger.spent(per_day(1), DAY) == 120_000
    ledger.settle(first, 39_000)
    ledger.release(second)
    assert ledger.spent(per_day(1), DAY) == 79_000
    assert whole(ledger) == Sum("", 1, 39_000, 0, 1, 40_000)


def test_a_price_that_is_not_known_is_counted_apart(ledger: SpendingLedger) -> None:
    """It adds nothing to the sum."""
    one, other = entry(), entry()
    ledger.reserve(one, None)
    ledger.settle(one, None)
    ledger.settle(other, 500)
    assert whole(ledger) == Sum("", 2, 500, 1, 0, 0)


def test_a_limit_pays_for_exactly_so_much(ledger: SpendingLedger) -> None:
    """Thirty cents are three images of ten, and not one micro-dollar more."""
    for _ in range(3):
        assert ledger.reserve(entry(), 100_000, [per_day(0.3)]) == []
    assert ledger.reserve(entry(), 1, [per_day(0.3)]) == [per_day(0.3)]
    assert ledger.reserve(entry(), 0, [per_day(0.3)]) == []


def test_a_day_and_a_month_are_those_of_utc(ledger: SpendingLedger) -> None:
    """The next day has money again; the month has only what is left of it."""
    last = dt.datetime(2026, 11, 30, 23, 59, 59, tzinfo=dt.UTC).timestamp()
    limits = [per_day(1), per_month(1.5)]
    assert ledger.reserve(entry(last), 1_000_000, limits) == []
    assert ledger.reserve(entry(last), 600_000, limits) == limits
    assert ledger.reserve(entry(last - 86_400), 600_000, limits) == [per_month(1.5)]
    assert ledger.reserve(entry(last + 1), 1_000_000, limits) == []


def test_a_projects_limit_counts_its_own_runs(ledger: SpendingLedger) -> None:
    """What other projects spent counts only against the user's limit."""
    own = per_day(0.5, "/films/one")
    assert ledger.reserve(entry(project="/films/two"), 900_000, [per_day(1)]) == []
    assert ledger.reserve(entry(), 100_000, [per_day(1), own]) == []
    assert ledger.reserve(entry(), 100_000, [own]) == []
    assert ledger.reserve(entry(), 100_000, [per_day(1), own]) == [per_day(1)]
    assert ledger.reserve(entry(), 400_000, [own]) == [own]


def test_sums_are_those_of_the_requests(ledger: SpendingLedger) -> None:
    """After any order of writes; nothing keeps a sum of its own that could drift."""
    chance = random.Random(5)
    there: list[Entry] = []
    for _ in range(2000):
        if there and chance.random() < 0.5:
            one = there.pop(chance.randrange(len(there)))
            if chance.random() < 0.2:
                ledger.release(one)
            else:
                ledger.settle(one, chance.choice((None, 0, chance.randrange(1, 10**6))))
        else:
            there.append(entry(NOON + chance.randrange(3) * 86_400))
            ledger.reserve(there[-1], chance.choice((None, chance.randrange(1, 10**6))))
    sums = ledger.sums("day", LONG_AGO)
    assert len(sums) == 3
    for found in sums:
        day = dt.date.fromisoformat(found.name)
        assert ledger.spent(per_day(1), day) == found.cost + found.unanswered_cost


def test_nobody_else_can_read_the_ledger(ledger: SpendingLedger, tmp_path: Path) -> None:
    """What you draw is nobody's business."""
    ledger.reserve(entry(), 1)
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600


def test_a_damaged_ledger_is_left_where_it_is(tmp_path: Path) -> None:
    """It may hold what months cost; the message says what to do."""
    (tmp_path / FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(LedgerError, match=r"is damaged .* move it elsewhere"):
        SpendingLedger(tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"not a database" * 1000


def test_a_ledger_of_a_newer_version_is_not_written(tmp_path: Path) -> None:
    """Neither are links followed."""
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as newer, newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="of a newer version"):
        SpendingLedger(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FILE).symlink_to(tmp_path / FILE)
    with pytest.raises(LedgerError, match="symbolic link"):
        SpendingLedger(tmp_path / "other")


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_ledger_that_is_deleted_during_a_run_is_made_again(tmp_path: Path) -> None:
    """All runs use the new one; an answer to an earlier request is in it."""
    first = SpendingLedger(tmp_path)
    early, late = entry(), entry()
    first.reserve(early, 5)
    for file in tmp_path.glob(f"{FILE}*"):
        file.unlink()
    first.reserve(late, 7)
    first.settle(early, 4)
    other = SpendingLedger(tmp_path)
    assert whole(other) == Sum("", 1, 4, 0, 1, 7)
    first.close()
    other.close()


# -- a run without a ledger ------------------------------------------------------------


class Flaky(SpendingLedger):
    """A ledger that is locked while a test says so."""

    locked = False

    def reserve(self, *words: object, **more: object) -> list[Limit]:
        """Fail while it is locked."""
        self._fail()
        return super().reserve(*words, **more)  # type: ignore[arg-type]

    def settle(self, *words: object) -> None:
        """Fail while it is locked."""
        self._fail()
        super().settle(*words)  # type: ignore[arg-type]

    def release(self, *words: object) -> None:
        """Fail while it is locked."""
        self._fail()
        super().release(*words)  # type: ignore[arg-type]

    def _fail(self) -> None:
        if self.locked:
            raise LedgerError("locked")


def account(
    ledger: SpendingLedger, clock: FakeClock, warnings: list[str], *limits: Limit
) -> RunAccount:
    """Return a run's account."""
    return RunAccount(
        ledger,
        project="/films/one",
        provider="gemini",
        model="m",
        limits=limits,
        clock=clock,
        warn=warnings.append,
    )


def test_a_locked_ledger_is_one_warning_and_loses_nothing(tmp_path: Path) -> None:
    """The run goes on; what it spent meanwhile is written when the ledger can be used again."""
    ledger, clock, warnings = Flaky(tmp_path), FakeClock(), list[str]()
    run = account(ledger, clock, warnings)
    before = run.reserve("clear", "…abcd", 0.1)
    ledger.locked = True
    during = [run.reserve("clear", "…abcd", 0.1) for _ in range(3)]
    for one in (before, *during[:2]):
        assert isinstance(one, Entry)
        run.settle(one, 0.1)
    assert isinstance(during[2], Entry)
    run.release(during[2])
    assert len(warnings) == 1
    assert "not recorded" in warnings[0]
    ledger.locked = False
    clock.advance(61)
    after = run.reserve("clear", "…abcd", 0.1)
    assert isinstance(after, Entry)
    run.settle(after, 0.05)
    assert whole(ledger) == Sum("", 4, 350_000)
    assert len(warnings) == 1
    run.close()


def test_with_a_limit_nothing_is_sent_while_the_ledger_is_locked(tmp_path: Path) -> None:
    """What others spend cannot be seen, so the limit could be passed."""
    ledger, clock, warnings = Flaky(tmp_path), FakeClock(), list[str]()
    run = account(ledger, clock, warnings, per_day(1))
    ledger.locked = True
    refused = run.reserve("clear", "…abcd", 0.1)
    assert isinstance(refused, Refusal)
    assert refused.message == "locked; without it usd_per_day cannot be kept"
    assert refused.resume_after == clock.wall() + 600
    ledger.locked = False
    assert isinstance(run.reserve("clear", "…abcd", 0.1), Entry)
    run.close()


# -- runs in virtual time --------------------------------------------------------------


def costs(show: Show) -> int:
    """Return what the events of beats say was spent, in micro-dollars."""
    return sum(micros(e.cost or 0.0) for e in show.events if isinstance(e, Progress))


@pytest.mark.parametrize("keyless", [False, True])
def test_a_run_ends_at_the_limit_of_the_day(
    tmp_path: Path, ledger: SpendingLedger, *, keyless: bool
) -> None:
    """With exit 3, and `resume_after` the start of the next day in UTC."""
    spent = entry()
    ledger.reserve(spent, 500_000)
    ledger.settle(spent, 500_000)
    show = Show(
        tmp_path, ledger=ledger, limits=[per_day(2)], price=TEN_CENTS, wall=NOON, keyless=keyless
    )
    complete = show.draw()
    assert len(show.provider.requests) == 15
    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "spending limit")
    assert complete.resume_after == "2026-11-21T00:00:00Z"
    (message,) = complete.messages
    assert message == "another image could pass usd_per_day = 2 (keys.toml)"
    assert ledger.spent(per_day(2), DAY) == 2_000_000


def test_of_several_limits_the_last_to_end_decides(tmp_path: Path, ledger: SpendingLedger) -> None:
    """A run that the month stops is not worth resuming tomorrow."""
    limits = [per_day(1), per_month(1)]
    show = Show(tmp_path, ledger=ledger, limits=limits, price=TEN_CENTS, wall=NOON)
    assert show.draw().resume_after == "2026-12-01T00:00:00Z"


def test_an_image_dearer_than_the_limit_is_never_resumed(
    tmp_path: Path, ledger: SpendingLedger
) -> None:
    """A person must act: no day has money for it."""
    show = Show(tmp_path, ledger=ledger, limits=[per_day(0.05)], price=TEN_CENTS)
    complete = show.draw()
    assert show.provider.requests == []
    assert (complete.exit_code, complete.resume_after) == (Exit.ENDED_EARLY, None)
    assert complete.messages == (
        "one image can cost $0.1, more than usd_per_day = 0.05 (keys.toml)",
    )


def test_after_midnight_the_run_goes_on_with_the_next_days_money(
    tmp_path: Path, ledger: SpendingLedger
) -> None:
    """A request counts on the day on which it left."""
    midnight = dt.datetime(2026, 11, 21, tzinfo=dt.UTC).timestamp()
    show = Show(
        tmp_path,
        beats={"clear": 30},
        keys_a_style=1,
        ledger=ledger,
        limits=[per_day(2)],
        price=TEN_CENTS,
        wall=midnight - 65,
    )
    assert show.draw().exit_code == Exit.OK
    assert ledger.spent(per_day(1), DAY) + ledger.spent(per_day(1), dt.date(2026, 11, 21)) == 3e6
    assert 0 < ledger.spent(per_day(1), DAY) <= 2_000_000


def test_tokens_leave_room_for_what_they_may_cost_more(
    tmp_path: Path, ledger: SpendingLedger
) -> None:
    """Prompts and thoughts are paid for beside the image: the limit holds all the same."""
    price = Price(picture=0.0625, tokens=TokenPrices(picture=62.5, text_in=1.0))
    show = Show(tmp_path, ledger=ledger, limits=[per_day(1)], price=price, wall=NOON)
    usage = Usage(input_tokens=2000, output_tokens=1000)
    show.provider.answer = lambda *_: Picture(data=PNG, usage=usage)
    show.draw()
    assert 900_000 < ledger.spent(per_day(1), DAY) <= 1_000_000


@pytest.mark.parametrize("keyless", [False, True])
def test_answers_cheaper_than_they_could_be_make_room_for_more(
    tmp_path: Path, ledger: SpendingLedger, *, keyless: bool
) -> None:
    """A request that has to wait for them gives back its key's minute, or its place."""
    price, chance = Price(picture=0.1, tokens=TokenPrices(picture=100.0)), random.Random(1)
    show = Show(
        tmp_path,
        beats={"clear": 30, "illustration": 30},
        keys_a_style=4,
        width=12,
        ledger=ledger,
        limits=[per_day(1)],
        price=price,
        wall=NOON,
        keyless=keyless,
    )

    def answer(*_: object) -> Outcome:
        show.provider.latency = chance.uniform(1, 9)
        return Picture(data=PNG, usage=Usage(output_tokens=200))

    show.provider.answer = answer
    complete = show.draw()
    assert complete.reason == "spending limit"
    assert 880_000 < ledger.spent(per_day(1), DAY) <= 1_000_000
    assert complete.seconds < 100


def random_show(
    chance: random.Random, folder: Path, ledger: SpendingLedger, **more: object
) -> Show:
    """Return a run of a few beats, at some price, whose answers are of every kind."""
    price = chance.choice(
        (
            Price(picture=0.0336),
            Price(picture=round(chance.uniform(0.001, 0.3), 4), reference=0.001),
            Price(picture=0.134, tokens=TokenPrices(picture=120.0, text_in=2.0, text_out=12.0)),
            Price(picture=1 / 3),
            None,
        )
    )
    show = Show(
        folder,
        beats={style: chance.randrange(5) for style in ("illustration", "clear")},
        latency=chance.choice((0.0, 8.0, 45.0)),
        keyless=chance.random() < 0.2,
        ledger=ledger,
        price=price,
        **more,  # type: ignore[arg-type]
    )

    def usage() -> Usage | None:
        if chance.random() < 0.3:
            return None
        out = chance.randrange(900, 1300)
        return Usage(input_tokens=chance.randrange(400), output_tokens=out)

    def answer(_request: Request, _key: str) -> Outcome:
        match chance.randrange(8):
            case 0:
                return ProviderError(
                    kind=FaultKind.REFUSED, reason="IMAGE_SAFETY", message="no", usage=usage()
                )
            case 1:
                return passing()
            case 2:
                return ProviderError(
                    kind=FaultKind.PASSING, reason=BROKEN_PICTURE, message="torn", usage=usage()
                )
            case 3:
                return ProviderError(kind=FaultKind.LIMITED, reason="429", message="slower")
            case _:
                return Picture(data=chance.choice((PNG, PNG, PNG, b"torn")), usage=usage())

    show.provider.answer = answer
    if chance.random() < 0.3:
        unsent = ProviderError(kind=FaultKind.PASSING, reason="connect", message="no route")
        show.provider.unsent = lambda: unsent if chance.random() < 0.3 else None
    if chance.random() < 0.3:
        show.later(
            chance.uniform(0, 60),
            lambda: show.engine.supervisor.signal(chance.choice((Exit.SIGINT, Exit.SIGTERM))),
        )
    return show


@pytest.mark.sweep
@pytest.mark.parametrize("runs", [40, pytest.param(examples(1000), marks=pytest.mark.slow)])
def test_the_ledger_has_the_sum_of_the_journals(
    tmp_path: Path, ledger: SpendingLedger, runs: int
) -> None:
    """Of random runs, over days: to the cent, and also to the micro-dollar, day by day.

    Of a run that was ended at once, the ledger has each request that was in flight.
    """
    chance = random.Random(runs)
    journals, in_flight, unknown = 0, 0, 0
    for number in range(runs):
        folder = tmp_path / f"run-{number}"
        (folder / ".imagegen/runs").mkdir(parents=True)
        show = random_show(chance, folder, ledger, wall=NOON + chance.uniform(0, 20 * 86_400))
        beats = {s: [one.beat for one in own] for s, own in show.plan.styles.items()}
        recorder = Recorder(
            show.layout, "run-1", beats=beats, drawn={}, errors={}, clock=show.clock
        )
        show.bus.subscribe(recorder, tick=None, failed=lambda error: None)
        show.draw()
        for line in show.layout.journal("run-1").read_bytes().splitlines():
            event = msgspec.json.decode(line)
            journals += micros(event.get("cost") or 0.0) * (event["type"] == "progress")
            unknown += show.run.options.price is None and event.get("status") == "complete"
        in_flight += show.engine.in_flight
        assert show.warnings == []
    found = whole(ledger)
    assert found.cost == journals
    assert found.unanswered == in_flight
    assert found.unknown >= unknown > 0
    days = ledger.sums("day", LONG_AGO)
    assert len(days) > 10
    assert sum(day.cost for day in days) == journals


# -- parallel runs ---------------------------------------------------------------------


MOST = micros(3)

_HAMMER = """
import random, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from imagegen.spending.ledger import Entry, SpendingLedger
from imagegen.spending.limits import Limit, Period

folder, seed, most, time = Path(sys.argv[1]), *map(int, sys.argv[2:])
limit = Limit(period=Period.DAY, most=most)
ledger = SpendingLedger(folder, busy_seconds=60)
print("ready", flush=True)
sys.stdin.readline()

def draw(number):
    chance, spent = random.Random(seed + number), 0
    while True:
        price = chance.randrange(1, 2000)
        request = Entry(time=time, project="/p", provider="p", model="m", style="clear")
        if ledger.reserve(request, price, [limit]):
            return spent
        assert ledger.spent(limit, request.day) <= most
        if chance.random() < 0.2:
            ledger.release(request)
        else:
            cost = chance.randrange(1 + price)
            ledger.settle(request, cost)
            spent += cost

with ThreadPoolExecutor(2) as executor:
    print(sum(executor.map(draw, range(2))), flush=True)
sys.stdin.readline()
"""


def hammer(folder: Path, seed: int) -> "subprocess.Popen[str]":
    """Start a process whose two threads spend until the limit of the day is reached."""
    arguments = [str(folder), str(seed), str(MOST), str(int(NOON))]
    process = subprocess.Popen(
        [sys.executable, "-c", _HAMMER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_processes_and_their_threads_never_pass_the_days_limit(tmp_path: Path) -> None:
    """At no moment; of one that is killed, what it had reserved keeps counting."""
    processes = [hammer(tmp_path, 10 * number) for number in range(3)]
    killed = processes[0]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ledger, limit = SpendingLedger(tmp_path, busy_seconds=60), per_day(3)
    while ledger.spent(limit, DAY) < MOST // 4:
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    spent = 0
    for process in processes[1:]:
        assert process.stdout is not None
        spent += int(process.stdout.readline())
        process.communicate("\n")
    found = whole(ledger)
    assert MOST - 2000 <= found.cost + found.unanswered_cost <= MOST
    assert ledger.spent(limit, DAY) == found.cost + found.unanswered_cost
    assert spent <= found.cost
    assert found.unanswered <= 2
    ledger.close()


def test_parallel_runs_share_the_money_of_the_day(tmp_path: Path) -> None:
    """Runs in threads, each with a connection of its own: not one image more, and not one less."""
    limit = per_day(3)
    shows, ledgers = [], []
    for number in range(6):
        folder = tmp_path / f"project-{number}"
        folder.mkdir()
        ledgers.append(SpendingLedger(tmp_path / "state", busy_seconds=60))
        show = Show(
            folder,
            beats={"clear": 10, "illustration": 10},
            ledger=ledgers[-1],
            limits=[limit],
            price=TEN_CENTS,
            wall=NOON,
        )
        shows.append(show)
    with ThreadPoolExecutor(len(shows)) as executor:
        reasons = {complete.reason for complete in executor.map(Show.draw, shows)}
    assert sum(map(costs, shows)) == ledgers[0].spent(limit, DAY) == MOST
    assert sum(len(show.provider.requests) for show in shows) == 30
    assert reasons <= {"spending limit", "complete"}
    for ledger in ledgers:
        ledger.close()


# -- settings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"usd_per_day": -1}, "spending.usd_per_day"),
        ({"usd_per_day": float("nan")}, "spending.usd_per_day"),
        ({"usd_per_month": float("inf")}, "spending.usd_per_month"),
        ({"usd_per_month": "20"}, "spending.usd_per_month"),
        ({"usd_per_week": 20}, "spending.usd_per_week"),
        (20, "spending"),
    ],
)
def test_wrong_limits_are_reported(table: object, field: str) -> None:
    """With the name of the setting."""
    faults: list[InputError] = []
    assert spending_limits.read(table, "keys.toml", faults) == SpendingLimits()
    assert [fault.field for fault in faults] == [field]
