"""The project of a command that draws nothing, and its warnings."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from imagegen.cli.options import absolute, make_request

if TYPE_CHECKING:
    from imagegen.workspace.project import Project


def open_project(root: Path, beats_file: Path | None = None, **options: object) -> "Project":
    """Read the project, after finishing what a crash interrupted.

    `options` are further fields of the request.
    """
    from imagegen.workspace import opening

    request = make_request(beats_file=absolute(beats_file), **options)
    return opening.open_project(root, request, wall=time.time())


def warn_of_active_run(read: "Project") -> None:
    """Warn if a run is active: it does not pick up the override that was just written."""
    from imagegen.display import terminal
    from imagegen.project import record

    if record.is_active(read.layout):
        terminal.printer(errors=True).line(
            "warning: a run is active and will not pick this up; the next run will"
        )


def warn_beat_numbers_changed(read: "Project", count: int) -> None:
    """Warn that `count` images carry the number of another beat, and suggest a fix."""
    from imagegen.display import terminal
    from imagegen.display.text.formatting import numbers_moved_warning
    from imagegen.display.text.sanitize import sanitize
    from imagegen.workspace import moved_numbers

    if count:
        way_out = sanitize(moved_numbers.renumber_hint(read), 4096)
        terminal.printer(errors=True).line(f"warning: {numbers_moved_warning(count)} {way_out}")


def warn_of_other_beats(read: "Project") -> None:
    """Warn if the images may be those of another storyboard, which the last run read."""
    from imagegen.display import terminal
    from imagegen.display.text.sanitize import sanitize
    from imagegen.workspace import moved_numbers

    warning = moved_numbers.other_beats_warning(read)
    if warning is not None:
        terminal.printer(errors=True).line(f"warning: {sanitize(warning, 4096)}")
