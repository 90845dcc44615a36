"""Exports images as SVG, and traces only those that changed since the last export."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.export import record, selection
from imagegen.export.folder import folder_of
from imagegen.export.record import ExportRecord, ImageRecord
from imagegen.export.selection import Missing, SourceImage
from imagegen.export.svg import document, workers
from imagegen.export.svg.document import Origin
from imagegen.export.svg.settings import Settings
from imagegen.export.svg.worker import Request
from imagegen.export.svg.workers import Workers
from imagegen.project.file_lock import exclusive
from imagegen.project.layout import reject_symlink
from imagegen.project.selections import copies
from imagegen.project.selections import file as selections
from imagegen.workspace.project import Project

KIND: Final = "svg"
_LOCK: Final = "svg.lock"
LARGE: Final = 2_000_000
"""Bytes beyond which the image is photo-like: too many colours for shapes."""


class Names(StrEnum):
    """What the folder and its files are called."""

    SELECTED = "selected"
    """`selected_svg/Beat_7.3.svg`, `Beat_7.3_flagged.svg`"""
    ORIGINAL = "original"
    """As the pipeline's next step reads them: `finalImageSVG/Beat 7.3.svg`, `Beat 7.3-flag.svg`"""


_FOLDERS: Final = {Names.SELECTED: "selected_svg", Names.ORIGINAL: "finalImageSVG"}
_STYLES_FOLDER: Final = "generated_svg"
"""For the images of whole styles, as generated_images/ has them."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How images are exported.

    `styles` takes all images of these styles instead of the chosen ones. `partial` says that
    only some beats are asked for; the others stay as they are. `fallback` is the style of beats
    without a choice. `typed` are the options of the
    command that do not select, to repeat it.
    """

    settings: Settings = Settings()
    styles: tuple[str, ...] = ()
    partial: bool = False
    fallback: str | None = None
    names: Names = Names.SELECTED
    folder: Path | None = None
    typed: tuple[str, ...] = ()
    seconds: float = workers.SECONDS


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """One SVG. `file` is relative to the folder, `size` in bytes; `traced` says that it is new."""

    image: SourceImage
    file: str
    size: int
    traced: bool


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An image that could not be traced, and why. `slow` says that it took too long."""

    image: SourceImage
    reason: str
    slow: bool = False


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export did. `folder` is absolute.

    `missing` are beats without an image, `removed` files of images that are not chosen any more,
    `kept` files that were edited since and are in old_images/ now.
    """

    folder: Path
    vectors: tuple[Vector, ...]
    failures: tuple[Failure, ...]
    missing: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


class _Target(msgspec.Struct, frozen=True, kw_only=True):
    """An SVG that there should be."""

    file: str
    image: SourceImage
    record: ImageRecord
    origin: Origin


Progress = Callable[[int, int], None]
"""Is called with how many images are done, and of how many."""


def export(project: Project, options: Options, progress: Progress = lambda *_: None) -> Exported:
    """Write the SVGs of a project's chosen images, or of whole styles.

    Raises `UsageError` if there is no image, or if a file that is not from an export would be
    replaced; `StorageError`. If it is interrupted, what was traced stays.
    """
    default = _STYLES_FOLDER if options.styles else _FOLDERS[options.names]
    folder = folder_of(project.layout, options.folder, default)
    with exclusive(project.layout, _LOCK, str(folder)):
        return _Export(project, options, folder).write(progress)


