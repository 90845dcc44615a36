"""Copies of one project, in which several machines drew: what each has that the project lacks.

What an image was drawn from decides which beat it is of, and its pixels decide whether two images
are one. Nothing in a copy is written, and no link in it is followed.
"""

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import Exit, RunActiveError, StorageError, UsageError
from imagegen.images import png
from imagegen.project import record, settings, steps
from imagegen.project.beat_ids import BeatId
from imagegen.project.layout import PICTURES, ProjectPaths, reject_symlink
from imagegen.project.selections import copies as selected
from imagegen.project.selections import file as selections
from imagegen.project.selections.file import FILE, FOLDER, Choice, Selections
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.project.storyboard.hashing import words_hash
from imagegen.shell import project_command
from imagegen.workspace.outdated import Reason
from imagegen.workspace.project import Project
from imagegen.workspace.reuse import images_in
from imagegen.workspace.survey import (
    THERE,
    BeatImage,
    ImageState,
    OrphanImage,
    Survey,
    inspect_image,
)

_JOURNAL: Final = re.compile(r"[0-9A-Za-z-]{1,64}\.jsonl")
_MAX_JOURNAL: Final = 256 * 1024 * 1024
_Pixels = tuple[int, int, int]


class LeftReason(StrEnum):
    """Why something of a copy is not brought in."""

    OTHER_PROMPT = "drawn from another prompt than the storyboard's"
    NO_BEAT = "no beat of the storyboard"
    NO_STYLE = "a style that the project does not draw"
    DAMAGED = "not a whole image"
    ELSEWHERE = "on a cloud drive, not on this machine"
    JOURNAL = "differs from the project's journal of this run, or is too large"
    CHOICE = "not a choice of one beat of the storyboard"


class LeftFile(msgspec.Struct, frozen=True):
    """A file, or an entry of image_selections.json, that stays in its copy, and why."""

    copy: str
    name: str
    reason: LeftReason


class MergedImage(msgspec.Struct, frozen=True):
    """An image that a copy has. With `replaces` the copy redrew the project's image of the beat."""

    copy: str
    style: str
    shot_number: str
    beat_number: str
    image_path: str = msgspec.field(name="imagePath")
    replaces: bool = False


class ImageConflict(msgspec.Struct, frozen=True):
    """A beat with different images in two copies: the one of `kept` stays, that of `copy` is left.

    `kept` is the project itself, or the copy whose image was brought in.
    """

    copy: str
    kept: str
    style: str
    shot_number: str
    beat_number: str
    image_path: str = msgspec.field(name="imagePath")


class MergedChoice(msgspec.Struct, frozen=True):
    """A choice of a copy that counts, since nothing else is chosen or since it is later."""

    copy: str
    beat: BeatId
    style: str
    flagged: bool = msgspec.field(name="isFlagged")


class ChoiceConflict(msgspec.Struct, frozen=True):
    """A beat with different choices in two copies: the later one counts, which is of `kept`."""

    copy: str
    kept: str
    beat: BeatId
    style: str
    kept_style: str


class ChosenElsewhere(msgspec.Struct, frozen=True):
    """A choice that counts, of an image in a copy; the project has another image of the beat."""

    copy: str
    beat: BeatId
    style: str
    image_path: str = msgspec.field(name="imagePath")


class MergePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is brought into a project from its copies.

    `same` counts images that a copy has and the project too. `journals` are file names.
    """

    schema: int = 1
    project: str
    copies: tuple[str, ...]
    dry_run: bool
    images: tuple[MergedImage, ...]
    same: int
    conflicts: tuple[ImageConflict, ...]
    choices: tuple[MergedChoice, ...]
    choice_conflicts: tuple[ChoiceConflict, ...]
    chosen_elsewhere: tuple[ChosenElsewhere, ...]
    journals: tuple[str, ...]
    left: tuple[LeftFile, ...]

    @property
    def exit_code(self) -> Exit:
        """1 if a person must decide something, else 0."""
        undecided = self.conflicts or self.chosen_elsewhere or self.left
        return Exit.BEATS_IN_ERROR if undecided else Exit.OK


class ProjectCopy:
    """A copy of a project, or the project itself; `name` is its folder as it was typed."""

    def __init__(self, project: Project, layout: ProjectPaths, name: str, now: float) -> None:
        self.name = name
        self.layout = layout
        self._project = project
        self._now = now
        self._replaced: dict[str, set[int]] = {}
        self.moved_from: set[tuple[str, BeatKey]] = set()
        """Style and place of images that belong to a beat of another number."""
        self.without_beat: list[str] = []
        """Paths of images whose place belongs to another image."""

    @cached_property
    def survey(self) -> Survey:
        """Its images, by the project's storyboard. Raises `UsageError` for a link."""
        return self._project.survey_copy(self.layout, self._now)

    def images(self, style: str) -> Iterator[tuple[BeatImage, str]]:
        """Yield each beat of a style with its image here, and where that is.

        Beats may have other numbers here: an image belongs to the beat that has its prompt.
        """
        beats, orphans = self.survey.beats[style], self.survey.strays.get(style, ())
        by_key: dict[BeatKey, BeatImage | OrphanImage] = {i.key: i for i in (*beats, *orphans)}
        sources = {to: source for source, to in self.survey.moves.get(style, {}).items()}
        moved_away = set(sources.values())
        for image in beats:
            source = sources.get(image.key)
            moved = by_key[source] if source is not None else None
            if source is not None and moved is not None and _has_prompt(moved, image.beat):
                origin = moved.provenance
                sketch = origin is not None and origin.provider in self._project.placeholders
                placed = BeatImage(image.beat, moved.found, moved.whole, placeholder=sketch)
                self.moved_from.add((style, source))
                if image.found is not ImageState.NOTHING and image.key not in moved_away:
                    path = self._project.layout.shown_picture(style, *image.key)
                    self.without_beat.append(path)
                yield placed, self._project.layout.shown_picture(style, *source)
                continue
            path = self._project.layout.shown_picture(style, *image.key)
            if image.key in moved_away and not _has_prompt(image, image.beat):
                yield BeatImage(image.beat, ImageState.NOTHING), path
            else:
                yield image, path

    def has_replaced(self, style: str, pixels: _Pixels) -> bool:
        """Return whether this copy replaced an image: it is in its old_images/."""
        if style not in self._replaced:
            folders = steps.newest_first(self.layout)
            infos = (
                inspect_image(Path(entry.path))[1]
                for folder in folders
                for entry in images_in(f"{folder}/{style}")
            )
            self._replaced[style] = {whole.pixel_checksum for whole in infos if whole is not None}
        return pixels[-1] in self._replaced[style]

    def journals(self) -> list[str]:
        """Return the names of its journals."""
        names = selections.names_in(self.layout.journals)
        return sorted(name for name in names if _JOURNAL.fullmatch(name))

    def journal(self, name: str) -> bytes | None:
        """Return a journal; None if there is none, or none of a size that is read."""
        return files.read(self.layout.journals / name, _MAX_JOURNAL)


def open_copy(project: Project, root: Path, now: float) -> ProjectCopy:
    """Open another copy of a project to be read.

    Raises `UsageError` if it is no other folder or a step in it is half done, and
    `RunActiveError` while a run draws in it.
    """
    layout = ProjectPaths(root)
    if layout.root == project.layout.root:
        raise UsageError(f"{root} is the project itself", hint="name other copies of it")
    parts = (project.storyboard.source, settings.FILE, FILE)
    if not any(path.exists() for path in (*map(layout.root.joinpath, parts), layout.pictures)):
        raise UsageError(
            f"{root} is not a copy of {project.layout.name}",
            hint=f"it has neither {project.storyboard.source} nor {PICTURES}/",
        )
    if record.is_active(layout):
        hint = f"wait for it, or end it: {project_command('stop', root)}"
        raise RunActiveError(f"a run is active on {root}", hint=hint)
    if steps.unfinished(layout):
        hint = f"to finish that: {project_command('status', root)}"
        raise UsageError(f"{root}: images are half moved since a crash", hint=hint)
    for folder in (layout.root / FOLDER, layout.journals):
        reject_symlink(folder)
    return ProjectCopy(project, layout, str(root), now)


