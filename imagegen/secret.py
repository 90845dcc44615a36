"""API keys in memory: a type that shows nothing but its last four characters."""

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Self

_SHOWN: Final = 4
_SHORTEST_WITH_TAIL: Final = 16
_SHORTEST_SOUGHT: Final = 8
"""A text shorter than this is not a service's key, and would match harmless words."""
_URL_SAFE: Final = str.maketrans("+/", "-_")
_seen: dict[str, "_Needle"] = {}
"""Every spelling of every key that this process has read."""


class Secret:
    """An API key.

    `repr`, `str`, formatting and pickling give `…abcd` (or `a short key` for a text so short
    that four characters would be a good part of it). Only `reveal` gives the key itself; call
    it where the request is built and nowhere else.
    """

    __slots__ = ("_number", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._number = 0
        if len(value) >= _SHORTEST_SOUGHT and value not in _seen:
            _seen.update({spelling: _needle(spelling, self.tail) for spelling in _spellings(value)})

    @property
    def tail(self) -> str:
        """The key's name in everything that is shown: `…abcd`, or of several `…abcd (2)`."""
        short = len(self._value) < _SHORTEST_WITH_TAIL
        name = "a short key" if short else f"…{self._value[-_SHOWN:]}"
        return f"{name} ({self._number})" if self._number else name

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __repr__(self) -> str:
        return self.tail

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # noqa: PLC0415  # loads OpenSSL

        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return (str, (self.tail,))


def tell_apart(keys: Iterable[Secret]) -> None:
    """Give keys that end alike names of their own: they are numbered in this order.

    Those that have names of their own already keep them.
    """
    alike: dict[str, dict[Secret, list[Secret]]] = {}
    for key in keys:
        alike.setdefault(key.tail, {}).setdefault(key, []).append(key)
    for distinct in alike.values():
        for number, same in enumerate(distinct.values(), 1):
            for key in same if len(distinct) > 1 else ():
                key._number = number  # noqa: SLF001  # this module's own


def redact(text: str) -> str:
    """Return `text` with every key that this process has seen replaced by its tail.

    A key is also found in an address, JSON, HTML, base64 and hexadecimal, broken over lines, and
    if one end is cut off (two thirds of it must be there). For text that comes from outside and
    may quote a key: an API's error message, a traceback. Our own messages never hold one.
    """
    if not _seen:
        return text
    spans = list(_spans(text))
    plain, starts, ends = _unescaped(text)
    if plain != text:
        spans += [_Span(starts[s.start], ends[s.end - 1], s.tail) for s in _spans(plain)]
    # The longest first: one key may begin with another.
    spans.sort(key=lambda span: span.start - span.end)
    chosen: list[_Span] = []
    for span in spans:
        if not any(span.start < other.end and other.start < span.end for other in chosen):
            chosen.append(span)
    for span in sorted(chosen, reverse=True):
        text = text[: span.start] + span.tail + text[span.end :]
    return text


class _Span(NamedTuple):
    start: int
    end: int
    tail: str


def _spans(text: str) -> Iterator[_Span]:
    """Yield where a text has a key, or so much of one that it must not be shown."""
    # Adding a key in another thread changes the table.
    for needle in list(_seen.values()):
        if needle.common in text:
            yield from _spans_of(text, needle)


def _spans_of(text: str, needle: "_Needle") -> Iterator[_Span]:
    spelling, length = needle.spelling, len(needle.spelling)
    at = text.find(needle.common)
    while at >= 0:
        start, end = at, at + len(needle.common)
        first, last = length - needle.least, needle.least
        while first and start and text[start - 1] == spelling[first - 1]:
            start, first = start - 1, first - 1
        while last < length and end < len(text) and text[end] == spelling[last]:
            end, last = end + 1, last + 1
        if end - start >= needle.least:
            yield _Span(start, end, needle.tail)
        at = text.find(needle.common, at + 1)


class _Needle(NamedTuple):
    """A spelling of a key, of which this many characters in a row must not be shown.

    `common` is what all such parts of it have in common: one search finds them all.
    """

    spelling: str
    least: int
    common: str
    tail: str


def _needle(spelling: str, tail: str) -> _Needle:
    length = len(spelling)
    least = length - 1 if length < _SHORTEST_WITH_TAIL else -(-length * 2 // 3)
    return _Needle(spelling, least, spelling[length - least : least], tail)


_ESCAPED: Final = re.compile(
    r"""
      %[0-9a-fA-F]{2}
    | \\u[0-9a-fA-F]{4} | \\u\{[0-9a-fA-F]{1,6}\} | \\x[0-9a-fA-F]{2} | \\[^ux]
    | &\#[0-9]{1,7};? | &\#[xX][0-9a-fA-F]{1,6};? | &[a-zA-Z]{2,31};
    | <w?br\s*/?>
    | [\s\u00ad\u200b-\u200f\u2060\ufeff]
    """,
    re.VERBOSE | re.DOTALL,
)
"""A character as addresses, JSON and HTML spell it, and what may break a line."""
_MOST_ROUNDS: Final = 4
"""JSON may stand in JSON, and an address in that."""


def _unescaped(text: str) -> tuple[str, list[int], list[int]]:
    """Return a text without escapes and spaces, and where each character began and ended."""
    starts, ends = list(range(len(text))), list(range(1, len(text) + 1))
    for _ in range(_MOST_ROUNDS):
        pieces, from_, to, at = [], [], [], 0
        for match in _ESCAPED.finditer(text):
            pieces += [text[at : match.start()]]
            from_ += starts[at : match.start()]
            to += ends[at : match.start()]
            character = _meant(match[0])
            if character:
                pieces.append(character)
                from_.append(starts[match.start()])
                to.append(ends[match.end() - 1])
            at = match.end()
        if not pieces:
            break
        text = "".join([*pieces, text[at:]])
        starts, ends = from_ + starts[at:], to + ends[at:]
    return text, starts, ends


def _meant(escaped: str) -> str:
    """Return the character that is meant, or nothing if a line is broken."""
    first = escaped[0]
    if first == "&":
        import html  # noqa: PLC0415

        return html.unescape(escaped)[:1]
    if first == "%" or escaped[1:2] in {"u", "x"}:
        code = int(escaped.lstrip("%\\ux{").rstrip("}"), 16)
        return chr(code) if code <= sys.maxunicode else ""
    if first == "\\":
        return "" if escaped[1] in "nrtbf\r\n" else escaped[1]
    return ""


def _spellings(value: str) -> Iterator[str]:
    """Yield a key as it is, and as other programs may quote it, without spaces."""
    # Commands that read no key do not wait for these.
    import base64  # noqa: PLC0415

    yield "".join(value.split())
    data = value.encode("utf-8", "surrogatepass")
    # In an address each byte is by itself.
    yield data.decode("latin-1")
    yield data.hex()
    yield data.hex().upper()
    for before in range(3):
        # The bytes before a key decide which of three ways its bytes are spelt, and the
        # first and last characters are shared with the neighbours.
        coded = base64.b64encode(b"\0" * before + data).rstrip(b"=").decode()
        shared = -(-before * 8 // 6)
        middle = coded[shared : len(coded) - 1]
        yield middle
        yield middle.translate(_URL_SAFE)
