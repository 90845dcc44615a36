"""What the model of the Gemini API answers: pictures that prove their prompt, and errors.

A picture is made of 32 grey blocks, one for each byte of the prompt's SHA-256.
"""

import base64
import hashlib
import io
import struct
import zlib
from enum import StrEnum
from typing import Any

import msgspec
from PIL import Image

WIDTH, HEIGHT = 64, 36
_ACROSS, _DOWN = 8, 4
_TOLERANCE = 12
"""JPEG changes greys a little."""


class Answer(StrEnum):
    """Everything that the server can do with one request."""

    PICTURE = "picture"
    # Quota: never counted by the server's window.
    MINUTE = "429 minute"
    BARE = "429 bare"
    DAY = "429 day"
    LIMIT_0 = "429 limit 0"
    SEVERAL = "429 several violations"
    # The key's.
    NO_KEY = "no key"
    BAD_KEY = "bad key"
    LEAKED_KEY = "leaked key"
    # The request's.
    BAD_REQUEST = "bad request"
    MODEL_GONE = "model gone"
    # The service's.
    ERROR_500 = "500"
    UNAVAILABLE = "503"
    HTML = "html"
    REDIRECT = "redirect"
    EMPTY_JSON = "empty json"
    WRONG_TYPES = "wrong types"
    # Pictures of all kinds, and none.
    THOUGHTS_FIRST = "thoughts first"
    JPEG_AS_PNG = "jpeg as png"
    WEBP = "webp"
    NOT_A_PICTURE = "not a picture"
    BLOCKED = "blocked prompt"
    REFUSED = "refused"
    NO_IMAGE = "no image"
    UNKNOWN_REASON = "unknown reason"
    TEXT_ONLY = "text only"
    # What no HTTP server should do; `gemini_server` plays these on the socket.
    RESET = "reset"
    HALF_BODY = "half body"
    DRIPPING_BODY = "dripping body"
    DRIPPING_HEADERS = "dripping headers"
    HUGE_BODY = "huge body"
    SILENCE = "silence"


REJECTIONS = frozenset(
    {
        Answer.MINUTE,
        Answer.BARE,
        Answer.DAY,
        Answer.LIMIT_0,
        Answer.SEVERAL,
        Answer.NO_KEY,
        Answer.BAD_KEY,
        Answer.LEAKED_KEY,
        Answer.BAD_REQUEST,
        Answer.MODEL_GONE,
    }
)
"""Answers to requests that are turned away before they cost any quota."""

REFUSAL_WORDS = "I cannot draw that: it names a real person."
BLOCK_WORDS = "The prompt was blocked by the safety filters."
TEXT_WORDS = "Here is what such a picture could look like."


