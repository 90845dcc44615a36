"""Reports what a style's worker does: its beats, its keys, and what it waits for."""

import math

from imagegen.clock import MonotonicTime
from imagegen.engine.state import RunState
from imagegen.events.types import KeyChange, Progress, Waiting, WarningEvent
from imagegen.project.beat_status import Status
from imagegen.project.storyboard import Beat
from imagegen.quota.key_state import KeyUpdate
from imagegen.times import iso_millis


class StyleReporter:
    """Reports on one style with `total` beats; of keys and waits only what is new."""

    def __init__(self, run: RunState, style: str, total: int) -> None:
        self._run = run
        self._style = style
        self._total = total
        self._waiting_until = 0.0
        self._has_warned_of_cap = False
        self._last_reported: dict[str, KeyUpdate] = {}

    def report_beat(self, beat: Beat, status: Status, completed: int, **fields: object) -> None:
        """Report what happened to a beat; `fields` are others of `Progress`."""
        self._run.emit(
            Progress(
                style=self._style,
                shot_number=beat.shot,
                beat_number=beat.beat,
                status=status,
                completed=completed,
                total=self._total,
                **fields,  # type: ignore[arg-type]
            )
        )

    def report_wait(self, until: float, now: MonotonicTime) -> None:
        """Report that the next request leaves at `until`; infinity: once keys are lent."""
        if until == math.inf != self._waiting_until:
            self._waiting_until = until
            self.report_keys()
            message = f"{self._style}: its keys are spent; it continues with keys of other styles"
            self._run.emit(Waiting(style=self._style, reason="lending", message=message))
        elif until - now > 1 and abs(until - self._waiting_until) > 1:
            self._waiting_until = until
            self.report_keys()
            seconds = round(until - now, 1)
            self._wait("keys", f"next request in {seconds:.0f} s", seconds)

    def retries(self, until: float, now: MonotonicTime) -> None:
        """Report that only failed beats are left, the first of which is due at `until`."""
        if until - now > 1 and abs(until - self._waiting_until) > 1:
            self._waiting_until = until
            seconds = round(until - now, 1)
            self._wait("retry", f"retrying failed beats in {seconds:.0f} s", seconds)

    def report_retry_round(self, beats: int, pause: float) -> None:
        """Report that these beats get another round in `pause` seconds."""
        those = "1 beat with a temporary error is"
        if beats != 1:
            those = f"{beats} beats with temporary errors are"
        self._waiting_until = self._run.runtime.clock.now() + pause
        self._wait("round", f"{those} tried once more", pause)

    def warn_width_cap(self, requests: int) -> None:
        """Report, once, that this many requests are in flight and no more may be added."""
        if not self._has_warned_of_cap:
            self._has_warned_of_cap = True
            message = (
                f"{self._style}: {requests} requests are in flight, the limit for one style on "
                "this machine; its keys allow more: run --shard splits the work between machines"
            )
            self._run.emit(WarningEvent(message=message))

    def report_keys(self) -> None:
        """Report each key with a state that differs from the last report."""
        if self._run.key_pool is None or not self._total:
            return
        for news in self._run.key_pool.key_states(self._style):
            self.report_key(news)

    def report_key(self, news: KeyUpdate, words: str = "") -> None:
        """Report a key's state if it is new; `words` are the service's, if they are new."""
        before = self._last_reported.get(news.tail)
        if before is not None and _same(before, news) and not words:
            return
        self._last_reported[news.tail] = news
        seconds, until = None, None
        if news.until is not None:
            seconds = round(max(0.0, news.until - self._run.runtime.clock.now()), 1)
            until = iso_millis(self._run.wall_after(seconds))
        message = news.message
        if news.pace is not None:
            message = message or f"slowed to {news.pace} requests a minute"
        if words and words != message:
            message = f"{words} ({message})" if message else words
        self._run.emit(
            KeyChange(
                style=self._style,
                key=news.tail,
                state=news.state.value,
                message=message,
                per_minute=news.per_minute,
                seconds=seconds,
                until=until,
            )
        )

    def warn_shared_quota(self) -> None:
        """Report keys that turned out to share one quota."""
        tails = self._run.key_pool.pop_shared_keys() if self._run.key_pool is not None else ()
        if tails:
            *first, last = tails
            message = (
                f"{', '.join(first)} and {last} hit the limit together: they seem to share one "
                "project's quota; keys of separate projects would be faster"
            )
            self._run.emit(WarningEvent(message=message))

    def _wait(self, reason: str, message: str, seconds: float) -> None:
        self._run.emit(
            Waiting(
                style=self._style,
                reason=reason,
                message=f"{self._style}: {message}",
                seconds=seconds,
                until=iso_millis(self._run.wall_after(seconds)),
            )
        )


def _same(before: KeyUpdate, other: KeyUpdate) -> bool:
    """Return whether two updates say the same; times differ a little each time."""
    if (before.state, before.message, before.pace) != (other.state, other.message, other.pace):
        return False
    return abs((before.until or 0.0) - (other.until or 0.0)) < 1
