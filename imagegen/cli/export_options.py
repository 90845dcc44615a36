"""Options that the kinds of export share, and how they open a project and print."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.open_project import open_project, warn_of_other_beats
from imagegen.cli.options import choice
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.workspace.project import Project

MISSING: Final = ("fail", "hold", "skip")
"""The values of `export.selection.Missing`, which a command line is read without."""

RATES: Final = ("24", "25", "29.97", "30", "60")
"""The names of `export.timeline.frames.RATES`."""
_SIZE: Final = re.compile(r"(\d{2,5})\s?[xX×]\s?(\d{2,5})")


def output_folder(text: str) -> Path:
    """Read the name of a folder to write to. Raises `UsageError` if it is empty or a file."""
    path = Path(text)
    if not text or (path.exists() and not path.is_dir()):
        fault = "is a file" if text else "is empty"
        raise UsageError(f'--output: "{text}" {fault}', hint="give the path of a folder")
    return path


def rate(text: str) -> str:
    """Read the value of --fps. Raises `UsageError`."""
    if text not in RATES:
        raise UsageError(f'--fps: "{text}" is not known', hint=f"one of: {', '.join(RATES)}")
    return text


def size(text: str) -> str:
    """Read the value of --size, as `WxH`: two even numbers. Raises `UsageError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) % 2 or int(match[2]) % 2:
        hint = "write two even numbers of pixels: --size 1920x1080"
        raise UsageError(f'--size: "{text}" is not a size', hint=hint)
    return f"{match[1]}x{match[2]}"


def pair(size: str | None) -> tuple[int, int] | None:
    """Return width and height of a size that was read."""
    if size is None:
        return None
    width, height = map(int, size.split("x"))
    return width, height


def words_file(text: str) -> Path:
    """Read the name of a transcription. Raises `UsageError`."""
    path = Path(text)
    if not text or path.is_dir() or not path.exists():
        raise UsageError(f'--words: "{text}" is not a file', hint="give a JSON, SRT or VTT file")
    return path


MissingOption = Annotated[
    str,
    typer.Option(
        "--missing",
        metavar="|".join(MISSING),
        help="Beats without a chosen image: fail, hold the image before, or skip them.",
        parser=choice("--missing", MISSING),
        autocompletion=complete.one_of(*MISSING),
    ),
]
ChooseOption = Annotated[
    str | None,
    typer.Option(
        "--choose",
        metavar="STYLE",
        help="Use this style for beats without a choice. Nothing is chosen by it.",
        autocompletion=complete.styles,
    ),
]
FpsOption = Annotated[
    str,
    typer.Option(
        "--fps",
        metavar="RATE",
        help="Frames a second: 24, 25, 29.97, 30 or 60.",
        parser=rate,
        autocompletion=complete.one_of(*RATES),
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="Size of the frame in pixels.  [default: 1080 lines of the project's ratio]",
        parser=size,
    ),
]
WordsOption = Annotated[
    Path | None,
    typer.Option(
        "--words",
        metavar="FILE",
        help="Time the beats by the words of this transcription: JSON, SRT or VTT.",
        parser=words_file,
    ),
]


def open_for_export(root: Path, beats_file: Path | None = None, **options: object) -> "Project":
    """Read a project to export from. Raises `UsageError`, also if beat numbers changed.

    `options` select beats, as for `open_project`.
    """
    from imagegen.workspace import moved_numbers

    project = open_project(root, beats_file, **options)
    warn_of_other_beats(project)
    survey = project.survey(time.time())
    moved_numbers.require_numbers_unmoved(project, survey, project.styles, "Nothing was exported")
    return project
