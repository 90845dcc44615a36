"""Several runs on the same keys, whatever becomes of the record they share, and of each other."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from commands import Commands, Done, pictures
from fakes import FakeClock
from gemini_server import GeminiServer
from imagegen.clock import Clock, SystemClock, pacific_day
from imagegen.errors import Exit
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.quota.budget import MARGIN, WINDOW
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease
from imagegen.quota.store import SqliteStore
from imagegen.secret import Secret

MINUTE = WINDOW + MARGIN
LIMIT = 9
SHARED = {style: ["test-key-shared-0001"] for style in ("illustration", "clear", "consistent")}
posix = pytest.mark.skipif(os.name != "posix", reason="a file in use can be deleted on POSIX")


class Run:
    """A run with keys of nine a minute, on the store in `folder`."""

    def __init__(self, folder: Path, clock: Clock, keys: int = 1) -> None:
        self.warnings: list[str] = []
        ledger = Ledger.open(folder, clock, self.warnings.append, busy_seconds=0.05)
        own = tuple(
            ApiKey(Secret(f"test-key-alpha-{n:06d}"), RateLimit(LIMIT)) for n in range(keys)
        )
        self.pool = KeyPool({"clear": own}, provider="p", model="m", ledger=ledger, clock=clock)

    def lease(self) -> Lease | None:
        """Take a lease if the budget allows it."""
        got = self.pool.lease("clear")
        return got if isinstance(got, Lease) else None

    def send(self) -> Lease | None:
        """Send one request if the budget allows it."""
        lease = self.lease()
        if lease is not None:
            self.pool.sent(lease)
        return lease

    def send_all(self) -> int:
        """Send what the budget allows and return how many that were."""
        return len(list(iter(self.send, None)))


class Runs:
    """Starts runs on one folder."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder = folder
        self._clock = clock
        self._pools: list[KeyPool] = []

    def start(self, keys: int = 1) -> Run:
        """Start a run."""
        run = Run(self.folder, self._clock, keys)
        self._pools.append(run.pool)
        return run

    def end_all(self) -> None:
        """End every run."""
        while self._pools:
            self._pools.pop().close()


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test sets."""
    return FakeClock()


@pytest.fixture
def runs(tmp_path: Path, clock: FakeClock) -> Iterator[Runs]:
    """Return what starts runs and ends them after the test."""
    runs = Runs(tmp_path / "state", clock)
    yield runs
    runs.end_all()


def database(folder: Path) -> Path:
    """Return the store's file."""
    return folder / "budgets.sqlite"


# -- the record is harmed while runs use it --------------------------------------------


def _delete_file(folder: Path) -> None:
    database(folder).unlink()


def _delete_all_files(folder: Path) -> None:
    for path in folder.glob("budgets.sqlite*"):
        path.unlink()


def _delete_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _empty(folder: Path) -> None:
    database(folder).write_bytes(b"")


def _replace(folder: Path) -> None:
    garbage = folder / "garbage"
    garbage.write_bytes(b"no database at all " * 1000)
    garbage.replace(database(folder))


def _overwrite(folder: Path) -> None:
    size = max(8192, database(folder).stat().st_size)
    with database(folder).open("r+b") as file:
        file.write(b"\xa5" * size)
    for path in folder.glob("budgets.sqlite-*"):
        path.write_bytes(b"\x5a" * path.stat().st_size)


def row(**fields: object) -> bytes:
    """Return a budget as it is stored, but for the fields that are given."""
    clock = FakeClock()
    return msgspec.msgpack.encode(
        {"boot": clock.boot, "now": clock.now(), "wall": clock.wall()} | fields
    )


Harm = Callable[[Path], None]
HARMS = (_delete_file, _delete_all_files, _delete_folder, _empty, _replace)


