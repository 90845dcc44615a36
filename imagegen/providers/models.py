"""What a provider's models are: one frozen table each, which everything else reads.

Defaults, `imagegen models`, `check`, `keys check`, `--dry-run`, `--max-cost`, shell completion and
the docs ask a `Catalogue`; nothing else knows the name of a model.
"""

import datetime as dt
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from imagegen import sizes
from imagegen.providers.base import Price, Reference, ReferenceRole, TokenPrices
from imagegen.times import in_words

_SNAPSHOT: Final = re.compile(r"-\d{4}-\d{2}-\d{2}\Z")
_NAMES_IMAGES: Final = re.compile(
    r"image|dall-?e|diffusion|flux|banana|sdxl|\bsd[\d-]|seedream", re.IGNORECASE
)


class State(StrEnum):
    """What the service says about a model."""

    CURRENT = "current"
    LEGACY = "legacy"
    """Still served, and no longer recommended."""
    DEPRECATED = "deprecated"
    SHUT_DOWN = "shut down"
    ALIAS = "alias"
    """Another name of a model."""
    UNKNOWN = "unknown"
    """Not in the table: it is drawn with all the same."""


class Pixels(msgspec.Struct, frozen=True, kw_only=True):
    """Which widths and heights a model draws, for an API that is asked in pixels.

    Either `fixed` sizes, or any with sides in multiples of `step`, of `least` to `most` pixels,
    with no side beyond `longest` and no ratio beyond `widest` to 1.
    """

    fixed: tuple[tuple[int, int], ...] = ()
    step: int = 1
    least: int = 0
    most: int | None = None
    longest: int | None = None
    widest: float | None = None

    def size(self, aspect_ratio: str, image_size: str) -> tuple[int, int]:
        """Return the width and height for a ratio and a size; the nearest of the fixed ones."""
        if self.fixed:
            return sizes.nearest(aspect_ratio, self.fixed)
        return sizes.exact(
            aspect_ratio,
            image_size,
            step=self.step,
            least=self.least,
            most=self.most,
            longest=self.longest,
        )


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model, as its service's pages describe it.

    `sizes` are those it draws, each with the list price of an image in US dollars (None: not
    known); `token_prices` are US dollars a million tokens, `reference_price` US dollars for each
    reference image. `ratios` None: any ratio that `pixels` allows. `references` is how many
    reference images one request takes, of which `people` may be of characters and `things`
    of anything else (None: any number). `thinking` are the levels that can be asked for,
    `default_thinking` is the one without asking. `batch` is what the price is multiplied by in
    a batch (None: no batch). `seconds` is about how long an answer takes. `ends` is an ISO date.
    """

    name: str
    state: State = State.CURRENT
    alias_of: str | None = None
    successor: str | None = None
    ends: str | None = None
    sizes: Mapping[str, float | None] = {}  # copied by msgspec
    ratios: tuple[str, ...] | None = None
    pixels: Pixels | None = None
    references: int = 14
    people: int | None = None
    things: int | None = None
    thinking: tuple[str, ...] = ()
    default_thinking: str | None = None
    token_prices: TokenPrices | None = None
    reference_price: float = 0.0
    batch: float | None = None
    seconds: float | None = None

    @property
    def known(self) -> bool:
        """Whether the table has it."""
        return self.state is not State.UNKNOWN

    @property
    def offered(self) -> bool:
        """Whether it is worth offering: the service has not shut it down."""
        return self.state is not State.SHUT_DOWN

    def price(self, image_size: str) -> Price | None:
        """Return the list price of an image of this size; None if nothing is known of it."""
        picture = self.sizes.get(image_size)
        if picture is None and self.token_prices is None:
            return None
        return Price(picture=picture, tokens=self.token_prices, reference=self.reference_price)

    def asked_pixels(self, aspect_ratio: str, image_size: str) -> tuple[int, int] | None:
        """Return the width and height that are asked for; None if a ratio and a size are."""
        return self.pixels.size(aspect_ratio, image_size) if self.pixels is not None else None

    def draws_ratio(self, aspect_ratio: str) -> bool:
        """Return whether images can have this ratio."""
        if self.ratios is not None:
            return aspect_ratio in self.ratios
        widest = self.pixels.widest if self.pixels else None
        across, down = sizes.reduced(aspect_ratio)
        return widest is None or max(across, down) <= widest * min(across, down)

    @property
    def ratios_shown(self) -> str:
        """The ratios that it draws, in words."""
        if self.ratios is not None:
            return ", ".join(self.ratios)
        widest = self.pixels.widest if self.pixels else None
        return "any" if widest is None else f"1:{widest:g} to {widest:g}:1"

    @property
    def references_shown(self) -> str:
        """How many reference images it takes, in words."""
        if self.people is None or self.things is None:
            return str(self.references)
        return f"{self.references}: {self.things} of things and {self.people} of characters"

    def takes(self, references: tuple[Reference, ...]) -> bool:
        """Return whether one request may bring these reference images, by number and kind."""
        people = sum(reference.role is ReferenceRole.CHARACTER for reference in references)
        return (
            len(references) <= self.references
            and (self.people is None or people <= self.people)
            and (self.things is None or len(references) - people <= self.things)
        )

    def about_end(self, today: dt.date) -> str | None:
        """Say that it is deprecated, ends or was shut down, and name its successor.

        None for a current one.
        """
        is_shut_down = self.state is State.SHUT_DOWN
        if self.ends is not None:
            day = dt.date.fromisoformat(self.ends)
            verb = "was shut down" if is_shut_down else "ended" if day <= today else "ends"
            text = f"{self.name} {verb} on {in_words(day)}"
        elif is_shut_down or self.state in {State.DEPRECATED, State.LEGACY}:
            text = f"{self.name} is {self.state}"
        else:
            return None
        return f"{text}; its successor is {self.successor}" if self.successor else text


class Catalogue:
    """The models of one provider. `other` is what is assumed of a model that it does not list."""

    def __init__(self, models: tuple[Model, ...], *, default: str, other: Model) -> None:
        self.models = models
        self._by_name = {model.name: model for model in models}
        self._other = other
        self.default = self._by_name[default]

    def find(self, name: str) -> Model:
        """Return what is known of a model, under the name that was asked for.

        An alias is the model it names, a dated snapshot (`-2026-09-08`) its model; a gateway's
        prefix (`openai/`) does not matter.
        """
        plain = name.rpartition("/")[2]
        model = self._by_name.get(plain) or self._by_name.get(_SNAPSHOT.sub("", plain))
        if model is None:
            return msgspec.structs.replace(self._other, name=name, state=State.UNKNOWN)
        if model.alias_of is not None:
            aliased = self._by_name[model.alias_of]
            return msgspec.structs.replace(
                aliased, name=name, state=State.ALIAS, alias_of=model.alias_of
            )
        return model if model.name == name else msgspec.structs.replace(model, name=name)

    def is_default(self, model: Model) -> bool:
        """Return whether a model is the one that draws if none is named."""
        return model.name == self.default.name

    def draws(self, name: str) -> bool:
        """Return whether a model that a service lists makes images, by the table or its name."""
        return self.find(name).known or bool(_NAMES_IMAGES.search(name))

    @property
    def offered(self) -> tuple[str, ...]:
        """The names of the models that can be drawn with, the default first."""
        names = [model.name for model in self.models if model.offered]
        return tuple(dict.fromkeys((self.default.name, *names)))
