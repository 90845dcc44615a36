"""The command that makes a contact sheet: `gallery`."""

import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project, warn_beat_numbers_changed, warn_of_other_beats
from imagegen.cli.options import (
    BeatsOption,
    ProjectArgument,
    beat_option,
    output_file,
    output_option,
    shot_option,
    style_option,
)
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.project.layout import ProjectPaths

EPILOG: Final = examples(
    ("imagegen gallery my-video", "my-video/gallery.html: every beat in every style"),
    ("imagegen gallery my-video --chosen", "only the chosen images"),
    ("imagegen gallery my-video --png -o sheet.png", "as one PNG"),
    ("imagegen gallery my-video --shot 2 --style clear", "only these"),
)

_HEAD: Final = 4096
_KEPT: Final = frozenset({"generated_images", "selected_images", "old_images", ".imagegen"})
"""The folders of a project that take no contact sheet."""


def gallery(
    project: ProjectArgument = Path(),
    *,
    output: Annotated[
        Path | None,
        output_option(
            "FILE",
            "File to write.  [default: gallery.html in the project; with --png gallery.png]",
            output_file,
        ),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Write a PNG instead of HTML.")] = False,
    chosen: Annotated[bool, typer.Option("--chosen", help="Show only the chosen images.")] = False,
    style: Annotated[list[str] | None, style_option("Show only this style. Repeatable.")] = None,
    shot: Annotated[list[str] | None, shot_option("Show only this shot. Repeatable.")] = None,
    beat: Annotated[
        list[str] | None,
        beat_option("Show only this beat: 1.1, clear/1.1, 2/1.1 (in shot 2). Repeatable."),
    ] = None,
    beats: BeatsOption = None,
) -> None:
    """Make a contact sheet: one file with every beat's images side by side.

    The page needs no network and has no scripts; small copies of the images are part of it.
    Chosen images are marked, missing ones labelled.
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
    warn_of_other_beats(read)
    sheet = sheets.gather(read, time.time(), chosen_only=chosen)
    if png:
        files.write(place, contact.picture(sheet))
    else:
        files.write_parts(place, pages.page(sheet))
    warn_beat_numbers_changed(read, sheet.moved)
    if png and not contact.writes_all(sheet):
        notice = "The PNG has bars in place of letters that its font lacks, and no emoji"
        terminal.printer(errors=True).wrap("", f"{notice}. The HTML page, without --png, has all.")
    terminal.printer().line(
        f"{place}: {plural(len(sheet.pictures), 'image')} of {plural(len(sheet.rows), 'beat')}, "
        f"{place.stat().st_size / 1e6:.1f} MB"
    )


def _refuse_place(place: Path, layout: "ProjectPaths", *, png: bool) -> None:
    """Raise `UsageError` for a wrong file type, or a folder of the project's images."""
    endings = (".png",) if png else (".html", ".htm")
    if place.suffix.lower() not in endings:
        file = "with --png, the name" if png else "the name"
        raise UsageError(
            f"{place}: {file} must end in {' or '.join(endings)}",
            hint=f"--output {place.stem.lstrip('-') or 'gallery'}{endings[0]}",
        )
    folder = place.parent.resolve()
    if folder.is_relative_to(layout.root):
        # Some file systems ignore case.
        first = (*folder.relative_to(layout.root).parts, "")[0].casefold()
        if first in _KEPT:
            raise UsageError(
                f"{place}: {first}/ is reserved for imagegen's own files",
                hint=f"choose another folder: --output {layout.name}{endings[0]}",
            )


def _refuse_anothers(place: Path, mark: str) -> None:
    """Raise `UsageError` if the file exists and is not a contact sheet of imagegen."""
    try:
        # A pipe or device may have no end.
        ours = stat.S_ISREG(place.stat().st_mode)
        if ours:
            with place.open("rb") as file:
                ours = mark.encode() in file.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{place} cannot be replaced: {error.strerror}") from error
    if not ours:
        hint = f"choose another name: --output sheet{place.suffix}"
        raise UsageError(f"{place} is not a contact sheet, so it is not replaced", hint=hint)
