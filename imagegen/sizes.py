"""The aspect ratios and sizes that can be asked for, and their widths and heights in pixels."""

import math
from typing import Final

SIDES: Final = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
"""The side, in pixels, of a square image of each size; other ratios have about the same area."""

RATIOS: Final = (
    *("1:1", "1:4", "1:8", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1"),
    *("9:16", "16:9", "21:9"),
)
"""Those of Gemini's image models. Sketches stand in for them, and settings know no others."""


def exact(
    aspect_ratio: str,
    image_size: str,
    *,
    step: int,
    least: int = 0,
    most: int | None = None,
    longest: int | None = None,
) -> tuple[int, int]:
    """Return width and height of exactly this ratio, both multiples of `step`.

    The largest that has no more pixels than the size's area, within `least` and `most`
    pixels and `longest` for either side. 16:9 at 1K with steps of 16 gives 1280 x 720.
    """
    across, down = reduced(aspect_ratio)
    unit = across * down * step**2
    area = SIDES[image_size] ** 2
    area = area if most is None else min(area, most)
    times = max(1, math.isqrt(area // unit))
    if longest is not None:
        times = min(times, longest // (max(across, down) * step))
    while times**2 * unit < least:
        times += 1
    return across * step * times, down * step * times


def nearest(aspect_ratio: str, sizes: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """Return the size with the nearest ratio, compared as proportions."""
    across, down = reduced(aspect_ratio)
    log_ratio = math.log(across / down)
    return min(sizes, key=lambda size: abs(math.log(size[0] / size[1]) - log_ratio))


def reduced(aspect_ratio: str) -> tuple[int, int]:
    """Return a ratio in its smallest whole numbers: 21:9 is 7 to 3."""
    across, down = (int(part) for part in aspect_ratio.split(":"))
    divisor = math.gcd(across, down)
    return across // divisor, down // divisor
