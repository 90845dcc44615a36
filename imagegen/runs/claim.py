"""A project taken for one run: its lock, and the record by which others know the run."""

import msgspec

from imagegen.clock import Clock
from imagegen.errors import StorageError, UsageError
from imagegen.project import record
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import RunLock, RunRecord
from imagegen.times import iso


class RunClaim:
    """Holds a project for the run that `begun` describes, from `take` to `release`.

    Only a run that draws is written down, by `begin`: after any other, the run before is still
    the last.
    """

    def __init__(self, layout: ProjectPaths, begun: RunRecord, clock: Clock) -> None:
        self.record = begun
        self.is_recorded = False
        """Whether it is written down how the run ended."""
        self._layout = layout
        self._clock = clock
        self._lock: RunLock | None = None
        self._recorded = False

    def acquire(self) -> RunRecord | None:
        """Take the project, and return the record of the run that had it before.

        Raises `RunActiveError`, or `UsageError` if the disk refuses.
        """
        try:
            self._layout.prepare()
            self._lock = RunLock(self._layout)
            self._lock.acquire()
        except (StorageError, UsageError) as error:
            raise UsageError(f"nothing can be drawn: {error.message}", hint=error.hint) from error
        try:
            return record.read(self._layout)
        except StorageError as error:
            self._lock.release()
            raise UsageError(f"nothing can be drawn: {error.message}", hint=error.hint) from error

    def begin(self) -> None:
        """Write the run down: from here on `stop` finds it, even while it only prepares.

        Raises `UsageError` if the disk refuses.
        """
        if self._recorded:
            return
        try:
            record.clear_stop(self._layout)
            record.reserve_space(self._layout)
            record.write(self._layout, self.record)
        except StorageError as error:
            raise UsageError(f"nothing can be drawn: {error.message}", hint=error.hint) from error
        self._recorded = True

    def record_end(
        self,
        *,
        exit_code: int,
        reason: str,
        resume_after: str | None,
        answer_seconds: float | None = None,
        thought_tokens: float | None = None,
    ) -> None:
        """Write down how the run ended. Raises `StorageError`.

        `answer_seconds` is how long its images took to come, `thought_tokens` how many tokens
        the model thought about one; None where none came.
        """
        self.is_recorded = True
        if not self._recorded:
            return
        ended = msgspec.structs.replace(
            self.record,
            ended=iso(self._clock.wall()),
            exit_code=exit_code,
            reason=reason,
            resume_after=resume_after,
            answer_seconds=answer_seconds or self.record.answer_seconds,
            thought_tokens=self.record.thought_tokens if thought_tokens is None else thought_tokens,
        )
        record.release_space(self._layout)
        record.write(self._layout, ended)

    def release(self) -> None:
        """Release the project."""
        if self._lock is not None:
            self._lock.release()
