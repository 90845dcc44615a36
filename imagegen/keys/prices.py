"""`[prices]` in keys.toml: the price of an image, if it differs from the list price."""

import itertools
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from imagegen.errors import InputError
from imagegen.keys.keyring import Prices
from imagegen.sizes import SIDES
from imagegen.toml import did_you_mean

MOST: Final = 1000
"""US dollars for an image. What is dearer was meant for a thousand of them."""

_Dollars = Annotated[float, msgspec.Meta(ge=0, le=MOST)]
_EXAMPLE: Final = '"gemini-3-pro-image" = 0.134, or { 1K = 0.134, 4K = 0.24 }'
_EXPECTED: Final = f"expected US dollars for an image: a number from 0 to {MOST:,}"
_MOST_FAULTS: Final = 100
_LONGEST_SHOWN: Final = 100


def read(table: object, label: str, faults: list[InputError]) -> dict[str, Prices]:
    """Read the table of prices by model; what is wrong in it is left out and reported."""
    prices: dict[str, Prices] = {}
    if not isinstance(table, dict):
        hint = f"under [prices]: {_EXAMPLE}"
        fault = InputError(file=label, field="prices", message="expected a table", hint=hint)
        faults.append(fault)
        return prices
    before = len(faults)
    for model, value in table.items():
        if len(faults) - before >= _MOST_FAULTS:
            break
        price = _of_model(f"prices.{_quote_name(model)}", model, value, label, faults)
        if price is not None:
            prices[model] = price
    return prices


def _of_model(
    field: str, model: str, value: object, label: str, faults: list[InputError]
) -> Prices | None:
    if not isinstance(value, dict):
        return _dollars(field, value, label, faults)
    sizes: dict[str, float] = {}
    for size, entry in itertools.islice(value.items(), _MOST_FAULTS):
        if size in SIDES:
            price = _dollars(f"{field}.{size}", entry, label, faults)
            if price is not None:
                sizes[size] = price
            continue
        written = ".".join([model, *_path(size, entry)])
        quoted = f'write the model\'s name in quotes: "{written[:_LONGEST_SHOWN]}" = …'
        suggestion = did_you_mean(size.upper(), SIDES) or "one of " + ", ".join(SIDES)
        faults.append(
            InputError(
                file=label,
                field=f"{field}.{_quote_name(size)}",
                message="unknown size of an image",
                # Without quotes each dot in a model's name begins a table.
                hint=quoted if "-" in size or isinstance(entry, dict) else suggestion,
            )
        )
    return sizes


def _dollars(field: str, value: object, label: str, faults: list[InputError]) -> float | None:
    try:
        return msgspec.convert(value, _Dollars)
    except msgspec.ValidationError:
        faults.append(InputError(file=label, field=field, message=_EXPECTED, hint=_EXAMPLE))
        return None


def _path(name: str, value: object) -> Iterable[str]:
    """Return the names along which tables are nested, down to the first size or price."""
    while name not in SIDES:
        yield name
        if not isinstance(value, dict) or not value:
            return
        name, value = next(iter(value.items()))


def _quote_name(name: str) -> str:
    """Return a name as a message shows it: in quotes where TOML needs them."""
    plain = name.replace("-", "").replace("_", "")
    return name[:_LONGEST_SHOWN] if plain.isalnum() else f'"{name[:_LONGEST_SHOWN]}"'
