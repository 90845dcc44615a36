"""Chooses how to show things: which view, on which stream, in which signs."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Console

from imagegen.display.live import TICK as LIVE_TICK
from imagegen.display.live import LiveView
from imagegen.display.ndjson import JsonLines
from imagegen.display.plain import TICK as PLAIN_TICK
from imagegen.display.plain import Plain
from imagegen.display.report import Printer
from imagegen.display.text import Glyphs, glyphs_for
from imagegen.errors import ClosedOutputError, ImagegenError, InputFaultsError, UsageError
from imagegen.generation.events import Complete, Event, Failed, Listener, Progress, iso_exact
from imagegen.generation.forecaster import Estimate
from imagegen.generation.plan import Plan
from imagegen.generation.survey import Found
from imagegen.project.progress import BeatError
from imagegen.project.status import Status

_MANY: Final = 10


def printer(*, errors: bool = False) -> Printer:
    """Return what prints on stdout, or on stderr for errors."""
    console = _console(errors=errors)
    return Printer(console, _glyphs(console))


class Screen:
    """One run's output: a view while it lasts, and a summary after it.

    `view` is auto, live, plain, json or none; auto is live where stdout is a terminal.
    `watching` tells that the run is another process's.
    """

    def __init__(self, view: str, *, watching: bool = False) -> None:
        self._watching = watching
        self._console = _console()
        smart = self._console.is_terminal and not self._console.is_dumb_terminal
        self._view = ("live" if smart else "plain") if view == "auto" else view
        self._printer = printer(errors=self._view == "json")
        self._plan: Plan | None = None
        self._errors = _Errors()

    def listeners(self, plan: Plan) -> Sequence[tuple[Listener, float | None]]:
        """Return what follows the run, each with the idle seconds after which it acts."""
        self._plan = plan
        heard: list[tuple[Listener, float | None]] = [(self._errors, None)]
        if self._view == "live":
            heard.append((LiveView(plan, self._console, _glyphs(self._console)), LIVE_TICK))
        elif self._view == "plain":
            heard.append((Plain(plan, sys.stdout, _glyphs(self._console)), PLAIN_TICK))
        elif self._view == "json":
            heard.append((JsonLines(sys.stdout.buffer), None))
        return heard

    def confirm(self, plan: Plan) -> None:
        """Ask before many pictures are redrawn. Raises `UsageError` unless the answer is yes."""
        there = {Found.WHOLE, Found.CONVERTIBLE}
        count = sum(p.draw and p.found in there for own in plan.styles.values() for p in own)
        if count <= _MANY:
            return
        question = f"Draw {count} pictures again? The old ones are kept in old_images/."
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                f"--force would draw {count} pictures again", hint="add --yes to do it"
            )
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise UsageError("nothing was drawn")

    def dry_run(self, plan: Plan, name: str, estimate: Estimate) -> None:
        """Say what a run would do."""
        self._printer.dry_run(plan, name, estimate)

    def failed(self, error: ImagegenError) -> None:
        """Tell programs that nothing started; people are told by whoever ends the command."""
        if self._view == "json":
            faults = error.faults if isinstance(error, InputFaultsError) else ()
            event = Failed(
                seq=1,
                time=iso_exact(time.time()),
                exit_code=error.exit_code,
                message=error.message,
                hint=error.hint,
                faults=faults,
            )
            sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
            sys.stdout.buffer.flush()

    def summary(self, complete: Complete, name: str, path: str) -> None:
        """Say how the run ended."""
        if self._view == "none":
            printer(errors=True).ending(complete, path)
            return
        others = self._plan.others if self._plan else 0
        self._printer.summary(complete, name, path, others)
        beats = {
            (one.beat.style, *one.beat.key): one.beat
            for own in (self._plan.styles.values() if self._plan else ())
            for one in own
        }
        errors = [(beats[key], error) for key, error in self._errors.found.items()]
        self._printer.errors(errors, path)


class _Errors:
    """A listener that remembers which beats ended in error."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, str], BeatError] = {}

    def handle(self, event: Event) -> None:
        if isinstance(event, Progress) and event.status is Status.ERROR and event.error:
            self.found[event.style, event.shot_number, event.beat_number] = event.error

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Console(Console):
    """A console that tells of a closed pipe instead of ending the program itself."""

    def on_broken_pipe(self) -> None:
        raise ClosedOutputError("whoever read the output has closed it")


def _console(*, errors: bool = False) -> Console:
    return _Console(stderr=errors, highlight=False, markup=False, emoji=False)


def _glyphs(console: Console) -> Glyphs:
    plain = os.environ.get("NO_COLOR") or not console.is_terminal
    return glyphs_for(console.encoding, colour=not plain)
