"""The commands: parse, call, choose the exit code."""

import contextlib
import io
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, Self

import msgspec
import typer

from imagegen import __version__
from imagegen.errors import ClosedOutputError, Exit, ImagegenError, UsageError
from imagegen.secret import redact

# Each command imports what it needs, so that none waits for what it does not.
if TYPE_CHECKING:
    from imagegen.generation.engine import Engine
    from imagegen.project.record import Asked, RunRecord

# Typer carries its own copy of click since 0.26 and shares one before: this is the base of
# what either raises for wrong usage.
_WrongUsage: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="imagegen",
    help="Draw every beat of a storyboard in three styles, and carry on after any interruption.",
    epilog="Begin with: imagegen init my-video, then imagegen run my-video --provider sketch",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_LAST_SECONDS = 3.5


class View(StrEnum):
    """How a run is shown."""

    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


ProjectArgument = Annotated[
    Path, typer.Argument(metavar="[PROJECT]", help="The project's folder.", show_default=False)
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
ProviderOption = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="gemini, or sketch (no key, no network)."),
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Draw with it.")]
BeatsOption = Annotated[
    Path | None,
    typer.Option("--beats", metavar="PATH", help="Read the beats from this file or folder."),
]


def _examples(*lines: str) -> str:
    """Return an epilogue that keeps its lines."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def _version(value: bool) -> None:  # noqa: FBT001  # Typer calls it with the flag
    if value:
        typer.echo(f"imagegen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command(
    epilog=_examples(
        "imagegen init my-video",
    )
)
def init(project: ProjectArgument = Path()) -> None:
    """Make a new project: a sample beats file, settings and a .gitignore.

    Nothing that exists is overwritten.
    """
    from imagegen.display import terminal
    from imagegen.generation import scaffold

    printer = terminal.printer()
    for line in scaffold.create(project):
        printer.line(line)


@app.command(
    epilog=_examples(
        "imagegen check my-video",
        "imagegen check my-video --show clear/7.3",
    )
)
def check(
    project: ProjectArgument = Path(),
    *,
    show: Annotated[
        list[str] | None,
        typer.Option("--show", metavar="BEAT", help="Print what would be sent for clear/7.3."),
    ] = None,
    beats: BeatsOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    keys: KeysOption = None,
) -> None:
    """Read everything and draw nothing: every fault of the project's files at once."""
    from imagegen.display import terminal
    from imagegen.generation.selection import find_one
    from imagegen.generation.session import KeySource, Project

    printer = terminal.printer()
    asked = _asked(provider=provider, model=model, beats_file=_absolute(beats))
    read = Project(project, asked)
    composer = read.composer()
    drawn = msgspec.structs.replace(read.storyboard, beats=read.beats)
    for address in show or ():
        for beat in find_one(address, drawn):
            printer.request(beat, composer.request(beat))
    ring = read.keys(KeySource(file=keys))
    if not show:
        printer.check(read.layout.name, read.storyboard.source, read.beats)
        tails = {style: [key.secret.tail for key in ring.pool(style)] for style in read.styles}
        printer.keys(tails, ring.source)
    for note in (*read.storyboard.notes, *ring.warnings):
        printer.line(f"  note: {note}")


@app.command(
    epilog=_examples(
        "imagegen run my-video",
        "imagegen run my-video --provider sketch",
        "imagegen run my-video --style clear --shot 2",
        "imagegen run my-video --beat clear/7.3 --force",
    )
)
def run(
    project: ProjectArgument = Path(),
    *,
    style: Annotated[
        list[str] | None, typer.Option("--style", metavar="NAME", help="Draw only this style.")
    ] = None,
    shot: Annotated[
        list[str] | None, typer.Option("--shot", metavar="N", help="Draw only this shot.")
    ] = None,
    beat: Annotated[
        list[str] | None,
        typer.Option("--beat", metavar="N", help="Draw only this beat: 1.1, clear/1.1, 2/1."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Draw again what has a picture; old ones are kept."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many are redrawn.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="Draw at most so many beats.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be drawn, and draw nothing.")
    ] = False,
    max_time: MaxTimeOption = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="End at the first beat in error.")
    ] = False,
    provider: ProviderOption = None,
    model: ModelOption = None,
    beats: BeatsOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
) -> None:
    """Draw every beat that has no picture yet; what failed is tried again."""
    asked = _asked(
        styles=style,
        shots=shot,
        beats=beat,
        force=force,
        fail_fast=fail_fast,
        provider=provider,
        model=model,
        beats_file=_absolute(beats),
    )
    _draw(
        project,
        asked,
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=_seconds(max_time),
        limit=limit,
        dry_run=dry_run,
        sure=yes,
    )


@app.command(
    epilog=_examples(
        "imagegen resume my-video",
    )
)
def resume(
    project: ProjectArgument = Path(),
    *,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    max_time: MaxTimeOption = None,
) -> None:
    """Carry on the last run, with the options that chose what it draws."""
    from imagegen.generation.session import to_resume

    last = to_resume(project)
    _draw(
        project,
        last.asked if last else _asked(),
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=_seconds(max_time),
        last=last,
    )


