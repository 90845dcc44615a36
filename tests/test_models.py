"""The tables of models: what they say, and that everything else follows from them."""

import datetime as dt
import importlib.util
import math
import re
from pathlib import Path

import pytest

from imagegen import providers
from imagegen.engine.spending import Charge, SpendTracker
from imagegen.providers.base import (
    FaultKind,
    Price,
    ProviderError,
    Reference,
    ReferenceRole,
    TokenPrices,
    Usage,
)
from imagegen.providers.models import Catalogue, Model, State
from imagegen.setup.check_keys import KeyCheck, Remedy
from imagegen.sizes import RATIOS, SIDES
from imagegen.workspace.pricing import expected

GEMINI = providers.catalogue("gemini")
OPENAI = providers.catalogue("openai")
ALL = [model for name in providers.NAMES for model in providers.catalogue(name).models]
TODAY = dt.date(2026, 11, 30)
NEXT = "; its successor is "


@pytest.mark.parametrize("name", providers.NAMES)
def test_each_table_is_sound(name: str) -> None:
    """Names are unique, a default is current, and successors, aliases and days are real."""
    catalogue = providers.catalogue(name)
    names = [model.name for model in catalogue.models]
    assert len(set(names)) == len(names)
    assert catalogue.default.state is State.CURRENT
    assert catalogue.offered[0] == catalogue.default.name
    for model in catalogue.models:
        for other in filter(None, (model.successor, model.alias_of)):
            assert catalogue.find(other).state is State.CURRENT, model.name
        if model.ends is not None:
            dt.date.fromisoformat(model.ends)
        assert (model.alias_of is not None) == (model.state is State.ALIAS)
        known = catalogue.find(model.name)
        assert set(known.sizes) <= set(SIDES)
        assert known.sizes
        assert set(known.ratios or ()) <= set(RATIOS)
        assert known.default_thinking in {None, *known.thinking}


def test_the_default_is_the_cheaper_successor_of_the_former_one() -> None:
    """Half the price, no 512, and no "image" in its name."""
    new, old = GEMINI.default, GEMINI.find("gemini-3.1-flash-image")
    assert new.name == old.successor == "gemini-nano-banana-2.1"
    assert (new.sizes["1K"] or 0) == pytest.approx((old.sizes["1K"] or 0) / 2, rel=0.01)
    assert "512" in old.sizes
    assert "512" not in new.sizes


@pytest.mark.parametrize("model", [m for m in ALL if m.token_prices and not m.pixels])
def test_prices_of_pictures_and_of_tokens_agree(model: Model) -> None:
    """A 1K image is 1,120 to 1,290 tokens of every Gemini model, and a reference 1,120 of input."""
    assert model.token_prices is not None
    price = model.sizes["1K"]
    assert price is not None
    assert 1115 <= price * 1e6 / model.token_prices.picture <= 1301
    if model.reference_price and model.name != "gemini-3-pro-image":
        tokens = model.reference_price * 1e6 / model.token_prices.text_in
        assert tokens == pytest.approx(1120)


@pytest.mark.parametrize(
    ("catalogue", "name", "state", "real"),
    [
        (GEMINI, "nano-banana-pro-preview", State.ALIAS, "gemini-3-pro-image"),
        (GEMINI, "models/gemini-3-pro-image", State.CURRENT, "gemini-3-pro-image"),
        (OPENAI, "gpt-image-2.5-sunburst-2026-09-08", State.CURRENT, "gpt-image-2.5-sunburst"),
        (OPENAI, "openai/gpt-image-1.5-2025-12-16", State.DEPRECATED, "gpt-image-1.5"),
        (OPENAI, "azure/gpt-image-2", State.CURRENT, "gpt-image-2"),
    ],
)
def test_other_names_of_a_model_are_that_model(
    catalogue: Catalogue, name: str, state: State, real: str
) -> None:
    """An alias, a dated snapshot, a prefix: the same sizes and prices, under the name asked for."""
    found, own = catalogue.find(name), catalogue.find(real)
    assert (found.name, found.state) == (name, state)
    assert (found.sizes, found.token_prices, found.pixels) == (
        own.sizes,
        own.token_prices,
        own.pixels,
    )


