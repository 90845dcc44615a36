"""Images made smaller until their file is small enough to be sent."""

import io
import math
from typing import Final

from imagegen.images import formats

_SPARE: Final = 0.9
"""Files do not shrink quite as their areas do."""

_SMALL: Final = 1_000_000
"""Pixels up to which a file is not large because of them: it is rewritten first."""


def scale_to_bytes(data: bytes, most: int) -> bytes:
    """Return a PNG of the same image with at most N bytes.

    Raises `NotAPictureError` for what is no PNG, JPEG or WebP.
    """
    whole = formats.as_png(data)
    import PIL.Image  # noqa: PLC0415  # slow to import

    with PIL.Image.open(io.BytesIO(whole), formats=["PNG"]) as image:
        image.load()
        width, height, size = image.width, image.height, len(whole)
        plain = image if image.mode in {"L", "RGB", "RGBA"} else image.convert("RGBA")
        factor = 1.0 if width * height <= _SMALL else math.sqrt(_SPARE * most / size)
        while size > most:
            width, height = max(1, int(width * factor)), max(1, int(height * factor))
            out = io.BytesIO()
            plain.resize((width, height), PIL.Image.Resampling.LANCZOS).save(out, "PNG")
            whole, size = out.getvalue(), out.tell()
            factor = math.sqrt(_SPARE * most / size)
    return whole
