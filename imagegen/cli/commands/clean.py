"""The command that puts images of deleted beats away: `clean`."""

import time
from pathlib import Path
from typing import Final

from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project
from imagegen.cli.options import BeatsOption, DryRunOption, ProjectArgument

EPILOG: Final = examples(("imagegen clean my-video", "moves them to old_images/"))


def clean(
    project: ProjectArgument = Path(), *, dry_run: DryRunOption = False, beats: BeatsOption = None
) -> None:
    """Move images of beats that are no longer in the storyboard to old_images/."""
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.editing import renumber as renumbering

    read = open_project(project, beats)
    over = renumbering.clean(read, time.time(), dry_run=dry_run)
    moves.print_clean(terminal.printer(), read.layout.name, str(project), over, dry_run=dry_run)
