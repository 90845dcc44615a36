"""Money: what answers cost, and what `--max-cost` lets a run spend."""

import json
import random
from pathlib import Path

import pytest

from commands import STYLES, Commands, pictures
from gemini_server import Answer, GeminiServer
from imagegen.engine.spending import Charge, SpendTracker
from imagegen.errors import Exit
from imagegen.events.types import Complete, Forecast, Progress
from imagegen.providers import responses
from imagegen.providers.base import (
    TOO_LARGE,
    FaultKind,
    Outcome,
    Picture,
    Price,
    ProviderError,
    TokenPrices,
    Usage,
)
from virtual import PNG, Show, passing

TEN_CENTS = Price(picture=0.1)
DRAWN = Picture(data=PNG)
REFUSED = ProviderError(kind=FaultKind.REFUSED, reason="IMAGE_SAFETY", message="no")


def show(folder: Path, *, max_cost: float, price: Price = TEN_CENTS, **more: object) -> Show:
    """Return an engine that may spend so much."""
    folder.mkdir(exist_ok=True)
    return Show(folder, max_cost=max_cost, price=price, **more)  # type: ignore[arg-type]


def spent(one: Show) -> float:
    """Return what the events of beats say was spent."""
    return round(sum(e.cost or 0.0 for e in one.events if isinstance(e, Progress)), 6)


# -- the purse -------------------------------------------------------------------------


def test_cents_add_up() -> None:
    """Three pictures of ten cents are thirty cents, and no more."""
    purse = SpendTracker(TEN_CENTS, 0.3)
    for _ in range(3):
        assert purse.can_afford(1)
        assert purse.record(Charge(pictures=1)) == 0.1
    assert purse.total == 0.3
    assert not purse.can_afford(1)


@pytest.mark.parametrize("price", [0.067, 0.101, 0.134, 0.039, 1 / 3])
def test_a_limit_for_exactly_so_many_pictures_pays_for_all_of_them(price: float) -> None:
    """However many: a hundred thousand sums are not exact either."""
    purse = SpendTracker(Price(picture=price), 100_000 * price)
    for _ in range(100_000):
        purse.record(Charge(pictures=1))
    assert purse.total == pytest.approx(100_000 * price, abs=1e-6)
    assert purse.can_afford(0)
    assert not purse.can_afford(1)
    almost = SpendTracker(Price(picture=price), 100_000 * price)
    assert almost.can_afford(100_000)
    assert not almost.can_afford(100_001)


def test_tokens_decide_where_the_service_tells_them() -> None:
    """Each kind of tokens at its own price: of the image, of thoughts, of what was sent."""
    prices = TokenPrices(picture=60.0, text_in=0.5, text_out=3.0)
    purse = SpendTracker(Price(picture=0.067, tokens=prices))
    usage = Usage(input_tokens=20, output_tokens=1200, thought_tokens=80)
    assert purse.record(Charge(usage=usage, pictures=1)) == pytest.approx(
        0.0672 + 0.00024 + 0.00001
    )
    assert purse.record(Charge(pictures=1)) == pytest.approx(0.067)
    assert purse.total == pytest.approx(0.13445)


def test_an_answer_without_a_picture_costs_its_tokens_at_most() -> None:
    """Nothing where none are told."""
    purse = SpendTracker(Price(picture=0.067, tokens=TokenPrices(picture=60.0)))
    assert purse.record(Charge(pictures=0)) == 0.0
    assert purse.record(Charge(usage=Usage(input_tokens=20), pictures=0)) == 0.0
    assert purse.record(Charge(usage=Usage(output_tokens=100), pictures=0)) == pytest.approx(0.006)


def test_what_is_dearer_than_the_list_is_expected_of_the_next_too() -> None:
    """A picture of more tokens than the list's makes room for fewer."""
    purse = SpendTracker(Price(picture=0.067, tokens=TokenPrices(picture=60.0)), 0.28)
    assert purse.can_afford(4)
    purse.record(Charge(usage=Usage(output_tokens=2000), pictures=1))
    assert purse.can_afford(1)
    assert not purse.can_afford(2)
    assert purse.projected_total(3) == pytest.approx(0.48)


