"""The OpenAI provider sends what that API expects, and tells every answer apart."""

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from builders import picture
from gemini_server import Answer, answers
from imagegen.providers.base import (
    Allowance,
    FaultKind,
    Outcome,
    Picture,
    Provider,
    ProviderError,
    ProviderOptions,
    Reference,
    Request,
)
from imagegen.providers.http import Reply
from imagegen.providers.models import State
from imagegen.providers.openai import responses
from imagegen.providers.openai.models import MODELS
from imagegen.providers.openai.provider import OpenAI
from imagegen.secret import Secret
from imagegen.sizes import RATIOS
from openai_server import MODERATION_WORDS, OpenAIServer, Say

DEFAULT_MODEL = MODELS.default.name
KEY = Secret("sk-test-key-alpha-0000000000001")
REQUEST = Request(style="clear", shot="1", beat="1.1", words="A red fox", look="In ink.")
BASE = "https://api.example"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """Return an Images API on loopback."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def openai(server: OpenAIServer) -> Iterator[OpenAI]:
    """Make the provider for that server."""
    provider = OpenAI(ProviderOptions(base_url=server.address))
    yield provider
    provider.close()


class Sent:
    """Counts how often a request was said to have left."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        """Count."""
        self.times += 1


def draw(provider: OpenAI, request: Request = REQUEST, key: Secret | None = KEY) -> Outcome:
    """Make one request."""
    return provider.draw(request, key, Sent())


def fault_of(provider: OpenAI, request: Request = REQUEST) -> ProviderError:
    """Make one request that brings no picture."""
    outcome = draw(provider, request)
    assert isinstance(outcome, ProviderError)
    return outcome


def said(
    status: int, body: object, headers: Mapping[str, str] | None = None, *, base: str = BASE
) -> ProviderError:
    """Return what an answer means."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return responses.fault(Reply(status, dict(headers or {}), data), base)


def error(message: str = "No.", **more: object) -> dict[str, object]:
    """Return an error as the service writes it."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, **more}}


# The request.


def test_it_is_a_provider(openai: OpenAI) -> None:
    """The engine can use it, and finds a key where OpenAI's own tools look for one."""
    provider: Provider = openai
    assert (provider.name, provider.model) == ("openai", DEFAULT_MODEL)
    assert provider.key_variables == ("OPENAI_API_KEY",)
    assert (OpenAI.keys_section, OpenAI.supports_base_url, OpenAI.per_minute) == ("openai", True, 5)
    assert provider.catalogue.default.references == 16


def test_a_picture_is_drawn_from_the_words(openai: OpenAI, server: OpenAIServer) -> None:
    """One request with the words, one picture, the exact ratio; the key is in a header alone."""
    sent = Sent()
    outcome = openai.draw(REQUEST, KEY, sent)
    assert isinstance(outcome, Picture)
    assert answers(outcome.data, REQUEST.prompt)
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (50, 300)
    (asked,) = server.asked
    assert (asked.path, asked.model, asked.prompt, asked.key) == (
        "/v1/images/generations",
        DEFAULT_MODEL,
        "A red fox\n\nIn ink.",
        KEY.reveal(),
    )
    assert asked.fields == {"n": "1", "size": "1280x720", "quality": "medium"}
    assert sent.times == 1


def test_references_are_sent_as_files(openai: OpenAI, server: OpenAIServer) -> None:
    """They arrive byte for byte, in their order, with their media types."""
    files = [picture(40, 30), picture(30, 40, kind="JPEG"), picture(20, 20, kind="WEBP")]
    types = ["image/png", "image/jpeg", "image/webp"]
    own = tuple(Reference(kind, data) for kind, data in zip(types, files, strict=True))
    words = 'Zwölf "Möwen" über dem Hafen\r\n--boundary'
    request = Request(style="clear", shot="1", beat="1.1", words=words, references=own)
    assert isinstance(draw(openai, request), Picture)
    (asked,) = server.asked
    assert asked.path == "/v1/images/edits"
    assert asked.prompt == words
    assert asked.fields == {"n": "1", "size": "1280x720", "quality": "medium"}
    assert list(asked.references) == [
        (kind, hashlib.sha256(data).hexdigest()) for kind, data in zip(types, files, strict=True)
    ]


