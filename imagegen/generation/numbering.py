"""Refuses to act on pictures while numbers have moved: it would be another beat's picture."""

from collections.abc import Collection
from typing import Final

from imagegen.errors import UsageError
from imagegen.generation.project import Project
from imagegen.generation.survey import Survey
from imagegen.shell import on_project

_NAMED: Final = 3


def require_places(
    project: Project,
    found: Survey,
    styles: Collection[str],
    consequence: str,
    *,
    ways: str | None = None,
) -> None:
    """Raise `UsageError` where pictures of one of these styles belong to other numbers now.

    `consequence` ends the message: what was not done, or cannot be known. `ways` are ways out
    besides `renumber`.
    """
    moved = [
        (f"{style}/{'/'.join(before)}", "/".join(now))
        for style, pairs in found.moves.items()
        if style in styles
        for before, now in pairs.items()
    ]
    if not moved:
        return
    some = ", ".join(f"{before} is {now} now" for before, now in moved[:_NAMED])
    more = f" and {len(moved) - _NAMED:,} more" if len(moved) > _NAMED else ""
    pictures = "1 picture has" if len(moved) == 1 else f"{len(moved):,} pictures have"
    renumber = f"{on_project('renumber', project.root)} moves them along, at no cost"
    raise UsageError(
        f"numbers have moved: {pictures} the words of another beat ({some}{more}). {consequence}",
        hint=f"{renumber}; {ways}" if ways else renumber,
    )
