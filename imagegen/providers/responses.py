"""What the answers of all image APIs have in common: read with care, shown without harm.

Everything here comes from outside: types may be wrong, fields missing, and a body made to
take as much memory as it can. Answers as the services document them are decoded in one pass;
`loose` and what follows it read all others, field by field, so that one odd field costs no
other.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import msgspec
import pybase64

from imagegen.providers.base import (
    BROKEN_PICTURE,
    ELSEWHERE,
    UNKNOWN_FORM,
    FaultKind,
    Outcome,
    Picture,
    ProviderError,
    Usage,
)
from imagegen.secret import redact

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

LONGEST_NAME: Final = 200
"""Maximum length of a model's name."""

LONGEST_TEXT: Final = 20_000
"""Characters of a text that are searched for what they mean."""

_LONGEST_MESSAGE: Final = 300
_LONGEST_KEY: Final = 1024
_LONGEST_HEAD: Final = 64 * 1024
"""Bytes of a web page in which its title is looked for."""
_MOST_ITEMS: Final = 1000
_MOST_COMMAS: Final = 200_000
"""A page of a thousand models has a tenth of it; images and words have next to none."""

_MOST_TOKENS: Final = 1_000_000_000
_INTEGER: Final = re.compile(r"[0-9]{1,10}(?:\.0*)?")
_HUMP: Final = re.compile(r"(?<!^)(?=[A-Z])")
_TITLE: Final = re.compile(r"<title[^>]{0,200}>(.{1,1000}?)</title", re.IGNORECASE | re.DOTALL)
_WHITE: Final = re.compile(r"\s+")

_IMAGE_LINK: Final = re.compile(
    r"(?:!\[[^\]]{0,1000}\]\(\s*<?|<img\s[^>]{0,1000}?src\s*=\s*[\"']?)([^\s)>\"']+)"
)
"""An image in Markdown or HTML; what it shows is at the address."""
_IMAGE_ADDRESS: Final = re.compile(
    r"(?:https?|gs)://[^\s)>\"']{1,2000}?\."
    r"(?:png|jpe?g|webp|gif|avif|bmp|tiff?|svg|heic)(?![\w.])",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"(?:https?|gs|ftp|s3|file)://\S", re.IGNORECASE)

NO_CREDIT: Final = re.compile(
    r"(?:credits?|balance)\b.{0,30}\b(?:depleted|exhausted|used up|too low|run out|not enough)"
    r"|(?:insufficient|not enough|out of) (?:account )?(?:credits?|funds|balance)"
    r"|spend(?:ing)? (?:cap|limit)|budget (?:has been |was |is )?exceeded"
    r"|account\b.{0,20}\b(?:overdue|in arrears)|payment (?:failed|required|overdue)"
    r"|\bplease (?:recharge|top[ -]up)\b|free trial (?:has )?(?:ended|expired)"
    r"|\u4f59\u989d\u4e0d\u8db3|\u6b20\u8d39",
    re.IGNORECASE,
)
"""What services and gateways say of an account without credit; the last in Chinese.

Sources: https://ai.google.dev/gemini-api/docs/troubleshooting, LiteLLM's budgets, users' reports.
"""

_PASSING: Final = frozenset({408, 409, 425, 499})
"""Statuses below 500 after which the same request may succeed."""
_NEVER: Final = frozenset({501, 505, 506, 510})
"""Statuses from 500 on that say what the server cannot do: waiting does not help."""
_NO_PAGE: Final = _PASSING | {402, 413, 429, 451}
"""Statuses below 500 that mean the same with a web page as without one."""

_SMALLEST: Final = 16
"""Bytes; an image file of any type has more."""
_SIGNATURES: Final = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"RIFF",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0",
)
"""How the files of the usual image types begin; the last is AVIF's and HEIC's."""

_LONGEST_WALK: Final = 10_000
"""Values of an answer that are looked at for a picture in an unusual place."""
_SHORTEST_PICTURE: Final = 64
"""Characters; a whole image file in base64 has more."""
_PICTURE: Final = re.compile(
    r"data:image/|iVBORw0KGgo|/9j/|_9j_|UklGR|R0lGOD|Qk[0-3]|SUkqA|TU0AK|AAAA.{2}Z0eX"
)
"""How base64 of the usual image types begins, or the address that holds it."""
_PICTURE_NAME: Final = re.compile(r"(?:\b|_)(?:image|img|picture|file|output)", re.IGNORECASE)
"""Names of fields whose address is a picture's."""
_SOURCES: Final = re.compile(r"grounding|citation", re.IGNORECASE)
"""Names of fields with what the model read, and not what it drew."""
_FILES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8")
_STREAM: Final = re.compile(r"^data:\s*(\{.*)$", re.MULTILINE)
"""A piece of an answer that comes as server-sent events."""
_MOST_NAMES: Final = 5

