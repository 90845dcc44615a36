"""Whatever happens to runs and clocks: never more than the limit, and never less."""

import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeClock
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.quota.budget import MARGIN, WINDOW
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease, Throttled
from imagegen.secret import Secret
from sweep import examples

SMALL = ApiKey(Secret("test-key-small-000002"), RateLimit(2))
LARGE = ApiKey(Secret("test-key-large-000003"), RateLimit(3))
RUNS = 3

number = st.integers(0, 7)
lease = st.tuples(st.just("lease"), number, number)
sent = st.tuples(st.just("sent"), number, st.sampled_from([0.0, 0.2, MARGIN]))
release = st.tuples(st.just("release"), number, number)
refused = st.tuples(st.just("refused"), number, st.sampled_from([None, 0.5, 20.0, 90.0]))
advance = st.tuples(
    st.just("advance"), st.sampled_from([0.0, 0.3, 5.0, 20.0, 30.0, 59.0, 60.5, 61.0]), number
)
kill = st.tuples(st.just("kill"), number, number)
restart = st.tuples(st.just("restart"), number, number)
jump = st.tuples(st.just("jump"), st.sampled_from([-90_000.0, -61.0, 61.0, 90_000.0]), number)
back = st.tuples(st.just("jump"), st.sampled_from([-90_000.0, -61.0]), number)
reboot = st.tuples(st.just("reboot"), st.sampled_from([0.0, 20.0, 61.0]), number)
common = [lease, lease, lease, sent, sent, release, advance]


@dataclass
class Arrivals:
    """What a server has seen of one key, in true time, and what may still reach it."""

    limit: int
    at: list[float] = field(default_factory=list)
    departed: list[float] = field(default_factory=list)
    released: list[tuple[int, float]] = field(default_factory=list)

    def busiest(self) -> int:
        """Return the most requests that arrived within any 60 s."""
        times = sorted(self.at)
        return max(
            (sum(1 for t in times if start <= t < start + WINDOW) for start in times), default=0
        )


class World:
    """Several runs on one store, and a server that counts arrivals."""

    def __init__(self, folder: Path, styles: dict[str, tuple[ApiKey, ...]]) -> None:
        self.folder = folder
        self.styles = styles
        self.clock = FakeClock()
        self.true = 0.0
        keys = {key for pool in styles.values() for key in pool}
        self.server = {key.secret: Arrivals(key.limit.per_minute) for key in keys}
        self.runs: list[tuple[KeyPool, Ledger]] = []
        self.open: list[tuple[int, Lease]] = []
        self.settled: list[tuple[int, Lease]] = []
        self.warnings: list[str] = []
        for _ in range(RUNS):
            self.runs.append(self.start())

    def start(self) -> tuple[KeyPool, Ledger]:
        """Start a run."""
        ledger = Ledger.open(self.folder, self.clock, self.warnings.append)
        pool = KeyPool(
            self.styles, provider="p", model="m", ledger=ledger, clock=self.clock, seed=1
        )
        return pool, ledger

    def close(self) -> None:
        """End all runs."""
        for pool, _ in self.runs:
            pool.close()

    def step(self, name: str, one: float, two: float | None) -> None:
        """Let one thing happen."""
        getattr(self, "do_" + name)(one, two)

    def do_lease(self, run: int, style: int) -> None:
        """Ask for a key; where there is none, its quota must really be used up."""
        run %= RUNS
        name = sorted(self.styles)[style % len(self.styles)]
        got = self.runs[run][0].lease(name)
        if isinstance(got, Lease):
            self.open.append((run, got))
        else:
            assert isinstance(got, Throttled)
            self.check_full(run, name)

    def check_full(self, run: int, style: str) -> None:
        """Look whether a run that was told to wait was told so rightly."""

    def do_sent(self, which: int, way: float) -> None:
        """Let a request leave; it takes `way` seconds to arrive."""
        if self.open:
            run, got = self.open.pop(which % len(self.open))
            self.runs[run][0].sent(got)
            self.arrive(got, way)
            self.settled.append((run, got))

    def arrive(self, got: Lease, way: float) -> None:
        """Count a request at the server."""
        self.server[got.secret].at.append(self.true + way)
        self.server[got.secret].departed.append(self.true)

    def do_release(self, which: int, _: int) -> None:
        """Give a lease back."""
        if self.open:
            run, got = self.open.pop(which % len(self.open))
            self.runs[run][0].release(got)
            self.server[got.secret].released.append((run, self.true))

    def do_refused(self, which: int, retry_after: float | None) -> None:
        """Answer a request with a 429."""
        if self.settled:
            run, got = self.settled.pop(which % len(self.settled))
            self.runs[run][0].record_429(got, retry_after)

    def do_advance(self, seconds: float, _: int) -> None:
        """Let time pass."""
        self.true += seconds
        self.clock.advance(seconds)

    def do_jump(self, by: float, _: int) -> None:
        """Set the wall clock."""
        self.clock.set_wall(by)

    def do_kill(self, run: int, _: int) -> None:
        """Kill a run, whose requests leave at the last moment, and start another."""
        self.die(run % RUNS)
        self.runs[run % RUNS] = self.start()

    def die(self, run: int) -> None:
        """End a run without any of its own clearing up."""
        self.runs[run][1].close()
        for owner, got in self.open:
            if owner == run:
                self.arrive(got, 0.0)
        self.open = [entry for entry in self.open if entry[0] != run]
        self.settled = [entry for entry in self.settled if entry[0] != run]

    def do_restart(self, run: int, _: int) -> None:
        """End a run and start another."""
        run %= RUNS
        for owner, got in list(self.open):
            if owner == run:
                self.runs[run][0].release(got)
                self.server[got.secret].released.append((-1, self.true))
                self.open.remove((owner, got))
        self.settled = [entry for entry in self.settled if entry[0] != run]
        self.runs[run][0].close()
        self.runs[run] = self.start()

    def do_reboot(self, away: float, _: int) -> None:
        """Restart the machine with everything on it."""
        for run in range(RUNS):
            self.die(run)
        self.true += away
        self.clock.reboot(away)
        self.runs = [self.start() for _ in range(RUNS)]


