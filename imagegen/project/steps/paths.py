"""Places: the files of a project that a step may touch, each by its path relative to it."""

import re
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from imagegen.project.layout import OLD, PICTURES
from imagegen.project.steps.folders import STAGED

_OTHER_FILES: Final = "_files"
"""No style has a name that begins so."""

_PART: Final = r"(?![. ]+(?:/|\Z)|[A-Za-z]:)[^/\\\x00\ud800-\udfff]+"
"""Windows drops dots and spaces at a name's end, so `.. ` leads up there too."""
_PLACE: Final = (
    rf"\A(?:(?:{PICTURES}|selected_images|tries|characters)(?:/{_PART})+"
    rf"|{OLD}/{_PART}/(?!(?i:step\.json|{STAGED})(?:/|\Z)){_PART}(?:/{_PART})*"
    r"|\.imagegen/runs/[0-9A-Za-z-]{1,64}\.jsonl"
    r"|overrides\.toml|imagegen\.toml|image_selections\.json)\Z"
)
_place: Final = re.compile(_PLACE)
_of_style: Final = re.compile(rf"{PICTURES}/([a-z][a-z0-9_-]*/.+)", re.DOTALL)

Place = Annotated[str, msgspec.Meta(pattern=_PLACE, max_length=4096)]
"""A file's path relative to the project, with `/`, and within the folders of images."""


def is_place(path: str) -> bool:
    """Return whether a step may move a file from or to this path, relative to the project."""
    return len(path) <= 4096 and _place.search(path) is not None


def archive_path(here: str, path: str) -> str:
    """Return a replaced file's path in a step's folder: images as runs archive them."""
    picture = _of_style.fullmatch(path)
    return f"{here}/{picture[1]}" if picture else f"{here}/{_OTHER_FILES}/{path}"


def parents(paths: Iterable[str]) -> set[str]:
    """Return the folders that these paths are in."""
    return {path.rpartition("/")[0] for path in paths}


def ancestors(paths: Iterable[str]) -> set[str]:
    """Return all folders that lead to these paths, without the one they are relative to."""
    folders: set[str] = set()
    level = parents(paths)
    while level := level - folders - {""}:
        folders |= level
        level = parents(level)
    return folders
