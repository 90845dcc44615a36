"""The process that traces: reads requests from stdin, one JSON object a line, answers on stdout.

vtracer holds the interpreter's lock as long as it traces, and panics on some input with an
exception that is not an `Exception`. In a process of its own it can be ended at any time.
An answer is a JSON line, followed by the SVG if there is no error.
"""

import ctypes
import io
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from imagegen import files
from imagegen.export.svg import document
from imagegen.export.svg.document import Origin
from imagegen.export.svg.settings import Preset, Settings
from imagegen.images import formats, png, thumbnails
from imagegen.images.formats import NotAPictureError

if TYPE_CHECKING:
    from PIL.Image import Image


_GRACE: Final = 5
"""Seconds after which it ends itself, unless the parent process did so before."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An image to trace. `path` is as the system has it, `seconds` is how long that may take."""

    path: bytes
    origin: Origin
    settings: Settings
    seconds: float


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: an error, or an SVG of `size` bytes."""

    size: int = 0
    error: str | None = None


def svg(path: Path, origin: Origin, settings: Settings) -> bytes:
    """Return an image as SVG. Raises `NotAPictureError`, and the errors of vtracer."""
    data = files.read(path, png.MAX_BYTES)
    if data is None:
        raise NotAPictureError("there is no such file, or it is too large")
    data = formats.as_png(data)
    size = png.size_of(data)
    if size is None:
        raise NotAPictureError("the PNG is not whole")
    if settings.embed:
        return b"".join(document.render_image(data, origin, size))
    reduced = min(1.0, math.sqrt(settings.max_pixels() / (size[0] * size[1])))
    image = thumbnails.reduce(data, max(1, int(size[0] * reduced)))
    return b"".join(
        document.render_paths(_paths(image, settings), origin, size, size[0] / image.width)
    )


def _paths(image: "Image", settings: Settings) -> str:
    import vtracer  # noqa: PLC0415  # an extra

    if settings.preset is Preset.BW:
        image = image.convert("L")
    pixels = io.BytesIO()
    # As bytes it needs a fifth of the memory that a list of pixels does.
    image.save(pixels, "PNG", compress_level=0)
    paths: str = vtracer.convert_raw_image_to_svg(
        pixels.getvalue(), img_format="png", **settings.parameters()
    )
    return paths


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    for line in requests:
        request = msgspec.json.decode(line, type=Request)
        _limit(math.ceil(request.seconds + _GRACE))
        try:
            data = svg(Path(os.fsdecode(request.path)), request.origin, request.settings)
            answer = Answer(size=len(data))
        except BaseException as error:  # noqa: BLE001  # a panic is not an `Exception`
            data, answer = b"", Answer(error=str(error) or type(error).__name__)
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.write(data)
        answers.flush()
        _limit(0)


def _limit(seconds: int) -> None:
    """End this process after `seconds`, even if its parent has ended by then."""
    if sys.platform != "win32":
        signal.alarm(seconds)


def _end_with_parent() -> None:
    """Let Linux end this process when the one that started it is killed.

    Elsewhere it ends after the image that it is at. PR_SET_PDEATHSIG is 1, see prctl(2).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    _end_with_parent()
    serve(sys.stdin.buffer, sys.stdout.buffer)
