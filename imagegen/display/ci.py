"""The plain view and the summary as GitHub Actions shows them best."""

from collections.abc import Sequence
from typing import Final, TextIO

from imagegen.display import actions
from imagegen.display.heard import Heard
from imagegen.display.plain import Plain
from imagegen.display.summary import ERRORS, columns, there
from imagegen.display.text import Glyphs, clean, duration, plural
from imagegen.display.words import money
from imagegen.generation.events import Complete, Event, Start, Warned
from imagegen.generation.plan import Plan
from imagegen.project.progress import BeatError
from imagegen.project.status import Status

_ROWS: Final = 100


class ActionsView(Plain):
    """A plain view whose lines fold away, and whose errors and warnings stand on the page."""

    def __init__(self, plan: Plan, out: TextIO, glyphs: Glyphs) -> None:
        super().__init__(plan, out, glyphs)
        self._open = False
        self._warnings = 0
        self._heard = Heard()

    def handle(self, event: Event) -> None:
        """Print the event, in a group; the errors after it."""
        self._heard.handle(event)
        if isinstance(event, Start):
            self._command(actions.command("group", f"{clean(event.project)}: drawing"))
            self._open = True
        if isinstance(event, Warned) and self._warnings < actions.ANNOTATIONS:
            self._warnings += 1
            self._tally.handle(event)
            self._command(actions.command("warning", clean(event.message), title="imagegen"))
            return
        super().handle(event)
        if isinstance(event, Complete):
            self._end(event)

    def close(self) -> None:
        """End the group, if the run could not."""
        if self._open:
            self._end(None)
        super().close()

    def _end(self, complete: Complete | None) -> None:
        if self._open:
            self._command(actions.command("endgroup", ""))
        self._open = False
        errors = [(self._names.full(*beat), why) for beat, why in self._heard.errors.items()]
        shown = errors if len(errors) <= actions.ANNOTATIONS else errors[: actions.ANNOTATIONS - 1]
        for name, error in shown:
            message = clean(f"{error.cause}, {error.reason}: {error.message}")
            self._command(actions.command("error", message, title=f"no picture of {name}"))
        if len(errors) > len(shown):
            more = f"{plural(len(errors) - len(shown), 'more beat')} in error"
            self._command(actions.command("error", more, title="imagegen"))
        if complete is not None and not errors and complete.exit_code and complete.messages:
            message = clean("; ".join(complete.messages), 600)
            self._command(actions.command("error", message, title=f"imagegen: {complete.reason}"))

    def _command(self, line: str) -> None:
        self._write(line)

    def _print(self, line: str) -> None:
        super()._print(actions.harmless(line))


def table(
    complete: Complete,
    name: str,
    errors: Sequence[tuple[str, str, BeatError]],
    glyphs: Glyphs,
    *,
    again: int = 0,
) -> str:
    """Return Markdown that tells how a run ended.

    `errors` are each a beat's name, its phrase and why it was not drawn; `again` counts
    pictures that were to be drawn again and were not.
    """
    counts = {style: own for style, own in complete.counts.items() if own.total}
    told = columns(counts.values())
    # Two dollar signs are a formula to GitHub.
    spent = money(complete.cost or 0).replace("$", r"\$")
    cost = f", about {spent}" if complete.cost else ""
    reason = actions.markdown(clean(complete.reason))
    took = f"{duration(complete.seconds)}{cost}"
    lines = [
        f"### {actions.markdown(clean(name))}: {there(complete, again)}",
        "",
        f"{took}, exit {complete.exit_code} ({reason})",
        "",
        f"| style | {' | '.join(told)} |",
        f"| --- |{' ---: |' * len(told)}",
    ]
    for style, own in counts.items():
        cells = " | ".join(f"{getattr(own, name):,}" for name in told.values())
        lines.append(f"| {actions.markdown(style)} | {cells} |")
    said = [message for message in complete.messages if not message.startswith(ERRORS)]
    lines += ["", *(f"- {actions.markdown(clean(message, 600))}" for message in said), ""]
    if errors:
        sign = glyphs[Status.ERROR]
        lines += ["| beat | words | why |", "| --- | --- | --- |"]
        for beat, phrase, error in errors[:_ROWS]:
            why = actions.markdown(clean(f"{error.cause}, {error.reason}: {error.message}"))
            words = actions.markdown(clean(phrase, 80))
            lines.append(f"| {sign} {actions.markdown(beat)} | {words} | {why} |")
        if len(errors) > _ROWS:
            lines += ["", f"and {len(errors) - _ROWS:,} more"]
        lines.append("")
    return "\n".join([*lines, ""])
