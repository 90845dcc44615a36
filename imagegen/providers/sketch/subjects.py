"""The things that a sketch can show, each drawn on a stamp: foot at 0, height 1."""

import random
from collections.abc import Callable

from imagegen.providers.sketch.look import Colour, lightness, mix
from imagegen.providers.sketch.pen import Stamp, circle

Subject = Callable[[Stamp, random.Random], None]
"""Draws on a stamp; the numbers vary the thing."""


def lighthouse(stamp: Stamp, rng: random.Random) -> None:
    """Draw a striped tower with a gallery, a lantern room and, when lit, its beams."""
    colours = stamp.pen.palette
    if stamp.lit:
        for end in (-12.0, 12.0):
            beam = [(0, 0.84), (end, 1.9), (end, 0.3)]
            stamp.pen.tint([stamp.at(*point) for point in beam], colours.light, 0.3)
        stamp.glow(0, 0.835, 0.3)
    stamp.shape(
        [(-0.27, 0), (-0.22, 0.05), (0.22, 0.05), (0.27, 0)], mix(colours.near, colours.ink, 0.3)
    )
    tower = [(-0.125, 0.04), (-0.078, 0.74), (0.078, 0.74), (0.125, 0.04)]
    stamp.shape(tower, colours.body)
    bands = rng.choice((2, 3))
    for band in range(bands):
        low = 0.14 + band * 0.6 / bands
        high = low + 0.3 / bands
        side_low, side_high = (0.125 - (y - 0.04) * 0.067 for y in (low, high))
        band_points = [(-side_low, low), (-side_high, high), (side_high, high), (side_low, low)]
        stamp.shape(band_points, colours.accent, outline=0.5)
    stamp.shade([(0.02, 0.04), (0.015, 0.74), (0.078, 0.74), (0.125, 0.04)])
    stamp.box(-0.032, 0.04, 0.032, 0.125, colours.ink, 0.0)
    for height in (0.32, 0.56):
        stamp.box(-0.016, height, 0.016, height + 0.05, _pane(stamp), 0.5)
    stamp.box(-0.115, 0.735, 0.115, 0.765, colours.ink, 0.0)
    stamp.box(-0.062, 0.765, 0.062, 0.875, colours.light, 0.7)
    stamp.line([(0, 0.765), (0, 0.875)], colours.ink, 0.006)
    for post in (-0.1, -0.05, 0.05, 0.1):
        stamp.line([(post, 0.76), (post, 0.8)], colours.ink, 0.005)
    stamp.line([(-0.108, 0.8), (0.108, 0.8)], colours.ink, 0.006)
    stamp.shape(
        [(-0.088, 0.872), (-0.04, 0.93), (0, 0.955), (0.04, 0.93), (0.088, 0.872)], colours.accent
    )
    stamp.line([(0, 0.95), (0, 1.0)], colours.ink, 0.008)


def house(stamp: Stamp, rng: random.Random) -> None:
    """Draw a cottage with a gable roof, a chimney and two windows."""
    colours = stamp.pen.palette
    wide = rng.uniform(0.56, 0.72)
    stamp.box(wide * 0.42, 0.66, wide * 0.42 + 0.11, 1.0, mix(colours.accent, colours.ink, 0.35))
    stamp.box(-wide, 0, wide, 0.52, colours.body)
    stamp.shade([(wide * 0.3, 0), (wide * 0.3, 0.52), (wide, 0.52), (wide, 0)])
    eaves = wide + 0.1
    stamp.shape(
        [(-eaves, 0.5), (-wide * 0.62, 0.9), (wide * 0.62, 0.9), (eaves, 0.5)], colours.accent
    )
    for share in (0.61, 0.74):
        span = eaves - (share - 0.5) * (eaves - wide * 0.62) / 0.4
        ink = mix(colours.accent, colours.ink, 0.35)
        stamp.line([(-span + 0.05, share), (span - 0.05, share)], ink, 0.01)
    stamp.box(-0.09, 0, 0.1, 0.36, mix(colours.near, colours.ink, 0.35))
    for x in (-wide * 0.62, wide * 0.6):
        stamp.box(x - 0.1, 0.18, x + 0.1, 0.4, _pane(stamp))
        stamp.line([(x, 0.18), (x, 0.4)], colours.ink, 0.012)
        stamp.line([(x - 0.1, 0.29), (x + 0.1, 0.29)], colours.ink, 0.012)
    if stamp.lit:
        stamp.glow(-wide * 0.62, 0.29, 0.32)


