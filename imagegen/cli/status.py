"""The commands for a run from outside: `status`, `stop`."""

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from imagegen import encoding
from imagegen.cli.help import examples, exit_codes
from imagegen.cli.options import BeatsOption, ProjectArgument, absolute, make_request
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.review.status import ProjectStatus

STATUS_EPILOG: Final = (
    exit_codes(
        {
            0: "told; with --check: every picture is there",
            1: "with --check: no beat is pending, but some are in error or have no prompt",
            2: "wrong usage, settings or input; with --check: numbers have moved",
            3: "with --check: some beats are pending",
        }
    )
    + "\n\n"
    + examples(
        ("imagegen status my-video", "bars, counts and a sign for each beat"),
        ("imagegen status my-video --watch", "follow the run from another window"),
        ("imagegen status my-video --check", "for scripts: is it all there?"),
        ("imagegen status my-video --json", "for programs"),
    )
)
STOP_EPILOG: Final = examples(
    ("imagegen stop my-video", "from another window, or for a detached run"),
)


def status(
    project: ProjectArgument = Path(),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Exit 2 if numbers have moved, 3 if beats are pending, else 1 if some are in "
            "error.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Follow the active run until it ends; leaving does not end it. With --json: "
            "print its events, one a line.",
        ),
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Tell where a project stands: counts and a sign for each beat."""
    from imagegen.cli.watch import watch as follow
    from imagegen.display import terminal
    from imagegen.project.layout import ProjectPaths
    from imagegen.workspace import recovery

    recovery.finish_interrupted(ProjectPaths(project), time.time())
    followed = watch and follow(project, absolute(beats), "json" if json else "auto")
    if followed and not exit_code:
        return
    found, astray = _look(project, absolute(beats))
    if json and not followed:
        sys.stdout.buffer.write(encoding.to_json(found) + b"\n")
        sys.stdout.buffer.flush()
    elif not followed:
        terminal.printer().status(found, str(project), time.time())
    if exit_code:
        if astray is not None:
            raise astray
        raise typer.Exit(found.check)


def _look(root: Path, beats_file: str | None) -> "tuple[ProjectStatus, UsageError | None]":
    """Return where a project stands, and the error of numbers that have moved.

    Of a large project only these are kept while they are told.
    """
    from imagegen.export import record
    from imagegen.review.status import project_status
    from imagegen.workspace import moved_numbers
    from imagegen.workspace.project import Project

    project, now = Project(root, make_request(beats_file=beats_file)), time.time()
    surveyed = project.survey(now)
    found = project_status(project, now, surveyed)
    # A file of choices that cannot be read is reported as such.
    with contextlib.suppress(UsageError):
        found = msgspec.structs.replace(found, exports=record.standings(project))
    try:
        moved_numbers.require_numbers_unmoved(
            project, surveyed, project.styles, "What is missing is not known"
        )
    except UsageError as error:
        return found, error.with_traceback(None)
    return found, None


def stop(project: ProjectArgument = Path()) -> None:
    """Ask the active run to finish what is in flight, save, and end.

    The run ends with exit 3, and `imagegen resume` carries on. Without an active run it
    says so.
    """
    from imagegen.display import terminal
    from imagegen.project import record
    from imagegen.project.layout import ProjectPaths

    layout = ProjectPaths(project)
    printer = terminal.printer()
    active = record.active_run(layout)
    if active is None:
        printer.line(f"{layout.name}: nothing is running.")
        return
    record.request_stop(layout, active.run)
    printer.line(f"{layout.name}: asked process {active.pid} to finish and end.")
