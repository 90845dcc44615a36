"""Networks as they are: faults, outages, silence. Every run ends, and draws what can be drawn."""

import itertools
import math
import random
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import Commands, pictures
from gemini_server import Answer, GeminiServer
from imagegen.engine.outcomes import BACKOFF_SECONDS
from imagegen.engine.queue import ROUND_DELAY
from imagegen.errors import Exit
from imagegen.events.types import Progress, Waiting
from imagegen.project.beat_status import Status
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Request
from imagegen.providers.http import Http
from imagegen.quota.budget import MARGIN, WINDOW
from sweep import SWEEP, examples
from virtual import PNG, STYLES, Show, passing

MINUTE = WINDOW + MARGIN
TIMEOUT = 120.0
ATTEMPTS = 4
DRAWN = Picture(data=PNG)
QUICK = ("reset", "503", "half a body")
KINDS = (*QUICK, "silence", "no picture")


@dataclass
class Weather:
    """A service with a share of faults in its answers, and in those of its free endpoint.

    No beat gets as many answers without a picture as it has attempts: each can be drawn.
    """

    show: Show
    share: float
    seed: int
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        """Begin to blow."""
        self._dice = random.Random(self.seed)
        self._fruitless: Counter[tuple[str, str]] = Counter()
        self.show.provider.answer = self._answer
        self.show.provider.listing = lambda: (
            passing() if self._dice.random() < self.share else ("model-1",)
        )

    def _answer(self, request: Request, _key: str) -> Outcome:
        if self._dice.random() >= self.share:
            return DRAWN
        kind = self._dice.choice(self.kinds)
        beat = (request.style, request.beat)
        if kind == "no picture" and self._fruitless[beat] < ATTEMPTS - 1:
            self._fruitless[beat] += 1
            return ProviderError(kind=FaultKind.NO_PICTURE, reason="empty", message="no picture")
        if kind == "silence":
            self.show.runtime.sleep(TIMEOUT - self.show.provider.latency)
            return passing("timeout")
        return Picture(data=PNG[:-5]) if kind == "half a body" else passing(kind)


def most_seconds(show: Show, per_minute: int, slowest: float) -> float:
    """Return how long a run may take at most, by the requests that it needed.

    What the keys allow for as many requests, and in each round the longest way that one beat can
    go: all attempts with their back-off, each at the slowest, and each with a wait for a key.
    """
    counts = Counter(request.style for _, _, request in show.provider.requests)
    minutes = max(math.ceil(count / per_minute) - 1 for count in counts.values())
    rounds = [
        event for event in show.events if isinstance(event, Waiting) and event.reason == "round"
    ]
    most_rounds = max(Counter(event.style for event in rounds).values(), default=0)
    one_beat = ATTEMPTS * slowest + 1.25 * sum(BACKOFF_SECONDS) + MINUTE
    asked = 4.0 * show.provider.listed
    return MINUTE * minutes + (1 + most_rounds) * one_beat + most_rounds * ROUND_DELAY + asked


def waits(show: Show) -> Counter[str]:
    """Return how often each reason to wait was told."""
    return Counter(event.reason for event in show.events if isinstance(event, Waiting))


def drawn(show: Show) -> int:
    """Return how many pictures lie on the disk."""
    return len(list(show.layout.pictures.rglob("*.png")))


def errors(show: Show) -> list[str]:
    """Return the beats that are in error."""
    return [name for name, status in show.statuses().items() if status is Status.ERROR]


