"""Counts of beats by status."""

from imagegen.events.types import BeatCounts
from imagegen.project.beat_status import Status, StatusCounts, count_statuses


def test_a_waived_beat_is_not_missing() -> None:
    """Neither a waived beat nor an outdated image counts as missing."""
    statuses = [Status.COMPLETE, Status.OUTDATED, Status.WAIVED, Status.ERROR, Status.PENDING]
    counts = StatusCounts(**count_statuses(statuses))
    assert (counts.total, counts.there, counts.left) == (5, 2, 2)


def test_an_image_from_before_the_run_is_there() -> None:
    """A skipped beat has its image."""
    counts = BeatCounts(total=3, complete=1, skipped=1, pending=1)
    assert (counts.there, counts.left) == (2, 1)
