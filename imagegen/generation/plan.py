"""What is left to draw: what was asked for, held against the disk."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import msgspec

from imagegen.generation.survey import Found, Surveyed
from imagegen.project.status import Status
from imagegen.project.storyboard import Beat


class Planned(msgspec.Struct, frozen=True, gc=False):
    """A beat that was asked for. `draw` tells whether this run draws it."""

    beat: Beat
    found: Found
    draw: bool

    @property
    def status(self) -> Status:
        """The beat's status when the run begins."""
        return Status.PENDING if self.draw else Status.SKIPPED


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


def make(
    surveyed: Mapping[str, Sequence[Surveyed]],
    asked_for: Callable[[Beat], bool],
    *,
    force: bool = False,
    lineage: str = "",
    limit: int | None = None,
) -> Plan:
    """Decide for each beat whether it is drawn.

    A beat without a picture is; with `force` one with a picture too, unless the run
    `lineage` drew it. `limit` is the most to draw in all: the first beats of every style.
    """
    styles: dict[str, list[Planned]] = {}
    others = 0
    for style, beats in surveyed.items():
        styles[style] = []
        for one in beats:
            if not asked_for(one.beat):
                others += 1
                continue
            styles[style].append(_planned(one, force=force, lineage=lineage))
    if limit is not None:
        styles, cut = _limited(styles, limit)
        others += cut
    return Plan(styles={name: tuple(beats) for name, beats in styles.items()}, others=others)


def _planned(one: Surveyed, *, force: bool, lineage: str) -> Planned:
    origin = one.provenance
    redrawn = origin is not None and bool(lineage) and origin.run == lineage
    return Planned(one.beat, one.found, draw=not one.there or (force and not redrawn))


def _limited(
    styles: Mapping[str, list[Planned]], limit: int
) -> tuple[dict[str, list[Planned]], int]:
    """Leave out what is to be drawn beyond `limit`, taking the styles' beats in turn."""
    rows = itertools.zip_longest(*([p for p in beats if p.draw] for beats in styles.values()))
    in_turn = [planned for row in rows for planned in row if planned is not None]
    beyond = set(map(id, in_turn[limit:]))
    kept = {name: [p for p in beats if id(p) not in beyond] for name, beats in styles.items()}
    return kept, len(beyond)