def test_a_reference_of_another_format_is_not_sent(openai: OpenAI, server: OpenAIServer) -> None:
    """HEIC is taken by others; here it would cost a refused request with each hard cut."""
    own = (Reference("image/heic", b"ftypheic"),)
    fault = fault_of(openai, Request(style="c", shot="1", beat="1", words="x", references=own))
    assert fault.kind is FaultKind.BAD_REQUEST
    assert "image/heic" in fault.message
    assert server.requests == []


def test_a_lone_surrogate_is_a_fault_of_the_beat(openai: OpenAI, server: OpenAIServer) -> None:
    """Half a character cannot be sent, with references or without."""
    own = Reference("image/png", picture())
    for references in ((), (own,)):
        request = Request(style="c", shot="1", beat="1", words="\ud800", references=references)
        assert fault_of(openai, request).reason == "prompt"
    assert server.requests == []


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/images/generations"])
def test_an_address_may_have_its_version(server: OpenAIServer, end: str) -> None:
    """Some write it with /v1, some without."""
    provider = OpenAI(ProviderOptions(base_url=server.address + end))
    assert isinstance(draw(provider), Picture)
    assert provider.models(KEY) == (DEFAULT_MODEL, "gpt-image-1.5")
    assert [one.path for one in server.listings] == ["/v1/models"]
    provider.close()


def test_a_key_with_strange_characters_is_not_sent(openai: OpenAI, server: OpenAIServer) -> None:
    """It would break the header; the message has its tail alone."""
    outcome = draw(openai, key=Secret("sk-test-key-\nabcdefgh-0001"))
    assert isinstance(outcome, ProviderError)
    assert outcome.kind is FaultKind.KEY_REJECTED
    assert "…0001" in outcome.message
    assert server.requests == []


def test_without_a_key_none_is_sent(openai: OpenAI, server: OpenAIServer) -> None:
    """A local server may want none."""
    assert isinstance(draw(openai, key=None), ProviderError)
    assert [one.key for one in server.requests] == [None]


# Sizes.


@pytest.mark.parametrize(
    ("model", "ratio", "size", "wanted"),
    [
        (DEFAULT_MODEL, "16:9", "512", ("1280x720", "low")),
        (DEFAULT_MODEL, "16:9", "1K", ("1280x720", "medium")),
        (DEFAULT_MODEL, "16:9", "2K", ("2560x1440", "medium")),
        (DEFAULT_MODEL, "16:9", "4K", ("3840x2160", "medium")),
        (DEFAULT_MODEL, "1:1", "1K", ("1024x1024", "medium")),
        (DEFAULT_MODEL, "9:16", "1K", ("720x1280", "medium")),
        (DEFAULT_MODEL, "21:9", "4K", ("3808x1632", "medium")),
        ("openai/gpt-image-2", "4:5", "1K", ("896x1120", "medium")),
        ("gpt-image-1.5", "16:9", "1K", ("1536x1024", "medium")),
        ("gpt-image-2.6-flare", "3:2", "2K", ("2496x1664", "medium")),
        ("gpt-image-1-mini", "9:16", "512", ("1024x1536", "low")),
        ("gpt-image-1-mini", "4:3", "1K", ("1536x1024", "medium")),
        ("gpt-image-1-mini", "5:4", "1K", ("1536x1024", "medium")),
        ("chatgpt-image-latest", "1:1", "1K", ("1024x1024", "medium")),
    ],
)
def test_ratio_and_size_become_pixels_and_a_quality(
    model: str, ratio: str, size: str, wanted: tuple[str, str]
) -> None:
    """Later models draw any ratio exactly; those before draw the nearest of three sizes."""
    with OpenAIServer(models=(model,)) as server:
        provider = OpenAI(ProviderOptions(model=model, base_url=server.address))
        request = Request(
            style="c", shot="1", beat="1", words="x", aspect_ratio=ratio, image_size=size
        )
        assert isinstance(draw(provider, request), Picture)
        fields = server.asked[0].fields
        assert (fields["size"], fields["quality"]) == wanted
        provider.close()


