"""Whose part of keys.toml is meant: its top level, or the table of one provider.

The providers themselves are not known here: the caller passes the valid tables.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from imagegen.keys import budget_server
from imagegen.keys.keyring import DEFAULT_PER_MINUTE
from imagegen.spending import limits

_OF_ALL: Final = frozenset({"prices", limits.TABLE, budget_server.TABLE})
"""Names at the top level that belong to no provider."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a keys file that is one provider's.

    `table` names it, empty for the file's top level; `tables` are the names of all such
    tables. `per_minute` is what a key may send where the file does not say. Where the
    provider needs no keys (`keyless`), nothing but its address is read.
    """

    table: str = ""
    tables: tuple[str, ...] = ()
    per_minute: int = DEFAULT_PER_MINUTE
    keyless: bool = False

    @property
    def prefix(self) -> str:
        """The prefix of its settings: `openai.`, or nothing."""
        return f"{self.table}." if self.table else ""

    @property
    def heading(self) -> str:
        """The heading under which its keys stand: `[keys]`, or `[openai.keys]`."""
        return f"[{self.prefix}keys]"

    def of(self, table: Mapping[str, Any]) -> object:
        """Return what a keys file says here: a table, if the file is as it should be.

        The top level also has other providers' tables.
        """
        return table.get(self.table, {}) if self.table else table

    def is_missing_from(self, table: Mapping[str, Any]) -> bool:
        """Return whether a keys file says something of other providers and nothing of this one."""
        if self.table:
            return self.table not in table
        # Limits and budgets are for keys from anywhere, also from the environment.
        other_names = set(table) & {*self.tables, limits.TABLE, budget_server.TABLE}
        return bool(other_names) and not set(table) - other_names - _OF_ALL
