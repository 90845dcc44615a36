"""Answers in every form that services and gateways give them: a picture is a picture."""

import base64
import io
import json
from collections.abc import Callable
from textwrap import wrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from builders import picture
from imagegen.images import formats
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Usage
from imagegen.providers.gemini import responses as gemini_responses
from imagegen.providers.http import Reply
from imagegen.providers.openai import responses as openai_responses

DATA = picture()
CODED = base64.b64encode(DATA).decode()
OTHER = base64.b64encode(picture(3, 3)).decode()
COUNTS = {"promptTokenCount": 20, "candidatesTokenCount": 1120, "thoughtsTokenCount": 80}
USAGE = Usage(input_tokens=20, output_tokens=1200, thought_tokens=80)


def gemini(*parts: Any, **candidate: Any) -> dict[str, Any]:
    """Return an answer with these parts."""
    content = {"role": "model", "parts": list(parts)}
    return {
        "candidates": [{"content": content, "finishReason": "STOP"} | candidate],
        "usageMetadata": COUNTS,
    }


def inline(data: Any = CODED, **more: Any) -> dict[str, Any]:
    """Return a part with a picture."""
    return {"inlineData": {"mimeType": "image/png", "data": data}} | more


def read(answer: Any) -> Outcome:
    """Return what Gemini's answer means; its tokens are counted whatever else is odd."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    outcome = gemini_responses.outcome(body)
    assert outcome.usage == USAGE, outcome
    return outcome


# -- Gemini: pictures ---------------------------------------------------------------------

URL_SAFE = base64.urlsafe_b64encode(DATA).decode()
NULLS = {"text": None, "thought": None, "videoMetadata": None, "fileData": None}
PICTURES: dict[str, Any] = {
    "as documented": gemini(inline()),
    "snake_case": {
        "candidates": [
            {
                "content": {"parts": [{"inline_data": {"mime_type": "image/png", "data": CODED}}]},
                "finish_reason": "STOP",
            }
        ],
        "usage_metadata": {
            "prompt_token_count": 20,
            "candidates_token_count": 1120,
            "thoughts_token_count": 80,
        },
    },
    "nulls": gemini(NULLS | inline(), content_filter=None) | {"promptFeedback": None},
    "null parts before": {
        "candidates": [
            {"content": None},
            {"content": {"parts": None}},
            *gemini(inline())["candidates"],
        ],
        "usageMetadata": COUNTS,
    },
    "a list of one": [gemini(inline())],
    "a list of one in a list of one": [[gemini(inline())]],
    "the pieces of a stream": [
        {"candidates": [{"content": {"parts": [{"text": "Here"}]}}]},
        gemini(inline()),
    ],
    "url-safe": gemini(inline(URL_SAFE)),
    "unpadded": gemini(inline(CODED.rstrip("="))),
    "url-safe, unpadded": gemini(inline(URL_SAFE.rstrip("="))),
    "broken into lines": gemini(inline("\r\n".join(wrap(CODED, 76)))),
    "an address of its own": gemini(inline("data:image/png;base64," + CODED)),
    "in another candidate": {
        "candidates": [
            {"content": {"parts": [{"text": "no"}]}, "finishReason": "IMAGE_SAFETY"},
            {"content": {"parts": [inline()]}, "finishReason": "STOP"},
        ],
        "usageMetadata": COUNTS,
    },
    "after words": gemini({"text": "Here it is:"}, inline()),
    "after drafts": gemini(
        {"text": "Hm", "thought": True}, inline(OTHER, thought=True), inline(), inline(OTHER)
    ),
    "after drafts that say so in text": gemini(inline(OTHER, thought="true"), inline()),
    "after drafts that say so in a number": gemini(inline(OTHER, thought=1), inline()),
    "after one that is broken": gemini(inline("%%%"), inline()),
    "after one that is no picture": gemini(inline("%%%"), inline("Z" * 40), inline()),
    "one part that is no list": {
        "candidates": {"content": {"parts": inline()}},
        "usageMetadata": COUNTS,
    },
    "parts without a content": {"candidates": [{"content": [inline()]}], "usageMetadata": COUNTS},
    "odd types beside it": gemini(inline(thought=False, text=7), finishReason=3, index="0"),
    "an odd media type": gemini({"inlineData": {"mimeType": 7, "data": CODED}}),
    "no media type": gemini({"inlineData": {"data": CODED}}),
    "counts that are text": gemini(inline())
    | {"usageMetadata": {name: str(count) for name, count in COUNTS.items()}},
    "counts that are decimals": gemini(inline())
    | {"usageMetadata": {name: float(count) for name, count in COUNTS.items()}},
    "odd counts beside them": gemini(inline())
    | {"usageMetadata": COUNTS | {"toolUsePromptTokenCount": [], "x": {"y": None}}},
    "in Markdown": gemini({"text": f"Here: ![a fox](data:image/png;base64,{CODED}) Enjoy!"}),
    "with an error beside it": gemini(inline()) | {"error": {"code": 500, "message": "?"}},
}


@pytest.mark.parametrize("answer", PICTURES.values(), ids=PICTURES)
def test_a_picture_is_found_in_every_form(answer: Any) -> None:
    """One request, one picture, its tokens counted."""
    outcome = read(answer)
    assert isinstance(outcome, Picture), outcome
    assert outcome.data == DATA


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "no UTF-8": lambda body: body.replace(b"Here it is:", b"\xff\xfe"),
    "half a pair": lambda body: body.replace(b"Here it is:", b"\\ud800"),
    "a line break in a text": lambda body: body.replace(b"Here it is:", b"a\nb"),
    "an endless number": lambda body: body.replace(b'"role"', b'"x": ' + b"9" * 5000 + b', "role"'),
    "no number": lambda body: body.replace(b'"role"', b'"x": NaN, "role"'),
    "escapes": lambda body: body.replace(b"/", b"\\/").replace(b"=", b"\\u003d"),
    "blanks around": lambda body: b"\r\n  " + body + b"\n\n",
}


@pytest.mark.parametrize("change", BYTES.values(), ids=BYTES)
def test_odd_bytes_cost_no_picture(change: Callable[[bytes], bytes]) -> None:
    """What is wrong with a text beside it is that text's alone."""
    body = json.dumps(gemini({"text": "Here it is:"}, inline())).encode()
    outcome = read(change(body))
    assert isinstance(outcome, Picture), outcome
    assert outcome.data == DATA


