"""Whether faults are the beats' own or the service's."""

import math

import pytest

from imagegen.engine.circuit_breaker import (
    BEATS_IN_A_ROW,
    FAULTS_IN_A_ROW,
    GIVE_UP_AFTER,
    CircuitBreaker,
    State,
)


def fail(outage: CircuitBreaker[int], beats: range, now: float = 0.0) -> list[int]:
    """Let beats fail in passing; returns whose faults were taken back."""
    taken: list[int] = []
    for beat in beats:
        taken += outage.on_failure(beat, now)[1]
    return taken


def down(now: float = 0.0) -> CircuitBreaker[int]:
    """Return an outage whose free endpoint has not answered."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(FAULTS_IN_A_ROW), now)
    outage.on_probe_result(up=False, now=now)
    return outage


def trying(now: float = 0.0) -> CircuitBreaker[int]:
    """Return an outage whose free endpoint answers while all beats fail."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(BEATS_IN_A_ROW), now)
    outage.on_probe_result(up=True, now=now)
    return outage


def test_a_few_faults_are_the_beats_own() -> None:
    """Four in a row count, and nobody is asked."""
    outage: CircuitBreaker[int] = CircuitBreaker()

    assert [outage.on_failure(beat, 0.0) for beat in range(4)] == [(True, [])] * 4
    assert outage.next_probe_at() is None
    assert outage.next_send_at(7.0) == 7.0


def test_the_fifth_in_a_row_has_the_endpoint_asked_and_nothing_sent() -> None:
    """Until it is known whose fault it is, nothing is sent."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(5))

    assert outage.next_probe_at() == 0.0
    assert outage.next_send_at(7.0) == math.inf
    assert not outage.is_open


def test_a_success_between_starts_the_row_anew() -> None:
    """Only faults without any answer between them tell of an outage."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(4))
    assert not outage.on_response()
    fail(outage, range(4))

    assert outage.next_probe_at() is None


def test_an_endpoint_that_answers_leaves_the_faults_with_the_beats() -> None:
    """Nothing is taken back, and sending goes on."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(5))

    assert outage.on_probe_result(up=True, now=1.0) == []
    assert outage.state is State.CLOSED
    assert outage.next_send_at(1.0) == 1.0


def test_the_endpoint_is_asked_again_after_five_more_faults() -> None:
    """One good answer does not vouch for the rest of the run."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(5))
    outage.on_probe_result(up=True, now=1.0)
    fail(outage, range(5, 9))
    assert outage.next_probe_at() is None
    fail(outage, range(9, 10))

    assert outage.next_probe_at() is not None


def test_an_endpoint_that_is_silent_takes_every_fault_back() -> None:
    """Each counted fault is given back, those that came while it was asked too."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(5))
    assert outage.on_failure(3, 0.5) == (True, [])

    assert outage.on_probe_result(up=False, now=1.0) == [0, 1, 2, 3, 4, 3]
    assert outage.is_open
    assert outage.since == 1.0


def test_while_the_service_is_down_nothing_counts_and_nothing_is_sent() -> None:
    """Beats that were in flight keep their attempts."""
    outage = down()

    assert outage.on_failure(99, 1.0) == (False, [])
    assert outage.next_send_at(1e9) == math.inf


def test_a_service_that_is_down_is_asked_ever_less_often() -> None:
    """After 1, 2, 4, 8, 16, and then every 30 seconds."""
    outage = down()
    now, pauses = 0.0, []
    for _ in range(7):
        at = outage.next_probe_at()
        assert at is not None
        pauses.append(at - now)
        now = at
        assert outage.on_probe_result(up=False, now=now) == []

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_stragglers_do_not_stretch_the_pause() -> None:
    """Requests that were in flight when the service went down tell nothing new."""
    for outage in (down(), trying()):
        before = (outage.next_probe_at(), outage.next_send_at(0.0))
        fail(outage, range(100, 118), now=0.5)

        assert (outage.next_probe_at(), outage.next_send_at(0.0)) == before


def test_the_first_answer_ends_an_outage() -> None:
    """Of the endpoint or to a beat that was in flight."""
    outage = down()
    outage.on_probe_result(up=True, now=1.0)
    assert outage.next_send_at(1.0) == 1.0

    outage = down()
    assert outage.on_response()
    assert outage.state is State.CLOSED
    assert outage.since is None


def test_a_late_word_of_the_endpoint_does_not_undo_an_answer() -> None:
    """A beat that came through knows better."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(5))
    outage.on_response()

    assert outage.on_probe_result(up=False, now=1.0) == []
    assert outage.state is State.CLOSED


def test_twenty_beats_failing_in_a_row_are_an_outage_too() -> None:
    """Their faults are taken back although the endpoint answers."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    for beat in range(BEATS_IN_A_ROW - 1):
        assert outage.on_failure(beat, 0.0) == (True, [])
        outage.on_probe_result(up=True, now=0.0)

    assert outage.on_failure(19, 0.0) == (False, list(range(19)))
    assert outage.state is State.HALF_OPEN


def test_twenty_beats_that_fail_while_the_endpoint_is_asked_count_too() -> None:
    """Its answer finds the outage, without another beat's failing."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(BEATS_IN_A_ROW))

    assert outage.on_probe_result(up=True, now=0.0) == list(range(BEATS_IN_A_ROW))
    assert outage.state is State.HALF_OPEN


