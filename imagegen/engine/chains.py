"""Beats that wait until the one before them has its image."""

from collections.abc import Iterable, Iterator

from imagegen.engine.task import Task
from imagegen.project.storyboard import BeatKey


class Chains:
    """The tasks of one style that continue another and cannot be sent yet."""

    def __init__(self) -> None:
        self._next: dict[BeatKey, Task] = {}

    def __len__(self) -> int:
        return len(self._next)

    def start(self, tasks: Iterable[tuple[Task, BeatKey | None]]) -> list[Task]:
        """Return the tasks that can be sent at once, as a heap; keep the others.

        Each task comes with the beat that it waits for, if any, in file order.
        """
        listed = list(tasks)
        # From the end, for how many wait for a task is known once the next one's is.
        for task, before in reversed(listed):
            following = self._next.get(task.beat.key)
            task.dependents = following.dependents + 1 if following is not None else 0
            if before is not None:
                self._next[before] = task
        return sorted(task for task, before in listed if before is None)

    def pop_successor(self, task: Task) -> Task | None:
        """Return the task that can be sent now that this one has its image."""
        return self._next.pop(task.beat.key, None)

    def heads(self, *, except_after: Iterable[Task]) -> list[Task]:
        """Return the tasks that wait for one that waits for nothing itself.

        Those that wait for one of `except_after` are left out.
        """
        excluded = {task.beat.key for task in (*self._next.values(), *except_after)}
        return [task for before, task in self._next.items() if before not in excluded]

    def drop_chain(self, task: Task) -> Iterator[Task]:
        """Give up and yield all that wait for a task, which gets no image."""
        while (following := self.pop_successor(task)) is not None:
            yield following
            task = following
