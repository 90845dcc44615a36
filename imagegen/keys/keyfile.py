"""keys.toml: the keys of each style, and what else the file says."""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import toml
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.keys import budget_server, key_lists, permissions, prices, validation
from imagegen.keys.budget_server import BudgetServer
from imagegen.keys.key_lists import PerDay, PerMinute, PoolReader
from imagegen.keys.keyring import DEFAULT_POOL, ApiKey, Keyring, RateLimit
from imagegen.keys.locations import (
    KEYS_VARIABLE,
    KeyLocation,
    LocationKind,
    candidate_locations,
    selected_location,
)
from imagegen.keys.section import Section
from imagegen.keys.validation import BASE_URL_FIELD
from imagegen.paths import user_file
from imagegen.secret import Secret
from imagegen.spending import limits
from imagegen.spending.limits import Limit

_PRICES: Final = "prices"
_MOST_LISTS: Final = 1000


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    base_url: str | None = None


class _Section(_Address, frozen=True, kw_only=True):
    requests_per_minute: PerMinute | None = None
    requests_per_day: PerDay | None = None
    lend: bool = True
    keys: dict[str, Any] = {}  # copied by msgspec


def load(
    project: Path,
    styles: Sequence[str],
    *,
    keys_file: Path | None = None,
    variables: Iterable[str] = (),
    section: Section = Section(),  # noqa: B008  # frozen
    environ: Mapping[str, str] = os.environ,
) -> Keyring:
    """Find and read the keys for a project.

    The first of these decides: `keys_file` (the `--keys` option), `$IMAGEGEN_KEYS`, the
    project's keys.toml, the user's keys.toml, the first set of the environment
    `variables` (it then serves every style). Without any of them the ring is empty. A file
    that was not named and has other providers' sections alone is passed over.

    Raises `InvalidInputError` with every fault of the file and of those that were passed over,
    and `UsageError` when a file that the user named is missing.
    """
    places = candidate_locations(
        project, keys_file=keys_file, variables=variables, section=section, environ=environ
    )
    return read(places, styles, environ)


def read(
    places: Sequence[KeyLocation], styles: Sequence[str], environ: Mapping[str, str] = os.environ
) -> Keyring:
    """Read the keys at the deciding place; see `load`."""
    place = selected_location(places)
    faults = look_over(places[: places.index(place)] if place else places)
    ring = Keyring()
    try:
        if place is not None:
            ring = _read(place, styles, environ)
    except InvalidInputError as error:
        faults += error.faults
    ring = _with_users_file(ring, place, places, faults)
    server = _budget_server(places, faults, environ)
    if faults:
        raise InvalidInputError(faults)
    warning = server.plaintext_warning if server else None
    warnings = (*ring.warnings, warning) if warning else ring.warnings
    return msgspec.structs.replace(ring, budget_server=server, warnings=warnings)


def _budget_server(
    places: Iterable[KeyLocation], faults: list[InputError], environ: Mapping[str, str]
) -> BudgetServer | None:
    """Return the server that the environment names, or the user's files.

    Keys may come from elsewhere, as from the project: only the user may name a server.
    """
    server = budget_server.from_environment(environ)
    if server is not None:
        return server
    for place in places:
        if place.path is not None and place.trusted and place.exists:
            # Errors of a file that decides are known already; of others they do not matter here.
            table = toml.read(place.path, place.label, []) or {}
            if budget_server.TABLE in table:
                server_table = table[budget_server.TABLE]
                return budget_server.from_table(server_table, place.label, faults, environ)
    return None


def _with_users_file(
    ring: Keyring,
    place: KeyLocation | None,
    places: Iterable[KeyLocation],
    faults: list[InputError],
) -> Keyring:
    """Add what the user's own file says of money, wherever the keys come from.

    Its limits count for every run; its prices if the keys are in no file.
    """
    location = next((other for other in places if other.named is LocationKind.USER), None)
    if location is None or location == place or location.path is None or not location.exists:
        return ring
    new_faults: list[InputError] = []
    table = toml.read(location.path, location.label, new_faults)
    if table is None:
        # A broken file that comes before the deciding one was reported with it.
        faults += [fault for fault in new_faults if fault not in faults]
        return ring
    ring = msgspec.structs.replace(
        ring, limits=(*ring.limits, *_limits(table, location, new_faults))
    )
    if place is not None and place.path is None and _PRICES in table:
        own_prices = prices.read(table[_PRICES], location.label, new_faults)
        ring = msgspec.structs.replace(ring, prices=own_prices)
    faults += new_faults
    return ring


def user_limits(environ: Mapping[str, str] = os.environ) -> tuple[Limit, ...]:
    """Return the limits of the user's own file, and of the one that `$IMAGEGEN_KEYS` names.

    Raises `InvalidInputError`.
    """
    faults: list[InputError] = []
    user_limits: list[Limit] = []
    named = environ.get(KEYS_VARIABLE)
    for path in dict.fromkeys([*([Path(named)] if named else []), user_file()]):
        place = KeyLocation(
            named=LocationKind.USER, label=str(path), path=path, exists=path.is_file()
        )
        user_limits += _with_users_file(Keyring(), None, [place], faults).limits
    if faults:
        raise InvalidInputError(faults)
    return tuple(user_limits)


def _limits(
    table: Mapping[str, Any], place: KeyLocation, faults: list[InputError]
) -> tuple[Limit, ...]:
    """Return the limits that a file of the user sets; a project's are in imagegen.toml."""
    if limits.TABLE not in table:
        return ()
    if not place.trusted:
        message = "a project's keys file has no limits"
        hint = "write it into imagegen.toml for this project, or into your own keys.toml for all"
        fault = InputError(file=place.label, field=limits.TABLE, message=message, hint=hint)
        faults.append(fault)
        return ()
    spending = limits.read(table[limits.TABLE], place.label, faults)
    return limits.limits_of(spending, file=place.label)


