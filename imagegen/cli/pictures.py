"""The commands that change which picture belongs to which beat, and draw nothing."""

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
"""Beats that are named of many."""

RENUMBER_EPILOG: Final = examples(
    ("imagegen renumber my-video --dry-run", "says which picture goes where"),
    ("imagegen renumber my-video", "moves them; imagegen undo takes it back"),
)
CLEAN_EPILOG: Final = examples(("imagegen clean my-video", "moves them to old_images/"))
UNDO_EPILOG: Final = examples(
    ("imagegen undo my-video", "the last step"),
    ("imagegen undo my-video; imagegen undo my-video", "the last two"),
)
ACCEPT_EPILOG: Final = examples(
    ("imagegen accept my-video clear/1.2", "after a typo was mended"),
    ("imagegen accept my-video --all", "every outdated picture stays as it is"),
)
SKIP_EPILOG: Final = examples(
    ("imagegen skip my-video clear/7.3", "a script is not red for it any more"),
    ("imagegen skip my-video clear/7.3 --undo", "it is wanted after all"),
)
USE_EPILOG: Final = examples(("imagegen use my-video clear/7.3 own.jpg", "your picture, as PNG"))

BeatsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BEAT...",
        help="1.1, clear/1.1, or 2/1.1 (of shot 2).",
        show_default=False,
        autocompletion=complete.beats,
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would move, and move nothing.")
]


def _warn_of_active(read: "Project") -> None:
    """Say that what was just settled is news to the next run, and not to one that is active."""
    from imagegen.display import terminal
    from imagegen.project import record

    if record.is_active(read.layout):
        terminal.printer(errors=True).line(
            "warning: a run is active, and goes on as it began: the next one heeds this"
        )


def open_project(root: Path, beats_file: Path | None = None, **options: object) -> "Project":
    """Read the project, after finishing what a crash left half done.

    `options` are what else is asked for.
    """
    from imagegen.project.layout import ProjectPaths
    from imagegen.workspace import recovery
    from imagegen.workspace.project import Project

    recovery.finish_interrupted(ProjectPaths(root), time.time())
    asked = make_request(beats_file=absolute(beats_file), **options)
    return Project(root, asked)


def warn_numbers_moved(read: "Project", count: int) -> None:
    """Say that so many pictures have the words of another beat, and what helps."""
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
    """Move pictures to the numbers that their beats have now; draws nothing, costs nothing.

    Found by the words that each picture was drawn from: beats may have been inserted, deleted,
    swapped or moved, and edited at that. What was settled or chosen for a beat goes along.
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
    """Move pictures of beats that are no longer in the storyboard to old_images/."""
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.editing import renumber as renumbering

    read = open_project(project, beats)
    over = renumbering.clean(read, time.time(), dry_run=dry_run)
    moves.print_clean(terminal.printer(), read.layout.name, str(project), over, dry_run=dry_run)


def undo(project: ProjectArgument = Path()) -> None:
    """Take back the last step that replaced or moved pictures; again, the one before.

    A run that drew pictures anew is one step; so is each renumber, clean, use and redraw.
    What was drawn since is kept in old_images/.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import moves
    from imagegen.display.text.sanitize import join_some
    from imagegen.editing import undo as undoing
    from imagegen.project.layout import ProjectPaths

    layout, printer = ProjectPaths(project), terminal.printer()
    undone = undoing.undo(layout, time.time())
    moves.print_undo(printer, layout.name, undone)
    # What was chosen stays chosen, and its copy with it.
    changed = _chosen_before(project) if undone is not None else []
    if changed:
        what = join_some(changed, _NAMED)
        printer.line(f"  Chosen as another picture than is there now: {what}.")
        printer.command_list((project_command("choose", project, "--list"), "shows what is chosen"))


def _chosen_before(project: Path) -> list[str]:
    """Return the beats whose choice is of a picture that is not at its place any more."""
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
        bool, typer.Option("--all", help="Accept every outdated picture of the project.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Let an outdated picture count as current, as after a typo in its words was mended.

    It is kept in overrides.toml, and holds until the beat changes again.
    """
    from imagegen.display import terminal
    from imagegen.editing import settle

    if bool(beat) == every:
        raise UsageError(
            "which picture?",
            hint=f"{project_command('accept', project, 'clear/1.2')}, or --all of them",
        )
    read = open_project(project, beats, beats=beat)
    accepted = settle.accept(read, time.time())
    printer = terminal.printer()
    for one in accepted:
        why = "a sketch" if one.placeholder else f"{', '.join(one.changed)} changed"
        printer.line(f"{one.name} counts as current ({why})")
    if not accepted:
        printer.line(f"{read.layout.name}: nothing of it is outdated.")
        return
    _warn_of_active(read)


def skip(
    project: ProjectArgument = Path(),
    beat: BeatsArgument = None,
    *,
    again: Annotated[bool, typer.Option("--undo", help="The beat is wanted after all.")] = False,
    beats: BeatsOption = None,
) -> None:
    """Do without a picture of a beat, as one that is refused whatever the words.

    Runs leave it out, and for `status --check` it is settled. It is kept in overrides.toml.
    """
    from imagegen.display import terminal
    from imagegen.editing import settle

    if not beat:
        raise UsageError("which beat?", hint=project_command("skip", project, "clear/7.3"))
    read = open_project(project, beats, beats=beat)
    said = "is drawn by the next run" if again else "needs no picture"
    skipped, kept = settle.skip(read, time.time(), again=again)
    for one in skipped:
        terminal.printer().line(f"{one.name} {said}")
    for one in kept:
        terminal.printer().line(f"{one.name} has its picture, and is not skipped")
    if not skipped:
        terminal.printer().line(f"{read.layout.name}: nothing of it was skipped.")
        return
    _warn_of_active(read)


def use(
    project: ProjectArgument = Path(),
    beat: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BEAT PICTURE",
            help="The beat, with its style (clear/7.3), and a PNG, JPEG or WebP file.",
            show_default=False,
            autocompletion=complete.beat_and_file,
        ),
    ] = None,
    *,
    beats: BeatsOption = None,
) -> None:
    """Put a picture of your own in a beat's place; what was there is kept in old_images/.

    It becomes a PNG, is never outdated, and no run draws over it but one that names the beat.
    It may have up to 100 million pixels and 64 MB.
    Where it has another shape than the project's pictures, or far fewer pixels, that is said.
    """
    from imagegen.display import terminal
    from imagegen.editing import use

    if beat is None or len(beat) != len(("beat", "picture")):
        hint = project_command("use", project, "clear/7.3", "own.jpg")
        raise UsageError("which beat, and which picture?", hint=hint)
    read = open_project(project, beats, beats=beat[:1])
    place = use.use_image(read, picture_file(beat[1]), time.time())
    terminal.printer().line(
        f"{place} is yours now; {project_command('undo', project)} takes it back"
    )
    _warn_of_misfit(read, place)


def _warn_of_misfit(read: "Project", place: str) -> None:
    """Say that a person's own picture is not like the project's others; it is used all the same."""
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
