"""A run's summary on the page of a GitHub Actions job."""

from collections.abc import Sequence
from typing import Final

from imagegen.display import actions
from imagegen.display.summary import ERRORS, columns, there
from imagegen.display.text import Glyphs, clean, duration
from imagegen.display.words import money
from imagegen.generation.events import Complete
from imagegen.project.progress import BeatError
from imagegen.project.status import Status

_ROWS: Final = 100


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
