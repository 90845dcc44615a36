"""The command `export svg`: images as shapes."""

from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import complete, extras
from imagegen.cli.export_options import (
    ChooseOption,
    open_for_export,
    output_folder,
)
from imagegen.cli.help import examples, exit_codes
from imagegen.cli.options import (
    BeatsOption,
    JsonOption,
    ProjectArgument,
    absolute,
    beat_option,
    choice,
    output_option,
    shot_option,
    style_option,
)
from imagegen.cli.streams import print_json
from imagegen.errors import Exit, UsageError

EPILOG: Final = (
    examples(
        ("imagegen export svg my-video", "my-video/selected_svg: the chosen images"),
        ("imagegen export svg my-video --style clear", "my-video/generated_svg: all of one style"),
        ("imagegen export svg my-video --preset flat", "smaller files of photo-like images"),
        ("imagegen export svg my-video --names original", "finalImageSVG/Beat 1.svg"),
    )
    + "\n\n"
    + exit_codes(
        {
            0: "exported",
            1: "some images could not be traced",
            2: "no image, a file in the way, a full disk, or the extra svg is not installed",
        }
    )
)
PRESETS: Final = ("flat", "detailed", "bw")
NAMES: Final = ("selected", "original")
"""The values of `export.svg`, which a command line is read without."""


def svg(
    project: ProjectArgument = Path(),
    *,
    style: Annotated[
        list[str] | None,
        style_option("Export all images of this style, chosen or not. Repeatable."),
    ] = None,
    all_styles: Annotated[
        bool, typer.Option("--all-styles", help="Export all images of all styles.")
    ] = False,
    shot: Annotated[list[str] | None, shot_option("Export only this shot. Repeatable.")] = None,
    beat: Annotated[
        list[str] | None, beat_option("Export only this beat: 1.1, 2/1.1 (in shot 2). Repeatable.")
    ] = None,
    output: Annotated[
        Path | None,
        output_option(
            "FOLDER",
            "Folder to write to.  [default: selected_svg in the project, or generated_svg]",
            output_folder,
        ),
    ] = None,
    names: Annotated[
        str,
        typer.Option(
            "--names",
            metavar="|".join(NAMES),
            help="Name files as selected_images does, or finalImageSVG/Beat 1.svg (original).",
            parser=choice("--names", NAMES),
            autocompletion=complete.one_of(*NAMES),
        ),
    ] = "selected",
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="|".join(PRESETS),
            help="Fewer colours (flat), more detail (detailed), or black shapes on white (bw).",
            parser=choice("--preset", PRESETS),
            autocompletion=complete.one_of(*PRESETS),
        ),
    ] = None,
    cutout: Annotated[
        bool, typer.Option("--cutout", help="Cut shapes out of those below: none overlap.")
    ] = False,
    embed: Annotated[
        bool, typer.Option("--embed", help="Put the image itself into the SVG; nothing is traced.")
    ] = False,
    choose: ChooseOption = None,
    beats: BeatsOption = None,
    json: JsonOption = False,
) -> None:
    """Export images as SVG: traced into shapes, for animation and for any size.

    Takes the chosen images. Only images that changed since the last export are traced. Needs
    the extra svg.
    """
    from imagegen.export.svg.settings import Preset, Settings

    if embed and (preset or cutout):
        traces = "--preset" if preset else "--cutout"
        raise UsageError(f"--embed traces nothing: {traces} has no effect with it")
    if names == "original" and (style or all_styles):
        raise UsageError("--names original is for chosen images, not for whole styles")
    if choose and (style or all_styles):
        raise UsageError("--choose is for chosen images, not for whole styles")
    try:
        import vtracer  # noqa: F401
    except ImportError as error:
        if not embed:
            raise extras.missing_extra("export svg", "svg") from error
    from imagegen.display import terminal
    from imagegen.display.progress_bar import progress_bar
    from imagegen.display.reports import svg
    from imagegen.export.svg import export as exporting

    read = open_for_export(project, beats, styles=style, shots=shot, beats=beat)
    option_values = {
        "--output": absolute(output),
        "--names": None if names == "selected" else names,
        "--preset": preset,
        "--choose": choose,
        "--beats": absolute(beats),
    }
    arguments = [
        part for option, value in option_values.items() if value for part in (option, value)
    ]
    arguments += [flag for flag, on in (("--cutout", cutout), ("--embed", embed)) if on]
    options = exporting.Options(
        settings=Settings(preset=Preset(preset or "default"), cutout=cutout, embed=embed),
        styles=tuple({row.style: None for row in read.selected_beats()})
        if style or all_styles
        else (),
        partial=bool(shot or beat),
        fallback=choose,
        names=exporting.Names(names),
        folder=output,
        typed=tuple(arguments),
    )
    with progress_bar("Tracing") as progress:
        done = exporting.export(read, options, progress)
    if json:
        print_json(svg.as_json(project.resolve().name, done))
    errors = terminal.printer(errors=True)
    svg.show(errors if json else terminal.printer(), errors, done)
    if done.failures:
        raise typer.Exit(Exit.BEATS_IN_ERROR)
