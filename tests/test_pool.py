"""Which key may send now: budgets shared between styles, runs and keys of one project."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes import FakeClock
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.quota.budget import MARGIN, WINDOW
from imagegen.quota.key_state import KeyState, KeyUpdate
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import Exhausted, KeyPool, Lease, Throttled
from imagegen.quota.store import MemoryStore
from imagegen.secret import Secret

MINUTE = WINDOW + MARGIN
MIDNIGHT = 1_795_420_800.0


def key(name: str, limit: int = 9, *, day: int | None = None, project: str | None = None) -> ApiKey:
    """Return a key that is not one."""
    return ApiKey(Secret(f"test-key-{name}-{name}-000001"), RateLimit(limit, day), project)


A, B, C = key("alpha"), key("beta"), key("gamma")
Open = Callable[..., KeyPool]


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test sets."""
    return FakeClock()


@pytest.fixture
def run(clock: FakeClock, tmp_path: Path) -> Iterator[Open]:
    """Return what starts a run: a pool of its own process, on the user's one store."""
    pools = []

    def start(
        keys: Mapping[str, tuple[ApiKey, ...]], model: str = "m", provider: str = "p"
    ) -> KeyPool:
        warnings: list[str] = []
        ledger = Ledger.open(tmp_path / "state", clock, warnings.append)
        pool = KeyPool(keys, provider=provider, model=model, ledger=ledger, clock=clock, seed=1)
        assert warnings == []
        pools.append(pool)
        return pool

    yield start
    for pool in pools:
        pool.close()


def lease(pool: KeyPool, style: str = "clear") -> Lease:
    """Take a lease that must be there."""
    got = pool.lease(style)
    assert isinstance(got, Lease)
    return got


def send(pool: KeyPool, style: str = "clear") -> Lease:
    """Take a lease and send its request."""
    got = lease(pool, style)
    pool.sent(got)
    return got


def send_all(pool: KeyPool, style: str = "clear") -> list[Lease]:
    """Send requests for as long as there are keys."""
    leases = []
    while isinstance(got := pool.lease(style), Lease):
        pool.sent(got)
        leases.append(got)
    return leases


def until(pool: KeyPool, style: str = "clear") -> float:
    """Return when the style may ask again."""
    got = pool.lease(style)
    assert isinstance(got, Throttled)
    return got.until


def exhausted(pool: KeyPool, style: str = "clear") -> Exhausted:
    """Return why the style has no key left."""
    got = pool.lease(style)
    assert isinstance(got, Exhausted)
    return got


# The minute


def test_all_keys_are_used_at_once_and_again_after_a_minute(run: Open, clock: FakeClock) -> None:
    """Two keys of nine send eighteen at once, and eighteen more a minute later."""
    pool = run({"clear": (A, B)})
    assert len(send_all(pool)) == 18
    assert until(pool) == pytest.approx(clock.now() + MINUTE)
    clock.advance(MINUTE)
    assert len(send_all(pool)) == 18


def test_a_lease_names_the_key_and_its_style(run: Open) -> None:
    """A lease gives the key to send with."""
    pool = run({"clear": (A,)})
    got = lease(pool)
    assert got.secret == A.secret
    assert got.style == "clear"


def test_a_lease_counts_until_its_request_has_left(run: Open, clock: FakeClock) -> None:
    """However long a connection takes, the minute begins when the request leaves."""
    pool = run({"clear": (key("one", 1),)})
    got = lease(pool)
    clock.advance(500)
    assert isinstance(pool.lease("clear"), Throttled)
    pool.sent(got)
    assert until(pool) == pytest.approx(clock.now() + MINUTE)


