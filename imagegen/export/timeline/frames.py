"""Frame rates and timecode as exact fractions: sums of frames never drift from seconds."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final

import msgspec

from imagegen.errors import UsageError

RATES: Final = {
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "60": Fraction(60),
}
"""Frame rates by the names that people type."""


class Rate(msgspec.Struct, frozen=True):
    """A frame rate. `exact` is in frames a second."""

    exact: Fraction

    @property
    def nominal(self) -> int:
        """The frames that timecode counts in a second: 30 for 29.97."""
        return ceil(self.exact)

    @property
    def drops(self) -> bool:
        """Whether timecode drops frame numbers to stay with the clock (SMPTE ST 12-1)."""
        return self.exact != self.nominal

    def frames(self, seconds: Fraction) -> int:
        """Return the frame nearest to a time; halves go up."""
        return floor(seconds * self.exact + Fraction(1, 2))

    def seconds(self, frames: int) -> Fraction:
        """Return the time at which a frame begins."""
        return frames / self.exact

    def timecode(self, frames: int) -> str:
        """Return `HH:MM:SS:FF`; drop-frame timecode, with a semicolon, if the rate drops.

        Drop-frame timecode leaves out the numbers 00 and 01 in each minute but every tenth: of
        18,000 numbers in ten minutes 18, which is 29.97 frames a second to one in a million.
        """
        if self.drops:
            tens, rest = divmod(frames, 10 * 60 * self.nominal - 18)
            minute = 60 * self.nominal
            frames += 18 * tens + 2 * max(0, (rest - 2) // (minute - 2))
        seconds, frame = divmod(frames, self.nominal)
        minutes, second = divmod(seconds, 60)
        separator = ";" if self.drops else ":"
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{separator}{frame:02d}"


def clock_time(seconds: Fraction) -> str:
    """Return a time as subtitles have it: `HH:MM:SS,mmm`."""
    milliseconds = floor(seconds * 1000 + Fraction(1, 2))
    total, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(total, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d},{fraction:03d}"


def cumulative(durations: Sequence[Fraction], rate: Rate) -> list[int]:
    """Return the frame at which each of these durations ends, one after the other.

    Ends are rounded from the sum so far, so that errors do not add up, and each lasts at least
    one frame. Raises `UsageError` if there are more durations than frames.
    """
    ends: list[int] = []
    time = Fraction(0)
    for duration in durations:
        time += duration
        ends.append(max(rate.frames(time), ends[-1] + 1 if ends else 1))
    last = rate.frames(time)
    for at in range(len(ends) - 1, -1, -1):
        if ends[at] <= last:
            break
        ends[at] = last
        last -= 1
    if ends and ends[0] < 1:
        name = next(name for name, exact in RATES.items() if exact == rate.exact)
        count = len(durations)
        raise UsageError(f"{count:,} images are more than the narration has frames at {name}")
    return ends
