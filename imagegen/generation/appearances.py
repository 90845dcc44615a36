"""Who appears where: the characters that the beats' words name."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from imagegen.generation.references import References
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat, Key


class Appearance(msgspec.Struct, frozen=True, kw_only=True):
    """A character, the shots and numbers of the beats that name it, and where it has no picture.

    `without` are the drawn styles whose beats go without a picture of it, `elsewhere` counts
    beats that name it besides.
    """

    names: tuple[str, ...]
    beats: tuple[Key, ...]
    without: tuple[str, ...] = ()
    elsewhere: int = 0


def appearances(
    settings: Settings,
    references: References,
    beats: Iterable[Beat],
    others: Iterable[Beat] = (),
) -> tuple[Appearance, ...]:
    """Return every character of a project, and which of these beats and others name it."""
    if not settings.characters:
        return ()
    found: dict[str, dict[Key, None]] = {name: {} for name in settings.characters}
    for beat in beats:
        for name in references.named(beat):
            found[name][beat.key] = None
    elsewhere = Counter(name for beat in others for name in set(references.named(beat)))
    return tuple(
        Appearance(
            names=character.names,
            beats=tuple(found[name]),
            without=tuple(s for s in settings.drawn_styles if character.picture_in(s) is None),
            elsewhere=elsewhere[name],
        )
        for name, character in settings.characters.items()
    )
