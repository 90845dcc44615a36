"""The lists of keys in keys.toml: each entry read, and budgets with two limits found."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from imagegen import toml
from imagegen.errors import InputError
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.secret import Secret

ENVIRONMENT: Final = "env:"
"""What an entry begins with that names a variable of the environment."""

_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,512}")
_LIKE_A_KEY: Final = re.compile(
    r"AIza[\w-]{16,}|sk-(?=[\w-]*[A-Z0-9])[\w-]{16,}"
    r"|(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[\w.-]{24,512}"
)

PerMinute = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
PerDay = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Project = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


def is_key(text: str) -> bool:
    """Return whether a text can be sent as a key: ASCII without blanks."""
    return bool(_PRINTABLE.fullmatch(text))


def looks_like_a_key(text: str) -> bool:
    """Return whether a text in the wrong place is probably a key.

    Then it is not repeated. It begins as the services' keys do, or has letters of both cases
    and digits, without a blank: what names nothing that a person would type.
    """
    return bool(_LIKE_A_KEY.fullmatch(text))


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    key: str | None = None
    requests_per_minute: PerMinute | None = None
    requests_per_day: PerDay | None = None
    project: Project | None = None


class PoolReader:
    """Reads the list of one style's keys, which is `field` in the file.

    `limit` holds where an entry has none of its own. `unset` gathers the names of variables
    that are referred to and not set; faults go to `faults`.
    """

    def __init__(
        self,
        limit: RateLimit,
        label: str,
        field: str,
        environ: Mapping[str, str],
        faults: list[InputError],
    ) -> None:
        self._limit = limit
        self._label = label
        self._field = field
        self._environ = environ
        self._faults = faults
        self.unset: list[str] = []

    def read(self, entries: object) -> list[ApiKey]:
        """Return the keys of the list, in its order."""
        if not isinstance(entries, list):
            self._fault(self._field, 'expected a list, as in ["env:NAME"]')
            return []
        keys = [self._key(position, entry) for position, entry in enumerate(entries, 1)]
        return [key for key in keys if key is not None]

    def _key(self, position: int, entry: object) -> ApiKey | None:
        field = f"{self._field}[{position}]"
        if isinstance(entry, str):
            entry = {"key": entry}
        if not isinstance(entry, dict):
            self._fault(field, 'expected text or a table, as in { key = "env:NAME" }')
            return None
        read = toml.convert(
            entry, _Entry, label=self._label, faults=self._faults, prefix=field + "."
        )
        if read.key is None:
            if "key" not in entry:
                self._fault(field, 'names no key, as in { key = "env:NAME" }')
            return None
        value = read.key
        if value.startswith(ENVIRONMENT):
            name = value.removeprefix(ENVIRONMENT)
            value = self._environ.get(name, "").strip()
            if not value:
                self.unset.append(Secret(name).tail if looks_like_a_key(name) else name)
                return None
        if not is_key(value):
            self._fault(field, "is no API key: it is empty or has blanks in it")
            return None
        limit = RateLimit(
            read.requests_per_minute or self._limit.per_minute,
            read.requests_per_day or self._limit.per_day,
        )
        return ApiKey(Secret(value), limit, read.project)

    def _fault(self, field: str, message: str) -> None:
        self._faults.append(InputError(file=self._label, field=field, message=message))


def check(
    pools: Mapping[str, list[ApiKey]], label: str, faults: list[InputError], *, prefix: str = ""
) -> None:
    """Report every key that would draw on two budgets, and every budget with two limits.

    `prefix` precedes `keys` in the names of fields.
    """
    _check_projects(pools, label, faults, f"{prefix}keys")
    _check_limits(pools, label, faults, f"{prefix}keys")


def _check_projects(
    pools: Mapping[str, list[ApiKey]], label: str, faults: list[InputError], field: str
) -> None:
    """Report every key that is given two projects: it would draw on two budgets."""
    first: dict[Secret, tuple[str, str | None]] = {}
    for style, keys in pools.items():
        for key in keys:
            where, project = first.setdefault(key.secret, (style, key.project))
            if project != key.project:
                names = [f'"{name}"' if name else "none" for name in (project, key.project)]
                message = (
                    f"key {key.secret} has two projects: {names[0]} under {where}, "
                    f"{names[1]} under {style}"
                )
                hint = "one key has one budget: write the same at each place"
                where = f"{field}.{style}"
                faults.append(InputError(file=label, field=where, message=message, hint=hint))


def _check_limits(
    pools: Mapping[str, list[ApiKey]], label: str, faults: list[InputError], field: str
) -> None:
    """Report every budget that is given two limits."""
    first: dict[tuple[str, str], tuple[str, RateLimit]] = {}
    for style, keys in pools.items():
        for key in keys:
            where, limit = first.setdefault(key.owner, (style, key.limit))
            if limit != key.limit:
                owner = f'project "{key.project}"' if key.project else f"key {key.secret}"
                message = (
                    f"{owner} has two limits: {limit.per_minute} a minute under {where}, "
                    f"{key.limit.per_minute} under {style}"
                )
                if limit.per_minute == key.limit.per_minute:
                    message = f"{owner} has two limits a day, under {where} and {style}"
                hint = "one budget has one limit: write the same at each place"
                where = f"{field}.{style}"
                faults.append(InputError(file=label, field=where, message=message, hint=hint))
