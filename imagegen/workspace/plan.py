"""What is left to draw: what was asked for, held against the disk."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from imagegen.project.beat_status import Status
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.prompts.continuity import Predecessors
from imagegen.workspace.outdated import USER_SUPPLIED
from imagegen.workspace.survey import THERE, BeatImage, ImageState


class EarlierImage(msgspec.Struct, frozen=True, gc=False):
    """An image that was drawn before from the same inputs: its file, and what its pixels are."""

    path: str
    content: int


class Planned(msgspec.Struct, frozen=True, gc=False):
    """A beat that was asked for. `draw` says whether this run draws it.

    `changed` says why its image is outdated, `waived` that it needs none. `after` is the
    beat that it continues, drawn earlier in this run; `blocked_by` the one
    it waits for in vain, which has no image and is not drawn. `continues_outdated` says
    that it is drawn from an outdated image that stays. A `placeholder` is drawn over.
    `reused` is the image that it gets without a request.
    """

    beat: Beat
    found: ImageState
    draw: bool
    changed: tuple[str, ...] = ()
    waived: bool = False
    after: BeatKey | None = None
    blocked_by: BeatKey | None = None
    continues_outdated: bool = False
    placeholder: bool = False
    reused: EarlierImage | None = None

    @property
    def status(self) -> Status:
        """The beat's status when the run begins."""
        if self.draw or self.reused is not None:
            return Status.PENDING
        if self.blocked_by is not None:
            return Status.BLOCKED
        if self.waived:
            return Status.WAIVED
        return Status.OUTDATED if self.changed else Status.SKIPPED

    @property
    def exists(self) -> bool:
        """Whether its image stays."""
        stays = not self.draw and self.reused is None
        return stays and self.found in THERE and not self.placeholder

    @property
    def is_redraw(self) -> bool:
        """Whether it is drawn again; its image goes to old_images/."""
        return self.draw and self.found in THERE and not self.placeholder


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The beats that were asked for, by style, in file order.

    `others` counts beats of the storyboard that were not asked for. `shard` is the part of the
    storyboard that was asked for, such as `2/5`; None: all of it.
    """

    styles: dict[str, tuple[Planned, ...]]
    unselected_count: int = 0
    shard: str | None = None

    @property
    def to_draw(self) -> int:
        """How many requests are needed at least."""
        return sum(planned.draw for beats in self.styles.values() for planned in beats)

    @property
    def reused(self) -> int:
        """How many images are reused without a request."""
        return sum(p.reused is not None for beats in self.styles.values() for p in beats)

    @property
    def drawn(self) -> Iterator[Beat]:
        """The beats that are drawn."""
        return (planned.beat for beats in self.styles.values() for planned in beats if planned.draw)

    @property
    def total(self) -> int:
        """How many beats were asked for."""
        return sum(len(beats) for beats in self.styles.values())

    @property
    def blocked(self) -> int:
        """How many beats cannot be drawn, for the one before them is not drawn and not there."""
        return sum(p.blocked_by is not None for beats in self.styles.values() for p in beats)

    @property
    def waived(self) -> int:
        """How many beats were skipped by the user."""
        return sum(planned.waived for beats in self.styles.values() for planned in beats)

    @property
    def again(self) -> int:
        """How many images are replaced; the old ones go to old_images/."""
        return sum(planned.is_redraw for beats in self.styles.values() for planned in beats)

    @property
    def placeholders(self) -> int:
        """How many placeholders are drawn over; they are kept too."""
        return sum(p.draw and p.placeholder for beats in self.styles.values() for p in beats)

    @property
    def outdated(self) -> Counter[tuple[str, ...]]:
        """How many images stay outdated, by reason."""
        return Counter(
            planned.changed
            for beats in self.styles.values()
            for planned in beats
            if planned.changed and not planned.draw and planned.reused is None
        )

    @property
    def continuing_outdated(self) -> list[Beat]:
        """The beats that are drawn from an outdated image that stays."""
        return [
            p.beat
            for planned_beats in self.styles.values()
            for p in planned_beats
            if p.continues_outdated
        ]


def chain_lengths(beats: Iterable[Planned]) -> list[int]:
    """Return for each chain of one style how many images it draws in sequence."""
    lengths: dict[BeatKey, int] = {}
    for planned in beats:
        if planned.draw:
            before = lengths.pop(planned.after, 0) if planned.after is not None else 0
            lengths[planned.beat.key] = before + 1
    return list(lengths.values())


class RedrawPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which beats are drawn although they have an image.

    With `force` all; with `outdated` those with changed inputs; with `own`
    also the user's own images. None that the run `lineage` drew itself.
    """

    force: bool = False
    outdated: bool = False
    own: bool = False
    lineage: str = ""

    def __call__(self, image: BeatImage) -> bool:
        """Return whether this beat is drawn again."""
        origin = image.provenance
        if origin is not None:
            if origin.provider == USER_SUPPLIED and not self.own:
                return False
            if self.lineage and origin.run == self.lineage:
                return False
        return self.force or (self.outdated and bool(image.changed))


