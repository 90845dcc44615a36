"""The one vocabulary for what has become of a beat."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec


class Status(StrEnum):
    """What has become of a beat; the same word in events, JSON, files and code."""

    PENDING = "pending"
    BLOCKED = "blocked"
    """Waits for a beat before it that is in error."""
    GENERATING = "generating"
    COMPLETE = "complete"
    SKIPPED = "skipped"
    """Had its image before this run began."""
    OUTDATED = "outdated"
    WAIVED = "waived"
    """The user decided that it needs no image."""
    ERROR = "error"


class StatusCounts(msgspec.Struct, frozen=True, kw_only=True):
    """A style's beats by their status."""

    total: int
    complete: int = 0
    error: int = 0
    pending: int = 0
    blocked: int = 0
    """Not sent, for they continue a beat that has no image."""
    outdated: int = 0
    """With an image of something else, which was left."""
    waived: int = 0
    """The user decided that it needs no image."""

    @property
    def there(self) -> int:
        """How many have an image."""
        return self.complete + self.outdated

    @property
    def left(self) -> int:
        """How many images are missing."""
        return self.total - self.there - self.waived


_COUNTED: Final = tuple(map(Status, StatusCounts.__struct_fields__[1:]))


def count_statuses(statuses: Sequence[Status]) -> dict[str, int]:
    """Return the fields of `StatusCounts` for a style's beats."""
    counts = {status.value: statuses.count(status) for status in _COUNTED}
    return {"total": len(statuses), **counts}
