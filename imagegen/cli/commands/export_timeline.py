"""The command `export timeline`: the chosen images for a video editor."""

from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.export_options import (
    ChooseOption,
    FpsOption,
    MissingOption,
    SizeOption,
    WordsOption,
    open_for_export,
    output_folder,
    pair,
)
from imagegen.cli.help import examples, exit_codes
from imagegen.cli.options import (
    BeatsOption,
    JsonOption,
    ProjectArgument,
    absolute,
    choice,
    output_option,
)
from imagegen.cli.streams import print_json

EPILOG: Final = (
    examples(
        ("imagegen export timeline my-video", "my-video/export, in every format"),
        ("imagegen export timeline my-video --words words.json", "timed by a transcription"),
        ("imagegen export timeline my-video --missing hold", "before all beats are chosen"),
        ("imagegen export timeline my-video --format fcpxml --fps 25", "for Final Cut, at 25"),
    )
    + "\n\n"
    + exit_codes(
        {
            0: "exported",
            2: "a beat without a chosen image, invalid usage or input, a full disk",
        }
    )
)
FORMATS: Final = ("otio", "fcp7", "fcpxml", "edl", "srt", "csv", "scan")
"""The formats of `export.timeline.export`, which a command line is read without."""


def timeline(
    project: ProjectArgument = Path(),
    *,
    output: Annotated[
        Path | None,
        output_option(
            "FOLDER", "Folder to write to.  [default: export in the project]", output_folder
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Write only this format: otio, fcp7 (Premiere, Resolve), fcpxml (Final Cut), edl, "
            "srt, csv, scan. Repeatable.  [default: all]",
            parser=choice("--format", FORMATS),
            autocompletion=complete.one_of(*FORMATS),
            show_default=False,
        ),
    ] = None,
    fps: FpsOption = "30",
    size: SizeOption = None,
    words: WordsOption = None,
    svg: Annotated[
        bool, typer.Option("--svg", help="Use the SVGs in selected_svg, if they are current.")
    ] = False,
    missing: MissingOption = "fail",
    choose: ChooseOption = None,
    beats: BeatsOption = None,
    json: JsonOption = False,
) -> None:
    """Export a timeline for a video editor: the chosen images in order.

    A beat lasts as its row says (duration, or start and end). Otherwise it lasts as long as its
    words are spoken: by --words, or by voiceover/ with segments.json, or estimated at 150 words a
    minute. The narration in voiceover/ is laid under the images.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import exports
    from imagegen.export.selection import Missing
    from imagegen.export.timeline import export as exporting

    selected_formats = tuple(dict.fromkeys(formats or FORMATS))
    option_values = {
        "--output": absolute(output),
        "--fps": None if fps == "30" else fps,
        "--size": size,
        "--words": absolute(words),
        "--missing": None if missing == "fail" else missing,
        "--choose": choose,
        "--beats": absolute(beats),
    }
    arguments = [
        part for option, value in option_values.items() if value for part in (option, value)
    ]
    arguments += [part for name in formats or () for part in ("--format", name)]
    arguments += ["--svg"] if svg else []
    options = exporting.Options(
        formats=selected_formats,
        rate=fps,
        size=pair(size),
        missing=Missing(missing),
        fallback=choose,
        words=words,
        svg=svg,
        folder=output,
        typed=tuple(arguments),
    )
    opened = open_for_export(project, beats)
    done = exporting.export(opened, options)
    if json:
        print_json(exports.timeline_as_json(opened.layout, done))
    else:
        exports.timeline(terminal.printer(), done)
    errors = terminal.printer(errors=True)
    for warning in done.warnings:
        errors.wrap("warning: ", warning)
