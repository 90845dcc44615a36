"""Options that several commands share, and how their values are read."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.project.record import Asked


class View(StrEnum):
    """How a run is shown."""

    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


ProjectArgument = Annotated[
    Path,
    typer.Argument(
        metavar="[PROJECT]",
        help="The project's folder; the current one if left out.",
        show_default=False,
    ),
]
KeysOption = Annotated[
    Path | None,
    typer.Option("--keys", metavar="FILE", help="Take the keys from this file.", dir_okay=False),
]
BaseUrlOption = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Send requests here instead.")
]
ProgressOption = Annotated[
    View, typer.Option("--progress", help="How to show what happens. auto: live on a terminal.")
]
MaxTimeOption = Annotated[
    str | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        help="Send nothing that could not finish in this time, as 25m or 1h30m; then exit 3.",
    ),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="USD",
        min=0,
        help="Send nothing that could take the run past so many US dollars; then exit 3.",
    ),
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Go on when the window closes; status --watch follows.")
]
AwakeOption = Annotated[
    bool, typer.Option("--keep-awake", help="Keep this machine from sleeping until the run ends.")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Write the run's log to stderr too.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Do not ask before many pictures are drawn again.")
]
ProviderOption = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="gemini, or sketch (no key, no network)."),
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Draw with it.")]
BeatsOption = Annotated[
    Path | None,
    typer.Option("--beats", metavar="PATH", help="Read the beats from this file or folder."),
]


class How(msgspec.Struct, frozen=True, kw_only=True):
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
    verbose: bool = False
    sure: bool = False


def examples(*lines: str) -> str:
    """Return an epilogue that keeps its lines."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def asked_for(**options: object) -> "Asked":
    """Return what a command asks for, from the options that were given."""
    from imagegen.project.record import Asked

    given = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    return Asked(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def absolute(path: Path | None) -> str | None:
    """Return a path that means the same from any folder."""
    return str(path.absolute()) if path is not None else None


def seconds(text: str | None) -> float | None:
    """Read a span of time: 90, 90s, 25m, 1h30m. Raises `UsageError`."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not match or not any(match.groups()):
        raise UsageError(f'--max-time "{text}" is no span of time', hint="write 25m, 90s or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)
