"""Image APIs: one file each behind the interface in `base`, chosen by name."""

import importlib
from typing import TYPE_CHECKING, Final, cast

from imagegen.errors import UsageError
from imagegen.providers.base import Provider, ProviderOptions
from imagegen.toml import did_you_mean

if TYPE_CHECKING:
    from imagegen.providers.models import Catalogue

_CLASSES: Final = {
    "gemini": "imagegen.providers.gemini.provider:Gemini",
    "openai": "imagegen.providers.openai.provider:OpenAI",
    "sdwebui": "imagegen.providers.sdwebui:SdWebUi",
    "sketch": "imagegen.providers.sketch:Sketch",
}
NAMES: Final = tuple(_CLASSES)
TABLES: Final = ("openai", "sdwebui")
"""The tables of keys.toml that are one provider's each; see `Provider.keys_table`."""

PLACEHOLDERS: Final = frozenset({"sketch"})
"""Providers of placeholders, unless the project is drawn with them."""


def create(name: str, options: ProviderOptions) -> Provider:
    """Return the provider of this name; what it needs is imported only now.

    Raises `UsageError` for a name that is not known.
    """
    return provider_class(name)(options)


def catalogue(name: str) -> "Catalogue":
    """Return the models of the provider of this name.

    Raises `UsageError` for a name that is not known.
    """
    return provider_class(name).catalogue


def key_variables(name: str) -> tuple[str, ...]:
    """Return the environment variables that may hold a key; empty where none is needed.

    Raises `UsageError` for a name that is not known.
    """
    return provider_class(name).key_variables


def provider_class(name: str) -> type[Provider]:
    """Return the class of this name; what only drawing needs is not imported yet.

    Raises `UsageError` for a name that is not known.
    """
    if name not in _CLASSES:
        hint = did_you_mean(name, NAMES) or f"there are: {', '.join(NAMES)}"
        raise UsageError(f'unknown provider "{name}"', hint=hint)
    module, _, class_name = _CLASSES[name].partition(":")
    return cast("type[Provider]", getattr(importlib.import_module(module), class_name))
