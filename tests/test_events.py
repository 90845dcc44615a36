"""The bus: every listener hears everything, and none holds up the run."""

import threading

from fakes import FakeClock
from imagegen.errors import Exit
from imagegen.events.bus import Bus
from imagegen.events.types import Complete, Event, WarningEvent
from imagegen.times import iso_millis

GUARD = 10.0
"""Seconds after which a test that hangs fails."""


class Listener:
    """Keeps what it hears; raises at the messages that a test names."""

    def __init__(self, *, fails_at: str = "", fails_to_close: bool = False) -> None:
        self.events: list[Event] = []
        self.ticks = threading.Semaphore(0)
        self.closed = 0
        self._fails_at = fails_at
        self._fails_to_close = fails_to_close

    def handle(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, WarningEvent) and event.message == self._fails_at:
            raise ZeroDivisionError
        self.events.append(event)

    def tick(self) -> None:
        """Count an idle moment."""
        self.ticks.release()

    def close(self) -> None:
        """Count closings."""
        self.closed += 1
        if self._fails_to_close:
            raise OSError("cannot close")


def bus_with(*listeners: Listener) -> tuple[Bus, list[BaseException]]:
    """Return a bus that these listeners hear, and what they failed with."""
    bus, failures = Bus("run-7", FakeClock().wall), list[BaseException]()
    for listener in listeners:
        bus.subscribe(listener, tick=None, failed=failures.append)
    return bus, failures


def say(bus: Bus, *messages: str) -> None:
    """Emit warnings."""
    for message in messages:
        bus.emit(WarningEvent(message=message))


def messages(listener: Listener) -> list[str]:
    """Return what a listener was warned of."""
    return [event.message for event in listener.events if isinstance(event, WarningEvent)]


def test_events_are_stamped_with_run_number_and_time() -> None:
    """Numbers count from 1, times are UTC."""
    listener = Listener()
    bus, _ = bus_with(listener)
    say(bus, "a", "b")
    bus.close(GUARD)

    assert [(e.run, e.seq, e.schema) for e in listener.events] == [("run-7", 1, 1), ("run-7", 2, 1)]
    assert {e.time for e in listener.events} == {iso_millis(FakeClock().wall())}
    assert listener.events[0].time.endswith("Z")


def test_every_listener_hears_everything_in_order() -> None:
    """However many threads emit at once."""
    listeners = [Listener(), Listener()]
    bus, _ = bus_with(*listeners)
    threads = [threading.Thread(target=say, args=(bus, *["x"] * 50)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
    bus.close(GUARD)

    for listener in listeners:
        assert [event.seq for event in listener.events] == list(range(1, 401))


def test_nothing_is_heard_after_complete() -> None:
    """Whatever a thread that is still busy has to say, the run is over."""
    listener = Listener()
    bus, _ = bus_with(listener)
    bus.emit(Complete(exit_code=Exit.OK, reason="complete", counts={}))
    say(bus, "late")
    bus.close(GUARD)

    assert [type(event) for event in listener.events] == [Complete]


def test_a_listener_that_fails_hears_no_more_and_holds_up_nobody() -> None:
    """It is reported once and closed; the others hear everything."""
    bad, good = Listener(fails_at="b", fails_to_close=True), Listener()
    bus, failures = bus_with(bad, good)
    say(bus, "a", "b", "c")
    bus.close(GUARD)

    assert messages(bad) == ["a"]
    assert messages(good) == ["a", "b", "c"]
    assert [type(error) for error in failures] == [ZeroDivisionError]
    assert (bad.closed, good.closed) == (1, 1)


def test_a_listener_that_cannot_close_is_reported_once() -> None:
    """Its last words are a fault as any other."""
    bus, failures = bus_with(Listener(fails_to_close=True))
    bus.close(GUARD)

    assert [type(error) for error in failures] == [OSError]


def test_a_slow_listener_does_not_hold_up_who_emits() -> None:
    """Events wait in its own queue; closing waits until it has heard them all."""
    ready = threading.Event()

    class Slow(Listener):
        def handle(self, event: Event) -> None:
            assert ready.wait(GUARD)
            super().handle(event)

    slow, quick = Slow(), Listener()
    bus, failures = bus_with(slow, quick)
    say(bus, *"abcde")
    assert slow.events == []
    ready.set()
    bus.close(GUARD)

    assert messages(slow) == messages(quick) == list("abcde")
    assert failures == []


def test_closing_waits_no_longer_than_it_is_told() -> None:
    """A listener that hangs cannot keep a run from ending."""
    go_on = threading.Event()

    class Stuck(Listener):
        def handle(self, event: Event) -> None:
            assert go_on.wait(GUARD)
            super().handle(event)

    stuck = Stuck()
    bus, _ = bus_with(stuck)
    say(bus, "a")
    bus.close(0.01)
    assert stuck.closed == 0
    go_on.set()
    bus.close(GUARD)

    assert stuck.closed == 1


def test_an_idle_listener_is_given_moments() -> None:
    """A display that moves gets its ticks while nothing happens."""
    listener = Listener()
    bus, failures = bus_with()
    bus.subscribe(listener, tick=0.001, failed=failures.append)
    assert listener.ticks.acquire(timeout=GUARD)
    assert listener.ticks.acquire(timeout=GUARD)
    say(bus, "a")
    bus.close(GUARD)

    assert messages(listener) == ["a"]
    assert failures == []