@pytest.mark.parametrize("model", [model.name for model in MODELS.models])
def test_every_ratio_and_size_of_the_table_is_taken(model: str) -> None:
    """What the table allows is within what the service takes."""
    entry = MODELS.find(model)
    with OpenAIServer(models=(model,)) as server:
        provider = OpenAI(ProviderOptions(model=model, base_url=server.address))
        for ratio, size in itertools.product(RATIOS, entry.sizes):
            if entry.state is State.SHUT_DOWN or not entry.draws_ratio(ratio):
                continue
            request = Request(
                style="c", shot="1", beat="1", words="x", aspect_ratio=ratio, image_size=size
            )
            assert isinstance(draw(provider, request), Picture), (ratio, size)
        provider.close()


# Fields that not all servers take.


def test_other_models_are_asked_for_the_picture_itself() -> None:
    """Local servers answer with an address unless they are asked for base64."""

    def as_such_servers_do(fields: dict[str, str]) -> bool:
        return fields == {"n": "1", "size": "1280x720", "response_format": "b64_json"}

    with OpenAIServer(models=("flux-dev",)) as server:
        provider = OpenAI(ProviderOptions(model="flux-dev", base_url=server.address))
        first = fault_of(provider)
        assert as_such_servers_do(server.asked[0].fields)
        # This server does not know the field, and says so.
        assert (first.kind, first.reason) == (FaultKind.UNKNOWN_FIELD, "response_format")
        assert isinstance(draw(provider), Picture)
        assert server.asked[1].fields == {"n": "1", "size": "1280x720"}
        provider.close()


# Answers with status 200.


@pytest.mark.parametrize(
    ("kind", "wanted", "reason"),
    [
        (Answer.EMPTY_JSON, FaultKind.NO_PICTURE, "no picture"),
        (Answer.NO_IMAGE, FaultKind.NO_PICTURE, "no picture"),
        (Answer.WRONG_TYPES, FaultKind.PASSING, "broken picture"),
        (Say.BROKEN_BASE64, FaultKind.PASSING, "broken picture"),
        (Answer.HTML, FaultKind.NETWORK, "web page"),
        (Say.ADDRESS, FaultKind.UNUSABLE, "address"),
        (Answer.REDIRECT, FaultKind.REDIRECTED, "HTTP 302"),
        (Answer.HALF_BODY, FaultKind.PASSING, "cut short"),
        (Answer.RESET, FaultKind.PASSING, "connection"),
        (Answer.MINUTE, FaultKind.LIMITED, "rate_limit_exceeded"),
        (Answer.BAD_KEY, FaultKind.KEY_REJECTED, "invalid_api_key"),
        (Say.MODERATED, FaultKind.REFUSED, "moderation_blocked"),
        (Say.INSUFFICIENT, FaultKind.OUT_OF_CREDIT, "insufficient_quota"),
        (Say.HARD_LIMIT, FaultKind.OUT_OF_CREDIT, "billing_hard_limit_reached"),
        (Say.UNVERIFIED, FaultKind.KEY_REJECTED, "invalid_request_error"),
        (Answer.MODEL_GONE, FaultKind.MODEL_GONE, "model_not_found"),
        (Answer.ERROR_500, FaultKind.PASSING, "server_error"),
        (Answer.UNAVAILABLE, FaultKind.PASSING, "server_error"),
        (Answer.BAD_REQUEST, FaultKind.BAD_REQUEST, "invalid_value"),
    ],
)
def test_answers_over_the_wire(
    openai: OpenAI, server: OpenAIServer, kind: str, wanted: FaultKind, reason: str
) -> None:
    """Each answer of the service is told apart, and nothing is fetched from an address."""
    server.fault("A red fox", kind)
    fault = fault_of(openai)
    assert (fault.kind, fault.reason) == (wanted, reason)
    assert KEY.reveal() not in fault.message
    assert len(server.requests) == 1


def test_a_refusal_is_told_in_the_services_words(openai: OpenAI, server: OpenAIServer) -> None:
    """What the service says of the words is shown."""
    server.fault("A red fox", Say.MODERATED)
    assert fault_of(openai).message == MODERATION_WORDS


