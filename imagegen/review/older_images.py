"""Which images of older folders belong to which beats of a project."""

import io
import os
from collections.abc import Collection, Iterator, Sequence

import msgspec

from imagegen.images import png
from imagegen.project.beat_ids import BeatId
from imagegen.project.layout import PICTURES, ProjectPaths
from imagegen.project.selections import copies
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.review import choices
from imagegen.shell import project_command
from imagegen.workspace.older_layout import PROGRESS, OldPicture, old_pictures
from imagegen.workspace.project import Project
from imagegen.workspace.survey import THERE, inspect_image


class OldChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A chosen image in an older place, and the style it is of.

    `picture` is the path of that style's image in the project. `alike` says that the two are
    the same; else the chosen one was edited, or only `--style` names its style.
    """

    source: OldPicture
    style: str
    key: BeatKey
    picture: str
    alike: bool


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """The images and choices in older places.

    `pictures` are by their new path, with where they are now; if some had no style's folder,
    `guessed` is their assumed style. The others stay: chosen ones that may be of
    several styles, those of no beat, further ones of a beat, and incomplete images. `beats` are
    those of `pictures`; `beats_file` is the file that the project reads from now on.
    """

    pictures: dict[str, OldPicture] = {}
    beats: dict[str, Beat] = {}
    choices: dict[BeatId, OldChoice] = {}
    guessed: str | None = None
    without_style: tuple[str, ...] = ()
    without_beat: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    beats_file: str | None = None

    def __bool__(self) -> bool:
        return bool(self.pictures or self.choices or self.beats_file)


def notice(project: Project, tidy: Collection[str] = ()) -> str | None:
    """Return a line on images or choices in older places, if any.

    `tidy` are folders that surely have none, as a survey has found them.
    """
    old = list(old_pictures(project.layout, project.settings.styles, tidy))
    if not old:
        return None
    adoption = match(project, old, None)
    need = [*adoption.pictures.values(), *(choice.source for choice in adoption.choices.values())]
    if not need:
        return None
    places = _places(project.layout, [picture.path for picture in need])
    command = project_command("adopt", project.root, *project.named_beats)
    return f"{places} of an older layout: {command} takes them over"


def _places(layout: ProjectPaths, paths: list[str]) -> str:
    folders = {path.split("/")[0] for path in paths}
    if PICTURES in folders:
        within = [path.split("/")[1:-1] for path in paths if path.startswith(f"{PICTURES}/")]
        inner = sorted({"/".join(folder[:1]) for folder in within})
        shots = [name for name in inner if name.casefold().startswith("shot")]
        # Of shots the first, for there may be many; of styles each.
        folder_names = [name for name in inner if name not in shots[1:]]
        folders = (folders - {PICTURES}) | {
            f"{PICTURES}/{name}".rstrip("/") for name in folder_names
        }
    names = [f"{name}/" for name in sorted(folders)]
    if (layout.root / PROGRESS).is_file():
        names.append(PROGRESS)
    those = " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
    count = "1 image" if len(paths) == 1 else f"{len(paths):,} images"
    return f"{those} ({count}) {'is' if len(names) == 1 else 'are'}"


def match(project: Project, old: Sequence[OldPicture], style: str | None) -> Adoption:
    """Find the beat of each image, and its place in the project if that is free."""
    matching = _Matching(project, style)
    for picture in old:
        if not picture.chosen:
            matching.picture(picture)
    # Of a beat that is there flagged and unflagged, the one that was written last.
    for picture in sorted(old, key=lambda picture: picture.time, reverse=True):
        if picture.chosen:
            matching.choice(picture)
    return Adoption(
        pictures=matching.pictures,
        beats=matching.beats,
        choices=matching.choices,
        guessed=matching.guessed,
        without_style=tuple(matching.without_style),
        without_beat=tuple(matching.without_beat),
        further=tuple(matching.further),
        unusable=tuple(matching.unusable),
    )


class _Matching:
    """Matches images in older places with beats. `style` is theirs if their folder has none."""

    def __init__(self, project: Project, style: str | None) -> None:
        self._layout = project.layout
        self._index = project.beat_index
        self._style = style
        self._first = project.styles[0] if project.styles else None
        self._beats = {
            (name, *beat.key): beat
            for name, style_beats in project.storyboard.beats.items()
            for beat in style_beats
        }
        self._chosen = choices.chosen(project)
        self.pictures: dict[str, OldPicture] = {}
        self.beats: dict[str, Beat] = {}
        self.choices: dict[BeatId, OldChoice] = {}
        self.guessed: str | None = None
        self.without_style: list[str] = []
        self.without_beat: list[str] = []
        self.further: list[str] = []
        self.unusable: list[str] = []

    def picture(self, old: OldPicture) -> None:
        beat, style = self._beat(old), old.style or self._style
        if beat is None:
            self.without_beat.append(old.path)
        elif style is not None:
            self._take(old, beat, style)
        elif self._first is not None and not self._is_there(old, beat):
            self.guessed = self._first
            self._take(old, beat, self._first)

    def choice(self, old: OldPicture) -> None:
        beat = self._beat(old)
        if beat is None:
            self.without_beat.append(old.path)
            return
        if beat in self._chosen:
            return
        if beat in self.choices:
            self.further.append(old.path)
            return
        content = self._content(old.path)
        if content is None:
            self.unusable.append(old.path)
            return
        contents = {style_name: self._content(path) for style_name, path in self._of_beat(beat)}
        alike = next(
            (style_name for style_name, other in contents.items() if other == content), None
        )
        drawn = [style_name for style_name, other in contents.items() if other is not None]
        style = alike or self._style
        if style is None and len(drawn) < 2:  # nothing to choose from
            style = drawn[0] if drawn else self._first
        if style is None:
            self.without_style.append(old.path)
            return
        key = self._index.key(beat, style)
        if key is None:
            self.without_beat.append(old.path)
            return
        path = self._layout.shown_picture(style, *key)
        if alike is None and path not in self.pictures and not self._exists(path):
            # It is all that is left of that style's images.
            self._take(old, beat, style)
            alike = style
            if self._style is None:
                self.guessed = style
        self.choices[beat] = OldChoice(
            source=old, style=style, key=key, picture=path, alike=alike is not None
        )

    def _take(self, old: OldPicture, beat: BeatId, style: str) -> None:
        key = self._index.key(beat, style)
        if key is None:
            self.without_beat.append(old.path)
            return
        path = self._layout.shown_picture(style, *key)
        if self._exists(path):
            return
        content = self._content(old.path)
        if content is None:
            self.unusable.append(old.path)
            return
        other = self.pictures.get(path)
        if other is not None:
            first, second = (old, other) if _comes_before(old, other) else (other, old)
            if content != self._content(other.path):
                self.further.append(second.path)
            old = first
        self.pictures[path] = old
        self.beats[path] = self._beats[style, *key]

    def _beat(self, old: OldPicture) -> BeatId | None:
        """Return which beat an older image is of: its shot counts only if numbers repeat."""
        beats = self._index.find(old.number)
        if len(beats) > 1:
            beats = self._index.find(old.number, old.shot) if old.shot is not None else []
        return beats[0] if beats else None

    def _of_beat(self, beat: BeatId) -> Iterator[tuple[str, str]]:
        """Yield each style and where its image of a beat is, or will be taken from."""
        for style, key in self._index.keys(beat).items():
            path = self._layout.shown_picture(style, *key)
            yield style, self.pictures[path].path if path in self.pictures else path

    def _is_there(self, old: OldPicture, beat: BeatId) -> bool:
        """Return whether a style has the image: it was taken over."""
        existing = [path for _, path in self._of_beat(beat) if self._exists(path)]
        content = self._content(old.path) if existing else None
        return content is not None and any(self._content(path) == content for path in existing)

    def _exists(self, path: str) -> bool:
        return os.path.lexists(self._layout.root / path)

    def _content(self, path: str) -> int | None:
        """Return a hash of an image's pixels; None if it is not an image."""
        place = self._layout.root / path
        if place.is_symlink():
            return None
        state, whole = inspect_image(place)
        if whole is not None:
            return whole.pixel_checksum
        if state not in THERE:
            return None
        data = copies.read_image(place)
        converted = png.read_info(io.BytesIO(data)) if data is not None else None
        return converted.pixel_checksum if converted is not None else None


def _comes_before(picture: OldPicture, other: OldPicture) -> bool:
    """Return whether one of two images of a beat, in the same folder, is more likely its own.

    `Beat 3.png` is, and no `Beat 3 (1).png` beside it; else the one that was written last.
    """
    folder, name = os.path.split(picture.path)
    other_folder, other_name = os.path.split(other.path)
    rank = (len(os.path.splitext(name)[0]), -picture.time)  # noqa: PTH122  # paths within the project
    other_rank = (len(os.path.splitext(other_name)[0]), -other.time)  # noqa: PTH122  # as above
    return folder == other_folder and rank < other_rank
