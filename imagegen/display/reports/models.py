"""The models of a provider: a table for people, and one JSON object for programs."""

from typing import Final

from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import join_some, plural, sanitize
from imagegen.providers.models import Model
from imagegen.setup.list_models import Listing

_SIZES: Final = ("512", "1K", "2K", "4K")
_WIDEST: Final = 27
"""Characters of a model's name, so that a row is under 80."""

_MOST: Final = 20


def as_json(listing: Listing) -> dict[str, object]:
    """Return what `models --json` prints. Prices are in US dollars."""
    return {
        "schema": 1,
        "provider": listing.provider,
        "used": listing.used.name,
        "default": listing.catalogue.default.name,
        "key": listing.tail,
        "seen": None if listing.seen is None else list(listing.seen),
        "trouble": listing.trouble,
        "models": [_described(listing, model) for model in listing.models],
    }


def _described(listing: Listing, model: Model) -> dict[str, object]:
    real = listing.catalogue.find(model.name)
    tokens = real.token_prices
    return {
        "name": model.name,
        "state": model.state.value,
        "default": listing.catalogue.is_default(model),
        "used": model.name == listing.used.name,
        "seen": None if listing.seen is None else model.name in listing.seen,
        "alias_of": model.alias_of,
        "successor": real.successor,
        "ends": real.ends,
        "sizes": dict(real.sizes),
        "aspect_ratios": None if real.ratios is None else list(real.ratios),
        "widest": real.pixels.widest if real.pixels else None,
        "references": {"total": real.references, "characters": real.people, "others": real.things},
        "thinking": {"levels": list(real.thinking), "default": real.default_thinking},
        "per_million_tokens": None
        if tokens is None
        else {
            "image_out": tokens.picture,
            "text_out": tokens.text_out,
            "text_in": tokens.text_in,
            "image_in": tokens.text_in if tokens.picture_in is None else tokens.picture_in,
        },
        "per_reference": real.reference_price or None,
        "batch_factor": real.batch,
        "seconds": real.seconds,
    }


def show(paper: Paper, listing: Listing) -> None:
    """Print the table of models, its legend, and which models the key can use."""
    paper.line(f"Models of {sanitize(listing.provider)}; prices in US dollars an image")
    paper.line()
    rows = [model for model in listing.models if model.offered or _is_used(listing, model)]
    width = min(_WIDEST, max((len(sanitize(model.name)) for model in rows), default=5))
    sizes = "".join(f"{size:>7}" for size in _SIZES)
    paper.line(f"   {'model':<{width}} {'state':<10}{sizes}{'refs':>5}{'secs':>5}")
    for model in rows:
        paper.line(_row(listing, model, width))
    paper.line()
    marks = ["* the default", "> the project's"]
    if listing.seen is not None:
        marks.append("+ the key sees it" if listing.tail else "+ the server has it")
    paper.line(f"   {'   '.join(marks)}")
    for model in rows:
        for text in _more(model):
            paper.wrap(f"   {sanitize(model.name)}: ", text, indent=6)
    shut_down = [model for model in listing.models if not model.offered]
    if shut_down:
        paper.wrap("   shut down: ", ", ".join(model.name for model in shut_down), indent=6)
    _seen(paper, listing)


def _is_used(listing: Listing, model: Model) -> bool:
    return model.name == listing.used.name


def _row(listing: Listing, model: Model, width: int) -> str:
    real = listing.catalogue.find(model.name)
    marks = "".join(
        mark if applies else " "
        for mark, applies in (
            ("*", listing.catalogue.is_default(model)),
            (">", _is_used(listing, model)),
            ("+", listing.seen is not None and model.name in listing.seen),
        )
    )
    sizes = "".join(f"{_price(real, size):>7}" for size in _SIZES)
    seconds = "" if real.seconds is None else f"{real.seconds:g}"
    name, state = sanitize(model.name), model.state.value
    return f"{marks}{name:<{width}} {state:<10}{sizes}{real.references:>5}{seconds:>5}".rstrip()


def _price(model: Model, size: str) -> str:
    if size not in model.sizes:
        return "-"
    price = model.sizes[size]
    return "?" if price is None else f"{price:g}"


def _more(model: Model) -> list[str]:
    """Return details about a model that deserve their own line."""
    details = []
    if model.alias_of is not None:
        return [f"an alias of {model.alias_of}"]
    if model.ends is not None:
        details.append(f"ends on {model.ends}")
    if model.successor is not None:
        details.append(f"its successor is {model.successor}")
    if model.thinking and model.known:
        levels = ", ".join(
            f"{level} (default)" if level == model.default_thinking else level
            for level in model.thinking
        )
        details.append(f"thinking {levels}")
    prices = model.token_prices
    if prices is not None:
        text_out = "" if prices.text_out is None else f", thoughts {prices.text_out:g}"
        image_in = "" if prices.picture_in is None else f", references {prices.picture_in:g}"
        details.append(
            f"a million tokens: image {prices.picture:g}{text_out}, prompt {prices.text_in:g}"
            f"{image_in}"
        )
    if model.reference_price:
        details.append(f"a reference {model.reference_price:g}")
    if model.people is not None:
        details.append(f"references: {model.things} of things, {model.people} of characters")
    return ["; ".join(details)] if details else []


def _seen(paper: Paper, listing: Listing) -> None:
    if listing.trouble is not None:
        subject = f"the key {listing.tail}" if listing.tail else "the server"
        paper.line()
        paper.wrap(
            "", f"Models that {subject} can use are unknown: {sanitize(listing.trouble)}", indent=2
        )
    elif listing.seen is not None:
        subject = f"The key {listing.tail}" if listing.tail else "The server"
        verb = "sees" if listing.tail else "has"
        paper.line()
        paper.line(f"{subject} {verb} {plural(len(listing.seen), 'image model')}.")
        if listing.others:
            other_models = join_some([sanitize(name, 60) for name in listing.others], _MOST)
            paper.wrap("   not in the table: ", other_models, indent=6)
        if listing.used.name not in listing.seen:
            paper.line(
                f"{sanitize(listing.used.name)}, which the project uses, is not one of them."
            )
