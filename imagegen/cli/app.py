"""The application: all commands in order, with `help` and `version`."""

from functools import partial
from importlib import import_module
from typing import Annotated, Final

import typer

from imagegen import __version__
from imagegen.cli import complete
from imagegen.cli.help import App, examples

# A command's module is imported if it is called, and imports what it needs when it runs.

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


_COMMANDS: Final = (
    ("init", _BEGIN),
    ("check", _BEGIN),
    ("run", _DRAW),
    ("resume", _DRAW),
    ("stop", _DRAW),
    ("status", _LOOK),
    ("serve", _LOOK),
    ("adopt", _BEGIN),
    ("gallery", _CHOOSE),
    ("choose", _CHOOSE),
    ("redraw", _ONE),
    ("use", _ONE),
    ("accept", _ONE),
    ("skip", _ONE),
    ("try", _ONE),
    ("cast", _ONE),
    ("renumber", _EDIT),
    ("clean", _EDIT),
    ("undo", _EDIT),
    ("merge", _MACHINES),
    ("models", _BEGIN),
)
_GROUPS: Final = (("keys", _BEGIN), ("export", _EXPORT), ("spend", _LOOK))
"""In the order of the help, each with its heading; all are modules of imagegen.cli.commands."""


def _add_command(target: App, name: str, heading: str) -> None:
    # `try` is a word of Python's.
    module, function = ("try_", "attempt") if name == "try" else (name, name)
    loaded = import_module(f"imagegen.cli.commands.{module}")
    add = target.command(name, rich_help_panel=heading, epilog=loaded.EPILOG)
    add(getattr(loaded, function))


def _add_group(target: App, name: str, heading: str) -> None:
    loaded = import_module(f"imagegen.cli.commands.{name}")
    target.add_typer(loaded.app, rich_help_panel=heading)


for _name, _heading in _GROUPS:
    app.add_lazily(_name, partial(_add_group, name=_name, heading=_heading))
for _name, _heading in _COMMANDS:
    app.add_lazily(_name, partial(_add_command, name=_name, heading=_heading))


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
