"""A style that has nothing left to send lends its keys to the others."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from imagegen.clock import next_pacific_midnight
from imagegen.events.types import Forecast, Waiting
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Request
from imagegen.quota.pool import Lease
from imagegen.secret import Secret
from virtual import PNG, Show, passing

STYLES = ("clear", "consistent", "illustration")


def keys(style: str, count: int, per_minute: int = 9) -> tuple[ApiKey, ...]:
    """Return a style's keys."""
    return tuple(
        ApiKey(Secret(f"test-key-{style}-{n:06d}"), RateLimit(per_minute)) for n in range(count)
    )


def each(count: int = 2) -> dict[str, tuple[ApiKey, ...]]:
    """Return so many keys for each style."""
    return {style: keys(style, count) for style in STYLES}


def took(show: Show) -> float:
    """Return how long the run took, in seconds."""
    return show.clock.now() - show.began


def used(show: Show, words: str) -> set[str]:
    """Return the styles whose keys drew beats whose words begin so."""
    return {
        secret.split("-")[2]
        for _, secret, request in show.provider.requests
        if request.words.startswith(words)
    }


def test_one_style_alone_is_drawn_by_all_keys(tmp_path: Path) -> None:
    """90 beats with 2 keys of its own and 4 idle ones take as long as with 6 keys."""
    show = Show(tmp_path, beats={"clear": 90}, keys=each(), lend=True)
    assert show.draw().exit_code == 0
    assert took(show) == pytest.approx(60 + 8, abs=1)
    assert max(show.provider.most_in_a_minute().values()) <= 9


def test_nothing_is_lent_where_that_is_forbidden(tmp_path: Path) -> None:
    """With `lend = false` every style keeps to its own keys."""
    show = Show(tmp_path, beats={"clear": 36, "illustration": 3}, keys=each(), lend=False)
    assert show.draw().exit_code == 0
    assert took(show) == pytest.approx(60 + 8, abs=1)
    assert used(show, "clear") == {"clear"}


def test_keys_are_lent_as_soon_as_all_is_in_flight(tmp_path: Path) -> None:
    """A style need not be done: what is in flight needs no key."""
    show = Show(
        tmp_path, beats={"clear": 24, "illustration": 3}, keys=each(1), lend=True, latency=30
    )
    assert show.draw().exit_code == 0
    # 27 places in the first minute, for 27 beats.
    assert took(show) == pytest.approx(30, abs=1)
    assert used(show, "clear") == set(STYLES)


def test_a_style_that_sends_again_has_its_keys_back(tmp_path: Path) -> None:
    """A beat that fails after its style's keys were lent is drawn in its turn."""
    show = Show(tmp_path, beats={"clear": 60, "illustration": 2}, keys=each(1), lend=True)
    failures = iter([passing(), passing(), passing()])

    def answer(request: Request, _: str) -> Outcome:
        if request.words.startswith("illustration 2"):
            return next(failures, Picture(data=PNG))
        return Picture(data=PNG)

    show.provider.answer = answer
    assert show.draw().exit_code == 0
    assert len(show.provider.times("illustration 2")) == 4
    assert max(show.provider.most_in_a_minute().values()) <= 9


def spend(styles: Iterable[str], kind: FaultKind = FaultKind.SPENT_TODAY) -> object:
    """Return what answers that these styles' keys are used up."""
    names = set(styles)

    def answer(_: Request, secret: str) -> Outcome:
        if secret.split("-")[2] in names:
            return ProviderError(kind=kind, reason="quota", message="no more today")
        return Picture(data=PNG)

    return answer


@pytest.mark.parametrize(
    "kind",
    [FaultKind.SPENT_TODAY, FaultKind.OUT_OF_CREDIT, FaultKind.KEY_REJECTED, FaultKind.NO_QUOTA],
)
def test_a_style_without_working_keys_goes_on_with_those_of_others(
    tmp_path: Path, kind: FaultKind
) -> None:
    """It waits until another is done, says so once, and is drawn."""
    show = Show(tmp_path, beats={"clear": 12, "illustration": 30}, keys=each(1), lend=True)
    show.provider.answer = spend({"clear", "consistent"}, kind)  # type: ignore[assignment]
    complete = show.draw()
    assert (complete.exit_code, complete.counts["clear"].complete) == (0, 12)
    waits = [
        event for event in show.events if isinstance(event, Waiting) and event.style == "clear"
    ]
    assert [event.reason for event in waits].count("lending") == 1
    assert max(show.provider.most_in_a_minute().values()) <= 9


