"""What `merge` brings into a project, what conflicts, and what stays in the copies."""

from collections.abc import Iterable, Sequence
from typing import Final

from imagegen.display.text.formatting import project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import plural, sanitize
from imagegen.review.project_copies import ChoiceConflict, ImageConflict, MergePlan

_SHOWN: Final = 10


def show(paper: Paper, found: MergePlan, path: str) -> None:
    """Show what came from the copies. `path` is the project's folder as it was typed."""
    counts = [
        plural(count, what)
        for count, what in (
            (len(found.images), "image"),
            (len(found.choices), "choice"),
            (len(found.journals), "journal"),
        )
        if count
    ]
    would = "would come" if found.dry_run else "came"
    same = f"; {plural(found.same, 'image')} in both" if found.same else ""
    copies = "1 copy" if len(found.copies) == 1 else f"{len(found.copies):,} copies"
    paper.line(
        f"{sanitize(found.project)}: {', '.join(counts) or 'nothing'} {would} from {copies}{same}."
    )
    replaced = [f"{one.copy}: {one.image_path}" for one in found.images if one.replaces]
    _list(paper, "Redrawn there; the older image is kept in old_images/", replaced)
    _list(paper, "Conflict, drawn differently: the first one stays", map(_image, found.conflicts))
    if found.conflicts:
        one = found.conflicts[0]
        beat = f"{one.style}/{one.shot_number}/{one.beat_number}"
        use = project_command("use", path, beat, f"{one.copy}/{one.image_path}")
        paper.command_list((use, "takes the other one"), indent=4)
    chosen = map(_choice, found.choice_conflicts)
    _list(paper, "Chosen differently: the later choice counts, which is the first one", chosen)
    for reason in dict.fromkeys(one.reason for one in found.left):
        left = [f"{one.copy}: {one.name}" for one in found.left if one.reason is reason]
        _list(paper, f"Left, {reason.value}", left)
    if counts and not found.dry_run:
        paper.command_list((project_command("undo", path), "undoes this"))


def _image(one: ImageConflict) -> str:
    return f"{one.style}/{one.shot_number}/{one.beat_number}: {one.kept}, not {one.copy}"


def _choice(one: ChoiceConflict) -> str:
    return f"{one.beat}: {one.kept_style} ({one.kept}), not {one.style} ({one.copy})"


def _list(paper: Paper, what: str, names: Iterable[str]) -> None:
    listed: Sequence[str] = list(names)
    if listed:
        paper.line(f"  {what}:")
    for name in listed[:_SHOWN]:
        paper.line(f"    {sanitize(name, 4096)}")
    if len(listed) > _SHOWN:
        paper.line(f"    … and {len(listed) - _SHOWN:,} more")
