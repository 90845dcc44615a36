"""What a beat is called: `clear/7.3`, or `clear/2/7.3` where 7.3 occurs in several shots."""

from collections import Counter
from collections.abc import Iterable
from functools import cached_property


class Names:
    """Names of beats, each as short as a person may type it.

    `beats` are style, shot and beat number of each. `certain` tells that there are no
    others in the storyboard: else a number that is alone here need not be so there, unless
    it begins with its shot's, as 7.3 does.
    """

    def __init__(self, beats: Iterable[tuple[str, str, str]], *, certain: bool = True) -> None:
        self._beats = beats
        self._certain = certain

    @cached_property
    def _several(self) -> set[tuple[str, str]]:
        """Styles and numbers of several beats; of a large storyboard mostly nobody asks."""
        counts = Counter((style, beat) for style, _, beat in self._beats)
        return {key for key, count in counts.items() if count > 1}

    def full(self, style: str, shot: str, beat: str) -> str:
        """Return the beat's name with its style."""
        return f"{style}/{self.short(style, shot, beat)}"

    def short(self, style: str, shot: str, beat: str) -> str:
        """Return the beat's name within its style."""
        certain = self._certain or beat.startswith(f"{shot}.")
        alone = certain and (style, beat) not in self._several
        return beat if alone else f"{shot}/{beat}"
