"""Small things that tests are made of."""

import io
from typing import Any

from PIL import Image

from imagegen.images import png as pngs
from imagegen.project.storyboard import Beat, Storyboard


def beat(number: str = "1.1", **fields: Any) -> Beat:
    """Return a beat of shot 1 in the style `clear`, but for the fields that are given."""
    defaults: dict[str, Any] = {
        "style": "clear",
        "shot": "1",
        "beat": number,
        "written": number,
        "words": f"words of {number}",
        "own_words": False,
    }
    return Beat(**(defaults | fields))


def storyboard(*beats: Beat) -> Storyboard:
    """Return these beats as a storyboard."""
    styles: dict[str, list[Beat]] = {}
    for one in beats:
        styles.setdefault(one.style, []).append(one)
    return Storyboard(source="beats.json", beats={name: tuple(own) for name, own in styles.items()})


def picture(
    width: int = 8, height: int = 5, *, kind: str = "PNG", mode: str = "RGB", **options: Any
) -> bytes:
    """Return a picture file that goes from dark to light, and to transparent in RGBA."""
    gradient = Image.linear_gradient("L").rotate(90).resize((width, height))
    image = gradient.convert(mode)
    if mode == "RGBA":
        image.putalpha(gradient)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def provenance(**fields: Any) -> pngs.Provenance:
    """Return what a picture says of its origin, but for the fields that are given."""
    defaults: dict[str, Any] = {
        "style": "clear",
        "shot": "1",
        "beat": "1.1",
        "provider": "sketch",
        "model": "sketch-1",
        "aspect_ratio": "16:9",
        "image_size": "1K",
        "words": pngs.Hash("ab" * 32),
    }
    return pngs.Provenance(**(defaults | fields))
