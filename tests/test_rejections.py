"""Whose fault it is: one beat's, every request's, or that of something on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegen.engine.rejections import ALIKE, Rejections, words_alike
from imagegen.errors import Exit
from imagegen.events.types import Complete, KeyChange, Progress, Waiting
from imagegen.project.beat_status import Status
from imagegen.providers.base import (
    BROKEN_PICTURE,
    UNKNOWN_FORM,
    UNREADABLE,
    FaultKind,
    Outcome,
    Picture,
    ProviderError,
    Request,
)
from imagegen.quota.pool import KeyPool
from virtual import PNG, STYLES, TEN_CENTS, Show, passing

DRAWN = Picture(data=PNG)
ONE_STYLE = {"clear": 30}


def rejected(
    message: str = "Policy 17 of ACME forbids it.", kind: FaultKind = FaultKind.BAD_REQUEST
) -> ProviderError:
    """Return the fault of a request that the service does not want."""
    return ProviderError(kind=kind, reason="HTTP 400", message=message)


def in_error(show: Show) -> list[str]:
    """Return the beats that were charged."""
    return [name for name, status in show.statuses().items() if status is Status.ERROR]


def ends(complete: Complete) -> tuple[int, str]:
    """Return how a run ended."""
    return complete.exit_code, complete.reason


# -- every request is rejected -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("per_minute", [1, 9, 600])
@pytest.mark.parametrize("styles", [1, 3])
@pytest.mark.parametrize("kind", [FaultKind.BAD_REQUEST, FaultKind.NO_PICTURE])
def test_at_most_three_beats_are_charged_for_what_every_request_meets(
    tmp_path: Path, per_minute: int, styles: int, kind: FaultKind
) -> None:
    """However many are in flight at once; the run ends in the service's words."""
    beats = dict.fromkeys(STYLES[:styles], 30)
    show = Show(tmp_path, beats=beats, per_minute=per_minute)
    show.provider.answer = lambda _request, _key: rejected(kind=kind)
    complete = show.draw()

    assert ends(complete) == (Exit.USAGE, "rejected alike")
    assert 1 <= len(in_error(show)) <= ALIKE
    pending = sum(counts.pending for counts in complete.counts.values())
    assert pending == 30 * styles - len(in_error(show))
    assert "not for its prompt: Policy 17 of ACME forbids it." in complete.messages[0]
    assert complete.resume_after is None


@pytest.mark.parametrize("per_minute", [1, 600])
def test_words_that_differ_in_what_is_of_the_request_are_alike(
    tmp_path: Path, per_minute: int
) -> None:
    """Ids, times, numbers, quotations and the prompt itself tell nothing."""
    show = Show(tmp_path, beats=ONE_STYLE, per_minute=per_minute)
    sent = iter(range(1000))

    def answer(request: Request, _key: str) -> Outcome:
        n = next(sent)
        return rejected(
            f'Request req_{n:04x} of 2026-11-30T20:0{n % 10}:00Z: "{n}" {request.words} is '
            f"not allowed here (see https://acme.example/{n}), code {n}"
        )

    show.provider.answer = answer
    assert ends(show.draw()) == (Exit.USAGE, "rejected alike")
    assert len(in_error(show)) <= ALIKE


def test_beats_that_are_rejected_each_in_its_own_words_are_their_own_fault(tmp_path: Path) -> None:
    """They are all asked for, and the run ends with errors."""
    show = Show(tmp_path, beats={"clear": 5})
    words = iter(("too long", "too short", "no verb", "no noun", "no picture"))
    show.provider.answer = lambda _request, _key: rejected(next(words))
    assert ends(show.draw()) == (Exit.BEATS_IN_ERROR, "errors")
    assert len(in_error(show)) == 5


def test_a_scene_that_is_refused_is_no_fault_of_the_service(tmp_path: Path) -> None:
    """A safety rule may hit every beat of a scene, and says so in the same words."""
    show = Show(tmp_path, beats={"clear": 9})
    show.provider.answer = lambda _request, _key: rejected("It is violent.", FaultKind.REFUSED)
    assert ends(show.draw()) == (Exit.BEATS_IN_ERROR, "errors")
    assert len(in_error(show)) == 9


