"""image_selections.json: which style's image is chosen for each beat.

    {"Beat 7.3": {"style": "clear", "isFlagged": false, "selectedAt": "2026-11-22T06:00:00Z",
                  "shotNumber": "7", "sha256": "9c56…"}}

An entry's key is the beat's number as the storyboard writes it; a key that is there stays as it
is. Of several entries of one beat the one chosen last counts. If beat numbers repeat in
several shots the key is `2/1`, and the image is `Shot_2_Beat_1.png` in `selected_images`: no name
without a shot begins like that. `sha256` is of the image as it was when it was chosen,
`shotNumber` the shot it was in. The last two fields are ours; what other tools wrote, fields and
entries, stays as it is.
"""

import math
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import encoding, files
from imagegen.errors import UsageError, lower_first
from imagegen.project.beat_ids import BeatId, BeatIndex, folded
from imagegen.project.storyboard import file_number
from imagegen.times import iso, seconds

FILE: Final = "image_selections.json"
FOLDER: Final = "selected_images"
_MAX_BYTES: Final = 64 * 1024 * 1024
SHOT: Final = "shotNumber"
_STYLE: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_FILE: Final = re.compile(r"(?:Shot_(?P<shot>.+?)_)?Beat_(?P<beat>.+)\.png")
_BOM: Final = b"\xef\xbb\xbf"

Entries = dict[str, Any]
"""What the file says, by the names that stand there; not all need be choices."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen style of a beat, and whether it is flagged.

    `selected_at` is a time in ISO 8601, as it is written. `shot` and `sha256` are None if
    another tool wrote the entry.
    """

    style: str
    flagged: bool = False
    selected_at: str = ""
    shot: str | None = None
    sha256: str | None = None

    @property
    def time(self) -> float:
        """When it was chosen, in seconds of the wall clock; the oldest if that cannot be read."""
        timestamp = seconds(self.selected_at)
        return -math.inf if timestamp is None else timestamp

    def entry(self, before: object = None) -> dict[str, Any]:
        """Return the entry for it, with other fields of the entry before."""
        fields_before = before if isinstance(before, dict) else {}
        ours = {
            "style": self.style,
            "isFlagged": self.flagged,
            "selectedAt": self.selected_at,
            SHOT: self.shot,
            "sha256": self.sha256,
        }
        return {**fields_before, **ours}


def choice_of(entry: object) -> Choice | None:
    """Return the choice in an entry; None if the entry is not understood."""
    if not isinstance(entry, dict) or not _STYLE.fullmatch(_text(entry.get("style"))):
        return None
    return Choice(
        style=entry["style"],
        flagged=entry.get("isFlagged") is True,
        selected_at=_time(entry.get("selectedAt")),
        shot=_number(entry.get(SHOT), "shot"),
        sha256=_text(entry.get("sha256")) or None,
    )


