"""Keys as a run uses them: what each may send, and which draw which style."""

from collections.abc import Iterable
from typing import Final

import msgspec

from imagegen.keys.budget_server import BudgetServer
from imagegen.secret import Secret, tell_apart
from imagegen.spending.limits import Limit

DEFAULT_PER_MINUTE: Final = 9
DEFAULT_POOL: Final = "default"

Prices = float | dict[str, float]
"""What an image of one model costs, in US dollars: for any size, or by size."""


class RateLimit(msgspec.Struct, frozen=True):
    """What a key's quota allows: requests a minute, and a day where that is limited."""

    per_minute: int = DEFAULT_PER_MINUTE
    per_day: int | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """One key of a pool. Keys that name the same `project` share one budget."""

    secret: Secret
    limit: RateLimit = RateLimit()
    project: str | None = None

    @property
    def owner(self) -> tuple[str, str]:
        """What the key's budget belongs to: its project, or else the key itself."""
        if self.project:
            return ("project", self.project)
        return ("key", self.secret.reveal())


def per_minute(keys: Iterable[ApiKey]) -> int:
    """Return how many requests a minute these keys allow together."""
    return sum({key.owner: key.limit.per_minute for key in keys}.values())


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of every style, and where they were found.

    `source` is the file or variable as shown to the user, None if there is none.
    `unset` names by pool the environment variables that it refers to and that are not set.
    `base_url` is set only if the file may say where keys are sent. `prices` are by model.
    With `lend`, the keys of a style that has nothing to send serve the others. `limits` are those
    of the user on what all runs spend. `budget_server` is set if several machines share their
    budgets.
    """

    pools: dict[str, tuple[ApiKey, ...]] = {}  # copied by msgspec
    unset: dict[str, tuple[str, ...]] = {}  # copied by msgspec
    source: str | None = None
    base_url: str | None = None
    prices: dict[str, Prices] = {}  # copied by msgspec
    lend: bool = True
    limits: tuple[Limit, ...] = ()
    budget_server: BudgetServer | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        tell_apart(key.secret for pool in self.pools.values() for key in pool)

    def price(self, model: str, image_size: str) -> float | None:
        """Return what the file says an image costs, in US dollars; None if it does not."""
        price = self.prices.get(model)
        return price.get(image_size) if isinstance(price, dict) else price

    def pool(self, style: str) -> tuple[ApiKey, ...]:
        """Return the keys that draw this style: its own, else the default ones."""
        return self.pools[style] if style in self.pools else self.pools.get(DEFAULT_POOL, ())
