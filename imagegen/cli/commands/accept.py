"""The command that marks outdated images as up to date: `accept`."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project, warn_of_active_run
from imagegen.cli.options import BeatsArgument, BeatsOption, ProjectArgument
from imagegen.errors import UsageError
from imagegen.shell import project_command

EPILOG: Final = examples(
    ("imagegen accept my-video clear/1.2", "after fixing a typo"),
    ("imagegen accept my-video --all", "keeps every outdated image"),
)


def accept(
    project: ProjectArgument = Path(),
    beat: BeatsArgument = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Accept every outdated image of the project.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Mark outdated images as up to date, for example after fixing a typo in the prompt.

    The override is saved in overrides.toml and holds until the beat changes again.
    """
    from imagegen.display import terminal
    from imagegen.editing import settle
    from imagegen.workspace.outdated import changed_label

    if bool(beat) == every:
        raise UsageError(
            "accept needs a beat, or --all",
            hint=project_command("accept", project, "clear/1.2"),
        )
    read = open_project(project, beats, beats=beat)
    accepted = settle.accept(read, time.time())
    printer = terminal.printer()
    for image in accepted:
        why = "a sketch" if image.placeholder else f"{changed_label(image.changed)} changed"
        printer.line(f"{read.label(image.beat.address)} is now up to date ({why})")
    if not accepted:
        printer.line(f"{read.layout.name}: no outdated images.")
        return
    warn_of_active_run(read)
