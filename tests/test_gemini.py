"""Gemini sends what the API expects and tells every answer apart."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import responses
from PIL import Image

import gemini_replies
from gemini_server import Answer, GeminiServer, answers
from imagegen.providers.base import (
    FaultKind,
    Picture,
    Provider,
    ProviderError,
    ProviderOptions,
    Reference,
    Request,
)
from imagegen.providers.gemini.models import MODELS
from imagegen.providers.gemini.provider import DEFAULT_BASE_URL, Gemini
from imagegen.secret import Secret

DEFAULT_MODEL = MODELS.default.name
KEY = Secret("test-key-alpha-000001")
LIST = f"{DEFAULT_BASE_URL}/v1beta/models"
DRAW = f"{LIST}/{DEFAULT_MODEL}:generateContent"
REQUEST = Request(style="clear", shot="1", beat="1.1", words="A red fox")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    """Replace the service by prepared answers."""
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    """Make the provider with its defaults."""
    provider = Gemini(ProviderOptions())
    yield provider
    provider.close()


class Sent:
    """Counts how often a request was said to have left."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        """Count."""
        self.times += 1


def draw(gemini: Gemini, request: Request = REQUEST) -> Picture | ProviderError:
    """Make one request."""
    return gemini.draw(request, KEY, Sent())


def fault_of(gemini: Gemini) -> ProviderError:
    """Make one request that brings no picture."""
    outcome = draw(gemini)
    assert isinstance(outcome, ProviderError)
    return outcome


def error(code: int, message: str = "No.", status: str = "", details: Any = None) -> dict[str, Any]:
    """Return an error as the service writes it."""
    return {"error": {"code": code, "message": message, "status": status, "details": details or []}}


def quota(*violations: tuple[str, str], delay: Any = "34s") -> dict[str, Any]:
    """Return a 429 of these quotas and limits."""
    lines = "\n".join(f"* Quota exceeded for metric: m, limit: {limit}" for _, limit in violations)
    failure = {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": quota_id} for quota_id, _ in violations],
    }
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return error(429, f"You exceeded your quota.\n{lines}", "RESOURCE_EXHAUSTED", [failure, retry])


def finished(reason: str | None, text: str = "", **more: Any) -> dict[str, Any]:
    """Return an answer without a picture."""
    parts = [{"text": text}] if text else []
    return {"candidates": [{"content": {"parts": parts}, "finishReason": reason, **more}]}


# The request.


def test_it_is_a_provider(gemini: Gemini) -> None:
    """The engine can use it, and finds keys where Google's own tools look for them."""
    provider: Provider = gemini
    assert (provider.name, provider.model) == ("gemini", "gemini-nano-banana-2.1")
    assert provider.key_variables == ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    assert provider.max_concurrency >= 1
    assert Gemini.largest_reference == 7 * 1024 * 1024


def test_request_body(api: responses.RequestsMock, gemini: Gemini) -> None:
    """The body has the prompt, the references after it, and asks for words and a picture."""
    api.post(DRAW, json=gemini_replies.success(Answer.PICTURE, "A red fox"))
    references = (Reference("image/png", b"one"), Reference("image/webp", b"two"))
    request = msgspec.structs.replace(
        REQUEST, look="In ink.", references=references, aspect_ratio="4:3", image_size="2K"
    )
    draw(gemini, request)
    assert msgspec.json.decode(api.calls[0].request.body or b"") == {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "A red fox\n\nIn ink."},
                    {"inlineData": {"mimeType": "image/png", "data": "b25l"}},
                    {"inlineData": {"mimeType": "image/webp", "data": "dHdv"}},
                ],
            }
        ],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "imageConfig": {"aspectRatio": "4:3", "imageSize": "2K"},
        },
        "store": False,
    }


def test_key_travels_in_a_header(api: responses.RequestsMock, gemini: Gemini) -> None:
    """The key is in its header, never in the address."""
    api.post(DRAW, json={})
    draw(gemini)
    sent = api.calls[0].request
    assert sent.headers["x-goog-api-key"] == KEY.reveal()
    assert KEY.reveal() not in str(sent.url)


def test_model_and_address_are_settings(api: responses.RequestsMock) -> None:
    """Another model and address are used, and a model's name cannot leave its place."""
    answer = api.post(
        "http://127.0.0.1:9/base/v1beta/models/..%2Fmine%3Fx:generateContent", json={}
    )
    gemini = Gemini(ProviderOptions(model="../mine?x", base_url="http://127.0.0.1:9/base/"))
    draw(gemini)
    gemini.close()
    assert answer.call_count == 1


