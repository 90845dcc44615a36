"""The image of a sketch: a field of colour, composed by shot and beat.

It shows no subject: a frame that guessed at one would mislead anyone judging the storyboard.
What a beat says of its time of day sets the colours; beats of a shot share their arcs.
"""

import hashlib
import math
import random
import re

from PIL import Image, ImageChops, ImageDraw

from imagegen.images.colour import Colour, mix
from imagegen.providers.sketch.look import Look, Palette

_TIMES = re.compile(
    r"\b(?:(?P<night>night|midnight|moon\w*|stars|starlit|starry)"
    r"|(?P<dawn>dawn|sunrise|morning|daybreak)"
    r"|(?P<dusk>dusk|sunset|evening|twilight)"
    r"|(?P<storm>storm\w*|rain\w*|thunder|fog\w*|snow\w*|overcast))\b",
    re.IGNORECASE,
)
# Above this many pixels edges look smooth as they are, and a finer canvas would take hundreds of
# megabytes.
_FINEST_PIXELS = 20_000_000
_ARCS = 3


def time_of(prompt: str) -> str:
    """Return the time of day or the weather that a prompt names first, else `day`."""
    match = _TIMES.search(prompt)
    return match.lastgroup or "day" if match else "day"


def draw_field(prompt: str, shot: str, beat: str, look: Look, size: tuple[int, int]) -> Image.Image:
    """Return the image of a beat, `size` pixels wide and high."""
    palette = look.palettes[time_of(prompt)]
    fine = 2 if size[0] * size[1] * 4 <= _FINEST_PIXELS else 1
    width, height = size[0] * fine, size[1] * fine
    of_shot, of_beat = random_source("shot", shot), random_source("beat", shot, beat)
    image = _wash((width, height), look, palette, of_beat)
    draw = ImageDraw.Draw(image, "RGBA")
    short = min(width, height)
    # The disc is on a line of thirds, as in a camera's finder.
    across, down = of_beat.choice((1, 2)) / 3, of_beat.choice((0.36, 0.46))
    radius = short * of_beat.uniform(0.13, 0.24)
    _disc(draw, (width * across, height * down), radius, palette.disc)
    stroke = round(short * look.stroke / 1000)
    outline = (palette.ink, stroke) if stroke else None
    for number in range(_ARCS):
        tone = (palette.far, palette.mid, palette.near)[number]
        # Discs so large that only an arc of each crosses the image.
        reach = math.hypot(width, height) * of_shot.uniform(0.9, 1.6)
        top = height * (0.5 + 0.16 * number + of_shot.uniform(-0.05, 0.05))
        centre = (width * of_shot.uniform(-0.2, 1.2), top + reach)
        _disc(draw, centre, reach, (*tone, 225), outline)
    image = image.reduce(fine) if fine > 1 else image
    return _add_grain(image, of_beat) if look.bloom else image


def random_source(*parts: str) -> random.Random:
    """Return a random source that texts decide, in every process alike."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
    return random.Random(digest)  # noqa: S311 (a drawing, not a secret)


def jagged_mask(size: tuple[int, int], source: random.Random) -> Image.Image:
    """Return a mask with an uneven edge, as a wash of colour ends on paper."""
    width, height = size
    step = max(4, round(math.sqrt(width * height) / 60))
    depth = step * 0.45
    top = [(x, source.uniform(0, depth)) for x in range(0, width + step, step)]
    right = [(width - source.uniform(0, depth), y) for y in range(0, height + step, step)]
    bottom = [(x, height - source.uniform(0, depth)) for x in range(width + step, -step, -step)]
    left = [(source.uniform(0, depth), y) for y in range(height + step, -step, -step)]
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).polygon([*top, *right, *bottom, *left], fill=255)
    return mask


def _wash(
    size: tuple[int, int], look: Look, palette: Palette, source: random.Random
) -> Image.Image:
    """Return a ground that changes from the top colour to the low one, uneven if wet."""
    columns, rows = (12, 8) if look.bloom else (1, 8)
    small = Image.new("RGB", (columns, rows))
    for row in range(rows):
        for column in range(columns):
            share = row / (rows - 1) + look.bloom * source.uniform(-0.16, 0.16)
            small.putpixel((column, row), mix(palette.top, palette.low, min(1.0, max(0.0, share))))
    return small.resize(size, Image.Resampling.BICUBIC)


def _disc(
    draw: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    radius: float,
    fill: tuple[int, ...],
    outline: tuple[Colour, int] | None = None,
) -> None:
    """Draw a disc; `outline` is a colour and a width in pixels."""
    x, y = centre
    box = (x - radius, y - radius, x + radius, y + radius)
    ink, stroke = outline or (None, 0)
    draw.ellipse(box, fill=fill, outline=ink, width=stroke)


def _add_grain(image: Image.Image, source: random.Random) -> Image.Image:
    """Return the image with a soft field of light, as pigment settles on rough paper."""
    columns, rows = 48, max(2, round(48 * image.height / image.width))
    spots = Image.frombytes("L", (columns, rows), source.randbytes(columns * rows))
    light = spots.point(lambda value: 236 + value * 19 // 255)
    grain = light.resize(image.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(image, Image.merge("RGB", (grain, grain, grain)))
