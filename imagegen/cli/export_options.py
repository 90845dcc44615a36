"""Options that the kinds of export share, and how they open a project and print."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen import encoding
from imagegen.cli import complete
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.workspace.project import Project

MISSING: Final = ("fail", "hold", "skip")
"""The values of `export.selection.Missing`, which a command line is read without."""


def missing_policy(text: str) -> str:
    """Read the value of --missing. Raises `UsageError`."""
    from imagegen.toml import did_you_mean

    if text not in MISSING:
        hint = did_you_mean(text, MISSING) or f"there are: {', '.join(MISSING)}"
        raise UsageError(f'--missing: "{text}" is not known', hint=hint)
    return text


def output_folder(text: str) -> Path:
    """Read the name of a folder to write to. Raises `UsageError` for none, or for a file."""
    path = Path(text)
    if not text or (path.exists() and not path.is_dir()):
        what = "is a file" if text else "is empty"
        raise UsageError(f'--output: "{text}" {what}', hint="name a folder")
    return path


MissingOption = Annotated[
    str,
    typer.Option(
        "--missing",
        metavar="|".join(MISSING),
        help="Beats without a chosen image: fail, hold the image before, or skip them.",
        parser=missing_policy,
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def open_project(root: Path, beats_file: Path | None = None, **options: object) -> "Project":
    """Read a project to export from. Raises `UsageError`, also if beat numbers changed.

    `options` select beats, as for `pictures.open_project`.
    """
    from imagegen.cli import pictures
    from imagegen.workspace import moved_numbers

    project = pictures.open_project(root, beats_file, **options)
    survey = project.survey(time.time())
    moved_numbers.require_numbers_unmoved(project, survey, project.styles, "Nothing was exported")
    return project


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.buffer.write(encoding.to_json(value) + b"\n")
    sys.stdout.buffer.flush()
