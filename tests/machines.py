"""Runs on several machines that share a Redis server, with clocks that the test sets."""

from fakes import FakeClock
from imagegen.clock import Clock
from imagegen.keys import budget_server
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.quota.budget import MARGIN, WINDOW
from imagegen.quota.key_state import KeyState
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease
from imagegen.quota.server_clock import ServerClock
from imagegen.secret import Secret
from redis_server import RedisServer

KEY = "test-key-alpha-000001"
STORE = "imagegen:{default}"
HOLDERS = f"{STORE}:holders"
MINUTE = WINDOW + MARGIN
SERVER_TIME = 1_800_000_000.0


class Run:
    """A run on a machine of its own, with one key of nine a minute."""

    def __init__(self, url: str, clock: Clock, limit: RateLimit, environ: dict[str, str]) -> None:
        self.warnings: list[str] = []
        self.ledger = Ledger.connect(budget_server.parse(url, environ), clock, self.warnings.append)
        keys = {"clear": (ApiKey(Secret(KEY), limit, "secret-studio"),)}
        self.pool = KeyPool(
            keys, provider="p", model="m", ledger=self.ledger, clock=self.ledger.clock
        )

    def lease(self) -> Lease | None:
        """Take a lease if the budget allows it."""
        got = self.pool.lease("clear")
        return got if isinstance(got, Lease) else None

    def send(self) -> Lease | None:
        """Send one request if the budget allows it."""
        lease = self.lease()
        if lease is not None and self.pool.may_send(lease):
            self.pool.sent(lease)
        return lease

    def send_all(self) -> int:
        """Send what the budget allows and return how many that were."""
        return len(list(iter(self.send, None)))

    @property
    def state(self) -> KeyState:
        """What the run says of its key."""
        (key,) = self.pool.key_states("clear")
        return key.state


class World:
    """A server and machines, whose clocks the test sets; `server_time` is the server's."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.server_time = SERVER_TIME
        self.environ: dict[str, str] = {}
        self._clocks: list[FakeClock] = []
        self._runs: list[Run] = []

    def server_clock(self, local: Clock) -> ServerClock:
        """Return a machine's clock that takes the test's time for the server's."""
        world = self

        class SetClock(ServerClock):
            def observe(self, server: float, asked: float, answered: float) -> float:
                del server
                return super().observe(world.server_time, asked, answered)

        return SetClock(local)

    def start(
        self,
        *,
        apart: float = 0.0,
        limit: RateLimit = RateLimit(9),  # noqa: B008  # frozen
        url: str | None = None,
    ) -> Run:
        """Start a run on a machine whose clocks are so many seconds ahead of the first one's."""
        clock = FakeClock(now=10_000_000.0 + 7 * apart, wall=SERVER_TIME + apart)
        self._clocks.append(clock)
        self._runs.append(Run(url or self.server.url, clock, limit, self.environ))
        return self._runs[-1]

    def advance(self, seconds: float) -> None:
        """Let time pass for all."""
        self.server_time += seconds
        for clock in self._clocks:
            clock.advance(seconds)

    def make_old(self) -> None:
        """Let the server know budgets since long."""
        with self.server.admin() as admin:
            fields = {"version": "1", "generation": "old", "salt": b"0" * 16, "made": "0"}
            admin.hset(STORE, mapping=fields)

    def age(self) -> None:
        """Let the store be as if it was made long ago, for the time that the test let pass."""
        with self.server.admin() as admin:
            admin.hset(STORE, "made", "0")

    def end_leases(self) -> None:
        """Let every lease end, as the server does by its own clock."""
        with self.server.admin() as admin:
            for holder in admin.zrange(HOLDERS, 0, -1):
                admin.zadd(HOLDERS, {holder: 0})

    def close(self) -> None:
        """End every run."""
        for run in self._runs:
            run.pool.close()
