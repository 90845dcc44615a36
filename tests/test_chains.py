"""Beats that continue each other, in virtual time: in order, and as fast as can be."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagegen.engine.eta import estimate
from imagegen.events.types import Progress
from imagegen.project.beat_status import Status
from imagegen.prompts.continuity import predecessors
from imagegen.providers.base import FaultKind, Picture, ProviderError, Request
from imagegen.quota.simulation import Capacity, ChainLoad, last_departures
from imagegen.workspace.plan import chain_lengths
from sweep import examples
from virtual import PNG, Show

MINUTE = 60.5
"""Seconds after which a place in a minute is free again: the window and its margin."""


def test_ten_shots_of_three_cost_what_the_longest_chain_demands(tmp_path: Path) -> None:
    """With 2 keys a style: no schedule could be faster.

    10 beats can leave at once and 8 after an answer, then the minute is full. Of the 12 that
    are left at most 10 can leave when it begins anew, so that the last leave an answer later:
    a minute, one answer for the wait and one for themselves.
    """
    show = Show(tmp_path, chains=[3] * 10, lend=False)
    complete = show.draw()
    assert complete.exit_code == 0
    assert complete.seconds == pytest.approx(MINUTE + 2 * 8, abs=0.5)
    assert all(count <= 9 for count in show.provider.most_in_a_minute().values())


def test_without_chains_the_same_beats_take_an_answer_less(tmp_path: Path) -> None:
    """What chains cost is one answer's time."""
    complete = Show(tmp_path, lend=False).draw()
    assert complete.seconds == pytest.approx(MINUTE + 8, abs=0.5)


def test_the_longest_chain_goes_first(tmp_path: Path) -> None:
    """Where keys are few, what decides how long it all takes is not kept waiting."""
    show = Show(tmp_path, beats={"clear": 9}, chains=[1, 1, 1, 1, 5], keys_a_style=1, per_minute=1)
    show.draw()
    assert show.provider.prompts()[:4] == [f"clear {n}" for n in (5, 6, 7, 8)]


def test_a_failure_in_passing_holds_up_its_chain_alone(tmp_path: Path) -> None:
    """The others go on, and it goes on once it is through."""
    show = Show(tmp_path, beats={"clear": 6}, chains=[3, 3])
    failed: set[str] = set()

    def once(request: Request, _: str) -> Picture | ProviderError:
        if request.words == "clear 2" and not failed:
            failed.add(request.words)
            return ProviderError(kind=FaultKind.PASSING, reason="HTTP 503", message="later")
        return Picture(data=PNG)

    show.provider.answer = once
    assert show.draw().exit_code == 0
    order = show.provider.prompts()
    assert order.count("clear 2") == 2
    assert order.index("clear 6") < len(order) - 1 - order[::-1].index("clear 2")
    assert order[-1] == "clear 3"


def test_beats_behind_one_in_error_are_blocked_and_told(tmp_path: Path) -> None:
    """All of them, each by the one in error, and none is sent."""
    show = Show(tmp_path, beats={"clear": 7}, chains=[4, 3])
    refused = ProviderError(kind=FaultKind.REFUSED, reason="SAFETY", message="no")
    show.provider.answer = lambda request, _: (
        refused if request.words == "clear 2" else Picture(data=PNG)
    )
    complete = show.draw()
    assert complete.exit_code == 1
    totals = complete.counts["clear"]
    assert (totals.complete, totals.error, totals.blocked, totals.pending) == (4, 1, 2, 0)
    blocked = [e for e in show.events if isinstance(e, Progress) and e.status is Status.BLOCKED]
    number = show.plan.styles["clear"][1].beat.beat
    assert [e.blocked_by for e in blocked] == [number] * 2
    assert not {"clear 3", "clear 4"} & set(show.provider.prompts())
    assert any("not sent" in message for message in complete.messages)


@pytest.mark.slow
@settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    chains=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    per_minute=st.sampled_from([2, 9, 60]),
    keys=st.integers(1, 3),
    latency=st.sampled_from([0.5, 8.0, 45.0]),
)
def test_what_is_foretold_of_chains_is_what_they_take(
    chains: list[int], per_minute: int, keys: int, latency: float
) -> None:
    """In order, within the limits, no faster than can be, and as the estimate said."""
    with TemporaryDirectory() as folder:
        show = Show(
            Path(folder),
            beats={"clear": sum(chains)},
            chains=chains,
            keys_a_style=keys,
            per_minute=per_minute,
            latency=latency,
            answer_seconds=latency,
        )
        lengths: dict[int, int] = {}
        for length in chain_lengths(show.plan.styles["clear"]):
            lengths[length] = lengths.get(length, 0) + 1
        assert sorted(chains) == sorted(n for n, count in lengths.items() for _ in range(count))
        before = estimate(
            {"clear": lengths}, pool=show.pool, widths={"clear": 256}, answer_seconds=latency
        )
        complete = show.draw()
    assert complete.exit_code == 0
    minutes = math.ceil(sum(chains) / (keys * per_minute)) - 1
    least = max(minutes * MINUTE + latency, max(chains) * latency)
    assert complete.seconds >= least - 0.6
    assert before.seconds == pytest.approx(complete.seconds, rel=0.05, abs=0.6)
    sent: dict[str, list[str]] = {}
    for words in show.provider.prompts():
        shot = next(p.beat.shot for p in show.plan.styles["clear"] if p.beat.words == words)
        sent.setdefault(shot, []).append(words)
    for shot, words_sent in sent.items():
        own = [p.beat.words for p in show.plan.styles["clear"] if p.beat.shot == shot]
        assert words_sent == own


def test_predecessors_are_of_the_same_shot_in_file_order(tmp_path: Path) -> None:
    """Shots may be mixed in the file; what was waived is passed over."""
    show = Show(tmp_path, beats={"clear": 6}, chains=[3, 3])
    first, second = (
        [p.beat for p in show.plan.styles["clear"] if p.beat.shot == shot] for shot in "01"
    )
    mixed = [beat for pair in zip(first, second, strict=True) for beat in pair]
    assert predecessors(mixed, lambda _: False) == {
        own[n].key: own[n - 1].key for own in (first, second) for n in (1, 2)
    }
    assert predecessors(first, lambda beat: beat is first[1]) == {
        first[1].key: first[0].key,
        first[2].key: first[0].key,
    }
    assert predecessors(first, lambda beat: beat is first[0]) == {first[2].key: first[1].key}


def test_a_place_that_no_chain_can_use_yet_is_kept() -> None:
    """Two chains of two and ten places: the second two leave when the first are answered."""
    supply = Capacity(styles=frozenset({"clear"}), per_minute=10, free_slots=[(0.0, 10)])
    chained = {"clear": ChainLoad(ready={2: 2}, latency=7.0)}
    assert last_departures([supply], {"clear": 4}, 0.0, chained) == {"clear": 7.0}
    later = {"clear": ChainLoad(ready={}, pending={1: 3}, latency=5.0)}
    assert last_departures([supply], {"clear": 3}, 0.0, later) == {"clear": 5.0}
