"""Write docs/models.md: the models of every provider, from the tables in `imagegen.providers`.

Run it after you change one of them: `python docs/make_models.py`.
"""  # noqa: INP001  # a script, not a package

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from imagegen import providers
from imagegen.providers.models import Catalogue, Model, State

PAGE: Final = Path(__file__).with_name("models.md")
_TITLES: Final = {"gemini": "Gemini", "openai": "OpenAI"}
_INTRODUCTION: Final = """\
# Models

What imagegen knows of each model, as of 30 November 2026. This page is written by
`python docs/make_models.py` from the tables that the program itself reads; `imagegen models` prints
the same, and what your key sees. `python bench/models.py` compares them with LiteLLM's.

All prices are in US dollars. Prices of images are by `image_size`; "?" is a size whose price the
service does not list. A batch costs half. "Seconds" is about how long an answer takes, and is what
`--dry-run` counts with until the first answers.
"""


def page() -> str:
    """Return the page's text."""
    parts = [_INTRODUCTION]
    for name, title in _TITLES.items():
        parts.append(f"## {title}\n\n" + "\n".join(_of(providers.catalogue(name))) + "\n")
    return "\n".join(parts)


def _of(catalogue: Catalogue) -> Iterator[str]:
    yield "| model | state | sizes and prices | references | thinking | seconds |"
    yield "|---|---|---|---|---|---|"
    offered = [model for model in catalogue.models if model.offered]
    for model in offered:
        real = catalogue.find(model.name)
        default = ", **the default**" if catalogue.is_default(model) else ""
        yield (
            f"| `{model.name}` | {_state(model)}{default} | {_sizes(real)} | "
            f"{real.references_shown} | {_thinking(real)} | "
            f"{'' if real.seconds is None else f'{real.seconds:g}'} |"
        )
    yield ""
    yield "| a million tokens | images | thoughts, words | prompt | references | a reference |"
    yield "|---|---|---|---|---|---|"
    for model in offered:
        prices = model.token_prices
        if prices is not None:
            text_in = prices.text_in
            picture_in = text_in if prices.picture_in is None else prices.picture_in
            text_out = "" if prices.text_out is None else f"{prices.text_out:g}"
            each = f"{model.reference_price:g}" if model.reference_price else ""
            yield (
                f"| `{model.name}` | {prices.picture:g} | {text_out} | {text_in:g} | "
                f"{picture_in:g} | {each} |"
            )
    gone = [
        f"`{model.name}` ({model.ends}; successor `{model.successor}`)"
        for model in catalogue.models
        if model.state is State.SHUT_DOWN
    ]
    yield ""
    yield f"Shut down: {', '.join(gone)}."


def _state(model: Model) -> str:
    if model.alias_of is not None:
        return f"alias of `{model.alias_of}`"
    more = [f"ends {model.ends}"] if model.ends else []
    more += [f"successor `{model.successor}`"] if model.successor else []
    return "; ".join([model.state.value, *more])


def _sizes(model: Model) -> str:
    return ", ".join(
        f"{size} {'?' if price is None else f'{price:g}'}" for size, price in model.sizes.items()
    )


def _thinking(model: Model) -> str:
    return ", ".join(
        f"**{level}**" if level == model.default_thinking else level for level in model.thinking
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
