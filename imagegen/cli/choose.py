"""The command that chooses the best picture of each beat."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen import encoding
from imagegen.cli import complete
from imagegen.cli.help import examples, exit_codes
from imagegen.cli.options import BeatsOption, ProjectArgument, csv_file
from imagegen.cli.pictures import open_project, warn_numbers_moved
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagegen.display.printer import Printer
    from imagegen.project.beat_ids import BeatId
    from imagegen.review.choices import Chosen
    from imagegen.workspace.project import Project

CHOOSE_EPILOG: Final = (
    exit_codes(
        {
            0: "chosen; with --all: wherever there is a picture",
            2: "no such beat, style or picture, numbers have moved, or a fault in a file: nothing "
            "was changed",
        }
    )
    + "\n\n"
    + examples(
        ("imagegen choose my-video 7.3 consistent", "this one; whatever was chosen gives way"),
        ("imagegen choose my-video 7.3 clear --flag", "this one, to look at again"),
        ("imagegen choose my-video 7.3 --unflag", "as it is chosen, without the flag"),
        ("imagegen choose my-video --all clear", "clear wherever nothing is chosen yet"),
        ("imagegen choose my-video --csv picks.csv", "columns: beat, style, maybe shot, flag"),
        ("imagegen choose my-video --list", "what is chosen, what was redrawn since"),
    )
)


def choose(
    project: ProjectArgument = Path(),
    beat: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BEAT... STYLE",
            help="The beat (1.1, or 2/1.1 of shot 2) and the style whose picture is best. Or "
            "both in one: clear/1.1.",
            show_default=False,
            autocompletion=complete.picks,
        ),
    ] = None,
    *,
    flag: Annotated[
        bool, typer.Option("--flag", help="Mark it: its file is called Beat_1.1_flagged.png.")
    ] = False,
    unflag: Annotated[bool, typer.Option("--unflag", help="Take the mark away.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Choose nothing for these beats.")] = False,
    every: Annotated[
        str | None,
        typer.Option(
            "--all",
            metavar="STYLE",
            help="Choose this style for every beat that has nothing chosen yet.",
            autocompletion=complete.styles,
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Choose what a table says; its columns are beat, style, maybe shot and flag.",
            parser=csv_file,
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say what is chosen.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="With --list: print one JSON object.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Choose the best picture of a beat among its styles.

    A copy of it goes to selected_images/, and image_selections.json says which it is. Nothing is
    drawn; a run may be active. `status` tells what was redrawn since it was chosen.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import choices
    from imagegen.review import choose as choosing
    from imagegen.review import picks
    from imagegen.review.choices import chosen
    from imagegen.workspace import moved_numbers

    words = beat or []
    modes = {"--list": listed, "--all": every is not None, "--csv": csv is not None}
    _refuse_unclear(project, {**modes, "a beat": bool(words)})
    _refuse_together({"--flag": flag, "--unflag": unflag, "--none": none, **modes}, {"--all"})
    if json and not listed:
        raise UsageError("--json goes with --list alone")
    read, now = open_project(project, beats), time.time()
    printer, name = terminal.printer(), read.layout.name
    if listed:
        _list(printer, read, str(project), now, json=json)
        return
    # Styles are compared by beats: all of their pictures have to be at them.
    moved_numbers.require_numbers_unmoved(read, read.survey(now), read.styles, "Nothing was chosen")
    choices.renamed(printer, str(project), choosing.rename(read, now))
    before = chosen(read)
    made: Mapping[BeatId, Chosen] = {}
    if every is not None:
        made, lacking = choosing.choose_remaining(read, every, now, flagged=flag)
        choices.print_chosen(printer, name, made, before)
        choices.print_missing(printer, every, lacking)
    elif csv is not None:
        made = choosing.choose(read, picks.from_csv(read, csv), now)
        choices.print_chosen(printer, name, made, before)
    elif none:
        named = picks.beats(read, words)
        choosing.clear_choices(read, named, now)
        choices.print_cleared(printer, [one for one in named if one in before])
        choices.print_nothing_chosen(printer, [one for one in named if one not in before])
    elif (flag or unflag) and not picks.names_a_style(read, words):
        made = choosing.flag(read, picks.beats(read, words), now, flagged=flag)
        choices.print_chosen(printer, name, made, before)
    else:
        made = choosing.choose(read, picks.parse_picks(read, words, flagged=flag), now)
        choices.print_chosen(printer, name, made, before)
    placeholders = [
        one for one, made_now in made.items() if choosing.is_placeholder(read, one, made_now.style)
    ]
    choices.sketches(printer, placeholders)
    choices.print_count(printer, name, len(chosen(read)), read.beat_count)


def _list(printer: "Printer", read: "Project", path: str, now: float, *, json: bool) -> None:
    from imagegen.display.reports import choices
    from imagegen.review.choices import describe, left_over
    from imagegen.workspace import moved_numbers

    found, over = describe(read), left_over(read)
    moved = sum(map(len, read.survey(now).moves.values()))
    if json:
        told = choices.as_json(read.layout.name, found, read.beat_count, over)
        sys.stdout.buffer.write(encoding.to_json(told) + b"\n")
        sys.stdout.buffer.flush()
        warn_numbers_moved(read, moved)
        return
    choices.print_count(printer, read.layout.name, len(found), read.beat_count)
    choices.listed(printer, found, now)
    if not moved:
        choices.print_rechoose_hint(printer, path, found, read.named_beats)
    choices.unclear(printer, over.unclear)
    choices.unclaimed(printer, over.unclaimed)
    # Else they may be of beats that are there: `clean` is refused then.
    if not moved and moved_numbers.last_run_beats_file(read) is None:
        choices.left_over(printer, path, over, read.named_beats)
    warn_numbers_moved(read, moved)


def _refuse_unclear(root: Path, modes: dict[str, bool]) -> None:
    """Raise `UsageError` unless just one thing is to be done."""
    given = [mode for mode, wanted in modes.items() if wanted]
    if not given:
        hint = f"imagegen choose {root} 7.3 clear, or --all clear, or --list"
        raise UsageError("which beat, and which style is best?", hint=hint)
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} do not go together")


def _refuse_together(options: dict[str, bool], flagging: set[str]) -> None:
    """Raise `UsageError` for options that say two things; `flagging` go with --flag."""
    given = [option for option, wanted in options.items() if wanted]
    if len(given) > 1 and not (given[0] == "--flag" and set(given[1:]) <= flagging):
        hint = "a table has a column flag" if "--csv" in given else None
        raise UsageError(f"{given[0]} and {given[1]} do not go together", hint=hint)
