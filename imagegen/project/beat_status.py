"""The one vocabulary for what has become of a beat."""

from enum import StrEnum


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
