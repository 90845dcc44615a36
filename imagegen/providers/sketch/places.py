"""Where a sketch takes place: the ground or the room, and the subjects set into it."""

import math
import random

import msgspec
from PIL import Image

from imagegen.providers.sketch.look import Look, hexed, mix
from imagegen.providers.sketch.pen import Pen, Point, Stamp
from imagegen.providers.sketch.scene import Scene
from imagegen.providers.sketch.sky import draw_sky, draw_weather
from imagegen.providers.sketch.subjects import SUBJECTS


def draw_scene(scene: Scene, look: Look, size: tuple[int, int]) -> Image.Image:
    """Return the picture of a scene, without frame or words, in the style's look."""
    palette = look.palettes[scene.time]
    if scene.paint and not look.guides:
        painted = mix(hexed(scene.paint), palette.accent, 0.2)
        palette = msgspec.structs.replace(palette, accent=painted)
    pen = Pen(size, look, palette, scene.seed)
    # The same numbers in every style, whatever the pen's own hand has used up.
    rng = random.Random(scene.seed)  # noqa: S311 (a drawing, not a secret)
    shared = random.Random(scene.shot_seed)  # noqa: S311 (a drawing, not a secret)
    horizon = scene.horizon * pen.height
    if pen.height > pen.width * 1.6:
        horizon = pen.height - 0.62 * pen.width
    if scene.place == "room":
        _room(pen, scene, horizon)
    else:
        draw_sky(pen, scene, horizon, shared)
        _GROUNDS[scene.place](pen, horizon, shared)
    if not look.spare:
        _companions(pen, scene, horizon, rng)
    _main(pen, scene, horizon, rng)
    if scene.place != "room":
        draw_weather(pen, scene, rng)
    return pen.finished()


def _ridge(pen: Pen, base: float, height: float, rng: random.Random, *, sharp: bool) -> list[Point]:
    """Return a range of hills across the picture, `height` high at most, down to the bottom."""
    count = max(3, round((6 if sharp else 4) * pen.width / pen.short))
    drift = rng.uniform(-0.5, 0.5)
    points: list[Point] = [(-pen.unit * 20, pen.height + pen.unit * 20)]
    if sharp:
        for index in range(count * 2 + 1):
            up = rng.uniform(0.55, 1.0) if index % 2 else rng.uniform(0.1, 0.4)
            points.append(((index + drift) / (count * 2 - 1) * pen.width, base - up * height))
    else:
        phase, second = rng.uniform(0, math.tau), rng.uniform(0, math.tau)
        for index in range(41):
            x = index / 40
            up = 0.5 + 0.32 * math.sin(phase + x * count * 1.5)
            up += 0.18 * math.sin(second + x * count * 3.7)
            points.append((x * 1.04 * pen.width - pen.unit * 18, base - up * height))
    points += [(pen.width + pen.unit * 20, base), (pen.width + pen.unit * 20, pen.height * 1.03)]
    return points


def _hills(pen: Pen, horizon: float, rng: random.Random) -> None:
    colours = pen.palette
    side = pen.short
    if not pen.look.spare:
        pen.shape(
            _ridge(pen, horizon + side * 0.02, side * 0.2, rng, sharp=False),
            colours.far,
            outline=0.7,
        )
        pen.shape(
            _ridge(pen, horizon + side * 0.05, side * 0.12, rng, sharp=False),
            colours.mid,
            outline=0.8,
        )
    pen.shape(_ridge(pen, horizon + side * 0.09, side * 0.09, rng, sharp=False), _ground(pen))
    if pen.look.spare:
        return
    middle = rng.uniform(0.35, 0.65) * pen.width
    bend = rng.choice((-1, 1)) * side * 0.1
    foot = pen.height * 1.02
    top = horizon + side * 0.07
    half = (top + foot) / 2
    path = [(middle - side * 0.015, top), (middle + side * 0.015, top)]
    path += [(middle + bend + side * 0.08, half), (middle + side * 0.2, foot)]
    path += [(middle - side * 0.16, foot), (middle + bend - side * 0.05, half)]
    pen.tint(path, mix(colours.low, colours.body, 0.3), 0.55)
    _tufts(pen, horizon + side * 0.12, rng)


