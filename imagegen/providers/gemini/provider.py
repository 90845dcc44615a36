"""Google's Gemini API over REST: `models/{model}:generateContent`.

Reference: https://ai.google.dev/api/generate-content and
https://ai.google.dev/gemini-api/docs/image-generation.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, urlsplit

import msgspec
import pybase64

from imagegen.providers.base import (
    MAX_IN_FLIGHT,
    NO_TEXT,
    USUAL_TYPES,
    Outcome,
    Provider,
    ProviderError,
    ProviderOptions,
    Reference,
    ReferenceRole,
    Request,
    base_address,
)
from imagegen.providers.gemini import responses
from imagegen.providers.gemini.models import MODELS
from imagegen.providers.optional_fields import OptionalFields
from imagegen.providers.responses import as_bad_request
from imagegen.secret import Secret

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"

_CONSEQUENCES = {
    "store": "it may keep what is sent, which store = false forbids",
    "thinkingConfig": "images are drawn with the model's own thinking",
}

_OTHER_NAMES = {"thinkingConfig": ("thinkingLevel", "thinking")}

_LIST_TIMEOUT = 30.0
_MOST_PAGES = 10


class Gemini(Provider):
    """The Gemini API as a provider. Used from many threads at once."""

    name = "gemini"
    catalogue = MODELS
    key_variables = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    reference_types = USUAL_TYPES | {"image/heic"}

    def __init__(self, options: ProviderOptions) -> None:
        from imagegen.providers.http import Http  # noqa: PLC0415  # slow, and only to draw

        self.model = options.model or MODELS.default.name
        self.max_concurrency = options.width or MAX_IN_FLIGHT
        self._timeout = options.timeout
        self._base_url = base_address(
            options.base_url or DEFAULT_BASE_URL, "/models", "/v1beta", "/v1"
        )
        self._store = options.store
        self._optional = OptionalFields(
            _CONSEQUENCES, urlsplit(self._base_url).hostname or "the server", _OTHER_NAMES
        )
        self._http = Http(
            self._base_url, width=self.max_concurrency, key_header=("x-goog-api-key", "")
        )

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:
        """Make exactly one request; see `Provider.draw`."""
        optional = self._optional.taken(self._optional_fields(request))
        try:
            body = _body(request, optional)
        except UnicodeEncodeError:
            return NO_TEXT
        path = f"/v1beta/models/{quote(self.model, safe='-._')}:generateContent"
        reply = self._http.request("POST", path, key, timeout=self._timeout, sent=sent, body=body)
        if isinstance(reply, ProviderError):
            return reply
        if not 200 <= reply.status < 300:
            unknown = self._optional.refusal(reply, optional)
            return unknown or responses.fault(reply, self._base_url)
        return responses.outcome(reply.body)

    def models(self, key: Secret | None) -> tuple[str, ...] | ProviderError:
        """Ask which image models the key sees; costs no quota."""
        names: list[str] = []
        token = ""
        for _ in range(_MOST_PAGES):
            path = "/v1beta/models?pageSize=1000"
            if token:
                path += f"&pageToken={quote(token, safe='')}"
            timeout = min(self._timeout, _LIST_TIMEOUT)
            reply = self._http.request("GET", path, key, timeout=timeout)
            if isinstance(reply, ProviderError):
                return reply
            if not 200 <= reply.status < 300:
                return as_bad_request(responses.fault(reply, self._base_url))
            page = responses.listed_models(reply.body)
            if isinstance(page, ProviderError):
                return page
            names_on_page, token = page
            names += [name for name in names_on_page if name == self.model or MODELS.draws(name)]
            if not token:
                break
        return tuple(dict.fromkeys(names))

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def _optional_fields(self, request: Request) -> dict[str, object]:
        """Return the fields of a request that older servers and gateways may not know."""
        # Without `store`, a paid project made since October 2026 keeps what it is sent.
        fields: dict[str, object] = {"store": self._store}
        if request.thinking is not None:
            fields["thinkingConfig"] = {"thinkingLevel": request.thinking.upper()}
        return fields


def _body(request: Request, optional: dict[str, object]) -> bytes:
    """Encode a request; `thinkingConfig` has its place within the configuration."""
    thinking = {name: optional[name] for name in ("thinkingConfig",) if name in optional}
    rest = {name: value for name, value in optional.items() if name not in thinking}
    parts: list[object] = [{"text": request.prompt}]
    parts += [_inline(reference) for reference in request.references]
    return msgspec.json.encode(
        {
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": {
                # With TEXT as well, a refusal comes with the model's words.
                "responseModalities": ["TEXT", "IMAGE"],
                "imageConfig": {
                    "aspectRatio": request.aspect_ratio,
                    "imageSize": request.image_size,
                },
                **thinking,
            },
            **rest,
        }
    )


_encoding = threading.Lock()


def _inline(reference: Reference) -> msgspec.Raw:
    if reference.role is ReferenceRole.PREDECESSOR:
        return _encode(reference)
    # Under a lock, so that all threads of a starting run do not encode the same file.
    with _encoding:
        return _encode_once(reference)


# A style's reference goes out with hundreds of requests, an image before another with one.
@lru_cache(maxsize=64)
def _encode_once(reference: Reference) -> msgspec.Raw:
    return _encode(reference)


def _encode(reference: Reference) -> msgspec.Raw:
    data = pybase64.b64encode_as_string(reference.data)
    return msgspec.Raw(
        msgspec.json.encode({"inlineData": {"mimeType": reference.mime_type, "data": data}})
    )