class SlowStore(MemoryStore):
    """A store whose writes can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.writes, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()

    def swap(self, name: str, version: int, row: bytes) -> bool:
        """Say that something is written, and write it as soon as that is allowed."""
        self.writes.set()
        assert self.goes_on.wait(10)
        return super().swap(name, version, row)


def test_a_departure_waits_for_nobody_and_counts_from_when_it_was(clock: FakeClock) -> None:
    """Hundreds of threads tell of theirs at once, while another has the pool."""
    store = SlowStore()
    ledger = Ledger(store, clock, pytest.fail)
    pool = KeyPool({"clear": (A,)}, provider="p", model="m", ledger=ledger, clock=clock)
    leases = [lease(pool) for _ in range(8)]
    store.writes.clear()
    store.goes_on.clear()
    with ThreadPoolExecutor(1) as other:
        ninth = other.submit(pool.lease, "clear")
        assert store.writes.wait(10)
        for one in leases:
            pool.sent(one)
        assert not ninth.done()
        store.goes_on.set()
        assert isinstance(ninth.result(10), Lease)
    clock.advance(MINUTE)

    assert len(send_all(pool)) == 8
    pool.close()


def test_a_released_lease_is_free_for_every_run(run: Open) -> None:
    """A place given back can be taken at once by another run that has not waited."""
    one, two = run({"clear": (A,)}), run({"clear": (A,)})
    leases = [lease(one) for _ in range(9)]
    one.release(leases[4])
    lease(two)
    assert isinstance(one.lease("clear"), Throttled)


def test_two_runs_share_the_minute(run: Open) -> None:
    """Runs with the same key see each other's requests."""
    one, two = run({"clear": (A,)}), run({"clear": (A,)})
    for _ in range(4):
        send(one)
    assert len(send_all(two)) == 5
    assert isinstance(one.lease("clear"), Throttled)


def test_the_lower_limit_of_two_runs_counts_while_both_run(run: Open, clock: FakeClock) -> None:
    """A run with a lower limit holds the other one to it, until it ends."""
    one, two = run({"clear": (A,)}), run({"clear": (key("alpha", 4),)})
    assert len(send_all(one)) == 4
    two.close()
    clock.advance(MINUTE)
    assert len(send_all(one)) == 9


def test_a_run_started_anew_remembers_the_minute(run: Open) -> None:
    """Ending a run and starting another frees nothing."""
    one = run({"clear": (A,)})
    send_all(one)
    one.close()
    assert isinstance(run({"clear": (A,)}).lease("clear"), Throttled)


def test_keys_of_one_project_share_a_budget(run: Open) -> None:
    """Two keys of a project have one minute between them, over styles too."""
    keys = {"clear": (key("one", project="studio"),), "noir": (key("two", project="studio"),)}
    pool = run(keys)
    first = send(pool)
    assert len(send_all(pool, "noir")) == 8
    assert first.secret == keys["clear"][0].secret
    assert isinstance(pool.lease("clear"), Throttled)


def test_a_key_under_two_styles_is_one_budget(run: Open) -> None:
    """The same key in two pools has one minute."""
    pool = run({"clear": (A,), "noir": (A,)})
    send_all(pool)
    assert isinstance(pool.lease("noir"), Throttled)


@pytest.mark.parametrize("other", [{"model": "other"}, {"provider": "other"}])
def test_models_and_providers_have_budgets_of_their_own(run: Open, other: dict[str, str]) -> None:
    """A key's minute for one model is not used up by another."""
    send_all(run({"clear": (A,)}))
    assert len(send_all(run({"clear": (A,)}, **other))) == 9


def test_a_wall_clock_that_is_set_changes_nothing(run: Open, clock: FakeClock) -> None:
    """Setting the clock while a run works frees no place."""
    pool = run({"clear": (A,)})
    send_all(pool)
    clock.set_wall(86_400)
    assert isinstance(pool.lease("clear"), Throttled)
    assert isinstance(run({"clear": (A,)}).lease("clear"), Throttled)


@pytest.mark.parametrize(("away", "free"), [(10.0, 0), (-1000.0, 0), (61.0, 9)])
def test_a_restart_of_the_machine_frees_what_time_has_freed(
    run: Open, clock: FakeClock, away: float, free: int
) -> None:
    """After a reboot the wall clock says what is still used."""
    one = run({"clear": (A,)})
    send_all(one)
    one.close()
    clock.reboot(away)
    assert len(send_all(run({"clear": (A,)}))) == free


# Refusals


def test_a_refused_key_pauses_and_the_others_go_on(run: Open, clock: FakeClock) -> None:
    """A 429 pauses its own key for as long as the service says."""
    pool = run({"clear": (A, B)})
    got = send(pool)
    news = pool.record_429(got, 34)
    assert news.state is KeyState.COOLING
    assert news.tail == got.secret.tail
    assert news.until == pytest.approx(clock.now() + 34)
    assert {other.secret for other in send_all(pool)} == {A.secret, B.secret} - {got.secret}


