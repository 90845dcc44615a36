"""The state of a project, as values for `status`."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from imagegen.errors import Exit, UsageError, encodable
from imagegen.project import progress, record
from imagegen.project.beat_status import Status, StatusCounts, count_statuses
from imagegen.project.progress import BeatError
from imagegen.project.record import RunRecord
from imagegen.project.storyboard import BeatKey
from imagegen.review import choices, older_images
from imagegen.review.choices import ChangeSinceChosen, ChoiceStanding, UnreadableEntry
from imagegen.workspace import model_checks, moved_numbers
from imagegen.workspace.misfits import Misfits
from imagegen.workspace.plan import RedrawPolicy
from imagegen.workspace.project import Project
from imagegen.workspace.shards import Shard
from imagegen.workspace.survey import BeatImage, Survey


class BeatState(msgspec.Struct, frozen=True, gc=False):
    """One beat of a style. The path is relative to the project.

    `changed` says why its image is outdated: words, look, references, …; `blocked_by` is the
    number of the beat of its shot that must be drawn first. A `placeholder` is a sketch that the
    next run draws over: the beat counts as one without an image, and the path is the sketch's.
    `misfit` says how its image differs from the request, or from the other images.
    """

    shot_number: str
    beat_number: str
    status: Status
    image_path: str | None = msgspec.field(default=None, name="imagePath")
    error: BeatError | None = None
    changed: tuple[str, ...] = ()
    blocked_by: str | None = None
    placeholder: bool = False
    misfit: str | None = None

    @property
    def key(self) -> BeatKey:
        """Shot and beat number."""
        return (self.shot_number, self.beat_number)


class FailedRedraw(msgspec.Struct, frozen=True, kw_only=True):
    """A beat that the last run was to draw again and could not: it has its image still."""

    shot_number: str
    beat_number: str
    error: BeatError

    @property
    def key(self) -> BeatKey:
        """Shot and beat number."""
        return (self.shot_number, self.beat_number)


class StyleStatus(StatusCounts, frozen=True, kw_only=True):
    """One style: how many beats are of each status, and every beat in file order.

    `moved` counts images that belong to another beat, `left_over` has the paths of those
    of beats that are gone. `failed_redraws` count by the status of their images. `placeholder`
    counts beats that are pending, blocked or in error and have a sketch meanwhile.
    """

    placeholder: int = 0
    misfits: int = 0
    moved: int = 0
    left_over: tuple[str, ...] = ()
    failed_redraws: tuple[FailedRedraw, ...] = ()
    beats: tuple[BeatState, ...]


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the storyboard that the last run drew, such as `2/5`, and its beats.

    `complete` counts those that need nothing more: outdated and waived ones too; `error` those
    that are blocked too.
    """

    shard: str
    total: int
    complete: int
    error: int
    pending: int


class ExportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An export in the project: its kind, its folder, and the beats with a changed image.

    `folder` is relative to the project. `options` are those that it was made with.
    """

    kind: str
    folder: str
    outdated: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class ProjectStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A whole project. `resume_after` is set if the last run ended early.

    `price` is about what an image costs, in US dollars; None if it is not known.
    `not_redrawn` counts images that the last run was to draw again and did not.
    `beats_file` is where the beats were read from, `beats_named` whether the command named it;
    `last_beats_file` is the other file that the last run read, else None: outdated and
    leftover images may be from that one.

    `beats` counts beats once for all styles, `chosen` those with a chosen image.
    Beats in lists are named as in image_selections.json. `chosen_without_picture` no longer have
    an image in the chosen style, `copies_missing` have an image but no copy;
    `choices_left_over` are entries and files of beats that are gone, and files without an entry,
    which `copies_unclaimed` lists too; `choices_unclear` are entries that are not understood, and
    `choices_fault` says why the file cannot be read. `placeholders_chosen` are choices of sketches
    that the next run draws over. `older_layout` says which older images are not adopted.

    `provider` draws the project; images are compared with its settings. `shard` is set if the last
    run drew a part of the storyboard.

    `without_prompt` has for each style the numbers of beats that beats.json lists and that have
    no prompt there; `drawn_by_older_rule` counts images without the style reference that their
    transition gives them since 0.1.0, which are not outdated. `elsewhere` names beats with an
    image on a cloud drive and not on this machine. `exports` are those of the chosen images.
    """

    schema: int = 1
    project: str
    active: bool
    pid: int | None = None
    resume_after: str | None = None
    last_run: RunRecord | None = None
    price: float | None = None
    not_redrawn: int = 0
    beats_file: str = ""
    beats_named: bool = False
    last_beats_file: str | None = None
    beats: int = 0
    chosen: int = 0
    redrawn_since_chosen: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ()
    chosen_without_picture: tuple[str, ...] = ()
    copies_missing: tuple[str, ...] = ()
    copies_unclaimed: tuple[str, ...] = ()
    choices_unclear: tuple[UnreadableEntry, ...] = ()
    choices_left_over: tuple[str, ...] = ()
    choices_fault: str | None = None
    placeholders_chosen: tuple[str, ...] = ()
    provider: str = ""
    without_prompt: Mapping[str, tuple[str, ...]] = {}
    drawn_by_older_rule: int = 0
    elsewhere: tuple[str, ...] = ()
    older_layout: str | None = None
    exports: tuple[ExportStatus, ...] = ()
    shard: ShardStatus | None = None
    styles: Mapping[str, StyleStatus]

    @property
    def check(self) -> Exit:
        """The exit code that scripts ask for: 3 some pending, else 1 some in error, else 0.

        A beat without a prompt in a style that is drawn counts as in error: nothing can be drawn
        of it. It means nothing if beat numbers changed.
        """
        if any(style.pending for style in self.styles.values()):
            return Exit.ENDED_EARLY
        if self.without_prompt or any(s.error or s.blocked for s in self.styles.values()):
            return Exit.BEATS_IN_ERROR
        return Exit.OK


