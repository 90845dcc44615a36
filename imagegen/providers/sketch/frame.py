"""The frame of a sketch: the image, its caption, and the marks that a style adds."""

import io
import math

import msgspec
from PIL import Image, ImageDraw

from imagegen.images.colour import Colour, mix
from imagegen.images.lettering import Line, fit_line, fit_lines, fold, leading, width_of
from imagegen.providers.base import Request
from imagegen.providers.sketch.field import draw_field, jagged_mask, random_source
from imagegen.providers.sketch.look import Look, look_of

_LARGE = 2.0
"""How much larger than usual type the words of a short prompt are set."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


class FrameLayout(msgspec.Struct, frozen=True):
    """Where image and words stand in a frame; `text` is the usual size of type."""

    picture: Box
    caption: Box
    text: int


def draw_frame(request: Request, size: tuple[int, int]) -> bytes:
    """Return a request's frame as the bytes of a PNG file."""
    look = look_of(request.style)
    layout = layout_of(size, look)
    frame = Image.new("RGB", size, look.paper)
    box = layout.picture
    size_of_picture = (box[2] - box[0], box[3] - box[1])
    picture = draw_field(request.words, request.shot, request.beat, look, size_of_picture)
    frame.paste(picture, box[:2], _edge(picture, look, request) if look.bloom else None)
    draw = ImageDraw.Draw(frame)
    if look.guides:
        _guides(draw, layout, look)
    if request.references:
        _reference_mark(draw, layout, look)
    _caption(draw, layout, look, request)
    file = io.BytesIO()
    frame.save(file, "PNG", compress_level=1)
    return file.getvalue()


def layout_of(size: tuple[int, int], look: Look) -> FrameLayout:
    """Return where things go: the words below the image, in a very wide frame beside it."""
    width, height = size
    side = math.sqrt(width * height)
    margin = round(side * look.margin)
    text = max(11, round(side / 30))
    # Room for about 250 characters in the usual size, for any shape of the frame.
    share = 0.25 * width * height
    if width >= height * 3:
        cut = width - round(share / height + 5 * text) - margin
        return FrameLayout(
            (margin, margin, cut, height - margin),
            (cut + round(1.1 * text), margin, width - max(margin, text), height - margin),
            text,
        )
    cut = height - round(share / width + 3.8 * text) - margin // 2
    pad = max(margin, round(text * 1.1))
    return FrameLayout(
        (margin, margin, width - margin, cut),
        (pad, cut + round(text * 0.8), width - pad, height - round(text * 0.8)),
        text,
    )


def _caption(draw: ImageDraw.ImageDraw, layout: FrameLayout, look: Look, request: Request) -> None:
    left, top, right, bottom = layout.caption
    width = right - left
    smallest = max(9, round(layout.text * 0.72))
    # Without the beat's number, which may change.
    head = "SKETCH"
    style = fold(request.style)
    size = layout.text
    while size > smallest and width_of(head, size) + width_of(style, size) + size * 1.8 > width:
        size -= 1
    header = fit_line(head, width * 0.62, size, smallest)
    name = fit_line(style, width * 0.32, round(size * 0.88), smallest)
    if look.guides:
        tab = (left, top + header.size * 0.1, left + header.size * 0.26, top + header.size * 1.08)
        draw.rectangle(tab, fill=look.tag)
    indent = header.size * 0.6 if look.guides else 0
    header.draw(draw, (left + indent, top), look.tag, look.paper)
    quiet = mix(look.text, look.paper, 0.35)
    drop = (header.size - name.size) * 0.85
    name.draw(draw, (right - name.width, top + drop), quiet, look.paper)
    top += round(layout.text * 1.5)
    rule = mix(look.text, look.paper, 0.72)
    draw.line((left, top, right, top), fill=rule, width=max(1, layout.text // 16))
    top += round(layout.text * 0.42)
    _words(draw, (left, top, right, bottom), look, request, layout.text)


def _words(draw: ImageDraw.ImageDraw, box: Box, look: Look, request: Request, text: int) -> None:
    left, top, right, bottom = box
    smallest = max(10, round(text * 0.74))
    room = (right - left, bottom - top)
    lines = fit_lines(fold(request.words), room, round(text * _LARGE), smallest)
    for number, line in enumerate(lines):
        line.draw(draw, (left, top + number * leading(line.size)), look.text, look.paper)


def _edge(picture: Image.Image, look: Look, request: Request) -> Image.Image:
    """Return the mask of an image in which washes end in an uneven edge on the paper."""
    if not look.margin:
        return Image.new("L", picture.size, 255)
    return jagged_mask(picture.size, random_source("edge", request.shot, request.beat))


def _guides(draw: ImageDraw.ImageDraw, layout: FrameLayout, look: Look) -> None:
    """Mark thirds and corners, as on a camera's ground glass."""
    left, top, right, bottom = layout.picture
    tick = layout.text * 0.8
    weight = max(1, layout.text // 14)
    colour: Colour = mix(look.text, look.paper, 0.1)
    for across in (1, 2):
        for down in (1, 2):
            x = left + (right - left) * across / 3
            y = top + (bottom - top) * down / 3
            draw.line((x - tick / 2, y, x + tick / 2, y), fill=colour, width=weight)
            draw.line((x, y - tick / 2, x, y + tick / 2), fill=colour, width=weight)
    gap = layout.text * 0.6
    for x, inward in ((left + gap, tick), (right - gap, -tick)):
        for y, downward in ((top + gap, tick), (bottom - gap, -tick)):
            draw.line((x, y, x + inward, y), fill=colour, width=weight)
            draw.line((x, y, x, y + downward), fill=colour, width=weight)


def _reference_mark(draw: ImageDraw.ImageDraw, layout: FrameLayout, look: Look) -> None:
    """Say in the image's corner that references were sent with the request."""
    _, top, right, _ = layout.picture
    size = max(9, round(layout.text * 0.7))
    line = Line("REF", size)
    pad = size * 0.55
    x, y = right - line.width - 3.2 * pad - size, top + 1.8 * pad
    box = (x, y, x + line.width + 2.6 * pad + size * 0.3, y + size + 1.3 * pad)
    draw.rounded_rectangle(
        box, size * 0.4, fill=look.paper, outline=look.tag, width=max(1, size // 9)
    )
    line.draw(draw, (x + 1.4 * pad, y + 0.6 * pad), look.tag, look.paper)
