"""The reference images of a project: which there are, and which go with a beat."""

import io
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from imagegen import files
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.images import formats, png, scaling
from imagegen.project.characters import Character, Mentions
from imagegen.project.layout import ProjectPaths
from imagegen.project.settings import FILE as SETTINGS
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat
from imagegen.providers.base import MAX_REFERENCE_BYTES, Reference, ReferenceRole

REFERENCE_FILE: Final = "style_reference.png"
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_CACHED: Final = 64
"""Images that rows name of which the bytes are kept: each goes out with a few beats."""
_MOST_FAULTS: Final = 1000
_MOST_LOOKED_AT: Final = 10_000
_SENT: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".heic"})
_STYLE_FILE: Final = re.compile(
    r"style[ _-]?reference\.(?:png|jpe?g|webp|heic|gif|bmp|tiff?|avif|svg|pdf|psd)", re.IGNORECASE
)
_HEAD: Final = 16
_AS_JPEG: Final = "save it as JPEG"


class ReferenceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What files a service takes as references.

    `bytes` are those of each reference's file, `in_all` those of all files of a request;
    `types` are media types, and `by` is the name of the service.
    """

    bytes: int = MAX_REFERENCE_BYTES
    in_all: int = 2 * MAX_REFERENCE_BYTES
    types: frozenset[str] = frozenset(formats.Format)
    by: str = "the service"


_USUAL: Final = ReferenceLimits()


class References:
    """The reference images of a project, read once.

    `style` has each style's own for hard cuts; `common` those that go with every beat of a
    style; `characters` the image of each by style and name of its table. An image of more
    bytes than the `limits` allow is made smaller.
    """

    def __init__(
        self,
        style: Mapping[str, Reference] | None = None,
        *,
        common: Mapping[str, tuple[Reference, ...]] | None = None,
        characters: Mapping[tuple[str, str], Reference] | None = None,
        mentions: Mentions | None = None,
        root: Path | None = None,
        limits: ReferenceLimits = _USUAL,
    ) -> None:
        self._style = style or {}
        self._common = common or {}
        self._characters = characters or {}
        self._mentions = mentions or Mentions({})
        self._root = root
        self._limits = limits
        self._of_row = lru_cache(maxsize=_CACHED)(self._read_of_row)

    def __bool__(self) -> bool:
        """Return whether a beat may have others than its style's reference."""
        return self._root is not None

    @property
    def empty(self) -> bool:
        """Whether no beat has any."""
        return not self and not self._style

    def has_style_reference(self, style: str) -> bool:
        """Return whether the style has a reference for its hard cuts."""
        return style in self._style

    def named(self, beat: Beat) -> tuple[str, ...]:
        """Return the characters that the beat's prompt names, in the order of the text."""
        return self._mentions.within(beat.words)

    def kind(self, beat: Beat) -> tuple[object, ...]:
        """Return what is the same for beats of a style with the same references."""
        return beat.references, self.named(beat)

    def of(self, beat: Beat, *, hard_cut: bool) -> tuple[Reference, ...]:
        """Return what is sent with a beat, the most important first.

        A hard cut's style reference, those that its row names, the characters in its
        prompt, its style's, the project's; the same image once.
        """
        style = self._style.get(beat.style) if hard_cut else None
        people = ((beat.style, name) for name in self.named(beat))
        candidates = (
            *([style] if style else ()),
            *map(self._of_row, beat.references),
            *(self._characters[person] for person in people if person in self._characters),
            *self._common.get(beat.style, ()),
        )
        once: dict[str, Reference] = {}
        for reference in candidates:
            once.setdefault(reference.digest, reference)
        return tuple(once.values())

    def _read_of_row(self, written: str) -> Reference:
        if self._root is None:
            raise UsageError(f'"{written}": no such file')
        path = _within(self._root, written, f'references: "{written}"')
        return _read(path, self._limits, ReferenceRole.OTHER, written)


def gather(
    layout: ProjectPaths,
    settings: Settings,
    beats: Mapping[str, Iterable[Beat]],
    limits: ReferenceLimits,
) -> References:
    """Read the references in a project's settings, and check those in its rows.

    `beats` are those of the styles that are drawn. Raises `UsageError` for a faulty style
    reference and `InvalidInputError` with every other error: an image that is missing, is
    outside the project, or cannot be sent.
    """
    style = style_references(layout, settings, limits)
    reader = _Reader(layout, limits)
    project = reader.all(settings.references, SETTINGS, "references")
    common = {}
    for name in settings.drawn_styles:
        style_images = reader.all(
            settings.styles[name].references, SETTINGS, f"styles.{name}.references"
        )
        common[name] = (*style_images, *project)
    characters = {}
    for name, character in settings.characters.items():
        for drawn in settings.drawn_styles:
            picture = reader.of_character(name, character, drawn)
            if picture is not None:
                characters[drawn, name] = picture
    rows = reader.look_at_rows(beats)
    reader.refuse()
    return References(
        style,
        common=common,
        characters=characters,
        mentions=Mentions(settings.characters),
        root=layout.root if rows or characters or any(common.values()) else None,
        limits=limits,
    )


