"""What the Gemini API answers, and what it means.

Everything here comes from outside: types may be wrong, fields missing, reasons new. An answer
with an image in its usual place is decoded in one pass; every other is read field by field.
"""

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Usage
from imagegen.providers.responses import (
    LONGEST_NAME,
    LONGEST_TEXT,
    NO_CREDIT,
    best_picture,
    field,
    is_address,
    is_image,
    is_passing,
    is_true,
    items,
    loose,
    malformed_answer,
    outside_usual_places,
    page_title,
    picture,
    plain_text,
    pointer,
    safe_message,
    text_of,
    texts_in,
    tokens,
    try_decode,
    unknown_form_error,
    unwrap,
    whole_file,
    words,
    words_in,
    wrong_path_error,
)
from imagegen.secret import redact

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

_DEEPEST_DETAIL = 4
_LONGEST_PAGE_TOKEN = 4096

_REFUSALS = frozenset(
    {
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
        "ESCALATION",
    }
)
"""Finish reasons after which a second try is useless. After unknown ones it may help."""

_DISABLED: Final = "PUP_LIMITED_DISABLED"
"""The finish reason of an account that is limited or disabled by policy."""

_NO_QUOTA = re.compile(r"\blimit:\s*0+(?!\d|\.\d)")
_SECONDS = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)s?\s*")

# What the service says in words alone. Sources: its reference on errors
# (https://ai.google.dev/gemini-api/docs/troubleshooting) and users' reports.
_NO_CAPACITY = re.compile(r"MODEL_CAPACITY_EXHAUSTED|no capacity available", re.IGNORECASE)
_KEY = re.compile(
    r"api key (?:not valid|not found|expired|is invalid)|unregistered callers"
    r"|(?:invalid|incorrect) api key"
    r"|reported as leaked|api[_ ]key[_ ](?:invalid|expired)",
    re.IGNORECASE,
)
_SET_UP = re.compile(
    r"location is not supported|billed users|billing .{0,60}(?:not|disabled|enabled)"
    r"|enable billing|response modalit|unknown name|cannot find field"
    r"|not available in your (?:country|region)",
    re.IGNORECASE,
)
_MODEL = re.compile(r"\bmodels?\b|requested entity", re.IGNORECASE)

