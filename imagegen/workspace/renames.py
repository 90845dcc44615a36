"""Find images that belong to other beats now, by what they were drawn from.

Works as git finds renames. What is in its place stays there; of the rest, the same prompt is
the same beat, then the same id. If numbers changed at all, very similar prompts match
too, so that a beat that was edited while it moved keeps its image.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

import msgspec

from imagegen.project.storyboard import BeatKey

_ALIKE: Final = 0.5
"""Share of two texts that must be the same: git's own measure for a file that was renamed."""

_MOST_COMPARED: Final = 20_000
"""Pairs of texts that are compared; above it only equal prompts match."""

_LONGEST_COMPARED: Final = 2_000


class UnmatchedBeat(msgspec.Struct, frozen=True, gc=False):
    """A beat of the storyboard without its image in place.

    `words` are hashes that its image may have: of the prompt sent now, and of the row's
    own prompt if it is overridden. `text` is what would be sent.
    """

    key: BeatKey
    words: tuple[str, ...]
    text: str
    id: str | None = None


class UnmatchedImage(msgspec.Struct, frozen=True, gc=False):
    """An image that is not in its beat's place. `words` is the hash in it."""

    key: BeatKey
    words: str
    id: str | None = None


def match_moves(
    rows: Sequence[UnmatchedBeat],
    pictures: Sequence[UnmatchedImage],
    text_of: Callable[[UnmatchedImage], str | None],
) -> dict[BeatKey, BeatKey]:
    """Return the moves of one style's images, as (from, to) pairs.

    `rows` and `pictures` are in file order, without those that are surely in their place; an
    image that stays in place, because only its prompt was edited, is in none of the
    pairs. `text_of` returns the prompt that an image was drawn from, if it holds it.
    """
    matcher = _Matcher(rows, pictures)
    most = max((len(row.words) for row in rows), default=0)
    by_words = [{r.key: r.words[n] for r in rows if n < len(r.words)} for n in range(most)]
    words = {picture.key: picture.words for picture in pictures}
    have_ids = any(row.id for row in rows) and any(picture.id for picture in pictures)
    ids: tuple[dict[BeatKey, Mark], dict[BeatKey, Mark]] = {}, {}
    if have_ids:
        ids = {row.key: row.id for row in rows}, {picture.key: picture.id for picture in pictures}
    for of_rows in by_words:
        # Of several with the same prompt the id decides, then the place, then the order.
        if have_ids:
            matcher.pair(_together(of_rows, ids[0]), _together(words, ids[1]))
        matcher.keep(of_rows, words)
        matcher.pair(of_rows, words)
    if have_ids and _are_kept(
        [(ids[1][picture], ids[0][other]) for picture, other in matcher.pairs.items()]
    ):
        matcher.pair(*ids)
    if any(picture != row for picture, row in matcher.pairs.items()):
        _pair_alike(matcher, text_of)
    return {picture: row for picture, row in matcher.pairs.items() if picture != row}


Mark = Hashable | None


def _together(marks: Mapping[BeatKey, Mark], other: Mapping[BeatKey, Mark]) -> dict[BeatKey, Mark]:
    return {k: (mark, other[k]) for k, mark in marks.items() if other.get(k) is not None}


def _are_kept(ids: Sequence[tuple[Mark, Mark]]) -> bool:
    """Return whether ids are stable, or renumbered like the beats."""
    same = [mark == other for mark, other in ids if mark is not None and other is not None]
    return 2 * sum(same) >= len(same)


class _Matcher:
    """Pairs so far, and what is left of both sides."""

    def __init__(self, rows: Sequence[UnmatchedBeat], pictures: Sequence[UnmatchedImage]) -> None:
        self.pairs: dict[BeatKey, BeatKey] = {}
        self.rows = {row.key: row for row in rows}
        self.pictures = {picture.key: picture for picture in pictures}

    def pair(self, of_rows: Mapping[BeatKey, Mark], of_pictures: Mapping[BeatKey, Mark]) -> None:
        """Pair what bears the same mark, first with first."""
        # The last first, for they are taken from the end; a deque each would be 30 MB.
        waiting: defaultdict[Mark, list[BeatKey]] = defaultdict(list)
        for key in reversed(self.rows):
            if (mark := of_rows.get(key)) is not None:
                waiting[mark].append(key)
        if not waiting:
            return
        for key in list(self.pictures):
            mark = of_pictures.get(key)
            if mark is not None and (rows := waiting.get(mark)):
                self.take(key, rows.pop())

    def keep(self, of_rows: Mapping[BeatKey, Mark], of_pictures: Mapping[BeatKey, Mark]) -> None:
        """Pair what bears the same mark in its place."""
        for key in [key for key in self.pictures if key in self.rows]:
            if of_rows.get(key) == of_pictures[key]:
                self.take(key, key)

    def take(self, picture: BeatKey, row: BeatKey) -> None:
        """Record that the image belongs to the row."""
        self.pairs[picture] = row
        del self.pictures[picture], self.rows[row]


def _pair_alike(matcher: _Matcher, text_of: Callable[[UnmatchedImage], str | None]) -> None:
    """Pair images and rows with similar prompts, the most similar first."""
    if len(matcher.pictures) * len(matcher.rows) > _MOST_COMPARED:
        return
    texts = {key: text_of(picture) for key, picture in matcher.pictures.items()}
    parts = {key: _bigrams(text) for key, text in texts.items() if text}
    of_rows = {key: _bigrams(row.text) for key, row in matcher.rows.items()}
    alike = [
        (_similarity(picture_parts, other), picture == row, picture, row)
        for picture, picture_parts in parts.items()
        for row, other in of_rows.items()
    ]
    # Of what is as much alike, what is in its place.
    alike.sort(key=lambda pair: pair[:2], reverse=True)
    for likeness, _, picture, row in alike:
        if likeness >= _ALIKE and picture in matcher.pictures and row in matcher.rows:
            matcher.take(picture, row)


def _bigrams(text: str) -> Counter[str]:
    """Return a text's pairs of neighbouring characters, which every script has."""
    plain = " ".join(text[:_LONGEST_COMPARED].casefold().split())
    return Counter(map("".join, itertools.pairwise(plain)))


def _similarity(parts: Counter[str], other: Counter[str]) -> float:
    """Return which share of two texts' parts is the same: Dice's coefficient."""
    total = parts.total() + other.total()
    return 2 * (parts & other).total() / total if total else 0.0