def test_a_pause_counts_for_other_runs(run: Open, clock: FakeClock) -> None:
    """Another run with the same key waits as well."""
    one, two = run({"clear": (A,)}), run({"clear": (A,)})
    one.record_429(send(one), 600)
    assert until(two) == pytest.approx(clock.now() + 600)


def test_the_pace_that_the_service_grants_is_shared(run: Open, clock: FakeClock) -> None:
    """Nine sent and two refused: every run goes on at seven a minute, evenly."""
    one = run({"clear": (A,)})
    leases = send_all(one)
    one.record_429(leases[0], 1)
    assert one.record_429(leases[5], 1).pace == 7
    clock.advance(120)
    two = run({"clear": (A,)})
    assert len(send_all(two)) == 1
    assert until(one) == pytest.approx(clock.now() + 60 / 7)


def test_nothing_but_refusals_for_a_quarter_of_an_hour_ends_a_key(
    run: Open, clock: FakeClock
) -> None:
    """A budget that was refused for 15 minutes is given up, for this run alone."""
    pool = run({"clear": (A,)})
    states = []
    for _ in range(2):
        states.append(pool.record_429(send(pool), 890).state)
        clock.advance(890)
    states.append(pool.record_429(send(pool), 1).state)
    assert states == [KeyState.COOLING, KeyState.COOLING, KeyState.SPENT]
    assert [news.state for news in exhausted(pool).keys] == [KeyState.SPENT]
    assert not exhausted(pool).needs_other_keys
    clock.advance(60)
    lease(run({"clear": (A,)}))


def test_an_answer_between_refusals_keeps_a_key(run: Open, clock: FakeClock) -> None:
    """One answer that is no refusal starts the quarter of an hour anew."""
    pool = run({"clear": (A,)})
    for _ in range(4):
        assert pool.record_429(send(pool), 600).state is KeyState.COOLING
        clock.advance(600)
        pool.answered(send(pool))
        clock.advance(60)


def test_a_day_that_is_spent_ends_at_pacific_midnight(run: Open, clock: FakeClock) -> None:
    """A key without quota for today is used again after midnight on the Pacific coast."""
    pool = run({"clear": (A,)})
    news = pool.spent_today(send(pool), "quota of the day")
    assert news.state is KeyState.SPENT_TODAY
    assert news.until == pytest.approx(clock.now() + MIDNIGHT - clock.wall())
    assert exhausted(pool).keys == (news,)
    assert not exhausted(pool).needs_other_keys
    clock.advance(MIDNIGHT - clock.wall() + 1)
    lease(pool)


def test_other_runs_believe_in_a_spent_day_for_an_hour(run: Open, clock: FakeClock) -> None:
    """A run started within the hour sends nothing; later one may have been given more."""
    one = run({"clear": (A,)})
    one.spent_today(send(one))
    clock.advance(3500)
    assert exhausted(run({"clear": (A,)})).keys[0].state is KeyState.SPENT_TODAY
    clock.advance(200)
    lease(run({"clear": (A,)}))


def test_requests_a_day_are_counted_over_runs(run: Open, clock: FakeClock) -> None:
    """`requests_per_day` holds over all runs of a Pacific day."""
    keys = {"clear": (key("alpha", 9, day=5),)}
    one = run(keys)
    for _ in range(3):
        send(one)
    two = run(keys)
    assert len(send_all(two)) == 2
    (news,) = exhausted(two).keys
    assert news.state is KeyState.SPENT_TODAY
    assert "requests_per_day = 5" in news.message
    clock.advance(MIDNIGHT - clock.wall() + 1)
    assert len(send_all(two)) == 5


def test_a_key_without_quota_is_used_no_more(run: Open) -> None:
    """A plan without quota for the model ends every key of the budget."""
    pool = run({"clear": (key("one", project="p"), key("two", project="p"))})
    assert pool.no_quota(send(pool), "limit: 0").state is KeyState.NO_QUOTA
    left = exhausted(pool)
    assert [news.state for news in left.keys] == [KeyState.NO_QUOTA] * 2
    assert left.needs_other_keys


