"""Images that were moved, and how to undo that."""

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
    """Print which images moved to which numbers, or would."""
    would = "would move" if dry_run else "moved"
    if found.untagged:
        paper.line(
            f"{plural(found.untagged, 'image')} of other tools stay where they are: they do not "
            "record their prompt."
        )
    if not found.count:
        paper.line(f"{sanitize(name)}: every image already has its beat's number.")
    else:
        pictures = plural(found.count, "image")
        paper.line(f"{sanitize(name)}: {pictures} {would} to their beats' numbers.")
    if not found:
        return
    _moves(paper, found)
    if found.displaced:
        _listed(paper, "to old_images/, because their beats were deleted", found.displaced)
    along = "would move too" if dry_run else "moved too"
    if found.override_count:
        paper.line(f"  overrides for {plural(found.override_count, 'beat')} {along}")
    if found.choices:
        paper.line(f"  {plural(found.choices, 'chosen image')} {along}")
    if found.dropped_choices:
        _listed(paper, "choices dropped, because their beats were deleted", found.dropped_choices)
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
    """Print which left-over images and choices were moved away, or would be."""
    if not over:
        paper.line(f"{sanitize(name)}: no left-over images.")
        return
    would = "would move" if dry_run else "moved"
    choices = plural(len(over.choices.labels), "choice") if over.choices else ""
    pictures = plural(len(over.pictures), "image") if over.pictures else ""
    said = " and ".join(filter(None, [pictures, choices]))
    paper.line(f"{sanitize(name)}: {said} of deleted beats {would} to old_images/.")
    _listed(paper, "", [*over.pictures, *over.choices.labels])
    if not dry_run:
        _print_undo_hint(paper, path)


def adopted(paper: Paper, name: str, path: str, found: Adoption, *, dry_run: bool) -> None:
    """Print what was adopted from older folders; `path` is the project's folder as typed."""
    counts = [
        *([plural(len(found.pictures), "image")] if found.pictures else []),
        *([plural(len(found.choices), "choice")] if found.choices else []),
        *([sanitize(found.beats_file)] if found.beats_file else []),
    ]
    if found:
        would = "would be adopted" if dry_run else "adopted"
        paper.line(f"{sanitize(name)}: {would}: {', '.join(counts)}.")
        pictures = [f"{old.path}: {place}" for place, old in found.pictures.items()]
        _listed(paper, "Images" if pictures else "", pictures)
        chosen = [
            f"{beat}: {one.style}{', flagged' if one.source.flagged else ''}"
            for beat, one in found.choices.items()
        ]
        _listed(paper, "Choices" if chosen else "", chosen)
        if found.guessed is not None:
            said = f"Images whose folder names no style are adopted as {found.guessed}"
            paper.wrap("", f"{said}; choose another with --style.", indent=2)
    elif not found.without_style:
        paper.line(f"{sanitize(name)}: nothing to adopt.")
    _listed(
        paper,
        "Not adopted, because their style is unknown" if found.without_style else "",
        found.without_style,
    )
    if found.without_style:
        paper.command_list(
            (project_command("adopt", path, "--style", "STYLE"), "names their style")
        )
    _listed(
        paper,
        "Not adopted, because the project has no such beat" if found.without_beat else "",
        found.without_beat,
    )
    _listed(
        paper, "Not adopted, because the image is damaged" if found.unusable else "", found.unusable
    )
    _listed(
        paper,
        "Not adopted, because their beat has another image" if found.further else "",
        found.further,
    )
    if found and not dry_run:
        _print_undo_hint(paper, path)


def print_undo(paper: Paper, name: str, steps: tuple[Step, Step] | None) -> None:
    """Print what was undone, and where the replaced images are."""
    if steps is None:
        paper.line(f"{sanitize(name)}: nothing to undo.")
        return
    step, back = steps
    count = sum(move.source.startswith(f"{PICTURES}/") for move in step.moves)
    what = f"{plural(count, 'image')} restored" if count else "all is as before"
    kind = _KINDS.get(step.kind, sanitize(step.kind))
    paper.line(f"{sanitize(name)}: undid the last {kind}: {what}.")
    if count and any(_put_away(move) for move in back.moves):
        paper.line("  The images they replaced are in old_images/.")


def _put_away(move: Move) -> bool:
    return move.source.startswith(f"{PICTURES}/") and move.target.startswith(f"{OLD}/")


_KINDS: Final = {
    "run": "redrawing",
    "renumber": "renumbering",
    "clean": "cleaning",
    "use": "use of your own image",
    "look": "change of a look",
    "adopt": "adoption of older images",
    "rename choices": "renaming of choices",
    "merge": "merging of copies",
}


def _listed(paper: Paper, what: str, names: Sequence[str]) -> None:
    if what:
        paper.line(f"  {what}:")
    for name in names[:_SHOWN]:
        paper.line(f"    {sanitize(name, 4096)}")
    if len(names) > _SHOWN:
        paper.line(f"    … and {len(names) - _SHOWN:,} more")


def _print_undo_hint(paper: Paper, path: str) -> None:
    paper.command_list((project_command("undo", path), "undoes this"))
