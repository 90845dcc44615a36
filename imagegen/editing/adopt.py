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
        return _planned(project, style, beats_file)
    layout = project.layout
    with record.project_lock(layout), copies.locked_selections(layout):
        steps.recover(layout)
        found = _planned(project, style, beats_file)
        if not found:
            return found
        touched = sorted({beat.style for beat in found.beats.values()})
        moved_numbers.require_numbers_unmoved(
            project, project.survey(wall), touched, "Nothing was adopted"
        )
        contents = Contents({path: _stamped(project, found, path, wall) for path in found.pictures})
        kept = _enter_choices(project, found, contents)
        if beats_file is not None:
            data = settings.with_beats(project.root, beats_file)
            contents.made[settings.FILE] = lambda: data
        settled = {undo_data.SELECTIONS: msgspec.to_builtins(kept)} if kept.added else {}
        steps.perform(layout, "adopt", wall=wall, contents=contents, settled=settled)
        progress_files.rewrite(read_project(project.root, project.request), wall)
    return found


def _planned(project: Project, style: str | None, beats_file: str | None) -> Adoption:
    if style is not None and style not in project.settings.styles:
        hint = did_you_mean(style, project.settings.styles)
        raise UsageError(f'no style "{style}" in this project', hint=hint)
    old = list(old_pictures(project.layout, project.settings.styles))
    found = match(project, old, style)
    return msgspec.structs.replace(found, beats_file=beats_file)


def _stamped(project: Project, found: Adoption, path: str, wall: float) -> Callable[[], bytes]:
    """Return the image for a path, with its origin."""
    beat, source = found.beats[path], project.layout.root / found.pictures[path].path

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


def _enter_choices(project: Project, found: Adoption, contents: Contents) -> UndoData:
    """Add the entries and copies of choices to what is written."""
    entries = selections.read(project.root)
    there = selections.names_in(project.root / FOLDER)
    added = {}
    for beat, one in found.choices.items():
        picture = contents.made.get(one.picture) or partial(_whole, project.root / one.picture)
        choice = Choice(
            style=one.style,
            flagged=one.source.flagged,
            selected_at=iso(one.source.time),
            shot=one.key[0],
            sha256=copies.sha256(picture()),
        )
        key = project.selection_key(beat)
        entries[key] = added[key] = choice.entry(entries.get(key))
        file = selections.file_of(key, flagged=choice.flagged)
        if file is not None and not there.intersection(selections.files_of(key)):
            copy = picture if one.alike else partial(_whole, project.root / one.source.path)
            contents.made[f"{FOLDER}/{file}"] = copy
    if added:
        data = selections.encoded(entries)
        contents.made[FILE] = lambda: data
    return UndoData(added=added)
