"""Options that several commands share, and how their values are read."""

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from imagegen.cli import complete
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.project.record import DrawRequest

WHAT: Final = "Which beats"
LIMITS: Final = "Time and money"
WITH: Final = "What it reads and asks"
VIEW: Final = "While it runs"
"""Headings under which options stand in a command's help."""


class View(StrEnum):
    """How a run is shown."""

    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


def folder(text: str | Path) -> Path:
    """Read the name of a project's folder. Raises `UsageError` if it is empty."""
    if text == "":
        raise UsageError(
            "the project's name is empty", hint="write . for the current folder, or leave it out"
        )
    return Path(text)


def keys_file(text: str) -> Path:
    """Read the name of a keys file. Raises `UsageError` for a folder."""
    if not text or Path(text).is_dir():
        raise UsageError(f'--keys "{text}" is no file', hint="write --keys my-keys.toml, say")
    return Path(text)


def beats_path(text: str) -> Path:
    """Read the name of a beats file or folder. Raises `UsageError` if it is empty."""
    if not text:
        raise UsageError("--beats names nothing", hint="write --beats beats.json, say")
    return Path(text)


def picture_file(name: str) -> bytes:
    """Return the bytes of a picture that a person names. Raises `UsageError`."""
    from imagegen import files
    from imagegen.images.png import MAX_BYTES

    path = Path(name)
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "no such file"
        raise UsageError(f"{name}: {what}", hint="name a PNG, JPEG or WebP file")
    data = files.read(path.resolve(), MAX_BYTES)
    if data is None:
        raise UsageError(f"{name} cannot be read, or is larger than {MAX_BYTES // 1024**2} MB")
    return data


def csv_file(text: str) -> Path:
    """Read the name of a table. Raises `UsageError` for a folder, or for no file."""
    path = Path(text)
    if not text or path.is_dir() or not path.exists():
        raise UsageError(f'--csv "{text}" is no file', hint="write --csv picks.csv, say")
    return path


def output_file(text: str) -> Path:
    """Read the name of a file to write. Raises `UsageError` for none, or for a folder."""
    path = Path(text)
    if not text or path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if text and path.is_dir() else "is in no folder that there is"
        raise UsageError(f'--output "{text}" {what}', hint="name a file: --output sheet.html")
    return path


def non_empty_text(option: str) -> Callable[[str], str]:
    """Return what reads words that are sent; it raises `UsageError` for no words, or no text."""

    def read(text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            hint = "the terminal sends another encoding than UTF-8"
            raise UsageError(f"{option} is no text", hint=hint) from None
        if not any(character.isalnum() for character in text):
            # `--prompt '…'`, say, as advice has it for words that a person is to write.
            fault = f'"{text}" has no words' if text.strip() else "is empty"
            hint = f'write {option} "A cat at dawn", say'
            raise UsageError(f"{option} {fault}", hint=hint)
        return text

    return read


def whole_number(
    option: str, least: int, most: int | None = None, *, example: int = 3
) -> Callable[[str], int]:
    """Return what reads a whole number between two bounds; it raises `UsageError`."""
    wanted = f"of {least} or more" if most is None else f"from {least} to {most:,}"

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else None
        if number is None or number < least or (most is not None and number > most):
            message = f'{option} "{text}" is not a whole number {wanted}'
            raise UsageError(message, hint=f"write {option} {example}, say")
        return number

    return read


def dollars(text: str) -> float:
    """Read a sum of US dollars. Raises `UsageError`."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise UsageError(
            f'--max-cost "{text}" is no sum of US dollars', hint="write --max-cost 20 or 0.50, say"
        )
    return float(text)


def view(text: str) -> View:
    """Read the name of a view. Raises `UsageError` with the nearest one."""
    if text in set(View):
        return View(text)
    from imagegen.toml import did_you_mean

    hint = did_you_mean(text, View) or f"one of: {', '.join(View)}"
    raise UsageError(f'--progress "{text}" is no view', hint=hint)


def seconds(text: str | None) -> float | None:
    """Read a span of time: 90, 90s, 25m, 1h30m. Raises `UsageError`."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", text.strip())
    if not match or not any(match.groups()):
        raise UsageError(f'--max-time "{text}" is no span of time', hint=_nearest_span(text))
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _nearest_span(text: str) -> str:
    """Return how to write `25 min` or `1 hour 30 minutes`."""
    parts = re.findall(r"(\d{1,9})\s*([hms])[a-z]*", text.lower())
    meant = "".join(number + unit for number, unit in parts)
    if re.fullmatch(r"(\d+h)?(\d+m)?(\d+s)?", meant) and meant:
        return f"write --max-time {meant}"
    return "write 25m, 90s or 1h30m"


