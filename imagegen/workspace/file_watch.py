"""Notices that the files a run was read from are edited while it draws."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from imagegen import files

_Mark = tuple[int, int, int] | None


class FileWatch:
    """Files of a project, named relative to it, as they were when this was made."""

    def __init__(self, root: Path, names: Iterable[str] = ()) -> None:
        self._root = root
        self._marks = {name: self._mark(name) for name in names}

    def changed(self) -> Iterator[str]:
        """Yield the names of files that have changed since, each once."""
        for name, mark in list(self._marks.items()):
            if self._mark(name) != mark:
                del self._marks[name]
                yield name

    def _mark(self, name: str) -> _Mark:
        try:
            file_stat = (self._root / name).stat()
        except (OSError, ValueError):
            return None
        return files.stat_signature(file_stat)
