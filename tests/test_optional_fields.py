"""Fields that a server does not know are left out; anything else it says is another matter."""

import json
import threading

import pytest

from gemini_server import Answer, GeminiServer
from imagegen.providers.base import FaultKind, Picture, ProviderError, ProviderOptions, Request
from imagegen.providers.gemini.provider import Gemini
from imagegen.providers.http import Reply
from imagegen.providers.optional_fields import OptionalFields
from imagegen.secret import Secret

KEY = Secret("test-key-alpha-000001")
REQUEST = Request(style="clear", shot="1", beat="1.1", words="A red fox", thinking="high")
CONSEQUENCES = {"store": "a", "thinkingConfig": "b", "quality": "c", "response_format": "d"}
OTHERS = {"thinkingConfig": ("thinkingLevel", "thinking")}


def error(message: str, **more: object) -> dict[str, object]:
    """Return an error as most services write it."""
    return {"error": {"code": 400, "message": message, **more}}


def violation(field: str, text: str) -> dict[str, object]:
    """Return what Google adds to an error about a field."""
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": text}],
    }


UNKNOWN = 'Invalid JSON payload received. Unknown name "{}"{}: Cannot find field.'


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        # Google, at the top and below, in either spelling.
        (400, error(UNKNOWN.format("store", "")), "store"),
        (400, error(UNKNOWN.format("thinkingConfig", " at 'generation_config'")), "thinkingConfig"),
        (400, error(UNKNOWN.format("thinking_config", " at 'x'")), "thinkingConfig"),
        (
            400,
            error(UNKNOWN.format("thinkingLevel", " at 'generation_config.thinking_config'")),
            "thinkingConfig",
        ),
        (
            400,
            error("No.", details=[violation("generation_config.thinking_config", "")]),
            "thinkingConfig",
        ),
        (400, [error(UNKNOWN.format("store", ""))], "store"),
        (400, error("Thinking level HIGH is not supported for this model."), "thinkingConfig"),
        (400, error("Thinking is not enabled for models/x"), "thinkingConfig"),
        (400, error("The `store` field is unsupported on Vertex AI."), "store"),
        # pydantic, FastAPI.
        (
            422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra"}]},
            "store",
        ),
        (422, {"detail": "store: Extra inputs are not permitted"}, "store"),
        (422, {"detail": [{"msg": "Extra inputs: quality is not permitted"}]}, "quality"),
        # OpenAI and LiteLLM.
        (400, error("Unknown parameter: 'store'."), "store"),
        (400, error("Unrecognized request argument supplied: store"), "store"),
        (400, error("No.", param="response_format"), "response_format"),
        (500, error("Setting `response_format` is not supported by gemini, x."), "response_format"),
        (
            400,
            error("litellm.UnsupportedParamsError: gemini does not support ['store'], drop them"),
            "store",
        ),
        # Other validators, and plain text.
        (400, {"message": "Additional properties: 'store' was unexpected"}, "store"),
        (400, {"errors": [{"message": "property store should not exist; not allowed"}]}, "store"),
        (400, b'json: unknown field "store"', "store"),
        # Something else.
        (400, error(UNKNOWN.format("imageSize", " at 'generation_config.image_config'")), None),
        (400, error("Unknown parameter: 'size'."), None),
        (400, error("The quality of mercy is not strained."), None),
        (400, error('Invalid prompt: "A store at night, not supported"'), None),
        (400, error("Your prompt about a thinking man is invalid."), None),
        (400, error("API key not valid. Please pass a valid API key."), None),
        (503, error("store is not supported"), None),
        (429, error("store is not supported"), None),
        (400, b"<html>store is unknown</html>", None),
        (400, b"", None),
        (400, b"\xff\xfe", None),
        (400, b"[" * 5000, None),
    ],
)
def test_a_refused_field_is_known_by_its_name(
    status: int, body: object, wanted: str | None
) -> None:
    """Servers and gateways report it in their own words, and sometimes as their own error."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    optional = OptionalFields(CONSEQUENCES, "the server", OTHERS)
    fault = optional.refusal(Reply(status, {}, data), CONSEQUENCES)
    assert (fault.reason if fault else None) == wanted
    left = optional.taken(CONSEQUENCES)
    assert set(left) == set(CONSEQUENCES) - {wanted}


def test_a_field_that_was_not_sent_is_not_what_was_refused() -> None:
    """Else a request would be sent again without anything being different."""
    optional = OptionalFields(CONSEQUENCES, "the server")
    reply = Reply(400, {}, b'{"error": {"message": "Unknown parameter: \'store\'."}}')
    assert optional.refusal(reply, ("quality",)) is None


@pytest.mark.parametrize("unknown", [{"store"}, {"thinkingConfig"}, {"store", "thinkingConfig"}])
def test_a_server_is_asked_without_what_it_does_not_know(unknown: set[str]) -> None:
    """Each field costs one answer, and the picture comes; what it knows is still sent."""
    with GeminiServer(unknown_fields=frozenset(unknown)) as server:
        gemini = Gemini(ProviderOptions(base_url=server.address))
        for _ in unknown:
            fault = gemini.draw(REQUEST, KEY, lambda: None)
            assert isinstance(fault, ProviderError)
            assert fault.kind is FaultKind.UNKNOWN_FIELD
            assert f"127.0.0.1 does not take {fault.reason}" in fault.message
        assert isinstance(gemini.draw(REQUEST, KEY, lambda: None), Picture)
        last = server.requests[-1]
        assert last.store is (None if "store" in unknown else False)
        assert last.thinking == (None if "thinkingConfig" in unknown else "HIGH")
        gemini.close()


def test_requests_in_flight_that_meet_it_are_told_the_same() -> None:
    """All that were sent with the field may be sent again, not only the first."""
    with GeminiServer(unknown_fields=frozenset({"store"})) as server:
        gemini = Gemini(ProviderOptions(base_url=server.address))
        found: list[object] = []
        draws = [
            threading.Thread(target=lambda: found.append(gemini.draw(REQUEST, KEY, lambda: None)))
            for _ in range(4)
        ]
        with server.held():
            for draw in draws:
                draw.start()
            assert server.wait_for_requests(4)
        for draw in draws:
            draw.join()
        kinds = {one.kind for one in found if isinstance(one, ProviderError)}
        assert (len(found), kinds) == (4, {FaultKind.UNKNOWN_FIELD})
        gemini.close()


@pytest.mark.parametrize(
    ("thinking", "store", "sent"),
    [
        (None, False, (None, False)),
        ("minimal", False, ("MINIMAL", False)),
        ("high", True, ("HIGH", True)),
    ],
)
def test_thinking_and_store_are_sent_as_they_are_set(
    server: GeminiServer,
    thinking: str | None,
    store: bool,  # noqa: FBT001
    sent: tuple[object, object],
) -> None:
    """Thinking that is left to the model is not mentioned; not to keep requests always is."""
    gemini = Gemini(ProviderOptions(base_url=server.address, store=store))
    request = Request(style="c", shot="1", beat="1", words="x", thinking=thinking)
    assert isinstance(gemini.draw(request, KEY, lambda: None), Picture)
    assert (server.requests[0].thinking, server.requests[0].store) == sent
    gemini.close()


def test_other_errors_stay_what_they_are(server: GeminiServer) -> None:
    """A bad request is the beat's, whatever else was sent."""
    server.fault("A red fox", Answer.BAD_REQUEST)
    gemini = Gemini(ProviderOptions(base_url=server.address))
    fault = gemini.draw(REQUEST, KEY, lambda: None)
    assert isinstance(fault, ProviderError)
    assert fault.kind is FaultKind.BAD_REQUEST
    gemini.close()
