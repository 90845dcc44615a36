"""Real threads: who is called when, and how it ends. Nothing here waits for time to pass."""

import threading
from collections.abc import Callable

import pytest

from imagegen.engine.runtime import ThreadRuntime, max_width

GUARD = 10.0
"""Seconds after which a test that hangs fails."""


class Steps:
    """A stepper that acts as a test says."""

    def __init__(self, name: str, step: Callable[[], float | None]) -> None:
        self.name = name
        self.step = step


def in_an_hour(runtime: ThreadRuntime) -> float:
    """Return a time that no test reaches."""
    return runtime.clock.now() + 3600


def test_drive_returns_when_the_last_stepper_is_done() -> None:
    """It is called in this thread; that others wait for an hour matters not."""
    runtime = ThreadRuntime()
    seen: list[threading.Thread] = []

    def last() -> float | None:
        seen.append(threading.current_thread())
        return None if len(seen) == 3 else runtime.clock.now()

    patient = Steps("patient", lambda: in_an_hour(runtime))
    runtime.drive([patient, Steps("last", last)])

    assert seen == [threading.current_thread()] * 3


def test_drive_goes_on_when_another_stepper_is_done() -> None:
    """Only the last one says that all is over."""
    runtime = ThreadRuntime()
    done = threading.Event()

    def first() -> None:
        done.set()

    runtime.drive([Steps("first", first), Steps("last", lambda: None if done.is_set() else 0.0)])

    assert done.is_set()


def test_a_ring_wakes_a_stepper_that_waits() -> None:
    """An answer that comes from a pool thread is taken in at once, not in an hour."""
    runtime = ThreadRuntime()
    answers: list[str] = []
    executor = runtime.executor(1, "pool")

    def answer() -> None:
        answers.append("answer")
        runtime.wake()

    def last() -> float | None:
        if answers:
            return None
        executor.submit(answer)
        return in_an_hour(runtime)

    driver = threading.Thread(target=runtime.drive, args=([Steps("last", last)],), daemon=True)
    driver.start()
    driver.join(GUARD)
    executor.shutdown()

    assert not driver.is_alive()


def test_a_stepper_that_ends_wakes_the_others() -> None:
    """Whoever waits for it need not ask."""
    runtime = ThreadRuntime()
    over: list[bool] = []
    waiting = threading.Event()

    def first() -> float | None:
        if not waiting.is_set():
            return runtime.clock.now()
        over.append(True)
        return None

    def last() -> float | None:
        waiting.set()
        return None if over else in_an_hour(runtime)

    steppers = [Steps("first", first), Steps("last", last)]
    driver = threading.Thread(target=runtime.drive, args=(steppers,), daemon=True)
    driver.start()
    driver.join(GUARD)

    assert not driver.is_alive()


def test_steppers_never_act_at_the_same_time() -> None:
    """All of them are called with the one lock held."""
    runtime = ThreadRuntime()
    inside: list[str] = []
    overlaps: list[str] = []
    turns = {"a": 200, "b": 200, "last": 200}

    def acting(name: str) -> Callable[[], float | None]:
        def step() -> float | None:
            overlaps.extend(inside)
            inside.append(name)
            turns[name] -= 1
            inside.remove(name)
            return None if turns[name] <= 0 else runtime.clock.now()

        return step

    runtime.drive([Steps(name, acting(name)) for name in turns])

    assert overlaps == []


@pytest.mark.parametrize("position", [0, 1])
def test_what_a_stepper_raises_is_raised_by_drive(position: int) -> None:
    """A fault of ours in any thread ends the run, and is not lost."""
    runtime = ThreadRuntime()

    def broken() -> float | None:
        raise ZeroDivisionError

    steppers = [Steps("patient", lambda: in_an_hour(runtime))]
    steppers.insert(position, Steps("broken", broken))

    with pytest.raises(ZeroDivisionError):
        runtime.drive(steppers)


def test_a_job_may_ring_while_a_stepper_rings() -> None:
    """A stepper may ring from within its step without waiting for itself."""
    runtime = ThreadRuntime()
    steps: list[int] = []

    def last() -> float | None:
        steps.append(len(steps))
        runtime.wake()
        return None if len(steps) == 2 else runtime.clock.now()

    runtime.drive([Steps("last", last)])

    assert steps == [0, 1]


def test_an_executor_runs_as_many_jobs_at_once_as_it_is_wide() -> None:
    """Three jobs that wait for each other get through three threads."""
    runtime = ThreadRuntime()
    meeting = threading.Barrier(3)
    met: list[int] = []
    executor = runtime.executor(3, "pool")

    def job() -> None:
        met.append(meeting.wait(GUARD))

    for _ in range(3):
        executor.submit(job)
    executor.shutdown()

    assert sorted(met) == [0, 1, 2]


def test_an_executor_makes_threads_as_they_are_needed() -> None:
    """However wide it is, one job takes one thread."""
    runtime = ThreadRuntime()
    before = threading.active_count()
    executor = runtime.executor(10 * max_width(), "pool")
    done = threading.Event()
    executor.submit(done.set)
    assert done.wait(GUARD)

    assert threading.active_count() <= before + 1
    executor.shutdown()
