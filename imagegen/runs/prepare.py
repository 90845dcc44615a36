"""Makes a project ready to be drawn, before the first request is paid for."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import StorageError, UsageError
from imagegen.images import formats, png
from imagegen.project import steps
from imagegen.project.layout import ProjectPaths, reject_symlink
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState, Survey

_LEAST_FREE: Final = 32 * 1024 * 1024
_PROBE_BYTES: Final = b"imagegen tries whether it may write here\n"


def check_disk(layout: ProjectPaths) -> None:
    """Try that images can be written. Raises `UsageError`: nothing was started."""
    trial = layout.pictures / f"{files.TEMP_PREFIX}trial.tmp"
    try:
        layout.prepare()
        files.make_folder(layout.pictures)
        files.write(trial, _PROBE_BYTES)
        trial.unlink()
    except (StorageError, OSError) as error:
        hint = error.hint if isinstance(error, StorageError) else None
        raise UsageError(f"nothing can be drawn: {error}", hint=hint) from error
    usage = shutil.disk_usage(layout.pictures)
    free = usage.free
    # Some network file systems say of everything that it is 0.
    if usage.total and free < _LEAST_FREE:
        raise UsageError(
            f"nothing can be drawn: the disk has only {free // 1024**2} MB free, "
            f"{_LEAST_FREE // 1024**2} MB are needed to begin",
            hint="free some space first",
        )


def check_writable(layout: ProjectPaths, plan: Plan) -> None:
    """Look whether every folder that gets an image may be written in.

    Raises `UsageError`: nothing was started.
    """
    folders: set[Path] = set()
    for style, beats in plan.styles.items():
        for shot in {planned.beat.shot for planned in beats if planned.draw}:
            of_shot = layout.style_folder(style) / f"Shot_{shot}"
            folders.add(of_shot if os.path.lexists(of_shot) else of_shot.parent)
        if any(planned.found is not ImageState.NOTHING and _moves(planned) for planned in beats):
            folders.add(layout.archive_dir)
    existing = filter(os.path.lexists, folders)
    shut = sorted(folder for folder in existing if not os.access(folder, os.W_OK | os.X_OK))
    if shut:
        more = f", and {len(shut) - 1} more" if len(shut) > 1 else ""
        raise UsageError(f"nothing can be drawn: not permitted to write in {shut[0]}{more}")


def remove_temp_files(layout: ProjectPaths, survey: Survey) -> None:
    """Remove what a crash left half-written, and nothing that another command is writing."""
    folders = [layout.root, layout.state_dir, layout.pictures, *map(Path, survey.unfinished)]
    for style in _folders_in(layout.pictures):
        # There may be 60,000 folders of shots: those that were surveyed are not read again.
        if style.name not in survey.beats:
            folders += [style, *_folders_in(style)]
    # If there are no hard links, old images are copied. Only the last run can have left
    # one half-written, or its own step.json; there may be many runs before it.
    for run in itertools.islice(steps.newest_first(layout), 1):
        folders.append(run)
        for style in _folders_in(run):
            folders += _folders_in(style)
    for folder in folders:
        files.remove_stale(folder)


def _folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, without links; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _moves(planned: Planned) -> bool:
    """Return whether something gives way to a new image of this beat."""
    return planned.draw or planned.found not in {ImageState.VALID, ImageState.ELSEWHERE}


def repair_images(layout: ProjectPaths, plan: Plan, old: Path, warn: Callable[[str], None]) -> Plan:
    """Convert images of other types to PNG, and move files that are not images away.

    Those go to the folder `old`. Returns the plan as it is afterwards: if a beat's file
    was not an image, the beat is drawn too, regardless of the limit. Raises
    `StorageError`.
    """
    styles = {
        style: tuple(_put_right(layout, planned, old, warn) for planned in beats)
        for style, beats in plan.styles.items()
    }
    return msgspec.structs.replace(plan, styles=styles)


def _put_right(
    layout: ProjectPaths, planned: Planned, old: Path, warn: Callable[[str], None]
) -> Planned:
    if planned.found in {ImageState.VALID, ImageState.NOTHING, ImageState.ELSEWHERE}:
        return planned
    path = layout.picture(*planned.beat.address)
    reject_symlink(path.parent)
    aside = old / path.relative_to(layout.pictures)
    name = layout.relative(path)
    if planned.found is ImageState.CONVERTIBLE:
        data = files.read(path, png.MAX_BYTES)
        try:
            converted = formats.as_png(data or b"")
        except formats.NotAPictureError as error:
            warn(f"{name} is not a complete image ({error})")
        else:
            files.archive_copy(path, aside)
            files.write(path, converted)
            return msgspec.structs.replace(planned, found=ImageState.VALID)
    many = formats.pixel_limit_error(files.read(path, png.MAX_BYTES) or b"")
    fault = f"cannot be used ({many})" if many else "is damaged or not an image"
    aside = files.move(path, aside)
    # A waived beat needs none, and one that is blocked waits for another.
    draw = planned.draw or not (planned.waived or planned.blocked_by)
    then = ", drawn again" if draw else ""
    warn(f"{name} {fault}: moved to {layout.relative(aside)}{then}")
    return msgspec.structs.replace(planned, found=ImageState.NOTHING, draw=draw)
