"""How long a run will take, told before it is over: by the budgets' arithmetic, and in runs."""

import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import FakeClock
from imagegen.engine.eta import estimate
from imagegen.events.types import Forecast, Progress
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.project.beat_status import Status
from imagegen.providers.base import Outcome, Picture, Price, Request
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease
from imagegen.quota.simulation import Capacity, last_departures
from imagegen.quota.store import MemoryStore
from imagegen.secret import Secret
from sweep import examples
from virtual import PNG, STYLES, Show, passing

MINUTE = 60.5
"""A window and its margin."""

NOW = 1000.0


def supply(
    *styles: str, per_minute: int = 9, used: int = 0, free_in: float = 30.0, **more: object
) -> Capacity:
    """Return what a budget allows, of which some places are free a little later only."""
    free = [(NOW, per_minute - used), (NOW + free_in, used)]
    return Capacity(
        styles=frozenset(styles),
        per_minute=per_minute,
        free_slots=[(at, count) for at, count in free if count],
        **more,  # type: ignore[arg-type]
    )


def departures(*supplies: Capacity, **left: int) -> dict[str, float | None]:
    """Return when the last requests of `left` leave."""
    return last_departures(supplies, left, NOW)


# -- the arithmetic --------------------------------------------------------------------


@settings(max_examples=examples(200))
@given(st.integers(1, 400), st.integers(1, 5), st.integers(1, 60))
def test_so_many_pictures_take_as_many_minutes_as_the_keys_allow(
    pictures: int, keys: int, per_minute: int
) -> None:
    """With K keys of R a minute the last of n leaves after ⌈n/(K·R)⌉−1 minutes."""
    supplies = [supply("clear", per_minute=per_minute) for _ in range(keys)]
    minutes = math.ceil(pictures / (keys * per_minute)) - 1
    assert departures(*supplies, clear=pictures)["clear"] == pytest.approx(minutes * MINUTE)


def test_nothing_left_takes_no_time_and_nothing_to_send_with_all_of_it() -> None:
    """0 seconds for no beats, None for beats that no key serves."""
    assert departures(clear=0, consistent=3) == {"clear": 0.0, "consistent": None}
    assert departures(supply("clear"), clear=0, consistent=0) == {"clear": 0.0, "consistent": 0.0}


def test_what_was_used_of_the_minute_is_free_later() -> None:
    """Five of nine places are free in half a minute, and again a minute after that."""
    used = supply("clear", used=5, free_in=30.0)
    assert departures(used, clear=4)["clear"] == 0.0
    assert departures(used, clear=5)["clear"] == 30.0
    assert departures(used, clear=10)["clear"] == MINUTE
    assert departures(used, clear=14)["clear"] == 30.0 + MINUTE


def test_styles_share_a_budget_in_turn() -> None:
    """Of nine places each of two styles has four or five, and each five in its turn."""
    shared = supply("clear", "consistent")
    assert departures(shared, clear=9, consistent=9) == {"clear": MINUTE, "consistent": MINUTE}
    # The shorter one is done sooner, and leaves its places to the other.
    assert departures(shared, clear=4, consistent=5) == {"clear": 0.0, "consistent": 0.0}
    assert departures(shared, clear=4, consistent=14) == {"clear": 0.0, "consistent": MINUTE}
    long = departures(shared, clear=450, consistent=450)
    assert long["clear"] == pytest.approx(99 * MINUTE, rel=0.02)
    assert long["consistent"] == pytest.approx(99 * MINUTE, rel=0.02)


def test_a_style_uses_its_own_keys_before_those_that_others_need() -> None:
    """With a key of its own and one that two share, each has what the other can spare."""
    own, shared = supply("clear"), supply("clear", "consistent")
    assert departures(own, shared, clear=9, consistent=9) == {"clear": 0.0, "consistent": 0.0}


def test_keys_that_are_lent_count_once_their_style_is_done() -> None:
    """Only for styles that may borrow: those that have a key of their own."""
    lent = supply("clear", borrowers=frozenset({"consistent"}))
    own = supply("consistent")
    assert departures(lent, own, clear=3, consistent=15) == {"clear": 0.0, "consistent": 0.0}
    assert departures(lent, own, clear=9, consistent=27) == {"clear": 0.0, "consistent": MINUTE}
    assert departures(lent, clear=3, illustration=3)["illustration"] is None


def test_a_slowed_budget_sends_one_at_a_time() -> None:
    """With ten seconds between requests the seventh leaves a minute after the first."""
    slow = Capacity(
        styles=frozenset({"clear"}), per_minute=6, free_slots=[(NOW + 5, 1)], spacing=10.0
    )
    assert departures(slow, clear=1)["clear"] == 5.0
    assert departures(slow, clear=7)["clear"] == pytest.approx(65.0)


