"""Stable Diffusion web UIs on a machine of one's own, over their HTTP API.

The API is the one that AUTOMATIC1111's stable-diffusion-webui began and that Forge, SD.Next and
others speak. Reference: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/API.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
import pybase64

from imagegen import sizes
from imagegen.providers.base import (
    MAX_REFERENCE_BYTES,
    NO_TEXT,
    FaultKind,
    Outcome,
    Provider,
    ProviderError,
    ProviderOptions,
    Request,
    base_address,
)
from imagegen.providers.models import Catalogue, Model
from imagegen.providers.responses import (
    LONGEST_NAME,
    best_picture,
    field,
    is_image,
    is_passing,
    items,
    loose,
    malformed_answer,
    picture,
    safe_message,
    try_decode,
    unwrap,
)
from imagegen.secret import Secret

if TYPE_CHECKING:
    from imagegen.providers.http import Reply

DEFAULT_BASE_URL: Final = "http://127.0.0.1:7860"
LOADED: Final = "loaded"
"""The model where none is named: the checkpoint that the web UI has loaded."""

DENOISING: Final = 0.75
"""How far an image may go from its reference: 0 is a copy, 1 takes next to nothing of it."""

_STEP: Final = 8
"""Sides of images are multiples of it: the models draw in blocks of this many pixels."""

_FREE: Final = {"512": 0.0, "1K": 0.0, "2K": 0.0, "4K": 0.0}
"""The machine is the user's own."""

MODELS: Final = Catalogue(
    (Model(name=LOADED, sizes=_FREE, references=1),),
    default=LOADED,
    other=Model(name="", sizes=_FREE, references=1),
)

_MOST_MODELS: Final = 1000
_LIST_TIMEOUT: Final = 30.0
_NO_MODEL: Final = re.compile(
    r"unknown checkpoint|checkpoint\b.*\bnot found|\bmodel\b.*\bnot found", re.IGNORECASE
)
_NO_MEMORY: Final = re.compile(r"out ?of ?memory", re.IGNORECASE)


class _Answer(msgspec.Struct, frozen=True):
    images: list[msgspec.Raw] = []


class _Error(msgspec.Struct, frozen=True):
    # Any: FastAPI's detail is text or a list, by the kind of the error.
    error: Any = None
    errors: Any = None
    detail: Any = None

    @property
    def words(self) -> str:
        """All that it says."""
        parts = (self.error, self.errors, self.detail)
        texts = [part if isinstance(part, str) else _first(part) for part in parts]
        return " ".join(dict.fromkeys(text for text in texts if text))


class _Checkpoint(msgspec.Struct, frozen=True):
    model_name: str = ""


_answers = msgspec.json.Decoder(_Answer)
_errors = msgspec.json.Decoder(_Error)
_checkpoints = msgspec.json.Decoder(list[_Checkpoint])


