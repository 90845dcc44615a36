"""Whatever beats, keys, delays and faults there are: every run ends, and wastes nothing."""

import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagegen.errors import Exit
from imagegen.events.types import Complete, Progress
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.project.beat_status import Status
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Request
from imagegen.secret import Secret
from sweep import examples
from virtual import PNG, STYLES, Show, passing

TROUBLE = (FaultKind.PASSING, FaultKind.NO_PICTURE, FaultKind.REFUSED, FaultKind.LIMITED)


@dataclass
class World:
    """A storyboard, its keys and a service with moods."""

    beats: dict[str, int]
    keys_and_limits: dict[str, tuple[int, int]]
    shared: bool
    fault_rate: float
    latency: float
    slow: float
    attempts: int
    seed: int

    def keys(self) -> dict[str, tuple[ApiKey, ...]]:
        """Return each style's keys; one project has them all where they are shared."""
        project = "studio" if self.shared else None
        return {
            style: tuple(
                ApiKey(
                    Secret(f"test-key-{style}-{n:06d}"),
                    RateLimit(7 if self.shared else limit),
                    project,
                )
                for n in range(count)
            )
            for style, (count, limit) in self.keys_and_limits.items()
        }


worlds = st.builds(
    World,
    beats=st.dictionaries(st.sampled_from(STYLES), st.integers(0, 25), min_size=1),
    keys_and_limits=st.fixed_dictionaries(
        {style: st.tuples(st.integers(1, 3), st.integers(1, 12)) for style in STYLES}
    ),
    shared=st.booleans(),
    fault_rate=st.floats(0, 0.5),
    latency=st.floats(0, 40),
    slow=st.floats(0, 30),
    attempts=st.integers(1, 4),
    seed=st.integers(0, 1000),
)


class Service:
    """Answers with faults at a rate, and remembers what it answered."""

    def __init__(self, world: World) -> None:
        self.answers: dict[tuple[str, str], list[Outcome]] = {}
        self._dice = random.Random(world.seed)
        self._rate = world.fault_rate

    def __call__(self, request: Request, _key: str) -> Outcome:
        """Answer one request."""
        answer: Outcome = Picture(data=PNG)
        if self._dice.random() < self._rate:
            kind = self._dice.choice(TROUBLE)
            wait = self._dice.choice([None, 0.1, 20.0])
            answer = ProviderError(kind=kind, reason="test", message="test", retry_after=wait)
        self.answers.setdefault((request.style, request.beat), []).append(answer)
        return answer


def show_of(world: World, folder: Path, max_time: float | None = None) -> tuple[Show, Service]:
    """Return an engine in this world."""
    service, slow = Service(world), random.Random(world.seed)
    show = Show(
        folder,
        beats=world.beats,
        keys=world.keys(),
        latency=world.latency,
        max_attempts=world.attempts,
        max_time=max_time,
        timeout=80.0,
    )
    show.provider.answer = service
    show.provider.connecting = lambda: slow.choice([0.0, slow.random() * world.slow])
    return show, service


