"""Adds a key to keys.toml and keeps the rest of the file, with its comments."""

import contextlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import filelock
import msgspec

from imagegen import files, toml
from imagegen.errors import InputError, InvalidInputError, StorageError, UsageError
from imagegen.keys import key_lists, keyfile, permissions
from imagegen.keys.keyring import Keyring
from imagegen.keys.locations import KeyLocation
from imagegen.keys.section import Section
from imagegen.paths import state_folder, user_file
from imagegen.secret import Secret

_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_LOCK: Final = "keys-file.lock"
_LOCK_SECONDS: Final = 5.0
_MARK: Final = "\ufeff"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_ASSIGNED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.+")


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to add: itself, or the `variable` of the environment that holds it."""

    secret: Secret | None = None
    variable: str | None = None
    requests_per_minute: int | None = None
    project: str | None = None

    @property
    def shown(self) -> str:
        """The key's name for the user: its tail, or `env:NAME`."""
        return str(self.secret) if self.secret else f"{key_lists.ENVIRONMENT}{self.variable}"

    @property
    def written(self) -> str:
        """The key as written in the file: a secret."""
        return self.secret.reveal() if self.secret else f"{key_lists.ENVIRONMENT}{self.variable}"

    @property
    def entry(self) -> str | dict[str, Any]:
        """What the style's list gets: text, or a table where the key has limits of its own."""
        options = {"requests_per_minute": self.requests_per_minute, "project": self.project}
        fields = {name: value for name, value in options.items() if value is not None}
        return {"key": self.written, **fields} if fields else self.written


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a keys file. `ring` is what it holds now.

    `permissions_tightened` means that others could read it until now, `already_present` that the
    key was there and nothing was written.
    """

    path: Path
    ring: Keyring
    created: bool = False
    already_present: bool = False
    permissions_tightened: bool = False


def parse_key(text: str) -> NewKey:
    """Return the typed key, or `env:NAME`.

    Raises `UsageError` for what is no key; it never repeats what was typed.
    """
    text = text.strip()
    if not text:
        raise UsageError("no key was given", hint="paste it when asked, or pipe it in")
    name = text.removeprefix(key_lists.ENVIRONMENT)
    if name != text:
        if not _VARIABLE.fullmatch(name) or key_lists.looks_like_a_key(name):
            raise UsageError(
                "the text after env: is not a variable name",
                hint="as in env:GEMINI_KEY_1; a key itself goes without env:",
            )
        return NewKey(variable=name)
    # Registered before it is judged: no message, no log and no traceback will show it.
    secret = Secret(text)
    if text[0] in "\"'":
        raise UsageError("the key has quotes around it", hint="leave them out")
    if _ASSIGNED.fullmatch(text) and not text.endswith("="):
        hint = "type only the key, or env:NAME to read a variable"
        raise UsageError('there is a name and "=" before the key', hint=hint)
    if not key_lists.is_key(text):
        raise UsageError(
            "this is no API key: it has blanks or unusual characters, or is very long",
            hint="copy it again",
        )
    return NewKey(secret=secret)


def read_existing(place: KeyLocation, styles: Sequence[str]) -> Keyring | None:
    """Return what a keys file that is to be changed holds; None if there is none yet.

    Raises `InvalidInputError` with every fault of it, and `UsageError` where it cannot be
    written: nothing is asked of a user before.
    """
    path = _target(place)
    if not os.path.lexists(path):
        return None
    table, _ = _read(path, place)
    return keyfile.parse(table, place, styles)


def add_key(
    place: KeyLocation,
    styles: Sequence[str],
    style: str,
    new: NewKey,
    environ: Mapping[str, str] = os.environ,
) -> Change:
    """Add a key to a style's list in the file of a place.

    The file is replaced in one step, and then only its owner can read it. Raises
    `InvalidInputError` where the file has faults or would have one then (a second limit of
    one budget), and `UsageError` where it cannot be written; nothing is changed then.
    """
    path = _target(place)
    try:
        _make_folder(path.parent)
        with _alone():
            return _add(path, place, styles, style, new=new, environ=environ)
    except StorageError as error:
        raise UsageError(f"the key was not saved: {error.message}") from error


def _add(
    path: Path,
    place: KeyLocation,
    styles: Sequence[str],
    style: str,
    *,
    new: NewKey,
    environ: Mapping[str, str],
) -> Change:
    created = not os.path.lexists(path)
    if created:
        ring = Keyring()
        text = _first(style, new.entry, place.section)
    else:
        table, before = _read(path, place)
        ring = keyfile.parse(table, place, styles, environ)
        if _has_key(_keys_of(table, place.section.table), ring, style, new):
            return Change(path=path, ring=ring, already_present=True)
        text = with_key(before, style, new.entry, place.section.table)
    ring = keyfile.parse(tomllib.loads(text.removeprefix(_MARK)), place, styles, environ)
    narrowed = not created and permissions.open_to_others(path)
    files.write(path, text.encode(), mode=_MODE)
    return Change(path=path, ring=ring, created=created, permissions_tightened=narrowed)


def with_key(text: str, style: str, entry: str | dict[str, Any], table: str = "") -> str:
    """Return the text of a keys file with one more entry in a style's list.

    `table` is the table of the keys' provider; empty: the file's top level. Comments,
    blank lines, the order and the kind of line ends stay. Raises `UsageError` if the file's
    layout does not allow that.
    """
    from imagegen import toml_edit  # noqa: PLC0415  # only who adds a key waits for it

    names = (table, "keys", style) if table else ("keys", style)
    try:
        return toml_edit.append(text, names, entry)
    except toml_edit.TomlEditError as error:
        heading = ".".join(names[:-1])
        hint = f'add it by hand, as in clear = ["env:NAME"] under [{heading}]'
        raise UsageError(
            "the keys file is laid out in a way that cannot be added to", hint=hint
        ) from error


def _first(style: str, entry: str | dict[str, Any], section: Section) -> str:
    """Return the text of a new keys file."""
    import tomli_w  # noqa: PLC0415

    content = {"requests_per_minute": section.per_minute, "keys": {style: [entry]}}
    return tomli_w.dumps({section.table: content} if section.table else content)


def _keys_of(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the lists of keys in a file that has been read: of a provider's table, if named."""
    provider_table = table.get(name, {}) if name else table
    keys: Mapping[str, Any] = provider_table.get("keys", {})
    return keys


