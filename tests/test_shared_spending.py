"""What several machines spend together, counted on a real server."""

import datetime as dt
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commands import Commands
from fakes import FakeClock
from gemini_server import GeminiServer
from imagegen.keys import budget_server
from imagegen.quota.shared_spending import SharedSpending
from imagegen.spending.ledger import Entry, LedgerError, SpendingLedger
from imagegen.spending.limits import Limit, Period, micros
from redis_server import RedisServer, program

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC).timestamp()
DAY = Limit(period=Period.DAY, most=micros(1))
MONTH = Limit(period=Period.MONTH, most=micros(1.5))


def entry(time: float = NOON) -> Entry:
    """Return a request."""
    return Entry(time=time, project="/p", provider="gemini", model="m", style="clear")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a running server."""
    with RedisServer(tmp_path / "server", command=program()) as running:
        yield running


@pytest.fixture
def api() -> Iterator[GeminiServer]:
    """Return a Gemini API."""
    with GeminiServer() as running:
        yield running


class Machine:
    """A machine with a ledger of its own, which shares a team's server."""

    def __init__(self, folder: Path, server: RedisServer, *, answer_seconds: float = 5.0) -> None:
        self.warnings: list[str] = []
        self.clock = FakeClock()
        self.local = SpendingLedger(folder, busy_seconds=60)
        self.shared = SharedSpending(
            self.local,
            budget_server.parse(server.url),
            now=self.clock.now,
            warn=self.warnings.append,
            answer_seconds=answer_seconds,
        )

    def close(self) -> None:
        """Disconnect."""
        self.shared.close()


@pytest.fixture
def machines(tmp_path: Path, server: RedisServer) -> Iterator[list[Machine]]:
    """Return three machines."""
    own = [Machine(tmp_path / f"machine-{number}", server) for number in range(3)]
    yield own
    for machine in own:
        machine.close()


def total(server: RedisServer, day: str = "2026-11-20") -> int:
    """Return what the server counts for a day."""
    with server.admin() as redis:
        return int(redis.hget(f"imagegen:{{default}}:spent:{day}", "total") or 0)


@pytest.mark.slow
def test_machines_never_pass_a_limit_together(machines: list[Machine], server: RedisServer) -> None:
    """At no moment, whatever answers cost; and the money is used up."""

    def draw(number: int) -> int:
        chance, spent, own = random.Random(number), 0, machines[number % 3].shared
        while True:
            price = chance.randrange(1, 20_000)
            request = entry()
            if own.reserve(request, price, [DAY]):
                return spent
            assert total(server) <= DAY.most
            cost = chance.randrange(1 + price)
            own.settle(request, cost)
            spent += cost

    with ThreadPoolExecutor(6) as executor:
        spent = sum(executor.map(draw, range(6)))
    assert DAY.most - 20_000 <= spent <= DAY.most
    assert total(server) == spent


def test_a_month_is_the_sum_of_its_days(machines: list[Machine], server: RedisServer) -> None:
    """Over all machines; the next month begins at nothing."""
    one, other, _ = (machine.shared for machine in machines)
    last = dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC).timestamp()
    assert one.reserve(entry(), 900_000, [DAY, MONTH]) == []
    assert other.reserve(entry(last), 700_000, [DAY, MONTH]) == [MONTH]
    assert other.reserve(entry(last), 600_000, [DAY, MONTH]) == []
    assert one.reserve(entry(last), 600_000, [DAY, MONTH]) == [DAY, MONTH]
    assert one.reserve(entry(last + 3600), 900_000, [DAY, MONTH]) == []
    with server.admin() as redis:
        assert 30 * 86_400 < redis.ttl("imagegen:{default}:spent:2026-11-20") <= 40 * 86_400


def test_a_request_counts_once_however_often_it_is_reported(
    machines: list[Machine], server: RedisServer
) -> None:
    """An answer of the server can be lost when its change is not."""
    own, request = machines[0].shared, entry()
    for _ in range(2):
        assert own.reserve(request, 500_000, [DAY]) == []
        assert total(server) == 500_000
    for _ in range(2):
        own.settle(request, 300_000)
        assert total(server) == 300_000
    free = entry()
    own.reserve(free, 500_000, [DAY])
    for _ in range(2):
        own.release(free)
        assert total(server) == 300_000


def test_a_projects_limit_stays_on_its_machine(machines: list[Machine]) -> None:
    """Its folder is that machine's."""
    own = Limit(period=Period.DAY, most=micros(0.5), project="/p")
    one, other, _ = (machine.shared for machine in machines)
    assert one.reserve(entry(), 400_000, [own]) == []
    assert other.reserve(entry(), 400_000, [own]) == []
    assert one.reserve(entry(), 400_000, [DAY, own]) == [own]
    assert one.reserve(entry(), 300_000, [DAY]) == [DAY]


