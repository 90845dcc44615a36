"""Options that several commands share, and how their values are read."""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from imagegen.cli import complete
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.project.record import DrawRequest

WHAT: Final = "Which beats"
LIMITS: Final = "Time and money"
WITH: Final = "Input and provider"
VIEW: Final = "While it runs"
"""Headings of the groups of options in a command's help."""


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
            "the project's name is empty", hint="use . for the current folder, or leave it out"
        )
    return Path(text)


def keys_file(text: str) -> Path:
    """Read the name of a keys file. Raises `UsageError` for a folder."""
    if not text or Path(text).is_dir():
        raise UsageError(f'--keys: "{text}" is not a file', hint="for example: --keys my-keys.toml")
    return Path(text)


def beats_path(text: str) -> Path:
    """Read the name of a beats file or folder. Raises `UsageError` if it is empty."""
    if not text:
        raise UsageError("--beats is empty", hint="for example: --beats beats.json")
    return Path(text)


def picture_file(name: str) -> bytes:
    """Read the user's image file. Raises `UsageError`."""
    from imagegen import files
    from imagegen.images.png import MAX_BYTES

    path = Path(name)
    if path.is_dir() or not path.exists():
        fault = "is a folder" if path.is_dir() else "no such file"
        raise UsageError(f"{name}: {fault}", hint="give a PNG, JPEG or WebP file")
    data = files.read(path.resolve(), MAX_BYTES)
    if data is None:
        raise UsageError(f"{name} cannot be read, or is larger than {MAX_BYTES // 1024**2} MB")
    return data


def csv_file(text: str) -> Path:
    """Read the name of a CSV file. Raises `UsageError` if it is not a file."""
    path = Path(text)
    if not text or path.is_dir() or not path.exists():
        raise UsageError(f'--csv: "{text}" is not a file', hint="for example: --csv picks.csv")
    return path


def output_file(text: str) -> Path:
    """Read the name of a file to write. Raises `UsageError` if it cannot be one."""
    path = Path(text)
    if not text or path.is_dir() or not path.parent.is_dir():
        fault = "is a folder" if text and path.is_dir() else "is in a folder that does not exist"
        raise UsageError(f'--output: "{text}" {fault}', hint="for example: --output sheet.html")
    return path


def non_empty_text(option: str) -> Callable[[str], str]:
    """Return a parser of text that is sent; it raises `UsageError` for text without a word."""

    def read(text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            hint = "the terminal sends another encoding than UTF-8"
            raise UsageError(f"{option} is not valid text", hint=hint) from None
        if not any(character.isalnum() for character in text):
            # Such as `--prompt '…'`, copied from a hint.
            fault = f'"{text}" has no word' if text.strip() else "is empty"
            hint = f'for example: {option} "A cat at dawn"'
            raise UsageError(f"{option} {fault}", hint=hint)
        return text

    return read


def whole_number(
    option: str, least: int, most: int | None = None, *, example: int = 3
) -> Callable[[str], int]:
    """Return a parser of whole numbers between two bounds; it raises `UsageError`."""
    bounds = f"of {least} or more" if most is None else f"from {least} to {most:,}"

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else None
        if number is None or number < least or (most is not None and number > most):
            message = f'{option}: "{text}" is not a whole number {bounds}'
            raise UsageError(message, hint=f"for example: {option} {example}")
        return number

    return read


def dollars(text: str) -> float:
    """Read an amount in US dollars. Raises `UsageError`."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise UsageError(
            f'--max-cost: "{text}" is not an amount in US dollars',
            hint="for example: --max-cost 20, or --max-cost 0.50",
        )
    return float(text)


def view(text: str) -> View:
    """Read the name of a view. Raises `UsageError` that suggests the nearest one."""
    if text in set(View):
        return View(text)
    from imagegen.toml import did_you_mean

    hint = did_you_mean(text, View) or f"one of: {', '.join(View)}"
    raise UsageError(f'--progress: "{text}" is not a view', hint=hint)


def seconds(text: str | None) -> float | None:
    """Read a duration in seconds: 90, 90s, 25m, 1h30m. Raises `UsageError`."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", text.strip())
    if not match or not any(match.groups()):
        raise UsageError(f'--max-time: "{text}" is not a duration', hint=_nearest_span(text))
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _nearest_span(text: str) -> str:
    """Return a hint that writes `25 min` or `1 hour 30 minutes` as a duration."""
    parts = re.findall(r"(\d{1,9})\s*([hms])[a-z]*", text.lower())
    duration = "".join(number + unit for number, unit in parts)
    if re.fullmatch(r"(\d+h)?(\d+m)?(\d+s)?", duration) and duration:
        return f"write --max-time {duration}"
    return "for example: --max-time 25m, 90s or 1h30m"


def choice(option: str, words: Sequence[str]) -> Callable[[str], str]:
    """Return a parser of one of some words; it raises `UsageError` with the nearest one."""

    def read(text: str) -> str:
        from imagegen.toml import did_you_mean

        if text not in words:
            hint = did_you_mean(text, words) or f"one of: {', '.join(words)}"
            raise UsageError(f'{option}: "{text}" is not known', hint=hint)
        return text

    return read