@pytest.mark.parametrize("end", ["", "/", "/v1beta", "/v1beta/", "/v1", "/v1beta/models", "//"])
@pytest.mark.parametrize("model", ["gemini-x-image", "models/gemini-x-image"])
def test_what_requests_add_may_be_written_already(
    api: responses.RequestsMock, end: str, model: str
) -> None:
    """Guides write addresses with the version, and models with `models/`."""
    base = "http://127.0.0.1:9/base"
    answer = api.post(f"{base}/v1beta/models/gemini-x-image:generateContent", json={})
    gemini = Gemini(ProviderOptions(model=model, base_url=base + end))
    draw(gemini)
    gemini.close()
    assert answer.call_count == 1
    assert gemini.model == "gemini-x-image"


def test_key_that_cannot_be_a_header(gemini: Gemini) -> None:
    """A key with stray characters is rejected without a request and without being shown."""
    key = Secret("test-key-with-a-newline\n0001")
    sent = Sent()
    fault = gemini.draw(REQUEST, key, sent)
    assert isinstance(fault, ProviderError)
    assert fault.kind is FaultKind.KEY_REJECTED
    assert "newline" not in fault.message
    assert sent.times == 0


def test_prompt_that_cannot_be_sent(gemini: Gemini) -> None:
    """A prompt with a lone surrogate is the beat's own error, without a request."""
    sent = Sent()
    fault = gemini.draw(msgspec.structs.replace(REQUEST, words="\ud83d"), KEY, sent)
    assert isinstance(fault, ProviderError)
    assert fault.kind is FaultKind.BAD_REQUEST
    assert sent.times == 0


def test_sent_is_reported_once(api: responses.RequestsMock, gemini: Gemini) -> None:
    """A request that was answered has left, once."""
    api.post(DRAW, json={})
    sent = Sent()
    gemini.draw(REQUEST, KEY, sent)
    assert sent.times == 1


def test_real_server_accepts_the_request(gemini: Gemini) -> None:
    """A server that validates as the API does draws what was asked, references included."""
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "PNG")
    reference = Reference("image/png", out.getvalue())
    request = msgspec.structs.replace(REQUEST, references=(reference,))
    with GeminiServer() as server:
        provider = Gemini(ProviderOptions(base_url=server.address))
        outcome = provider.draw(request, KEY, Sent())
        provider.close()
        assert server.requests[0].references == (("image/png", reference.digest),)
    assert isinstance(outcome, Picture)
    assert answers(outcome.data, request.prompt)


# Pictures.


@pytest.mark.parametrize(
    "kind", [Answer.PICTURE, Answer.THOUGHTS_FIRST, Answer.JPEG_AS_PNG, Answer.WEBP]
)
def test_pictures(api: responses.RequestsMock, gemini: Gemini, kind: Answer) -> None:
    """The picture is found behind drafts and words, and in any of the three formats."""
    api.post(DRAW, json=gemini_replies.success(kind, REQUEST.prompt))
    outcome = draw(gemini)
    assert isinstance(outcome, Picture)
    assert answers(outcome.data, REQUEST.prompt)
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (20, 1200)


def test_usage_of_a_wrong_type_costs_no_picture(
    api: responses.RequestsMock, gemini: Gemini
) -> None:
    """A picture is kept whatever the token counts beside it look like."""
    answer = gemini_replies.success(Answer.PICTURE, REQUEST.prompt)
    api.post(DRAW, json={**answer, "usageMetadata": {"promptTokenCount": "many"}})
    assert isinstance(draw(gemini), Picture)


# No picture.


