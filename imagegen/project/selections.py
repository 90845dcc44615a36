"""image_selections.json: which style's picture is the best of each beat.

    {"7.3": {"style": "clear", "isFlagged": false, "selectedAt": "2026-11-22T06:00:00Z",
             "shotNumber": "7", "sha256": "9c56…"}}

A beat is called by its number. Where another shot has that number too it is called `2/1`, and
its picture is `Shot_2_Beat_1.png` in `selected_images`: no name without a shot begins like
that. `sha256` is of the picture as it was when it was chosen. The last two fields are ours; what
other tools wrote, fields and entries, stays as it is.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import encoding, files
from imagegen.errors import UsageError, within_sentence
from imagegen.project.storyboard import Key, file_number

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
    """The style whose picture is the best of a beat, and whether a person marked it.

    `selected_at` is a time in RFC 3339. `shot` and `sha256` are None where another tool wrote
    the entry.
    """

    style: str
    flagged: bool = False
    selected_at: str = ""
    shot: str | None = None
    sha256: str | None = None

    def entry(self, before: object = None) -> dict[str, Any]:
        """Return the entry that says so, with what else the one before said."""
        kept = before if isinstance(before, dict) else {}
        ours = {
            "style": self.style,
            "isFlagged": self.flagged,
            "selectedAt": self.selected_at,
            SHOT: self.shot,
            "sha256": self.sha256,
        }
        return {**kept, **ours}


def choice_of(entry: object) -> Choice | None:
    """Return the choice that an entry tells of; None where it tells of none that we know."""
    if not isinstance(entry, dict) or not _STYLE.fullmatch(_text(entry.get("style"))):
        return None
    return Choice(
        style=entry["style"],
        flagged=entry.get("isFlagged") is True,
        selected_at=_text(entry.get("selectedAt")),
        shot=_number(entry.get(SHOT), "shot"),
        sha256=_text(entry.get("sha256")) or None,
    )


def read(root: Path) -> Entries:
    """Read the file; nothing is chosen where there is none.

    Raises `UsageError` for what is torn, or no file of choices.
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
        message = f"{path} cannot be understood: {within_sentence(str(error))}"
        raise UsageError(message, hint=_HINT) from error


_HINT: Final = "mend it, or move it away to choose anew"


def encoded(entries: Mapping[str, Any]) -> bytes:
    """Return the file's content."""
    return encoding.to_indented_json(entries)


# An entry's name is asked for several times over.
@lru_cache(maxsize=1 << 16)
def parts(name: str) -> tuple[str | None, str] | None:
    """Return the shot, where it is said, and the beat number of a name; None if it is no name."""
    shot, slash, number = name.rpartition("/")
    beat = _number(number, "beat")
    of_shot = _number(shot, "shot")
    if beat is None or (slash and of_shot is None):
        return None
    return of_shot, beat


def file_of(name: str, *, flagged: bool = False) -> str | None:
    """Return what a chosen picture is called in `selected_images`; None if that is no name."""
    named = parts(name)
    if named is None:
        return None
    shot, beat = named
    stem = f"Beat_{beat}" if shot is None else f"Shot_{shot}_Beat_{beat}"
    return f"{stem}_flagged.png" if flagged else f"{stem}.png"


def is_copy(file: str) -> bool:
    """Tell whether a file of `selected_images` is called like a chosen picture."""
    return _FILE.fullmatch(file) is not None


def files_of(name: str) -> tuple[str, ...]:
    """Return both, plain and flagged."""
    found = (file_of(name), file_of(name, flagged=True))
    return tuple(file for file in found if file is not None)


