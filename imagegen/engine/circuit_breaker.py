"""Distinguish an error of one beat from an outage of the service.

After five temporary errors in a row the service's free endpoint is probed. If it answers, the
errors belong to the beats, until twenty different beats have failed in a row: then one beat
at a time is the probe. During an outage nothing counts against any beat.
A probe that is a beat may be paid for, so it goes out as seldom as the pool tries a key that
is refused without a reason: after 4, 8 … 64 seconds.
An error proves nothing if a request that was sent later has been answered since: if one
request in ten times out, a minute's timeouts come in a row, long after the answers.
Pure state: the owner calls it under one lock and acts on the results.
"""

from enum import Enum, auto
from typing import Final, Generic, TypeVar

FAULTS_IN_A_ROW: Final = 5
BEATS_IN_A_ROW: Final = 20
GIVE_UP_AFTER: Final = 600.0
_LONGEST_PAUSE: Final = 30.0
_FIRST_PAUSE_OF_TRIES: Final = 4.0
_LONGEST_PAUSE_OF_TRIES: Final = 64.0

T = TypeVar("T")


class State(Enum):
    """What is believed of the service."""

    CLOSED = auto()
    PROBING = auto()
    OPEN = auto()
    """The free endpoint does not answer either."""
    HALF_OPEN = auto()
    """The free endpoint answers, but no beat comes through."""


class CircuitBreaker(Generic[T]):
    """The state of the service, as seen by this run. `T` identifies a beat.

    All times are in seconds of one clock.
    """

    def __init__(self) -> None:
        self._departures = 0
        self._left: dict[T, int] = {}
        self._last_answered = 0
        self._reset()

    def _reset(self) -> None:
        self.state = State.CLOSED
        self.since: float | None = None
        self._streak: list[T] = []
        self._recent_failures: list[T] = []
        self._pause = 0.0
        self._next = 0.0
        self._last_probe = 0.0
        self._previous: tuple[float, float] | None = None
        self._probe_beat: T | None = None

    @property
    def is_open(self) -> bool:
        """Whether the service is believed to be out of reach: nothing counts."""
        return self.state in {State.OPEN, State.HALF_OPEN}

    def next_send_at(self, now: float) -> float:
        """Return when a beat may be sent: not after `now` means at once."""
        if self.state is State.CLOSED:
            return now
        if self.state is State.HALF_OPEN and self._probe_beat is None:
            return self._next
        return float("inf")

    def on_send(self, beat: T) -> None:
        """Record that a beat is sent: while probing, no second one goes out."""
        self._departures += 1
        self._left[beat] = self._departures
        if self.state is State.HALF_OPEN:
            self._probe_beat = beat

    def on_unsent(self, beat: T) -> None:
        """Record that a beat was not sent after all, which says nothing about the service."""
        self._left.pop(beat, None)
        if beat == self._probe_beat:
            self._probe_beat = None

    def on_failure(
        self, beat: T, now: float, retry_after: float | None = None
    ) -> tuple[bool, list[T]]:
        """Record a temporary error. `retry_after` is how long the service asks to wait, in seconds.

        Returns whether it counts against the beat, and the beats with counted errors that turn
        out to be the service's: one entry for each error to take back.
        """
        telling = self._left.pop(beat, self._departures + 1) > self._last_answered
        if self.is_open:
            # What was in flight when the outage was noticed proves nothing new.
            if beat == self._probe_beat:
                self._probe_beat = None
                self._back_off(now, retry_after)
            return False, []
        self._streak.append(beat)
        if not telling:
            return True, []
        self._recent_failures.append(beat)
        if self.state is State.CLOSED:
            if self._many_beats_failed:
                return False, self._suspend(State.HALF_OPEN, now)[:-1]
            if len(self._recent_failures) % FAULTS_IN_A_ROW == 0:
                self.state = State.PROBING
        return True, []

    def on_response(self, beat: T | None = None) -> bool:
        """Record any answer of the service, to `beat` if any; returns whether an outage ended."""
        if beat is not None:
            self._last_answered = max(self._last_answered, self._left.pop(beat, 0))
        ended = self.is_open
        self._reset()
        return ended

    def next_probe_at(self) -> float | None:
        """Return when to ask the free endpoint, or None: not at all."""
        if self.state is State.PROBING:
            return 0.0
        return self._next if self.state is State.OPEN else None

    def on_probe_result(self, *, up: bool, now: float) -> list[T]:
        """Record what the free endpoint answered; returns the beats to refund."""
        if up:
            if self.state is State.OPEN:
                self._go_on(now)
            elif self.state is State.PROBING:
                if self._many_beats_failed:
                    return self._suspend(State.HALF_OPEN, now)
                self.state = State.CLOSED
            return []
        if self.state is State.PROBING:
            return self._suspend(State.OPEN, now)
        if self.state is State.OPEN:
            self._back_off(now)
        return []

    @property
    def has_timed_out(self) -> bool:
        """Whether the service has been out of reach for too long to go on waiting.

        Judged by when it was last tried: a machine that slept for an hour tries once more.
        """
        return self.since is not None and self._last_probe - self.since >= GIVE_UP_AFTER

    @property
    def _many_beats_failed(self) -> bool:
        return len(set(self._recent_failures)) >= BEATS_IN_A_ROW

    def _suspend(self, state: State, now: float) -> list[T]:
        taken_back, self._streak, self._recent_failures = self._streak, [], []
        self.since, self._pause = self._previous or (now, 0.5)
        self.state = state
        self._back_off(now)
        return taken_back

    def _go_on(self, now: float) -> None:
        """Send again, for the endpoint answers.

        Until a beat is answered too, another outage is the same one: a service that
        answers probes but no requests would otherwise never be given up.
        After a machine has slept an outage begins again.
        """
        begun = (now if self.since is None else self.since, self._pause)
        asleep = now - self._last_probe > 2 * _LONGEST_PAUSE
        self._reset()
        self._previous = None if asleep else begun

    def _back_off(self, now: float, retry_after: float | None = None) -> None:
        if self.state is State.HALF_OPEN:
            doubled = max(_FIRST_PAUSE_OF_TRIES, self._pause * 2)
            self._pause = min(_LONGEST_PAUSE_OF_TRIES, doubled)
        else:
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        self._last_probe, self._next = now, now + max(self._pause, retry_after or 0.0)
