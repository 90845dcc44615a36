"""The board that the page shows: a row per beat, a cell per style."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from imagegen.project.beat_ids import BeatId
from imagegen.project.beat_status import Status, StatusCounts, count_statuses
from imagegen.project.layout import ProjectPaths
from imagegen.project.progress import BeatError
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat
from imagegen.review.status import BeatState, ProjectStatus, StyleStatus, project_status
from imagegen.web.fingerprints import file_fingerprint, project_fingerprint, referenced_paths
from imagegen.workspace import moved_numbers
from imagegen.workspace.opening import open_project
from imagegen.workspace.project import Project

_DRAWN: Final = frozenset({Status.COMPLETE, Status.OUTDATED})


class BoardCell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One style's image of a beat. `version` changes with the file; None: there is none.

    `shot` and `prompt` are set if they are not the row's; `blocked_by` is the number of the beat
    of its shot that must be fixed first. A `placeholder` is a sketch that the next run
    replaces; `misfit` says how it differs from the request.
    """

    status: Status
    shot: str | None = None
    version: str | None = None
    error: BeatError | None = None
    changed: tuple[str, ...] = ()
    blocked_by: str | None = None
    placeholder: bool = False
    prompt: str | None = None
    misfit: str | None = None


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """A beat, with its image in each style that has it.

    `name` is what it is called; `shot` and `beat` are its numbers in the first of the styles.
    """

    name: BeatId
    shot: str
    beat: str
    phrase: str
    prompt: str
    cells: dict[str, BoardCell]


class StyleCounts(StatusCounts, frozen=True, kw_only=True, rename="camel"):
    """A style's beats by status; `completed_beats` are numbers as the beats file writes them."""

    completed_beats: tuple[str, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A project as it was at one moment. `price` is about what an image costs, in US dollars.

    `moved` counts images with the words of another beat; `way_out` says what helps then.
    """

    project: str
    provider: str
    model: str | None
    price: float | None
    image_size: str
    aspect_ratio: str
    moved: int
    way_out: str
    styles: Mapping[str, StyleCounts]
    rows: tuple[BoardRow, ...]


@dataclass(frozen=True)
class _Read:
    signature: int
    project: Project
    board: Board


class BoardCache:
    """Reads a project's board, and reloads it if one of its files has changed.

    `root` is its folder as typed, for messages; `asked` is the command's selection, by which
    images are judged and which the page's runs use. The methods wait for files;
    any thread may call them. `_lock` guards what was read last, and what the project names from
    which that was made.
    """

    def __init__(self, root: Path, request: DrawRequest) -> None:
        self.layout = ProjectPaths(root)
        self.asked = request
        self._root = root
        self._lock = threading.Lock()
        self._read: _Read | None = None
        self._named: tuple[str, ...] = ()

    def read(self) -> Board:
        """Return the board as it is now. Raises `ImagegenError` for a faulty project."""
        return self._now().board

    def project(self) -> Project:
        """Return the project as it is now: the same one, until something has changed."""
        return self._now().project

    def require_unmoved(self) -> Project:
        """Return the project as `project` does. Raises `UsageError` if beat numbers changed."""
        now = self._now()
        if now.board.moved:
            survey = now.project.survey(time.time())
            moved_numbers.require_numbers_unmoved(
                now.project, survey, now.project.styles, "Nothing was chosen"
            )
        return now.project

    def _now(self) -> "_Read":
        with self._lock:
            fingerprint = project_fingerprint(self.layout, self._named)
            if self._read is None or self._read.signature != fingerprint:
                self._read = self._reload(fingerprint)
            return self._read

    def _reload(self, fingerprint: int) -> "_Read":
        project = open_project(self._root, self.asked, wall=time.time())
        paths = referenced_paths(project)
        if paths != self._named:
            # Files are marked before they are read: a change between the two would not be seen.
            self._named = paths
            return self._reload(project_fingerprint(self.layout, paths))
        return _Read(fingerprint, project, _board(project, project_status(project, time.time())))

    def picture(self, style: str, shot: str, beat: str) -> Path | None:
        """Return where a beat's image belongs; None for what is no beat of the project.

        Raises `ImagegenError` for a faulty project.
        """
        last = self._read
        if last is None or (shot, beat) not in last.project.beat_ids_by_style.get(style, ()):
            last = self._now()
        exists = (shot, beat) in last.project.beat_ids_by_style.get(style, ())
        return self.layout.picture(style, shot, beat) if exists else None


def _board(project: Project, report: ProjectStatus) -> Board:
    settings = project.settings
    rows: dict[BeatId, dict[str, tuple[Beat, BeatState]]] = {}
    order: dict[BeatId, int] = {}
    for style, beats in project.beats.items():
        for beat, state in zip(beats, report.styles[style].beats, strict=True):
            name = project.beat_index.id_of(beat.key)
            rows.setdefault(name, {})[style] = (beat, state)
            order[name] = max(order.get(name, 0), beat.row)
    return Board(
        project=report.project,
        provider=settings.provider,
        model=settings.model,
        price=report.price,
        image_size=settings.image_size,
        aspect_ratio=settings.aspect_ratio,
        moved=sum(style.moved for style in report.styles.values()),
        way_out=moved_numbers.renumber_hint(project),
        styles={
            style: _counts(project.beats[style], status) for style, status in report.styles.items()
        },
        rows=tuple(
            _row(project.layout, name, rows[name]) for name in sorted(rows, key=order.__getitem__)
        ),
    )


def _row(
    layout: ProjectPaths, name: BeatId, styles: Mapping[str, tuple[Beat, BeatState]]
) -> BoardRow:
    first = next(iter(styles.values()))[0]
    return BoardRow(
        name=name,
        shot=first.shot,
        beat=first.beat,
        phrase=next((beat.script_phrase for beat, _ in styles.values() if beat.script_phrase), ""),
        prompt=first.words,
        cells={
            style: BoardCell(
                status=state.status,
                shot=beat.shot if beat.shot != first.shot else None,
                version=file_fingerprint(layout.picture(style, *beat.key))
                if state.image_path
                else None,
                error=state.error,
                changed=state.changed,
                blocked_by=state.blocked_by,
                placeholder=state.placeholder,
                misfit=state.misfit,
                prompt=beat.words if beat.words != first.words else None,
            )
            for style, (beat, state) in styles.items()
        },
    )


def _counts(beats: Sequence[Beat], status: StyleStatus) -> StyleCounts:
    written: dict[str, bool] = {}
    for beat, beat_status in zip(beats, status.beats, strict=True):
        written[beat.written] = written.get(beat.written, True) and beat_status.status in _DRAWN
    return StyleCounts(
        **count_statuses([beat_status.status for beat_status in status.beats]),
        completed_beats=tuple(number for number, drawn in written.items() if drawn),
    )