def test_a_picture_may_stand_in_its_address() -> None:
    """Some gateways write it so; nothing is fetched."""
    data = picture()
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    outcome = responses.outcome(json.dumps({"data": [{"url": url}]}).encode())
    assert outcome == Picture(data=data)
    broken = responses.outcome(json.dumps({"data": [{"url": url[:-2] + "!"}]}).encode())
    assert isinstance(broken, ProviderError)
    assert broken.kind is FaultKind.PASSING


@pytest.mark.parametrize(
    "usage", [None, "many", [], {"input_tokens": "12", "output_tokens": -3}, {"output_tokens": {}}]
)
def test_wrong_counts_cost_no_picture(usage: Any) -> None:
    """What is said of tokens is believed where it can be."""
    coded = base64.b64encode(picture()).decode()
    body = json.dumps({"data": [{"b64_json": coded}], "usage": usage}).encode()
    assert isinstance(responses.outcome(body), Picture)


def test_an_error_with_status_200_is_told() -> None:
    """A gateway's words are not lost, whatever its status."""
    outcome = responses.outcome(json.dumps({"error": "the GPU is on fire"}).encode())
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.message) == (FaultKind.NO_PICTURE, "the GPU is on fire")


# Errors, as the service and gateways word them.


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, error(code="moderation_blocked"), FaultKind.REFUSED),
        (400, error(code="content_policy_violation"), FaultKind.REFUSED),
        (
            400,
            error("Your request was rejected as a result of our safety system."),
            FaultKind.REFUSED,
        ),
        (
            400,
            error("The response was filtered by our content management policy."),
            FaultKind.REFUSED,
        ),
        (451, error("Blocked."), FaultKind.REFUSED),
        (403, error(code="content_filter"), FaultKind.REFUSED),
        (400, error(code="billing_hard_limit_reached"), FaultKind.OUT_OF_CREDIT),
        (400, error(type="budget_exceeded", code="400"), FaultKind.OUT_OF_CREDIT),
        (429, error(code="insufficient_quota", type="insufficient_quota"), FaultKind.OUT_OF_CREDIT),
        (402, error("Payment required"), FaultKind.OUT_OF_CREDIT),
        (429, error(code=429), FaultKind.LIMITED),
        (429, error(code=None), FaultKind.LIMITED),
        (429, b"slow down", FaultKind.LIMITED),
        (429, {"detail": "Too many requests"}, FaultKind.LIMITED),
        (401, error(code="invalid_api_key"), FaultKind.KEY_REJECTED),
        (401, b"Unauthorized", FaultKind.KEY_REJECTED),
        (400, error(type="auth_error", code="400"), FaultKind.KEY_REJECTED),
        (
            400,
            error("No connected db.", type="no_db_connection", code="400"),
            FaultKind.KEY_REJECTED,
        ),
        (403, error("Your organization must be verified"), FaultKind.KEY_REJECTED),
        (403, error("Country not supported", code="unsupported_country"), FaultKind.UNUSABLE),
        (403, error(code="model_not_found"), FaultKind.KEY_REJECTED),
        (404, error(code="model_not_found"), FaultKind.MODEL_GONE),
        (404, b"404 page not found", FaultKind.UNUSABLE),
        (404, {"detail": "Not Found"}, FaultKind.UNUSABLE),
        (405, {"detail": "Method Not Allowed"}, FaultKind.UNUSABLE),
        (409, error("Conflict"), FaultKind.PASSING),
        (499, b"", FaultKind.PASSING),
        (429, error("No capacity available for model x"), FaultKind.PASSING),
        (429, error("Your credits are depleted."), FaultKind.OUT_OF_CREDIT),
        (401, error("Your API key expired."), FaultKind.KEY_REJECTED),
        (400, error("Unknown parameter: 'size'.", code="unknown_parameter"), FaultKind.UNUSABLE),
        (400, error("Invalid model name passed in model=x", param="model"), FaultKind.MODEL_GONE),
        (
            400,
            error("400: {'error': 'Invalid model name passed in model=x. Call'}"),
            FaultKind.MODEL_GONE,
        ),
        (400, error("The requested model 'x' does not exist."), FaultKind.MODEL_GONE),
        (400, error(code="invalid_value", param="size"), FaultKind.BAD_REQUEST),
        (400, {"error": "text alone"}, FaultKind.BAD_REQUEST),
        (422, {"detail": [{"msg": "field required"}]}, FaultKind.BAD_REQUEST),
        (413, b"too large", FaultKind.BAD_REQUEST),
        (408, error(), FaultKind.PASSING),
        (500, error(code=500), FaultKind.PASSING),
        (500, error("litellm.APIConnectionError: boom", type=None, code="500"), FaultKind.PASSING),
        (503, b"", FaultKind.PASSING),
        (502, b"<html>bad gateway</html>", FaultKind.PASSING),
        (400, {"error": ["a", "list"]}, FaultKind.BAD_REQUEST),
        (400, [{"error": {"code": "invalid_api_key"}}], FaultKind.KEY_REJECTED),
        (400, {"error": {"message": 7, "code": {}, "type": []}}, FaultKind.BAD_REQUEST),
        (400, [1, 2], FaultKind.BAD_REQUEST),
    ],
)
def test_errors_are_told_apart(status: int, body: object, wanted: FaultKind) -> None:
    """By any of their words first, and by the status where no word helps."""
    fault = said(status, body)
    assert fault.kind is wanted
    assert fault.message
    assert fault.reason