def test_without_a_price_nothing_is_counted_or_refused() -> None:
    """What nobody knows is told as nothing, not as 0."""
    purse = SpendTracker(None)
    assert purse.record(Charge(pictures=1)) is None
    assert purse.total is None
    assert purse.projected_total(3) is None
    assert purse.can_afford(1000)


# -- runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("pictures", [1, 7, 30, 89])
def test_money_for_so_many_pictures_draws_so_many(tmp_path: Path, pictures: int) -> None:
    """Over three styles with many requests in flight: not one more, and not one less."""
    one = show(tmp_path, max_cost=pictures * 0.1)
    complete = one.draw()

    assert len(one.provider.requests) == pictures
    assert complete.cost == spent(one) == pytest.approx(pictures * 0.1)
    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "money")
    assert complete.resume_after is None
    (message,) = complete.messages
    assert f"about ${pictures * 0.1:.2f} is spent" in message


def test_a_small_sum_is_told_as_it_was_given(tmp_path: Path) -> None:
    """Half a cent is no whole one, and none."""
    (message,) = show(tmp_path, max_cost=0.005).draw().messages
    assert message == "about $0.00 is spent, and another image could exceed $0.005 (--max-cost)"


def test_money_that_suffices_is_no_ending(tmp_path: Path) -> None:
    """Every picture is drawn, and the run ends well."""
    complete = show(tmp_path, max_cost=9.0).draw()
    assert (complete.exit_code, complete.reason) == (0, "complete")
    assert complete.cost == pytest.approx(9.0)


def test_without_any_money_nothing_is_sent(tmp_path: Path) -> None:
    """`--max-cost 0` ends at once; where pictures cost nothing it draws them."""
    none = show(tmp_path / "none", max_cost=0.0)
    assert (none.draw().reason, none.provider.requests) == ("money", [])
    free = show(tmp_path / "free", max_cost=0.0, price=Price(picture=0.0))
    complete = free.draw()
    assert (complete.exit_code, complete.cost) == (0, 0.0)


@pytest.mark.parametrize("seed", range(6))
def test_the_limit_holds_with_answers_of_every_kind(tmp_path: Path, seed: int) -> None:
    """Refusals, faults and 429s cost nothing: the money is used for pictures, in full."""
    chance = random.Random(seed)
    one = show(tmp_path, max_cost=3.0, latency=20.0)
    kinds: list[Outcome] = [DRAWN, DRAWN, DRAWN, passing(), REFUSED]
    one.provider.answer = lambda _request, _key: chance.choice(kinds)
    complete = one.draw()

    assert (complete.exit_code, complete.reason) == (3, "money")
    assert complete.cost == spent(one) == pytest.approx(3.0)
    assert complete.answers["picture"] == 30


@pytest.mark.parametrize(
    "answer",
    [
        Picture(data=PNG[:-20]),
        responses.picture("no base64"),
        responses.picture("bm8gcGljdHVyZQ=="),
        ProviderError(kind=FaultKind.PASSING, reason=TOO_LARGE, message="more than 64 MiB"),
    ],
    ids=["torn", "no base64", "no picture", "too large"],
)
def test_a_picture_that_cannot_be_used_is_paid_for(tmp_path: Path, answer: Outcome) -> None:
    """The service has drawn it, and where pictures have a price wants to have that."""
    # For two: three that are alike would end the run.
    one = show(tmp_path, max_cost=0.2)
    one.provider.answer = lambda _request, _key: answer
    complete = one.draw()

    assert (complete.exit_code, complete.reason) == (3, "money")
    assert len(one.provider.requests) == 2
    assert complete.cost == spent(one) == pytest.approx(0.2)


def test_what_is_still_to_be_paid_has_broken_pictures_in_it(tmp_path: Path) -> None:
    """Where every other picture is broken, each that is drawn costs two."""
    purse = SpendTracker(TEN_CENTS)
    purse.record(Charge(pictures=1))
    purse.record(Charge(pictures=0, lost=1))
    assert purse.total == pytest.approx(0.2)
    assert purse.projected_total(3) == pytest.approx(0.8)