def test_a_key_without_credit_is_used_no_more_and_never_remembered(run: Open) -> None:
    """It ends for this run, others go on; the next run asks anew, for there may be credit."""
    pool = run({"clear": (A, B)})
    got = send(pool)
    news = pool.out_of_credit(got, "You have no credit")
    tail = got.secret.tail
    assert news == KeyUpdate(tail=tail, state=KeyState.OUT_OF_CREDIT, message="You have no credit")
    assert {other.secret for other in send_all(pool)} == {A.secret, B.secret} - {got.secret}
    pool.out_of_credit(send(run({"clear": (A, B)})))
    left = run({"clear": (A, B)})
    assert {news.state for news in left.key_states("clear")} <= {KeyState.READY, KeyState.WAITING}


def test_keys_without_credit_are_mended_by_a_person_alone(run: Open) -> None:
    """But unlike keys that are rejected they need not be replaced."""
    pool = run({"clear": (A,)})
    pool.out_of_credit(send(pool))
    left = exhausted(pool)
    assert (left.needs_other_keys, left.needs_user_action) == (False, True)
    assert not any(news.until for news in left.keys)


def test_a_rejected_key_is_used_no_more_and_never_remembered(run: Open) -> None:
    """A key that is not accepted ends for this run; the next one asks anew."""
    pool = run({"clear": (A,)})
    news = pool.reject(send(pool), "API key not valid")
    assert news == KeyUpdate(
        tail=A.secret.tail, state=KeyState.REJECTED, message="API key not valid"
    )
    assert exhausted(pool).needs_other_keys
    assert pool.probe_key() is None
    lease(run({"clear": (A,)}))


def test_a_rejected_key_leaves_the_others_of_its_project(run: Open) -> None:
    """One key of a project may be wrong while the next is right."""
    one, two = key("one", project="p"), key("two", project="p")
    pool = run({"clear": (one, two)})
    got = send(pool)
    pool.reject(got)
    assert {other.secret for other in send_all(pool)} == {one.secret, two.secret} - {got.secret}
    assert pool.probe_key() != got.secret


def test_a_style_without_keys_is_told_so(run: Open) -> None:
    """No key at all is something that only a person can mend."""
    left = exhausted(run({"clear": ()}))
    assert left.keys == ()
    assert left.needs_other_keys


def test_states_tell_what_each_key_waits_for(run: Open) -> None:
    """Every key of a style has a state to show."""
    one = key("one", 1)
    pool = run({"clear": (one, B, C)})
    used: dict[Secret, Lease] = {}
    while len(used) < 3:
        got = send(pool)
        used[got.secret] = got
    pool.record_429(used[B.secret], 30)
    pool.reject(used[C.secret])
    assert [news.state for news in pool.key_states("clear")] == [
        KeyState.WAITING,
        KeyState.COOLING,
        KeyState.REJECTED,
    ]


# Fairness


def test_styles_that_share_a_budget_take_turns(run: Open, clock: FakeClock) -> None:
    """Of three styles that wait for one key, none gets a second turn before the others."""
    styles = ("clear", "consistent", "noir")
    pool = run(dict.fromkeys(styles, (A,)))
    send_all(pool)
    for style in styles:
        pool.register_demand(style)
    clock.advance(MINUTE)
    served = []
    for _ in range(20):
        for style in styles:
            pool.register_demand(style)
        for style in styles:
            if isinstance(got := pool.lease(style), Lease):
                pool.sent(got)
                served.append(style)
    assert sorted(served) == sorted(styles * 3)
    assert all(len(set(served[i : i + 3])) == 3 for i in (0, 3, 6))


def test_a_style_that_does_not_come_loses_its_turn(run: Open, clock: FakeClock) -> None:
    """A turn is kept for two seconds, so that an idle style holds nobody up."""
    pool = run({"clear": (A,), "noir": (A,)})
    send(pool, "clear")
    pool.register_demand("noir")
    assert isinstance(pool.lease("clear"), Throttled)
    clock.advance(2.1)
    send(pool, "clear")


def test_a_style_that_withdraws_holds_nobody_up(run: Open) -> None:
    """Who needs no key for now gives up the turn at once."""
    pool = run({"clear": (A,), "noir": (A,)})
    send(pool, "clear")
    pool.register_demand("noir")
    assert isinstance(pool.lease("clear"), Throttled)
    pool.cancel_demand("noir")
    send(pool, "clear")