def _sea(pen: Pen, horizon: float, rng: random.Random) -> None:
    colours = pen.palette
    side = pen.short
    if not pen.look.spare and rng.random() < 0.7:
        island = _ridge(pen, horizon + side * 0.01, side * 0.1, rng, sharp=False)
        pen.shape(island, colours.far, outline=0.6)
    pen.wash(
        horizon, pen.height, mix(colours.sea, colours.low, 0.3), mix(colours.sea, colours.ink, 0.2)
    )
    if pen.look.stroke:
        pen.line([(0, horizon), (pen.width, horizon)], colours.ink, pen.look.stroke * 0.5)
    depth = pen.height - horizon
    rows = 4 if pen.look.spare else 9
    for row in range(rows):
        y = horizon + depth * ((row + 0.6) / rows) ** 1.5
        for _ in range(2 + round(pen.width / pen.short)):
            x, length = (
                rng.random() * pen.width,
                side * rng.uniform(0.05, 0.16) * (0.5 + row / rows),
            )
            wave = [(x, y), (x + length / 2, y - length * 0.07), (x + length, y)]
            pen.line(wave, mix(colours.sea, colours.body, 0.45), 1.0 + 2.4 * row / rows)


def _mountain(pen: Pen, horizon: float, rng: random.Random) -> None:
    colours = pen.palette
    side = pen.short
    if not pen.look.spare:
        pen.shape(
            _ridge(pen, horizon + side * 0.04, side * 0.5, rng, sharp=True),
            colours.far,
            outline=0.8,
        )
    pen.shape(_ridge(pen, horizon + side * 0.06, side * 0.26, rng, sharp=True), colours.mid)
    pen.shape(_ridge(pen, horizon + side * 0.1, side * 0.08, rng, sharp=False), _ground(pen))


def _forest(pen: Pen, horizon: float, rng: random.Random) -> None:
    colours = pen.palette
    side = pen.short
    if not pen.look.spare:
        pen.shape(_ridge(pen, horizon, side * 0.2, rng, sharp=False), colours.far, outline=0.6)
        pen.shape(
            _ridge(pen, horizon + side * 0.03, side * 0.34, rng, sharp=True),
            colours.mid,
            outline=0.7,
        )
    pen.shape(_ridge(pen, horizon + side * 0.1, side * 0.06, rng, sharp=False), _ground(pen))
    draw, _ = SUBJECTS["tree"]
    count = 2 if pen.look.spare else min(16, 3 + round(4 * pen.width / pen.short))
    for index in range(count):
        x = (index + rng.uniform(0.1, 0.9)) / count * pen.width
        foot = (x, horizon + side * rng.uniform(0.07, 0.11))
        draw(Stamp(pen, foot, side * rng.uniform(0.3, 0.5)), rng)


def _street(pen: Pen, horizon: float, rng: random.Random) -> None:
    colours = pen.palette
    side = pen.short
    ground = horizon + side * 0.1
    pen.shape(_flat(pen, ground), mix(colours.near, colours.mid, 0.4))
    x = -side * 0.05
    while x < pen.width and not (pen.look.spare and x > pen.width * 0.1 and rng.random() < 0.5):
        wide, tall = side * rng.uniform(0.16, 0.28), side * rng.uniform(0.26, 0.52)
        one, other = rng.sample((colours.body, colours.mid, colours.far, colours.accent), 2)
        wall = mix(one, other, 0.5)
        house = [(x, ground), (x, ground - tall), (x + wide, ground - tall), (x + wide, ground)]
        if rng.random() < 0.6:
            house.insert(2, (x + wide / 2, ground - tall - side * 0.1))
        pen.shape(house, mix(wall, colours.top, 0.25))
        pen.hatch([(x, ground - tall), (x + wide, ground)], gap=12)
        _windows(pen, (x, ground - tall), (wide, tall), rng)
        x += wide
    middle = rng.uniform(0.4, 0.6) * pen.width
    road = [(middle - side * 0.1, ground), (middle + side * 0.1, ground)]
    road += [(middle + side * 0.62, pen.height * 1.02), (middle - side * 0.62, pen.height * 1.02)]
    pen.tint(road, colours.ink, 0.28)


