"""Chooses the best picture of each beat, over its styles. Draws nothing; a run may be active.

Every function looks at the beats it is asked about alone, and at the file of choices. A beat is
its shot and beat number, whatever its styles.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from imagegen.errors import StorageError, UsageError
from imagegen.generation.events import iso
from imagegen.generation.project import Project
from imagegen.generation.survey import Found, look_at
from imagegen.project import png, selected, selections
from imagegen.project.layout import Layout
from imagegen.project.selections import FOLDER, Choice, Entries, Key, Names
from imagegen.shell import on_project

_WAYS: Final = 5
"""Beats that are named of those an entry may be of."""

_Change = Callable[[Entries, Names], Iterable[Key]]
"""Changes entries, and returns the beats whose choices it has made."""


class Pick(msgspec.Struct, frozen=True):
    """A style whose picture a person takes for the best of a beat, and whether they mark it."""

    style: str
    flagged: bool = False


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The choice of one beat.

    `name` is what the beat is called in image_selections.json, `image_path` where its copy
    belongs, relative to the project. `selected_at` is a time in RFC 3339.
    """

    key: Key
    name: str
    style: str
    flagged: bool
    selected_at: str
    image_path: str
    choice: Choice


class Since(StrEnum):
    """What has become of a picture since it was chosen."""

    SAME = "same"
    REDRAWN = "redrawn"
    GONE = "gone"
    """There is no picture any more in the style that was chosen."""


class ChoiceStanding(msgspec.Struct, frozen=True, kw_only=True):
    """The choice of one beat, and what has become of the picture since; for people and JSON.

    `image_path` is None where its copy is missing.
    """

    name: str
    shot_number: str
    beat_number: str
    style: str
    flagged: bool = msgspec.field(name="isFlagged")
    selected_at: str = msgspec.field(name="selectedAt")
    image_path: str | None = msgspec.field(name="imagePath")
    since: Since

    @property
    def lacks_copy(self) -> bool:
        """Whether a copy is missing of a picture that is there."""
        return self.image_path is None and self.since is not Since.GONE


class Unclear(msgspec.Struct, frozen=True):
    """An entry of image_selections.json that is not understood, or not all of it, and why."""

    name: str
    reason: str