_NESTED: list[Any] = [[], {}, [[]], [None], {"a": None}, {"": [{}]}, [{"text": "x"}], {"parts": 7}]
ODD = st.sampled_from(
    [None, True, False, 0, -1, 7, 1e300, 10**30, "", "x", "\ud800", "\0", *_NESTED]
)
PLACES = ("role", "text", "thoughtSignature", "finishReason", "finishMessage", "index",
          "safetyRatings", "modelVersion", "responseId", "promptFeedback", "mimeType")  # fmt: skip


@given(st.dictionaries(st.sampled_from(PLACES), ODD), st.booleans())
def test_no_odd_field_costs_another(odd: dict[str, Any], one_of_a_list: bool) -> None:  # noqa: FBT001
    """Whatever stands in fields that are not the picture's."""
    part = {"inlineData": {"mimeType": "image/png", "data": CODED}}
    for name in set(odd) & {"text", "thoughtSignature"}:
        part[name] = odd[name]
    if "mimeType" in odd:
        part["inlineData"]["mimeType"] = odd["mimeType"]
    candidate = {name: odd[name] for name in set(odd) & {"finishReason", "finishMessage", "index"}}
    answer: Any = {"candidates": [{"content": {"parts": [part]}} | candidate]}
    answer |= {n: odd[n] for n in set(odd) & {"modelVersion", "responseId", "promptFeedback"}}
    answer["usageMetadata"] = COUNTS | {"extra": odd.get("role")}
    outcome = read([answer] if one_of_a_list else answer)
    assert isinstance(outcome, Picture)
    assert outcome.data == DATA


