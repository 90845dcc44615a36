"""Makes a timeline of a project and writes it in every format that is asked for."""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.export import record, selection
from imagegen.export.folder import folder_of
from imagegen.export.record import ExportRecord, ImageRecord
from imagegen.export.selection import ExportBeat, Missing
from imagegen.export.timeline import (
    edl,
    fcp7,
    fcpxml,
    media,
    otio,
    tables,
    timing,
    transcript,
    voiceover,
)
from imagegen.export.timeline.frames import RATES, Rate, cumulative
from imagegen.export.timeline.media import Source as MediaSource
from imagegen.export.timeline.model import MARKERS, Clip, Sound, Still, Timeline, one_line
from imagegen.export.timeline.timing import Source, Timed
from imagegen.export.timeline.voiceover import Voiceover
from imagegen.project import storyboard
from imagegen.project.file_lock import exclusive
from imagegen.project.layout import reject_symlink
from imagegen.project.storyboard import Beat
from imagegen.workspace.project import Project

KIND: Final = "timeline"
FOLDER: Final = "export"
FORMATS: Final = ("otio", "fcp7", "fcpxml", "edl", "srt", "csv", "scan")
_LOCK: Final = "export.lock"
_STORYBOARDS: Final = "storyboards"
_SHORT_SIDE: Final = 1080
_EDL_PART: Final = re.compile(r"timeline_\d+\.edl")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a timeline is exported. `rate` is a name of `frames.RATES`, `size` in pixels.

    `words` is the file of a transcription. `typed` are the options of the command that differ
    from its defaults, to repeat it.
    """

    formats: tuple[str, ...] = FORMATS
    rate: str = "30"
    size: tuple[int, int] | None = None
    missing: Missing = Missing.FAIL
    fallback: str | None = None
    words: Path | None = None
    svg: bool = False
    folder: Path | None = None
    typed: tuple[str, ...] = ()


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote. `folder` is absolute; files are relative to it.

    `written` are the files that were new or had changed, `files` all of them.
    """

    folder: Path
    timeline: Timeline
    files: tuple[str, ...]
    written: tuple[str, ...]
    warnings: tuple[str, ...]


def export(project: Project, options: Options) -> Exported:
    """Write the timeline of a project's chosen images, and the images themselves.

    What has not changed since the last export is not written again. Raises `UsageError` for
    beats without an image, for times and recordings that cannot be used, and if a file that is
    not from an export would be replaced; `StorageError`.
    """
    folder = folder_of(project.layout, options.folder, FOLDER)
    reject_symlink(folder / media.FOLDER)
    with exclusive(project.layout, _LOCK, str(folder)):
        return _Export(project, options, folder).write()


