"""OpenAI's Images API, and what speaks it: gateways and local servers.

Reference: https://developers.openai.com/api/reference/resources/images and
https://developers.openai.com/api/docs/guides/image-generation.
"""

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from imagegen.providers import openai_answer, sizes
from imagegen.providers.answers import of_no_model
from imagegen.providers.base import (
    NO_TEXT,
    USUAL_TYPES,
    Fault,
    Kind,
    Options,
    Outcome,
    Price,
    Request,
)
from imagegen.secret import Secret

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

DEFAULT_MODEL: Final = "gpt-image-2.5-flare"
DEFAULT_BASE_URL: Final = "https://api.openai.com"
DEFAULT_WIDTH: Final = 256

PRICES_OF: Final = "autumn 2026"
"""When the prices below were read at https://developers.openai.com/api/docs/pricing."""

_PRICES: Final = {
    # US dollars a picture by size, in the quality that `_quality` asks for and the dearest
    # shape; a landscape is cheaper than a square. Of 2.6 the tokens' price alone is listed.
    "gpt-image-2.5-flare": {"512": 0.006, "1K": 0.0132, "2K": 0.0144, "4K": 0.026},
    "gpt-image-2.5-sunburst": {"512": 0.006, "1K": 0.0132, "2K": 0.0144, "4K": 0.026},
    "gpt-image-2": {"512": 0.006, "1K": 0.053, "2K": 0.056, "4K": 0.101},
    "gpt-image-1.5": {"512": 0.013, "1K": 0.05, "2K": 0.2, "4K": 0.2},
    "gpt-image-1-mini": {"512": 0.006, "1K": 0.015, "2K": 0.052, "4K": 0.052},
}
_PER_MILLION_OUTPUT: Final = {
    "gpt-image-2.5-flare": 30.0,
    "gpt-image-2.5-sunburst": 30.0,
    "gpt-image-2": 30.0,
    "gpt-image-1.5": 32.0,
    "gpt-image-1-mini": 8.0,
}
"""US dollars for a million output tokens of pictures."""

_FIXED: Final = ((1024, 1024), (1536, 1024), (1024, 1536))
"""All sizes of the models before gpt-image-2."""

_STEP, _LEAST, _MOST, _LONGEST, _WIDEST = 16, 655_360, 8_294_400, 3840, 3
"""What later models take: sides in such steps, areas between two bounds, ratios up to 3:1."""

_IN_BASE64: Final = re.compile(r"gemini|imagen", re.IGNORECASE)
"""Models of others whose pictures come in base64 unasked; gateways refuse to be asked for it."""

_LIST_TIMEOUT: Final = 30.0