def test_one_beat_that_is_rejected_in_all_styles_is_its_own_fault(tmp_path: Path) -> None:
    """It is one prompt."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 1))
    show.provider.answer = lambda _request, _key: rejected()
    assert ends(show.draw()) == (Exit.BEATS_IN_ERROR, "errors")
    assert len(in_error(show)) == 3


def test_two_beats_that_are_rejected_in_all_styles_end(tmp_path: Path) -> None:
    """Beats that were spared once are charged the next time: nothing goes round for ever."""
    show = Show(tmp_path, beats=dict.fromkeys(STYLES, 2))
    show.provider.answer = lambda _request, _key: rejected()
    assert ends(show.draw()) == (Exit.BEATS_IN_ERROR, "errors")
    assert len(in_error(show)) == 6
    assert len(show.provider.requests) <= 12


@pytest.mark.parametrize("bad", [3, 7, 20])
def test_rejections_that_come_before_the_first_image_wait_for_it(tmp_path: Path, bad: int) -> None:
    """A rejection is faster than an image: what is in flight tells whose fault it is."""
    show = Show(tmp_path, beats=ONE_STYLE, per_minute=600)

    def answer(request: Request, _key: str) -> Outcome:
        if int(request.words.split()[1]) <= bad:
            return rejected()
        show.runtime.sleep(20.0)
        return DRAWN

    show.provider.answer = answer
    assert ends(show.draw()) == (Exit.BEATS_IN_ERROR, "errors")
    assert len(in_error(show)) == bad


def test_an_image_in_between_begins_a_new_count(tmp_path: Path) -> None:
    """Beats that are rejected here and there are their own fault."""
    show = Show(tmp_path, beats=ONE_STYLE, keyless=True, width=1)
    show.provider.answer = lambda request, _key: (
        DRAWN if int(request.words.split()[1]) % 3 == 0 else rejected()
    )
    assert ends(show.draw()) == (Exit.BEATS_IN_ERROR, "errors")
    assert len(in_error(show)) == 20


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.booleans()), max_size=60))
def test_no_more_than_three_are_charged_between_images(
    answers: list[tuple[int, str, bool]],
) -> None:
    """Of one group, whatever comes in whatever order; who is spared once is charged at last."""
    rejections: Rejections[tuple[int, str]] = Rejections()
    charged: set[tuple[int, str]] = set()
    spared: set[tuple[int, str]] = set()
    own: set[tuple[int, str]] = set()
    for beat, style, drawn in answers:
        task = (beat, style)
        if drawn:
            rejections.drawn()
            own |= spared
            charged, spared = set(), set()
        elif task in own:
            assert rejections.charges(task, beat, rejected())
            continue
        elif rejections.charges(task, beat, rejected()):
            assert task in spared or len(charged - spared) < ALIKE
            charged.add(task)
        else:
            assert task not in spared
            spared.add(task)
        beats = {one for one, _ in charged | spared}
        assert (rejections.suspect is not None) == (len(beats) >= ALIKE)


def test_words_that_say_something_else_are_not_alike() -> None:
    """Whatever is left without what is of the request decides, and the kind."""
    assert words_alike(rejected("Size 7 is wrong")) == words_alike(rejected("size 12 is wrong."))
    assert words_alike(rejected("The size")) != words_alike(rejected("The prompt"))
    assert words_alike(rejected()) != words_alike(rejected(kind=FaultKind.NO_PICTURE))


# -- what a person must see to ------------------------------------------------------------


def network(message: str = "127.0.0.1 sent a web page") -> ProviderError:
    """Return the fault of something on the way."""
    return ProviderError(kind=FaultKind.NETWORK, reason="web page", message=message)


@pytest.mark.parametrize("per_minute", [1, 600])
def test_what_stands_in_the_way_from_the_start_ends_the_run(
    tmp_path: Path, per_minute: int
) -> None:
    """At once, in its words, with every beat pending."""
    show = Show(tmp_path, per_minute=per_minute)
    show.provider.answer = lambda _request, _key: network()
    complete = show.draw()

    assert ends(complete) == (Exit.USAGE, "network")
    assert complete.messages == ("127.0.0.1 sent a web page",)
    assert complete.seconds < 10
    assert in_error(show) == []
    assert show.provider.listed == 0


def test_a_moment_in_which_something_stands_in_the_way_is_passed_over(tmp_path: Path) -> None:
    """Once the service has drawn, one login page is like any broken answer."""
    show = Show(tmp_path, beats=ONE_STYLE, per_minute=60)
    sent = iter(range(1000))
    show.provider.answer = lambda _request, _key: network() if next(sent) % 9 == 8 else DRAWN
    assert ends(show.draw()) == (Exit.OK, "complete")


def test_what_comes_into_the_way_and_stays_ends_the_run(tmp_path: Path) -> None:
    """After three different beats, with what is in flight."""
    show = Show(tmp_path, beats=ONE_STYLE, per_minute=9)
    show.provider.answer = lambda _request, _key: (
        DRAWN if show.clock.now() - show.began < 60 else network()
    )
    complete = show.draw()
    assert ends(complete) == (Exit.USAGE, "network")
    assert in_error(show) == []
    assert complete.counts["clear"].complete >= 9


@pytest.mark.parametrize("reason", [UNREADABLE, "address"])
def test_a_picture_that_cannot_be_had_ends_the_run_after_one(tmp_path: Path, reason: str) -> None:
    """It was drawn, so its price is counted."""
    show = Show(tmp_path, beats={"clear": 5}, keyless=True, width=1)
    show.run.spending.price = TEN_CENTS.price("1K")
    fault = ProviderError(kind=FaultKind.UNUSABLE, reason=reason, message="an SVG")
    show.provider.answer = lambda _request, _key: fault
    complete = show.draw()
    assert ends(complete) == (Exit.USAGE, "unusable")
    assert len(show.provider.requests) == 1
    assert complete.cost == pytest.approx(0.1)


def test_a_service_that_is_paid_for_nothing_is_left_after_three_probes(tmp_path: Path) -> None:
    """While broken pictures are paid for, no more are asked for than can show that."""
    show = Show(tmp_path, beats={"clear": 100}, per_minute=600)
    show.run.spending.price = TEN_CENTS.price("1K")

    def broken(request: Request, _key: object) -> Outcome:
        # Each in words of its own, so that no three are alike.
        word = "".join(chr(ord("a") + int(digit)) for digit in request.beat if digit.isdigit())
        message = f"the chunk {word} is not whole"
        return ProviderError(kind=FaultKind.PASSING, reason=BROKEN_PICTURE, message=message)

    show.provider.answer = broken
    complete = show.draw()
    assert ends(complete) == (Exit.USAGE, "unusable")
    assert complete.messages[0].endswith("is not whole")
    told = [event.message for event in show.events if isinstance(event, Waiting)]
    assert not [message for message in told if "nothing has failed" in message]
    assert [message for message in told if "spent on answers without an image" in message]


# -- what costs a beat nothing ------------------------------------------------------------


def test_what_left_before_an_image_came_says_nothing_of_what_came_after() -> None:
    """Large answers of no use are read last, when the images beside them have long been saved."""
    rejections: Rejections[int] = Rejections()
    useless = passing()
    rejections.drawn(20.0)
    for beat in range(ALIKE):
        rejections.note(beat, useless, sent_at=19.0)
    assert rejections.suspect is None
    for beat in range(ALIKE):
        rejections.note(beat, useless, sent_at=21.0)
    assert rejections.suspect is useless


@pytest.mark.parametrize("beats", [4, 12, 30])
@pytest.mark.parametrize("reason", [BROKEN_PICTURE, UNKNOWN_FORM])
def test_answers_of_no_use_are_not_paid_for_again_and_again(
    tmp_path: Path, reason: str, beats: int
) -> None:
    """Each beat is asked for once: three that meet the same, and no image, end the run."""
    show = Show(tmp_path, beats={"clear": beats}, per_minute=60)
    fault = ProviderError(kind=FaultKind.PASSING, reason=reason, message="no image of a known type")
    show.provider.answer = lambda _request, _key: fault
    complete = show.draw()
    assert ends(complete) == (Exit.USAGE, "unusable")
    assert "none has a usable image" in complete.messages[0]
    assert complete.messages[0].endswith(fault.message)
    assert len(show.provider.requests) <= beats
    assert not in_error(show)


def test_broken_images_between_whole_ones_are_drawn_again(tmp_path: Path) -> None:
    """An image that comes shows that the service can draw."""
    show = Show(tmp_path, beats=ONE_STYLE, per_minute=60)
    broken = ProviderError(kind=FaultKind.PASSING, reason=BROKEN_PICTURE, message="not whole")
    seen: set[str] = set()

    def answer(request: Request, _key: object) -> Outcome:
        first = request.beat not in seen
        seen.add(request.beat)
        return broken if first and int(request.beat.rpartition(".")[2]) % 2 else DRAWN

    show.provider.answer = answer
    assert show.draw().exit_code == Exit.OK


def test_a_connection_that_was_closed_as_the_request_came_costs_no_attempt(tmp_path: Path) -> None:
    """Nothing was answered: the beat goes out again at once, and no outage is suspected."""
    show = Show(tmp_path, beats={"clear": 9}, max_attempts=1)
    lost = ProviderError(
        kind=FaultKind.PASSING, reason="connection", message="it broke", stale=True
    )
    left = {f"clear {n}": 3 for n in range(1, 10)}

    def answer(request: Request, _key: str) -> Outcome:
        left[request.words] -= 1
        return lost if left[request.words] >= 0 else DRAWN

    show.provider.answer = answer
    assert ends(show.draw()) == (Exit.OK, "complete")
    assert show.provider.listed == 0
    assert not [event for event in show.events if isinstance(event, Waiting) and not event.style]


@pytest.mark.parametrize(("asked", "least"), [(None, 1.5), (20.0, 20.0), (1e9, 3600.0)])
def test_a_service_that_is_busy_is_asked_again_when_it_says(
    tmp_path: Path, asked: float | None, least: float
) -> None:
    """`Retry-After` counts for a 503 as it does for a 429."""
    show = Show(tmp_path, beats={"clear": 1}, latency=0.0)
    busy = ProviderError(
        kind=FaultKind.PASSING, reason="HTTP 503", message="busy", retry_after=asked
    )
    answers = iter([busy])
    show.provider.answer = lambda _request, _key: next(answers, DRAWN)
    assert ends(show.draw()) == (Exit.OK, "complete")
    first, second = show.provider.times()
    assert least <= second - first <= least + 5


# -- what is said -------------------------------------------------------------------------


def test_every_kind_of_429_is_told_once_in_its_words(tmp_path: Path) -> None:
    """However often it comes; another kind is told too."""
    show = Show(tmp_path, beats={"clear": 12}, per_minute=60)
    sent = iter(range(1000))

    def answer(_request: Request, _key: str) -> Outcome:
        n = next(sent)
        words = "tokens per minute" if n == 5 else f"quota exceeded, retry in {n}.5s"
        return (
            ProviderError(kind=FaultKind.LIMITED, reason="HTTP 429", message=words)
            if n < 8
            else DRAWN
        )

    show.provider.answer = answer
    show.draw()
    told = [event.message for event in show.events if isinstance(event, KeyChange)]
    assert len([message for message in told if "quota exceeded" in message]) == 1
    assert len([message for message in told if "tokens per minute" in message]) == 1


ENDINGS: dict[str, tuple[dict[str, object], Callable[[Request, str], Outcome]]] = {
    "provider down": ({}, lambda _request, _key: passing()),
    "time": ({"max_time": 400.0}, lambda _request, _key: passing()),
    "keys spent": (
        {},
        lambda _request, _key: ProviderError(
            kind=FaultKind.LIMITED, reason="HTTP 429", message="the service is overloaded"
        ),
    ),
}


@pytest.mark.parametrize("reason", ENDINGS)
def test_every_ending_repeats_the_last_reason(tmp_path: Path, reason: str) -> None:
    """Whoever reads only the last line learns what the service said."""
    options, answer = ENDINGS[reason]
    show = Show(tmp_path, beats={"clear": 3}, **options)  # type: ignore[arg-type]
    show.provider.answer = answer
    show.provider.listing = passing
    complete = show.draw()
    assert complete.reason == reason
    assert "the service is overloaded" in complete.messages[0]


def test_a_reason_that_is_over_is_not_repeated(tmp_path: Path) -> None:
    """After an image nothing is wrong any more."""
    show = Show(tmp_path, beats={"clear": 30}, max_time=300.0)
    answers = iter([passing()])
    show.provider.answer = lambda _request, _key: next(answers, DRAWN)
    show.provider.latency = 60.0
    complete = show.draw()
    assert "overloaded" not in " ".join(complete.messages)


def test_beats_in_error_are_no_secret_in_an_outage(tmp_path: Path) -> None:
    """It is not said that nothing has failed if something has."""
    show = Show(tmp_path, beats={"clear": 30}, per_minute=2)
    show.provider.answer = lambda request, _key: (
        rejected() if request.words == "clear 1" else passing()
    )
    show.provider.listing = passing
    show.draw()
    told = [event.message for event in show.events if isinstance(event, Waiting)]
    assert [message for message in told if message.startswith("offline since")]
    assert not [message for message in told if "nothing has failed" in message]


def test_a_key_is_not_blamed_for_a_service_without_room(tmp_path: Path) -> None:
    """No capacity is a passing fault: the key is neither slowed nor given up."""
    show = Show(tmp_path, beats={"clear": 9})
    full = ProviderError(
        kind=FaultKind.PASSING, reason="no capacity", message="No capacity available"
    )
    answers = iter([full] * 3)
    show.provider.answer = lambda _request, _key: next(answers, DRAWN)
    assert ends(show.draw()) == (Exit.OK, "complete")
    states = {event.state for event in show.events if isinstance(event, KeyChange)}
    assert states <= {"ready", "waiting"}
    assert isinstance(show.pool, KeyPool)
    assert [e for e in show.events if isinstance(e, Progress) and e.error is not None]
