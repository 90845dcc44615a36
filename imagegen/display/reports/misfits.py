"""Images whose shape or size differs from the request, and how to redraw them."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagegen.display.text.formatting import project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import plural, sanitize

_SHOWN: Final = 5
_EVERY: Final = 3
"""From this number on, if all images differ, the service is the cause."""
_IGNORED: Final = (
    "Every image differs: the service ignores the requested size or shape. Redrawing would "
    "cost as much and change nothing"
)


def show(
    paper: Paper,
    misfits_by_beat: Mapping[str, str],
    drawn: int,
    path: str,
    options: Sequence[str] = (),
) -> None:
    """List images by beat with how each differs; print nothing if there are none.

    If all `drawn` images differ, redrawing would cost as much and change nothing.
    `path` is the project's folder as typed; `options` are added to each command.
    """
    if not misfits_by_beat:
        return
    paper.line()
    verb = "is" if len(misfits_by_beat) == 1 else "are"
    paper.line(f"{plural(len(misfits_by_beat), 'image')} {verb} not as requested, but kept:")
    names = list(misfits_by_beat)[:_SHOWN]
    width = max(map(len, names))
    for name in names:
        paper.wrap(f"  {name:<{width}}  ", sanitize(misfits_by_beat[name], 200))
    if len(misfits_by_beat) > _SHOWN:
        paper.line(f"    … and {len(misfits_by_beat) - _SHOWN:,} more")
    if len(misfits_by_beat) >= max(_EVERY, drawn):
        paper.wrap("  ", _IGNORED)
        return
    paper.command_list((project_command("redraw", path, *names, *options), "redraws them"))
