"""keys.toml: which keys draw which style, and how many requests a minute each allows."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
import platformdirs

from imagegen import tables
from imagegen.errors import InputFault, InputFaultsError, UsageError
from imagegen.secret import Secret

FILE: Final = "keys.toml"
KEYS_VARIABLE: Final = "IMAGEGEN_KEYS"
ADDRESS_VARIABLE: Final = "IMAGEGEN_BASE_URL"
DEFAULT_PER_MINUTE: Final = 9
DEFAULT_POOL: Final = "default"
_ENVIRONMENT = "env:"
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,512}")
_GIT_SECONDS = 5
_ADDRESS_HINT = "write it as https://host or https://host/path"

PerMinute = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
PerDay = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]

Dollars = Annotated[float, msgspec.Meta(ge=0, le=1000)]
Prices = Dollars | dict[str, Dollars]
"""What a picture of one model costs: whatever its size, or by size."""


class Limit(msgspec.Struct, frozen=True):
    """What a key's quota allows: requests a minute, and a day where that is limited."""

    per_minute: int = DEFAULT_PER_MINUTE
    per_day: int | None = None


class Key(msgspec.Struct, frozen=True):
    """One key of a pool. Keys that name the same `project` share one budget."""

    secret: Secret
    limit: Limit = Limit()
    project: str | None = None

    @property
    def owner(self) -> tuple[str, str]:
        """What the key's budget belongs to: its project, or else the key itself."""
        if self.project:
            return ("project", self.project)
        return ("key", self.secret.reveal())


def per_minute(keys: Iterable[Key]) -> int:
    """Return how many requests a minute these keys allow together."""
    return sum({key.owner: key.limit.per_minute for key in keys}.values())


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of every style, and where they were found.

    `source` is the file or variable as shown to the user, None where there is none.
    `base_url` is set only if the file may say where keys are sent. `prices` are by model.
    With `lend`, the keys of a style that has nothing to send serve the others.
    """

    pools: dict[str, tuple[Key, ...]] = {}  # copied by msgspec
    source: str | None = None
    base_url: str | None = None
    prices: dict[str, Prices] = {}  # copied by msgspec
    lend: bool = True
    warnings: tuple[str, ...] = ()

    def price(self, model: str, image_size: str) -> float | None:
        """Return what the file says a picture costs, in US dollars; None where it does not."""
        own = self.prices.get(model)
        return own.get(image_size) if isinstance(own, dict) else own

    def pool(self, style: str) -> tuple[Key, ...]:
        """Return the keys that draw this style: its own, else the default ones."""
        return self.pools[style] if style in self.pools else self.pools.get(DEFAULT_POOL, ())


class _File(msgspec.Struct, frozen=True, kw_only=True):
    requests_per_minute: PerMinute = DEFAULT_PER_MINUTE
    requests_per_day: PerDay | None = None
    base_url: str | None = None
    prices: dict[str, Prices] = {}  # copied by msgspec
    lend: bool = True
    keys: dict[str, list[Any]] = {}  # copied by msgspec


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    key: str | None = None
    requests_per_minute: PerMinute | None = None
    requests_per_day: PerDay | None = None
    project: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


def user_file() -> Path:
    """Return the path of the user's own keys.toml, whether it exists or not."""
    return platformdirs.user_config_path("imagegen", appauthor=False) / FILE


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
    chosen = named or (Path(environ[KEYS_VARIABLE]) if environ.get(KEYS_VARIABLE) else None)
    if chosen is not None:
        if not chosen.is_file():
            how = "--keys" if named else KEYS_VARIABLE
            raise UsageError(f"{chosen}: no such file (named by {how})")
        return _read(chosen, str(chosen), styles, environ, trusted=True, foreign_styles=True)
    own = project / FILE
    if own.exists():
        shown = f"{project.name or project}/{FILE}"
        return _read(own, shown, styles, environ, trusted=False, foreign_styles=False)
    if user_file().exists():
        shown = str(user_file())
        return _read(user_file(), shown, styles, environ, trusted=True, foreign_styles=True)
    for name in variables:
        if environ.get(name):
            return _from_variable(name, environ[name].strip())
    return Keyring()


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


def _from_variable(name: str, value: str) -> Keyring:
    if not _PRINTABLE.fullmatch(value):
        raise UsageError(f"${name} holds no API key: it has blanks or unusual characters")
    return Keyring(pools={DEFAULT_POOL: (Key(Secret(value)),)}, source=f"${name}")


