"""The server on which several machines share their budgets, which only the user may name.

A project that could name it would learn when, and how often, its user's keys are used.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from imagegen.errors import InputError, UsageError
from imagegen.secret import Secret

TABLE: Final = "budgets"
VARIABLE: Final = "IMAGEGEN_BUDGETS"
OWN_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SCHEMES: Final = {"redis": False, "rediss": True}
_PORT: Final = 6379
_TEAM: Final = "default"
_TEAM_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_VARIABLE_NAME: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_HINT: Final = 'write it as "rediss://USER:env:PASSWORD_VARIABLE@HOST:PORT/0?team=NAME"'


class BudgetServer(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis or Valkey server; with `tls`, its certificate is checked.

    Machines with one `team` on one `database` share their budgets.
    """

    host: str
    port: int = _PORT
    database: int = 0
    user: str | None = None
    password: Secret | None = None
    tls: bool = True
    team: str = _TEAM

    @property
    def name(self) -> str:
        """The server's name in messages."""
        return f"{self.host}:{self.port}"

    @property
    def plaintext_warning(self) -> str | None:
        """A warning if the password would travel unencrypted, else None."""
        if self.tls or self.password is None or self.host in OWN_MACHINE:
            return None
        return f"the password of {self.name} is sent unencrypted: its url begins with redis://"


def from_environment(environ: Mapping[str, str] = os.environ) -> BudgetServer | None:
    """Return the server that `$IMAGEGEN_BUDGETS` names; None if it names none.

    Raises `UsageError` for anything but such a url.
    """
    url = environ.get(VARIABLE)
    if not url:
        return None
    try:
        return parse(url, environ)
    except ValueError as error:
        raise UsageError(f"${VARIABLE}: {error}", hint=_HINT) from None


def from_table(
    table: object, label: str, faults: list[InputError], environ: Mapping[str, str] = os.environ
) -> BudgetServer | None:
    """Return the server that a `[budgets]` table names; its errors are added to `faults`."""
    if not isinstance(table, dict):
        faults.append(InputError(file=label, field=TABLE, message="expected a table"))
        return None
    for name in list(table)[:10]:
        if name != "url":
            message = "unknown setting"
            field = f"{TABLE}.{name[:100]}"
            faults.append(InputError(file=label, field=field, message=message, hint="only: url"))
    url = table.get("url")
    try:
        return parse(url, environ)
    except ValueError as error:
        faults.append(InputError(file=label, field=f"{TABLE}.url", message=str(error), hint=_HINT))
        return None


def refuse(table: Mapping[str, Any], label: str) -> list[InputError]:
    """Return the error of a project's file that names a server for budgets."""
    if TABLE not in table:
        return []
    message = "a project may not say where budgets are shared"
    hint = f"use {VARIABLE} or the keys file in your own configuration folder"
    return [InputError(file=label, field=TABLE, message=message, hint=hint)]


def parse(url: object, environ: Mapping[str, str] = os.environ) -> BudgetServer:
    """Return the server that a url names. Raises `ValueError`, which never quotes the url.

    A password is in the url only as `env:NAME`, the name of a variable in `environ`.
    """
    if not isinstance(url, str) or not url:
        raise ValueError("a url is missing")
    if not url.isprintable() or any(map(str.isspace, url)):
        raise ValueError("the url holds a blank or a control character")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("the url is not a valid one") from None
    if parts.scheme not in _SCHEMES or not host or port == 0 or parts.fragment:
        raise ValueError("the url is not one of a Redis or Valkey server")
    database = parts.path.removeprefix("/") or "0"
    if not re.fullmatch(r"[0-9]{1,4}", database):
        raise ValueError("the path of the url is not the number of a database")
    return BudgetServer(
        host=host,
        port=port or _PORT,
        database=int(database),
        user=unquote(parts.username) if parts.username else None,
        password=_password(parts.password, environ),
        tls=_SCHEMES[parts.scheme],
        team=_team(query),
    )


def _password(written: str | None, environ: Mapping[str, str]) -> Secret | None:
    if not written:
        return None
    variable = _VARIABLE_NAME.fullmatch(written)
    if variable is None:
        # What is no password may be the end of a user name: it is not quoted.
        raise ValueError("the url holds a password: name a variable that has it, as env:NAME")
    value = environ.get(variable[1])
    if not value:
        raise ValueError(f"{variable[1]} is not set in the environment")
    return Secret(value)


def _team(query: list[tuple[str, str]]) -> str:
    if any(name != "team" for name, _ in query) or len(query) > 1:
        raise ValueError("after the ? of the url, only one team=NAME is known")
    team = query[0][1] if query else _TEAM
    if not _TEAM_NAME.fullmatch(team):
        raise ValueError("a team's name is a-z, 0-9, ., _ or -, at most 40 characters")
    return team