class OpenAI:
    """An API of OpenAI's shape as a provider. Used from many threads at once.

    A server that refuses one of the fields that not all know is asked without it from then
    on; `_lock` guards `_left_out`, the names of these fields.
    """

    name = "openai"
    default_model = DEFAULT_MODEL
    key_variables: tuple[str, ...] = ("OPENAI_API_KEY",)
    keys_table = "openai"
    takes_address = True
    # Images a minute of the lowest paid tier.
    per_minute = 5
    most_references = 16
    # The API takes less than 50 MB; every request under way holds a copy of its own.
    largest_reference = 20 * 1024 * 1024
    largest_references = most_references * largest_reference
    reference_types = USUAL_TYPES

    def __init__(self, options: Options) -> None:
        from imagegen.providers.http import Http  # noqa: PLC0415  # slow, and only to draw

        self.model = options.model or DEFAULT_MODEL
        self.width = options.width or DEFAULT_WIDTH
        self._timeout = options.timeout
        # Addresses of such servers are mostly written with the version.
        self._base_url = (options.base_url or DEFAULT_BASE_URL).rstrip("/").removesuffix("/v1")
        self._http = Http(self._base_url, width=self.width, key_header=("Authorization", "Bearer "))
        self._lock = threading.Lock()
        self._left_out: set[str] = set()

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:
        """Make exactly one request; see `Provider.draw`."""
        strange = {reference.mime_type for reference in request.references} - self.reference_types
        if strange:
            message = f"A reference image is {strange.pop()}: this API takes PNG, JPEG and WebP."
            return Fault(kind=Kind.BAD_REQUEST, reason="reference", message=message)
        fields = self._fields(request)
        try:
            path, media_type, body = _encoded(fields, request)
        except UnicodeEncodeError:
            return NO_TEXT
        reply = self._http.ask(
            "POST", path, key, timeout=self._timeout, sent=sent, body=body, media_type=media_type
        )
        if isinstance(reply, Fault):
            return reply
        if 200 <= reply.status < 300:
            outcome = openai_answer.outcome(reply.body)
        else:
            outcome = self._unknown_field(reply, fields) or openai_answer.fault(
                reply, self._base_url
            )
        return msgspec.structs.replace(outcome, allowance=openai_answer.allowance(reply.headers))

    def models(self, key: Secret | None) -> tuple[str, ...] | Fault:
        """Ask which image models the key sees; costs no quota.

        Gateways name theirs as they like: where no name tells of images, all are returned.
        """
        timeout = min(self._timeout, _LIST_TIMEOUT)
        reply = self._http.ask("GET", "/v1/models", key, timeout=timeout)
        if isinstance(reply, Fault):
            return reply
        if 200 <= reply.status < 300:
            return openai_answer.image_models(reply.body, self.model)
        return of_no_model(openai_answer.fault(reply, self._base_url))

    @staticmethod
    def price(model: str, image_size: str) -> Price | None:
        """Return the list price of a picture, as read in `PRICES_OF`."""
        picture = _PRICES.get(model, {}).get(image_size)
        if picture is None:
            return None
        return Price(picture=picture, per_million_output=_PER_MILLION_OUTPUT.get(model))

    @staticmethod
    def notes(model: str, aspect_ratio: str, image_size: str) -> tuple[str, ...]:
        """Return in what pictures will differ from the ratio or the size that is asked for."""
        width, height = _size(model, aspect_ratio, image_size)
        drawn = f"pictures will be {width} x {height}"
        found = []
        across, down = sizes.reduced(f"{width}:{height}")
        if (across, down) != sizes.reduced(aspect_ratio):
            found.append(f"{model} draws no {aspect_ratio}: {drawn}, which is {across}:{down}")
        if _is_fixed(model) and image_size in {"2K", "4K"}:
            found.append(f"{model} draws no {image_size}: {drawn}")
        return tuple(found)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _fields(self, request: Request) -> dict[str, object]:
        """Return what is asked for, but for the references."""
        width, height = _size(self.model, request.aspect_ratio, request.image_size)
        fields: dict[str, object] = {
            "model": self.model,
            "prompt": request.prompt,
            "n": 1,
            "size": f"{width}x{height}",
        }
        if _is_gpt_image(self.model):
            # Without it the service takes the quality that it likes, at its price.
            fields["quality"] = _quality(self.model, request.image_size)
        elif not _IN_BASE64.search(self.model):
            # Else many answer with an address, which is not followed.
            fields["response_format"] = "b64_json"
        with self._lock:
            return {name: value for name, value in fields.items() if name not in self._left_out}

    def _unknown_field(self, reply: "Reply", fields: dict[str, object]) -> Fault | None:
        """Return a passing fault if the server refuses a field that can be left out."""
        name = openai_answer.refused_field(reply, ("response_format", "quality"))
        if name is None or name not in fields:
            return None
        with self._lock:
            self._left_out.add(name)
        message = f"The service does not take {name}: it is left out from now on."
        return Fault(kind=Kind.PASSING, reason="unknown field", message=message)


def _encoded(fields: dict[str, object], request: Request) -> tuple[str, str, bytes]:
    """Return the path, the media type and the body of a request.

    Raises `UnicodeEncodeError` for a prompt that is no text.
    """
    if not request.references:
        return "/v1/images/generations", "application/json", msgspec.json.encode(fields)
    from urllib3.filepost import encode_multipart_formdata  # noqa: PLC0415  # slow to import

    parts: list[tuple[str, str | tuple[str, bytes, str]]]
    parts = [(name, str(value)) for name, value in fields.items()]
    for number, reference in enumerate(request.references, 1):
        name = f"reference_{number}.{reference.mime_type.partition('/')[2]}"
        parts.append(("image[]", (name, reference.data, reference.mime_type)))
    body, media_type = encode_multipart_formdata(parts)
    return "/v1/images/edits", media_type, body


def _is_gpt_image(model: str) -> bool:
    """Tell a model of OpenAI's by its name; gateways put a word before it."""
    return "gpt-image" in model or "chatgpt-image" in model


def _is_fixed(model: str) -> bool:
    """Tell whether a model draws three sizes only."""
    return "gpt-image-1" in model or "chatgpt-image" in model


def _size(model: str, aspect_ratio: str, image_size: str) -> tuple[int, int]:
    if _is_fixed(model):
        return sizes.nearest(aspect_ratio, _FIXED)
    across, down = sizes.reduced(aspect_ratio)
    if max(across, down) > _WIDEST * min(across, down):
        aspect_ratio = f"{_WIDEST}:1" if across > down else f"1:{_WIDEST}"
    return sizes.exact(
        aspect_ratio, image_size, step=_STEP, least=_LEAST, most=_MOST, longest=_LONGEST
    )


def _quality(model: str, image_size: str) -> str:
    """Return the quality for a size: drafts are cheap, and where sizes are fixed it is all."""
    if image_size == "512":
        return "low"
    return "high" if _is_fixed(model) and image_size in {"2K", "4K"} else "medium"
