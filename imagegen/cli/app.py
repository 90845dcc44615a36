"""The application: all commands in order, with `init`, `check`, `help` and `version`."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen import __version__
from imagegen.cli import complete, pictures
from imagegen.cli.commands import (
    adopt,
    cast,
    choose,
    export,
    gallery,
    keys,
    merge,
    models,
    run,
    serve,
    spend,
    status,
    try_,
)
from imagegen.cli.help import App, examples
from imagegen.cli.options import (
    BeatsOption,
    ContinuityOption,
    KeysOption,
    ModelOption,
    ProjectArgument,
    ProviderOption,
    absolute,
    make_request,
)

# Each command imports what it needs when it runs, so that all start fast.

_BEGIN: Final = "Start a project"
_DRAW: Final = "Draw"
_LOOK: Final = "Follow progress"
_CHOOSE: Final = "Choose images"
_EXPORT: Final = "Export images"
_ONE: Final = "Change single beats"
_MACHINES: Final = "Several machines"
_EDIT: Final = "After you edit the storyboard"
_HELP: Final = "Help"
"""Headings of the groups of commands in the help."""

app = App(
    name="imagegen",
    help="Draw every beat of a storyboard in three styles, and resume after any interruption.",
    epilog=examples(
        ("imagegen init my-video", "creates a project with a sample"),
        ("imagegen run my-video --provider sketch", "draws it: no key, no cost"),
        ("imagegen help run", "shows all options of run"),
    ),
)
app.add_typer(keys.app, cls=keys.KeyGroup, rich_help_panel=_BEGIN)
app.add_typer(export.app, rich_help_panel=_EXPORT)
app.add_typer(spend.app, cls=spend.SpendGroup, rich_help_panel=_LOOK)


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
        ("imagegen init my-video", "creates the folder and its files"),
        ("imagegen init", "creates the files in the current folder"),
    ),
)
def init(project: ProjectArgument = Path()) -> None:
    """Create a project: sample beats, settings and a .gitignore.

    Overwrites nothing; a folder that has beats gets no sample. Shows which keys the project
    will use.
    """
    from imagegen.display import terminal
    from imagegen.setup import init as scaffold

    printer = terminal.printer()
    for line in scaffold.create(project):
        printer.line(line)


@app.command(
    rich_help_panel=_BEGIN,
    epilog=examples(
        ("imagegen check my-video", "lists all errors in its files"),
        ("imagegen check my-video --show clear/7.3", "prints the request for a beat"),
        ("imagegen check my-video --write", "saves the beats as a clean beats.json"),
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
            help="Print the exact prompt and references that would be sent for this beat: 1.1, "
            "clear/1.1, 2/1.1 (in shot 2). Repeatable.",
            autocompletion=complete.beats,
        ),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Save the beats, from any format, as a clean beats.json. An existing "
            "beats.json is kept as beats.old.json.",
        ),
    ] = False,
    beats: BeatsOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    continuity: ContinuityOption = None,
    keys: KeysOption = None,
) -> None:
    """Check the project's files and list every error. Draws nothing.

    If imagegen.toml is too broken to determine which beats to read, only its errors are shown.
    """
    from imagegen.display import terminal
    from imagegen.project import storyboard
    from imagegen.project.layout import ProjectPaths
    from imagegen.review import older_images
    from imagegen.times import day
    from imagegen.workspace import model_checks, recovery
    from imagegen.workspace.project import CredentialOptions, Project

    printer = terminal.printer()
    recovery.finish_interrupted(ProjectPaths(project), time.time())
    asked = make_request(
        provider=provider, model=model, continuity=continuity, beats_file=absolute(beats)
    )
    read = Project(project, asked, CredentialOptions(file=keys))
    composer = read.composer
    beats_of_all = [beat for own in read.beats.values() for beat in own]
    model_checks.require_settings(read)
    if not show:
        model_checks.require_references(read, beats_of_all)
    for address in show or ():
        for beat in read.addresses.find(address):
            printer.request(
                beat,
                composer.request(beat, composer.predecessor_shown(beat)),
                overridden=bool(read.overrides.of(beat).prompt),
                before=composer.before(beat),
                left_out=composer.left_out(beat),
            )
    if not show:
        paid = read.settings if read.requires_keys else None
        printer.check(
            read.layout.name,
            read.storyboard.source,
            read.beats,
            paid,
            hard_cut=composer.hard_cut,
            chained={style: len(own) for style, own in read.predecessors.items()},
            cast=read.characters_in(beats_of_all),
        )
        tails = {s: [key.secret.tail for key in read.ring.pool(s)] for s in read.styles}
        if read.requires_keys:
            printer.model(read.model, read.settings.image_size, read.picture_price())
            printer.keys(tails, read.ring.source)
    named = read.request.beats_file or read.settings.beats
    unused = (
        None if named else storyboard.unused(read.root, read.storyboard.source, read.other_prompts)
    )
    hints = filter(None, (unused, older_images.notice(read), composer.short(beats_of_all)))
    about_model = model_checks.notes(read, beats_of_all, day(time.time()))
    for note in (*read.notes(), *read.ring.warnings, *hints, *about_model):
        printer.wrap("  note: ", note, indent=4)
    if write:
        written = storyboard.write_clean(
            read.root,
            tuple(read.settings.styles),
            beats=Path(named) if named else None,
        )
        printer.written(written, named)


app.command(rich_help_panel=_DRAW, epilog=run.RUN_EPILOG)(run.run)
app.command(rich_help_panel=_DRAW, epilog=run.RESUME_EPILOG)(run.resume)
app.command(rich_help_panel=_DRAW, epilog=status.STOP_EPILOG)(status.stop)
app.command(rich_help_panel=_LOOK, epilog=status.STATUS_EPILOG)(status.status)
app.command(rich_help_panel=_LOOK, epilog=serve.SERVE_EPILOG)(serve.serve)
app.command(rich_help_panel=_BEGIN, epilog=adopt.ADOPT_EPILOG)(adopt.adopt)
app.command(rich_help_panel=_CHOOSE, epilog=gallery.GALLERY_EPILOG)(gallery.gallery)
app.command(rich_help_panel=_CHOOSE, epilog=choose.CHOOSE_EPILOG)(choose.choose)
app.command(rich_help_panel=_ONE, epilog=run.REDRAW_EPILOG)(run.redraw)
app.command(rich_help_panel=_ONE, epilog=pictures.USE_EPILOG)(pictures.use)
app.command(rich_help_panel=_ONE, epilog=pictures.ACCEPT_EPILOG)(pictures.accept)
app.command(rich_help_panel=_ONE, epilog=pictures.SKIP_EPILOG)(pictures.skip)
app.command("try", rich_help_panel=_ONE, epilog=try_.TRY_EPILOG)(try_.attempt)
app.command(rich_help_panel=_ONE, epilog=cast.CAST_EPILOG)(cast.cast)
app.command(rich_help_panel=_EDIT, epilog=pictures.RENUMBER_EPILOG)(pictures.renumber)
app.command(rich_help_panel=_EDIT, epilog=pictures.CLEAN_EPILOG)(pictures.clean)
app.command(rich_help_panel=_EDIT, epilog=pictures.UNDO_EPILOG)(pictures.undo)
app.command(rich_help_panel=_MACHINES, epilog=merge.MERGE_EPILOG)(merge.merge)
app.command(rich_help_panel=_BEGIN, epilog=models.MODELS_EPILOG)(models.models)


@app.command(
    "help", rich_help_panel=_HELP, epilog=examples("imagegen help redraw", "imagegen help keys add")
)
def show_help(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]",
            help="Such as run, or keys add.",
            show_default=False,
            autocompletion=complete.commands,
        ),
    ] = None,
) -> None:
    """Show the help of a command. Without COMMAND, list all commands."""
    app([*(command or ()), "--help"], standalone_mode=False, prog_name=ctx.find_root().info_name)


@app.command("version", rich_help_panel=_HELP, epilog=examples("imagegen version"))
def show_version() -> None:
    """Show the version."""
    _version(value=True)