def test_an_address_of_something_else_is_told() -> None:
    """What answers with a page has mostly no such API."""
    assert "base_url" in said(404, b"404 page not found").message


@pytest.mark.parametrize(
    ("message", "headers", "wanted"),
    [
        ("Please try again in 12s.", {}, 12.0),
        ("Please try again in 7.188s. Visit", {}, 7.188),
        ("please slow down and try again after 51.84 seconds.", {}, 51.84),
        ("Please try again in 20 ms.", {}, 0.02),
        ("Try again in 3 minutes", {}, 180.0),
        ("Try again in 1h", {}, 3600.0),
        ("Limit 200, Used 200, Requested 1. Please try again in 7m12s. Visit", {}, 432.0),
        ("Please try again in 1h12m0s.", {}, 4320.0),
        ("Please try again in 1h12m.", {}, 4320.0),
        ("Please try again in 6m0.5s.", {}, 360.5),
        ("Try again in 1 day, 2 hours and 3 mins.", {}, 93_780.0),
        ("Try again in 20", {}, 20.0),
        ("Try again in 6 months", {}, 6.0),
        ("Try again in 5 seconds. Passed model=x", {"Retry-After": "7"}, 7.0),
        ("Slow down.", {"Retry-After": "2.5"}, 2.5),
        ("Slow down.", {"Retry-After-Ms": "1500"}, 1.5),
        ("Slow down.", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ("Slow down.", {}, None),
    ],
)
def test_how_long_to_wait_is_read_wherever_it_stands(
    message: str, headers: dict[str, str], wanted: float | None
) -> None:
    """The longest of what the header and the words say."""
    assert said(429, error(message), headers).retry_after == wanted


# What is left of the quota.


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, None),
        ({"x-ratelimit-limit-tokens": "100000"}, None),
        (
            {
                "x-ratelimit-limit-requests": "5",
                "x-ratelimit-remaining-requests": "4",
                "x-ratelimit-reset-requests": "12s",
            },
            Allowance(per_minute=5, remaining=4),
        ),
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "499",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-limit-images": "20",
                "x-ratelimit-remaining-images": "0",
                "x-ratelimit-reset-images": "48.5s",
            },
            Allowance(per_minute=20, remaining=0, reset=48.5),
        ),
        (
            # A day's limit: 200 requests, one every 432 seconds.
            {
                "x-ratelimit-limit-requests": "200",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "7m12s",
            },
            Allowance(remaining=0, reset=432.0),
        ),
        ({"x-ratelimit-limit-requests": "0"}, None),
        ({"x-ratelimit-limit-requests": "-5", "x-ratelimit-remaining-requests": "x"}, None),
        ({"x-ratelimit-limit-requests": "9" * 9}, Allowance(per_minute=100_000)),
        ({"x-ratelimit-remaining-requests": "0"}, Allowance(remaining=0)),
    ],
)
def test_headers_tell_what_a_key_may_still_send(
    headers: dict[str, str], wanted: Allowance | None
) -> None:
    """The lower of requests and images; a limit of a day is no rate a minute."""
    assert responses.allowance(headers) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("34", 34.0),
        ("0", 0.0),
        (" 2S ", 2.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-3s", None),
        ("1795341600000", None),
        ("2026-11-25T00:00:00Z", None),
    ],
)
def test_stretches_of_time_are_read_in_any_unit(text: str | None, wanted: float | None) -> None:
    """As Go writes them, or in seconds; a moment is not understood, and not believed."""
    assert responses.seconds(text) == wanted


