"""Run the engine for a command: display, signals and exit code."""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Self

import typer

from imagegen.cli import signals
from imagegen.cli.help import exit_codes
from imagegen.cli.keep_awake import keep_awake
from imagegen.cli.options import ExecutionOptions, View, make_request, seconds
from imagegen.cli.shard import with_shard
from imagegen.errors import ClosedOutputError, Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagegen.display.terminal import RunDisplay
    from imagegen.engine.engine import Engine
    from imagegen.events.bus import Listener
    from imagegen.project.layout import ProjectPaths
    from imagegen.project.record import DrawRequest
    from imagegen.runs.session import RunLimits, Session
    from imagegen.workspace.credentials import CredentialOptions
    from imagegen.workspace.plan import Plan
    from imagegen.workspace.project import Project

DRAW_EXITS: Final = exit_codes(
    {
        0: "all requested images are there",
        1: "some beats are in error: see imagegen status",
        2: "invalid usage, settings, input or keys: fix and rerun",
        3: "ended early (quota, time, money, service, stop): resume later",
        4: "another run is active on the project",
        130: "interrupted: resume (129 and 143 too)",
    }
)
"""The exit codes of commands that draw the project."""
_LAST_SECONDS: Final = 3.5
_LOOK: Final = 0.2


class InterruptedRunError(BaseException):
    """A signal arrived before anything was sent."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.exit_code = code


Read = Callable[["DrawRequest", "CredentialOptions"], "Project"]
"""Reads a project for a request, with the sources of keys."""


def draw(
    root: Path,
    request: "DrawRequest | None",
    execution: ExecutionOptions,
    *,
    read: Read | None = None,
) -> None:
    """Draw the request, or resume the last run without one (`request=None`).

    `read` replaces how a run reads the project. Raises `typer.Exit` with the run's exit code,
    and `ImagegenError` if nothing could start.
    """
    from imagegen.display import terminal
    from imagegen.runs.session import RunLimits

    screen = terminal.RunDisplay(_view(execution))
    _reject_combination(execution)
    limits = RunLimits(max_time=seconds(execution.max_time), max_cost=execution.max_cost)
    session = _session(root, request, execution, read)
    plan = session.plan(execution.limit)
    if execution.dry_run:
        planned = (planned_beat for beats in plan.styles.values() for planned_beat in beats)
        cast = session.project.characters_in(
            plan.drawn, (planned_beat.beat for planned_beat in planned if not planned_beat.draw)
        )
        screen.dry_run(plan, session.name, session.estimate(plan), cast)
        if session.older_images is not None:
            terminal.printer(errors=True).line(f"  note: {session.older_images}")
        return
    if request is None and not plan.to_draw and not plan.reused:
        name = session.project.layout.name
        terminal.printer(errors=True).line(f"{name}: nothing to resume, no image is missing.")
    session = _confirm(session, screen, execution, limits)
    if execution.detach:
        code = _detach(session.project.layout, root)
        raise typer.Exit(code)
    with contextlib.ExitStack() as stack:
        if execution.keep_awake:
            stack.enter_context(keep_awake(session.warnings.append))
        stack.enter_context(session)
        signalled = stack.enter_context(_Signals())
        listeners = _Listeners(screen, session.project.layout, echo=execution.verbose)
        # Another run may have drawn some beats before this one locked the project.
        complete, in_flight = session.draw(
            session.plan(execution.limit), listeners, limits=limits, started=signalled.attach
        )
        drawn_project = session.project
        try:
            screen.summary(
                complete,
                session.name,
                str(root),
                drawn_project.layout.output_folder,
                resumes=not drawn_project.is_scratch,
                sources=execution.sources,
                limited=execution.limit is not None,
                placeholders=_draws_placeholders(drawn_project),
            )
        except (OSError, ClosedOutputError):
            # The run's own exit code matters more, unless it is 0.
            if complete.exit_code == Exit.OK:
                raise
        if in_flight:
            _leave(complete.exit_code)
    raise typer.Exit(complete.exit_code)


def _draws_placeholders(project: "Project") -> bool:
    """Return whether the images only stand in until the project's own provider draws them."""
    from imagegen import providers
    from imagegen.project import settings

    drawn_by = project.settings.provider
    return (
        drawn_by in providers.PLACEHOLDERS
        and not project.is_scratch
        and settings.load(project.root).provider != drawn_by
    )


def _session(
    root: Path, request: "DrawRequest | None", execution: ExecutionOptions, read: Read | None
) -> "Session":
    """Read the project, after finishing what a crash interrupted and after `--renumber`."""
    from imagegen.runs.session import Session
    from imagegen.workspace.credentials import CredentialOptions
    from imagegen.workspace.last_run import drawn_with, find_resumable
    from imagegen.workspace.opening import open_project

    last = find_resumable(root) if request is None else None
    default_model = drawn_with(root, last) if request is None else None
    resumes, note = request is None, None
    if request is None:
        request = last.asked if last else make_request()
    if read is None:
        # Not for a command that names what it draws, such as redraw.
        request, note = with_shard(request, root, resumes=resumes)
    if execution.renumber and not execution.dry_run:
        _renumber(open_project(root, request, wall=time.time()), root)
    source = CredentialOptions(file=execution.keys, base_url=execution.base_url)
    if read:
        return Session(read(request, source), last=last)
    project = open_project(root, request, source, wall=time.time(), default_model=default_model)
    session = Session(project, last=last)
    session.warnings += filter(None, [note])
    return session


