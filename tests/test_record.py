"""Which run works on a project: one at a time, and a dead one blocks nobody."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from imagegen.errors import Exit, RunActiveError, StorageError, UsageError
from imagegen.project import record
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest, DrawSettings, RunLock, RunRecord
from imagegen.workspace.last_run import suspended_by

_HOLD = """
import sys
from pathlib import Path
from imagegen.errors import RunActiveError
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import RunLock

lock = RunLock(ProjectPaths(Path(sys.argv[1])))
try:
    lock.acquire()
except RunActiveError:
    sys.exit("active")
print("held", flush=True)
sys.stdin.read()
lock.release()
print("released", flush=True)
sys.stdin.close()
"""

RECORD = RunRecord(
    run="20261122120000-abc123",
    root_run="20261122110000-def456",
    pid=4711,
    started="2026-11-22T12:00:00Z",
    asked=DrawRequest(styles=("clear",), beats=("1.1",), force=True, beats_file="/a/b.json"),
)


@pytest.fixture
def layout(tmp_path: Path) -> ProjectPaths:
    """Return a project that is ready to be drawn."""
    layout = ProjectPaths(tmp_path)
    layout.prepare()
    return layout


@contextmanager
def held_elsewhere(layout: ProjectPaths) -> Iterator["subprocess.Popen[str]"]:
    """Hold the project in another process, until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(layout.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_run_is_refused(layout: ProjectPaths) -> None:
    """While another process draws, a run ends with exit 4 and names it; later it may begin."""
    record.write(layout, RECORD)
    with held_elsewhere(layout) as process:
        with pytest.raises(RunActiveError, match="process 4711, since 2026-11-22") as caught:
            RunLock(layout).acquire()
        assert caught.value.exit_code == 4
        assert "imagegen stop" in (caught.value.hint or "")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    lock = RunLock(layout)
    lock.acquire()
    lock.release()


def test_a_run_without_a_record_is_refused_as_well(layout: ProjectPaths) -> None:
    """A run that has only begun is another process."""
    with held_elsewhere(layout), pytest.raises(RunActiveError, match="another command"):
        RunLock(layout).acquire()


def test_a_second_run_is_refused_at_once(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts a second run does not wait for the answer."""
    slept: list[float] = []
    with held_elsewhere(layout):
        monkeypatch.setattr(time, "sleep", slept.append)
        with pytest.raises(RunActiveError):
            RunLock(layout).acquire()
    assert not slept


def test_a_killed_run_blocks_nobody(layout: ProjectPaths) -> None:
    """However a run dies, the next may begin, and nothing looks active."""
    with held_elsewhere(layout) as process:
        assert record.is_active(layout)
        process.kill()
        process.wait(30)
        assert not record.is_active(layout)
        lock = RunLock(layout)
        lock.acquire()
        lock.release()


def test_a_project_is_active_while_a_run_has_it(layout: ProjectPaths) -> None:
    """A project is active from the lock to its release, and not before or after."""
    assert not record.is_active(layout)
    with held_elsewhere(layout) as process:
        assert record.is_active(layout)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
    assert not record.is_active(layout)


def test_looking_never_disturbs_a_run_that_begins(layout: ProjectPaths) -> None:
    """Runs begin one after another while another process never stops looking."""
    look = """
import sys
from pathlib import Path
from imagegen.project import record
from imagegen.project.layout import ProjectPaths
layout = ProjectPaths(Path(sys.argv[1]))
print("looking", flush=True)
while True:
    record.is_active(layout)
"""
    first = RunLock(layout)
    first.acquire()
    first.release()
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", look, str(layout.root)], stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
        for _ in range(20):
            lock = RunLock(layout)
            lock.acquire()
            lock.release()


def test_looking_leaves_no_file(tmp_path: Path) -> None:
    """Asking whether a run is active makes nothing in a project that never had one."""
    assert not record.is_active(ProjectPaths(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lock", "active.lock"])
def test_locks_are_not_taken_through_links(layout: ProjectPaths, name: str) -> None:
    """A lock that somebody made a link is refused, and what it points to is left alone."""
    theirs = layout.root / "theirs"
    theirs.write_text("theirs")
    (layout.state_dir / name).symlink_to(theirs)
    with pytest.raises(UsageError, match="is a symbolic link"):
        RunLock(layout).acquire()
    assert not record.is_active(layout)
    assert theirs.read_text() == "theirs"


def test_a_lock_that_cannot_be_taken_is_told_in_words(layout: ProjectPaths) -> None:
    """A folder where a lock belongs ends the command before anything starts, exit 2."""
    (layout.state_dir / "active.lock").mkdir()
    with pytest.raises(
        StorageError, match=r"active\.lock cannot be written: there is a folder"
    ) as caught:
        RunLock(layout).acquire()
    assert caught.value.exit_code == 2
    (layout.state_dir / "active.lock").rmdir()
    with held_elsewhere(layout):
        assert record.is_active(layout)


def test_a_record_is_read_back(layout: ProjectPaths) -> None:
    """What a run was asked, and how it ended, survives."""
    assert record.read(layout) is None
    record.write(layout, RECORD)
    assert record.read(layout) == RECORD
    ended = msgspec.structs.replace(RECORD, ended="2026-11-22T12:30:00Z", exit_code=3)
    record.write(layout, ended)
    assert record.read(layout) == ended


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"run": 1}',
        b'{"run": "\xff"}',
        msgspec.json.encode(RECORD).replace(b"4711", b'"4711"'),
        msgspec.json.encode(RECORD).replace(b"abc123", b"\\ud800"),
        msgspec.json.encode(RECORD)[:-1],
        msgspec.json.encode(
            msgspec.structs.replace(RECORD, draw_settings=DrawSettings(model="a\0b"))
        ),
        msgspec.json.encode(
            msgspec.structs.replace(RECORD, draw_settings=DrawSettings(beats_file="a\0b"))
        ),
        b'{"asked": ' + b"[" * 100_000,
        b" " * 2**20 + msgspec.json.encode(RECORD),
    ],
)
def test_a_hostile_record_is_none(layout: ProjectPaths, data: bytes) -> None:
    """A run.json that is no record of ours, or without bounds, is as good as none."""
    (layout.state_dir / "run.json").write_bytes(data)
    assert record.read(layout) is None


def test_a_record_that_is_a_link_is_none(layout: ProjectPaths) -> None:
    """A record is not read from elsewhere."""
    record.write(layout, RECORD)
    (layout.state_dir / "run.json").rename(layout.root / "elsewhere")
    (layout.state_dir / "run.json").symlink_to(layout.root / "elsewhere")
    assert record.read(layout) is None


def test_a_record_holds_neither_keys_nor_addresses() -> None:
    """What resuming carries on has no place for a key, a keys file or an address."""
    names = {
        field.name for kind in (DrawRequest, RunRecord) for field in msgspec.structs.fields(kind)
    }
    assert not [name for name in names if "key" in name or "url" in name or "address" in name]


def test_a_request_to_stop_is_for_one_run(layout: ProjectPaths) -> None:
    """A run stops for its own id alone, until the request is forgotten."""
    assert not record.stop_requested(layout, "run-1")
    record.request_stop(layout, "run-1")
    assert record.stop_requested(layout, "run-1")
    assert not record.stop_requested(layout, "run-2")
    assert not record.stop_requested(layout, "run-")
    record.clear_stop(layout)
    assert not record.stop_requested(layout, "run-1")
    record.clear_stop(layout)


def test_ids_of_runs_sort_by_time_and_never_repeat() -> None:
    """Runs that start in one second have different ids, and later ones sort later."""
    ids = [record.new_id("2026-11-22T12:00:00Z") for _ in range(20)]
    assert len(set(ids)) == 20
    assert max(ids) < record.new_id("2026-11-22T12:00:01Z")
    assert all(part.isalnum() for one in ids for part in one.split("-"))
    assert os.sep not in "".join(ids)


def run_of(name: str, code: Exit, left: RunRecord | None = None) -> RunRecord:
    """Return the record of a run that ended so."""
    ended = "2026-11-22T12:05:00Z"
    return msgspec.structs.replace(
        RECORD, run=name, ended=ended, exit_code=code, suspended_run=left
    )


BROKEN = run_of("run-1", Exit.SIGTERM)
NAMED, ALL = DrawRequest(beats=("1.1",)), DrawRequest()


@pytest.mark.parametrize(
    ("before", "asked", "resumed", "left"),
    [
        pytest.param(None, NAMED, None, None, id="the first run"),
        pytest.param(BROKEN, NAMED, None, BROKEN, id="beats in between"),
        pytest.param(BROKEN, ALL, None, None, id="a whole run takes its place"),
        pytest.param(BROKEN, ALL, BROKEN, None, id="it is carried on"),
        pytest.param(run_of("run-2", Exit.OK), NAMED, None, None, id="nothing had broken off"),
        pytest.param(run_of("run-2", Exit.OK, BROKEN), NAMED, None, BROKEN, id="beats twice"),
        pytest.param(run_of("run-2", Exit.OK, BROKEN), ALL, BROKEN, None, id="carried on later"),
        pytest.param(
            run_of("run-2", Exit.SIGINT, BROKEN),
            NAMED,
            run_of("run-2", Exit.SIGINT, BROKEN),
            BROKEN,
            id="what came in between broke off too and is carried on first",
        ),
    ],
)
def test_what_broke_off_is_left_until_it_is_carried_on(
    before: RunRecord | None, asked: DrawRequest, resumed: RunRecord | None, left: RunRecord | None
) -> None:
    """Single beats come in between; a run of all, or `resume`, ends the waiting."""
    assert suspended_by(before, asked, resumed) == left


def test_resume_carries_on_what_broke_off_last() -> None:
    """The run itself, or the one that it came in between of once it is over."""
    assert run_of("run-2", Exit.OK, BROKEN).resumable == BROKEN
    last = run_of("run-2", Exit.SIGINT, BROKEN)
    assert last.resumable == last
