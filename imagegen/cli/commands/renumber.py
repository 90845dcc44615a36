"""The command that moves images to the current numbers of their beats: `renumber`."""

import time
from pathlib import Path
from typing import Final

from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project
from imagegen.cli.options import BeatsOption, DryRunOption, ProjectArgument

EPILOG: Final = examples(
    ("imagegen renumber my-video --dry-run", "shows which image moves where"),
    ("imagegen renumber my-video", "moves them; imagegen undo moves them back"),
)


def renumber(
    project: ProjectArgument = Path(), *, dry_run: DryRunOption = False, beats: BeatsOption = None
) -> None:
    """Move images to the current numbers of their beats, at no cost.

    Use it after you insert, delete, swap or move beats. Images are matched by the prompt that
    they were drawn from, even if you edited it. Overrides and choices move along. Draws nothing.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.editing import renumber as renumbering

    read = open_project(project, beats)
    result = renumbering.renumber(read, time.time(), dry_run=dry_run)
    name, path = read.layout.name, str(project)
    moves.print_renumber(terminal.printer(), name, path, result, dry_run=dry_run)