@pytest.mark.parametrize(
    "reason",
    [
        "SAFETY",
        "IMAGE_SAFETY",
        "PROHIBITED_CONTENT",
        "IMAGE_PROHIBITED_CONTENT",
        "RECITATION",
        "IMAGE_RECITATION",
        "BLOCKLIST",
        "SPII",
        "LANGUAGE",
        "MODEL_ARMOR",
    ],
)
def test_refusals(api: responses.RequestsMock, gemini: Gemini, reason: str) -> None:
    """A refusal is told with its reason and the model's words."""
    api.post(DRAW, json=finished(reason, "I cannot.", finishMessage="It was filtered."))
    fault = fault_of(gemini)
    assert (fault.kind, fault.reason) == (FaultKind.REFUSED, reason)
    assert fault.message == "It was filtered. I cannot."


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "IMAGE_SAFETY", "JAILBREAK", "NEW_ONE"])
def test_blocked_prompts(api: responses.RequestsMock, gemini: Gemini, reason: str) -> None:
    """A blocked prompt is a refusal, whatever the reason."""
    api.post(DRAW, json={"promptFeedback": {"blockReason": reason}})
    fault = fault_of(gemini)
    assert (fault.kind, fault.reason) == (FaultKind.REFUSED, reason)
    assert reason in fault.message


@pytest.mark.parametrize(
    "reason", ["NO_IMAGE", "IMAGE_OTHER", "OTHER", "MALFORMED_RESPONSE", "MAX_TOKENS", "NEW_ONE"]
)
def test_no_picture_this_time(api: responses.RequestsMock, gemini: Gemini, reason: str) -> None:
    """A reason that a second try may mend, or an unknown one, is no refusal."""
    api.post(DRAW, json=finished(reason))
    fault = fault_of(gemini)
    assert (fault.kind, fault.reason) == (FaultKind.NO_PICTURE, reason)


def test_words_instead_of_a_picture(api: responses.RequestsMock, gemini: Gemini) -> None:
    """An answer of words alone is told in those words."""
    api.post(DRAW, json=gemini_replies.success(Answer.TEXT_ONLY, ""))
    fault = fault_of(gemini)
    assert (fault.kind, fault.reason) == (FaultKind.NO_PICTURE, "STOP")
    assert fault.message == gemini_replies.TEXT_WORDS
    assert fault.usage is not None


def test_drafts_are_no_picture(api: responses.RequestsMock, gemini: Gemini) -> None:
    """Drafts alone are not taken for the picture."""
    answer = gemini_replies.success(Answer.THOUGHTS_FIRST, REQUEST.prompt)
    del answer["candidates"][0]["content"]["parts"][2]
    api.post(DRAW, json=answer)
    assert fault_of(gemini).kind is FaultKind.NO_PICTURE


# Broken answers.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"candidates": []}',
        b'{"candidates": [{}]}',
        b'{"candidates": [{"content": {"parts": [{"inlineData": {"data": ""}}]}}]}',
        b"[" * 100_000,
    ],
)
def test_broken_answers(api: responses.RequestsMock, gemini: Gemini, body: bytes) -> None:
    """An answer that is not what it should be may be better the next time."""
    api.post(DRAW, body=body)
    fault = fault_of(gemini)
    assert (fault.kind, fault.reason) == (FaultKind.PASSING, "broken answer")


def test_broken_pictures(api: responses.RequestsMock, gemini: Gemini) -> None:
    """A picture that cannot be used was drawn all the same."""
    api.post(
        DRAW, body=b'{"candidates": [{"content": {"parts": [{"inlineData": {"data": "!!"}}]}}]}'
    )
    fault = fault_of(gemini)
    assert (fault.kind, fault.reason, fault.was_drawn) == (
        FaultKind.PASSING,
        "broken picture",
        True,
    )


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b'{"error": {"message": "Busy."}}'])
def test_overloaded_service(
    api: responses.RequestsMock, gemini: Gemini, status: int, body: bytes
) -> None:
    """A service in trouble is told by its status, in its words if it has some."""
    api.post(DRAW, status=status, body=body)
    fault = fault_of(gemini)
    assert (fault.kind, fault.reason) == (FaultKind.PASSING, f"HTTP {status}")
    assert ("Busy." if b"Busy" in body else str(status)) in fault.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FaultKind.BAD_REQUEST),
        (401, FaultKind.KEY_REJECTED),
        (403, FaultKind.KEY_REJECTED),
        (404, FaultKind.UNUSABLE),
        (405, FaultKind.UNUSABLE),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}", b'{"error": "no"}', b'{"detail": "no"}', b"no"])
def test_errors_of_a_gateway(
    api: responses.RequestsMock, gemini: Gemini, status: int, kind: FaultKind, body: bytes
) -> None:
    """An error without the service's JSON is read by its status, and quoted if it has words."""
    api.post(DRAW, status=status, body=body)
    fault = fault_of(gemini)
    assert fault.kind is kind
    assert ("no" in fault.message.split() or '("no")' in fault.message) is (b"no" in body)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 405])
