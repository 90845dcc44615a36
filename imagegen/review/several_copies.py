"""Several copies of a project, or several projects, as `status --all` sums them up."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from imagegen.errors import Exit
from imagegen.project.beat_status import Status
from imagegen.review.status import ProjectStatus
from imagegen.workspace.project import Project

_BEST_FIRST: Final = (
    *(Status.COMPLETE, Status.OUTDATED, Status.WAIVED),
    *(Status.ERROR, Status.BLOCKED, Status.PENDING),
)
_RANK: Final = {status: rank for rank, status in enumerate(_BEST_FIRST)}


class StyleTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The beats of one style in all copies, each counted once by the best that any copy has."""

    total: int
    complete: int
    outdated: int
    waived: int
    error: int
    blocked: int
    pending: int

    @property
    def there(self) -> int:
        """How many beats have an image."""
        return self.complete + self.outdated


class CopyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One copy: its folder as it was typed, and what `status --json` prints of it."""

    path: str
    status: ProjectStatus


class SeveralStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All copies, and their sum by style."""

    schema: int = 1
    copies: tuple[CopyStatus, ...]
    total: Mapping[str, StyleTotal]

    @property
    def check(self) -> Exit:
        """The exit code that scripts ask for, by the same rule as for one project."""
        if any(style.pending for style in self.total.values()):
            return Exit.ENDED_EARLY
        lacking = any(copy.status.without_prompt for copy in self.copies)
        if lacking or any(style.error or style.blocked for style in self.total.values()):
            return Exit.BEATS_IN_ERROR
        return Exit.OK


class Sum:
    """Adds copies up. A beat is the same in two of them if its numbers and its prompt are."""

    def __init__(self) -> None:
        self._copies: list[CopyStatus] = []
        self._best: dict[str, dict[tuple[str, str, str], Status]] = {}

    def add(self, path: str, project: Project, status: ProjectStatus) -> None:
        """Add a copy: its folder as it was typed, its beats, and its status."""
        self._copies.append(CopyStatus(path=path, status=status))
        for style, beats in project.beats.items():
            best = self._best.setdefault(style, {})
            for beat, state in zip(beats, status.styles[style].beats, strict=True):
                key = (*beat.key, beat.words)
                before = best.get(key, Status.PENDING)
                best[key] = min(before, state.status, key=_RANK.__getitem__)

    def result(self) -> SeveralStatus:
        """Return the copies and their sum."""
        total = {}
        for style, best in self._best.items():
            counts = Counter(best.values())
            count_by_status = {status.value: counts[status] for status in _BEST_FIRST}
            total[style] = StyleTotal(total=len(best), **count_by_status)
        return SeveralStatus(copies=tuple(self._copies), total=total)
