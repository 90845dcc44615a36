"""The commands: parse, call, choose the exit code."""

import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from imagegen import __version__
from imagegen.cli.draw import draw
from imagegen.cli.options import (
    AwakeOption,
    BaseUrlOption,
    BeatsOption,
    DetachOption,
    How,
    KeysOption,
    MaxCostOption,
    MaxTimeOption,
    ModelOption,
    ProgressOption,
    ProjectArgument,
    ProviderOption,
    VerboseOption,
    View,
    YesOption,
    absolute,
    asked_for,
    examples,
)

# Each command imports what it needs, so that none waits for what it does not.

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
    epilog=examples(
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
    epilog=examples(
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
    from imagegen.generation.project import KeySource, Project
    from imagegen.generation.selection import find_one

    printer = terminal.printer()
    asked = asked_for(provider=provider, model=model, beats_file=absolute(beats))
    read = Project(project, asked, KeySource(file=keys))
    composer = read.composer()
    drawn = msgspec.structs.replace(read.storyboard, beats=read.beats)
    for address in show or ():
        for beat in find_one(address, drawn):
            printer.request(beat, composer.request(beat))
    if not show:
        printer.check(read.layout.name, read.storyboard.source, read.beats)
        tails = {s: [key.secret.tail for key in read.ring.pool(s)] for s in read.styles}
        if read.needs_keys:
            printer.keys(tails, read.ring.source)
    for note in (*read.storyboard.notes, *read.ring.warnings):
        printer.line(f"  note: {note}")


@app.command(
    epilog=examples(
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
    yes: YesOption = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="Draw at most so many beats.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            min=1,
            help="Draw N beats of each style, evenly spread: 3 is the first, middle and last.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would draw, take and cost; draw nothing.")
    ] = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="End at the first beat in error.")
    ] = False,
    provider: ProviderOption = None,
    model: ModelOption = None,
    beats: BeatsOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
    detach: DetachOption = False,
    keep_awake: AwakeOption = False,
) -> None:
    """Draw every beat that has no picture yet; what failed is tried again."""
    asked = asked_for(
        styles=style,
        shots=shot,
        beats=beat,
        sample=sample,
        force=force,
        fail_fast=fail_fast,
        provider=provider,
        model=model,
        beats_file=absolute(beats),
    )
    how = How(
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=max_time,
        max_cost=max_cost,
        limit=limit,
        dry_run=dry_run,
        detach=detach,
        keep_awake=keep_awake,
        verbose=verbose,
        sure=yes,
    )
    draw(project, asked, how)


@app.command(
    epilog=examples(
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
    max_cost: MaxCostOption = None,
    verbose: VerboseOption = False,
    detach: DetachOption = False,
    keep_awake: AwakeOption = False,
    yes: YesOption = False,
) -> None:
    """Carry on the last run, with the options that chose what it draws."""
    how = How(
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=max_time,
        max_cost=max_cost,
        detach=detach,
        keep_awake=keep_awake,
        verbose=verbose,
        sure=yes,
    )
    draw(project, None, how)


@app.command(
    epilog=examples(
        "imagegen status my-video",
        "imagegen status my-video --watch",
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
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the active run; leaving does not end it.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Tell where a project stands: counts and a glyph for each beat.

    With --watch the active run is followed until it ends; with --json too, its events are
    printed, one a line.
    """
    from imagegen.cli.watch import watch as follow
    from imagegen.display import terminal
    from imagegen.generation.project import Project
    from imagegen.generation.standing import standing

    followed = watch and follow(project, absolute(beats), "json" if json else "auto")
    found = standing(Project(project, asked_for(beats_file=absolute(beats))), time.time())
    if followed:
        pass
    elif json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()
    else:
        terminal.printer().status(found, str(project))
    if exit_code:
        raise typer.Exit(found.check)


@app.command(
    epilog=examples(
        "imagegen stop my-video",
    )
)
def stop(project: ProjectArgument = Path()) -> None:
    """Ask the active run to finish what is in flight, save, and end."""
    from imagegen.display import terminal
    from imagegen.project import record
    from imagegen.project.layout import Layout

    layout = Layout(project)
    printer = terminal.printer()
    active = record.active_run(layout)
    if active is None:
        printer.line(f"{layout.name}: nothing is running.")
        return
    record.request_stop(layout, active.run)
    printer.line(f"{layout.name}: asked process {active.pid} to finish and end.")