def test_without_the_server_a_limit_sends_nothing(
    machines: list[Machine], server: RedisServer
) -> None:
    """Nobody knows what other machines spend; it goes on when the server is back."""
    machine = machines[0]
    server.kill()
    with pytest.raises(LedgerError, match=r"127\.0\.0\.1:\d+ could not be reached"):
        machine.shared.reserve(entry(), 1, [DAY])
    assert machine.local.spent(DAY, dt.date(2026, 11, 20)) == 0
    server.start()
    machine.clock.advance(31)
    assert machine.shared.reserve(entry(), 7, [DAY]) == []
    assert total(server) == 7


def test_without_limits_the_server_learns_later_what_was_spent(
    tmp_path: Path, server: RedisServer
) -> None:
    """The run goes on without a warning; this machine's ledger has everything at once."""
    machine = Machine(tmp_path / "machine", server, answer_seconds=0.2)
    before = entry()
    machine.shared.reserve(before, 900_000)
    with server.suspended():
        for request in (before, entry(), entry()):
            machine.shared.reserve(request, 900_000)
            machine.shared.settle(request, 100_000)
    assert machine.local.spent(DAY, dt.date(2026, 11, 20)) == 300_000
    machine.clock.advance(31)
    machine.shared.release(entry())
    assert total(server) == 300_000
    machine.close()
    assert machine.warnings == []


def test_what_the_server_never_learns_is_one_warning_at_the_end(
    tmp_path: Path, server: RedisServer
) -> None:
    """Other machines may spend more then."""
    machine = Machine(tmp_path / "machine", server, answer_seconds=0.2)
    before = entry()
    machine.shared.reserve(before, 900_000)
    with server.suspended():
        machine.shared.settle(before, 100_000)
        machine.close()
    (warning,) = machine.warnings
    assert "other machines do not know what this run spent" in warning
    assert "did not answer in time" in warning


def test_what_other_machines_spent_counts_in_estimates(
    machines: list[Machine], server: RedisServer
) -> None:
    """In the day and in the month; limits of a project are this machine's."""
    first, second = (machine.shared for machine in machines[:2])
    assert first.reserve(entry(), 700_000, [DAY]) == []
    day = dt.date(2026, 11, 20)
    month = Limit(period=Period.MONTH, most=1)
    assert [second.spent(limit, day) for limit in (DAY, month)] == [700_000, 700_000]
    assert second.spent(DAY, dt.date(2026, 11, 21)) == 0
    assert second.spent(month, dt.date(2026, 11, 1)) == 700_000
    assert second.spent(Limit(period=Period.DAY, most=1, project="/p"), day) == 0


def test_a_server_that_lost_its_data_lets_no_machine_spend_more(
    machines: list[Machine], server: RedisServer
) -> None:
    """Each keeps to the limits by its own ledger too."""
    own = machines[0].shared
    assert own.reserve(entry(), 900_000, [DAY]) == []
    with server.admin() as redis:
        redis.flushall()
    assert own.reserve(entry(), 200_000, [DAY]) == [DAY]
    assert machines[1].shared.reserve(entry(), 200_000, [DAY]) == []


def test_runs_of_two_machines_share_a_limit(
    commands: Commands, api: GeminiServer, server: RedisServer
) -> None:
    """Each has a state folder of its own; what they spend together never passes it."""
    keys = commands.config / "imagegen/keys.toml"
    keys.parent.mkdir(parents=True)
    keys.write_text("[spending]\nusd_per_day = 0.3\n", encoding="utf-8")
    with server.admin() as redis:
        # Of a new server nobody knows what was sent in the last minute.
        fields = {"version": "1", "generation": "old", "salt": b"0" * 16, "made": "0"}
        redis.hset("imagegen:{default}", mapping=fields)
    started = []
    for number in range(2):
        root = commands.project(f"film-{number}", beats=4)
        state = commands.folder / f"state-{number}"
        env = {"IMAGEGEN_BUDGETS": server.url, "IMAGEGEN_STATE_DIR": str(state)}
        started.append(commands.start("run", root, "--base-url", api.address, env=env))
    done = [commands.wait(run) for run in started]
    assert {one.code for one in done} == {3}, [one.err for one in done]
    today = dt.datetime.now(dt.UTC).date()
    spent = []
    for number in range(2):
        ledger = SpendingLedger(commands.folder / f"state-{number}")
        spent.append(ledger.spent(DAY, today))
        ledger.close()
    assert 220_000 < sum(spent) <= 300_000
    assert sum(spent) == total(server, today.isoformat())
