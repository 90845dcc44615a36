"""The command `export animatic`: a film of the chosen images."""

from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import extras
from imagegen.cli.export_options import (
    ChooseOption,
    FpsOption,
    MissingOption,
    SizeOption,
    WordsOption,
    open_for_export,
    pair,
)
from imagegen.cli.help import examples, exit_codes
from imagegen.cli.options import (
    BeatsOption,
    JsonOption,
    ProjectArgument,
    absolute,
    output_file,
    output_option,
)
from imagegen.cli.streams import print_json
from imagegen.errors import UsageError

EPILOG: Final = (
    examples(
        ("imagegen export animatic my-video", "my-video/animatic.mp4"),
        ("imagegen export animatic my-video --missing hold", "before all beats are chosen"),
        ("imagegen export animatic my-video --captions --still", "captions, no moves"),
        (
            "imagegen export animatic my-video --dissolve 0.5",
            "dissolves at Fade, Dissolve and Wipe",
        ),
    )
    + "\n\n"
    + exit_codes(
        {
            0: "exported",
            2: "a beat without a chosen image, invalid usage or input, a full disk, or no ffmpeg",
            130: "interrupted; the next call renders the rest",
        }
    )
)
_LONGEST_DISSOLVE: Final = 5.0


def _film_file(text: str) -> Path:
    path = output_file(text)
    if path.suffix.lower() != ".mp4":
        raise UsageError(f'--output: "{text}" is not an MP4', hint="for example: --output film.mp4")
    return path


def _dissolve(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST_DISSOLVE:
        hint = f"write seconds, up to {_LONGEST_DISSOLVE:g}: --dissolve 0.5"
        raise UsageError(f'--dissolve: "{text}" is not a time', hint=hint)
    return seconds


def animatic(
    project: ProjectArgument = Path(),
    *,
    output: Annotated[
        Path | None,
        output_option("FILE", "File to write.  [default: animatic.mp4 in the project]", _film_file),
    ] = None,
    fps: FpsOption = "30",
    size: SizeOption = None,
    still: Annotated[bool, typer.Option("--still", help="Move nothing.")] = False,
    dissolve: Annotated[
        float,
        typer.Option(
            "--dissolve",
            metavar="SECONDS",
            help="How long Fade, Dissolve and Wipe last. Other transitions are cuts.",
            parser=_dissolve,
        ),
    ] = 0.0,
    captions: Annotated[
        bool, typer.Option("--captions", help="Show the script phrases in the image.")
    ] = False,
    fill: Annotated[
        bool,
        typer.Option("--fill", help="Crop images of another shape, instead of black bars."),
    ] = False,
    words: WordsOption = None,
    missing: MissingOption = "fail",
    choose: ChooseOption = None,
    beats: BeatsOption = None,
    json: JsonOption = False,
) -> None:
    """Export a film of the chosen images, each with a slow move, over the narration.

    Beats last as long as in export timeline. Only clips that changed since the last export are
    rendered. Needs the extra film, or ffmpeg.
    """
    from imagegen.display import terminal
    from imagegen.display.progress_bar import progress_bar
    from imagegen.display.reports import animatic
    from imagegen.export.animatic import export as exporting
    from imagegen.export.animatic import ffmpeg
    from imagegen.export.selection import Missing

    try:
        encoder = ffmpeg.find()
    except ffmpeg.MissingError as error:
        raise extras.missing_extra("export animatic, without ffmpeg,", "film") from error
    option_values = {
        "--output": absolute(output),
        "--fps": None if fps == "30" else fps,
        "--size": size,
        "--dissolve": f"{dissolve:g}" if dissolve else None,
        "--words": absolute(words),
        "--missing": None if missing == "fail" else missing,
        "--choose": choose,
        "--beats": absolute(beats),
    }
    flags = (("--still", still), ("--captions", captions), ("--fill", fill))
    arguments = [
        part for option, value in option_values.items() if value for part in (option, value)
    ]
    arguments += [flag for flag, on in flags if on]
    options = exporting.Options(
        rate=fps,
        size=pair(size),
        still=still,
        dissolve=dissolve,
        captions=captions,
        fill=fill,
        missing=Missing(missing),
        fallback=choose,
        words=words,
        output=output,
        typed=tuple(arguments),
    )
    read = open_for_export(project, beats)
    with progress_bar("Rendering") as progress:
        done = exporting.export(read, options, encoder, progress)
    if json:
        print_json(animatic.as_json(project.resolve().name, done))
    errors = terminal.printer(errors=True)
    animatic.show(errors if json else terminal.printer(), errors, done)
