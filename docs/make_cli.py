"""Write docs/cli.md: the help of every command, as a terminal of 80 columns shows it.

Run it where a help text has changed: `python docs/make_cli.py`.
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

What `imagegen COMMAND --help` says. This page is written by `python docs/make_cli.py`.

`PROJECT` is the current folder where it is left out. A wrong option or value ends with exit 2
before anything is sent, and the message says what was probably meant.

## Exit codes

The first that applies:

| code | means | a script should |
|---|---|---|
| 130, 143, 129 | interrupted by Ctrl-C, SIGTERM or SIGHUP | `resume` |
| 2 | wrong usage, settings, input or keys | give up: a person must mend it |
| 4 | another run is active on the project | wait |
| 3 | ended early: keys spent or out of credit, service down, \
out of time or money, stopped, disk full | wait until \
`resume_after` (in `status --json`), then `resume`; give up if it is null |
| 1 | some beats are in error | look: `status` lists them with their reasons |
| 0 | all that was asked for is there | go on |
| 141 | whoever read the output closed it, or it cannot be written | `resume` |
| 70 | a fault of imagegen; the message says where the details are | report it |

`status --check` ends with 2 where numbers have moved, with 3 while beats are pending, else with 1
if some are in error, else with 0.
[examples/ci.sh](../examples/ci.sh) acts on all of them.

## Completion

`imagegen --install-completion` teaches bash, zsh, fish or PowerShell to complete commands, options
and their values: the project's styles, shots and beats too. It reads the project, writes nothing,
and leaves out names that would need quotes.
"""


def page() -> str:
    """Return the page's text, whatever the width of the terminal."""
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
    root = typer.main.get_command(app)
    yield from _of(root, typer.Context(root, info_name="imagegen", **root.context_settings))


def _of(command: Any, ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield the help of a command, and of the commands below it, in the help's order."""
    yield ctx.command_path, command.get_help(ctx).rstrip()
    for name, below in getattr(command, "commands", {}).items():
        yield from _of(below, typer.Context(below, info_name=name, parent=ctx))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