def read(root: Path) -> Entries:
    """Read the file; without one nothing is chosen.

    Raises `UsageError` for a file that is torn, or not one of choices.
    """
    path = root / FILE
    if not (path.exists() or path.is_symlink()):
        return {}
    data = files.read(path, _MAX_BYTES)
    if data is None:
        if not path.is_symlink() and not os.access(path, os.R_OK):
            raise UsageError(
                f"not permitted to read {path}", hint="give yourself the right to read it"
            )
        raise UsageError(f"{path} cannot be read: it is a link, no file, or too large", hint=_HINT)
    try:
        return msgspec.json.decode(data.removeprefix(_BOM), type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        message = f"{path} cannot be understood: {lower_first(str(error))}"
        raise UsageError(message, hint=_HINT) from error


_HINT: Final = "fix it, or move it away to start over"


def encode(entries: Mapping[str, Any]) -> bytes:
    """Return the file's content."""
    return encoding.to_indented_json(entries)


# An entry's name is asked for several times over.
@lru_cache(maxsize=1 << 16)
def parse_name(name: str) -> tuple[str | None, str] | None:
    """Return the shot, if given, and the beat number of a name; None if it is not valid."""
    alone = _number(name, "beat")
    if alone is not None:
        # A title behind the number may have a slash.
        return None, alone
    shot, _, number = name.rpartition("/")
    beat, of_shot = _number(number, "beat"), _number(shot, "shot")
    return (of_shot, beat) if beat is not None and of_shot is not None else None


def file_of(name: str, *, flagged: bool = False) -> str | None:
    """Return what a chosen image is called in `selected_images`; None if that is not valid."""
    shot_and_beat = parse_name(name)
    if shot_and_beat is None:
        return None
    shot, beat = shot_and_beat
    stem = f"Beat_{beat}" if shot is None else f"Shot_{shot}_Beat_{beat}"
    return f"{stem}_flagged.png" if flagged else f"{stem}.png"


def is_copy(file: str) -> bool:
    """Return whether a file of `selected_images` is called like a chosen image."""
    return _FILE.fullmatch(file) is not None


def files_of(name: str) -> tuple[str, ...]:
    """Return both, plain and flagged."""
    names = (file_of(name), file_of(name, flagged=True))
    return tuple(file for file in names if file is not None)


class Selections:
    """What a file's entries say of a storyboard's beats; the entries must not change meanwhile.

    `choices` has the entries that are choices, by their keys, and `beats` the beats that each
    may be of: none if its beat is gone.
    """

    def __init__(self, entries: Entries, index: BeatIndex) -> None:
        self._index = index
        self.choices: dict[str, Choice] = {}
        self.beats: dict[str, list[BeatId]] = {}
        self._keys: dict[BeatId, list[str]] = {}
        for key, entry in entries.items():
            choice = choice_of(entry)
            if choice is None:
                continue
            self.choices[key] = choice
            beat_ids = self.beats[key] = self._beats(key, choice)
            if len(beat_ids) == 1:
                self._keys.setdefault(beat_ids[0], []).append(key)

    def _beats(self, key: str, choice: Choice) -> list[BeatId]:
        shot_and_beat = parse_name(key)
        if shot_and_beat is None:
            return []
        shot, number = shot_and_beat
        candidates = self._index.find(number, shot)
        if len(candidates) < 2:  # nothing to distinguish
            return candidates
        if choice.shot is not None:
            return self._index.find(number, choice.shot)
        # A style that has the number once says which of them it is.
        in_style = [beat for beat in candidates if self._index.key(beat, choice.style) is not None]
        return in_style or candidates

    def keys(self, beat: BeatId) -> list[str]:
        """Return the keys of all entries that are of a beat, in the file's order."""
        return self._keys.get(beat, [])

    def counting(self) -> dict[BeatId, str]:
        """Return by beat the key of the entry that counts: the one that was chosen last.

        Of several at the same time it is the one under the beat's own name, else the last.
        """
        return {beat: self._last(beat, keys) for beat, keys in self._keys.items()}

    def _last(self, beat: BeatId, keys: list[str]) -> str:
        if len(keys) == 1:
            return keys[0]
        ranks = ((self.choices[key].time, key == beat, at) for at, key in enumerate(keys))
        return keys[max(ranks)[-1]]

    def misnamed(self) -> dict[str, BeatId]:
        """Return, by beat, the keys that have a shot but need none, or need one but have none.

        Earlier versions wrote them so, or the storyboard has changed since.
        """
        return {
            key: beat_ids[0]
            for key, beat_ids in self.beats.items()
            if len(beat_ids) == 1 and is_misnamed(key, beat_ids[0])
        }


def is_misnamed(key: str, beat: BeatId) -> bool:
    """Return whether an entry's key has a shot that its beat does not need, or reverse."""
    shot_and_beat = parse_name(key)
    return shot_and_beat is not None and (shot_and_beat[0] is not None) != ("/" in beat)


def is_lost(file: str, index: BeatIndex) -> bool:
    """Return whether a file of `selected_images` has the name of a beat that is gone."""
    match = _FILE.fullmatch(file)
    if match is None:
        return False
    if match["shot"] is None:
        return not any(map(index.has_number, _without_flag(match["beat"])))
    # A shot's number may hold what is between the two.
    words = [match["shot"], *match["beat"].split("_Beat_")]
    return not any(
        index.find(number, "_Beat_".join(words[:at]))
        for at in range(1, len(words))
        for number in _without_flag("_Beat_".join(words[at:]))
    )


def _without_flag(number: str) -> set[str]:
    return {number, number.removesuffix("_flagged")}


def last_chosen(entries: Entries) -> dict[str, str]:
    """Return the key that counts for each name of a copy, unflagged, without a storyboard.

    Entries that would have one file are of one beat.
    """
    latest: dict[str, tuple[float, str]] = {}
    for key, entry in entries.items():
        choice, file = choice_of(entry), file_of(key)
        if choice is None or file is None:
            continue
        before = latest.get(folded(file))
        if before is None or choice.time >= before[0]:
            latest[folded(file)] = choice.time, key
    return {file: key for file, (_, key) in latest.items()}


def omit(entries: Entries, dropped: Iterable[str]) -> Entries:
    """Return the entries but for some."""
    dropped_names = set(dropped)
    return {name: entry for name, entry in entries.items() if name not in dropped_names}


def names_in(folder: Path) -> set[str]:
    """Return the names in a folder; none if it does not exist. Raises `StorageError`."""
    try:
        return set(os.listdir(folder))  # noqa: PTH208  # names alone: there may be very many
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise files.unreadable(error, folder) from error


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> str:
    """Return a time as text: other tools may write a number."""
    if isinstance(value, str):
        return value
    timestamp = seconds(value)
    return "" if timestamp is None else iso(timestamp)


def _number(value: object, kind: str) -> str | None:
    try:
        return file_number(_text(value), kind)
    except ValueError:
        return None
