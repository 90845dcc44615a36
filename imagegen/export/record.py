"""The record of an export: from which images and settings it was made.

It is `.imagegen-export.json` in the folder of the export. By it a second export redoes only
what changed, `status` knows exports that are older than the choices, and no file is replaced
that another program wrote.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import encoding, files
from imagegen.errors import UsageError
from imagegen.export.selection import SourceImage, source_images
from imagegen.images import png
from imagegen.project.selections import copies as selected
from imagegen.review.status import ExportStatus
from imagegen.workspace.project import Project

FILE: Final = ".imagegen-export.json"
_MAX_BYTES: Final = 64 * 1024 * 1024
_MOST_FOLDERS: Final = 1000


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The image that an export used for a beat.

    `path` is relative to the project if the image is inside. `size` is in bytes, `modified` in
    nanoseconds since 1970: as long as both stay, the image is not read again.
    """

    beat: str
    style: str
    flagged: bool
    path: str
    size: int
    modified: int
    sha256: str


class ExportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What an export was made from.

    `follows_choices` says that it has the chosen images of all beats: a beat that was chosen
    later is missing in it. `fallback` is the style of beats without a choice. `options` are those
    of the command, to make it again; `settings` are the kind's own, as JSON. `files` are the
    files it wrote, relative to its folder with `/`, each with what the kind needs to know
    whether it is up to date. `output` is what the export is, if that is not its folder: a path
    in the project, or an absolute one.
    """

    schema: int = 1
    kind: str
    follows_choices: bool = True
    fallback: str | None = None
    options: tuple[str, ...] = ()
    output: str | None = None
    settings: dict[str, Any] = {}  # copied by msgspec
    images: tuple[ImageRecord, ...] = ()
    files: dict[str, str] = {}


def read(folder: Path) -> ExportRecord | None:
    """Return the record in a folder; None if there is none, or not a readable one."""
    data = files.read(folder / FILE, _MAX_BYTES)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=ExportRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def write(folder: Path, record: ExportRecord) -> None:
    """Write the record of an export. Raises `StorageError`."""
    files.write(folder / FILE, encoding.to_indented_json(record))


def image_records(
    project: Project, images: Iterable[SourceImage], before: ExportRecord | None
) -> dict[str, ImageRecord]:
    """Return the records of images by their beats; raises as `image_record` does."""
    records = by_path(before)
    return {image.beat: image_record(project, image, records) for image in images}


def by_path(record: ExportRecord | None) -> dict[str, ImageRecord]:
    """Return the images of a record by their paths, for `image_record`."""
    return {image.path: image for image in record.images} if record is not None else {}


def image_record(
    project: Project, image: SourceImage, records: Mapping[str, ImageRecord]
) -> ImageRecord:
    """Return the record of an image; it is read unless `records` has it with this size and time.

    Raises `UsageError` if it cannot be read.
    """
    path = _relative_path(project, image.path)
    try:
        status = image.path.stat()
    except OSError as error:
        raise UsageError(f"{image.path} cannot be read: {error.strerror}") from error
    before = records.get(path)
    if before is not None and (before.size, before.modified) == (
        status.st_size,
        status.st_mtime_ns,
    ):
        sha256 = before.sha256
    else:
        data = files.read(image.path, png.MAX_BYTES)
        if data is None:
            raise UsageError(f"{image.path} cannot be read, or is too large")
        sha256 = selected.sha256(data)
    return ImageRecord(
        beat=image.beat,
        style=image.style,
        flagged=image.flagged,
        path=path,
        size=status.st_size,
        modified=status.st_mtime_ns,
        sha256=sha256,
    )


def require_ours(folder: Path, names: Iterable[str], record: ExportRecord | None) -> None:
    """Raise `UsageError` if a file that would be written is there and not from an export."""
    ours = set(record.files) if record is not None else set()
    for name in names:
        path = folder / name
        if name not in ours and os.path.lexists(path):
            raise UsageError(
                f"{path} is not from an export of imagegen, and is left as it is",
                hint="move it away, or write elsewhere with --output",
            )


def outdated(project: Project, record: ExportRecord) -> list[str]:
    """Return the beats whose image is another one than when the export was made.

    Raises `UsageError` if image_selections.json cannot be read.
    """
    records = by_path(record)
    if not record.follows_choices:
        return list(dict.fromkeys(i.beat for i in record.images if not _is_same(project, i)))
    exported = {image.beat: image for image in record.images}
    current = {image.beat: image for image in source_images(project, record.fallback)}
    changed = {
        beat
        for beat, image in current.items()
        if beat not in exported or not _is_same_choice(project, image, exported[beat], records)
    }
    removed = [beat for beat in exported if beat not in current]
    return [*(beat for beat in current if beat in changed), *removed]


def _is_same_choice(
    project: Project, image: SourceImage, before: ImageRecord, records: Mapping[str, ImageRecord]
) -> bool:
    if (image.style, image.flagged) != (before.style, before.flagged):
        return False
    try:
        return image_record(project, image, records).sha256 == before.sha256
    except UsageError:
        return False


def _is_same(project: Project, image: ImageRecord) -> bool:
    path = project.layout.root / image.path
    try:
        status = path.lstat()
    except OSError:
        return False
    if (status.st_size, status.st_mtime_ns) == (image.size, image.modified):
        return True
    data = files.read(path, png.MAX_BYTES)
    return data is not None and selected.sha256(data) == image.sha256


def standings(project: Project) -> tuple[ExportStatus, ...]:
    """Return the exports in a project's own folders and in `.imagegen`, and what changed since.

    Raises `UsageError` if image_selections.json cannot be read.
    """
    return tuple(
        ExportStatus(
            kind=record.kind,
            folder=record.output or project.layout.relative(folder),
            outdated=tuple(outdated(project, record)),
            options=record.options,
        )
        for parent in (project.layout.root, project.layout.state_dir)
        for folder in _folders(parent)
        if (record := read(folder)) is not None
    )


def _folders(parent: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(parent))[:_MOST_FOLDERS]  # noqa: PTH208  # names alone
    except OSError:
        return []
    return [parent / name for name in names if _is_folder(parent / name)]


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _relative_path(project: Project, path: Path) -> str:
    root = project.layout.root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
