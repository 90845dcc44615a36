"""Marks of files, by which it is seen that something has changed."""

import os
import stat
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Final

from imagegen import files
from imagegen.project.layout import ProjectPaths
from imagegen.project.selections import file
from imagegen.prompts import references
from imagegen.workspace import credentials
from imagegen.workspace.project import Project

_SOURCES: Final = ("prompts", "storyboards")
"""Folders of a project that beats are read from, in addition to its own."""


def file_fingerprint(path: Path) -> str | None:
    """Return a mark of a file that changes with its content; None without one."""
    try:
        return version_of(path.lstat())
    except OSError:
        return None


def version_of(status: os.stat_result) -> str:
    """Return the same mark of a file that has been looked at."""
    return "-".join(f"{part:x}" for part in files.stat_signature(status))


def project_fingerprint(layout: ProjectPaths, paths: Iterable[str]) -> int:
    """Return a mark of everything from which a board is made.

    `paths` are the paths that the project names: see `referenced_paths`.
    """
    # A look at the disk for each, and little else: of very many images that is what counts.
    return hash(tuple(_marks(layout, paths)))


def referenced_paths(project: Project) -> tuple[str, ...]:
    """Return the paths of images, and of files that the project names."""
    layout, settings = project.layout, project.settings
    beats = project.request.beats_file or settings.beats
    places = references.places(layout, settings, project.beats)
    places += [layout.root / beats] if beats else []
    # They say what an image costs.
    keys = credentials.places(layout.root, settings.provider)
    places += [place.path for place in keys if place.path is not None]
    pictures = (
        f"{layout.root}/{layout.shown_picture(style, beat.shot, beat.beat)}"
        for style, style_beats in project.beats.items()
        for beat in style_beats
    )
    return (*map(str, places), *pictures)


def _marks(layout: ProjectPaths, paths: Iterable[str]) -> Iterator[Hashable]:
    for folder in (layout.root, *(layout.root / name for name in _SOURCES)):
        yield from _files(folder)
    yield _mark(_look(layout.state_dir / "run.json"))
    for style in _entries(layout.pictures):
        if style.is_dir(follow_symlinks=False):
            # They show images that come and go, also those of no beat.
            yield from ((shot.path, _mark(_look(shot.path))) for shot in _entries(style.path))
    for path in paths:
        status = _look(path)
        yield _mark(status)
        if status is not None and stat.S_ISDIR(status.st_mode):
            yield from _files(path)


def _files(folder: str | Path) -> Iterator[Hashable]:
    for entry in _entries(folder):
        # Choices are no part of it, and every one of them is written there.
        if entry.is_file() and entry.name != file.FILE:
            yield entry.path, _mark(_look(entry.path))


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _look(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - of very many images much faster than by paths
    except (OSError, ValueError):
        # The project may name what is no path.
        return None


def _mark(status: os.stat_result | None) -> Hashable:
    return status and files.stat_signature(status)
