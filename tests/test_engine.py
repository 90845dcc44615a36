"""The engine, through virtual minutes: pace, faults, outages, endings, events."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from errno import ENOSPC, EPIPE
from itertools import cycle, pairwise
from pathlib import Path

import pytest

from imagegen.clock import next_pacific_midnight
from imagegen.errors import Exit, StorageError
from imagegen.events.types import Complete, Event, KeyChange, Progress, Start, Waiting, WarningEvent
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.project import record
from imagegen.project.beat_status import Status
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Request
from imagegen.secret import Secret
from imagegen.times import iso
from virtual import PNG, STYLES, Notes, Show, passing

DRAWN = Picture(data=PNG)
ONE = {"clear": 1}
BOTH = {"clear": 12, "consistent": 12}


def fault(kind: FaultKind, *, retry_after: float | None = None) -> ProviderError:
    """Return a fault of a kind."""
    return ProviderError(
        kind=kind, reason="test", message=f"it is {kind.value}", retry_after=retry_after
    )


def key(name: str, limit: int = 9, *, project: str | None = None) -> ApiKey:
    """Return a key that is not one."""
    return ApiKey(Secret(f"test-key-{name}-000001"), RateLimit(limit), project)


def script(show: Show, answers: Mapping[str, Sequence[Outcome]]) -> None:
    """Let each beat meet these answers, one after another, and then a picture."""
    left = {words: list(own) for words, own in answers.items()}

    def answer(request: Request, _key: str) -> Outcome:
        mine = left.get(request.words)
        return mine.pop(0) if mine else DRAWN

    show.provider.answer = answer


def always(show: Show, styles: Sequence[str], outcome: Outcome) -> None:
    """Let every beat of these styles meet one answer, and the others a picture."""
    show.provider.answer = lambda request, _key: outcome if request.style in styles else DRAWN


def down(show: Show, start: float, end: float, *, endpoint: bool = True) -> None:
    """Let the service fail between two times; with `endpoint` its list of models too."""
    began = show.clock.now()

    def failing() -> bool:
        return start <= show.clock.now() - began < end

    show.provider.answer = lambda _request, _key: passing() if failing() else DRAWN
    if endpoint:
        show.provider.listing = lambda: passing() if failing() else ("model-1",)


def gaps(times: Sequence[float]) -> list[float]:
    """Return the seconds between moments."""
    return [after - before for before, after in pairwise(times)]


def waits(show: Show) -> list[str]:
    """Return the reasons of all waits, in order."""
    return [event.reason for event in show.events if isinstance(event, Waiting)]


def last_status(show: Show, style: str) -> set[Status]:
    """Return the statuses that the beats of a style ended with."""
    return {status for name, status in show.statuses().items() if name.startswith(f"{style} ")}


def drawn(show: Show) -> int:
    """Return how many pictures lie on the disk."""
    return len(list(show.layout.pictures.rglob("*.png")))


def signal(show: Show, at: float, code: Exit) -> None:
    """Send a signal after so many seconds."""
    show.later(at, lambda: show.engine.supervisor.signal(code))


# -- pace ------------------------------------------------------------------------------


def test_ninety_beats_with_two_keys_a_style_take_one_minute_and_one_request(
    tmp_path: Path,
) -> None:
    """Keys are used at once: 30 beats with 18 requests a minute wait for one window only."""
    show = Show(tmp_path)
    complete = show.draw()

    assert complete.exit_code == 0
    assert complete.seconds == pytest.approx(60.5 + show.provider.latency, abs=0.2)
    assert complete.requests == 90
    assert set(show.provider.most_in_a_minute().values()) == {9}
    assert drawn(show) == 90


@pytest.mark.parametrize("seed", range(5))
def test_no_key_is_over_its_limit_however_slowly_requests_leave(tmp_path: Path, seed: int) -> None:
    """The minute is counted from when a request leaves, not from when a key was taken."""
    show = Show(tmp_path)
    slow = random.Random(seed)
    show.provider.connecting = lambda: slow.choice([0.0, 0.0, 1.0, 20.0, 110.0]) * slow.random()
    complete = show.draw()

    assert complete.exit_code == 0
    assert complete.requests == 90
    assert max(show.provider.most_in_a_minute().values()) == 9


def test_what_exists_is_skipped_and_counted(tmp_path: Path) -> None:
    """Beats that have their picture are counted as completed and never sent."""
    show = Show(tmp_path, beats={"clear": 5}, there=3)
    complete = show.draw()

    assert sorted(show.provider.prompts()) == ["clear 4", "clear 5"]
    assert complete.counts["clear"].skipped == 3
    last = [event for event in show.events if isinstance(event, Progress)][-1]
    assert (last.completed, last.total) == (5, 5)


def test_a_style_with_nothing_left_needs_no_key(tmp_path: Path) -> None:
    """Where every picture exists the run ends well, with no key at all."""
    complete = Show(tmp_path, beats={"clear": 3}, there=3, keys={}).draw()

    assert (complete.exit_code, complete.reason, complete.requests) == (0, "complete", 0)


def test_styles_that_share_a_budget_take_turns(tmp_path: Path) -> None:
    """Two styles whose keys are of one project get every second request of its minute."""
    keys = {style: (key(style, project="studio"),) for style in BOTH}
    show = Show(tmp_path, beats=BOTH, keys=keys)
    complete = show.draw()

    assert complete.exit_code == 0
    styles = [request.style for _, _, request in show.provider.requests]
    for minute in range(0, 18, 9):
        assert abs(styles[minute : minute + 9].count("clear") - 4.5) < 1
    times = show.provider.times()
    assert all(after - before > 60 for before, after in zip(times, times[9:], strict=False))


def test_a_provider_without_keys_is_bounded_by_its_own_width(tmp_path: Path) -> None:
    """Such a provider gets as many requests at once as it names, and no key."""
    show = Show(tmp_path, beats={"clear": 10}, keyless=True, width=4)
    complete = show.draw()

    assert complete.exit_code == 0
    assert complete.seconds == pytest.approx(3 * show.provider.latency, abs=0.2)
    assert [secret for _, secret, _ in show.provider.requests] == [""] * 10
    assert all(event.key is None for event in show.events if isinstance(event, Progress))


def test_styles_share_the_width_of_a_provider_without_keys_in_turns(tmp_path: Path) -> None:
    """One picture at a time is one of all styles: a machine of one's own draws no faster."""
    show = Show(tmp_path, beats={"clear": 3, "consistent": 3}, keyless=True, width=1)
    complete = show.draw()

    assert complete.exit_code == 0
    times = show.provider.times()
    assert gaps(times) == [pytest.approx(show.provider.latency, abs=0.2)] * 5
    styles = [request.style for _, _, request in show.provider.requests]
    assert styles == ["clear", "consistent"] * 3


