"""What older tools left in a project's folder: images, and the file of beats.

images/{style}/Beat 1.png           an image
generated_images/Shot_1/Beat_1.png  an image without a known style
generated_images/clear/Shot 1/…     one with a misspelt folder or file name
finalImage/Beat 1.png               the chosen image of a beat
finalImage/Beat 2-flag.png          a chosen image to look at again
prompts.js, progress.json           the beats, and their progress
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from imagegen.project.layout import PICTURES, ProjectPaths
from imagegen.project.storyboard import file_number
from imagegen.shell import project_command

BEATS_FILES: Final = ("prompts.js", "prompts.mjs", "prompts.json")
"""What the first of the older tools read its beats from, in the project's folder."""
PROGRESS: Final = "progress.json"
_IMAGES: Final = "images"
_FINAL: Final = ("finalImage", "finalImages", "final_images")
_SHOT: Final = re.compile(r"shot[ _-]*\d.*", re.IGNORECASE)
_FLAG: Final = re.compile(r"[ _-]flag(?:ged)?\Z", re.IGNORECASE)
_TYPES: Final = (".png", ".jpg", ".jpeg", ".webp")


class OldPicture(msgspec.Struct, frozen=True, kw_only=True):
    """An image in an older place. `path` is relative to the project; None: not recorded."""

    path: str
    number: str
    style: str | None = None
    shot: str | None = None
    chosen: bool = False
    flagged: bool = False
    time: float = 0.0
    """When it was written, in seconds of the wall clock."""


def old_pictures(
    layout: ProjectPaths, styles: Mapping[str, object], tidy: Collection[str] = ()
) -> Iterator[OldPicture]:
    """Yield the images in older places, and those under misspelt names.

    `tidy` are folders that surely have none, relative to the project.
    """
    style_names = {style.casefold(): style for style in styles}
    for name in (_IMAGES, PICTURES, *_FINAL):
        start = OldPicture(path=name, number="", chosen=name in _FINAL)
        yield from _within(layout.root, start, style_names, tidy)


def _within(
    root: Path, place: OldPicture, styles: Mapping[str, str], tidy: Collection[str]
) -> Iterator[OldPicture]:
    """Yield the images in a folder, and in those of styles and shots within it."""
    folder = root / place.path
    if folder.is_symlink():
        return
    try:
        with os.scandir(folder) as entries:
            sorted_entries = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    is_ours = _is_ours(place)
    for entry in sorted_entries:
        if is_ours and entry.name.startswith("Beat_") and entry.name.endswith(".png"):
            # Of very many: what lies where it belongs.
            continue
        path = f"{place.path}/{entry.name}"
        if path in tidy:
            continue
        if entry.is_file(follow_symlinks=False):
            picture = _picture(path, entry, place)
            if picture is not None:
                yield picture
        elif entry.is_dir(follow_symlinks=False) and not place.chosen:
            inside = _inside(place, entry.name, path, styles)
            if inside is not None:
                yield from _within(root, inside, styles, tidy)


def _inside(
    place: OldPicture, folder: str, path: str, styles: Mapping[str, str]
) -> OldPicture | None:
    """Return what a folder's name says of the images in it; None if they are skipped."""
    style, shot = styles.get(folder.casefold()), _shot(folder)
    if style is not None and place.style is None:
        return msgspec.structs.replace(place, path=path, style=style)
    if shot is not None and place.shot is None:
        return msgspec.structs.replace(place, path=path, shot=shot)
    if place.path == _IMAGES:
        # Of a style that the project does not have.
        return msgspec.structs.replace(place, path=path, style=folder)
    return None


def _is_ours(place: OldPicture) -> bool:
    """Return whether a folder is where the images of a shot belong."""
    folders = place.path.split("/")
    return (
        len(folders) == 3  # generated_images, style, shot
        and folders[:2] == [PICTURES, place.style]
        and folders[2] == f"Shot_{place.shot}"
    )


def _picture(path: str, entry: "os.DirEntry[str]", place: OldPicture) -> OldPicture | None:
    stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122  # of very many
    if suffix.lower() not in _TYPES:
        return None
    flag = _FLAG.search(stem) if place.chosen else None
    try:
        number = file_number(stem[: flag.start()] if flag else stem, "beat")
        time = entry.stat(follow_symlinks=False).st_mtime
    except (ValueError, OSError):
        return None
    return msgspec.structs.replace(
        place, path=path, number=number, flagged=flag is not None, time=time
    )


def _shot(folder: str) -> str | None:
    try:
        return file_number(folder, "shot") if _SHOT.fullmatch(folder) else None
    except ValueError:
        return None


def no_beats_hint(root: Path) -> str | None:
    """Return a hint for a folder of the first older tool; None for any other."""
    file = beats_file(root)
    if file is None:
        return None
    return f"{file} is of an older layout: {project_command('adopt', root)} takes it over"


def beats_file(root: Path) -> str | None:
    """Return the name of the older tool's beats file, if any."""
    return next((name for name in BEATS_FILES if (root / name).is_file()), None)
