"""The settings of a project, with what a command asks for in their place."""

from collections.abc import Collection
from pathlib import Path

import msgspec

from imagegen import providers
from imagegen.errors import InputError
from imagegen.project import settings
from imagegen.project.record import DrawRequest
from imagegen.project.settings import STYLES, Settings
from imagegen.providers.base import model_name
from imagegen.toml import did_you_mean


def read(root: Path, request: DrawRequest) -> tuple[Settings, list[InputError]]:
    """Read imagegen.toml; returns valid settings, the errors, and an unknown provider."""
    read, faults = settings.read(root)
    if request.provider is None and read.provider not in providers.NAMES:
        near = did_you_mean(read.provider, providers.NAMES)
        fault = InputError(
            file=str(root / settings.FILE),
            field="provider",
            message=f'unknown: "{read.provider}"',
            hint=near or "one of " + ", ".join(providers.NAMES),
        )
        faults.append(fault)
    provider = request.provider or read.provider
    # A model and its thinking belong to the provider that the settings name.
    model = request.model or (read.model if provider == read.provider else None)
    if provider != read.provider:
        read = settings.in_every_style(read, thinking=None)
    if model is not None:
        model = model_name(model)
    if request.continuity is not None:
        read = settings.in_every_style(read, continuity=request.continuity)
    return msgspec.structs.replace(read, provider=provider, model=model), faults


def possible_typos(read: Settings) -> list[str]:
    """Return notes on styles that may be misspelt: each is drawn, at extra cost.

    Styles in `draw` are intended.
    """
    added_styles = (
        name for name in read.styles if name not in STYLES and name not in (read.draw or ())
    )
    near = ((name, did_you_mean(name, STYLES)) for name in added_styles)
    return [
        f"{settings.FILE}: [styles.{name}] adds a style: {suggestion} If not, name it in draw"
        for name, suggestion in near
        if suggestion is not None
    ]


def affects_beats(fault: InputError, styles: Collection[str]) -> bool:
    """Return whether an error of imagegen.toml leaves open which beats to read.

    `styles` are those that could be read; any other would be reported as an error too.
    """
    setting, _, name = (fault.field or "").partition(".")
    if setting == "styles":
        return name.partition(".")[0] not in styles
    return setting in {"", "beats"}