@pytest.mark.parametrize("name", ["", "house-model", "gpt-image", "gemini-nano-banana-2.10"])
@pytest.mark.parametrize("provider", providers.NAMES)
def test_an_unknown_model_may_be_asked_for_anything(provider: str, name: str) -> None:
    """It is refused no size, ratio or thinking, and nothing is said of its price."""
    model = providers.catalogue(provider).find(name)
    assert not model.known
    assert set(model.sizes) == set(SIDES)
    assert all(map(model.draws_ratio, RATIOS))
    if provider in {"gemini", "openai"}:
        assert model.price("1K") is None


@pytest.mark.parametrize(
    ("name", "draws"),
    [
        ("gemini-nano-banana-2.1", True),
        ("gemini-nano-banana-3", True),
        ("gemini-4-image", True),
        ("gemini-3.1-pro", False),
        ("text-embedding-004", False),
        ("veo-4", False),
    ],
)
def test_an_image_model_is_one_of_the_table_or_says_so(name: str, draws: bool) -> None:  # noqa: FBT001
    """Whether "image" is in its name or not."""
    assert GEMINI.draws(name) is draws


@pytest.mark.parametrize(
    ("ratio", "draws"), [("16:9", True), ("21:9", True), ("1:3", True), ("4:1", False)]
)
def test_ratios_have_bounds_where_any_is_drawn(ratio: str, draws: bool) -> None:  # noqa: FBT001
    """From 1:3 to 3:1, both included."""
    assert OPENAI.default.draws_ratio(ratio) is draws


@pytest.mark.parametrize(
    ("people", "things", "fits"),
    [(4, 10, True), (0, 10, True), (4, 0, True), (5, 0, False), (0, 11, False), (5, 9, False)],
)
def test_references_are_limited_by_kind(people: int, things: int, fits: bool) -> None:  # noqa: FBT001
    """Fourteen in all, of which four may be of characters."""
    own = [Reference("image/png", b"", ReferenceRole.CHARACTER)] * people
    own += [Reference("image/png", b"", ReferenceRole.OTHER)] * things
    assert GEMINI.default.takes(tuple(own)) is fits
    assert GEMINI.find("gemini-3-pro-image").takes(tuple(own)) is (people + things <= 14)


@pytest.mark.parametrize(
    ("name", "today", "said"),
    [
        ("gemini-nano-banana-2.1", TODAY, None),
        ("nano-banana-pro-preview", TODAY, None),
        (
            "gemini-3.1-flash-image",
            TODAY,
            f"gemini-3.1-flash-image is deprecated{NEXT}gemini-nano-banana-2.1",
        ),
        (
            "gemini-2.5-flash-image",
            TODAY,
            f"gemini-2.5-flash-image ends on 15 March 2027{NEXT}gemini-3.1-flash-lite-image",
        ),
        (
            "gemini-2.5-flash-image",
            dt.date(2027, 3, 15),
            f"gemini-2.5-flash-image ended on 15 March 2027{NEXT}gemini-3.1-flash-lite-image",
        ),
        (
            "gemini-3-pro-image-preview",
            TODAY,
            f"gemini-3-pro-image-preview was shut down on 25 June 2026{NEXT}gemini-3-pro-image",
        ),
    ],
)
def test_the_end_of_a_model_is_said(name: str, today: dt.date, said: str | None) -> None:
    """By the day of the clock, and nothing of a current one."""
    assert GEMINI.find(name).about_end(today) == said


# What is written down of them.

ROOT = Path(__file__).parent.parent