def places(
    layout: ProjectPaths, settings: Settings, beats: Mapping[str, Iterable[Beat]]
) -> list[Path]:
    """Return every place where a reference image may be."""
    written = [settings.style_reference, *settings.references]
    for style, style_settings in settings.styles.items():
        written += [style_settings.style_reference, *style_settings.references]
        written += [character.picture_in(style) for character in settings.characters.values()]
    rows = (
        path for style_beats in beats.values() for beat in style_beats for path in beat.references
    )
    distinct = dict.fromkeys(path for path in itertools.chain(written, rows) if path)
    here = _style_files(layout.root)
    return [
        layout.root / REFERENCE_FILE,
        *here,
        _users(),
        *(layout.root / path for path in distinct),
    ]


class _Reader:
    """Reads images once each, and gathers what is wrong with them."""

    def __init__(self, layout: ProjectPaths, limits: ReferenceLimits) -> None:
        self._layout = layout
        self._limits = limits
        self._read: dict[tuple[str, ReferenceRole, str], Reference | None] = {}
        self._faults: list[InputError] = []

    def all(self, paths: Iterable[str], file: str, field: str) -> tuple[Reference, ...]:
        read = [self._load(path, ReferenceRole.OTHER, path, file, field) for path in paths]
        return tuple(reference for reference in read if reference is not None)

    def of_character(self, name: str, character: Character, style: str) -> Reference | None:
        path = character.picture_in(style)
        if path is None:
            return None
        called = ", ".join(character.names)
        field = f"characters.{name}.picture"
        return self._load(path, ReferenceRole.CHARACTER, called, SETTINGS, field)

    def _load(
        self, path: str, role: ReferenceRole, name: str, file: str, field: str
    ) -> Reference | None:
        key = (path, role, name)
        if key not in self._read:
            self._read[key] = None
            try:
                resolved = _within(self._layout.root, path, f'"{path}"')
                self._read[key] = _read(resolved, self._limits, role, name)
            except UsageError as error:
                self._fault(error, file, field)
        return self._read[key]

    def look_at_rows(self, beats: Mapping[str, Iterable[Beat]]) -> bool:
        """Check the images that rows name; return whether there are any."""
        seen_paths: set[str] = set()
        for beat in (
            beat for style_beats in beats.values() for beat in style_beats if beat.references
        ):
            for path in beat.references:
                if path in seen_paths:
                    continue
                seen_paths.add(path)
                try:
                    _look_at(_within(self._layout.root, path, f'"{path}"'), self._limits)
                except UsageError as error:
                    self._fault(error, beat.file, "references", beat.row)
        return bool(seen_paths)

    def _fault(self, error: UsageError, file: str, field: str, row: int | None = None) -> None:
        if len(self._faults) < _MOST_FAULTS:
            message, hint = error.message, error.hint
            label = str(self._layout.typed / file)
            self._faults.append(
                InputError(file=label, field=field, row=row, message=message, hint=hint)
            )

    def refuse(self) -> None:
        if self._faults:
            raise InvalidInputError(self._faults)


def style_references(
    layout: ProjectPaths, settings: Settings, limits: ReferenceLimits = _USUAL
) -> dict[str, Reference]:
    """Read each drawn style's reference image: its own, the project's, or the user's.

    Raises `UsageError` when a file that a setting names is missing, is outside the
    project, or is not an image that the API takes.
    """
    fallback = _default(layout)
    read: dict[Path, Reference] = {}
    references = {}
    for name in settings.drawn_styles:
        written = settings.styles[name].style_reference
        if written:
            path = _resolve_setting(layout, written, f"styles.{name}.style_reference")
        elif settings.style_reference:
            path = _resolve_setting(layout, settings.style_reference, "style_reference")
        elif fallback:
            path = fallback
        else:
            continue
        if path not in read:
            read[path] = _read(path, limits, ReferenceRole.STYLE)
        references[name] = read[path]
    return references


def _resolve_setting(layout: ProjectPaths, written: str, setting: str) -> Path:
    try:
        return _within(layout.root, written, f'{setting} = "{written}"')
    except _OutsideError as error:
        hint = (
            f"copy it into the project, or name it {REFERENCE_FILE} in your own configuration "
            f"folder: {_users()}"
        )
        raise UsageError(error.message, hint=hint) from None


