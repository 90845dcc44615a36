"""Draws a plan: one worker per style, a supervisor, and one ending."""

import math
from collections.abc import Mapping, Sequence

from imagegen.engine import stop_reasons
from imagegen.engine.runtime import max_width
from imagegen.engine.state import RunState, StopReason
from imagegen.engine.supervisor import Supervisor
from imagegen.engine.worker import Worker
from imagegen.errors import Exit
from imagegen.events.types import BeatCounts, Complete, Start, WarningEvent
from imagegen.keys import keyring
from imagegen.keys.keyring import ApiKey
from imagegen.times import iso
from imagegen.workspace.plan import Plan

_EXIT_PRIORITY = (
    Exit.INTERNAL,
    Exit.SIGINT,
    Exit.SIGTERM,
    Exit.SIGHUP,
    Exit.CLOSED_STDOUT,
    Exit.USAGE,
    Exit.ENDED_EARLY,
    Exit.BEATS_IN_ERROR,
)

_BLOCKED = "not sent, for the beat before them was not drawn"


class Engine:
    """Draws every beat that a plan wants drawn.

    `keys` gives each style's keys, for the width of its worker; the pool itself is in
    `run`. `seed` makes the back-off's jitter repeatable.
    """

    def __init__(
        self,
        run: RunState,
        plan: Plan,
        keys: Mapping[str, Sequence[ApiKey]],
        *,
        resumes: str | None = None,
        warnings: Sequence[str] = (),
        notes: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        self._run = run
        self._resumes = resumes
        self._shard = plan.shard
        self._warnings = warnings
        self._notes = notes
        self._workers = {
            style: Worker(run, style, beats, self._width(style, keys), seed)
            for style, beats in plan.styles.items()
            if beats
        }
        self.supervisor = Supervisor(run, tuple(self._workers.values()))

    def draw(self) -> Complete:
        """Draw until all is done or the run is ended; returns how it ended.

        Blocks. Errors of beats, keys and the service become events and an exit code; what
        is raised is an internal error.
        """
        run = self._run
        run.emit(
            Start(
                project=run.layout.name,
                provider=run.provider.name,
                model=run.provider.model,
                image_size=run.composer.image_size,
                aspect_ratio=run.composer.aspect_ratio,
                price=run.options.price.picture if run.options.price else None,
                resumes=self._resumes,
                reused=run.reused,
                shard=self._shard,
                styles=self._totals(),
            )
        )
        for note in self._notes:
            run.emit(WarningEvent(message=note, note=True))
        for warning in self._warnings:
            run.emit(WarningEvent(message=warning))
        try:
            run.runtime.drive([*self._workers.values(), self.supervisor])
        except BaseException:
            run.stop_reasons.append(stop_reasons.internal_error())
            run.emit(self._complete())
            raise
        complete = self._complete()
        run.emit(complete)
        return complete

    def with_listener_errors(self, complete: Complete) -> Complete:
        """Return how the run ended once the listeners have written their last."""
        return self._complete() if self.supervisor.collect_listener_errors() else complete

    @property
    def in_flight(self) -> int:
        """How many requests are still in flight: 0 unless the run was ended at once."""
        return sum(worker.in_flight for worker in self._workers.values())

    def _width(self, style: str, keys: Mapping[str, Sequence[ApiKey]]) -> int:
        if self._run.key_pool is None:
            return self._run.provider.max_concurrency
        lend, timeout = self._run.key_pool.lends, self._run.options.timeout
        return max_in_flight(style, keys, lend=lend, timeout=timeout)

    def _totals(self) -> dict[str, BeatCounts]:
        return {style: worker.queue.totals for style, worker in self._workers.items()}

    def _complete(self) -> Complete:
        with self._run.runtime.lock:
            return self._summarize()

    def _summarize(self) -> Complete:
        run, counts = self._run, self._run.counts
        endings = [*run.stop_reasons, *self._errors()]
        if not any(totals.pending for totals in self._totals().values()):
            # Nothing was left to end early.
            endings = [ending for ending in endings if ending.exit_code is not Exit.ENDED_EARLY]
        decisive = _most_urgent(endings)
        last = decisive[0] if decisive else None
        return Complete(
            exit_code=last.exit_code if last else Exit.OK,
            reason=last.reason if last else "complete",
            messages=tuple(dict.fromkeys(ending.message for ending in endings)),
            counts=self._totals(),
            resume_after=_resume_after(decisive),
            seconds=round(run.runtime.clock.now() - run.started, 1),
            # What is still in flight when a run ends at once was sent, and is paid for.
            requests=counts.requests + self.in_flight,
            limited=counts.limited,
            misfits=counts.misfits,
            answers=dict(counts.answers),
            input_tokens=counts.input_tokens,
            output_tokens=counts.output_tokens,
            cost=run.spending.projected_total(self.in_flight),
        )

    def _errors(self) -> list[StopReason]:
        totals = self._totals()
        unfinished = {
            "beats in error": {style: style_totals.error for style, style_totals in totals.items()},
            _BLOCKED: {style: style_totals.blocked for style, style_totals in totals.items()},
        }
        return [
            StopReason(
                exit_code=Exit.BEATS_IN_ERROR,
                reason="errors",
                message=f"{subject}: {', '.join(f'{s} {n}' for s, n in counts.items() if n)}",
            )
            for subject, counts in unfinished.items()
            if any(counts.values())
        ]


def max_in_flight(
    style: str, keys: Mapping[str, Sequence[ApiKey]], *, lend: bool, timeout: float
) -> int:
    """Return how many requests of a style may be in flight at once, by its keys.

    A style that may be lent keys needs threads for all of them; they are made as needed.
    """
    style_keys = keys.get(style, ())
    lent = [key for pool in keys.values() for key in pool] if lend else ()
    a_minute = keyring.per_minute({*style_keys, *lent} if style_keys else style_keys)
    return max(1, min(max_width(), math.ceil(a_minute * timeout / 60)))


def _most_urgent(endings: Sequence[StopReason]) -> list[StopReason]:
    """Return the endings that say how the run ended: the most urgent ones.

    If some keys are without credit and others come back by themselves, the latter.
    """
    first = min((_EXIT_PRIORITY.index(ending.exit_code) for ending in endings), default=0)
    urgent = [ending for ending in endings if ending.exit_code is _EXIT_PRIORITY[first]]
    return [ending for ending in urgent if ending.reason != stop_reasons.OUT_OF_CREDIT] or urgent


def _resume_after(decisive: Sequence[StopReason]) -> str | None:
    """Return when `resume` can go on: the soonest of the endings that need only time."""
    if not decisive or decisive[0].exit_code in {Exit.USAGE, Exit.BEATS_IN_ERROR}:
        return None
    times = [ending.resume_after for ending in decisive if ending.resume_after is not None]
    if len(times) < len(decisive):
        return None
    # A begun second counts: a script that comes back on the dot must not be early.
    return iso(math.ceil(round(min(times), 2)))
