"""What you should know of a project's beats before anything is sent."""

from typing import Final

from imagegen.project.storyboard.transitions import unknown
from imagegen.prompts import references
from imagegen.workspace.project import Project

_NAMED: Final = 3


def reading_notes(project: Project) -> tuple[str, ...]:
    """Return notes on how the storyboard was read, which stay true until it is edited."""
    return project.storyboard.notes


def project_notes(project: Project) -> tuple[str, ...]:
    """Return notes on beats without a prompt, transitions, references and other files.

    Other files with prompts are read for it. Raises `UsageError` as `Project.composer` does.
    """
    lacking = [
        f"{style}: {len(numbers):,} beat{'s' * (len(numbers) != 1)} of beats.json without a "
        f"prompt ({', '.join(numbers[:_NAMED])}{' …' * (len(numbers) > _NAMED)})"
        for style, numbers in project.without_prompt.items()
    ]
    transitions = unknown(b.transition for beats in project.beats.values() for b in beats)
    unused = project.composer.unused_style_references(project.beats)
    files = references.unused_style_files(project.layout, project.settings)
    return (
        *lacking,
        *project.other_prompts.values(),
        *filter(None, (transitions, unused, *files)),
    )