def _renumber(project: "Project", root: Path) -> None:
    """Move images to their beat numbers, and report it now: the run may still not start."""
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.editing import renumber as renumbering

    result = renumbering.renumber(project, time.time())
    if result:
        printer, name = terminal.printer(errors=True), project.layout.name
        moves.print_renumber(printer, name, str(root), result, dry_run=False)


def _confirm(
    session: "Session", screen: "RunDisplay", execution: ExecutionOptions, limits: "RunLimits"
) -> "Session":
    """Ask before many images are redrawn; return the session, read again after the answer.

    Raises `UsageError` unless the answer is yes, or if nothing can be drawn.
    """
    agreed = 0
    while True:
        plan = session.plan(execution.limit)
        session.require_price(limits, plan)
        session.require_keys(plan, _keyless(session.project.root, sys.argv[1:]))
        price = session.project.price
        if (
            execution.sure
            or plan.again <= agreed
            or not screen.confirm(plan, price.picture if price else None)
        ):
            return session
        agreed, session = plan.again, session.reload()


_TAKEN_OUT: Final = frozenset({"--provider", "--model", "--keys", "--base-url", "--progress"})
"""Options with a value that the sketch provider does not need."""


def _keyless(root: Path, arguments: "Sequence[str]") -> str:
    """Return the command that was typed, with the sketch provider."""
    from imagegen.shell import command, project_command

    words = list(arguments)
    if words[:1] == ["resume"]:
        # A resumed run keeps its provider.
        return project_command("run", root, "--provider", "sketch")
    end = words.index("--") if "--" in words else len(words)
    words_kept: list[str] = []
    options = iter(words[:end])
    for word in options:
        name, _, value = word.partition("=")
        if name in _TAKEN_OUT:
            if not value:
                next(options, None)
        elif word not in {"--yes", "--detach"}:
            words_kept.append(word)
    return command("imagegen", *words_kept, "--provider", "sketch", *words[end:])


def _view(execution: ExecutionOptions) -> str:
    """Return the view; a log that is echoed to the terminal replaces the live view."""
    if execution.view is View.AUTO and execution.verbose and sys.stderr.isatty():
        return "log"
    return execution.view.value


def _reject_combination(execution: ExecutionOptions) -> None:
    if execution.detach and execution.view is View.JSON:
        raise UsageError(
            "--detach and --progress json cannot be combined",
            hint="to follow a detached run: imagegen status PROJECT --watch --json",
        )
    if execution.detach and execution.dry_run:
        raise UsageError("--detach and --dry-run cannot be combined")


class _Listeners:
    """Creates the listeners of a run: display and log."""

    def __init__(self, screen: "RunDisplay", layout: "ProjectPaths", *, echo: bool) -> None:
        self._screen = screen
        self._layout = layout
        self._echo = echo

    def __call__(self, plan: "Plan") -> "Sequence[tuple[Listener, float | None]]":
        from imagegen.display.views.log import RunLog

        log = RunLog(self._layout.log, sys.stderr if self._echo else None)
        return [(log, None), *self._screen.listeners(plan)]


def _detach(layout: "ProjectPaths", root: Path) -> int:
    from imagegen.display import terminal
    from imagegen.runs import detach

    started = detach.start(layout, sys.argv[1:])
    if isinstance(started, detach.EarlyExit):
        sys.stderr.write(started.output)
        if started.run is not None:
            terminal.printer().exited(layout.name, str(root))
        return started.exit_code
    terminal.printer().detached(layout.name, str(root), started.pid)
    return Exit.OK


class _Signals:
    """Forwards signals to the engine while it draws."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._signalled = False
        self._gone_by = math.inf
        self._code = 0
        self._over = False
        self._before: dict[int, object] = {}

    def attach(self, engine: "Engine") -> None:
        """Send signals to this engine from now on."""
        self._engine = engine

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, *signals.termination_signals()):
            self._before[number] = signal.signal(number, self._handle)
        threading.Thread(target=self._guard, name="last resort", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._over = True

    def _guard(self) -> None:
        """Exit in time even if something hangs: CI kills the process after ten seconds.

        This is a polling thread because a signal handler may interrupt any code, and may
        neither take a lock nor start a thread.
        """
        while not self._over:
            if time.monotonic() > self._gone_by:
                os._exit(self._code)
            time.sleep(_LOOK)

    def _handle(self, number: int, _frame: object) -> None:
        code = Exit(128 + number)
        if self._engine is None:
            raise InterruptedRunError(code)
        if self._signalled or code is not Exit.SIGINT:
            self._gone_by = time.monotonic() + _LAST_SECONDS
        self._signalled = True
        self._code = int(code)
        self._engine.supervisor.signal(code)


def _leave(code: int) -> NoReturn:
    """Exit without waiting for requests in flight; the process releases the project's lock.

    Python would wait for their threads. Releasing the lock earlier would let another run pay for
    the same beats.
    """
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