T = TypeVar("T")


def try_decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T | None:
    """Return what a body holds; None if it is of another shape, or made to do harm."""
    # A body full of empty lists takes fifty times its size once they are objects.
    if _has_more_commas(body, _MOST_COMMAS):
        return None
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _has_more_commas(body: bytes, most: int) -> bool:
    # `count` looks at every byte by itself, half a millisecond for an image; `find` does not.
    at = -1
    for _ in range(most + 1):
        at = body.find(b",", at + 1)
        if at < 0:
            return False
    return True


def loose(body: bytes) -> Any:
    """Return a body's JSON of any shape; None if it is not JSON, or malicious.

    Takes what strict readers refuse: bytes that are not UTF-8, half a surrogate pair, line
    breaks in texts, numbers of any length.
    """
    if _has_more_commas(body, _MOST_COMMAS):
        return None
    import json  # noqa: PLC0415  # few answers need it

    try:
        text = body.decode(json.detect_encoding(body), "replace")
        return _json(text)
    except (ValueError, RecursionError):
        return None


def _json(text: str) -> Any:
    """Return what a text holds, also behind a prefix that guards JSON, or as server-sent events.

    What follows the first value is passed over. Raises `ValueError` for what is no JSON.
    """
    import json  # noqa: PLC0415  # few answers need it

    decoder = json.JSONDecoder(strict=False, parse_int=_integer, parse_float=_decimal)
    pieces = _STREAM.findall(text) if text.lstrip().startswith(("data:", "event:")) else []
    if pieces:
        return [decoder.decode(piece) for piece in pieces[:_MOST_ITEMS]]
    text = text.lstrip("\ufeff \t\r\n").removeprefix(")]}'").lstrip(", \t\r\n")
    return decoder.raw_decode(text)[0]


def _integer(text: str) -> int:
    return int(text[:20])


def _decimal(text: str) -> float:
    return float(text[:40])


def unwrap(value: Any) -> Any:
    """Return what a list of one holds, however often it is wrapped; else the value itself."""
    for _ in range(5):
        if not (isinstance(value, list) and len(value) == 1):
            break
        value = value[0]
    return value


def field(value: Any, *names: str) -> Any:
    """Return the first of these fields that an object has, in camelCase or snake_case.

    None if the value is no object, or the field is absent or null.
    """
    value = unwrap(value)
    if isinstance(value, dict):
        for name in names:
            for spelling in (name, _HUMP.sub("_", name).lower()):
                if value.get(spelling) is not None:
                    return value[spelling]
    return None


def items(value: Any) -> list[Any]:
    """Return the items of a list, or the one thing that should have been in a list."""
    if isinstance(value, list):
        return value[:_MOST_ITEMS]
    return [] if value is None else [value]


