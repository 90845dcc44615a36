"""Finds names that no provider allows in a keys file.

A misspelt table hides its owner's keys, so that others are used and billed; an address in a
project's file would send keys to the author of the project.
"""

import itertools
from collections.abc import Collection, Mapping
from typing import Any, Final

from imagegen import toml
from imagegen.errors import InputError
from imagegen.keys import budget_server

BASE_URL_FIELD: Final = "base_url"
ADDRESS_VARIABLE: Final = "IMAGEGEN_BASE_URL"
_MOST_STRANGE: Final = 100


def check_top_level(
    table: Mapping[str, Any],
    known_names: Collection[str],
    owned: Collection[str],
    *,
    label: str,
    trusted: bool,
) -> list[InputError]:
    """Return unknown names at the file's top level, and URLs where none is allowed.

    `known_names` are the names that there are, `owned` those of them that are one provider's table
    each. A `trusted` file may say where requests go, and where budgets are shared.
    """
    strange = itertools.islice((name for name in table if name not in known_names), _MOST_STRANGE)
    faults = [toml.unknown(name, known_names, label=label) for name in strange]
    if trusted:
        return faults
    return [*_addresses(table, owned, label), *budget_server.refuse(table, label), *faults]


def _addresses(table: Mapping[str, Any], owned: Collection[str], label: str) -> list[InputError]:
    fields = [BASE_URL_FIELD] if BASE_URL_FIELD in table else []
    for name in owned:
        section = table.get(name)
        if isinstance(section, dict) and BASE_URL_FIELD in section:
            fields.append(f"{name}.{BASE_URL_FIELD}")
    message = "a project's keys file may not say where keys are sent"
    hint = f"use --base-url, {ADDRESS_VARIABLE}, or the keys file in your own configuration folder"
    return [InputError(file=label, field=field, message=message, hint=hint) for field in fields]
