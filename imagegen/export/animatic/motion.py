"""Slow moves over a still: which part of an image is seen at each frame."""

from enum import StrEnum
from typing import Final

import msgspec

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the image; not rounded, so that nothing jitters."""

_SPEED: Final = 0.02
"""How much of the image's width comes or goes in a second."""
_MOST: Final = 0.1


class Move(StrEnum):
    """What the camera does."""

    IN = "in"
    OUT = "out"
    LEFT = "left"
    RIGHT = "right"
    NONE = "none"


_MOVES: Final = (Move.IN, Move.OUT, Move.LEFT, Move.RIGHT)


def move_of(sha256: str) -> Move:
    """Return the move over an image: by its hash, so that other beats do not change it."""
    return _MOVES[int(sha256[:8], 16) % len(_MOVES)]


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A move at an even speed. `seconds` is how long it takes."""

    move: Move
    seconds: float

    def at(self, progress: float, whole: Box) -> Box:
        """Return what is seen of `whole` when `progress` (0 to 1) of the move is done."""
        reach = 0.0 if self.move is Move.NONE else min(_MOST, _SPEED * self.seconds)
        cut, across = reach, 0.5
        if self.move is Move.IN:
            cut = reach * progress
        elif self.move is Move.OUT:
            cut = reach * (1 - progress)
        elif self.move is Move.RIGHT:
            across = progress
        elif self.move is Move.LEFT:
            across = 1 - progress
        left, top, right, bottom = whole
        width, height = right - left, bottom - top
        x, y = left + width * cut * across, top + height * cut / 2
        # Sums of fractions may pass the edge by less than a millionth of a pixel.
        return x, y, min(right, x + width * (1 - cut)), min(bottom, y + height * (1 - cut))