def test_the_days_requests_end_it() -> None:
    """What the day no longer allows cannot leave; other budgets still serve."""
    daily = supply("clear", daily_limit=12)
    assert departures(daily, clear=12)["clear"] == MINUTE
    assert departures(daily, clear=13)["clear"] is None
    assert departures(supply("clear", daily_limit=0), clear=1)["clear"] is None
    assert departures(daily, supply("clear", per_minute=1), clear=15)["clear"] == 2 * MINUTE


def test_keys_of_different_limits_are_all_used_in_full() -> None:
    """A key of 60 a minute beside one of 9: 138 pictures in two minutes."""
    supplies = supply("clear", per_minute=60), supply("clear")
    assert departures(*supplies, clear=138)["clear"] == MINUTE
    assert departures(*supplies, clear=139)["clear"] == 2 * MINUTE


def test_a_hundred_thousand_beats_are_foretold_to_a_hundredth() -> None:
    """Places that are spread over the minute are taken together where it is far away."""
    supplies = [
        Capacity(
            styles=frozenset({style}),
            per_minute=9,
            free_slots=[(NOW + 60 * (9 * key + n) / 18, 1) for n in range(9)],
        )
        for style in STYLES
        for key in range(2)
    ]
    told = last_departures(supplies, dict.fromkeys(STYLES, 33_333), NOW)
    for seconds in told.values():
        assert seconds == pytest.approx(33_333 / 18 * MINUTE, rel=0.01)


# -- the pool --------------------------------------------------------------------------


def key(name: str, per_minute: int = 9, **more: int) -> ApiKey:
    """Return a key that is not one."""
    return ApiKey(Secret(f"test-key-{name}-000001"), RateLimit(per_minute, **more))


def pool(
    clock: FakeClock, keys: Mapping[str, tuple[ApiKey, ...]], *, lend: bool = False
) -> KeyPool:
    """Return a pool with a memory of its own."""
    return KeyPool(
        keys,
        provider="scripted",
        model="model-1",
        ledger=Ledger(MemoryStore(), clock, lambda _: None),
        clock=clock,
        lend=lend,
        seed=1,
    )


def take(pool: KeyPool, count: int, style: str = "clear") -> list[Lease]:
    """Send so many requests."""
    leases = [pool.lease(style) for _ in range(count)]
    for lease in leases:
        assert isinstance(lease, Lease)
        pool.sent(lease)
    return leases  # type: ignore[return-value]


def test_the_pool_counts_what_the_minute_has_used() -> None:
    """Ten seconds after seven of nine requests, a third has to wait for fifty more."""
    clock = FakeClock()
    keys = pool(clock, {"clear": (key("a"),)})
    take(keys, 7)
    clock.advance(10)
    assert keys.forecast({"clear": 2}) == {"clear": 0.0}
    assert keys.forecast({"clear": 3})["clear"] == pytest.approx(50.5)


def test_the_pool_knows_of_cool_downs_and_pace() -> None:
    """After a 429 that our own count cannot explain, the budget is slower from then on."""
    clock = FakeClock()
    keys = pool(clock, {"clear": (key("a"),)})
    leases = take(keys, 9)
    for lease in leases[6:]:
        keys.record_429(lease, 30.0)
    # Six were granted: the next leaves as the window says, the others ten seconds apart.
    first = keys.forecast({"clear": 1})["clear"]
    assert first == pytest.approx(MINUTE)
    assert keys.forecast({"clear": 7})["clear"] == pytest.approx(2 * MINUTE)


def test_the_pool_knows_what_the_day_has_used() -> None:
    """Of 20 requests a day 5 are used: 15 can leave, the sixteenth cannot."""
    clock = FakeClock()
    keys = pool(clock, {"clear": (key("a", per_day=20),)})
    take(keys, 5)
    assert keys.forecast({"clear": 15})["clear"] == pytest.approx(MINUTE * 2)
    assert keys.forecast({"clear": 16}) == {"clear": None}


def test_a_key_that_is_of_no_use_is_not_counted_on() -> None:
    """Rejected, or spent for today."""
    clock = FakeClock()
    keys = pool(clock, {"clear": (key("a"), key("b"))})
    assert keys.forecast({"clear": 18}) == {"clear": 0.0}
    first, second = take(keys, 2)
    keys.reject(first)
    clock.advance(MINUTE)
    assert keys.forecast({"clear": 18})["clear"] == pytest.approx(MINUTE)
    keys.spent_today(second)
    assert keys.forecast({"clear": 1}) == {"clear": None}


