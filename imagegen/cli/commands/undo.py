"""The command that undoes the last change to images: `undo`."""

import contextlib
import time
from pathlib import Path
from typing import Final

from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project
from imagegen.cli.options import ProjectArgument
from imagegen.errors import ImagegenError
from imagegen.shell import project_command

EPILOG: Final = examples(
    ("imagegen undo my-video", "undoes the last change"),
    ("imagegen undo my-video; imagegen undo my-video", "undoes the last two"),
)
_NAMED: Final = 5
"""Beats that a message names at most."""


def undo(project: ProjectArgument = Path()) -> None:
    """Undo the last change to images. Repeat to undo earlier ones.

    A run that redrew images is one change; so is each renumber, clean, merge, use and redraw.
    Images drawn since then are kept in old_images/.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.display.text.sanitize import join_some
    from imagegen.editing import undo as undoing
    from imagegen.project.layout import ProjectPaths

    layout, printer = ProjectPaths(project), terminal.printer()
    undone = undoing.undo(layout, time.time())
    moves.print_undo(printer, layout.name, undone)
    # Choices and their copies stay as they are.
    changed = _chosen_before(project) if undone is not None else []
    if changed:
        beats_changed = join_some(changed, _NAMED)
        printer.line(f"  The chosen image is no longer the current one: {beats_changed}.")
        printer.command_list((project_command("choose", project, "--list"), "lists the choices"))


def _chosen_before(project: Path) -> list[str]:
    """Return the beats with a chosen image that is no longer the current one."""
    from imagegen.review import choices
    from imagegen.review.choices import ChangeSinceChosen

    with contextlib.suppress(ImagegenError):
        described = choices.describe(open_project(project))
        return [choice.name for choice in described if choice.since is not ChangeSinceChosen.SAME]
    return []
