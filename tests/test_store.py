"""Where budgets are kept between runs: private, whole, and never in a run's way."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from fakes import FakeClock
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.paths import state_folder
from imagegen.quota.budget import MARGIN, WINDOW
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease, Throttled
from imagegen.quota.store import SqliteStore, StoreUnavailableError
from imagegen.secret import Secret

KEY = "test-key-alpha-000001"
MINUTE = WINDOW + MARGIN
posix = pytest.mark.skipif(os.name != "posix", reason="file modes and links are POSIX's")


class Run:
    """A run with one key of nine a minute, on a store in `folder`."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.warnings: list[str] = []
        ledger = Ledger.open(folder, clock, self.warnings.append, busy_seconds=0.05)
        keys = {"clear": (ApiKey(Secret(KEY), RateLimit(9), "secret-studio"),)}
        self.pool = KeyPool(keys, provider="p", model="m", ledger=ledger, clock=clock)

    def send(self) -> Lease | None:
        """Send one request if the budget allows it."""
        got = self.pool.lease("clear")
        if not isinstance(got, Lease):
            return None
        self.pool.sent(got)
        return got

    def send_all(self) -> int:
        """Send what the budget allows and return how many that were."""
        return len(list(iter(self.send, None)))


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test sets."""
    return FakeClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a state folder that does not exist yet."""
    return tmp_path / "state" / "imagegen"


@pytest.fixture
def runs(folder: Path, clock: FakeClock) -> Iterator["Runs"]:
    """Return what starts runs and ends them after the test."""
    runs = Runs(folder, clock)
    yield runs
    for run in runs.all:
        run.pool.close()


class Runs:
    """Starts runs on one folder."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder = folder
        self.clock = clock
        self.all: list[Run] = []

    def start(self) -> Run:
        """Start a run."""
        self.all.append(Run(self.folder, self.clock))
        return self.all[-1]


def database(folder: Path) -> Path:
    """Return the store's file."""
    (path,) = folder.glob("budgets.sqlite")
    return path


def test_a_missing_store_is_made(runs: Runs) -> None:
    """The first run makes the folder and the file, without a word and at full pace."""
    run = runs.start()
    assert run.warnings == []
    assert run.send_all() == 9


