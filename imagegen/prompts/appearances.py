"""Find which characters appear in which beats."""

from collections.abc import Iterable

import msgspec

from imagegen.project.beat_ids import BeatId, BeatIndex
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat
from imagegen.prompts.references import References


class Appearance(msgspec.Struct, frozen=True, kw_only=True):
    """A character, the beats that name it, and the styles without an image of it.

    `without` are the drawn styles without an image of it, `elsewhere` counts
    other beats that name it.
    """

    names: tuple[str, ...]
    beats: tuple[BeatId, ...]
    without: tuple[str, ...] = ()
    elsewhere: int = 0


def appearances(
    settings: Settings,
    references: References,
    index: BeatIndex,
    beats: Iterable[Beat],
    other_beats: Iterable[Beat] = (),
) -> tuple[Appearance, ...]:
    """Return every character of a project, and which of these beats and others name it."""
    beats_by_name = _beats_by_name(settings, references, index, beats)
    elsewhere = _beats_by_name(settings, references, index, other_beats)
    return tuple(
        Appearance(
            names=character.names,
            beats=tuple(beats_by_name[name]),
            without=tuple(s for s in settings.drawn_styles if character.picture_in(s) is None),
            elsewhere=len(elsewhere[name]),
        )
        for name, character in settings.characters.items()
    )


def _beats_by_name(
    settings: Settings, references: References, index: BeatIndex, beats: Iterable[Beat]
) -> dict[str, dict[BeatId, None]]:
    """Return the beats that name each character, in their order."""
    beats_by_name: dict[str, dict[BeatId, None]] = {name: {} for name in settings.characters}
    for beat in beats:
        for name in references.named(beat):
            beats_by_name[name][index.id_of(beat.key)] = None
    return beats_by_name