@given(ODD | st.dictionaries(st.sampled_from(["candidates", "error", "usageMetadata"]), ODD))
def test_any_json_is_an_answer_of_some_kind(answer: Any) -> None:
    """Nothing that a service can say raises."""
    body = json.dumps(answer).encode()
    for outcome in (gemini_responses.outcome(body), openai_responses.outcome(body)):
        assert isinstance(outcome, Picture | ProviderError)
    for status in (400, 403, 404, 429, 503):
        reply = Reply(status, {}, body)
        assert gemini_responses.fault(reply, "https://api.example").message
        assert openai_responses.fault(reply, "https://api.example").message


# -- a picture where nobody would look ----------------------------------------------------

UNUSUAL: dict[str, Any] = {
    "in a wrapper": {"response": gemini(inline())},
    "in a result": {"jsonrpc": "2.0", "result": {"output": gemini(inline())}},
    "a prediction": {"predictions": [{"bytesBase64Encoded": CODED, "mimeType": "image/png"}]},
    "an older library's": {"generatedImages": [{"image": {"imageBytes": CODED}}]},
    "a map of candidates": {"candidates": {"0": gemini(inline())["candidates"][0]}},
    "in capitals": {"Candidates": [{"Content": {"Parts": [{"InlineData": {"Data": CODED}}]}}]},
    "an address of a chat": gemini({"image_url": {"url": "data:image/png;base64," + CODED}}),
    "in quotes": {"image": f'"{CODED}"'},
}


@pytest.mark.parametrize("answer", UNUSUAL.values(), ids=UNUSUAL)
def test_a_picture_in_an_unusual_place_is_found(answer: Any) -> None:
    """It was paid for; both APIs' readers find it."""
    body = json.dumps(answer).encode()
    for outcome in (gemini_responses.outcome(body), openai_responses.outcome(body)):
        assert isinstance(outcome, Picture)
        assert outcome.data == DATA


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda body: b"data: " + body + b"\n\ndata: [DONE]\n\n", id="events"),
        pytest.param(lambda body: b")]}'\n" + body, id="a guard before it"),
        pytest.param(lambda body: body + b"\n\0\0", id="garbage behind it"),
        pytest.param(lambda _body: DATA, id="the file itself"),
    ],
)
def test_a_body_that_is_nearly_json_is_read(form: Callable[[bytes], bytes]) -> None:
    """Gateways stream, guard and pass on files as they come."""
    outcome = gemini_responses.outcome(form(json.dumps(gemini(inline())).encode()))
    assert isinstance(outcome, Picture)
    assert outcome.data == DATA


def test_an_answer_of_an_unknown_form_names_its_fields() -> None:
    """Empty is an answer that has none."""
    outcome = gemini_responses.outcome(b'{"status": "done", "job": 7}')
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.reason) == (FaultKind.PASSING, "form of answer")
    assert "with status, job." in outcome.message


def test_sources_of_an_answer_are_no_picture_elsewhere() -> None:
    """What a model read to draw from may be images too."""
    chunks = {"groundingChunks": [{"image": {"imageUri": "https://source.invalid/1"}}]}
    outcome = read(gemini({"text": "I cannot."}, groundingMetadata=chunks))
    assert isinstance(outcome, ProviderError)
    assert outcome.kind is FaultKind.NO_PICTURE


# -- Gemini: no picture -------------------------------------------------------------------

