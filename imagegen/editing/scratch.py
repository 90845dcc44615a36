"""Images drawn beside a project's own, to look at first: `tries/{time}/{style}/…`.

They are a small project of their own within the project's folder, so that nothing of them gets
in the way of a run.
"""

import contextlib
import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from imagegen import files
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths, reject_symlink
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat, Storyboard
from imagegen.project.tries import FOLDER, folders
from imagegen.prompts.continuity import Predecessors
from imagegen.times import path_timestamp
from imagegen.workspace.project import Project


class Scratch(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn beside a project, into a folder of `tries`.

    `metadata` is what else must be known later of it: a file's name and content.
    """

    project: Project
    metadata: tuple[str, bytes] | None = None

    def save_metadata(self) -> None:
        """Write the metadata into the folder. Raises `StorageError`."""
        if self.metadata is not None:
            name, data = self.metadata
            files.write(self.project.layout.root / name, data)

    def discard(self) -> None:
        """Remove the folder if nothing was drawn into it."""
        layout = self.project.layout
        with contextlib.suppress(OSError):
            if self.metadata is not None:
                (layout.root / self.metadata[0]).unlink(missing_ok=True)
        if any(layout.pictures.rglob("*.png")):
            return
        shutil.rmtree(layout.state_dir, ignore_errors=True)
        with contextlib.suppress(OSError):
            layout.root.rmdir()
            layout.root.parent.rmdir()

    @property
    def first_picture(self) -> str | None:
        """Where the first of its images is that is there, relative to the project."""
        layout = self.project.layout
        for style_beats in self.project.storyboard.beats.values():
            for beat in style_beats:
                if (path := layout.picture(*beat.address)).is_file():
                    return f"{layout.output_folder}/{layout.relative(path)}"
        return None


def draw_beside(
    project: Project,
    beats: Mapping[str, tuple[Beat, ...]],
    wall: float,
    continued: Predecessors | None = None,
) -> Project:
    """Return a project with these beats, to be drawn into a new folder of `project`.

    `continued` says which of them continue which beats of `project`. `wall` is the wall
    clock's time, in seconds. Raises `UsageError` and `StorageError`.
    """
    # Faulty references are an error before there is a folder.
    _ = project.composer
    layout = _TriesPaths.within(project.layout, wall)
    board = Storyboard(source=project.storyboard.source, beats=dict(beats))
    return msgspec.structs.replace(
        project,
        origin=project,
        continued=continued or {},
        styles=tuple(beats),
        storyboard=board,
        overrides=msgspec.structs.replace(project.overrides, beats=board.beats),
        layout=layout,
        index=Index(layout.state_dir),
        request=DrawRequest(provider=project.request.provider, model=project.request.model),
    )


class _TriesPaths(ProjectPaths):
    """A folder in `tries`: images are in it by style; other commands see no progress of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.pictures = self.root
        self.output_folder = f"{FOLDER}/{self.root.name}"

    @classmethod
    def within(cls, project: ProjectPaths, wall: float) -> "_TriesPaths":
        """Make a new one in a project, to be called by its name."""
        tries = project.root / FOLDER
        reject_symlink(tries)
        time, existing = path_timestamp(wall), set(folders(tries))
        names = itertools.chain([time], (f"{time}-{nth:02}" for nth in itertools.count(2)))
        folder = tries / next(name for name in names if name not in existing)
        files.make_folder(folder)
        layout = cls(folder)
        layout.name = project.name
        return layout

    def progress(self, style: str) -> Path:
        """Return a path that is not read as progress."""
        return self.state_dir / f"image_progress_{style}.json"