def within_limits(show: Show, world: World) -> bool:
    """Tell whether no budget was over its limit in any minute."""
    if world.shared:
        times = show.provider.times()
        return all(b - a >= 60 for a, b in zip(times, times[7:], strict=False))
    most = show.provider.most_in_a_minute()
    return all(
        most.get(key.secret.reveal(), 0) <= key.limit.per_minute
        for own in show.keys.values()
        for key in own
    )


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(worlds)
def test_every_run_ends_with_each_picture_drawn_once(world: World) -> None:
    """A beat that was answered a picture is drawn, no other is, and none is sent for again."""
    with tempfile.TemporaryDirectory() as folder:
        show, service = show_of(world, Path(folder))
        complete = show.draw()

        assert complete.exit_code in {Exit.OK, Exit.BEATS_IN_ERROR, Exit.ENDED_EARLY}
        done = Counter(
            (event.style, event.beat_number)
            for event in show.events
            if isinstance(event, Progress) and event.status is Status.COMPLETE
        )
        answered = {
            beat: [n for n, answer in enumerate(answers) if isinstance(answer, Picture)]
            for beat, answers in service.answers.items()
        }
        assert set(done.values()) <= {1}
        assert set(done) == {beat for beat, pictures in answered.items() if pictures}
        for beat, pictures in answered.items():
            assert pictures in ([], [len(service.answers[beat]) - 1])
        assert within_limits(show, world)
        if complete.exit_code != Exit.ENDED_EARLY:
            statuses = show.statuses()
            assert len(statuses) == sum(world.beats.values())
            assert set(statuses.values()) <= {Status.COMPLETE, Status.ERROR}
        assert sum(isinstance(event, Complete) for event in show.events) == 1
        assert len(list(show.layout.pictures.rglob("*.png"))) == len(done)
        assert list(show.layout.root.rglob("old_images/**/*.png")) == []


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(worlds, st.floats(0, 200), st.sampled_from(["signal", "time", "outage"]))
def test_every_run_ends_whatever_ends_it(world: World, when: float, what: str) -> None:
    """A signal, a limit of time or an outage: it ends when it must, and no limit is broken."""
    with tempfile.TemporaryDirectory() as folder:
        show, service = show_of(world, Path(folder), when if what == "time" else None)
        began = show.clock.now()
        if what == "signal":
            show.later(when, lambda: show.engine.supervisor.signal(Exit.SIGINT))
        if what == "outage":

            def back() -> bool:
                return not when <= show.clock.now() - began < when + 300

            show.provider.answer = lambda request, key: (
                service(request, key) if back() else passing()
            )
            show.provider.listing = lambda: ("model-1",) if back() else passing()
        complete = show.draw()

        assert within_limits(show, world)
        if what == "time":
            assert complete.seconds <= when + 0.2
        if what == "signal" and complete.exit_code == Exit.SIGINT:
            assert show.engine.in_flight == 0
            assert all(at - began <= when + world.slow + 0.2 for at in show.provider.times())
            assert Status.GENERATING not in show.statuses().values()


_HOURS = 4 * 3600.0
_FATES = (
    None,
    None,
    FaultKind.KEY_REJECTED,
    FaultKind.SPENT_TODAY,
    FaultKind.NO_QUOTA,
    FaultKind.OUT_OF_CREDIT,
)

keyrings = st.fixed_dictionaries(
    {
        style: st.lists(
            st.tuples(st.sampled_from([None, None, "one", "two"]), st.sampled_from(_FATES)),
            max_size=2,
        )
        for style in STYLES
    }
)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    keyrings,
    st.dictionaries(st.sampled_from(STYLES), st.sampled_from([0, 3, 12]), min_size=1),
    st.booleans(),
    st.sampled_from([(), (3, 2, 1)]),
)
def test_a_run_ends_whatever_becomes_of_its_keys(
    rings: dict[str, list[tuple[str | None, FaultKind | None]]],
    beats: dict[str, int],
    lend: bool,  # noqa: FBT001
    chains: tuple[int, ...],
) -> None:
    """Keys of their own or of shared projects, lent or not: nothing waits for ever for one."""
    fates = {
        f"test-key-{style}-{n:06d}": fate
        for style, ring in rings.items()
        for n, (_, fate) in enumerate(ring)
    }
    keys = {
        style: tuple(
            ApiKey(Secret(f"test-key-{style}-{n:06d}"), RateLimit(9), project)
            for n, (project, _) in enumerate(ring)
        )
        for style, ring in rings.items()
    }

    def answer(_request: Request, key: str) -> Outcome:
        fate = fates[key]
        if fate is None:
            return Picture(data=PNG)
        return ProviderError(kind=fate, reason="test", message="test")

    with tempfile.TemporaryDirectory() as folder:
        drawn = {style: sum(chains) or count for style, count in beats.items() if count}
        show = Show(Path(folder), beats=drawn, keys=keys, lend=lend, chains=chains)
        show.provider.answer = answer
        late: list[str] = []
        show.later(_HOURS, lambda: late.append("too late"))
        show.later(_HOURS, lambda: show.engine.supervisor.signal(Exit.SIGTERM))
        complete = show.draw()

        assert not late
        undone = sum(totals.pending for totals in complete.counts.values())
        assert (complete.exit_code == Exit.OK) == (undone == 0)
        spoilt = {
            project
            for ring in rings.values()
            for project, fate in ring
            if project is not None and fate not in {None, FaultKind.KEY_REJECTED}
        }
        works = {
            style
            for style, ring in rings.items()
            if any(fate is None and project not in spoilt for project, fate in ring)
        }
        for style, totals in complete.counts.items():
            if style in works or (lend and rings[style] and works):
                assert totals.pending == 0
