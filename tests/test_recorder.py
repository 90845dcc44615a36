"""The journal and the progress files: what is written, when, and how much of it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from fakes import FakeClock
from imagegen import files
from imagegen.errors import Exit, StorageError
from imagegen.events.types import BeatCounts, Complete, Event, Progress, WarningEvent
from imagegen.project import progress
from imagegen.project.beat_status import Status
from imagegen.project.layout import ProjectPaths
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import Beat
from imagegen.project.storyboard.hashing import words_hash
from imagegen.runs.recorder import Recorder
from virtual import Show

SMALL = 16 * 1024
ERROR = BeatError(cause="refused", reason="SAFETY", message="it will not")
END = Complete(exit_code=Exit.OK, reason="complete", counts={})


def board(count: int, style: str = "clear") -> tuple[Beat, ...]:
    """Return beats of one shot."""
    return tuple(
        Beat(
            style=style,
            shot="1",
            beat=f"{n}",
            written=f"{n}",
            words=f"{style} {n}",
            own_words=True,
        )
        for n in range(1, count + 1)
    )


def became(beat: Beat, status: Status, *, error: BeatError | None = None, size: int = 0) -> Event:
    """Return the event of a beat that changed."""
    return Progress(
        style=beat.style,
        shot_number=beat.shot,
        beat_number=beat.beat,
        status=status,
        completed=0,
        total=1,
        error=error,
        bytes=size,
    )


def drawn(beat: Beat, size: int = 1_000_000) -> Event:
    """Return the event of a beat that was drawn."""
    return became(beat, Status.COMPLETE, size=size)


@pytest.fixture
def layout(tmp_path: Path) -> ProjectPaths:
    """Return an empty project."""
    layout = ProjectPaths(tmp_path)
    layout.prepare()
    return layout


def recorder(
    layout: ProjectPaths,
    beats: Sequence[Beat],
    *,
    there: Mapping[tuple[str, str], str | None] | None = None,
    errors: Mapping[tuple[str, str], BeatError] | None = None,
    run: str = "run-1",
) -> Recorder:
    """Return what records one style."""
    return Recorder(
        layout,
        run,
        beats={"clear": beats},
        drawn={"clear": there or {}},
        errors={"clear": errors or {}},
        clock=FakeClock(),
    )


def on_disk(layout: ProjectPaths) -> progress.ProgressFile:
    """Return what the progress file says."""
    read = progress.read(layout.progress("clear"))
    assert read is not None
    return read


def hear(recording: Recorder, event: Event) -> None:
    """Let a recorder hear an event, and nothing after it for a while."""
    recording.handle(event)
    recording.tick()


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of all progress files written from now on."""
    sizes: list[int] = []
    write = files.write

    def counting(path: Path, data: bytes) -> None:
        sizes.append(len(data))
        write(path, data)

    monkeypatch.setattr(files, "write", counting)
    return sizes


def test_the_journal_has_every_event_as_it_was_told(tmp_path: Path) -> None:
    """One line an event, the same as a display hears."""
    show = Show(tmp_path, beats={"clear": 3})
    show.layout.prepare()
    beats = [planned.beat for planned in show.plan.styles["clear"]]
    failures: list[BaseException] = []
    show.bus.subscribe(recorder(show.layout, beats), tick=None, failed=failures.append)
    show.draw()

    lines = show.layout.journal("run-1").read_bytes().splitlines()
    assert lines == [msgspec.json.encode(event) for event in show.events]
    assert failures == []
    assert len(on_disk(show.layout).drawn) == 3


def test_the_journal_has_an_event_at_once(layout: ProjectPaths) -> None:
    """Whoever follows a run from outside need not wait for its end."""
    recording = recorder(layout, board(1))
    hear(recording, WarningEvent(message="a"))

    line = layout.journal("run-1").read_bytes()
    assert line.endswith(b"\n")
    assert msgspec.json.decode(line)["message"] == "a"
    recording.close()