@app.command(
    epilog=_examples(
        "imagegen status my-video",
        "imagegen status my-video --json",
    )
)
def status(
    project: ProjectArgument = Path(),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    exit_code: Annotated[
        bool,
        typer.Option("--check", help="Exit 3 if beats are pending, else 1 if some are in error."),
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Tell where a project stands: counts and a glyph for each beat."""
    from imagegen.display import terminal
    from imagegen.generation.session import Project
    from imagegen.generation.standing import standing

    found = standing(Project(project, _asked(beats_file=_absolute(beats))), time.time())
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()
    else:
        terminal.printer().status(found, str(project))
    if exit_code:
        raise typer.Exit(found.check)


@app.command(
    epilog=_examples(
        "imagegen stop my-video",
    )
)
def stop(project: ProjectArgument = Path()) -> None:
    """Ask the active run to finish what is in flight, save, and end."""
    from imagegen.display import terminal
    from imagegen.project import record
    from imagegen.project.layout import Layout

    layout = Layout(project)
    last = record.read(layout)
    if last is None or not record.is_active(layout):
        terminal.printer().line(f"{layout.name}: nothing is running.")
        return
    record.request_stop(layout, last.run)
    terminal.printer().line(f"{layout.name}: asked process {last.pid} to finish and end.")


def _draw(
    root: Path,
    asked: "Asked",
    *,
    keys: Path | None,
    base_url: str | None,
    view: View,
    max_time: float | None,
    limit: int | None = None,
    dry_run: bool = False,
    sure: bool = True,
    last: "RunRecord | None" = None,
) -> None:
    from imagegen.display import terminal
    from imagegen.generation.session import KeySource, Project, Session

    screen = terminal.Screen(view.value)
    try:
        session = Session(Project(root, asked), KeySource(file=keys, base_url=base_url), last=last)
        if dry_run:
            plan = session.plan(limit)
            screen.dry_run(plan, session.name, session.least_seconds(plan))
            return
        with session:
            plan = session.plan(limit)
            session.require_keys(plan)
            if not sure:
                screen.confirm(plan)
            with _Signals() as signals:
                complete, in_flight = session.draw(
                    plan,
                    screen.listeners,
                    max_time=max_time,
                    started=signals.attach,
                )
    except ImagegenError as error:
        screen.failed(error)
        raise
    screen.summary(complete, session.name, str(root))
    _leave(complete.exit_code, in_flight)


class _Signals:
    """Passes signals on to the engine while it draws."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._signalled = False
        self._before: dict[int, object] = {}

    def attach(self, engine: "Engine") -> None:
        """Send signals to this engine from now on."""
        self._engine = engine

    def __enter__(self) -> Self:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None:
                self._before[number] = signal.signal(number, self._heed)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _heed(self, number: int, _frame: object) -> None:
        code = Exit(128 + number)
        if self._engine is None:
            raise _InterruptedError(code)
        if self._signalled or code is not Exit.SIGINT:
            # CI kills ten seconds after asking: whatever hangs, be gone before that.
            last_resort = threading.Timer(_LAST_SECONDS, os._exit, (int(code),))
            last_resort.daemon = True
            last_resort.start()
        self._signalled = True
        self._engine.supervisor.signal(code)


class _InterruptedError(BaseException):
    """A signal came before anything was sent."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


def _asked(**options: object) -> "Asked":
    from imagegen.project.record import Asked

    given = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    return Asked(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path is not None else None


def _seconds(text: str | None) -> float | None:
    """Read a span of time: 90, 90s, 25m, 1h30m. Raises `UsageError`."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not match or not any(match.groups()):
        raise UsageError(f'--max-time "{text}" is no span of time', hint="write 25m, 90s or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _leave(code: int, in_flight: int) -> NoReturn:
    """End with an exit code, without waiting for requests that are still under way."""
    if not in_flight:
        raise typer.Exit(code)
    # Python would wait for their threads.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main() -> NoReturn:
    """Run the command line; every ending has its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        code = Exit.CLOSED_STDOUT
    if code == Exit.CLOSED_STDOUT:
        # Python flushes once more at its end, into the same closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        result = app(arguments, standalone_mode=False, prog_name="imagegen")
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return Exit.SIGINT
    except _WrongUsage as error:
        error.show()  # type: ignore[attr-defined]
        return Exit.USAGE
    except ClosedOutputError:
        return Exit.CLOSED_STDOUT
    except ImagegenError as error:
        from imagegen.display import terminal

        terminal.printer(errors=True).error(error, _project_named(arguments))
        return error.exit_code
    except _InterruptedError as interrupted:
        return interrupted.code
    except KeyboardInterrupt:
        return Exit.SIGINT
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # told apart from all that a user can cause
        return _crashed(error)
    return result if isinstance(result, int) else Exit.OK


def _project_named(arguments: Sequence[str]) -> str:
    """Return the project's folder as typed, for the command that a message suggests."""
    words = [word for word in arguments[1:] if not word.startswith("-")]
    return words[0] if words and Path(words[0]).is_dir() else ""


def _crashed(error: Exception) -> int:
    """Log a fault of ours where it can be found, and say so."""
    from imagegen.keys.store import state_folder

    text = redact("".join(traceback.format_exception(error)))
    log = state_folder() / "crash.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log.write_text(f"imagegen {__version__}, Python {sys.version}\n{text}", encoding="utf-8")
        where = f"details are in {log}"
    except OSError:
        where = text
    sys.stderr.write(
        f"imagegen: a fault of ours: {type(error).__name__}. What was drawn is saved.\n  {where}\n"
    )
    return Exit.INTERNAL
