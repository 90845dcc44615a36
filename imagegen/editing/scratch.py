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
from imagegen.project.beat_ids import BeatIndex
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths, reject_symlink
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat, Storyboard
from imagegen.project.tries import FOLDER, folders
from imagegen.prompts.composer import Composer
from imagegen.prompts.continuity import Predecessors
from imagegen.times import path_timestamp
from imagegen.workspace.project import Project


class ScratchProject(Project):
    """A project with other beats than the storyboard's, drawn into a folder of `tries`."""

    resumes = False
    reuses = False

    def use_beats(
        self,
        beats: Mapping[str, tuple[Beat, ...]],
        wall: float,
        predecessors: Predecessors | None = None,
    ) -> None:
        """Draw these beats from now on, and into a new folder.

        `predecessors` say which of them continue which beats of the project. `wall` is the wall
        clock's time, in seconds. Raises `UsageError` and `StorageError`.
        """
        self.composer = Composer(
            self.settings,
            self.composer.references,
            predecessors,
            self.composer.limits,
            pictures=self.layout,
            model=self.table_entry,
        )
        self.predecessors = {}
        self.styles = tuple(beats)
        self.storyboard = Storyboard(source=self.storyboard.source, beats=dict(beats))
        self.beat_index = BeatIndex.of(self.storyboard.beats)
        self.overrides = msgspec.structs.replace(self.overrides, beats=self.storyboard.beats)
        self.layout = _TriesPaths.within(self.layout, wall)
        self.index = Index(self.layout.state_dir)
        self.request = DrawRequest(provider=self.request.provider, model=self.request.model)

    def reload(self) -> Project:
        """Return itself: no other command draws into its folder."""
        return self

    def save_metadata(self) -> None:
        """Write down what else must be known later of what is drawn. Raises `StorageError`."""

    def discard(self) -> None:
        """Remove its folder if nothing was drawn into it."""
        if any(self.layout.pictures.rglob("*.png")):
            return
        shutil.rmtree(self.layout.state_dir, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.layout.root.rmdir()
            self.layout.root.parent.rmdir()

    @property
    def first_picture(self) -> str | None:
        """Where the first of its images is that is there, relative to the project."""
        for own in self.storyboard.beats.values():
            for beat in own:
                if (path := self.layout.picture(*beat.address)).is_file():
                    return f"{self.output_folder}/{self.layout.relative(path)}"
        return None

    @property
    def output_folder(self) -> str:
        """Where its images are, relative to the project."""
        return f"{FOLDER}/{self.layout.root.name}"


class _TriesPaths(ProjectPaths):
    """A folder in `tries`: images are in it by style; other commands see no progress of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.pictures = self.root

    @classmethod
    def within(cls, project: ProjectPaths, wall: float) -> "_TriesPaths":
        """Make a new one in a project, to be called by its name."""
        tries = project.root / FOLDER
        reject_symlink(tries)
        time, taken = path_timestamp(wall), set(folders(tries))
        names = itertools.chain([time], (f"{time}-{nth:02}" for nth in itertools.count(2)))
        folder = tries / next(name for name in names if name not in taken)
        files.make_folder(folder)
        layout = cls(folder)
        layout.name = project.name
        return layout

    def progress(self, style: str) -> Path:
        """Return a path that is not read as progress."""
        return self.state_dir / f"image_progress_{style}.json"
