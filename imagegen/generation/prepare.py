"""Makes a project ready to be drawn, before the first request is paid for."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import StorageError, UsageError
from imagegen.generation.plan import Plan, Planned
from imagegen.generation.survey import Found
from imagegen.project import png
from imagegen.project.layout import Layout, refuse_link

_LEAST_FREE: Final = 32 * 1024 * 1024
_TRIAL: Final = b"imagegen tries whether it may write here\n"


def try_disk(layout: Layout) -> None:
    """Try that pictures can be written. Raises `UsageError`: nothing was started."""
    trial = layout.pictures / f"{files.TEMPORARY}trial.tmp"
    try:
        layout.prepare()
        files.make_folder(layout.pictures)
        files.write(trial, _TRIAL)
        trial.unlink()
    except (StorageError, OSError) as error:
        hint = error.hint if isinstance(error, StorageError) else None
        raise UsageError(f"nothing can be drawn: {error}", hint=hint) from error
    free = shutil.disk_usage(layout.pictures).free
    if free < _LEAST_FREE:
        raise UsageError(
            f"nothing can be drawn: the disk has only {free // 1024**2} MB free, "
            f"{_LEAST_FREE // 1024**2} MB are needed to begin",
            hint="free some space first",
        )


def sweep(layout: Layout, styles: Iterable[str]) -> None:
    """Remove what a crash left half-written. Only for whoever holds the run's lock."""
    folders = [layout.root, layout.ours, layout.pictures]
    for style in styles:
        folder = layout.style_folder(style)
        folders.append(folder)
        if folder.is_dir() and not folder.is_symlink():
            folders += [
                shot for shot in folder.iterdir() if shot.is_dir() and not shot.is_symlink()
            ]
    for folder in folders:
        files.sweep(folder)


def put_right(layout: Layout, plan: Plan, old: Path, warn: Callable[[str], None]) -> Plan:
    """Convert pictures of other types to PNG, and put aside what is none.

    What was there before goes to the folder `old`. Returns the plan as it is afterwards.
    Raises `StorageError`.
    """
    return Plan(
        styles={
            style: tuple(_put_right(layout, planned, old, warn) for planned in beats)
            for style, beats in plan.styles.items()
        },
        others=plan.others,
    )


def _put_right(layout: Layout, planned: Planned, old: Path, warn: Callable[[str], None]) -> Planned:
    if planned.found in {Found.WHOLE, Found.NOTHING}:
        return planned
    path = layout.picture(planned.beat.style, *planned.beat.key)
    refuse_link(path.parent)
    aside = old / path.relative_to(layout.pictures)
    name = layout.relative(path)
    if planned.found is Found.CONVERTIBLE:
        data = files.read(path, png.MAX_BYTES)
        try:
            converted = png.as_png(data or b"")
        except png.NotAPictureError as error:
            warn(f"{name} is no whole picture ({error})")
        else:
            files.keep_old(path, aside)
            files.write(path, converted)
            return msgspec.structs.replace(planned, found=Found.WHOLE)
    aside = files.move(path, aside)
    warn(f"{name} was torn or no picture: moved to {layout.relative(aside)}, drawn again")
    return msgspec.structs.replace(planned, found=Found.NOTHING, draw=True)