def test_a_style_that_backs_off_leaves_its_turn_to_others(tmp_path: Path) -> None:
    """A beat that failed in passing waits; nothing else does."""
    show = Show(tmp_path, beats={"clear": 1, "consistent": 5}, keyless=True, width=1)
    script(show, {"clear 1": [passing()]})
    complete = show.draw()

    assert complete.exit_code == 0
    assert complete.seconds == pytest.approx(7 * show.provider.latency, abs=0.5)


@pytest.mark.parametrize(
    "kind", [FaultKind.LIMITED, FaultKind.KEY_REJECTED, FaultKind.NO_QUOTA, FaultKind.OUT_OF_CREDIT]
)
def test_a_provider_without_keys_that_speaks_of_quotas_does_not_go_on_for_ever(
    tmp_path: Path, kind: FaultKind
) -> None:
    """Where no budget bounds the requests, the beat's attempts do."""
    show = Show(tmp_path, beats=ONE, keyless=True)
    always(show, ["clear"], fault(kind))

    assert show.draw().exit_code == Exit.BEATS_IN_ERROR
    assert len(show.provider.requests) == 4


# -- faults of a beat ------------------------------------------------------------------


def test_a_passing_fault_is_tried_again_after_2_8_and_30_seconds(tmp_path: Path) -> None:
    """The back-off grows, give or take a quarter."""
    names = [f"clear {n}" for n in range(1, 9)]
    show = Show(tmp_path, beats={"clear": 8}, per_minute=60)
    script(show, {name: [passing()] * 3 for name in names})
    complete = show.draw()

    assert complete.exit_code == 0
    for name in names:
        pauses = [gap - show.provider.latency for gap in gaps(show.provider.times(name))]
        assert pauses == [pytest.approx(pause, rel=0.26) for pause in (2, 8, 30)]


def test_back_off_is_jittered(tmp_path: Path) -> None:
    """Beats that fail at one moment do not come back at one moment."""
    show = Show(tmp_path, beats={"clear": 4})
    script(show, {f"clear {n}": [passing()] for n in range(1, 5)})
    show.draw()

    assert len(set(show.provider.times()[4:])) == 4


def test_a_pause_before_another_try_is_told_with_its_end(tmp_path: Path) -> None:
    """Once each time, when nothing else is left to send: so a view can count it down."""
    show = Show(tmp_path, beats={"clear": 1})
    script(show, {"clear 1": [passing()] * 3})
    assert show.draw().exit_code == 0
    told = [one for one in show.events if isinstance(one, Waiting) and one.reason == "retry"]
    sent = show.provider.times("clear 1")
    assert len(told) == 3
    for wait, pause in zip(told, gaps(sent), strict=True):
        assert wait.style == "clear"
        assert wait.until is not None
        assert wait.seconds == pytest.approx(pause - show.provider.latency, abs=0.3)


def test_used_up_attempts_earn_one_more_round_half_a_minute_later(tmp_path: Path) -> None:
    """A beat that met nothing but passing faults is tried once more at the end."""
    show = Show(tmp_path, beats={"clear": 2})
    script(show, {"clear 1": [passing()] * 4})
    complete = show.draw()

    assert complete.exit_code == 0
    assert "round" in waits(show)
    (told,) = (one for one in show.events if isinstance(one, Waiting) and one.reason == "round")
    assert told.message == "clear: 1 beat with a temporary error is tried once more"
    assert gaps(show.provider.times("clear 1"))[-1] == pytest.approx(
        30 + show.provider.latency, abs=0.2
    )


def test_a_round_that_mends_nothing_is_the_last(tmp_path: Path) -> None:
    """A beat that never comes through has its attempts twice."""
    show = Show(tmp_path, beats={"clear": 3})
    script(show, {"clear 1": [passing()] * 99})
    complete = show.draw()

    assert complete.exit_code == Exit.BEATS_IN_ERROR
    assert complete.resume_after is None
    assert len(show.provider.times("clear 1")) == 8
    assert complete.counts["clear"].error == 1
    assert complete.counts["clear"].complete == 2
    assert waits(show).count("round") == 1


def test_rounds_go_on_while_they_mend_any_and_are_three_at_most(tmp_path: Path) -> None:
    """Each round that mends a beat earns the others another, three times."""
    show = Show(tmp_path, beats={"clear": 5})
    script(show, {f"clear {n}": [passing()] * 4 * n for n in range(1, 5)})
    complete = show.draw()

    assert complete.exit_code == Exit.BEATS_IN_ERROR
    assert waits(show).count("round") == 3
    assert {name for name, at in show.statuses().items() if at is Status.ERROR} == {"clear 4"}
    assert len(show.provider.times("clear 4")) == 16


