"""The commands that change which image belongs to which beat, and draw nothing."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.options import (
    BeatsOption,
    ProjectArgument,
    absolute,
    make_request,
    picture_file,
)
from imagegen.errors import ImagegenError, UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.workspace.project import Project

_NAMED: Final = 5
"""Beats that a message names at most."""

RENUMBER_EPILOG: Final = examples(
    ("imagegen renumber my-video --dry-run", "shows which image moves where"),
    ("imagegen renumber my-video", "moves them; imagegen undo moves them back"),
)
CLEAN_EPILOG: Final = examples(("imagegen clean my-video", "moves them to old_images/"))
UNDO_EPILOG: Final = examples(
    ("imagegen undo my-video", "undoes the last change"),
    ("imagegen undo my-video; imagegen undo my-video", "undoes the last two"),
)
ACCEPT_EPILOG: Final = examples(
    ("imagegen accept my-video clear/1.2", "after fixing a typo"),
    ("imagegen accept my-video --all", "keeps every outdated image"),
)
SKIP_EPILOG: Final = examples(
    ("imagegen skip my-video clear/7.3", "status --check no longer fails because of it"),
    ("imagegen skip my-video clear/7.3 --undo", "draw it after all"),
)
USE_EPILOG: Final = examples(("imagegen use my-video clear/7.3 own.jpg", "uses your image"))

BeatsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BEAT...",
        help="1.1, clear/1.1, or 2/1.1 (in shot 2).",
        show_default=False,
        autocompletion=complete.beats,
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would move, and move nothing.")
]


def _warn_of_active(read: "Project") -> None:
    """Warn if a run is active: it does not pick up the override that was just written."""
    from imagegen.display import terminal
    from imagegen.project import record

    if record.is_active(read.layout):
        terminal.printer(errors=True).line(
            "warning: a run is active and will not pick this up; the next run will"
        )


def open_project(root: Path, beats_file: Path | None = None, **options: object) -> "Project":
    """Read the project, after finishing what a crash interrupted.

    `options` are further fields of the request.
    """
    from imagegen.project.layout import ProjectPaths
    from imagegen.workspace import recovery
    from imagegen.workspace.project import Project

    recovery.finish_interrupted(ProjectPaths(root), time.time())
    asked = make_request(beats_file=absolute(beats_file), **options)
    return Project(root, asked)


def warn_beat_numbers_changed(read: "Project", count: int) -> None:
    """Warn that `count` images carry the number of another beat, and suggest a fix."""
    from imagegen.display import terminal
    from imagegen.display.text.formatting import numbers_moved_warning
    from imagegen.display.text.sanitize import sanitize
    from imagegen.workspace import moved_numbers

    if count:
        way_out = sanitize(moved_numbers.renumber_hint(read), 4096)
        terminal.printer(errors=True).line(f"warning: {numbers_moved_warning(count)} {way_out}")


def renumber(
    project: ProjectArgument = Path(), *, dry_run: DryRunOption = False, beats: BeatsOption = None
) -> None:
    """Move images to the current numbers of their beats, at no cost.

    Use it after you insert, delete, swap or move beats. Images are matched by the prompt that
    they were drawn from, even if you edited it. Overrides and choices move along. Draws nothing.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.editing import renumber as renumbering

    read = open_project(project, beats)
    found = renumbering.renumber(read, time.time(), dry_run=dry_run)
    name, path = read.layout.name, str(project)
    moves.print_renumber(terminal.printer(), name, path, found, dry_run=dry_run)


def clean(
    project: ProjectArgument = Path(), *, dry_run: DryRunOption = False, beats: BeatsOption = None
) -> None:
    """Move images of beats that are no longer in the storyboard to old_images/."""
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.editing import renumber as renumbering

    read = open_project(project, beats)
    over = renumbering.clean(read, time.time(), dry_run=dry_run)
    moves.print_clean(terminal.printer(), read.layout.name, str(project), over, dry_run=dry_run)


