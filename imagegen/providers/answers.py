"""What the answers of all image APIs have in common: read with care, shown without harm.

Everything here comes from outside: types may be wrong, fields missing, and a body made to
take as much memory as it can.
"""

from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
import pybase64

from imagegen.providers.base import BROKEN_PICTURE, Fault, Kind, Outcome, Picture, Usage
from imagegen.secret import redact

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

LONGEST_NAME: Final = 200
"""Characters of a model's name; a longer one is none."""

_LONGEST_MESSAGE: Final = 300
_LONGEST_READ: Final = 20_000
_LONGEST_KEY: Final = 1024
_MOST_COMMAS: Final = 200_000
"""A page of a thousand models has a tenth of it; pictures and words have next to none."""

_MOST_TOKENS: Final = 1_000_000_000

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T | None:
    """Return what a body holds; None where it is of another shape, or made to do harm."""
    # A body full of empty lists takes fifty times its size once they are objects.
    if _has_more_commas(body, _MOST_COMMAS):
        return None
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _has_more_commas(body: bytes, most: int) -> bool:
    # `count` looks at every byte by itself, half a millisecond for a picture; `find` does not.
    at = -1
    for _ in range(most + 1):
        at = body.find(b",", at + 1)
        if at < 0:
            return False
    return True


def shown(text: str) -> str:
    """Return text of the service as it may be shown: no keys, one line, not too long."""
    if len(text) > _LONGEST_READ:
        # Of a key that the cut goes through nothing may be left.
        text = redact(text[:_LONGEST_READ])[:-_LONGEST_KEY]
    line = " ".join(redact(text).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def picture(coded: msgspec.Raw | str, usage: Usage | None = None) -> Outcome:
    """Return a picture that came in base64, if its first bytes are one's.

    Whatever media type was claimed. Text that is still JSON is not copied first: with a third
    block of its size the allocator would give memory back to the system after every picture.
    """
    if not isinstance(coded, str) and not is_text(coded):
        return broken("The service sent a picture that is no base64.", usage)
    data = _from_base64(coded)
    if data is None:
        return _broken_picture("The service sent a picture that is no base64.", usage)
    webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    if webp or data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return Picture(data=data, usage=usage)
    return _broken_picture("The service sent a picture that is no PNG, JPEG or WebP.", usage)


def is_text(value: msgspec.Raw) -> bool:
    """Tell whether a piece of JSON is a string with something in it."""
    return len(value) > len('""') and bytes(memoryview(value)[:1]) == b'"'


def _from_base64(coded: msgspec.Raw | str) -> bytes | None:
    """Return what the text holds; None where it is no base64.

    Other threads stand still for as long as it takes: pybase64 needs a tenth of the time of
    msgspec's decoder and a fortieth of the standard library's.
    """
    plain = coded if isinstance(coded, str) else memoryview(coded)[1:-1]
    try:
        return pybase64.b64decode(plain, validate=True)
    except ValueError:
        # It may be written with escapes, or as an address: `data:image/png;base64,…`.
        pass
    try:
        text = coded if isinstance(coded, str) else msgspec.json.decode(coded, type=str)
        return pybase64.b64decode(text.rpartition(",")[2], validate=True)
    except (ValueError, msgspec.DecodeError):
        return None


def broken(message: str, usage: Usage | None = None) -> Fault:
    """Return the fault of an answer that makes no sense; another may."""
    return Fault(kind=Kind.PASSING, reason="broken answer", message=message, usage=usage)


def _broken_picture(message: str, usage: Usage | None) -> Fault:
    return Fault(kind=Kind.PASSING, reason=BROKEN_PICTURE, message=message, usage=usage)


def of_no_model(fault: Fault) -> Fault:
    """Return the fault of a request that named no model: then none can be gone."""
    if fault.kind is Kind.MODEL_GONE:
        return msgspec.structs.replace(fault, kind=Kind.BAD_REQUEST)
    return fault


def redirected(reply: "Reply", base_url: str) -> Fault:
    """Return the fault of an answer that sends us elsewhere, which nobody follows."""
    here = urlsplit(base_url).hostname
    try:
        there = urlsplit(urljoin(base_url, reply.headers.get("Location", ""))).hostname
    except ValueError:
        there = None
    message = (
        f"{here} redirects to {shown(there or 'nowhere')} (HTTP {reply.status}). "
        "Keys are never sent after a redirect: correct the address (base_url)."
    )
    return Fault(kind=Kind.REDIRECTED, reason=f"HTTP {reply.status}", message=message)


def tokens(counts: dict[str, object], name: str) -> int:
    """Return a count of tokens that an answer tells; 0 for one that cannot be."""
    value = counts.get(name)
    return value if type(value) is int and 0 < value <= _MOST_TOKENS else 0
