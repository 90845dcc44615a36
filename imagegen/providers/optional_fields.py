"""Fields of a request that not every server knows, left out once a server refuses them."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from imagegen.providers.base import FaultKind, ProviderError
from imagegen.providers.responses import try_decode

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

_STATUSES: Final = frozenset({400, 422, 500, 501})
"""Some gateways report a field that they cannot pass on as an error of their own."""

_NOT_TAKEN: Final = re.compile(
    r"unknown|un-?supported|(?:not|n't|cannot|no) (?:be )?(?:support|allow|permit|recogni|expect|"
    r"accept|know|take|found|find|set|valid|enabled)|unrecogni[sz]ed|unexpected|extra|invalid|"
    r"additional",
    re.IGNORECASE,
)
_FIELD_WORD: Final = (
    r"(?:argument|attribute|field|input|key|name|option|param|parameter|property)s?"
)
_LONGEST: Final = 20_000
_DEEPEST: Final = 8

_values: Final = msgspec.json.Decoder(Any)


class OptionalFields:
    """Which optional fields a server takes. Used from many threads at once.

    `consequences` says of each field, by the name under which it is sent, what it means for the
    user that it is left out; `other_names` are names that an error may use for it. `_lock` guards
    `_refused_names`.
    """

    def __init__(
        self,
        consequences: Mapping[str, str],
        server: str,
        other_names: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._consequences = consequences
        self._server = server
        self._alone, self._anywhere = {}, {}
        for name in consequences:
            names = (name, *(other_names or {}).get(name, ()))
            self._alone[name], self._anywhere[name] = _naming(names)
        self._lock = threading.Lock()
        self._refused_names: frozenset[str] = frozenset()

    def taken(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Return the fields without those that the server has refused."""
        with self._lock:
            refused = self._refused_names
        return {name: value for name, value in fields.items() if name not in refused}

    def refusal(self, reply: "Reply", sent: Iterable[str]) -> ProviderError | None:
        """Return the fault of an answer that refuses one of the fields that were `sent`.

        None for any other answer. The field is left out from then on.
        """
        if reply.status not in _STATUSES:
            return None
        words = _words(reply.body)
        patterns = self._alone
        if _NOT_TAKEN.search(words):
            patterns = self._anywhere
        name = next((name for name in sent if patterns[name].search(words)), None)
        if name is None:
            return None
        with self._lock:
            self._refused_names |= {name}
        message = f"{self._server} does not take {name}: {self._consequences[name]}"
        return ProviderError(kind=FaultKind.UNKNOWN_FIELD, reason=name, message=message)


def _naming(names: Iterable[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds one of a field's names in an error: as a text of its own, and anywhere.

    In camel case, in snake case or in words. It must stand as a name: an error may quote a
    prompt that has the same word in it.
    """
    name = "|".join(re.sub("([A-Z])", r"[_ ]?\1", spelling) for spelling in names)
    name = rf"(?:[\w.]+\.)?(?:{name})"
    alone = rf"^{name}$"
    anywhere = (
        rf"{alone}|[\"'`\[]{name}[\"'`\]]|{_FIELD_WORD}(?: \w+)?\W{{1,4}}{name}\b|"
        rf"\b{name}(?: {_FIELD_WORD}| (?-i:[A-Z]+))?(?::| (?:is|are|was|not|cannot|may not)\b)"
    )
    flags = re.IGNORECASE | re.MULTILINE
    return re.compile(alone, flags), re.compile(anywhere, flags)


def _words(body: bytes) -> str:
    """Return every text in an error of any shape."""
    value = try_decode(_values, body)
    if value is None:
        # A web page is something on the way, and says nothing of fields.
        text = body[:_LONGEST].decode("utf-8", "replace")
        return "" if text.lstrip().startswith("<") else text
    return "\n".join(_texts(value, _DEEPEST))[:_LONGEST]


def _texts(value: object, deepest: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif deepest and isinstance(value, list):
        for item in value:
            yield from _texts(item, deepest - 1)
    elif deepest and isinstance(value, dict):
        for item in value.values():
            yield from _texts(item, deepest - 1)
