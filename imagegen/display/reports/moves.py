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
from imagegen.workspace.undo_data import OVERRIDES

_SHOWN: Final = 10


def print_renumber(
    paper: Paper, name: str, path: str, result: Renumbered, *, dry_run: bool
) -> None:
    """Print which images moved to which numbers, or would."""
    would = "would move" if dry_run else "moved"
    if result.untagged:
        paper.line(
            f"{plural(result.untagged, 'image')} of other tools stay where they are: they do not "
            "record their prompt."
        )
    if not result.count:
        paper.line(f"{sanitize(name)}: every image already has its beat's number.")
    else:
        pictures = plural(result.count, "image")
        paper.line(f"{sanitize(name)}: {pictures} {would} to their beats' numbers.")
    if not result:
        return
    _moves(paper, result)
    if result.displaced:
        _listed(paper, "to old_images/, because their beats were deleted", result.displaced)
    along = "would move too" if dry_run else "moved too"
    if result.override_count:
        paper.line(f"  overrides for {plural(result.override_count, 'beat')} {along}")
    if result.choices:
        paper.line(f"  {plural(result.choices, 'chosen image')} {along}")
    if result.dropped_choices:
        _listed(paper, "choices dropped, because their beats were deleted", result.dropped_choices)
    if not dry_run:
        _print_undo_hint(paper, path)


def _moves(paper: Paper, result: Renumbered) -> None:
    width = max(map(len, result.moves), default=0)
    for style, pairs in result.moves.items():
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
    subject = " and ".join(filter(None, [pictures, choices]))
    paper.line(f"{sanitize(name)}: {subject} of deleted beats {would} to old_images/.")
    _listed(paper, "", [*over.pictures, *over.choices.labels])
    if not dry_run:
        _print_undo_hint(paper, path)


def adopted(paper: Paper, name: str, path: str, adoption: Adoption, *, dry_run: bool) -> None:
    """Print what was adopted from older folders; `path` is the project's folder as typed."""
    counts = [
        *([plural(len(adoption.pictures), "image")] if adoption.pictures else []),
        *([plural(len(adoption.choices), "choice")] if adoption.choices else []),
        *([sanitize(adoption.beats_file)] if adoption.beats_file else []),
    ]
    if adoption:
        would = "would be adopted" if dry_run else "adopted"
        paper.line(f"{sanitize(name)}: {would}: {', '.join(counts)}.")
        pictures = [f"{old.path}: {place}" for place, old in adoption.pictures.items()]
        _listed(paper, "Images" if pictures else "", pictures)
        chosen = [
            f"{beat}: {choice.style}{', flagged' if choice.source.flagged else ''}"
            for beat, choice in adoption.choices.items()
        ]
        _listed(paper, "Choices" if chosen else "", chosen)
        if adoption.guessed is not None:
            notice = f"Images whose folder names no style are adopted as {adoption.guessed}"
            paper.wrap("", f"{notice}; choose another with --style.", indent=2)
    elif not adoption.without_style:
        paper.line(f"{sanitize(name)}: nothing to adopt.")
    _listed(
        paper,
        "Not adopted, because their style is unknown" if adoption.without_style else "",
        adoption.without_style,
    )
    if adoption.without_style:
        paper.command_list(
            (project_command("adopt", path, "--style", "STYLE"), "names their style")
        )
    _listed(
        paper,
        "Not adopted, because the project has no such beat" if adoption.without_beat else "",
        adoption.without_beat,
    )
    _listed(
        paper,
        "Not adopted, because the image is damaged" if adoption.unusable else "",
        adoption.unusable,
    )
    _listed(
        paper,
        "Not adopted, because their beat has another image" if adoption.further else "",
        adoption.further,
    )
    if adoption and not dry_run:
        _print_undo_hint(paper, path)


def print_undo(paper: Paper, name: str, steps: tuple[Step, Step] | None) -> None:
    """Print what was undone, and where the replaced images are."""
    if steps is None:
        paper.line(f"{sanitize(name)}: nothing to undo.")
        return
    step, back = steps
    count = sum(move.source.startswith(f"{PICTURES}/") for move in step.moves)
    outcome = f"{plural(count, 'image')} restored" if count else "all is as before"
    kind = _KINDS.get(step.kind, sanitize(step.kind))
    paper.line(f"{sanitize(name)}: undid the last {kind}: {outcome}.")
    overridden = step.settled.get(OVERRIDES)
    if isinstance(overridden, dict) and overridden:
        those = plural(len(overridden), "beat")
        paper.line(f"  overrides.toml is as before for {those}, including prompts.")
    if count and any(_put_away(move) for move in back.moves):
        replaced = "image it" if count == 1 else "images they"
        paper.line(f"  The {replaced} replaced {'is' if count == 1 else 'are'} in old_images/.")


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


def _listed(paper: Paper, label: str, names: Sequence[str]) -> None:
    if label:
        paper.line(f"  {label}:")
    for name in names[:_SHOWN]:
        paper.line(f"    {sanitize(name, 4096)}")
    if len(names) > _SHOWN:
        paper.line(f"    … and {len(names) - _SHOWN:,} more")


def _print_undo_hint(paper: Paper, path: str) -> None:
    paper.command_list((project_command("undo", path), "undoes this"))
