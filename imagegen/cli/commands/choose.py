"""The command that chooses the best image of each beat: `choose`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples, exit_codes
from imagegen.cli.open_project import open_project, warn_beat_numbers_changed, warn_of_other_beats
from imagegen.cli.options import BeatsOption, ProjectArgument, csv_file
from imagegen.cli.streams import print_json
from imagegen.errors import UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagegen.display.printer import Printer
    from imagegen.project.beat_ids import BeatId
    from imagegen.review.choices import Chosen
    from imagegen.workspace.project import Project

EPILOG: Final = (
    examples(
        ("imagegen choose my-video 7.3 consistent", "replaces an earlier choice"),
        ("imagegen choose my-video 7.3 clear --flag", "chooses it, marked for another look"),
        ("imagegen choose my-video 7.3 --unflag", "keeps the choice, removes the flag"),
        ("imagegen choose my-video --all clear", "for all beats without a choice"),
        ("imagegen choose my-video --csv picks.csv", "columns: beat, style; optional: shot, flag"),
        ("imagegen choose my-video --list", "lists the choices, and redrawn images"),
    )
    + "\n\n"
    + exit_codes(
        {
            0: "chosen; with --all: for every beat that has an image",
            2: "unknown beat or style, no image, beat numbers changed, or an error in a file: "
            "nothing was changed",
        }
    )
)


def choose(
    project: ProjectArgument = Path(),
    beat: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BEAT... STYLE",
            help="The beat (1.1, or 2/1.1 in shot 2) and the style of its best image. Or "
            "both in one: clear/1.1.",
            show_default=False,
            autocompletion=complete.picks,
        ),
    ] = None,
    *,
    flag: Annotated[
        bool, typer.Option("--flag", help="Mark it for another look: Beat_1.1_flagged.png.")
    ] = False,
    unflag: Annotated[bool, typer.Option("--unflag", help="Remove the mark.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Remove the choice of these beats.")] = False,
    every: Annotated[
        str | None,
        typer.Option(
            "--all",
            metavar="STYLE",
            help="Choose this style for every beat without a choice.",
            autocompletion=complete.styles,
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Read choices from a CSV file: columns beat, style; optional shot, flag.",
            parser=csv_file,
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the choices.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="With --list: print one JSON object.")
    ] = False,
    beats: BeatsOption = None,
) -> None:
    """Choose the best image of a beat among its styles.

    Copies it to selected_images/ and records it in image_selections.json. Draws nothing; a run
    may be active. `status` lists choices that were redrawn since.
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
        raise UsageError("--json needs --list")
    read, now = open_project(project, beats), time.time()
    warn_of_other_beats(read)
    printer, name = terminal.printer(), read.layout.name
    if listed:
        _list(printer, read, str(project), now, json=json)
        return
    # Styles are compared beat by beat: every image must be at its beat.
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
        chosen_beats = picks.beats(read, words)
        choosing.clear_choices(read, chosen_beats, now)
        choices.print_cleared(printer, [beat for beat in chosen_beats if beat in before])
        choices.print_nothing_chosen(printer, [beat for beat in chosen_beats if beat not in before])
    elif (flag or unflag) and not picks.names_a_style(read, words):
        made = choosing.flag(read, picks.beats(read, words), now, flagged=flag)
        choices.print_chosen(printer, name, made, before)
    else:
        made = choosing.choose(read, picks.parse_picks(read, words, flagged=flag), now)
        choices.print_chosen(printer, name, made, before)
    placeholders = [
        beat
        for beat, made_now in made.items()
        if choosing.is_placeholder(read, beat, made_now.style)
    ]
    choices.sketches(printer, placeholders)
    choices.print_count(printer, name, len(chosen(read)), read.beat_count)


def _list(printer: "Printer", read: "Project", path: str, now: float, *, json: bool) -> None:
    from imagegen.display.reports import choices
    from imagegen.review.choices import describe, left_over
    from imagegen.workspace import moved_numbers

    described, over = describe(read), left_over(read)
    moved = sum(map(len, read.survey(now).moves.values()))
    if json:
        listing = choices.as_json(read.layout.name, described, read.beat_count, over)
        print_json(listing)
        warn_beat_numbers_changed(read, moved)
        return
    choices.print_count(printer, read.layout.name, len(described), read.beat_count)
    choices.listed(printer, described, now)
    if not moved:
        choices.print_rechoose_hint(printer, path, described, read.named_beats)
    choices.unclear(printer, over.unclear)
    choices.unclaimed(printer, over.unclaimed)
    # Otherwise they may belong to beats that still exist, and `clean` refuses them.
    if not moved and moved_numbers.last_run_beats_file(read) is None:
        choices.left_over(printer, path, over, read.named_beats)
    warn_beat_numbers_changed(read, moved)


def _refuse_unclear(root: Path, modes: dict[str, bool]) -> None:
    """Raise `UsageError` unless exactly one mode is given."""
    modes_given = [mode for mode, is_given in modes.items() if is_given]
    if not modes_given:
        hint = project_command("choose", root, "7.3", "clear")
        raise UsageError("choose needs a beat and a style, or --all, --csv or --list", hint=hint)
    if len(modes_given) > 1:
        raise UsageError(f"{modes_given[0]} and {modes_given[1]} cannot be combined")


def _refuse_together(options: dict[str, bool], flagging: set[str]) -> None:
    """Raise `UsageError` for options that exclude each other; `flagging` go with --flag."""
    names = [option for option, is_given in options.items() if is_given]
    if len(names) > 1 and not (names[0] == "--flag" and set(names[1:]) <= flagging):
        hint = "the CSV file may have a column flag" if "--csv" in names else None
        raise UsageError(f"{names[0]} and {names[1]} cannot be combined", hint=hint)
