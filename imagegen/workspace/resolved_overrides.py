"""Overrides of single beats, matched to the rows of the storyboard.

An override was made for a certain prompt and follows it: if a beat is inserted before it,
its number belongs to another beat, and the override must not be lost.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from imagegen.project.overrides import Override
from imagegen.project.storyboard import Beat, BeatAddress
from imagegen.project.storyboard.hashing import words_hash

_NONE: Final = Override()


Resettle = Callable[[Override, Beat], Override]
"""Returns a beat's new override, given the old one."""


class ResolvedOverrides(msgspec.Struct, frozen=True, kw_only=True):
    """The beats with the prompts that are sent, and the override of each.

    `overrides` are by the beats' addresses now, `placed` as in the file, and
    `stored` gives the address in the file of each one. `own` has the hash of the
    row's own prompt if another is sent instead.
    """

    beats: dict[str, tuple[Beat, ...]]
    overrides: dict[BeatAddress, Override] = {}
    placed: Mapping[BeatAddress, Override] = {}
    stored_at: dict[BeatAddress, BeatAddress] = {}
    own_hashes: dict[BeatAddress, str] = {}

    def of(self, beat: Beat) -> Override:
        """Return a beat's override, which may be empty."""
        return self.overrides.get(beat.address, _NONE)

    def waived(self, beat: Beat) -> bool:
        """Return whether the user skipped the beat."""
        return bool(self.overrides) and self.of(beat).waived

    def own_words(self, beat: Beat) -> str:
        """Return the hash of the row's own prompt."""
        return self.own_hashes.get(beat.address) or words_hash(beat.words)

    def changed(
        self, beats: Iterable[Beat], change: Resettle
    ) -> dict[BeatAddress, Override | None]:
        """Return the changes to the file that override these beats and update the others.

        `change` gets a beat's override, and the beat.
        """
        moved = self.renamed
        for beat in beats:
            row_hash = self.own_words(beat)
            new = change(self.of(beat), beat)
            moved[beat.address] = (
                msgspec.structs.replace(new, words_hash=row_hash) if new.is_set else None
            )
        return {where: o for where, o in moved.items() if o != self.placed.get(where)}

    def applied(
        self, changes: Mapping[BeatAddress, Override | None]
    ) -> dict[BeatAddress, Override]:
        """Return what the file says after these changes."""
        after = {**self.placed, **changes}
        return {where: override for where, override in after.items() if override is not None}

    @property
    def unused(self) -> list[BeatAddress]:
        """The entries without effect, because their prompts are gone."""
        used = set(self.stored_at.values())
        return [where for where in self.placed if where not in used]

    @property
    def renamed(self) -> dict[BeatAddress, Override | None]:
        """Return the changes to the file after which every entry has its beat's number."""
        astray = {now: before for now, before in self.stored_at.items() if now != before}
        away: dict[BeatAddress, Override | None] = dict.fromkeys(astray.values())
        return away | {now: self.overrides[now] for now in astray}


def resolve(
    beats: Mapping[str, Sequence[Beat]], overrides: Mapping[BeatAddress, Override]
) -> ResolvedOverrides:
    """Match overrides to the beats that they were made for, and apply their prompts."""
    if not overrides:
        return ResolvedOverrides(
            beats={style: tuple(style_beats) for style, style_beats in beats.items()}
        )
    stored = {
        now: before
        for style, style_beats in beats.items()
        for now, before in _places(
            style_beats, {a: o for a, o in overrides.items() if a.style == style}
        )
    }
    by_beat = {now: overrides[before] for now, before in stored.items()}
    prompts = {now: o.prompt for now, o in by_beat.items() if o.prompt is not None}
    own_hashes: dict[BeatAddress, str] = {}
    sent: dict[str, tuple[Beat, ...]] = {}
    for style, style_beats in beats.items():
        # Of very many beats, comparing keys is much faster than making addresses.
        keys = {now.key for now in prompts if now.style == style}
        own_hashes |= {
            beat.address: words_hash(beat.words) for beat in style_beats if beat.key in keys
        }
        sent[style] = tuple(
            msgspec.structs.replace(beat, words=prompts[beat.address]) if beat.key in keys else beat
            for beat in style_beats
        )
    return ResolvedOverrides(
        beats=sent, overrides=by_beat, placed=overrides, stored_at=stored, own_hashes=own_hashes
    )


def _places(
    beats: Sequence[Beat], overrides: Mapping[BeatAddress, Override]
) -> list[tuple[BeatAddress, BeatAddress]]:
    """Return for one style which beat each override belongs to, and its address in the file."""
    if not overrides:
        return []
    by_key = {beat.key: beat for beat in beats}
    matched, astray = {}, {}
    for place, override in overrides.items():
        beat = by_key.get(place.key)
        if beat is not None and override.words_hash in {None, words_hash(beat.words)}:
            matched[place] = place
        else:
            astray[place] = override
    if astray:
        places_by_hash: dict[str | None, deque[BeatAddress]] = {}
        for place, override in astray.items():
            places_by_hash.setdefault(override.words_hash, deque()).append(place)
        for beat in beats:
            places = places_by_hash.get(words_hash(beat.words))
            if places and beat.address not in matched:
                matched[beat.address] = places.popleft()
                del astray[matched[beat.address]]
    # Prompts that are gone were edited or deleted, and which cannot be known.
    return list(matched.items())
