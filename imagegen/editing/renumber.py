"""Moves images to their beats' numbers, or out of the way, without drawing.

Each is one step that a crash cannot leave half done, and that `undo` takes back.
"""

import os
import unicodedata
from pathlib import Path
from typing import Any

import msgspec

from imagegen.project import overrides, record, steps
from imagegen.project.layout import ProjectPaths
from imagegen.project.selections import copies, file
from imagegen.project.selections import moves as moved_selections
from imagegen.project.selections.moves import UndoData
from imagegen.project.steps import Move
from imagegen.project.storyboard import BeatKey
from imagegen.review import choices
from imagegen.review.choices import Orphans
from imagegen.workspace import moved_numbers, undo_data
from imagegen.workspace import progress as progress_files
from imagegen.workspace.project import Project
from imagegen.workspace.survey import Survey


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What was of beats that are gone: images by their paths, and choices."""

    pictures: tuple[str, ...]
    choices: Orphans

    def __bool__(self) -> bool:
        return bool(self.pictures or self.choices)


class Renumbered(msgspec.Struct, frozen=True, kw_only=True):
    """What moves: images by style, from where to where, and which images make room.

    `override_count` counts overrides that move along, `choices` chosen images; `dropped_choices`
    names choices that cannot: their images go to `old_images` too. `untagged` counts images that
    do not say what they were drawn from.
    """

    moves: dict[str, dict[BeatKey, BeatKey]]
    displaced: tuple[str, ...] = ()
    override_count: int = 0
    choices: int = 0
    dropped_choices: tuple[str, ...] = ()
    untagged: int = 0

    def __bool__(self) -> bool:
        """Return whether anything changes."""
        return bool(self.count or self.override_count or self.choices or self.dropped_choices)

    @property
    def count(self) -> int:
        """How many images move."""
        return sum(map(len, self.moves.values()))


class _Moving(msgspec.Struct, frozen=True, kw_only=True):
    """What a step has to do: files that change places or go away, small ones that change."""

    found: Renumbered
    moves: list[Move]
    to_archive: tuple[str, ...]
    contents: dict[str, bytes]
    settled: dict[str, Any]


def renumber(project: Project, wall: float, *, dry_run: bool = False) -> Renumbered:
    """Move images, choices and overrides to the numbers that their beats have now.

    Raises `RunActiveError`, `StorageError`, and `UsageError`, also if the last run was of
    another beats file: then its images may be where they belong.
    """
    if dry_run:
        return _plan_moves(project, project.survey(wall)).found
    with (
        record.project_lock(project.layout),
        overrides.locked(project.layout),
        copies.locked_selections(project.layout),
    ):
        do = _plan_moves(project, project.survey(wall))
        if do.moves or do.to_archive or do.contents:
            steps.perform(
                project.layout,
                "renumber",
                do.moves,
                wall=wall,
                away=do.to_archive,
                contents=do.contents,
                settled=do.settled,
            )
            project.index.move({move.source: move.target for move in do.moves})
            project.index.save()
        # Also if a crash came after all had moved, and before this.
        progress_files.rewrite(project, wall)
    return do.found


def _plan_moves(project: Project, survey: Survey) -> _Moving:
    moved_numbers.require_same_beats_file(
        project, "renumber", "the images may be that one's. Nothing was moved"
    )
    layout, settled = project.layout, project.overrides.renamed
    contents, undo = {}, undo_data.overrides_undo_data(project, settled)
    moves = [
        Move(_actual_path(layout, style, before), layout.shown_picture(style, *now))
        for style, pairs in survey.moves.items()
        for before, now in pairs.items()
    ]
    chosen = moved_selections.plan_selection_moves(
        layout.root, project.beat_index, project.selection_key, survey.moves
    )
    if chosen is not None:
        moves += [Move(before, now) for before, now in chosen.pictures.items()]
        contents[file.FILE] = chosen.data
        undo[undo_data.SELECTIONS] = msgspec.to_builtins(chosen.kept)
    if settled:
        contents[overrides.FILE] = overrides.render(layout.root, settled)
    existing = survey.there
    paths = {
        layout.shown_picture(style, *key)
        for style, style_images in existing.items()
        for key in style_images
    }
    occupied = paths - {move.source for move in moves}
    result = Renumbered(
        moves=survey.moves,
        displaced=tuple(move.target for move in moves if move.target in occupied),
        untagged=sum(
            words is None for style_images in existing.values() for words in style_images.values()
        ),
        override_count=sum(override is not None for override in settled.values()),
        choices=chosen.count if chosen else 0,
        dropped_choices=chosen.dropped if chosen else (),
    )
    away = chosen.away if chosen else ()
    return _Moving(found=result, moves=moves, to_archive=away, contents=contents, settled=undo)


def _actual_path(layout: ProjectPaths, style: str, key: BeatKey) -> str:
    """Return where an image is, which the disk may spell differently."""
    path = layout.shown_picture(style, *key)
    if os.path.lexists(layout.root / path):
        return path
    folder = layout.pictures / style
    for part in (f"Shot_{key[0]}", f"Beat_{key[1]}.png"):
        folder /= _actual_name(folder, part)
    return layout.relative(folder)


def _actual_name(folder: Path, name: str) -> str:
    normalized = unicodedata.normalize("NFC", name)
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return name
    return next((n for n in names if unicodedata.normalize("NFC", n) == normalized), name)


def clean(project: Project, wall: float, *, dry_run: bool = False) -> Cleaned:
    """Move images and choices of beats that are gone to `old_images`; returns what did.

    Raises `RunActiveError`, `StorageError`, and `UsageError` if beat numbers changed, or if
    the last run was of another beats file: then it is not known what is left over.
    """
    if dry_run:
        return _plan_clean(project, project.survey(wall))
    with record.project_lock(project.layout), copies.locked_selections(project.layout):
        over = _plan_clean(project, project.survey(wall))
        if over:
            entries = file.read(project.root)
            dropped = {name: entries[name] for name in over.choices.names}
            left = file.omit(entries, dropped)
            steps.perform(
                project.layout,
                "clean",
                wall=wall,
                away=(*over.pictures, *over.choices.paths),
                contents={file.FILE: file.encode(left)} if dropped else {},
                settled={undo_data.SELECTIONS: msgspec.to_builtins(UndoData(dropped=dropped))}
                if dropped
                else {},
            )
        progress_files.rewrite(project, wall)
    return over


def _plan_clean(project: Project, survey: Survey) -> Cleaned:
    return Cleaned(pictures=tuple(_left_over(project, survey)), choices=choices.left_over(project))


def _left_over(project: Project, survey: Survey) -> list[str]:
    moved_numbers.require_same_beats_file(
        project,
        "clean",
        "what is left over of the one may be the other's. Nothing was cleaned away",
    )
    # What is left over is known once images are at their beats.
    moved_numbers.require_numbers_unmoved(
        project, survey, project.styles, "Nothing was cleaned away"
    )
    return [
        _actual_path(project.layout, style, image.key)
        for style, style_images in survey.strays.items()
        for image in style_images
    ]
