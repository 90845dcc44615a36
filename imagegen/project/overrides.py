"""overrides.toml: overrides of single beats, kept with the project.

    ["clear/7/7.3"]
    prompt = "Other words than the storyboard's."
    waived = true

An entry belongs to the row with the prompt `of`, and follows that row if
beat numbers change. Edits leave comments and everything else in the file as they are.
"""

import os
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import files, toml
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.project.file_lock import exclusive
from imagegen.project.layout import ProjectPaths
from imagegen.project.storyboard import BeatAddress

FILE: Final = "overrides.toml"
_HEAD: Final = "# Overrides of single beats, written by imagegen redraw, accept and skip.\n"
_PARTS: Final = 3


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """An image that counts as current although its inputs changed.

    `drawn` is the hash of all that it was drawn from, `now` of what would be sent when it was
    accepted, `words` of the prompt among them.
    """

    drawn: str
    now: str
    words: str


class Override(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    # The names that are on disk.
    rename={"words_hash": "of"},
):
    """The override of one beat.

    `prompt` is sent in place of the row's own; `waived` means that the beat needs no
    image. `of` is the hash of the row's own prompt at that time; without it the entry matches
    by number.
    """

    prompt: str | None = None
    waived: bool = False
    accepted: Accepted | None = None
    words_hash: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether it overrides anything."""
        return bool(self.prompt or self.waived or self.accepted)


def load(root: Path) -> dict[BeatAddress, Override]:
    """Read the overrides of a project; none if there is no file.

    Raises `InvalidInputError` with every error of the file.
    """
    path = root / FILE
    if not os.path.lexists(path):
        return {}
    label = str(path)
    faults: list[InputError] = []
    if path.is_symlink():
        hint = "put the file itself there"
        raise InvalidInputError([InputError(file=label, message="is a symbolic link", hint=hint)])
    overrides = _read(toml.read(path, label, faults) or {}, label, faults)
    if faults:
        raise InvalidInputError(faults)
    return overrides


def _read(
    table: Mapping[str, Any], label: str, faults: list[InputError]
) -> dict[BeatAddress, Override]:
    overrides: dict[BeatAddress, Override] = {}
    for name, value in table.items():
        parts = name.split("/")
        if len(parts) != _PARTS or not all(parts) or not isinstance(value, dict):
            message = "expected a table named by style, shot and beat"
            hint = 'as ["clear/7/7.3"]'
            faults.append(InputError(file=label, field=name[:100], message=message, hint=hint))
            continue
        override = toml.convert(value, Override, label=label, faults=faults, prefix=f"{name}.")
        if override.prompt is not None and (not override.prompt.strip() or "\0" in override.prompt):
            message = "holds a NUL character" if override.prompt.strip() else "is empty"
            faults.append(InputError(file=label, field=f"{name}.prompt", message=message))
        overrides[BeatAddress(*parts)] = override
    return overrides


def render(root: Path, changes: Mapping[BeatAddress, Override | None]) -> bytes:
    """Return the file's content with these entries set, and those that are None taken out.

    An entry that only gets another number keeps what follows it. Raises
    `UsageError` if the file cannot be read, or would be too large.
    """
    from imagegen import toml_edit  # noqa: PLC0415  # slow to import

    path = root / FILE
    text, before = toml_edit.read(path, _HEAD), load(root)
    says = {where: o if o is not None and o.is_set else None for where, o in changes.items()}
    values = {str(w): None if o is None else msgspec.to_builtins(o) for w, o in says.items()}
    names = _find_renames(before, says)
    try:
        try:
            written = toml_edit.edit_tables(text, values, names).encode()
        except toml_edit.TomlEditError:
            if not names:
                raise
            written = toml_edit.edit_tables(text, values, {}).encode()
    except toml_edit.TomlEditError as error:
        hint = "write its entries as tables, with nothing else in the file"
        raise UsageError(f"{path} cannot be changed: {error}", hint=hint) from error
    if len(written) > toml.MAX_BYTES:
        hint = "change the storyboard itself"
        raise UsageError(f"{FILE} would be larger than 4 MiB", hint=hint)
    return written


def _find_renames(
    before: Mapping[BeatAddress, Override], after: Mapping[BeatAddress, Override | None]
) -> dict[str, str]:
    """Return which entries only get another number."""
    waiting: dict[tuple[str, Override], deque[BeatAddress]] = {}
    for was in after:
        if was in before and after[was] != before[was]:
            waiting.setdefault((was.style, before[was]), deque()).append(was)
    names = {}
    for now, override in after.items():
        if override is not None and before.get(now) != override:
            sources = waiting.get((now.style, override))
            if sources:
                names[str(sources.popleft())] = str(now)
    return names


def edit(layout: ProjectPaths, changes: Mapping[BeatAddress, Override | None]) -> None:
    """Set or remove entries. Raises `UsageError` and `StorageError`.

    Waits for other writers of the file; a run may be active.
    """
    if not changes:
        return
    with locked(layout):
        files.write(layout.root / FILE, render(layout.root, changes))


def locked(layout: ProjectPaths) -> AbstractContextManager[None]:
    """Lock the file against other writers. Raises as `exclusive` does."""
    return exclusive(layout, "overrides.lock", FILE)
