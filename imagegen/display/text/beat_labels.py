"""Names of beats: `clear/7.3`, or `clear/2/7.3` if several beats are 7.3."""

from collections.abc import Collection, Hashable, Iterable
from functools import cached_property

from imagegen.project.beat_ids import BeatIndex
from imagegen.project.storyboard import BeatAddress, BeatKey


class BeatLabels:
    """Names of beats, each as short as it may be typed.

    `certain` means that there are no others in the storyboard than `beats`: else a number
    that is alone here need not be so there, unless it begins with its shot's, as 7.3 does.
    """

    def __init__(self, beats: Iterable[BeatAddress], *, certain: bool = True) -> None:
        self._beats = beats
        self._certain = certain

    @cached_property
    def _index(self) -> BeatIndex:
        """The ambiguous numbers, computed only if needed: storyboards can be large."""
        keys: dict[str, list[BeatKey]] = {}
        for beat in self._beats:
            keys.setdefault(beat.style, []).append(beat.key)
        return BeatIndex(keys)

    def full(self, beat: BeatAddress) -> str:
        """Return the beat's name with its style."""
        return f"{beat.style}/{self.short(beat.key)}"

    def merge(
        self, beats: Iterable[tuple[BeatAddress, Hashable]], styles: Collection[str]
    ) -> dict[str, tuple[int, int]]:
        """Return a name for all beats of one number of which the same is to be said.

        `beats` come with what is to be said of each, `styles` are those of the project. Each
        name (`7.3 (all 3 styles)`, `7.3 (clear, noir)` or `clear/7.3`) has the place of its
        first beat in `beats` and the number of its beats.
        """
        groups: dict[tuple[str, Hashable], list[tuple[int, str]]] = {}
        for place, (beat, words) in enumerate(beats):
            groups.setdefault((self.short(beat.key), words), []).append((place, beat.style))
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

    def short(self, key: BeatKey) -> str:
        """Return the beat's name without its style."""
        shot, beat = key
        if self._certain or beat.startswith(f"{shot}."):
            return self._index.id_of(key)
        return f"{shot}/{beat}"
