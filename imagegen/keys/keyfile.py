"""keys.toml: where keys are found, and what else the file says."""

import os
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import platformdirs

from imagegen import tables
from imagegen.errors import InputFault, InputFaultsError, UsageError
from imagegen.keys import anywhere, exposure, pools, prices
from imagegen.keys.anywhere import ADDRESS, ADDRESS_VARIABLE
from imagegen.keys.pools import PerDay, PerMinute, PoolReader
from imagegen.keys.ring import DEFAULT_PER_MINUTE, DEFAULT_POOL, Key, Keyring, Limit, per_minute
from imagegen.keys.section import Section
from imagegen.secret import Secret

__all__ = [
    "DEFAULT_PER_MINUTE",
    "DEFAULT_POOL",
    "Key",
    "Keyring",
    "Limit",
    "Section",
    "address",
    "find",
    "in_the_clear",
    "load",
    "parse",
    "per_minute",
    "read",
    "user_file",
]

FILE: Final = "keys.toml"
KEYS_VARIABLE: Final = "IMAGEGEN_KEYS"
_PRICES: Final = "prices"
_ADDRESS_HINT: Final = "write it as https://host or https://host/path"
_OWN_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


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


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    base_url: str | None = None


class _Section(_Address, frozen=True, kw_only=True):
    requests_per_minute: PerMinute | None = None
    requests_per_day: PerDay | None = None
    lend: bool = True
    keys: dict[str, Any] = {}  # copied by msgspec


def user_file() -> Path:
    """Return the path of the user's own keys.toml, whether it exists or not."""
    return platformdirs.user_config_path("imagegen", appauthor=False) / FILE


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
    the part of a file that counts.
    """
    own, chosen = project / FILE, environ.get(KEYS_VARIABLE)
    files = [
        (Named.OPTION, named, _harmless(str(named))),
        (Named.VARIABLE, Path(chosen) if chosen else None, _harmless(chosen or "")),
        (Named.PROJECT, own, f"{project.name or project}/{FILE}"),
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
        for how, path, shown in files
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
    table = tables.read(path, "", [])
    return table is not None and section.is_silent_in(table)


def load(
    project: Path,
    styles: Sequence[str],
    *,
    named: Path | None = None,
    variables: Iterable[str] = (),
    section: Section = Section(),  # noqa: B008  # frozen
    environ: Mapping[str, str] = os.environ,
) -> Keyring:
    """Find and read the keys for a project.

    The first of these decides: `named` (the `--keys` option), `$IMAGEGEN_KEYS`, the
    project's keys.toml, the user's keys.toml, the first set of the environment
    `variables` (it then serves every style). Without any of them the ring is empty. A file
    that was not named and has other providers' sections alone is passed over.

    Raises `InputFaultsError` with every fault of the file and of those that were passed over,
    and `UsageError` when a file that the user named is missing.
    """
    places = find(project, named=named, variables=variables, section=section, environ=environ)
    return read(places, styles, environ)


def deciding(places: Iterable[Place]) -> Place | None:
    """Return the place whose keys are used; None where there is none."""
    return next((place for place in places if place.decides), None)


def read(
    places: Sequence[Place], styles: Sequence[str], environ: Mapping[str, str] = os.environ
) -> Keyring:
    """Read the keys at the deciding place; see `load`."""
    place = deciding(places)
    faults = look_over(places[: places.index(place)] if place else places)
    ring = Keyring()
    try:
        if place is not None:
            ring = _read(place, styles, environ)
    except InputFaultsError as error:
        faults += error.faults
    if faults:
        raise InputFaultsError(faults)
    return ring


def look_over(places: Iterable[Place]) -> list[InputFault]:
    """Return what no keys file may say, of files that are not for this provider."""
    faults: list[InputFault] = []
    for place in places:
        if place.path is None or not place.there:
            continue
        table = tables.read(place.path, place.shown, faults)
        if table is not None:
            faults += _anywhere(table, place)
    return faults


def _read(place: Place, styles: Sequence[str], environ: Mapping[str, str]) -> Keyring:
    if place.path is None:
        return _from_variable(place, environ[place.shown.removeprefix("$")].strip())
    how = str(place.named).removeprefix("$")
    if place.named in {Named.OPTION, Named.VARIABLE} and not place.path.is_file():
        raise UsageError(
            f"{place.shown}: no such file (named by {how})",
            hint=f"{how} takes the name of a keys file" if place.shown != str(place.path) else None,
        )
    faults: list[InputFault] = []
    table = tables.read(place.path, place.shown, faults)
    if table is None:
        raise InputFaultsError(faults)
    ring = parse(table, place, styles, environ)
    warnings = (*exposure.warnings(place.path, place.shown), *ring.warnings)
    return msgspec.structs.replace(ring, warnings=warnings)


def address(
    option: str | None, ring: Keyring, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Return where requests go: `--base-url`, `$IMAGEGEN_BASE_URL`, or the user's keys file.

    None means the provider's own address. Raises `UsageError` for what is no http address.
    """
    found = option or environ.get(ADDRESS_VARIABLE) or ring.base_url
    if not found:
        return None
    try:
        parts = urlsplit(found)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        # Brackets without an IPv6 address, or no port number.
        raise UsageError("the address is not a valid one", hint=_ADDRESS_HINT) from None
    # None of these is quoted: it may hold a key.
    if not found.isprintable() or any(map(str.isspace, found)):
        # `urlsplit` leaves some of them out: it would judge another address than is asked.
        raise UsageError("the address holds a blank or a control character", hint=_ADDRESS_HINT)
    if parts.username or parts.password:
        raise UsageError("the address holds a name or password", hint="leave them out of it")
    if parts.query or parts.fragment:
        raise UsageError('the address holds a "?" or "#"', hint=_ADDRESS_HINT)
    if not sound:
        message = f'the address "{found}" is not one that requests can be sent to'
        raise UsageError(message, hint=_ADDRESS_HINT)
    return found.rstrip("/")


