"""Several machines, one budget: what holds for the runs of one machine holds for all together."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis

import redis_server
from fakes import FakeClock
from gemini_server import GeminiServer
from imagegen.clock import DAY, MonotonicTime
from imagegen.keys import budget_server
from imagegen.keys.keyring import RateLimit
from imagegen.quota import ledger as ledger_module
from imagegen.quota.key_state import KeyState
from imagegen.quota.pool import Exhausted
from imagegen.quota.redis_store import RedisStore
from imagegen.quota.server_clock import ServerClock
from imagegen.quota.store import StoreUnavailableError
from machines import HOLDERS, KEY, MINUTE, SERVER_TIME, STORE, World
from redis_server import RedisServer


@pytest.fixture(params=redis_server.INSTALLED)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """Return a running server."""
    command = redis_server.program(request.param)
    with RedisServer(tmp_path / "redis", command=command) as running:
        yield running


@pytest.fixture
def world(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a server that has known budgets for long, and machines."""
    world = World(server)
    monkeypatch.setattr(ledger_module, "ServerClock", world.server_clock)
    world.make_old()
    yield world
    world.close()


@pytest.mark.parametrize("name", redis_server.PROGRAMS)
def test_the_server_is_one_that_is_supported(name: str, tmp_path: Path) -> None:
    """Redis and Valkey both keep budgets; every test here runs on each that is installed."""
    with RedisServer(tmp_path, command=redis_server.program(name)) as server:
        store = RedisStore(budget_server.parse(server.url), ServerClock(FakeClock()))
        assert store.swap("row", 0, b"first")
        store.close()


# -- what is shared ----------------------------------------------------------------------


def test_machines_whose_clocks_differ_share_one_minute(world: World) -> None:
    """Two machines an hour apart send nine together, and nine more after a minute."""
    one, two = world.start(), world.start(apart=3600.0)
    assert one.send() is not None
    assert two.send_all() == 8
    assert one.send_all() == 0
    world.advance(MINUTE - 0.1)
    assert one.send_all() + two.send_all() == 0
    world.advance(0.2)
    assert two.send_all() + one.send_all() == 9
    assert one.warnings == two.warnings == []


def test_a_days_count_is_shared_by_the_servers_date(world: World) -> None:
    """A machine whose date is tomorrow's cannot send the day's requests again."""
    limit = RateLimit(9, per_day=3)
    one, two = world.start(limit=limit), world.start(apart=DAY, limit=limit)
    assert one.send_all() == 3
    assert isinstance(two.pool.lease("clear"), Exhausted)
    assert two.state is KeyState.SPENT_TODAY


def test_a_days_quota_that_is_used_up_is_known_to_all(world: World) -> None:
    """What the service said to one machine keeps the others from asking."""
    one, two = world.start(), world.start(apart=-DAY)
    lease = one.send()
    assert lease is not None
    one.pool.spent_today(lease)
    assert isinstance(two.pool.lease("clear"), Exhausted)


def test_a_pace_that_one_machine_found_holds_for_all(world: World) -> None:
    """A 429 that the count does not explain slows every machine."""
    one, two = world.start(), world.start(apart=-600.0)
    leases = [one.send() for _ in range(4)]
    assert leases[3] is not None
    one.pool.record_429(leases[3], 2.0)
    assert two.send() is None
    world.advance(MINUTE)
    assert two.send_all() == 1
    (key,) = two.pool.key_states("clear")
    assert key.pace == 5


def test_the_lower_of_two_limits_holds_while_both_run(world: World) -> None:
    """A machine that was given three a minute holds the others to it until it ends."""
    one, two = world.start(), world.start(limit=RateLimit(3))
    assert one.send_all() == 3
    two.pool.close()
    world.advance(30.0)
    one.pool.refresh()
    assert one.send_all() + two.send_all() in {0, 6}


def test_teams_and_databases_are_apart(world: World) -> None:
    """Each team counts for itself, and so does each database."""
    own = world.server.url
    one = world.start()
    assert one.send_all() == 9
    for url in (f"{own}?team=blue", own.replace("/0", "/1")):
        run = world.start(url=url)
        assert "is new, or was lost" in run.warnings[0]


def test_the_server_learns_no_key_and_no_project(world: World) -> None:
    """Names are hashes with a salt that the server made; nothing else is of a key."""
    run = world.start()
    run.send_all()
    with world.server.admin() as admin:
        stored = [*admin.hgetall(STORE).items(), *admin.zrange(HOLDERS, 0, -1), *admin.keys()]
    for text in (KEY, KEY[-6:], "alpha", "secret-studio"):
        assert text.encode() not in repr(stored).encode()


