"""Follow a run of another process: `status --watch`."""

import contextlib
import gc
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from imagegen.cli import signals
from imagegen.cli.draw import InterruptedRunError
from imagegen.errors import Exit, InvalidInputError, UsageError
from imagegen.project import record
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest, RunRecord
from imagegen.shell import project_command
from imagegen.workspace.plan import Plan

_UNKNOWN: Final = Plan(styles={}, unselected_count=1)
"""For a run with beats that cannot, or need not, be read."""


def watch(root: Path, beats_file: str | None, view: str) -> bool:
    """Show the active run until it ends; return False if the status is still to be printed.

    That is the case if no run is active or if it crashed, except for `view` json, which prints
    only events. Other views become plain lines if the project's files have errors now. Leaving
    does not affect the run.
    """
    from imagegen.display import terminal
    from imagegen.events import journal

    layout = ProjectPaths(root)
    active = record.active_run(layout)
    if active is None:
        return view == "json"
    plan = _UNKNOWN
    if view != "json":
        try:
            plan = _plan(root, active, beats_file)
        except InvalidInputError:
            # They are being edited; the run continues with what it has read.
            view = "plain"
            terminal.printer(errors=True).line(
                f"{layout.name}: its files have errors now, so the run is shown as lines. "
                f"To list the errors: {project_command('check', root)}"
            )
    gc.enable()
    screen = terminal.RunDisplay(view, watching=True)
    with exit_cleanly_on_signal():
        complete = journal.follow(layout, active.run, screen.listeners(plan))
    if complete is not None:
        screen.summary(complete, layout.name, str(root))
    return complete is not None or view == "json"


@contextlib.contextmanager
def exit_cleanly_on_signal() -> Iterator[None]:
    """Handle termination signals like Ctrl-C, so that the terminal is restored."""

    def end(number: int, _frame: object) -> None:
        raise InterruptedRunError(Exit(128 + number))

    before = {number: signal.signal(number, end) for number in signals.termination_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plan(root: Path, active: RunRecord, beats_file: str | None) -> Plan:
    """Return the plan of the run. Raises `UsageError`."""
    from imagegen.workspace.reading import read_project

    project = read_project(root, _asked(active, beats_file))
    return project.plan(project.survey(time.time()).beats, lineage=active.root_run)


def _asked(active: RunRecord, beats_file: str | None) -> DrawRequest:
    """Return the run's request, with a beats file that this command may read."""
    run_beats_file = active.asked.beats_file
    if beats_file is None and run_beats_file is not None and Path(run_beats_file).is_absolute():
        # The record may come from another user: it must not choose which files are read.
        raise UsageError(
            "the run reads its beats from outside the project",
            hint=f"to allow that: imagegen status --watch --beats {run_beats_file}",
        )
    return msgspec.structs.replace(active.asked, beats_file=beats_file or run_beats_file)