@posix
def test_the_store_is_for_its_owner_alone(runs: Runs) -> None:
    """Folder and files can be read by nobody else, whatever the umask."""
    before = os.umask(0)
    try:
        runs.start().send_all()
        kept = [path for path in runs.folder.iterdir() if path.name.startswith("budgets")]
        assert stat.S_IMODE(runs.folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    finally:
        os.umask(before)


def test_no_key_or_project_is_written(runs: Runs) -> None:
    """The files hold neither keys, nor parts of them, nor projects."""
    run = runs.start()
    run.send_all()
    written = [path.read_bytes() for path in runs.folder.rglob("*") if path.is_file()]
    assert any(written)
    for content in written:
        for text in (KEY, KEY[-6:], "alpha", "secret-studio"):
            assert text.encode() not in content


def test_each_store_has_a_salt_of_its_own(tmp_path: Path) -> None:
    """Names in one store say nothing about those in another; one store keeps its salt."""
    salts = []
    for name in ("one", "two", "one"):
        with closing(SqliteStore(tmp_path / name)) as store:
            salts.append(store.salt)
    assert salts[0] != salts[1]
    assert salts[0] == salts[2]


@posix
def test_a_symbolic_link_is_refused(runs: Runs, tmp_path: Path) -> None:
    """A link in the store's place is not followed: the run goes on at half pace."""
    target = tmp_path / "target"
    target.write_bytes(b"")
    runs.folder.mkdir(parents=True)
    (runs.folder / "budgets.sqlite").symlink_to(target)
    run = runs.start()
    assert "symbolic link" in run.warnings[0]
    assert run.send_all() == 4
    assert target.read_bytes() == b""


def test_a_damaged_store_is_put_aside(runs: Runs, clock: FakeClock) -> None:
    """A torn file is kept for a look, and every budget counts as just used, for all runs."""
    runs.folder.mkdir(parents=True)
    (runs.folder / "budgets.sqlite").write_bytes(b"not a database" * 1000)
    one, two = runs.start(), runs.start()
    assert len(one.warnings) == 1
    assert "damaged" in one.warnings[0]
    assert two.warnings == []
    assert [path.read_bytes()[:14] for path in runs.folder.glob("*damaged*")] == [b"not a database"]
    assert (one.send_all(), two.send_all()) == (0, 0)
    clock.advance(MINUTE)
    assert one.send_all() + two.send_all() == 9


def test_a_damaged_row_is_mended(runs: Runs, clock: FakeClock) -> None:
    """A torn row counts as just used, with one warning, and is whole for the next run."""
    runs.start().send_all()
    with closing(sqlite3.connect(database(runs.folder))) as connection, connection:
        connection.execute("UPDATE budget SET state = x'00ff', version = version + 1")
    run = runs.start()
    assert len(run.warnings) == 1
    assert run.send_all() == 0
    clock.advance(MINUTE)
    assert run.send_all() == 9
    assert runs.start().warnings == []


def test_a_store_of_a_newer_version_is_left_alone(runs: Runs) -> None:
    """What a newer imagegen wrote is not touched; the run goes on at half pace."""
    runs.start().pool.close()
    runs.all.clear()
    with closing(sqlite3.connect(database(runs.folder))) as connection:
        connection.execute("PRAGMA user_version = 99")
    run = runs.start()
    (warning,) = run.warnings
    assert "newer version" in warning
    assert run.send_all() == 4
    assert list(runs.folder.glob("*damaged*")) == []


def test_a_store_that_cannot_be_written_means_half_pace(runs: Runs) -> None:
    """Where the folder cannot be made the run goes on in memory, with one warning."""
    runs.folder.parent.parent.mkdir(exist_ok=True)
    runs.folder.parent.write_text("a file where the folder should be")
    run = runs.start()
    (warning,) = run.warnings
    assert "half pace" in warning
    assert run.send_all() == 4


def test_a_store_that_is_locked_at_the_start_means_half_pace(runs: Runs) -> None:
    """A file that somebody keeps locked is waited for, then done without."""
    runs.start().pool.close()
    runs.all.clear()
    with closing(sqlite3.connect(database(runs.folder), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run = runs.start()
        (warning,) = run.warnings
        assert "locked" in warning
        assert run.send_all() == 4


def test_a_store_that_is_locked_in_the_middle_means_half_pace(runs: Runs, clock: FakeClock) -> None:
    """What was sent before the lock still counts; one warning however often it is met."""
    run = runs.start()
    for _ in range(3):
        run.send()
    with closing(sqlite3.connect(database(runs.folder), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert run.send_all() == 1
        clock.advance(MINUTE)
        assert run.send_all() == 4
    (warning,) = run.warnings
    assert "half pace" in warning


def test_busy_time_is_bounded(folder: Path) -> None:
    """Whoever opens a locked store is told within the time given."""
    with closing(SqliteStore(folder)):
        pass
    with closing(sqlite3.connect(database(folder), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            SqliteStore(folder, busy_seconds=0.01)


def test_rows_change_only_from_the_version_that_was_read(folder: Path) -> None:
    """Of two who change a row at once, the second learns that it must read again."""
    with closing(SqliteStore(folder)) as one, closing(SqliteStore(folder)) as two:
        assert one.load("row") is None
        assert one.swap("row", 0, b"first")
        assert not two.swap("row", 0, b"late")
        assert two.load("row") == (1, b"first")
        assert two.swap("row", 1, b"second")
        assert not one.swap("row", 1, b"late")
        assert one.load("row") == (2, b"second")


def test_a_running_process_is_alive_until_it_closes(folder: Path) -> None:
    """Runs see each other, and see each other go."""
    with closing(SqliteStore(folder)) as one:
        two = SqliteStore(folder)
        assert one.alive(one.holder)
        assert one.alive(two.holder)
        two.close()
        assert not one.alive(two.holder)
        assert not one.alive("never-lived")


_LIVES = """
import sys
from pathlib import Path
from threading import Thread
from imagegen.quota.store import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
print(store.holder, flush=True)
sys.stdin.read()
"""


def test_a_killed_process_is_found_dead_and_swept(folder: Path) -> None:
    """The system unlocks the presence of a killed process; the next run removes its file."""
    with subprocess.Popen(
        [sys.executable, "-c", _LIVES, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            holder = process.stdout.readline().strip()
            with closing(SqliteStore(folder)) as store:
                assert store.alive(holder)
        finally:
            process.kill()
            process.wait()
    assert list(folder.rglob(f"{holder}*"))
    with closing(SqliteStore(folder)) as store:
        assert not store.alive(holder)
        assert not list(folder.rglob(f"{holder}*"))


def test_the_state_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`IMAGEGEN_STATE_DIR` says where the store lies."""
    monkeypatch.setenv("IMAGEGEN_STATE_DIR", str(tmp_path))
    assert state_folder() == tmp_path
    monkeypatch.delenv("IMAGEGEN_STATE_DIR")
    assert state_folder().name == "imagegen"


def test_a_store_may_be_closed_by_another_thread(folder: Path) -> None:
    """Whoever closes a store ends its presence for the others."""
    with closing(SqliteStore(folder)) as one:
        two = SqliteStore(folder)
        thread = Thread(target=two.close)
        thread.start()
        thread.join()
        assert not one.alive(two.holder)


def test_a_run_that_is_told_to_wait_knows_until_when(runs: Runs, clock: FakeClock) -> None:
    """The time of a wait comes from the store's requests, whoever sent them."""
    runs.start().send_all()
    got = runs.start().pool.lease("clear")
    assert isinstance(got, Throttled)
    assert got.until == pytest.approx(clock.now() + MINUTE)
