"""Takes over images and choices from the folders in which older tools put them.

They are copied: the older folders stay as they are, and no image is replaced.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from imagegen.editing.contents import Contents
from imagegen.errors import StorageError, UsageError
from imagegen.images import png
from imagegen.project import record, settings, steps
from imagegen.project.selections import copies
from imagegen.project.selections import file as selections
from imagegen.project.selections.file import FILE, FOLDER, Choice
from imagegen.project.selections.moves import UndoData
from imagegen.review.older_images import Adoption, match
from imagegen.times import iso
from imagegen.toml import did_you_mean
from imagegen.workspace import moved_numbers, undo_data
from imagegen.workspace import progress as progress_files
from imagegen.workspace.older_layout import old_pictures
from imagegen.workspace.outdated import ADOPTED
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project


def adopt(
    project: Project,
    wall: float,
    *,
    style: str | None = None,
    beats_file: str | None = None,
    dry_run: bool = False,
) -> Adoption:
    """Copy images and choices from older places into the project, in one step.

    `style` is that of images outside of style folders, else the first that the project
    draws. `beats_file` becomes the project's
    own. `wall` is the wall clock's time, in seconds. Raises `RunActiveError`, `StorageError`,
    and `UsageError`, also if beat numbers changed.
    """
    if dry_run:
        return _plan(project, style, beats_file)
    layout = project.layout
    with record.project_lock(layout), copies.locked_selections(layout):
        steps.recover(layout)
        adoption = _plan(project, style, beats_file)
        if not adoption:
            return adoption
        touched = sorted({beat.style for beat in adoption.beats.values()})
        moved_numbers.require_numbers_unmoved(
            project, project.survey(wall), touched, "Nothing was adopted"
        )
        contents = Contents(
            {path: _image_maker(project, adoption, path, wall) for path in adoption.pictures}
        )
        undo = _enter_choices(project, adoption, contents)
        if beats_file is not None:
            data = settings.with_value(project.root, ("beats",), beats_file)
            contents.made[settings.FILE] = lambda: data
        settled = {undo_data.SELECTIONS: msgspec.to_builtins(undo)} if undo.added else {}
        steps.perform(layout, "adopt", wall=wall, contents=contents, settled=settled)
        progress_files.rewrite(read_project(project.root, project.request), wall)
    return adoption


def _plan(project: Project, style: str | None, beats_file: str | None) -> Adoption:
    if style is not None and style not in project.settings.styles:
        hint = did_you_mean(style, project.settings.styles)
        raise UsageError(f'no style "{style}" in this project', hint=hint)
    old = list(old_pictures(project.layout, project.settings.styles))
    adoption = match(project, old, style)
    return msgspec.structs.replace(adoption, beats_file=beats_file)


def _image_maker(
    project: Project, adoption: Adoption, path: str, wall: float
) -> Callable[[], bytes]:
    """Return the image for a path, with its origin."""
    beat, source = adoption.beats[path], project.layout.root / adoption.pictures[path].path

    def make() -> bytes:
        # Its provider is unknown. Its prompt is the beat's, so that it moves with it.
        origin = msgspec.structs.replace(project.expected(beat), provider=ADOPTED, model="")
        data = _whole(source)
        return b"".join(png.replace_metadata(data, origin, project.composer.texts(beat, wall)))

    return make


def _whole(path: Path) -> bytes:
    data = copies.read_image(path)
    if data is None:
        raise StorageError(f"{path} cannot be read any more")
    return data


def _enter_choices(project: Project, adoption: Adoption, contents: Contents) -> UndoData:
    """Add the entries and copies of choices to what is written."""
    entries = selections.read(project.root)
    existing = selections.names_in(project.root / FOLDER)
    added = {}
    for beat, source in adoption.choices.items():
        picture = contents.made.get(source.picture) or partial(
            _whole, project.root / source.picture
        )
        choice = Choice(
            style=source.style,
            flagged=source.source.flagged,
            selected_at=iso(source.source.time),
            shot=source.key[0],
            sha256=copies.sha256(picture()),
        )
        key = project.selection_key(beat)
        entries[key] = added[key] = choice.entry(entries.get(key))
        file = selections.file_of(key, flagged=choice.flagged)
        if file is not None and not existing.intersection(selections.files_of(key)):
            copy = picture if source.alike else partial(_whole, project.root / source.source.path)
            contents.made[f"{FOLDER}/{file}"] = copy
    if added:
        data = selections.encode(entries)
        contents.made[FILE] = lambda: data
    return UndoData(added=added)
