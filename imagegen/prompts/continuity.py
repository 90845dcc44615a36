"""Which beat each one continues: the chains in which beats of a shot are drawn."""

from collections.abc import Callable, Iterable, Mapping

from imagegen.project.storyboard import Beat, BeatKey

Predecessors = Mapping[str, Mapping[BeatKey, BeatKey]]
"""For each style: the beats that continue another, and which."""


def predecessors(beats: Iterable[Beat], waived: Callable[[Beat], bool]) -> dict[BeatKey, BeatKey]:
    """Return which beats of one style continue which: the one before each in its shot.

    `beats` are in file order. A beat that the user skipped (`waived`) is
    passed over. The first beat of a shot continues nothing.
    """
    continued: dict[BeatKey, BeatKey] = {}
    last: dict[str, BeatKey] = {}
    for beat in beats:
        before = last.get(beat.shot)
        if beat.continues and before is not None:
            continued[beat.key] = before
        if not waived(beat):
            last[beat.shot] = beat.key
    return continued
