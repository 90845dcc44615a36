"""What has changed places, and how to take it back."""

from collections.abc import Sequence
from typing import Final

from imagegen.display.text.formatting import project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import plural, sanitize
from imagegen.editing.renumber import Cleaned, Renumbered
from imagegen.project.layout import OLD, PICTURES
from imagegen.project.steps import Move, Step
from imagegen.review.older_images import Adoption

_SHOWN: Final = 10


def print_renumber(paper: Paper, name: str, path: str, found: Renumbered, *, dry_run: bool) -> None:
    """Say which pictures moved to which numbers, or would."""
    would = "would move" if dry_run else "moved"
    if found.untagged:
        paper.line(
            f"{plural(found.untagged, 'picture')} of other tools, which do not say of what words "
            "they are, stay where they lie."
        )
    if not found.count:
        paper.line(f"{sanitize(name)}: every picture is at its beat's number.")
    else:
        pictures = plural(found.count, "picture")
        paper.line(f"{sanitize(name)}: {pictures} {would} to their beats' numbers.")
    if not found:
        return
    _moves(paper, found)
    if found.displaced:
        _listed(paper, "to old_images/, for their beats are gone", found.displaced)
    along = "would go along" if dry_run else "went along"
    if found.override_count:
        paper.line(f"  what was settled for {plural(found.override_count, 'beat')} {along}")
    if found.choices:
        paper.line(f"  {plural(found.choices, 'chosen picture')} {along}")
    if found.dropped_choices:
        _listed(paper, "choices that are given up, for their beats are gone", found.dropped_choices)
    if not dry_run:
        _print_undo_hint(paper, path)


def _moves(paper: Paper, found: Renumbered) -> None:
    width = max(map(len, found.moves), default=0)
    for style, pairs in found.moves.items():
        for before, now in list(pairs.items())[:_SHOWN]:
            paper.line(
                f"  {style:<{width}}  {sanitize('/'.join(before))} → {sanitize('/'.join(now))}"
            )
        if len(pairs) > _SHOWN:
            paper.line(f"  {style:<{width}}  … and {len(pairs) - _SHOWN:,} more")


def print_clean(paper: Paper, name: str, path: str, over: Cleaned, *, dry_run: bool) -> None:
    """Say what was left over and is out of the way now, or would be."""
    if not over:
        paper.line(f"{sanitize(name)}: no picture is left over.")
        return
    would = "would move" if dry_run else "moved"
    choices = plural(len(over.choices.labels), "choice") if over.choices else ""
    pictures = plural(len(over.pictures), "picture") if over.pictures else ""
    said = " and ".join(filter(None, [pictures, choices]))
    paper.line(f"{sanitize(name)}: {said} of beats that are gone {would} to old_images/.")
    _listed(paper, "", [*over.pictures, *over.choices.labels])
    if not dry_run:
        _print_undo_hint(paper, path)


def adopted(paper: Paper, name: str, path: str, found: Adoption, *, dry_run: bool) -> None:
    """Say what was taken over from older folders; `path` is the project's folder as typed."""
    counts = [
        *([plural(len(found.pictures), "picture")] if found.pictures else []),
        *([plural(len(found.choices), "choice")] if found.choices else []),
        *([sanitize(found.beats_file)] if found.beats_file else []),
    ]
    if found:
        would = "would be taken over" if dry_run else "taken over"
        paper.line(f"{sanitize(name)}: {would}: {', '.join(counts)}.")
        pictures = [f"{old.path}: {place}" for place, old in found.pictures.items()]
        _listed(paper, "Pictures" if pictures else "", pictures)
        chosen = [
            f"{beat}: {one.style}{', flagged' if one.source.flagged else ''}"
            for beat, one in found.choices.items()
        ]
        _listed(paper, "Choices" if chosen else "", chosen)
        if found.guessed is not None:
            said = f"Pictures whose folder names no style are taken for {found.guessed}"
            paper.wrap("", f"{said}: --style names another.", indent=2)
    elif not found.without_style:
        paper.line(f"{sanitize(name)}: there is nothing to take over.")
    _listed(paper, "Left, like no style's" if found.without_style else "", found.without_style)
    if found.without_style:
        paper.command_list(
            (project_command("adopt", path, "--style", "STYLE"), "says whose they are")
        )
    _listed(
        paper, "Left, of no beat of the project" if found.without_beat else "", found.without_beat
    )
    _listed(paper, "Left, another is taken for their beat" if found.further else "", found.further)
    _listed(paper, "Left, no whole picture" if found.unusable else "", found.unusable)
    if found and not dry_run:
        _print_undo_hint(paper, path)


def print_undo(paper: Paper, name: str, steps: tuple[Step, Step] | None) -> None:
    """Say what was taken back: a step, and the one that did it."""
    if steps is None:
        paper.line(f"{sanitize(name)}: there is nothing to undo.")
        return
    step, back = steps
    count = sum(move.source.startswith(f"{PICTURES}/") for move in step.moves)
    what = f"{plural(count, 'picture')} went back" if count else "all is as before"
    kind = _KINDS.get(step.kind, sanitize(step.kind))
    paper.line(f"{sanitize(name)}: the last {kind} is undone: {what}.")
    if count and any(_put_away(move) for move in back.moves):
        paper.line("  What stood in their place is in old_images/.")


def _put_away(move: Move) -> bool:
    return move.source.startswith(f"{PICTURES}/") and move.target.startswith(f"{OLD}/")


_KINDS: Final = {
    "run": "redrawing",
    "renumber": "renumbering",
    "clean": "cleaning",
    "use": "picture of your own choice",
    "look": "change of a look",
    "adopt": "taking over of older pictures",
    "rename choices": "renaming of choices",
}


def _listed(paper: Paper, what: str, names: Sequence[str]) -> None:
    if what:
        paper.line(f"  {what}:")
    for name in names[:_SHOWN]:
        paper.line(f"    {sanitize(name, 4096)}")
    if len(names) > _SHOWN:
        paper.line(f"    … and {len(names) - _SHOWN:,} more")


def _print_undo_hint(paper: Paper, path: str) -> None:
    paper.command_list((project_command("undo", path), "takes it back"))
