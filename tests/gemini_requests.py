"""What the model of the Gemini API is asked, and what it refuses to be asked."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

from gemini_replies import Answer

_MOST_BYTES = 20 * 1024 * 1024
_MOST_REFERENCES = 14
_NO_512 = {"gemini-nano-banana-2.1", "gemini-3-pro-image", "gemini-3.1-flash-lite-image"}
_LEVELS = {
    "gemini-nano-banana-2.1": {"MINIMAL", "MEDIUM", "HIGH"},
    "gemini-3.1-flash-image": {"MINIMAL", "HIGH"},
    "gemini-3.1-flash-lite-image": {"MINIMAL", "HIGH"},
}
_MAGIC = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}


@dataclass
class Recorded:
    """One request as it arrived, and what became of it.

    `arrived` is monotonic, in seconds. `references` are pairs of media type and SHA-256.
    `whole` tells that every byte of the answer was handed to a client that took it.
    """

    arrived: float
    method: str
    path: str
    key: str | None
    model: str = ""
    prompt: str = ""
    references: tuple[tuple[str, str], ...] = ()
    store: bool | None = None
    thinking: str | None = None
    size: str = ""
    kind: Answer | str = Answer.PICTURE
    status: int = 0
    sent_bytes: int = 0
    whole: bool = False


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class _InlineData(_Strict):
    mime_type: Literal["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"]
    data: bytes


class _Part(_Strict):
    text: str | None = None
    inline_data: _InlineData | None = None


class _Content(_Strict):
    parts: list[_Part]
    role: Literal["user", "model"] = "user"


_Ratio = Literal[
    "1:1", "1:4", "1:8", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1", "9:16", "16:9",
    "21:9",
]  # fmt: skip
RATIOS: Final = get_args(_Ratio)


class _ImageConfig(_Strict):
    aspect_ratio: _Ratio = "1:1"
    image_size: Literal["512", "1K", "2K", "4K"] = "1K"


class _ThinkingConfig(_Strict):
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = None
    include_thoughts: bool | None = None


class _GenerationConfig(_Strict):
    response_modalities: list[Literal["TEXT", "IMAGE"]] = []
    image_config: _ImageConfig | None = None
    candidate_count: Literal[1] = 1
    thinking_config: _ThinkingConfig | None = None


class _Body(_Strict):
    contents: list[_Content]
    generation_config: _GenerationConfig | None = None
    store: bool | None = None


_UNKNOWN = re.compile(r"unknown field `(\w+)`(?: - at `\$\.?([\w.]*))?")


def read(request: Recorded, body: bytes, unknown: frozenset[str] = frozenset()) -> None:
    """Fill in a request from its body; ValueError in the API's words if it is wrong.

    `unknown` are fields that this server does not know.
    """
    if len(body) > _MOST_BYTES:
        raise ValueError("Request payload size exceeds the limit: 20971520 bytes.")
    asked = _decoded(body)
    config = asked.generation_config or _GenerationConfig()
    parts = [part for content in asked.contents for part in content.parts]
    images = [part.inline_data for part in parts if part.inline_data]
    request.prompt = "\n".join(part.text for part in parts if part.text)
    request.references = tuple(
        (image.mime_type, hashlib.sha256(image.data).hexdigest()) for image in images
    )
    request.store = asked.store
    request.thinking = config.thinking_config.thinking_level if config.thinking_config else None
    request.size = config.image_config.image_size if config.image_config else "1K"
    if not all(image.data.startswith(_MAGIC.get(image.mime_type, b"")) for image in images):
        raise ValueError("Provided image is not valid.")
    _check(request, unknown)


def _decoded(body: bytes) -> _Body:
    """Return a body with its fields in either spelling, as the API and its own clients have it."""
    try:
        try:
            return msgspec.json.decode(body, type=_Body)
        except msgspec.ValidationError:
            camel = msgspec.json.encode(_in_camel_case(msgspec.json.decode(body)))
            return msgspec.json.decode(camel, type=_Body)
    except msgspec.DecodeError as wrong:
        found = _UNKNOWN.search(str(wrong))
        if found is None:
            raise ValueError(f"Invalid JSON payload received. {wrong}") from None
        raise _unknown_name(found[1], found[2] or "") from None


def _in_camel_case(value: object) -> object:
    if isinstance(value, list):
        return [_in_camel_case(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub("_([a-z])", lambda match: match[1].upper(), name): _in_camel_case(one)
        for name, one in value.items()
    }


def _check(request: Recorded, unknown: frozenset[str]) -> None:
    if "store" in unknown and request.store is not None:
        raise _unknown_name("store", "")
    if "thinkingConfig" in unknown and request.thinking is not None:
        raise _unknown_name("thinkingConfig", "generationConfig")
    if not request.prompt:
        raise ValueError("GenerateContentRequest.contents: contents is not specified")
    count = len(request.references)
    if count > _MOST_REFERENCES:
        raise ValueError(f"Too many images: {count}, at most {_MOST_REFERENCES}.")
    if request.size == "512" and request.model in _NO_512:
        raise ValueError("Image size 512 is not supported for this model.")
    if request.thinking and request.thinking not in _LEVELS.get(request.model, ()):
        raise ValueError(f"Thinking level {request.thinking} is not supported for this model.")


def _unknown_name(name: str, path: str) -> ValueError:
    place = re.sub("([A-Z])", r"_\1", path).lower()
    return ValueError(
        f'Invalid JSON payload received. Unknown name "{name}"'
        f"{f' at {place!r}' if place else ''}: Cannot find field."
    )
