"""Whether an image has the shape and the size that were asked for.

Services do not always keep to what they are asked: an image of another ratio is worth showing
before it is chosen, and 4K that comes as 1K is paid for as 4K.
"""

import math
from functools import lru_cache
from typing import Final

import msgspec

from imagegen.sizes import RATIOS, SIDES, reduced

_SAME_RATIO: Final = 1.03
"""Gemini's 16:9 is 1376 x 768: what differs by less is the same to the eye."""

_SAME_AREA: Final = 2.0
"""Sizes differ four times in their pixels; services round by far less than half of that."""

_NAMED_RATIOS: Final = (*RATIOS, "9:21", "1:2", "2:1", "1:3", "3:1")
"""Ratios that have a name: those of the services, and their like."""


class Misfit(msgspec.Struct, frozen=True):
    """In what an image differs: the settings that were not kept to, and in words."""

    settings: tuple[str, ...]
    words: str


@lru_cache(maxsize=1024)
def misfit(
    width: int,
    height: int,
    aspect_ratio: str,
    image_size: str,
    expected: tuple[int, int] | None = None,
) -> Misfit | None:
    """Return how an image's shape or size differs from the request, or None.

    `expected` are width and height, if more is known than the ratio and the size's name.
    """
    size = expected or usual(aspect_ratio, image_size)
    if size is None:
        return None
    settings, words = [], []
    if not is_same_ratio(width, height, *size):
        settings.append("aspect_ratio")
        ratio = aspect_ratio if expected is None else ratio_name(*size)
        words.append(f"asked {ratio}, came {ratio_name(width, height)}")
    area = width * height / (size[0] * size[1])
    if not 1 / _SAME_AREA < area < _SAME_AREA:
        settings.append("image_size")
        words.append(f"asked {image_size}, came {width} x {height}")
    return Misfit(tuple(settings), "; ".join(words)) if settings else None


def usual(aspect_ratio: str, image_size: str) -> tuple[int, int] | None:
    """Return about what width and height an image has; None if it is unknown."""
    across, _, down = aspect_ratio.partition(":")
    side = SIDES.get(image_size)
    if side is None or not (across.isdigit() and down.isdigit() and int(across) and int(down)):
        return None
    wider = math.sqrt(int(across) / int(down))
    return round(side * wider), round(side / wider)


def is_same_ratio(width: int, height: int, other_width: int, other_height: int) -> bool:
    """Return whether two shapes look alike."""
    wider = width * other_height / (height * other_width)
    return 1 / _SAME_RATIO < wider < _SAME_RATIO


def ratio_name(width: int, height: int) -> str:
    """Return a ratio as people write it: 16:9; of an unusual one the pixels."""
    for name in _NAMED_RATIOS:
        if is_same_ratio(width, height, *reduced(name)):
            return name
    divisor = math.gcd(width, height)
    across, down = width // divisor, height // divisor
    return f"{across}:{down}" if max(across, down) <= 99 else f"{width} x {height}"
