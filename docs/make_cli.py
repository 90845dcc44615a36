"""Write docs/cli.md: the help of every command, as a terminal of 80 columns shows it.

Run it after you change a help text: `python docs/make_cli.py`.
"""  # noqa: INP001  # a script, not a package

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from imagegen.cli.app import app

PAGE: Final = Path(__file__).with_name("cli.md")
_INTRODUCTION: Final = """\
# The commands

This page is what `imagegen help COMMAND` prints; `python docs/make_cli.py` writes it.

`PROJECT` defaults to the current folder. A wrong option or value ends with exit 2 before anything
is sent, and the message suggests what you may have meant. [Scripts](scripts.md#exit-codes) has the
exit codes.

## Completion

`imagegen --install-completion` sets up completion for bash, zsh, fish or PowerShell: commands,
options and their values, including your project's styles, shots and beats. Completion reads the
project and writes nothing. It leaves out names that would need quotes.
"""


def page() -> str:
    """Return the text of the page, independent of the terminal's width."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        parts = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in _helps()]
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return "\n".join([_INTRODUCTION, *parts])


def _helps() -> Iterator[tuple[str, str]]:
    root = typer.main.get_command(app.whole)
    yield from _of(root, typer.Context(root, info_name="imagegen", **root.context_settings))


def _of(command: Any, ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield the help of a command, and of the commands below it, in the help's order."""
    yield ctx.command_path, command.get_help(ctx).rstrip()
    for name, below in getattr(command, "commands", {}).items():
        yield from _of(below, typer.Context(below, info_name=name, parent=ctx))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