_CODES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""HTTP statuses of google.rpc.Code, for errors that come without theirs."""


class _InlineData(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    data: msgspec.Raw
    # Any: it is often wrong, and a wrong one must not cost an image.
    mime_type: Any = ""


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    inline_data: _InlineData | None = None
    thought: bool = False


class _Content(msgspec.Struct, frozen=True):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct, frozen=True):
    content: _Content | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    candidates: list[_Candidate] = []
    # Any: a wrong count must not cost an image.
    usage_metadata: Any = None


class _Error(msgspec.Struct, frozen=True):
    """An error however it was written; `code` is 0 if it names none."""

    message: str = ""
    status: str = ""
    code: int = 0
    details: Any = None


class _Model(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    supported_generation_methods: list[str] = []


class _Models(msgspec.Struct, frozen=True, rename="camel"):
    models: list[_Model] = []
    next_page_token: str = ""


_WORDS: Final = ("message", "detail", "msg", "errorMessage")
"""Fields of an answer that is itself an error."""

_answers = msgspec.json.Decoder(_Answer)
_model_lists = msgspec.json.Decoder(_Models)


def outcome(body: bytes) -> Outcome:
    """Return what an answer with status 200 holds: an image, or why it has no image."""
    answer = try_decode(_answers, body)
    if answer is not None:
        usage = _usage(answer.usage_metadata)
        for candidate in answer.candidates:
            for part in candidate.content.parts if candidate.content else ():
                # Drafts come first and are marked as thoughts.
                if part.inline_data is not None and not part.thought:
                    image = picture(part.inline_data.data, usage, _type(part.inline_data.mime_type))
                    if is_image(image):
                        return image
    return whole_file(body) or _read_loosely(body)


def listed_models(body: bytes) -> tuple[list[str], str] | ProviderError:
    """Return one page of the list of models: those that can draw, and the next page's token.

    Which of them are image models the page does not say.
    """
    page = try_decode(_model_lists, body)
    if page is None or len(page.next_page_token) > _LONGEST_PAGE_TOKEN:
        return malformed_answer("The service's list of models was not what it should be.")
    if not page.models and not page.next_page_token:
        return malformed_answer("The service's list of models was empty.")
    names = [
        redact(model.name.removeprefix("models/"))
        for model in page.models
        if "generateContent" in model.supported_generation_methods
        and len(model.name) <= LONGEST_NAME
    ]
    return names, page.next_page_token


def fault(reply: "Reply", base_url: str) -> ProviderError:
    """Return what an answer with a status of an error means."""
    status = reply.status
    host = urlsplit(base_url).hostname or ""
    error = _error(loose(reply.body))
    if error is None:
        error = _Error(message=plain_text(reply.body) or page_title(reply.body))
    return _of_error(error, status, host, reply.headers.get("Retry-After"))


class _CandidateContent:
    """What a candidate that holds no image in its usual place has instead."""

    def __init__(self, answer: Any) -> None:
        self.pictures: list[tuple[str, str]] = []
        self.pointers: list[str] = []
        self.words: list[str] = []
        self.reasons: list[str] = []
        self.messages: list[str] = []
        for candidate in items(field(answer, "candidates")):
            self.reasons += filter(None, [text_of(field(candidate, "finishReason"))])
            self.messages += filter(None, [text_of(field(candidate, "finishMessage"))])
            content = field(candidate, "content")
            parts = field(content, "parts")
            for part in items(content if parts is None else parts):
                if not is_true(field(part, "thought")):
                    self._take(part)

    def _take(self, part: Any) -> None:
        for blob in items(field(part, "inlineData")):
            data = blob if isinstance(blob, str) else field(blob, "data")
            if isinstance(data, str) and is_address(data):
                self.pointers.append(data)
            elif isinstance(data, str) and data:
                self.pictures.append((data, _type(field(blob, "mimeType"))))
        for file in items(field(part, "fileData")):
            self.pointers.append(text_of(field(file, "fileUri")) or "file")
        text = part if isinstance(part, str) else text_of(field(part, "text"))
        if text:
            self._read(text)

    def _read(self, text: str) -> None:
        address = pointer(text)
        if address is None:
            self.words.append(text)
        elif address.startswith("data:"):
            self.pictures.append((address, ""))
        else:
            self.pointers.append(address)
            self.words.append(text)


def _read_loosely(body: bytes) -> Outcome:
    """Return what an answer holds that has no image in its usual place, or is no answer."""
    answer = loose(body)
    # A list of one, or the pieces of a stream.
    pieces = [piece for piece in items(unwrap(answer)) if isinstance(piece, dict)]
    if not pieces:
        return malformed_answer("The service's answer was not what it should be.")
    counts = [_usage(field(piece, "usageMetadata")) for piece in pieces]
    usage = next((count for count in reversed(counts) if count is not None), None)
    error = next(filter(None, map(_error, pieces)), None)
    content = _CandidateContent(
        {"candidates": [c for p in pieces for c in items(field(p, "candidates"))]}
    )
    outcome = best_picture(content.pictures, usage)
    if isinstance(outcome, Picture):
        return outcome
    if error is not None:
        status = error.code or _CODES.get(error.status, 200)
        return msgspec.structs.replace(_of_error(error, status, "The service", None), usage=usage)
    refusal = _refusal(pieces, content, usage)
    if refusal is not None:
        return refusal
    elsewhere = outside_usual_places(
        pieces, usage, has_address=bool(content.pointers), unreadable=outcome
    )
    if elsewhere is not None:
        return elsewhere
    if not (content.reasons or content.messages or content.words):
        return _without_anything(pieces, usage)
    message = " ".join((*content.messages, *content.words))
    reason = content.reasons[0] if content.reasons else "STOP"
    if reason == _DISABLED:
        message = message or "The account is limited or disabled by the service's policy."
        return _without_picture(FaultKind.KEY_REJECTED, reason, message, usage)
    return _without_picture(FaultKind.NO_PICTURE, reason, message, usage)


def _without_anything(pieces: list[Any], usage: Usage | None) -> ProviderError:
    """Return the fault of an answer without a picture, a word or a reason."""
    is_known = any(field(piece, "candidates") is not None for piece in pieces)
    if is_known and not (usage and usage.output_tokens):
        return malformed_answer("The service's answer was empty.", usage)
    return unknown_form_error(pieces[0], usage)


def _refusal(
    pieces: list[Any], content: _CandidateContent, usage: Usage | None
) -> ProviderError | None:
    """Return the fault of an answer that refuses to draw; None if it does not."""
    for piece in pieces:
        feedback = field(piece, "promptFeedback")
        reason = text_of(field(feedback, "blockReason"))
        if reason:
            message = text_of(field(feedback, "blockReasonMessage")) or " ".join(content.words)
            return _without_picture(FaultKind.REFUSED, reason, message, usage)
    reason = next((reason for reason in content.reasons if reason in _REFUSALS), "")
    if not reason:
        return None
    message = " ".join((*content.messages, *content.words))
    return _without_picture(FaultKind.REFUSED, reason, message, usage)


def _of_error(error: _Error, status: int, host: str, retry_after: str | None) -> ProviderError:
    """Return what an error means, by its words where the status is too little."""
    text = safe_message(error.message)
    reasons = list(texts_in(error.details, "reason", _DEEPEST_DETAIL))
    searched = " ".join((error.message[:LONGEST_TEXT], *reasons))
    delay = _delay(error, retry_after)
    reason = safe_message(error.status) or f"HTTP {status}"
    if _NO_CAPACITY.search(searched):
        return ProviderError(
            kind=FaultKind.PASSING, reason="no capacity", message=text, retry_after=delay
        )
    if status == 402 or (status < 500 and NO_CREDIT.search(searched)):
        text = text or f"{host} answered HTTP {status}: the account has no credit."
        return ProviderError(kind=FaultKind.OUT_OF_CREDIT, reason="no credit", message=text)
    if status == 429:
        return _quota_error(error, text, delay)
    if is_passing(status) and status != 200:
        message = text or f"{host} answered HTTP {status}."
        reason = f"HTTP {status}"
        return ProviderError(
            kind=FaultKind.PASSING, reason=reason, message=message, retry_after=delay
        )
    text = text or f"{host} answered HTTP {status} without a word why."
    kind = _kind(status, searched, reasons)
    if kind is FaultKind.MODEL_GONE and not (
        error.status == "NOT_FOUND" or _MODEL.search(searched)
    ):
        return wrong_path_error(host, status, safe_message(error.message))
    if kind is FaultKind.KEY_REJECTED and reasons:
        reason = safe_message(reasons[0])
    return ProviderError(kind=kind, reason=reason, message=text)


def _kind(status: int, searched: str, reasons: list[str]) -> FaultKind:
    if _KEY.search(searched) or any(reason.startswith("API_KEY_") for reason in reasons):
        return FaultKind.KEY_REJECTED
    if status == 405 or status >= 500 or _SET_UP.search(searched):
        return FaultKind.UNUSABLE
    kinds = {
        200: FaultKind.NO_PICTURE,
        401: FaultKind.KEY_REJECTED,
        403: FaultKind.KEY_REJECTED,
        404: FaultKind.MODEL_GONE,
    }
    return kinds.get(status, FaultKind.BAD_REQUEST)


def _quota_error(error: _Error, message: str, delay: float | None) -> ProviderError:
    """Return the worst of what a 429 says: no quota at all, then the day's, then the minute's."""
    message = message or "Too many requests."
    quotas = list(texts_in(error.details, "quotaId", _DEEPEST_DETAIL))
    limits = texts_in(error.details, "quotaValue", _DEEPEST_DETAIL)
    if _NO_QUOTA.search(error.message[:LONGEST_TEXT]) or "0" in limits:
        return ProviderError(kind=FaultKind.NO_QUOTA, reason="no quota", message=message)
    if any("perday" in quota.lower() for quota in quotas):
        # The delay beside it is tens of seconds and no help.
        return ProviderError(kind=FaultKind.SPENT_TODAY, reason="quota per day", message=message)
    reason = "quota per minute" if quotas else "HTTP 429"
    return ProviderError(kind=FaultKind.LIMITED, reason=reason, message=message, retry_after=delay)


def _delay(error: _Error, retry_after: str | None) -> float | None:
    """Return the longest wait that an error asks for, in seconds; None if it asks for none."""
    delays = [_seconds(text) for text in texts_in(error.details, "retryDelay", _DEEPEST_DETAIL)]
    delays.append(_seconds(retry_after))
    return max((delay for delay in delays if delay is not None), default=None)


def _without_picture(kind: FaultKind, reason: str, text: str, usage: Usage | None) -> ProviderError:
    reason = safe_message(reason)
    message = safe_message(text) or f"The service returned no image and no explanation ({reason})."
    return ProviderError(kind=kind, reason=reason, message=message, usage=usage)


def _error(answer: Any) -> _Error | None:
    """Return the error that an answer holds, in any of the ways that gateways write one."""
    answer = unwrap(answer)
    inner = unwrap(field(answer, "error", "errors"))
    if isinstance(inner, dict):
        code = field(inner, "code", "status")
        return _Error(
            message=words(inner),
            status=text_of(field(inner, "status")),
            code=code if type(code) is int and 400 <= code < 600 else 0,
            details=field(inner, "details"),
        )
    if inner is not None:
        message = words(inner)
        return _Error(message=message) if message else None
    if not isinstance(answer, dict) or field(answer, "candidates", "promptFeedback") is not None:
        return None
    message = words_in(answer, *_WORDS)
    return _Error(message=message) if message else None


def _seconds(text: str | None) -> float | None:
    """Return the seconds in `34s`, `10.689s` or `34`; None for anything else."""
    match = _SECONDS.fullmatch(text or "")
    return float(match[1]) if match else None


def _type(claimed: Any) -> str:
    return claimed[:LONGEST_NAME].strip().lower() if isinstance(claimed, str) else ""


def _usage(counts: Any) -> Usage | None:
    if not isinstance(unwrap(counts), dict):
        return None
    sent, thoughts = tokens(counts, "promptTokenCount"), tokens(counts, "thoughtsTokenCount")
    # Without a count of its own, the answer is what is left of them all.
    rest = tokens(counts, "totalTokenCount") - sent - thoughts
    return Usage(
        input_tokens=sent,
        output_tokens=(tokens(counts, "candidatesTokenCount") or max(0, rest)) + thoughts,
        thought_tokens=thoughts,
        picture_input_tokens=_of_modality(counts, "promptTokensDetails", "IMAGE"),
        text_output_tokens=_of_modality(counts, "candidatesTokensDetails", "TEXT"),
    )


def _of_modality(counts: Any, name: str, modality: str) -> int:
    """Return how many of some tokens are of one modality; 0 if the answer does not say."""
    return sum(
        tokens(detail, "tokenCount")
        for detail in items(field(counts, name))
        if text_of(field(detail, "modality")).upper() == modality
    )