ProjectArgument = Annotated[
    Path,
    typer.Argument(
        metavar="[PROJECT]",
        help="The project's folder; the current one if left out.",
        show_default=False,
        parser=folder,
        autocompletion=complete.projects,
    ),
]
StyleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--style",
        metavar="NAME",
        help="Draw only this style. Repeat it for more.",
        autocompletion=complete.styles,
        rich_help_panel=WHAT,
    ),
]
BeatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--beat",
        metavar="BEAT",
        help="Draw only this beat: 1.1, clear/1.1, 2/1.1 (of shot 2). Repeat it for more.",
        autocompletion=complete.beats,
        rich_help_panel=WHAT,
    ),
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="Take the keys from this file, and from nowhere else.",
        parser=keys_file,
        rich_help_panel=WITH,
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Send requests to this address instead of the provider's own.",
        rich_help_panel=WITH,
    ),
]
ProgressOption = Annotated[
    View,
    typer.Option(
        "--progress",
        metavar="VIEW",
        help="auto (live on a terminal, else plain), live, plain, json (an event a line) or none.",
        parser=view,
        autocompletion=complete.one_of(*View),
        rich_help_panel=VIEW,
    ),
]
MaxTimeOption = Annotated[
    str | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        help="Send nothing that could not finish in this time (90s, 25m, 1h30m); then exit 3.",
        autocompletion=complete.one_of(),
        rich_help_panel=LIMITS,
    ),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="USD",
        help="Send nothing that could take the run past so many US dollars; then exit 3.",
        parser=dollars,
        rich_help_panel=LIMITS,
    ),
]
DetachOption = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="Go on when the window closes; `imagegen status --watch` follows it.",
        rich_help_panel=VIEW,
    ),
]
AwakeOption = Annotated[
    bool,
    typer.Option(
        "--keep-awake",
        help="Keep this machine from sleeping until the run ends.",
        rich_help_panel=VIEW,
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Write the run's log to stderr too.", rich_help_panel=VIEW
    ),
]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Do not ask before more than ten pictures are drawn again.",
    ),
]
ProviderOption = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="Who draws: gemini, openai, sdwebui (a web UI of your own), or sketch (no key, no "
        "network, no cost).  "
        "[default: as imagegen.toml says, else gemini]",
        autocompletion=complete.providers,
        rich_help_panel=WITH,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="The provider's model to draw with.  "
        "[default: as imagegen.toml says, else the provider's own]",
        autocompletion=complete.models,
        rich_help_panel=WITH,
    ),
]
ContinuityOption = Annotated[
    bool | None,
    typer.Option(
        "--continuity/--no-continuity",
        help="Draw a beat that continues another from that one's picture, in order.  "
        "[default: as imagegen.toml says, else not]",
        show_default=False,
        rich_help_panel=WITH,
    ),
]
BeatsOption = Annotated[
    Path | None,
    typer.Option(
        "--beats",
        metavar="PATH",
        help="Read the beats from this file, or from this folder of a file per style.",
        parser=beats_path,
        rich_help_panel=WITH,
    ),
]


class ExecutionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How this command draws; `resume` is told afresh."""

    keys: Path | None = None
    base_url: str | None = None
    view: View = View.AUTO
    max_time: str | None = None
    max_cost: float | None = None
    limit: int | None = None
    dry_run: bool = False
    detach: bool = False
    keep_awake: bool = False
    renumber: bool = False
    verbose: bool = False
    sure: bool = False

    @property
    def sources(self) -> list[str]:
        """The options that say where keys and the address come from, as they were typed."""
        keys = ["--keys", str(self.keys)] if self.keys else []
        return [*keys, *(["--base-url", self.base_url] if self.base_url else [])]


def make_request(**options: object) -> "DrawRequest":
    """Return what a command asks for, from the options that were given."""
    from imagegen.project.record import DrawRequest

    given = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    return DrawRequest(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def absolute(path: Path | None) -> str | None:
    """Return a path that means the same from any folder."""
    return str(path.absolute()) if path is not None else None