@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.BAD_REQUEST])
def test_what_a_second_try_cannot_mend_is_an_error_at_once(tmp_path: Path, kind: FaultKind) -> None:
    """One request, one error that says why, and every other beat is drawn."""
    show = Show(tmp_path)
    script(show, {"clear 7": [fault(kind)] * 9})
    complete = show.draw()

    assert complete.exit_code == Exit.BEATS_IN_ERROR
    assert len(show.provider.times("clear 7")) == 1
    assert drawn(show) == 89
    errors = [e for e in show.events if isinstance(e, Progress) and e.status is Status.ERROR]
    assert [(e.style, e.beat_number) for e in errors] == [("clear", "7")]
    assert errors[0].error is not None
    assert (errors[0].error.cause, errors[0].error.message) == (kind.value, f"it is {kind.value}")


@pytest.mark.parametrize("attempts", [1, 4])
def test_no_picture_costs_attempts_and_earns_no_round(tmp_path: Path, attempts: int) -> None:
    """An answer without a picture is tried as often as attempts allow, and never more."""
    show = Show(tmp_path, beats={"clear": 2}, max_attempts=attempts)
    script(show, {"clear 1": [fault(FaultKind.NO_PICTURE)] * 99})
    complete = show.draw()

    assert complete.exit_code == Exit.BEATS_IN_ERROR
    assert len(show.provider.times("clear 1")) == attempts
    assert waits(show).count("round") == 0


def test_no_picture_may_be_mended_by_a_second_try(tmp_path: Path) -> None:
    """A beat that got no picture at first is drawn when it gets one."""
    show = Show(tmp_path, beats=ONE)
    script(show, {"clear 1": [fault(FaultKind.NO_PICTURE)] * 3})

    assert show.draw().exit_code == 0


def test_bytes_that_are_no_picture_are_a_passing_fault(tmp_path: Path) -> None:
    """A torn picture is never saved: the beat is tried again."""
    show = Show(tmp_path, beats=ONE)
    script(show, {"clear 1": [Picture(data=PNG[:-5]), Picture(data=b"<html>")]})

    assert show.draw().exit_code == 0
    assert len(show.provider.requests) == 3
    assert drawn(show) == 1


def test_a_429_never_counts_against_a_beat(tmp_path: Path) -> None:
    """However often a beat meets a 429, its one attempt is still its own."""
    show = Show(tmp_path, beats=ONE, max_attempts=1)
    script(show, {"clear 1": [fault(FaultKind.LIMITED, retry_after=5.0)] * 6})
    complete = show.draw()

    assert complete.exit_code == 0
    assert (complete.requests, complete.limited) == (7, 6)


def test_a_request_that_never_left_uses_no_quota(tmp_path: Path) -> None:
    """A connection that could not be made costs the beat a back-off, and the key nothing."""
    show = Show(tmp_path, beats=ONE, keys_a_style=1, per_minute=1)
    unsent = iter([passing("connection refused")])
    show.provider.unsent = lambda: next(unsent, None)
    complete = show.draw()

    assert (complete.exit_code, complete.requests) == (0, 1)
    assert complete.seconds < 15


@pytest.mark.parametrize("kind", [FaultKind.NO_PICTURE, FaultKind.REFUSED, FaultKind.LIMITED])
def test_any_answer_proves_the_service_up(tmp_path: Path, kind: FaultKind) -> None:
    """Faults with an answer between them are not in a row, and nobody asks the endpoint."""
    show = Show(tmp_path, beats={"clear": 9})
    answers: dict[str, Sequence[Outcome]] = {f"clear {n}": [passing()] for n in range(1, 10)}
    script(show, {**answers, "clear 5": [fault(kind, retry_after=60.0)]})
    show.draw()

    assert show.provider.listed == 0


def test_fail_fast_ends_like_a_first_ctrl_c(tmp_path: Path) -> None:
    """At the first beat in error nothing new starts, and what is in flight is saved."""
    show = Show(tmp_path, fail_fast=True)
    script(show, {"clear 1": [fault(FaultKind.REFUSED)]})
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.BEATS_IN_ERROR, "fail-fast")
    assert complete.requests == 54
    assert drawn(show) == 53


# -- keys ------------------------------------------------------------------------------


def test_a_rejected_key_is_dropped_and_the_others_draw_on(tmp_path: Path) -> None:
    """One wrong key costs time, not beats."""
    good, bad = key("good"), key("bad")
    show = Show(tmp_path, beats={"clear": 12}, keys={"clear": (bad, good)})
    show.provider.answer = lambda _request, secret: (
        fault(FaultKind.KEY_REJECTED) if secret == bad.secret.reveal() else DRAWN
    )
    complete = show.draw()

    assert complete.exit_code == 0
    changes = [event for event in show.events if isinstance(event, KeyChange)]
    assert [event.key for event in changes if event.state == "rejected"] == [bad.secret.tail]


@pytest.mark.parametrize("kind", [FaultKind.KEY_REJECTED, FaultKind.NO_QUOTA])
def test_keys_that_only_a_person_can_mend_end_their_style_with_exit_2(
    tmp_path: Path, kind: FaultKind
) -> None:
    """The style's beats stay pending, the other styles are drawn to the end."""
    show = Show(tmp_path)
    always(show, ["clear"], fault(kind))
    complete = show.draw()

    assert (complete.exit_code, complete.resume_after) == (Exit.USAGE, None)
    assert drawn(show) == 60
    assert complete.counts["clear"].pending == 30
    assert last_status(show, "clear") == {Status.PENDING}
    for own in show.keys["clear"]:
        assert own.secret.tail in " ".join(complete.messages)
        assert own.secret.reveal() not in " ".join(complete.messages)


