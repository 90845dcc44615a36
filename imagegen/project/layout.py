"""The paths of a project."""

import itertools
import os
import stat
from pathlib import Path
from typing import Final

from imagegen import files
from imagegen.errors import UsageError, encodable
from imagegen.shell import project_command
from imagegen.toml import did_you_mean

PICTURES: Final = "generated_images"
OLD: Final = "old_images"
OURS: Final = ".imagegen"
_MOST_LOOKED_AT: Final = 1000


class ProjectPaths:
    """The paths of one project.

    Raises `UsageError` if the folder is missing, or if a folder that we write to is a
    symbolic link: it could lead out of the project.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            if root.exists():
                hint = f"name the project's folder: {root.parent}"
                raise UsageError(f"{root} is not a folder", hint=hint)
            hint = _near(root) or f"{project_command('init', root)} makes a new project"
            raise UsageError(f"{root}: no such folder", hint=hint)
        self.typed = root
        """The project's folder as it was typed, for messages."""
        self.root = root.resolve()
        self.name = encodable(self.root.name or str(self.root))
        self.state_dir = self.root / OURS
        self.pictures = self.root / PICTURES
        self.archive_dir = self.root / OLD
        self.output_folder = PICTURES
        """Where images are drawn, as messages show it."""
        for folder in (self.state_dir, self.pictures, self.archive_dir):
            reject_symlink(folder)

    def style_folder(self, style: str) -> Path:
        """Return the folder of a style's images."""
        return self.pictures / style

    def picture(self, style: str, shot: str, beat: str) -> Path:
        """Return the path of a beat's image."""
        return self.pictures / style / f"Shot_{shot}" / f"Beat_{beat}.png"

    def shown_picture(self, style: str, shot: str, beat: str) -> str:
        """Return the same as JSON shows it. Of very many beats much faster than by paths."""
        return f"{self.pictures.name}/{style}/Shot_{shot}/Beat_{beat}.png"

    def relative(self, path: Path) -> str:
        """Return a path as JSON shows it: relative to the project, with `/`."""
        return path.relative_to(self.root).as_posix()

    def progress(self, style: str) -> Path:
        """Return the style's progress file."""
        return self.root / f"image_progress_{style}.json"

    @property
    def log(self) -> Path:
        """The log of the last runs, for people."""
        return self.state_dir / "run.log"

    @property
    def detached(self) -> Path:
        """The output of a run without a terminal."""
        return self.state_dir / "detached.log"

    @property
    def journals(self) -> Path:
        """The folder of journals."""
        return self.state_dir / "runs"

    def journal(self, run: str) -> Path:
        """Return the journal of a run."""
        return self.journals / f"{run}.jsonl"

    def prepare(self) -> None:
        """Make the folder of our own files, which no version control should see.

        Raises `StorageError`, and `UsageError` if the journals' folder is a symbolic link.
        """
        # Old journals are deleted there.
        reject_symlink(self.journals)
        files.make_folder(self.journals)
        ignore = self.state_dir / ".gitignore"
        if not ignore.is_file():
            files.write(ignore, b"*\n")


def _near(missing: Path) -> str | None:
    """Return the folder beside `missing` with the most similar name."""
    try:
        with os.scandir(missing.parent) as entries:
            some = itertools.islice(entries, _MOST_LOOKED_AT)
            names = [entry.name for entry in some if entry.is_dir()]
    except OSError:
        return None
    return did_you_mean(str(missing), [str(missing.parent / name) for name in names])


def reject_symlink(folder: Path) -> None:
    """Raise `UsageError` if a folder that we write to is a symbolic link or no folder."""
    try:
        mode = os.lstat(folder).st_mode
    except OSError:
        return
    if stat.S_ISLNK(mode):
        hint = "move the real folder there, or make the whole project folder a link"
        raise UsageError(
            f"{folder} is a symbolic link, and nothing is written through one", hint=hint
        )
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{folder} is a file, and a folder is needed there", hint="move it away")


def reject_hardlink(file: Path) -> None:
    """Raise `UsageError` if opening a file to write would change one that is elsewhere.

    That is so of a symbolic link, and of a file with content that has a second name. Files
    that are written beside their place and renamed need no such care.
    """
    try:
        file_stat = os.lstat(file)
    except OSError:
        return
    if stat.S_ISLNK(file_stat.st_mode):
        raise UsageError(f"{file} is a symbolic link", hint="delete it")
    if stat.S_ISREG(file_stat.st_mode) and file_stat.st_nlink > 1 and file_stat.st_size > 0:
        raise UsageError(f"{file} is also a file elsewhere (a hard link)", hint="delete it")


def ensure_own_log(file: Path) -> None:
    """Make sure that a log to append to is not another file: remove a second hard link.

    A copy of a project may consist of such links. Raises `UsageError` for a symbolic link,
    and `OSError`.
    """
    try:
        reject_hardlink(file)
    except UsageError:
        if file.is_symlink():
            raise
        file.unlink()
