"""The characters of a project, and which of them a prompt names."""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec

from imagegen import toml
from imagegen.errors import InputError

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_MOST: Final = 200
_MOST_STRANGE: Final = 1000
"""Unknown styles that are reported: each needs a search for the nearest known one."""
_BLANK: Final = re.compile(r"\s+")
_ALIKE: Final = str.maketrans({"\u2019": "'", "\u2010": "-", "\u2011": "-"})

# Scripts that put no space between words: there a name has no word boundary.
# Of Katakana, in which Japanese writes foreign names, the run of one script is the word.
_UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u309f"  # iteration mark, Hiragana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_KATAKANA: Final = "\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL: Final = "\uac00-\ud7a3"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=50)]
About = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]


class Character(msgspec.Struct, frozen=True, kw_only=True):
    """One `[characters.ID]` table.

    `names` are the character's names in prompts; without any it is the table's own name with
    a capital. `picture` is a path relative to the project, or one for each style. `about` is
    the description that `cast` draws.
    """

    names: Names = ()
    picture: str | dict[str, str] | None = None
    about: About | None = None

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that have an image of their own."""
        return tuple(self.picture) if isinstance(self.picture, dict) else ()

    def picture_in(self, style: str) -> str | None:
        """Return the path of the image that is sent with beats of this style."""
        return self.picture.get(style) if isinstance(self.picture, dict) else self.picture


def read(
    table: object, styles: Mapping[str, object], label: str, faults: list[InputError]
) -> dict[str, Character]:
    """Read the `[characters.ID]` tables of a settings file; errors go to `faults`."""

    def fault(field: str, message: str, hint: str | None = None) -> None:
        faults.append(InputError(file=label, field=field, message=message, hint=hint))

    if not isinstance(table, dict):
        fault("characters", "expected tables, as in [characters.mara]")
        return {}
    if len(table) > _MOST:
        fault("characters", f"has {len(table):,} characters: {_MOST} at most")
        return {}
    characters = {}
    for name, value in table.items():
        field = f"characters.{name}"
        if not _ID.fullmatch(name):
            fault(field[:100], "this name is a-z, 0-9, _ or -, at most 40", "names = [...] is free")
        elif not isinstance(value, dict):
            fault(field, f'expected a table, as in [{field}] with picture = "mara.png"')
        else:
            characters[name] = _character(name, value, label, faults)
    strange = ((n, s) for n, c in characters.items() for s in c.styles if s not in styles)
    for name, style in itertools.islice(strange, _MOST_STRANGE):
        hint = toml.did_you_mean(style, styles)
        fault(f"characters.{name}.picture", f'unknown style "{style[:100]}"', hint)
    for name, shared, owner in _shared_names(characters):
        fault(f"characters.{name}.names", f'"{shared}" is also a name of {owner}')
    return characters


def _shared_names(characters: Mapping[str, Character]) -> Iterator[tuple[str, str, str]]:
    """Yield each name that two characters have: the second, the name, the first."""
    owners: dict[str, str] = {}
    for name, character in characters.items():
        for spelling in character.names:
            owner = owners.setdefault(_plain(spelling), name)
            if owner != name:
                yield name, spelling, owner


def _character(
    name: str, value: Mapping[str, Any], label: str, faults: list[InputError]
) -> Character:
    # One name is often written without brackets.
    names = value.get("names")
    listed = {**value, "names": [names]} if isinstance(names, str) else value
    prefix = f"characters.{name}."
    character = toml.convert(listed, Character, label=label, faults=faults, prefix=prefix)
    if not character.names:
        names = (name.replace("_", " ").replace("-", " ").capitalize(),)
        return msgspec.structs.replace(character, names=names)
    for spelling in character.names:
        if not any(map(str.isalnum, spelling)):
            message = f'"{spelling}" has no letter'
            faults.append(InputError(file=label, field=f"{prefix}names", message=message))
    return character


class Mentions:
    """Finds the characters that a text names.

    A name matches as a whole word (not "Mara" in "Maradona"; "Mara's" names Mara); of
    several possible names the longest counts. It matches as written in `names`, in capitals
    as scripts do (MARA), or, if it begins with a small letter, with a capital at the start
    of a sentence.
    """

    def __init__(self, characters: Mapping[str, Character]) -> None:
        self._owner = {
            spelling: name
            for name, character in characters.items()
            for spelled in character.names
            for spelling in _spellings(_plain(spelled))
        }
        longest_first = sorted(self._owner, key=lambda spelling: (-len(spelling), spelling))
        self._pattern = re.compile("|".join(map(_as_word, longest_first))) if self._owner else None
        self._cache: dict[str, tuple[str, ...]] = {}

    def within(self, words: str) -> tuple[str, ...]:
        """Return the characters that the prompt names, each once, in the order of the text."""
        if self._pattern is None:
            return ()
        owners = self._cache.get(words)
        if owners is None:
            matches = self._pattern.finditer(_plain(words))
            owners = tuple(dict.fromkeys(self._owner[_plain(match[0])] for match in matches))
            # Styles mostly share their prompts.
            self._cache[words] = owners
        return owners


def _plain(text: str) -> str:
    """Return the text with one kind of each character, blank, apostrophe and hyphen."""
    composed = unicodedata.normalize("NFKC", text)
    return _BLANK.sub(" ", composed).translate(_ALIKE).strip()


def _spellings(name: str) -> set[str]:
    spellings = {name, name.upper()}
    if name[:1].islower():
        words = name.title()
        spellings |= {name[:1].upper() + name[1:], words, name[:1] + words[1:]}
    return spellings


def _as_word(name: str) -> str:
    """Return a pattern for a name that neither begins nor ends in the middle of a word."""
    return f"{_edge(name[0], before=True)}{re.escape(name)}{_edge(name[-1], before=False)}"


def _edge(letter: str, *, before: bool) -> str:
    if re.match(f"[{_UNSPACED}]", letter) or not letter.isalnum():
        return ""
    look = "(?<!" if before else "(?!"
    if re.match(f"[{_KATAKANA}]", letter):
        return f"{look}[{_KATAKANA}])"
    if re.match(f"[{_HANGUL}]", letter):
        # Particles follow a Korean name without a space.
        return f"{look}\\w)" if before else ""
    # What is written without spaces is not part of a word in a script with spaces.
    return f"{look}[^\\W_{_UNSPACED}{_KATAKANA}{_HANGUL}])"
