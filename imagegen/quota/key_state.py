"""What can be said of a key: its state, and the news of a change."""

from enum import StrEnum
from typing import Final

import msgspec


class KeyState(StrEnum):
    """What can be said of a key at one moment."""

    READY = "ready"
    WAITING = "waiting"
    """Its minute is used up."""
    COOLING = "cooling"
    """The service asked for a pause."""
    SPENT_TODAY = "spent today"
    SPENT = "spent"
    """Nothing but refusals for a quarter of an hour: given up for this run."""
    OUT_OF_CREDIT = "out of credit"
    NO_QUOTA = "no quota"
    REJECTED = "rejected"


UNUSABLE: Final = frozenset({KeyState.NO_QUOTA, KeyState.REJECTED})
"""States of keys that have to be replaced: nothing here can be drawn with them."""

NEEDS_USER: Final = UNUSABLE | {KeyState.OUT_OF_CREDIT}
"""States that only a person can fix."""


class KeyUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A key and its state. `until` is in `Clock.now()` seconds, where known.

    `per_minute` is what the key may send a minute at present; `pace` the same where that is
    less than it was given.
    """

    tail: str
    state: KeyState
    until: float | None = None
    message: str = ""
    pace: int | None = None
    per_minute: int | None = None
