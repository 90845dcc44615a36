"""Clocks that jump and machines that sleep: no burst over a budget, and no wait without need."""

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fakes import FakeClock
from imagegen.clock import next_pacific_midnight, pacific_day
from imagegen.engine.runtime import ThreadRuntime
from imagegen.errors import Exit
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Request
from imagegen.quota.budget import MARGIN, WINDOW, Budget
from imagegen.quota.key_state import KeyState
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import Exhausted, KeyPool, Lease, Throttled
from imagegen.secret import Secret
from virtual import PNG, Show

HOUR, DAY = 3600.0, 86_400.0
MINUTE = WINDOW + MARGIN
GUARD = 10.0
"""Seconds after which a test that hangs fails."""

JUMPS = (-DAY, -HOUR, -90.0, 90.0, HOUR, DAY)


class Run:
    """A run with one key of nine a minute, on the store in `folder`."""

    def __init__(self, folder: Path, clock: FakeClock, per_day: int | None = None) -> None:
        self.warnings: list[str] = []
        self._clock = clock
        ledger = Ledger.open(folder, clock, self.warnings.append, busy_seconds=0.05)
        keys = {"clear": (ApiKey(Secret("test-key-alpha-000001"), RateLimit(9, per_day)),)}
        self.pool = KeyPool(keys, provider="p", model="m", ledger=ledger, clock=clock, seed=1)

    def send(self) -> Lease | None:
        """Send one request if the budget allows it."""
        got = self.pool.lease("clear")
        if not isinstance(got, Lease):
            return None
        self.pool.sent(got)
        return got

    def send_all(self) -> int:
        """Send what the budget allows and return how many that were."""
        return len(list(iter(self.send, None)))

    def wait(self) -> float:
        """Return for how many seconds the next request has to wait."""
        got = self.pool.lease("clear")
        assert isinstance(got, Throttled)
        return got.until - self._clock.now()


class Runs:
    """Starts runs on one store."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self._folder = folder
        self._clock = clock
        self._pools: list[KeyPool] = []

    def start(self, per_day: int | None = None) -> Run:
        """Start a run."""
        run = Run(self._folder, self._clock, per_day)
        self._pools.append(run.pool)
        return run

    def end_all(self) -> None:
        """End every run."""
        while self._pools:
            self._pools.pop().close()


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test sets."""
    return FakeClock()


@pytest.fixture
def runs(tmp_path: Path, clock: FakeClock) -> Iterator[Runs]:
    """Return what starts runs and ends them after the test."""
    runs = Runs(tmp_path, clock)
    yield runs
    runs.end_all()


# -- the wall clock is set -------------------------------------------------------------


@pytest.mark.parametrize("by", JUMPS)
@pytest.mark.parametrize("at", [4.0, 30.0, 61.0])
def test_a_wall_clock_that_is_set_changes_nothing_in_a_run(
    tmp_path: Path, by: float, at: float
) -> None:
    """Whenever somebody sets the clock, the run takes as long and no key is over its limit."""
    show = Show(tmp_path, beats={"clear": 54})
    show.later(at, lambda: show.clock.set_wall(by))
    complete = show.draw()

    assert complete.exit_code == Exit.OK
    assert complete.seconds == pytest.approx(2 * MINUTE + show.provider.latency, abs=0.2)
    assert max(show.provider.most_in_a_minute().values()) == 9


@pytest.mark.parametrize("by", JUMPS)
def test_a_wall_clock_that_is_set_leaves_a_cool_down_as_it_was_told(
    runs: Runs, clock: FakeClock, by: float
) -> None:
    """What the service asked for is waited for: neither less nor a jump longer."""
    run = runs.start()
    lease = run.send()
    assert lease is not None
    run.pool.record_429(lease, 600.0)
    clock.set_wall(by)

    assert run.wait() == pytest.approx(600)
    assert runs.start().wait() == pytest.approx(600)


@pytest.mark.parametrize("by", JUMPS)
def test_runs_with_different_ideas_of_the_hour_share_a_minute(
    runs: Runs, clock: FakeClock, by: float
) -> None:
    """A run that starts after the clock was set counts what the one before sent."""
    run = runs.start()
    assert run.send_all() == 9
    clock.set_wall(by)
    second = runs.start()

    assert second.send_all() == 0
    assert second.wait() == pytest.approx(MINUTE)


def test_a_clock_set_back_over_midnight_gives_no_second_day(runs: Runs, clock: FakeClock) -> None:
    """`requests_per_day` is not granted once more because the date went back."""
    midnight = next_pacific_midnight(clock.wall())
    clock.set_wall(midnight + 600 - clock.wall())
    assert runs.start(per_day=5).send_all() == 5
    clock.set_wall(-HOUR)
    assert pacific_day(clock.wall()) != pacific_day(midnight)

    assert isinstance(runs.start(per_day=5).pool.lease("clear"), Exhausted)


def test_a_clock_that_was_a_year_ahead_blocks_no_day(runs: Runs, clock: FakeClock) -> None:
    """Requests counted for a day that is far off are not today's."""
    clock.set_wall(365 * DAY)
    assert runs.start(per_day=5).send_all() == 5
    clock.set_wall(-365 * DAY)
    clock.advance(MINUTE)

    assert runs.start(per_day=5).send_all() == 5


