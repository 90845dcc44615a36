"""A key on its way into a keys file: which file, what that changes, and what it does not."""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

import msgspec

from imagegen import providers
from imagegen.errors import ImagegenError, UsageError
from imagegen.keys import edit, key_lists, permissions
from imagegen.keys.edit import Change, NewKey
from imagegen.keys.keyring import DEFAULT_POOL, Keyring
from imagegen.keys.locations import KeyLocation, LocationKind
from imagegen.project import settings
from imagegen.project.settings import STYLES, Settings
from imagegen.setup import init
from imagegen.shell import command, project_command
from imagegen.toml import did_you_mean
from imagegen.workspace import credentials

_USUAL: Final = Settings().provider
_MADE_AT: Final = {
    "gemini": "https://aistudio.google.com/apikey",
    "openai": "https://platform.openai.com/api-keys",
}
"""Where the services create keys."""

_LONG: Final = re.compile(r"(?=.*[0-9]).{20,}|.{41,}")
"""What is hardly a style's name, and may be a key."""

KEY_ON_COMMAND_LINE: Final = "a key is not taken from the command line"
NOT_TAKEN_HINT: Final = (
    "others can see it there, and the shell remembers it: if it was a real one, make a new one. "
    "imagegen keys add STYLE asks for it, or reads it from a pipe"
)


class KeyTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a key goes: a style's list in a keys file, which is valid.

    `styles` are all styles, `drawn` those that the project draws. `before` is what
    the file holds; None if there is no file yet. `project` is the folder that was named, None
    the user's own file. `named` is the option that named the provider. `strange` means that
    no project here has the style, and `made_at` is where the service creates keys.
    """

    style: str
    place: KeyLocation
    others: tuple[KeyLocation, ...]
    styles: tuple[str, ...]
    drawn: tuple[str, ...]
    project: Path | None
    before: Keyring | None
    named: tuple[str, ...] = ()
    strange: str | None = None
    made_at: str | None = None


class AddResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a key; `notes` are sentences for the user."""

    aim: KeyTarget
    change: Change
    name: str
    notes: tuple[str, ...]


def resolve_target(style: str, project: Path | None, provider: str | None = None) -> KeyTarget:
    """Find the file for a key: the project's if one is named, else the user's own.

    `provider` is the one that the key is for; else the project's. Raises `UsageError` for a
    style, a folder or a provider that there is not, or that needs no key, and
    `InvalidInputError` if the file has errors: before the key is asked for.
    """
    root = project or Path()
    if project is not None and not project.is_dir():
        raise UsageError(
            f"{project}: there is no such folder",
            hint=f"{project_command('init', project)} creates it",
        )
    read = settings.load(root) if project is not None else None
    styles = tuple(read.styles) if read else STYLES
    _check_style(style, styles, f"{project}" if read else None)
    provider_option = ("--provider", provider) if provider else ()
    provider = provider or _default_provider(read)
    if not providers.key_variables(provider):
        raise UsageError(f"{provider} needs no key")
    # Errors of a folder that was not named are of no interest here.
    places = credentials.places(root, provider)
    kind = LocationKind.USER if project is None else LocationKind.PROJECT
    place = next(place for place in places if place.named is kind)
    other_places = tuple(other for other in places if other is not place)
    before = edit.read_existing(place, styles)
    return KeyTarget(
        style=style,
        place=place,
        others=other_places,
        styles=styles,
        drawn=read.drawn_styles if read else styles,
        project=project,
        before=before,
        named=provider_option,
        strange=None if project is not None else _unknown_style_note(style),
        made_at=_MADE_AT.get(provider),
    )


def _unknown_style_note(style: str) -> str | None:
    """Return a note if neither imagegen nor the project here has a style."""
    known_styles = dict.fromkeys((*STYLES, DEFAULT_POOL))
    # Errors of a folder that was not named are of no interest here.
    with contextlib.suppress(ImagegenError):
        known_styles |= dict.fromkeys(settings.load(Path()).styles)
    if style in known_styles:
        return None
    near = did_you_mean(style, known_styles) or f"known styles: {', '.join(known_styles)}"
    return f'"{style}" is not a built-in style, nor one of a project here: {near}'


