"""Google's Gemini API over REST: `models/{model}:generateContent`.

Reference: https://ai.google.dev/api/generate-content and
https://ai.google.dev/gemini-api/docs/image-generation.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

import msgspec
import pybase64

from imagegen.providers import gemini_answer
from imagegen.providers.answers import of_no_model
from imagegen.providers.base import (
    MAX_REFERENCE_BYTES,
    NO_TEXT,
    USUAL_TYPES,
    Fault,
    Options,
    Outcome,
    Price,
    Reference,
    Request,
    Role,
)
from imagegen.secret import Secret

DEFAULT_MODEL = "gemini-3.1-flash-image"
DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
DEFAULT_WIDTH = 256

PRICES_OF = "spring 2026"
"""When the prices below were read at https://ai.google.dev/gemini-api/docs/pricing."""

_PRICES = {
    # US dollars a picture by size.
    "gemini-3.1-flash-image": {"512": 0.045, "1K": 0.067, "2K": 0.101, "4K": 0.151},
    "gemini-3-pro-image": {"1K": 0.134, "2K": 0.134, "4K": 0.24},
}
_PER_MILLION_OUTPUT = {"gemini-3.1-flash-image": 60.0}
"""US dollars for a million output tokens of pictures."""

_LIST_TIMEOUT = 30.0
_MOST_PAGES = 10


class Gemini:
    """The Gemini API as a provider. Used from many threads at once."""

    name = "gemini"
    default_model = DEFAULT_MODEL
    key_variables: tuple[str, ...] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    keys_table = ""
    takes_address = True
    per_minute = 9
    # See https://ai.google.dev/gemini-api/docs/image-generation; the smaller models take fewer.
    most_references = 14
    largest_reference = MAX_REFERENCE_BYTES
    # A request may have 20 MB, in which a file's bytes become a third more.
    largest_references = 14 * 1024 * 1024
    reference_types = USUAL_TYPES | {"image/heic"}

    def __init__(self, options: Options) -> None:
        from imagegen.providers.http import Http  # noqa: PLC0415  # slow, and only to draw

        self.model = options.model or DEFAULT_MODEL
        self.width = options.width or DEFAULT_WIDTH
        self._timeout = options.timeout
        self._base_url = (options.base_url or DEFAULT_BASE_URL).rstrip("/")
        self._http = Http(self._base_url, width=self.width, key_header=("x-goog-api-key", ""))

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:
        """Make exactly one request; see `Provider.draw`."""
        try:
            body = _body(request)
        except UnicodeEncodeError:
            return NO_TEXT
        path = f"/v1beta/models/{quote(self.model, safe='-._')}:generateContent"
        reply = self._http.ask("POST", path, key, timeout=self._timeout, sent=sent, body=body)
        if isinstance(reply, Fault):
            return reply
        if not 200 <= reply.status < 300:
            return gemini_answer.fault(reply, self._base_url)
        return gemini_answer.outcome(reply.body)

    def models(self, key: Secret | None) -> tuple[str, ...] | Fault:
        """Ask which image models the key sees; costs no quota."""
        names: list[str] = []
        token = ""
        for _ in range(_MOST_PAGES):
            path = "/v1beta/models?pageSize=1000"
            if token:
                path += f"&pageToken={quote(token, safe='')}"
            timeout = min(self._timeout, _LIST_TIMEOUT)
            reply = self._http.ask("GET", path, key, timeout=timeout)
            if isinstance(reply, Fault):
                return reply
            if not 200 <= reply.status < 300:
                return of_no_model(gemini_answer.fault(reply, self._base_url))
            page = gemini_answer.image_models(reply.body)
            if isinstance(page, Fault):
                return page
            seen, token = page
            names += seen
            if not token:
                break
        return tuple(dict.fromkeys(names))

    @staticmethod
    def price(model: str, image_size: str) -> Price | None:
        """Return the list price of a picture, as read in `PRICES_OF`."""
        picture = _PRICES.get(model, {}).get(image_size)
        if picture is None:
            return None
        return Price(picture=picture, per_million_output=_PER_MILLION_OUTPUT.get(model))

    @staticmethod
    def notes(model: str, aspect_ratio: str, image_size: str) -> tuple[str, ...]:  # noqa: ARG004
        """Return nothing: every ratio and size is drawn as it is asked for."""
        return ()

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


def _body(request: Request) -> bytes:
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
            },
        }
    )


_encoding = threading.Lock()


def _inline(reference: Reference) -> msgspec.Raw:
    if reference.role is Role.PREDECESSOR:
        return _encode(reference)
    # Under a lock, so that all threads of a starting run do not encode the same file.
    with _encoding:
        return _encoded(reference)


# A style's reference goes out with hundreds of requests, a picture before another with one.
@lru_cache(maxsize=64)
def _encoded(reference: Reference) -> msgspec.Raw:
    return _encode(reference)


def _encode(reference: Reference) -> msgspec.Raw:
    data = pybase64.b64encode_as_string(reference.data)
    return msgspec.Raw(
        msgspec.json.encode({"inlineData": {"mimeType": reference.mime_type, "data": data}})
    )
