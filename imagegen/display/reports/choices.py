"""Which picture is the best of each beat: what was chosen, and what became of it."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagegen.display.text.formatting import clock, on_project
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import clean, plural, some
from imagegen.project.beat_ids import BeatId
from imagegen.review.choices import ChoiceStanding, Chosen, LeftOver, Since, Unclear

_SHOWN: Final = 10
_SAID: Final = {
    Since.SAME: "",
    Since.REDRAWN: "redrawn since",
    Since.GONE: "its picture is gone",
}


def listed(paper: Paper, found: Sequence[ChoiceStanding], now: float) -> None:
    """List what is chosen. `now` is the wall clock's time."""
    widths = [
        max((len(getattr(one, field)) for one in found), default=0) for field in ("name", "style")
    ]
    flags = max((len("flagged") for one in found if one.flagged), default=0)
    for one in found:
        columns = [
            f"{clean(one.name):<{widths[0]}}",
            f"{clean(one.style):<{widths[1]}}",
            *([f"{'flagged' if one.flagged else '':<{flags}}"] if flags else []),
            clock(one.selected_at, now),
            "its copy is missing" if one.lacks_copy and not _SAID[one.since] else _SAID[one.since],
        ]
        paper.line(f"  {'  '.join(columns)}")


def again(
    paper: Paper, path: str, found: Sequence[ChoiceStanding], beats: Sequence[str] = ()
) -> None:
    """Say how to choose again what was redrawn since, and what lacks its copy.

    `path` is the project's folder as typed, `beats` are options that name the beats file.
    """
    first = next((one for one in found if one.since is Since.REDRAWN), None)
    if first is not None:
        paper.line()
        choose = on_project("choose", path, first.name, first.style, *beats)
        paper.commands((choose, "takes the picture as it is now"))
    lacking = [one for one in found if one.lacks_copy]
    if lacking:
        paper.line()
        missing = "1 copy is" if len(lacking) == 1 else f"{len(lacking):,} copies are"
        paper.wrapped("", f"{missing} missing in selected_images.", indent=2)
        choose = on_project("choose", path, "--all", lacking[0].style, *beats)
        paper.commands((choose, "makes them, and chooses for beats that have none"))


def as_json(
    name: str, found: Sequence[ChoiceStanding], beats: int, over: LeftOver
) -> dict[str, object]:
    """Return what `choose --list --json` prints."""
    return {
        "schema": 1,
        "project": name,
        "beats": beats,
        "chosen": list(found),
        "redrawn_since_chosen": [one.name for one in found if one.since is Since.REDRAWN],
        "copies_missing": [one.name for one in found if one.lacks_copy],
        "left_over": [*over.told, *over.unclaimed],
        "unclear": list(over.unclear),
    }


def left_over(paper: Paper, path: str, over: LeftOver, beats: Sequence[str] = ()) -> None:
    """Say which choices are of no beat any more; `path` and `beats` are as for `again`."""
    names = over.told
    if not names:
        return
    paper.line()
    paper.wrapped("", f"Choices of beats that are gone: {some(names, _SHOWN)}", indent=2)
    paper.commands((on_project("clean", path, *beats), "moves them to old_images/"))


def unclear(paper: Paper, entries: Sequence[Unclear]) -> None:
    """Say which entries of image_selections.json are not understood, and why."""
    for one in entries[:_SHOWN]:
        paper.wrapped("", f"{clean(one.name, 100)} {clean(one.reason)}", indent=2)
    if len(entries) > _SHOWN:
        paper.line(f"  … and {len(entries) - _SHOWN:,} more")


def unclaimed(paper: Paper, files: Sequence[str]) -> None:
    """Say which copies are of no choice."""
    if files:
        left = f"Copies of no choice, which are left: {some(files, _SHOWN)}"
        paper.wrapped("", left, indent=2)


def chose(
    paper: Paper, name: str, made: Mapping[BeatId, Chosen], before: Mapping[BeatId, Chosen]
) -> None:
    """Say what was chosen just now, and in place of what."""
    for beat, one in list(made.items())[:_SHOWN]:
        had = before.get(beat)
        instead = f" in place of {clean(had.style)}" if had and had.style != one.style else ""
        flagged = ", flagged" if one.flagged else ""
        paper.line(f"{clean(beat)}: {one.style}{instead}{flagged}  {clean(one.image_path)}")
    if len(made) > _SHOWN:
        paper.line(f"  … and {len(made) - _SHOWN:,} more")
    if not made:
        paper.line(f"{clean(name)}: nothing was left to choose.")


def sketches(paper: Paper, names: Sequence[str]) -> None:
    """Say which choices are of placeholders."""
    if names:
        are = "is a placeholder" if len(names) == 1 else "are placeholders"
        said = f"{some(names, _SHOWN)} {are}, so flagged: choose again once drawn"
        paper.wrapped("", said, indent=2)


def renamed(paper: Paper, path: str, count: int) -> None:
    """Say that choices have the names of their beats now; `path` is the project's folder."""
    if count:
        those = f"{plural(count, 'choice')} {'is' if count == 1 else 'are'}"
        paper.wrapped("", f"{those} renamed as the storyboard's beats are called now.")
        paper.commands((on_project("undo", path), "takes that back"))


def unchose(paper: Paper, names: Sequence[str]) -> None:
    """Say of which beats nothing is chosen any more."""
    for name in names:
        paper.line(f"{clean(name)}: nothing is chosen now")


def unchosen(paper: Paper, names: Sequence[str]) -> None:
    """Say of which beats nothing was chosen in the first place."""
    for name in names:
        paper.line(f"nothing was chosen for {clean(name)}")


def lacking(paper: Paper, style: str, names: Sequence[str]) -> None:
    """Say which beats stay without a choice, for they have no picture in a style."""
    if not names:
        return
    have = f"{plural(len(names), 'beat')} {'has' if len(names) == 1 else 'have'}"
    paper.wrapped("", f"{have} no picture in {style}: {some(names, _SHOWN)}", indent=2)


def counted(paper: Paper, name: str, chosen: int, beats: int) -> None:
    """Say how many are chosen now."""
    paper.line(f"{clean(name)}: {chosen:,} of {plural(beats, 'beat')} chosen.")
