"""What is sent for a beat: its words, its style's look, its reference images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from imagegen import __version__, files
from imagegen.errors import UsageError
from imagegen.project import png
from imagegen.project.layout import Layout
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat
from imagegen.providers.base import MAX_REFERENCE_BYTES, Reference, Request

REFERENCE_FILE: Final = "style_reference.png"

LOOKS: Final = {
    "illustration": (
        "Style: a hand-drawn illustration with visible strokes, vibrant colours and "
        "expressive light. No lettering in the picture."
    ),
    "clear": (
        "Style: clean and minimal, one clear focus, few shapes, calm background, generous "
        "empty space. No lettering in the picture."
    ),
    "consistent": (
        "Style: one uniform professional look throughout, with the same palette, line "
        "weight, lighting and level of detail in every picture. No lettering in the picture."
    ),
}
"""Added to words that the styles share, where the project says nothing of its own."""


_CHOICES: Final = ("provider", "model", "aspect_ratio", "image_size")


class Composer:
    """Makes requests for the beats of one project.

    `references` gives each style's reference image, if it has one.
    """

    def __init__(self, settings: Settings, references: Mapping[str, Reference]) -> None:
        self._settings = settings
        self._references = references
        defaults = Settings()
        self._chosen = tuple(
            name for name in _CHOICES if getattr(settings, name) != getattr(defaults, name)
        )

    def request(self, beat: Beat) -> Request:
        """Return what is sent for a beat."""
        look, _ = self._look(beat)
        reference = self._references.get(beat.style) if beat.hard_cut else None
        return Request(
            style=beat.style,
            shot=beat.shot,
            beat=beat.beat,
            words=beat.words,
            look=look,
            references=(reference,) if reference else (),
            aspect_ratio=self._settings.aspect_ratio,
            image_size=self._settings.image_size,
        )

    @property
    def image_size(self) -> str:
        """The size that pictures are asked for in: 512, 1K, 2K or 4K."""
        return self._settings.image_size

    @property
    def aspect_ratio(self) -> str:
        """The ratio that pictures are asked for in, as 16:9."""
        return self._settings.aspect_ratio

    def provenance(
        self, beat: Beat, request: Request, *, provider: str, model: str, run: str
    ) -> png.Provenance:
        """Return what a picture drawn by `request` says of its origin."""
        look, by_user = self._look(beat)
        together = "".join(reference.digest for reference in request.references)
        return png.Provenance(
            style=beat.style,
            shot=beat.shot,
            beat=beat.beat,
            provider=provider,
            model=model,
            aspect_ratio=request.aspect_ratio,
            image_size=request.image_size,
            words=png.Hash(words_hash(beat.words)),
            look=png.Hash(words_hash(look), "user" if by_user else "default") if look else None,
            references=png.Hash(words_hash(together)) if together else None,
            run=run,
            id=beat.id,
            chosen=self._chosen,
        )

    def texts(self, beat: Beat, created: float) -> png.Texts:
        """Return what image tools show of a beat's picture; its words if the settings allow.

        `created` is the wall clock's time in seconds.
        """
        return png.Texts(
            software=f"imagegen {__version__}",
            description=png.fitting(beat.words) if self._settings.provenance else None,
            created=created,
        )

    def _look(self, beat: Beat) -> tuple[str, bool]:
        """Return the style's look for this beat, and whether the user wrote it."""
        style = self._settings.styles.get(beat.style)
        if style is not None and style.look:
            return style.look, True
        return ("", False) if beat.own_words else (LOOKS.get(beat.style, ""), False)


def words_hash(words: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which only drawing needs

    return hashlib.sha256(words.encode()).hexdigest()


def style_references(layout: Layout, settings: Settings) -> dict[str, Reference]:
    """Read each drawn style's reference image: its own, the project's, or the user's.

    Raises `UsageError` when a file that a setting names is missing, lies outside the
    project, or is no picture that the API takes.
    """
    fallback = _default(layout)
    read: dict[Path, Reference] = {}
    found = {}
    for name in settings.drawn_styles:
        own = settings.styles[name].style_reference
        if own:
            path = _named(layout, own, f"styles.{name}.style_reference")
        elif settings.style_reference:
            path = _named(layout, settings.style_reference, "style_reference")
        elif fallback:
            path = fallback
        else:
            continue
        if path not in read:
            read[path] = _read(path)
        found[name] = read[path]
    return found


def _named(layout: Layout, written: str, setting: str) -> Path:
    path = _resolved(layout.root / written, f'{setting} = "{written}"')
    if not path.is_relative_to(layout.root):
        hint = (
            f"copy it into the project, or name it {REFERENCE_FILE} in your own configuration "
            f"folder: {_users()}"
        )
        raise UsageError(f'{setting} = "{written}" lies outside the project', hint=hint)
    if not path.is_file():
        raise UsageError(f'{setting} = "{written}": no such file', hint="mend imagegen.toml")
    return path


def _default(layout: Layout) -> Path | None:
    own = layout.root / REFERENCE_FILE
    if own.is_symlink() and not _resolved(own, str(own)).is_relative_to(layout.root):
        raise UsageError(f"{own} is a link that leads out of the project")
    return next((path.resolve() for path in (own, _users()) if path.is_file()), None)


def _resolved(path: Path, shown: str) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        # A null character, or links that lead in a circle.
        raise UsageError(f"{shown} is no path: {error}") from error


def _users() -> Path:
    import platformdirs  # noqa: PLC0415  # slow to import

    return platformdirs.user_config_path("imagegen", appauthor=False) / REFERENCE_FILE


def _read(path: Path) -> Reference:
    data = files.read(path, MAX_REFERENCE_BYTES)
    if data is None:
        raise UsageError(
            f"{path} cannot be sent as a reference: it is unreadable or larger than 7 MB",
            hint="scale it down: 1,500 pixels a side are plenty",
        )
    kind = png.format_of(data)
    if kind is None:
        raise UsageError(
            f"{path} is no picture that can be sent as a reference",
            hint="PNG, JPEG, WebP and HEIC can",
        )
    return Reference(kind.value, data)
