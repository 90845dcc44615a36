"""Moves pictures without drawing: to their beats' numbers, out of the way, and back again.

Each is one step that a crash cannot leave half done, and that `undo` takes back.
"""

import contextlib
import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen.errors import ImagegenError, UsageError
from imagegen.generation import choices, recorder, settling
from imagegen.generation.choices import LeftOver
from imagegen.generation.events import iso
from imagegen.generation.outdated import OWN
from imagegen.generation.project import Project
from imagegen.generation.settled import address
from imagegen.generation.survey import Survey
from imagegen.project import (
    formats,
    moved_selections,
    overrides,
    png,
    record,
    selected,
    selections,
    settings,
    steps,
)
from imagegen.project.layout import Layout
from imagegen.project.moved_selections import Kept
from imagegen.project.overrides import Address, Override
from imagegen.project.record import Asked
from imagegen.project.steps import Move, Step
from imagegen.project.storyboard import Beat, Key
from imagegen.shell import on_project

OVERRIDES: Final = "overrides"
"""Under which name a step keeps what overrides.toml said before."""


CHOICES: Final = "selections"
"""Under which name a step keeps what happened to choices."""


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What was of beats that are gone: pictures by their paths, and choices."""

    pictures: tuple[str, ...]
    choices: LeftOver

    def __bool__(self) -> bool:
        return bool(self.pictures or self.choices)


class Renumbered(msgspec.Struct, frozen=True, kw_only=True):
    """What changes places: pictures by style, from where to where, and what gives way.

    `settled` counts overrides that follow, `choices` chosen pictures; `dropped` names choices
    that could not, whose pictures go to `old_images` too. `unknown` counts pictures that do not
    say what they were drawn from.
    """

    moves: dict[str, dict[Key, Key]]
    gives_way: tuple[str, ...] = ()
    settled: int = 0
    choices: int = 0
    dropped: tuple[str, ...] = ()
    unknown: int = 0

    def __bool__(self) -> bool:
        """Tell whether anything changes."""
        return bool(self.count or self.settled or self.choices or self.dropped)

    @property
    def count(self) -> int:
        """How many pictures move."""
        return sum(map(len, self.moves.values()))


class _Moving(msgspec.Struct, frozen=True, kw_only=True):
    """What a step has to do: files that change places or go away, small ones that change."""

    found: Renumbered
    moves: list[Move]
    away: tuple[str, ...]
    contents: dict[str, bytes]
    settled: dict[str, Any]


def renumber(project: Project, wall: float, *, dry_run: bool = False) -> Renumbered:
    """Move pictures, choices and overrides to the numbers that their beats have now.

    Raises `RunActiveError`, `UsageError` and `StorageError`.
    """
    if dry_run:
        return _renumbered(project, project.survey(wall)).found
    with (
        record.held(project.layout),
        overrides.locked(project.layout),
        selected.locked(project.layout),
    ):
        do = _renumbered(project, project.survey(wall))
        if do.moves or do.away or do.contents:
            steps.perform(
                project.layout,
                "renumber",
                do.moves,
                wall=wall,
                away=do.away,
                contents=do.contents,
                settled=do.settled,
            )
            project.index.move({move.source: move.target for move in do.moves})
            project.index.save()
        # Also where a crash came after all had moved, and before this.
        write_progress(project, wall)
    return do.found


def _renumbered(project: Project, survey: Survey) -> _Moving:
    layout, contents, kept = project.layout, {}, {}
    moves = [
        Move(_lies(layout, style, before), layout.shown_picture(style, *now))
        for style, pairs in survey.moves.items()
        for before, now in pairs.items()
    ]
    chosen = moved_selections.moved(layout.root, project.names, survey.moves)
    if chosen is not None:
        moves += [Move(before, now) for before, now in chosen.pictures.items()]
        contents[selections.FILE] = chosen.data
        kept[CHOICES] = msgspec.to_builtins(chosen.kept)
    settled = project.settled.moved
    if settled:
        contents[overrides.FILE] = overrides.edited(layout.root, settled)
        kept[OVERRIDES] = _before(project, settled)
    there = survey.there
    shown = {layout.shown_picture(style, *key) for style, own in there.items() for key in own}
    occupied = shown - {move.source for move in moves}
    found = Renumbered(
        moves=survey.moves,
        gives_way=tuple(move.target for move in moves if move.target in occupied),
        unknown=sum(words is None for own in there.values() for words in own.values()),
        settled=sum(override is not None for override in settled.values()),
        choices=chosen.count if chosen else 0,
        dropped=chosen.dropped if chosen else (),
    )
    away = chosen.away if chosen else ()
    return _Moving(found=found, moves=moves, away=away, contents=contents, settled=kept)


def _lies(layout: Layout, style: str, key: Key) -> str:
    """Return where a picture lies, which the disk may spell otherwise than the storyboard."""
    shown = layout.shown_picture(style, *key)
    if os.path.lexists(layout.root / shown):
        return shown
    folder = layout.pictures / style
    for part in (f"Shot_{key[0]}", f"Beat_{key[1]}.png"):
        folder /= _spelled(folder, part)
    return layout.relative(folder)


def _spelled(folder: Path, name: str) -> str:
    wanted = unicodedata.normalize("NFC", name)
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return name
    return next((n for n in names if unicodedata.normalize("NFC", n) == wanted), name)


def clean(project: Project, wall: float, *, dry_run: bool = False) -> Cleaned:
    """Move pictures and choices of beats that are gone to `old_images`; returns what did.

    Raises `RunActiveError`, `StorageError`, and `UsageError` where numbers have moved: then
    it is not known yet what is left over.
    """
    if dry_run:
        return _cleaned(project, project.survey(wall))
    with record.held(project.layout), selected.locked(project.layout):
        over = _cleaned(project, project.survey(wall))
        if over:
            entries = selections.read(project.root)
            kept = {name: entries[name] for name in over.choices.names}
            left = selections.without(entries, kept)
            steps.perform(
                project.layout,
                "clean",
                wall=wall,
                away=(*over.pictures, *over.choices.paths),
                contents={selections.FILE: selections.encoded(left)} if kept else {},
                settled={CHOICES: msgspec.to_builtins(Kept(dropped=kept))} if kept else {},
            )
        write_progress(project, wall)
    return over


def _cleaned(project: Project, survey: Survey) -> Cleaned:
    return Cleaned(pictures=tuple(_left_over(project, survey)), choices=choices.left_over(project))


def _left_over(project: Project, survey: Survey) -> list[str]:
    if survey.moves:
        raise UsageError(
            "numbers have moved: what is left over is known once pictures are at their beats",
            hint=on_project("renumber", project.root),
        )
    return [
        _lies(project.layout, style, one.key) for style, own in survey.strays.items() for one in own
    ]


def undo(layout: Layout, wall: float) -> Step | None:
    """Take the last step back that moved or replaced pictures; None if there is none.

    Raises `RunActiveError`, `UsageError` and `StorageError`.
    """
    if not layout.old.is_dir() and not layout.ours.is_dir():
        return None
    with record.held(layout), overrides.locked(layout), selected.locked(layout):
        steps.recover(layout)
        _refuse_unreadable(layout)
        last = steps.last(layout)
        if last is None:
            return None
        before = _kept(last[1].settled)
        contents = {overrides.FILE: overrides.edited(layout.root, before)} if before else {}
        contents |= _choices_before(layout, last[1].settled)
        undone = steps.undo(layout, wall, contents=contents)
        _end(layout, last[1], wall)
        # What is wrong with the project's files is no reason to keep what was taken back.
        with contextlib.suppress(ImagegenError):
            write_progress(Project(layout.root, Asked()), wall)
    return undone[0] if undone else None


def _refuse_unreadable(layout: Layout) -> None:
    """Raise `UsageError` where the last step cannot be read: the one before is not meant."""
    unreadable = steps.unreadable(layout)
    if unreadable is not None:
        raise UsageError(
            f"{unreadable} cannot be understood: it is torn, or of a newer version",
            hint="move its folder out of old_images to take back the step before it",
        )


def _end(layout: Layout, step: Step, wall: float) -> None:
    """Let nobody carry on the run whose drawing was taken back."""
    last = record.read(layout)
    if last is None:
        return
    if last.left is not None and step.run == last.left.run:
        record.write(layout, msgspec.structs.replace(last, left=None))
    if step.run == last.run and last.broke_off:
        ended = last.ended or iso(wall)
        record.write(
            layout, msgspec.structs.replace(last, ended=ended, exit_code=0, reason="undone")
        )


def _kept(settled: Mapping[str, Any]) -> dict[Address, Override | None]:
    """Read what overrides.toml said before a step; the file may be somebody else's."""
    try:
        kept = msgspec.convert(settled.get(OVERRIDES, {}), dict[str, Override | None])
    except msgspec.ValidationError:
        return {}
    parts = {tuple(name.split("/")): override for name, override in kept.items()}
    return {(a[0], a[1], a[2]): override for a, override in parts.items() if len(a) == len("abc")}


