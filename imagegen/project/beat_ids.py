"""Which beats of several styles are one beat, and its name.

A number that occurs once within each style is one beat, in any shot: the shot is
only the folder. A number that occurs twice within one style is identified by its shot too, in every
style. Numbers that a disk may treat as equal (`A` and `a`) count as the same.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import NewType

from imagegen.project.storyboard import Beat, BeatKey

BeatId = NewType("BeatId", str)
"""A beat of all styles, as people type it: `7.3`, or `2/1` if a style has 1 in several shots."""


class BeatIndex:
    """Finds beats across styles.

    `keys` are the shot and beat numbers of each style's beats, in file order. Styles that share
    one collection are looked through once.
    """

    def __init__(self, keys: Mapping[str, Collection[BeatKey]]) -> None:
        self._keys = keys
        self._spelling: dict[str, str] = {}
        """How each number is written, by the number as it compares."""
        self._several: set[str] = set()
        """The numbers that need their shot to be unique."""
        for style_keys in _distinct(keys):
            seen_numbers: set[str] = set()
            for _, beat in style_keys:
                number = folded(beat)
                if number in seen_numbers:
                    self._several.add(number)
                else:
                    seen_numbers.add(number)
                    self._spelling.setdefault(number, beat)
        self._of_style: dict[int, dict[BeatId, BeatKey]] = {}

    @classmethod
    def of(cls, beats: Mapping[str, Sequence[Beat]]) -> "BeatIndex":
        """Return the index of a storyboard's beats."""
        keys: dict[str, list[BeatKey]] = {}
        for style, style_beats in beats.items():
            same = next((other for other in keys if of_same_rows(beats[other], style_beats)), None)
            keys[style] = keys[same] if same is not None else [beat.key for beat in style_beats]
        return cls(keys)

    def id_of(self, key: BeatKey) -> BeatId:
        """Return which beat a style's beat is; the storyboard need not have it."""
        shot, beat = key
        number = folded(beat)
        if number not in self._several:
            return BeatId(self._spelling.get(number, beat))
        return self._ids_by_shot.get(number, {}).get(folded(shot)) or BeatId(f"{shot}/{beat}")

    def ids(self, styles: Collection[str]) -> tuple[BeatId, ...]:
        """Return every beat of these styles once, in file order."""
        style_keys = _distinct({style: self._keys[style] for style in styles})
        return tuple(dict.fromkeys(self.id_of(key) for keys in style_keys for key in keys))

    def key(self, beat: BeatId, style: str) -> BeatKey | None:
        """Return shot and beat number of a beat within a style; None if the style lacks it."""
        style_keys = self._keys.get(style, ())
        key_by_beat = self._of_style.get(id(style_keys))
        if key_by_beat is None:
            key_by_beat = self._of_style[id(style_keys)] = {
                self.id_of(key): key for key in style_keys
            }
        return key_by_beat.get(beat)

    def keys(self, beat: BeatId) -> dict[str, BeatKey]:
        """Return shot and beat number of a beat within each style that has it."""
        keys_by_style = ((style, self.key(beat, style)) for style in self._keys)
        return {style: key for style, key in keys_by_style if key is not None}

    def find(self, number: str, shot: str | None = None) -> list[BeatId]:
        """Return the beats that a number, and a shot if it is named, may stand for.

        Of numbers that differ in nothing but case the one that is spelled like this is meant.
        """
        compared = folded(number)
        if compared not in self._spelling:
            return []
        if compared not in self._several:
            has_shot = shot is None or folded(shot) in self._shots.get(compared, ())
            return [BeatId(self._spelling[compared])] if has_shot else []
        beat_by_shot = self._ids_by_shot[compared]
        if shot is not None:
            return [beat_by_shot[folded(shot)]] if folded(shot) in beat_by_shot else []
        candidates = list(beat_by_shot.values())
        alike = [beat for beat in candidates if plain(beat.rpartition("/")[2]) == plain(number)]
        return alike or candidates

    def has_number(self, number: str) -> bool:
        """Return whether a beat has this number, in any shot."""
        return folded(number) in self._spelling

    @cached_property
    def _ids_by_shot(self) -> dict[str, dict[str, BeatId]]:
        """The beats that share their number: by number and shot, both as they compare."""
        by_number: dict[str, dict[str, BeatId]] = {}
        for style_keys in _distinct(self._keys) if self._several else ():
            for shot, beat in style_keys:
                if (number := folded(beat)) in self._several:
                    of_number = by_number.setdefault(number, {})
                    of_number.setdefault(folded(shot), BeatId(f"{shot}/{beat}"))
        return by_number

    @cached_property
    def _shots(self) -> dict[str, set[str]]:
        """The shots of each number, in any style. Few commands need it."""
        by_number: dict[str, set[str]] = {}
        for style_keys in _distinct(self._keys):
            for shot, beat in style_keys:
                by_number.setdefault(folded(beat), set()).add(folded(shot))
        return by_number


def _distinct(keys: Mapping[str, Collection[BeatKey]]) -> list[Collection[BeatKey]]:
    return list({id(style_keys): style_keys for style_keys in keys.values()}.values())


def of_same_rows(beats: Sequence[Beat], other: Sequence[Beat]) -> bool:
    """Return quickly whether two styles surely have the same beats.

    Beats of one row share their numbers' texts: of very many, comparing these is much faster
    than counting the numbers.
    """
    return len(beats) == len(other) and all(
        a.beat is b.beat and a.shot is b.shot for a, b in zip(beats, other, strict=True)
    )


def plain(number: str) -> str:
    """Return a number as it compares: disks spell letters with accents in two ways."""
    return number if number.isascii() else unicodedata.normalize("NFC", number)


def folded(number: str) -> str:
    """Return what is the same of numbers that a disk may take for one."""
    return plain(number).casefold()
