"""Chooses the best image of each beat, over its styles. Draws nothing; a run may be active.

Every function looks at the beats it is asked about alone, and at the file of choices; `choices`
reads what is chosen.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from imagegen import files, providers
from imagegen.errors import RunActiveError, UsageError
from imagegen.images import formats
from imagegen.project import record, steps
from imagegen.project.beat_ids import BeatId, folded
from imagegen.project.selections import copies, moves
from imagegen.project.selections import file as selections
from imagegen.project.selections.copies import ChangedMeanwhileError
from imagegen.project.selections.file import FILE, FOLDER, Choice, Entries, Selections
from imagegen.project.selections.moves import SelectionMoves
from imagegen.project.steps import Move
from imagegen.review.choices import Chosen, by_beat, chosen, has_copy
from imagegen.shell import project_command
from imagegen.times import iso
from imagegen.toml import did_you_mean
from imagegen.workspace import undo_data
from imagegen.workspace.project import Project
from imagegen.workspace.survey import ImageState, inspect_image

_MOST_TRIES: Final = 5
"""How often a change is made again because another program wrote the file meanwhile."""

_Change = Callable[[Entries], Iterable[BeatId]]
"""Changes entries, and returns the beats that were chosen."""


class Pick(msgspec.Struct, frozen=True):
    """A style chosen for a beat, and whether it is flagged."""

    style: str
    flagged: bool = False


def choose(project: Project, picks: Mapping[BeatId, Pick], wall: float) -> dict[BeatId, Chosen]:
    """Choose images for their beats, all of them or none; returns the choices.

    What was chosen before is replaced. The choice of a placeholder is flagged: it wants another
    look once the beat is drawn. `wall` is the wall clock's time, in seconds. Raises
    `UsageError` for a beat or an image that is not there, and `StorageError`.
    """
    for beat, pick in picks.items():
        fault = why_unavailable(project, beat, pick.style)
        if fault is not None:
            missing = fault.endswith(_NO_IMAGE)
            draws = project_command("run", project.root, *project.named_beats)
            raise UsageError(fault, hint=f"{draws} draws it" if missing else _styles(project))

    picks = _with_flags(project, picks)

    def change(entries: Entries) -> Iterable[BeatId]:
        _stage(project, picks, iso(wall), entries)
        return picks

    return _changed(project, change, wall)


def flag(
    project: Project, beats: Sequence[BeatId], wall: float, *, flagged: bool = True
) -> dict[BeatId, Chosen]:
    """Mark what is chosen, or take the mark away; the image stays the one that was chosen.

    Raises `UsageError` for beats of which nothing is chosen, and `StorageError`.
    """

    def change(entries: Entries) -> Iterable[BeatId]:
        chosen_before = by_beat(entries, project.beat_index)
        _refuse_unchosen(project, beats, chosen_before)
        choices = {
            beat: msgspec.structs.replace(chosen_before[beat].choice, flagged=flagged)
            for beat in beats
        }
        _enter(project, entries, choices)
        return beats

    return _changed(project, change, wall)


def clear_choices(project: Project, beats: Sequence[BeatId], wall: float) -> None:
    """Remove the choices of these beats.

    Raises `StorageError`.
    """
    before = chosen(project)
    if not any(beat in before for beat in beats):
        return

    def change(entries: Entries) -> Iterable[BeatId]:
        matched = Selections(entries, project.beat_index)
        for beat in beats:
            for key in matched.keys(beat):
                _withdraw(project, key, beat)
                del entries[key]
        return ()

    _changed(project, change, wall)


def choose_remaining(
    project: Project, style: str, wall: float, *, flagged: bool = False
) -> tuple[dict[BeatId, Chosen], list[BeatId]]:
    """Choose a style's image wherever nothing is chosen yet.

    Returns the new choices, and the beats that stay without for they have no image in that
    style. Copies that are missing of earlier choices are made in any case, as with every change.
    Raises as `choose` does.
    """
    if style not in project.beats:
        hint = did_you_mean(style, project.beats) or _styles(project)
        raise UsageError(f'no style "{style}" in this project', hint=hint)
    before = chosen(project)
    left = [beat for beat in project.beat_ids if beat not in before]
    lacking = [beat for beat in left if why_unavailable(project, beat, style) is not None]
    picks = dict.fromkeys(left, Pick(style, flagged))
    for beat in lacking:
        del picks[beat]
    picks = _with_flags(project, picks)

    def change(entries: Entries) -> Iterable[BeatId]:
        since = by_beat(entries, project.beat_index)
        mine = {beat: pick for beat, pick in picks.items() if beat not in since}
        _stage(project, mine, iso(wall), entries)
        return mine

    incomplete = not all(has_copy(project, choice) for choice in before.values())
    return _changed(project, change, wall) if picks or incomplete else {}, lacking


def rename(project: Project, wall: float) -> int:
    """Give choices the names that their beats have now, in one step; returns how many.

    Earlier versions identified a beat by its shot too if it was in other shots in other styles.
    Nothing is done while a run is active: each is understood under its old name too. Raises
    `UsageError` and `StorageError`.
    """
    if _renamed(project) is None:
        return 0
    with (
        contextlib.suppress(RunActiveError),
        record.project_lock(project.layout),
        copies.locked_selections(project.layout),
    ):
        steps.recover(project.layout)
        renamed = _renamed(project)
        if renamed is not None:
            steps.perform(
                project.layout,
                "rename choices",
                [Move(before, now) for before, now in renamed.pictures.items()],
                wall=wall,
                away=renamed.away,
                contents={FILE: renamed.data},
                settled={undo_data.SELECTIONS: msgspec.to_builtins(renamed.kept)},
            )
            return renamed.count + len(renamed.dropped)
    return 0


def _renamed(project: Project) -> SelectionMoves | None:
    return moves.plan_selection_moves(project.root, project.beat_index, project.selection_key, {})


_NO_IMAGE: Final = "has no image yet"


def why_unavailable(project: Project, beat: BeatId, style: str) -> str | None:
    """Return why a beat's image in a style cannot be chosen; None if it can."""
    if style not in project.beats:
        return f'no style "{style}" in this project'
    key = project.beat_index.key(beat, style)
    if key is None:
        return f"no beat {style}/{beat}: the style {style} does not have it"
    name = f"{style}/{beat}"
    state, _ = inspect_image(project.layout.picture(style, *key))
    if state is ImageState.NOTHING and files.has_stub(project.layout.picture(style, *key)):
        return f"the image of {name} is not on this machine: download it from the cloud drive"
    if state is ImageState.NOTHING:
        return f"{name} {_NO_IMAGE}"
    if state is ImageState.INVALID:
        return f"{name} has no complete image"
    return None


