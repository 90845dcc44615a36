"""Choices follow the pictures that were chosen, where beats get other numbers, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from imagegen.project.selections import (
    FOLDER,
    SHOT,
    Choice,
    Entries,
    Names,
    called_anew,
    choice_of,
    encoded,
    files_of,
    names_in,
    plain,
    plain_place,
    read,
    without,
)
from imagegen.project.storyboard import Key


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a step keeps, so that undo can set choices back.

    `names` has what entries were called before, what they are called since, and their shot
    before; `dropped` are entries that were taken out.
    """

    names: dict[str, tuple[str, str | None]] = {}
    dropped: dict[str, Any] = {}


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What changes where beats get other numbers: the file, and pictures from where to where.

    `dropped` are choices whose picture gave way, or whose new number has a choice already;
    `away` are their pictures. Paths are relative to the project.
    """

    data: bytes
    pictures: dict[str, str]
    kept: Kept
    away: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many choices go along, to another number or another name."""
        return len(self.kept.names)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The names of choices that could not go along."""
        return tuple(self.kept.dropped)


def moved(root: Path, names: Names, moves: Mapping[str, Mapping[Key, Key]]) -> Moved | None:
    """Bring choices along where beats of a style get other numbers.

    `moves` are each style's, from which beat to which. A choice follows the picture of the
    style that was chosen. Returns None where nothing of it changes. Raises `UsageError` for a
    file that cannot be read.
    """
    entries = read(root)
    ways = {style: _Ways(own) for style, own in moves.items() if own}
    going, gone = {}, set()
    for name, entry in entries.items():
        choice = choice_of(entry)
        way = ways.get(choice.style) if choice is not None else None
        if choice is None or way is None:
            continue
        key = way.of(name, choice)
        if key is not None:
            going[name] = key
        elif way.ends(name, choice):
            gone.add(name)
    staying = without(entries, {*going, *gone})
    found, now = called_anew(staying, names), names.renamed(staying)
    for name, key in going.items():
        new = names.name(key)
        if new in found:
            gone.add(name)
        else:
            found[new] = _of_shot(entries[name], key[0])
            now[name] = new
    if found == entries and all(name == new for name, new in now.items()):
        return None
    there = names_in(root / FOLDER)
    return Moved(
        data=encoded(found),
        pictures={
            f"{FOLDER}/{before}": f"{FOLDER}/{after}"
            for name, new in now.items()
            for before, after in zip(files_of(name), files_of(new), strict=True)
            if before in there and before != after
        },
        kept=Kept(
            names={name: (new, _shot_in(entries[name])) for name, new in now.items()},
            dropped={name: entry for name, entry in entries.items() if name in gone},
        ),
        away=tuple(f"{FOLDER}/{file}" for n in gone for file in files_of(n) if file in there),
    )


class _Ways:
    """From where to where pictures of one style move, by beat number."""

    def __init__(self, moves: Mapping[Key, Key]) -> None:
        self._sources: dict[str, list[tuple[Key, Key]]] = {}
        self._targets: dict[str, list[Key]] = {}
        for source, target in moves.items():
            self._sources.setdefault(plain(source[1]), []).append((source, target))
            self._targets.setdefault(plain(target[1]), []).append(target)

    def of(self, name: str, choice: Choice) -> Key | None:
        """Return the beat that a chosen picture goes to; None if it is not known to go."""
        shot, beat = plain_place(name, choice)
        found = [to for key, to in self._sources.get(beat, ()) if shot in {None, plain(key[0])}]
        return found[0] if len(found) == 1 else None

    def ends(self, name: str, choice: Choice) -> bool:
        """Tell whether another comes to the place of a chosen picture, which does not go."""
        shot, beat = plain_place(name, choice)
        sources = [key for key, _ in self._sources.get(beat, ()) if shot in {None, plain(key[0])}]
        targets = [key for key in self._targets.get(beat, ()) if shot in {None, plain(key[0])}]
        return not sources and len(targets) == 1


def set_back(entries: Entries, kept: Kept) -> Entries:
    """Return the entries as they stood before a step, with what was chosen since."""
    before = {now: (name, shot) for name, (now, shot) in kept.names.items()}
    stayed = {name: entry for name, entry in entries.items() if name not in before}
    back = {}
    for now, (name, shot) in before.items():
        entry = entries.get(now)
        if isinstance(entry, dict):
            back[name] = entry if shot is None else _of_shot(entry, shot)
    return {**stayed, **kept.dropped, **back}


def _of_shot(entry: dict[str, Any], shot: str) -> dict[str, Any]:
    """Return an entry with another shot, if it has one."""
    return {**entry, SHOT: shot} if SHOT in entry else entry


def _shot_in(entry: object) -> str | None:
    choice = choice_of(entry)
    return choice.shot if choice is not None else None
