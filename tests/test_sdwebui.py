"""The web UI provider sends what that API expects, and tells every answer apart."""

import hashlib
from collections.abc import Iterator

import pytest

from builders import picture
from gemini_server import Answer, answers
from imagegen.providers.base import (
    FaultKind,
    Outcome,
    Picture,
    Provider,
    ProviderError,
    ProviderOptions,
    Reference,
    Request,
)
from imagegen.providers.sdwebui import DENOISING, LOADED, SdWebUi
from sdwebui_server import MODELS, Trouble, WebUiServer

REQUEST = Request(style="clear", shot="1", beat="1.1", words="A red fox", look="In ink.")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[WebUiServer]:
    """Return a web UI on loopback."""
    with WebUiServer() as running:
        yield running


@pytest.fixture
def ui(server: WebUiServer) -> Iterator[SdWebUi]:
    """Make the provider for that server."""
    provider = SdWebUi(ProviderOptions(base_url=server.address + "/"))
    yield provider
    provider.close()


def nothing() -> None:
    """Hear that a request has left."""


def draw(provider: SdWebUi, request: Request = REQUEST) -> Outcome:
    """Make one request."""
    return provider.draw(request, None, nothing)


def fault_of(provider: SdWebUi) -> ProviderError:
    """Make one request that brings no picture."""
    outcome = draw(provider)
    assert isinstance(outcome, ProviderError)
    return outcome


def test_it_is_a_provider(ui: SdWebUi) -> None:
    """No key, one request at a time, the checkpoint that is loaded, at no cost."""
    provider: Provider = ui
    assert (provider.name, provider.model, provider.max_concurrency) == ("sdwebui", LOADED, 1)
    assert (provider.key_variables, provider.supports_base_url) == ((), True)
    assert (provider.catalogue.default.references, SdWebUi.keys_section) == (1, "sdwebui")
    price = provider.catalogue.find("any").price("4K")
    assert price is not None
    assert price.picture == 0.0


def test_a_picture_is_drawn_from_the_words(ui: SdWebUi, server: WebUiServer) -> None:
    """What is not named is left to the web UI: steps, sampler, checkpoint."""
    outcome = draw(ui)
    assert isinstance(outcome, Picture)
    assert answers(outcome.data, REQUEST.prompt)
    (asked,) = server.asked
    assert (asked.path, asked.prompt, asked.key) == ("/sdapi/v1/txt2img", REQUEST.prompt, None)
    assert asked.fields == {
        "width": 1280,
        "height": 720,
        "batch_size": 1,
        "n_iter": 1,
        "override_settings": {},
        "denoising_strength": None,
    }


def test_a_model_that_is_named_is_loaded(server: WebUiServer) -> None:
    """For this request alone: the web UI's own setting stays."""
    provider = SdWebUi(ProviderOptions(model=MODELS[1], base_url=server.address))
    assert isinstance(draw(provider), Picture)
    assert server.asked[0].fields["override_settings"] == {"sd_model_checkpoint": MODELS[1]}
    provider.close()


def test_a_reference_is_what_the_picture_begins_with(ui: SdWebUi, server: WebUiServer) -> None:
    """It arrives byte for byte, and much of it may change."""
    data = picture(40, 30)
    own = (Reference("image/png", data),)
    request = Request(style="c", shot="1", beat="1", words="x", references=own)
    assert isinstance(draw(ui, request), Picture)
    (asked,) = server.asked
    assert asked.path == "/sdapi/v1/img2img"
    assert asked.references == (("", hashlib.sha256(data).hexdigest()),)
    assert asked.fields["denoising_strength"] == DENOISING


@pytest.mark.parametrize(
    ("ratio", "size", "wanted"),
    [
        ("16:9", "512", (640, 360)),
        ("16:9", "1K", (1280, 720)),
        ("16:9", "2K", (2688, 1512)),
        ("1:1", "512", (512, 512)),
        ("1:1", "1K", (1024, 1024)),
        ("9:16", "1K", (720, 1280)),
        ("4:3", "1K", (1152, 864)),
        ("21:9", "1K", (1512, 648)),
        ("8:1", "512", (1408, 176)),
    ],
)
def test_ratio_and_size_become_pixels(
    ui: SdWebUi, server: WebUiServer, ratio: str, size: str, wanted: tuple[int, int]
) -> None:
    """Exactly the ratio, in blocks of eight, near the size's area."""
    request = Request(style="c", shot="1", beat="1", words="x", aspect_ratio=ratio, image_size=size)
    assert isinstance(draw(ui, request), Picture)
    fields = server.asked[0].fields
    assert (fields["width"], fields["height"]) == wanted


