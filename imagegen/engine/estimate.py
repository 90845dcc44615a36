"""What a run would take and cost, as a value: the engine that works it out stays out of sight."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

_SUPPOSED_KEYS: Final = 2


class Supposed(msgspec.Struct, frozen=True):
    """How long drawing takes with these keys, each of `per_minute` requests.

    `seconds` is when the last request could leave.
    """

    keys: int
    per_minute: int
    seconds: float


def suppose(requests: int, per_minute: int) -> Supposed | None:
    """Return how long these requests would take with two keys; None if there are none."""
    if not requests:
        return None
    minutes = (requests - 1) // (_SUPPOSED_KEYS * per_minute)
    return Supposed(_SUPPOSED_KEYS, per_minute, 60.0 * minutes)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would take and cost, before it starts.

    `last_send_seconds` are those until each style's last request can leave, None where not
    all of them ever can; `answer_seconds` is how long an image takes to come.
    `longest_chain` is how many images at most are drawn one after another, each from the one
    before. `price` is an image's with its references, `cost` that of all, in US dollars;
    `thoughts_price` is US dollars per million tokens if the model thinks and no record
    says yet how much. `notes` are about the model. `keys` counts each style's;
    None for a provider that needs none. `image_size` and `aspect_ratio` are those sent.
    `supposed` is for the styles that have no key.
    """

    last_send_seconds: Mapping[str, float | None]
    keys: Mapping[str, int] | None = None
    image_size: str = ""
    aspect_ratio: str = ""
    longest_chain: int = 1
    answer_seconds: float | None = None
    price: float | None = None
    cost: float | None = None
    supposed: Supposed | None = None
    thoughts_price: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long the whole run takes at least; None where a style can never be drawn."""
        last_send = longest(self.last_send_seconds.values())
        return None if last_send is None else last_send + (self.answer_seconds or 0.0)


def longest(styles: Iterable[float | None]) -> float | None:
    """Return the longest of the styles' times in seconds; None where one is not known."""
    seconds_of_all = 0.0
    for seconds in styles:
        if seconds is None:
            return None
        seconds_of_all = max(seconds_of_all, seconds)
    return round(seconds_of_all, 1)
