"""What a beat is: one image to draw in one style."""

from typing import Any, NamedTuple

import msgspec

from imagegen.project.storyboard.transitions import Kind, kind_of

BeatKey = tuple[str, str]
"""Shot and beat number: what a beat is within its style."""


class BeatAddress(NamedTuple):
    """Which beat of which style; as text, as the user may type it: `clear/7/7.3`."""

    style: str
    shot: str
    beat: str

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def key(self) -> BeatKey:
        """Shot and beat number: the identity within the style."""
        return (self.shot, self.beat)


class Beat(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One beat of one style, identified by its shot and beat number within that style.

    `shot` and `beat` are the numbers as file names bear them (`Beat 1.1` and `1.1` both
    give `1.1`), `written` is the beat number as the beats file writes it. `words` is the
    prompt; `own_words` says that it was written for this style alone, so that it goes out
    without a built-in look. `row` counts from 1 in `file`, `id` is the row's own,
    `references` are paths of images that are sent along, as the row writes them. `extra` has
    the row's other fields, which are not drawn from: `sfx`, `text_overlay`, `duration` …
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
    extra: dict[str, Any] | None = None

    @property
    def key(self) -> BeatKey:
        """Shot and beat number: the identity within the style."""
        return (self.shot, self.beat)

    @property
    def address(self) -> BeatAddress:
        """Style, shot and number: the identity among all styles."""
        return BeatAddress(self.style, self.shot, self.beat)

    @property
    def hard_cut(self) -> bool:
        """Whether the image begins something new: it is drawn with the style reference."""
        return kind_of(self.transition) is Kind.BEGINS

    @property
    def continues(self) -> bool:
        """Whether the image continues the beat before it in its shot, in file order."""
        return kind_of(self.transition) is Kind.CONTINUES


class Storyboard(msgspec.Struct, frozen=True, kw_only=True):
    """The beats of every style, in file order.

    `source` is what they were read from, relative to the project if it is inside, and
    `files` are its files, named in the same way;
    `notes` are remarks for the user that are not errors (which of two files is used).
    A style without beats has an empty tuple. `without_prompt` has for each style the numbers of
    beats, as they are written, that beats.json lists and that have no prompt in the style.
    """

    source: str
    beats: dict[str, tuple[Beat, ...]]
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    without_prompt: dict[str, tuple[str, ...]] = {}  # copied by msgspec

    def __len__(self) -> int:
        return sum(len(beats) for beats in self.beats.values())