def test_a_spent_day_ends_its_style_until_midnight_pacific(tmp_path: Path) -> None:
    """The others go on; the run ends with exit 3 and says when the day begins anew."""
    show = Show(tmp_path)
    always(show, ["clear"], fault(FaultKind.SPENT_TODAY, retry_after=20.0))
    midnight = iso(next_pacific_midnight(show.clock.wall()))
    complete = show.draw()

    assert (complete.exit_code, complete.resume_after) == (Exit.ENDED_EARLY, midnight)
    assert drawn(show) == 60
    assert len([r for _, _, r in show.provider.requests if r.style == "clear"]) <= 18


@pytest.mark.parametrize(
    ("others", "reason", "code"),
    [
        (FaultKind.OUT_OF_CREDIT, "out of credit", Exit.ENDED_EARLY),
        # Credit helps, whatever else is wrong.
        (FaultKind.KEY_REJECTED, "out of credit", Exit.ENDED_EARLY),
        (FaultKind.SPENT_TODAY, "keys spent", Exit.ENDED_EARLY),
    ],
)
def test_keys_without_credit_end_their_style(
    tmp_path: Path, others: FaultKind, reason: str, code: Exit
) -> None:
    """A person must add some, unless time brings back another of its keys."""
    show = Show(tmp_path, beats=BOTH, keys_a_style=2)
    first = show.keys["clear"][0].secret.reveal()
    show.provider.answer = lambda request, secret: (
        DRAWN
        if request.style != "clear"
        else fault(FaultKind.OUT_OF_CREDIT if secret == first else others)
    )
    midnight = iso(next_pacific_midnight(show.clock.wall()))
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (code, reason)
    assert complete.resume_after == (midnight if others is FaultKind.SPENT_TODAY else None)
    assert ("Add credit, then resume" in complete.messages[0]) == (reason == "out of credit")
    assert "out of credit (it is out of credit)" in complete.messages[0]
    assert complete.counts["clear"].error == 0
    assert complete.counts["consistent"].complete == 12


def test_a_style_without_credit_does_not_hide_when_another_can_go_on(tmp_path: Path) -> None:
    """Of two styles time mends one: the run says from when."""
    show = Show(tmp_path, beats=BOTH)
    kinds = {"clear": FaultKind.OUT_OF_CREDIT, "consistent": FaultKind.SPENT_TODAY}
    show.provider.answer = lambda request, _secret: fault(kinds[request.style])
    midnight = iso(next_pacific_midnight(show.clock.wall()))
    complete = show.draw()

    assert (complete.reason, complete.resume_after) == ("keys spent", midnight)
    assert len(complete.messages) == 2


def test_nothing_but_429s_for_15_minutes_ends_the_style(tmp_path: Path) -> None:
    """The budget is spent for this run: exit 3, with a time, after few requests."""
    show = Show(tmp_path, beats=BOTH, keys_a_style=1)
    always(show, ["clear"], fault(FaultKind.LIMITED))
    complete = show.draw()

    assert complete.exit_code == Exit.ENDED_EARLY
    assert complete.resume_after is not None
    assert 900 <= complete.seconds < 1100
    assert complete.limited < 60
    assert complete.counts["clear"].error == 0
    assert complete.counts["consistent"].complete == 12


def test_a_style_without_a_key_is_exit_2_after_the_others_are_done(tmp_path: Path) -> None:
    """The styles that have keys are drawn, and the message names the one that has none."""
    show = Show(tmp_path, beats=BOTH, keys={"consistent": (key("only", 20),)})
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.USAGE, "no key")
    assert complete.counts["consistent"].complete == 12
    assert any("clear" in message for message in complete.messages)


# -- the whole run ---------------------------------------------------------------------


def test_a_model_that_is_gone_ends_the_run_and_names_those_there_are(tmp_path: Path) -> None:
    """One clear message, exit 2, and nothing is sent while the models are asked for."""
    show = Show(
        tmp_path, beats={"clear": 40}, keys={"clear": (key("wide", 60),)}, timeout=10.0, latency=2.0
    )
    always(show, ["clear"], fault(FaultKind.MODEL_GONE))

    def listing() -> tuple[str, ...]:
        show.runtime.sleep(5.0)
        return ("model-2", "model-3")

    show.provider.listing = listing
    complete = show.draw()

    assert (complete.exit_code, complete.resume_after) == (Exit.USAGE, None)
    assert "model-1" in complete.messages[0]
    assert "model-2, model-3" in complete.messages[0]
    assert complete.requests == 10
    assert show.provider.listed == 1
    assert last_status(show, "clear") == {Status.PENDING}


def test_a_redirect_ends_the_run(tmp_path: Path) -> None:
    """Keys are not sent on: exit 2, and no beat is to blame."""
    show = Show(tmp_path)
    always(show, STYLES, fault(FaultKind.REDIRECTED))
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.USAGE, "redirected")
    assert complete.messages == ("it is redirected",)
    assert complete.requests == 54
    assert set(show.statuses().values()) == {Status.PENDING}


@pytest.mark.parametrize("start", [0.0, 30.0])
def test_two_minutes_without_the_service_are_waited_out(tmp_path: Path, start: float) -> None:
    """No beat is charged, though each has one attempt only and earns no further round."""
    show = Show(tmp_path, max_attempts=1)
    down(show, start, start + 120)
    complete = show.draw()

    assert complete.exit_code == 0
    assert drawn(show) == 90
    assert "round" not in waits(show)
    assert waits(show).count("online") == 1
    offline = [e for e in show.events if isinstance(e, Waiting) and e.reason == "offline"]
    assert offline[0].message.startswith("offline since ")
    assert complete.requests <= 90 + 2 * 54
    done = [e for e in show.events if isinstance(e, Progress) and e.status is Status.COMPLETE]
    assert {event.attempt for event in done} == {1}


