"""What is left to draw: what was asked for, held against the disk."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from imagegen.generation.outdated import OWN
from imagegen.generation.survey import Found, Surveyed
from imagegen.project.status import Status
from imagegen.project.storyboard import Beat


class Planned(msgspec.Struct, frozen=True, gc=False):
    """A beat that was asked for. `draw` tells whether this run draws it.

    `changed` says why its picture is outdated, `waived` that it needs none.
    """

    beat: Beat
    found: Found
    draw: bool
    changed: tuple[str, ...] = ()
    waived: bool = False

    @property
    def status(self) -> Status:
        """The beat's status when the run begins."""
        if self.draw:
            return Status.PENDING
        if self.waived:
            return Status.WAIVED
        return Status.OUTDATED if self.changed else Status.SKIPPED

    @property
    def again(self) -> bool:
        """Whether it is drawn though it has a picture, which is kept."""
        return self.draw and self.found in _THERE


_THERE: Final = frozenset({Found.WHOLE, Found.CONVERTIBLE})


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The beats that were asked for, by style, in file order.

    `others` counts beats of the storyboard that were not asked for.
    """

    styles: dict[str, tuple[Planned, ...]]
    others: int = 0

    @property
    def to_draw(self) -> int:
        """How many requests are needed at least."""
        return sum(planned.draw for beats in self.styles.values() for planned in beats)

    @property
    def total(self) -> int:
        """How many beats were asked for."""
        return sum(len(beats) for beats in self.styles.values())

    @property
    def waived(self) -> int:
        """How many beats a person settled without a picture."""
        return sum(planned.waived for beats in self.styles.values() for planned in beats)

    @property
    def again(self) -> int:
        """How many pictures are replaced; the old ones are kept."""
        return sum(planned.again for beats in self.styles.values() for planned in beats)

    @property
    def outdated(self) -> Counter[tuple[str, ...]]:
        """How many pictures are outdated and left as they are, by what has changed."""
        return Counter(
            planned.changed
            for beats in self.styles.values()
            for planned in beats
            if planned.changed and not planned.draw
        )


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Which beats are drawn though they have a picture.

    With `force` all; with `outdated` those whose picture is of something else; with `own`
    also a picture that a person put there. None that the run `lineage` drew itself.
    """

    force: bool = False
    outdated: bool = False
    own: bool = False
    lineage: str = ""

    def __call__(self, one: Surveyed) -> bool:
        """Tell whether this beat is."""
        origin = one.provenance
        if origin is not None:
            if origin.provider == OWN and not self.own:
                return False
            if self.lineage and origin.run == self.lineage:
                return False
        return self.force or (self.outdated and bool(one.changed))


_NONE: Final = Again()


def make(
    surveyed: Mapping[str, Sequence[Surveyed]],
    asked_for: Callable[[Beat], bool],
    *,
    again: Callable[[Surveyed], bool] = _NONE,
    limit: int | None = None,
) -> Plan:
    """Decide for each beat whether it is drawn.

    A beat without a picture is, unless it is waived; one with a picture if `again` says so.
    `limit` is the most to draw in all: the first beats of every style.
    """
    styles = {
        style: [_planned(one, again) for one in beats if asked_for(one.beat)]
        for style, beats in surveyed.items()
    }
    others = sum(map(len, surveyed.values())) - sum(map(len, styles.values()))
    if limit is not None:
        styles, cut = _limited(styles, limit)
        others += cut
    return Plan(styles={name: tuple(beats) for name, beats in styles.items()}, others=others)


def _planned(one: Surveyed, again: Callable[[Surveyed], bool]) -> Planned:
    draw = again(one) if one.found in _THERE else not one.waived
    return Planned(one.beat, one.found, draw, one.changed, one.waived)


def _limited(
    styles: Mapping[str, list[Planned]], limit: int
) -> tuple[dict[str, list[Planned]], int]:
    """Leave out what is to be drawn beyond `limit`, taking the styles' beats in turn."""
    rows = itertools.zip_longest(*([p for p in beats if p.draw] for beats in styles.values()))
    in_turn = [planned for row in rows for planned in row if planned is not None]
    beyond = set(map(id, in_turn[limit:]))
    kept = {name: [p for p in beats if id(p) not in beyond] for name, beats in styles.items()}
    return kept, len(beyond)
