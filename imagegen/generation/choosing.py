"""Chooses the best picture of each beat, over its styles. Draws nothing; a run may be active.

Every function looks at the beats it is asked about alone, and at the file of choices; `choices`
reads what is chosen. A beat is its shot and beat number, whatever its styles.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from imagegen import files, providers
from imagegen.errors import UsageError
from imagegen.generation.choices import Chosen, chosen, has_copy, placed
from imagegen.generation.project import Project
from imagegen.generation.survey import Found, look_at
from imagegen.project import formats, selected, selections
from imagegen.project.layout import Layout
from imagegen.project.selections import FOLDER, Choice, Entries, Names
from imagegen.project.storyboard import Key
from imagegen.shell import on_project
from imagegen.tables import did_you_mean
from imagegen.times import iso

_Change = Callable[[Entries, Names], Iterable[Key]]
"""Changes entries, and returns the beats whose choices it has made."""


class Pick(msgspec.Struct, frozen=True):
    """A style whose picture a person takes for the best of a beat, and whether they mark it."""

    style: str
    flagged: bool = False


def choose(project: Project, picks: Mapping[Key, Pick], wall: float) -> dict[Key, Chosen]:
    """Take pictures for the best of their beats, all of them or none; returns the choices.

    What was chosen before is replaced. The choice of a placeholder is flagged: it wants another
    look once the beat is drawn. `wall` is the wall clock's time, in seconds. Raises
    `UsageError` for a beat or a picture that is not there, and `StorageError`.
    """
    for key, pick in picks.items():
        fault = picture_fault(project, key, pick.style)
        if fault is not None:
            raise UsageError(fault, hint=_styles(project))

    picks = _with_flags(project, picks)

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        _take(project.layout, picks, iso(wall), entries, names)
        return picks

    return _changed(project, change)


def flag(project: Project, keys: Sequence[Key], *, flagged: bool = True) -> dict[Key, Chosen]:
    """Mark what is chosen, or take the mark away; the picture stays the one that was chosen.

    Raises `UsageError` for beats of which nothing is chosen, and `StorageError`.
    """

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        found = placed(entries, names)
        _refuse_unchosen(project, keys, found)
        for key in keys:
            choice = msgspec.structs.replace(found[key].choice, flagged=flagged)
            entries[found[key].name] = choice.entry(entries[found[key].name])
        _drop_doubles(entries, names, {key: found[key].name for key in keys})
        _refuse_same_file(entries, [found[key].name for key in keys])
        return keys

    return _changed(project, change)


def unchoose(project: Project, keys: Sequence[Key]) -> None:
    """Take choices back: nothing is chosen of these beats then.

    Raises `StorageError`.
    """
    before = chosen(project)
    if not any(key in before for key in keys):
        return

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        found = placed(entries, names)
        there = [key for key in keys if key in found]
        _drop_doubles(entries, names, {key: found[key].name for key in there})
        for key in there:
            for file in selections.files_of(found[key].name):
                selected.withdraw(project.layout, file, key)
            del entries[found[key].name]
        return ()

    _changed(project, change)


def choose_rest(
    project: Project, style: str, wall: float, *, flagged: bool = False
) -> tuple[dict[Key, Chosen], list[Key]]:
    """Choose a style's picture wherever nothing is chosen yet.

    Returns the new choices, and the beats that stay without for they have no picture in that
    style. Copies that are missing of earlier choices are made in any case, as with every change.
    Raises as `choose` does.
    """
    if style not in project.beats:
        hint = did_you_mean(style, project.beats) or _styles(project)
        raise UsageError(f'no style "{style}" in this project', hint=hint)
    before = chosen(project)
    left = [key for key in project.numbers if key not in before]
    lacking = [key for key in left if picture_fault(project, key, style) is not None]
    picks = dict.fromkeys(left, Pick(style, flagged))
    for key in lacking:
        del picks[key]
    picks = _with_flags(project, picks)

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        since = placed(entries, names)
        mine = {key: pick for key, pick in picks.items() if key not in since}
        _take(project.layout, mine, iso(wall), entries, names)
        return mine

    incomplete = not all(has_copy(project, one) for one in before.values())
    return _changed(project, change) if picks or incomplete else {}, lacking


def picture_fault(project: Project, key: Key, style: str) -> str | None:
    """Return why a beat's picture in a style cannot be chosen; None if it can."""
    if style not in project.beats:
        return f'no style "{style}" in this project'
    name = "/".join((style, *key))
    if key not in project.keys[style]:
        return f"no beat {name}: the style {style} does not have it"
    found, _ = look_at(project.layout.picture(style, *key))
    if found is Found.NOTHING and files.has_stub(project.layout.picture(style, *key)):
        return f"the picture of {name} is not on this machine: download it from the cloud drive"
    if found is Found.NOTHING:
        return f"{name} has no picture yet"
    if found is Found.FOREIGN:
        return f"{name} has no whole picture"
    return None


