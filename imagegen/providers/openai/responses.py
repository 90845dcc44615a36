"""What an API of OpenAI's shape answers, and what it means.

Gateways word their errors in their own ways: `error` is an object or text, `code` a number
or text, and what OpenAI says with a code others say in a sentence. So an error is recognized by any
of its words first, and by the status where no word helps. An answer with an image in its
usual place is decoded in one pass; every other is read field by field.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from imagegen.providers.base import Allowance, FaultKind, Outcome, Picture, ProviderError, Usage
from imagegen.providers.responses import (
    LONGEST_NAME,
    LONGEST_TEXT,
    NO_CREDIT,
    best_picture,
    field,
    is_address,
    is_image,
    is_passing,
    is_text,
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
    tokens,
    try_decode,
    unwrap,
    whole_file,
    words,
    words_in,
    wrong_path_error,
)
from imagegen.secret import redact

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

_MOST_MODELS: Final = 1000
_MOST_A_MINUTE: Final = 100_000
_MINUTE: Final = 60.0

_CODES: Final = {
    "moderation_blocked": FaultKind.REFUSED,
    "content_policy_violation": FaultKind.REFUSED,
    "content_filter": FaultKind.REFUSED,
    "safety_violation": FaultKind.REFUSED,
    # A person must pay or raise a limit, and may do so at any moment; other keys may go on.
    "insufficient_quota": FaultKind.OUT_OF_CREDIT,
    "billing_hard_limit_reached": FaultKind.OUT_OF_CREDIT,
    "billing_limit_user_error": FaultKind.OUT_OF_CREDIT,
    "billing_not_active": FaultKind.OUT_OF_CREDIT,
    "organization_spend_limit_exceeded": FaultKind.OUT_OF_CREDIT,
    "organization_usage_limit_exceeded": FaultKind.OUT_OF_CREDIT,
    "project_spend_limit_exceeded": FaultKind.OUT_OF_CREDIT,
    "credit_balance_exhausted": FaultKind.OUT_OF_CREDIT,
    "budget_exceeded": FaultKind.OUT_OF_CREDIT,
    "invalid_api_key": FaultKind.KEY_REJECTED,
    "account_deactivated": FaultKind.KEY_REJECTED,
    "expired_key": FaultKind.KEY_REJECTED,
    "auth_error": FaultKind.KEY_REJECTED,
    "token_not_found_in_db": FaultKind.KEY_REJECTED,
    "unsupported_country_region_territory": FaultKind.UNUSABLE,
    "unknown_parameter": FaultKind.UNUSABLE,
    "unsupported_parameter": FaultKind.UNUSABLE,
    # What LiteLLM says to any key but its own where it has no database to look in.
    "no_db_connection": FaultKind.KEY_REJECTED,
}
"""The meaning of an error's `code` or `type`, for any status."""

_STATUSES: Final = {
    401: FaultKind.KEY_REJECTED,
    402: FaultKind.OUT_OF_CREDIT,
    # Not verified, of a wrong region, or without the model: another key's account may be.
    403: FaultKind.KEY_REJECTED,
    404: FaultKind.MODEL_GONE,
    405: FaultKind.UNUSABLE,
    429: FaultKind.LIMITED,
    451: FaultKind.REFUSED,
}

_SAFETY = re.compile(r"safety system|content (?:management )?policy|\bmoderation\b", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"invalid model|unknown model|no such model|\bmodel\b.{0,200}?\b(?:does not exist|not found)",
    re.IGNORECASE | re.DOTALL,
)
_NO_QUOTA_PAID = re.compile(r"insufficient quota|exceeded your current quota", re.IGNORECASE)
"""What OpenAI says of an account without credit, and Gemini of its limits."""
_NO_CAPACITY = re.compile(r"no capacity available|model_capacity", re.IGNORECASE)
_KEY = re.compile(
    r"(?:incorrect|invalid|expired) api key|api key (?:expired|not valid)", re.IGNORECASE
)
_SET_UP = re.compile(
    r"(?:location|country|region)\b.{0,80}\bnot supported|billed users|response modalit"
    r"|unknown (?:name|parameter)|cannot find field",
    re.IGNORECASE,
)
_UNITS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"\d{1,6}(?:\.\d{1,9})?"
_UNIT = r"(?:ms|milliseconds?|d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)(?![a-z])"
_AGAIN = re.compile(
    rf"try again (?:in|after) ((?:{_NUMBER} ?{_UNIT},? ?(?:and )?){{1,5}}|{_NUMBER}\b)",
    re.IGNORECASE,
)
_STRETCH = re.compile(rf"({_NUMBER}) ?({_UNIT})?", re.IGNORECASE)
_DURATION = re.compile(
    r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,9})?")


class _Datum(msgspec.Struct, frozen=True, gc=False):
    b64_json: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Datum] = []
    # Any: a wrong count must not cost an image.
    usage: Any = None


