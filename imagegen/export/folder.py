"""The folder of an export: where it may be."""

from pathlib import Path
from typing import Final

from imagegen.errors import UsageError
from imagegen.project.layout import ProjectPaths, reject_symlink

_PROJECT_FOLDERS: Final = frozenset(
    {"generated_images", "selected_images", "old_images", ".imagegen"}
)
"""The folders of a project into which nothing is exported."""


def folder_of(layout: ProjectPaths, requested: Path | None, default: str) -> Path:
    """Return the absolute folder to write to: `requested`, or `default` in the project.

    Raises `UsageError` for one that is the project's own, and for a default that is a link.
    """
    if requested is None:
        folder = layout.root / default
        reject_symlink(folder)
        return folder
    folder = requested.absolute()
    inside = folder.resolve()
    if inside.is_relative_to(layout.root):
        parts = inside.relative_to(layout.root).parts
        # Some disks take capitals and small letters for the same.
        if not parts or parts[0].casefold() in _PROJECT_FOLDERS:
            raise UsageError(
                f"{folder}: an export has a folder of its own",
                hint=f"--output {layout.root / default}",
            )
    return folder