def test_a_style_without_a_key_cannot_count_on_lent_ones() -> None:
    """Keys are lent to styles that have some of their own."""
    keys = pool(FakeClock(), {"clear": (key("a"),), "consistent": ()}, lend=True)
    assert keys.forecast({"clear": 3, "consistent": 3}) == {"clear": 0.0, "consistent": None}


# -- runs ------------------------------------------------------------------------------


def forecasts(show: Show) -> list[tuple[float, Forecast]]:
    """Return when which forecast was told, in seconds since the run began."""
    return [(show.at(event), event) for event in show.events if isinstance(event, Forecast)]


def ended(show: Show) -> dict[str, float]:
    """Return when each style's last picture was there, in seconds since the run began."""
    return {
        event.style: show.at(event)
        for event in show.events
        if isinstance(event, Progress) and event.status is Status.COMPLETE
    }


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, object]:
    """Return beats, keys and limits: keys of a style's own, and some that styles share."""
    styles = STYLES[: draw(st.integers(1, 3))]
    beats = {style: draw(st.integers(0, 50)) for style in styles}
    keys: dict[str, tuple[ApiKey, ...]] = {
        style: tuple(
            key(f"{style}-{n}", draw(st.sampled_from([5, 9, 30])))
            for n in range(draw(st.integers(1, 3)))
        )
        for style in styles
    }
    if draw(st.booleans()):
        shared = key("shared", draw(st.sampled_from([5, 9, 30])))
        for style in draw(st.sets(st.sampled_from(styles))):
            keys[style] = (shared,) if draw(st.booleans()) else (*keys[style], shared)
    latency = draw(st.sampled_from([0.5, 8.0, 20.0]))
    return {
        "beats": beats,
        "keys": keys,
        "lend": draw(st.booleans()),
        "latency": latency,
        "answer_seconds": latency,
        "price": Price(picture=0.1),
    }


@pytest.mark.slow
@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_what_is_foretold_at_the_start_is_what_a_run_takes(world: dict[str, object]) -> None:
    """Within 5 %; and an estimate before the run says the same.

    Each style's own time too, to the minute where keys serve several styles.
    """
    with TemporaryDirectory() as folder:
        show = Show(Path(folder), **world)  # type: ignore[arg-type]
        left = {style: {1: len(beats)} for style, beats in show.plan.styles.items()}
        before = estimate(
            left,
            pool=show.pool,
            widths=dict.fromkeys(left, 256),
            each=0.1,
            answer_seconds=show.provider.latency,
        )
        complete = show.draw()
    assert complete.exit_code == 0
    if not complete.requests:
        return
    (at, first), *_ = forecasts(show)
    assert at < 1
    assert first.seconds == pytest.approx(complete.seconds, rel=0.05, abs=0.5)
    assert before.seconds == pytest.approx(complete.seconds, rel=0.05, abs=0.5)
    assert before.cost == first.cost_in_all == pytest.approx(complete.cost)
    # Which style is served first by keys that several may use, nobody can foretell.
    mixed = world["lend"] or len(set().union(*show.keys.values())) < sum(
        map(len, show.keys.values())
    )
    for style, seconds in ended(show).items():
        exact = 0.5 + (MINUTE if mixed else 0.0)
        assert first.styles[style] == pytest.approx(seconds, rel=0.05, abs=exact)


@pytest.mark.slow
def test_the_forecast_counts_down_evenly(tmp_path: Path) -> None:
    """Once answers' times are known what is told hardly changes, and so is told rarely."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 100), keys_a_style=1)
    complete = show.draw()
    told = forecasts(show)
    assert told[0][1].seconds is None
    assert [event.seconds is None for _, event in told[1:]] == [False] * (len(told) - 1)
    for at, event in told[1:]:
        assert event.seconds is not None
        assert at + event.seconds == pytest.approx(complete.seconds, rel=0.05, abs=1)
    assert len(told) <= 4


def test_faults_and_answers_of_all_kinds_keep_the_forecast_true(tmp_path: Path) -> None:
    """One request in ten fails: what is told halfway is still right within a tenth."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 60), keys_a_style=1, answer_seconds=8.0)
    count = iter(range(10_000))

    def answer(_request: Request, _key: str) -> Outcome:
        return passing() if next(count) % 10 == 9 else Picture(data=PNG)

    show.provider.answer = answer
    complete = show.draw()
    told = [(at, e.seconds) for at, e in forecasts(show) if at < complete.seconds / 2]
    at, seconds = told[-1]
    assert seconds is not None
    assert at + seconds == pytest.approx(complete.seconds, rel=0.1, abs=MINUTE)