class _Model(msgspec.Struct, frozen=True):
    id: str


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model] = []


class _Error(msgspec.Struct, frozen=True):
    """An error however it was written: its words, and its `code` and `type` in lower case."""

    message: str = ""
    codes: tuple[str, ...] = ()
    param: str = ""


_answers = msgspec.json.Decoder(_Answer)
_model_lists = msgspec.json.Decoder(_Models)


def outcome(body: bytes) -> Outcome:
    """Return what an answer with status 200 holds: an image, or why it has no image."""
    answer = try_decode(_answers, body)
    if answer is not None:
        usage = _usage(answer.usage)
        for datum in answer.data:
            if is_text(datum.b64_json):
                image = picture(datum.b64_json, usage)
                if is_image(image):
                    return image
    return whole_file(body) or _read_loosely(body)


def _read_loosely(body: bytes) -> Outcome:
    """Return what an answer holds that has no image in its usual place, or is no answer."""
    answer = unwrap(loose(body))
    if not isinstance(answer, dict):
        return malformed_answer("The service's answer was not what it should be.")
    usage = _usage(field(answer, "usage"))
    entries = items(field(answer, "data", "images"))
    pictures, is_elsewhere = _pictures(entries)
    outcome = best_picture(pictures, usage)
    if isinstance(outcome, Picture):
        return outcome
    error = _read_error(answer)
    kind = _classify(error) if error is not None else None
    if error is not None and kind is not None:
        text = safe_message(error.message) or "The service returned no image."
        return ProviderError(kind=kind, reason=_reason(200, error), message=text, usage=usage)
    elsewhere = outside_usual_places(answer, usage, has_address=is_elsewhere, unreadable=outcome)
    if elsewhere is not None:
        return elsewhere
    text = " ".join(
        filter(None, (words(field(entry, "error", "message", "text")) for entry in entries))
    )
    message = safe_message(error.message if error is not None else text)
    message = message or "The service returned no image and no explanation."
    return ProviderError(
        kind=FaultKind.NO_PICTURE, reason="no picture", message=message, usage=usage
    )


def _pictures(entries: list[Any]) -> tuple[list[tuple[str, str]], bool]:
    """Return what entries hold in base64, and whether one leads to an image elsewhere."""
    pictures, is_elsewhere = [], False
    for text in (text for entry in entries for text in _texts(entry)):
        address = text if is_address(text) else pointer(text)
        if address is None or address.startswith("data:"):
            pictures.append((address or text, ""))
        else:
            is_elsewhere = True
    return pictures, is_elsewhere


def _texts(datum: Any) -> list[str]:
    """Return the texts of an entry that may be an image or lead to one."""
    if isinstance(datum, str):
        return [datum]
    names = ("b64_json", "b64Json", "b64", "base64", "image", "url", "imageUrl")
    values = (field(datum, name) for name in names)
    texts = (value if isinstance(value, str) else text_of(field(value, "url")) for value in values)
    return [text for text in texts if text]


def listed_models(body: bytes) -> tuple[str, ...] | ProviderError:
    """Return the names of all models that the service lists."""
    read = try_decode(_model_lists, body)
    if read is None:
        return malformed_answer("The service's list of models was not what it should be.")
    names = [model.id for model in read.data[:_MOST_MODELS] if len(model.id) <= LONGEST_NAME]
    if not names:
        return malformed_answer("The service's list of models was empty.")
    return tuple(dict.fromkeys(redact(name) for name in names))


def fault(reply: "Reply", base_url: str) -> ProviderError:
    """Return what an answer with a status of an error means."""
    status = reply.status
    error = _error(reply.body)
    host = urlsplit(base_url).hostname or ""
    kind = _kind(status, error)
    text = safe_message(error.message) if error else ""
    if kind is FaultKind.MODEL_GONE and not (error and _tells_of_model(error)):
        return wrong_path_error(host, status, text)
    text = text or safe_message(page_title(reply.body))
    quoted = f' ("{text}")' if text and error is None else ""
    waits = kind in {FaultKind.LIMITED, FaultKind.PASSING}
    return ProviderError(
        kind=kind,
        reason=_reason(status, error),
        message=(error and text) or f"{host} answered HTTP {status}{quoted}.",
        retry_after=_retry_after(reply, error) if waits else None,
    )


def allowance(headers: Mapping[str, str]) -> Allowance | None:
    """Return what the headers `x-ratelimit-*` say of requests and of images.

    A limit that resets more than a minute from now is not a limit per minute.
    """
    rates, left, resets = [], [], []
    for unit in ("requests", "images"):
        limit = _count(headers.get(f"x-ratelimit-limit-{unit}"))
        remaining = _count(headers.get(f"x-ratelimit-remaining-{unit}"))
        reset = seconds(headers.get(f"x-ratelimit-reset-{unit}"))
        if limit and (reset is None or reset <= _MINUTE):
            rates.append(min(limit, _MOST_A_MINUTE))
        if remaining is not None:
            left.append(remaining)
            if remaining == 0 and reset is not None:
                resets.append(reset)
    if not rates and not left:
        return None
    return Allowance(
        per_minute=min(rates, default=None),
        remaining=min(left, default=None),
        reset=max(resets, default=None),
    )