def test_every_answer_brings_its_allowance(openai: OpenAI, server: OpenAIServer) -> None:
    """Those with a picture, and those without."""
    server.limit = 2
    first, second, third = (draw(openai) for _ in range(3))
    assert isinstance(first, Picture)
    assert isinstance(third, ProviderError)
    left = [one.allowance.remaining for one in (first, second, third) if one.allowance]
    assert left == [1, 0, 0]
    assert {one.allowance.per_minute for one in (first, second, third) if one.allowance} == {2}
    assert third.kind is FaultKind.LIMITED
    assert third.retry_after is not None
    assert 50 < third.retry_after <= 60


# Models and prices.


def test_models_are_those_whose_names_tell_of_images(openai: OpenAI, server: OpenAIServer) -> None:
    """The list of an account is long, and most of it draws nothing."""
    assert openai.models(KEY) == (DEFAULT_MODEL, "gpt-image-1.5")
    server.models = ("house-model", "other-model")
    assert openai.models(KEY) == ("house-model", "other-model")
    server.models = ("house-model", "dall-e-3")
    own = OpenAI(ProviderOptions(model="house-model", base_url=server.address))
    assert own.models(KEY) == ("house-model", "dall-e-3")
    own.close()


def test_a_list_that_is_none_is_told(openai: OpenAI, server: OpenAIServer) -> None:
    """A wrong key, an empty list, a page of something else."""
    server.key_mode(KEY.reveal(), Answer.BAD_KEY)
    refused = openai.models(KEY)
    assert isinstance(refused, ProviderError)
    assert refused.kind is FaultKind.KEY_REJECTED
    for body in (b'{"data": []}', b"[]", b"<html>", b'{"data": [{"name": 1}]}'):
        found = responses.listed_models(body)
        assert isinstance(found, ProviderError)
        assert found.kind is FaultKind.PASSING


def test_an_address_without_a_list_names_no_model(server: OpenAIServer) -> None:
    """A server that has no list of models says nothing of the model."""
    provider = OpenAI(ProviderOptions(base_url=server.address + "/elsewhere"))
    found = provider.models(KEY)
    assert isinstance(found, ProviderError)
    assert found.kind is FaultKind.BAD_REQUEST
    provider.close()


def test_prices_are_known_for_every_size() -> None:
    """What is listed is counted by tokens; what is not is not guessed."""
    for size in ("512", "1K", "2K", "4K"):
        price = MODELS.default.price(size)
        assert price is not None
        assert price.tokens is not None
        assert price.picture is not None
        assert price.tokens.picture == 30.0
    by_token = MODELS.find("gpt-image-2.6-flare").price("1K")
    assert by_token is not None
    assert by_token.picture is None
    assert MODELS.find("flux-dev").price("1K") is None


# What comes from outside.


def test_a_key_in_an_answer_is_not_repeated() -> None:
    """The service quotes a part of the key in its errors, and a gateway might quote it all."""
    fault = said(401, error(f"Incorrect API key provided: {KEY.reveal()}."))
    assert KEY.reveal() not in fault.message
    assert "…0001" in fault.message


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"error": ' + b"[" * 100_000,
        b'{"error": [' + b"[]," * 300_000 + b"[]]}",
        b'{"error": {"message": "' + b"x" * 1_000_000 + b'"}}',
        b'{"error": {"message": "\xff"}}',
    ],
)
def test_answers_made_to_harm_are_read_in_bounds(body: bytes) -> None:
    """Whatever is sent, it is a fault of some kind, in a line that can be shown."""
    fault = said(500, body)
    assert fault.kind is FaultKind.PASSING
    assert len(fault.message) <= 300
    outcome = responses.outcome(body)
    assert isinstance(outcome, ProviderError)
    assert len(outcome.message) <= 300