class _OutsideError(UsageError):
    """A path outside the project: another user's must not choose what is sent."""


def _within(root: Path, written: str, label: str) -> Path:
    if _ADDRESS.match(written):
        raise UsageError(
            f"{label} is an address, and references are files",
            hint="download it, and name the file",
        )
    path = _resolve(root / written, label)
    if not path.is_relative_to(root):
        raise _OutsideError(f"{label} is outside the project", hint="copy it into the project")
    if files.has_stub(path):
        raise UsageError(
            f"{label} is not on this machine: a cloud drive has a placeholder for it",
            hint="download it, or make it available offline",
        )
    if not path.is_file():
        raise UsageError(f"{label}: no such file", hint="fix its path (relative to the project)")
    return path


def _default(layout: ProjectPaths) -> Path | None:
    for file in _style_files(layout.root):
        if file.is_symlink() and not _resolve(file, str(file)).is_relative_to(layout.root):
            raise UsageError(f"{file} is a link that leads out of the project")
        if file.suffix.lower() in _SENT and file.is_file():
            return file.resolve()
    users = (path for path in _style_files(_users().parent) if path.suffix.lower() in _SENT)
    return next((path.resolve() for path in users if path.is_file()), None)


def _style_files(folder: Path) -> list[Path]:
    """Return the files that are named as a style reference is, in any case; ours comes first."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_LOOKED_AT)]
    except OSError:
        return []
    matches = [name for name in names if _STYLE_FILE.fullmatch(name)]
    return [folder / name for name in sorted(matches, key=lambda n: (n != REFERENCE_FILE, n))]


def unused_style_files(layout: ProjectPaths, settings: Settings) -> list[str]:
    """Return notes on files that are named as a style reference is, and that are not used."""
    notes = []
    if files.has_stub(layout.root / REFERENCE_FILE):
        notes.append(f"{REFERENCE_FILE} is not on this machine, and not sent: download it")
    used = None if settings.style_reference else _default(layout)
    instead = settings.style_reference or (used.name if used else None)
    for path in _style_files(layout.root):
        if used is not None and path.resolve() == used:
            continue
        if settings.style_reference and path == layout.root / settings.style_reference:
            continue
        if any(path.name == style.style_reference for style in settings.styles.values()):
            continue
        reason = (
            f"{instead} is" if instead else "PNG, JPEG, WebP and HEIC are, as style_reference.png"
        )
        notes.append(f"{path.name} is not used: {reason}")
    return notes


def _resolve(path: Path, label: str) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        # A NUL character, or links in a circle.
        raise UsageError(f"{label} is not a valid path: {error}") from error


def _users() -> Path:
    import platformdirs  # noqa: PLC0415  # slow to import

    return platformdirs.user_config_path("imagegen", appauthor=False) / REFERENCE_FILE


def _read(path: Path, limits: ReferenceLimits, role: ReferenceRole, name: str = "") -> Reference:
    data = files.read(path, png.MAX_BYTES)
    if data is None:
        raise _too_large(path)
    kind = _kind(path, io.BytesIO(data), len(data), limits)
    if len(data) <= limits.bytes:
        return Reference(kind.value, data, role, name)
    try:
        smaller = scaling.scale_to_bytes(data, limits.bytes)
    except formats.NotAPictureError as error:
        raise UsageError(f"{path} cannot be sent as a reference: {error}") from error
    original = Reference(kind.value, data).digest
    return Reference(formats.Format.PNG.value, smaller, role, name, original)


def _look_at(path: Path, limits: ReferenceLimits) -> None:
    """Raise `UsageError` if an image cannot be sent, as far as that shows without its pixels."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > png.MAX_BYTES:
                raise _too_large(path)
            _kind(path, file, size, limits)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _too_large(path: Path) -> UsageError:
    return UsageError(f"{path} cannot be sent as a reference: it is unreadable or too large")


def _kind(path: Path, file: BinaryIO, size: int, limits: ReferenceLimits) -> formats.Format:
    kind = formats.format_of(file.read(_HEAD))
    if kind is None:
        raise UsageError(
            f"{path} cannot be sent as a reference",
            hint="use a PNG, JPEG or WebP image",
        )
    if kind not in limits.types:
        raise UsageError(f"{path}: {kind.name} is not taken by {limits.by}", hint=_AS_JPEG)
    if kind is formats.Format.HEIC and size > limits.bytes:
        most = limits.bytes // 1024**2
        raise UsageError(
            f"{path} is larger than {most} MB, and HEIC cannot be scaled down here", hint=_AS_JPEG
        )
    if kind is formats.Format.PNG and png.read_info(file) is None:
        raise UsageError(f"{path} is torn, or larger than 100 million pixels", hint="save it again")
    return kind