def project_status(project: Project, now: float, surveyed: Survey | None = None) -> ProjectStatus:
    """Read the disk and the last run's record. `now` is the wall clock's time.

    `surveyed` is the survey of the disk, if it was made before.
    """
    errors = project.errors()
    surveyed = surveyed or project.survey(now)
    unlike = Misfits(surveyed, project.settings)
    picture_path = project.layout.shown_picture
    styles = {}
    for style, its in surveyed.beats.items():
        failed = errors[style]
        blocked = _blocked(its, failed, project.predecessors.get(style, {}))
        beats = [
            _beat(
                image,
                failed.get(image.key) if failed else None,
                picture_path,
                unlike.of(image) if image.whole is not None else None,
            )
            for image in its
        ]
        if blocked:
            beats = [_held_up(beat, blocked) for beat in beats]
        moves = surveyed.moves.get(style, {})
        over = (stray.key for stray in surveyed.strays.get(style, ()) if stray.key not in moves)
        styles[style] = StyleStatus(
            **count_statuses([beat.status for beat in beats]),
            placeholder=sum(b.placeholder and b.status is not Status.WAIVED for b in beats),
            misfits=sum(beat.misfit is not None for beat in beats),
            moved=len(moves),
            left_over=tuple(picture_path(style, *key) for key in over),
            failed_redraws=_failed_redraws(project, style, its, failed),
            beats=tuple(beats),
        )
    # In this order: a run records its end before it releases the project.
    active = record.is_active(project.layout)
    last = record.read(project.layout)
    broken = last.resumable if last and not active else None
    return ProjectStatus(
        project=project.layout.name,
        active=active,
        # A run that only begins has not replaced the record of the one before.
        pid=last.pid if last and active and last.ended is None else None,
        resume_after=broken.resume_after if broken else None,
        last_run=last,
        price=model_checks.picture_price(project),
        not_redrawn=_not_redrawn(project, surveyed, broken) if broken else 0,
        beats_file=encodable(project.storyboard.source),
        beats_named=project.request.beats_file is not None,
        last_beats_file=moved_numbers.last_run_beats_file(project),
        beats=project.beat_count,
        provider=project.settings.provider,
        older_layout=_older_layout(project, surveyed),
        styles=styles,
        without_prompt=project.without_prompt,
        drawn_by_older_rule=surveyed.older,
        **_choices(project, surveyed),
        elsewhere=surveyed.elsewhere,
        shard=_shard(project, last.resumable, styles) if last else None,
    )


_SETTLED: Final = frozenset({Status.COMPLETE, Status.OUTDATED, Status.WAIVED})
_FAILED: Final = frozenset({Status.ERROR, Status.BLOCKED})


def _shard(
    project: Project, last: RunRecord, styles: Mapping[str, StyleStatus]
) -> ShardStatus | None:
    """Return what has become of the shard that the last run drew."""
    if last.asked.shard is None:
        return None
    try:
        shard = Shard.parse(last.asked.shard)
    except UsageError:
        # The record may be somebody else's.
        return None
    in_shard = project.in_shard(shard)
    statuses = [
        state.status
        for style, style_status in styles.items()
        for beat, state in zip(project.beats[style], style_status.beats, strict=True)
        if in_shard(beat)
    ]
    complete = sum(status in _SETTLED for status in statuses)
    error = sum(status in _FAILED for status in statuses)
    return ShardStatus(
        shard=str(shard),
        total=len(statuses),
        complete=complete,
        error=error,
        pending=len(statuses) - complete - error,
    )


def _older_layout(project: Project, surveyed: Survey) -> str | None:
    # A file of choices that cannot be read is already reported.
    with contextlib.suppress(UsageError):
        return older_images.notice(project, surveyed.tidy)
    return None


