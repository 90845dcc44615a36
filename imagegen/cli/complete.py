"""Shell completion: a project's styles, shots and beats, and known names.

Completion never writes, prints no error about a project that it cannot read, and offers
only values that need no quotes in any shell: some shells evaluate the offered values.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from imagegen.errors import ImagegenError

if TYPE_CHECKING:
    from imagegen.project.settings import Settings
    from imagegen.project.storyboard import Beat, BeatKey

_MOST: Final = 500
_MOST_FOLDERS: Final = 2000
_PLAIN: Final = re.compile(r"[\w.+@,~/][\w.+@,~/-]*")
_MARKS: Final = ("imagegen.toml", "beats.json", "beats.csv", "prompts", "storyboards")

Completer = Callable[[typer.Context, str], list[str]]


def one_of(*names: str) -> Completer:
    """Return a completer that offers these names."""

    def offer(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001  # found by name
        return _offered(names, incomplete)

    return offer


def projects(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001  # found by name
    """Offer projects in the folder that was typed so far."""
    parent = incomplete[: incomplete.rfind("/") + 1]
    try:
        with os.scandir(os.path.expanduser(parent) or ".") as entries:  # noqa: PTH111  # of "~x" too
            folders = [
                parent + entry.name
                for entry in itertools.islice(entries, _MOST_FOLDERS)
                if entry.name.startswith(incomplete[len(parent) :]) and _is_project(entry)
            ]
    except (OSError, ValueError):
        return []
    return _offered(sorted(folders), incomplete)


def _is_project(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir() and is_project(Path(entry.path))


def is_project(folder: Path) -> bool:
    """Return whether a folder looks like a project."""
    return any(os.path.lexists(folder / name) for name in _MARKS)


def styles(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the styles that the project draws and that are not named yet."""
    settings = _settings(ctx)
    named_styles = ctx.params.get("style") or ()
    names = settings.drawn_styles if settings else ()
    return _offered([name for name in names if name not in named_styles], incomplete)


def characters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the characters of the project that are not named yet."""
    settings = _settings(ctx)
    named_characters = ctx.params.get("names") or ()
    return _offered(
        [
            name
            for name in (settings.characters if settings else ())
            if name not in named_characters
        ],
        incomplete,
    )


def shots(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the project's shots, in the styles that were named."""
    return _offered((beat.shot for beat in _beats(ctx)), incomplete)


def beats(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer beats by their address: 1.1, or clear/1.1 if a style was typed.

    A number that several shots have is offered with its shot.
    """
    from imagegen.project.beat_ids import BeatIndex

    candidates = list(_beats(ctx))
    keys: dict[str, list[BeatKey]] = {}
    for beat in candidates:
        keys.setdefault(beat.style, []).append(beat.key)
    index = BeatIndex(keys)

    def addresses() -> Iterator[str]:
        for beat in candidates:
            number = index.id_of(beat.key)
            styled = f"{beat.style}/{number}"
            yield styled if incomplete and styled.startswith(incomplete) else number

    return _offered(addresses(), incomplete)


def picks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer beats; also styles once a beat is named or begun."""
    settings = _settings(ctx)
    names = settings.drawn_styles if settings and (incomplete or ctx.params.get("beat")) else ()
    return [*_offered(names, incomplete), *beats(ctx, incomplete)][:_MOST]


def beat_and_file(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer beats; nothing once one is named, since shells then offer files."""
    return [] if ctx.params.get("beat") else beats(ctx, incomplete)


def commands(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the names of the commands."""
    group: Any = ctx.find_root().command
    return _offered(group.list_commands(ctx), incomplete)


def providers(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001  # found by name
    """Offer the names of all providers."""
    from imagegen.providers import NAMES

    return _offered(NAMES, incomplete)


def models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the known models of the provider that would draw."""
    from imagegen.providers import NAMES, catalogue

    settings = _settings(ctx)
    name = str(ctx.params.get("provider") or (settings.provider if settings else "gemini"))
    return _offered(catalogue(name).offered if name in NAMES else (), incomplete)


def _settings(ctx: typer.Context) -> "Settings | None":
    from imagegen.project import settings

    try:
        return settings.load(_root(ctx))
    except (ImagegenError, OSError, ValueError):
        # An error would break into the line being typed: `check` reports it.
        return None


def _beats(ctx: typer.Context) -> Iterator["Beat"]:
    """Yield the beats of the project in the styles that were named, in file order."""
    from imagegen.project import storyboard

    settings = _settings(ctx)
    if settings is None:
        return
    beats_file = ctx.params.get("beats")
    # A file outside the project is read only if the user names it on the command line.
    path = Path(beats_file).absolute() if beats_file else _inside(ctx, settings.beats)
    try:
        read = storyboard.load(_root(ctx), tuple(settings.styles), beats=path)
    except (ImagegenError, OSError, ValueError):
        return
    for style in ctx.params.get("style") or settings.drawn_styles:
        yield from read.beats.get(style, ())


def _inside(ctx: typer.Context, beats_file: str | None) -> Path | None:
    if beats_file is None:
        return None
    root = _root(ctx).resolve()
    inside = (root / beats_file).resolve().is_relative_to(root)
    return Path(beats_file) if inside else root / "imagegen.toml"


def _root(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("project") or ".")


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    """Return names that begin as typed and that every shell reads as one plain word."""
    fitting = (n for n in names if n.startswith(incomplete) and _PLAIN.fullmatch(n))
    return list(itertools.islice(dict.fromkeys(fitting), _MOST))