def _read(
    path: Path,
    shown: str,
    styles: Sequence[str],
    environ: Mapping[str, str],
    *,
    trusted: bool,
    foreign_styles: bool,
) -> Keyring:
    faults: list[InputFault] = []
    table = tables.read(path, shown, faults)
    if table is None:
        raise InputFaultsError(faults)
    if not trusted and "base_url" in table:
        message = "a project's keys file may not say where keys are sent"
        hint = (
            f"use --base-url, {ADDRESS_VARIABLE}, or the keys file in your own configuration folder"
        )
        faults.append(InputFault(file=shown, field="base_url", message=message, hint=hint))
        del table["base_url"]
    file = tables.convert(table, _File, shown=shown, faults=faults)
    warnings = [*_exposure(path, shown)]
    written: dict[str, list[Key]] = {}
    for style, entries in file.keys.items():
        if style not in styles and style != DEFAULT_POOL:
            near = tables.did_you_mean(style, [*styles, DEFAULT_POOL])
            if not foreign_styles:
                fault = InputFault(
                    file=shown, field=f"keys.{style}", message=f'unknown style "{style}"', hint=near
                )
                faults.append(fault)
            elif near:
                warnings.append(f'{shown}: keys for an unknown style "{style}": {near}')
        reader = _PoolReader(file, shown, style, environ, faults)
        written[style] = reader.read(entries)
        if reader.unset and written[style]:
            names = ", ".join(reader.unset)
            warnings.append(f"{shown}: keys.{style}: not set in the environment: {names}")
        elif reader.unset:
            names = ", ".join(reader.unset)
            warnings.append(f"{shown}: keys.{style} has no key: {names} is not set")
    _check_projects(written, shown, faults)
    _check_limits(written, shown, faults)
    if faults:
        raise InputFaultsError(faults)
    pools = {style: tuple(dict.fromkeys(keys)) for style, keys in written.items()}
    return Keyring(
        pools=pools,
        source=shown,
        base_url=file.base_url,
        prices=file.prices,
        lend=file.lend,
        warnings=tuple(warnings),
    )


class _PoolReader:
    """Reads the list of one style's keys."""

    def __init__(
        self,
        file: _File,
        shown: str,
        style: str,
        environ: Mapping[str, str],
        faults: list[InputFault],
    ) -> None:
        self._file = file
        self._shown = shown
        self._style = style
        self._environ = environ
        self._faults = faults
        self.unset: list[str] = []

    def read(self, entries: list[Any]) -> list[Key]:
        keys = [self._key(position, entry) for position, entry in enumerate(entries, 1)]
        return [key for key in keys if key is not None]

    def _key(self, position: int, entry: object) -> Key | None:
        field = f"keys.{self._style}[{position}]"
        if isinstance(entry, str):
            entry = {"key": entry}
        if not isinstance(entry, dict):
            self._fault(field, 'expected text or a table, as in { key = "env:NAME" }')
            return None
        read = tables.convert(
            entry, _Entry, shown=self._shown, faults=self._faults, prefix=field + "."
        )
        if read.key is None:
            if "key" not in entry:
                self._fault(field, 'names no key, as in { key = "env:NAME" }')
            return None
        value = read.key
        if value.startswith(_ENVIRONMENT):
            name = value.removeprefix(_ENVIRONMENT)
            value = self._environ.get(name, "").strip()
            if not value:
                self.unset.append(name)
                return None
        if not _PRINTABLE.fullmatch(value):
            self._fault(field, "is no API key: it is empty or has blanks in it")
            return None
        limit = Limit(
            read.requests_per_minute or self._file.requests_per_minute,
            read.requests_per_day or self._file.requests_per_day,
        )
        return Key(Secret(value), limit, read.project)

    def _fault(self, field: str, message: str) -> None:
        self._faults.append(InputFault(file=self._shown, field=field, message=message))


def _check_projects(pools: Mapping[str, list[Key]], shown: str, faults: list[InputFault]) -> None:
    """Report every key that is given two projects: it would draw on two budgets."""
    first: dict[Secret, tuple[str, str | None]] = {}
    for style, keys in pools.items():
        for key in keys:
            where, project = first.setdefault(key.secret, (style, key.project))
            if project != key.project:
                one, other = (f'"{name}"' if name else "none" for name in (project, key.project))
                message = (
                    f"key {key.secret} has two projects: {one} under {where}, {other} under {style}"
                )
                hint = "one key has one budget: write the same at each place"
                fault = InputFault(file=shown, field=f"keys.{style}", message=message, hint=hint)
                faults.append(fault)


def _check_limits(pools: Mapping[str, list[Key]], shown: str, faults: list[InputFault]) -> None:
    """Report every budget that is given two limits."""
    first: dict[tuple[str, str], tuple[str, Limit]] = {}
    for style, keys in pools.items():
        for key in keys:
            where, limit = first.setdefault(key.owner, (style, key.limit))
            if limit != key.limit:
                what = f'project "{key.project}"' if key.project else f"key {key.secret}"
                message = (
                    f"{what} has two limits: {limit.per_minute} a minute under {where}, "
                    f"{key.limit.per_minute} under {style}"
                )
                if limit.per_minute == key.limit.per_minute:
                    message = f"{what} has two limits a day, under {where} and {style}"
                hint = "one budget has one limit: write the same at each place"
                fault = InputFault(file=shown, field=f"keys.{style}", message=message, hint=hint)
                faults.append(fault)


def _exposure(path: Path, shown: str) -> list[str]:
    """Warn of a keys file that others can read, or that git would publish."""
    warnings = []
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        warnings.append(f"{shown} can be read by other users: chmod 600 {shown}")
    if _tracked_by_git(path):
        warnings.append(
            f"{shown} is tracked by git: git rm --cached it, and make new keys if it was pushed"
        )
    return warnings


def _tracked_by_git(path: Path) -> bool:
    path = path.resolve()
    folder = path.parent
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return False
    git = shutil.which("git")
    # Windows looks in the current folder first, and that may be somebody else's project.
    if git is None or Path(git).resolve().parent in {Path.cwd(), folder}:
        return False
    # The repository may be somebody else's: none of its settings may start a program, and
    # the child sees no variable that could hold a key.
    quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.devnull]
    command = [git, "--no-optional-locks", *quiet, "ls-files", "--error-unmatch", "--", path.name]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command, no shell
            command, cwd=folder, env=kept, capture_output=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
