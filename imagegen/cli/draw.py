"""Runs the engine for a command: its screen, its signals, its exit code."""

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Self

import typer

from imagegen.cli.options import View
from imagegen.errors import Exit, ImagegenError

if TYPE_CHECKING:
    from imagegen.generation.engine import Engine
    from imagegen.project.record import Asked, RunRecord

_LAST_SECONDS: Final = 3.5


class InterruptedRunError(BaseException):
    """A signal came before anything was sent."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


def draw(
    root: Path,
    asked: "Asked",
    *,
    keys: Path | None,
    base_url: str | None,
    view: View,
    max_time: float | None,
    limit: int | None = None,
    dry_run: bool = False,
    sure: bool = True,
    last: "RunRecord | None" = None,
) -> None:
    """Draw what was asked for; ends the command with the run's exit code.

    `last` is the run to carry on. `max_time` is in seconds. Raises `ImagegenError` where
    nothing could start.
    """
    from imagegen.display import terminal
    from imagegen.generation.session import KeySource, Project, Session

    screen = terminal.Screen(view.value)
    try:
        session = Session(Project(root, asked), KeySource(file=keys, base_url=base_url), last=last)
        if dry_run:
            plan = session.plan(limit)
            screen.dry_run(plan, session.name, session.least_seconds(plan))
            return
        with session:
            plan = session.plan(limit)
            session.require_keys(plan)
            if not sure:
                screen.confirm(plan)
            with _Signals() as signals:
                complete, in_flight = session.draw(
                    plan,
                    screen.listeners,
                    max_time=max_time,
                    started=signals.attach,
                )
    except ImagegenError as error:
        screen.failed(error)
        raise
    screen.summary(complete, session.name, str(root))
    _leave(complete.exit_code, in_flight)


class _Signals:
    """Passes signals on to the engine while it draws."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._signalled = False
        self._before: dict[int, object] = {}

    def attach(self, engine: "Engine") -> None:
        """Send signals to this engine from now on."""
        self._engine = engine

    def __enter__(self) -> Self:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None:
                self._before[number] = signal.signal(number, self._heed)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _heed(self, number: int, _frame: object) -> None:
        code = Exit(128 + number)
        if self._engine is None:
            raise InterruptedRunError(code)
        if self._signalled or code is not Exit.SIGINT:
            # CI kills ten seconds after asking: whatever hangs, be gone before that.
            last_resort = threading.Timer(_LAST_SECONDS, os._exit, (int(code),))
            last_resort.daemon = True
            last_resort.start()
        self._signalled = True
        self._engine.supervisor.signal(code)


def _leave(code: int, in_flight: int) -> NoReturn:
    """End with an exit code, without waiting for requests that are still under way."""
    if not in_flight:
        raise typer.Exit(code)
    # Python would wait for their threads.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
