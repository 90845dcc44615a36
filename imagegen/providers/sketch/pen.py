"""The pen of the sketch provider: shapes drawn in a style's way, on a canvas twice as fine."""

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw

from imagegen.providers.sketch.look import Colour, Look, Palette, mix

Point = tuple[float, float]

# Drawn finer and reduced, edges are smooth. Above this many pixels they look smooth as they
# are, and a finer canvas would take hundreds of megabytes.
_FINEST_PIXELS = 20_000_000


class Pen:
    """Draws one picture. Coordinates are pixels of the fine canvas, y downwards."""

    def __init__(self, size: tuple[int, int], look: Look, palette: Palette, seed: int) -> None:
        self._fine = 2 if size[0] * size[1] * 4 <= _FINEST_PIXELS else 1
        self.width, self.height = size[0] * self._fine, size[1] * self._fine
        self.look = look
        self.palette = palette
        self.unit = math.sqrt(self.width * self.height) / 1000
        self.rng = random.Random(seed)  # noqa: S311 (a drawing, not a secret)
        self._image = Image.new("RGB", (self.width, self.height), palette.low)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    @property
    def short(self) -> float:
        """The side that things are measured by: the shorter one, or near it."""
        return min(self.width, self.height) * (1.15 if self.width < self.height else 1.0)

    def wash(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """Fill the canvas from `top` to `bottom` with a change of tone, blooming if wet."""
        box = (0, round(top), self.width, max(round(top) + 1, round(bottom)))
        columns, rows = 1, 4
        if self.look.bloom:
            columns = max(3, min(40, round(9 * self.width / self.short / 1.5)))
            rows = max(4, min(40, round(6 * (bottom - top) / self.short)))
        small = Image.new("RGB", (columns, rows))
        for row in range(rows):
            for column in range(columns):
                share = row / (rows - 1) + self.look.bloom * self.rng.uniform(-0.16, 0.16)
                small.putpixel((column, row), mix(upper, lower, min(1.0, max(0.0, share))))
        size = (box[2] - box[0], box[3] - box[1])
        # In the picture's own fineness: tones have no edges to smooth.
        coarse = (size[0] // self._fine + 1, size[1] // self._fine + 1)
        tones = small.resize(coarse, Image.Resampling.BICUBIC)
        self._image.paste(tones.resize(size, Image.Resampling.NEAREST), box[:2])

    def shape(self, points: Sequence[Point], fill: Colour, *, outline: float = 1.0) -> None:
        """Draw a filled polygon with the style's outline, `outline` times as heavy."""
        edge = self._drawn(points, closed=True)
        self._draw.polygon(edge, fill=fill)
        if self.look.stroke and outline:
            if self.look.bloom:
                rim = (*mix(fill, self.palette.ink, 0.35), 110)
                self._draw.line([*edge, edge[0]], fill=rim, width=round(self.unit * 7 * outline))
            self._ink(self._drawn(points, closed=True), outline, closed=True)

    def tint(self, points: Sequence[Point], fill: Colour, strength: float) -> None:
        """Lay a transparent colour (`strength` 0 to 1) over a polygon, without an outline."""
        self._draw.polygon(list(points), fill=(*fill, round(255 * strength)))

    def disc(self, centre: Point, radius: float, fill: Colour, *, outline: float = 1.0) -> None:
        """Draw a filled circle."""
        self.shape(circle(centre, radius), fill, outline=outline)

    def glow(self, centre: Point, radius: float, fill: Colour) -> None:
        """Lay rings of light around a point."""
        for share in (1.0, 0.86, 0.72, 0.58, 0.44):
            self.tint(circle(centre, radius * share), fill, 0.075)

    def line(self, points: Sequence[Point], colour: Colour, weight: float) -> None:
        """Draw an open line, `weight` thousandths of the picture's mean side wide."""
        width = max(1, round(weight * self.unit))
        self._draw.line(self._drawn(points, closed=False), fill=colour, width=width, joint="curve")

    def hatch(self, points: Sequence[Point], *, gap: float = 9.0) -> None:
        """Shade the right half of a box of points with slanting strokes, where lines are inked."""
        if not (self.look.stroke and self.look.wobble):
            return
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        top, bottom = min(y for _, y in points), max(y for _, y in points)
        start, step = (left + right) / 2, gap * self.unit
        for index in range(int((bottom - top) / step)):
            y = top + index * step
            ends = [(start, y + step), (right, y)]
            self.line(ends, mix(self.palette.ink, self.palette.mid, 0.4), 1.1)

    def finished(self) -> Image.Image:
        """Return the picture in its own size."""
        image = self._image.reduce(self._fine) if self._fine > 1 else self._image
        if not self.look.bloom:
            return image
        grain = self._grain(image.size)
        return ImageChops.multiply(image, Image.merge("RGB", (grain, grain, grain)))

    def _grain(self, size: tuple[int, int]) -> Image.Image:
        """Return a soft field of light, as pigment settles on rough paper."""
        unit = math.sqrt(size[0] * size[1])
        half = (size[0] // 2 + 1, size[1] // 2 + 1)
        field = Image.new("L", half, 255)
        for cell, depth in ((0.11, 22), (0.02, 12)):
            columns = max(2, round(size[0] / unit / cell))
            rows = max(2, round(size[1] / unit / cell))
            low = 255 - round(depth * self.look.bloom)
            values = bytes(self.rng.randint(low, 255) for _ in range(columns * rows))
            spots = Image.frombytes("L", (columns, rows), values)
            field = ImageChops.multiply(field, spots.resize(half, Image.Resampling.BICUBIC))
        return field.resize(size, Image.Resampling.BILINEAR)

    def _ink(self, edge: list[Point], weight: float, *, closed: bool) -> None:
        ink = self.palette.ink
        points = [*edge, edge[0]] if closed else edge
        base = self.look.stroke * self.unit * weight
        if not self.look.wobble:
            self._draw.line(points, fill=ink, width=max(1, round(base)), joint="curve")
            return
        # Pressure changes along the line: in runs, each with its own width.
        run = max(3, len(points) // 6)
        for start in range(0, len(points) - 1, run):
            width = max(1, round(base * self.rng.uniform(0.55, 1.2)))
            self._draw.line(points[start : start + run + 1], fill=ink, width=width, joint="curve")

    def _drawn(self, points: Sequence[Point], *, closed: bool) -> list[Point]:
        """Return the points as the hand follows them: exactly, or in small uncertain steps."""
        amount = self.look.wobble * self.unit
        if not amount:
            return list(points)
        step = 34 * self.unit
        # A small thing is drawn with a steadier hand, or it would lose its shape.
        extent = max(max(points)[0] - min(points)[0], *(abs(y - points[0][1]) for _, y in points))
        amount = min(amount, extent * 0.03)
        drawn: list[Point] = []
        ends = [*points[1:], points[0]] if closed else points[1:]
        for (x0, y0), (x1, y1) in zip(points, ends, strict=False):
            parts = min(24, 1 + int(math.hypot(x1 - x0, y1 - y0) / step))
            for part in range(parts):
                share = part / parts
                x = x0 + (x1 - x0) * share + self.rng.uniform(-amount, amount)
                drawn.append((x, y0 + (y1 - y0) * share + self.rng.uniform(-amount, amount)))
        if not closed:
            drawn.append(points[-1])
        return drawn


class Stamp:
    """A place for one subject: `x` from its middle, `y` up from its foot, its height being 1.

    `lit`: its lamps are burning.
    """

    def __init__(
        self, pen: Pen, foot: Point, height: float, *, mirror: bool = False, lit: bool = False
    ) -> None:
        self.pen = pen
        self.foot = foot
        self.height = height
        self.lit = lit
        self._way = -1 if mirror else 1

    def at(self, x: float, y: float) -> Point:
        """Return where on the canvas a point of the subject lies."""
        return self.foot[0] + x * self.height * self._way, self.foot[1] - y * self.height

    def shape(self, points: Sequence[Point], fill: Colour, *, outline: float = 1.0) -> None:
        """Draw a polygon of the subject."""
        self.pen.shape([self.at(*point) for point in points], fill, outline=outline)

    def box(  # noqa: PLR0917 (four edges, and what every shape takes)
        self, left: float, low: float, right: float, high: float, fill: Colour, outline: float = 1.0
    ) -> None:
        """Draw an upright rectangle of the subject."""
        self.shape([(left, low), (left, high), (right, high), (right, low)], fill, outline=outline)

    def disc(self, x: float, y: float, radius: float, fill: Colour, outline: float = 1.0) -> None:
        """Draw a circle of the subject."""
        self.pen.disc(self.at(x, y), radius * self.height, fill, outline=outline)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw an open line, `width` in shares of the subject's height."""
        weight = max(1.2, width * self.height / self.pen.unit)
        self.pen.line([self.at(*point) for point in points], colour, weight)

    def shade(self, points: Sequence[Point], strength: float = 0.2) -> None:
        """Darken a part of the subject."""
        self.pen.tint([self.at(*point) for point in points], self.pen.palette.ink, strength)

    def glow(self, x: float, y: float, radius: float) -> None:
        """Lay light around a point of the subject."""
        self.pen.glow(self.at(x, y), radius * self.height, self.pen.palette.light)


def circle(centre: Point, radius: float, *, flat: float = 1.0) -> list[Point]:
    """Return the points of a circle, or of an ellipse `flat` times as high."""
    count = max(24, min(120, round(3.5 * math.sqrt(radius))))
    steps = [math.tau * index / count for index in range(count)]
    return [
        (centre[0] + radius * math.cos(turn), centre[1] + radius * flat * math.sin(turn))
        for turn in steps
    ]


def jagged(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Return a mask of that size, full but for a rim as uneven as the edge of a wash."""
    width, height = size
    deep = math.sqrt(width * height) * 0.011
    step = deep * 1.7

    def side(length: float) -> list[float]:
        count = max(4, round(length / step))
        return [length * index / count for index in range(count)]

    def rough() -> float:
        return rng.uniform(0, deep) * rng.random()

    points = [(x, rough()) for x in side(width)]
    points += [(width - rough(), y) for y in side(height)]
    points += [(width - x, height - rough()) for x in side(width)]
    points += [(rough(), height - y) for y in side(height)]
    mask = Image.new("L", (width * 2, height * 2))
    ImageDraw.Draw(mask).polygon([(x * 2, y * 2) for x, y in points], fill=255)
    return mask.reduce(2)
