"""Stores beats that were read from another shape as a clean file, and keeps the old one."""

import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from imagegen import encoding, files
from imagegen.errors import StorageError, UsageError
from imagegen.project.storyboard.build import Part
from imagegen.project.storyboard.load import choose
from imagegen.project.storyboard.names import FIELDS, KEPT
from imagegen.project.storyboard.numbers import as_written
from imagegen.project.storyboard.rows import BeatRow, ParsedFile

_FILE = "beats.json"
_MOST_OLD = 1000


class Written(msgspec.Struct, frozen=True):
    """A file that was written, its rows, and the name under which the old one is kept."""

    file: str
    rows: int
    kept: str | None


def write_clean(
    project: Path, styles: Sequence[str], *, beats: Path | None = None
) -> tuple[Written, ...]:
    """Write the beats of a project as strict JSON, every field that a row has with it.

    One file for all styles becomes `beats.json`; of a folder of a file per style, each that is
    not strict becomes JSON beside it. A file that is already there is copied to another name
    first. What is strict already is left alone. Raises `UsageError` if the beats have errors or
    the disk refuses.
    """
    done = []
    for part in choose(project, styles, beats=beats):
        target = _target(project, part)
        if part.sheet.is_strict and (target.name == Path(part.file).name or not part.shared):
            continue
        if not part.shared and not part.sheet.notes:
            continue
        backup = _keep(target)
        try:
            files.write(target, _encode(part.sheet))
        except StorageError as error:
            raise UsageError(f"{target} is not written: {error.message}") from error
        name = target.relative_to(project).as_posix()
        done.append(Written(name, len(part.sheet.rows), backup))
    return tuple(done)


def _target(project: Path, part: Part) -> Path:
    if part.shared:
        return project / _FILE
    return (project / part.file).with_suffix(".json")


def _keep(target: Path) -> str | None:
    """Copy a file to a free name, and return that name; None if there is no file."""
    if target.is_symlink():
        raise UsageError(f"{target} is a symbolic link, and nothing is written through one")
    data = None
    with contextlib.suppress(FileNotFoundError):
        data = target.read_bytes()
    if data is None:
        return None
    for number in itertools.islice(itertools.count(1), _MOST_OLD):
        middle = "old" if number == 1 else f"old-{number}"
        backup = target.with_name(f"{target.stem}.{middle}{target.suffix}")
        try:
            with backup.open("xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{target} cannot be kept: {error.strerror}") from error
        return backup.name
    raise UsageError(f"there are {_MOST_OLD:,} old copies of {target}: delete some")


def _encode(sheet: ParsedFile) -> bytes:
    rows = [_fields(row, sheet.others.get(at, {})) for at, row in enumerate(sheet.rows, 1) if row]
    return encoding.to_indented_json(rows, indent=2)


def _fields(row: BeatRow, other_fields: dict[str, Any]) -> dict[str, Any]:
    """Return all that a row has, ours first, without what is empty."""
    fields = {name: getattr(row, name) for name in (*FIELDS, *KEPT)}
    if isinstance(row.shot_number, float):
        fields["shot_number"] = as_written(row.shot_number)
    if row.beat_number is not None:
        fields["beat_number"] = as_written(row.beat_number)
    return {name: value for name, value in fields.items() if value is not None} | {
        name: value for name, value in other_fields.items() if value is not None
    }