@posix
@pytest.mark.parametrize("harm", HARMS)
def test_a_record_that_is_deleted_in_use_means_half_pace_until_the_run_ends(
    runs: Runs, clock: FakeClock, harm: Harm
) -> None:
    """With one warning; what the run has sent still counts for itself."""
    run = runs.start()
    assert run.send_all() == LIMIT
    harm(runs.folder)
    run.pool.refresh()

    assert run.send_all() == 0
    for _ in range(3):
        clock.advance(2 * MINUTE)
        run.pool.refresh()
        assert run.send_all() == LIMIT // 2
    (warning,) = run.warnings
    assert "was deleted" in warning


@posix
def test_leases_survive_the_record_that_they_were_written_in(runs: Runs) -> None:
    """A request that never leaves gives back its place, in memory as in the record."""
    run = runs.start()
    leases = [run.lease() for _ in range(LIMIT)]
    _delete_folder(runs.folder)
    run.pool.refresh()
    for lease in leases:
        assert lease is not None
        run.pool.release(lease)

    assert run.send_all() == LIMIT // 2


_ANOTHER_PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:]
from imagegen.clock import SystemClock
from test_shared_keys import Run

run = Run(Path("state"), SystemClock())
print(run.send_all(), flush=True)
sys.stdin.readline()
run.pool.refresh()
print(run.send_all(), len(run.warnings), flush=True)
run.pool.close()
"""


@pytest.mark.slow
@posix
def test_a_file_deleted_under_another_process_does_not_harm_the_new_one(tmp_path: Path) -> None:
    """What SQLite keeps beside its file belongs to the old one, which is still in use."""
    with subprocess.Popen(
        [sys.executable, "-c", _ANOTHER_PROCESS, str(Path(__file__).parent)],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == f"{LIMIT}\n"
        _delete_file(tmp_path / "state")
        run = Run(tmp_path / "state", SystemClock())
        counts = [run.send_all()]
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "0 1\n"
        counts.append(run.send_all())
        run.pool.close()

    assert counts == [0, 0]
    (warning,) = run.warnings
    assert "deleted" in warning


@posix
@pytest.mark.parametrize("harm", HARMS)
def test_two_runs_that_lose_their_record_keep_to_the_limit(
    runs: Runs, clock: FakeClock, harm: Harm
) -> None:
    """Each takes half of it: neither sees the other."""
    one, two = runs.start(), runs.start()
    assert one.send() is not None
    assert two.send() is not None
    harm(runs.folder)
    one.pool.refresh()
    two.pool.refresh()

    assert one.send_all() + two.send_all() <= LIMIT - 2
    clock.advance(2 * MINUTE)
    assert 0 < one.send_all() + two.send_all() <= LIMIT


@posix
def test_a_record_that_is_overwritten_in_use_stops_no_run(runs: Runs, clock: FakeClock) -> None:
    """With one warning each: what cannot see others keeps to half of the limit."""
    one = runs.start()
    assert one.send_all() == LIMIT
    _overwrite(runs.folder)
    two = runs.start()

    assert (one.send_all(), two.send_all()) == (0, 0)
    for _ in range(3):
        clock.advance(MINUTE)
        one.pool.refresh()
        assert (one.send_all(), two.send_all()) == (LIMIT // 2, LIMIT)
    assert len(one.warnings) == 1
    assert len(two.warnings) == 1


@pytest.mark.parametrize("harm", [_delete_file, _empty])
def test_a_record_that_is_deleted_between_two_runs_counts_as_just_used(
    runs: Runs, clock: FakeClock, harm: Harm
) -> None:
    """Where runs have been before, an empty place says that somebody deleted what they sent."""
    assert runs.start().send_all() == LIMIT
    runs.end_all()
    harm(runs.folder)
    run = runs.start()

    assert run.send_all() == 0
    (warning,) = run.warnings
    assert "deleted" in warning
    clock.advance(MINUTE)
    assert run.send_all() == LIMIT
    assert runs.start().warnings == []


# -- the record cannot be used ---------------------------------------------------------


def test_a_run_comes_back_to_a_record_that_was_locked(runs: Runs, clock: FakeClock) -> None:
    """After a minute alone at half pace it shares again, and brings along what it has sent."""
    one = runs.start()
    with closing(sqlite3.connect(database(runs.folder), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert one.send_all() == LIMIT // 2
        clock.advance(MINUTE)
        one.pool.refresh()
        assert one.send_all() == LIMIT // 2
    one.pool.refresh()
    assert one.send_all() == 0
    clock.advance(59)
    two = runs.start()
    clock.advance(1)
    one.pool.refresh()

    assert two.send_all() + one.send_all() == LIMIT - LIMIT // 2
    assert len(one.warnings) == 1
    assert two.warnings == []


def test_a_run_that_never_had_a_record_comes_back_to_one(runs: Runs, clock: FakeClock) -> None:
    """A state folder that could not be made is used from when it can be."""
    runs.folder.write_text("a file in the way")
    run = runs.start()
    assert run.send_all() == LIMIT // 2
    runs.folder.unlink()
    clock.advance(WINDOW)
    run.pool.refresh()
    assert run.send_all() == LIMIT - LIMIT // 2

    assert runs.start().send_all() == 0
    assert len(run.warnings) == 1


def test_a_record_without_wal_is_shared_too(
    runs: Runs, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without shared memory the runs still see each other, without a word."""

    class Plain(sqlite3.Connection):
        """A connection whose file system knows no write-ahead log."""

        def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
            return super().execute(sql.replace("= WAL", "= DELETE"), parameters)  # type: ignore[arg-type]

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Plain, **k))
    one, two = runs.start(), runs.start()

    assert [bool(run.send()) for run in (one, two) * 5] == [True] * LIMIT + [False]
    assert list(runs.folder.glob("*-wal")) == []
    assert one.warnings + two.warnings == []
    clock.advance(MINUTE)
    assert two.send_all() == LIMIT