@pytest.mark.parametrize("by", JUMPS)
def test_a_spent_day_is_asked_again_whatever_the_clock_did(
    runs: Runs, clock: FakeClock, by: float
) -> None:
    """A later run believes that the day is spent for an hour at most, by any clock."""
    run = runs.start()
    lease = run.send()
    assert lease is not None
    run.pool.spent_today(lease)
    clock.set_wall(by)
    clock.advance(2 * HOUR)

    assert runs.start().send() is not None


# -- the machine sleeps ----------------------------------------------------------------


@pytest.mark.parametrize("asleep", [20.0, HOUR, DAY])
@pytest.mark.parametrize("at", [4.0, 30.0])
def test_a_machine_that_sleeps_in_a_wait_goes_on_when_it_wakes(
    tmp_path: Path, at: float, asleep: float
) -> None:
    """Time asleep counts as time passed: no burst over the budget, nothing waited for twice."""
    show = Show(tmp_path, beats={"clear": 54})
    show.later(at, lambda: show.clock.advance(asleep))
    complete = show.draw()

    assert complete.exit_code == Exit.OK
    assert complete.seconds <= asleep + 2 * MINUTE + show.provider.latency + 0.2
    assert max(show.provider.most_in_a_minute().values()) == 9


def test_a_wait_ends_when_its_time_has_passed_in_sleep() -> None:
    """Waits are looked up every second: a machine that wakes does not wait the rest of an hour."""
    clock, runtime = FakeClock(), ThreadRuntime()
    runtime.clock = clock
    until = clock.now() + HOUR
    steps = [until, None]
    waits = threading.Event()

    class Patient:
        name = "patient"

        def step(self) -> float | None:
            waits.set()
            return steps.pop(0)

    driver = threading.Thread(target=runtime.drive, args=([Patient()],), daemon=True)
    driver.start()
    assert waits.wait(GUARD)
    clock.advance(HOUR)
    driver.join(GUARD)

    assert not driver.is_alive()


def test_two_429s_with_a_night_between_are_not_a_quarter_of_an_hour(
    runs: Runs, clock: FakeClock
) -> None:
    """A budget is given up after 15 minutes of refusals, and time asleep says nothing."""
    run = runs.start()
    for _ in range(2):
        lease = run.send()
        assert lease is not None
        assert run.pool.record_429(lease, None).state is KeyState.COOLING
        clock.advance(8 * HOUR)


def test_429s_an_hour_apart_as_the_service_asked_are_a_quarter_of_an_hour(
    runs: Runs, clock: FakeClock
) -> None:
    """Who comes back when it was told to and is refused again has waited long enough."""
    run = runs.start()
    states = []
    for _ in range(2):
        lease = run.send()
        assert lease is not None
        states.append(run.pool.record_429(lease, HOUR).state)
        clock.advance(HOUR)

    assert states == [KeyState.COOLING, KeyState.SPENT]


# -- the machine restarts --------------------------------------------------------------


@pytest.mark.parametrize("away", [*JUMPS, 0.0, 20.0])
def test_a_restart_costs_a_minute_at_most(runs: Runs, clock: FakeClock, away: float) -> None:
    """However long the machine was off by the wall clock, right or wrong, a key rests a minute."""
    run = runs.start()
    run.send_all()
    runs.end_all()
    clock.reboot(away)
    second = runs.start()

    if away >= MINUTE:
        assert second.send_all() == 9
    else:
        assert second.send_all() == 0
        assert second.wait() == pytest.approx(MINUTE - max(0.0, away))


def test_no_record_can_make_a_run_wait_longer_than_a_service_may_ask(clock: FakeClock) -> None:
    """A pause that a strange record puts years ahead is an hour at most."""
    budget = Budget.fresh(clock)
    budget.cool_until = clock.now() + 365 * DAY
    budget.clamp(clock.now())

    assert budget.free_at(clock.now(), 9) <= clock.now() + HOUR


# -- a run as a whole ------------------------------------------------------------------


@pytest.mark.parametrize("told", [None, 20.0, 90.0])
def test_no_wait_is_longer_than_a_minute_and_what_the_service_asked(
    tmp_path: Path, told: float | None
) -> None:
    """With jumps and sleep in the middle of refusals, something is sent as soon as it may be."""
    show = Show(tmp_path, beats={"clear": 40}, keys_a_style=1)
    began = show.clock.now()

    def answer(_request: Request, _key: str) -> Outcome:
        if show.clock.now() - began < 30:
            return ProviderError(
                kind=FaultKind.LIMITED, reason="quota", message="quota", retry_after=told
            )
        return Picture(data=PNG)

    show.provider.answer = answer
    for number, by in enumerate(JUMPS):
        show.later(10.0 + 25 * number, lambda by=by: show.clock.set_wall(by))  # type: ignore[misc]
    complete = show.draw()

    times = show.provider.times()
    longest = max(after - before for before, after in pairwise(times))
    assert complete.exit_code == Exit.OK
    assert longest <= MINUTE + (told or 5.0) + show.provider.latency + 0.2
