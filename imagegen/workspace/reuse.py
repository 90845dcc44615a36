"""Images that were drawn before from the same inputs: reused, as a build cache does.

They are in `old_images/`, among the candidates in `tries/`, or where a failed save put them. An
image's metadata has hashes of its inputs: if all of these equal those of the
request that would be sent, nothing is sent.
"""

import contextlib
import io
import itertools
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.images import formats, png
from imagegen.images.png import Hash, Provenance
from imagegen.project import rescue, steps
from imagegen.project import tries as candidates
from imagegen.project.layout import ProjectPaths, reject_symlink
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.project.storyboard.hashing import words_hash
from imagegen.workspace.plan import EarlierImage, Plan, Planned
from imagegen.workspace.project import Project
from imagegen.workspace.survey import BeatImage, ImageState, counted, inspect_image

_SHOT: Final = re.compile(r"Shot_(.+)")
_BEAT: Final = re.compile(r"Beat_(.+)\.png")
_CANDIDATE: Final = re.compile(r"(.+)_[0-9]+")


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An image that was drawn before: its path, and what it was drawn from."""

    path: Path
    content: int
    origin: Provenance

    @property
    def keys(self) -> set[BeatKey]:
        """The beats that it was drawn for: its own, or the one that it is a candidate for."""
        drawn_for = self.origin.beat
        of = _CANDIDATE.fullmatch(drawn_for)
        return {(self.origin.shot, number) for number in (drawn_for, of[1] if of else drawn_for)}


def reuse(
    project: Project,
    plan: Plan,
    surveyed: Mapping[str, Sequence[BeatImage]],
    *,
    lineage: str,
    now: float,
) -> Plan:
    """Return the plan with images that are taken and not drawn.

    With `--force` only those that the run `lineage` drew itself. `now` is the wall clock's time,
    in seconds. Raises `UsageError` and `StorageError` for what cannot be read.
    """
    folders, rescued = _folders(project.layout), list(rescue.images(project.layout))
    if not plan.to_draw or not (folders or rescued):
        return plan
    words = {
        (style, words_hash(planned.beat.words))
        for style, beats in plan.styles.items()
        for planned in beats
        if planned.draw
    }
    drawn = itertools.chain(_read(rescued), _find(project, folders, words, now))
    catalogue = _Catalogue(drawn, lineage if project.request.force else None)
    if not catalogue:
        return plan
    styles = {
        style: _of_style(project, beats, surveyed[style], catalogue)
        for style, beats in plan.styles.items()
    }
    return msgspec.structs.replace(plan, styles=styles)


def take(project: Project, plan: Plan, old: Path) -> tuple[Plan, int]:
    """Copy the images that a plan reuses to their beats.

    Returns the plan afterwards, and how many were taken. What was there goes to the folder `old`.
    An image that turns out to be damaged is to be drawn after all. Raises `StorageError` and
    `UsageError`.
    """
    styles = {
        style: tuple(
            _place(project, planned, planned.reused, old) if planned.reused else planned
            for planned in beats
        )
        for style, beats in plan.styles.items()
    }
    after = msgspec.structs.replace(plan, styles=styles)
    return after, plan.reused - (after.to_draw - plan.to_draw)


class _Catalogue:
    """The images that may be taken, by their inputs; each serves one beat."""

    def __init__(self, drawn: Iterable[Candidate], run: str | None) -> None:
        self._words: set[tuple[str, str]] = set()
        self._by_inputs: dict[object, deque[Candidate]] = {}
        self._used: set[int] = set()
        for candidate in drawn:
            if run is None or candidate.origin.run == run:
                self._words.add((candidate.origin.style, candidate.origin.words.sha256))
                inputs = _inputs(candidate.origin)
                for place in (inputs, *((inputs, key) for key in candidate.keys)):
                    self._by_inputs.setdefault(place, deque()).append(candidate)

    def __bool__(self) -> bool:
        return bool(self._words)

    def has(self, style: str, words: str) -> bool:
        """Return whether any image was drawn from this prompt."""
        return (style, words) in self._words

    def leave(self, contents: Iterable[int]) -> None:
        """Exclude these images, which are in a beat's place."""
        self._used.update(contents)

    def take(self, beat: Beat, target: Provenance) -> Candidate | None:
        """Return an image of these inputs: of this beat rather than another, then the newest."""
        inputs = _inputs(target)
        for place in ((inputs, beat.key), inputs):
            waiting = self._by_inputs.get(place, deque())
            # Each is skipped once, even if several beats have the same prompt.
            while waiting:
                candidate = waiting.popleft()
                if candidate.content not in self._used:
                    self._used.add(candidate.content)
                    return candidate
        return None


def _inputs(of: Provenance) -> tuple[object, ...]:
    """Return all inputs of a request, chosen or default."""
    return (
        *(of.style, of.words.sha256, _sha256(of.look), _sha256(of.references)),
        *(of.provider, of.model, of.thinking, of.aspect_ratio, of.image_size, of.continues),
    )


def _sha256(of: Hash | None) -> str | None:
    return of.sha256 if of is not None else None


