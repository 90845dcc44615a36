"""Refuse to act on images if beat numbers changed: they would be another beat's images."""

from collections.abc import Collection
from typing import Final

from imagegen.errors import UsageError
from imagegen.project.storyboard import BeatAddress
from imagegen.shell import command, project_command
from imagegen.workspace.last_run import adopt_beats_hint
from imagegen.workspace.project import Project
from imagegen.workspace.survey import Survey

_NAMED: Final = 3


def require_numbers_unmoved(
    project: Project,
    surveyed: Survey,
    styles: Collection[str],
    consequence: str,
    *,
    ways: str | None = None,
) -> None:
    """Raise `UsageError` if images of one of these styles now belong to other beats.

    `consequence` ends the message: what was not done, or cannot be known. `ways` are
    alternatives to `renumber`; if the last run read other beats, neither is shown.
    """
    moved = [
        (BeatAddress(style, *before), BeatAddress(style, *now))
        for style, pairs in surveyed.moves.items()
        if style in styles
        for before, now in pairs.items()
    ]
    if not moved:
        return
    some = ", ".join(
        f"{project.label(before)} → {_number(project, now)}" for before, now in moved[:_NAMED]
    )
    more = f" and {len(moved) - _NAMED:,} more" if len(moved) > _NAMED else ""
    images = "1 image now belongs" if len(moved) == 1 else f"{len(moved):,} images now belong"
    same = last_run_beats_file(project) is None
    raise UsageError(
        f"beat numbers changed: {images} to another beat ({some}{more}). {consequence}",
        hint="; ".join(filter(None, (renumber_hint(project), ways if same else None))),
    )


def _number(project: Project, beat: BeatAddress) -> str:
    """Return a beat's name without its style."""
    return project.label(beat).removeprefix(f"{beat.style}/")


def renumber_hint(project: Project) -> str:
    """Return the hint if beat numbers changed.

    If the last run read other beats, the images may be theirs, and in place.
    """
    warning = other_beats_warning(project)
    if warning is not None:
        return warning
    renumber = project_command("renumber", project.root, *project.named_beats)
    return f"{renumber} moves the images, at no cost"


def other_beats_warning(project: Project) -> str | None:
    """Return a warning if the last run read other beats, and the ways to decide."""
    other = last_run_beats_file(project)
    if other is None:
        return None
    source = project.storyboard.source
    that, this = (command("--beats", str(project.root / file)) for file in (other, source))
    files_differ = f"the last run read {other}, and this command reads {source}"
    ways = f"{that} uses the first, {this} the second"
    return "; ".join(filter(None, (f"{files_differ}: {ways}", adopt_beats_hint(other))))


def last_run_beats_file(project: Project) -> str | None:
    """Return the beats file that the last run was given, if it is not the project's.

    None also if this command was given one. The path is the record's, which may come from
    another user: it is shown, and never read.
    """
    layout = project.layout
    last = project.last_run
    last_file = last.draw_settings.beats_file if last is not None else None
    if last_file is None or project.request.beats_file is not None:
        return None
    beats_path = (layout.root / project.storyboard.source).resolve()
    return (
        None
        if beats_path.is_relative_to(layout.root) and last_file == layout.relative(beats_path)
        else last_file
    )


def require_same_beats_file(project: Project, name: str, doubt: str) -> None:
    """Raise `UsageError` if the last run read other beats, as their images may be in place.

    `name` is the command that is refused, `doubt` what cannot be known and was not done.
    """
    other = last_run_beats_file(project)
    if other is None:
        return
    source = project.storyboard.source
    anyway = project_command(name, project.root, "--beats", str(project.root / source))
    raise UsageError(
        f"the last run read {other} (--beats), and this is {source}: {doubt}",
        hint="; ".join(filter(None, (f"{anyway} goes by this one", adopt_beats_hint(other)))),
    )
