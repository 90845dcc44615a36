"""The command that brings copies of a project together: `merge`."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli.help import examples, exit_codes
from imagegen.cli.open_project import open_project
from imagegen.cli.options import BeatsOption, JsonOption, OtherArgument, ProjectArgument
from imagegen.cli.streams import print_json
from imagegen.errors import Exit, UsageError
from imagegen.shell import project_command

EPILOG: Final = (
    examples(
        ("imagegen merge my-video ../copy-2 --dry-run", "shows what would come"),
        ("imagegen merge my-video ../copy-2 ../copy-3", "imagegen undo reverts it"),
    )
    + "\n\n"
    + exit_codes(
        {
            0: "everything in the copies is in PROJECT",
            1: "something is left in a copy: a conflict, or a beat that differs",
            2: "invalid usage, settings or input; beat numbers changed",
            4: "a run is active on PROJECT or on a copy",
        }
    )
)


def merge(
    project: ProjectArgument = Path(),
    other: OtherArgument = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would come, and change nothing.")
    ] = False,
    json: JsonOption = False,
    beats: BeatsOption = None,
) -> None:
    """Bring images, choices and journals of other copies into PROJECT, for example of shards.

    Images are compared by their pixels and prompts. PROJECT keeps its own, unless a copy redrew
    it. Of two choices the later counts. The other copies are not changed.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import merge as report
    from imagegen.editing import merge as merging

    if not other:
        hint = project_command("merge", project, "../copy-2")
        raise UsageError("merge needs another copy of the project", hint=hint)
    read = open_project(project, beats)
    result = merging.merge(read, [Path(name) for name in other], time.time(), dry_run=dry_run)
    if json:
        print_json(result)
    else:
        report.show(terminal.printer(), result, str(project))
    if result.exit_code is not Exit.OK:
        raise typer.Exit(result.exit_code)
