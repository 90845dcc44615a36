"""The application: all commands in order, with `help` and `version`."""

from typing import Annotated, Final

import typer

from imagegen import __version__
from imagegen.cli import complete
from imagegen.cli.commands import (
    accept,
    adopt,
    cast,
    check,
    choose,
    clean,
    export,
    gallery,
    init,
    keys,
    merge,
    models,
    redraw,
    renumber,
    resume,
    run,
    serve,
    skip,
    spend,
    status,
    stop,
    try_,
    undo,
    use,
)
from imagegen.cli.help import App, examples

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


app.command(rich_help_panel=_BEGIN, epilog=init.EPILOG)(init.init)
app.command(rich_help_panel=_BEGIN, epilog=check.EPILOG)(check.check)
app.command(rich_help_panel=_DRAW, epilog=run.EPILOG)(run.run)
app.command(rich_help_panel=_DRAW, epilog=resume.EPILOG)(resume.resume)
app.command(rich_help_panel=_DRAW, epilog=stop.EPILOG)(stop.stop)
app.command(rich_help_panel=_LOOK, epilog=status.EPILOG)(status.status)
app.command(rich_help_panel=_LOOK, epilog=serve.EPILOG)(serve.serve)
app.command(rich_help_panel=_BEGIN, epilog=adopt.EPILOG)(adopt.adopt)
app.command(rich_help_panel=_CHOOSE, epilog=gallery.EPILOG)(gallery.gallery)
app.command(rich_help_panel=_CHOOSE, epilog=choose.EPILOG)(choose.choose)
app.command(rich_help_panel=_ONE, epilog=redraw.EPILOG)(redraw.redraw)
app.command(rich_help_panel=_ONE, epilog=use.EPILOG)(use.use)
app.command(rich_help_panel=_ONE, epilog=accept.EPILOG)(accept.accept)
app.command(rich_help_panel=_ONE, epilog=skip.EPILOG)(skip.skip)
app.command("try", rich_help_panel=_ONE, epilog=try_.EPILOG)(try_.attempt)
app.command(rich_help_panel=_ONE, epilog=cast.EPILOG)(cast.cast)
app.command(rich_help_panel=_EDIT, epilog=renumber.EPILOG)(renumber.renumber)
app.command(rich_help_panel=_EDIT, epilog=clean.EPILOG)(clean.clean)
app.command(rich_help_panel=_EDIT, epilog=undo.EPILOG)(undo.undo)
app.command(rich_help_panel=_MACHINES, epilog=merge.EPILOG)(merge.merge)
app.command(rich_help_panel=_BEGIN, epilog=models.EPILOG)(models.models)


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