class _Export:
    def __init__(self, project: Project, options: Options, folder: Path) -> None:
        self._project = project
        self._options = options
        self._folder = folder
        self._before = record.read(folder)
        self._images = {
            (image.style if options.styles else "", image.beat): image
            for image in (self._before.images if self._before is not None else ())
        }
        self._files = dict(self._before.files) if self._before is not None else {}
        self._vectors: dict[str, Vector] = {}
        self._failures: list[Failure] = []
        self._archived: list[str] = []

    def write(self, progress: Progress) -> Exported:
        images, missing = self._sources()
        targets = list(self._targets(images))
        foreign = [name for name, _ in images if not self._is_ours(name)]
        record.require_ours(self._folder, foreign, None)
        for folder in {(self._folder / target.file).parent for target in targets}:
            reject_symlink(folder)
            files.make_folder(folder)
            files.remove_stale(folder)
        work = [target for target in targets if not self._is_current(target)]
        for target in work:
            self._images.pop(self._key(target.image), None)
            self._files.setdefault(target.file, "")
        # If this is killed, its files are known to be ours.
        self._write_record()
        try:
            removed = self._remove_others(images)
            self._trace(work, progress)
        finally:
            self._write_record()
        return Exported(
            folder=self._folder,
            vectors=tuple(
                self._vectors[target.file] for target in targets if target.file in self._vectors
            ),
            failures=tuple(self._failures),
            missing=tuple(missing),
            removed=tuple(removed),
            kept=tuple(self._archived),
        )

    def _sources(self) -> tuple[list[tuple[str, SourceImage]], list[str]]:
        """Return the images with the names of their SVGs, and the beats without an image."""
        missing: list[str]
        if not self._options.styles:
            beats = selection.select(self._project, Missing.SKIP, self._options.fallback)
            chosen = [beat.image for beat in beats if beat.image is not None]
            missing = [str(beat.beat) for beat in beats if beat.image is None]
            return [(self._name(image), image) for image in chosen], missing
        images: list[tuple[str, SourceImage]] = []
        missing = []
        layout = self._project.layout
        for row in self._project.selected_beats():
            path = layout.picture(*row.address)
            if not copies.is_file(str(path)):
                missing.append(str(row.address))
                continue
            image = SourceImage(
                beat=self._project.beat_index.id_of(row.key),
                style=row.style,
                flagged=False,
                path=path,
                name=path.stem,
            )
            inside = path.relative_to(layout.style_folder(row.style)).with_suffix(".svg")
            images.append((f"{row.style}/{inside.as_posix()}", image))
        if not images:
            raise UsageError(f"{layout.name}: no image is drawn of what was asked for")
        return images, missing

    def _name(self, image: SourceImage) -> str:
        if self._options.names is Names.SELECTED:
            return f"{image.name}.svg"
        plain = Path(selections.file_of(image.beat) or f"{image.name}.png").stem
        flag = "-flag" if image.flagged else ""
        return f"Beat {plain.removeprefix('Beat_')}{flag}.svg"

    def _targets(self, images: Iterable[tuple[str, SourceImage]]) -> Iterator[_Target]:
        records = record.by_path(self._before)
        settings = self._options.settings.as_metadata()
        for name, image in images:
            try:
                made_from = record.image_record(self._project, image, records)
            except UsageError as error:
                self._failures.append(Failure(image=image, reason=error.message))
                continue
            origin = Origin(
                beat=image.beat,
                style=image.style,
                source_sha256=made_from.sha256,
                settings=settings,
            )
            yield _Target(file=name, image=image, record=made_from, origin=origin)

    def _key(self, image: SourceImage) -> tuple[str, str]:
        return (image.style if self._options.styles else "", image.beat)

    def _is_ours(self, name: str) -> bool:
        """Return whether a file may be replaced: if the record is lost, its origin shows that."""
        return name in self._files or document.origin_of(self._folder / name) is not None

    def _is_current(self, target: _Target) -> bool:
        """Return whether an SVG is of its image; edited since or not."""
        path = self._folder / target.file
        key = target.origin.key()
        known_key, _, sha256 = self._files.get(target.file, "").rpartition(" ")
        if known_key != key or not copies.is_file(str(path)):
            if document.origin_of(path) != key:
                return False
            sha256 = self._sha256(path) or ""
        self._done(target, sha256, path.stat().st_size, traced=False)
        return True

    def _done(self, target: _Target, sha256: str, size: int, *, traced: bool) -> None:
        self._files[target.file] = f"{target.origin.key()} {sha256}"
        self._images[self._key(target.image)] = target.record
        self._vectors[target.file] = Vector(
            image=target.image, file=target.file, size=size, traced=traced
        )

    def _trace(self, work: Sequence[_Target], progress: Progress) -> None:
        targets = {os.fsencode(target.image.path): target for target in work}
        requests = [
            Request(
                path=path,
                origin=target.origin,
                settings=self._options.settings,
                seconds=self._options.seconds,
            )
            for path, target in targets.items()
        ]
        if not work:
            return
        progress(0, len(work))
        with Workers(min(len(work), os.cpu_count() or 1)) as pool:
            for done, (request, svg) in enumerate(pool.trace(requests), 1):
                target = targets[request.path]
                if isinstance(svg, bytes):
                    self._put(target, svg)
                else:
                    slow = isinstance(svg, workers.TimeLimitError)
                    failure = Failure(image=target.image, reason=str(svg), slow=slow)
                    self._failures.append(failure)
                progress(done, len(work))

    def _put(self, target: _Target, svg: bytes) -> None:
        self._keep_edited(target.file)
        files.write(self._folder / target.file, svg)
        self._done(target, copies.sha256(svg), len(svg), traced=True)

    def _remove_others(self, images: Sequence[tuple[str, SourceImage]]) -> list[str]:
        """Remove the files of images that are not among the exported ones any more."""
        exported = {name for name, _ in images}
        removed = [name for name in self._files if name not in exported]
        if self._options.styles:
            removed = [name for name in removed if name.split("/")[0] in self._options.styles]
        if self._options.partial:
            keys = {self._key(image) for _, image in images}
            removed = [name for name in removed if self._made_of(name) in keys]
        for name in removed:
            self._keep_edited(name)
            (self._folder / name).unlink(missing_ok=True)
            del self._files[name]
        left = {self._made_of(name) for name in self._files}
        self._images = {key: image for key, image in self._images.items() if key in left}
        return removed

    def _made_of(self, name: str) -> tuple[str, str] | None:
        """Return the key of the image that a file was made of; None after an export was killed."""
        try:
            origin = msgspec.json.decode(self._files[name].rpartition(" ")[0], type=Origin)
        except msgspec.MsgspecError:
            return None
        return (origin.style if self._options.styles else "", origin.beat)

    def _keep_edited(self, name: str) -> None:
        """Move a file to old_images/ if it is not as it was written."""
        path = self._folder / name
        sha256 = self._files.get(name, "").rpartition(" ")[2]
        if sha256 and self._sha256(path) not in {None, sha256}:
            files.move(path, self._project.layout.archive_dir / self._folder.name / name)
            self._archived.append(name)

    @staticmethod
    def _sha256(path: Path) -> str | None:
        data = files.read_cached(path, document.MAX_BYTES)
        return copies.sha256(data) if data is not None else None

    def _write_record(self) -> None:
        options, before = self._options, self._before
        follows = not options.styles and (
            not options.partial or (before is not None and before.follows_choices)
        )
        styles = sorted({name.split("/")[0] for name in self._files}) if options.styles else []
        command_options = (
            *(part for style in styles for part in ("--style", style)),
            *options.typed,
        )
        record.write(
            self._folder,
            ExportRecord(
                kind=KIND,
                follows_choices=follows,
                fallback=options.fallback,
                options=command_options,
                settings=msgspec.to_builtins(options.settings),
                images=tuple(self._images.values()),
                files=self._files,
            ),
        )