def test_a_row_changes_only_from_the_version_that_was_read(server: RedisServer) -> None:
    """Of two machines that change a row at once, the second must read again."""
    where = budget_server.parse(server.url)
    one, two = (RedisStore(where, ServerClock(FakeClock())) for _ in range(2))
    assert one.load("row") is None
    assert one.swap("row", 0, b"first")
    assert not two.swap("row", 0, b"late")
    assert two.load("row") == (1, b"first")
    assert two.swap("row", 1, b"second")
    assert not one.swap("row", 1, b"late")
    assert one.load("row") == (2, b"second")
    one.close()
    two.close()


# -- machines that die or sleep ------------------------------------------------------------


def test_what_a_dead_machine_held_counts_from_when_its_lease_ends(world: World) -> None:
    """A request that may have left is counted for a minute after the lease's end."""
    dead, other = world.start(), world.start()
    assert dead.lease() is not None
    world.advance(30.0)
    world.end_leases()
    assert other.pool.refresh()
    assert other.send_all() == 8
    world.advance(MINUTE - 1)
    assert other.send_all() == 0
    world.advance(1)
    assert other.send_all() == 9


def test_a_machine_that_slept_sends_nothing_by_a_lost_lease(world: World) -> None:
    """What it was granted before is not sent; it takes a new lease and a new name."""
    run, other = world.start(), world.start()
    before = run.lease()
    assert before is not None
    assert run.pool.may_send(before)
    world.advance(70.0)
    world.end_leases()
    assert not run.pool.may_send(before)
    other.pool.refresh()
    other.send_all()
    run.pool.release(before)
    assert run.send() is None
    world.advance(2 * MINUTE)
    assert run.pool.refresh()
    after = run.lease()
    assert after is not None
    assert after.holder != before.holder
    assert run.pool.may_send(after)
    assert not run.pool.may_send(before)
    assert run.warnings == []


def test_a_machine_that_sends_nothing_keeps_its_lease(world: World) -> None:
    """A run that waits for minutes is still known to run."""
    run = world.start()
    lease = run.lease()
    assert lease is not None
    for _ in range(100):
        world.advance(1.0)
        assert not run.pool.refresh()
    assert run.pool.may_send(lease)


def test_leases_that_the_server_lost_are_taken_again(world: World) -> None:
    """Without the set of leases nothing is sent twice, and nobody is warned."""
    one, two = world.start(), world.start()
    one.send_all()
    with world.server.admin() as admin:
        admin.delete(HOLDERS)
    world.advance(6.0)
    assert one.pool.refresh()
    assert two.pool.refresh()
    assert one.send_all() + two.send_all() == 0
    world.advance(MINUTE)
    assert one.send_all() + two.send_all() == 9
    assert one.warnings == two.warnings == []


# -- the server fails ----------------------------------------------------------------------


def _kill(server: RedisServer) -> None:
    server.kill()


