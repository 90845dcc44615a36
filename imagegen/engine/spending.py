"""What a run has spent and may spend, about, in US dollars."""

from typing import Final

import msgspec

from imagegen.providers.base import Price, Usage
from imagegen.workspace.pricing import Expected

_DIGITS: Final = 6
_TOKEN_MARGIN: Final = 1.1
"""Prompts and thoughts are paid for beside the image, and how long they are is not known before."""
_GRAIN: Final = 1e-6
"""Sums of cents are not exact: `--max-cost 0.3` pays for three images of 0.1."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is paid for: tokens, and images.

    `pictures` brought an image (0 or 1), `lost` counts those that cost as much and are of no use,
    `references` the reference images that were sent.
    """

    usage: Usage | None = None
    pictures: int = 0
    lost: int = 0
    references: int = 0


class SpendTracker:
    """Counts what answers cost, and what requests in flight may cost yet.

    `price` is an image's, None if it is not known; `limit` is the limit. What
    one image costs is believed to be what is `expected` (without it, its price), or the
    dearest so far if that was more.
    """

    def __init__(
        self, price: Price | None, limit: float | None = None, expected: Expected | None = None
    ) -> None:
        self.price = price
        self.limit_reached = False
        """Whether another style was denied since this was last set."""
        self._limit = limit
        self._spent = 0.0
        self._pictures = 0
        picture = price.picture if price is not None else None
        self._mean = expected.mean if expected is not None else picture
        dearest = expected.dearest if expected is not None else picture
        self._max_cost = dearest or 0.0

    @property
    def total(self) -> float | None:
        """What all answers so far cost, to the millionth; None where prices are not known."""
        return None if self.price is None else round(self._spent, _DIGITS)

    @property
    def highest(self) -> float | None:
        """What the next answer costs at most, as far as is known; None if that is not known."""
        if self.price is None or (self.price.picture is None and not self._max_cost):
            return None
        margin = _TOKEN_MARGIN if self.price.tokens is not None else 1.0
        return round(self._max_cost * margin, _DIGITS)

    def cost_of(self, charge: Charge) -> float | None:
        """Return what `record` would count; None where prices are not known."""
        cost = self._exact_cost(charge)
        return None if cost is None else round(cost, _DIGITS)

    def record(self, charge: Charge) -> float | None:
        """Count an answer; returns what it cost, None where prices are not known."""
        cost = self._exact_cost(charge)
        if cost is None:
            return None
        self._spent += cost
        self._pictures += charge.pictures
        self._max_cost = max(self._max_cost, cost)
        return round(cost, _DIGITS)

    def _exact_cost(self, charge: Charge) -> float | None:
        if self.price is None:
            return None
        pictures = charge.pictures + charge.lost
        return self.price.of(charge.usage, pictures=pictures, references=charge.references)

    def can_afford(self, pictures: int) -> bool:
        """Return whether this many more images stay within the limit."""
        if self._limit is None or self.price is None:
            return True
        allowed = self._spent + pictures * self._max_cost <= self._limit + _GRAIN
        self.limit_reached = self.limit_reached or not allowed
        return allowed

    def projected_total(self, pictures: int) -> float | None:
        """Return the total cost after this many more images.

        Each of them costs what one did on the average, answers without an image included;
        before the first, what is expected. None if that is not known.
        """
        if self.price is None:
            return None
        each = self._spent / self._pictures if self._pictures else self._mean
        if each is None:
            return round(self._spent, _DIGITS) if not pictures else None
        return round(self._spent + pictures * each, _DIGITS)