def look_over(places: Iterable[KeyLocation]) -> list[InputError]:
    """Return what no keys file may say, of files that are not for this provider."""
    faults: list[InputError] = []
    for place in places:
        if place.path is None or not place.exists:
            continue
        table = toml.read(place.path, place.label, faults)
        if table is not None:
            faults += _anywhere(table, place)
    return faults


def _read(place: KeyLocation, styles: Sequence[str], environ: Mapping[str, str]) -> Keyring:
    if place.path is None:
        return _from_variable(place, environ[place.label.removeprefix("$")].strip())
    source = str(place.named).removeprefix("$")
    if place.named in {LocationKind.OPTION, LocationKind.VARIABLE} and not place.path.is_file():
        raise UsageError(
            f"{place.label}: no such file (named by {source})",
            hint=f"{source} takes the name of a keys file"
            if place.label != str(place.path)
            else None,
        )
    faults: list[InputError] = []
    table = toml.read(place.path, place.label, faults)
    if table is None:
        raise InvalidInputError(faults)
    ring = parse(table, place, styles, environ)
    warnings = (*permissions.warnings(place.path, place.label), *ring.warnings)
    return msgspec.structs.replace(ring, warnings=warnings)


def parse(
    table: Mapping[str, Any],
    place: KeyLocation,
    styles: Sequence[str],
    environ: Mapping[str, str] = os.environ,
) -> Keyring:
    """Read a keys file of this place; raises `InvalidInputError`."""
    label, section, faults = place.label, place.section, _anywhere(table, place)
    section_table = _read_section(table, place, faults)
    if section.keyless:
        base_url = toml.convert(
            section_table, _Address, label=label, faults=faults, prefix=section.prefix
        ).base_url
        if faults:
            raise InvalidInputError(faults)
        return Keyring(source=label, base_url=base_url)
    file = toml.convert(
        section_table,
        _Section,
        label=label,
        faults=faults,
        prefix=section.prefix,
    )
    own_prices = prices.read(table.get(_PRICES, {}), label, faults)
    own_limits = _limits(table, place, faults)
    limit = RateLimit(file.requests_per_minute or section.per_minute, file.requests_per_day)
    warnings: list[str] = []
    written: dict[str, list[ApiKey]] = {}
    unset: dict[str, tuple[str, ...]] = {}
    if len(file.keys) > _MOST_LISTS:
        message = f"has {len(file.keys):,} lists: {_MOST_LISTS:,} at most"
        faults.append(InputError(file=label, field=f"{section.prefix}keys", message=message))
    for style, entries in itertools.islice(file.keys.items(), _MOST_LISTS):
        _look_at_style(style, place, styles, faults, warnings)
        field = f"{section.prefix}keys.{style}"
        reader = PoolReader(limit, label, field, environ, faults)
        written[style] = reader.read(entries)
        if reader.unset:
            unset[style] = tuple(reader.unset)
            names = ", ".join(reader.unset)
            warnings.append(
                f"{label}: {field}: not set in the environment: {names}"
                if written[style]
                else f"{label}: {field} has no key: {names} is not set"
            )
    key_lists.check(written, label, faults, prefix=section.prefix)
    if faults:
        raise InvalidInputError(faults)
    return Keyring(
        pools={style: tuple(dict.fromkeys(keys)) for style, keys in written.items()},
        unset=unset,
        source=label,
        base_url=file.base_url,
        prices=own_prices,
        lend=file.lend,
        limits=own_limits,
        warnings=tuple(warnings),
    )


def _anywhere(table: Mapping[str, Any], place: KeyLocation) -> list[InputError]:
    """Return a file's errors, for this provider and all others."""
    owned = place.section.tables
    known_names = [*_Section.__struct_fields__, _PRICES, limits.TABLE, budget_server.TABLE, *owned]
    return validation.check_top_level(
        table, known_names, owned, label=place.label, trusted=place.trusted
    )


def _read_section(
    table: Mapping[str, Any], place: KeyLocation, faults: list[InputError]
) -> dict[str, Any]:
    """Return what the file says of the place's section, but for an address that it may not say."""
    section = place.section
    section_table = section.of(table)
    if not isinstance(section_table, dict):
        message = "expected a table"
        faults.append(InputError(file=place.label, field=section.table, message=message))
        return {}
    # The rest of the top level is other providers', or already reported.
    names = section_table if section.table else _Section.__struct_fields__
    refused = () if place.trusted else (BASE_URL_FIELD,)
    return {
        name: section_table[name] for name in names if name in section_table and name not in refused
    }


def _look_at_style(
    style: str,
    place: KeyLocation,
    styles: Sequence[str],
    faults: list[InputError],
    warnings: list[str],
) -> None:
    """Report a style that a project lacks; in a file of the user's it may be another project's."""
    if style in styles or style == DEFAULT_POOL:
        return
    near = toml.did_you_mean(style, [*styles, DEFAULT_POOL])
    if not place.trusted:
        field = f"{place.section.prefix}keys.{style}"
        message = f'unknown style "{style}"'
        faults.append(InputError(file=place.label, field=field, message=message, hint=near))
    elif near:
        warnings.append(f'{place.label}: keys for an unknown style "{style}": {near}')


def _from_variable(place: KeyLocation, value: str) -> Keyring:
    if not key_lists.is_key(value):
        raise UsageError(f"{place.label} holds no API key: it has blanks or unusual characters")
    key = ApiKey(Secret(value), RateLimit(place.section.per_minute))
    return Keyring(pools={DEFAULT_POOL: (key,)}, source=place.label)
