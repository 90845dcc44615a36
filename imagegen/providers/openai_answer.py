"""What an API of OpenAI's shape answers, and what it means.

Gateways word their errors in their own ways: `error` is an object or text, `code` a number
or text, and what OpenAI says with a code others say in a sentence. So a fault is told by any
of its words first, and by the status where no word helps.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from imagegen.providers.answers import (
    LONGEST_NAME,
    broken,
    decoded,
    is_text,
    picture,
    redirected,
    shown,
    tokens,
)
from imagegen.providers.base import Allowance, Fault, Kind, Outcome, Usage
from imagegen.secret import redact

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

_MOST_MODELS: Final = 1000
_MOST_A_MINUTE: Final = 100_000
_MINUTE: Final = 60.0
_LONGEST_TEXT: Final = 20_000

_CODES: Final = {
    "moderation_blocked": Kind.REFUSED,
    "content_policy_violation": Kind.REFUSED,
    "content_filter": Kind.REFUSED,
    "safety_violation": Kind.REFUSED,
    # A person must pay or raise a limit, and may do so at any moment; other keys may go on.
    "insufficient_quota": Kind.OUT_OF_CREDIT,
    "billing_hard_limit_reached": Kind.OUT_OF_CREDIT,
    "billing_limit_user_error": Kind.OUT_OF_CREDIT,
    "billing_not_active": Kind.OUT_OF_CREDIT,
    "organization_spend_limit_exceeded": Kind.OUT_OF_CREDIT,
    "organization_usage_limit_exceeded": Kind.OUT_OF_CREDIT,
    "project_spend_limit_exceeded": Kind.OUT_OF_CREDIT,
    "credit_balance_exhausted": Kind.OUT_OF_CREDIT,
    "budget_exceeded": Kind.OUT_OF_CREDIT,
    "invalid_api_key": Kind.KEY_REJECTED,
    "account_deactivated": Kind.KEY_REJECTED,
    "expired_key": Kind.KEY_REJECTED,
    "auth_error": Kind.KEY_REJECTED,
    "token_not_found_in_db": Kind.KEY_REJECTED,
    # What LiteLLM says to any key but its own where it has no database to look in.
    "no_db_connection": Kind.KEY_REJECTED,
}
"""What `code` or `type` of an error say, whatever the status."""

_STATUSES: Final = {
    401: Kind.KEY_REJECTED,
    402: Kind.OUT_OF_CREDIT,
    # Not verified, of a wrong region, or without the model: another key's account may be.
    403: Kind.KEY_REJECTED,
    404: Kind.MODEL_GONE,
    429: Kind.LIMITED,
    451: Kind.REFUSED,
}

_SAFETY = re.compile(r"safety system|content (?:management )?policy|\bmoderation\b", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"invalid model|unknown model|no such model|\bmodel\b.{0,200}?\b(?:does not exist|not found)",
    re.IGNORECASE | re.DOTALL,
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
    url: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Datum] = []
    # Any: a wrong count must not cost a picture.
    usage: Any = None
    error: Any = None


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: Any = None
    # Of FastAPI, and of what else is written in few words.
    detail: Any = None
    message: Any = None


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
_errors = msgspec.json.Decoder(_ErrorAnswer)
_model_lists = msgspec.json.Decoder(_Models)


def outcome(body: bytes) -> Outcome:
    """Return what an answer with status 200 holds: a picture, or why there is none."""
    answer = decoded(_answers, body)
    if answer is None:
        return broken("The service's answer was not what it should be.")
    usage = _usage(answer.usage)
    first = answer.data[0] if answer.data else _Datum()
    if is_text(first.b64_json):
        return picture(first.b64_json, usage)
    if first.url:
        return _of_address(first.url, usage)
    said = shown(_message(answer.error)) or "The service gave no picture and no words why."
    return Fault(kind=Kind.NO_PICTURE, reason="no picture", message=said, usage=usage)


def listed_models(body: bytes) -> tuple[str, ...] | Fault:
    """Return the names of all models that the service lists."""
    read = decoded(_model_lists, body)
    if read is None:
        return broken("The service's list of models was not what it should be.")
    known = [model.id for model in read.data[:_MOST_MODELS] if len(model.id) <= LONGEST_NAME]
    if not known:
        return broken("The service's list of models was empty.")
    return tuple(dict.fromkeys(redact(name) for name in known))


def fault(reply: "Reply", base_url: str) -> Fault:
    """Return what an answer with any status but 2xx means."""
    status = reply.status
    if 300 <= status < 400:
        return redirected(reply, base_url)
    error = _error(reply.body)
    host = urlsplit(base_url).hostname
    kind = _kind(status, error)
    said = shown(error.message) if error else ""
    if error is None and kind is Kind.MODEL_GONE:
        said = f"{host} answered HTTP {status}: is it the right address (base_url)?"
    return Fault(
        kind=kind,
        reason=_reason(status, error),
        message=said or f"{host} answered HTTP {status}.",
        retry_after=_retry_after(reply, error) if kind is Kind.LIMITED else None,
    )


def allowance(headers: Mapping[str, str]) -> Allowance | None:
    """Return what the headers `x-ratelimit-*` say of requests and of images.

    A limit whose reset is more than a minute away is one of a longer time, and no rate.
    """
    rates, left, resets = [], [], []
    for what in ("requests", "images"):
        limit = _count(headers.get(f"x-ratelimit-limit-{what}"))
        remaining = _count(headers.get(f"x-ratelimit-remaining-{what}"))
        reset = seconds(headers.get(f"x-ratelimit-reset-{what}"))
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


def _kind(status: int, error: _Error | None) -> Kind:
    for code in error.codes if error else ():
        if code in _CODES:
            return _CODES[code]
    if error is None and status not in _STATUSES.keys() - {403}:
        # A page of something on the way, not an answer of the service.
        return Kind.BAD_REQUEST if status == 413 else Kind.PASSING
    if status in _STATUSES:
        return _STATUSES[status]
    if status == 408 or status >= 500 or status < 200:
        return Kind.PASSING
    words = error.message[:_LONGEST_TEXT] if error else ""
    if (error and error.param == "model") or _NO_MODEL.search(words):
        return Kind.MODEL_GONE
    return Kind.REFUSED if _SAFETY.search(words) else Kind.BAD_REQUEST


def _reason(status: int, error: _Error | None) -> str:
    """Return the code if it is a word that tells something, else the status."""
    codes = error.codes if error else ()
    telling = (code for code in codes if code in _CODES or not code.isdigit())
    return shown(next(telling, "")) or f"HTTP {status}"


def _retry_after(reply: "Reply", error: _Error | None) -> float | None:
    """Return the longest wait that a 429 asks for, in seconds; None where it says nothing."""
    waits = [seconds(reply.headers.get("Retry-After"))]
    thousandths = seconds(reply.headers.get("Retry-After-Ms"))
    waits.append(None if thousandths is None else thousandths / 1000)
    match = _AGAIN.search(error.message[:_LONGEST_TEXT]) if error else None
    if match:
        waits.append(sum(_in_seconds(*part) for part in _STRETCH.findall(match[1])))
    return max((wait for wait in waits if wait is not None), default=None)


def _in_seconds(number: str, unit: str) -> float:
    """Return a stretch of time in seconds, by the first letters of its unit."""
    unit = unit.lower()
    return float(number) * _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[:1] or "s"]


def _of_address(url: str, usage: Usage | None) -> Outcome:
    """Return the picture that an address itself holds; one elsewhere is not fetched.

    Some gateways write it so: `data:image/png;base64,…`.
    """
    if url.startswith("data:"):
        return picture(url, usage)
    message = (
        "The service sent the address of a picture and no picture, and addresses are not "
        "followed. Its operator can make it answer with b64_json."
    )
    return Fault(kind=Kind.UNUSABLE, reason="address", message=message, usage=usage)


def _error(body: bytes) -> _Error | None:
    answer = decoded(_errors, body)
    if answer is None:
        return None
    inner = answer.error
    if isinstance(inner, dict):
        codes = (str(inner.get(name, ""))[:LONGEST_NAME].lower() for name in ("code", "type"))
        param = inner.get("param")
        return _Error(
            message=_message(inner),
            codes=tuple(code for code in codes if code and code != "none"),
            param=param if isinstance(param, str) else "",
        )
    said = _message(inner) or _message(answer.message) or _message(answer.detail)
    return _Error(message=said) if said else None


def _message(value: object) -> str:
    """Return the words of an error: text, or what an object or the first of a list says."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        for name in ("message", "msg", "error"):
            if isinstance(value.get(name), str):
                return str(value[name])
    return ""


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text.strip()) else None


def _usage(counts: object) -> Usage | None:
    if not isinstance(counts, dict):
        return None
    sent = counts.get("input_tokens_details")
    drawn = counts.get("output_tokens_details")
    return Usage(
        input_tokens=tokens(counts, "input_tokens"),
        output_tokens=tokens(counts, "output_tokens"),
        picture_input_tokens=tokens(sent, "image_tokens") if isinstance(sent, dict) else 0,
        text_output_tokens=tokens(drawn, "text_tokens") if isinstance(drawn, dict) else 0,
    )
