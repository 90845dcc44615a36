"""Puts images in their beats' places without drawing: a person's own, or a candidate."""

import msgspec

from imagegen.editing import settle
from imagegen.errors import UsageError
from imagegen.images import formats, png
from imagegen.project import overrides, record, steps
from imagegen.project.overrides import Override
from imagegen.project.storyboard import Beat
from imagegen.workspace import moved_numbers, undo_data
from imagegen.workspace import progress as progress_files
from imagegen.workspace.outdated import USER_SUPPLIED
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project


def use_image(project: Project, data: bytes, wall: float, *, file: str) -> str:
    """Put the user's own image in the place of the one requested beat.

    `data` are the bytes of a PNG, JPEG or WebP, `file` is its name for messages. What was
    there is kept. Returns the image's path. Raises `UsageError` for anything else, for several
    beats and if beat numbers changed, `RunActiveError` and `StorageError`.
    """
    beats = project.selected_beats()
    if len(beats) != 1:
        several = ", ".join(str(beat.address) for beat in beats[:3])
        address = ", ".join(project.request.beats)
        raise UsageError(f'"{address}" is {len(beats)} beats', hint=f"name its style: {several}")
    origin = project.expected(beats[0])
    return use_picture(
        project, beats[0], data, origin, provider=USER_SUPPLIED, wall=wall, file=file
    )


def use_picture(
    project: Project,
    beat: Beat,
    data: bytes,
    origin: png.Provenance,
    *,
    provider: str,
    wall: float,
    file: str = "the image",
) -> str:
    """Put an image in a beat's place, with this `origin` and `provider`.

    `file` is its name for messages. It counts as current in any case. Returns its path; raises
    as `use_image` does.
    """
    # The file there may be another beat's image, and this one would be in its way.
    survey = project.survey(wall)
    moved_numbers.require_numbers_unmoved(project, survey, [beat.style], "Nothing was replaced")
    try:
        whole = formats.as_png(data)
    except formats.NotAPictureError as error:
        hint = "give a PNG, JPEG or WebP file"
        raise UsageError(f"{file} cannot be used: {error}", hint=hint) from error
    provenance = msgspec.structs.replace(
        origin, shot=beat.shot, beat=beat.beat, style=beat.style, provider=provider, id=beat.id
    )
    parts = png.replace_metadata(whole, provenance, project.composer.texts(beat, wall))
    place = project.layout.shown_picture(*beat.address)
    changes = project.overrides.changed(
        [beat], lambda had, candidate: _adopt(project, had, candidate, provenance)
    )
    with record.project_lock(project.layout), overrides.locked(project.layout):
        steps.recover(project.layout)
        contents = {place: b"".join(parts)}
        if any(project.raw_overrides.get(where) != change for where, change in changes.items()):
            contents[overrides.FILE] = overrides.render(project.root, changes)
        settled = undo_data.overrides_undo_data(project, changes)
        steps.perform(project.layout, "use", wall=wall, contents=contents, settled=settled)
        progress_files.rewrite(read_project(project.root, project.request), wall)
    return place


def _adopt(project: Project, had: Override, beat: Beat, provenance: png.Provenance) -> Override:
    accepted = (
        None
        if provenance.provider == USER_SUPPLIED
        else settle.make_acceptance(project, beat, provenance)
    )
    return msgspec.structs.replace(had, waived=False, accepted=accepted)
