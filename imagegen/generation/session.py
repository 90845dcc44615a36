"""One command's work on one project: everything read, then drawn."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from imagegen import providers
from imagegen.errors import ImagegenError, StorageError, UsageError
from imagegen.generation import plan as plans
from imagegen.generation import prepare
from imagegen.generation.composer import Composer, style_references
from imagegen.generation.engine import Engine
from imagegen.generation.events import Bus, Complete, Listener, Warned, iso
from imagegen.generation.plan import Plan
from imagegen.generation.recorder import Recorder
from imagegen.generation.run import Options, Run
from imagegen.generation.runtime import ThreadRuntime
from imagegen.generation.selection import Selection
from imagegen.generation.survey import Surveyed, survey
from imagegen.keys import keyfile
from imagegen.keys.budget import WINDOW
from imagegen.keys.keyfile import Key, Keyring
from imagegen.keys.ledger import Ledger
from imagegen.keys.pool import Pool
from imagegen.keys.store import state_folder
from imagegen.project import progress, record, settings, storyboard
from imagegen.project.index import Index
from imagegen.project.layout import Layout
from imagegen.project.progress import BeatError
from imagegen.project.record import Asked, RunLock, RunRecord
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat
from imagegen.providers.base import Options as ProviderOptions
from imagegen.providers.base import Provider

_LISTENERS_SECONDS = 2.0
"""How long a run that was ended at once waits for its listeners."""


class KeySource(msgspec.Struct, frozen=True, kw_only=True):
    """Where this command was told to find keys and send them; never remembered."""

    file: Path | None = None
    base_url: str | None = None


class Project:
    """A project as it lies on the disk, read whole.

    Raises `UsageError` or `InputFaultsError` with every fault that can be found at once.
    """

    def __init__(self, root: Path, asked: Asked) -> None:
        self.layout = Layout(root)
        self.asked = asked
        self.settings = _settings(root, asked)
        beats = asked.beats_file or self.settings.beats
        if beats and not asked.beats_file:
            _inside(self.layout, beats)
        self.storyboard = storyboard.load(
            root, tuple(self.settings.styles), beats=Path(beats) if beats else None
        )
        self.styles = self.settings.drawn_styles
        self.index = Index(self.layout.ours)

    @property
    def beats(self) -> dict[str, tuple[Beat, ...]]:
        """The beats of the styles that are drawn."""
        return {style: self.storyboard.beats.get(style, ()) for style in self.styles}

    def survey(self, now: float) -> dict[str, list[Surveyed]]:
        """Look at every picture. `now` is the wall clock's time, in seconds."""
        return survey(self.layout, self.beats, self.index, now)

    def errors(self) -> dict[str, dict[tuple[str, str], BeatError]]:
        """Return what went wrong with beats last time, from the progress files."""
        read = {style: progress.read(self.layout.progress(style)) for style in self.styles}
        return {style: dict(found.errors) if found else {} for style, found in read.items()}

    def composer(self) -> Composer:
        """Return what makes requests. Raises `UsageError` for a faulty reference image."""
        return Composer(self.settings, style_references(self.layout, self.settings))

    def plan(
        self,
        surveyed: Mapping[str, Sequence[Surveyed]],
        *,
        lineage: str = "",
        limit: int | None = None,
    ) -> Plan:
        """Hold what was asked for against the disk."""
        drawn = msgspec.structs.replace(self.storyboard, beats=self.beats)
        return plans.make(
            surveyed,
            Selection(self.asked, drawn, self.styles),
            force=self.asked.force,
            lineage=lineage,
            limit=limit,
            errors=self.errors(),
        )

    def keys(self, source: KeySource) -> Keyring:
        """Read the keys. Raises `InputFaultsError` and `UsageError`."""
        variables = providers.key_variables(self.settings.provider)
        if not variables:
            return Keyring()
        return keyfile.load(
            self.layout.root,
            tuple(self.settings.styles),
            named=source.file,
            variables=variables,
        )

    def provider(self, source: KeySource, ring: Keyring) -> Provider:
        """Return the provider that the project or the command names."""
        needs_keys = bool(providers.key_variables(self.settings.provider))
        base_url = keyfile.address(source.base_url, ring) if needs_keys else None
        options = ProviderOptions(
            model=self.settings.model, base_url=base_url, timeout=self.settings.timeout
        )
        return providers.create(self.settings.provider, options)


