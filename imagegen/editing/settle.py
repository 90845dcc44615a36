"""Settles beats one at a time: an outdated image is accepted, a beat needs none.

It is kept in overrides.toml. A run may be active: it goes on as it began.
"""

import msgspec

from imagegen.errors import UsageError
from imagegen.images import png
from imagegen.project import overrides
from imagegen.project.overrides import Accepted
from imagegen.project.storyboard import Beat, BeatAddress
from imagegen.project.storyboard.hashing import words_hash
from imagegen.shell import project_command
from imagegen.workspace import moved_numbers
from imagegen.workspace.outdated import fingerprint
from imagegen.workspace.project import Project
from imagegen.workspace.survey import BeatImage, Survey


def accept(project: Project, wall: float) -> list[BeatImage]:
    """Mark the requested outdated images as current; returns them.

    `wall` is the wall clock's time, in seconds. Raises `UsageError`, also if beat numbers
    changed, and `StorageError`.
    """
    survey = project.survey(wall)
    selected = select(project, survey)
    moved_numbers.require_numbers_unmoved(
        project, survey, _styles(selected), "Nothing was accepted"
    )
    outdated = {
        image.beat.address: image for image in selected if image.changed or image.placeholder
    }
    _exclude_followers(project, outdated)

    def accepted(beat: Beat) -> Accepted | None:
        drawn = outdated[beat.address].provenance
        return make_acceptance(project, beat, drawn) if drawn is not None else None

    changes = project.overrides.changed(
        [image.beat for image in outdated.values()],
        lambda had, beat: msgspec.structs.replace(had, accepted=accepted(beat)),
    )
    overrides.edit(project.layout, changes)
    return list(outdated.values())


def _exclude_followers(project: Project, outdated: dict[BeatAddress, BeatImage]) -> None:
    """Leave out what is outdated for a beat before it alone; raise if that is all there is."""
    following = [
        where
        for where, image in outdated.items()
        if image.provenance is not None
        and fingerprint(image.provenance) == fingerprint(project.expected_in_place(image.beat))
    ]
    if following and len(following) == len(outdated):
        raise UsageError(
            f"{project.label(following[0])} follows a beat that is outdated, and will be another",
            hint="accept or redraw that one: what follows it goes with it",
        )
    for where in following:
        del outdated[where]


def skip(project: Project, wall: float, *, undo: bool) -> tuple[list[BeatImage], list[BeatImage]]:
    """Do without the images of what is asked for and has none.

    Returns those beats, and those that have their image, which stay as they are. With `undo`
    those that were waived are wanted after all. Else raises `UsageError` if beat numbers
    changed, as the image may be at another, or if every one has its image; and
    `StorageError`.
    """
    surveyed, settled = project.survey(wall), project.overrides
    selected = select(project, surveyed)
    if not undo:
        moved_numbers.require_numbers_unmoved(
            project, surveyed, _styles(selected), "Nothing was skipped"
        )
    left = [
        image
        for image in selected
        if (settled.of(image.beat).waived if undo else not image.has_image)
    ]
    with_image = [] if undo else [image for image in selected if image.has_image]
    if not left and not undo:
        again_by = project_command(
            "redraw", project.layout.typed, *project.request.beats, *project.named_beats
        )
        has = "has an image" if len(with_image) == 1 else "have images"
        raise UsageError(
            f"{', '.join(project.request.beats)} {has}: there is nothing to skip",
            hint=f"{again_by} draws it again",
        )
    changes = project.overrides.changed(
        [image.beat for image in left],
        lambda had, _: msgspec.structs.replace(had, waived=not undo),
    )
    overrides.edit(project.layout, changes)
    return left, with_image


def make_acceptance(project: Project, beat: Beat, drawn: png.Provenance) -> Accepted:
    """Return what says that an image is current though it was drawn from something else."""
    now = project.expected_in_place(beat)
    return Accepted(drawn=fingerprint(drawn), now=fingerprint(now), words=words_hash(beat.words))


def _styles(images: list[BeatImage]) -> set[str]:
    return {image.beat.style for image in images}


def select(project: Project, survey: Survey) -> list[BeatImage]:
    """Return the beats that are asked for, and the files at their places."""
    addresses = {beat.address for beat in project.selected_beats()}
    return [
        image
        for style_images in survey.beats.values()
        for image in style_images
        if image.beat.address in addresses
    ]
