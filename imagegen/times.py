"""Times as they are written: ISO 8601 in UTC. All are the wall clock's, in seconds."""

import datetime as dt


def iso(wall: float) -> str:
    """Write a time to the second: `2026-11-22T06:00:00Z`."""
    return _utc(int(wall)).isoformat().replace("+00:00", "Z")


def iso_exact(wall: float) -> str:
    """Write a time to the millisecond."""
    return _utc(wall).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_name(wall: float) -> str:
    """Write a time as names of folders have it, which sort by it: `2026-11-22T06-00-00Z`."""
    return iso(wall).replace(":", "-")


def _utc(wall: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(wall, dt.UTC)
