"""Machines that work, sleep and die at random, on a server that loses what it knows."""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import redis_server
from imagegen.quota import ledger as ledger_module
from imagegen.quota.pool import Lease
from machines import HOLDERS, STORE, Run, World
from redis_server import RedisServer
from sweep import examples

LIMIT = 9
LEASE_SECONDS = 20.0
STEPS = 1500


class Machine:
    """A machine with one run: its leases, and when it last reached the server."""

    def __init__(self, run: Run, now: float) -> None:
        self.run = run
        self.leases: list[Lease] = []
        self.seen_at = now
        self.asleep_until = -math.inf


class Chaos:
    """Does one thing after the other. `sent` has when requests left, by a clock that stays."""

    def __init__(self, world: World, seed: int) -> None:
        self.sent: list[float] = []
        self._random = random.Random(seed)
        self._world = world
        self._admin = world.server.admin()
        self._now = 0.0
        self._made_at = -3600.0
        self._machines = [self._start() for _ in range(3)]

    def close(self) -> None:
        """Close the test's own connection."""
        self._admin.close()

    def step(self) -> None:
        """Do one thing, then let some time pass."""
        machine = self._random.choice(self._machines)
        if machine.asleep_until <= self._now:
            acts = (self._lease, self._send, self._release, self._sleep, self._die)
            self._random.choices(acts, weights=(10, 8, 1, 1.5, 0.3))[0](machine)
        if self._random.random() < 0.005:
            self._random.choice((self._lose, self._set_clock, self._lose_leases))()
        for _ in range(self._random.choice((0, 0, 0, 1, 1, 3))):
            self._advance(self._random.uniform(0.0, 5.0))

    def most_in_a_minute(self) -> int:
        """Return the most requests in any 60 seconds."""
        times = sorted(self.sent)
        return max(sum(at <= other < at + 60.0 for other in times) for at in times)

    def _start(self) -> Machine:
        return Machine(self._world.start(apart=self._random.uniform(-500.0, 500.0)), self._now)

    def _lease(self, machine: Machine) -> None:
        machine.seen_at = self._now
        for _ in range(self._random.choice((1, 1, LIMIT))):
            lease = machine.run.lease()
            if lease is not None:
                machine.leases.append(lease)

    def _send(self, machine: Machine) -> None:
        for lease in machine.leases:
            if machine.run.pool.may_send(lease):
                self.sent.append(self._now)
                machine.run.pool.sent(lease)
            else:
                machine.run.pool.release(lease)
        machine.leases.clear()

    def _release(self, machine: Machine) -> None:
        for lease in machine.leases:
            machine.run.pool.release(lease)
        machine.leases.clear()

    def _sleep(self, machine: Machine) -> None:
        machine.asleep_until = self._now + self._random.uniform(0.0, 150.0)

    def _die(self, machine: Machine) -> None:
        # Its last request may have left, and nothing says so.
        if machine.leases and machine.run.pool.may_send(machine.leases[0]):
            self.sent.append(self._now)
        machine.run.ledger.close = lambda: None  # type: ignore[method-assign]
        self._machines.remove(machine)
        self._machines.append(self._start())

    def _lose(self) -> None:
        self._admin.flushall()
        self._made_at = self._now

    def _set_clock(self) -> None:
        self._world.server_time += self._random.choice((-3600.0, 70.0, 300.0))

    def _lose_leases(self) -> None:
        self._admin.delete(HOLDERS)

    def _advance(self, seconds: float) -> None:
        self._now += seconds
        self._world.advance(seconds)
        awake = [machine for machine in self._machines if machine.asleep_until <= self._now]
        self._end_leases(awake)
        generation = self._admin.hget(STORE, "generation")
        for machine in awake:
            machine.run.pool.refresh()
            machine.seen_at = self._now
        if self._admin.hget(STORE, "generation") != generation:
            self._made_at = self._now
        self._keep_age()

    def _end_leases(self, awake: list[Machine]) -> None:
        """Let leases end as the server would, if its time was the test's."""
        living = {
            machine.run.ledger.holder
            for machine in self._machines
            if machine in awake or self._now - machine.seen_at < LEASE_SECONDS
        }
        for holder in self._admin.zrange(HOLDERS, 0, -1):
            assert isinstance(holder, bytes)
            if holder.decode() not in living:
                self._admin.zrem(HOLDERS, holder)

    def _keep_age(self) -> None:
        """Let the store be as old as it is by the test's time."""
        if self._admin.exists(STORE):
            seconds, _ = self._admin.time()
            self._admin.hset(STORE, "made", int(1000 * (seconds - self._now + self._made_at)))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a running server."""
    command = redis_server.program(redis_server.INSTALLED[0])
    with RedisServer(tmp_path / "redis", command=command) as running:
        yield running


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(examples(8)))
def test_no_minute_has_more_than_the_limit(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Not one request too many, whatever happens to machines, leases, data and clocks."""
    world = World(server)
    monkeypatch.setattr(ledger_module, "ServerClock", world.server_clock)
    world.make_old()
    chaos = Chaos(world, seed)
    for _ in range(STEPS):
        chaos.step()
    assert chaos.most_in_a_minute() <= LIMIT
    assert len(chaos.sent) > 100
    chaos.close()
    world.close()