def is_placeholder(project: Project, beat: BeatId, style: str) -> bool:
    """Return whether a beat's image in a style is a sketch that the next run draws over."""
    if project.settings.provider in providers.PLACEHOLDERS:
        return False
    key = project.beat_index.key(beat, style)
    if key is None:
        return False
    _, whole = inspect_image(project.layout.picture(style, *key))
    drawn = whole.provenance if whole is not None else None
    return drawn is not None and drawn.provider in providers.PLACEHOLDERS


def _with_flags(project: Project, picks: Mapping[BeatId, Pick]) -> dict[BeatId, Pick]:
    """Return the picks, those of placeholders flagged."""
    return {
        beat: Pick(pick.style, pick.flagged or is_placeholder(project, beat, pick.style))
        for beat, pick in picks.items()
    }


def _stage(project: Project, picks: Mapping[BeatId, Pick], at: str, entries: Entries) -> None:
    """Stage the images that are picked, and enter them. `at` is the time in RFC 3339."""
    choices: dict[BeatId, Choice] = {}
    for beat, pick in picks.items():
        key = project.beat_index.key(beat, pick.style)
        if key is None:
            raise UsageError(f"no beat {pick.style}/{beat}")
        picture = project.layout.picture(pick.style, *key)
        file = _file(project.selection_key(beat), flagged=pick.flagged)
        try:
            hashed = copies.stage(project.layout, file, picture)
        except formats.NotAPictureError as error:
            path = project.layout.relative(picture)
            raise UsageError(f"{path} cannot be chosen: {error}") from error
        choices[beat] = Choice(
            style=pick.style, flagged=pick.flagged, selected_at=at, shot=key[0], sha256=hashed
        )
    _enter(project, entries, choices, new=True)


