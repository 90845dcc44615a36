"""Makes a film of a project's chosen images, and renders only the clips that changed."""

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from fractions import Fraction
from pathlib import Path
from typing import Final

import msgspec

from imagegen import encoding, files
from imagegen.errors import UsageError
from imagegen.export import record, selection
from imagegen.export.animatic import clips, motion
from imagegen.export.animatic.clips import Clip, Look, Shown
from imagegen.export.animatic.ffmpeg import Ffmpeg
from imagegen.export.animatic.motion import Move
from imagegen.export.record import ExportRecord, ImageRecord
from imagegen.export.selection import Missing
from imagegen.export.timeline import timing, transcript, voiceover
from imagegen.export.timeline.export import size_of
from imagegen.export.timeline.frames import RATES, Rate, cumulative
from imagegen.export.timeline.timing import Source, Timed
from imagegen.export.timeline.voiceover import Voiceover
from imagegen.images import lettering
from imagegen.images.formats import NotAPictureError
from imagegen.project.file_lock import exclusive
from imagegen.project.selections import copies
from imagegen.workspace.project import Project

KIND: Final = "animatic"
FILE: Final = "animatic.mp4"
_FOLDER: Final = "animatic"
"""In `.imagegen`: the clips, and the record of the film."""
_LOCK: Final = "animatic.lock"
_OURS: Final = re.compile(r"[0-9a-f]{32}\.mp4|sound_\d+\.wav")
_DISSOLVES: Final = re.compile(r"fade|dissol|wipe|overlap|mix", re.IGNORECASE)
"""The transitions that are not a cut; H and C always are."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a film is made. `rate` is a name of `frames.RATES`, `size` in pixels.

    `still` moves nothing, `dissolve` is how many seconds one image fades into the next if its
    transition is not a cut, `captions` shows what is said, `fill` crops images of another shape.
    `words` is the file of a transcription, `output` that of the film. `typed` are the options of
    the command that differ from its defaults, to repeat it.
    """

    rate: str = "30"
    size: tuple[int, int] | None = None
    still: bool = False
    dissolve: float = 0
    captions: bool = False
    fill: bool = False
    missing: Missing = Missing.FAIL
    fallback: str | None = None
    words: Path | None = None
    output: Path | None = None
    typed: tuple[str, ...] = ()


