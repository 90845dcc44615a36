"""The command that takes the user's own image for a beat: `use`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project
from imagegen.cli.options import BeatsOption, ProjectArgument, picture_file
from imagegen.errors import UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.workspace.project import Project

EPILOG: Final = examples(("imagegen use my-video clear/7.3 own.jpg", "uses your image"))


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
    place = use.use_image(read, picture_file(beat[1]), time.time(), file=beat[1])
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