class _Held(msgspec.Struct, frozen=True):
    """The image that a beat has so far, and the copy that it is of; `path` is where it is there."""

    copy: ProjectCopy
    one: BeatImage
    path: str
    pixels: _Pixels | None


class ImageSource(msgspec.Struct, frozen=True):
    """An image that comes from a copy: its path there, and the checksum of its pixels."""

    copy: ProjectCopy
    path: str
    checksum: int | None

    @property
    def file(self) -> Path:
        """The file in the copy."""
        return self.copy.layout.root / self.path

    def read(self) -> bytes:
        """Return the image as PNG. Raises `StorageError` if it is another by now."""
        path = self.file
        data = selected.read_image(path)
        whole = png.read_info(io.BytesIO(data)) if data is not None else None
        if data is None or whole is None or whole.pixel_checksum != self.checksum:
            raise StorageError(f"{path} has changed meanwhile", hint="try again")
        return data


class ChoiceSource(msgspec.Struct, frozen=True):
    """A choice, its entry, and the copy that it is of; `key` is the entry's name there.

    `image` is the file of the chosen image; None if the copy has it no more.
    """

    copy: ProjectCopy
    key: str
    choice: Choice
    entry: Mapping[str, object]
    image: Path | None = None


class Merge:
    """Compares a project with its copies. `own` is the project itself as one of them.

    Afterwards `images` has by path the image that comes there, `choices` by beat the choice that
    counts from now on, `journals` by name which copy's comes, and `plan` all of it for people.
    """

    def __init__(
        self, project: Project, target: ProjectCopy, copies: Sequence[ProjectCopy], *, dry_run: bool
    ) -> None:
        self._project = project
        self._copies = copies
        self._same = 0
        self._conflicts: list[ImageConflict] = []
        self._choice_conflicts: list[ChoiceConflict] = []
        self._left: list[LeftFile] = []
        self.images: dict[str, ImageSource] = {}
        self.choices: dict[BeatId, ChoiceSource] = {}
        self.journals: dict[str, ProjectCopy] = {}
        merged = list(self._compare_images(target))
        self._compare_choices(target)
        elsewhere = list(self._find_chosen_images())
        self._compare_journals(target)
        for copy in copies:
            self._left += _unknown(project, copy)
        self.plan = MergePlan(
            project=project.layout.name,
            copies=tuple(copy.name for copy in copies),
            dry_run=dry_run,
            images=tuple(merged),
            same=self._same,
            conflicts=tuple(self._conflicts),
            choices=tuple(
                MergedChoice(source.copy.name, beat, source.choice.style, source.choice.flagged)
                for beat, source in self.choices.items()
            ),
            choice_conflicts=tuple(self._choice_conflicts),
            chosen_elsewhere=tuple(elsewhere),
            journals=tuple(sorted(self.journals)),
            left=tuple(self._left),
        )

    def _compare_images(self, target: ProjectCopy) -> Iterator[MergedImage]:
        for style, beat_images in target.survey.beats.items():
            other_images = [(copy, list(copy.images(style))) for copy in self._copies]
            for at, image in enumerate(beat_images):
                path = self._path(image)
                pixels = _pixels(target, image, path) if image.found in THERE else None
                first = best = _Held(target, image, path, pixels) if image.found in THERE else None
                for copy, images in other_images:
                    best = self._better(best, copy, *images[at])
                if best is None or best is first:
                    continue
                checksum = best.pixels[-1] if best.pixels is not None else None
                self.images[path] = ImageSource(best.copy, best.path, checksum)
                yield MergedImage(
                    best.copy.name, style, *image.key, image_path=path, replaces=first is not None
                )

    def _better(
        self, best: _Held | None, copy: ProjectCopy, image: BeatImage, path: str
    ) -> _Held | None:
        """Return the image that a beat gets: the one that it has, or that of a further copy."""
        if image.found is ImageState.NOTHING:
            return best
        if best is not None and best.one.found is ImageState.ELSEWHERE:
            # What it shows is not known here.
            return best
        reason = _why_left(image)
        pixels = _pixels(copy, image, path) if reason is None else None
        if reason is None and best is not None and pixels == best.pixels:
            self._same += 1
            return best
        if best is not None and image.placeholder and not best.one.placeholder:
            # A sketch beside the image.
            return best
        if reason is None and selected.read_image(copy.layout.root / path) is None:
            reason = LeftReason.DAMAGED
        if reason is not None:
            self._left.append(LeftFile(copy.name, path, reason))
            return best
        further = _Held(copy, image, path, pixels)
        if best is None or _is_better(further, best):
            return further
        if not _is_better(best, further):
            where = (image.beat.style, *image.key, path)
            self._conflicts.append(ImageConflict(copy.name, best.copy.name, *where))
        return best

    def _path(self, image: BeatImage) -> str:
        return self._project.layout.shown_picture(image.beat.style, *image.key)

    def _compare_choices(self, target: ProjectCopy) -> None:
        counting = self._choices_in(target)
        for copy in self._copies:
            for beat, further in self._choices_in(copy).items():
                before = counting.get(beat)
                if before is None or self._is_later(beat, further, before):
                    counting[beat] = self.choices[beat] = further

    def _find_chosen_images(self) -> Iterator[ChosenElsewhere]:
        """Find the image of each choice that counts; yield those that stay in their copy.

        The same image may be drawn twice: then the project's file counts.
        """
        for beat, source in self.choices.items():
            chosen, choice = _chosen_image(self._project, beat, source), source.choice
            place = self._place(beat, choice.style)
            if chosen is not None and place is not None:
                incoming = self.images.get(place)
                here = incoming.file if incoming is not None else self._project.layout.root / place
                data, chosen_data = selected.read_image(here), selected.read_image(chosen)
                if data is not None and chosen_data is not None and data != chosen_data:
                    if _checksum(data) == _checksum(chosen_data):
                        chosen = here
                        choice = msgspec.structs.replace(choice, sha256=selected.sha256(data))
                    elif incoming is None or incoming.copy is not source.copy:
                        path = source.copy.layout.relative(chosen)
                        yield ChosenElsewhere(source.copy.name, beat, choice.style, path)
            self.choices[beat] = msgspec.structs.replace(source, choice=choice, image=chosen)

    def _place(self, beat: BeatId, style: str) -> str | None:
        """Return the path of a beat's image of a style; None if the style has no such beat."""
        key = self._project.beat_index.key(beat, style)
        if key is None or style not in self._project.beats:
            return None
        return self._project.layout.shown_picture(style, *key)

    def _choices_in(self, copy: ProjectCopy) -> dict[BeatId, ChoiceSource]:
        """Return what is chosen in a copy, and note the entries that are of no beat."""
        entries = selections.read(copy.layout.root)
        matched = Selections(entries, self._project.beat_index)
        if copy in self._copies:
            for name in entries:
                if len(matched.beats.get(name, ())) != 1:
                    self._left.append(LeftFile(copy.name, name, LeftReason.CHOICE))
        return {
            beat: ChoiceSource(copy, key, matched.choices[key], entries[key])
            for beat, key in matched.counting().items()
        }

    def _is_later(self, beat: BeatId, further: ChoiceSource, before: ChoiceSource) -> bool:
        """Return whether the further of two choices of a beat counts, and note if they differ."""
        new, old = further.choice, before.choice
        if (new.style, new.flagged, new.sha256) == (old.style, old.flagged, old.sha256):
            return False
        later = new.time > old.time
        counting, other = (further, before) if later else (before, further)
        self._choice_conflicts.append(
            ChoiceConflict(
                *(
                    other.copy.name,
                    counting.copy.name,
                    beat,
                    other.choice.style,
                    counting.choice.style,
                )
            )
        )
        return later

    def _compare_journals(self, target: ProjectCopy) -> None:
        for copy in self._copies:
            for name in copy.journals():
                before = self.journals.get(name, target).journal(name)
                further = copy.journal(name)
                if further is None or (before is None and name in target.journals()):
                    self._left.append(LeftFile(copy.name, name, LeftReason.JOURNAL))
                elif before is None or (further != before and further.startswith(before)):
                    # The run went on after the project was copied: events are only added.
                    self.journals[name] = copy
                elif not before.startswith(further):
                    self._left.append(LeftFile(copy.name, name, LeftReason.JOURNAL))


