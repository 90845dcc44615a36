"""The command that makes a contact sheet, to look at or to send to somebody."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.options import (
    BeatsOption,
    ProjectArgument,
    absolute,
    asked_for,
    output_file,
)
from imagegen.errors import StorageError, UsageError

GALLERY_EPILOG: Final = examples(
    ("imagegen gallery my-video", "my-video/gallery.html: every beat in every style"),
    ("imagegen gallery my-video --chosen", "the chosen pictures alone"),
    ("imagegen gallery my-video --png -o sheet.png", "one picture of it"),
    ("imagegen gallery my-video --shot 2 --style clear", "part of it"),
)

_HEAD: Final = 4096


def gallery(
    project: ProjectArgument = Path(),
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write it there.  [default: gallery.html in the project, with --png gallery.png]",
            parser=output_file,
        ),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Make a picture of it, as PNG.")] = False,
    chosen: Annotated[
        bool, typer.Option("--chosen", help="Show the chosen pictures alone.")
    ] = False,
    style: Annotated[
        list[str] | None,
        typer.Option(
            "--style",
            metavar="NAME",
            help="Show only this style. Repeat it for more.",
            autocompletion=complete.styles,
        ),
    ] = None,
    shot: Annotated[
        list[str] | None,
        typer.Option(
            "--shot",
            metavar="N",
            help="Show only this shot. Repeat it for more.",
            autocompletion=complete.shots,
        ),
    ] = None,
    beat: Annotated[
        list[str] | None,
        typer.Option(
            "--beat",
            metavar="BEAT",
            help="Show only this beat: 1.1, clear/1.1, 2/1.1 (of shot 2). Repeat it for more.",
            autocompletion=complete.beats,
        ),
    ] = None,
    beats: BeatsOption = None,
) -> None:
    """Make a contact sheet: one file with every beat's pictures side by side.

    It is a page that needs no network and runs nothing, with small copies of the pictures in
    it. What is chosen is marked; what is missing is said.
    """
    from imagegen import files
    from imagegen.display import contact, terminal
    from imagegen.display import gallery as pages
    from imagegen.display.text import plural
    from imagegen.generation import gallery as sheets
    from imagegen.generation import interrupted
    from imagegen.generation.project import Project, as_last_drawn
    from imagegen.project.layout import Layout

    now = time.time()
    interrupted.finish(Layout(project), now)
    asked = asked_for(styles=style, shots=shot, beats=beat, beats_file=absolute(beats))
    read = Project(project, as_last_drawn(project, asked))
    sheet = sheets.gather(read, now, chosen_only=chosen)
    place = output or project / ("gallery.png" if png else "gallery.html")
    if output is None:
        _refuse_anothers(place, contact.SOFTWARE if png else pages.GENERATOR)
    try:
        if png:
            files.write(place, contact.picture(sheet))
        else:
            files.write_parts(place, pages.page(sheet))
    except StorageError as error:
        raise UsageError(error.message, hint=error.hint) from error
    terminal.printer().line(
        f"{place}: {plural(len(sheet.pictures), 'picture')} of {plural(len(sheet.rows), 'beat')}, "
        f"{place.stat().st_size / 1e6:.1f} MB"
    )


def _refuse_anothers(place: Path, mark: str) -> None:
    """Raise `UsageError` where a file has the sheet's name and is none of ours."""
    try:
        with place.open("rb") as file:
            ours = mark.encode() in file.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{place} cannot be replaced: {error.strerror}") from error
    if not ours:
        hint = f"give the sheet another name: --output sheet{place.suffix}"
        raise UsageError(f"{place} is no sheet of imagegen, and is left as it is", hint=hint)
