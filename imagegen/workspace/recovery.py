"""Finishes what a crash left half done, before a command looks at the project."""

import contextlib

from imagegen import files
from imagegen.project.layout import ProjectPaths


def finish_interrupted(layout: ProjectPaths, wall: float) -> None:
    """Finish an interrupted step or choice, and remove half-written files.

    Nothing, while another command is at it.

    `wall` is the wall clock's time, in seconds. Raises `StorageError` and `UsageError`.
    """
    # A keys file of the project is written in its root, so a crash may have left one there.
    files.sweep_once(layout.root)
    files.sweep_once(layout.state_dir)
    # Few projects have ever replaced an image or chosen one: the others do not wait for these.
    if layout.archive_dir.is_dir():
        _finish_step(layout, wall)
    if (layout.root / "selected_images").is_dir():
        from imagegen.project.selections import copies  # noqa: PLC0415

        if copies.has_pending(layout):
            copies.finish_if_idle(layout)


def _finish_step(layout: ProjectPaths, wall: float) -> None:
    from imagegen.project import steps  # noqa: PLC0415

    newest = next(steps.newest_first(layout), None)
    if newest is not None:
        files.sweep_once(newest)
    if not steps.unfinished(layout):
        return
    from imagegen.errors import ImagegenError, RunActiveError  # noqa: PLC0415
    from imagegen.project import record  # noqa: PLC0415
    from imagegen.project.record import DrawRequest  # noqa: PLC0415
    from imagegen.project.selections import copies  # noqa: PLC0415
    from imagegen.workspace import progress as progress_files  # noqa: PLC0415
    from imagegen.workspace.reading import read_project  # noqa: PLC0415

    with contextlib.suppress(RunActiveError), record.project_lock(layout), copies.alone(layout):
        if steps.recover(layout) is not None:
            # Errors of the project's files are reported by the command that follows.
            with contextlib.suppress(ImagegenError):
                progress_files.rewrite(read_project(layout.root, DrawRequest()), wall)
