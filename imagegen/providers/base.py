"""The seam between the engine and an image API.

A provider makes exactly one request per `draw` and says what became of it: an image, or a
fault of a known kind. It never retries, never sleeps and never prints; attempts, back-off,
key rotation and outages are the engine's.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from imagegen.secret import Secret

if TYPE_CHECKING:
    from imagegen.providers.models import Catalogue

MAX_IN_FLIGHT: Final = 1024
"""Requests of one style in flight at most: more threads take turns that none of them needs."""
MAX_REFERENCE_BYTES = 7 * 1024 * 1024
"""Gemini's requests may have 20 MB, in which the bytes of two files become a third more."""
USUAL_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
"""Media types of reference images that every service takes."""


class FaultKind(StrEnum):
    """The kind of an error, by its origin and what helps."""

    # The beat's own.
    REFUSED = "refused"
    """The service will not draw these words; asking again will not help."""
    BAD_REQUEST = "bad request"
    """The service says that the request is wrong; asking again will not help."""
    BLOCKED = "blocked"
    """Nothing was sent: the image that the beat continues is not there."""
    NO_PICTURE = "no picture"
    """An answer without an image where a second try may help."""
    PASSING = "passing"
    """Network trouble, an overloaded service or a broken answer: try again later."""
    UNKNOWN_FIELD = "unknown field"
    """The server does not know an optional field, which is left out from now on: ask again."""

    # The quota's or the key's: never counted against the beat.
    LIMITED = "limited"
    """Too many requests for now; `retry_after` says how long, where the service does."""
    SPENT_TODAY = "spent today"
    """The quota of the day is used up."""
    NO_QUOTA = "no quota"
    """This key's plan has no quota for the model at all."""
    OUT_OF_CREDIT = "out of credit"
    """The account has no credit left, or spent all that it may; a person must add some."""
    KEY_REJECTED = "key rejected"
    """The key is wrong, blocked or not allowed to use the service."""

    # The whole run's.
    MODEL_GONE = "model gone"
    """The service does not know the model."""
    REDIRECTED = "redirected"
    """The address answers with a redirect; keys are never sent after one."""
    UNUSABLE = "unusable"
    """What answers at the address cannot be used as it is set up; a person must fix that."""
    NETWORK = "network"
    """Something between here and the service needs a person: a proxy, a certificate, a login page.

    Waiting does not help, unless the service has answered in this run already.
    """


BROKEN_PICTURE: Final = "broken picture"
"""The reason of a fault where an image came that cannot be used."""
TOO_LARGE: Final = "too large"
"""The reason of a fault where an answer was given up, for nothing of use is so large."""

NO_MEMORY: Final = "memory"
"""The reason of a fault where an answer came that there was no memory for."""
UNREADABLE: Final = "type of picture"
"""The reason of a fault where an image came that nothing here can read."""
ELSEWHERE: Final = "address"
"""The reason of a fault where the address of an image came instead of the image."""

UNKNOWN_FORM: Final = "form of answer"
"""The reason of a fault where an answer came that has none of the fields that are known."""

_DRAWN: Final = frozenset({BROKEN_PICTURE, TOO_LARGE, NO_MEMORY, UNREADABLE, ELSEWHERE})


class ReferenceRole(StrEnum):
    """What a reference image is to an image."""

    PREDECESSOR = "the picture before this one, which this one continues"
    CHARACTER = "character"
    STYLE = "the style"
    OTHER = "reference"