@pytest.mark.parametrize(
    "body",
    [
        b"<html><title>Guest network: log\n in</title></html>",
        b"\xef\xbb\xbf\r\n<!DOCTYPE html><head><TITLE lang='en'>Guest network: log in</TITLE>",
    ],
)
def test_a_web_page_instead_of_an_answer(
    api: responses.RequestsMock, gemini: Gemini, status: int, body: bytes
) -> None:
    """A login page or a wrong address needs a person, who sees the page's title."""
    api.post(DRAW, status=status, body=body, content_type="application/json")
    fault = fault_of(gemini)
    assert fault.kind is FaultKind.NETWORK
    assert '"Guest network: log in"' in fault.message


# Errors.


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, error(400, "Bad field", "INVALID_ARGUMENT"), FaultKind.BAD_REQUEST),
        (400, gemini_replies.error(Answer.BAD_KEY, "m")[1], FaultKind.KEY_REJECTED),
        (401, error(401, "Who?", "UNAUTHENTICATED"), FaultKind.KEY_REJECTED),
        (403, gemini_replies.error(Answer.LEAKED_KEY, "m")[1], FaultKind.KEY_REJECTED),
        (404, gemini_replies.error(Answer.MODEL_GONE, "m")[1], FaultKind.MODEL_GONE),
        (405, error(405), FaultKind.UNUSABLE),
        (413, error(413), FaultKind.BAD_REQUEST),
    ],
)
def test_errors(
    api: responses.RequestsMock, gemini: Gemini, status: int, answer: Any, kind: FaultKind
) -> None:
    """Every error of the service is told apart and quoted."""
    api.post(DRAW, status=status, json=answer)
    fault = fault_of(gemini)
    assert fault.kind is kind
    assert fault.message == " ".join(answer["error"]["message"].split())


MINUTE = "GenerateRequestsPerMinutePerProjectPerModel"
DAY = "GenerateRequestsPerDayPerProjectPerModel"


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after"),
    [
        (quota((MINUTE, "9")), FaultKind.LIMITED, 34.0),
        (quota((MINUTE, "9"), delay="10.689s"), FaultKind.LIMITED, 10.689),
        (quota((MINUTE, "9"), delay="soon"), FaultKind.LIMITED, None),
        (quota((MINUTE, "9"), delay="-5s"), FaultKind.LIMITED, None),
        (quota((MINUTE, "9"), delay="9" * 400 + "s"), FaultKind.LIMITED, None),
        (quota((MINUTE, "9"), delay={"seconds": 5}), FaultKind.LIMITED, None),
        (quota((DAY, "1000")), FaultKind.SPENT_TODAY, None),
        (quota((MINUTE, "9"), (DAY, "1000")), FaultKind.SPENT_TODAY, None),
        (quota((DAY, "1000"), (MINUTE, "9")), FaultKind.SPENT_TODAY, None),
        (quota((MINUTE, "0")), FaultKind.NO_QUOTA, None),
        (quota((MINUTE, "9"), (DAY, "0")), FaultKind.NO_QUOTA, None),
        (quota((DAY, "0"), (MINUTE, "9")), FaultKind.NO_QUOTA, None),
        (gemini_replies.error(Answer.BARE, "m")[1], FaultKind.LIMITED, None),
        (error(429, details=[None, 7, {"violations": "many"}]), FaultKind.LIMITED, None),
        ({"error": {"message": "Slower.", "details": {"a": 1}}}, FaultKind.LIMITED, None),
        ([], FaultKind.LIMITED, None),
    ],
)
def test_quotas(
    api: responses.RequestsMock,
    gemini: Gemini,
    answer: Any,
    kind: FaultKind,
    retry_after: float | None,
) -> None:
    """Of all that a 429 says the worst decides, and the delay is taken where it helps."""
    api.post(DRAW, status=429, json=answer)
    fault = fault_of(gemini)
    assert (fault.kind, fault.retry_after) == (kind, retry_after)


def test_retry_after_header(api: responses.RequestsMock, gemini: Gemini) -> None:
    """A 429 of some proxy may have its delay in the header."""
    api.post(DRAW, status=429, body="slow down", headers={"Retry-After": "17"})
    assert fault_of(gemini).retry_after == 17


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(api: responses.RequestsMock, gemini: Gemini, status: int) -> None:
    """A redirect is not followed, and the message names the host that it points to."""
    api.post(DRAW, status=status, headers={"Location": "https://elsewhere.example/x?secret=1"})
    fault = fault_of(gemini)
    assert fault.kind is FaultKind.REDIRECTED
    assert "elsewhere.example" in fault.message
    assert "secret" not in fault.message


