"""Images whose shape or size differs from the request, and how to redraw them."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagegen.display.text.formatting import project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import plural, sanitize

_SHOWN: Final = 5
_EVERY: Final = 3
"""Images that differ, and no other, that show that it is the service."""
_IGNORED: Final = (
    "Every image differs, so the service ignores what is asked for: drawing again would cost as "
    "much and bring the same"
)


def show(
    paper: Paper, found: Mapping[str, str], drawn: int, path: str, options: Sequence[str] = ()
) -> None:
    """List images by the name of their beat, each with what it differs in; nothing without any.

    If all that were `drawn` differ, drawing again would be paid for and bring the same.
    `path` is the project's folder as typed; `options` are those that every command is to have.
    """
    if not found:
        return
    paper.line()
    verb = "is" if len(found) == 1 else "are"
    paper.line(f"{plural(len(found), 'image')} {verb} not as requested, but kept:")
    names = list(found)[:_SHOWN]
    width = max(map(len, names))
    for name in names:
        paper.wrap(f"  {name:<{width}}  ", sanitize(found[name], 200))
    if len(found) > _SHOWN:
        paper.line(f"    … and {len(found) - _SHOWN:,} more")
    if len(found) >= max(_EVERY, drawn):
        paper.wrap("  ", _IGNORED)
        return
    paper.command_list((project_command("redraw", path, *names, *options), "draws again"))
