"""The command that makes a contact sheet, to look at or to send to somebody."""

import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.options import BeatsOption, ProjectArgument, output_file
from imagegen.cli.pictures import open_project, warn_numbers_moved
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.project.layout import ProjectPaths

GALLERY_EPILOG: Final = examples(
    ("imagegen gallery my-video", "my-video/gallery.html: every beat in every style"),
    ("imagegen gallery my-video --chosen", "the chosen pictures alone"),
    ("imagegen gallery my-video --png -o sheet.png", "one picture of it"),
    ("imagegen gallery my-video --shot 2 --style clear", "part of it"),
)

_HEAD: Final = 4096
_KEPT: Final = frozenset({"generated_images", "selected_images", "old_images", ".imagegen"})
"""The folders of a project into which no sheet goes."""


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
    from imagegen.display import terminal
    from imagegen.display.sheets import html as pages
    from imagegen.display.sheets import png as contact
    from imagegen.display.text.sanitize import plural
    from imagegen.project.layout import ProjectPaths
    from imagegen.review import contact_sheet as sheets

    place = output or project / ("gallery.png" if png else "gallery.html")
    _refuse_place(place, ProjectPaths(project), png=png)
    _refuse_anothers(place, contact.MARK if png else pages.MARK)
    read = open_project(project, beats, styles=style, shots=shot, beats=beat)
    sheet = sheets.gather(read, time.time(), chosen_only=chosen)
    if png:
        files.write(place, contact.picture(sheet))
    else:
        files.write_parts(place, pages.page(sheet))
    warn_numbers_moved(read, sheet.moved)
    if png and not contact.writes_all(sheet):
        said = "The picture shows bars for letters that its font does not have, and no emoji"
        terminal.printer(errors=True).wrap("", f"{said}: the page, without --png, has all.")
    terminal.printer().line(
        f"{place}: {plural(len(sheet.pictures), 'picture')} of {plural(len(sheet.rows), 'beat')}, "
        f"{place.stat().st_size / 1e6:.1f} MB"
    )


def _refuse_place(place: Path, layout: "ProjectPaths", *, png: bool) -> None:
    """Raise `UsageError` where no sheet belongs: under another kind's name, among pictures."""
    endings = (".png",) if png else (".html", ".htm")
    if place.suffix.lower() not in endings:
        what = "a picture of the sheet" if png else "the sheet's page"
        raise UsageError(
            f"{place}: {what} has a name that ends in {' or '.join(endings)}",
            hint=f"--output {place.stem.lstrip('-') or 'gallery'}{endings[0]}",
        )
    folder = place.parent.resolve()
    if folder.is_relative_to(layout.root):
        # Some disks take capitals and small letters for the same.
        first = (*folder.relative_to(layout.root).parts, "")[0].casefold()
        if first in _KEPT:
            raise UsageError(
                f"{place}: {first} is for what imagegen keeps there, and takes no sheet",
                hint=f"write it beside: --output {layout.name}{endings[0]}",
            )


def _refuse_anothers(place: Path, mark: str) -> None:
    """Raise `UsageError` where a file has the sheet's name and is none of ours."""
    try:
        # What is no file, a pipe say, may have no end.
        ours = stat.S_ISREG(place.stat().st_mode)
        if ours:
            with place.open("rb") as file:
                ours = mark.encode() in file.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{place} cannot be replaced: {error.strerror}") from error
    if not ours:
        hint = f"give the sheet another name: --output sheet{place.suffix}"
        raise UsageError(f"{place} is no sheet of imagegen, and is left as it is", hint=hint)