def in_the_clear(base_url: str | None) -> str | None:
    """Return a warning of an address to which keys would travel unencrypted, or None."""
    url = urlsplit(base_url or "")
    if url.scheme != "http" or url.hostname in _OWN_MACHINE:
        return None
    return f"keys are sent unencrypted to {url.hostname}: its address begins with http://"


def parse(
    table: Mapping[str, Any],
    place: Place,
    styles: Sequence[str],
    environ: Mapping[str, str] = os.environ,
) -> Keyring:
    """Read what stands in a keys file of this place; raises `InputFaultsError`."""
    shown, section, faults = place.shown, place.section, _anywhere(table, place)
    own = _own(table, place, faults)
    if section.keyless:
        base_url = tables.convert(
            own, _Address, shown=shown, faults=faults, prefix=section.prefix
        ).base_url
        if faults:
            raise InputFaultsError(faults)
        return Keyring(source=shown, base_url=base_url)
    file = tables.convert(
        own,
        _Section,
        shown=shown,
        faults=faults,
        prefix=section.prefix,
    )
    own_prices = prices.read(table.get(_PRICES, {}), shown, faults)
    limit = Limit(file.requests_per_minute or section.per_minute, file.requests_per_day)
    warnings: list[str] = []
    written: dict[str, list[Key]] = {}
    unset: dict[str, tuple[str, ...]] = {}
    for style, entries in file.keys.items():
        _look_at_style(style, place, styles, faults, warnings)
        field = f"{section.prefix}keys.{style}"
        reader = PoolReader(limit, shown, field, environ, faults)
        written[style] = reader.read(entries)
        if reader.unset:
            unset[style] = tuple(reader.unset)
            names = ", ".join(reader.unset)
            warnings.append(
                f"{shown}: {field}: not set in the environment: {names}"
                if written[style]
                else f"{shown}: {field} has no key: {names} is not set"
            )
    pools.check(written, shown, faults, prefix=section.prefix)
    if faults:
        raise InputFaultsError(faults)
    return Keyring(
        pools={style: tuple(dict.fromkeys(keys)) for style, keys in written.items()},
        unset=unset,
        source=shown,
        base_url=file.base_url,
        prices=own_prices,
        lend=file.lend,
        warnings=tuple(warnings),
    )


def _anywhere(table: Mapping[str, Any], place: Place) -> list[InputFault]:
    """Return what is wrong in a file whoever draws, whether it is for this provider or not."""
    owned = place.section.tables
    known = [*_Section.__struct_fields__, _PRICES, *owned]
    return anywhere.faults(table, known, owned, shown=place.shown, trusted=place.trusted)


def _own(table: Mapping[str, Any], place: Place, faults: list[InputFault]) -> dict[str, Any]:
    """Return what the file says of the place's section, but for an address that it may not say."""
    section = place.section
    own = section.of(table)
    if not isinstance(own, dict):
        message = "expected a table"
        faults.append(InputFault(file=place.shown, field=section.table, message=message))
        return {}
    # What else stands at the top level is others', or has been told of.
    names = own if section.table else _Section.__struct_fields__
    refused = () if place.trusted else (ADDRESS,)
    return {name: own[name] for name in names if name in own and name not in refused}


def _look_at_style(
    style: str,
    place: Place,
    styles: Sequence[str],
    faults: list[InputFault],
    warnings: list[str],
) -> None:
    """Report a style that a project lacks; in a file of the user's it may be another project's."""
    if style in styles or style == DEFAULT_POOL:
        return
    near = tables.did_you_mean(style, [*styles, DEFAULT_POOL])
    if not place.trusted:
        field = f"{place.section.prefix}keys.{style}"
        message = f'unknown style "{style}"'
        faults.append(InputFault(file=place.shown, field=field, message=message, hint=near))
    elif near:
        warnings.append(f'{place.shown}: keys for an unknown style "{style}": {near}')


def _harmless(name: str) -> str:
    """Return a file's name as it is shown: of a key that stands in its place, the tail."""
    return Secret(name).tail if pools.looks_like_a_key(name) else name


def _from_variable(place: Place, value: str) -> Keyring:
    if not pools.is_key(value):
        raise UsageError(f"{place.shown} holds no API key: it has blanks or unusual characters")
    key = Key(Secret(value), Limit(place.section.per_minute))
    return Keyring(pools={DEFAULT_POOL: (key,)}, source=place.shown)