def tower(stamp: Stamp, rng: random.Random) -> None:
    """Draw a stone tower with battlements or a spire."""
    colours = stamp.pen.palette
    stone = mix(colours.body, colours.mid, 0.3)
    stamp.box(-0.13, 0, 0.13, 0.74, stone)
    stamp.shade([(0.03, 0), (0.03, 0.74), (0.13, 0.74), (0.13, 0)])
    if rng.random() < 0.5:
        stamp.shape([(-0.17, 0.73), (0, 1.0), (0.17, 0.73)], colours.accent)
    else:
        stamp.box(-0.17, 0.72, 0.17, 0.8, stone)
        for x in (-0.17, -0.06, 0.05):
            stamp.box(x, 0.8, x + 0.07 + 0.05 * (x > 0), 0.88, stone)
        stamp.line([(0, 0.8), (0, 1.0)], colours.ink, 0.012)
        stamp.shape([(0, 1.0), (0.16, 0.96), (0, 0.91)], colours.accent)
    for y in (0.26, 0.5):
        stamp.box(-0.03, y, 0.03, y + 0.1, _pane(stamp))
    stamp.shape(
        [(-0.05, 0), (-0.05, 0.1), (0, 0.15), (0.05, 0.1), (0.05, 0)], colours.ink, outline=0
    )


def boat(stamp: Stamp, rng: random.Random) -> None:
    """Draw a small sailing boat."""
    colours = stamp.pen.palette
    stamp.pen.tint(circle(stamp.at(0, 0.02), stamp.height * 0.52, flat=0.1), colours.ink, 0.22)
    stamp.line([(0, 0.16), (0, 1.0)], colours.ink, 0.022)
    stamp.shape([(0.03, 0.24), (0.03, 0.97), (0.46, 0.3)], colours.body)
    second = colours.accent if rng.random() < 0.5 else mix(colours.body, colours.accent, 0.25)
    stamp.shape([(-0.03, 0.28), (-0.03, 0.88), (-0.34, 0.3)], second)
    stamp.shade([(0.03, 0.24), (0.03, 0.97), (0.14, 0.28)], 0.12)
    hull = [(-0.5, 0.22), (0.55, 0.22), (0.38, 0.02), (-0.36, 0.02)]
    stamp.shape(hull, mix(colours.accent, colours.ink, 0.3))
    stamp.shape(
        [(-0.5, 0.22), (0.55, 0.22), (0.51, 0.165), (-0.465, 0.165)], colours.body, outline=0.6
    )
    if stamp.lit:
        stamp.disc(0, 1.0, 0.035, colours.light, 0.5)
        stamp.glow(0, 1.0, 0.24)


def figure(stamp: Stamp, rng: random.Random) -> None:
    """Draw somebody in a long coat, with a cap, and with a lantern when it is dark."""
    colours = stamp.pen.palette
    skin = mix((214, 160, 122), colours.low, 0.12)
    dark = mix(colours.ink, colours.near, 0.18)
    coat = colours.accent
    stamp.pen.tint(circle(stamp.at(0, 0), stamp.height * 0.26, flat=0.16), colours.ink, 0.28)
    stamp.shape([(-0.1, 0), (-0.09, 0.34), (0.0, 0.34), (-0.012, 0)], dark)
    stamp.shape([(0.02, 0), (0.0, 0.34), (0.09, 0.34), (0.12, 0)], dark)
    stamp.shape(
        [(-0.02, 0.7), (0.15, 0.42), (0.22, 0.45), (0.11, 0.76)], mix(coat, colours.ink, 0.2)
    )
    body = [(-0.17, 0.2), (-0.13, 0.66), (-0.08, 0.78), (0.08, 0.78), (0.13, 0.66), (0.16, 0.2)]
    stamp.shape(body, coat)
    stamp.shade([(-0.17, 0.2), (-0.13, 0.66), (-0.08, 0.78), (-0.04, 0.78), (-0.05, 0.2)], 0.18)
    stamp.shape(
        [(-0.12, 0.74), (-0.11, 0.47), (-0.18, 0.45), (-0.2, 0.6), (-0.1, 0.77)], coat, outline=0.8
    )
    stamp.disc(0.01, 0.86, 0.085, skin)
    if rng.random() < 0.5:
        stamp.shape(
            [(-0.085, 0.87), (-0.06, 0.97), (0.04, 0.98), (0.09, 0.9), (0.15, 0.88), (0.09, 0.87)],
            dark,
        )
    else:
        hair = [
            (-0.1, 0.74),
            (-0.1, 0.9),
            (-0.04, 0.97),
            (0.05, 0.97),
            (0.09, 0.91),
            (0, 0.9),
            (-0.03, 0.8),
        ]
        stamp.shape(hair, dark)
    stamp.shape(
        [(-0.1, 0.79), (0.09, 0.79), (0.1, 0.735), (-0.11, 0.735)], colours.body, outline=0.7
    )
    if stamp.lit:
        stamp.line([(0.19, 0.44), (0.19, 0.37)], colours.ink, 0.012)
        stamp.box(0.155, 0.27, 0.225, 0.37, colours.light, 0.7)
        stamp.glow(0.19, 0.32, 0.34)


