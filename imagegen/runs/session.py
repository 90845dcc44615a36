"""One run on a project: the lock, the plan, the engine, the record of how it ended."""

import contextlib
import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from imagegen.engine.engine import Engine
from imagegen.engine.estimate import Estimate
from imagegen.engine.runtime import ThreadRuntime
from imagegen.engine.state import DISK, Counts, EngineOptions, RunState
from imagegen.errors import Exit, ImagegenError, StorageError, UsageError
from imagegen.events.bus import Bus, Listener
from imagegen.events.types import Complete, WarningEvent
from imagegen.paths import state_folder
from imagegen.project import overrides, record, steps
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import RunRecord
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool
from imagegen.review import older_images
from imagegen.runs import accounting, preflight, prepare
from imagegen.runs.claim import RunClaim
from imagegen.runs.estimator import RunEstimator
from imagegen.runs.recorder import start_recording
from imagegen.spending.account import RunAccount
from imagegen.times import iso
from imagegen.workspace import model_checks, moved_numbers, reuse, undo_data
from imagegen.workspace.last_run import measured, suspended_by
from imagegen.workspace.notes import project_notes, reading_notes
from imagegen.workspace.plan import Plan
from imagegen.workspace.project import Project
from imagegen.workspace.reading import reload
from imagegen.workspace.survey import Survey