def _has_key(lists: Mapping[str, Any], ring: Keyring, style: str, new: NewKey) -> bool:
    """Return whether a key is already in a style's list, itself or by its variable."""
    if new.secret is not None:
        return any(key.secret == new.secret for key in ring.pools.get(style, ()))
    entries = lists.get(style, [])
    return any(new.written == _key_of(entry) for entry in entries)


def _key_of(entry: object) -> object:
    return entry.get("key") if isinstance(entry, dict) else entry


def _target(place: KeyLocation) -> Path:
    """Return the file to write. Raises `UsageError` for a project's that is a link.

    The user's own may be a link: who keeps such files elsewhere wants that one changed.
    """
    path = place.path or user_file()
    if not path.is_symlink():
        return path
    if not place.trusted:
        raise UsageError(
            f"{place.label} is a link, and a project must not choose which file gets your keys",
            hint="make it a file, or leave out --project to add the key to your own keys file",
        )
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{place.label} is a link that leads nowhere") from error


def _read(path: Path, place: KeyLocation) -> tuple[dict[str, Any], str]:
    """Return what the file says, and its text."""
    faults: list[InputError] = []
    table = toml.read(path, place.label, faults)
    if table is None:
        raise InvalidInputError(faults)
    return table, path.read_bytes().decode()


def _make_folder(folder: Path) -> None:
    """Make the folder of a keys file where it is missing, for the user alone."""
    if folder.is_dir():
        return
    files.make_folder(folder.parent)
    try:
        folder.mkdir(_FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise files.storage_error(error, folder) from error


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes that add keys waiting: each reads what the one before has written."""
    folder = state_folder()
    lock = filelock.FileLock(folder / _LOCK, timeout=_LOCK_SECONDS)
    # Without the folder, or where locks are not known, no other process can be seen.
    with contextlib.suppress(OSError, NotImplementedError, filelock.Timeout):
        folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        # The key is saved by then, and the lock ends with the process.
        with contextlib.suppress(OSError):
            lock.release()
