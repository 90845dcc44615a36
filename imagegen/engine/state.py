"""What all parts of a running engine share: how it ends, and what it counts."""

import math
from collections import Counter
from enum import Enum, auto
from typing import Any, Final

import msgspec

from imagegen.clock import WallTime
from imagegen.engine.circuit_breaker import CircuitBreaker
from imagegen.engine.concurrency import ConcurrencyLimit
from imagegen.engine.disk_space import Room
from imagegen.engine.rejections import Rejections, words_alike
from imagegen.engine.runtime import Runtime
from imagegen.engine.spending import SpendTracker
from imagegen.errors import Exit, ImagegenError, StorageError
from imagegen.events.bus import Bus
from imagegen.events.types import Event, Waiting, WarningEvent
from imagegen.images.shape import Misfit
from imagegen.project.layout import ProjectPaths
from imagegen.prompts.composer import Composer
from imagegen.providers.base import FaultKind, Price, Provider, ProviderError
from imagegen.quota.pool import KeyPool
from imagegen.spending.account import RunAccount
from imagegen.times import path_timestamp
from imagegen.workspace.file_watch import FileWatch
from imagegen.workspace.pricing import Expected

PICTURE: Final = "picture"
"""What an answer with an image is counted as; others go by their error's kind."""

MISFITS_IN_A_ROW: Final = 3
"""Images in a row that are not as asked before a run says that a setting is ignored."""

DISK: Final = "disk"
"""The reason of a run that ends for an error that no beat caused."""


class Shutdown(Enum):
    """How a run that was asked to stop does so."""

    GRACEFUL = auto()
    """Nothing new starts; what is in flight is finished and saved."""
    IMMEDIATE = auto()
    """Nothing is waited for."""


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine draws. `timeout` and `max_time` are in seconds, `max_cost` in US dollars.

    `price` is an image's, `expected` what those of this run should cost with all that is sent;
    `answer_seconds` is how long one takes to come. None if that is not known.
    """

    run: str
    lineage: str
    timeout: float = 120.0
    max_attempts: int = 4
    max_time: float | None = None
    max_cost: float | None = None
    price: Price | None = None
    expected: Expected | None = None
    answer_seconds: float | None = None
    fail_fast: bool = False


class StopReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run, or one style of it, ended before all was drawn.

    `resume_after` is in seconds of the wall clock; None if the user must act.
    """

    exit_code: Exit
    reason: str
    message: str
    resume_after: float | None = None


class Counts(msgspec.Struct):
    """What the run has used.

    `attempts` counts what was begun and is over, `requests` what of it left. `answers` counts
    answers by kind, `thought_tokens` those of answers with an image. `max_latency` is the
    longest wait for an image so far, `total_latency` all of them together, in seconds.
    """

    attempts: int = 0
    requests: int = 0
    limited: int = 0
    misfits: int = 0
    in_flight: int = 0
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0
    thought_tokens: int = 0
    max_latency: float = 0.0
    total_latency: float = 0.0
    lost: float = 0.0
    """US dollars that answers without an image cost."""
    errors: int = 0
    """Beats that were given up."""

    @property
    def mean_latency(self) -> float | None:
        """How long an image takes to come on the average, in seconds; None before the first."""
        pictures = self.answers[PICTURE]
        return self.total_latency / pictures if pictures else None

    @property
    def mean_thoughts(self) -> float | None:
        """How many tokens the model thinks about an image; None before the first."""
        pictures = self.answers[PICTURE]
        return self.thought_tokens / pictures if pictures else None