def _choices(project: Project, surveyed: Survey) -> dict[str, Any]:
    """Return the fields on choices."""
    try:
        chosen = choices.describe(project)
        over = choices.left_over(project)
    except UsageError as error:
        # The next `choose` reports it; the rest of the status is still useful.
        return {"choices_fault": error.message}
    return {
        "chosen": len(chosen),
        "redrawn_since_chosen": tuple(
            choice.name for choice in chosen if choice.since is ChangeSinceChosen.REDRAWN
        ),
        "flagged": tuple(choice.name for choice in chosen if choice.flagged),
        "chosen_without_picture": tuple(
            choice.name for choice in chosen if choice.since is ChangeSinceChosen.GONE
        ),
        "copies_missing": tuple(choice.name for choice in chosen if choice.lacks_copy),
        "copies_unclaimed": over.unclaimed,
        "placeholders_chosen": _placeholders(surveyed, chosen),
        "choices_unclear": over.unclear,
        "choices_left_over": over.labels + over.unclaimed,
    }


def _placeholders(surveyed: Survey, chosen: Sequence[ChoiceStanding]) -> tuple[str, ...]:
    """Return which choices are of placeholders, as they are now."""
    sketches = {
        (style, image.key)
        for style, images in surveyed.beats.items()
        for image in images
        if image.placeholder
    }
    if not sketches:
        return ()
    of = ((choice, (choice.style, (choice.shot_number, choice.beat_number))) for choice in chosen)
    return tuple(
        choice.name
        for choice, its in of
        if its in sketches and choice.since is ChangeSinceChosen.SAME
    )


def _not_redrawn(project: Project, surveyed: Survey, last: RunRecord) -> int:
    """Return how many images `resume` would draw again."""
    if not last.asked.force or not last.is_resumable:
        return 0
    try:
        chosen = project.select(last.asked)
    except UsageError:
        # What was asked for is not in the storyboard any more.
        return 0
    redraws = RedrawPolicy(force=True, own=bool(last.asked.beats), lineage=last.root_run)
    return sum(
        image.has_image and chosen(image.beat) and redraws(image)
        for beats in surveyed.beats.values()
        for image in beats
    )


def _failed_redraws(
    project: Project, style: str, surveyed: Sequence[BeatImage], failed: Mapping[BeatKey, BeatError]
) -> tuple[FailedRedraw, ...]:
    with_image = (
        [image for image in surveyed if image.has_image and image.key in failed] if failed else []
    )
    if not with_image:
        return ()
    read = progress.read(project.layout.progress(style))
    # The other beats had no image when they failed: it was put there since.
    had = read.drawn if read is not None else frozenset()
    return tuple(
        FailedRedraw(
            shot_number=image.beat.shot, beat_number=image.beat.beat, error=failed[image.key]
        )
        for image in with_image
        if image.key in had and not _is_accepted(project, image)
    )


def _is_accepted(project: Project, image: BeatImage) -> bool:
    return not image.changed and project.overrides.of(image.beat).accepted is not None


def _blocked(
    surveyed: Sequence[BeatImage],
    failed: Mapping[BeatKey, BeatError],
    predecessors: Mapping[BeatKey, BeatKey],
) -> dict[BeatKey, str]:
    """Return which beats wait for another in error, and that one's number."""
    blocked: dict[BeatKey, str] = {}
    if not failed or not predecessors:
        return blocked
    lacking = {image.key for image in surveyed if not image.has_image and not image.waived}
    for image in surveyed:
        before = predecessors.get(image.key)
        if before is None or before not in lacking or image.key not in lacking:
            continue
        if before in blocked:
            blocked[image.key] = blocked[before]
        elif before in failed:
            blocked[image.key] = before[1]
    return blocked


def _held_up(beat: BeatState, blocked: Mapping[BeatKey, str]) -> BeatState:
    by = blocked.get(beat.key)
    if by is None:
        return beat
    return msgspec.structs.replace(beat, status=Status.BLOCKED, error=None, blocked_by=by)


def _beat(
    image: BeatImage,
    error: BeatError | None,
    picture_path: Callable[[str, str, str], str],
    misfit: str | None,
) -> BeatState:
    """Return a beat's status; `picture_path` is the path of an image that is there."""
    beat = image.beat
    if image.has_image:
        status = Status.OUTDATED if image.changed else Status.COMPLETE
        path = picture_path(beat.style, beat.shot, beat.beat)
        return BeatState(beat.shot, beat.beat, status, path, changed=image.changed, misfit=misfit)
    status = Status.PENDING
    if image.waived:
        status, error = Status.WAIVED, None
    elif error is not None:
        status = Status.ERROR
    if not image.placeholder:
        return BeatState(beat.shot, beat.beat, status, None, error)
    sketch = picture_path(beat.style, beat.shot, beat.beat)
    return BeatState(beat.shot, beat.beat, status, sketch, error, placeholder=True)