def style_option(text: str, panel: str | None = None) -> Any:
    """Return the option --style; `text` is its help, `panel` its heading in the help."""
    return typer.Option(
        "--style",
        metavar="NAME",
        help=text,
        autocompletion=complete.styles,
        rich_help_panel=panel,
    )


def shot_option(text: str, panel: str | None = None) -> Any:
    """Return the option --shot, as `style_option` does."""
    return typer.Option(
        "--shot", metavar="N", help=text, autocompletion=complete.shots, rich_help_panel=panel
    )


def beat_option(text: str, panel: str | None = None) -> Any:
    """Return the option --beat, as `style_option` does."""
    return typer.Option(
        "--beat", metavar="BEAT", help=text, autocompletion=complete.beats, rich_help_panel=panel
    )


def output_option(metavar: str, text: str, parser: Callable[[str], Path]) -> Any:
    """Return the option --output of a command that writes a file or folder."""
    return typer.Option("--output", "-o", metavar=metavar, help=text, parser=parser)


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ProjectArgument = Annotated[
    Path,
    typer.Argument(
        metavar="[PROJECT]",
        help="The project's folder.  [default: the current folder]",
        show_default=False,
        parser=folder,
        autocompletion=complete.projects,
    ),
]
OtherArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OTHER...]",
        help="Other copies of the project.",
        show_default=False,
        autocompletion=complete.projects,
    ),
]
"""Further projects: see `imagegen.cli.usage.resolve_project`."""
StyleOption = Annotated[
    list[str] | None,
    style_option("Draw only this style. Repeatable.", WHAT),
]
BeatOption = Annotated[
    list[str] | None,
    beat_option("Draw only this beat: 1.1, clear/1.1, 2/1.1 (in shot 2). Repeatable.", WHAT),
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="Read API keys only from this file.",
        parser=keys_file,
        rich_help_panel=WITH,
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Send requests to this URL instead of the provider's.",
        rich_help_panel=WITH,
    ),
]
ProgressOption = Annotated[
    View,
    typer.Option(
        "--progress",
        metavar="VIEW",
        help="auto (live on a terminal, else plain), live, plain, json (JSON lines) or none.",
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
        help="Stop before the run takes longer than TIME: 90s, 25m, 1h30m (exit 3).",
        autocompletion=complete.one_of(),
        rich_help_panel=LIMITS,
    ),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="USD",
        help="Stop before the run costs more than USD (exit 3).",
        parser=dollars,
        rich_help_panel=LIMITS,
    ),
]
DetachOption = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="Run in the background. `imagegen status --watch` follows it.",
        rich_help_panel=VIEW,
    ),
]
AwakeOption = Annotated[
    bool,
    typer.Option(
        "--keep-awake",
        help="Keep the machine awake until the run ends.",
        rich_help_panel=VIEW,
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Also write the run's log to stderr.", rich_help_panel=VIEW
    ),
]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Do not ask before more than ten images are redrawn.",
    ),
]
ProviderOption = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="Image provider: gemini, openai, sdwebui (your own web UI), or sketch (no key, no "
        "network, no cost).  "
        "[default: from imagegen.toml, or gemini]",
        autocompletion=complete.providers,
        rich_help_panel=WITH,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="The provider's model.  [default: from imagegen.toml, or the provider's default]",
        autocompletion=complete.models,
        rich_help_panel=WITH,
    ),
]
ContinuityOption = Annotated[
    bool | None,
    typer.Option(
        "--continuity/--no-continuity",
        help="Draw each C beat from the image before it, in order.  "
        "[default: from imagegen.toml, or off]",
        show_default=False,
        rich_help_panel=WITH,
    ),
]
BeatsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BEAT...",
        help="1.1, clear/1.1, or 2/1.1 (in shot 2).",
        show_default=False,
        autocompletion=complete.beats,
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would move, and move nothing.")
]
BeatsOption = Annotated[
    Path | None,
    typer.Option(
        "--beats",
        metavar="PATH",
        help="Beats file, or folder with one file per style.",
        parser=beats_path,
        rich_help_panel=WITH,
    ),
]


class ExecutionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How this command draws; a resumed run does not inherit any of it."""

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
        """The options for keys and URL, as they were typed."""
        keys = ["--keys", str(self.keys)] if self.keys else []
        return [*keys, *(["--base-url", self.base_url] if self.base_url else [])]


def make_request(**options: object) -> "DrawRequest":
    """Return the request that a command makes, from the options that were given."""
    from imagegen.project.record import DrawRequest

    given_options = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    return DrawRequest(**{k: value for k, value in given_options.items() if value is not None})  # type: ignore[arg-type]


def absolute(path: Path | None) -> str | None:
    """Return a path that means the same from any folder."""
    return str(path.absolute()) if path is not None else None