def test_one_beat_failing_twenty_times_is_no_outage() -> None:
    """Different beats must fail."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    for fault in range(1, 31):
        assert outage.on_failure(1, 0.0) == (True, [])
        assert (outage.next_probe_at() is not None) == (fault % FAULTS_IN_A_ROW == 0)
        outage.on_probe_result(up=True, now=0.0)

    assert outage.state is State.CLOSED


def test_while_trying_one_beat_at_a_time_is_sent() -> None:
    """The next goes out when the one before has failed, and a pause later."""
    outage = trying()
    assert outage.next_send_at(0.0) == 4.0
    outage.on_send(7)
    assert outage.next_send_at(4.0) == math.inf
    assert outage.on_failure(8, 5.0) == (False, [])
    assert outage.next_send_at(5.0) == math.inf
    assert outage.on_failure(7, 6.0) == (False, [])

    assert outage.next_send_at(6.0) == 14.0


def test_a_probe_that_is_paid_for_goes_out_as_seldom_as_a_refused_key_is_tried() -> None:
    """After 4, 8, 16, 32, and then every 64 seconds; later if the service asks for it."""
    outage = trying()
    now, pauses = 0.0, []
    for _ in range(7):
        at = outage.next_send_at(now)
        pauses.append(at - now)
        now = at
        outage.on_send(7)
        outage.on_failure(7, now)
    assert pauses == [4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]

    outage.on_send(7)
    outage.on_failure(7, now, 300.0)
    assert outage.next_send_at(now) == now + 300.0


def test_a_probe_that_was_never_sent_makes_way_for_another() -> None:
    """What it met was not the service, which may as well be asked at once."""
    outage = trying()
    outage.on_send(7)
    outage.on_unsent(7)

    assert outage.is_open
    assert outage.next_send_at(4.0) == 4.0


def test_while_trying_the_endpoint_is_not_asked() -> None:
    """It answers, and that says nothing."""
    assert trying().next_probe_at() is None


def test_a_beat_that_comes_through_ends_the_trying() -> None:
    """The next may be sent at once, and as many as there are."""
    outage = trying()
    outage.on_send(7)

    assert outage.on_response()
    assert outage.next_send_at(1.0) == 1.0
    outage.on_send(8)
    assert outage.next_send_at(1.0) == 1.0


def test_what_was_sent_before_is_no_probe() -> None:
    """Only what leaves while the service is being tried holds the others back."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    outage.on_send(99)
    fail(outage, range(BEATS_IN_A_ROW))
    outage.on_probe_result(up=True, now=0.0)

    assert outage.next_send_at(4.0) == 4.0


@pytest.mark.parametrize("outage", [down(100.0), trying(100.0)])
def test_ten_minutes_of_failed_tries_are_hopeless(outage: CircuitBreaker[int]) -> None:
    """Judged at a try: time that passed without one does not count."""
    for now in (100.0, 100.0 + GIVE_UP_AFTER - 1):
        outage.on_send(1)
        outage.on_failure(1, now)
        outage.on_probe_result(up=False, now=now)
        assert not outage.has_timed_out
    outage.on_send(1)
    outage.on_failure(1, 100.0 + GIVE_UP_AFTER)
    outage.on_probe_result(up=False, now=100.0 + GIVE_UP_AFTER)

    assert outage.has_timed_out


def test_a_service_that_is_up_is_never_hopeless() -> None:
    """Faults alone end nothing."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    fail(outage, range(4), now=10_000.0)

    assert not outage.has_timed_out


def test_faults_of_requests_older_than_an_answer_tell_nothing() -> None:
    """Who was sent before somebody who was answered: its fault is its own, and counts."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    for beat in range(31):
        outage.on_send(beat)
    outage.on_response(30)

    assert [outage.on_failure(beat, 0.0) for beat in range(30)] == [(True, [])] * 30
    assert outage.next_probe_at() is None
    assert outage.state is State.CLOSED


def test_faults_of_requests_newer_than_an_answer_tell_of_an_outage() -> None:
    """However late they come, and whatever older ones do in between."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    for beat in range(12):
        outage.on_send(beat)
    outage.on_response(5)
    fail(outage, range(6, 10))
    fail(outage, range(5))
    assert outage.next_probe_at() is None
    fail(outage, range(10, 11))

    assert outage.next_probe_at() is not None


def test_an_outage_takes_older_faults_back_too() -> None:
    """What failed while the service was going away is not the beats' own."""
    outage: CircuitBreaker[int] = CircuitBreaker()
    for beat in range(10):
        outage.on_send(beat)
    outage.on_response(3)
    fail(outage, range(3))
    fail(outage, range(4, 9))

    assert outage.on_probe_result(up=False, now=1.0) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_an_endpoint_that_comes_and_goes_does_not_begin_the_outage_anew() -> None:
    """As long as no beat is answered it is one outage, and its pauses go on growing."""
    outage = down(100.0)
    outage.on_probe_result(up=True, now=101.0)
    assert outage.next_send_at(101.0) == 101.0
    fail(outage, range(5), now=105.0)
    outage.on_probe_result(up=False, now=106.0)

    assert outage.since == 100.0
    assert outage.next_probe_at() == 108.0


def test_an_answer_ends_what_the_endpoint_did_not() -> None:
    """After a beat came through, the next outage is another one."""
    outage = down(100.0)
    outage.on_probe_result(up=True, now=101.0)
    outage.on_response()
    fail(outage, range(5), now=105.0)
    outage.on_probe_result(up=False, now=106.0)

    assert outage.since == 106.0
    assert outage.next_probe_at() == 107.0


def test_an_outage_that_was_slept_through_is_over() -> None:
    """Hours between two tries are no outage of hours."""
    outage = down(100.0)
    outage.on_probe_result(up=True, now=7300.0)
    fail(outage, range(5), now=7305.0)
    outage.on_probe_result(up=False, now=7306.0)

    assert outage.since == 7306.0
    assert not outage.has_timed_out