# -- faults ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize(
    ("beats", "share", "seed"),
    [
        *itertools.product([30], [0.01, 0.05, 0.2, 0.5], range(3 if SWEEP else 1)),
        *itertools.product([300], [0.01, 0.05, 0.2, 0.5] if SWEEP else [0.2], [1]),
        *itertools.product([2000], [0.01, 0.5] if SWEEP else [0.5], [1]),
    ],
)
def test_every_beat_is_drawn_and_time_grows_by_what_faults_explain(
    tmp_path: Path, beats: int, share: float, seed: int
) -> None:
    """From 1 % to 50 % of all answers being faults of any kind, at 30 to 2,000 beats a style."""
    styles = STYLES[:1] if beats == 2000 else STYLES
    per_minute = 60 if beats == 2000 else 9
    show = Show(tmp_path, beats=dict.fromkeys(styles, beats), per_minute=per_minute)
    Weather(show, share, seed)
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.OK, "complete"), errors(show)
    assert drawn(show) == beats * len(styles)
    expected = beats * len(styles) / (1 - share)
    assert complete.requests <= 1.1 * expected + 20
    assert complete.seconds <= most_seconds(show, 2 * per_minute, TIMEOUT)
    assert max(show.provider.most_in_a_minute().values()) <= per_minute


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(
    beats=st.integers(1, 60),
    share=st.floats(0.01, 0.5),
    kinds=st.sets(st.sampled_from(KINDS), min_size=1).map(sorted).map(tuple),
    latency=st.floats(0, 60),
    seed=st.integers(0, 10_000),
)
def test_whatever_the_faults_are_a_run_ends_in_time(
    beats: int, share: float, kinds: tuple[str, ...], latency: float, seed: int
) -> None:
    """By itself, within what the faults explain, and only beats out of luck are in error."""
    with tempfile.TemporaryDirectory() as folder:
        show = Show(Path(folder), beats={"clear": beats}, latency=latency)
        Weather(show, share, seed, kinds)
        complete = show.draw()

        assert complete.exit_code in {Exit.OK, Exit.BEATS_IN_ERROR}
        assert drawn(show) + len(errors(show)) == beats
        slowest = TIMEOUT if "silence" in kinds else latency
        assert complete.seconds <= most_seconds(show, 18, slowest)
        for name in errors(show):
            # Two rounds of attempts at least: it takes 8 faults in a row.
            assert len(show.provider.times(name)) >= 2 * ATTEMPTS


def test_an_answer_without_a_picture_does_not_use_up_what_faults_have_left(tmp_path: Path) -> None:
    """Three faults in passing and then no picture: another round, as if all had been faults."""
    show = Show(tmp_path, beats={"clear": 2})
    empty = ProviderError(kind=FaultKind.NO_PICTURE, reason="empty", message="no picture")
    answers = [passing(), passing(), passing(), empty]
    show.provider.answer = lambda request, _key: (
        answers.pop(0) if request.words == "clear 1" and answers else DRAWN
    )

    assert show.draw().exit_code == Exit.OK
    assert waits(show)["round"] == 1


def test_answers_without_a_picture_are_counted_over_all_rounds(tmp_path: Path) -> None:
    """A further round gives no further answers without a picture: four are enough in all."""
    show = Show(tmp_path, beats={"clear": 2})
    empty = ProviderError(kind=FaultKind.NO_PICTURE, reason="empty", message="no picture")
    answers = [passing(), empty, empty, passing(), empty, empty, empty, empty]
    show.provider.answer = lambda request, _key: (
        answers.pop(0) if request.words == "clear 1" and answers else DRAWN
    )

    assert show.draw().exit_code == Exit.BEATS_IN_ERROR
    assert len(show.provider.times("clear 1")) == 6


@pytest.mark.slow
def test_a_minutes_silent_requests_are_no_outage(tmp_path: Path) -> None:
    """One answer in eight never comes: their timeouts come in a row, and say nothing."""
    show = Show(tmp_path, beats={"clear": 600}, per_minute=120)
    counter = itertools.count()

    def answer(_request: Request, _key: str) -> Outcome:
        if next(counter) % 8:
            return DRAWN
        show.runtime.sleep(TIMEOUT - show.provider.latency)
        return passing("timeout")

    show.provider.answer = answer
    complete = show.draw()

    assert complete.exit_code == Exit.OK
    assert "trying" not in waits(show)
    assert show.provider.listed == 0


# -- outages ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("beats", "endpoint"), [(30, True), (600, True), (600, False)])
def test_two_minutes_without_the_service_cost_two_minutes(
    tmp_path: Path, beats: int, *, endpoint: bool
) -> None:
    """In the middle of a run: nothing fails, and nothing but the pause is lost."""
    show = Show(tmp_path, beats={"clear": beats}, per_minute=9 if beats == 30 else 60)
    began = show.clock.now()

    def fails() -> bool:
        return 30 <= show.clock.now() - began < 150

    show.provider.answer = lambda _request, _key: passing() if fails() else DRAWN
    show.provider.listing = lambda: passing() if endpoint and fails() else ("model-1",)
    complete = show.draw()

    assert complete.exit_code == Exit.OK
    assert drawn(show) == beats
    per_minute = 18 if beats == 30 else 120
    alone = MINUTE * (math.ceil(beats / per_minute) - 1) + show.provider.latency
    assert complete.seconds <= alone + 120 + 30 + MINUTE
    # Those under way when it went down, and the probes.
    assert complete.requests <= beats + per_minute + 15
    done = [e for e in show.events if isinstance(e, Progress) and e.status is Status.COMPLETE]
    assert {event.attempt for event in done} == {1}


