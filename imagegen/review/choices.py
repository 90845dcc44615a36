"""What is chosen of each beat over its styles, and what has become of it since.

Every function looks at the beats it is asked about alone, and at the file of choices.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from imagegen.project.beat_ids import BeatId, BeatIndex
from imagegen.project.selections import copies as selected
from imagegen.project.selections import file as selections
from imagegen.project.selections.file import FOLDER, Choice, Entries, Selections
from imagegen.project.storyboard import BeatKey
from imagegen.project.storyboard.messages import quoted
from imagegen.times import seconds
from imagegen.workspace.project import Project

_WAYS: Final = 5
"""Beats that are named of those an entry may be of."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The choice of one beat.

    `key` is shot and beat number within the style that was chosen; None if it does not have the
    beat. `entry` is the key in image_selections.json, `image_path` where the image's copy
    belongs, relative to the project. `selected_at` is a time in ISO 8601.
    """

    beat: BeatId
    key: BeatKey | None
    entry: str
    style: str
    flagged: bool
    selected_at: str
    image_path: str
    choice: Choice


class ChangeSinceChosen(StrEnum):
    """What has become of an image since it was chosen."""

    SAME = "same"
    REDRAWN = "redrawn"
    GONE = "gone"
    """The chosen style has no image any more."""


class ChoiceStanding(msgspec.Struct, frozen=True, kw_only=True):
    """The choice of one beat, and its state now; for people and JSON.

    `image_path` is None without a copy.
    """

    name: str
    shot_number: str
    beat_number: str
    style: str
    flagged: bool = msgspec.field(name="isFlagged")
    selected_at: str = msgspec.field(name="selectedAt")
    image_path: str | None = msgspec.field(name="imagePath")
    since: ChangeSinceChosen

    @property
    def lacks_copy(self) -> bool:
        """Whether a copy is missing of an image that is there."""
        return self.image_path is None and self.since is not ChangeSinceChosen.GONE


class UnreadableEntry(msgspec.Struct, frozen=True):
    """An entry of image_selections.json that is not understood, or not all of it, and why."""

    name: str
    reason: str


class Orphans(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of beats that are gone.

    `names` are as in image_selections.json, `copies` their files, and `strays` files of beats
    that are gone and of no choice. `unclaimed` are files of beats that are there, of no choice:
    they stay, and so do entries that are `unclear`. Paths are relative to the project.
    """

    names: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    unclaimed: tuple[str, ...] = ()
    unclear: tuple[UnreadableEntry, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.strays)

    @property
    def labels(self) -> tuple[str, ...]:
        """What is reported: choices by their names, files of no choice by their paths."""
        return self.names + self.strays

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of it."""
        return self.copies + self.strays


def chosen(project: Project) -> dict[BeatId, Chosen]:
    """Return what is chosen, by beat, in the storyboard's order. Reads one small file.

    Choices of beats that are gone are left out: `left_over` has them. Raises `UsageError`
    if the file cannot be understood.
    """
    entries = selections.read(project.root)
    # Naming every beat of a large storyboard takes a while.
    chosen_beats = by_beat(entries, project.beat_index) if entries else {}
    return (
        {beat: chosen_beats[beat] for beat in project.beat_ids if beat in chosen_beats}
        if chosen_beats
        else {}
    )


def change_since(project: Project, choice: Chosen) -> ChangeSinceChosen:
    """Return whether the image was redrawn since it was chosen.

    Its content counts: not its number, its place or its time. It is read where its size and
    time are not those of the copy.
    """
    # Texts, which are made much faster than paths where very much is chosen.
    root = f"{project.layout.root}/"
    if choice.key is None:
        return ChangeSinceChosen.GONE
    if selected.same_file_stat(
        root + choice.image_path, root + project.layout.shown_picture(choice.style, *choice.key)
    ):
        return ChangeSinceChosen.SAME
    copy = project.layout.root / choice.image_path
    picture = project.layout.picture(choice.style, *choice.key)
    data = selected.read_image(picture)
    if data is None:
        return ChangeSinceChosen.GONE
    if choice.choice.sha256 is not None:
        return (
            ChangeSinceChosen.SAME
            if selected.sha256(data) == choice.choice.sha256
            else ChangeSinceChosen.REDRAWN
        )
    # Another tool's choice: its copy shows when, if it made one.
    other = selected.read_image(copy)
    return ChangeSinceChosen.SAME if other is None or other == data else ChangeSinceChosen.REDRAWN


def describe(project: Project) -> list[ChoiceStanding]:
    """Return what is chosen, and whether it was redrawn since. Raises as `chosen` does."""
    return [list_choices(project, choice) for choice in chosen(project).values()]


def list_choices(project: Project, choice: Chosen) -> ChoiceStanding:
    """Return one choice, and whether its image was redrawn since."""
    shot, beat = choice.key or next(iter(project.beat_index.keys(choice.beat).values()))
    return ChoiceStanding(
        name=choice.beat,
        shot_number=shot,
        beat_number=beat,
        style=choice.style,
        flagged=choice.flagged,
        selected_at=choice.selected_at,
        image_path=choice.image_path if has_copy(project, choice) else None,
        since=change_since(project, choice),
    )


def has_copy(project: Project, choice: Chosen) -> bool:
    """Return whether the copy of a chosen image is where it belongs."""
    return selected.is_file(f"{project.layout.root}/{choice.image_path}")


def left_over(project: Project) -> Orphans:
    """Return what is left of beats that are gone, and what is of none or not understood.

    Raises as `chosen` does.
    """
    entries, file_names = selections.read(project.root), selections.names_in(project.root / FOLDER)
    if not entries and not file_names:
        return Orphans()
    index = project.beat_index
    matched = Selections(entries, index)
    expected = selected.expected_copies(matched)
    lost = [name for name, beats in matched.beats.items() if not beats]
    copies = [
        file
        for name in lost
        for file in selections.files_of(name)
        if file in file_names and (file not in expected or expected[file].key == name)
    ]
    unexpected = file_names - {*copies, *expected}
    of_entries = {file for name in entries for file in selections.files_of(name)}
    lost_files = {file for file in unexpected if selections.is_lost(file, index)}
    unclaimed = {file for file in unexpected - lost_files - of_entries if selections.is_copy(file)}
    return Orphans(
        names=tuple(lost),
        copies=tuple(f"{FOLDER}/{file}" for file in copies),
        strays=tuple(f"{FOLDER}/{file}" for file in sorted(lost_files)),
        unclaimed=tuple(f"{FOLDER}/{file}" for file in sorted(unclaimed)),
        unclear=tuple(_unclear(entries, matched)),
    )


def _unclear(entries: Entries, matched: Selections) -> Iterator[UnreadableEntry]:
    """Yield the entries of which something is not understood, in the file's order."""
    counting = matched.counting()
    for name, entry in entries.items():
        choice, beats = matched.choices.get(name), matched.beats.get(name, [])
        if choice is None:
            yield UnreadableEntry(name, f"is not a choice: {_no_choice(entry)}")
        elif len(beats) > 1 and not all(beat in counting for beat in beats):
            ways = " or ".join(beats[:_WAYS])
            yield UnreadableEntry(name, f"could be {ways}: choose again")
        elif len(beats) == 1 and _differs(choice, matched.choices[counting[beats[0]]]):
            reason = f"gives way to {counting[beats[0]]}, which is of the same beat"
            written = entry.get("selectedAt")
            unread = written is not None and seconds(written) is None
            yield UnreadableEntry(name, reason + ", since its selectedAt cannot be read" * unread)
        elif not isinstance(entry.get("isFlagged", False), bool):
            yield UnreadableEntry(
                name, "is taken for not flagged: isFlagged is neither true nor false"
            )


def _no_choice(entry: object) -> str:
    style = entry.get("style") if isinstance(entry, dict) else None
    if isinstance(style, str):
        return f"no style is called {quoted(style)}"
    return "that is an object with a style's name in it"


def _differs(choice: Choice, other: Choice) -> bool:
    return (choice.style, choice.flagged) != (other.style, other.flagged)


def by_beat(entries: Entries, index: BeatIndex) -> dict[BeatId, Chosen]:
    """Return the choices that count by their beats."""
    matched = Selections(entries, index)
    chosen_now = {}
    for beat, name in matched.counting().items():
        choice = matched.choices[name]
        chosen_now[beat] = Chosen(
            beat=beat,
            key=index.key(beat, choice.style),
            entry=name,
            style=choice.style,
            flagged=choice.flagged,
            selected_at=choice.selected_at,
            image_path=f"{FOLDER}/{selections.file_of(name, flagged=choice.flagged)}",
            choice=choice,
        )
    return chosen_now