def is_placeholder(project: Project, key: Key, style: str) -> bool:
    """Tell whether a beat's picture in a style is a sketch that the next run draws over."""
    if project.settings.provider in providers.PLACEHOLDERS:
        return False
    _, whole = look_at(project.layout.picture(style, *key))
    drawn = whole.provenance if whole is not None else None
    return drawn is not None and drawn.provider in providers.PLACEHOLDERS


def _with_flags(project: Project, picks: Mapping[Key, Pick]) -> dict[Key, Pick]:
    """Return the picks, those of placeholders flagged."""
    return {
        key: Pick(pick.style, pick.flagged or is_placeholder(project, key, pick.style))
        for key, pick in picks.items()
    }


def _take(
    layout: Layout, picks: Mapping[Key, Pick], at: str, entries: Entries, names: Names
) -> None:
    """Stage the pictures that are picked, and enter them. `at` is the time in RFC 3339."""
    for key, pick in picks.items():
        name, picture = names.name(key), layout.picture(pick.style, *key)
        try:
            hashed = selected.stage(layout, _file(name, flagged=pick.flagged), picture)
        except formats.NotAPictureError as error:
            raise UsageError(f"{layout.relative(picture)} cannot be chosen: {error}") from error
        choice = Choice(
            style=pick.style, flagged=pick.flagged, selected_at=at, shot=key[0], sha256=hashed
        )
        entries[name] = choice.entry(entries.get(name))
    _drop_doubles(entries, names, {key: names.name(key) for key in picks})
    _refuse_same_file(entries, map(names.name, picks))


def _changed(project: Project, change: _Change) -> dict[Key, Chosen]:
    """Change the file and the folder in one; returns what is then chosen of what changed."""
    layout, names = project.layout, project.names
    with selected.locked(layout):
        selected.refuse_moving(layout)
        entries = selections.called_anew(selections.read(layout.root), names)
        selected.begin(layout)
        try:
            keys = change(entries, names)
            selected.commit(layout, entries)
        finally:
            # What was staged gets its place, or is given up where nothing was chosen.
            selected.finish(layout, names)
    found = placed(entries, names)
    return {key: found[key] for key in keys}


def _drop_doubles(entries: Entries, names: Names, kept: Mapping[Key, str]) -> None:
    """Take out other entries of beats that a person has just decided on; `kept` stay."""
    for name, entry in list(entries.items()):
        choice = selections.choice_of(entry)
        key = names.key(name, choice) if choice is not None else None
        if key is not None and kept.get(key, name) != name:
            del entries[name]


def _file(name: str, *, flagged: bool) -> str:
    file = selections.file_of(name, flagged=flagged)
    if file is None:
        raise UsageError(f'"{name}" cannot be part of a file name')
    return file


def _styles(project: Project) -> str:
    return f"the styles are {', '.join(project.beats)}"


def _refuse_unchosen(project: Project, keys: Iterable[Key], found: Mapping[Key, Chosen]) -> None:
    for key in keys:
        if key not in found:
            name = project.names.name(key)
            style = next(iter(project.beats), "clear")
            hint = f"{on_project('choose', project.root, name, style)} chooses a picture"
            raise UsageError(f"nothing is chosen for {name}", hint=hint)


def _refuse_same_file(entries: Entries, names: Iterable[str]) -> None:
    """Raise `UsageError` where two choices would have one file, as 1 flagged and 1_flagged."""
    new, names_of = set(names), dict[str, str]()
    for name in entries:
        for file in selections.files_of(name):
            other = names_of.setdefault(selections.folded(file), name)
            if other != name and new & {other, name}:
                raise UsageError(
                    f"{FOLDER}/{file} would be of {other} and of {name}",
                    hint="give one of the two another number",
                )