class _Export:
    def __init__(self, project: Project, options: Options, folder: Path) -> None:
        self._project = project
        self._options = options
        self._folder = folder
        self._rate = Rate(RATES[options.rate])
        self._before = record.read(folder)
        self._files_before = self._before.files if self._before is not None else {}
        self._warnings: list[str] = []

    def write(self) -> Exported:
        options = self._options
        beats = self._with_storyboards(
            selection.select(self._project, options.missing, options.fallback)
        )
        self._warnings += selection.redrawn_warnings(self._project)
        narration = voiceover.load(self._project.layout)
        timed = self._time_beats(beats, narration)
        images = [
            entry.beat.image
            for entry in timed
            if entry.beat.image is not None and not entry.beat.held
        ]
        records = record.image_records(self._project, images, self._before)
        stills, lacking = media.images(self._project, images, records, svg=options.svg)
        if lacking:
            some = selection.some(lacking)
            self._warnings.append(f"no current SVG, the PNG is used: {some} (imagegen export svg)")
        recordings = media.recordings(narration.recordings) if narration is not None else []
        timeline = self._timeline(timed, stills, narration, recordings)
        return self._write(timeline, records, [*stills.values(), *recordings])

    def _with_storyboards(self, beats: Sequence[ExportBeat]) -> list[ExportBeat]:
        """Add the rows of `storyboards/` if the beats were read from elsewhere.

        The pipeline's prompts have no texts, sounds and times: its storyboards have.
        """
        project = self._project
        is_read = Path(project.storyboard.source).parts[:1] == (_STORYBOARDS,)
        if is_read or not (project.layout.root / _STORYBOARDS).is_dir():
            return list(beats)
        try:
            board = storyboard.load(
                project.root, tuple(project.settings.styles), beats=Path(_STORYBOARDS)
            )
        except UsageError as error:
            self._warnings.append(f"{_STORYBOARDS}/ is not used: {error.message}")
            return list(beats)
        rows: dict[str, list[Beat]] = {}
        for style_rows in board.beats.values():
            for row in style_rows:
                rows.setdefault(project.beat_index.id_of(row.key), []).append(row)
        return [
            msgspec.structs.replace(beat, rows=(*beat.rows, *rows.get(beat.beat, ())))
            for beat in beats
        ]

    def _time_beats(self, beats: Sequence[ExportBeat], narration: Voiceover | None) -> list[Timed]:
        words = transcript.load(self._options.words) if self._options.words is not None else None
        clock = timing.clock(words, narration)
        timed = timing.time(beats, clock)
        sources = {entry.source for entry in timed}
        if words is not None and Source.WORDS not in sources:
            self._warnings.append("the beats have times of their own: --words is not used")
        if clock is not None:
            unheard = [
                entry.beat.beat
                for entry in timed
                if entry.source is Source.ESTIMATED and entry.phrase
            ]
            if unheard:
                self._warnings.append(f"not found in the narration: {selection.some(unheard)}")
        self._warnings += filter(None, [timing.mismatch(timed, narration, self._rate)])
        return timed

    def _timeline(
        self,
        timed: Sequence[Timed],
        stills: Mapping[str, MediaSource],
        narration: Voiceover | None,
        recordings: Sequence[MediaSource],
    ) -> Timeline:
        ends = cumulative([entry.seconds for entry in timed], self._rate)
        starts = [0, *ends]
        clips = (
            self._clip(entry, stills, start, end)
            for entry, start, end in zip(timed, starts, ends, strict=False)
        )
        width, height = self._options.size or size_of(self._project.settings.aspect_ratio)
        return Timeline(
            name=one_line(self._project.layout.name),
            rate=self._rate,
            width=width,
            height=height,
            clips=tuple(clips),
            sounds=tuple(self._sounds(narration, recordings)) if narration is not None else (),
        )

    def _clip(self, entry: Timed, stills: Mapping[str, MediaSource], start: int, end: int) -> Clip:
        beat, image = entry.beat, entry.beat.image
        texts = {name: timing.field(beat, name) for name in MARKERS}
        return Clip(
            beat=beat.beat,
            written=one_line(beat.row.written),
            shot=beat.row.shot,
            style=image.style if image is not None else "",
            transition=one_line(beat.row.transition),
            phrase=one_line(entry.phrase),
            texts={name: one_line(str(text)) for name, text in texts.items() if text is not None},
            source=entry.source,
            start=start,
            end=end,
            still=self._still(stills[image.beat]) if image is not None else None,
            flagged=image is not None and image.flagged,
            held=beat.held,
        )

    def _still(self, source: MediaSource) -> Still:
        path = self._folder / source.file
        return Still(file=source.file, path=path, width=source.width, height=source.height)

    def _sounds(self, narration: Voiceover, sources: Sequence[MediaSource]) -> list[Sound]:
        sounds, time = [], Fraction(0)
        for recording, source in zip(narration.recordings, sources, strict=True):
            start, time = self._rate.frames(time), time + recording.seconds
            end = self._rate.frames(time)
            if end > start:
                path = self._folder / source.file
                sounds.append(
                    Sound(file=source.file, path=path, recording=recording, start=start, end=end)
                )
        return sounds

    def _write(
        self, timeline: Timeline, records: Mapping[str, ImageRecord], sources: list[MediaSource]
    ) -> Exported:
        texts = self._texts(timeline)
        made_from = {source.file: source.sha256 for source in sources} | dict.fromkeys(texts, "")
        record.require_ours(self._folder, made_from, self._before)
        files.make_folder(self._folder / media.FOLDER)
        files.remove_stale(self._folder / media.FOLDER)
        # If this is interrupted, its files are known to be ours, and all of it to be outdated.
        self._record(self._files_before | made_from, ())
        written = [
            source.file
            for source in sources
            if media.place(self._folder, source, self._files_before)
        ]
        for name, data in texts.items():
            path = self._folder / name
            if files.read(path, len(data)) != data:
                files.write(path, data)
                written.append(name)
        self._remove(made_from)
        other_files = {
            name: ""
            for name in self._files_before
            if "/" not in name and not self._is_other_list(name)
        }
        self._record(other_files | made_from, records.values())
        return Exported(
            folder=self._folder,
            timeline=timeline,
            files=tuple(made_from),
            written=tuple(written),
            warnings=tuple(self._warnings),
        )

    def _remove(self, made_from: Mapping[str, str]) -> None:
        """Remove what the last export wrote and this one has no use for.

        Formats that were not asked for this time stay as they are.
        """
        for name in self._files_before.keys() - made_from.keys():
            path = self._folder / name
            if path.parent == self._folder / media.FOLDER or self._is_other_list(name):
                path.unlink(missing_ok=True)

    def _is_other_list(self, name: str) -> bool:
        return "edl" in self._options.formats and _EDL_PART.fullmatch(name) is not None

    def _record(self, made_from: dict[str, str], images: Any) -> None:
        options = self._options
        record.write(
            self._folder,
            ExportRecord(
                kind=KIND,
                fallback=options.fallback,
                options=options.typed,
                settings={"fps": options.rate, "formats": list(options.formats)},
                images=tuple(images),
                files=made_from,
            ),
        )

    def _texts(self, timeline: Timeline) -> dict[str, bytes]:
        texts: dict[str, bytes] = {}
        for name in self._options.formats:
            texts |= _WRITERS[name](timeline)
        return texts


def _edl(timeline: Timeline) -> dict[str, bytes]:
    names = ("timeline.edl", *(f"timeline_{number}.edl" for number in range(2, 10_000)))
    return dict(zip(names, edl.texts(timeline), strict=False))


_WRITERS: Final[dict[str, Callable[[Timeline], dict[str, bytes]]]] = {
    "otio": lambda timeline: {"timeline.otio": otio.text(timeline)},
    "fcp7": lambda timeline: {"timeline.xml": fcp7.text(timeline)},
    "fcpxml": lambda timeline: {"timeline.fcpxml": fcpxml.text(timeline)},
    "edl": _edl,
    "srt": lambda timeline: {"timeline.srt": tables.srt(timeline)},
    "csv": lambda timeline: {"timeline.csv": tables.table(timeline)},
    "scan": lambda timeline: {"pre_edit_scan.json": tables.scan(timeline)},
}


def size_of(aspect_ratio: str) -> tuple[int, int]:
    """Return the frame of a ratio such as `16:9`: its shorter side has 1080 pixels."""
    across, down = map(int, aspect_ratio.split(":"))
    longer = round(_SHORT_SIDE * max(across, down) / min(across, down) / 2) * 2
    return (longer, _SHORT_SIDE) if across >= down else (_SHORT_SIDE, longer)