class Names:
    """What beats are called here; `keys` are those of the whole storyboard.

    Numbers that a disk could take for the same count as the same.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_number: dict[str, list[Key]] = {}
        for key in dict.fromkeys(keys):
            self._by_number.setdefault(folded(key[1]), []).append(key)

    def name(self, key: Key) -> str:
        """Return what a beat is called: by its number alone where no other has it."""
        shot, beat = key
        alone = all(other == key for other in self._by_number.get(folded(beat), ()))
        return beat if alone else f"{shot}/{beat}"

    def key(self, name: str, choice: Choice) -> Key | None:
        """Return the beat that an entry is of; None if it is gone, or if it may be several."""
        found = self.keys(name, choice)
        return found[0] if len(found) == 1 else None

    def keys(self, name: str, choice: Choice) -> list[Key]:
        """Return the beats that an entry may be of."""
        shot, beat = plain_place(name, choice)
        return [
            key
            for key in self._by_number.get(folded(beat), ())
            if plain(key[1]) == beat and shot in {None, plain(key[0])}
        ]

    def standing(self, entries: Entries) -> dict[Key, str]:
        """Return which entry's choice is a beat's: of several the one under its name, or the last.

        Other tools may write `1.1` and `Beat 1.1`.
        """
        found: dict[Key, str] = {}
        for name, entry in entries.items():
            choice = choice_of(entry)
            key = self.key(name, choice) if choice is not None else None
            if key is not None and (key not in found or found[key] != self.name(key)):
                found[key] = name
        return found

    def lost_file(self, file: str) -> bool:
        """Tell whether a file of `selected_images` has the name of a beat that is gone."""
        named = _FILE.fullmatch(file)
        if named is None:
            return False
        if named["shot"] is None:
            return not any(folded(n) in self._by_number for n in _unflagged(named["beat"]))
        # A shot's number may hold what stands between the two.
        parts = [named["shot"], *named["beat"].split("_Beat_")]
        return not any(
            self._has("_Beat_".join(parts[:at]), number)
            for at in range(1, len(parts))
            for number in _unflagged("_Beat_".join(parts[at:]))
        )

    def _has(self, shot: str, beat: str) -> bool:
        return any(folded(key[0]) == folded(shot) for key in self._by_number.get(folded(beat), ()))

    def renamed(self, entries: Entries) -> dict[str, str]:
        """Return what each entry is called now, where it is called otherwise than it stands.

        An entry whose name another has keeps its own, so that none is lost.
        """
        renamed = {
            name: now
            for name, entry in entries.items()
            if (choice := choice_of(entry)) is not None
            and (now := self._now(name, choice)) is not None
            and now != name
        }
        while renamed:
            count = Counter(renamed.get(name, name) for name in entries)
            clashing = {name for name, now in renamed.items() if count[now] > 1}
            if not clashing:
                break
            # What stays under its name may be in the way of a third.
            renamed = without(renamed, clashing)
        return renamed

    def _now(self, name: str, choice: Choice) -> str | None:
        key = self.key(name, choice)
        if key is not None:
            return self.name(key)
        named = parts(name)
        if named is None or named[0] is not None or choice.shot is None:
            return None
        # Of a beat that is gone: another may have its number.
        return self.name((choice.shot, named[1]))


def _unflagged(number: str) -> set[str]:
    return {number, number.removesuffix("_flagged")}


def called_anew(entries: Entries, names: Names) -> Entries:
    """Return the entries under what their beats are called now."""
    now = names.renamed(entries)
    return {now.get(name, name): entry for name, entry in entries.items()}


def place(name: str, choice: Choice) -> Key | None:
    """Return the shot and beat number that an entry tells, where it tells both."""
    named = parts(name)
    shot = (named[0] or choice.shot) if named is not None else None
    return (shot, named[1]) if named is not None and shot is not None else None


def plain_place(name: str, choice: Choice) -> tuple[str | None, str]:
    """Return the same as it compares: the shot where it is told, and the beat number."""
    shot, beat = parts(name) or (None, "")
    shot = shot or choice.shot
    return plain(shot) if shot is not None else None, plain(beat)


def without(entries: Entries, dropped: Iterable[str]) -> Entries:
    """Return the entries but for some."""
    gone = set(dropped)
    return {name: entry for name, entry in entries.items() if name not in gone}


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


def _number(value: object, kind: str) -> str | None:
    try:
        return file_number(_text(value), kind)
    except ValueError:
        return None


def plain(number: str) -> str:
    """Return a number as it compares: disks spell letters with accents in two ways."""
    return number if number.isascii() else unicodedata.normalize("NFC", number)


def folded(number: str) -> str:
    """Return what is the same of numbers that a disk may take for one."""
    return plain(number).casefold()