LINK = "https://files.invalid/1.png"
WITHOUT: dict[str, tuple[Any, FaultKind, str]] = {
    "a file elsewhere": (
        gemini({"fileData": {"mimeType": "image/png", "fileUri": LINK}}),
        FaultKind.UNUSABLE,
        "address",
    ),
    "in snake_case": (gemini({"file_data": {"file_uri": LINK}}), FaultKind.UNUSABLE, "address"),
    "an address for data": (gemini(inline(LINK)), FaultKind.UNUSABLE, "address"),
    "an address of a bucket": (gemini(inline("gs://bucket/1")), FaultKind.UNUSABLE, "address"),
    "a picture in Markdown": (gemini({"text": f"![a fox]({LINK})"}), FaultKind.UNUSABLE, "address"),
    "without an ending": (
        gemini({"text": "Done! ![](https://x.invalid/get?id=7)"}),
        FaultKind.UNUSABLE,
        "address",
    ),
    "a link": (gemini({"text": f"[Download]({LINK}), please."}), FaultKind.UNUSABLE, "address"),
    "an address in words": (gemini({"text": f"It is at {LINK}"}), FaultKind.UNUSABLE, "address"),
    "a link to rules": (
        gemini({"text": "See [our policy](https://policies.example/image.html)."}),
        FaultKind.NO_PICTURE,
        "STOP",
    ),
    "a refusal with a link": (
        gemini({"text": f"Like ![this]({LINK})?"}, finishReason="IMAGE_SAFETY"),
        FaultKind.REFUSED,
        "IMAGE_SAFETY",
    ),
    "a refusal with null parts": (
        {
            "candidates": [{"content": {"parts": None}, "finishReason": "IMAGE_SAFETY"}],
            "usageMetadata": COUNTS,
        },
        FaultKind.REFUSED,
        "IMAGE_SAFETY",
    ),
    "a refusal without a content": (
        {"candidates": [{"finish_reason": "SPII"}], "usageMetadata": COUNTS},
        FaultKind.REFUSED,
        "SPII",
    ),
    "a refusal by escalation": (gemini(finishReason="ESCALATION"), FaultKind.REFUSED, "ESCALATION"),
    "a blocked prompt": (
        {"prompt_feedback": {"block_reason": "OTHER"}, "usageMetadata": COUNTS},
        FaultKind.REFUSED,
        "OTHER",
    ),
    "an account that is disabled": (
        gemini(finishReason="PUP_LIMITED_DISABLED"),
        FaultKind.KEY_REJECTED,
        "PUP_LIMITED_DISABLED",
    ),
    "a number for a reason": (gemini(finishReason=7), FaultKind.NO_PICTURE, "7"),
    "a broken picture": (gemini(inline("%%%")), FaultKind.PASSING, "broken picture"),
    "drafts alone": (gemini(inline(thought=True)), FaultKind.NO_PICTURE, "STOP"),
    "an error": (
        {"error": {"code": 503, "message": "Busy."}, "usageMetadata": COUNTS},
        FaultKind.PASSING,
        "HTTP 503",
    ),
    "an error in a list": (
        [{"error": {"status": "PERMISSION_DENIED", "message": "No."}, "usageMetadata": COUNTS}],
        FaultKind.KEY_REJECTED,
        "PERMISSION_DENIED",
    ),
    "an error without a code": (
        {"error": "out of paper", "usageMetadata": COUNTS},
        FaultKind.NO_PICTURE,
        "HTTP 200",
    ),
    "credit, in an answer": (
        {"error_message": "Insufficient balance, please top up", "usageMetadata": COUNTS},
        FaultKind.OUT_OF_CREDIT,
        "no credit",
    ),
    "a key, in an answer": (
        {"detail": "Invalid API key", "usageMetadata": COUNTS},
        FaultKind.KEY_REJECTED,
        "HTTP 200",
    ),
    "an error in other words": (
        {"message": "The region is closed.", "usageMetadata": COUNTS},
        FaultKind.NO_PICTURE,
        "HTTP 200",
    ),
}


@pytest.mark.parametrize(("answer", "kind", "reason"), WITHOUT.values(), ids=WITHOUT)
def test_an_answer_without_a_picture_is_told_apart(
    answer: Any, kind: FaultKind, reason: str
) -> None:
    """By whose fault it is, with its tokens counted."""
    outcome = read(answer)
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.reason) == (kind, reason)
    assert "data:" not in outcome.message


def test_tokens_are_what_is_left_of_them_all() -> None:
    """If the service does not count the answer's own."""
    answer = gemini(inline()) | {
        "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 1220, "thoughtsTokenCount": 80}
    }
    assert isinstance(read(answer), Picture)


