"""The settings of a project, with what a command asks for in their place."""

from pathlib import Path

import msgspec

from imagegen import providers
from imagegen.errors import InputFault, InputFaultsError
from imagegen.project import settings
from imagegen.project.record import Asked
from imagegen.project.settings import Settings
from imagegen.tables import did_you_mean


def load(root: Path, asked: Asked) -> Settings:
    """Read imagegen.toml; raises `InputFaultsError` for its faults and an unknown provider."""
    read = settings.load(root)
    if asked.provider is None and read.provider not in providers.NAMES:
        near = did_you_mean(read.provider, providers.NAMES)
        fault = InputFault(
            file=str(root / settings.FILE),
            field="provider",
            message=f'unknown: "{read.provider}"',
            hint=near or "one of " + ", ".join(providers.NAMES),
        )
        raise InputFaultsError([fault])
    provider = asked.provider or read.provider
    # A model belongs to the provider that the settings name.
    model = asked.model or (read.model if provider == read.provider else None)
    if asked.continuity is not None:
        read = settings.with_continuity(read, on=asked.continuity)
    return msgspec.structs.replace(read, provider=provider, model=model)