class Session:
    """A run on a project, from the lock to the last event. Use it as a context manager."""

    def __init__(self, project: Project, source: KeySource, *, last: RunRecord | None) -> None:
        self.project = project
        self.warnings: list[str] = list(project.storyboard.notes)
        self._resumed = last
        self._runtime = ThreadRuntime()
        started = iso(self._runtime.clock.wall())
        run = record.new_id(started)
        self._record = RunRecord(
            run=run,
            lineage=last.lineage if last else run,
            pid=os.getpid(),
            started=started,
            asked=project.asked,
        )
        self._composer = project.composer()
        self._ring = project.keys(source)
        self._provider = project.provider(source, self._ring)
        self.warnings += self._ring.warnings
        self._bus: Bus | None = None
        self._lock: RunLock | None = None

    def __enter__(self) -> Self:
        """Take the project. Raises `RunActiveError`."""
        project = self.project
        try:
            project.layout.prepare()
        except ImagegenError as error:
            raise UsageError(f"nothing can be drawn: {error.message}", hint=error.hint) from error
        self._lock = RunLock(project.layout)
        self._lock.acquire()
        try:
            # From here on `stop` finds this run, even while it only prepares.
            record.clear_stop(project.layout)
            record.write(project.layout, self._record)
        except StorageError as error:
            self._lock.release()
            raise UsageError(f"nothing can be drawn: {error.message}", hint=error.hint) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.close()
        if self._lock is not None:
            self._lock.release()

    @property
    def pools(self) -> dict[str, tuple[Key, ...]]:
        """Each style's keys."""
        return {style: self._ring.pool(style) for style in self.project.styles}

    @property
    def needs_keys(self) -> bool:
        """Whether requests need a key."""
        return bool(self._provider.key_variables)

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.layout.name

    @property
    def lineage(self) -> str:
        """The id of this run, or of the one that it resumes."""
        return self._record.lineage

    def plan(self, limit: int | None = None) -> Plan:
        """Look at the disk and decide what is left to draw."""
        surveyed = self.project.survey(self._runtime.clock.wall())
        return self.project.plan(surveyed, lineage=self.lineage, limit=limit)

    def require_keys(self, plan: Plan) -> None:
        """Raise `UsageError` if there are beats to draw and no style of them has a key."""
        styles = [style for style, beats in plan.styles.items() if any(p.draw for p in beats)]
        if not self.needs_keys or not styles or any(self.pools[style] for style in styles):
            return
        variables = " or ".join(self._provider.key_variables)
        detail = "".join(f"\n  {warning}" for warning in self._ring.warnings)
        raise UsageError(
            f"no key for {self._provider.name}: set {variables}, or write "
            f"{self.project.layout.name}/keys.toml or {keyfile.user_file()}{detail}",
            hint="without a key: imagegen run --provider sketch",
        )

    def least_seconds(self, plan: Plan) -> dict[str, float | None]:
        """Return how long each style's keys make it take at least; None where it is unknown."""
        least: dict[str, float | None] = {}
        for style, beats in plan.styles.items():
            count = sum(planned.draw for planned in beats)
            budgets = {key.project or key.secret: key.limit.per_minute for key in self.pools[style]}
            a_minute = sum(budgets.values())
            least[style] = (
                (math.ceil(count / a_minute) - 1) * WINDOW if count and a_minute else None
            )
        return least

    def draw(
        self,
        plan: Plan,
        listeners: Callable[[Plan], Sequence[tuple[Listener, float | None]]],
        *,
        max_time: float | None,
        started: Callable[[Engine], None],
    ) -> tuple[Complete, int]:
        """Draw the plan; returns how it ended and how many requests are still under way.

        `listeners` returns who hears every event, each with its tick in seconds, for the
        plan as it is drawn. `started` is given the engine before it draws, for signals.
        Raises only faults of ours, and `UsageError` where nothing could start.
        """
        project = self.project
        bus = Bus(self._record.run, self._runtime.clock.wall)
        pool = self._pool(plan)
        run = Run(
            layout=project.layout,
            provider=self._provider,
            composer=self._composer,
            keys=pool,
            options=self._options(max_time),
            runtime=self._runtime,
            bus=bus,
        )
        plan = self._make_ready(plan, run)
        engine = Engine(
            run,
            plan,
            self.pools,
            resumes=self._resumed.run if self._resumed else None,
            warnings=self.warnings,
        )
        recorder = self._recorder()
        started(engine)
        for listener, tick in [(recorder, None), *listeners(plan)]:
            bus.subscribe(listener, tick=tick, failed=engine.supervisor.listener_failed)
        self._bus = bus
        try:
            complete = engine.draw()
        except BaseException:
            bus.close(timeout=_LISTENERS_SECONDS)
            raise
        try:
            self._finish(complete)
        except StorageError as error:
            unrecorded = f"how the run ended is not recorded: {error.message}"
            complete = msgspec.structs.replace(complete, messages=(*complete.messages, unrecorded))
        bus.close(timeout=_LISTENERS_SECONDS if engine.in_flight else None)
        if pool is not None and not engine.in_flight:
            pool.close()
        return complete, engine.in_flight

    def _warn(self, text: str) -> None:
        """Tell every listener; before there is any, keep it for them."""
        if self._bus is None:
            self.warnings.append(text)
        else:
            self._bus.emit(Warned(message=text))

    def _pool(self, plan: Plan) -> Pool | None:
        if not self.needs_keys:
            return None
        clock = self._runtime.clock
        ledger = Ledger.open(state_folder(), clock, self._warn)
        return Pool(
            {style: self.pools[style] for style in plan.styles},
            provider=self._provider.name,
            model=self._provider.model,
            ledger=ledger,
            clock=clock,
        )

    def _options(self, max_time: float | None) -> Options:
        return Options(
            run=self._record.run,
            lineage=self._record.lineage,
            timeout=self.project.settings.timeout,
            max_attempts=self.project.settings.max_attempts,
            max_time=max_time,
            fail_fast=self.project.asked.fail_fast,
        )

    def _make_ready(self, plan: Plan, run: Run) -> Plan:
        layout = self.project.layout
        prepare.try_disk(layout)
        prepare.sweep(layout, self.project.styles)
        return prepare.put_right(layout, plan, run.old_folder, self._warn)

    def _recorder(self) -> Recorder:
        project = self.project
        now = self._runtime.clock.wall()
        there = {
            style: {
                one.beat.key: one.whole.provenance.words.sha256
                if one.whole and one.whole.provenance
                else None
                for one in beats
                if one.there
            }
            for style, beats in project.survey(now).items()
        }
        project.index.save()
        recorder = Recorder(
            project.layout,
            self._record.run,
            beats=project.beats,
            there=there,
            errors=project.errors(),
            clock=self._runtime.clock,
        )
        recorder.write_all()
        return recorder

    def _finish(self, complete: Complete) -> None:
        ended = msgspec.structs.replace(
            self._record,
            ended=iso(self._runtime.clock.wall()),
            exit_code=complete.exit_code,
            reason=complete.reason,
            resume_after=complete.resume_after,
        )
        record.write(self.project.layout, ended)


def to_resume(root: Path) -> RunRecord | None:
    """Return the run to carry on, or None where pictures or progress tell of one.

    Raises `UsageError` where nothing tells that a run ever began.
    """
    layout = Layout(root)
    last = record.read(layout)
    if last is None and not layout.pictures.is_dir() and not any(root.glob(progress.PATTERN)):
        raise UsageError(
            f"{layout.name} has no run to resume", hint=f"begin with: imagegen run {root}"
        )
    return last


def _settings(root: Path, asked: Asked) -> Settings:
    read = settings.load(root)
    provider = asked.provider or read.provider
    # A model belongs to the provider that the settings name.
    model = asked.model or (read.model if provider == read.provider else None)
    return msgspec.structs.replace(read, provider=provider, model=model)


def _inside(layout: Layout, beats: str) -> None:
    try:
        inside = (layout.root / beats).resolve().is_relative_to(layout.root)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f'beats = "{beats}" is no path: {error}') from error
    if not inside:
        hint = "name it with --beats instead"
        raise UsageError(f'beats = "{beats}" lies outside the project', hint=hint)