def tree(stamp: Stamp, rng: random.Random) -> None:
    """Draw a pine or a round tree."""
    colours = stamp.pen.palette
    leaf = mix(colours.near, colours.mid, rng.uniform(0, 0.6))
    stamp.box(-0.035, 0, 0.035, 0.34, mix(colours.ink, colours.accent, 0.22))
    if rng.random() < 0.55:
        for low, high, wide in ((0.16, 0.56, 0.27), (0.38, 0.78, 0.21), (0.6, 1.0, 0.14)):
            stamp.shape([(-wide, low), (0, high), (wide, low)], leaf)
            stamp.shade([(0.02, low), (0, high), (wide, low)], 0.14)
        return
    for x, y, radius in ((-0.15, 0.55, 0.19), (0.16, 0.53, 0.18), (0.0, 0.74, 0.23)):
        stamp.disc(x, y, radius, leaf)
    stamp.disc(0.03, 0.58, 0.17, leaf, 0)
    stamp.disc(-0.06, 0.8, 0.09, mix(leaf, colours.light, 0.28), 0)


def gulls(stamp: Stamp, rng: random.Random) -> None:
    """Draw a few gulls on the wing, the nearest largest."""
    colours = stamp.pen.palette
    bright = lightness(mix(colours.top, colours.low, 0.4)) < 120
    feather = colours.body if bright else mix(colours.ink, colours.body, 0.1)
    for index in range(rng.randint(4, 6)):
        span = 0.3 / (1 + index * 0.45)
        x, y = rng.uniform(-0.95, 0.95) * (index > 0), 0.4 + rng.uniform(-0.1, 0.6) * (index > 0)
        wing = [(x - span, y + span * 0.42), (x - span * 0.45, y + span * 0.5), (x, y)]
        other = [(x, y), (x + span * 0.5, y + span * 0.56), (x + span, y + span * 0.3)]
        stamp.line([*wing, *other[1:]], feather, span * 0.13)


def window(stamp: Stamp, rng: random.Random) -> None:
    """Draw a tall window with the sky, the sea and a light behind its panes, between curtains."""
    colours = stamp.pen.palette
    wood = mix(colours.body, colours.ink, 0.08)
    stamp.box(-0.44, 0, 0.44, 1.0, wood)
    stamp.box(-0.37, 0.07, 0.37, 0.93, mix(colours.top, colours.low, 0.45), 0.7)
    stamp.disc(rng.uniform(-0.2, 0.2), rng.uniform(0.6, 0.76), 0.085, colours.light, 0.5)
    stamp.box(-0.37, 0.07, 0.37, 0.36, colours.sea, 0.5)
    hill = [(-0.37, 0.3), (-0.2, 0.42), (0.0, 0.37), (0.2, 0.3), (-0.37, 0.3)]
    stamp.shape(hill, colours.far, outline=0.5)
    stamp.box(-0.02, 0.07, 0.02, 0.93, wood, 0.5)
    stamp.box(-0.37, 0.53, 0.37, 0.565, wood, 0.5)
    stamp.box(-0.54, -0.05, 0.54, 0.01, mix(wood, colours.ink, 0.16))
    for side in (-1, 1):
        folds = [(0.62, 1.04), (0.62, 0.02), (0.5, -0.02), (0.46, 0.4), (0.3, 1.04)]
        stamp.shape([(x * side, y) for x, y in folds], colours.accent)
        stamp.line(
            [(0.52 * side, 0.98), (0.55 * side, 0.08)], mix(colours.accent, colours.ink, 0.3), 0.01
        )
    stamp.line([(-0.7, 1.04), (0.7, 1.04)], colours.ink, 0.024)