class RunState:
    """The state that workers and supervisor share, guarded by `runtime.lock`.

    `keys` is None for a provider that needs none; then `concurrency` bounds what is in flight.
    `edited` notices edits to the input files. `account` records what is spent; None for a
    provider that costs nothing.
    """

    def __init__(
        self,
        *,
        layout: ProjectPaths,
        provider: Provider,
        composer: Composer,
        keys: KeyPool | None,
        options: EngineOptions,
        runtime: Runtime,
        bus: Bus,
        edited: FileWatch | None = None,
        account: RunAccount | None = None,
    ) -> None:
        self.layout = layout
        self.provider = provider
        self.composer = composer
        self.key_pool = keys
        self.concurrency = ConcurrencyLimit(provider.max_concurrency) if keys is None else None
        self.options = options
        self.runtime = runtime
        self.bus = bus
        self.file_watch = edited or FileWatch(layout.root)
        self.circuit_breaker: CircuitBreaker[Any] = CircuitBreaker()
        self.rejections: Rejections[Any] = Rejections()
        self.trouble: ProviderError | None = None
        """The last error, unless an image has come since."""
        self.useless_probes = 0
        """Probes in a row that were paid for and brought no image."""
        self._known_limits: set[str] = set()
        self._unlike: dict[str, int] = {}
        self._ignored: set[str] = set()
        self.counts = Counts()
        self.spending = SpendTracker(options.price, options.max_cost, options.expected)
        self.account = account
        self.room = Room(layout.pictures, composer.image_size)
        self.stop_reasons: list[StopReason] = []
        self.shutdown: Shutdown | None = None
        self.model_gone: str | None = None
        self._warned: set[str] = set()
        self.started = runtime.clock.now()
        self.deadline = None if options.max_time is None else self.started + options.max_time
        self.reused = 0
        """Images that were drawn before and taken from there, before the run began."""
        self.old_folder = layout.archive_dir / path_timestamp(runtime.clock.wall())

    @property
    def mean_latency(self) -> float | None:
        """How long an image takes to come, in seconds; before the first, as expected."""
        return self.counts.mean_latency or self.options.answer_seconds

    def emit(self, event: Event) -> None:
        """Send an event to every listener."""
        self.bus.emit(event)

    def warn_once(self, message: str) -> None:
        """Warn of something that many answers may say, the first time."""
        if message not in self._warned:
            self._warned.add(message)
            self.emit(WarningEvent(message=message))

    def note_shape(self, misfit: Misfit | None) -> None:
        """Count an image that is not as asked; warn once if the service ignores a setting."""
        if misfit is None:
            self._unlike.clear()
            return
        self.counts.misfits += 1
        self._unlike = {name: self._unlike.get(name, 0) + 1 for name in misfit.settings}
        for name, times in self._unlike.items():
            if times >= MISFITS_IN_A_ROW and name not in self._ignored:
                self._ignored.add(name)
                message = (
                    f"the service ignores {name}: {times} images in a row are not as asked "
                    f"({misfit.words})"
                )
                self.emit(WarningEvent(message=message))

    def announce_half_open(self) -> None:
        """Report that beats are sent one at a time, because all fail."""
        message = f"all beats fail: trying one at a time{self.harm}{self.last_words}"
        self.emit(Waiting(reason="trying", message=message))

    @property
    def harm(self) -> str:
        """The cost of the outage so far, to follow a comma."""
        if self.counts.lost:
            return f", about ${self.counts.lost:.2f} spent on answers without an image"
        return "" if self.counts.errors else ", nothing has failed"

    @property
    def last_words(self) -> str:
        """The last error's message, to end a sentence; or nothing."""
        return f" (last: {self.trouble.message})" if self.trouble is not None else ""

    def new_limit(self, fault: ProviderError) -> str:
        """Return the message of a 429 if none like it was met before; else nothing."""
        alike = words_alike(fault)
        if fault.kind is not FaultKind.LIMITED or alike in self._known_limits:
            return ""
        self._known_limits.add(alike)
        return fault.message

    def request_stop(self, ending: StopReason, haste: Shutdown = Shutdown.GRACEFUL) -> None:
        """End the whole run; a later and more urgent wish to end comes on top."""
        self.stop_reasons.append(ending)
        if self.shutdown is not Shutdown.IMMEDIATE:
            self.shutdown = haste
        self.runtime.wake()

    def fail(self, error: ImagegenError) -> None:
        """End the whole run for an error that no beat caused.

        Every thread that saves meets a full disk: the first one's message is enough.
        """
        if any(ending.reason == DISK for ending in self.stop_reasons):
            return
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        code = Exit.ENDED_EARLY if isinstance(error, StorageError) else error.exit_code
        self.request_stop(StopReason(exit_code=code, reason=DISK, message=message))

    @property
    def stopping_now(self) -> bool:
        """Whether nothing is waited for any more."""
        return self.shutdown is Shutdown.IMMEDIATE

    @property
    def send_deadline(self) -> float:
        """Until when a request may leave that would surely end within `--max-time`."""
        if self.deadline is None:
            return math.inf
        longest = self.options.timeout
        if self.counts.max_latency:
            longest = min(longest, 2 * self.counts.max_latency)
        return self.deadline - longest

    def wall_after(self, seconds: float) -> WallTime:
        """Return the wall clock's time this many seconds from now."""
        return WallTime(self.runtime.clock.wall() + seconds)