def seconds(text: str | None) -> float | None:
    """Return the seconds in `12ms`, `1.5s`, `6m0s` or `34`; None for anything else."""
    text = (text or "").strip().lower()
    if _SECONDS.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if not match or not text:
        return None
    hours, minutes, rest, thousandths = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest + thousandths / 1000


def _classify(error: _Error) -> FaultKind | None:
    """Classify an error by its own text, for any status; None if that is unclear."""
    for code in error.codes:
        if code in _CODES:
            return _CODES[code]
    text = " ".join((error.message[:LONGEST_TEXT], *error.codes))
    if _NO_CAPACITY.search(text):
        return FaultKind.PASSING
    if NO_CREDIT.search(text) or _NO_QUOTA_PAID.search(text):
        return FaultKind.OUT_OF_CREDIT
    return FaultKind.KEY_REJECTED if _KEY.search(text) else None


def _kind(status: int, error: _Error | None) -> FaultKind:
    kind = _classify(error) if error is not None and status < 500 else None
    if kind is not None:
        return kind
    if status in _STATUSES and not (status == 403 and error and _SET_UP.search(error.message)):
        return _STATUSES[status]
    if is_passing(status):
        return FaultKind.PASSING
    text = error.message[:LONGEST_TEXT] if error else ""
    if error and _tells_of_model(error):
        return FaultKind.MODEL_GONE
    if status >= 500 or _SET_UP.search(text):
        return FaultKind.UNUSABLE
    return FaultKind.REFUSED if _SAFETY.search(text) else FaultKind.BAD_REQUEST


def _tells_of_model(error: _Error) -> bool:
    codes = {"model_not_found", "invalid_model"}
    return (
        error.param == "model"
        or not codes.isdisjoint(error.codes)
        or _NO_MODEL.search(error.message[:LONGEST_TEXT]) is not None
    )


def _reason(status: int, error: _Error | None) -> str:
    """Return the code if it is informative, else the status."""
    codes = error.codes if error else ()
    informative = (code for code in codes if code in _CODES or not code.isdigit())
    return safe_message(next(informative, "")) or f"HTTP {status}"


def _retry_after(reply: "Reply", error: _Error | None) -> float | None:
    """Return the longest wait that a 429 asks for, in seconds; None if it says nothing."""
    waits = [seconds(reply.headers.get("Retry-After"))]
    thousandths = seconds(reply.headers.get("Retry-After-Ms"))
    waits.append(None if thousandths is None else thousandths / 1000)
    match = _AGAIN.search(error.message[:LONGEST_TEXT]) if error else None
    if match:
        waits.append(sum(_in_seconds(*part) for part in _STRETCH.findall(match[1])))
    return max((wait for wait in waits if wait is not None), default=None)


def _in_seconds(number: str, unit: str) -> float:
    """Return a stretch of time in seconds, by the first letters of its unit."""
    unit = unit.lower()
    return float(number) * _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[:1] or "s"]


def _error(body: bytes) -> _Error | None:
    """Return the error of a body however it is written; None if it has no words."""
    answer = unwrap(loose(body))
    if isinstance(answer, dict):
        return _read_error(answer)
    message = plain_text(body)
    return _Error(message=message) if message else None


def _read_error(answer: dict[str, Any]) -> _Error | None:
    inner = unwrap(field(answer, "error", "errors"))
    if isinstance(inner, dict):
        codes = (text_of(inner.get(name))[:LONGEST_NAME].lower() for name in ("code", "type"))
        param = inner.get("param")
        return _Error(
            message=words(inner),
            codes=tuple(code for code in codes if code and code != "none"),
            param=param if isinstance(param, str) else "",
        )
    # `detail` is FastAPI's, and of what else is written in few words.
    message = words(inner) or words_in(answer, "message", "detail", "msg")
    return _Error(message=message) if message else None


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text.strip()) else None


def _usage(counts: Any) -> Usage | None:
    if not isinstance(unwrap(counts), dict):
        return None
    sent = tokens(counts, "inputTokens", "promptTokens")
    drawn = tokens(counts, "outputTokens", "completionTokens")
    # Without a count of its own, the answer is what is left of them all.
    return Usage(
        input_tokens=sent,
        output_tokens=drawn or max(0, tokens(counts, "totalTokens") - sent),
        picture_input_tokens=tokens(field(counts, "inputTokensDetails"), "imageTokens"),
        text_output_tokens=tokens(field(counts, "outputTokensDetails"), "textTokens"),
    )
