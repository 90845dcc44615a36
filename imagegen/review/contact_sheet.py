"""What a contact sheet shows: each beat with its images side by side, as values."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from imagegen.errors import UsageError
from imagegen.project.beat_ids import BeatId
from imagegen.project.beat_status import Status
from imagegen.project.storyboard import Beat, BeatAddress
from imagegen.review import choices
from imagegen.review.choices import ChangeSinceChosen, Chosen
from imagegen.review.status import BeatState, project_status
from imagegen.workspace.project import Project
from imagegen.workspace.survey import Survey

CHOSEN: Final = "chosen"
"""The only column of a sheet of the chosen images."""
_MOST: Final = 6000
"""Images on one sheet: about 80 MB of HTML, which browsers and mail hardly take."""


class SheetCell(msgspec.Struct, frozen=True, kw_only=True):
    """One image, or why it is missing; `words` is the prompt that was sent for it.

    `problem` says why a beat is in error, `changed` what has changed since it was drawn. Where
    beat numbers changed, `belongs_to` is the beat that the image belongs to.
    """

    style: str
    status: Status
    picture: Path | None = None
    words: str = ""
    problem: str = ""
    changed: tuple[str, ...] = ()
    belongs_to: str = ""
    chosen: bool = False
    flagged: bool = False
    redrawn: bool = False
    placeholder: bool = False
    torn: bool = False
    """The file at the image's place is not a complete image."""


class SheetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One beat, with a cell for each column; None where the style does not have the beat.

    `shot` is the beat's in the first style that has it.
    """

    shot: str
    name: str
    phrase: str
    cells: tuple[SheetCell | None, ...]

    @property
    def words(self) -> str | None:
        """The prompt of all its images if it is the same, else None."""
        different = {cell.words for cell in self.cells if cell is not None}
        return different.pop() if len(different) == 1 else None


class Gallery(msgspec.Struct, frozen=True, kw_only=True):
    """A whole sheet. `columns` are styles, or `CHOSEN` alone; `made` is a time in seconds.

    `moved` counts images in its styles that belong to another beat.
    """

    project: str
    columns: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    aspect_ratio: str
    made: float
    moved: int = 0

    @property
    def shots(self) -> Iterator[tuple[str, list[SheetRow]]]:
        """The rows of each shot, in the storyboard's order."""
        return ((shot, list(rows)) for shot, rows in groupby(self.rows, lambda row: row.shot))

    @property
    def cells(self) -> Iterator[SheetCell]:
        """Every cell, row by row."""
        return (cell for row in self.rows for cell in row.cells if cell is not None)

    @property
    def pictures(self) -> list[Path]:
        """Where its images are, in the order of its cells."""
        return [cell.picture for cell in self.cells if cell.picture is not None]


def gather(project: Project, now: float, *, chosen_only: bool = False) -> Gallery:
    """Gather the sheet of what is asked for: its beats, and the styles that have any of them.

    With `chosen_only` it is of the chosen images alone. `now` is the wall clock's time, in
    seconds. Raises `UsageError` if nothing is to be shown, or too much.
    """
    chosen = choices.chosen(project)
    surveyed = project.survey(now)
    requested = project.selected_beats()
    rows: dict[BeatId, dict[str, Beat]] = {}
    for beat in requested:
        rows.setdefault(project.beat_index.id_of(beat.key), {})[beat.style] = beat
    if chosen_only:
        columns: tuple[str, ...] = (CHOSEN,)
        rows_found = [
            _chosen_row(project, beat_by_style, chosen[beat])
            for beat, beat_by_style in rows.items()
            if beat in chosen
        ]
    else:
        columns = tuple(
            style
            for style in project.styles
            if any(style in beat_by_style for beat_by_style in rows.values())
        )
        looked = _Looked(project, now, surveyed, chosen)
        rows_found = [
            looked.row(beat, beat_by_style, columns) for beat, beat_by_style in rows.items()
        ]
    if not rows_found:
        lack = "nothing is chosen" if chosen_only else "there are no beats"
        raise UsageError(f"{project.layout.name}: {lack}, so there is nothing to show")
    sheet = Gallery(
        project=project.layout.name,
        columns=columns,
        rows=tuple(rows_found),
        aspect_ratio=project.settings.aspect_ratio,
        made=now,
        moved=sum(
            len(surveyed.moves.get(style, ())) for style in {beat.style for beat in requested}
        ),
    )
    count = len(sheet.pictures)
    if count > _MOST:
        hint = "take part of it: --style, --shot, or --chosen"
        raise UsageError(f"{count:,} images are too many for one sheet", hint=hint)
    return sheet


class _Looked:
    """A project's beats as `status` shows them, with what is chosen."""

    def __init__(
        self, project: Project, now: float, surveyed: Survey, chosen: Mapping[BeatId, Chosen]
    ) -> None:
        self._project = project
        self._moves = surveyed.moves
        self._chosen = chosen
        self._beats: dict[BeatAddress, BeatState] = {
            BeatAddress(style, *beat.key): beat
            for style, style_status in project_status(project, now, surveyed).styles.items()
            for beat in style_status.beats
        }

    def row(self, name: BeatId, beats: Mapping[str, Beat], columns: Sequence[str]) -> SheetRow:
        """Return one beat's row."""
        chosen = self._chosen.get(name)
        cells = [self._cell(beats[style], chosen) if style in beats else None for style in columns]
        phrase = next((beat.script_phrase for beat in beats.values() if beat.script_phrase), "")
        shot = next(iter(beats.values())).shot
        return SheetRow(shot=shot, name=name, phrase=phrase, cells=tuple(cells))

    def _cell(self, beat: Beat, choice: Chosen | None) -> SheetCell:
        stands = self._beats[beat.address]
        is_it = choice is not None and choice.style == beat.style
        error = stands.error
        its = self._moves.get(beat.style, {}).get(beat.key)
        root, place = self._project.root, self._project.layout.picture(*beat.address)
        whole = root / stands.image_path if stands.image_path else None
        if whole is None and choice is not None and is_it and (root / choice.image_path).is_file():
            whole = root / choice.image_path
        return SheetCell(
            style=beat.style,
            status=stands.status,
            picture=whole,
            torn=whole is None and os.path.lexists(place),
            words=beat.words,
            problem=f"{error.cause}: {error.message}" if error is not None else "",
            changed=stands.changed if its is None else (),
            belongs_to=self._project.beat_index.id_of(its) if its is not None else "",
            chosen=is_it,
            flagged=choice is not None and is_it and choice.flagged,
            placeholder=stands.placeholder,
            redrawn=choice is not None
            and is_it
            and choices.change_since(self._project, choice) is ChangeSinceChosen.REDRAWN,
        )


def _chosen_row(project: Project, beats: Mapping[str, Beat], choice: Chosen) -> SheetRow:
    places = [project.root / choice.image_path]
    if choice.key is not None:
        places.append(project.layout.picture(choice.style, *choice.key))
    picture = next((place for place in places if place.is_file()), None)
    beat = beats.get(choice.style) or next(iter(beats.values()))
    cell = SheetCell(
        style=choice.style,
        status=Status.COMPLETE if picture is not None else Status.ERROR,
        picture=picture,
        problem="" if picture is not None else "its image is gone",
        words=beat.words,
        flagged=choice.flagged,
        redrawn=choices.change_since(project, choice) is ChangeSinceChosen.REDRAWN,
    )
    return SheetRow(shot=beat.shot, name=choice.beat, phrase=beat.script_phrase, cells=(cell,))
