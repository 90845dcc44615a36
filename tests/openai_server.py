"""OpenAI's Images API on loopback: it counts, validates and misbehaves as the Gemini one does.

    with OpenAIServer(limit=5) as server:
        server.fault("a red fox", Say.MODERATED)
        ...

Every key has a rolling limit of its own, which `x-ratelimit-*` headers tell with each answer.
"""

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gemini_connections import Connection
from gemini_replies import REJECTIONS, Answer, png
from gemini_requests import Recorded
from gemini_server import GeminiServer

MODELS = ("gpt-image-2.5-flare", "gpt-image-1.5", "gpt-5", "text-embedding-3-small")

MODERATION_WORDS = (
    "Your request was rejected by the safety system. If you believe this is an error, contact "
    "us at help.openai.com and include the request ID req_loopback."
)
_SIZE = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")
_FIXED = {"1024x1024", "1536x1024", "1024x1536"}
_QUALITIES = {"low", "medium", "high", "xhigh", "max", "auto"}
_MAGIC = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}
_REFERENCES = 16


class Say(StrEnum):
    """What only an API of this shape answers; `Answer` has the rest."""

    MODERATED = "moderation"
    INSUFFICIENT = "insufficient quota"
    HARD_LIMIT = "billing hard limit"
    OVER_BUDGET = "over budget"
    UNVERIFIED = "unverified"
    ADDRESS = "address"
    BROKEN_BASE64 = "broken base64"


@dataclass
class Asked(Recorded):
    """A request, and the fields that it had beside the prompt and the references."""

    fields: dict[str, str] = field(default_factory=dict)


class _Connection(Connection):
    def do_GET(self) -> None:  # noqa: N802
        """List the models."""
        api = self.server.api
        request = self.arrive()
        turned_away = api.of_the_key(request.key)
        if turned_away is not None and turned_away in _REJECTED:
            self.answer(request, *_error(turned_away))
        elif urlsplit(self.path).path == "/v1/models":
            listed = [{"id": name, "object": "model", "owned_by": "system"} for name in api.models]
            self.answer(request, 200, {"object": "list", "data": listed})
        else:
            self.answer(request, *_error(Answer.BAD_REQUEST, why="Invalid URL"))

    def arrive(self) -> Recorded:
        """Return the request as its head tells it."""
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        request = Asked(
            arrived=time.monotonic(),
            method=self.command,
            path=self.path,
            key=key if scheme == "Bearer" and key else None,
        )
        if self.command == "GET":
            self.server.api.record(request)
        return request

    def judge(self, request: Recorded, body: bytes) -> tuple[Answer | str, float, str]:
        """Return what to answer, the retry delay, and what is wrong with the request."""
        assert isinstance(request, Asked)
        api = self.server.api
        why = ""
        try:
            _read(request, body, self.headers.get("Content-Type", ""))
        except ValueError as wrong:
            why = str(wrong)
        api.record(request)
        turned_away = api.of_the_key(request.key)
        if turned_away is not None:
            return turned_away, 34.0, ""
        if why:
            return Answer.BAD_REQUEST, 0.0, why
        if request.model not in api.models:
            return Answer.MODEL_GONE, 0.0, ""
        return *api.decide(request), ""

    def reply(
        self, request: Recorded, retry: float, why: str
    ) -> tuple[int, Any, Mapping[str, object]]:
        """Return the status, the body and the headers for a request of this kind."""
        api = self.server.api
        assert isinstance(api, OpenAIServer)
        headers = api.headers(request)
        kind = str(request.kind)
        if kind in _ERRORS:
            if kind == Answer.MINUTE and api.tells:
                headers["Retry-After"] = f"{retry:.3f}"
            return *_error(kind, model=request.model, retry=retry, why=why), headers
        return 200, _success(kind, request.prompt, api.picture_bytes), headers


class OpenAIServer(GeminiServer):
    """A server of the Images API for one test; see `GeminiServer` for its options.

    Where it `tells`, every answer to a known key says what is left of its limit.
    """

    connection = _Connection
    rejections = REJECTIONS | frozenset(Say) - {Say.ADDRESS, Say.BROKEN_BASE64}

    def __init__(self, *, tells: bool = True, **options: Any) -> None:
        self.tells = tells
        super().__init__(**{"models": MODELS, **options})

    @property
    def asked(self) -> list[Asked]:
        """Every drawing request so far, with its fields."""
        return [request for request in self.requests if isinstance(request, Asked)]

    def headers(self, request: Recorded) -> dict[str, object]:
        """Return what an answer says of the key's limit."""
        if not self.tells or self.limit is None:
            return {}
        used, oldest = self.used(request.key or "")
        reset = max(0.001, oldest + self.window - time.monotonic()) if used else 0.0
        return {
            "x-ratelimit-limit-requests": self.limit,
            "x-ratelimit-remaining-requests": max(0, self.limit - used),
            "x-ratelimit-reset-requests": f"{reset * 1000:.0f}ms",
        }


