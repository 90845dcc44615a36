"""Which image represents each beat in an export, in the storyboard's order."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from imagegen.errors import UsageError
from imagegen.project.beat_ids import BeatId
from imagegen.project.selections import copies as selected
from imagegen.project.selections import file as selections
from imagegen.project.storyboard import Beat
from imagegen.review import choices
from imagegen.review.choices import ChangeSinceChosen
from imagegen.shell import project_command
from imagegen.toml import did_you_mean
from imagegen.workspace.project import Project

_MOST_SHOWN: Final = 10


class Missing(StrEnum):
    """What happens to beats without an image."""

    FAIL = "fail"
    HOLD = "hold"
    """The image before stays; at the beginning the first that there is."""
    SKIP = "skip"


class SourceImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image file of one beat. `path` is absolute, `name` the base name without its suffix.

    `name` is what selected_images/ calls the image: `Beat_7.3`, or `Beat_7.3_flagged`.
    """

    beat: BeatId
    style: str
    flagged: bool
    path: Path
    name: str


class ExportBeat(msgspec.Struct, frozen=True, kw_only=True):
    """One beat of an export.

    `row` is the beat's storyboard row in the style of its image, or in the first style that has
    the beat; `rows` are those of all styles. `image` is None if the beat is skipped; `held` says
    that it is the image of another beat.
    """

    beat: BeatId
    row: Beat
    rows: tuple[Beat, ...]
    image: SourceImage | None
    held: bool = False


def select(
    project: Project, missing: Missing = Missing.FAIL, fallback: str | None = None
) -> list[ExportBeat]:
    """Return the requested beats with their chosen images, in the storyboard's order.

    `fallback` is the style whose images are used for beats without a choice. Raises
    `UsageError` for an unknown style, if a beat has no image and `missing` is `FAIL`, and if
    none has one.
    """
    if fallback is not None and fallback not in project.beats:
        styles = ", ".join(project.beats)
        hint = did_you_mean(fallback, project.beats) or f"there are: {styles}"
        raise UsageError(f'no style "{fallback}" in this project', hint=hint)
    rows: dict[BeatId, list[Beat]] = {}
    for row in project.selected_beats():
        rows.setdefault(project.beat_index.id_of(row.key), []).append(row)
    images = {image.beat: image for image in source_images(project, fallback)}
    absent = [beat for beat in rows if beat not in images]
    if absent and (missing is Missing.FAIL or len(absent) == len(rows)):
        raise _no_image(project, absent, len(rows))
    return list(_fill(rows, images, missing))


def _fill(
    rows: dict[BeatId, list[Beat]], images: dict[BeatId, SourceImage], missing: Missing
) -> Iterator[ExportBeat]:
    last = next((images[beat] for beat in rows if beat in images), None)
    for beat, beat_rows in rows.items():
        image = images.get(beat)
        is_held = image is None and missing is Missing.HOLD
        if image is not None:
            last = image
        style = image.style if image is not None else beat_rows[0].style
        row = next((row for row in beat_rows if row.style == style), beat_rows[0])
        yield ExportBeat(
            beat=beat,
            row=row,
            rows=tuple(beat_rows),
            image=last if is_held else image,
            held=is_held,
        )


def source_images(project: Project, fallback: str | None = None) -> Iterator[SourceImage]:
    """Yield the image of each beat that has one; of beats without a choice that of `fallback`.

    The copy in selected_images/ comes first, since a person may have retouched it; without one
    it is the generated image. Raises `UsageError` if image_selections.json cannot be read.
    """
    chosen = choices.chosen(project)
    for beat in project.beat_ids:
        choice = chosen.get(beat)
        if choice is not None:
            paths = [project.layout.root / choice.image_path]
            if choice.key is not None:
                paths.append(project.layout.picture(choice.style, *choice.key))
            style, flagged, name = choice.style, choice.flagged, paths[0].stem
        elif fallback is not None and (key := project.beat_index.key(beat, fallback)):
            paths = [project.layout.picture(fallback, *key)]
            file = selections.file_of(beat)
            style, flagged, name = fallback, False, Path(file or paths[0].name).stem
        else:
            continue
        path = next((path for path in paths if selected.is_file(str(path))), None)
        if path is not None:
            yield SourceImage(beat=beat, style=style, flagged=flagged, path=path, name=name)


def redrawn(project: Project) -> list[str]:
    """Return the beats whose image was drawn again since it was chosen, by their names.

    The copy that is exported is the one that was chosen. Raises as `source_images` does.
    """
    standing = choices.describe(project)
    return [
        choice.name
        for choice in standing
        if choice.since is ChangeSinceChosen.REDRAWN and choice.image_path
    ]


def redrawn_warnings(project: Project) -> list[str]:
    """Return a warning if images were redrawn since they were chosen."""
    names = redrawn(project)
    said = "redrawn since they were chosen, the chosen images are exported"
    return [f"{said}: {some(names)}"] if names else []


def some(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - _MOST_SHOWN:,} more" if len(names) > _MOST_SHOWN else ""
    return f"{', '.join(names[:_MOST_SHOWN])}{more}"


def _no_image(project: Project, absent: list[BeatId], count: int) -> UsageError:
    name = project.layout.name
    if len(absent) == count:
        choose = project_command("choose", project.layout.typed, "--all", "STYLE")
        hint = f"{choose}, or add --choose STYLE"
        return UsageError(f"{name}: no beat has a chosen image", hint=hint)
    more = f" and {len(absent) - _MOST_SHOWN:,} more" if len(absent) > _MOST_SHOWN else ""
    beats = "1 beat has" if len(absent) == 1 else f"{len(absent):,} beats have"
    return UsageError(
        f"{name}: {beats} no chosen image: {', '.join(absent[:_MOST_SHOWN])}{more}",
        hint="choose, or add --missing hold, --missing skip or --choose STYLE",
    )
