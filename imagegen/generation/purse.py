"""What a run has spent and may spend, about, in US dollars."""

from imagegen.providers.base import Price, Usage

_GRAIN = 1e-9
"""Sums of cents are not exact: `--max-cost 0.3` pays for three pictures of 0.1."""


class Purse:
    """Counts what answers cost, and what requests under way may cost yet.

    `price` is a picture's, None where it is not known; `limit` is the most to spend. What
    one picture costs is believed to be its price, or the dearest so far if that was more.
    """

    def __init__(self, price: Price | None, limit: float | None = None) -> None:
        self.price = price
        self.spent: float | None = None if price is None else 0.0
        self._limit = limit
        self._dearest = price.picture if price is not None else 0.0

    def pay(self, usage: Usage | None, *, pictures: int) -> float | None:
        """Count an answer that brought so many pictures (0 or 1); returns what it cost."""
        if self.price is None or self.spent is None:
            return None
        cost = self.price.of(usage, pictures=pictures)
        self.spent += cost
        self._dearest = max(self._dearest, cost)
        return cost

    def allows(self, pictures: int) -> bool:
        """Tell whether so many more pictures cannot pass the limit."""
        if self._limit is None or self.spent is None:
            return True
        return self.spent + pictures * self._dearest <= self._limit + _GRAIN

    def in_all(self, pictures: int) -> float | None:
        """Return what it will have cost when so many more pictures are drawn."""
        if self.price is None or self.spent is None:
            return None
        return self.spent + pictures * self.price.picture
