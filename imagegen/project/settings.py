"""imagegen.toml: what a project wants drawn, and how."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from imagegen import toml
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.keys import budget_server
from imagegen.project import characters
from imagegen.project.characters import Character
from imagegen.sizes import RATIOS, SIDES
from imagegen.spending import limits
from imagegen.spending.limits import SpendingLimits

FILE: Final = "imagegen.toml"
STYLES: Final = ("illustration", "clear", "consistent")
_STYLE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_DEVICES = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")
_ADDRESSES = ("base_url", "api_url", "endpoint", "address")
_MOST_NAMED = 1000
_MOST_STYLES = 200
_OF_KEYS = ("prices", "lend", "requests_per_minute", "requests_per_day")
_SECRETS = ("key", "keys", "api_key", "api_keys")

Seconds = Annotated[float, msgspec.Meta(ge=1, le=3600)]
Attempts = Annotated[int, msgspec.Meta(ge=1, le=20)]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
Thinking = Literal["minimal", "medium", "high"]
Paths = Annotated[tuple[str, ...], msgspec.Meta(max_length=50)]


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """One `[styles.NAME]` table: the sentence and the images that make a style.

    `continuity` and `thinking` are the project's if they are None.
    """

    look: Words | None = None
    style_reference: str | None = None
    references: Paths = ()
    continuity: bool | None = None
    thinking: Thinking | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a project, each at its default if not in the file.

    `timeout` is in seconds for one whole request; paths are as written, relative to the
    project. `provenance` false leaves a beat's prompt out of its image, never the hash.
    With `continuity` a beat that continues the one before it is drawn from its image.
    `references` are sent with every beat. `thinking` None leaves it to the model; `store`
    lets the service keep the requests, if it asks. `spending` limits what runs of the project
    spend. `styles` holds the built-in styles and those
    that the file adds.
    """

    provider: str = "gemini"
    model: str | None = None
    aspect_ratio: str = "16:9"
    image_size: str = "1K"
    thinking: Thinking | None = None
    store: bool = False
    timeout: Seconds = 120.0
    max_attempts: Attempts = 4
    style_reference: str | None = None
    references: Paths = ()
    continuity: bool = False
    strict_references: bool = False
    beats: str | None = None
    draw: tuple[str, ...] | None = None
    provenance: bool = True
    spending: SpendingLimits = SpendingLimits()
    characters: dict[str, Character] = {}  # copied by msgspec
    styles: dict[str, Style] = msgspec.field(
        default_factory=lambda: {name: Style() for name in STYLES}
    )

    @property
    def drawn_styles(self) -> tuple[str, ...]:
        """The styles to draw: all, or those that `draw` names, in the order of `styles`."""
        return tuple(name for name in self.styles if self.draw is None or name in self.draw)

    def continuous(self, style: str) -> bool:
        """Return whether beats of this style are drawn from the image before them."""
        style_setting = self.styles[style].continuity if style in self.styles else None
        return self.continuity if style_setting is None else style_setting

    def thinking_in(self, style: str) -> Thinking | None:
        """Return how much the model thinks about images of this style; None: as it likes."""
        style_setting = self.styles[style].thinking if style in self.styles else None
        return self.thinking if style_setting is None else style_setting


def in_every_style(settings: Settings, **values: Any) -> Settings:
    """Return the settings with these of the project's, which no style overrides."""
    styles = {
        name: msgspec.structs.replace(style, **dict.fromkeys(values))
        for name, style in settings.styles.items()
    }
    return msgspec.structs.replace(settings, styles=styles, **values)


def is_style_name(name: str) -> bool:
    """Return whether a style may have this name."""
    return bool(_STYLE_NAME.fullmatch(name)) and not _DEVICES.fullmatch(name)


def load(project: Path) -> Settings:
    """Read `imagegen.toml`; without one every setting has its default.

    Raises `InvalidInputError` with every error of the file.
    """
    settings, faults = read(project)
    if faults:
        raise InvalidInputError(faults)
    return settings


