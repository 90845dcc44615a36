"""The places that may hold a provider's keys, and which of them decides."""

import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files, toml
from imagegen.keys import key_lists
from imagegen.keys.section import Section
from imagegen.paths import user_file
from imagegen.secret import Secret

FILE: Final = "keys.toml"
KEYS_VARIABLE: Final = "IMAGEGEN_KEYS"


class Named(StrEnum):
    """How a place for keys comes to be one, in the order in which they are looked at."""

    OPTION = "--keys"
    VARIABLE = f"${KEYS_VARIABLE}"
    PROJECT = "project"
    USER = "user"
    ENVIRONMENT = "environment"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or a variable of the environment, that may hold the keys of one provider.

    `shown` is its name for the user; `path` is None for a variable, and `there` tells
    whether the file exists or the variable is set. `section` is the part of the file that
    counts; a file that has other providers' parts alone is `silent`.
    """

    named: Named
    shown: str
    path: Path | None
    there: bool
    section: Section = Section()
    silent: bool = False

    @property
    def decides(self) -> bool:
        """Whether no place after this one counts: keys are here, or were said to be."""
        return (self.there and not self.silent) or self.named in {Named.OPTION, Named.VARIABLE}

    @property
    def trusted(self) -> bool:
        """Whether the file may say where keys are sent: the user's own, or named by the user."""
        return self.named is not Named.PROJECT


def find(
    project: Path,
    *,
    named: Path | None = None,
    variables: Iterable[str] = (),
    section: Section = Section(),  # noqa: B008  # frozen
    environ: Mapping[str, str] = os.environ,
) -> tuple[Place, ...]:
    """Return every place that may hold keys for a project; the first that `decides` is used.

    `named` is what `--keys` names, `variables` are those that may hold a key, `section` is
    the part of a file that counts. A half-written keys file, which a crash left beside one of
    ours, is removed: it has every key in it.
    """
    for file in (project / FILE, user_file()):
        files.sweep_once(file.parent)
    own, chosen = project / FILE, environ.get(KEYS_VARIABLE)
    candidates = [
        (Named.OPTION, named, _harmless(str(named))),
        (Named.VARIABLE, Path(chosen) if chosen else None, _harmless(chosen or "")),
        (Named.PROJECT, own, str(own)),
        (Named.USER, user_file(), str(user_file())),
    ]
    places = [
        Place(
            named=how,
            shown=shown,
            path=path,
            there=path.exists(),
            section=section,
            silent=_is_silent(path, section),
        )
        for how, path, shown in candidates
        if path is not None
    ]
    for name in variables:
        there = bool(environ.get(name))
        places.append(
            Place(
                named=Named.ENVIRONMENT,
                shown=f"${name}",
                path=None,
                there=there,
                section=section,
            )
        )
    return tuple(places)


def _is_silent(path: Path, section: Section) -> bool:
    """Tell whether a file has nothing for this section; of one with faults they are told."""
    if not section.tables or not path.exists():
        return False
    table = toml.read(path, "", [])
    return table is not None and section.is_silent_in(table)


def deciding(places: Iterable[Place]) -> Place | None:
    """Return the place whose keys are used; None where there is none."""
    return next((place for place in places if place.decides), None)


def _harmless(name: str) -> str:
    """Return a file's name as it is shown: of a key that stands in its place, the tail."""
    return Secret(name).tail if key_lists.looks_like_a_key(name) else name