def test_the_last_few_beats_outlast_two_minutes_without_drawing(tmp_path: Path) -> None:
    """Too few to tell an outage by, while the free endpoint answers: another round mends them."""
    show = Show(tmp_path, beats={"clear": 10})
    began = show.clock.now()
    show.provider.answer = lambda _request, _key: (
        passing() if show.clock.now() - began < 120 else DRAWN
    )

    assert show.draw().exit_code == Exit.OK
    assert waits(show)["round"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", [True, False])
def test_a_service_that_goes_away_for_good_ends_the_run_with_one_message(
    tmp_path: Path, *, endpoint: bool
) -> None:
    """In the middle of 6,000 beats: exit 3 after ten minutes, not thousands of errors."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 2000), per_minute=60)
    began = show.clock.now()

    def fails() -> bool:
        return show.clock.now() - began >= 100

    show.provider.answer = lambda _request, _key: passing() if fails() else DRAWN
    show.provider.listing = lambda: passing() if endpoint and fails() else ("model-1",)
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "provider down")
    assert complete.resume_after is not None
    assert len(complete.messages) == 1
    assert 700 <= complete.seconds <= 100 + 600 + MINUTE + 2 * 38
    lost = complete.requests - drawn(show)
    assert lost <= 360 + 25
    assert show.provider.listed <= 40
    assert errors(show) == []
    told = [event for event in show.events if isinstance(event, Waiting) and event.reason != "keys"]
    assert len(told) <= 40


@pytest.mark.slow
@pytest.mark.parametrize("told", [None, 34.0, 3600.0])
def test_429s_for_ever_end_the_run_after_a_quarter_of_an_hour(
    tmp_path: Path, told: float | None
) -> None:
    """On every key of every style, after few requests, or when the service said to come back."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 100))
    limited = ProviderError(
        kind=FaultKind.LIMITED, reason="quota", message="quota", retry_after=told
    )
    show.provider.answer = lambda _request, _key: limited
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "keys spent")
    assert complete.resume_after is not None
    assert 900 <= complete.seconds <= max(900.0, told or 0) + 2 * MINUTE + 80
    assert complete.limited <= 6 * (9 + 20)
    assert errors(show) == []
    assert drawn(show) == 0


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize(("up", "down"), [(20, 20), (45, 15), (2, 2)])
def test_a_service_that_comes_and_goes_is_used_while_it_is_there(
    tmp_path: Path, up: int, down: int, *, endpoint: bool
) -> None:
    """Nothing is in error in the end, however often it went."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 100), latency=1.0)
    began = show.clock.now()

    def fails() -> bool:
        return (show.clock.now() - began) % (up + down) >= up

    show.provider.answer = lambda _request, _key: passing() if fails() else DRAWN
    show.provider.listing = lambda: passing() if endpoint and fails() else ("model-1",)
    complete = show.draw()

    assert complete.exit_code == Exit.OK, errors(show)
    assert drawn(show) == 300
    assert complete.seconds <= MINUTE * 6 * (up + down) / up + 600


def test_a_service_that_is_hardly_ever_there_leaves_no_errors(tmp_path: Path) -> None:
    """There for five seconds of 45: all is drawn, or the run ends early and can be resumed."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 100), latency=1.0)
    began = show.clock.now()

    def fails() -> bool:
        return (show.clock.now() - began) % 45 >= 5

    show.provider.answer = lambda _request, _key: passing() if fails() else DRAWN
    show.provider.listing = lambda: passing() if fails() else ("model-1",)
    complete = show.draw()

    assert complete.exit_code in {Exit.OK, Exit.ENDED_EARLY}
    assert errors(show) == []


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["up and down", "mostly up", "mostly down"])
def test_a_service_that_is_there_and_never_draws_ends_the_run(tmp_path: Path, pattern: str) -> None:
    """However its free endpoint comes and goes: exit 3 in a quarter of an hour, few requests."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 200))
    answers = {"up and down": [False, True], "mostly up": [False, True, True], "mostly down": None}
    turns = itertools.cycle(answers[pattern] or [False, False, False, True])
    show.provider.answer = lambda _request, _key: passing("reset")
    show.provider.listing = lambda: ("model-1",) if next(turns) else passing()
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "provider down")
    assert complete.seconds <= 900
    assert complete.requests <= 54 * 12
    assert errors(show) == []


# -- slowness --------------------------------------------------------------------------


def test_a_service_just_faster_than_the_timeout_is_used_in_full(tmp_path: Path) -> None:
    """Answers after 119 of 120 seconds: two minutes' requests are under way at once."""
    show = Show(tmp_path, beats={"clear": 90}, latency=TIMEOUT - 1)
    complete = show.draw()

    assert complete.exit_code == Exit.OK
    assert complete.seconds == pytest.approx(4 * MINUTE + TIMEOUT - 1, abs=1)


