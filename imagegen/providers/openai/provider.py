"""OpenAI's Images API, and what speaks it: gateways and local servers.

Reference: https://developers.openai.com/api/reference/resources/images and
https://developers.openai.com/api/docs/guides/image-generation.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from imagegen.providers.base import (
    MAX_IN_FLIGHT,
    NO_TEXT,
    FaultKind,
    Outcome,
    Provider,
    ProviderError,
    ProviderOptions,
    Request,
    base_address,
)
from imagegen.providers.models import Pixels
from imagegen.providers.openai import responses
from imagegen.providers.openai.models import MODELS
from imagegen.providers.optional_fields import OptionalFields
from imagegen.providers.responses import as_bad_request
from imagegen.secret import Secret

DEFAULT_BASE_URL: Final = "https://api.openai.com"

_CONSEQUENCES: Final = {
    "quality": "it chooses the quality itself, at its price",
    "response_format": "it may answer with an address in place of an image",
}

_IN_BASE64: Final = re.compile(r"gemini|imagen", re.IGNORECASE)
"""Other providers' models that return base64 anyway; gateways reject the option."""

_LIST_TIMEOUT: Final = 30.0


class OpenAI(Provider):
    """An API of OpenAI's shape as a provider. Used from many threads at once."""

    name = "openai"
    catalogue = MODELS
    key_variables = ("OPENAI_API_KEY",)
    keys_section = "openai"
    # Images a minute of the lowest paid tier.
    per_minute = 5
    # The API takes less than 50 MB; every request in flight holds a copy of its own.
    largest_reference = 20 * 1024 * 1024
    largest_references = 16 * largest_reference

    def __init__(self, options: ProviderOptions) -> None:
        from imagegen.providers.http import Http  # noqa: PLC0415  # slow, and only to draw

        self.model = options.model or MODELS.default.name
        self.max_concurrency = options.width or MAX_IN_FLIGHT
        self._timeout = options.timeout
        # Addresses of such servers are mostly written with the version.
        self._base_url = base_address(
            options.base_url or DEFAULT_BASE_URL, "/images/generations", "/v1"
        )
        self._http = Http(
            self._base_url, width=self.max_concurrency, key_header=("Authorization", "Bearer ")
        )
        self._pixels = MODELS.find(self.model).pixels or Pixels()
        self._optional = OptionalFields(
            _CONSEQUENCES, urlsplit(self._base_url).hostname or "the server"
        )

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:
        """Make exactly one request; see `Provider.draw`."""
        strange = {reference.mime_type for reference in request.references} - self.reference_types
        if strange:
            message = f"A reference image is {strange.pop()}: this API takes PNG, JPEG and WebP."
            return ProviderError(kind=FaultKind.BAD_REQUEST, reason="reference", message=message)
        fields = self._fields(request)
        try:
            path, media_type, body = _encode(fields, request)
        except UnicodeEncodeError:
            return NO_TEXT
        reply = self._http.request(
            "POST", path, key, timeout=self._timeout, sent=sent, body=body, media_type=media_type
        )
        if isinstance(reply, ProviderError):
            return reply
        if 200 <= reply.status < 300:
            outcome = responses.outcome(reply.body)
        else:
            unknown = self._optional.refusal(reply, _CONSEQUENCES.keys() & fields.keys())
            outcome = unknown or responses.fault(reply, self._base_url)
        return msgspec.structs.replace(outcome, allowance=responses.allowance(reply.headers))

    def models(self, key: Secret | None) -> tuple[str, ...] | ProviderError:
        """Ask which image models the key sees; costs no quota.

        Gateways name theirs as they like: if no name mentions images, all are returned.
        """
        timeout = min(self._timeout, _LIST_TIMEOUT)
        reply = self._http.request("GET", "/v1/models", key, timeout=timeout)
        if isinstance(reply, ProviderError):
            return reply
        if not 200 <= reply.status < 300:
            return as_bad_request(responses.fault(reply, self._base_url))
        listed = responses.listed_models(reply.body)
        if isinstance(listed, ProviderError):
            return listed
        drawing = [name for name in listed if name == self.model or MODELS.draws(name)]
        return tuple(drawing) or listed

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def _fields(self, request: Request) -> dict[str, object]:
        """Return what is asked for, but for the references."""
        width, height = self._pixels.size(request.aspect_ratio, request.image_size)
        fields: dict[str, object] = {
            "model": self.model,
            "prompt": request.prompt,
            "n": 1,
            "size": f"{width}x{height}",
        }
        if _is_gpt_image(self.model):
            # Without it the service takes the quality that it likes, at its price.
            fields["quality"] = "low" if request.image_size == "512" else "medium"
        elif not _IN_BASE64.search(self.model):
            # Else many answer with an address, which is not followed.
            fields["response_format"] = "b64_json"
        return self._optional.taken(fields)


def _encode(fields: dict[str, object], request: Request) -> tuple[str, str, bytes]:
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
    """Recognize an OpenAI model by its name; gateways add a prefix."""
    return "gpt-image" in model or "chatgpt-image" in model
