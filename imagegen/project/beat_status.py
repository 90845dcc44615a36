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
    """Had its picture before this run began."""
    OUTDATED = "outdated"
    WAIVED = "waived"
    """A person settled it without a picture."""
    ERROR = "error"
