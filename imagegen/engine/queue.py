"""The beats of one style: which are left to send and when, and what became of the others."""

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import Final

from imagegen.clock import MonotonicTime
from imagegen.engine.chains import Chains
from imagegen.engine.task import Owner, Task
from imagegen.events.types import BeatCounts
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.quota.simulation import ChainLoad
from imagegen.workspace.plan import Planned

MAX_ROUNDS: Final = 3
ROUND_DELAY: Final = 30.0
"""Seconds after which beats with temporary errors are tried once more."""


class BeatQueue:
    """What a worker has to do, as pure state: the owner calls it under one lock.

    All times are `Clock.now()` seconds; `owner` is who sends the tasks.
    """

    def __init__(self, owner: Owner, beats: Sequence[Planned]) -> None:
        self._chains = Chains()
        drawn = ((n, planned) for n, planned in enumerate(beats) if planned.draw)
        self._heap = self._chains.start(
            (Task(owner, n, planned.beat), planned.after) for n, planned in drawn
        )
        self._given_up: dict[Task, BeatError] = {}
        self._rounds = 0
        self._round_mended = False
        self._total = len(beats)
        self._before = Counter(planned.status for planned in beats)
        self._blocked = self._before[Status.BLOCKED]
        self._drawn = 0
        self._errors = 0
        self.last_due_at = 0.0
        """When the last beat that backs off may be sent again."""

    @property
    def totals(self) -> BeatCounts:
        """The beats by what has become of them."""
        over = self.completed + self._blocked + self._errors
        return BeatCounts(
            total=self._total,
            pending=self._total - over,
            complete=self._drawn,
            skipped=self._before[Status.SKIPPED],
            outdated=self._before[Status.OUTDATED],
            waived=self._before[Status.WAIVED],
            blocked=self._blocked,
            error=self._errors,
        )

    @property
    def total(self) -> int:
        """How many beats the style has."""
        return self._total

    @property
    def completed(self) -> int:
        """How many of them are drawn, or need no drawing."""
        settled = (Status.SKIPPED, Status.OUTDATED, Status.WAIVED)
        return self._drawn + sum(self._before[status] for status in settled)

    @property
    def remaining(self) -> int:
        """How many are still to be sent, as far as is known."""
        return len(self._heap) + len(self._chains) + self.deferred

    @property
    def waiting_count(self) -> int:
        """How many wait for the image that they continue."""
        return len(self._chains)

    @property
    def deferred(self) -> int:
        """How many failed in passing and wait for another round."""
        return len(self._given_up) if self._may_go_round else 0

    @property
    def has_given_up(self) -> bool:
        """Whether there are beats that only met temporary errors until their attempts were used."""
        return bool(self._given_up)

    @property
    def next_due(self) -> float | None:
        """When the next beat may be sent; None if there is nothing to send."""
        return self._heap[0].not_before if self._heap else None

    def chain_counts(self, answer: float) -> ChainLoad:
        """Return what is left, by chain; `answer` is how many seconds an image takes."""
        able = [*self._heap, *(self._given_up if self._may_go_round else ())]
        ready = Counter(task.dependents + 1 for task in able)
        coming = Counter(task.dependents + 1 for task in self._chains.heads(except_after=able))
        return ChainLoad(ready=ready, pending=coming, latency=answer)

    def pop(self) -> Task:
        """Remove and return the beat that is next; there must be one."""
        return heapq.heappop(self._heap)

    def requeue(self, task: Task, at: float) -> None:
        """Schedule a beat to be sent again at that time."""
        task.not_before = at
        self.last_due_at = max(self.last_due_at, at)
        heapq.heappush(self._heap, task)

    def drawn(self, task: Task) -> None:
        """Record that a beat has its image: the next of its chain can be sent."""
        self._drawn += 1
        self._round_mended = self._round_mended or task.round > 0
        following = self._chains.pop_successor(task)
        if following is not None:
            heapq.heappush(self._heap, following)

    def in_error(self, task: Task) -> list[Task]:
        """Record that a beat gets no image; returns those that are blocked by it."""
        self._errors += 1
        blocked = list(self._chains.drop_chain(task))
        self._blocked += len(blocked)
        return blocked

    def give_up(self, task: Task, error: BeatError) -> None:
        """Postpone a beat without attempts left to another round, if there is one."""
        self._given_up[task] = error

    def restore(self, task: Task, now: MonotonicTime) -> None:
        """Send a beat now if it was given up for errors of the service."""
        if self._given_up.pop(task, None) is not None:
            self.requeue(task, now)

    def start_retry_round(self, now: MonotonicTime) -> int:
        """Give those that were given up one more round, in a while; returns how many they are."""
        if not self._may_go_round:
            return 0
        given_up, self._given_up = self._given_up, {}
        if given_up:
            self._rounds += 1
            self._round_mended = False
        for task in given_up:
            task.attempts, task.round = 0, self._rounds
            self.requeue(task, now + ROUND_DELAY)
        return len(given_up)

    def drain_given_up(self) -> dict[Task, BeatError]:
        """Remove and return those that were given up, each with its last error."""
        given_up, self._given_up = self._given_up, {}
        return given_up

    @property
    def _may_go_round(self) -> bool:
        """Whether beats with temporary errors are tried once more."""
        return self._rounds < MAX_ROUNDS and (not self._rounds or self._round_mended)