def text_of(value: Any) -> str:
    """Return a text, or what a number reads like; empty for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def is_true(value: Any) -> bool:
    """Return whether a flag is set: true, 1 or "true"."""
    return value is True or value == 1 or text_of(value).lower() == "true"


def words(value: Any) -> str:
    """Return the words of an error, however it is written: text, an object, a list of either."""
    for _ in range(5):
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, dict):
            names = ("message", "msg", "detail", "details", "error", "errors", "description")
            more = ("error_message", "errorMessage", "error_description", "reason", "title")
            value = next((value[n] for n in (*names, *more) if value.get(n)), None)
    return text_of(value)


def words_in(value: Any, *names: str) -> str:
    """Return the words in the first of some fields that has any; empty if none has."""
    return next(filter(None, (words(field(value, name)) for name in names)), "")


def plain_text(body: bytes) -> str:
    """Return a body that is a short text and nothing else; empty for JSON, pages and bytes."""
    text = body[:LONGEST_TEXT].decode("utf-8", "replace").strip()
    if not text or text[0] in '<{["' or "\ufffd" in text or "\0" in text:
        return ""
    return text


def safe_message(text: str) -> str:
    """Return text of the service as it may be shown: no keys, one line, not too long."""
    if len(text) > LONGEST_TEXT:
        # Of a key that the cut goes through nothing may be left.
        text = redact(text[:LONGEST_TEXT])[:-_LONGEST_KEY]
    line = " ".join(redact(text).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def picture(coded: msgspec.Raw | str, usage: Usage | None = None, claimed: str = "") -> Outcome:
    """Return an image that came in base64.

    Text that is still JSON is not copied first: with a third block of its size the allocator
    would give memory back to the system after every image. `claimed` is the media type that
    came with it.
    """
    if not isinstance(coded, str) and not is_text(coded):
        return malformed_answer("The service sent an image that is not base64.", usage)
    data = _from_base64(coded)
    if data is None:
        return broken_picture_error("The service sent an image that is not base64.", usage)
    if len(data) < _SMALLEST:
        return broken_picture_error("The service sent an image of too few bytes.", usage)
    return Picture(data=data, usage=usage, claimed=claimed)


def best_picture(coded: Iterable[tuple[str, str]], usage: Usage | None) -> Outcome | None:
    """Return the first image of several, each with its claimed type; None if there are none.

    Bytes that begin like an image file come before others. If none is base64, the fault of
    the first.
    """
    best: Outcome | None = None
    for text, claimed in coded:
        outcome = picture(text, usage, claimed)
        if is_image(outcome):
            return outcome
        if best is None or (isinstance(best, ProviderError) and isinstance(outcome, Picture)):
            best = outcome
    return best


def whole_file(body: bytes) -> Picture | None:
    """Return the picture if the whole answer is an image file, as some gateways send it."""
    return Picture(data=body) if body.startswith(_FILES) else None


def outside_usual_places(
    answer: Any, usage: Usage | None, *, has_address: bool, unreadable: ProviderError | None
) -> Outcome | None:
    """Return the image that an answer holds in a place of its own, or why there is none.

    `has_address` is whether a usual place has the address of an image; `unreadable` is the error
    of an image there. Drafts are passed over. None: no image and no address anywhere.
    """
    coded: list[tuple[str, str]] = []
    waiting: list[tuple[str, Any]] = [("", answer)]
    for _ in range(_LONGEST_WALK):
        if not waiting:
            break
        name, value = waiting.pop()
        if isinstance(value, dict):
            if not is_true(field(value, "thought")):
                # The name of what an address stands in counts too: image_url.url
                waiting += [
                    (f"{name} {key}"[-LONGEST_NAME:], item)
                    for key, item in reversed(value.items())
                    if not _SOURCES.search(key)
                ]
        elif isinstance(value, list):
            waiting += [(name, item) for item in reversed(value[:_MOST_ITEMS])]
        elif isinstance(value, str):
            if len(value) >= _SHORTEST_PICTURE and _PICTURE.match(value.lstrip(" \t\r\n\"'")):
                coded.append((value, ""))
            elif is_address(value) and _PICTURE_NAME.search(name):
                has_address = True
    image = best_picture(coded, usage)
    if isinstance(image, Picture):
        return image
    return _at_address(usage) if has_address else unreadable


def unknown_form_error(answer: Any, usage: Usage | None) -> ProviderError:
    """Return the fault of an answer that has none of the fields that are known.

    It may hold a picture that was paid for: whether all answers are so the run finds out.
    """
    names = list(unwrap(answer)) if isinstance(unwrap(answer), dict) else []
    if not names:
        return malformed_answer("The service's answer was empty.", usage)
    listed = safe_message(", ".join(names[:_MOST_NAMES]))
    message = f"The service's answer has a form that imagegen does not know, with {listed}."
    return ProviderError(kind=FaultKind.PASSING, reason=UNKNOWN_FORM, message=message, usage=usage)


def is_image(outcome: Outcome) -> bool:
    """Return whether what came begins like an image file of a usual type."""
    return isinstance(outcome, Picture) and outcome.data.startswith(_SIGNATURES)


def is_text(value: msgspec.Raw) -> bool:
    """Return whether a piece of JSON is a string with something in it."""
    return len(value) > len('""') and bytes(memoryview(value)[:1]) == b'"'


def _from_base64(coded: msgspec.Raw | str) -> bytes | None:
    """Return what the text holds; None if it is no base64.

    Other threads stand still for as long as it takes: pybase64 needs a tenth of the time of
    msgspec's decoder and a fortieth of the standard library's.
    """
    plain = coded if isinstance(coded, str) else memoryview(coded)[1:-1]
    try:
        return pybase64.b64decode(plain, validate=True)
    except ValueError:
        # It may be written with escapes, or in one of the other ways.
        pass
    try:
        text = coded if isinstance(coded, str) else msgspec.json.decode(coded, type=str)
        return _from_odd_base64(text)
    except (ValueError, msgspec.DecodeError):
        return None


def _from_odd_base64(text: str) -> bytes:
    """Return what base64 holds that is url-safe, unpadded, broken into lines or in an address.

    Raises `ValueError` for what is no base64.
    """
    # `data:image/png;base64,…`, with the padding as an address may have it.
    text = text.rpartition(",")[2]
    text = unquote(text) if "%" in text else text
    text = _WHITE.sub("", text).strip("\"'").rstrip("=").replace("-", "+").replace("_", "/")
    return pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def pointer(text: str) -> str | None:
    """Return the address of an image that a text points to, a `data:` address first."""
    text = text[: 4 * LONGEST_TEXT] if "data:" not in text else text
    links = [match[1] for match in _IMAGE_LINK.finditer(text)]
    for link in links:
        if link.startswith("data:"):
            return link
    if links:
        return links[0]
    match = _IMAGE_ADDRESS.search(text)
    return match[0] if match else None


def is_address(text: str) -> bool:
    """Return whether a text that should hold an image is an address."""
    return _ADDRESS.match(text.strip()) is not None


def _at_address(usage: Usage | None) -> ProviderError:
    """Return the fault of an answer with the address of an image in place of the image."""
    message = (
        "The service sent the address of an image and no image, and addresses are not "
        "followed. Its operator can make it answer with the image itself (b64_json)."
    )
    return ProviderError(kind=FaultKind.UNUSABLE, reason=ELSEWHERE, message=message, usage=usage)


def malformed_answer(message: str, usage: Usage | None = None) -> ProviderError:
    """Return the fault of an answer that makes no sense; another may."""
    return ProviderError(
        kind=FaultKind.PASSING, reason="broken answer", message=message, usage=usage
    )


def broken_picture_error(message: str, usage: Usage | None) -> ProviderError:
    """Return the fault of an image that was drawn and cannot be used; another may."""
    return ProviderError(
        kind=FaultKind.PASSING, reason=BROKEN_PICTURE, message=message, usage=usage
    )


def is_passing(status: int) -> bool:
    """Return whether the same request may succeed after this status, with any body."""
    return status in _PASSING or (status >= 500 and status not in _NEVER) or status < 200


def web_page_error(reply: "Reply", host: str) -> ProviderError | None:
    """Return the fault of a web page that came instead of an answer; None for anything else.

    A network that wants a login answers so, a proxy that refuses, and any address that is not
    the service's. Behind a status from 500 on it is the service's trouble, which passes.
    """
    if not reply.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return None
    if reply.status >= 500 or reply.status in _NO_PAGE:
        return None
    title = page_title(reply.body)
    quoted = f' ("{title}")' if title else ""
    status = "" if 200 <= reply.status < 300 else f", HTTP {reply.status}"
    message = (
        f"{host} sent a web page instead of an answer{quoted}{status}: does this network "
        "want a login, or is the address (base_url) wrong?"
    )
    return ProviderError(kind=FaultKind.NETWORK, reason="web page", message=message)


def page_title(body: bytes) -> str:
    """Return the title of a web page; empty if it has none."""
    import html  # noqa: PLC0415  # its table of names is large

    match = _TITLE.search(body[:_LONGEST_HEAD].decode("utf-8", "replace"))
    return safe_message(html.unescape(match[1])) if match else ""


def wrong_path_error(host: str, status: int, text: str = "") -> ProviderError:
    """Return the fault of an address at which the API is not."""
    quoted = f' ("{text}")' if text else ""
    message = f"{host} answered HTTP {status}{quoted}: is it the right address (base_url)?"
    return ProviderError(kind=FaultKind.UNUSABLE, reason=f"HTTP {status}", message=message)


def as_bad_request(fault: ProviderError) -> ProviderError:
    """Return the fault of a request that named no model: then none can be gone."""
    if fault.kind is FaultKind.MODEL_GONE:
        return msgspec.structs.replace(fault, kind=FaultKind.BAD_REQUEST)
    return fault


def redirect_error(reply: "Reply", base_url: str) -> ProviderError:
    """Return the error of a redirect, which is never followed."""
    here = urlsplit(base_url).hostname
    try:
        target = urlsplit(urljoin(base_url, reply.headers.get("Location", ""))).hostname
    except ValueError:
        target = None
    message = (
        f"{here} redirects to {safe_message(target or 'nowhere')} (HTTP {reply.status}). "
        "Keys are never sent after a redirect: correct the address (base_url)."
    )
    return ProviderError(kind=FaultKind.REDIRECTED, reason=f"HTTP {reply.status}", message=message)


def tokens(counts: Any, *names: str) -> int:
    """Return a count of tokens that an answer gives; 0 for one that cannot be."""
    value = field(counts, *names)
    if isinstance(value, str | float) and _INTEGER.fullmatch(str(value)):
        value = int(float(value))
    return value if type(value) is int and 0 < value <= _MOST_TOKENS else 0


def texts_in(value: Any, name: str, deepest: int) -> Iterator[str]:
    """Yield every text under a field in lists and objects, at most so deep."""
    for item in items(value) if deepest else []:
        if isinstance(item, dict):
            content = field(item, name)
            if isinstance(content, str):
                yield content
            elif content is not None and not isinstance(content, dict | list):
                yield text_of(content)
            yield from texts_in(field(item, "violations"), name, deepest - 1)