_NONE: Final = RedrawPolicy()


def make_plan(
    surveyed: Mapping[str, Sequence[BeatImage]],
    asked_for: Callable[[Beat], bool],
    *,
    redraws: Callable[[BeatImage], bool] = _NONE,
    limit: int | None = None,
    predecessors: Predecessors | None = None,
) -> Plan:
    """Decide for each beat whether it is drawn.

    A beat without an image is, unless it is waived; one with an image if `redraws` says so.
    `limit` limits the images in all: the first beats of every style. `predecessors` says
    which beats continue which; `surveyed` has all beats in file order.
    """
    before = predecessors or {}
    styles = {
        style: _in_chains(beats, asked_for, redraws, before[style])
        if before.get(style)
        else [_planned(image, redraws) for image in beats if asked_for(image.beat)]
        for style, beats in surveyed.items()
    }
    unselected = sum(map(len, surveyed.values())) - sum(map(len, styles.values()))
    if limit is not None:
        styles, cut = _limited(styles, limit)
        unselected += cut
    return Plan(
        styles={name: tuple(beats) for name, beats in styles.items()}, unselected_count=unselected
    )


def _planned(image: BeatImage, redraws: Callable[[BeatImage], bool]) -> Planned:
    draw = redraws(image) if image.has_image else not image.waived
    return Planned(
        image.beat, image.found, draw, image.changed, image.waived, placeholder=image.placeholder
    )


def _in_chains(
    beats: Sequence[BeatImage],
    asked_for: Callable[[Beat], bool],
    redraws: Callable[[BeatImage], bool],
    predecessors: Mapping[BeatKey, BeatKey],
) -> list[Planned]:
    chained = _ChainPlanner(predecessors)
    placed = (
        chained.plan(image, _planned(image, redraws) if asked_for(image.beat) else None)
        for image in beats
    )
    return [planned for planned in placed if planned is not None]


class _ChainPlanner:
    """Puts the beats of one style behind those that they continue, in file order."""

    def __init__(self, predecessors: Mapping[BeatKey, BeatKey]) -> None:
        self._predecessors = predecessors
        self._drawn: set[BeatKey] = set()
        self._lacking: dict[BeatKey, BeatKey] = {}
        """Beats without an image that are not drawn, and which one must be drawn first."""
        self._outdated: set[BeatKey] = set()

    def plan(self, image: BeatImage, planned: Planned | None) -> Planned | None:
        """Return the plan for a beat, by what becomes of the one before it."""
        before = self._predecessors.get(image.key)
        if planned is not None and planned.draw and before is not None:
            if before in self._drawn:
                planned = msgspec.structs.replace(planned, after=before)
            elif before in self._lacking:
                by = None if image.has_image else self._lacking[before]
                planned = msgspec.structs.replace(planned, draw=False, blocked_by=by)
            elif before in self._outdated:
                planned = msgspec.structs.replace(planned, continues_outdated=True)
        if planned is not None and planned.draw:
            self._drawn.add(image.key)
        elif not image.has_image:
            self._lacking[image.key] = (planned and planned.blocked_by) or image.key
        elif image.changed:
            self._outdated.add(image.key)
        return planned


def _limited(
    styles: Mapping[str, list[Planned]], limit: int
) -> tuple[dict[str, list[Planned]], int]:
    """Leave out what is to be drawn beyond `limit`, taking the styles' beats in turn."""
    rows = itertools.zip_longest(*([p for p in beats if p.draw] for beats in styles.values()))
    in_turn = [planned for row in rows for planned in row if planned is not None]
    beyond = set(map(id, in_turn[limit:]))
    within = {name: [p for p in beats if id(p) not in beyond] for name, beats in styles.items()}
    return within, len(beyond)
