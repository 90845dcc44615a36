"""Compare the tables of models with the one that LiteLLM publishes, and print the differences.

    python -m venv /tmp/litellm && /tmp/litellm/bin/pip install --no-deps litellm
    python bench/models.py /tmp/litellm/lib/python3.*/site-packages/litellm

Its package is large, so it is installed for this alone, without what it depends on: only its
`model_prices_and_context_window_backup.json` is read. Nothing is sent.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from imagegen import providers
from imagegen.providers.models import Model

_FILE: Final = "model_prices_and_context_window_backup.json"
_PREFIXES: Final = {"gemini": "gemini/", "openai": ""}
_MILLION: Final = 1e6


def main() -> None:
    """Print a line for each difference, and how many models were compared."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="the litellm package, or the JSON file itself")
    folder = parser.parse_args().folder
    table = json.loads((folder / _FILE if folder.is_dir() else folder).read_text("utf-8"))
    compared = 0
    for provider, prefix in _PREFIXES.items():
        catalogue = providers.catalogue(provider)
        for listed in catalogue.models:
            theirs = table.get(prefix + listed.name)
            if theirs is None:
                print(f"{listed.name}: LiteLLM does not list it ({listed.state})")
                continue
            compared += 1
            for difference in differences(catalogue.find(listed.name), theirs, prefix):
                print(f"{listed.name}: {difference}")
        for name in unlisted(provider, table):
            print(f"{name}: only LiteLLM lists it")
    print(f"{compared} models compared")


def differences(model: Model, theirs: dict[str, Any], prefix: str) -> Iterator[str]:
    """Yield in what a model of ours is another than theirs; what one side leaves out is not."""
    if model.offered:
        yield from _price_differences(model, theirs)
    ends, successor = theirs.get("deprecation_date"), theirs.get("successor_model")
    if ends != model.ends and (ends or model.ends):
        yield f"it ends {model.ends or 'not'} here, {ends or 'not'} there"
    successor = successor.removeprefix(prefix) if successor else None
    if successor != model.successor and (successor or model.successor):
        yield f"its successor is {model.successor or 'none'} here, {successor or 'none'} there"


def _price_differences(model: Model, theirs: dict[str, Any]) -> Iterator[str]:
    tokens = model.token_prices
    per_million = {
        "image tokens": (tokens.picture if tokens else None, "output_cost_per_image_token"),
        "thoughts": (tokens.text_out if tokens else None, "output_cost_per_token"),
        "prompt": (tokens.text_in if tokens else None, "input_cost_per_token"),
        "image input": (tokens.picture_in if tokens else None, "input_cost_per_image_token"),
    }
    for what, (ours, name) in per_million.items():
        other = None if theirs.get(name) is None else theirs[name] * _MILLION
        yield from _differ(f"{what}, a million tokens", ours, other)
    listed = [price for price in model.sizes.values() if price is not None]
    other = theirs.get("output_cost_per_image")
    if listed and other is not None and not any(_near(price, other) for price in listed):
        yield f"an image is {listed} here, {other:g} there"
    reference = theirs.get("input_cost_per_image")
    yield from _differ("a reference", model.reference_price or None, reference)
    image, batch = theirs.get("output_cost_per_image_token"), None
    if image and theirs.get("output_cost_per_image_token_batches"):
        batch = theirs["output_cost_per_image_token_batches"] / image
    yield from _differ("the batch factor", model.batch, batch)


def _differ(what: str, ours: float | None, theirs: float | None) -> Iterator[str]:
    if theirs is not None and ours is None:
        yield f"{what}: not known here, {theirs:g} there"
    elif theirs is not None and ours is not None and not _near(ours, theirs):
        yield f"{what}: {ours:g} here, {theirs:g} there"


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 0.005 * max(one, other)


def unlisted(provider: str, table: dict[str, Any]) -> Iterator[str]:
    """Yield the image models of theirs that our table does not have."""
    catalogue = providers.catalogue(provider)
    for name, theirs in sorted(table.items()):
        plain = name.removeprefix(_PREFIXES[provider])
        own = theirs.get("litellm_provider") == provider and "/" not in plain
        draws = own and theirs.get("mode") == "image_generation"
        if draws and not catalogue.find(plain).known:
            yield plain


if __name__ == "__main__":
    main()