def door(stamp: Stamp, rng: random.Random) -> None:
    """Draw an open door: light falls through it on the floor."""
    colours = stamp.pen.palette
    floor = [(-0.2, 0), (0.2, 0), (0.66, -0.3), (-0.46, -0.3)]
    stamp.pen.tint([stamp.at(*point) for point in floor], colours.light, 0.45)
    stamp.box(-0.28, 0, 0.28, 1.0, mix(colours.body, colours.ink, 0.12))
    stamp.box(-0.22, 0, 0.22, 0.94, colours.light)
    stamp.box(-0.22, 0, 0.22, 0.3, mix(colours.mid, colours.light, 0.35), 0)
    leaf = [(-0.22, 0.0), (-0.22, 0.94), (-0.5, 1.02), (-0.5, -0.1)]
    stamp.shape(leaf, colours.accent)
    for low, high in rng.choice((((0.1, 0.4), (0.52, 0.84)), ((0.1, 0.84),))):
        panel = [(-0.28, low), (-0.28, high), (-0.44, high + 0.03), (-0.44, low - 0.04)]
        stamp.shade(panel, 0.22)
    stamp.disc(-0.46, 0.45, 0.022, colours.body, 0.6)


def stairs(stamp: Stamp, rng: random.Random) -> None:
    """Draw a flight of steps with a rail."""
    colours = stamp.pen.palette
    count = rng.randint(6, 8)
    for step in range(count, 0, -1):
        left = -0.7 + (step - 1) * 1.4 / count
        tread = mix(colours.body, colours.mid, 0.2 + 0.35 * (step % 2))
        stamp.box(left, 0, 0.78, step * 0.62 / count, tread, 0.8)
        stamp.line(
            [(left + 0.05, step * 0.62 / count), (left + 0.05, step * 0.62 / count + 0.26)],
            colours.ink,
            0.013,
        )
    stamp.line([(-0.66, 0.34), (0.6, 0.9)], mix(colours.accent, colours.ink, 0.15), 0.035)


def table(stamp: Stamp, rng: random.Random) -> None:
    """Draw a table with a lamp, a cup and an open book."""
    colours = stamp.pen.palette
    wood = mix(colours.accent, colours.ink, 0.42)
    for x in (-0.66, 0.58):
        stamp.box(x, 0, x + 0.08, 0.44, mix(wood, colours.ink, 0.3))
    stamp.box(-0.85, 0.42, 0.85, 0.5, wood)
    lamp = rng.choice((-0.46, 0.46))
    stamp.glow(lamp, 0.84, 0.5 if stamp.lit else 0.3)
    stamp.box(lamp - 0.1, 0.5, lamp + 0.1, 0.53, colours.ink, 0.0)
    stamp.line([(lamp, 0.52), (lamp, 0.76)], colours.ink, 0.03)
    shade = [(-0.2, 0.73), (-0.11, 1.0), (0.11, 1.0), (0.2, 0.73)]
    stamp.shape([(x + lamp, y) for x, y in shade], colours.light)
    for side in (-1, 1):
        page = [(0, 0.51), (0, 0.56), (0.12, 0.6), (0.27, 0.57), (0.27, 0.51)]
        stamp.shape([(x * side - lamp * 0.1, y) for x, y in page], colours.body)
    cup = -lamp
    stamp.line([(cup + 0.07, 0.63), (cup + 0.13, 0.61), (cup + 0.07, 0.55)], colours.ink, 0.018)
    stamp.shape(
        [(cup - 0.08, 0.67), (cup - 0.06, 0.5), (cup + 0.06, 0.5), (cup + 0.08, 0.67)], colours.body
    )
    steam = mix(colours.body, colours.mid, 0.4)
    stamp.line(
        [(cup, 0.72), (cup + 0.03, 0.77), (cup - 0.02, 0.82), (cup + 0.02, 0.88)], steam, 0.014
    )


def _pane(stamp: Stamp) -> Colour:
    colours = stamp.pen.palette
    return colours.light if stamp.lit else mix(colours.ink, colours.top, 0.35)


SUBJECTS: dict[str, tuple[Subject, float]] = {
    "lighthouse": (lighthouse, 0.78),
    "house": (house, 0.36),
    "tower": (tower, 0.66),
    "boat": (boat, 0.42),
    "figure": (figure, 0.5),
    "tree": (tree, 0.56),
    "gulls": (gulls, 0.3),
    "window": (window, 0.52),
    "door": (door, 0.6),
    "stairs": (stairs, 0.62),
    "table": (table, 0.5),
}
"""Each subject with its usual height, as a share of the picture's short side."""
