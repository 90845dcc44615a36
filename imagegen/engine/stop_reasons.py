"""Why a run, or one style of it, ends before all is drawn: a message and an exit code."""

import datetime as dt
from typing import Final

from imagegen.clock import WallTime
from imagegen.engine.circuit_breaker import GIVE_UP_AFTER
from imagegen.engine.state import DISK, RunState, StopReason
from imagegen.errors import Exit
from imagegen.keys.section import Section
from imagegen.project.storyboard import Beat
from imagegen.providers.base import FaultKind, ProviderError
from imagegen.quota.key_state import KeyState
from imagegen.quota.pool import Exhausted
from imagegen.spending.account import Refusal

_SPENT_PAUSE: Final = 900.0
_TRY_AGAIN_AFTER: Final = 600.0
OUT_OF_CREDIT: Final = "out of credit"
"""The reason of a style that ends because no key is left that has credit."""

_START: Final = 1.0
"""Seconds that a run may need until its first request leaves."""
_SIGNALS: Final = {
    Exit.SIGINT: "Ctrl-C",
    Exit.SIGTERM: "SIGTERM",
    Exit.SIGHUP: "a closed terminal",
}


def interrupted(code: Exit, run: RunState) -> StopReason:
    """Return the ending for a signal."""
    message = f"interrupted by {_SIGNALS[code]}{run.last_words}"
    now = run.runtime.clock.wall()
    return StopReason(exit_code=code, reason="interrupted", message=message, resume_after=now)


def stdout_closed() -> StopReason:
    """Return the ending if stdout was closed."""
    message = "stdout was closed"
    return StopReason(exit_code=Exit.CLOSED_STDOUT, reason="closed", message=message)


def internal_error() -> StopReason:
    """Return the ending for a bug."""
    message = "internal error; finished images are saved"
    return StopReason(exit_code=Exit.INTERNAL, reason="internal", message=message)


def stopped(run: RunState) -> StopReason:
    """Return the ending that the user asked for."""
    message = f"stopped on request{run.last_words}"
    return StopReason(exit_code=Exit.ENDED_EARLY, reason="stopped", message=message)


def first_error(style: str, beat: Beat) -> StopReason:
    """Return the ending at the first beat in error."""
    message = f"stopped at the first beat in error: {style}/{beat.beat}"
    return StopReason(exit_code=Exit.BEATS_IN_ERROR, reason="fail-fast", message=message)


def bad_base_url(kind: FaultKind, message: str) -> StopReason:
    """Return the ending for an address that is not the service's, or not ready for use.

    Also for a network on which it cannot be reached.
    """
    return StopReason(exit_code=Exit.USAGE, reason=kind.value, message=message)


def rejected_alike(fault: ProviderError) -> StopReason:
    """Return the ending for a service that rejects every request for the same reason."""
    if fault.kind is FaultKind.NETWORK:
        return bad_base_url(fault.kind, fault.message)
    if fault.is_useless:
        return useless_answers(fault)
    message = f"every request is rejected for the same reason, not for its prompt: {fault.message}"
    return StopReason(exit_code=Exit.USAGE, reason="rejected alike", message=message)


def useless_answers(fault: ProviderError) -> StopReason:
    """Return the ending for a service that may charge for answers without a usable image."""
    charged = "is charged" if fault.was_drawn else "may be charged"
    message = f"every answer {charged}, and none has a usable image: {fault.message}"
    return StopReason(exit_code=Exit.USAGE, reason=FaultKind.UNUSABLE.value, message=message)


def out_of_time(style: str, at: float, run: RunState) -> StopReason:
    """Return the ending if a style's next request would leave `at`, too late to finish.

    If not even the first could finish in time, resuming would change nothing.
    """
    if not run.counts.attempts and run.send_deadline <= run.started + _START:
        message = (
            f"nothing could be sent: --max-time is {run.options.max_time or 0:g} seconds, and must "
            f"be longer than timeout = {run.options.timeout:g} (seconds for one request)"
        )
        return StopReason(exit_code=Exit.ENDED_EARLY, reason="time", message=message)
    return StopReason(
        exit_code=Exit.ENDED_EARLY,
        reason="time",
        message=f"{style}: nothing more could finish within the time allowed (--max-time)"
        f"{run.last_words}",
        resume_after=run.wall_after(max(0.0, at - run.runtime.clock.now())),
    )