def test_a_place_given_back_is_not_kept_for_a_style_that_comes_later(run: Open) -> None:
    """A style told to come in a minute keeps nobody from a place that is free now."""
    pool = run({"clear": (A,), "noir": (A,)})
    leases = [lease(pool) for _ in range(9)]
    assert isinstance(pool.lease("noir"), Throttled)
    pool.release(leases[0])
    lease(pool)


def test_keys_that_others_wait_for_are_left_to_them(run: Open) -> None:
    """Of the free keys a style takes those that the fewest waiting styles can use."""
    pool = run({"clear": (A, B), "noir": (A,)})
    pool.register_demand("noir")
    assert {send(pool).secret for _ in range(9)} == {B.secret}
    assert len(send_all(pool, "noir")) == 9


def test_of_equal_keys_the_one_with_most_room_goes_first(run: Open) -> None:
    """Requests spread over keys, so that no key is used up while others idle."""
    pool = run({"clear": (A, B, C)})
    used = [send(pool).secret for _ in range(9)]
    assert {used.count(one.secret) for one in (A, B, C)} == {3}


# Half pace


def test_without_a_store_half_of_each_limit_is_used(clock: FakeClock) -> None:
    """A run that cannot see others uses half of its limits, one a minute at least."""
    ledger = Ledger(MemoryStore(), clock, print, alone=True)
    keys = {"clear": (A,), "noir": (key("one", 1),)}
    pool = KeyPool(keys, provider="p", model="m", ledger=ledger, clock=clock)
    assert len(send_all(pool, "clear")) == 4
    assert len(send_all(pool, "noir")) == 1


# What answers tell of the quota


def test_an_answer_lowers_the_limit_for_all_runs(run: Open) -> None:
    """Whoever was told that 4 a minute are allowed tells the others."""
    first, second = run({"clear": (A,)}), run({"clear": (A,)})
    first.record_server_limit(send(first), per_minute=4, remaining=3, reset=15.0)
    assert len(send_all(second)) == 3
    assert second.key_states("clear")[0].per_minute == 4


def test_a_key_rests_until_the_reset_counted_from_when_its_request_left(
    run: Open, clock: FakeClock
) -> None:
    """The answer came 20 seconds later: so much of the wait is over."""
    pool = run({"clear": (A,)})
    last = send(pool)
    clock.advance(20)
    pool.record_server_limit(last, per_minute=None, remaining=0, reset=50.0)
    assert pool.key_states("clear")[0].state is KeyState.COOLING
    assert until(pool) == pytest.approx(clock.now() + 30)


def test_the_answer_to_a_request_of_long_ago_holds_nobody_up(run: Open, clock: FakeClock) -> None:
    """What was left two minutes ago says nothing of now."""
    pool = run({"clear": (A,)})
    slow = send(pool)
    clock.advance(120)
    send(pool)
    pool.record_server_limit(slow, per_minute=None, remaining=0, reset=60.0)
    assert len(send_all(pool)) == 8


def test_another_key_goes_on_while_one_rests(run: Open) -> None:
    """An empty quota is one key's."""
    pool = run({"clear": (A, B)})
    first = send(pool)
    pool.record_server_limit(first, per_minute=None, remaining=0, reset=60.0)
    assert {got.secret for got in send_all(pool)} == {A.secret, B.secret} - {first.secret}


def test_of_a_limit_that_is_told_half_is_used_where_other_runs_cannot_be_seen(
    clock: FakeClock,
) -> None:
    """As of the limit in the file: two that cannot see each other use one limit together."""
    ledger = Ledger(MemoryStore(), clock, lambda _: None, alone=True)
    pool = KeyPool({"clear": (A,)}, provider="p", model="m", ledger=ledger, clock=clock)
    pool.record_server_limit(send(pool), per_minute=4, remaining=None, reset=None)
    assert len(send_all(pool)) == 1


def test_an_answer_without_news_costs_no_write(run: Open, tmp_path: Path) -> None:
    """Every answer tells its limit; the shared record is written when that changes."""
    pool = run({"clear": (A,)})
    got = send(pool)
    pool.record_server_limit(got, per_minute=9, remaining=8, reset=7.0)
    record = sorted((tmp_path / "state").rglob("*"))
    before = [path.read_bytes() for path in record if path.is_file()]
    pool.record_server_limit(got, per_minute=9, remaining=7, reset=14.0)
    assert [path.read_bytes() for path in record if path.is_file()] == before