def test_a_service_slower_than_the_timeout_ends_the_run(tmp_path: Path) -> None:
    """Each request is given up after its timeout: exit 3 after ten minutes, with no error."""
    show = Show(tmp_path, latency=TIMEOUT)
    show.provider.answer = lambda _request, _key: passing("timeout")
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "provider down")
    assert complete.seconds <= 600 + 5 * TIMEOUT
    assert complete.requests <= 54 * 3 + 10
    assert errors(show) == []


# -- real connections ------------------------------------------------------------------


def test_a_run_that_finds_nobody_there_waits_until_somebody_is(
    commands: Commands, server: GeminiServer
) -> None:
    """Connections refused from the start: it says that it is offline, and then draws all."""
    server.set_down(True)
    root = commands.project()
    process = commands.start("run", root, "--base-url", server.address, "--progress", "json")
    assert process.stdout is not None
    assert any('"offline"' in line for line in process.stdout)
    server.set_down(False)
    done = commands.wait(process)

    assert done.code == Exit.OK
    assert len(pictures(root)) == 9
    assert len(server.requests) == 9


@pytest.mark.slow
def test_a_run_that_reaches_nobody_ends_when_its_time_is_over(commands: Commands) -> None:
    """Nothing has failed, and the exit code says to come back."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    root = commands.project(settings="timeout = 1")
    done = commands.run("run", root, "--base-url", address, "--max-time", "4s")

    assert done.code == Exit.ENDED_EARLY
    assert "offline since" in done.text
    shown = commands.run("status", root, "--json").events[0]["styles"]
    assert isinstance(shown, dict)
    assert {counts["error"] for counts in shown.values()} == {0}


@pytest.mark.slow
def test_a_service_that_takes_calls_and_says_nothing_is_given_up_in_time(
    commands: Commands,
) -> None:
    """Connections are made and nothing ever comes: each request ends by its timeout."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        root = commands.project(settings="timeout = 1")
        done = commands.run("run", root, "--base-url", address, "--max-time", "5s")

    assert done.code == Exit.ENDED_EARLY
    assert pictures(root) == []


def test_a_name_that_nobody_knows_is_a_fault_in_passing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name server nothing has left, and the message names the host."""

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    http = Http("http://nowhere.invalid", width=1)
    left: list[bool] = []
    fault = http.exchange("GET", "/", headers={}, timeout=5, sent=lambda: left.append(True))
    http.close()

    assert isinstance(fault, ProviderError)
    assert (fault.kind, fault.reason) == (FaultKind.PASSING, "connection")
    assert "nowhere.invalid" in fault.message
    assert left == []


_TWO_RUNS = """
import gc, os, sys, threading
from imagegen.cli import main

def left():
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(20)
    gc.collect()
    names = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
    return names, len(os.listdir("/proc/self/fd"))

for root in sys.argv[2:]:
    sys.argv[1:] = ["run", root, "--base-url", ADDRESS, "--progress", "none"]
    try:
        main()
    except SystemExit as ended:
        print(ended.code, *left(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_no_thread_or_file_is_left_after_a_run_full_of_faults(
    commands: Commands, server: GeminiServer
) -> None:
    """Two runs in one process, with five faults of all sorts each: after both the same is open."""
    kinds = (Answer.RESET, Answer.HALF_BODY, Answer.UNAVAILABLE, Answer.SILENCE, Answer.HTML)
    coming = itertools.count()
    server.fault(lambda _request: next(coming) % (9 + len(kinds)) < len(kinds), *kinds, times=2)
    projects = [commands.project(name, settings="timeout = 1") for name in ("one", "two")]
    script = _TWO_RUNS.replace("ADDRESS", repr(server.address))
    done = subprocess.run(
        [sys.executable, "-c", script, "-", *map(str, projects)],
        cwd=commands.folder,
        env=commands.env | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert len(server.requests) == 2 * (9 + len(kinds))
    assert len(set(lines)) == 1, lines
    assert lines[0].startswith("0 ['MainThread'] ")
