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
from imagegen.keys import exposure, pools, prices
from imagegen.keys.pools import PerDay, PerMinute, PoolReader
from imagegen.keys.ring import DEFAULT_PER_MINUTE, DEFAULT_POOL, Key, Keyring, Limit, per_minute
from imagegen.secret import Secret

__all__ = [
    "DEFAULT_PER_MINUTE",
    "DEFAULT_POOL",
    "Key",
    "Keyring",
    "Limit",
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
ADDRESS_VARIABLE: Final = "IMAGEGEN_BASE_URL"
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
    """A file, or a variable of the environment, that may hold keys.

    `shown` is its name for the user; `path` is None for a variable, and `there` tells
    whether the file exists or the variable is set.
    """

    named: Named
    shown: str
    path: Path | None
    there: bool

    @property
    def decides(self) -> bool:
        """Whether no place after this one counts: keys are here, or were said to be."""
        return self.there or self.named in {Named.OPTION, Named.VARIABLE}

    @property
    def trusted(self) -> bool:
        """Whether the file may say where keys are sent: the user's own, or named by the user."""
        return self.named is not Named.PROJECT


class _File(msgspec.Struct, frozen=True, kw_only=True):
    requests_per_minute: PerMinute = DEFAULT_PER_MINUTE
    requests_per_day: PerDay | None = None
    base_url: str | None = None
    prices: Any = msgspec.field(default_factory=dict)
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
    environ: Mapping[str, str] = os.environ,
) -> tuple[Place, ...]:
    """Return every place that may hold keys for a project; the first that `decides` is used.

    `named` is what `--keys` names, `variables` are those that may hold a key.
    """
    own, chosen = project / FILE, environ.get(KEYS_VARIABLE)
    files = [
        (Named.OPTION, named, _harmless(str(named))),
        (Named.VARIABLE, Path(chosen) if chosen else None, _harmless(chosen or "")),
        (Named.PROJECT, own, f"{project.name or project}/{FILE}"),
        (Named.USER, user_file(), str(user_file())),
    ]
    places = [
        Place(named=how, shown=shown, path=path, there=path.exists())
        for how, path, shown in files
        if path is not None
    ]
    for name in variables:
        there = bool(environ.get(name))
        places.append(Place(named=Named.ENVIRONMENT, shown=f"${name}", path=None, there=there))
    return tuple(places)


def load(
    project: Path,
    styles: Sequence[str],
    *,
    named: Path | None = None,
    variables: Iterable[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Keyring:
    """Find and read the keys for a project.

    The first of these decides: `named` (the `--keys` option), `$IMAGEGEN_KEYS`, the
    project's keys.toml, the user's keys.toml, the first set of the environment
    `variables` (it then serves every style). Without any of them the ring is empty.

    Raises `InputFaultsError` with every fault of the file, and `UsageError` when a file
    that the user named is missing.
    """
    places = find(project, named=named, variables=variables, environ=environ)
    place = next((place for place in places if place.decides), None)
    return read(place, styles, environ) if place else Keyring()


def read(place: Place, styles: Sequence[str], environ: Mapping[str, str] = os.environ) -> Keyring:
    """Read the keys at a place; see `load`."""
    if place.path is None:
        return _from_variable(place.shown, environ[place.shown.removeprefix("$")].strip())
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
    # Neither of these is quoted: it may hold a key.
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
    shown, faults = place.shown, list[InputFault]()
    table = dict(table)
    if not place.trusted and "base_url" in table:
        message = "a project's keys file may not say where keys are sent"
        hint = (
            f"use --base-url, {ADDRESS_VARIABLE}, or the keys file in your own configuration folder"
        )
        faults.append(InputFault(file=shown, field="base_url", message=message, hint=hint))
        del table["base_url"]
    file = tables.convert(table, _File, shown=shown, faults=faults)
    own_prices = prices.read(file.prices, shown, faults)
    limit = Limit(file.requests_per_minute, file.requests_per_day)
    warnings: list[str] = []
    written: dict[str, list[Key]] = {}
    unset: dict[str, tuple[str, ...]] = {}
    for style, entries in file.keys.items():
        _look_at_style(style, place, styles, faults, warnings)
        reader = PoolReader(limit, shown, style, environ, faults)
        written[style] = reader.read(entries)
        if reader.unset:
            unset[style] = tuple(reader.unset)
            names = ", ".join(reader.unset)
            warnings.append(
                f"{shown}: keys.{style}: not set in the environment: {names}"
                if written[style]
                else f"{shown}: keys.{style} has no key: {names} is not set"
            )
    pools.check(written, shown, faults)
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
        field, message = f"keys.{style}", f'unknown style "{style}"'
        faults.append(InputFault(file=place.shown, field=field, message=message, hint=near))
    elif near:
        warnings.append(f'{place.shown}: keys for an unknown style "{style}": {near}')


def _harmless(name: str) -> str:
    """Return a file's name as it is shown: of a key that stands in its place, the tail."""
    return Secret(name).tail if pools.looks_like_a_key(name) else name


def _from_variable(shown: str, value: str) -> Keyring:
    if not pools.is_key(value):
        raise UsageError(f"{shown} holds no API key: it has blanks or unusual characters")
    return Keyring(pools={DEFAULT_POOL: (Key(Secret(value)),)}, source=shown)