def _why_left(image: BeatImage) -> LeftReason | None:
    """Return why a copy's image cannot be a beat's."""
    if image.found is ImageState.INVALID:
        return LeftReason.DAMAGED
    if image.found is ImageState.ELSEWHERE:
        return LeftReason.ELSEWHERE
    return None if _is_of_beat(image) else LeftReason.OTHER_PROMPT


def _is_of_beat(image: BeatImage) -> bool:
    """Return whether an image was drawn from the beat's prompt, or accepted, or does not say."""
    origin = image.provenance
    if origin is None or origin.words.sha256 == words_hash(image.beat.words):
        return True
    return not image.placeholder and Reason.WORDS not in image.changed


def _is_better(candidate: _Held, other: _Held) -> bool:
    """Return whether an image is newer than another of its beat, as far as that is known."""
    if candidate.one.placeholder != other.one.placeholder:
        return other.one.placeholder
    of_beat = _is_of_beat(candidate.one)
    if of_beat != _is_of_beat(other.one):
        return of_beat
    return _has_replaced(candidate, other) and not _has_replaced(other, candidate)


def _has_replaced(candidate: _Held, other: _Held) -> bool:
    """Return whether the copy of an image had the other one before: it is in its old_images/."""
    pixels = other.pixels
    return pixels is not None and candidate.copy.has_replaced(candidate.one.beat.style, pixels)


