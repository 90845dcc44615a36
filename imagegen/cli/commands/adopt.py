"""The command that takes over images and choices of an older tool: `adopt`."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project
from imagegen.cli.options import BeatsOption, ProjectArgument
from imagegen.errors import UsageError

EPILOG: Final = examples(
    ("imagegen adopt my-video --dry-run", "shows what would be copied"),
    ("imagegen adopt my-video", "copies; imagegen undo removes them again"),
    ("imagegen adopt my-video --style clear", "for folders without a style"),
)


def adopt(
    project: ProjectArgument = Path(),
    *,
    style: Annotated[
        str | None,
        typer.Option(
            "--style",
            metavar="STYLE",
            help="Style of images in folders that do not name one.",
            autocompletion=complete.styles,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be copied, and copy nothing.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Take over images and choices from an older tool's folders, at no cost.

    Copies from images/, finalImage/ and generated_images/Shot_1/, and replaces no image of the
    project. Choices with the names of an earlier version are renamed.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import choices, moves
    from imagegen.editing import adopt as adoption
    from imagegen.project import storyboard
    from imagegen.review import choose
    from imagegen.workspace import older_layout

    printer, now = terminal.printer(), time.time()
    older = (
        None if beats or storyboard.candidate_files(project) else older_layout.beats_file(project)
    )
    try:
        read = open_project(project, beats)
    except UsageError:
        if older is None:
            raise
        read = open_project(project, project / older)
    else:
        older = None
    path = str(project)
    if not dry_run:
        choices.renamed(printer, path, choose.rename(read, now))
    result = adoption.adopt(read, now, style=style, beats_file=older, dry_run=dry_run)
    moves.adopted(printer, read.layout.name, path, result, dry_run=dry_run)
