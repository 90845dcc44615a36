"""What a clip shows, and its frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from imagegen import encoding
from imagegen.export.animatic import motion
from imagegen.export.animatic.motion import Box, Move
from imagegen.images import lettering, thumbnails
from imagegen.project.selections import copies

if TYPE_CHECKING:
    from PIL.Image import Image

_RENDERER: Final = 1
"""Changes when the same clip would look different."""
_SAME_RATIO: Final = 0.01
"""How much two ratios may differ until there are bars."""
_BLACK: Final = (0, 0, 0)
_WHITE: Final = (255, 255, 255)
_PANEL: Final = 150
"""How opaque the caption's background is, of 255."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What all clips of a film share. `width` and `height` are in pixels, both even.

    `rate` is in frames a second, `fill` crops images of another shape in place of bars.
    """

    width: int
    height: int
    rate: float
    fill: bool = False


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An image and its move over `frames` frames."""

    path: Path
    sha256: str
    move: Move
    frames: int


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """One beat: an image, or black if there is none, for `frames` frames.

    The first `dissolve` frames show the end of what was shown `before` too.
    """

    frames: int
    shown: Shown | None
    before: Shown | None = None
    dissolve: int = 0
    caption: str = ""

    def key(self, look: Look, encoder: str) -> str:
        """Return a name that only clips of the same frames share; file names do not matter."""
        parts = [
            [image.sha256, image.move.value, image.frames] if image is not None else None
            for image in (self.shown, self.before)
        ]
        content = [_RENDERER, encoder, look, self.frames, self.dissolve, self.caption, *parts]
        return copies.sha256(encoding.to_json(content))[:32]


def frames(clip: Clip, look: Look) -> Iterator[bytes]:
    """Yield the pixels of each frame of a clip, three bytes each.

    Raises `NotAPictureError` if the image cannot be read.
    """
    import PIL.Image  # noqa: PLC0415  # slow to import

    size = (look.width, look.height)
    caption = _Caption(clip.caption, look) if clip.caption else None
    still = _Still(clip.shown, look)
    before = _Still(clip.before, look) if clip.dissolve else None
    last: tuple[Image, bytes] | None = None
    for number in range(clip.frames):
        image = still.frame(number)
        if before is not None and clip.before is not None and number < clip.dissolve:
            old = before.frame(clip.before.frames - clip.dissolve + number)
            image = PIL.Image.blend(old, image, (number + 1) / (clip.dissolve + 1))
        if last is None or image is not last[0]:
            painted = caption.on(image) if caption is not None else image
            assert painted.size == size  # noqa: S101  # else all frames would be torn
            last = image, painted.tobytes()
        yield last[1]


class _Still:
    """An image in memory, in at most twice the size in which it is seen."""

    def __init__(self, source: Shown | None, look: Look) -> None:
        import PIL.Image  # noqa: PLC0415

        self._source = source
        self._canvas = PIL.Image.new("RGB", (look.width, look.height), _BLACK)
        if source is None:
            return
        self._image = thumbnails.load_thumbnail(source.path, 2 * max(look.width, look.height))
        self._whole, self._inside = _fit(self._image.size, look)
        self._path = motion.Path(move=source.move, seconds=source.frames / look.rate)
        if source.move is Move.NONE:
            self._canvas = self._at(0)

    def frame(self, number: int) -> "Image":
        """Return a frame; the same object if nothing moves."""
        if self._source is None or self._source.move is Move.NONE:
            return self._canvas
        return self._at(number / max(1, self._source.frames - 1))

    def _at(self, progress: float) -> "Image":
        import PIL.Image  # noqa: PLC0415

        left, top, width, height = self._inside
        part = self._image.resize(
            (width, height),
            PIL.Image.Resampling.BICUBIC,
            # Resampled from fractions of pixels: whole ones would make it jitter.
            box=self._path.at(progress, self._whole),
        )
        if part.size == self._canvas.size:
            return part
        frame = self._canvas.copy()
        frame.paste(part, (left, top))
        return frame


def _fit(size: tuple[int, int], look: Look) -> tuple[Box, tuple[int, int, int, int]]:
    """Return which part of an image is used, and left, top, width and height in the frame."""
    width, height = size
    ratio, frame_ratio = width / height, look.width / look.height
    if look.fill or abs(ratio / frame_ratio - 1) < _SAME_RATIO:
        across = min(width, height * frame_ratio)
        down = across / frame_ratio
        left, top = (width - across) / 2, (height - down) / 2
        return (left, top, left + across, top + down), (0, 0, look.width, look.height)
    inside = (
        (look.width, max(1, round(look.width / ratio)))
        if ratio > frame_ratio
        else (max(1, round(look.height * ratio)), look.height)
    )
    place = ((look.width - inside[0]) // 2, (look.height - inside[1]) // 2)
    return (0, 0, width, height), (*place, *inside)


class _Caption:
    """A line or more of text, on a panel at the bottom."""

    def __init__(self, text: str, look: Look) -> None:
        import PIL.Image  # noqa: PLC0415
        import PIL.ImageDraw  # noqa: PLC0415

        size = max(10, round(min(look.width, look.height) / 22))
        room = (look.width * 0.8, look.height * 0.25)
        lines = lettering.fit_lines(lettering.fold(text), room, size, size // 2)
        step = max((lettering.leading(line.size) for line in lines), default=0)
        width = max((line.width for line in lines), default=0) + size
        self._panel = PIL.Image.new("RGB", (round(width), round(step * len(lines) + size)), _BLACK)
        draw = PIL.ImageDraw.Draw(self._panel)
        for number, line in enumerate(lines):
            x, y = (width - line.width) / 2, size / 2 + step * number
            line.draw(draw, (x, y), _WHITE, _BLACK)
        self._mask = self._panel.convert("L").point([max(_PANEL, value) for value in range(256)])
        self._at = (
            (look.width - self._panel.width) // 2,
            look.height - self._panel.height - round(look.height / 20),
        )

    def on(self, image: "Image") -> "Image":
        painted = image.copy()
        painted.paste(self._panel, self._at, self._mask)
        return painted