_LISTENERS_SECONDS = 2.0
"""How long a run that was ended at once waits for its listeners."""


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a run ends early: `max_time` in seconds, `max_cost` in US dollars."""

    max_time: float | None = None
    max_cost: float | None = None


class EngineCrashError(Exception):
    """The engine was broken by an error that it should have handled."""


class Session:
    """A run on a project, from the lock to the last event. Use it as a context manager."""

    def __init__(self, project: Project, *, last: RunRecord | None) -> None:
        self.project = project
        model_checks.require_settings(project)
        self._last = project.last_run
        # How the files are read is said once; `check` always says it.
        self._notes = reading_notes(project) if self._last is None else ()
        self.warnings: list[str] = list(project_notes(project))
        self._resumed = last
        self._runtime = ThreadRuntime()
        started = iso(self._runtime.clock.wall())
        run = record.new_id(started)
        self._composer = project.composer
        self._provider = project.provider()
        before = measured(self._last, self._provider.model, project.settings.timeout)
        self._estimator = RunEstimator(project, self._provider, before, self._runtime.clock)
        begun = RunRecord(
            run=run,
            root_run=last.root_run if last else run,
            pid=os.getpid(),
            started=started,
            asked=project.request_for_record(),
            model=self._provider.model,
            answer_seconds=before.answer_seconds,
            thought_tokens=before.thought_tokens,
            draw_settings=project.draw_settings,
            suspended_run=suspended_by(self._last, project.request, last),
        )
        self._claim = RunClaim(project.layout, begun, self._runtime.clock)
        self._survey_cache: Survey | None = None
        self._newest_step: Path | None = None
        self._was_active = record.is_active(project.layout)
        self.older_images = older_images.notice(project, self._survey().tidy)
        """A note on an older tool's images that could be adopted instead of drawn, if any."""
        self.warnings += filter(None, [self.older_images])
        self.warnings += project.ring.warnings
        self.warnings += project.credentials.address_warnings()
        self._warnings_reported = len(self.warnings)
        self._plans: dict[int | None, Plan] = {}
        self._limit: int | None = None
        self._reuses = not project.is_scratch
        self._bus: Bus | None = None

    def __enter__(self) -> Self:
        """Take the project. Raises `RunActiveError`, or `UsageError` if the disk refuses."""
        another_run = self._claim.acquire() != self._last or self._was_active
        plan = self._plans.get(self._limit)
        if another_run or plan is None or plan.to_draw or plan.reused:
            try:
                self._claim.begin()
            except UsageError:
                self._claim.release()
                raise
        if another_run or _newest_step(self.project.layout) != self._newest_step:
            # What another command drew, moved or put there meanwhile is not known here yet.
            self._survey_cache = None
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is not None and not self._claim.is_recorded:
            code = getattr(error, "exit_code", Exit.INTERNAL)
            with contextlib.suppress(StorageError):
                self._claim.record_end(exit_code=int(code), reason="not drawn", resume_after=None)
        self._provider.close()
        self._claim.release()

    def reload(self) -> "Session":
        """Return a session like this one on the project as it is on disk now.

        For after a question: answering may take hours, and other commands are not kept
        waiting by it. Raises as reading a project does.
        """
        self._provider.close()
        session = Session(reload(self.project), last=self._resumed)
        session.warnings += self.warnings[self._warnings_reported :]
        return session

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.layout.name

    @property
    def lineage(self) -> str:
        """The id of this run, or of the one that it resumes."""
        return self._claim.record.root_run

    def plan(self, limit: int | None = None) -> Plan:
        """Read the disk and decide what is left to draw.

        It is looked at once more only if another command drew, moved or replaced images until
        this one took the project.
        Raises `UsageError` if beat numbers changed.
        """
        if self._survey_cache is None:
            self._plans = {}
        self._limit = limit
        if limit not in self._plans:
            surveyed = self._survey()
            plan = self.project.plan(surveyed.beats, lineage=self.lineage, limit=limit)
            if not self.project.request.keep_numbers:
                moved_numbers.require_numbers_unmoved(
                    self.project,
                    surveyed,
                    [style for style, beats in plan.styles.items() if beats],
                    "Nothing was drawn",
                    ways="run --renumber does both, and run --as-is leaves them in place",
                )
            if self._reuses:
                plan = reuse.reuse(
                    self.project,
                    plan,
                    surveyed.beats,
                    lineage=self.lineage,
                    now=self._runtime.clock.wall(),
                )
            model_checks.require_references(self.project, plan.drawn)
            self._plans[limit] = plan
        return self._plans[limit]

    def _survey(self) -> Survey:
        if self._survey_cache is None:
            self._newest_step = _newest_step(self.project.layout)
            self._survey_cache = self.project.survey(self._runtime.clock.wall())
        return self._survey_cache

    def require_keys(self, plan: Plan, hint: str) -> None:
        """Raise `UsageError` if there are beats to draw and no style of them has a key.

        `hint` says how to draw without one.
        """
        preflight.require_keys(self.project, plan, self._provider, hint)

    def estimate(self, plan: Plan) -> Estimate:
        """Return how long drawing the plan takes and what it costs."""
        pool = self._pool()
        estimate = self._estimator.estimate(plan, pool)
        if pool is not None:
            pool.close()
        return estimate

    def require_price(self, limits: RunLimits, plan: Plan) -> None:
        """Raise `UsageError` if money is limited and an image's price is not known."""
        if limits.max_cost is not None:
            preflight.require_price(self.project, "--max-cost")
        for limit in accounting.limits(self.project) if plan.to_draw else ():
            preflight.require_price(self.project, limit.shown)

    def draw(
        self,
        plan: Plan,
        listeners: Callable[[Plan], Sequence[tuple[Listener, float | None]]],
        *,
        limits: RunLimits,
        started: Callable[[Engine], None],
    ) -> tuple[Complete, int]:
        """Draw what `plan` returned last; returns how it ended and what is still in flight.

        `listeners` returns who hears every event, each with its tick in seconds, for the
        plan as it is drawn. `started` is given the engine before it draws, for signals.
        Raises only internal error (`BrokenRunError` and others that are none of
        `ImagegenError`), and `UsageError` if nothing could start.
        """
        project = self.project
        bus = Bus(self._claim.record.run, self._runtime.clock.wall)
        pool = self._pool()
        account = self._account() if plan.to_draw else None
        run = RunState(
            layout=project.layout,
            provider=self._provider,
            composer=self._composer,
            keys=pool,
            options=self._options(limits, plan),
            runtime=self._runtime,
            bus=bus,
            edited=project.file_watch,
            account=account,
        )
        for note in self._estimator.notes(plan):
            self._warn(note)
        short = self._composer.short(plan.drawn)
        if short:
            self._warn(short)
        try:
            for warning in preflight.outdated_warnings(project, plan, self._survey()):
                self._warn(warning)
            plan = self._prepare(plan, run)
            run_id, drawn = self._claim.record.run, self._survey().there
            recorder = start_recording(project, run_id, plan, drawn, self._runtime.clock)
            subscribers = listeners(plan)
        except StorageError as error:
            raise UsageError(f"nothing was sent: {error.message}", hint=error.hint) from error
        engine = Engine(
            run,
            plan,
            self.project.key_pools,
            resumes=self._resumed.run if self._resumed else None,
            warnings=self.warnings,
            notes=self._notes,
        )
        started(engine)
        bus.subscribe(recorder, tick=None, failed=engine.supervisor.recorder_failed)
        for listener, tick in subscribers:
            bus.subscribe(listener, tick=tick, failed=engine.supervisor.display_failed)
        self._bus = bus
        # What is known of a large storyboard stays until the end: the garbage collector
        # would walk through it again and again.
        gc.freeze()
        gc.enable()
        try:
            complete = engine.draw()
        except BaseException as error:
            bus.close(timeout=_LISTENERS_SECONDS)
            if isinstance(error, ImagegenError | OSError):
                # Listeners got an internal error: the exit code must agree.
                raise EngineCrashError(f"{type(error).__name__}: {error}") from error
            raise
        bus.close(timeout=_LISTENERS_SECONDS if engine.in_flight else None)
        complete = self._finish(engine.with_listener_errors(complete), run.counts)
        if not engine.in_flight:
            _close(pool, run.account)
        return complete, engine.in_flight

    def _warn(self, text: str) -> None:
        """Send an event to every listener; before there is any, keep it for them."""
        if self._bus is None:
            # The estimate before a run opens the budgets too, and finds the same.
            if text not in self.warnings:
                self.warnings.append(text)
        else:
            self._bus.emit(WarningEvent(message=text))

    def _pool(self) -> KeyPool | None:
        if not self.project.requires_keys:
            return None
        clock = self._runtime.clock
        server = self.project.ring.budget_server
        if server is None:
            ledger = Ledger.open(state_folder(), clock, self._warn)
        else:
            ledger = Ledger.connect(server, clock, self._warn)
        return KeyPool(
            self.project.key_pools,
            provider=self._provider.name,
            model=self._provider.model,
            ledger=ledger,
            clock=ledger.clock,
            lend=self.project.ring.lend,
        )

    def _account(self) -> RunAccount | None:
        return accounting.open_account(self.project, self._runtime.clock, self._warn)

    def _options(self, limits: RunLimits, plan: Plan) -> EngineOptions:
        return EngineOptions(
            run=self._claim.record.run,
            lineage=self._claim.record.root_run,
            timeout=self.project.settings.timeout,
            max_attempts=self.project.settings.max_attempts,
            max_time=limits.max_time,
            max_cost=limits.max_cost,
            price=self.project.price,
            expected=self._estimator.price(plan),
            answer_seconds=self._estimator.answer_seconds,
            fail_fast=self.project.request.fail_fast,
        )

    def _prepare(self, plan: Plan, run: RunState) -> Plan:
        if plan.to_draw or plan.reused:
            self._claim.begin()
        layout, changes = self.project.layout, self.project.override_changes
        prepare.check_disk(layout)
        prepare.check_writable(layout, plan)
        prepare.remove_temp_files(layout, self._survey())
        if plan.again or plan.placeholders or plan.reused or changes:
            run.old_folder = steps.new_folder(layout, self._runtime.clock.wall())
            steps.record_run(
                run.old_folder,
                run.options.run,
                undo_data.overrides_undo_data(self.project, changes),
            )
        overrides.edit(layout, changes)
        right, run.reused = reuse.take(self.project, plan, run.old_folder)
        right = prepare.repair_images(layout, right, run.old_folder, self._warn)
        if right.to_draw == plan.to_draw:
            return right
        # Some files were not images, and the limit holds all the same.
        self._survey_cache, self._reuses = None, False
        run.account = run.account or self._account()
        return self.plan(self._limit)

    def _finish(self, complete: Complete, counts: Counts) -> Complete:
        """Record how the run ended; if the disk refuses that, say so."""
        try:
            self._claim.record_end(
                exit_code=complete.exit_code,
                reason=complete.reason,
                resume_after=complete.resume_after,
                answer_seconds=counts.mean_latency,
                thought_tokens=counts.mean_thoughts,
            )
        except StorageError as error:
            if complete.reason == DISK:
                # That has been reported.
                return complete
            unrecorded = f"how the run ended is not recorded: {error.message}"
            return msgspec.structs.replace(complete, messages=(*complete.messages, unrecorded))
        return complete


def _close(*shared: KeyPool | RunAccount | None) -> None:
    """Close what the run shares with others; a run that was ended at once still writes there."""
    for resource in shared:
        if resource is not None:
            resource.close()


def _newest_step(layout: ProjectPaths) -> Path | None:
    """Return the folder of the step that moved or replaced images last."""
    return next(steps.newest_first(layout), None)