class SdWebUi(Provider):
    """A web UI as a provider: no key, and one request at a time unless configured otherwise."""

    name = "sdwebui"
    catalogue = MODELS
    keys_section = "sdwebui"
    largest_references = MAX_REFERENCE_BYTES

    def __init__(self, options: ProviderOptions) -> None:
        from imagegen.providers.http import Http  # noqa: PLC0415  # slow, and only to draw

        self.model = options.model or LOADED
        self.max_concurrency = options.width or 1
        self._timeout = options.timeout
        self._base_url = base_address(
            options.base_url or DEFAULT_BASE_URL, "/txt2img", "/sdapi/v1", "/sdapi"
        )
        self._host = urlsplit(self._base_url).netloc
        self._http = Http(self._base_url, width=self.max_concurrency)

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:  # noqa: ARG002
        """Make exactly one request; see `Provider.draw`."""
        try:
            path, body = self._body(request)
        except UnicodeEncodeError:
            return NO_TEXT
        reply = self._http.request("POST", path, body=body, timeout=self._timeout, sent=sent)
        if isinstance(reply, ProviderError):
            return reply
        return _outcome(reply.body) if 200 <= reply.status < 300 else self._fault(reply)

    def models(self, key: Secret | None) -> tuple[str, ...] | ProviderError:  # noqa: ARG002
        """Return the names of the checkpoints that the web UI has."""
        timeout = min(self._timeout, _LIST_TIMEOUT)
        reply = self._http.request("GET", "/sdapi/v1/sd-models", timeout=timeout)
        if isinstance(reply, ProviderError):
            return reply
        if not 200 <= reply.status < 300:
            return self._fault(reply)
        read = try_decode(_checkpoints, reply.body)
        if read is None:
            return malformed_answer("The web UI's list of models was not what it should be.")
        names = [checkpoint.model_name for checkpoint in read[:_MOST_MODELS]]
        return tuple(dict.fromkeys(name for name in names if 0 < len(name) <= LONGEST_NAME))

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def _body(self, request: Request) -> tuple[str, bytes]:
        """Return the path and the body of a request; what is not named is the web UI's own."""
        width, height = sizes.exact(request.aspect_ratio, request.image_size, step=_STEP)
        fields: dict[str, object] = {
            "prompt": request.prompt,
            "width": width,
            "height": height,
            "batch_size": 1,
            "n_iter": 1,
        }
        if self.model != LOADED:
            fields["override_settings"] = {"sd_model_checkpoint": self.model}
        if not request.references:
            return "/sdapi/v1/txt2img", msgspec.json.encode(fields)
        coded = [pybase64.b64encode_as_string(reference.data) for reference in request.references]
        fields |= {"init_images": coded[:1], "denoising_strength": DENOISING}
        return "/sdapi/v1/img2img", msgspec.json.encode(fields)

    def _fault(self, reply: "Reply") -> ProviderError:
        """Return what an answer with a status of an error means."""
        status = reply.status
        error = try_decode(_errors, reply.body)
        words = error.words if error else ""
        message = safe_message(words) or f"{self._host} answered HTTP {status}."
        kind, reason = FaultKind.PASSING, f"HTTP {status}"
        if status in {401, 403}:
            kind = FaultKind.UNUSABLE
            message = (
                f"{self._host} wants a user name and password, which are not sent (--api-auth)."
            )
        elif _NO_MODEL.search(words):
            kind, reason = FaultKind.MODEL_GONE, "unknown checkpoint"
        elif status in {404, 405}:
            kind = FaultKind.UNUSABLE
            message = (
                f"{self._host} has no API: start the web UI with --api, or correct the address."
            )
        elif _NO_MEMORY.search(words):
            # Another program may free some; the same size will not need less.
            kind, reason = FaultKind.NO_PICTURE, "out of memory"
            message += " A smaller image_size needs less."
        elif 400 <= status < 500 and status != 429 and not is_passing(status):
            kind = FaultKind.BAD_REQUEST
        return ProviderError(kind=kind, reason=reason, message=message)


def _outcome(body: bytes) -> Outcome:
    answer = try_decode(_answers, body)
    for coded in answer.images if answer is not None else ():
        image = picture(coded)
        if is_image(image):
            return image
    return _read_loosely(unwrap(loose(body)))


def _read_loosely(answer: Any) -> Outcome:
    """Return what an answer holds that has no image in its usual place, or is no answer."""
    if not isinstance(answer, dict):
        return malformed_answer("The web UI's answer was not what it should be.")
    images = items(field(answer, "images", "image"))
    outcome = best_picture(((text, "") for text in images if isinstance(text, str) and text), None)
    if outcome is not None:
        return outcome
    if images:
        return malformed_answer("The web UI's answer was not what it should be.")
    message = "The web UI returned no image; it may have been interrupted."
    return ProviderError(kind=FaultKind.NO_PICTURE, reason="no picture", message=message)


def _first(value: object) -> str:
    """Return the message of the first error of a list, as FastAPI writes it."""
    first = value[0] if isinstance(value, list) and value else None
    message = first.get("msg") if isinstance(first, dict) else None
    return message if isinstance(message, str) else ""
