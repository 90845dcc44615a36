"""Brings images, choices and journals of other copies of a project into it.

Several machines drew a part each. What the project has stays, unless a copy redrew it; then the
older image goes to old_images/. The copies are only read.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from imagegen.editing.contents import Contents
from imagegen.errors import StorageError
from imagegen.project import record, steps
from imagegen.project.selections import copies as selected
from imagegen.project.selections import file as selections
from imagegen.project.selections.file import FILE, FOLDER, Selections
from imagegen.project.selections.moves import UndoData
from imagegen.review.project_copies import (
    Merge,
    MergePlan,
    ProjectCopy,
    open_copy,
)
from imagegen.workspace import moved_numbers, undo_data
from imagegen.workspace import progress as progress_files
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project


def merge(
    project: Project, roots: Sequence[Path], wall: float, *, dry_run: bool = False
) -> MergePlan:
    """Bring what other copies of a project have into it, in one step; returns what that is.

    `roots` are the copies' folders. `wall` is the wall clock's time, in seconds. Raises
    `RunActiveError` if a run is active on any of them, `StorageError`, and `UsageError`, also
    if beat numbers changed.
    """
    if dry_run:
        return _compare(project, roots, wall, dry_run=True).plan
    layout = project.layout
    with record.project_lock(layout), selected.locked_selections(layout):
        steps.recover(layout)
        merged = _compare(project, roots, wall, dry_run=False)
        made: dict[str, Callable[[], bytes]] = {
            path: image.read for path, image in merged.images.items()
        }
        for name, copy in merged.journals.items():
            made[layout.relative(layout.journals / name)] = partial(_journal, copy, name)
        away, undo = _enter_choices(project, merged, made)
        settled = {undo_data.SELECTIONS: msgspec.to_builtins(undo)} if undo.added else {}
        steps.perform(
            layout, "merge", wall=wall, away=away, contents=Contents(made), settled=settled
        )
        progress_files.rewrite(read_project(project.root, project.request), wall)
    return merged.plan


def _compare(project: Project, roots: Sequence[Path], wall: float, *, dry_run: bool) -> Merge:
    copies = [open_copy(project, root, wall) for root in dict.fromkeys(roots)]
    own_copy = ProjectCopy(project, project.layout, str(project.root), wall)
    moved_numbers.require_numbers_unmoved(
        project, own_copy.survey, project.styles, "Nothing was merged"
    )
    return Merge(project, own_copy, copies, dry_run=dry_run)


def _journal(copy: ProjectCopy, name: str) -> bytes:
    data = copy.journal(name)
    if data is None:
        raise StorageError(f"{copy.layout.journal(name)} cannot be read any more")
    return data


def _enter_choices(
    project: Project, merged: Merge, made: dict[str, Callable[[], bytes]]
) -> tuple[list[str], UndoData]:
    """Add the entries and copies of choices to what is written.

    Returns the copies that have to go, since another image is chosen, and what undo needs.
    """
    if not merged.choices:
        return [], UndoData()
    entries = selections.read(project.root)
    counting = Selections(entries, project.beat_index).counting()
    existing = selections.names_in(project.root / FOLDER)
    undo = UndoData(added={}, dropped={})
    old: dict[str, str] = {}
    for beat, source in merged.choices.items():
        key = counting.get(beat) or project.selection_key(beat)
        before = entries.get(key)
        if key in entries:
            undo.dropped[key] = before
        fields = {**(before if isinstance(before, dict) else {}), **source.entry}
        entries[key] = undo.added[key] = source.choice.entry(fields)
        old |= {file: key for file in selections.files_of(key) if file in existing}
        file = selections.file_of(key, flagged=source.choice.flagged)
        image = source.image
        if file is None or image is None:
            continue
        if file in existing and _is_same(project.root / FOLDER / file, image):
            del old[file]
        else:
            made[f"{FOLDER}/{file}"] = partial(_read, image, source.choice.sha256)
    data = selections.encode(entries)
    made[FILE] = lambda: data
    expected = selected.expected_copies(Selections(entries, project.beat_index))
    away = [
        f"{FOLDER}/{file}"
        for file, key in old.items()
        # A beat's own number may end in _flagged.
        if f"{FOLDER}/{file}" not in made and (file not in expected or expected[file].key == key)
    ]
    return away, undo


def _is_same(path: Path, image: Path) -> bool:
    """Return whether a file in selected_images/ is the image that is chosen."""
    data = selected.read_image(path)
    return data is not None and data == selected.read_image(image)


def _read(path: Path, sha256: str | None) -> bytes:
    data = selected.read_image(path)
    if data is None or sha256 not in {None, selected.sha256(data)}:
        raise StorageError(f"{path} has changed meanwhile", hint="try again")
    return data