def expected_pixels(prompt: str) -> bytes:
    """Return the grey values, row by row, of the picture that answers `prompt`."""
    greys = hashlib.sha256(prompt.encode()).digest()
    rows = []
    for top in range(_DOWN):
        across = greys[top * _ACROSS : (top + 1) * _ACROSS]
        row = b"".join(bytes([grey]) * (WIDTH // _ACROSS) for grey in across)
        rows += [row] * (HEIGHT // _DOWN)
    return b"".join(rows)


def answers(picture: bytes, prompt: str) -> bool:
    """Tell whether a picture file of any format is the one that answers `prompt`."""
    with Image.open(io.BytesIO(picture)) as image:
        grey = image.convert("L")
    if grey.size != (WIDTH, HEIGHT):
        return False
    pairs = zip(grey.tobytes(), expected_pixels(prompt), strict=True)
    return all(abs(got - expected) <= _TOLERANCE for got, expected in pairs)


def png(prompt: str, size: int = 0) -> bytes:
    """Return the PNG that answers `prompt`, padded by a private chunk to about `size` bytes."""
    pixels = expected_pixels(prompt)
    rows = b"".join(b"\0" + pixels[at : at + WIDTH] for at in range(0, len(pixels), WIDTH))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    if size:
        parts.append(_padding(size))
    parts += [_chunk(b"IDAT", zlib.compress(rows, 1)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


_paddings: dict[int, bytes] = {}


def _padding(size: int) -> bytes:
    if size not in _paddings:
        _paddings[size] = _chunk(b"paDd", bytes(size))
    return _paddings[size]


def _other_format(prompt: str, name: str, **options: Any) -> bytes:
    image = Image.frombytes("L", (WIDTH, HEIGHT), expected_pixels(prompt))
    out = io.BytesIO()
    image.convert("RGB").save(out, name, **options)
    return out.getvalue()


def _inline(data: bytes, mime_type: str = "image/png") -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def _candidate(parts: list[dict[str, Any]], reason: str = "STOP", **more: Any) -> dict[str, Any]:
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": parts},
                "finishReason": reason,
                "index": 0,
                **more,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 20,
            "candidatesTokenCount": 1120,
            "thoughtsTokenCount": 80,
            "totalTokenCount": 1220,
        },
        "modelVersion": "gemini-3.1-flash-image",
        "responseId": "loopback",
    }


def success(kind: Answer, prompt: str, size: int = 0) -> dict[str, Any]:
    """Return the JSON of an answer with status 200."""
    match kind:
        case Answer.THOUGHTS_FIRST:
            draft = {**_inline(png("a draft of " + prompt)), "thought": True}
            thought = {"text": "Thinking.", "thought": True}
            return _candidate([thought, draft, _inline(png(prompt, size))])
        case Answer.JPEG_AS_PNG:
            return _candidate([_inline(_other_format(prompt, "JPEG", quality=95))])
        case Answer.WEBP:
            data = _other_format(prompt, "WEBP", lossless=True)
            return _candidate([_inline(data, "image/webp")])
        case Answer.NOT_A_PICTURE:
            return _candidate([_inline(b"this is no picture")])
        case _ if kind in _WITHOUT_PICTURE:
            return _WITHOUT_PICTURE[kind]
        case _:
            return _candidate([{"text": "Here it is."}, _inline(png(prompt, size))])


_WITHOUT_PICTURE: dict[Answer, dict[str, Any]] = {
    Answer.BLOCKED: {
        "promptFeedback": {
            "blockReason": "PROHIBITED_CONTENT",
            "blockReasonMessage": BLOCK_WORDS,
        },
        "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 20},
    },
    Answer.REFUSED: _candidate([{"text": REFUSAL_WORDS}], "IMAGE_SAFETY"),
    Answer.NO_IMAGE: _candidate([], "NO_IMAGE", finishMessage="No picture was made."),
    Answer.UNKNOWN_REASON: _candidate([], "SOMETHING_NEW"),
    Answer.TEXT_ONLY: _candidate([{"text": TEXT_WORDS}]),
    Answer.EMPTY_JSON: {},
    Answer.WRONG_TYPES: {"candidates": [{"content": {"parts": "none"}, "finishReason": 7}]},
}


def error(kind: Answer, model: str, *, retry: float = 34.0, why: str = "") -> tuple[int, Any]:
    """Return status and JSON of an error; `why` says what is wrong with a bad request."""
    match kind:
        case Answer.MINUTE:
            return _quota([_violation("PerMinute", 9)], model, retry)
        case Answer.DAY:
            return _quota([_violation("PerDay", 1000)], model, retry)
        case Answer.LIMIT_0:
            return _quota([_violation("PerMinute", 0)], model, retry)
        case Answer.SEVERAL:
            violations = [_violation("PerMinute", 9), _violation("PerDay", 1000)]
            return _quota(violations, model, retry)
        case Answer.BAD_KEY:
            info = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
            return _error(*_PLAIN[kind], [info])
        case Answer.BAD_REQUEST if why:
            return _error(400, "INVALID_ARGUMENT", why)
        case _:
            code, status, message = _PLAIN[kind]
            return _error(code, status, message.format(model=model))


_PLAIN = {
    Answer.BARE: (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    Answer.BAD_KEY: (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
    ),
    Answer.LEAKED_KEY: (
        403,
        "PERMISSION_DENIED",
        "Your API key was reported as leaked. Please use another API key.",
    ),
    Answer.NO_KEY: (
        403,
        "PERMISSION_DENIED",
        "Method doesn't allow unregistered callers. Please use API Key.",
    ),
    Answer.BAD_REQUEST: (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    Answer.MODEL_GONE: (
        404,
        "NOT_FOUND",
        (
            "models/{model} is not found for API version v1beta, or is not supported for "
            "generateContent. Call ListModels to see the list of available models."
        ),
    ),
    Answer.ERROR_500: (500, "INTERNAL", "An internal error has occurred."),
    Answer.UNAVAILABLE: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def _violation(period: str, limit: int) -> dict[str, str]:
    return {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
        "quotaId": f"GenerateRequests{period}PerProjectPerModel",
        "quotaValue": str(limit),
    }


def _quota(violations: list[dict[str, str]], model: str, retry: float) -> tuple[int, Any]:
    lines = [
        f"* Quota exceeded for metric: {violation['quotaMetric']}, "
        f"limit: {violation['quotaValue']}, model: {model}"
        for violation in violations
    ]
    message = "You exceeded your current quota, please check your plan and billing details.\n"
    delay = f"{retry:.9f}".rstrip("0").rstrip(".") + "s"
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    return _error(429, "RESOURCE_EXHAUSTED", message + "\n".join(lines), details)


def _error(code: int, status: str, message: str, details: Any = None) -> tuple[int, Any]:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details is not None:
        error["details"] = details
    return code, {"error": error}


def encoded(answer: Any) -> bytes:
    """Return an answer as the bytes of its body."""
    return msgspec.json.encode(answer)
