"""Images of characters: sheets drawn from a description, and images adopted as theirs."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.editing import settle
from imagegen.editing.scratch import Scratch, draw_beside
from imagegen.errors import UsageError
from imagegen.images import formats, png
from imagegen.project import record, settings, steps
from imagegen.project.characters import Character
from imagegen.project.storyboard import Beat
from imagegen.project.tries import FOLDER, folders
from imagegen.review import choose
from imagegen.shell import project_command
from imagegen.toml import did_you_mean
from imagegen.workspace import moved_numbers
from imagegen.workspace.beat_filter import known
from imagegen.workspace.outdated import Reason
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project
from imagegen.workspace.survey import inspect_image

PICTURES: Final = "characters"
"""The folder of a project into which adopted images go."""

SHEETS: Final = "sheets"
_SHEET: Final = "sheet"
_WORDS: Final = (
    "A character sheet of {name}: {about}\n\nThe same person four times side by side: the whole "
    "figure from the front, from the side and from behind, and the face close up. Plain "
    "background, even light, nobody else, no lettering."
)


def draft_sheets(project: Project, names: Sequence[str], *, count: int, wall: float) -> Scratch:
    """Return sheets of characters, `count` of each in each style, to be drawn beside the project.

    Without `names` of those that have a description and, in a style, no image yet. Raises
    `StorageError`, and `UsageError` if there is nothing to draw.
    """
    drawn = {name: require_description(project, name) for name in names} or {
        name: character
        for name, character in project.settings.characters.items()
        if character.about is not None
    }
    chosen = known("style", project.request.styles, project.styles)
    beats = {
        style: tuple(
            _sheet(style, name, character, nth)
            for name, character in drawn.items()
            if names or character.picture_in(style) is None
            for nth in range(1, count + 1)
        )
        for style in project.styles
        if not chosen or style in chosen
    }
    if not any(beats.values()):
        raise _nothing_to_draw(project.settings.characters)
    some = {style: style_beats for style, style_beats in beats.items() if style_beats}
    return Scratch(project=draw_beside(project, some, wall))


def _nothing_to_draw(characters: Mapping[str, Character]) -> UsageError:
    """Return which setting is missing, so that no sheet can be drawn."""
    lacking = [name for name, entry in characters.items() if entry.about is None]
    if not characters:
        return UsageError(
            "imagegen.toml has no characters",
            hint='write [characters.NAME], and under it about = "…": what the character looks like',
        )
    if not lacking:
        return UsageError("every character has an image", hint="name one to draw it again")
    missing = ", ".join(f"characters.{name}.about" for name in lacking)
    return UsageError(
        f"not set in imagegen.toml: {missing}",
        hint='write about = "…": what the character looks like',
    )


def _sheet(style: str, name: str, character: Character, nth: int) -> Beat:
    words = _WORDS.format(name=character.names[0], about=(character.about or "").strip())
    number = f"{_SHEET}_{nth}"
    return Beat(
        style=style,
        shot=name,
        beat=number,
        written=number,
        words=words,
        own_words=False,
        transition="H",
        script_phrase=character.names[0],
        file=settings.FILE,
    )


def character(project: Project, name: str) -> Character:
    """Return a character by the name of its table. Raises `UsageError`."""
    characters = project.settings.characters
    if name not in characters:
        hint = did_you_mean(name, characters) or (
            f"there are: {', '.join(characters)}"
            if characters
            else f"write [characters.{name}] first"
        )
        raise UsageError(f'no character "{name}" in imagegen.toml', hint=hint)
    return characters[name]


def require_description(project: Project, name: str) -> Character:
    """Return a character that has a description. Raises `UsageError`."""
    entry = character(project, name)
    if entry.about is None:
        hint = 'write about = "…": what the character looks like'
        raise UsageError(f"not set in imagegen.toml: characters.{name}.about", hint=hint)
    return entry


def adopt_beat(project: Project, name: str, address: str, wall: float) -> str:
    """Make the image of a beat that of a character; returns what was done, in words.

    If the character has an image for each style it becomes that of the beat's style, else
    the one for all. Raises `UsageError`, `RunActiveError` and `StorageError`.
    """
    entry = character(project, name)
    beats = project.addresses.find(address)
    if len(beats) != 1:
        address_in_style = f"{beats[0].style}/{address}"
        raise UsageError(
            f'"{address}" is {len(beats)} beats', hint=f"name its style: {address_in_style}"
        )
    beat = beats[0]
    moved_numbers.require_numbers_unmoved(
        project, project.survey(wall), [beat.style], "Nothing was adopted"
    )
    fault = choose.why_unavailable(project, project.beat_index.id_of(beat.key), beat.style)
    if fault is not None:
        raise UsageError(fault)
    style = beat.style if entry.styles else None
    path = project.layout.picture(*beat.address)
    done = _adopt(project, name, {style: path}, wall)
    # It shows who it shows: that its own copy would go with it now makes it no less right.
    request = msgspec.structs.replace(project.request, beats=(str(beat.address),))
    now = read_project(project.root, request)
    found_now = now.survey(wall)
    chosen = settle.select(now, found_now)
    if not found_now.moves and any(Reason.REFERENCES in image.changed for image in chosen):
        settle.accept(now, wall)
    return done


def adopt_sheets(
    project: Project, name: str, sheet: str, styles: Collection[str], wall: float
) -> str:
    """Make sheets the images of a character, in their styles; returns what was done.

    `sheet` is the path of one, or `sheets` for the first of each style that was drawn last.
    Raises `UsageError`, `RunActiveError` and `StorageError`.
    """
    character(project, name)
    if sheet == SHEETS:
        return _adopt(project, name, _last_sheets(project, name, styles), wall)
    path = next((p for p in (Path(sheet), project.root / sheet) if p.is_file()), None)
    if path is None:
        raise UsageError(f"{sheet}: no such file", hint=f"--keep {SHEETS}, or --keep an image")
    _, whole = inspect_image(path)
    origin = whole.provenance if whole is not None else None
    if origin is None or origin.shot != name or not origin.beat.startswith(_SHEET):
        raise UsageError(
            f"{path} is not a sheet of {name}",
            hint=f'write picture = "…" under [characters.{name}] in imagegen.toml',
        )
    return _adopt(project, name, {origin.style: path}, wall)


def _last_sheets(project: Project, name: str, styles: Collection[str]) -> Mapping[str | None, Path]:
    for folder in reversed(folders(project.root / FOLDER)):
        root = project.root / FOLDER / folder
        sheets: dict[str | None, Path] = {
            style: path
            for style in project.styles
            if not styles or style in styles
            if (path := root / style / f"Shot_{name}" / f"Beat_{_SHEET}_1.png").is_file()
        }
        if sheets:
            return sheets
    raise UsageError(
        f"no sheet of {name} was drawn yet", hint=project_command("cast", project.root, name)
    )


def _adopt(project: Project, name: str, pictures: Mapping[str | None, Path], wall: float) -> str:
    """Copy images into the project by style (None: for all), and write them into its settings."""
    contents, chosen = {}, dict[str | None, str]()
    for style, path in pictures.items():
        data = files.read(path, png.MAX_BYTES)
        if data is None or formats.format_of(data) is None:
            raise UsageError(f"{project.layout.relative(path)} is not an image")
        chosen[style] = f"{PICTURES}/{name}{f'-{style}' if style else ''}.png"
        contents[chosen[style]] = data
    picture = chosen.get(None) or _for_each_style(project, name, chosen)
    contents[settings.FILE] = settings.with_value(
        project.root, ("characters", name, "picture"), picture
    )
    with record.project_lock(project.layout):
        steps.recover(project.layout)
        steps.perform(project.layout, "cast", wall=wall, contents=contents)
    where = ", ".join(f"{style}: {path}" if style else path for style, path in chosen.items())
    return f"{name} has this image now ({where})"


def _for_each_style(
    project: Project, name: str, chosen: Mapping[str | None, str]
) -> dict[str, str]:
    had = project.settings.characters[name]
    pictures = {style: had.picture_in(style) for style in project.settings.styles}
    pictures |= {style: path for style, path in chosen.items() if style is not None}
    return {style: path for style, path in pictures.items() if path is not None}