class Demanding(World):
    """A world of one style and without refusals, where every wait has to be explained."""

    def check_full(self, run: int, style: str) -> None:
        """Hold that each key was sent with, or is leased, as often as it allows.

        A place that another run gave back may be seen a minute later: this one learned
        when to ask again before.
        """
        for key in self.styles[style]:
            seen = self.server[key.secret]
            since = self.true - WINDOW - MARGIN
            used = sum(1 for at in seen.departed if at > since - 1e-6)
            used += sum(1 for _, got in self.open if got.secret == key.secret)
            used += sum(1 for who, at in seen.released if who != run and at > since - 1e-6)
            assert used >= seen.limit


def play(world: World, steps: list[tuple[str, float, float | None]]) -> None:
    """Let all this happen, and hold what the server counted against the limits."""
    with contextlib.closing(world):
        for step in steps:
            world.step(*step)
        assert world.warnings == []
        for seen in world.server.values():
            assert seen.busiest() <= seen.limit


SHARED = {"clear": (SMALL, LARGE), "noir": (LARGE,)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "events",
    [[*common, refused, kill, restart, jump], [*common, refused, kill, restart, back, reboot]],
    ids=["clock set at will", "reboots"],
)
@settings(deadline=None, max_examples=examples(40))
@given(data=st.data())
def test_no_minute_has_more_requests_than_its_limit(
    events: list[st.SearchStrategy[tuple[str, float, float | None]]], data: st.DataObject
) -> None:
    """In any 60 s the server counts no more than the limit, whatever befell the runs."""
    steps = data.draw(st.lists(st.one_of(events), min_size=10, max_size=80))
    with tempfile.TemporaryDirectory() as folder:
        play(World(Path(folder), SHARED), steps)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(60))
@given(steps=st.lists(st.one_of(*common, jump, restart), min_size=10, max_size=80))
def test_no_quota_is_idle_while_a_run_waits(
    steps: list[tuple[str, float, float | None]],
) -> None:
    """Whoever is told to wait could not have sent: each key is used up."""
    with tempfile.TemporaryDirectory() as folder:
        play(Demanding(Path(folder), {"clear": (SMALL, LARGE)}), steps)