def test_a_line_that_the_disk_takes_in_pieces_is_whole(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nearly full disk may take a part of what is written."""
    recording = recorder(layout, board(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda to, data: write(to, bytes(data)[:7]))
    hear(recording, WarningEvent(message="whole"))
    monkeypatch.undo()
    recording.close()

    assert msgspec.json.decode(layout.journal("run-1").read_bytes())["message"] == "whole"


def test_a_progress_file_is_written_at_the_start(layout: ProjectPaths) -> None:
    """It says what is there, whatever an older file said."""
    layout.progress("clear").write_text("torn")
    beats = board(3)
    recording = recorder(layout, beats, there={beats[0].key: words_hash("clear 1")})
    recording.write_all()
    recording.close()

    assert on_disk(layout).drawn == {beats[0].key}
    file = msgspec.json.decode(layout.progress("clear").read_bytes())
    assert file["completedBeats"] == ["1"]
    assert file["words"] == {"1/1": words_hash("clear 1")}


def test_a_small_progress_file_follows_every_success(layout: ProjectPaths) -> None:
    """A run that is killed loses nothing of it."""
    beats = board(5)
    recording = recorder(layout, beats)
    recording.write_all()
    for done, beat in enumerate(beats, 1):
        hear(recording, became(beat, Status.GENERATING))
        hear(recording, drawn(beat, size=70))
        assert len(on_disk(layout).drawn) == done
    recording.close()


def test_an_error_is_written_and_goes_when_the_beat_is_drawn(layout: ProjectPaths) -> None:
    """The file says why a beat has no picture for as long as it has none."""
    beats = board(2)
    recording = recorder(layout, beats)
    hear(recording, became(beats[0], Status.ERROR, error=ERROR))
    assert on_disk(layout).errors == {beats[0].key: ERROR}
    hear(recording, drawn(beats[0]))
    recording.close()

    assert on_disk(layout).errors == {}


def test_a_fault_that_is_tried_again_is_no_error(layout: ProjectPaths) -> None:
    """Only what a beat ended with is kept."""
    beats = board(1)
    recording = recorder(layout, beats)
    hear(recording, became(beats[0], Status.PENDING, error=ERROR))
    hear(recording, END)
    recording.close()

    assert on_disk(layout).errors == {}


def test_errors_of_beats_that_were_not_asked_for_are_kept(layout: ProjectPaths) -> None:
    """A run of one beat forgets nothing of the others, but what is gone or drawn."""
    beats = board(3)
    errors = {beat.key: ERROR for beat in beats} | {("9", "9"): ERROR}
    recording = recorder(layout, beats, there={beats[0].key: None}, errors=errors)
    hear(recording, drawn(beats[1]))
    hear(recording, END)
    recording.close()

    assert on_disk(layout).errors == {beats[2].key: ERROR}


def test_successes_that_come_at_once_are_written_once(
    layout: ProjectPaths, sizes: list[int]
) -> None:
    """While more is to be heard nothing is rewritten; the journal has every event already."""
    beats = board(5)
    recording = recorder(layout, beats)
    for beat in beats:
        recording.handle(drawn(beat))
    assert sizes == []
    recording.tick()
    recording.tick()
    assert len(sizes) == 1
    recording.close()
    assert len(on_disk(layout).drawn) == 5


def test_a_large_progress_file_costs_a_hundredth_of_the_pictures(
    layout: ProjectPaths, sizes: list[int]
) -> None:
    """Beyond 16 KiB it is rewritten as often as that allows, and at the start and end."""
    beats, picture = board(3000), 100_000
    recording = recorder(layout, beats)
    recording.write_all()
    for beat in beats:
        hear(recording, drawn(beat, picture))
    large = [size for size in sizes if size >= SMALL]
    assert 0.8 < sum(large) / (0.01 * picture * len(beats)) < 1.02
    assert len(large) < 60
    assert all(size >= SMALL for size in sizes[sizes.index(large[0]) :])

    hear(recording, END)
    recording.close()
    assert len(on_disk(layout).drawn) == len(beats)


def test_many_errors_do_not_cost_the_square_of_their_number(
    layout: ProjectPaths, sizes: list[int]
) -> None:
    """A storyboard whose every beat fails is written down without rewriting it each time."""
    beats = board(2000)
    recording = recorder(layout, beats)
    for beat in beats:
        hear(recording, became(beat, Status.ERROR, error=ERROR))
    hear(recording, END)
    recording.close()

    assert len(on_disk(layout).errors) == len(beats)
    assert sum(size >= SMALL for size in sizes) == 2


def test_everything_is_written_at_the_end(layout: ProjectPaths) -> None:
    """However the run ended."""
    beats = board(1)
    recording = recorder(layout, beats)
    totals = {"clear": BeatCounts(total=1, pending=1)}
    hear(recording, Complete(exit_code=Exit.SIGINT, reason="interrupted", counts=totals))
    recording.close()

    assert on_disk(layout).last_updated == "2026-11-22T10:00:00Z"


def test_the_file_of_a_style_that_lost_its_beats_is_put_right(layout: ProjectPaths) -> None:
    """It follows the storyboard; a style that never had beats gets no file."""
    recording = recorder(layout, ())
    recording.write_all()
    recording.close()
    assert not layout.progress("clear").exists()

    layout.progress("clear").write_text('{"completedBeats": ["1"], "drawn": [["1", "1"]]}')
    recording = recorder(layout, (), run="run-2")
    recording.write_all()
    recording.close()
    assert on_disk(layout).drawn == frozenset()


def test_five_journals_are_kept(layout: ProjectPaths) -> None:
    """The oldest go; this run's is kept whatever others are called."""
    for run in ("1", "2", "3", "4", "5", "6", "7"):
        recorder(layout, board(1), run=run).close()
    kept = sorted(path.stem for path in layout.journal("1").parent.iterdir())
    assert kept == ["3", "4", "5", "6", "7"]

    recorder(layout, board(1), run="0").close()
    kept = sorted(path.stem for path in layout.journal("1").parent.iterdir())
    assert kept == ["0", "4", "5", "6", "7"]


def test_an_old_journal_that_cannot_be_deleted_is_left(layout: ProjectPaths) -> None:
    """It is no reason not to run."""
    for run in ("1", "2", "3", "4", "5", "6"):
        layout.journal(run).mkdir()

    recorder(layout, board(1), run="7").close()
    assert layout.journal("7").is_file()


def test_a_journal_is_never_written_over(layout: ProjectPaths) -> None:
    """Neither a file that is there, nor where a link leads."""
    layout.journal("run-1").write_text("mine")

    with pytest.raises(StorageError):
        recorder(layout, board(1))
    assert layout.journal("run-1").read_text() == "mine"


def test_a_disk_that_refuses_a_progress_file_is_a_storage_error(layout: ProjectPaths) -> None:
    """Who runs the run is told, in words."""
    recording = recorder(layout, board(1))
    layout.progress("clear").mkdir()
    (layout.progress("clear") / "file").touch()

    with pytest.raises(StorageError):
        hear(recording, drawn(board(1)[0]))
    recording.close()


def test_a_disk_that_refuses_the_journal_is_a_storage_error(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds for the journal."""
    recording = recorder(layout, board(1))

    def full(_to: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="the disk is full"):
        hear(recording, WarningEvent(message="a"))
    monkeypatch.undo()
    recording.close()
