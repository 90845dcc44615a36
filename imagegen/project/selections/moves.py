"""Move choices along with their images if beat numbers change, and back."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from imagegen.project.beat_ids import BeatId, BeatIndex, folded
from imagegen.project.selections.file import (
    FOLDER,
    SHOT,
    Choice,
    Entries,
    Selections,
    choice_of,
    encode,
    files_of,
    is_misnamed,
    names_in,
    omit,
    parse_name,
    read,
)
from imagegen.project.storyboard import BeatKey

Naming = Callable[[BeatId], str]
"""Returns the key of a beat without an entry in image_selections.json."""


class UndoData(msgspec.Struct, frozen=True, kw_only=True):
    """What a step keeps, so that undo can set choices back.

    `names` has what entries were called before, what they are called since, and their shot
    before; `dropped` are entries that were taken out or replaced, `added` those that came.
    """

    names: dict[str, tuple[str, str | None]] = {}
    dropped: dict[str, Any] = {}
    added: dict[str, Any] = {}


class SelectionMoves(msgspec.Struct, frozen=True, kw_only=True):
    """What changes if beat numbers change: the file, and images from where to where.

    `dropped` are choices with an archived image, or a new number that already has a choice;
    `away` are their images. Paths are relative to the project.
    """

    data: bytes
    pictures: dict[str, str]
    kept: UndoData
    away: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many choices go along, to another number or another name."""
        return len(self.kept.names.keys() | self.kept.added.keys())

    @property
    def dropped(self) -> tuple[str, ...]:
        """The names of choices that could not go along."""
        return tuple(self.kept.dropped)


def plan_selection_moves(
    root: Path, index: BeatIndex, naming: Naming, moves: Mapping[str, Mapping[BeatKey, BeatKey]]
) -> SelectionMoves | None:
    """Bring choices along if beats of a style get other numbers, or are called otherwise now.

    `moves` are each style's, from which beat to which. A choice follows the image of the
    style that was chosen. Returns None if nothing of it changes. Raises `UsageError` for a
    file that cannot be read.
    """
    entries = read(root)
    ways = {style: _MoveIndex(style_moves) for style, style_moves in moves.items() if style_moves}
    going: dict[str, BeatKey] = {}
    removed: set[str] = set()
    for name, entry in entries.items():
        choice = choice_of(entry)
        way = ways.get(choice.style) if choice is not None else None
        if choice is None or way is None:
            continue
        key = way.target(name, choice)
        if key is not None:
            going[name] = key
        elif way.is_displaced(name, choice):
            removed.add(name)
    staying = omit(entries, {*going, *removed})
    result, now = dict(staying), dict[str, str]()
    _rename_misnamed(result, now, index, naming)
    added = _missing(result, index, naming)
    result |= added
    dropped = {*removed, *(staying.keys() - result.keys() - now.keys())}
    replaced = {new for new in now.values() if new in staying and new not in now}
    for name in sorted(going, key=lambda name: _time(entries[name]), reverse=True):
        new = _renumber_key(name, going[name], index, naming)
        if new in result:
            dropped.add(name)
        else:
            result[new] = _of_shot(entries[name], going[name][0])
            now[name] = new
    if result == entries and all(name == new for name, new in now.items()):
        return None
    existing = names_in(root / FOLDER)
    pictures = {
        f"{FOLDER}/{before}": f"{FOLDER}/{after}"
        for name, new in now.items()
        for before, after in zip(files_of(name), files_of(new), strict=True)
        if before in existing and before != after
    }
    claimed = {file for name in staying if name in result for file in files_of(name)}
    away = {
        f"{FOLDER}/{file}"
        for name in dropped
        for file in files_of(name)
        if file in existing and file not in claimed
    }
    return SelectionMoves(
        data=encode(result),
        pictures=pictures,
        kept=UndoData(
            names={name: (new, _shot_in(entries[name])) for name, new in now.items()},
            dropped={name: entries[name] for name in entries if name in dropped | replaced},
            added=added,
        ),
        away=tuple(sorted(away - pictures.keys())),
    )