def out_of_money(run: RunState) -> StopReason:
    """Return the ending for a run that may spend no more."""
    spent, limit = run.spending.total or 0.0, run.options.max_cost or 0.0
    return StopReason(
        exit_code=Exit.ENDED_EARLY,
        reason="money",
        message=f"about {_dollars(spent)} is spent, and another image could exceed "
        f"{_dollars(limit)} (--max-cost){run.last_words}",
    )


def spending_limit(refusal: Refusal, run: RunState) -> StopReason:
    """Return the ending for a limit on what all runs may spend, or a project's."""
    return StopReason(
        exit_code=Exit.ENDED_EARLY,
        reason="spending limit",
        message=f"{refusal.message}{run.last_words}",
        resume_after=refusal.resume_after,
    )


def out_of_room(run: RunState) -> StopReason:
    """Return the ending for a disk that has no room for another image."""
    return StopReason(
        exit_code=Exit.ENDED_EARLY,
        reason=DISK,
        message=f"{run.room.shortage()}; free some space first",
    )


def _dollars(sum_: float) -> str:
    """Write a sum to the cent, and a limit of less than that as it was given."""
    return f"${sum_:.2f}" if sum_ >= 0.1 or not sum_ else f"${sum_:.3g}"


def provider_down(run: RunState) -> StopReason:
    """Return the ending for a service that stays out of reach."""
    return StopReason(
        exit_code=Exit.ENDED_EARLY,
        reason="provider down",
        message=f"the service has been out of reach for {round(GIVE_UP_AFTER / 60)} minutes"
        f"{run.last_words}",
        resume_after=run.wall_after(_TRY_AGAIN_AFTER),
    )


def model_gone(
    model: str, message: str, models: tuple[str, ...] | ProviderError, about: str | None = None
) -> StopReason:
    """Return the ending for a model that the service does not know.

    `models` are the image models that the key sees, `about` is what the table says of its end.
    """
    if isinstance(models, ProviderError):
        names = f"its list of models could not be had: {models.message}"
    else:
        names = f"image models that the key sees: {', '.join(models) or 'none'}"
    end = f"; {about}" if about else ""
    text = f'the service does not know the model "{model}" ({message}){end}; {names}'
    return StopReason(exit_code=Exit.USAGE, reason="model gone", message=text)


def clock_time(wall: WallTime) -> str:
    """Return the local time of day, as 14:31."""
    return dt.datetime.fromtimestamp(wall).astimezone().strftime("%H:%M")


def keys_exhausted(style: str, exhausted: Exhausted, run: RunState) -> StopReason:
    """Return the ending for a style without usable keys."""
    if not exhausted.keys:
        heading = Section(table=run.provider.keys_section).heading
        return StopReason(
            exit_code=Exit.USAGE,
            reason="no key",
            message=f"{style} has beats to draw and no key: add one to keys.toml under {heading}",
        )
    why = "; ".join(
        f"{key.tail} {key.state.value}{f' ({key.message})' if key.message else ''}"
        for key in exhausted.keys
    )
    message = f"{style}: no key is left: {why}"
    if any(key.state is KeyState.SPENT for key in exhausted.keys):
        # With 429s alone the service's message helps.
        message += run.last_words
    if exhausted.needs_other_keys:
        return StopReason(exit_code=Exit.USAGE, reason="keys rejected", message=message)
    if exhausted.needs_user_action:
        message += ". Add credit, then resume"
        return StopReason(exit_code=Exit.ENDED_EARLY, reason=OUT_OF_CREDIT, message=message)
    now = run.runtime.clock.now()
    waits = [
        key.until - now if key.until is not None else _SPENT_PAUSE
        for key in exhausted.keys
        if key.state in {KeyState.SPENT_TODAY, KeyState.SPENT}
    ]
    return StopReason(
        exit_code=Exit.ENDED_EARLY,
        reason="keys spent",
        message=message,
        resume_after=run.wall_after(min(waits, default=_SPENT_PAUSE)),
    )
