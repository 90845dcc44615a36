"""The commands: parse, call, choose the exit code."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from imagegen import __version__
from imagegen.cli import complete, keys
from imagegen.cli.draw import draw
from imagegen.cli.help import App, examples, exit_codes
from imagegen.cli.options import (
    LIMITS,
    WHAT,
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
    whole_number,
)

# Each command imports what it needs, so that none waits for what it does not.

_BEGIN: Final = "Begin a project"
_DRAW: Final = "Draw it"
_LOOK: Final = "See where it stands"
"""Headings under which commands stand in the help."""

_EXITS: Final = exit_codes(
    {
        0: "all that was asked for is there",
        1: "some beats are in error: look at them",
        2: "wrong usage, settings, input or keys: mend that first",
        3: "ended early (quota, time, money, service, stop): resume carries on",
        4: "another run is active on the project",
        130: "interrupted: resume carries on (129 and 143 too)",
    }
)

app = App(
    name="imagegen",
    help="Draw every beat of a storyboard in three styles, and carry on after any interruption.",
    epilog=examples(
        ("imagegen init my-video", "a project with a small sample"),
        ("imagegen run my-video --provider sketch", "draws it: no key, no cost"),
        ("imagegen run -h", "tells all that run can do"),
    ),
)
app.add_typer(keys.app, cls=keys.KeyGroup, rich_help_panel=_BEGIN)


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
    rich_help_panel=_BEGIN,
    epilog=examples(
        ("imagegen init my-video", "makes the folder and the files in it"),
        ("imagegen init", "makes the files in the current folder"),
    ),
)
def init(project: ProjectArgument = Path()) -> None:
    """Make a new project: sample beats, settings and a .gitignore.

    Nothing that exists is overwritten. It says which keys the project will use.
    """
    from imagegen.display import terminal
    from imagegen.generation import scaffold

    printer = terminal.printer()
    for line in scaffold.create(project):
        printer.line(line)


@app.command(
    rich_help_panel=_BEGIN,
    epilog=examples(
        ("imagegen check my-video", "all faults of its files at once"),
        ("imagegen check my-video --show clear/7.3", "the words that would be sent"),
    ),
)
def check(
    project: ProjectArgument = Path(),
    *,
    show: Annotated[
        list[str] | None,
        typer.Option(
            "--show",
            metavar="BEAT",
            help="Print the exact words and references that would be sent for this beat: 1.1, "
            "clear/1.1, 2/1.1 (of shot 2). Repeat it for more.",
            autocompletion=complete.beats,
        ),
    ] = None,
    beats: BeatsOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    keys: KeysOption = None,
) -> None:
    """Read everything and draw nothing: tell every fault of the project's files."""
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
        paid = read.settings if read.needs_keys else None
        printer.check(read.layout.name, read.storyboard.source, read.beats, paid)
        tails = {s: [key.secret.tail for key in read.ring.pool(s)] for s in read.styles}
        if read.needs_keys:
            printer.keys(tails, read.ring.source)
    for note in (*read.storyboard.notes, *read.ring.warnings):
        printer.line(f"  note: {note}")


@app.command(
    rich_help_panel=_DRAW,
    epilog=_EXITS
    + "\n\n"
    + examples(
        ("imagegen run my-video --dry-run", "what it takes and costs"),
        ("imagegen run my-video --sample 3", "see the looks first"),
        ("imagegen run my-video --max-cost 20", "spend at most 20 dollars"),
        ("imagegen run my-video --max-time 25m", "in a CI job"),
        ("imagegen run my-video --style clear --shot 2", "only this style of shot 2"),
        ("imagegen run my-video --beat clear/7.3 --force", "draw one picture again"),
    ),
)
def run(
    project: ProjectArgument = Path(),
    *,
    style: Annotated[
        list[str] | None,
        typer.Option(
            "--style",
            metavar="NAME",
            help="Draw only this style. Repeat it for more.",
            autocompletion=complete.styles,
            rich_help_panel=WHAT,
        ),
    ] = None,
    shot: Annotated[
        list[str] | None,
        typer.Option(
            "--shot",
            metavar="N",
            help="Draw only this shot. Repeat it for more.",
            autocompletion=complete.shots,
            rich_help_panel=WHAT,
        ),
    ] = None,
    beat: Annotated[
        list[str] | None,
        typer.Option(
            "--beat",
            metavar="BEAT",
            help="Draw only this beat: 1.1, clear/1.1, 2/1.1 (of shot 2). Repeat it for more.",
            autocompletion=complete.beats,
            rich_help_panel=WHAT,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            help="Draw N beats of each style, evenly spread: 3 is the first, middle and last.",
            parser=whole_number("--sample", 1),
            rich_help_panel=WHAT,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            help="Draw at most N beats, over all styles.",
            parser=whole_number("--limit", 0),
            rich_help_panel=WHAT,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Draw again what has a picture; the old ones are kept in old_images/.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    yes: YesOption = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be drawn, how long it takes and what it costs; draw nothing.",
            rich_help_panel=LIMITS,
        ),
    ] = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail-fast",
            help="End at the first beat in error, with exit 1.",
            rich_help_panel=LIMITS,
        ),
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
    """Draw every beat that has no picture yet; what failed is tried again.

    Ctrl-C finishes the requests in flight, which are paid for, and ends; pressed twice it
    ends at once. Either way `imagegen resume` carries on.
    """
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
    rich_help_panel=_DRAW,
    epilog=_EXITS
    + "\n\n"
    + examples(
        ("imagegen resume my-video", "what is left of the last run"),
        ("imagegen resume my-video --max-cost 5", "and at most 5 dollars more"),
    ),
)
def resume(
    project: ProjectArgument = Path(),
    *,
    yes: YesOption = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
    detach: DetachOption = False,
    keep_awake: AwakeOption = False,
) -> None:
    """Carry on the last run, with the options that chose what it draws.

    It remembers styles, shots, beats, provider and model; of --force, only what is not
    redrawn yet. Keys, addresses, --limit and what stands below are never remembered.
    """
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
    rich_help_panel=_LOOK,
    epilog=exit_codes(
        {
            0: "told; with --check: every picture is there",
            1: "with --check: no beat is pending, but some are in error",
            2: "wrong usage, settings or input",
            3: "with --check: some beats are pending",
        }
    )
    + "\n\n"
    + examples(
        ("imagegen status my-video", "bars, counts and a sign for each beat"),
        ("imagegen status my-video --watch", "follow the run from another window"),
        ("imagegen status my-video --check", "for scripts: is it all there?"),
        ("imagegen status my-video --json", "for programs"),
    ),
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
        bool,
        typer.Option(
            "--watch",
            help="Follow the active run until it ends; leaving does not end it. With --json: "
            "print its events, one a line.",
        ),
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Tell where a project stands: counts and a sign for each beat."""
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
        terminal.printer().status(found, str(project), time.time())
    if exit_code:
        raise typer.Exit(found.check)


@app.command(
    rich_help_panel=_DRAW,
    epilog=examples(
        ("imagegen stop my-video", "from another window, or for a detached run"),
    ),
)
def stop(project: ProjectArgument = Path()) -> None:
    """Ask the active run to finish what is in flight, save, and end.

    The run ends with exit 3, and `imagegen resume` carries on. Without an active run it
    says so.
    """
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
