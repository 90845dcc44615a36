"""What `merge` brings into a project, what conflicts, and what stays in the copies."""

from collections.abc import Iterable, Sequence
from typing import Final

from imagegen.display.text.formatting import project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import plural, sanitize
from imagegen.review.project_copies import ChoiceConflict, ImageConflict, MergePlan

_SHOWN: Final = 10


def show(paper: Paper, plan: MergePlan, path: str) -> None:
    """Show what came from the copies. `path` is the project's folder as it was typed."""
    counts = [
        plural(count, noun)
        for count, noun in (
            (len(plan.images), "image"),
            (len(plan.choices), "choice"),
            (len(plan.journals), "journal"),
        )
        if count
    ]
    would = "would come" if plan.dry_run else "came"
    same = f"; {plural(plan.same, 'image')} in both" if plan.same else ""
    copies = "1 copy" if len(plan.copies) == 1 else f"{len(plan.copies):,} copies"
    paper.line(
        f"{sanitize(plan.project)}: {', '.join(counts) or 'nothing'} {would} from {copies}{same}."
    )
    replaced = [f"{image.copy}: {image.image_path}" for image in plan.images if image.replaces]
    _list(paper, "Redrawn there; the older image is kept in old_images/", replaced)
    _list(paper, "Conflict, drawn differently: the first one stays", map(_image, plan.conflicts))
    if plan.conflicts:
        conflict = plan.conflicts[0]
        beat = f"{conflict.style}/{conflict.shot_number}/{conflict.beat_number}"
        use = project_command("use", path, beat, f"{conflict.copy}/{conflict.image_path}")
        paper.command_list((use, "takes the other one"), indent=4)
    elsewhere = [f"{one.beat}: {one.copy}/{one.image_path}" for one in plan.chosen_elsewhere]
    _list(paper, "Chosen, but the project has another image of the beat", elsewhere)
    if plan.chosen_elsewhere:
        first = plan.chosen_elsewhere[0]
        beat = f"{first.style}/{first.beat}"
        use = project_command("use", path, beat, f"{first.copy}/{first.image_path}")
        paper.command_list((use, "takes the chosen one"), indent=4)
    chosen = map(_choice, plan.choice_conflicts)
    _list(paper, "Chosen differently: the later choice counts, which is the first one", chosen)
    for reason in dict.fromkeys(entry.reason for entry in plan.left):
        left = [f"{entry.copy}: {entry.name}" for entry in plan.left if entry.reason is reason]
        _list(paper, f"Left, {reason.value}", left)
    if counts and not plan.dry_run:
        paper.command_list((project_command("undo", path), "undoes this"))


def _image(conflict: ImageConflict) -> str:
    beat = f"{conflict.style}/{conflict.shot_number}/{conflict.beat_number}"
    return f"{beat}: {conflict.kept}, not {conflict.copy}"


def _choice(conflict: ChoiceConflict) -> str:
    first = f"{conflict.kept_style} ({conflict.kept})"
    return f"{conflict.beat}: {first}, not {conflict.style} ({conflict.copy})"


def _list(paper: Paper, label: str, names: Iterable[str]) -> None:
    listed: Sequence[str] = list(names)
    if listed:
        paper.line(f"  {label}:")
    for name in listed[:_SHOWN]:
        paper.line(f"    {sanitize(name, 4096)}")
    if len(listed) > _SHOWN:
        paper.line(f"    … and {len(listed) - _SHOWN:,} more")
