"""Refuses to act on pictures while numbers have moved: it would be another beat's picture."""

from collections.abc import Collection
from typing import Final

from imagegen.errors import UsageError
from imagegen.project import record
from imagegen.shell import command, project_command
from imagegen.workspace.last_run import adopt_beats_hint
from imagegen.workspace.project import Project
from imagegen.workspace.survey import Survey

_NAMED: Final = 3


def require_numbers_unmoved(
    project: Project,
    found: Survey,
    styles: Collection[str],
    consequence: str,
    *,
    ways: str | None = None,
) -> None:
    """Raise `UsageError` where pictures of one of these styles belong to other numbers now.

    `consequence` ends the message: what was not done, or cannot be known. `ways` are ways out
    besides `renumber`; where the last run was of other beats, neither is told.
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
    same = last_run_beats_file(project) is None
    raise UsageError(
        f"numbers have moved: {pictures} the words of another beat ({some}{more}). {consequence}",
        hint="; ".join(filter(None, (renumber_hint(project), ways if same else None))),
    )


def renumber_hint(project: Project) -> str:
    """Say what helps where numbers have moved.

    Where the last run was of other beats, the pictures may be these, and at their places.
    """
    other = last_run_beats_file(project)
    if other is None:
        renumber = project_command("renumber", project.root, *project.named_beats)
        return f"{renumber} moves them along, at no cost"
    own = project.storyboard.source
    that, this = (command("--beats", str(project.root / file)) for file in (other, own))
    said = f"the last run was of {other}, and this is {own}"
    ways = f"{that} goes by that one, {this} by this"
    return "; ".join(filter(None, (f"{said}: {ways}", adopt_beats_hint(other))))


def last_run_beats_file(project: Project) -> str | None:
    """Return the beats file that the last run was told of, where it is not the project's.

    None also where this command was told of one itself. It is as the record has it, which may be
    somebody else's: it is shown, and never read.
    """
    layout = project.layout
    last = record.read(layout)
    named = last.draw_settings.beats_file if last is not None else None
    if named is None or project.request.beats_file is not None:
        return None
    own = (layout.root / project.storyboard.source).resolve()
    return None if own.is_relative_to(layout.root) and named == layout.relative(own) else named


def require_same_beats_file(project: Project, name: str, doubt: str) -> None:
    """Raise `UsageError` where the last run was of other beats, whose pictures may be at hand.

    `name` is the command that is refused, `doubt` what cannot be known and was not done.
    """
    other = last_run_beats_file(project)
    if other is None:
        return
    own = project.storyboard.source
    anyway = project_command(name, project.root, "--beats", str(project.root / own))
    raise UsageError(
        f"the last run was of {other} (--beats), and this is {own}: {doubt}",
        hint="; ".join(filter(None, (f"{anyway} goes by this one", adopt_beats_hint(other)))),
    )