def test_beats_that_back_off_are_waited_for(tmp_path: Path) -> None:
    """Where every other picture is there, the forecast is the back-off and one answer."""
    show = Show(tmp_path, beats={"clear": 1}, answer_seconds=8.0)
    answers: list[Outcome] = [passing(), passing(), passing()]
    show.provider.answer = lambda _request, _key: answers.pop() if answers else Picture(data=PNG)
    complete = show.draw()
    at, last = forecasts(show)[-1]
    assert last.seconds == pytest.approx(complete.seconds - at, abs=0.5)


def test_another_round_is_waited_for(tmp_path: Path) -> None:
    """Beats that used up their attempts come half a minute after the others' last."""
    show = Show(tmp_path, beats={"clear": 12}, answer_seconds=8.0, max_attempts=1)
    failing = {"clear 3"}

    def answer(request: Request, _key: str) -> Outcome:
        if request.words in failing:
            failing.remove(request.words)
            return passing()
        return Picture(data=PNG)

    show.provider.answer = answer
    complete = show.draw()
    assert complete.exit_code == 0
    at, last = forecasts(show)[-1]
    assert last.seconds == pytest.approx(complete.seconds - at, abs=0.5)


def test_an_outage_is_told_as_not_known(tmp_path: Path) -> None:
    """While the service is out of reach nobody can tell; afterwards a new time is told."""
    show = Show(tmp_path, beats={"clear": 40}, keys_a_style=1, answer_seconds=8.0)
    began = show.clock.now()

    def failing() -> bool:
        return 55 <= show.clock.now() - began < 300

    show.provider.answer = lambda _request, _key: passing() if failing() else Picture(data=PNG)
    show.provider.listing = lambda: passing() if failing() else ("model-1",)
    complete = show.draw()
    told = forecasts(show)
    in_outage = [event.seconds for at, event in told if 68 <= at < 300]
    assert in_outage
    assert set(in_outage) == {None}
    at, after = next((at, event) for at, event in told if at >= 300)
    assert after.seconds == pytest.approx(complete.seconds - at, rel=0.05, abs=10)


def test_a_style_that_has_ended_holds_up_no_forecast(tmp_path: Path) -> None:
    """What cannot be drawn for want of keys is neither waited nor paid for."""
    show = Show(
        tmp_path,
        beats={"clear": 30, "consistent": 30},
        keys={"clear": (key("a"),), "consistent": ()},
        answer_seconds=8.0,
        price=Price(picture=0.1),
    )
    complete = show.draw()
    assert complete.exit_code == 2
    last = forecasts(show)[0][1]
    assert last.seconds == pytest.approx(complete.seconds, rel=0.05)
    assert last.styles["consistent"] == 0.0
    assert last.cost_in_all == pytest.approx(3.0)


def test_a_provider_without_keys_is_foretold_by_its_width(tmp_path: Path) -> None:
    """Ten pictures, four at a time, eight seconds each."""
    show = Show(tmp_path, beats={"clear": 10}, keyless=True, width=4, answer_seconds=8.0)
    complete = show.draw()
    assert forecasts(show)[0][1].seconds == pytest.approx(complete.seconds, abs=0.5)


def test_styles_that_share_a_width_are_foretold_together(tmp_path: Path) -> None:
    """Thirteen pictures of two styles, two at a time: the shorter style is done before."""
    beats = {"clear": 10, "consistent": 3}
    show = Show(tmp_path, beats=beats, keyless=True, width=2, answer_seconds=8.0)
    complete = show.draw()
    _, first = forecasts(show)[0]
    assert first.seconds == pytest.approx(complete.seconds, abs=0.5)
    assert first.styles["consistent"] == pytest.approx(24.0)


@pytest.mark.slow
@pytest.mark.parametrize("lend", [True, False])
def test_forecasts_stay_few_in_a_long_run(tmp_path: Path, lend: bool) -> None:  # noqa: FBT001
    """Hundreds of pictures with answers of uneven length: few events, each of them true."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 400), per_minute=60, lend=lend)
    lengths = iter(range(1_000_000))
    show.provider.connecting = lambda: (next(lengths) * 7 % 11) / 4
    complete = show.draw()
    told = forecasts(show)
    assert len(told) <= 12
    for at, event in told[1:]:
        assert event.seconds is not None
        assert at + event.seconds == pytest.approx(complete.seconds, rel=0.05, abs=6)
