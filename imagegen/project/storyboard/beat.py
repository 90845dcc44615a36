"""What a beat is: one picture to draw in one style."""

import msgspec

Key = tuple[str, str]
"""Shot and beat number: what a beat is within its style."""

_HARD_CUTS = frozenset({"h", "hard cut", "cut"})
_CONTINUATIONS = frozenset({"c", "continuous", "continue", "continues", "continued"})


class Beat(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One beat of one style, identified by its shot and beat number within that style.

    `shot` and `beat` are the numbers as file names bear them (`Beat 1.1` and `1.1` both
    give `1.1`), `written` is the beat number as the beats file writes it. `words` is the
    prompt; `own_words` tells that it was written for this style alone, so that it goes out
    without a built-in look. `row` counts from 1 in `file`, `id` is the row's own,
    `references` are paths of pictures that are sent along, as the row writes them.
    """

    style: str
    shot: str
    beat: str
    written: str
    words: str
    own_words: bool
    transition: str = ""
    script_phrase: str = ""
    file: str = ""
    row: int = 0
    id: str | None = None
    references: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Shot and beat number: the identity within the style."""
        return (self.shot, self.beat)

    @property
    def hard_cut(self) -> bool:
        """Whether the picture starts anew: it is drawn with the style reference."""
        return self.transition.strip().casefold() in _HARD_CUTS

    @property
    def continues(self) -> bool:
        """Whether the picture continues the beat before it in its shot, in file order."""
        return self.transition.strip().casefold() in _CONTINUATIONS


class Storyboard(msgspec.Struct, frozen=True, kw_only=True):
    """The beats of every style, in file order.

    `source` is what they were read from, relative to the project where it lies inside, and
    `files` are its files, named in the same way;
    `notes` are remarks for the user that are no faults (which of two files is used).
    A style without beats has an empty tuple.
    """

    source: str
    beats: dict[str, tuple[Beat, ...]]
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(len(beats) for beats in self.beats.values())
