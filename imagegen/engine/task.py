"""A beat on its way to an image."""

from functools import total_ordering
from typing import Protocol

from imagegen.project.storyboard import Beat


class Owner(Protocol):
    """The sender of a task."""

    def refund_attempt(self, task: "Task") -> None:
        """Undo one error that was counted against a beat but was the service's."""
        ...


@total_ordering
class Task:
    """A beat on its way. Compared by when it may be sent, then by how many wait for it.

    Those with the same number behind them go in file order. `dependents` counts the beats
    that continue this one, and those that continue them: the longest chain decides how long it
    all takes. `attempts` are those of this round; `empty_responses` counts answers without an
    image, over all rounds.
    """

    __slots__ = (
        "attempts",
        "beat",
        "dependents",
        "empty_responses",
        "not_before",
        "order",
        "round",
        "worker",
    )

    def __init__(self, worker: "Owner", order: int, beat: Beat) -> None:
        self.worker = worker
        self.order = order
        self.beat = beat
        self.dependents = 0
        self.attempts = 0
        self.empty_responses = 0
        self.round = 0
        self.not_before = 0.0

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __lt__(self, other: "Task") -> bool:
        return self._rank < other._rank

    @property
    def _rank(self) -> tuple[float, int, int]:
        return self.not_before, -self.dependents, self.order
