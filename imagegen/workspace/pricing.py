"""What images should cost, before the first of them is drawn."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from imagegen.keys.keyring import Keyring
from imagegen.providers.base import Price
from imagegen.providers.models import Model


class Pricing(NamedTuple):
    """What images of a size cost: from the keys file if it was read, else the list price."""

    ring: Keyring
    image_size: str

    def price(self, model: Model) -> Price | None:
        """Return what an image of a model costs; None if that is not known."""
        listed_price = self.ring.price(model.name, self.image_size)
        return model.price(self.image_size) if listed_price is None else Price(picture=listed_price)


class Expected(msgspec.Struct, frozen=True):
    """What images are expected to cost, in US dollars: one on average, and the dearest.

    None if that is not known before the first answers.
    """

    mean: float | None = None
    dearest: float | None = None


def expected(price: Price | None, references: Mapping[int, int], thoughts: float = 0.0) -> Expected:
    """Return what images should cost.

    `references` counts images by how many reference images are sent with each, `thoughts` is
    how many tokens the model thinks about one.
    """
    if price is None or price.picture is None:
        return Expected()
    pictures = sum(references.values())
    sent = sum(number * count for number, count in references.items())
    return Expected(
        price.expected(references=sent / pictures if pictures else 0.0, thoughts=thoughts),
        price.expected(references=max(references, default=0), thoughts=thoughts),
    )
