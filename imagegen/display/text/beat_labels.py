"""Names of beats: `clear/7.3`, or `clear/2/7.3` if several beats are 7.3."""

from collections.abc import Collection, Hashable, Iterable
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

    def merge(
        self, beats: Iterable[tuple[str, str, str, Hashable]], styles: Collection[str]
    ) -> dict[str, tuple[int, int]]:
        """Return a name for all beats of one number of which the same is to be said.

        `beats` are style, shot, beat number and what is to be said of each, `styles` those of the
        project. Each name (`7.3 (all 3 styles)`, `7.3 (clear, noir)` or `clear/7.3`) has the
        place of its first beat in `beats` and the number of its beats.
        """
        groups: dict[tuple[str, Hashable], list[tuple[int, str]]] = {}
        for place, (style, shot, beat, words) in enumerate(beats):
            groups.setdefault((self.short(shot, beat), words), []).append((place, style))
        merged = {}
        for (number, _), group in groups.items():
            drawn = [style for _, style in group]
            if len(drawn) == 1:
                name = f"{drawn[0]}/{number}"
            elif len(drawn) == len(styles):
                name = f"{number} (all {len(drawn)} styles)"
            else:
                name = f"{number} ({', '.join(drawn)})"
            merged[name] = (group[0][0], len(group))
        return merged

    def short(self, shot: str, beat: str) -> str:
        """Return the beat's name without its style."""
        if self._certain or beat.startswith(f"{shot}."):
            return self._index.id_of((shot, beat))
        return f"{shot}/{beat}"
