"""A run's summary on the page of a GitHub Actions job."""

from collections.abc import Sequence
from typing import Final

from imagegen.display.reports.summary import ERRORS, columns, done_line
from imagegen.display.text import github_escape
from imagegen.display.text.formatting import money
from imagegen.display.text.sanitize import Glyphs, duration, sanitize
from imagegen.events.types import Complete
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError

_ROWS: Final = 100


def table(
    complete: Complete,
    name: str,
    errors: Sequence[tuple[str, str, BeatError]],
    glyphs: Glyphs,
    *,
    not_redrawn: int = 0,
) -> str:
    """Return Markdown that shows how a run ended.

    `errors` are each a beat's name, its script phrase and the error; `not_redrawn` counts images
    that were to be redrawn and were not.
    """
    counts = {
        style: style_counts for style, style_counts in complete.counts.items() if style_counts.total
    }
    headings = columns(counts.values())
    # Two dollar signs are a formula to GitHub.
    spent = money(complete.cost or 0).replace("$", r"\$")
    cost = f", about {spent}" if complete.cost else ""
    reason = github_escape.markdown(sanitize(complete.reason))
    took = f"{duration(complete.seconds)}{cost}"
    lines = [
        f"### {github_escape.markdown(sanitize(name))}: {done_line(complete, not_redrawn)}",
        "",
        f"{took}, exit {complete.exit_code} ({reason})",
        "",
        f"| style | {' | '.join(headings)} |",
        f"| --- |{' ---: |' * len(headings)}",
    ]
    for style, style_counts in counts.items():
        cells = " | ".join(f"{getattr(style_counts, name):,}" for name in headings.values())
        lines.append(f"| {github_escape.markdown(style)} | {cells} |")
    messages = [message for message in complete.messages if not message.startswith(ERRORS)]
    lines += [
        "",
        *(f"- {github_escape.markdown(sanitize(message, 600))}" for message in messages),
        "",
    ]
    if errors:
        sign = glyphs[Status.ERROR]
        lines += ["| beat | phrase | error |", "| --- | --- | --- |"]
        for beat, phrase, error in errors[:_ROWS]:
            why = github_escape.markdown(
                sanitize(f"{error.cause}, {error.reason}: {error.message}")
            )
            words = github_escape.markdown(sanitize(phrase, 80))
            lines.append(f"| {sign} {github_escape.markdown(beat)} | {words} | {why} |")
        if len(errors) > _ROWS:
            lines += ["", f"and {len(errors) - _ROWS:,} more"]
        lines.append("")
    return "\n".join([*lines, ""])