def test_requests_that_turn_out_cheaper_leave_money_for_others(tmp_path: Path) -> None:
    """A style that waits for another's answers goes on as soon as they cost nothing."""
    one = show(
        tmp_path,
        beats={"clear": 10, "consistent": 5},
        max_cost=0.5,
        keys_a_style=1,
        per_minute=5,
    )
    one.provider.answer = lambda request, _key: REFUSED if request.style == "clear" else DRAWN
    complete = one.draw()

    assert complete.answers["picture"] == 5
    assert complete.cost == pytest.approx(0.5)
    times = {
        style: [
            at - one.began for at, _, request in one.provider.requests if request.style == style
        ]
        for style in ("clear", "consistent")
    }
    assert times["clear"][:5] == [0.0] * 5
    # Not only when the other style sends again, a minute later.
    assert times["consistent"] == [pytest.approx(one.provider.latency)] * 5


def test_pictures_dearer_than_the_list_end_the_run_sooner(tmp_path: Path) -> None:
    """Once answers tell what they cost, no more is sent than that pays for."""
    price = Price(picture=0.05, tokens=TokenPrices(picture=100.0))
    one = show(tmp_path, beats={"clear": 40}, max_cost=2.0, price=price, keys_a_style=1)
    one.provider.answer = lambda _request, _key: Picture(data=PNG, usage=Usage(output_tokens=1000))
    complete = one.draw()

    assert complete.answers["picture"] == 20
    assert complete.cost == pytest.approx(2.0)


def test_pictures_cheaper_than_the_list_are_as_many_as_the_money_pays_for(tmp_path: Path) -> None:
    """The last dollar is used too, when answers show that they cost less than feared."""
    price = Price(picture=0.2, tokens=TokenPrices(picture=100.0))
    one = show(tmp_path, beats={"clear": 40}, max_cost=2.0, price=price, keys_a_style=1)
    one.provider.answer = lambda _request, _key: Picture(data=PNG, usage=Usage(output_tokens=1000))
    complete = one.draw()

    assert complete.reason == "money"
    # Whoever asks for the list's price beforehand stops when less than that is left.
    assert 1.8 < (complete.cost or 0) <= 2.0


def test_what_is_under_way_when_a_run_ends_at_once_is_paid_for(tmp_path: Path) -> None:
    """It was sent: it is counted with the requests, and with the money."""
    one = show(tmp_path, max_cost=100.0)
    one.later(4, lambda: one.engine.supervisor.signal(Exit.SIGTERM))
    complete = one.draw()
    assert complete.requests == 54
    assert complete.cost == pytest.approx(5.4)


def test_the_forecast_tells_what_it_costs_in_all(tmp_path: Path) -> None:
    """At the start by the list, later by what answers cost."""
    price = Price(picture=0.1, tokens=TokenPrices(picture=100.0))
    one = Show(tmp_path, keys_a_style=1, price=price, answer_seconds=8.0)
    one.provider.answer = lambda _request, _key: Picture(data=PNG, usage=Usage(output_tokens=1500))
    complete = one.draw()
    told = [event for event in one.events if isinstance(event, Forecast)]
    assert told[0].cost_in_all == pytest.approx(9.0)
    assert told[-1].cost_in_all == complete.cost == pytest.approx(13.5)


# -- the command -----------------------------------------------------------------------


def ending(done_events: list[dict[str, object]]) -> Complete:
    """Return the last event."""
    last = done_events[-1]
    assert last["type"] == "complete"
    kept = {name: value for name, value in last.items() if name in Complete.__struct_fields__}
    return Complete(**kept)  # type: ignore[arg-type]


