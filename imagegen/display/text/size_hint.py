"""Whether pictures are large enough for video, and one's own like the others."""

import math
from typing import Final

_AREA: Final = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
"""The side of a square of each size; other ratios have about the same area."""

_FULL_HD: Final = 1080
_SAME_RATIO: Final = 1.02
"""Services draw 16:9 as 1376 x 768: what differs by less is the same to the eye."""

_MUCH_SMALLER: Final = 0.5


def lines(image_size: str, aspect_ratio: str) -> int | None:
    """Return how many lines a picture's shorter side has, about; None if it is not known."""
    across, _, down = aspect_ratio.partition(":")
    side = _AREA.get(image_size)
    if side is None or not (across.isdigit() and down.isdigit() and int(across) and int(down)):
        return None
    small, large = sorted((int(across), int(down)))
    return round(side * math.sqrt(small / large))


def hint(image_size: str, aspect_ratio: str) -> str | None:
    """Say that pictures are smaller than full HD, if a larger size would not be."""
    own = lines(image_size, aspect_ratio)
    if own is None or own >= _FULL_HD:
        return None
    for size in _AREA:
        if (lines(size, aspect_ratio) or 0) >= _FULL_HD:
            return (
                f"Pictures have about {own} lines, full HD has {_FULL_HD}: "
                f'image_size = "{size}" in imagegen.toml'
            )
    return None


def misfit(width: int, height: int, image_size: str, aspect_ratio: str) -> str | None:
    """Say that a picture of so many pixels has another shape than a project's, or is much smaller.

    None where neither is so, or the project's size is not known.
    """
    usual = lines(image_size, aspect_ratio)
    if usual is None:
        return None
    across, down = (int(part) for part in aspect_ratio.split(":"))
    wider = width * down / (height * across)
    others = []
    if not 1 / _SAME_RATIO < wider < _SAME_RATIO:
        others.append(f"are {aspect_ratio}")
    if min(width, height) < _MUCH_SMALLER * usual:
        others.append(f"have about {usual:,} lines")
    if not others:
        return None
    return f"it has {width} x {height} pixels, the project's pictures {' and '.join(others)}"
