"""The engine in virtual time: one thread, no waiting, the same steppers as in real runs."""

import datetime as dt
import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec

from fakes import FakeClock
from imagegen.clock import Clock
from imagegen.engine.engine import Engine
from imagegen.engine.runtime import Stepper
from imagegen.engine.state import EngineOptions, RunState
from imagegen.events.bus import Bus
from imagegen.events.types import Complete, Event, Progress
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.project.beat_status import Status
from imagegen.project.layout import ProjectPaths
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat
from imagegen.prompts.composer import Composer
from imagegen.prompts.continuity import predecessors
from imagegen.prompts.references import References
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Request
from imagegen.providers.models import Catalogue, Model, Pixels
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool
from imagegen.quota.store import MemoryStore
from imagegen.secret import Secret
from imagegen.spending.account import RunAccount
from imagegen.spending.ledger import SpendingLedger
from imagegen.spending.limits import Limit
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
"""A whole PNG of one pixel."""

STYLES = ("illustration", "clear", "consistent")


class _Job:
    """A job in a thread of its own that runs only while the one who resumes it waits."""

    def __init__(self, job: Callable[[], None]) -> None:
        self._go = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        self.wakes_at: float | None = None
        self._job = job
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Let the job run until it sleeps or ends."""
        self.wakes_at = None
        self._go.release()
        self._paused.acquire()

    def sleep_until(self, at: float) -> None:
        """Pause the job; called in its own thread."""
        self.wakes_at = at
        self._paused.release()
        self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        self._job()
        self._paused.release()


class VirtualRuntime:
    """Time that passes only when nothing is left to do at this moment.

    Jobs run one at a time, never beside a stepper; `sleep` lets virtual time pass in one.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock: Clock = clock
        self.lock: AbstractContextManager[object] = nullcontext()
        self._fake = clock
        self.at: list[tuple[float, Callable[[], None]]] = []
        self._sleeping: list[tuple[float, int, _Job]] = []
        self._running: _Job | None = None
        self._stepping: Stepper | None = None
        self._due: dict[Stepper, float] = {}
        self._order = itertools.count()

    def executor(self, width: int, name: str) -> "VirtualRuntime":
        """Return what runs jobs."""
        return self

    def submit(self, job: Callable[[], None], /) -> None:
        """Run a job until it sleeps."""
        self._resume(_Job(job))

    def shutdown(self, *, wait: bool = True) -> None:
        """Do nothing."""

    def wake(self, stepper: Stepper | None = None) -> None:
        """Wake whoever waits: not the stepper that rings, which is at work."""
        for one in self._due:
            rung = stepper in {None, one}
            if rung and (self._running is not None or one is not self._stepping):
                self._due[one] = self.clock.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass in the job that calls this."""
        assert self._running is not None
        if seconds > 0:
            self._running.sleep_until(self.clock.now() + seconds)

    def drive(self, steppers: Sequence[Stepper]) -> None:
        """Call steppers when they asked for it or at a ring, and at no other time."""
        self._due = dict.fromkeys(steppers, self.clock.now())
        for _ in range(200_000):
            for stepper in [s for s in steppers if s in self._due]:
                if self._due[stepper] <= self.clock.now():
                    self._step(stepper)
            if steppers[-1] not in self._due:
                return
            times = [at for at, _ in self.at] + [at for at, *_ in self._sleeping[:1]]
            self._advance(min([*self._due.values(), *times]))
        raise AssertionError("the engine did not come to an end")

    def _step(self, stepper: Stepper) -> None:
        self._stepping, self._due[stepper] = stepper, math.inf
        again = stepper.step()
        self._stepping = None
        if again is None:
            del self._due[stepper]
        else:
            self._due[stepper] = min(again, self._due[stepper])

    def _advance(self, to: float) -> None:
        self._fake.advance(max(0.0, to - self.clock.now()))
        for moment in [m for m in self.at if m[0] <= self.clock.now()]:
            self.at.remove(moment)
            moment[1]()
        while self._sleeping and self._sleeping[0][0] <= self.clock.now():
            self._resume(heapq.heappop(self._sleeping)[2])

    def _resume(self, job: _Job) -> None:
        before, self._running = self._running, job
        job.resume()
        self._running = before
        if job.wakes_at is not None:
            heapq.heappush(self._sleeping, (job.wakes_at, next(self._order), job))


TEN_CENTS = Model(name="model-1", sizes={"1K": 0.1}, references=14, pixels=Pixels(fixed=((1, 1),)))


class ScriptedProvider:
    """Answers as a test says; remembers when which request left, with which key."""

    def __init__(self, clock: FakeClock, sleep: Callable[[float], None]) -> None:
        self.name, self.model = "scripted", "model-1"
        self.catalogue = Catalogue((TEN_CENTS,), default="model-1", other=TEN_CENTS)
        self.key_variables: tuple[str, ...] = ("SCRIPTED_KEY",)
        self.keys_section, self.supports_base_url, self.per_minute = "", True, 9
        self.largest_reference = 7 * 1024 * 1024
        self.largest_references = 14 * 1024 * 1024
        self.reference_types = frozenset({"image/png", "image/jpeg", "image/webp"})
        self.max_concurrency = 4
        self.requests: list[tuple[float, str, Request]] = []
        self.answer: Callable[[Request, str], Outcome] = lambda _request, _key: Picture(data=PNG)
        self.listing: Callable[[], tuple[str, ...] | ProviderError] = lambda: ("model-1", "model-2")
        self.listed = 0
        self.latency = 8.0
        self.connecting: Callable[[], float] = lambda: 0.0
        self.unsent: Callable[[], ProviderError | None] = lambda: None
        self._clock = clock
        self._sleep = sleep

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:
        """Connect, send and answer as the test says."""
        secret = key.reveal() if key else ""
        self._sleep(self.connecting())
        unsent = self.unsent()
        if unsent is not None:
            return unsent
        self.requests.append((self._clock.now(), secret, request))
        sent()
        outcome = self.answer(request, secret)
        self._sleep(self.latency)
        return outcome

    def models(self, key: Secret | None) -> tuple[str, ...] | ProviderError:
        """Answer as the test says."""
        self.listed += 1
        return self.listing()

    def close(self) -> None:
        """Do nothing."""

    def times(self, words: str | None = None) -> list[float]:
        """Return when requests left: all, or those for one beat."""
        return [at for at, _, request in self.requests if words in {None, request.words}]

    def most_in_a_minute(self) -> dict[str, int]:
        """Return for each key the most requests that left within any 60 seconds."""
        most: dict[str, int] = {}
        recent: dict[str, deque[float]] = {}
        for at, key, _ in self.requests:
            times = recent.setdefault(key, deque())
            times.append(at)
            while times[0] <= at - 60:
                times.popleft()
            most[key] = max(most.get(key, 0), len(times))
        return most

    def prompts(self) -> list[str]:
        """Return the words of every request, in the order they left."""
        return [request.words for _, _, request in self.requests]


class Notes:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failures: list[BaseException] = []

    def handle(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Show:
    """One engine in virtual time, over a folder of a test.

    Of each style the first `there` beats have their picture already. Without `keys` every
    style has `keys_a_style` keys of its own, of `per_minute` requests each. `chains` are the
    lengths of the chains in which the beats of every style continue each other, one a shot. With
    a `ledger` it is recorded what they cost, within `limits`; `wall` is when it begins.
    """

    def __init__(
        self,
        folder: Path,
        *,
        beats: Mapping[str, int] | None = None,
        keys: Mapping[str, Iterable[ApiKey]] | None = None,
        per_minute: int = 9,
        keys_a_style: int = 2,
        keyless: bool = False,
        lend: bool = False,
        there: int = 0,
        latency: float = 8.0,
        width: int = 4,
        chains: Sequence[int] = (),
        ledger: SpendingLedger | None = None,
        limits: Sequence[Limit] = (),
        wall: float | None = None,
        **options: object,
    ) -> None:
        self.clock = FakeClock() if wall is None else FakeClock(wall=wall)
        self.runtime = VirtualRuntime(self.clock)
        self.provider = ScriptedProvider(self.clock, self.runtime.sleep)
        self.provider.latency, self.provider.max_concurrency = latency, width
        self.bus = Bus("run-1", self.clock.wall)
        self._notes = Notes()
        self.events = self._notes.events
        self.bus.subscribe(self._notes, tick=None, failed=self._notes.failures.append)
        self.layout = ProjectPaths(folder)
        counts = beats if beats is not None else dict.fromkeys(STYLES, sum(chains) or 30)
        self.keys = (
            {style: tuple(own) for style, own in keys.items()}
            if keys is not None
            else {
                style: tuple(
                    ApiKey(Secret(f"test-key-{style}-{n:06d}"), RateLimit(per_minute))
                    for n in range(keys_a_style)
                )
                for style in counts
            }
        )
        self.warnings: list[str] = []
        budgets = Ledger(MemoryStore(), self.clock, self.warnings.append)
        self.pool = KeyPool(
            {style: self.keys.get(style, ()) for style in {**counts, **self.keys}},
            provider="scripted",
            model="model-1",
            ledger=budgets,
            clock=self.clock,
            lend=lend,
            seed=1,
        )
        rows = {style: [_beat(style, n) for n in range(count)] for style, count in counts.items()}
        if chains:
            rows = {style: _in_chains(own, chains) for style, own in rows.items()}
        before = {style: predecessors(own, lambda _: False) for style, own in rows.items()}
        self.plan = Plan(
            styles={
                style: tuple(
                    Planned(
                        beat, ImageState.NOTHING, draw=n >= there, after=before[style].get(beat.key)
                    )
                    for n, beat in enumerate(own)
                )
                for style, own in rows.items()
            }
        )
        self.run = RunState(
            layout=self.layout,
            provider=self.provider,
            composer=Composer(Settings(), References(), before, pictures=self.layout),
            keys=None if keyless else self.pool,
            options=EngineOptions(run="run-1", lineage="run-1", **options),  # type: ignore[arg-type]
            runtime=self.runtime,
            bus=self.bus,
            account=None
            if ledger is None
            else RunAccount(
                ledger,
                project=str(folder),
                provider=self.provider.name,
                model=self.provider.model,
                limits=limits,
                clock=self.clock,
                warn=self.warnings.append,
            ),
        )
        self.engine = Engine(self.run, self.plan, self.keys, seed=1)

    def draw(self) -> Complete:
        """Run to the end, and hear everything."""
        self.began = self.clock.now()
        try:
            return self.engine.draw()
        finally:
            self.bus.close()

    def at(self, event: Event) -> float:
        """Return when something happened, in seconds since the run began."""
        moment = dt.datetime.fromisoformat(event.time).timestamp()
        return round(moment - self.clock.wall() + self.clock.now() - self.began, 3)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something when that much time has passed, as another thread would."""
        self.runtime.at.append((self.clock.now() + seconds, act))

    def statuses(self) -> dict[str, Status]:
        """Return the last status of each beat that has had one, by its words."""
        return {
            f"{event.style} {event.beat_number}": event.status
            for event in self.events
            if isinstance(event, Progress)
        }


def _in_chains(beats: Sequence[Beat], lengths: Sequence[int]) -> list[Beat]:
    """Return the beats in shots of these lengths, each a hard cut and what continues it."""
    places = ((shot, nth) for shot, length in enumerate(lengths) for nth in range(length))
    return [
        msgspec.structs.replace(beat, shot=str(shot), transition="C" if nth else "H")
        for beat, (shot, nth) in zip(beats, places, strict=True)
    ]


def _beat(style: str, number: int) -> Beat:
    return Beat(
        style=style,
        shot=str(1 + number // 5),
        beat=f"{number + 1}",
        written=f"{number + 1}",
        words=f"{style} {number + 1}",
        own_words=True,
    )


def passing(reason: str = "HTTP 503") -> ProviderError:
    """Return a fault that passes."""
    return ProviderError(kind=FaultKind.PASSING, reason=reason, message="the service is overloaded")
