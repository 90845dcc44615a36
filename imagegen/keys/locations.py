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


class LocationKind(StrEnum):
    """How a place for keys comes to be one, in the order in which they are looked at."""

    OPTION = "--keys"
    VARIABLE = f"${KEYS_VARIABLE}"
    PROJECT = "project"
    USER = "user"
    ENVIRONMENT = "environment"


class KeyLocation(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or a variable of the environment, that may hold the keys of one provider.

    `label` is its name for the user; `path` is None for a variable, and `exists` is
    whether the file exists or the variable is set. `section` is the part of the file that
    counts; `lacks_section` means that it has other providers' parts alone.
    """

    named: LocationKind
    label: str
    path: Path | None
    exists: bool
    section: Section = Section()
    lacks_section: bool = False

    @property
    def takes_precedence(self) -> bool:
        """Whether no place after this one counts: keys are here, or were said to be."""
        return (self.exists and not self.lacks_section) or self.named in {
            LocationKind.OPTION,
            LocationKind.VARIABLE,
        }

    @property
    def trusted(self) -> bool:
        """Whether the file may say where keys are sent: the user's own, or named by the user."""
        return self.named is not LocationKind.PROJECT


def candidate_locations(
    project: Path,
    *,
    keys_file: Path | None = None,
    variables: Iterable[str] = (),
    section: Section = Section(),  # noqa: B008  # frozen
    environ: Mapping[str, str] = os.environ,
) -> tuple[KeyLocation, ...]:
    """Return every place that may hold keys for a project; the first that takes precedence is used.

    `keys_file` is what `--keys` names, `variables` are those that may hold a key, `section` is
    the part of a file that counts. A half-written keys file, which a crash left beside one of
    ours, is removed: it has every key in it.
    """
    for file in (project / FILE, user_file()):
        files.sweep_once(file.parent)
    project_file, chosen = project / FILE, environ.get(KEYS_VARIABLE)
    candidates = [
        (LocationKind.OPTION, keys_file, _harmless(str(keys_file))),
        (LocationKind.VARIABLE, Path(chosen) if chosen else None, _harmless(chosen or "")),
        (LocationKind.PROJECT, project_file, str(project_file)),
        (LocationKind.USER, user_file(), str(user_file())),
    ]
    places = [
        KeyLocation(
            named=kind,
            label=label,
            path=path,
            exists=path.exists(),
            section=section,
            lacks_section=_is_silent(path, section),
        )
        for kind, path, label in candidates
        if path is not None
    ]
    for name in variables:
        is_set = bool(environ.get(name))
        places.append(
            KeyLocation(
                named=LocationKind.ENVIRONMENT,
                label=f"${name}",
                path=None,
                exists=is_set,
                section=section,
            )
        )
    return tuple(places)


def _is_silent(path: Path, section: Section) -> bool:
    """Return whether a file has nothing for this section; False if it has errors."""
    if not section.tables or not path.exists():
        return False
    table = toml.read(path, "", [])
    return table is not None and section.is_missing_from(table)


def selected_location(places: Iterable[KeyLocation]) -> KeyLocation | None:
    """Return the place whose keys are used; None if there is none."""
    return next((place for place in places if place.takes_precedence), None)


def _harmless(name: str) -> str:
    """Return a file's name as shown, or the tail if it is a key by mistake."""
    return Secret(name).tail if key_lists.looks_like_a_key(name) else name
