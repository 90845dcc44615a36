"""What the model of the Gemini API is asked, and what it refuses to be asked."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

import msgspec

from gemini_replies import Answer

_MOST_BYTES = 20 * 1024 * 1024
_MOST_REFERENCES = 14
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


class _ImageConfig(_Strict):
    aspect_ratio: Literal[
        "1:1", "1:4", "1:8", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1", "9:16",
        "16:9", "21:9",
    ] = "1:1"  # fmt: skip
    image_size: Literal["512", "1K", "2K", "4K"] = "1K"


class _GenerationConfig(_Strict):
    response_modalities: list[Literal["TEXT", "IMAGE"]] = []
    image_config: _ImageConfig | None = None
    candidate_count: Literal[1] = 1
    # The API takes a field's name in either spelling, and gateways write this one so.
    spelt_with_underscores: list[Literal["TEXT", "IMAGE"]] = msgspec.field(
        default_factory=list, name="response_modalities"
    )


class _Body(_Strict):
    contents: list[_Content]
    generation_config: _GenerationConfig | None = None


_UNKNOWN = re.compile(r"unknown field `(\w+)`(?: - at `\$\.?([\w.]*))?")


def parse(body: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the prompt and the references; ValueError in the API's words if it is wrong."""
    if len(body) > _MOST_BYTES:
        raise ValueError("Request payload size exceeds the limit: 20971520 bytes.")
    try:
        request = msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError as wrong:
        unknown = _UNKNOWN.search(str(wrong))
        if unknown is None:
            raise ValueError(f"Invalid JSON payload received. {wrong}") from None
        place = re.sub("([A-Z])", r"_\1", unknown[2] or "").lower()
        raise ValueError(
            f'Invalid JSON payload received. Unknown name "{unknown[1]}"'
            f"{f' at {place!r}' if place else ''}: Cannot find field."
        ) from None
    parts = [part for content in request.contents for part in content.parts]
    prompt = "\n".join(part.text for part in parts if part.text)
    images = [part.inline_data for part in parts if part.inline_data]
    if not prompt:
        raise ValueError("GenerateContentRequest.contents: contents is not specified")
    if len(images) > _MOST_REFERENCES:
        raise ValueError(f"Too many images: {len(images)}, at most {_MOST_REFERENCES}.")
    if not all(image.data.startswith(_MAGIC.get(image.mime_type, b"")) for image in images):
        raise ValueError("Provided image is not valid.")
    digests = [(image.mime_type, hashlib.sha256(image.data).hexdigest()) for image in images]
    return prompt, tuple(digests)
