"""Sends events to listeners, each with a queue and a thread of its own."""

import queue
import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from imagegen.events.types import Complete, Event
from imagegen.times import iso_millis


class Listener(Protocol):
    """Something that follows a run."""

    def handle(self, event: Event) -> None:
        """Handle an event. Called from one thread, in order."""
        ...

    def tick(self) -> None:
        """Use a moment in which nothing happened."""
        ...

    def close(self) -> None:
        """Finish: no more events come."""
        ...


class Bus:
    """Numbers events and brings each to every listener, none of which can hold up a run.

    Each listener has a thread and a queue of its own. `wall` gives the time of day.
    """

    def __init__(self, run: str, wall: Callable[[], float]) -> None:
        self._run = run
        self._wall = wall
        self._lock = threading.Lock()
        self._seq = 0
        self._complete = False
        self._posts: list[_Subscription] = []

    def subscribe(
        self, listener: Listener, *, tick: float | None, failed: Callable[[BaseException], None]
    ) -> None:
        """Bring events to a listener from now on.

        `tick` is after how many idle seconds to call `Listener.tick`; with None it is called
        whenever everything so far was heard. `failed` is called, once, if the listener
        raises: it then hears no more.
        """
        self._posts.append(_Subscription(listener, tick, failed))

    def emit(self, event: Event) -> None:
        """Stamp an event with its number and time, and send it on its way.

        Nothing is heard after `Complete`: threads of a run that was ended at once may
        still be busy.
        """
        with self._lock:
            if self._complete:
                return
            self._complete = isinstance(event, Complete)
            self._seq += 1
            stamped = msgspec.structs.replace(
                event, run=self._run, seq=self._seq, time=iso_millis(self._wall())
            )
            for post in self._posts:
                post.queue.put(stamped)

    def close(self, timeout: float | None = None) -> None:
        """Wait until every listener has heard everything, at most `timeout` seconds each."""
        for post in self._posts:
            post.queue.put(None)
        for post in self._posts:
            post.thread.join(timeout)


class _Subscription:
    def __init__(
        self, listener: Listener, tick: float | None, failed: Callable[[BaseException], None]
    ) -> None:
        self.queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._listener = listener
        self._tick = tick
        self._failed = failed
        name = f"listener {type(listener).__name__}"
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        failed, unclosed = _failure_of(self._follow), _failure_of(self._listener.close)
        first = unclosed if failed is None else failed
        if first is not None:
            self._failed(first)

    def _follow(self) -> None:
        while True:
            try:
                event = self.queue.get(timeout=self._tick)
            except queue.Empty:
                self._listener.tick()
                continue
            if event is None:
                return
            self._listener.handle(event)
            if self._tick is None and self.queue.empty():
                self._listener.tick()


def _failure_of(act: Callable[[], None]) -> BaseException | None:
    try:
        act()
    except BaseException as error:  # noqa: BLE001  # handed to the thread that runs the run
        return error
    return None