class FilmBeat(msgspec.Struct, frozen=True, kw_only=True):
    """A beat in the film and its number of frames. `style` is None if there is no image."""

    beat: str
    style: str | None
    frames: int
    source: Source
    held: bool


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export made. `rendered` is how many clips were not there; `written` if the film was.

    `size` is in bytes, `rate` in frames a second.
    """

    film: Path
    size: int
    width: int
    height: int
    rate: Fraction
    frames: int
    beats: tuple[FilmBeat, ...]
    rendered: int
    written: bool
    has_sound: bool
    warnings: tuple[str, ...]


Progress = Callable[[int, int], None]
"""Is called with how many frames are rendered, and of how many."""


def export(
    project: Project, options: Options, encoder: Ffmpeg, progress: Progress = lambda *_: None
) -> Exported:
    """Write the film of a project's chosen images.

    Raises `UsageError` for beats without an image, for times, images and recordings that cannot
    be used, and if a file that is not from an export would be replaced; `StorageError`. If it is
    interrupted, the clips that are rendered stay.
    """
    film = (options.output or project.layout.root / FILE).absolute()
    with exclusive(project.layout, _LOCK, str(film)):
        return _Export(project, options, encoder, film).write(progress)


class _Export:
    def __init__(self, project: Project, options: Options, encoder: Ffmpeg, film: Path) -> None:
        self._project = project
        self._options = options
        self._encoder = encoder
        self._film = film
        root = project.layout.root
        self._name = film.relative_to(root).as_posix() if film.is_relative_to(root) else str(film)
        self._folder = project.layout.state_dir / _FOLDER
        self._before = record.read(self._folder)
        self._rate = Rate(RATES[options.rate])
        width, height = options.size or size_of(project.settings.aspect_ratio)
        rate = float(self._rate.exact)
        self._look = Look(width=width, height=height, rate=rate, fill=options.fill)
        self._warnings: list[str] = []

    def write(self, progress: Progress) -> Exported:
        root = self._project.layout.root
        record.require_ours(root, [self._name], self._before)
        beats = selection.select(self._project, self._options.missing, self._options.fallback)
        self._warnings += selection.redrawn_warnings(self._project)
        flagged = [b.beat for b in beats if b.image is not None and b.image.flagged and not b.held]
        if flagged:
            self._warnings.append(f"flagged for another look: {selection.some(flagged)}")
        narration = voiceover.load(self._project.layout)
        timed = self._time_beats(beats, narration)
        sources = [entry.beat.image for entry in timed if entry.beat.image is not None]
        images = record.image_records(self._project, sources, self._before)
        ends = cumulative([entry.seconds for entry in timed], self._rate)
        lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        made = list(self._clips(timed, lengths, images))
        keys = [clip.key(self._look, self._encoder.version) for clip in made]
        files.make_folder(self._folder)
        files.remove_stale(self._folder)
        files.sweep_once(self._film.parent)
        rendered = self._render(dict(zip(keys, made, strict=True)), progress)
        sounds = self._sounds(narration)
        state = self._state(keys, sounds)
        before = self._before.files.get(self._name) if self._before is not None else None
        written = before != state or not copies.is_file(str(self._film))
        if written:
            self._encoder.join(
                self._folder,
                [f"{key}.mp4" for key in keys],
                self._of_one_format(sounds, narration),
                self._film,
                rate=self._rate.exact,
                frames=ends[-1],
                title=self._project.layout.name,
            )
        self._write_record(state, images)
        self._remove_others(keys)
        return Exported(
            film=self._film,
            size=self._film.stat().st_size,
            width=self._look.width,
            height=self._look.height,
            rate=self._rate.exact,
            frames=ends[-1],
            beats=tuple(_film_beat(entry, n) for entry, n in zip(timed, lengths, strict=True)),
            rendered=rendered,
            written=written,
            has_sound=bool(sounds),
            warnings=tuple(self._warnings),
        )

    def _time_beats(
        self, beats: Sequence[selection.ExportBeat], narration: Voiceover | None
    ) -> list[Timed]:
        words = self._options.words
        spoken = transcript.load(words) if words is not None else None
        timed = timing.time(beats, timing.clock(spoken, narration))
        self._warnings += filter(None, [timing.mismatch(timed, narration, self._rate)])
        if self._options.captions and not all(lettering.writes(entry.phrase) for entry in timed):
            self._warnings.append(
                "captions show bars for letters that their font does not have; "
                "export timeline writes all as SRT"
            )
        return timed

    def _clips(
        self, timed: Sequence[Timed], lengths: Sequence[int], images: dict[str, ImageRecord]
    ) -> Iterator[Clip]:
        """Yield the clip of each beat. An image moves on while the next one fades in."""
        fades = [
            self._dissolve(entry, n) if at else 0
            for at, (entry, n) in enumerate(zip(timed, lengths, strict=True))
        ]
        before: Shown | None = None
        for at, (entry, length) in enumerate(zip(timed, lengths, strict=True)):
            tail = fades[at + 1] if at + 1 < len(fades) else 0
            still = self._source_of(entry, length + tail, images)
            yield Clip(
                frames=length,
                shown=still,
                before=before if fades[at] else None,
                dissolve=fades[at],
                caption=entry.phrase if self._options.captions else "",
            )
            before = still

    def _dissolve(self, entry: Timed, length: int) -> int:
        """Return for how many frames an image fades in: at most half of its own."""
        if not _DISSOLVES.search(entry.beat.row.transition):
            return 0
        return min(round(self._options.dissolve * self._look.rate), length // 2)

    def _source_of(self, entry: Timed, frames: int, images: dict[str, ImageRecord]) -> Shown | None:
        image = entry.beat.image
        if image is None:
            return None
        sha256 = images[image.beat].sha256
        move = Move.NONE if self._options.still else motion.move_of(sha256)
        return Shown(path=image.path, sha256=sha256, move=move, frames=frames)

    def _render(self, made: dict[str, Clip], progress: Progress) -> int:
        """Render the clips that are not there, at the same time; returns how many."""
        todo = {
            key: clip
            for key, clip in made.items()
            if not copies.is_file(str(self._folder / f"{key}.mp4"))
        }
        if not todo:
            return 0
        counter = _Counter(sum(clip.frames for clip in todo.values()), progress)
        stopped = threading.Event()
        with ThreadPoolExecutor(min(len(todo), os.cpu_count() or 1)) as pool:
            try:
                futures = [
                    pool.submit(self._render_one, key, clip, counter, stopped)
                    for key, clip in todo.items()
                ]
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                # Whatever ends one, Ctrl-C or a full disk, ends the others at their next frame.
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return len(todo)

    def _render_one(
        self, key: str, clip: Clip, counter: "_Counter", stopped: threading.Event
    ) -> None:
        def count_frames() -> Iterator[bytes]:
            for frame in clips.frames(clip, self._look):
                if stopped.is_set():
                    raise InterruptedError
                yield frame
                counter.add()

        try:
            target = self._folder / f"{key}.mp4"
            self._encoder.encode(count_frames(), target, self._look, self._rate.exact)
        except NotAPictureError as error:
            path = clip.shown.path if clip.shown is not None else ""
            raise UsageError(f"{path}: {error}", hint="draw or choose another image") from error

    def _sounds(self, narration: Voiceover | None) -> list[str]:
        """Return the recordings, relative to the folder of the clips."""
        if narration is None:
            return []
        up = Path("../..")
        root = self._project.layout.root
        return [
            (up / recording.path.relative_to(root)).as_posix() for recording in narration.recordings
        ]

    def _of_one_format(self, sounds: Sequence[str], narration: Voiceover | None) -> Sequence[str]:
        """Return recordings that can be joined: the same, or converted ones."""
        recordings = narration.recordings if narration is not None else ()
        if (
            len(
                {
                    (recording.sample_rate, recording.channels, recording.bits)
                    for recording in recordings
                }
            )
            < 2
        ):
            return sounds
        names = [f"sound_{number}.wav" for number in range(len(sounds))]
        for sound, name in zip(sounds, names, strict=True):
            self._encoder.convert(sound, self._folder / name)
        return names

    def _state(self, keys: Sequence[str], sounds: Sequence[str]) -> str:
        """Return what the film is made from; another one is another film."""
        marks = [files.stat_signature((self._folder / sound).stat()) for sound in sounds]
        return copies.sha256(encoding.to_json([keys, sounds, marks, self._project.layout.name]))

    def _write_record(self, state: str, images: dict[str, ImageRecord]) -> None:
        options = self._options
        record.write(
            self._folder,
            ExportRecord(
                kind=KIND,
                fallback=options.fallback,
                options=options.typed,
                output=self._name,
                settings=msgspec.to_builtins(self._look),
                images=tuple(images.values()),
                files={self._name: state},
            ),
        )

    def _remove_others(self, keys: Sequence[str]) -> None:
        """Remove clips that this film does not have, and what was converted for it."""
        clip_files = {f"{key}.mp4" for key in keys}
        for name in os.listdir(self._folder):  # noqa: PTH208  # names alone
            if _OURS.fullmatch(name) and name not in clip_files:
                (self._folder / name).unlink(missing_ok=True)


class _Counter:
    """Counts frames of several threads."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._lock = threading.Lock()
        self._done = 0
        self._total = total
        self._progress = progress
        progress(0, total)

    def add(self) -> None:
        with self._lock:
            self._done += 1
            self._progress(self._done, self._total)


def _film_beat(entry: Timed, frames: int) -> FilmBeat:
    image = entry.beat.image
    return FilmBeat(
        beat=entry.beat.beat,
        style=image.style if image is not None else None,
        frames=frames,
        source=entry.source,
        held=entry.beat.held,
    )