def _has_prompt(image: BeatImage | OrphanImage, beat: Beat) -> bool:
    """Return whether an image was drawn from a beat's prompt."""
    origin = image.provenance
    return origin is not None and origin.words.sha256 == words_hash(beat.words)


def _chosen_image(project: Project, beat: BeatId, source: ChoiceSource) -> Path | None:
    """Return where a copy has the image that was chosen: its file, or the image itself."""
    choice, layout = source.choice, source.copy.layout
    file = selections.file_of(source.key, flagged=choice.flagged)
    key = project.beat_index.key(beat, choice.style)
    places = [layout.root / FOLDER / file] if file is not None else []
    if key is not None and choice.style in project.beats:
        # Of these styles no folder is a link: the survey would have refused it.
        places.append(layout.picture(choice.style, *key))
    return next((path for path in places if _is_chosen(path, choice.sha256)), None)


def _is_chosen(path: Path, sha256: str | None) -> bool:
    """Return whether a file is the image of a choice; other tools note no hash."""
    data = selected.read_image(path)
    return data is not None and sha256 in {None, selected.sha256(data)}


def _checksum(data: bytes) -> int | None:
    info = png.read_info(io.BytesIO(data))
    return info.pixel_checksum if info is not None else None


def _pixels(copy: ProjectCopy, image: BeatImage, path: str) -> _Pixels | None:
    """Return what identifies an image; None if it is damaged or not on this machine."""
    whole = image.whole
    if whole is None and image.found is ImageState.CONVERTIBLE:
        data = selected.read_image(copy.layout.root / path)
        whole = png.read_info(io.BytesIO(data or b""))
    return (whole.width, whole.height, whole.pixel_checksum) if whole is not None else None


def _unknown(project: Project, copy: ProjectCopy) -> Iterator[LeftFile]:
    """Yield the images of a copy that are of no beat, or of no style, of the project."""
    for path in copy.without_beat:
        yield LeftFile(copy.name, path, LeftReason.OTHER_PROMPT)
    for style, strays in copy.survey.strays.items():
        for stray in strays:
            if (style, stray.key) not in copy.moved_from:
                path = project.layout.shown_picture(style, *stray.key)
                yield LeftFile(copy.name, path, LeftReason.NO_BEAT)
    for name in sorted(selections.names_in(copy.layout.pictures) - set(project.beats)):
        if os.path.isdir(copy.layout.pictures / name):  # noqa: PTH112 - a link is named too
            yield LeftFile(copy.name, f"{PICTURES}/{name}", LeftReason.NO_STYLE)