@pytest.mark.parametrize("others", [{}, {"clear": 3}, {"clear": 3, "consistent": 3}])
@pytest.mark.parametrize("rejected", [{"illustration"}, {"illustration", "clear"}])
def test_a_rejected_key_of_a_shared_project_is_replaced_by_another_style_s(
    tmp_path: Path, others: dict[str, int], rejected: set[str]
) -> None:
    """Keys of one project are one budget: whose own is rejected sends with the others', lent."""
    own = {
        style: (ApiKey(Secret(f"test-key-{style}-000001"), RateLimit(9), "studio"),)
        for style in STYLES
    }
    show = Show(tmp_path, beats={"illustration": 12, **others}, keys=own, lend=True)
    show.provider.answer = spend(rejected, FaultKind.KEY_REJECTED)  # type: ignore[assignment]
    complete = show.draw()
    assert (complete.exit_code, complete.counts["illustration"].complete) == (0, 12)
    assert took(show) < 200


def test_the_forecast_counts_on_what_a_shared_project_lends(tmp_path: Path) -> None:
    """A rejected key is no reason to say that its style cannot be drawn."""
    own = {
        style: (ApiKey(Secret(f"test-key-{style}-01"), RateLimit(9), "studio"),) for style in STYLES
    }
    show = Show(tmp_path, beats={"illustration": 3}, keys=own, lend=True)
    lease = show.pool.lease("illustration")
    assert isinstance(lease, Lease)
    show.pool.reject(lease)
    assert show.pool.forecast({"illustration": 3})["illustration"] is not None


def test_a_spent_key_sends_again_at_midnight_while_others_are_waited_for(tmp_path: Path) -> None:
    """A new day has a new quota, though another style has much to send yet."""
    show = Show(tmp_path, beats={"clear": 3, "illustration": 90}, keys=each(1), lend=True)
    show.clock.set_wall(next_pacific_midnight(show.clock.wall()) - show.clock.wall() - 90)
    show.provider.answer = spend({"clear", "consistent"})  # type: ignore[assignment]
    show.later(89, lambda: setattr(show.provider, "answer", lambda *_: Picture(data=PNG)))
    complete = show.draw()
    assert complete.exit_code == 0
    own = [at - show.began for at, key, _ in show.provider.requests if "clear" in key]
    assert min(at for at in own if at > 60) == pytest.approx(90, abs=1)


def test_the_run_ends_when_nobody_can_lend(tmp_path: Path) -> None:
    """Where every key is spent the run ends, exit 3, and does not wait for ever."""
    show = Show(tmp_path, beats={"clear": 12, "illustration": 12}, keys=each(1), lend=True)
    show.provider.answer = spend(STYLES)  # type: ignore[assignment]
    complete = show.draw()
    assert (complete.exit_code, complete.reason) == (3, "keys spent")
    assert complete.counts["clear"].pending == 12


def test_a_style_that_has_no_key_borrows_none(tmp_path: Path) -> None:
    """A pool that was forgotten is said, not filled from others."""
    show = Show(
        tmp_path,
        beats={"clear": 3, "illustration": 3},
        keys={"clear": keys("clear", 1), "illustration": ()},
        lend=True,
    )
    complete = show.draw()
    assert (complete.exit_code, complete.reason) == (2, "no key")
    assert complete.counts["clear"].complete == 3


def test_waiting_to_be_lent_keys_ends_in_time(tmp_path: Path) -> None:
    """With `--max-time` a style does not wait beyond what it was given."""
    show = Show(
        tmp_path, beats={"clear": 3, "illustration": 90}, keys=each(1), lend=True, max_time=100.0
    )
    show.provider.answer = spend({"clear", "consistent"})  # type: ignore[assignment]
    complete = show.draw()
    assert (complete.exit_code, complete.reason) == (3, "time")
    assert took(show) <= 100


def test_the_forecast_counts_on_lent_keys(tmp_path: Path) -> None:
    """What is foretold once answers' times are known is what it takes."""
    show = Show(tmp_path, beats={"clear": 120, "illustration": 9}, keys=each(1), lend=True)
    assert show.draw().exit_code == 0
    told = [event for event in show.events if isinstance(event, Forecast) and event.seconds]
    first = told[0]
    at = sum(event.seq < first.seq for event in show.events)
    assert at
    total = took(show)
    assert first.seconds == pytest.approx(total - 8, rel=0.05)
