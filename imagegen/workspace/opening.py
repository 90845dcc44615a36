"""Open a project for a command."""

from pathlib import Path

from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest
from imagegen.workspace import recovery
from imagegen.workspace.credentials import CredentialOptions
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project
from imagegen.workspace.resolved_overrides import Resettle


def open_project(
    root: Path,
    request: DrawRequest,
    source: CredentialOptions | None = None,
    *,
    wall: float,
    edit_override: Resettle | None = None,
    default_model: str | None = None,
) -> Project:
    """Finish what a crash interrupted, then read the project; see `read_project`.

    `wall` is the wall clock's time, in seconds. Raises `StorageError`, and as `read_project` does.
    """
    recovery.finish_interrupted(ProjectPaths(root), wall)
    return read_project(
        root, request, source, edit_override=edit_override, default_model=default_model
    )
