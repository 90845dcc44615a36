"""API keys in memory: a type that shows nothing but its last four characters."""

import hmac
from typing import Self

_SHOWN = 4
_SHORTEST_WITH_TAIL = 16
_seen: dict[str, str] = {}


class Secret:
    """An API key.

    `repr`, `str`, formatting and pickling give `…abcd` (or `…` for a text so short that
    four characters would be a good part of it). Only `reveal` gives the key itself; call
    it where the request is built and nowhere else.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        _seen[value] = self.tail

    @property
    def tail(self) -> str:
        """The key's name in everything that is shown: `…abcd`."""
        return "…" + (self._value[-_SHOWN:] if len(self._value) >= _SHORTEST_WITH_TAIL else "")

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __repr__(self) -> str:
        return self.tail

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
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

    For text that comes from outside and may quote a key: an API's error message, a
    traceback. Our own messages never hold one.
    """
    # The longest first: one key may begin with another.
    for value, tail in sorted(_seen.items(), key=lambda item: -len(item[0])):
        if value and value in text:
            text = text.replace(value, tail)
    return text
