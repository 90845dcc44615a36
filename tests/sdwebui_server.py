"""A Stable Diffusion web UI's API on loopback, on the machinery of the Gemini one.

with WebUiServer() as server:
    server.fault("a red fox", Trouble.NO_MEMORY)
"""

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gemini_connections import Connection
from gemini_replies import REJECTIONS, Answer, png
from gemini_requests import Recorded
from gemini_server import GeminiServer

MODELS = ("sd_xl_base_1.0", "dreamshaper_8")


class Trouble(StrEnum):
    """What only such a server answers; `Answer` has the rest."""

    NO_API = "no api"
    WANTS_PASSWORD = "wants a password"
    NO_MEMORY = "no memory"
    DATA_ADDRESS = "data address"
    BROKEN_BASE64 = "broken base64"
    CONFLICT = "conflict"
    TOO_MANY = "too many"


@dataclass
class Asked(Recorded):
    """A request, and all fields of its body but the prompt and the reference."""

    fields: dict[str, Any] = field(default_factory=dict)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str
    width: int = 512
    height: int = 512
    batch_size: int = 1
    n_iter: int = 1
    override_settings: dict[str, str] = {}
    init_images: list[str] = []
    denoising_strength: float | None = None


class _Connection(Connection):
    def do_GET(self) -> None:  # noqa: N802
        """List the checkpoints."""
        api = self.server.api
        request = self.arrive()
        assert isinstance(api, WebUiServer)
        if api.trouble is not None:
            self.answer(request, *_error(api.trouble))
        elif urlsplit(self.path).path == "/sdapi/v1/sd-models":
            listed = [{"title": f"{n}.safetensors [abc]", "model_name": n} for n in api.models]
            self.answer(request, 200, listed)
        else:
            self.answer(request, *_error(Trouble.NO_API))

    def arrive(self) -> Recorded:
        """Return the request as its head tells it; whatever looks like a key is kept."""
        request = Asked(
            arrived=time.monotonic(),
            method=self.command,
            path=self.path,
            key=self.headers.get("Authorization") or self.headers.get("x-goog-api-key"),
        )
        if self.command == "GET":
            self.server.api.record(request)
        return request

    def judge(self, request: Recorded, body: bytes) -> tuple[Answer | str, float, str]:
        """Return what to answer, and what is wrong with the request."""
        api = self.server.api
        assert isinstance(request, Asked)
        assert isinstance(api, WebUiServer)
        try:
            _read(request, body, api.models)
        except (ValueError, LookupError) as wrong:
            api.record(request)
            gone = isinstance(wrong, LookupError)
            return Answer.MODEL_GONE if gone else Answer.BAD_REQUEST, 0.0, str(wrong.args[0])
        api.record(request)
        return (api.trouble, 0.0, "") if api.trouble is not None else (*api.decide(request), "")

    def reply(
        self, request: Recorded, retry: float, why: str
    ) -> tuple[int, Any, Mapping[str, object]]:
        """Return the status and the body for a request of this kind."""
        kind = str(request.kind)
        if kind in _ERRORS:
            return *_error(kind, why), {}
        return 200, _success(kind, request.prompt), {}


class WebUiServer(GeminiServer):
    """A web UI for one test. `trouble` is how it answers everything, if it does."""

    connection = _Connection
    rejections = REJECTIONS | {Trouble.NO_API, Trouble.WANTS_PASSWORD}

    def __init__(self, **options: Any) -> None:
        self.trouble: Trouble | None = None
        super().__init__(**{"models": MODELS, **options})

    @property
    def asked(self) -> list[Asked]:
        """Every drawing request so far, with its fields."""
        return [request for request in self.requests if isinstance(request, Asked)]


def _read(request: Asked, body: bytes, models: tuple[str, ...]) -> None:
    """Fill in a request from its body.

    Raises `ValueError` for what is none, and `LookupError` for a checkpoint that is not there.
    """
    read = msgspec.json.decode(body, type=_Body)
    request.prompt = read.prompt
    request.fields = {
        name: value
        for name, value in msgspec.structs.asdict(read).items()
        if name not in {"prompt", "init_images"}
    }
    images = [base64.b64decode(coded, validate=True) for coded in read.init_images]
    request.references = tuple(("", hashlib.sha256(data).hexdigest()) for data in images)
    path = "/sdapi/v1/img2img" if images else "/sdapi/v1/txt2img"
    if request.path != path or read.width % 8 or read.height % 8:
        raise ValueError("width and height must be multiples of 8")
    request.model = read.override_settings.get("sd_model_checkpoint", "")
    if request.model and request.model not in models:
        raise LookupError(f"Unknown checkpoint: {request.model}")


def _success(kind: str, prompt: str) -> dict[str, Any]:
    coded = base64.b64encode(png(prompt)).decode()
    images: Any = [coded]
    match kind:
        case Answer.EMPTY_JSON:
            return {}
        case Answer.WRONG_TYPES:
            images = [7]
        case Answer.NO_IMAGE:
            images = []
        case Answer.NOT_A_PICTURE:
            images = [base64.b64encode(b"this is no picture").decode()]
        case Trouble.DATA_ADDRESS:
            images = [f"data:image/png;base64,{coded}"]
        case Trouble.BROKEN_BASE64:
            images = ["!!!"]
    return {"images": images, "parameters": {}, "info": "{}"}


def _error(kind: str, why: str = "") -> tuple[int, Any]:
    """Return the status and the body of an error, as FastAPI and the web UI write it."""
    status, name, words = _ERRORS[kind]
    if name is None:
        return status, {"detail": why or words}
    return status, {"error": name, "detail": "", "body": "", "errors": why or words}


_ERRORS: dict[str, tuple[int, str | None, str]] = {
    Trouble.NO_API: (404, None, "Not Found"),
    Trouble.CONFLICT: (409, None, "The queue is being changed"),
    Trouble.TOO_MANY: (429, None, "Too Many Requests"),
    Trouble.WANTS_PASSWORD: (401, None, "Incorrect username or password"),
    Trouble.NO_MEMORY: (
        500,
        "OutOfMemoryError",
        "CUDA out of memory. Tried to allocate 9.00 GiB (GPU 0; 7.79 GiB total capacity)",
    ),
    Answer.MODEL_GONE: (500, "RuntimeError", "Unknown checkpoint"),
    Answer.BAD_REQUEST: (422, None, "value is not a valid integer"),
    Answer.ERROR_500: (500, "RuntimeError", "something broke"),
    Answer.UNAVAILABLE: (503, "RuntimeError", "the web UI is starting"),
}
