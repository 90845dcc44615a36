"""The chosen image of each beat, and what has changed since."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagegen.display.text.formatting import local_time, project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import join_some, plural, sanitize
from imagegen.project.beat_ids import BeatId
from imagegen.review.choices import (
    ChangeSinceChosen,
    ChoiceStanding,
    Chosen,
    Orphans,
    UnreadableEntry,
)

_SHOWN: Final = 10
_SAID: Final = {
    ChangeSinceChosen.SAME: "",
    ChangeSinceChosen.REDRAWN: "redrawn since",
    ChangeSinceChosen.GONE: "its image is missing",
}


def listed(paper: Paper, choices: Sequence[ChoiceStanding], now: float) -> None:
    """List what is chosen. `now` is the wall clock's time."""
    widths = [
        max((len(getattr(choice, field)) for choice in choices), default=0)
        for field in ("name", "style")
    ]
    flags = max((len("flagged") for choice in choices if choice.flagged), default=0)
    for choice in choices:
        columns = [
            f"{sanitize(choice.name):<{widths[0]}}",
            f"{sanitize(choice.style):<{widths[1]}}",
            *([f"{'flagged' if choice.flagged else '':<{flags}}"] if flags else []),
            local_time(choice.selected_at, now),
            "its copy is missing"
            if choice.lacks_copy and not _SAID[choice.since]
            else _SAID[choice.since],
        ]
        paper.line(f"  {'  '.join(columns)}")


def print_rechoose_hint(
    paper: Paper, path: str, choices: Sequence[ChoiceStanding], beats: Sequence[str] = ()
) -> None:
    """Print how to choose redrawn images again, and how to restore missing copies.

    `path` is the project's folder as typed, `beats` are options that name the beats file.
    """
    first = next((choice for choice in choices if choice.since is ChangeSinceChosen.REDRAWN), None)
    if first is not None:
        paper.line()
        choose = project_command("choose", path, first.name, first.style, *beats)
        paper.command_list((choose, "chooses the image as it is now"))
    lacking = [choice for choice in choices if choice.lacks_copy]
    if lacking:
        paper.line()
        missing = "1 copy is" if len(lacking) == 1 else f"{len(lacking):,} copies are"
        paper.wrap("", f"{missing} missing in selected_images.", indent=2)
        choose = project_command("choose", path, "--all", lacking[0].style, *beats)
        paper.command_list((choose, "restores them, and chooses for beats without a choice"))


def as_json(
    name: str, choices: Sequence[ChoiceStanding], beats: int, over: Orphans
) -> dict[str, object]:
    """Return what `choose --list --json` prints."""
    return {
        "schema": 1,
        "project": name,
        "beats": beats,
        "chosen": list(choices),
        "redrawn_since_chosen": [
            choice.name for choice in choices if choice.since is ChangeSinceChosen.REDRAWN
        ],
        "copies_missing": [choice.name for choice in choices if choice.lacks_copy],
        "left_over": [*over.labels, *over.unclaimed],
        "unclear": list(over.unclear),
    }


def left_over(paper: Paper, path: str, over: Orphans, beats: Sequence[str] = ()) -> None:
    """Print choices whose beat no longer exists; arguments as for `print_rechoose_hint`."""
    names = over.labels
    if not names:
        return
    paper.line()
    paper.wrap("", f"Choices of deleted beats: {join_some(names, _SHOWN)}", indent=2)
    paper.command_list((project_command("clean", path, *beats), "moves them to old_images/"))


def unclear(paper: Paper, entries: Sequence[UnreadableEntry]) -> None:
    """Print which entries of image_selections.json are not valid, and why."""
    for entry in entries[:_SHOWN]:
        paper.wrap("", f"{sanitize(entry.name, 100)} {sanitize(entry.reason)}", indent=2)
    if len(entries) > _SHOWN:
        paper.line(f"  … and {len(entries) - _SHOWN:,} more")


def unclaimed(paper: Paper, files: Sequence[str]) -> None:
    """Print copies that belong to no choice."""
    if files:
        left = f"Copies that belong to no choice (kept): {join_some(files, _SHOWN)}"
        paper.wrap("", left, indent=2)


def print_chosen(
    paper: Paper, name: str, made: Mapping[BeatId, Chosen], before: Mapping[BeatId, Chosen]
) -> None:
    """Print what was chosen, and what it replaces."""
    for beat, choice in list(made.items())[:_SHOWN]:
        had = before.get(beat)
        instead = f" instead of {sanitize(had.style)}" if had and had.style != choice.style else ""
        flagged = ", flagged" if choice.flagged else ""
        paper.line(
            f"{sanitize(beat)}: {choice.style}{instead}{flagged}  {sanitize(choice.image_path)}"
        )
    if len(made) > _SHOWN:
        paper.line(f"  … and {len(made) - _SHOWN:,} more")
    if not made:
        paper.line(f"{sanitize(name)}: nothing left to choose.")


def sketches(paper: Paper, names: Sequence[str]) -> None:
    """Print which choices are placeholders."""
    if names:
        are = "is a placeholder" if len(names) == 1 else "are placeholders"
        warning = f"{join_some(names, _SHOWN)} {are} and flagged: choose again after drawing"
        paper.wrap("", warning, indent=2)


def renamed(paper: Paper, path: str, count: int) -> None:
    """Print that choices were renamed with their beats; `path` is the project's folder."""
    if count:
        those = f"{plural(count, 'choice')} {'is' if count == 1 else 'are'}"
        paper.wrap("", f"{those} renamed to match the storyboard's beats.")
        paper.command_list((project_command("undo", path), "restores the old names"))


def print_cleared(paper: Paper, names: Sequence[str]) -> None:
    """Print which beats no longer have a choice."""
    for name in names:
        paper.line(f"{sanitize(name)}: nothing is chosen now")


def print_nothing_chosen(paper: Paper, names: Sequence[str]) -> None:
    """Print which beats had no choice to remove."""
    for name in names:
        paper.line(f"nothing was chosen for {sanitize(name)}")


def print_missing(paper: Paper, style: str, names: Sequence[str]) -> None:
    """Print which beats stay without a choice because a style has no image of them."""
    if not names:
        return
    have = f"{plural(len(names), 'beat')} {'has' if len(names) == 1 else 'have'}"
    paper.wrap("", f"{have} no image in {style}: {join_some(names, _SHOWN)}", indent=2)


def print_count(paper: Paper, name: str, chosen: int, beats: int) -> None:
    """Print how many beats have a choice."""
    paper.line(f"{sanitize(name)}: {chosen:,} of {plural(beats, 'beat')} chosen.")