def test_a_service_that_is_out_of_reach_is_asked_after_1_2_4_up_to_30_seconds(
    tmp_path: Path,
) -> None:
    """What was in flight when it went down does not stretch the pauses."""
    show = Show(tmp_path, beats={"clear": 36})
    slow = iter([*range(18)])
    show.provider.connecting = lambda: next(slow, 0) * 0.5
    asked: list[float] = []

    def listing() -> ProviderError:
        asked.append(show.clock.now())
        return passing()

    always(show, ["clear"], passing())
    show.provider.listing = listing
    show.draw()

    assert gaps(asked)[:7] == [pytest.approx(pause, abs=0.2) for pause in (1, 2, 4, 8, 16, 30, 30)]


def test_a_request_that_never_left_tells_nothing_of_the_service(tmp_path: Path) -> None:
    """The picture that a beat continues may be gone: between five faults it is no answer."""
    show = Show(tmp_path, beats={"clear": 6})
    began, asked = show.clock.now(), list[float]()
    connecting = iter([0.0, 0.0, show.provider.latency])
    gone = ProviderError(kind=FaultKind.BLOCKED, reason="no predecessor", message="it is gone")
    faults = iter([None] * 5 + [gone])
    show.provider.connecting = lambda: next(connecting, 0.0)
    show.provider.unsent = lambda: next(faults, None)

    def listing() -> ProviderError:
        asked.append(show.clock.now())
        return passing()

    down(show, 0, 60)
    show.provider.listing = listing
    show.later(61, lambda: setattr(show.provider, "listing", lambda: ("model-1",)))
    complete = show.draw()

    assert asked[0] - began == pytest.approx(show.provider.latency, abs=0.2)
    assert complete.counts["clear"].complete == 5


@pytest.mark.parametrize("later", [0.02, 0.2])
def test_an_answer_to_one_style_wakes_another_that_asked_for_the_endpoint(
    tmp_path: Path, later: float
) -> None:
    """Before the endpoint is asked or after: what had five faults in a row goes on at once."""
    show = Show(tmp_path, beats={"illustration": 20, "clear": 90}, keys_a_style=1, latency=0.0)
    faults = iter([passing()] * 9)

    def answer(request: Request, _key: str) -> Outcome:
        own = request.style == "illustration"
        show.runtime.sleep(8.02 + (0 if own else later))
        return next(faults, DRAWN) if own else DRAWN

    show.provider.answer = answer
    show.draw()

    left = sorted(at for at, _, r in show.provider.requests if r.style == "illustration")
    assert left[9] - left[0] == pytest.approx(60.5, abs=0.5)


def test_a_service_that_stays_down_ends_the_run_after_ten_minutes(tmp_path: Path) -> None:
    """Exit 3 with a time to resume, few requests, and no beat in error."""
    show = Show(tmp_path)
    down(show, 0, 1e9)
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "provider down")
    assert complete.resume_after is not None
    assert 600 <= complete.seconds < 660
    assert complete.requests <= 54
    assert show.provider.listed < 40
    assert {totals.error for totals in complete.counts.values()} == {0}


def test_a_machine_that_slept_through_an_outage_tries_once_more(tmp_path: Path) -> None:
    """Ten minutes without an answer count only if the service was asked."""
    show = Show(tmp_path)
    down(show, 20, 200)
    show.later(100, lambda: show.clock.advance(7200))

    assert show.draw().exit_code == 0


def test_when_only_the_endpoint_answers_one_beat_at_a_time_is_the_probe(tmp_path: Path) -> None:
    """Twenty beats failing in a row are the service's fault: none is charged, and it recovers."""
    show = Show(tmp_path, beats={"clear": 40}, keys={"clear": (key("wide", 60),)}, max_attempts=2)
    down(show, 0, 150, endpoint=False)
    complete = show.draw()

    assert complete.exit_code == 0
    assert drawn(show) == 40
    assert "trying" in waits(show)
    assert waits(show)[-1] == "online"
    began = show.clock.now() - complete.seconds
    probes = [at for at in show.provider.times() if 20 < at - began < 150]
    assert 3 <= len(probes) <= 6
    assert min(gaps(probes)) > show.provider.latency


def test_when_no_beat_ever_comes_through_the_run_ends_after_ten_minutes(tmp_path: Path) -> None:
    """The endpoint's answers do not keep a hopeless run alive."""
    show = Show(tmp_path, beats={"clear": 40, "consistent": 40})
    down(show, 0, 1e9, endpoint=False)
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "provider down")
    assert 600 <= complete.seconds < 720
    assert complete.requests < 36 + 40


def test_a_probe_that_comes_through_sets_every_style_going(tmp_path: Path) -> None:
    """Styles that had nothing to probe with go on at once when the service answers."""
    show = Show(tmp_path, beats={"illustration": 30, "clear": 30, "consistent": 30})
    down(show, 0, 100, endpoint=False)
    complete = show.draw()

    assert complete.exit_code == 0
    assert complete.seconds < 100 + 31 + 3 * 68.5


# -- endings ---------------------------------------------------------------------------


def test_the_first_ctrl_c_finishes_what_is_in_flight(tmp_path: Path) -> None:
    """Paid pictures are saved, nothing new starts, exit 130."""
    show = Show(tmp_path)
    signal(show, 4, Exit.SIGINT)
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.SIGINT, "interrupted")
    assert complete.seconds == pytest.approx(show.provider.latency, abs=0.2)
    assert complete.requests == drawn(show) == 54
    assert "finishing" in waits(show)
    assert show.engine.in_flight == 0


