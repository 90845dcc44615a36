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
    known: Collection[str],
    owned: Collection[str],
    *,
    shown: str,
    trusted: bool,
) -> list[InputError]:
    """Return unknown names at the file's top level, and URLs where none is allowed.

    `known` are the names that there are, `owned` those of them that are one provider's table
    each. A `trusted` file may say where requests go, and where budgets are shared.
    """
    strange = itertools.islice((name for name in table if name not in known), _MOST_STRANGE)
    found = [toml.unknown(name, known, shown=shown) for name in strange]
    if trusted:
        return found
    return [*_addresses(table, owned, shown), *budget_server.refuse(table, shown), *found]


def _addresses(table: Mapping[str, Any], owned: Collection[str], shown: str) -> list[InputError]:
    found = [BASE_URL_FIELD] if BASE_URL_FIELD in table else []
    for name in owned:
        own = table.get(name)
        if isinstance(own, dict) and BASE_URL_FIELD in own:
            found.append(f"{name}.{BASE_URL_FIELD}")
    message = "a project's keys file may not say where keys are sent"
    hint = f"use --base-url, {ADDRESS_VARIABLE}, or the keys file in your own configuration folder"
    return [InputError(file=shown, field=field, message=message, hint=hint) for field in found]
