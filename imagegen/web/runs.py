"""Runs that the page begins and ends: each is the command itself, in a process of its own."""

import os
import time
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from imagegen.errors import Exit, RunActiveError
from imagegen.events.journal import Journal
from imagegen.events.types import Complete, Event, StartFailed
from imagegen.project import record
from imagegen.project.record import RunRecord
from imagegen.runs import detach
from imagegen.times import iso_millis
from imagegen.web.board import BoardCache
from imagegen.web.older import ProjectPath

_LAST_BYTES: Final = 1024 * 1024
"""As many of a journal have its last event, however long it is."""

Name = Annotated[str, msgspec.Meta(pattern=r"\A(?=.*\S)[\w.\-/ ]{1,200}\Z")]
"""A style, a shot or a beat as a person may name it; which there are, the run itself knows."""
Names = Name | int | Annotated[list[Name | int], msgspec.Meta(min_length=1, max_length=1000)] | None
"""One or several. An empty list is refused: taken for no list at all, it would draw everything."""


class WebDrawRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to draw, as the run's options of the same names say it.

    A beat's number is text: the number 1.10 would be 1.1. With `project_path` the older service
    is asked; the prompts that it was sent are passed over, for the project has them.
    """

    style: Names = None
    shot: Names = None
    beat: Names = None
    force: bool = False
    limit: Annotated[int, msgspec.Meta(ge=0, le=999_999_999)] | None = None
    project_path: ProjectPath | None = msgspec.field(default=None, name="projectPath")
    prompts: object = msgspec.field(default=None, name="promptsByStyle")

    def options(self) -> list[str]:
        """Return the command's options. No value can be taken for an option."""
        selected = {"style": self.style, "shot": self.shot, "beat": self.beat}
        options = [
            f"--{name}={item}" for name, values in selected.items() for item in _listed(values)
        ]
        if self.force:
            options.append("--force")
        if self.limit is not None:
            options.append(f"--limit={self.limit}")
        return options


def _listed(names: Names) -> Sequence[str | int]:
    if names is None:
        return []
    return names if isinstance(names, list) else [names]


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The last run: whether it goes on, by which process, or how it ended.

    `started_here` means that the page began it, since the server has been started. Times are ISO
    8601 in UTC; all is None if there has been no run.
    """

    active: bool = False
    run: str | None = None
    pid: int | None = None
    started_here: bool = False
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    resume_after: str | None = None


class RunController:
    """The runs of one project. `options` are the command's that every run gets.

    Who draws is said to each run as `boards` has it, by whom the page shows what it costs: a
    run without the option would draw as the settings say. Its methods wait for files and
    processes.
    """

    def __init__(self, boards: BoardCache, options: Sequence[str] = ()) -> None:
        self._boards = boards
        self._layout = boards.layout
        self._options = list(options)
        self._begun: set[str] = set()

    def start(self, request: WebDrawRequest) -> str | StartFailed:
        """Begin a run and return its id; or why, where it ended before it had the project.

        Raises `RunActiveError` while another is active, and `UsageError` where no process
        can be started.
        """
        active = record.active_run(self._layout)
        if active is not None:
            raise RunActiveError(
                f"another run is active (process {active.pid}, since {active.started})",
                hint="stop it first, or wait until it ends",
            )
        arguments = ["run", str(self._layout.root), *request.options()]
        arguments += [*_drawer(self._boards), *self._options]
        started = detach.start(self._layout, arguments, _environment())
        if not isinstance(started, detach.EarlyExit):
            run = started.run
        else:
            failed = _failure(started)
            if failed is not None:
                return failed
            if started.run is None:
                return _unsaid(started)
            # For example, it had nothing to draw: its journal has the reason.
            run = started.run
        self._begun.add(run)
        return run

    def stop(self) -> RunRecord | None:
        """Ask the active run to finish what is in flight and end; returns it, or None."""
        active = record.active_run(self._layout)
        if active is not None:
            record.request_stop(self._layout, active.run)
        return active

    def standing(self) -> RunStatus:
        """Return the state of the last run from its record."""
        last = record.read(self._layout)
        if last is None:
            return RunStatus()
        # A run that only begins has not replaced the record of the one before.
        active = last.ended is None and record.is_active(self._layout)
        return RunStatus(
            active=active,
            run=last.run,
            pid=last.pid if active else None,
            started_here=last.run in self._begun,
            started=last.started,
            ended=last.ended,
            exit_code=last.exit_code,
            reason=last.reason,
            resume_after=last.resume_after,
        )

    def final_event(self, run: RunStatus) -> Complete | None:
        """Return the last event of a run that has ended, if it had one."""
        if run.active or run.run is None:
            return None
        last: Event | None = None
        journal = Journal(self._layout.journal(run.run), last=_LAST_BYTES)
        try:
            for event in journal.events():
                last = event
        finally:
            journal.close()
        return last if isinstance(last, Complete) else None


def _drawer(boards: BoardCache) -> list[str]:
    """Return the options that let a run draw as the page shows it."""
    request = boards.asked
    options_by_name = {"provider": request.provider, "model": request.model}
    options = [f"--{name}={value}" for name, value in options_by_name.items() if value is not None]
    if request.continuity is not None:
        options.append("--continuity" if request.continuity else "--no-continuity")
    return options


def _failure(over: detach.EarlyExit) -> StartFailed | None:
    """Return why a run never began, as it says so. Raises `RunActiveError` for another run."""
    try:
        failed = msgspec.json.decode(over.output.partition("\n")[0], type=StartFailed)
    except msgspec.MsgspecError:
        return None
    if failed.exit_code == Exit.RUN_ACTIVE:
        raise RunActiveError(failed.message, hint=failed.hint)
    return failed


def _unsaid(over: detach.EarlyExit) -> StartFailed:
    """Return all that is known of a run that ended before it could say so to programs."""
    code = over.exit_code
    message = over.output.strip().removeprefix("imagegen: ") or f"the run ended with exit {code}"
    return StartFailed(seq=1, time=iso_millis(time.time()), exit_code=code, message=message)


def _environment() -> dict[str, str]:
    """Return a run's environment: this process's, so that words come without colours."""
    ours = {"NO_COLOR": "1", detach.PRINT_FAILURE_EVENT: "1"}
    return {name: v for name, v in os.environ.items() if name != "FORCE_COLOR"} | ours
