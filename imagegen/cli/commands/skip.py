"""The command that marks beats as not needing an image: `skip`."""

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
    ("imagegen skip my-video clear/7.3", "status --check no longer fails because of it"),
    ("imagegen skip my-video clear/7.3 --undo", "draw it after all"),
)


def skip(
    project: ProjectArgument = Path(),
    beat: BeatsArgument = None,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Draw the beat after all.")] = False,
    beats: BeatsOption = None,
) -> None:
    """Mark beats as not needing an image, for example one that the service always refuses.

    Runs leave them out, and `status --check` ignores them. Saved in overrides.toml.
    """
    from imagegen.display import terminal
    from imagegen.editing import settle

    if not beat:
        raise UsageError("skip needs a beat", hint=project_command("skip", project, "clear/7.3"))
    read = open_project(project, beats, beats=beat)
    outcome = "is drawn by the next run" if undo else "needs no image"
    skipped, existing = settle.skip(read, time.time(), undo=undo)
    for image in skipped:
        terminal.printer().line(f"{read.label(image.beat.address)} {outcome}")
    for image in existing:
        terminal.printer().line(
            f"{read.label(image.beat.address)} already has an image and is not skipped"
        )
    if not skipped:
        terminal.printer().line(f"{read.layout.name}: nothing was skipped.")
        return
    warn_of_active_run(read)