def test_a_run_stops_at_its_money_and_resume_goes_on_with_more(
    commands: Commands, server: GeminiServer
) -> None:
    """Exit 3 and no time to wait for; `resume` takes a limit of its own, or none."""
    root = commands.project(beats=4)
    gemini = ("--base-url", server.address, "--progress", "json")
    first = commands.run("run", root, *gemini, "--max-cost", "0.175")
    assert first.code == 3, first.err
    assert (ending(first.events).reason, ending(first.events).resume_after) == ("money", None)
    assert ending(first.events).cost == pytest.approx(5 * (0.0336 + 80 * 7.5e-6 + 20 * 1.5e-6))
    assert len(server.requests) == len(pictures(root)) == 5

    second = commands.run("resume", root, *gemini, "--max-cost", "0.04")
    assert second.code == 3
    assert len(server.requests) == 6
    third = commands.run("resume", root, *gemini)
    assert (third.code, len(server.requests)) == (0, 12)


def test_drawing_again_has_its_limit_too(commands: Commands, server: GeminiServer) -> None:
    """`--force --max-cost` draws what the money pays for; `resume` what was not redrawn."""
    root = commands.project(
        beats=2, keys={"clear": ["test-key-000001"]}, settings='draw = ["clear"]'
    )
    gemini = ("--base-url", server.address)
    assert commands.run("run", root, *gemini).code == 0
    assert commands.run("run", root, *gemini, "--force", "--max-cost", "0.05").code == 3
    assert len(server.requests) == 3
    assert commands.run("resume", root, *gemini).code == 0
    assert len(server.requests) == 4


def test_refused_beats_cost_what_their_tokens_cost(
    commands: Commands, server: GeminiServer
) -> None:
    """An answer without a picture that tells no tokens of its own is free."""
    root = commands.project(beats=1)
    server.fault(lambda _: True, Answer.BLOCKED, times=3)
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    assert done.code == 1
    assert ending(done.events).cost == 0.0
    assert ending(done.events).answers == {"refused": 3}


def test_a_limit_in_money_needs_a_price(commands: Commands, server: GeminiServer) -> None:
    """Of a model that is on no list nothing is sent; `[prices]` in keys.toml helps."""
    root = commands.project(beats=1, settings='model = "my-image-model"')
    server.models = (*server.models, "my-image-model")
    asked = ("run", root, "--base-url", server.address, "--max-cost", "0.12")
    done = commands.run(*asked)
    assert done.code == 2
    assert 'the price of a 1K image of "my-image-model" is not known' in done.err
    assert "[prices] in keys.toml" in done.err
    assert server.requests == []

    keys = root / "keys.toml"
    keys.write_text(keys.read_text() + '\n[prices]\n"my-image-model" = 0.05\n')
    done = commands.run(*asked, "--progress", "json")
    assert done.code == 3, done.err
    assert ending(done.events).cost == pytest.approx(0.1)
    assert len(server.requests) == 2


def test_a_limit_in_money_that_is_none_is_refused(commands: Commands) -> None:
    """Words, negative sums and several limits at once are told, and nothing starts."""
    root = commands.project(beats=1)
    for text in ("many", "-1", "1e9", "", "nan", "$5"):
        done = commands.run("run", root, f"--max-cost={text}")
        assert done.code == 2
        assert "is not an amount in US dollars" in done.err


def test_the_estimate_is_what_a_run_then_costs(commands: Commands, server: GeminiServer) -> None:
    """`--dry-run` names the sum, and the run's ending does too: within 5 %."""
    root = commands.project(beats=5)
    dry = commands.run("run", root, "--base-url", server.address, "--dry-run")
    assert dry.code == 0
    assert server.requests == []
    assert "15 images" in dry.out
    (told,) = [word for word in dry.out.split() if word.startswith("$0")]
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    assert ending(done.events).cost == pytest.approx(float(told[1:].rstrip(".,")), rel=0.05)
    journal = next((root / ".imagegen/runs").glob("*.jsonl")).read_text().splitlines()
    costs = [json.loads(line).get("cost") for line in journal if '"type":"progress"' in line]
    assert sum(filter(None, costs)) == pytest.approx(ending(done.events).cost)
    assert {style for style in STYLES if (root / f"image_progress_{style}.json").is_file()} == set(
        STYLES
    )