# -- Gemini: errors -----------------------------------------------------------------------


def error(code: int, message: str, status: str = "", *reasons: str) -> dict[str, Any]:
    """Return an error as the service writes it."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": r} for r in reasons]
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


DEPLETED = (
    "Your prepayment credits are depleted. Please go to AI Studio at "
    "https://ai.studio/projects to manage your project and billing."
)
CAP = (
    "Your project has exceeded its monthly spending cap. Please go to AI Studio at "
    "https://ai.studio/spend to manage your project spend cap."
)
ERRORS = [
    (429, error(429, DEPLETED, "RESOURCE_EXHAUSTED"), FaultKind.OUT_OF_CREDIT),
    (429, error(429, CAP, "RESOURCE_EXHAUSTED"), FaultKind.OUT_OF_CREDIT),
    (402, error(402, "Payment required"), FaultKind.OUT_OF_CREDIT),
    (429, error(429, "This account's balance is too low."), FaultKind.OUT_OF_CREDIT),
    (429, error(429, "Account overdue: payment failed"), FaultKind.OUT_OF_CREDIT),
    (429, error(429, "Quota exhausted: please recharge"), FaultKind.OUT_OF_CREDIT),
    (403, error(403, "Insufficient account balance"), FaultKind.OUT_OF_CREDIT),
    (400, error(400, "Budget has been exceeded! Max budget: 10.0"), FaultKind.OUT_OF_CREDIT),
    (429, error(429, "\u4f59\u989d\u4e0d\u8db3"), FaultKind.OUT_OF_CREDIT),
    (429, error(429, "You exceeded your current quota, check billing."), FaultKind.LIMITED),
    (400, error(400, "cannot draw: friends who top up a balance"), FaultKind.BAD_REQUEST),
    (501, error(501, "Operation is not implemented.", "UNIMPLEMENTED"), FaultKind.UNUSABLE),
    (505, {}, FaultKind.UNUSABLE),
    (400, error(400, "API key expired. Please renew the API key."), FaultKind.KEY_REJECTED),
    (400, error(400, "API key not valid. Please pass one."), FaultKind.KEY_REJECTED),
    (403, error(403, "unregistered callers", "PERMISSION_DENIED"), FaultKind.KEY_REJECTED),
    (403, error(403, "Blocked.", "", "API_KEY_SERVICE_BLOCKED"), FaultKind.KEY_REJECTED),
    (403, error(403, "Blocked.", "", "API_KEY_HTTP_REFERRER_BLOCKED"), FaultKind.KEY_REJECTED),
    (401, error(401, "Who?", "UNAUTHENTICATED"), FaultKind.KEY_REJECTED),
    (
        400,
        error(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        FaultKind.UNUSABLE,
    ),
    (400, error(400, "Imagen API is only accessible to billed users"), FaultKind.UNUSABLE),
    (403, error(403, "x is only accessible to billed users"), FaultKind.UNUSABLE),
    (403, error(403, "This API method requires billing to be enabled."), FaultKind.UNUSABLE),
    (400, error(400, "x does not support the requested response modalities"), FaultKind.UNUSABLE),
    (
        400,
        error(400, "Invalid JSON payload received. Unknown name \"x\" at 'y': Cannot find field."),
        FaultKind.UNUSABLE,
    ),
    (405, {"detail": "Method Not Allowed"}, FaultKind.UNUSABLE),
    (404, {"detail": "Not Found"}, FaultKind.UNUSABLE),
    (404, error(404, "models/x is not found for API version v1beta"), FaultKind.MODEL_GONE),
    (409, error(409, "Conflict"), FaultKind.PASSING),
    (499, error(499, "Cancelled", "CANCELLED"), FaultKind.PASSING),
    (429, error(429, "No capacity available for model x"), FaultKind.PASSING),
    (503, error(503, "?", "UNAVAILABLE", "MODEL_CAPACITY_EXHAUSTED"), FaultKind.PASSING),
    (429, error(429, "?", "", "MODEL_CAPACITY_EXHAUSTED"), FaultKind.PASSING),
    (429, error(429, "Resource has been exhausted (e.g. check quota)."), FaultKind.LIMITED),
    (400, error(400, "Unable to process input image."), FaultKind.BAD_REQUEST),
    (418, {"oops": "no tea"}, FaultKind.BAD_REQUEST),
]


@pytest.mark.parametrize(("status", "answer", "kind"), ERRORS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_whose_fault_an_error_is(
    status: int,
    answer: dict[str, Any],
    kind: FaultKind,
    wrapped: bool,  # noqa: FBT001
) -> None:
    """In a list too; the service's words and the address in them are shown."""
    body = json.dumps([answer] if wrapped else answer).encode()
    fault = gemini_responses.fault(Reply(status, {}, body), "https://api.example")
    assert fault.kind is kind
    said = answer.get("error", {}).get("message") or answer.get("detail") or ""
    assert " ".join(said.split()) in fault.message


