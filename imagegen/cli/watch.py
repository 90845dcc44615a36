"""Follows a run from outside: `status --watch`."""

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
"""Of a run whose beats cannot be read, or need not be."""


def watch(root: Path, beats_file: str | None, view: str) -> bool:
    """Show the active run until it ends; returns False where more is to be said.

    That is so where none is active, or where it broke off; not of `view` json, which
    prints events alone. Else `view` is auto; where the project's files have a fault just now,
    it is lines of what happens. Leaving does nothing to the run.
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
            # Somebody edits them; the run goes on with what it has read.
            view = "plain"
            terminal.printer(errors=True).line(
                f"{layout.name} has faults in its files now "
                f"({project_command('check', root)} tells them): what the run does is shown as "
                "lines."
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
    """Let a signal end the command as Ctrl-C does, so that the terminal is given back."""

    def end(number: int, _frame: object) -> None:
        raise InterruptedRunError(Exit(128 + number))

    before = {number: signal.signal(number, end) for number in signals.termination_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plan(root: Path, active: RunRecord, beats_file: str | None) -> Plan:
    """Return what the run draws. Raises `UsageError`."""
    from imagegen.workspace.project import Project

    project = Project(root, _asked(active, beats_file))
    return project.plan(project.survey(time.time()).beats, lineage=active.root_run)


def _asked(active: RunRecord, beats_file: str | None) -> DrawRequest:
    """Return what the run was asked for, with a beats file that this command may read."""
    named = active.asked.beats_file
    if beats_file is None and named is not None and Path(named).is_absolute():
        # The record may be somebody else's: it must not choose what of yours is read.
        raise UsageError(
            "the run reads its beats from outside the project",
            hint=f"name them: imagegen status --watch --beats {named}",
        )
    return msgspec.structs.replace(active.asked, beats_file=beats_file or named)
