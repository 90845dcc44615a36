"""`media/`: the images and recordings of a timeline, under names that every system takes."""

import contextlib
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.export import record
from imagegen.export.record import ImageRecord
from imagegen.export.selection import SourceImage
from imagegen.export.timeline.voiceover import Recording
from imagegen.images import formats, png
from imagegen.project.selections import copies as selected
from imagegen.project.selections import file as selections
from imagegen.workspace.project import Project

FOLDER: Final = "media"
SVG_FOLDER: Final = "selected_svg"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_HASH_DIGITS: Final = 8
_PART_BYTES: Final = 1024 * 1024


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file that belongs into `media/` under a name. `sha256` is known for images.

    `width` and `height` are in pixels. `data` is what is written if that is not the file itself,
    `links` says that it may be a hard link.
    """

    path: Path
    name: str
    sha256: str = ""
    width: int = 0
    height: int = 0
    data: bytes | None = None
    links: bool = False

    @property
    def file(self) -> str:
        """Where it belongs, relative to the export's folder."""
        return f"{FOLDER}/{self.name}"


def images(
    project: Project,
    sources: Iterable[SourceImage],
    records: Mapping[str, ImageRecord],
    *,
    svg: bool,
) -> tuple[dict[str, Source], list[str]]:
    """Return what each beat's image becomes, and the beats that have no current SVG.

    `records` are those of the images, by beat. Raises `UsageError` for a file that is not an
    image.
    """
    vectors = _vectors(project) if svg else None
    by_beat: dict[str, Source] = {}
    lacking: list[str] = []
    for image in sources:
        name = _stem(image)
        source = _image(image, name, records[image.beat].sha256)
        if vectors is not None:
            vector = vectors.of(image, records[image.beat].sha256)
            if vector is None:
                lacking.append(image.beat)
            else:
                source = msgspec.structs.replace(
                    source, path=vector, name=f"{name}.svg", data=None, links=True
                )
        by_beat[image.beat] = source
    return by_beat, lacking


def recordings(narration: Iterable[Recording]) -> list[Source]:
    """Return what the recordings become."""
    return [
        Source(path=recording.path, name=f"narration_{recording.number:03d}_voice.wav", links=False)
        for recording in narration
    ]


def _stem(image: SourceImage) -> str:
    """Return a name in ASCII, without a number at its end: editors take those for sequences.

    It says nothing of the style or the flag: if another image is chosen, it takes the place of
    the one that the editor has. Names that lose characters get a part of their hash instead.
    """
    plain = image.name.removesuffix("_flagged") if image.flagged else image.name
    letters = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    letters = _UNSAFE.sub("_", letters).strip("._-")
    if letters != plain:
        letters = f"{letters}-{selected.sha256(plain.encode())[:_HASH_DIGITS]}"
    return f"{letters}_still"


def _image(image: SourceImage, name: str, sha256: str) -> Source:
    path = image.path
    try:
        with path.open("rb", buffering=0) as file:
            whole = png.read_info(file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    data = None
    if whole is None:
        # Another tool may have saved a JPEG as .png, which no editor would open.
        try:
            data = formats.as_png(files.read(path, png.MAX_BYTES) or b"")
        except formats.NotAPictureError as error:
            raise UsageError(f"{path} is not an image: {error}") from error
        whole = png.read_info(io.BytesIO(data))
    width, height = (whole.width, whole.height) if whole is not None else (1, 1)
    return Source(
        path=path,
        name=f"{name}.png",
        sha256=sha256,
        width=width,
        height=height,
        data=data,
        # A program that writes into a file would change the image that was drawn.
        links=path.parent.name == selections.FOLDER,
    )


class _Vectors:
    """The SVGs of chosen images, as far as they are of the images that are chosen now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        made = record.read(folder)
        self._traced = (
            {image.beat: image.sha256 for image in made.images} if made is not None else None
        )

    def of(self, image: SourceImage, sha256: str) -> Path | None:
        path = self._folder / f"{image.name}.svg"
        is_current = self._traced is None or self._traced.get(image.beat) == sha256
        return path if is_current and selected.is_file(str(path)) else None


def _vectors(project: Project) -> _Vectors:
    return _Vectors(project.layout.root / SVG_FOLDER)


def place(folder: Path, source: Source, made_from: Mapping[str, str]) -> bool:
    """Put a file into `media/` unless it is there; returns whether it was written.

    `made_from` is what the last export wrote: what each of its files was made from. Raises
    `StorageError`, and `UsageError` if the source cannot be read.
    """
    target = folder / source.file
    if is_current(target, source, made_from):
        return False
    if source.data is not None:
        files.write(target, source.data)
        return True
    if source.links and _link(source.path, target):
        return True
    files.write_parts(target, _parts(source.path))
    # By size and time it is known to be the same the next time.
    with contextlib.suppress(OSError):
        status = source.path.stat()
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def _parts(path: Path) -> Iterator[bytes]:
    """Yield a file's content: a long recording is not in memory as a whole."""
    try:
        with path.open("rb") as file:
            while part := file.read(_PART_BYTES):
                yield part
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def is_current(target: Path, source: Source, made_from: Mapping[str, str]) -> bool:
    """Return whether a file in `media/` is what its source would become."""
    if source.data is not None:
        return made_from.get(source.file) == source.sha256 and selected.is_file(str(target))
    return selected.same_file_stat(target, source.path)


def _link(source: Path, target: Path) -> bool:
    """Make a hard link in one step; returns whether the disk can do that."""
    temporary = target.with_name(f"{files.TEMP_PREFIX}{os.urandom(6).hex()}.tmp")
    try:
        os.link(source, temporary, follow_symlinks=False)
    except (OSError, NotImplementedError):
        return False
    try:
        files.replace(temporary, target)
    except OSError as error:
        raise files.storage_error(error, target) from error
    finally:
        # Left over if both are names of one file already.
        with contextlib.suppress(OSError):
            temporary.unlink()
    return True