def undo(project: ProjectArgument = Path()) -> None:
    """Undo the last change to images. Repeat to undo earlier ones.

    A run that redrew images is one change; so is each renumber, clean, merge, use and redraw.
    Images drawn since then are kept in old_images/.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.display.text.sanitize import join_some
    from imagegen.editing import undo as undoing
    from imagegen.project.layout import ProjectPaths

    layout, printer = ProjectPaths(project), terminal.printer()
    undone = undoing.undo(layout, time.time())
    moves.print_undo(printer, layout.name, undone)
    # Choices and their copies stay as they are.
    changed = _chosen_before(project) if undone is not None else []
    if changed:
        what = join_some(changed, _NAMED)
        printer.line(f"  The chosen image is no longer the current one: {what}.")
        printer.command_list((project_command("choose", project, "--list"), "lists the choices"))


def _chosen_before(project: Path) -> list[str]:
    """Return the beats with a chosen image that is no longer the current one."""
    from imagegen.review import choices
    from imagegen.review.choices import ChangeSinceChosen

    with contextlib.suppress(ImagegenError):
        found = choices.describe(open_project(project))
        return [one.name for one in found if one.since is not ChangeSinceChosen.SAME]
    return []


def accept(
    project: ProjectArgument = Path(),
    beat: BeatsArgument = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Accept every outdated image of the project.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Mark outdated images as up to date, for example after fixing a typo in the prompt.

    The override is saved in overrides.toml and holds until the beat changes again.
    """
    from imagegen.display import terminal
    from imagegen.editing import settle

    if bool(beat) == every:
        raise UsageError(
            "accept needs a beat, or --all",
            hint=project_command("accept", project, "clear/1.2"),
        )
    read = open_project(project, beats, beats=beat)
    accepted = settle.accept(read, time.time())
    printer = terminal.printer()
    for one in accepted:
        why = "a sketch" if one.placeholder else f"{', '.join(one.changed)} changed"
        printer.line(f"{one.name} is now up to date ({why})")
    if not accepted:
        printer.line(f"{read.layout.name}: no outdated images.")
        return
    _warn_of_active(read)


def skip(
    project: ProjectArgument = Path(),
    beat: BeatsArgument = None,
    *,
    again: Annotated[bool, typer.Option("--undo", help="Draw the beat after all.")] = False,
    beats: BeatsOption = None,
) -> None:
    """Mark beats as not needing an image, for example one that the service always refuses.

    Runs leave them out, and `status --check` ignores them. Saved in overrides.toml.
    """
    from imagegen.display import terminal
    from imagegen.editing import settle

    if not beat:
        raise UsageError("skip needs a beat", hint=project_command("skip", project, "clear/7.3"))
    read = open_project(project, beats, beats=beat)
    said = "is drawn by the next run" if again else "needs no image"
    skipped, kept = settle.skip(read, time.time(), again=again)
    for one in skipped:
        terminal.printer().line(f"{one.name} {said}")
    for one in kept:
        terminal.printer().line(f"{one.name} already has an image and is not skipped")
    if not skipped:
        terminal.printer().line(f"{read.layout.name}: nothing was skipped.")
        return
    _warn_of_active(read)


def use(
    project: ProjectArgument = Path(),
    beat: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BEAT IMAGE",
            help="The beat, with its style (clear/7.3), and a PNG, JPEG or WebP file.",
            show_default=False,
            autocompletion=complete.beat_and_file,
        ),
    ] = None,
    *,
    beats: BeatsOption = None,
) -> None:
    """Use your own image for a beat. The image it replaces is kept in old_images/.

    Takes up to 100 million pixels and 64 MB, and stores it as PNG. Your image is never outdated;
    a run replaces it only if you name the beat. Warns if the aspect ratio differs or the image is
    much smaller.
    """
    from imagegen.display import terminal
    from imagegen.editing import use

    if beat is None or len(beat) != len(("beat", "picture")):
        hint = project_command("use", project, "clear/7.3", "own.jpg")
        raise UsageError("use needs a beat and an image file", hint=hint)
    read = open_project(project, beats, beats=beat[:1])
    place = use.use_image(read, picture_file(beat[1]), time.time())
    terminal.printer().line(
        f"{place} is now your image; to undo: {project_command('undo', project)}"
    )
    _warn_of_misfit(read, place)


def _warn_of_misfit(read: "Project", place: str) -> None:
    """Warn if the user's image differs in shape or size; it is used anyway."""
    from imagegen.display import terminal
    from imagegen.display.text import size_hint
    from imagegen.workspace.survey import inspect_image

    _, whole = inspect_image(read.layout.root / place)
    if whole is None:
        return
    now = read.settings
    unlike = size_hint.size_mismatch(whole.width, whole.height, now.image_size, now.aspect_ratio)
    if unlike is not None:
        terminal.printer(errors=True).line(f"warning: {unlike}")