@pytest.mark.parametrize("status", [429, 503, 500, 409])
@pytest.mark.parametrize("module", [gemini_responses, openai_responses])
def test_retry_after_counts_for_every_fault_that_passes(status: int, module: Any) -> None:
    """For a 503 as for a 429."""
    reply = Reply(status, {"Retry-After": "17"}, b"")
    assert module.fault(reply, "https://api.example").retry_after == 17


# -- OpenAI -------------------------------------------------------------------------------


OPENAI: dict[str, Any] = {
    "as documented": {"data": [{"b64_json": CODED}]},
    "nulls": {"data": [{"url": None, "b64_json": CODED, "revised_prompt": None}], "error": None},
    "camelCase": {"data": [{"b64Json": CODED}]},
    "a list of one": [{"data": [{"b64_json": CODED}]}],
    "one that is no list": {"data": {"b64_json": CODED}},
    "text alone": {"data": [CODED]},
    "another name": {"images": [{"image": CODED}]},
    "after others": {"data": [{"b64_json": None}, {}, {"b64_json": "%%%"}, {"b64_json": CODED}]},
    "url-safe": {"data": [{"b64_json": URL_SAFE.rstrip("=")}]},
    "broken into lines": {"data": [{"b64_json": "\n".join(wrap(CODED, 64))}]},
    "an address of its own": {"data": [{"url": "data:image/png;base64," + CODED}]},
    "in an object": {"data": [{"image_url": {"url": "data:image/png;base64," + CODED}}]},
}


@pytest.mark.parametrize("answer", OPENAI.values(), ids=OPENAI)
def test_a_picture_of_openais_form_is_found(answer: Any) -> None:
    """Gateways and local servers write it in their own ways."""
    counts = {"usage": {"input_tokens": "50", "output_tokens": 300.0}}
    whole = [answer[0] | counts] if isinstance(answer, list) else answer | counts
    outcome = openai_responses.outcome(json.dumps(whole).encode())
    assert isinstance(outcome, Picture), outcome
    assert outcome.data == DATA
    assert outcome.usage == Usage(input_tokens=50, output_tokens=300)


@pytest.mark.parametrize("entry", [{"url": LINK}, {"b64_json": LINK}, {"text": "x", "url": LINK}])
def test_an_address_of_openais_form_is_one(entry: Any) -> None:
    """Nothing is fetched, and no further one is paid for."""
    outcome = openai_responses.outcome(json.dumps({"data": [entry]}).encode())
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.was_drawn) == (FaultKind.UNUSABLE, True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "insufficient_quota", "message": "?"}, FaultKind.OUT_OF_CREDIT),
        ({"code": "moderation_blocked", "message": "?"}, FaultKind.REFUSED),
        ("Your credits are exhausted.", FaultKind.OUT_OF_CREDIT),
        ([{"message": "Incorrect API key provided"}], FaultKind.KEY_REJECTED),
    ],
)
def test_an_error_in_an_answer_is_one(error: Any, kind: FaultKind) -> None:
    """Whatever its status."""
    outcome = openai_responses.outcome(json.dumps({"error": error, "data": None}).encode())
    assert isinstance(outcome, ProviderError)
    assert outcome.kind is kind