def _enter(
    project: Project, entries: Entries, choices: Mapping[BeatId, Choice], *, new: bool = False
) -> None:
    """Write choices under every key that their beats have, so that no reader finds another one.

    The key by which the next steps look is among them. One that an earlier version wrote gives
    way to it if the choice is `new`.
    """
    rows, changed = Selections(entries, project.beat_index), list[str]()
    for beat, choice in choices.items():
        keys = {key: selections.is_misnamed(key, beat) for key in rows.keys(beat)}
        if new or not all(keys.values()):
            keys.setdefault(project.selection_key(beat), False)
        for key, misnamed in keys.items():
            if misnamed and new:
                _withdraw(project, key, beat)
                del entries[key]
            else:
                entries[key] = choice.entry(entries.get(key))
                changed.append(key)
    _require_distinct_files(entries, changed)


def _withdraw(project: Project, key: str, beat: BeatId) -> None:
    pictures = copies.pictures_of(project.layout, project.beat_index, beat)
    for file in selections.files_of(key):
        copies.remove(project.layout, file, pictures)


def _changed(project: Project, change: _Change, wall: float) -> dict[BeatId, Chosen]:
    """Change the file and the folder in one; returns what is then chosen of what changed."""
    rename(project, wall)
    layout = project.layout
    with copies.locked_selections(layout):
        copies.require_no_step(layout)
        for _ in range(_MOST_TRIES):
            signature = copies.signature(layout)
            entries = selections.read(layout.root)
            copies.begin(layout)
            try:
                beats = change(entries)
                copies.commit(layout, entries, signature)
            except ChangedMeanwhileError:
                continue
            finally:
                # What was staged gets its place, or is given up where nothing was chosen.
                copies.sync(layout, project.beat_index)
            chosen_now = by_beat(entries, project.beat_index)
            return {beat: chosen_now[beat] for beat in beats}
    raise UsageError(f"another program keeps changing {FILE}", hint="try again")


def _file(name: str, *, flagged: bool) -> str:
    file = selections.file_of(name, flagged=flagged)
    if file is None:
        raise UsageError(f'"{name}" cannot be part of a file name')
    return file


def _styles(project: Project) -> str:
    return f"the styles are {', '.join(project.beats)}"


def _refuse_unchosen(
    project: Project, beats: Iterable[BeatId], chosen_before: Mapping[BeatId, Chosen]
) -> None:
    for beat in beats:
        if beat not in chosen_before:
            style = next(iter(project.beats), "clear")
            hint = f"{project_command('choose', project.root, beat, style)} chooses an image"
            raise UsageError(f"nothing is chosen for {beat}", hint=hint)


def _require_distinct_files(entries: Entries, changed: Iterable[str]) -> None:
    """Raise `UsageError` if two choices would have one file, as 1 flagged and 1_flagged."""
    new, names_of = set(changed), dict[str, str]()
    for name in entries:
        for file in selections.files_of(name):
            other = names_of.setdefault(folded(file), name)
            if new & {other, name} and _compared(other) != _compared(name):
                raise UsageError(
                    f"{FOLDER}/{file} would be of {other} and of {name}",
                    hint="give one of the two another number",
                )


def _compared(name: str) -> list[str]:
    return [folded(part or "") for part in selections.parse_name(name) or ()]
