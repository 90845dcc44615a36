"""The files of one step get their places, in parts that can each be done again."""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from imagegen import files
from imagegen.errors import ImagegenError, StorageError
from imagegen.project.layout import OLD, ProjectPaths, reject_symlink
from imagegen.project.steps.folders import STAGED, STEP, numbers_in, remove_leftovers
from imagegen.project.steps.paths import ancestors, archive_path, parents
from imagegen.project.steps.step import Move, Step, write_step


class Relocation:
    """One step's files on their way. Paths are text: there may be 300,000 moves."""

    def __init__(self, layout: ProjectPaths, folder: Path, step: Step) -> None:
        self._layout = layout
        self._root = str(layout.root)
        self._folder = folder
        self._staged = f"{folder}/{STAGED}"
        self._step = step
        self._moves = step.moves
        self._linking = True
        self._proven = False
        refuse_links(layout, step.moves)
        reject_symlink(folder / STAGED)

    def stage(self) -> Step:
        """Give every file its second name, and return the step as it then is.

        If that fails, all is as it was before the step; raises `OSError`, `StorageError`.
        """
        try:
            self._make_folders(move.target for move in self._moves)
            self._refuse_shut()
            files.make_folder(Path(self._staged))
            self._take_all()
            step = msgspec.structs.replace(self._step, state="staged")
            write_step(self._folder, step)
        except (OSError, ImagegenError):
            self._give_back()
            raise
        return step

    def place(self) -> None:
        """Rename each file that has a second name to its target."""
        staged = self._second_names()
        self._make_folders(self._moves[at].target for at in staged)
        leaving = {move.source: at for at, move in enumerate(self._moves)}
        for at, inode in staged.items():
            source, target = f"{self._staged}/{at}", self._moves[at].target
            path = f"{self._root}/{target}"
            status = look(path)
            if status is not None and not self._may_go(status, inode, leaving.get(target), staged):
                # Another program has put it there since the crash.
                files.move(Path(path), self._layout.root / archive_path(self._here, target))
            files.replace(source, path)
            # A rename between two names of one file does nothing.
            if status is not None and status.st_ino == inode and one_file(source, path):
                os.unlink(source)  # noqa: PTH108

    def remove_sources(self) -> None:
        """Remove the old names of files that have moved, and empty folders."""
        targets = {move.target for move in self._moves}
        for move in self._moves:
            source = f"{self._root}/{move.source}"
            if move.source not in targets and one_file(source, f"{self._root}/{move.target}"):
                os.unlink(source)  # noqa: PTH108
        sources = parents(move.source for move in self._moves)
        for folder in (sources | parents(targets)) - {""}:
            files.sync_folder(f"{self._root}/{folder}")
        files.sync_folder(self._root)
        files.sync_folder(self._staged)
        with contextlib.suppress(OSError):
            os.rmdir(self._staged)  # noqa: PTH106
        self._prune(sources)

    @property
    def _here(self) -> str:
        return f"{OLD}/{self._folder.name}"

    def _take_all(self) -> None:
        second_names = self._second_names()
        emptied: set[str] = set()
        for at, move in enumerate(self._moves):
            if at in second_names:
                continue
            source = f"{self._root}/{move.source}"
            status = look(source)
            if status is None or not stat.S_ISREG(status.st_mode):
                continue
            if not self._link(source, f"{self._staged}/{at}"):
                files.replace(source, f"{self._staged}/{at}")
                emptied.add(source.rpartition("/")[0])
        files.sync_folder(self._staged)
        for folder in emptied:
            files.sync_folder(folder)

    def _link(self, source: str, staged: str) -> bool:
        if not self._linking:
            return False
        try:
            os.link(source, staged, follow_symlinks=False)
        except (OSError, NotImplementedError):
            return False
        if not self._proven:
            # Some network file systems make links, and then show two files.
            self._linking = self._proven = one_file(source, staged)
            if not self._linking:
                os.unlink(staged)  # noqa: PTH108
        return self._linking

    def _give_back(self) -> None:
        """Undo the staging, as far as the disk allows; `recover` does the rest."""
        with contextlib.suppress(OSError, StorageError):
            for at in self._second_names():
                source, staged = f"{self._root}/{self._moves[at].source}", f"{self._staged}/{at}"
                if one_file(source, staged):
                    os.unlink(staged)  # noqa: PTH108
                elif not os.path.lexists(source):
                    files.replace(staged, source)
            for folder in parents(move.source for move in self._moves) - {""}:
                files.sync_folder(f"{self._root}/{folder}")
            if os.path.lexists(self._staged):
                os.rmdir(self._staged)  # noqa: PTH106
            self._prune(parents(move.target for move in self._moves))
            (self._folder / STEP).unlink()
            remove_leftovers(self._folder)

    def _second_names(self) -> dict[int, int]:
        """Return which moves' files have a second name, and each one's inode."""
        inodes = numbers_in(self._staged)
        return {at: inode for at, inode in inodes.items() if at < len(self._moves)}

    def _may_go(
        self, status: os.stat_result, own_inode: int, leaving: int | None, staged: dict[int, int]
    ) -> bool:
        """Return whether what is at a target has its place elsewhere already.

        `own_inode` is the inode of the file that comes, `leaving` the move from there, if any.
        """
        if not stat.S_ISREG(status.st_mode) or not status.st_ino:
            return False
        if status.st_ino == own_inode:
            return True
        if leaving is None:
            return False
        if leaving in staged:
            return staged[leaving] == status.st_ino
        leaving_status = look(f"{self._root}/{self._moves[leaving].target}")
        return leaving_status is not None and leaving_status.st_ino == status.st_ino

    def _make_folders(self, paths: Iterable[str]) -> None:
        """Make the folders of these files; each folder around is synced once, not for each."""
        made: set[str] = set()
        for folder in sorted(ancestors(paths)):
            try:
                os.mkdir(f"{self._root}/{folder}")  # noqa: PTH102
            except FileExistsError:
                continue
            made.add(folder)
        for around in parents(made):
            files.sync_folder(f"{self._root}/{around}")

    def _refuse_shut(self) -> None:
        """Raise `StorageError` if a folder must not be written in, before anything moves."""
        for folder in parents(path for move in self._moves for path in (move.source, move.target)):
            path = f"{self._root}/{folder}"
            if not os.access(path, os.W_OK | os.X_OK) and os.path.lexists(path):
                raise StorageError(f"not permitted to write in {path}")

    def _prune(self, folders: Iterable[str]) -> None:
        """Remove folders that are empty, and those around them, but for the project's own."""
        for start in sorted(folders, reverse=True):
            folder = start
            # The step's folders in `old_images` stay.
            while folder.count("/") >= (2 if folder.startswith(f"{OLD}/") else 1):
                try:
                    os.rmdir(f"{self._root}/{folder}")  # noqa: PTH106
                except OSError:
                    break
                folder = folder.rpartition("/")[0]


def refuse_links(layout: ProjectPaths, moves: Iterable[Move]) -> None:
    """Raise `UsageError` if a folder that a file leaves or comes to is a symbolic link."""
    for folder in ancestors(path for move in moves for path in (move.source, move.target)):
        reject_symlink(layout.root / folder)


def look(path: str) -> os.stat_result | None:
    """Return what is at a path, a link itself and not what it leads to; None if nothing is."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def one_file(path: str, other: str) -> bool:
    """Return whether two paths are names of one file: then either may go without a loss."""
    first, second = look(path), look(other)
    if first is None or second is None or not stat.S_ISREG(first.st_mode):
        return False
    # Disks that know no links may number files as they like, but count one name for each.
    return os.path.samestat(first, second) and first.st_nlink > 1