def _read_only(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.replicaof("127.0.0.1", redis_server.free_port())


def _set_password(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.config_set("requirepass", "test-password")
        admin.client_kill_filter(_type="normal", skipme=True)


def _fill_memory(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.config_set("maxmemory", "1")


def _forbid(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-@scripting")


def _take_place(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.set(STORE, "something else")


def _allow(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "default", "+@all")


def _start(server: RedisServer) -> None:
    server.start()


def _make_primary(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.execute_command("REPLICAOF", "NO", "ONE")


def _remove_password(server: RedisServer) -> None:
    with server.admin(password="test-password") as admin:
        admin.config_set("requirepass", "")


def _give_memory(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.config_set("maxmemory", "0")


def _give_place_back(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.delete(STORE)


Step = Callable[[RedisServer], None]
FAILURES: dict[str, tuple[Step, str, Step, int]] = {
    "unreachable": (_kill, "could not be reached: Connection refused", _start, 0),
    "read-only": (_read_only, "is a read-only replica", _make_primary, 9),
    "another password": (
        _set_password,
        "needs a password, and its url names none",
        _remove_password,
        9,
    ),
    "memory full": (_fill_memory, "has no memory left", _give_memory, 9),
    "no permission": (_forbid, "does not allow the user what imagegen needs", _allow, 9),
    "name taken": (_take_place, "has something else under the team's name", _give_place_back, 0),
}
"""How a server fails, what the run says, how it is repaired, and what may be sent right then."""


@pytest.mark.parametrize("failure", FAILURES)
def test_a_server_that_fails_slows_the_run_until_it_is_back(world: World, failure: str) -> None:
    """One warning; nothing for a minute, then half pace; full pace once the server is back."""
    harm, message, repair, left = FAILURES[failure]
    run = world.start()
    assert run.send_all() == 9
    harm(world.server)
    world.advance(10.0)
    run.pool.refresh()
    (warning,) = run.warnings
    assert message in warning
    assert "nothing is sent for a minute, then going on at half pace" in warning
    world.advance(MINUTE - 1)
    run.pool.refresh()
    assert run.send_all() == 0
    world.advance(1.0)
    assert run.send_all() == 4
    repair(world.server)
    world.advance(MINUTE)
    assert run.pool.refresh()
    assert run.send_all() == left
    world.age()
    world.advance(MINUTE)
    run.pool.refresh()
    assert run.send_all() == 9
    assert run.warnings == [warning]


def test_a_server_that_hangs_holds_up_the_run_for_a_second(world: World) -> None:
    """An answer that does not come is waited for once, then the run goes on without."""
    run = world.start()
    with world.server.suspended():
        world.advance(6.0)
        run.pool.refresh()
        (warning,) = run.warnings
        assert "did not answer in time" in warning
        world.advance(MINUTE)
        assert run.send_all() == 4
    world.advance(2 * MINUTE)
    assert run.pool.refresh()
    assert run.send_all() == 9


def test_a_server_that_is_far_away_is_not_used(server: RedisServer) -> None:
    """With slow answers nobody knows the server's time to what the minute allows."""

    class SlowClock(FakeClock):
        def now(self) -> MonotonicTime:
            self.advance(0.4)
            return super().now()

    with pytest.raises(StoreUnavailableError, match=r"an answer takes 0\.4 s"):
        RedisStore(budget_server.parse(server.url), ServerClock(SlowClock()))


def test_more_machines_share_what_is_sent_without_the_server(world: World) -> None:
    """Each of three sends a third, so that all together keep to the limit."""
    runs = [world.start() for _ in range(3)]
    for run in runs:
        assert run.send() is not None
    runs[0].send()
    world.advance(MINUTE)
    for run in runs:
        assert run.send() is not None
    world.server.kill()
    world.advance(10.0)
    for run in runs:
        run.pool.refresh()
    assert [run.send_all() for run in runs] == [0, 0, 0]
    world.advance(MINUTE)
    assert [run.send_all() for run in runs] == [3, 3, 3]


def test_a_short_outage_costs_no_minute(world: World) -> None:
    """A server that is back after a second with its data is used again at once."""
    one, two = world.start(), world.start()
    one.send_all()
    world.advance(MINUTE)
    with world.server.admin() as admin:
        admin.config_set("maxmemory", "1")
    assert one.send() is None
    with world.server.admin() as admin:
        admin.config_set("maxmemory", "0")
    world.advance(1.5)
    assert one.pool.refresh()
    assert one.send_all() == 9
    assert two.send_all() == 0
    assert two.warnings == []


STARTS: dict[str, tuple[str, str]] = {
    "closed port": ("redis://127.0.0.1:{closed}/0", "could not be reached: Connection refused"),
    "wrong password": (
        "redis://:env:TEST_PASSWORD@127.0.0.1:{port}/0",
        "does not accept the user or password",
    ),
    "no password": ("redis://127.0.0.1:{port}/0", "needs a password, and its url names none"),
    "no TLS": ("rediss://127.0.0.1:{port}/0", "does not speak TLS"),
    "not redis": ("redis://127.0.0.1:{gemini}/0", "127.0.0.1"),
    "unknown host": ("redis://unknown.invalid/0", "could not be reached"),
    "no such database": ("redis://127.0.0.1:{port}/999", "has no database of this number"),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_server_that_cannot_be_used_at_the_start(world: World, start: str) -> None:
    """The run begins all the same, after a minute and at half pace, with one warning."""
    url, message = STARTS[start]
    with world.server.admin() as admin:
        admin.config_set("requirepass", "test-password-000001" if "password" in start else "")
    world.environ["TEST_PASSWORD"] = "test-password-000002"
    with GeminiServer() as gemini:
        places = {"port": world.server.port, "gemini": gemini.port}
        run = world.start(url=url.format(**places, closed=redis_server.free_port()))
        (warning,) = run.warnings
        assert message in warning
        assert "000002" not in warning
        assert run.send_all() == 0
        world.advance(MINUTE)
        run.pool.refresh()
        assert run.send_all() == 4
        assert run.warnings == [warning]


def test_a_newer_version_is_left_alone(world: World) -> None:
    """What a newer imagegen wrote is not touched."""
    with world.server.admin() as admin:
        admin.hset(STORE, "version", "99")
    run = world.start()
    assert "is of a newer version of imagegen" in run.warnings[0]
    world.advance(MINUTE)
    assert run.send_all() == 4


def test_a_node_of_a_cluster_is_refused(tmp_path: Path) -> None:
    """The run says that clusters are not supported."""
    command = redis_server.program()
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(redis_server.free_port()))
    with RedisServer(tmp_path, *cluster, command=command) as node:
        run = World(node).start()
        assert "is a node of a cluster, which is not supported" in run.warnings[0]


def test_a_certificate_that_is_not_trusted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No password is sent to it; a trusted one is used without a word."""
    command, port = redis_server.program(), redis_server.free_port()
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    openssl = redis_server.program("openssl")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*made, *name, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    tls = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
    tls += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    with RedisServer(tmp_path / "redis", *tls, command=command, port=port) as server:
        world = World(server)
        run = world.start(url=f"rediss://127.0.0.1:{port}/0")
        assert "has a certificate that is not trusted" in run.warnings[0]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        run = world.start(url=f"rediss://127.0.0.1:{port}/0")
        assert "is new, or was lost" in run.warnings[0]
        run.pool.close()


# -- the server has lost what it knew ------------------------------------------------------


def _restart_empty(server: RedisServer) -> None:
    server.kill()
    server.start()


def _flush(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.flushall()


def _evict(server: RedisServer) -> None:
    with server.admin() as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        admin.config_set("maxmemory", "1")
        for number in range(1000):
            if not admin.exists(STORE):
                break
            try:
                admin.set(f"other:{number}", "x" * 1000)
            except redis.RedisError:
                continue
        admin.config_set("maxmemory", "0")


LOSSES: dict[str, Step] = {"restarted empty": _restart_empty, "flushed": _flush, "evicted": _evict}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_server_that_lost_its_data_makes_all_wait_for_a_minute(world: World, loss: str) -> None:
    """No burst, whoever asks first; full pace after the minute; one warning of each run."""
    one, two = world.start(), world.start()
    one.send_all()
    LOSSES[loss](world.server)
    late = world.start()
    world.advance(6.0)
    for run in (one, two, late):
        run.pool.refresh()
    world.advance(1.5)
    for run in (one, two, late):
        run.pool.refresh()
        assert run.send_all() == 0
        assert len(run.warnings) == 1
        assert run.warnings[0].endswith("nothing is sent for a minute")
    world.age()
    world.advance(MINUTE)
    assert one.send_all() + two.send_all() + late.send_all() == 9


def test_a_replica_that_missed_the_last_changes_makes_all_wait(world: World) -> None:
    """A row of an older version than was seen shows it, to those who never saw it too."""
    one, two = world.start(), world.start()
    one.send()
    with world.server.admin() as admin:
        rows = {k: v for k, v in admin.hgetall(STORE).items() if len(k) == 32}
        one.send()
        admin.hset(STORE, mapping=rows)
    world.advance(1.0)
    assert one.lease() is None
    assert "has lost changes" in one.warnings[0]
    assert two.lease() is None
    world.advance(1.5)
    one.pool.refresh()
    two.pool.refresh()
    assert one.send_all() + two.send_all() == 0
    world.age()
    world.advance(MINUTE)
    assert one.send_all() + two.send_all() == 9


def test_a_row_that_is_damaged_counts_as_just_used(world: World) -> None:
    """One warning, a minute's wait, and the row is whole again."""
    world.start().send_all()
    with world.server.admin() as admin:
        (row,) = [name for name in admin.hkeys(STORE) if len(name) == 32]
        admin.hset(STORE, row, b"1:\x00\xff")
    run = world.start()
    assert "was damaged" in run.warnings[0]
    assert run.send_all() == 0
    world.advance(MINUTE)
    assert run.send_all() == 9


# -- the server's clock --------------------------------------------------------------------


def test_a_server_whose_clock_is_set_forward_frees_nothing(world: World) -> None:
    """Requests seem older than they are: all wait for a minute."""
    one, two = world.start(), world.start()
    one.send_all()
    world.server_time += 300.0
    world.advance(6.0)
    one.pool.refresh()
    assert "clock was set forward by 300" in one.warnings[0]
    two.pool.refresh()
    world.advance(1.5)
    one.pool.refresh()
    two.pool.refresh()
    assert one.send_all() + two.send_all() == 0
    world.age()
    world.advance(MINUTE)
    assert one.send_all() + two.send_all() == 9


def test_a_replica_whose_clock_is_ahead_frees_nothing(world: World) -> None:
    """The jump is noticed by the first answer after a failover, too."""
    run = world.start()
    run.send_all()
    world.server.kill()
    world.advance(6.0)
    run.pool.refresh()
    world.server.start()
    world.make_old()
    world.server_time += 300.0
    world.advance(1.0)
    run.pool.refresh()
    assert run.ledger.is_fallback
    world.advance(2.0)
    run.pool.refresh()
    assert not run.ledger.is_fallback
    assert run.send_all() == 0
    assert len(run.warnings) == 1


def test_leases_end_in_time_after_the_servers_clock_was_set_back(world: World) -> None:
    """A dead machine's lease ends seconds after the change, not hours."""
    world.start()
    with world.server.admin() as admin:
        (dead,) = admin.zrange(HOLDERS, 0, -1)
        late = float(admin.time()[0] + 3600) * 1000
        admin.zadd(HOLDERS, {dead: late})
        admin.hset(STORE, "made", int(late))
        other = world.start()
        assert admin.zscore(HOLDERS, dead) < late - 3_500_000
    assert other.send_all() == 0
    world.age()
    assert world.start().warnings == []


def test_a_server_whose_clock_is_set_back_costs_at_most_a_minute(world: World) -> None:
    """Nothing is sent early, and no wait is longer than a minute."""
    one, two = world.start(), world.start()
    one.send_all()
    world.server_time -= 3600.0
    world.advance(30.0)
    assert one.send_all() + two.send_all() == 0
    world.advance(MINUTE)
    assert one.send_all() + two.send_all() == 9
    assert one.warnings == two.warnings == []


def test_the_servers_time_is_known_better_with_every_answer() -> None:
    """Slow answers add nothing to what quick ones have shown."""
    local = FakeClock()
    clock = ServerClock(local)
    assert clock.wall() == local.wall()
    clock.observe(5000.5, local.now() - 1.0, local.now())
    assert clock.error == pytest.approx(0.5)
    clock.observe(5000.5, local.now() - 0.002, local.now())
    assert clock.error <= 0.001
    assert clock.wall() == pytest.approx(5000.5, abs=0.002)
    clock.observe(5000.0, local.now() - 2.0, local.now())
    assert clock.error <= 0.001


def test_a_machine_whose_clock_stops_while_it_sleeps_is_no_fault_of_the_server() -> None:
    """Its wall clock shows how long it slept, so that the server's was not set forward."""
    local = FakeClock()
    clock = ServerClock(local)
    clock.observe(5000.0, local.now(), local.now())
    local.set_wall(600.0)
    assert clock.observe(5600.0, local.now(), local.now()) == 0.0
    assert clock.observe(6000.0, local.now(), local.now()) == pytest.approx(400.0)


# -- real processes ------------------------------------------------------------------------

_HAMMER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from imagegen.clock import SystemClock
from imagegen.keys import budget_server
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease
from imagegen.secret import Secret

url, limit, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ledger = Ledger.connect(budget_server.parse(url), SystemClock(), lambda text: sys.exit(text))
keys = {"clear": (ApiKey(Secret("test-key-alpha-000001"), RateLimit(limit)),)}
pool = KeyPool(keys, provider="p", model="m", ledger=ledger, clock=ledger.clock)
print("ready", flush=True)
sys.stdin.readline()

def hammer(number):
    granted = 0
    while isinstance(lease := pool.lease("clear"), Lease):
        granted += 1
        if granted % 2:
            pool.sent(lease)
    return granted

with ThreadPoolExecutor(threads) as executor:
    print(json.dumps(sum(executor.map(hammer, range(threads)))), flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_processes_and_threads_together_get_exactly_the_limit(world: World) -> None:
    """Three processes of three threads: not one request more, not one less."""
    arguments = [sys.executable, "-c", _HAMMER, world.server.url, "60", "3"]
    processes = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        counts = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            counts.append(json.loads(process.stdout.readline()))
        assert sum(counts) == 60
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_rows_are_kept_in_the_servers_time(world: World) -> None:
    """A row names no machine's boot, and its times are the server's."""
    world.start(apart=5000.0).send()
    with world.server.admin() as admin:
        (row,) = [value for name, value in admin.hgetall(STORE).items() if len(name) == 32]
    version, _, data = row.partition(b":")
    stored = msgspec.msgpack.decode(data)
    assert version.isdigit()
    assert stored["boot"] == ""
    assert stored["now"] == pytest.approx(SERVER_TIME, abs=1.0)
    assert stored["grants"][0][1] == pytest.approx(SERVER_TIME, abs=1.0)