class LeftOver(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of beats that are gone.

    `names` are as in image_selections.json, `copies` their files, and `strays` files of beats
    that are gone and of no choice. `unclaimed` are files of beats that are there, of no choice:
    they stay, and so do entries that are `unclear`. Paths are relative to the project.
    """

    names: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    unclaimed: tuple[str, ...] = ()
    unclear: tuple[Unclear, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.strays)

    @property
    def told(self) -> tuple[str, ...]:
        """What is told of it: choices by their names, files that are of none by their paths."""
        return self.names + self.strays

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of it."""
        return self.copies + self.strays


def chosen(project: Project) -> dict[Key, Chosen]:
    """Return what is chosen, by beat, in the storyboard's order. Reads one small file.

    Choices of beats that are gone are left out: `left_over` has them. Raises `UsageError`
    where the file cannot be understood.
    """
    entries = selections.read(project.root)
    # Naming every beat of a large storyboard takes a while.
    found = _placed(entries, project.names) if entries else {}
    return {key: found[key] for key in project.numbers if key in found} if found else {}


def since(project: Project, one: Chosen) -> Since:
    """Tell whether the picture was redrawn since it was chosen.

    Its content counts: not its number, its place or its time. It is read where its size and
    time are not those of the copy.
    """
    # Texts, which are made much faster than paths where very much is chosen.
    root = f"{project.layout.root}/"
    if selected.unchanged(
        root + one.image_path, root + project.layout.shown_picture(one.style, *one.key)
    ):
        return Since.SAME
    copy = project.layout.root / one.image_path
    picture = project.layout.picture(one.style, *one.key)
    data = selected.whole_bytes(picture)
    if data is None:
        return Since.GONE
    if one.choice.sha256 is not None:
        return Since.SAME if selected.sha256(data) == one.choice.sha256 else Since.REDRAWN
    # Another tool's choice: its copy tells, if it made one.
    other = selected.whole_bytes(copy)
    return Since.SAME if other is None or other == data else Since.REDRAWN


def look(project: Project) -> list[ChoiceStanding]:
    """Return what is chosen, and whether it was redrawn since. Raises as `chosen` does."""
    return [stands(project, one) for one in chosen(project).values()]


def stands(project: Project, one: Chosen) -> ChoiceStanding:
    """Return one choice, and whether its picture was redrawn since."""
    return ChoiceStanding(
        name=one.name,
        shot_number=one.key[0],
        beat_number=one.key[1],
        style=one.style,
        flagged=one.flagged,
        selected_at=one.selected_at,
        image_path=one.image_path if has_copy(project, one) else None,
        since=since(project, one),
    )


def has_copy(project: Project, one: Chosen) -> bool:
    """Tell whether the copy of a chosen picture is where it belongs."""
    return selected.is_file(f"{project.layout.root}/{one.image_path}")


def redrawn_since(project: Project, found: Mapping[Key, Chosen]) -> list[Key]:
    """Return which of these were redrawn since they were chosen, in their order."""
    return [key for key, one in found.items() if since(project, one) is Since.REDRAWN]


def left_over(project: Project) -> LeftOver:
    """Return what is left of beats that are gone, and what is of none or not understood.

    Raises as `chosen` does.
    """
    entries, there = selections.read(project.root), selections.names_in(project.root / FOLDER)
    if not entries and not there:
        return LeftOver()
    names = project.names
    wanted = selected.files_wanted(entries)
    lost = [
        name
        for name, entry in entries.items()
        if (choice := selections.choice_of(entry)) is not None and not names.keys(name, choice)
    ]
    copies = [file for name in lost for file in selections.files_of(name) if file in there]
    others = there - {*copies, *wanted}
    of_entries = {file for name in entries for file in selections.files_of(name)}
    lost_files = {file for file in others if names.lost_file(file)}
    unclaimed = {file for file in others - lost_files - of_entries if selections.is_copy(file)}
    return LeftOver(
        names=tuple(lost),
        copies=tuple(f"{FOLDER}/{file}" for file in copies),
        strays=tuple(f"{FOLDER}/{file}" for file in sorted(lost_files)),
        unclaimed=tuple(f"{FOLDER}/{file}" for file in sorted(unclaimed)),
        unclear=tuple(_unclear(entries, names)),
    )


def _unclear(entries: Entries, names: Names) -> Iterator[Unclear]:
    """Yield the entries of which something is not understood, in the file's order."""
    standing = names.standing(entries)
    for name, entry in entries.items():
        choice = selections.choice_of(entry)
        keys = names.keys(name, choice) if choice is not None else []
        if choice is None:
            yield Unclear(name, "is no choice: that is an object with a style's name in it")
        elif len(keys) > 1 and not all(key in standing for key in keys):
            ways = " or ".join(map(names.name, keys[:_WAYS]))
            yield Unclear(name, f"could be {ways}: choose again")
        elif len(keys) == 1 and standing[keys[0]] != name:
            yield Unclear(name, f"gives way to {standing[keys[0]]}, which is of the same beat")
        elif not isinstance(entry.get("isFlagged", False), bool):
            yield Unclear(name, "is taken for not flagged: isFlagged is neither true nor false")


def choose(project: Project, picks: Mapping[Key, Pick], wall: float) -> dict[Key, Chosen]:
    """Take pictures for the best of their beats, all of them or none; returns the choices.

    What was chosen before is replaced. `wall` is the wall clock's time, in seconds. Raises
    `UsageError` for a beat or a picture that is not there, and where the disk refuses.
    """
    for key, pick in picks.items():
        fault = picture_fault(project, key, pick.style)
        if fault is not None:
            raise UsageError(fault, hint=_styles(project))

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        _take(project.layout, picks, iso(wall), entries, names)
        return picks

    return _changed(project, change)


def flag(project: Project, keys: Sequence[Key], *, flagged: bool = True) -> dict[Key, Chosen]:
    """Mark what is chosen, or take the mark away; the picture stays the one that was chosen.

    Raises `UsageError` for beats of which nothing is chosen, and where the disk refuses.
    """

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        found = _placed(entries, names)
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

    Raises `UsageError` where the disk refuses.
    """
    before = chosen(project)
    if not any(key in before for key in keys):
        return

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        found = _placed(entries, names)
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
        raise UsageError(f'no style "{style}" in this project', hint=_styles(project))
    before = chosen(project)
    left = [key for key in project.numbers if key not in before]
    lacking = [key for key in left if picture_fault(project, key, style) is not None]
    picks = dict.fromkeys(left, Pick(style, flagged))
    for key in lacking:
        del picks[key]

    def change(entries: Entries, names: Names) -> Iterable[Key]:
        since = _placed(entries, names)
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
    if found is Found.NOTHING:
        return f"{name} has no picture yet"
    if found is Found.FOREIGN:
        return f"{name} has no whole picture"
    return None


def _take(
    layout: Layout, picks: Mapping[Key, Pick], at: str, entries: Entries, names: Names
) -> None:
    """Stage the pictures that are picked, and enter them. `at` is the time in RFC 3339."""
    for key, pick in picks.items():
        name, picture = names.name(key), layout.picture(pick.style, *key)
        try:
            hashed = selected.stage(layout, _file(name, flagged=pick.flagged), picture)
        except png.NotAPictureError as error:
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
    try:
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
    except StorageError as error:
        raise UsageError(error.message, hint=error.hint) from error
    found = _placed(entries, names)
    return {key: found[key] for key in keys}


def _placed(entries: Entries, names: Names) -> dict[Key, Chosen]:
    """Return the choices by their beats."""
    found = {}
    for key, name in names.standing(entries).items():
        choice = selections.choice_of(entries[name])
        if choice is not None:
            found[key] = Chosen(
                key=key,
                name=name,
                style=choice.style,
                flagged=choice.flagged,
                selected_at=choice.selected_at,
                image_path=f"{FOLDER}/{selections.file_of(name, flagged=choice.flagged)}",
                choice=choice,
            )
    return found


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
