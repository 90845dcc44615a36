"""The command that takes over what older tools left."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.options import BeatsOption, ProjectArgument
from imagegen.cli.pictures import open_project
from imagegen.errors import UsageError

ADOPT_EPILOG: Final = examples(
    ("imagegen adopt my-video --dry-run", "says which picture becomes which"),
    ("imagegen adopt my-video", "copies them; imagegen undo takes it back"),
    ("imagegen adopt my-video --style clear", "pictures of no style are those of clear"),
)


def adopt(
    project: ProjectArgument = Path(),
    *,
    style: Annotated[
        str | None,
        typer.Option(
            "--style",
            metavar="STYLE",
            help="The style of pictures whose folder does not name it.",
            autocompletion=complete.styles,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be copied, and copy nothing.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Take over pictures and choices from an older tool's folders; draws nothing, costs nothing.

    From images/, finalImage/ and generated_images/Shot_1/, which stay as they are. No picture of
    the project is replaced. Choices that an earlier version named otherwise are renamed.
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
    found = adoption.adopt(read, now, style=style, beats_file=older, dry_run=dry_run)
    moves.adopted(printer, read.layout.name, path, found, dry_run=dry_run)