class Reference(msgspec.Struct, frozen=True):
    """A reference image: the bytes of an image file and their real media type.

    `name` is what the words call a character, or the file's name. `original` is the SHA-256
    of the file's bytes where `data` is a smaller image of the same; `content` identifies
    an image of ours, as `PngInfo.pixel_checksum` does.
    """

    mime_type: str
    data: bytes
    role: ReferenceRole = ReferenceRole.STYLE
    name: str = ""
    original: str | None = None
    content: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hexadecimal."""
        return self.original or _digest(self.data)

    @property
    def label(self) -> str:
        """Its label among other references."""
        return (
            f"{self.name} ({self.role})" if self.role is ReferenceRole.CHARACTER else str(self.role)
        )


@lru_cache(maxsize=64)
def _digest(data: bytes) -> str:
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which only drawing needs

    return hashlib.sha256(data).hexdigest()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One image to draw.

    `words` are the row's own, `look` the sentence that its style adds (empty: none). The
    aspect ratio is written `16:9`; the size is the API's word: 512, 1K, 2K or 4K. `thinking`
    is the level that is asked for; None leaves it to the model.
    """

    style: str
    shot: str
    beat: str
    words: str
    look: str = ""
    references: tuple[Reference, ...] = ()
    aspect_ratio: str = "16:9"
    image_size: str = "1K"
    thinking: str | None = None

    @property
    def prompt(self) -> str:
        """The exact text that is sent."""
        return "\n\n".join(filter(None, (self.words, self.look, self.legend)))

    @property
    def legend(self) -> str:
        """What each of the reference images is; empty if they need no labels.

        Without it a model could not know which image shows whom.
        """
        roles = {reference.role for reference in self.references}
        if ReferenceRole.CHARACTER not in roles and len(roles) < 2:
            return ""
        labels = (f"{n}: {reference.label}." for n, reference in enumerate(self.references, 1))
        return f"Reference pictures, in their order. {' '.join(labels)}"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that the service says it used.

    `picture_input_tokens`, those of reference images, are among the input's; `thought_tokens`
    and `text_output_tokens`, those of words beside the image, are among the output's.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    thought_tokens: int = 0
    picture_input_tokens: int = 0
    text_output_tokens: int = 0


