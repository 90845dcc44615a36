"""The text of an SVG: what vtracer writes, with a viewBox, a title, ids and its origin inside."""

import base64
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import encoding, files

MAX_BYTES: Final = 256 * 1024 * 1024
_HEAD: Final = 8192
_METADATA: Final = re.compile(r"<metadata>([^<]*)</metadata>")
_PATH: Final = re.compile(r"<path [^<>]*/>")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What an SVG was made from. Two of the same origin are the same."""

    beat: str
    style: str
    source_sha256: str
    settings: dict[str, Any]

    def key(self) -> str:
        """Return one line that only equal origins have."""
        return encoding.to_json(msgspec.to_builtins(self)).decode()


def origin_of(path: Path) -> str | None:
    """Return the key of the origin that an SVG file has inside; None if it has none.

    The file may be from anybody: it is not parsed as XML.
    """
    head = files.read_cached(path, MAX_BYTES)
    match = _METADATA.search(head[:_HEAD].decode("utf-8", "replace")) if head else None
    return html.unescape(match[1]) if match else None


def render_paths(
    paths: str, origin: Origin, size: tuple[int, int], scale: float
) -> Iterator[bytes]:
    """Yield the document of a trace. `size` is the image's in pixels.

    `paths` is what vtracer wrote, of an image that was reduced to 1 / `scale`.
    """
    yield from _head(origin, size)
    yield f'<g transform="scale({scale:.6g})">\n'.encode() if scale != 1 else b"<g>\n"
    for number, match in enumerate(_PATH.finditer(paths), 1):
        yield f'<path id="p{number}" {match[0][6:]}\n'.encode()
    yield b"</g>\n</svg>\n"


def render_image(png: bytes, origin: Origin, size: tuple[int, int]) -> Iterator[bytes]:
    """Yield the document that has an image inside. `size` is in pixels."""
    width, height = size
    yield from _head(origin, size)
    yield f'<image id="p1" width="{width}" height="{height}" href="data:image/png;base64,'.encode()
    yield base64.b64encode(png)
    yield b'"/>\n</svg>\n'


def _head(origin: Origin, size: tuple[int, int]) -> Iterator[bytes]:
    width, height = size
    title = html.escape(f"Beat {origin.beat}, {origin.style}")
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n'
        f"<title>{title}</title>\n"
        f"<metadata>{html.escape(origin.key(), quote=False)}</metadata>\n"
    ).encode()
