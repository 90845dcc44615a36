"""Sky and weather of a sketch."""

import math
import random

from imagegen.providers.sketch.look import mix
from imagegen.providers.sketch.pen import Pen, Point
from imagegen.providers.sketch.scene import Scene


def draw_sky(pen: Pen, scene: Scene, horizon: float, rng: random.Random) -> None:
    """Fill the picture above the horizon: tones, a light, stars by night, clouds."""
    colours = pen.palette
    pen.wash(0, horizon + pen.unit * 8, colours.top, colours.low)
    across, up = scene.light
    # In a spare picture the disc stands behind the subject and is half the composition.
    if pen.look.spare:
        centre = (scene.across * pen.width, horizon - 0.34 * pen.short)
        pen.disc(centre, 0.29 * pen.short, mix(colours.light, colours.low, 0.1))
        return
    if scene.time == "night":
        _stars(pen, horizon, rng)
    centre = (across * pen.width, up * horizon)
    if scene.weather not in {"storm", "rain", "fog"}:
        if scene.time in {"dawn", "dusk"}:
            centre = (centre[0], horizon - 0.05 * pen.short)
        radius = pen.short * (0.055 if scene.time == "night" else 0.075)
        pen.glow(centre, radius * 2.3, colours.light)
        pen.disc(centre, radius, colours.light, outline=0.6)
    heavy = scene.weather in {"storm", "rain"}
    count = (3 if heavy else 2) + round(pen.width / pen.height) + heavy
    for _ in range(min(14, count + round(pen.height / pen.width))):
        _cloud(pen, (rng.random() * pen.width, rng.uniform(0.08, 0.6) * horizon), rng, heavy=heavy)


def draw_weather(pen: Pen, scene: Scene, rng: random.Random) -> None:
    """Let it rain, snow or be misty over everything, where the words say so."""
    colours = pen.palette
    spare = pen.look.spare
    if scene.weather in {"storm", "rain"}:
        for _ in range(26 if spare else 90):
            x, y = rng.random() * pen.width * 1.1, rng.random() * pen.height
            length = pen.short * rng.uniform(0.04, 0.09)
            pen.line(
                [(x, y), (x - length * 0.4, y + length)], mix(colours.body, colours.top, 0.45), 1.3
            )
    if scene.weather == "snow":
        for _ in range(40 if spare else 120):
            x, y = rng.random() * pen.width, rng.random() * pen.height
            pen.disc((x, y), pen.unit * rng.uniform(2, 5), (252, 252, 255), outline=0)
    if scene.weather == "fog":
        for _ in range(5):
            y, tall = rng.uniform(0.4, 0.9) * pen.height, pen.height * rng.uniform(0.04, 0.1)
            band = [(0, y), (pen.width, y - tall * 0.4), (pen.width, y + tall), (0, y + tall)]
            pen.tint(band, mix(colours.low, colours.body, 0.4), 0.34)


def _stars(pen: Pen, horizon: float, rng: random.Random) -> None:
    colour = mix(pen.palette.light, pen.palette.body, 0.5)
    for _ in range(46):
        x, y = rng.random() * pen.width, rng.random() ** 1.4 * horizon * 0.9
        radius = pen.unit * rng.choice((1.6, 2.2, 3.2))
        pen.tint([(x - radius, y), (x, y - radius), (x + radius, y), (x, y + radius)], colour, 0.9)


def _cloud(pen: Pen, centre: Point, rng: random.Random, *, heavy: bool) -> None:
    colours = pen.palette
    tone = mix(colours.top, colours.ink, 0.3) if heavy else mix(colours.low, colours.body, 0.55)
    strength = 0.6 if heavy else 0.16 + 0.5 * (colours.top[2] > 150)
    wide = pen.short * rng.uniform(0.16, 0.3) * (1.5 if heavy else 1.0)
    bumps = rng.randint(3, 5)
    radius = 1.5 / bumps
    heaps = [
        (
            2 * (bump + 0.5) / bumps - 1,
            (0.34 if 0 < bump < bumps - 1 else 0.18) * rng.uniform(0.75, 1.2),
        )
        for bump in range(bumps)
    ]
    top: list[Point] = []
    for index in range(61):
        x = (index / 60 * 2 - 1) * (1 - 1 / bumps + radius)
        up = max(h * math.sqrt(max(0.0, 1 - ((x - at) / radius) ** 2)) for at, h in heaps)
        top.append((centre[0] + x * wide, centre[1] - up * wide))
    pen.tint(top, tone, strength)
    if not heavy:
        lower = [(x, max(y, centre[1] - 0.09 * wide)) for x, y in top]
        pen.tint(lower, mix(colours.top, colours.low, 0.5), 0.35)
