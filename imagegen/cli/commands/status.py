"""The command that shows the state of a project: `status`."""

import contextlib
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from imagegen.cli.help import examples, exit_codes
from imagegen.cli.options import (
    BeatsOption,
    JsonOption,
    OtherArgument,
    ProjectArgument,
    absolute,
    make_request,
)
from imagegen.cli.streams import print_json
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.review.several_copies import Sum
    from imagegen.review.status import ProjectStatus

EPILOG: Final = (
    examples(
        ("imagegen status my-video", "bars, counts and a sign for each beat"),
        ("imagegen status my-video --watch", "follow the run from another window"),
        ("imagegen status my-video --check", "for scripts: is every image there?"),
        ("imagegen status my-video --json", "for programs"),
        ("imagegen status --all copy-1 copy-2", "what all copies have together"),
    )
    + "\n\n"
    + exit_codes(
        {
            0: "shown; with --check: every image is there",
            1: "with --check: no beat is pending, but some are in error or have no prompt",
            2: "invalid usage, settings or input; with --check: beat numbers changed",
            3: "with --check: some beats are pending",
        }
    )
)


def status(
    project: ProjectArgument = Path(),
    other: OtherArgument = None,
    *,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Show several copies, a line for each, and their sum: a beat counts as "
            "complete if any copy has its image.",
        ),
    ] = False,
    json: JsonOption = False,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Exit 2 if beat numbers changed, 3 if beats are pending, 1 if some are in "
            "error, else 0.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Follow the active run until it ends; Ctrl-C does not stop the run. With "
            "--json, print its events, one per line.",
        ),
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Show the progress of a project: counts, and a sign for each beat."""
    from imagegen.cli.watch import watch as follow
    from imagegen.display import terminal
    from imagegen.project.layout import ProjectPaths
    from imagegen.workspace import recovery

    if every:
        _status_of_all([project, *map(Path, other or ())], absolute(beats), json, exit_code, watch)
        return
    if other:
        words = shlex.join(other)
        hint = f"for several copies: imagegen status --all {shlex.quote(str(project))} {words}"
        raise UsageError(f'unexpected argument "{words}" (project is "{project}")', hint=hint)
    recovery.finish_interrupted(ProjectPaths(project), time.time())
    followed = watch and follow(project, absolute(beats), "json" if json else "auto")
    if followed and not exit_code:
        return
    current, numbers_changed = _look(project, absolute(beats))
    if json and not followed:
        print_json(current)
    elif not followed:
        terminal.printer().status(current, str(project), time.time())
    if exit_code:
        if numbers_changed is not None:
            raise numbers_changed
        raise typer.Exit(current.check)


def _status_of_all(
    roots: Sequence[Path],
    beats_file: str | None,
    json: bool,  # noqa: FBT001  # as the command has them
    exit_code: bool,  # noqa: FBT001
    watch: bool,  # noqa: FBT001
) -> None:
    """Show several copies and their sum. Raises `typer.Exit` and `UsageError` as `status` does."""
    from imagegen.display import terminal
    from imagegen.display.reports import status_all
    from imagegen.project.layout import ProjectPaths
    from imagegen.review.several_copies import Sum
    from imagegen.workspace import recovery

    if watch:
        raise UsageError("--all and --watch cannot be combined")
    total = Sum()
    numbers_changed: list[UsageError] = []
    # One folder counts once, however it was typed.
    for root in {root.resolve(): root for root in roots}.values():
        recovery.finish_interrupted(ProjectPaths(root), time.time())
        numbers_changed += filter(None, [_look(root, beats_file, total)[1]])
    total_status = total.result()
    if json:
        print_json(total_status)
    else:
        status_all.show(terminal.printer(), total_status)
    if exit_code:
        if numbers_changed:
            raise numbers_changed[0]
        raise typer.Exit(total_status.check)


def _look(
    root: Path, beats_file: str | None, total: "Sum | None" = None
) -> "tuple[ProjectStatus, UsageError | None]":
    """Return the status of a project, and the error if beat numbers changed; add it to `total`.

    Frees the project itself, which may be large, before anything is printed.
    """
    from imagegen.export import record
    from imagegen.review.status import project_status
    from imagegen.workspace import moved_numbers
    from imagegen.workspace.reading import read_project

    project, now = read_project(root, make_request(beats_file=beats_file)), time.time()
    surveyed = project.survey(now)
    current = project_status(project, now, surveyed)
    # A file of choices that cannot be read is reported as such.
    with contextlib.suppress(UsageError):
        current = msgspec.structs.replace(current, exports=record.standings(project))
    if total is not None:
        total.add(str(root), project, current)
    try:
        moved_numbers.require_numbers_unmoved(
            project, surveyed, project.styles, "What is missing is not known"
        )
    except UsageError as error:
        return current, error.with_traceback(None)
    return current, None
