"""Warnings about images too small for video, or unlike the project's others."""

from typing import Final

from imagegen.images import shape
from imagegen.sizes import SIDES

_FULL_HD: Final = 1080
_MUCH_SMALLER: Final = 0.5


def short_side(image_size: str, aspect_ratio: str) -> int | None:
    """Return the approximate lines of an image's shorter side; None if unknown."""
    usual = shape.usual(aspect_ratio, image_size)
    return min(usual) if usual is not None else None


def size_hint(image_size: str, aspect_ratio: str) -> str | None:
    """Return a hint if images are below full HD and a larger size is not."""
    lines = short_side(image_size, aspect_ratio)
    if lines is None or lines >= _FULL_HD:
        return None
    for size in SIDES:
        if (short_side(size, aspect_ratio) or 0) >= _FULL_HD:
            return (
                f"Images have about {lines} lines, full HD has {_FULL_HD}: "
                f'image_size = "{size}" in imagegen.toml'
            )
    return None


def size_mismatch(width: int, height: int, image_size: str, aspect_ratio: str) -> str | None:
    """Return how an image differs from the project's in shape, or that it is much smaller.

    None if it does not, or if the project's size is unknown.
    """
    usual = short_side(image_size, aspect_ratio)
    if usual is None:
        return None
    across, down = (int(part) for part in aspect_ratio.split(":"))
    differences = []
    if not shape.is_same_ratio(width, height, across, down):
        differences.append(f"are {aspect_ratio}")
    if min(width, height) < _MUCH_SMALLER * usual:
        differences.append(f"have about {usual:,} lines")
    if not differences:
        return None
    return f"it has {width} x {height} pixels, the project's images {' and '.join(differences)}"