def read(project: Path) -> tuple[Settings, list[InputError]]:
    """Read `imagegen.toml` as `load` does; returns its errors beside what is right.

    A setting that is wrong has its default.
    """
    path = project / FILE
    faults: list[InputError] = []
    if not os.path.lexists(path):
        return Settings(), faults
    label = str(path)
    table = toml.read(path, label, faults)
    if table is None:
        return Settings(), faults
    table = _without_foreign(table, label, faults)
    styles = _styles(table.pop("styles", {}), label, faults)
    cast = characters.read(table.pop("characters", {}), styles, label, faults)
    spending = limits.read(table.pop(limits.TABLE, {}), label, faults)
    settings = toml.convert(table, Settings, label=label, faults=faults)
    settings = msgspec.structs.replace(settings, styles=styles, characters=cast, spending=spending)
    _check(settings, label, faults)
    return settings, faults


def with_value(project: Path, names: tuple[str, ...], value: str | Mapping[str, str]) -> bytes:
    """Return imagegen.toml with a setting at a value; all else is unchanged.

    `names` are those of the tables that it is in, and its own. Raises `UsageError` if the file
    cannot be read, or not be changed so.
    """
    from imagegen import toml_edit  # noqa: PLC0415  # slow to import

    path, (*tables, name) = project / FILE, names
    try:
        return toml_edit.set_value(toml_edit.read(path), names, value).encode()
    except toml_edit.TomlEditError as error:
        hint = f"write [{'.'.join(tables)}] as a table of its own, or {name} by hand"
        raise UsageError(
            f"{path} cannot be changed: {error}", hint=hint if tables else None
        ) from error


def _without_foreign(
    table: Mapping[str, Any], label: str, faults: list[InputError]
) -> dict[str, Any]:
    """Report what may never stand in a project's settings, and return the rest."""
    rest = dict(table)
    for name in _ADDRESSES:
        if rest.pop(name, None) is not None:
            message = "a project may not say where keys are sent"
            hint = "use --base-url, IMAGEGEN_BASE_URL or your own keys.toml"
            faults.append(InputError(file=label, field=name, message=message, hint=hint))
    faults += budget_server.refuse(table, label)
    rest.pop(budget_server.TABLE, None)
    for name in _OF_KEYS:
        if rest.pop(name, None) is not None:
            message = "belongs into keys.toml"
            faults.append(InputError(file=label, field=name, message=message))
    for name in _SECRETS:
        if rest.pop(name, None) is not None:
            message = "keys do not belong into a file that is committed"
            hint = "put them into keys.toml"
            faults.append(InputError(file=label, field=name, message=message, hint=hint))
    return rest


def _styles(table: object, label: str, faults: list[InputError]) -> dict[str, Style]:
    styles = {name: Style() for name in STYLES}
    if not isinstance(table, dict):
        message = "expected tables, as in [styles.clear]"
        hint = 'draw = ["clear"] selects styles'
        faults.append(InputError(file=label, field="styles", message=message, hint=hint))
        return styles
    if len(table) > _MOST_STYLES:
        # Each invalid name would be compared with all of them.
        message = f"has {len(table):,} styles: {_MOST_STYLES} at most"
        faults.append(InputError(file=label, field="styles", message=message))
        return styles
    for name, value in table.items():
        field = f"styles.{name}"
        if not _STYLE_NAME.fullmatch(name):
            message = "a style's name is a-z, then a-z, 0-9, _ or -, at most 40 characters"
            faults.append(InputError(file=label, field=field, message=message))
        elif _DEVICES.fullmatch(name):
            message = "this name is a device's on Windows and can be no folder there"
            faults.append(InputError(file=label, field=field, message=message))
        elif not isinstance(value, dict):
            message = f'expected a table, as in [{field}] with look = "…"'
            faults.append(InputError(file=label, field=field, message=message))
        else:
            styles[name] = toml.convert(
                value, Style, label=label, faults=faults, prefix=field + "."
            )
    return styles


def _check(settings: Settings, label: str, faults: list[InputError]) -> None:
    def one_of(field: str, value: str, choices: tuple[str, ...]) -> None:
        if value not in choices:
            # Ratios and sizes look too much alike to guess which was meant.
            near = None if value[:1].isdigit() else toml.did_you_mean(value, choices)
            hint = near or "one of " + ", ".join(choices)
            fault = InputError(file=label, field=field, message=f'unknown: "{value}"', hint=hint)
            faults.append(fault)

    one_of("aspect_ratio", settings.aspect_ratio, RATIOS)
    one_of("image_size", settings.image_size, tuple(SIDES))
    for name in (settings.draw or ())[:_MOST_NAMED]:
        one_of("draw", name, tuple(settings.styles))
    if settings.draw is not None and not settings.draw:
        faults.append(InputError(file=label, field="draw", message="names no style"))
