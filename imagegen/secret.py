"""API keys in memory: a type that shows nothing but its last four characters."""

from collections.abc import Iterator
from typing import Final, Self
from urllib.parse import quote, quote_plus

_SHOWN: Final = 4
_SHORTEST_WITH_TAIL: Final = 16
_SHORTEST_SOUGHT: Final = 8
"""A text shorter than this is no service's key, and would be found in harmless words."""
_URL_SAFE: Final = str.maketrans("+/", "-_")
_seen: dict[str, str] = {}
"""Every spelling of every key that this process has read, and what is shown instead."""


class Secret:
    """An API key.

    `repr`, `str`, formatting and pickling give `…abcd` (or `a short key` for a text so short
    that four characters would be a good part of it). Only `reveal` gives the key itself; call
    it where the request is built and nowhere else.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= _SHORTEST_SOUGHT and value not in _seen:
            _seen.update(dict.fromkeys(_spellings(value), self.tail))

    @property
    def tail(self) -> str:
        """The key's name in everything that is shown: `…abcd`."""
        if len(self._value) < _SHORTEST_WITH_TAIL:
            return "a short key"
        return f"…{self._value[-_SHOWN:]}"

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


def redact(text: str) -> str:
    """Return `text` with every key that this process has seen replaced by its tail.

    A key is also found as it stands in an address, in JSON, in HTML, in base64 and in
    hexadecimal. For text that comes from outside and may quote a key: an API's error message, a
    traceback. Our own messages never hold one.
    """
    # The longest first: one key may begin with another.
    for value, tail in sorted(_seen.items(), key=lambda item: -len(item[0])):
        if value and value in text:
            text = text.replace(value, tail)
    return text


def _spellings(value: str) -> Iterator[str]:
    """Yield a key as it is, and as somebody may quote it."""
    # What only reads no key does not wait for these.
    import base64  # noqa: PLC0415
    import html  # noqa: PLC0415
    import json  # noqa: PLC0415

    yield value
    data = value.encode("utf-8", "surrogatepass")
    yield quote(data, safe="")
    yield quote(data)
    yield quote_plus(data)
    yield json.dumps(value)[1:-1]
    yield html.escape(value)
    yield data.hex()
    yield data.hex().upper()
    for before in range(3):
        # What stands before a key decides which of three ways its bytes are spelt, and the
        # first and last characters are shared with the neighbours.
        coded = base64.b64encode(b"\0" * before + data).rstrip(b"=").decode()
        shared = -(-before * 8 // 6)
        middle = coded[shared : len(coded) - 1]
        yield middle
        yield middle.translate(_URL_SAFE)