# -- types of pictures ----------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return an image as a file of this type."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


GREY = Image.linear_gradient("L").resize((40, 20))
RGB = GREY.convert("RGB")
BLACK = Image.new("P", (40, 20))
SIXTEEN = GREY.convert("I").point(lambda value: value * 257)
TYPES: dict[str, bytes] = {
    **{
        kind: encoded(RGB, kind)
        for kind in ("JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
    },
    "animated GIF": encoded(GREY, "GIF", save_all=True, append_images=[BLACK]),
    "animated WebP": encoded(RGB, "WEBP", save_all=True, append_images=[BLACK.convert("RGB")]),
    "CMYK JPEG": encoded(RGB.convert("CMYK"), "JPEG"),
    "CMYK TIFF": encoded(RGB.convert("CMYK"), "TIFF"),
    "16 bit TIFF": encoded(SIXTEEN.convert("I;16"), "TIFF"),
    "32 bit TIFF": encoded(SIXTEEN, "TIFF"),
    "floating TIFF": encoded(GREY.convert("F").point(lambda value: value * (1 / 255)), "TIFF"),
    "grey with transparency": encoded(GREY.convert("LA"), "TIFF"),
    "Lab": encoded(RGB.convert("LAB"), "TIFF"),
}


@pytest.mark.parametrize("data", TYPES.values(), ids=TYPES)
def test_whatever_pillow_reads_becomes_the_png(data: bytes) -> None:
    """With the same picture in it, of an animated one the first frame."""
    with Image.open(io.BytesIO(formats.as_png(data, "image/png"))) as image:
        assert (image.format, image.size) == ("PNG", (40, 20))
        assert image.mode in {"L", "RGB", "RGBA"}
        shown = image.convert("L")
    pairs = zip(shown.tobytes(), GREY.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) < 30


def test_transparency_of_a_palette_stays() -> None:
    """As the file has it."""
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    data = formats.as_png(encoded(image, "GIF", transparency=1))
    with Image.open(io.BytesIO(data)) as read:
        assert [read.getpixel(at) for at in ((0, 0), (1, 1))] == [
            (200, 100, 50, 0),
            (10, 20, 30, 255),
        ]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP"])
def test_a_picture_is_turned_as_its_camera_was_held(kind: str) -> None:
    """Nothing but its pixels is kept."""
    exif = Image.Exif()
    exif[0x112] = 6
    data = formats.as_png(encoded(RGB, kind, exif=exif))
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (20, 40)


@pytest.mark.parametrize(
    ("data", "claimed", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png", "SVG"),
        (b"\xef\xbb\xbf\n<?xml version='1.0'?><svg/>", "", "SVG"),
        (b"%PDF-1.7", "image/png", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4", "MP4"),
        (b"\xff\x0a\0\0", "image/jxl", "JPEG XL"),
        (b"something new", "video/x-new", "video/x-new"),
    ],
)
def test_a_type_that_nobody_reads_is_named(data: bytes, claimed: str, name: str) -> None:
    """Every further picture would be of it too."""
    with pytest.raises(formats.UnreadableTypeError, match=name):
        formats.as_png(data, claimed)


@pytest.mark.parametrize(
    ("data", "claimed"),
    [
        (b"this is no picture", "image/png"),
        (b"this is no picture", "application/octet-stream"),
        (b"", ""),
        *((data[: len(data) * 2 // 3], "image/png") for data in TYPES.values() if len(data) < 2000),
    ],
)
def test_what_is_torn_may_come_whole_the_next_time(data: bytes, claimed: str) -> None:
    """It is no type of its own."""
    with pytest.raises(formats.NotAPictureError) as raised:
        formats.as_png(data, claimed)
    assert not isinstance(raised.value, formats.UnreadableTypeError)