def test_a_record_of_another_shape_means_half_pace(runs: Runs) -> None:
    """A file that some other version left behind is not touched."""
    runs.folder.mkdir()
    with closing(sqlite3.connect(database(runs.folder))) as connection, connection:
        connection.execute("CREATE TABLE budget (key TEXT, sent REAL)")
        connection.execute("INSERT INTO budget VALUES ('k', 1.0)")
    run = runs.start()

    assert run.send_all() == LIMIT // 2
    assert len(run.warnings) == 1
    with closing(sqlite3.connect(database(runs.folder))) as connection:
        assert connection.execute("SELECT * FROM budget").fetchall() == [("k", 1.0)]


@pytest.mark.parametrize(
    "state",
    [
        b"\x00\xff",
        b"\x84\xa4boot\xa1b\xa3now\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\xa4wall\x01\xa4pace\x05",
        b"\x84\xa4boot\xa1b\xa3now\x01\xa4wall\x01\xa4pace\x00",
        b"\x84\xa4boot\xa1b\xa3now\x01\xa4wall\x01\xa6limits\x81\xa1x\x00",
        row(spent_wall=1e15),
        row(wall=-1e300),
        row(grants=[[1, -1e300]]),
        row(day_used=2**64 - 1, day=pacific_day(FakeClock().wall())),
    ],
    ids=["no row", "no time", "no pace", "no limit", "no day", "no hour", "no minute", "no count"],
)
def test_rows_that_make_no_sense_count_as_just_used(
    runs: Runs, clock: FakeClock, state: bytes
) -> None:
    """All of them with one warning: nothing is divided by a pace of zero."""
    runs.start(keys=3)
    runs.end_all()
    with closing(sqlite3.connect(database(runs.folder))) as connection, connection:
        connection.execute("UPDATE budget SET state = ?", (state,))
    run = runs.start(keys=3)

    assert run.send_all() == 0
    assert len(run.warnings) == 1
    clock.advance(MINUTE)
    assert run.send_all() == 3 * LIMIT