def test_the_page_of_models_is_current() -> None:
    """If it is not: python docs/make_models.py."""
    spec = importlib.util.spec_from_file_location("make_models", ROOT / "docs/make_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs/models.md").read_text(encoding="utf-8") == module.page()


def test_the_planning_table_follows_the_default() -> None:
    """Its requests cost what the table says, and take the seconds of an answer at least."""
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| (\d) a style \| ([\d,]+) \| (\d+) min (\d+) s \| \$([\d.]+) \|", page)
    assert len(rows) == 5
    default = GEMINI.default
    for keys, count, minutes, seconds, dollars in rows:
        requests = int(count.replace(",", ""))
        assert float(dollars) == pytest.approx(requests * (default.sizes["1K"] or 0), abs=0.01)
        whole = (math.ceil(requests / (3 * int(keys) * 9)) - 1) * 60.5 + (default.seconds or 0)
        assert int(minutes) * 60 + int(seconds) == pytest.approx(whole, abs=1)


def test_the_page_of_settings_has_the_default_model() -> None:
    """The page shows the model that draws if none is set."""
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert f'model = "{GEMINI.default.name}"' in page


# Money.


@pytest.mark.parametrize("references", [0, 1, 14])
@pytest.mark.parametrize("thoughts", [0, 80, 3000])
@pytest.mark.parametrize("size", ["1K", "2K", "4K"])
def test_a_picture_costs_what_the_table_says(size: str, references: int, thoughts: int) -> None:
    """Image, thoughts and references at their own price, counted from tokens: within 2 %."""
    price = GEMINI.default.price(size)
    assert price is not None
    drawn = {"1K": 1120, "2K": 1680, "4K": 3767}[size]
    usage = Usage(
        input_tokens=60 + references * 1120,
        output_tokens=drawn + thoughts,
        thought_tokens=thoughts,
    )
    listed = (GEMINI.default.sizes[size] or 0) + references * 0.00168 + thoughts * 7.5e-6
    assert price.of(usage, pictures=1, references=references) == pytest.approx(listed, rel=0.02)
    assert price.expected(references=references, thoughts=thoughts) == pytest.approx(listed)


def test_references_that_a_gateway_leaves_out_of_the_tokens_are_paid() -> None:
    """A service counts them whatever a gateway reports."""
    price = GEMINI.default.price("1K")
    assert price is not None
    told = Usage(input_tokens=20, output_tokens=1120)
    assert price.of(told, pictures=1, references=3) == pytest.approx(0.0336 + 3 * 0.00168)
    assert price.of(None, pictures=1, references=3) == pytest.approx(0.0336 + 3 * 0.00168)
    assert price.of(None, pictures=0, references=3) == 0.0


def test_reference_images_have_a_price_of_their_own_where_it_is_listed() -> None:
    """OpenAI asks more for tokens of images than of text, and words beside an image are few."""
    prices = TokenPrices(picture=30.0, text_in=5.0, picture_in=8.0, text_out=10.0)
    usage = Usage(
        input_tokens=1000, picture_input_tokens=600, output_tokens=500, text_output_tokens=100
    )
    cost = Price(picture=0.01, tokens=prices).of(usage, pictures=1)
    assert cost == pytest.approx((400 * 5 + 600 * 8 + 400 * 30 + 100 * 10) / 1e6)


def test_odd_counts_of_tokens_cost_no_less_than_nothing() -> None:
    """A service may say that more tokens are of one kind than there are."""
    prices = TokenPrices(picture=30.0, text_in=5.0, picture_in=8.0, text_out=10.0)
    odd = Usage(
        input_tokens=10, picture_input_tokens=99, output_tokens=10, thought_tokens=7,
        text_output_tokens=99,
    )  # fmt: skip
    assert Price(picture=0.01, tokens=prices).of(odd, pictures=1) == pytest.approx(180e-6)