def _windows(pen: Pen, corner: Point, size: Point, rng: random.Random) -> None:
    colours = pen.palette
    rows = max(1, int(size[1] / (pen.short * 0.13)))
    for row in range(rows):
        for column in (0.26, 0.74):
            lit = rng.random() < 0.4
            x = corner[0] + size[0] * column
            y = corner[1] + size[1] * (row + 0.4) / rows
            w, h = size[0] * 0.11, pen.short * 0.033
            box = [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]
            pen.shape(
                box, colours.light if lit else mix(colours.ink, colours.top, 0.4), outline=0.5
            )


def _room(pen: Pen, scene: Scene, horizon: float) -> None:
    colours = pen.palette
    rng = random.Random(scene.shot_seed)  # noqa: S311 (a drawing, not a secret)
    dark = scene.time == "night"
    wall = mix(colours.far, colours.low, 0.15 if dark else 0.55)
    pen.wash(0, horizon + pen.short * 0.1, mix(wall, colours.ink, 0.06), wall)
    floor = horizon + pen.short * 0.1
    plank = mix(colours.mid, colours.accent, 0.22)
    pen.shape(_flat(pen, floor), plank)
    if pen.look.spare:
        centre = (scene.across * pen.width, floor - 0.36 * pen.short)
        pen.disc(centre, 0.31 * pen.short, mix(wall, colours.light, 0.16 if dark else 0.4))
        return
    vanish = (0.5 * pen.width, floor - pen.short * 0.5)
    for index in range(-9, 10):
        end = (vanish[0] + index * pen.short * 0.32, pen.height)
        share = (floor - vanish[1]) / (pen.height - vanish[1])
        start = (vanish[0] + (end[0] - vanish[0]) * share, floor)
        pen.line([start, end], mix(plank, colours.ink, 0.3), 1.6)
    board = pen.short * 0.035
    skirting = [
        (-9, floor - board),
        (pen.width + 9, floor - board),
        (pen.width + 9, floor),
        (-9, floor),
    ]
    pen.shape(skirting, mix(wall, colours.body, 0.4), outline=0.7)
    # A framed picture on the wall, away from the subject.
    x = (0.78 if scene.across < 0.5 else 0.22) * pen.width
    y, half = floor - pen.short * rng.uniform(0.42, 0.5), pen.short * 0.085
    for size, tone in (
        (1.0, mix(colours.accent, colours.ink, 0.4)),
        (0.78, mix(colours.top, colours.body, 0.3)),
    ):
        w, h = half * 1.25 * size, half * size
        pen.shape(
            [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)], tone, outline=0.8
        )
    pen.tint(
        [(x - half, y + half * 0.7), (x, y - half * 0.3), (x + half, y + half * 0.7)],
        colours.mid,
        0.9,
    )


def _flat(pen: Pen, top: float) -> list[Point]:
    beyond = pen.unit * 20
    return [
        (-beyond, top),
        (pen.width + beyond, top),
        (pen.width + beyond, pen.height + beyond),
        (-beyond, pen.height + beyond),
    ]


def _ground(pen: Pen) -> tuple[int, int, int]:
    return pen.palette.near if not pen.look.spare else pen.palette.mid


def _tufts(pen: Pen, top: float, rng: random.Random) -> None:
    colour = mix(pen.palette.near, pen.palette.ink, 0.4)
    for _ in range(14 + round(8 * pen.width / pen.short)):
        x, y = rng.random() * pen.width, rng.uniform(top, pen.height)
        size = pen.short * 0.02
        pen.line(
            [(x - size * 0.5, y - size), (x, y), (x + size * 0.4, y - size * 1.1)], colour, 1.5
        )