def test_redirect_to_nowhere(api: responses.RequestsMock, gemini: Gemini) -> None:
    """A redirect to something that is no address is still a redirect."""
    api.post(DRAW, status=302, headers={"Location": "http://[oops"})
    assert fault_of(gemini).kind is FaultKind.REDIRECTED


def test_message_never_holds_a_key(api: responses.RequestsMock, gemini: Gemini) -> None:
    """A key that the service echoes is replaced by its tail, wherever the message is cut."""
    for padding in range(270, 300):
        api.post(DRAW, status=400, json=error(400, "x" * padding + f" {KEY.reveal()} is bad"))
        message = fault_of(gemini).message
        assert "test-key" not in message
        assert len(message) <= 300
        api.reset()


def test_message_is_one_line(api: responses.RequestsMock, gemini: Gemini) -> None:
    """White space of a message is collapsed."""
    api.post(DRAW, status=400, json=error(400, " Bad\n\n field:\t x "))
    assert fault_of(gemini).message == "Bad field: x"


# The list of models.


def model(name: str, *methods: str) -> dict[str, Any]:
    """Return one entry of the list of models."""
    return {"name": f"models/{name}", "supportedGenerationMethods": methods}


def test_models(api: responses.RequestsMock, gemini: Gemini) -> None:
    """The image models of all pages are listed, others are not."""
    first = {
        "models": [model("a-image", "generateContent"), model("a-text", "generateContent")],
        "nextPageToken": "a b&c",
    }
    second = {"models": [model("b-image", "generateContent"), model("c-image", "predict")]}
    matchers = responses.matchers
    api.get(LIST, json=first, match=[matchers.query_param_matcher({"pageSize": "1000"})])
    both = {"pageSize": "1000", "pageToken": "a b&c"}
    api.get(LIST, json=second, match=[matchers.query_param_matcher(both)])
    assert gemini.models(KEY) == ("a-image", "b-image")
    assert api.calls[0].request.headers["x-goog-api-key"] == KEY.reveal()
    assert KEY.reveal() not in str(api.calls[0].request.url)


def test_models_without_end(api: responses.RequestsMock, gemini: Gemini) -> None:
    """A list that never ends is left after ten pages."""
    page = {"models": [model("a-image", "generateContent")], "nextPageToken": "again"}
    answer = api.get(LIST, json=page)
    assert gemini.models(KEY) == ("a-image",)
    assert answer.call_count == 10


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, gemini_replies.error(Answer.BAD_KEY, "m")[1], FaultKind.KEY_REJECTED),
        (403, gemini_replies.error(Answer.LEAKED_KEY, "m")[1], FaultKind.KEY_REJECTED),
        (404, error(404, "Where?", "NOT_FOUND"), FaultKind.BAD_REQUEST),
        (503, error(503), FaultKind.PASSING),
        (200, {"models": 7}, FaultKind.PASSING),
        (200, {}, FaultKind.PASSING),
        (302, {}, FaultKind.REDIRECTED),
    ],
)
def test_models_that_cannot_be_listed(
    api: responses.RequestsMock, gemini: Gemini, status: int, body: Any, kind: FaultKind
) -> None:
    """A list that cannot be had is a fault of the kind that a drawing would be."""
    api.get(LIST, status=status, json=body)
    fault = gemini.models(KEY)
    assert isinstance(fault, ProviderError)
    assert fault.kind is kind


def test_reference_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that goes out with many requests is encoded for the first one only."""
    encoded: list[bytes] = []

    def counting(data: bytes) -> str:
        encoded.append(data)
        return base64.b64encode(data).decode()

    monkeypatch.setattr("imagegen.providers.gemini.provider.pybase64.b64encode_as_string", counting)
    reference = Reference("image/webp", b"RIFF only this test")
    request = msgspec.structs.replace(REQUEST, references=(reference,))
    with responses.RequestsMock() as api:
        api.post(DRAW, json={})
        gemini = Gemini(ProviderOptions())
        draw(gemini, request)
        draw(gemini, request)
        gemini.close()
        assert api.calls[0].request.body == api.calls[1].request.body
    assert encoded == [reference.data]