def _rename_misnamed(
    entries: Entries, now: dict[str, str], index: BeatIndex, naming: Naming
) -> None:
    """Give entries the keys that their beats have now, of several of one beat the last chosen.

    `now` gets from which key to which; those that give way are taken out of `entries`.
    """
    selected = Selections(entries, index)
    counting = selected.counting()
    for beat in dict.fromkeys(selected.misnamed().values()):
        last = counting[beat]
        for name in selected.keys(beat):
            if name != last and is_misnamed(name, beat):
                del entries[name]
        if not is_misnamed(last, beat):
            continue
        right = {name for name in selected.keys(beat) if not is_misnamed(name, beat)}
        new = min(right, key=lambda name: name != naming(beat)) if right else naming(beat)
        if right or new not in entries:
            fields = {**entries.pop(last), **entries.get(new, {})}
            entries[new] = selected.choices[last].entry(fields)
            now[last] = new


def _missing(entries: Entries, index: BeatIndex, naming: Naming) -> Entries:
    """Return what makes our own choices known by the key that the next steps look for.

    Earlier versions wrote numbers without the word before them. Their entries stay.
    """
    selected, missing = Selections(entries, index), Entries()
    for beat, name in selected.counting().items():
        key = naming(beat)
        if selected.choices[name].sha256 is not None and key not in entries:
            missing[key] = entries[name]
    return missing


def _renumber_key(name: str, key: BeatKey, index: BeatIndex, naming: Naming) -> str:
    """Return the key of an entry with another number now, spelled as it was."""
    beat, shot_and_beat = index.id_of(key), parse_name(name)
    if "/" in beat or shot_and_beat is None or shot_and_beat[0] is not None:
        return naming(beat)
    if folded(shot_and_beat[1]) == folded(beat):
        return name
    before, number, after = name.rpartition(shot_and_beat[1])
    return f"{before}{beat}" if number and not after else naming(beat)


class _MoveIndex:
    """From where to where images of one style move, by beat number."""

    def __init__(self, moves: Mapping[BeatKey, BeatKey]) -> None:
        self._sources: dict[str, list[tuple[BeatKey, BeatKey]]] = {}
        self._targets: dict[str, list[BeatKey]] = {}
        for source, target in moves.items():
            self._sources.setdefault(folded(source[1]), []).append((source, target))
            self._targets.setdefault(folded(target[1]), []).append(target)

    def target(self, name: str, choice: Choice) -> BeatKey | None:
        """Return the beat that a chosen image goes to; None if it is not known to go."""
        shot, beat = _place(name, choice)
        targets = [to for key, to in self._sources.get(beat, ()) if shot in {None, folded(key[0])}]
        return targets[0] if len(targets) == 1 else None

    def is_displaced(self, name: str, choice: Choice) -> bool:
        """Return whether another comes to the place of a chosen image, which does not go."""
        shot, beat = _place(name, choice)
        sources = [key for key, _ in self._sources.get(beat, ()) if shot in {None, folded(key[0])}]
        targets = [key for key in self._targets.get(beat, ()) if shot in {None, folded(key[0])}]
        return not sources and len(targets) == 1


def _place(name: str, choice: Choice) -> tuple[str | None, str]:
    """Return shot, if it is known, and number of the image that was chosen, as they compare."""
    shot, beat = parse_name(name) or (None, "")
    shot = shot or choice.shot
    return folded(shot) if shot is not None else None, folded(beat)


def restore(entries: Entries, undo_data: UndoData) -> Entries:
    """Return the entries as they were before a step, with what was chosen since."""
    before = {now: (name, shot) for name, (now, shot) in undo_data.names.items()}
    stayed = {
        name: entry
        for name, entry in entries.items()
        if name not in before and not (name in undo_data.added and undo_data.added[name] == entry)
    }
    back = {}
    for now, (name, shot) in before.items():
        entry = entries.get(now)
        if isinstance(entry, dict):
            back[name] = entry if shot is None else _of_shot(entry, shot)
    return {**stayed, **undo_data.dropped, **back}


def _time(entry: object) -> float:
    choice = choice_of(entry)
    return choice.time if choice is not None else -math.inf


def _of_shot(entry: dict[str, Any], shot: str) -> dict[str, Any]:
    """Return an entry with another shot, if it has one."""
    return {**entry, SHOT: shot} if SHOT in entry else entry


def _shot_in(entry: object) -> str | None:
    choice = choice_of(entry)
    return choice.shot if choice is not None else None