def _companions(pen: Pen, scene: Scene, horizon: float, rng: random.Random) -> None:
    """Set the other things of the words on the other side, smaller and further off."""
    away = 1 if scene.across < 0.5 else -1
    reach = 0.84 if scene.subject in {"stairs", "table"} else 0.62
    for index, name in enumerate(scene.others[: 1 if scene.place == "room" else 2]):
        draw, height = SUBJECTS[name]
        room = pen.width * (0.34 + 0.13 * index) * (0.8 if pen.width < pen.height else 1)
        x = scene.across * pen.width + away * min(room, pen.short * (reach + 0.34 * index))
        y = horizon + pen.short * (0.14 if scene.place in {"room", "street"} else 0.08)
        if scene.place == "sea" and name == "figure":
            continue  # Stands on the headland, which comes later.
        share = 0.72 if scene.place == "room" or name == "figure" else 0.56
        if name in {"window", "gulls"}:
            y = horizon - pen.short * (0.14 if name == "window" else 0.3)
        draw(Stamp(pen, (x, y), height * pen.short * share, lit=_lit(scene)), rng)


def _main(pen: Pen, scene: Scene, horizon: float, rng: random.Random) -> None:
    draw, height = SUBJECTS[scene.subject]
    colours = pen.palette
    tall = min(height * scene.zoom, 0.84) * pen.short
    x = scene.across * pen.width
    y = horizon + pen.short * (0.13 + 0.1 * max(0.0, scene.zoom - 1))
    if scene.subject == "gulls":
        y = horizon - pen.short * 0.28
    if scene.subject == "window":
        y = horizon - pen.short * 0.02
    else:
        tall = min(tall, y - 0.07 * pen.height)
    standing = scene.subject in {"lighthouse", "house", "tower", "figure", "tree"}
    if scene.place == "sea" and standing:
        _rock(pen, (x, y), tall * (0.85 if scene.subject == "house" else 0.46), scene, rng)
    if "figure" in scene.others and scene.place == "sea" and not pen.look.spare:
        away = 1 if scene.across < 0.5 else -1
        near = Stamp(pen, (x - away * tall * 0.36, y), tall * 0.3, lit=_lit(scene))
        SUBJECTS["figure"][0](near, rng)
    foot = (x, min(y, pen.height * 0.965))
    draw(Stamp(pen, foot, tall, mirror=scene.across > 0.5, lit=_lit(scene)), rng)
    if pen.look.spare and scene.place not in {"sea", "room"}:
        pen.line([(x - tall * 0.6, y), (x + tall * 0.6, y)], colours.ink, 1.6)


def _rock(pen: Pen, foot: Point, half: float, scene: Scene, rng: random.Random) -> None:
    """Draw a headland to stand on, running out of the picture on the nearer side."""
    colours = pen.palette
    x, y = foot
    away = 1 if scene.across < 0.5 else -1
    edge = x - away * pen.width
    low = pen.height + pen.unit * 20
    top = [(edge, y - half * 0.12), (x - away * half * 1.2, y + half * 0.02)]
    top += [(x - away * half * 0.4, y), (x + away * half * 0.75, y)]
    for step in (0.3, 0.6, 1.0):
        jut = half * (0.75 + step * rng.uniform(0.4, 0.6))
        top.append((x + away * jut, y + (low - y) * step))
    pen.shape([*top, (edge, low)], _ground(pen))
    shade = [
        (x + away * half * 0.3, y),
        (x + away * half * 0.75, y),
        *top[4:],
        (x + away * half * 0.7, low),
    ]
    pen.tint(shade, colours.ink, 0.22)


def _lit(scene: Scene) -> bool:
    return scene.time in {"night", "dusk", "storm"}


_GROUNDS = {
    "sea": _sea,
    "hills": _hills,
    "mountain": _mountain,
    "forest": _forest,
    "street": _street,
}