def _read(request: Asked, body: bytes, media_type: str) -> None:
    """Fill in a request from its body. Raises `ValueError` in the API's words."""
    if media_type.startswith("multipart/form-data"):
        fields, references = _parts(body, media_type.partition("boundary=")[2])
        edits = True
    else:
        read = msgspec.json.decode(body, type=dict[str, str | int])
        fields, references, edits = {name: str(value) for name, value in read.items()}, [], False
    request.model, request.prompt = fields.pop("model", ""), fields.pop("prompt", "")
    request.fields = fields
    request.references = tuple(
        (kind, hashlib.sha256(data).hexdigest()) for kind, data in references
    )
    if request.path != f"/v1/images/{'edits' if edits else 'generations'}":
        raise ValueError(f"Invalid URL (POST {request.path})")
    if not request.prompt:
        raise ValueError("Missing required parameter: 'prompt'.")
    if not len(references) <= _REFERENCES or edits == (not references):
        raise ValueError(f"Invalid value: '{len(references)}' images.")
    if not all(data.startswith(_MAGIC.get(kind, b"-")) for kind, data in references):
        raise ValueError("Invalid image file or mode for image 1, please check your image file.")
    unknown = set(fields) - {"n", "size", "quality", "output_format", "background", "moderation"}
    if unknown:
        raise ValueError(f"Unknown parameter: '{min(unknown)}'.")
    if fields.get("n", "1") != "1" or fields.get("quality", "auto") not in _QUALITIES:
        raise ValueError("Invalid value.")
    _check_size(request.model, fields.get("size", "auto"))


def _check_size(model: str, size: str) -> None:
    """Raise `ValueError` for a size that the model does not draw."""
    match = _SIZE.fullmatch(size)
    if size == "auto" or (size in _FIXED and match):
        return
    if match is None or "gpt-image-1" in model:
        raise ValueError(f"Invalid value: '{size}'. Supported values are: {sorted(_FIXED)}.")
    width, height = int(match[1]), int(match[2])
    sound = width % 16 == height % 16 == 0 and max(width, height) <= 3840
    if not sound or not 655_360 <= width * height <= 8_294_400 or not 1 / 3 <= width / height <= 3:
        raise ValueError(f"Invalid size '{size}'.")


def _parts(body: bytes, boundary: str) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """Return the fields and the files of a form."""
    fields: dict[str, str] = {}
    files: list[tuple[str, bytes]] = []
    mark = b"--" + boundary.encode()
    *parts, end = body.split(mark)[1:]
    if end.strip() != b"--":
        raise ValueError("Could not parse multipart form.")
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        text = head.decode()
        name = re.search(r'name="([^"]*)"', text)
        kind = re.search(r"Content-Type: (\S+)", text)
        if name is None or not data.endswith(b"\r\n"):
            raise ValueError("Could not parse multipart form.")
        if name[1] == "image[]" and kind is not None:
            files.append((kind[1], data[:-2]))
        else:
            fields[name[1]] = data[:-2].decode()
    return fields, files


def _success(kind: str, prompt: str, size: int) -> dict[str, Any]:
    usage = {
        "input_tokens": 50,
        "input_tokens_details": {"text_tokens": 50, "image_tokens": 0},
        "output_tokens": 300,
        "total_tokens": 350,
    }
    answer: dict[str, Any] = {"created": 1_795_341_600, "usage": usage}
    match kind:
        case Answer.EMPTY_JSON:
            return {}
        case Answer.WRONG_TYPES:
            return {"data": "none"}
        case Answer.NO_IMAGE:
            return {**answer, "data": []}
        case Say.ADDRESS:
            return {**answer, "data": [{"url": "http://127.0.0.1:9/picture.png"}]}
        case Say.BROKEN_BASE64:
            return {**answer, "data": [{"b64_json": "!!!"}]}
        case Answer.NOT_A_PICTURE:
            data = b"this is no picture"
        case _:
            data = png(prompt, size)
    return {**answer, "data": [{"b64_json": base64.b64encode(data).decode()}]}


def _error(
    kind: str, *, model: str = "", retry: float = 34.0, why: str = ""
) -> tuple[int, dict[str, Any]]:
    status, code, type_, message = _ERRORS[kind]
    error = {
        "message": why or message.format(model=model, retry=retry),
        "type": type_,
        "param": None,
        "code": code,
    }
    return status, {"error": error}


_INVALID = "invalid_request_error"
_ERRORS: dict[str, tuple[int, str | None, str, str]] = {
    Answer.MINUTE: (
        429,
        "rate_limit_exceeded",
        "requests",
        (
            "Rate limit reached for {model} in organization org-loopback on images per min. "
            "Please try again in {retry:.3f}s."
        ),
    ),
    Answer.BARE: (429, None, "requests", "Too many requests."),
    Answer.NO_KEY: (401, None, _INVALID, "You didn't provide an API key."),
    Answer.BAD_KEY: (401, "invalid_api_key", _INVALID, "Incorrect API key provided."),
    Answer.BAD_REQUEST: (400, "invalid_value", _INVALID, "Invalid value."),
    Answer.MODEL_GONE: (404, "model_not_found", _INVALID, "The model '{model}' does not exist."),
    Answer.ERROR_500: (500, None, "server_error", "The server had an error."),
    Answer.UNAVAILABLE: (503, None, "server_error", "The engine is currently overloaded."),
    Say.MODERATED: (400, "moderation_blocked", "image_generation_user_error", MODERATION_WORDS),
    Say.INSUFFICIENT: (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Say.HARD_LIMIT: (
        400,
        "billing_hard_limit_reached",
        "billing_limit_user_error",
        "Billing hard limit has been reached.",
    ),
    Say.OVER_BUDGET: (400, "400", "budget_exceeded", "Budget has been exceeded!"),
    Say.UNVERIFIED: (
        403,
        None,
        _INVALID,
        "Your organization must be verified to use the model `{model}`.",
    ),
}
_REJECTED = frozenset({Answer.NO_KEY, Answer.BAD_KEY, Say.OVER_BUDGET})