class TokenPrices(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars for a million tokens.

    `picture` of images that are drawn, `text_in` of the prompt, `picture_in` of reference
    images (None: as of text), `text_out` of thoughts and words (None: as of images).
    """

    picture: float
    text_in: float = 0.0
    text_out: float | None = None
    picture_in: float | None = None

    def input(self, usage: Usage) -> float:
        """Return what the prompt and the reference images cost, in US dollars."""
        pictures = min(usage.picture_input_tokens, usage.input_tokens)
        picture_in = self.text_in if self.picture_in is None else self.picture_in
        text = (usage.input_tokens - pictures) * self.text_in
        return (text + pictures * picture_in) / 1e6

    def output(self, usage: Usage) -> float:
        """Return what the image, the thoughts and the words cost, in US dollars."""
        text = min(usage.thought_tokens + usage.text_output_tokens, usage.output_tokens)
        text_out = self.picture if self.text_out is None else self.text_out
        return ((usage.output_tokens - text) * self.picture + text * text_out) / 1e6


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What drawing costs, about, in US dollars.

    `picture` is one image's, None if only `tokens` are priced; `reference` is each reference
    image's. Tokens that the service reports decide.
    """

    picture: float | None
    tokens: TokenPrices | None = None
    reference: float = 0.0

    def of(self, usage: Usage | None, *, pictures: int, references: int = 0) -> float:
        """Return what one answer costs with 0 or 1 images.

        `references` is how many reference images were sent. Gateways leave them out of the
        tokens, and some leave out those of the image too.
        """
        brought = references * self.reference * pictures
        drawn = (self.picture or 0.0) * pictures
        if self.tokens is None or usage is None:
            return drawn + brought
        output = self.tokens.output(usage)
        if not output and not pictures:
            # A prompt that was blocked unread is free.
            return 0.0
        return max(self.tokens.input(usage), brought) + (output or drawn)

    def expected(self, *, references: float = 0.0, thoughts: float = 0.0) -> float | None:
        """Return about what one image costs; None if only tokens are priced.

        `references` is how many reference images are sent, `thoughts` how many tokens the
        model thinks.
        """
        if self.picture is None:
            return None
        text_out = (self.tokens.text_out or 0.0) if self.tokens else 0.0
        return self.picture + references * self.reference + thoughts * text_out / 1e6


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says that the key may still send; None: it does not say.

    `per_minute` requests in any minute; `remaining` of some quota now, all of it again
    `reset` seconds after the request came.
    """

    per_minute: int | None = None
    remaining: int | None = None
    reset: float | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """An image as the service sent it: the bytes of a file of any type.

    `claimed` is the media type that the service gave it, which is often wrong.
    """

    data: bytes
    claimed: str = ""
    usage: Usage | None = None
    allowance: Allowance | None = None


class ProviderError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no image.

    `reason` is short and stable, for grouping and for machines (`IMAGE_SAFETY`,
    `HTTP 503`, `timeout`); `message` is in words, the service's own where it has some.
    `retry_after` is in seconds. `stale` marks a request that was lost with a kept-alive
    connection that the server had closed: nothing was answered, so it costs no attempt.
    """

    kind: FaultKind
    reason: str
    message: str
    retry_after: float | None = None
    usage: Usage | None = None
    allowance: Allowance | None = None
    stale: bool = False

    @property
    def was_drawn(self) -> bool:
        """Whether the service has drawn an image all the same, for which it wants to be paid."""
        return self.kind in {FaultKind.PASSING, FaultKind.UNUSABLE} and self.reason in _DRAWN

    @property
    def is_useless(self) -> bool:
        """Whether further answers would be useless and paid for too, if all are as this one."""
        return self.reason != NO_MEMORY and (self.was_drawn or self.reason == UNKNOWN_FORM)


Outcome = Picture | ProviderError

NO_TEXT: Final = ProviderError(
    kind=FaultKind.BAD_REQUEST,
    reason="prompt",
    message="The prompt has half a character (a lone surrogate), which cannot be sent.",
)
"""What becomes of words that no request can hold."""


def noop() -> None:
    """Take note of nothing as a request leaves: it counts against no quota."""


class Provider(Protocol):
    """An image API, or something that draws like one. Used from many threads at once."""

    name: str
    model: str
    catalogue: "Catalogue"
    """Its models, and which of them draws if none is named."""
    key_variables: tuple[str, ...] = ()
    """Environment variables that may hold a key; empty: no key is needed."""
    keys_section: str = ""
    """The table of keys.toml that is its own; empty: the top level."""
    supports_base_url: bool = True
    """Whether it sends requests to an address, which a user may replace."""
    per_minute: int = 9
    """Requests a minute that one of its keys allows if no limit is set."""
    largest_reference: int = MAX_REFERENCE_BYTES
    """How many bytes each of their files may have."""
    largest_references: int = 2 * MAX_REFERENCE_BYTES
    """How many bytes all files of one request may have together."""
    reference_types: frozenset[str] = USUAL_TYPES
    """Their media types: of those that `formats.Format` knows, which it takes."""
    max_concurrency: int
    """How many requests may be in flight at once where keys set no limit."""

    def __init__(self, options: "ProviderOptions") -> None: ...

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:
        """Make exactly one request.

        `sent` is called once, as soon as the request has left (or may have left) this
        machine: from then on it counts against the key's quota. A draw that returns
        without calling it has used no quota.
        """
        ...

    def models(self, key: Secret | None) -> tuple[str, ...] | ProviderError:
        """Ask the service's free endpoint which image models this key sees."""
        ...

    def close(self) -> None:
        """Close connections. Requests in flight may fail."""
        ...


class ProviderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is made with. `timeout` bounds one whole request, in seconds.

    `store` allows a service to keep the requests, if it asks.
    """

    model: str | None = None
    base_url: str | None = None
    store: bool = False
    timeout: float = 120.0
    width: int | None = None

    def __post_init__(self) -> None:
        if self.model is not None:
            msgspec.structs.force_setattr(self, "model", model_name(self.model))


def model_name(written: str) -> str:
    """Return a model's name as the services' own lists and guides write it, without `models/`."""
    return written.removeprefix("models/")


def base_address(written: str, *endings: str) -> str:
    """Return a service's address without what requests add to it themselves.

    Guides write some addresses with the version, and some with the whole path.
    """
    address = written.rstrip("/")
    for ending in endings:
        address = address.removesuffix(ending).rstrip("/")
    return address