def _default_provider(read: Settings | None) -> str:
    """Return the provider of the key if none is named: the project's, if it needs one."""
    return read.provider if read and providers.key_variables(read.provider) else _USUAL


def add(aim: KeyTarget, new: NewKey) -> AddResult:
    """Add the key; see `edit.add` for what it raises."""
    # Before the keys file exists, so that git can never take it.
    ignored = init.ignore_keys(aim.project) if aim.project is not None else None
    change = edit.add_key(aim.place, aim.styles, aim.style, new)
    notes = [ignored] if ignored else []
    notes += _of_the_key(aim, new, change.ring)
    notes += _of_the_file(aim, change)
    # Of keys that end alike each has a name of its own among the others.
    pool = change.ring.pools.get(aim.style, ())
    name = next((key.secret.tail for key in pool if key.secret == new.secret), new.shown)
    return AddResult(aim=aim, change=change, name=name, notes=tuple(notes))


def _check_style(style: str, styles: tuple[str, ...], project: str | None) -> None:
    if style in styles or style == DEFAULT_POOL:
        return
    if key_lists.looks_like_a_key(style) or _LONG.fullmatch(style):
        # It may be the key itself: do not repeat it.
        raise UsageError(f"{KEY_ON_COMMAND_LINE}, and this is not a style", hint=NOT_TAKEN_HINT)
    known_styles = (*styles, DEFAULT_POOL)
    hint = did_you_mean(style, known_styles) or f"there are: {', '.join(known_styles)}"
    if project is not None:
        raise UsageError(f'{project} has no style "{style}"', hint=hint)
    if not settings.is_style_name(style):
        raise UsageError(f'"{style}" is not a valid style name', hint=hint)


def _of_the_key(aim: KeyTarget, new: NewKey, ring: Keyring) -> list[str]:
    notes = []
    if new.variable is not None and not os.environ.get(new.variable, "").strip():
        notes.append(f"${new.variable} is not set here: the style has this key only if it is")
    if new.secret is not None:
        among = [
            name for name, keys in ring.pools.items() if new.secret in {k.secret for k in keys}
        ]
        lists = [name for name in among if name != aim.style]
        if lists:
            notes.append(f"it is also under {_and(lists)}: both share its quota")
    if aim.strange is not None:
        notes.append(aim.strange)
    return notes


def _of_the_file(aim: KeyTarget, change: Change) -> list[str]:
    """Return notes on files that take precedence, and on those that no longer do."""
    label = aim.place.label
    first = next((other for other in aim.others if _comes_first(other, aim.place)), None)
    notes = []
    if first is not None and first.named is LocationKind.VARIABLE:
        notes.append(f"not used while $IMAGEGEN_KEYS is set: {first.label} decides")
    elif first is not None:
        notes.append(f"not used for the project in this folder: {first.label} decides there")
    if change.created:
        used = [other for other in aim.others if other.exists and not other.lacks_section]
        no_more = [other.label for other in used if not _comes_first(other, aim.place)]
        if no_more and first is None:
            notes.append(f"from now on {label} decides, and no longer {_and(no_more)}")
    ring, before = change.ring, aim.before or Keyring()
    if aim.style not in before.pools and before.pool(aim.style):
        notes.append(f"{aim.style} has a list of its own now, and no longer uses the default keys")
    keyless = [style for style in aim.drawn if not ring.pool(style)]
    if keyless and not change.already_present:
        project_option = ("--project", str(aim.project)) if aim.project is not None else ()
        add = command("imagegen", "keys", "add", DEFAULT_POOL, *aim.named, *project_option)
        notes.append(f"no key yet for {_and(keyless)}: {add} serves them all")
    return notes + permissions.warnings(change.path, label)


def _comes_first(other: KeyLocation, place: KeyLocation) -> bool:
    """Return whether another place decides before this one, and is not the same file."""
    order = list(LocationKind)
    if not other.takes_precedence or order.index(other.named) > order.index(place.named):
        return False
    return not (other.path and place.path and other.exists and _same(other.path, place.path))


def _same(first: Path, other: Path) -> bool:
    try:
        return first.samefile(other)
    except OSError:
        return False


def _and(names: list[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
