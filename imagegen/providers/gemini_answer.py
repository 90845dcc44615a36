"""What the Gemini API answers, and what it means.

Everything here comes from outside: types may be wrong, fields missing, reasons new.
Answers without an error are decoded in one pass.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from imagegen.providers.answers import (
    LONGEST_NAME,
    broken,
    decoded,
    picture,
    redirected,
    shown,
    tokens,
)
from imagegen.providers.base import Fault, Kind, Outcome, Usage
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
    }
)
"""Finish reasons that a second try will not mend. Unknown ones may be mended."""

_NO_QUOTA = re.compile(r"\blimit:\s*0+(?!\d|\.\d)")
_SECONDS = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)s?\s*")


class _InlineData(msgspec.Struct, frozen=True, gc=False):
    data: msgspec.Raw
    # No mimeType: it is often wrong, the first bytes are not.


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    text: str | None = None
    inline_data: _InlineData | None = None
    thought: bool = False


class _Content(msgspec.Struct, frozen=True):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct, frozen=True, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _PromptFeedback(msgspec.Struct, frozen=True, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    candidates: list[_Candidate] = []
    prompt_feedback: _PromptFeedback | None = None
    # Any: a wrong count must not cost a picture.
    usage_metadata: Any = None


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    status: str = ""
    # Any: what helps is read from the status code if the details are not what they were.
    details: Any = None


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: _Error


class _Model(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    supported_generation_methods: list[str] = []


class _Models(msgspec.Struct, frozen=True, rename="camel"):
    models: list[_Model] = []
    next_page_token: str = ""


_answers = msgspec.json.Decoder(_Answer)
_errors = msgspec.json.Decoder(_ErrorAnswer)
_model_lists = msgspec.json.Decoder(_Models)


def outcome(body: bytes) -> Outcome:
    """Return what an answer with status 200 holds: a picture, or why there is none."""
    answer = decoded(_answers, body)
    if answer is None:
        return broken("The service's answer was not what it should be.")
    usage = _usage(answer.usage_metadata)
    candidate = answer.candidates[0] if answer.candidates else None
    # Drafts come first and are marked as thoughts.
    parts = [] if candidate is None or candidate.content is None else candidate.content.parts
    parts = [part for part in parts if not part.thought]
    for part in parts:
        if part.inline_data is not None:
            return picture(part.inline_data.data, usage)
    words = " ".join(part.text for part in parts if part.text)
    feedback = answer.prompt_feedback
    if feedback is not None and feedback.block_reason:
        said = feedback.block_reason_message or words
        return _without_picture(Kind.REFUSED, feedback.block_reason, said, usage)
    if candidate is None or not (candidate.finish_reason or words):
        return broken("The service's answer was empty.", usage)
    reason = candidate.finish_reason or "STOP"
    kind = Kind.REFUSED if reason in _REFUSALS else Kind.NO_PICTURE
    said = " ".join(text for text in (candidate.finish_message, words) if text)
    return _without_picture(kind, reason, said, usage)


def listed_models(body: bytes) -> tuple[list[str], str] | Fault:
    """Return one page of the list of models: those that can draw, and the next page's token.

    Which of them are image models the page does not say.
    """
    page = decoded(_model_lists, body)
    if page is None or len(page.next_page_token) > _LONGEST_PAGE_TOKEN:
        return broken("The service's list of models was not what it should be.")
    if not page.models and not page.next_page_token:
        return broken("The service's list of models was empty.")
    names = [
        redact(model.name.removeprefix("models/"))
        for model in page.models
        if "generateContent" in model.supported_generation_methods
        and len(model.name) <= LONGEST_NAME
    ]
    return names, page.next_page_token


def fault(reply: "Reply", base_url: str) -> Fault:
    """Return what an answer with any status but 2xx means."""
    status = reply.status
    if 300 <= status < 400:
        return redirected(reply, base_url)
    error = _error(reply.body)
    said = shown(error.message) if error else ""
    if status == 429:
        return _limited(error or _Error(), said, reply)
    host = urlsplit(base_url).hostname
    if error is None or status == 408 or status >= 500 or status < 200:
        message = said or f"{host} answered HTTP {status}."
        return Fault(kind=Kind.PASSING, reason=f"HTTP {status}", message=message)
    said = said or f"{host} answered HTTP {status} without a word why."
    reason = shown(error.status) or f"HTTP {status}"
    if status == 400 and "API_KEY_INVALID" in _texts(error, "reason"):
        return Fault(kind=Kind.KEY_REJECTED, reason="API_KEY_INVALID", message=said)
    kinds = {401: Kind.KEY_REJECTED, 403: Kind.KEY_REJECTED, 404: Kind.MODEL_GONE}
    return Fault(kind=kinds.get(status, Kind.BAD_REQUEST), reason=reason, message=said)


def _limited(error: _Error, said: str, reply: "Reply") -> Fault:
    """Return the worst of what a 429 says: no quota at all, then the day's, then the minute's."""
    said = said or "Too many requests."
    quotas = _texts(error, "quotaId")
    if _NO_QUOTA.search(error.message) or "0" in _texts(error, "quotaValue"):
        return Fault(kind=Kind.NO_QUOTA, reason="no quota", message=said)
    if any("perday" in quota.lower() for quota in quotas):
        # The delay beside it is tens of seconds and no help.
        return Fault(kind=Kind.SPENT_TODAY, reason="quota per day", message=said)
    delays = [_seconds(text) for text in _texts(error, "retryDelay")]
    delays.append(_seconds(reply.headers.get("Retry-After")))
    return Fault(
        kind=Kind.LIMITED,
        reason="quota per minute" if quotas else "HTTP 429",
        message=said,
        retry_after=max((delay for delay in delays if delay is not None), default=None),
    )


def _without_picture(kind: Kind, reason: str, said: str, usage: Usage | None) -> Fault:
    reason = shown(reason)
    message = shown(said) or f"The service gave no picture and no words why ({reason})."
    return Fault(kind=kind, reason=reason, message=message, usage=usage)


def _error(body: bytes) -> _Error | None:
    answer = decoded(_errors, body)
    return answer.error if answer is not None else None


def _texts(error: _Error, field: str) -> list[str]:
    """Return every text under `field` in the error's details, whichever of them has it.

    Details are told apart by their fields: QuotaFailure has `violations` with `quotaId`,
    RetryInfo has `retryDelay`, ErrorInfo has `reason`.
    """
    return [text for item in _items(error.details) if isinstance(text := item.get(field), str)]


def _items(details: object, deepest: int = _DEEPEST_DETAIL) -> Iterator[dict[str, Any]]:
    for item in details if isinstance(details, list) and deepest else []:
        if isinstance(item, dict):
            yield item
            yield from _items(item.get("violations"), deepest - 1)


def _seconds(text: str | None) -> float | None:
    """Return the seconds in `34s`, `10.689s` or `34`; None for anything else."""
    match = _SECONDS.fullmatch(text or "")
    return float(match[1]) if match else None


def _usage(counts: object) -> Usage | None:
    if not isinstance(counts, dict):
        return None

    thoughts = tokens(counts, "thoughtsTokenCount")
    words = _of_modality(counts, "candidatesTokensDetails", "TEXT")
    return Usage(
        input_tokens=tokens(counts, "promptTokenCount"),
        output_tokens=tokens(counts, "candidatesTokenCount") + thoughts,
        thought_tokens=thoughts,
        picture_input_tokens=_of_modality(counts, "promptTokensDetails", "IMAGE"),
        text_output_tokens=words,
    )


def _of_modality(counts: dict[str, Any], name: str, modality: str) -> int:
    """Return how many of some tokens are of one modality; 0 if the answer does not say."""
    details = counts.get(name)
    if not isinstance(details, list):
        return 0
    return sum(
        tokens(one, "tokenCount")
        for one in details
        if isinstance(one, dict) and one.get("modality") == modality
    )