_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from fakes import FakeClock
from test_shared_keys import Run

def full(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

clock = FakeClock()
if sys.argv[1] == "from the start":
    full(0)
run = Run(Path("state"), clock)
counts = [run.send_all()]
full(0)
for _ in range(2):
    clock.advance(60.5)
    run.pool.refresh()
    counts.append(run.send_all())
full(resource.RLIM_INFINITY)
clock.advance(60.5)
run.pool.refresh()
counts.append(run.send_all())
print(counts, len(run.warnings))
run.pool.close()
"""


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("when", "counts"), [("from the start", [4, 4, 4, 9]), ("in the middle", [9, 4, 4, 9])]
)
def test_a_full_disk_means_half_pace_until_there_is_room(
    tmp_path: Path, when: str, counts: list[int]
) -> None:
    """One warning, whether the disk is full from the start or in the middle of a run."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, when, here],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == f"{counts} 1", done.stderr


def test_strikes_of_a_thousand_bursts_are_a_minutes_pause(runs: Runs, clock: FakeClock) -> None:
    """A key that is refused in run after run is not what ends one."""
    run = runs.start()
    for _ in range(1100):
        lease = run.send()
        assert lease is not None
        news = run.pool.record_429(lease, None)
        assert news.until is None or news.until <= clock.now() + 80
        clock.advance(600)


def test_a_store_says_whether_it_is_still_in_its_place(tmp_path: Path) -> None:
    """As long as nobody touches the file, it is."""
    with closing(SqliteStore(tmp_path)) as store:
        assert not store.gone


# -- real runs -------------------------------------------------------------------------


def refused(server: GeminiServer) -> int:
    """Return how many requests the server refused for quota."""
    return sum(request.status == 429 for request in server.requests)


def test_a_run_right_after_another_sends_what_is_left_of_the_minute(
    commands: Commands, server: GeminiServer
) -> None:
    """Six of nine are used: the second project's run sends three, and none is refused."""
    server.limit = LIMIT
    one = commands.project("one", beats=2, keys=SHARED, per_minute=LIMIT)
    two = commands.project("two", keys=SHARED, per_minute=LIMIT, settings="timeout = 2")
    address = ("--base-url", server.address)
    assert commands.run("run", one, *address).code == Exit.OK
    done = commands.run("run", two, *address, "--max-time", "5s")

    assert done.code == Exit.ENDED_EARLY
    assert (len(pictures(one)), len(pictures(two))) == (6, 3)
    assert (len(server.requests), refused(server)) == (9, 0)


def test_a_run_sends_later_what_it_held_back(
    commands: Commands, server: GeminiServer, tmp_path: Path
) -> None:
    """A request whose lease had ended is sent by another lease, and no attempt is lost."""
    held_back = tmp_path / "held back"
    lost_leases = f"""
from imagegen.quota.pool import KeyPool
left = [1, 2, 3, 4, 5]
def may_send(self, lease):
    if not left:
        return True
    with open({str(held_back)!r}, "a") as file:
        file.write(str(left.pop()))
    return False
KeyPool.may_send = may_send
"""
    root = commands.project(beats=1, settings="max_attempts = 1")
    done = commands.run("run", root, "--base-url", server.address, before=lost_leases)
    assert done.code == Exit.OK
    # Three styles write at the same time.
    assert sorted(held_back.read_text()) == sorted("54321")
    assert len(server.requests) == len(pictures(root)) == 3


@pytest.mark.slow
def test_a_killed_runs_requests_count_for_the_next(
    commands: Commands, server: GeminiServer
) -> None:
    """Killed with nine requests in flight, the project is resumed and sends nothing yet."""
    server.limit = LIMIT
    root = commands.project(keys=SHARED, per_minute=LIMIT, settings="timeout = 2")
    address = ("--base-url", server.address)
    with server.held():
        process = commands.start("run", root, *address)
        assert server.wait_for_requests(LIMIT)
        process.kill()
        process.communicate()
    done = commands.run("resume", root, *address, "--max-time", "5s")

    assert done.code == Exit.ENDED_EARLY
    assert (len(server.requests), refused(server)) == (LIMIT, 0)


@pytest.mark.slow
@pytest.mark.parametrize("first", [["run"], ["run", "--detach"]], ids=["run", "detached"])
def test_whoever_comes_second_is_told_who_was_first(
    commands: Commands, server: GeminiServer, first: list[str]
) -> None:
    """A run, a resume and a detached run exit 4, name the first one's process, and leave it be."""
    root = commands.project()
    address = ("--base-url", server.address)
    process = None
    with server.held():
        if "--detach" in first:
            assert commands.run(*first, root, *address).code == Exit.OK
        else:
            process = commands.start(*first, root, *address)
        assert server.wait_for_requests(9)
        pid = commands.run("status", root, "--json").events[0]["pid"]
        assert process is None or process.pid == pid
        seconds: list[Done] = [
            commands.run(*second, root, *address)
            for second in (["run"], ["resume"], ["run", "--detach"])
        ]
    if process is not None:
        assert commands.wait(process).code == Exit.OK
    ended = (commands.run("status", root, "--json").events[0] for _ in range(100))
    assert any(not shown["active"] for shown in ended)

    assert [done.code for done in seconds] == [Exit.RUN_ACTIVE] * 3
    assert all(f"process {pid}" in done.err for done in seconds)
    assert len(pictures(root)) == 9
    assert len(server.requests) == 9


def _file_in_the_way(state: Path) -> None:
    state.write_text("a file where the folder should be")


def _of_a_newer_version(state: Path) -> None:
    state.mkdir()
    with closing(sqlite3.connect(database(state))) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("harm", [_file_in_the_way, _of_a_newer_version])
def test_a_run_without_its_record_draws_and_says_so_once(
    commands: Commands, server: GeminiServer, harm: Harm
) -> None:
    """Half of each limit is used, and one line of the output tells why."""
    harm(commands.state)
    root = commands.project(keys=SHARED, per_minute=18)
    done = commands.run("run", root, "--base-url", server.address, "--progress", "plain")

    assert done.code == Exit.OK
    assert len(pictures(root)) == 9
    assert done.text.count("half pace") == 1
    assert len(server.requests) == 9


def test_a_run_on_a_damaged_record_waits_a_minute_and_says_so_once(
    commands: Commands, server: GeminiServer
) -> None:
    """Nobody knows what was sent before: nothing is sent within the time allowed."""
    commands.state.mkdir()
    database(commands.state).write_bytes(b"no database" * 1000)
    root = commands.project(settings="timeout = 1")
    arguments = ("--base-url", server.address, "--progress", "plain", "--max-time", "3s")
    done = commands.run("run", root, *arguments)

    assert done.code == Exit.ENDED_EARLY
    assert done.text.count("nothing is sent for a minute") == 1
    assert server.requests == []


@pytest.mark.real_time
def test_a_minute_is_shared_across_an_end_and_a_kill(
    commands: Commands, server: GeminiServer
) -> None:
    """One run ends, the next is killed, a third draws the rest: the server refuses nothing."""
    server.limit = LIMIT
    one = commands.project("one", beats=2, keys=SHARED, per_minute=LIMIT)
    two = commands.project("two", keys=SHARED, per_minute=LIMIT)
    address = ("--base-url", server.address)
    assert commands.run("run", one, *address).code == Exit.OK
    process = commands.start("run", two, *address)
    assert server.wait_for_requests(LIMIT)
    process.kill()
    process.communicate()
    resumed = commands.start("resume", two, *address)
    assert server.wait_for_requests(LIMIT + 6, timeout=120)

    assert commands.wait(resumed).code == Exit.OK
    assert len(pictures(two)) == 9
    assert refused(server) == 0
