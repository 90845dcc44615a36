"""Chooses the view, the stream and the characters of the output."""

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console

from imagegen.display.printer import Printer
from imagegen.display.text import github_escape
from imagegen.display.text.sanitize import Glyphs, glyphs_for
from imagegen.display.views import tty
from imagegen.errors import ClosedOutputError, ImagegenError, InvalidInputError, UsageError

if TYPE_CHECKING:
    from imagegen.display.reports.summary import RunSummary
    from imagegen.engine.estimate import Estimate
    from imagegen.events.bus import Listener
    from imagegen.events.types import Complete
    from imagegen.prompts.appearances import Appearance
    from imagegen.workspace.plan import Plan

# Commands that only print do not load the views.

_MANY: Final = 10


def printer(*, errors: bool = False) -> Printer:
    """Return a printer for stdout, or for stderr if `errors`."""
    target = console(errors=errors)
    return Printer(target, _glyphs(target))


class RunDisplay:
    """One run's output: a view while it lasts, and a summary after it.

    `view` is auto, live, plain, json, log or none; auto is live where stdout is a terminal
    that supports it, and this program does not start in its background (`&`): there, lines
    show that it runs, between other output. `watching` means that the run is another
    process's.
    """

    def __init__(self, view: str, *, watching: bool = False) -> None:
        from imagegen.display.views.run_notes import RunNotes

        self._watching = watching
        self._console = console()
        # Not what Rich takes for a terminal: FORCE_COLOR asks for colours in a pipe too.
        able = sys.stdout.isatty() and not self._console.is_dumb_terminal
        able = able and tty.in_foreground(sys.stdout)
        if view in {"auto", "live"}:
            # A pipe cannot show the live view, even if it is selected.
            view = "live" if able else "plain"
        self._view = view
        self._printer = printer(errors=self._view in {"json", "none"})
        self._plan: Plan | None = None
        self._heard = RunNotes()

    def listeners(self, plan: "Plan") -> Sequence[tuple["Listener", float | None]]:
        """Return the listeners of the run, each with its idle interval in seconds."""
        self._plan = plan
        listeners: list[tuple[Listener, float | None]] = [(self._heard, None)]
        glyphs = _glyphs(self._console)
        if self._view == "live":
            from imagegen.display.views.live import TICK, LiveView

            listeners.append((LiveView(plan, self._console, glyphs, watching=self._watching), TICK))
        elif self._view == "plain":
            from imagegen.display.views import github, plain

            # What another process draws has its annotations where that runs.
            view = (
                github.ActionsView
                if github_escape.running() and not self._watching
                else plain.Plain
            )
            listeners.append((view(plan, sys.stdout, glyphs), plain.TICK))
        elif self._view == "json":
            from imagegen.display.views.ndjson import JsonLines

            listeners.append((JsonLines(sys.stdout.buffer), None))
        return listeners

    def confirm(self, plan: "Plan", price: float | None) -> bool:
        """Ask before many images are redrawn; return whether a question was needed.

        `price` is an image's, in US dollars. Raises `UsageError` unless the answer is yes.
        """
        from imagegen.display.text.formatting import money

        count = plan.again
        if count <= _MANY:
            return False
        cost = f" for about {money(price * count)}" if price else ""
        question = f"Redraw {count:,} images{cost}? The old ones are kept in old_images/."
        # Stdin is None if it was closed at the start (`<&-`).
        if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                f"{count:,} existing images would be redrawn{cost}",
                hint="add --yes to redraw them",
            )
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise UsageError("nothing was drawn")
        return True

    def dry_run(
        self, plan: "Plan", name: str, estimate: "Estimate", cast: Sequence["Appearance"]
    ) -> None:
        """Print what a run would draw, and its characters."""
        self._printer.dry_run(plan, name, estimate, cast)

    def summary(
        self,
        complete: "Complete",
        name: str,
        path: str,
        folder: str = "generated_images",
        *,
        resumes: bool = True,
        sources: Sequence[str] = (),
        limited: bool = False,
        placeholders: bool = False,
    ) -> None:
        """Print how the run ended; see `imagegen.display.reports.summary.RunSummary`."""
        from imagegen.display.reports.summary import RunSummary

        ended = RunSummary(
            complete=complete,
            plan=self._plan,
            heard=self._heard,
            name=name,
            path=path,
            folder=folder,
            is_resumable=resumes,
            source_options=sources,
            limited=limited,
            draws_placeholders=placeholders,
            view_cleared=self._view in {"live", "json"},
            now=time.time(),
        )
        if self._view == "none":
            self._printer.problems(ended)
        else:
            if self._view in {"plain", "log"}:
                self._printer.line()
            self._printer.summary(ended)
        if github_escape.running() and not self._watching:
            self._tell_page(ended)

    def _tell_page(self, ended: "RunSummary") -> None:
        """Add a table to the page of the GitHub Actions run."""
        from imagegen.display.reports import github

        names = ended.names
        errors = [
            (names.full(beat.address), beat.script_phrase, error) for beat, error in ended.errors
        ]
        glyphs, not_redrawn = _glyphs(self._console), len(ended.again)
        text = github.table(ended.complete, ended.name, errors, glyphs, not_redrawn=not_redrawn)
        refused = github_escape.append(text)
        if refused is not None:
            warning = github_escape.command("warning", refused, title="imagegen")
            stream = sys.stdout if self._view == "plain" else sys.stderr
            stream.write(f"{warning}\n")
            stream.flush()


def print_failure_event(error: ImagegenError) -> None:
    """Print the event of a failed start, for programs that read events on stdout."""
    from imagegen.display.views.ndjson import JsonLines
    from imagegen.events.types import StartFailed
    from imagegen.times import iso_millis

    faults = error.faults if isinstance(error, InvalidInputError) else ()
    event = StartFailed(
        seq=1,
        time=iso_millis(time.time()),
        exit_code=error.exit_code,
        message=error.message,
        hint=error.hint,
        faults=faults,
    )
    JsonLines(sys.stdout.buffer).handle(event)


class _Console(Console):
    """A console that reports a closed pipe instead of ending the program."""

    def on_broken_pipe(self) -> None:
        raise ClosedOutputError("stdout was closed")


def console(*, errors: bool = False) -> Console:
    """Return the console of stdout, or of stderr for errors."""
    return _Console(
        stderr=errors,
        highlight=False,
        markup=False,
        emoji=False,
        # With NO_COLOR, Rich keeps bold and dim, which are escape sequences too.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


def _glyphs(target: Console) -> Glyphs:
    coloured = target.is_terminal and target.color_system is not None
    return glyphs_for(target.encoding, colour=coloured)
