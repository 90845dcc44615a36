"""Names of beats: `clear/7.3`, or `clear/2/7.3` if several beats are 7.3."""

from collections.abc import Iterable
from functools import cached_property

from imagegen.project.beat_ids import BeatIndex
from imagegen.project.storyboard import BeatKey


class BeatLabels:
    """Names of beats, each as short as it may be typed.

    `beats` are style, shot and beat number of each. `certain` means that there are no
    others in the storyboard: else a number that is alone here need not be so there, unless
    it begins with its shot's, as 7.3 does.
    """

    def __init__(self, beats: Iterable[tuple[str, str, str]], *, certain: bool = True) -> None:
        self._beats = beats
        self._certain = certain

    @cached_property
    def _index(self) -> BeatIndex:
        """The ambiguous numbers, computed only if needed: storyboards can be large."""
        keys: dict[str, list[BeatKey]] = {}
        for style, shot, beat in self._beats:
            keys.setdefault(style, []).append((shot, beat))
        return BeatIndex(keys)

    def full(self, style: str, shot: str, beat: str) -> str:
        """Return the beat's name with its style."""
        return f"{style}/{self.short(shot, beat)}"

    def short(self, shot: str, beat: str) -> str:
        """Return the beat's name without its style."""
        if self._certain or beat.startswith(f"{shot}."):
            return self._index.id_of((shot, beat))
        return f"{shot}/{beat}"