def test_half_a_character_is_not_sent(ui: SdWebUi, server: WebUiServer) -> None:
    """A lone surrogate is a fault of the beat."""
    outcome = draw(ui, Request(style="c", shot="1", beat="1", words="\ud800"))
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.reason) == (FaultKind.BAD_REQUEST, "prompt")
    assert server.requests == []


def test_a_picture_may_be_written_as_an_address(ui: SdWebUi, server: WebUiServer) -> None:
    """Some web UIs put data:image/png;base64, before it."""
    server.fault("A red fox", Trouble.DATA_ADDRESS)
    outcome = draw(ui)
    assert isinstance(outcome, Picture)
    assert answers(outcome.data, REQUEST.prompt)


@pytest.mark.parametrize(
    ("kind", "wanted", "reason", "words"),
    [
        (Trouble.NO_API, FaultKind.UNUSABLE, "HTTP 404", "--api"),
        (Trouble.WANTS_PASSWORD, FaultKind.UNUSABLE, "HTTP 401", "--api-auth"),
        (Trouble.NO_MEMORY, FaultKind.NO_PICTURE, "out of memory", "smaller image_size"),
        (Trouble.CONFLICT, FaultKind.PASSING, "HTTP 409", "being changed"),
        (Trouble.TOO_MANY, FaultKind.PASSING, "HTTP 429", "Too Many"),
        (Trouble.BROKEN_BASE64, FaultKind.PASSING, "broken picture", "base64"),
        (Answer.EMPTY_JSON, FaultKind.NO_PICTURE, "no picture", "interrupted"),
        (Answer.NO_IMAGE, FaultKind.NO_PICTURE, "no picture", "interrupted"),
        (Answer.WRONG_TYPES, FaultKind.PASSING, "broken answer", "not what it should be"),
        (Answer.BAD_REQUEST, FaultKind.BAD_REQUEST, "HTTP 422", "not a valid integer"),
        (Answer.MODEL_GONE, FaultKind.MODEL_GONE, "unknown checkpoint", "Unknown checkpoint"),
        (Answer.ERROR_500, FaultKind.PASSING, "HTTP 500", "something broke"),
        (Answer.UNAVAILABLE, FaultKind.PASSING, "HTTP 503", "starting"),
        (Answer.HTML, FaultKind.NETWORK, "web page", "a web page instead of an answer"),
        (Answer.REDIRECT, FaultKind.REDIRECTED, "HTTP 302", "redirects"),
        (Answer.RESET, FaultKind.PASSING, "connection", "127.0.0.1"),
        (Answer.HALF_BODY, FaultKind.PASSING, "cut short", "127.0.0.1"),
    ],
)
def test_answers_are_told_apart(
    ui: SdWebUi, server: WebUiServer, kind: str, wanted: FaultKind, reason: str, words: str
) -> None:
    """What a person must mend ends the run; the rest is a beat's."""
    server.fault("A red fox", kind)
    fault = fault_of(ui)
    assert (fault.kind, fault.reason) == (wanted, reason)
    assert words in fault.message


def test_a_web_ui_that_is_not_there_is_named(server: WebUiServer) -> None:
    """The address is what a person would look at."""
    server.set_down(True)
    provider = SdWebUi(ProviderOptions(base_url=server.address))
    fault = fault_of(provider)
    assert fault.kind is FaultKind.PASSING
    assert f"127.0.0.1:{server.port} could not be reached" in fault.message
    provider.close()


def test_models_are_its_checkpoints(ui: SdWebUi, server: WebUiServer) -> None:
    """By the names under which they are loaded."""
    assert ui.models(None) == MODELS
    server.trouble = Trouble.NO_API
    found = ui.models(None)
    assert isinstance(found, ProviderError)
    assert "--api" in found.message