def _of_style(
    project: Project, beats: Sequence[Planned], surveyed: Sequence[BeatImage], catalogue: _Catalogue
) -> tuple[Planned, ...]:
    """Return one style's plan with what is taken. Beats come after those that they continue."""
    before = project.predecessors.get(beats[0].beat.style, {}) if beats else {}
    images = {image.key: image.whole for image in surveyed if image.whole is not None}
    drawn = {planned.beat.key for planned in beats if planned.draw}
    catalogue.leave(whole.pixel_checksum for key, whole in images.items() if key not in drawn)
    contents: dict[BeatKey, int | None] = {
        key: whole.pixel_checksum for key, whole in images.items()
    }
    planned_beats: list[Planned] = []
    for planned in beats:
        key = planned.beat.key
        after = before.get(key)
        if planned.draw and after not in drawn:
            content = contents.get(after) if after is not None else None
            planned = _without_drawing(project, planned, images.get(key), content, catalogue)  # noqa: PLW2901
            if not planned.draw:
                drawn.discard(key)
                if planned.reused is not None:
                    contents[key] = planned.reused.content
        planned_beats.append(planned)
    return tuple(planned_beats)


def _without_drawing(
    project: Project,
    planned: Planned,
    image: png.PngInfo | None,
    continues: int | None,
    catalogue: _Catalogue,
) -> Planned:
    """Return the plan for a beat with a known image; else that it is drawn after all."""
    beat, follows = planned.beat, continues is not None
    if planned.after is not None:
        # The image before it is not drawn after all.
        planned = msgspec.structs.replace(planned, after=None)
    if not follows and not catalogue.has(beat.style, words_hash(beat.words)):
        return planned
    target = msgspec.structs.replace(project.expected(beat), continues=continues)
    origin = image.provenance if follows and image is not None else None
    if origin and not project.request.force and _inputs(origin) == _inputs(target):
        # It was to follow the image before it, which is back.
        return msgspec.structs.replace(planned, draw=False, changed=())
    drawn = catalogue.take(beat, target)
    if drawn is None:
        return planned
    return msgspec.structs.replace(
        planned,
        draw=False,
        reused=EarlierImage(str(drawn.path), drawn.content),
        continues_outdated=False,
    )


def _place(project: Project, planned: Planned, reused: EarlierImage, old: Path) -> Planned:
    """Put an image in a beat's place, or have it drawn if it is not complete."""
    source, beat, layout = Path(reused.path), planned.beat, project.layout
    data = files.read(source, png.MAX_BYTES) or b""
    origin = _origin(data)
    if origin is None:
        return msgspec.structs.replace(planned, draw=True, reused=None)
    now = project.expected(beat)
    provenance = msgspec.structs.replace(
        now, run=origin.run, continues=origin.continues, scaled=origin.scaled
    )
    try:
        created = source.stat().st_mtime
    except OSError as error:
        raise files.unreadable(error, source) from error
    parts = png.replace_metadata(data, provenance, project.composer.texts(beat, created))
    path = layout.picture(*beat.address)
    files.make_folder(path.parent)
    reject_symlink(path.parent)
    if files.exists(path):
        files.archive_copy(path, old / path.relative_to(layout.pictures))
    files.write(path, *parts)
    if not source.is_relative_to(layout.root):
        # It was kept elsewhere because the disk was full.
        with contextlib.suppress(OSError):
            source.unlink()
    return msgspec.structs.replace(planned, found=ImageState.VALID, reused=None, changed=())


def _origin(data: bytes) -> Provenance | None:
    """Return what an image says of its origin, unless it is torn or damaged."""
    whole = png.read_info(io.BytesIO(data))
    if whole is None:
        return None
    try:
        formats.as_png(data)
    except formats.NotAPictureError:
        return None
    return whole.provenance


def _folders(layout: ProjectPaths) -> list[Path]:
    """Return the folders that hold images which were drawn before, the newest first."""
    tries = layout.root / candidates.FOLDER
    folders = [*steps.newest_first(layout), *(tries / name for name in candidates.folders(tries))]
    return sorted(folders, key=lambda folder: folder.name, reverse=True)


def _read(paths: Iterable[Path]) -> Iterator[Candidate]:
    for path in paths:
        _, whole = inspect_image(path)
        if whole is not None and whole.provenance is not None:
            yield Candidate(path, whole.pixel_checksum, whole.provenance)


def _find(
    project: Project, folders: Iterable[Path], words: set[tuple[str, str]], now: float
) -> Iterator[Candidate]:
    """Yield the images that were drawn from this prompt, the newest folder's first."""
    styles = sorted({style for style, _ in words})
    for folder in folders:
        for style in styles:
            for entry in images_in(f"{folder}/{style}"):
                whole = _whole(project, entry, now)
                origin = whole.provenance if whole is not None else None
                if whole and origin and (origin.style, origin.words.sha256) in words:
                    yield Candidate(Path(entry.path), whole.pixel_checksum, origin)


def _whole(project: Project, entry: "os.DirEntry[str]", now: float) -> png.PngInfo | None:
    """Return what a file is; one that the index knows is not opened."""
    try:
        file_stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    relative = project.layout.relative(Path(entry.path))
    whole = project.index.find(relative, file_stat)
    if whole is None:
        _, whole = inspect_image(Path(entry.path))
        if whole is not None:
            project.index.add(relative, file_stat, whole, now)
    return whole


def images_in(style: str) -> Iterator["os.DirEntry[str]"]:
    """Yield the images in a style's folder, shot by shot; links are not followed."""
    if os.path.islink(style):  # noqa: PTH114 - of very many folders much faster than by paths
        return
    for shot in _entries(style, _SHOT):
        if shot.is_dir(follow_symlinks=False):
            pictures = _entries(shot.path, _BEAT)
            yield from (entry for entry in pictures if entry.is_file(follow_symlinks=False))


def _entries(folder: str, name: re.Pattern[str]) -> list["os.DirEntry[str]"]:
    """Return the entries of a folder with such names, in the order of their numbers."""
    try:
        with os.scandir(folder) as entries:
            matches = [entry for entry in entries if name.fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise files.unreadable(error, folder) from error
    return sorted(matches, key=lambda entry: counted(entry.name))