def test_the_purse_expects_references() -> None:
    """`--max-cost` sends nothing whose references could pass it."""
    price = Price(picture=0.1, reference=0.05)
    purse = SpendTracker(price, 1.0, expected(price, {0: 3, 2: 1}))
    assert purse.projected_total(4) == pytest.approx(0.5)
    assert purse.can_afford(5)
    assert not purse.can_afford(6)


def test_a_price_by_token_alone_is_known_after_the_first_answer() -> None:
    """Before it nothing is said, and nothing is called free."""
    price = OPENAI.find("gpt-image-2.6-flare").price("1K")
    purse = SpendTracker(price, None, expected(price, {0: 3}))
    assert (purse.projected_total(3), purse.projected_total(0)) == (None, 0.0)
    purse.record(Charge(usage=Usage(output_tokens=1000), pictures=1))
    assert purse.projected_total(3) == pytest.approx(0.12)


# What helps a key.


@pytest.mark.parametrize(
    ("kind", "reason", "message", "remedy"),
    [
        (FaultKind.KEY_REJECTED, "API_KEY_INVALID", "API key not valid.", Remedy.REPLACE),
        (FaultKind.KEY_REJECTED, "PERMISSION_DENIED", "reported as leaked", Remedy.REPLACE),
        (
            FaultKind.OUT_OF_CREDIT,
            "402",
            "Your prepayment credits are depleted.",
            Remedy.ADD_CREDIT,
        ),
        (
            FaultKind.OUT_OF_CREDIT,
            "HTTP 429",
            "Your project has exceeded its monthly spending cap.",
            Remedy.RAISE_CAP,
        ),
        (FaultKind.OUT_OF_CREDIT, "400", "Billing hard limit has been reached.", Remedy.RAISE_CAP),
        (FaultKind.OUT_OF_CREDIT, "400", "Budget has been exceeded!", Remedy.ADD_CREDIT),
        (FaultKind.NO_QUOTA, "no quota", "limit: 0", Remedy.ENABLE_BILLING),
        (FaultKind.UNUSABLE, "x", "… only accessible to billed users", Remedy.ENABLE_BILLING),
        (FaultKind.LIMITED, "quota per minute", "Quota exceeded", Remedy.WAIT),
        (FaultKind.SPENT_TODAY, "quota per day", "Quota exceeded", Remedy.WAIT),
        (FaultKind.PASSING, "HTTP 503", "The model is overloaded.", Remedy.WAIT),
        (FaultKind.PASSING, "connection", "could not be reached", Remedy.NETWORK),
        (FaultKind.PASSING, "timeout", "no answer", Remedy.NETWORK),
        (FaultKind.REDIRECTED, "HTTP 302", "redirects to elsewhere", Remedy.NETWORK),
        (FaultKind.UNUSABLE, "certificate", "the certificate has expired", Remedy.NETWORK),
        (
            FaultKind.UNUSABLE,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            Remedy.OTHER_REGION,
        ),
        (FaultKind.BAD_REQUEST, "x", "User location is not supported", Remedy.OTHER_REGION),
        (
            FaultKind.KEY_REJECTED,
            "x",
            "Country, region, or territory not supported",
            Remedy.OTHER_REGION,
        ),
        (FaultKind.BAD_REQUEST, "NOT_FOUND", "no such page", Remedy.NETWORK),
    ],
)
def test_each_error_of_a_key_has_a_remedy(
    kind: FaultKind, reason: str, message: str, remedy: Remedy
) -> None:
    """By the kind of the error, and by its words where they say more."""
    fault = ProviderError(kind=kind, reason=reason, message=message)
    assert KeyCheck(tail="…0001", lists=(), is_usable=False, fault=fault).remedy is remedy


def test_a_key_without_an_error_may_need_another_model() -> None:
    """One that works needs nothing."""
    assert KeyCheck(tail="…0001", lists=(), is_usable=True).remedy is Remedy.NOTHING
    blind = KeyCheck(tail="…0001", lists=(), is_usable=False, models=("a-image",))
    assert blind.remedy is Remedy.OTHER_MODEL