def test_the_first_ctrl_c_ends_a_wait_at_once(tmp_path: Path) -> None:
    """With nothing in flight there is nothing to wait for."""
    show = Show(tmp_path)
    signal(show, 20, Exit.SIGINT)
    complete = show.draw()

    assert complete.exit_code == Exit.SIGINT
    assert complete.seconds == pytest.approx(20, abs=0.2)
    assert "finishing" not in waits(show)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Who presses Ctrl-C twice waits for nothing."""
    show = Show(tmp_path)
    signal(show, 3, Exit.SIGINT)
    signal(show, 5, Exit.SIGINT)
    complete = show.draw()

    assert complete.exit_code == Exit.SIGINT
    assert complete.seconds == pytest.approx(5, abs=0.2)
    assert show.engine.in_flight == 54


@pytest.mark.parametrize("code", [Exit.SIGTERM, Exit.SIGHUP])
def test_sigterm_and_sighup_end_at_once(tmp_path: Path, code: Exit) -> None:
    """They give seconds, not minutes: nothing is waited for."""
    show = Show(tmp_path)
    signal(show, 5, code)
    complete = show.draw()

    assert complete.exit_code == code
    assert complete.seconds == pytest.approx(5, abs=0.2)


def test_a_request_to_stop_finishes_what_is_in_flight(tmp_path: Path) -> None:
    """Exit 3; when to go on is for a person to say."""
    show = Show(tmp_path)
    show.layout.prepare()
    show.later(4, lambda: record.request_stop(show.layout, "run-1"))
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "stopped")
    assert complete.resume_after is None
    assert complete.requests == drawn(show) == 54


def test_a_request_to_stop_another_run_is_not_heeded(tmp_path: Path) -> None:
    """What a run of yesterday left behind stops nothing."""
    show = Show(tmp_path, beats=ONE)
    show.layout.prepare()
    record.request_stop(show.layout, "run-0")

    assert show.draw().exit_code == 0


def test_the_first_ctrl_c_after_a_request_to_stop_still_finishes(tmp_path: Path) -> None:
    """It is the first signal: what is paid for is saved."""
    show = Show(tmp_path)
    show.layout.prepare()
    show.later(2, lambda: record.request_stop(show.layout, "run-1"))
    signal(show, 4, Exit.SIGINT)
    complete = show.draw()

    assert complete.exit_code == Exit.SIGINT
    assert drawn(show) == 54


def test_max_time_sends_nothing_that_could_not_finish(tmp_path: Path) -> None:
    """Twice the slowest answer so far must fit, once there is one that is less than `timeout`."""
    show = Show(tmp_path, beats={"clear": 90}, max_time=150.0)
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "time")
    # When the keys have their next minute.
    assert complete.resume_after == iso(show.clock.wall() - complete.seconds + 3 * 60.5 + 1)
    assert complete.requests == drawn(show) == 54
    assert complete.seconds == pytest.approx(121 + show.provider.latency, abs=0.2)


def test_max_time_holds_while_others_are_in_flight(tmp_path: Path) -> None:
    """A request that ends too late for another one is not followed by one."""
    show = Show(tmp_path, beats={"clear": 60}, keyless=True, width=2, max_time=140.0)
    connecting = cycle([0.0, 5.0])
    show.provider.connecting = lambda: next(connecting)
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "time")
    assert 100 < complete.seconds <= 140


def test_max_time_shorter_than_a_request_may_take_sends_nothing(tmp_path: Path) -> None:
    """Before the first answer `timeout` is all that is known."""
    complete = Show(tmp_path, max_time=119.0).draw()

    assert (complete.exit_code, complete.requests) == (Exit.ENDED_EARLY, 0)


@pytest.mark.parametrize("since", [0.0, 60.0])
@pytest.mark.parametrize("listing", [passing(), ("model-1",)])
def test_max_time_holds_in_an_outage(
    tmp_path: Path, since: float, listing: ProviderError | tuple[str, ...]
) -> None:
    """A run that waits for the service still ends in time."""
    show = Show(tmp_path, max_time=200.0)
    down(show, since, 1e9)
    show.provider.listing = lambda: listing
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "time")
    last_chance = show.run.send_deadline - show.began
    assert complete.seconds <= last_chance + show.provider.latency + 0.2
    assert complete.seconds <= 200


def test_max_time_holds_in_a_back_off(tmp_path: Path) -> None:
    """A beat whose next try could not finish in time is not waited for."""
    show = Show(tmp_path, beats={"clear": 2}, max_time=150.0)
    script(show, {"clear 1": [passing()] * 99})
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "time")
    assert complete.seconds <= 150
    assert complete.counts["clear"].pending == 1


def test_max_time_that_one_try_uses_up_was_not_too_short(tmp_path: Path) -> None:
    """What was tried and failed is not said to have never been sent, and may be tried again."""
    show = Show(tmp_path, beats={"clear": 1}, max_time=121.0)
    script(show, {"clear 1": [passing()] * 99})
    complete = show.draw()

    assert (complete.exit_code, complete.reason) == (Exit.ENDED_EARLY, "time")
    assert complete.messages == (
        (
            "clear: nothing more could finish within the time allowed (--max-time) "
            "(last: the service is overloaded)"
        ),
    )
    assert complete.resume_after is not None


def test_max_time_that_suffices_is_no_ending(tmp_path: Path) -> None:
    """What was all sent in time is complete, however late the last answer comes."""
    assert Show(tmp_path, beats={"clear": 18}, max_time=120.0).draw().exit_code == 0


def _interrupt(show: Show) -> None:
    always(show, ["clear"], fault(FaultKind.KEY_REJECTED))
    signal(show, 20, Exit.SIGINT)


def _mixed(kinds: Mapping[str, FaultKind]) -> Callable[[Show], None]:
    def arrange(show: Show) -> None:
        show.provider.answer = lambda request, _key: (
            fault(kinds[request.style]) if request.style in kinds else DRAWN
        )

    return arrange


@pytest.mark.parametrize(
    ("arrange", "code"),
    [
        (_interrupt, Exit.SIGINT),
        (
            _mixed({"clear": FaultKind.KEY_REJECTED, "consistent": FaultKind.SPENT_TODAY}),
            Exit.USAGE,
        ),
        (_mixed({"clear": FaultKind.KEY_REJECTED, "consistent": FaultKind.REFUSED}), Exit.USAGE),
        (
            _mixed({"clear": FaultKind.SPENT_TODAY, "consistent": FaultKind.REFUSED}),
            Exit.ENDED_EARLY,
        ),
        (_mixed({"consistent": FaultKind.REFUSED}), Exit.BEATS_IN_ERROR),
    ],
)
def test_of_several_endings_the_most_urgent_gives_the_exit_code(
    tmp_path: Path, arrange: Callable[[Show], None], code: Exit
) -> None:
    """Signals, then what a person must mend, then what time mends, then errors."""
    show = Show(tmp_path)
    arrange(show)

    assert show.draw().exit_code == code


def test_a_disk_that_refuses_a_picture_ends_the_run(tmp_path: Path) -> None:
    """Exit 3 with no time to resume: a person must make room. The beat stays pending."""
    show = Show(tmp_path, beats={"clear": 5})
    show.layout.pictures.mkdir()
    show.layout.style_folder("clear").write_text("in the way")
    complete = show.draw()

    assert (complete.exit_code, complete.resume_after) == (Exit.ENDED_EARLY, None)
    assert len(complete.messages) == 1
    assert last_status(show, "clear") == {Status.PENDING}


def test_no_picture_is_written_through_a_link(tmp_path: Path) -> None:
    """A folder that became a link while the run went on ends it with one message."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    show = Show(project, beats={"clear": 5})
    show.layout.style_folder("clear").mkdir(parents=True)
    link = show.layout.style_folder("clear") / "Shot_1"
    try:
        link.symlink_to(elsewhere, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make symbolic links")
    complete = show.draw()

    assert complete.exit_code == Exit.USAGE
    assert "symbolic link" in complete.messages[0]
    assert list(elsewhere.iterdir()) == []


# -- faults of ours, and who listens ---------------------------------------------------


def _raise(*_: object) -> Outcome:
    raise ZeroDivisionError("a fault of ours")


def test_a_provider_that_raises_is_a_fault_of_ours_and_is_raised(tmp_path: Path) -> None:
    """What nobody classified is not swallowed."""
    show = Show(tmp_path)
    show.provider.answer = _raise

    with pytest.raises(ZeroDivisionError):
        show.draw()
    assert [e.exit_code for e in show.events if isinstance(e, Complete)] == [Exit.INTERNAL]


def test_a_key_that_could_not_be_sent_is_used_no_more(tmp_path: Path) -> None:
    """A provider that finds it malformed is asked once: else it would be asked for ever."""
    show = Show(tmp_path, beats={"clear": 3}, keys_a_style=1)
    show.provider.unsent = lambda: fault(FaultKind.KEY_REJECTED)
    complete = show.draw()

    assert (complete.exit_code, complete.requests) == (Exit.USAGE, 0)
    assert not show.provider.requests


def test_an_endpoint_that_raises_is_a_fault_of_ours_and_is_raised(tmp_path: Path) -> None:
    """The same holds for the list of models."""
    show = Show(tmp_path)
    always(show, STYLES, passing())

    def listing() -> ProviderError:
        raise ZeroDivisionError("a fault of ours")

    show.provider.listing = listing
    with pytest.raises(ZeroDivisionError):
        show.draw()


def test_closed_output_ends_the_run_at_once(tmp_path: Path) -> None:
    """When nobody reads the output any more, nothing is waited for."""
    show = Show(tmp_path)
    show.later(5, lambda: show.engine.supervisor.display_failed(BrokenPipeError(EPIPE, "closed")))
    complete = show.draw()
    assert (complete.exit_code, complete.resume_after) == (Exit.CLOSED_STDOUT, None)
    assert complete.seconds == pytest.approx(5, abs=0.2)


def test_full_disk_ends_the_run_when_what_is_paid_for_is_saved(tmp_path: Path) -> None:
    """A recorder that cannot write starts nothing new, and a person must act."""
    show = Show(tmp_path)
    full = StorageError("the disk is full")
    show.later(5, lambda: show.engine.supervisor.recorder_failed(full))
    complete = show.draw()
    assert (complete.exit_code, complete.resume_after) == (Exit.ENDED_EARLY, None)
    assert complete.seconds == pytest.approx(8, abs=0.2)


def test_a_broken_display_ends_no_run(tmp_path: Path) -> None:
    """A view that cannot draw is told of, and the pictures are drawn all the same."""
    show = Show(tmp_path)
    show.later(5, lambda: show.engine.supervisor.display_failed(OSError(ENOSPC, "full")))
    complete = show.draw()
    assert complete.exit_code == Exit.OK
    assert any(isinstance(event, WarningEvent) for event in show.events)


@pytest.mark.slow
def test_a_server_that_allows_less_is_used_in_full(tmp_path: Path) -> None:
    """Against 7 a minute instead of 9, at least 95 % of what is allowed is used."""
    show = Show(tmp_path, beats={"clear": 200}, keys_a_style=1)
    granted: list[float] = []

    def answer(_request: Request, _key: str) -> Outcome:
        now = show.clock.now()
        recent = [at for at in granted if at > now - 60]
        if len(recent) >= 7:
            wait = 60 - (now - recent[0])
            return ProviderError(
                kind=FaultKind.LIMITED, reason="quota", message="quota", retry_after=wait
            )
        granted.append(now)
        return Picture(data=PNG)

    show.provider.answer = answer
    complete = show.draw()
    assert complete.exit_code == Exit.OK
    assert complete.seconds <= (200 / 7 * 60) / 0.95
    assert complete.limited <= 0.05 * complete.requests


def test_a_listener_with_a_fault_of_ours_is_raised(tmp_path: Path) -> None:
    """A display that breaks is no reason to go on in silence."""
    show = Show(tmp_path)
    show.later(5, lambda: show.engine.supervisor.recorder_failed(ZeroDivisionError()))

    with pytest.raises(ZeroDivisionError):
        show.draw()


# -- events ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_events_of_a_messy_run_add_up(tmp_path: Path, seed: int) -> None:
    """Numbers grow by one, `completed` never shrinks, and last statuses match the disk."""
    show = Show(tmp_path, there=2)
    dice = random.Random(seed)
    trouble = [
        passing(),
        fault(FaultKind.NO_PICTURE),
        fault(FaultKind.REFUSED),
        fault(FaultKind.LIMITED),
    ]
    show.provider.answer = lambda _request, _key: (
        dice.choice(trouble) if dice.random() < 0.3 else DRAWN
    )
    complete = show.draw()

    assert [event.seq for event in show.events] == list(range(1, len(show.events) + 1))
    assert {event.run for event in show.events} == {"run-1"}
    assert isinstance(show.events[0], Start)
    assert [event for event in show.events if isinstance(event, Complete)] == [show.events[-1]]
    for style, totals in complete.counts.items():
        own = [e for e in show.events if isinstance(e, Progress) and e.style == style]
        assert [e.completed for e in own] == sorted(e.completed for e in own)
        assert own[-1].completed == totals.complete + totals.skipped
        assert {e.total for e in own} == {30}
    for name, status in show.statuses().items():
        style, number = name.split()
        shot = str(1 + (int(number) - 1) // 5)
        assert show.layout.picture(style, shot, number).exists() == (status is Status.COMPLETE)
        assert status in {Status.COMPLETE, Status.ERROR}


def test_every_attempt_is_told_from_its_beginning(tmp_path: Path) -> None:
    """A beat is generating with a key's tail, pending with its error, and then complete."""
    show = Show(tmp_path, beats=ONE, keys_a_style=1)
    script(show, {"clear 1": [passing()]})
    show.draw()

    own = [event for event in show.events if isinstance(event, Progress)]
    assert [(e.status, e.attempt) for e in own] == [
        (Status.GENERATING, 1),
        (Status.PENDING, 1),
        (Status.GENERATING, 2),
        (Status.COMPLETE, 2),
    ]
    assert own[0].key == show.keys["clear"][0].secret.tail
    assert own[1].error is not None
    assert own[1].error.reason == "HTTP 503"
    last = own[-1]
    assert last.image_path == "generated_images/clear/Shot_1/Beat_1.png"
    assert last.bytes == (tmp_path / last.image_path).stat().st_size
    assert last.seconds == pytest.approx(show.provider.latency)


def test_waiting_for_keys_is_said_once_a_minute(tmp_path: Path) -> None:
    """One event for each wait that a person would notice."""
    show = Show(tmp_path, beats={"clear": 40})
    show.draw()

    told = [event for event in show.events if isinstance(event, Waiting)]
    assert [(event.style, event.reason) for event in told] == [("clear", "keys")] * 2
    assert all(event.seconds and 40 < event.seconds <= 60.5 for event in told)


def test_a_deaf_listener_does_not_hold_up_a_run(tmp_path: Path) -> None:
    """A listener that raises hears no more, and the others hear everything."""

    class Deaf(Notes):
        def handle(self, event: Event) -> None:
            raise StorageError("no")

    show = Show(tmp_path, beats=ONE)
    failures: list[BaseException] = []
    show.bus.subscribe(Deaf(), tick=None, failed=failures.append)
    complete = show.draw()

    assert complete.exit_code == 0
    assert len(failures) == 1
    assert isinstance(show.events[-1], Complete)


# -- keys ------------------------------------------------------------------------------


def key_events(show: Show) -> list[KeyChange]:
    """Return what was told of keys."""
    return [event for event in show.events if isinstance(event, KeyChange)]


@pytest.mark.slow
def test_each_keys_state_is_told_at_the_start_and_when_it_changes(tmp_path: Path) -> None:
    """Two hundred keys are as many events at first, and no more than two a minute each."""
    keys = {"clear": tuple(key(f"{n:04d}", 1) for n in range(200))}
    show = Show(tmp_path, beats={"clear": 400}, keys=keys)
    complete = show.draw()

    told = key_events(show)
    assert complete.exit_code == 0
    assert [event.state for event in told[:200]] == ["ready"] * 200
    assert len(told) <= 200 + 2 * 200 * math.ceil(complete.seconds / 60)


def test_keys_that_end_alike_are_told_apart(tmp_path: Path) -> None:
    """One that is rejected and one that works do not take turns in what is told."""
    keys = {"clear": (key("good"), key("bad"))}
    show = Show(tmp_path, beats={"clear": 40}, keys=keys)
    show.provider.answer = lambda _request, secret: (
        fault(FaultKind.KEY_REJECTED) if "bad" in secret else DRAWN
    )
    assert show.draw().exit_code == 0
    told = [event.state for event in key_events(show)]
    assert {event.key for event in key_events(show)} == {"…0001 (1)", "…0001 (2)"}
    assert 1 <= told.count("rejected") <= 2
    assert told.count("ready") == 2
