"""The plain view and the summary as GitHub Actions shows them best."""

from typing import TextIO

from imagegen.display.text import github_escape
from imagegen.display.text.sanitize import Glyphs, plural, sanitize
from imagegen.display.views.plain import Plain
from imagegen.display.views.run_notes import RunNotes
from imagegen.events.types import Complete, Event, Start, WarningEvent
from imagegen.workspace.plan import Plan


class ActionsView(Plain):
    """A plain view in a folded group, with errors and warnings as annotations."""

    def __init__(self, plan: Plan, out: TextIO, glyphs: Glyphs) -> None:
        super().__init__(plan, out, glyphs)
        self._open = False
        self._warnings = 0
        self._heard = RunNotes()

    def handle(self, event: Event) -> None:
        """Print the event in a group, and the errors after the group."""
        self._heard.handle(event)
        if isinstance(event, Start):
            self._command(github_escape.command("group", f"{sanitize(event.project)}: drawing"))
            self._open = True
        if (
            isinstance(event, WarningEvent)
            and not event.note
            and self._warnings < github_escape.ANNOTATIONS
        ):
            self._warnings += 1
            self._tally.handle(event)
            self._command(
                github_escape.command("warning", sanitize(event.message), title="imagegen")
            )
            return
        super().handle(event)
        if isinstance(event, Complete):
            self._end(event)

    def close(self) -> None:
        """End the group if the run did not."""
        if self._open:
            self._end(None)
        super().close()

    def _end(self, complete: Complete | None) -> None:
        if self._open:
            self._command(github_escape.command("endgroup", ""))
        self._open = False
        errors = [(self._names.full(beat), why) for beat, why in self._heard.errors.items()]
        listed = (
            errors
            if len(errors) <= github_escape.ANNOTATIONS
            else errors[: github_escape.ANNOTATIONS - 1]
        )
        for name, error in listed:
            message = sanitize(f"{error.cause}, {error.reason}: {error.message}")
            self._command(github_escape.command("error", message, title=f"no image of {name}"))
        if len(errors) > len(listed):
            more = f"{plural(len(errors) - len(listed), 'more beat')} in error"
            self._command(github_escape.command("error", more, title="imagegen"))
        if complete is not None and not errors and complete.exit_code and complete.messages:
            message = sanitize("; ".join(complete.messages), 600)
            self._command(
                github_escape.command("error", message, title=f"imagegen: {complete.reason}")
            )

    def _command(self, line: str) -> None:
        self._write(line)

    def _print(self, line: str) -> None:
        super()._print(github_escape.harmless(line))