def _choices_before(layout: Layout, settled: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the file of choices as it was before a step, with what was chosen since."""
    if CHOICES not in settled:
        return {}
    try:
        kept = msgspec.convert(settled[CHOICES], Kept)
    except msgspec.ValidationError:
        # The step may be somebody else's.
        return {}
    back = moved_selections.set_back(selections.read(layout.root), kept)
    return {selections.FILE: selections.encoded(back)}


def before(project: Project, changes: Iterable[Address]) -> dict[str, Any]:
    """Return what a step keeps of overrides.toml, to undo these changes."""
    kept = _before(project, changes)
    return {OVERRIDES: kept} if kept else {}


def _before(project: Project, changes: Iterable[Address]) -> dict[str, Any]:
    return {"/".join(where): msgspec.to_builtins(project.placed.get(where)) for where in changes}


def use(project: Project, data: bytes, wall: float) -> str:
    """Put a person's own picture in the place of the one beat that is asked for.

    `data` are the bytes of a PNG, JPEG or WebP. What was there is kept. Returns the picture's
    path. Raises `UsageError` for anything else or for several beats, `RunActiveError` and
    `StorageError`.
    """
    beats = project.asked_for()
    if len(beats) != 1:
        several = ", ".join("/".join(address(beat)) for beat in beats[:3])
        asked = ", ".join(project.asked.beats)
        raise UsageError(f'"{asked}" is {len(beats)} beats', hint=f"name its style: {several}")
    return adopt(project, beats[0], data, project.target(beats[0]), provider=OWN, wall=wall)


def adopt(
    project: Project,
    beat: Beat,
    data: bytes,
    origin: png.Provenance,
    *,
    provider: str,
    wall: float,
) -> str:
    """Put a picture in a beat's place, to say that it is of `origin` by `provider`.

    It counts as current, whatever would be drawn. Returns its path; raises as `use` does.
    """
    try:
        whole = formats.as_png(data)
    except formats.NotAPictureError as error:
        raise UsageError(f"that is no picture that can be used: {error}") from error
    told = msgspec.structs.replace(
        origin, shot=beat.shot, beat=beat.beat, style=beat.style, provider=provider, id=beat.id
    )
    parts = png.restamped(whole, told, project.composer.texts(beat, wall))
    place = project.layout.shown_picture(beat.style, *beat.key)
    changes = project.settled.changed([beat], lambda had, one: _adopted(project, had, one, told))
    with record.held(project.layout), overrides.locked(project.layout):
        steps.recover(project.layout)
        contents = {place: b"".join(parts)}
        if any(project.placed.get(where) != change for where, change in changes.items()):
            contents[overrides.FILE] = overrides.edited(project.root, changes)
        settled = before(project, changes)
        steps.perform(project.layout, "use", wall=wall, contents=contents, settled=settled)
        write_progress(Project(project.root, project.asked), wall)
    return place


def _adopted(project: Project, had: Override, beat: Beat, told: png.Provenance) -> Override:
    accepted = None if told.provider == OWN else settling.acceptance(project, beat, told)
    return msgspec.structs.replace(had, waived=False, accepted=accepted)


def set_look(project: Project, style: str, look: str, wall: float) -> None:
    """Write a style's look into imagegen.toml. Raises as `use` does."""
    contents = {settings.FILE: settings.with_look(project.root, style, look)}
    with record.held(project.layout):
        steps.recover(project.layout)
        steps.perform(project.layout, "look", wall=wall, contents=contents)


def write_progress(project: Project, wall: float) -> None:
    """Write the progress files as the disk has it. Raises `StorageError`."""
    recorder.rewrite(
        project.layout,
        beats=project.beats,
        there=project.survey(wall).there,
        errors=project.errors(),
        wall=wall,
    )
