"""One attempt at one beat: send, save, and settle the key's lease."""

from collections.abc import Callable
from typing import Final

import msgspec

from imagegen import files
from imagegen.engine.spending import Charge
from imagegen.engine.state import RunState
from imagegen.errors import ImagegenError, StorageError, UsageError
from imagegen.images import formats, png, shape
from imagegen.project import rescue
from imagegen.project.layout import reject_symlink
from imagegen.project.storyboard import Beat
from imagegen.prompts.composer import NoPredecessorError
from imagegen.providers import departure, memory
from imagegen.providers.base import (
    BROKEN_PICTURE,
    NO_MEMORY,
    UNREADABLE,
    FaultKind,
    Outcome,
    Picture,
    ProviderError,
    Request,
    Usage,
)
from imagegen.quota.key_state import KeyUpdate
from imagegen.quota.pool import KeyPool, Lease
from imagegen.spending.account import RunAccount
from imagegen.spending.ledger import Entry

_POOL_ACTIONS: Final[dict[FaultKind, Callable[[KeyPool, Lease, str], KeyUpdate]]] = {
    FaultKind.SPENT_TODAY: KeyPool.spent_today,
    FaultKind.OUT_OF_CREDIT: KeyPool.out_of_credit,
    FaultKind.NO_QUOTA: KeyPool.no_quota,
    FaultKind.KEY_REJECTED: KeyPool.reject,
}
"""Why a key is no longer used, as reported to the pool."""


_NO_MEMORY: Final = ProviderError(
    kind=FaultKind.PASSING, reason=NO_MEMORY, message="there was no memory for the answer"
)


class Saved(msgspec.Struct, frozen=True):
    """The image is on the disk: its path relative to the project, its size in bytes.

    `width` and `height` are in pixels; `misfit` says how it differs from the request.
    """

    path: str
    bytes: int
    width: int
    height: int
    usage: Usage | None = None
    misfit: shape.Misfit | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one request. `key_update` is set if it changed the key's state.

    `references` is how many reference images it had.
    """

    result: Saved | ProviderError | ImagegenError
    seconds: float
    sent: bool
    key: str | None = None
    key_update: KeyUpdate | None = None
    references: int = 0

    @property
    def charge(self) -> Charge:
        """What the service wants to be paid for."""
        if isinstance(self.result, ImagegenError):
            # Drawn and paid for, but not saved.
            return Charge(pictures=1, references=self.references)
        drawn = isinstance(self.result, Saved)
        return Charge(
            usage=self.result.usage,
            pictures=int(drawn),
            lost=int(
                self.sent and isinstance(self.result, ProviderError) and self.result.was_drawn
            ),
            references=self.references * self.sent,
        )


class _SendNotifier:
    """Reports to the pool when the request leaves, and remembers that it did."""

    def __init__(self, run: RunState, lease: Lease | None) -> None:
        self._run = run
        self._lease = lease
        self.left = False

    def may_leave(self) -> bool:
        """Return whether the lease is still valid: another machine may count it as used up."""
        keys = self._run.key_pool
        return self._lease is None or keys is None or keys.may_send(self._lease)

    def __call__(self) -> None:
        self.left = True
        if self._lease is not None and self._run.key_pool is not None:
            self._run.key_pool.sent(self._lease)


def draw_once(
    run: RunState, beat: Beat, lease: Lease | None, reserved: Entry | None = None
) -> Attempt:
    """Draw a beat once and save its image. Blocks for at most the run's timeout.

    `reserved` is the request in the ledger of the user's spending.
    """
    started = run.runtime.clock.now()
    sending = _SendNotifier(run, lease)
    references = 0
    outcome: Outcome = ProviderError(kind=FaultKind.PASSING, reason="crash", message="no answer")
    # What the answer takes of the memory for all is held until its image is saved.
    with memory.held(), departure.allowed_by(sending.may_leave):
        try:
            request = run.composer.request(beat, run.composer.predecessor(beat))
            references = len(request.references)
            outcome = run.provider.draw(request, lease.secret if lease else None, sending)
        except NoPredecessorError as error:
            outcome = ProviderError(
                kind=FaultKind.BLOCKED, reason="no predecessor", message=str(error)
            )
        except UsageError as error:
            # A file of its references was changed or taken away since the run began.
            outcome = ProviderError(
                kind=FaultKind.BAD_REQUEST, reason="reference", message=error.message
            )
        except StorageError as error:
            # A read that fails, as with too many files open, may succeed the next time.
            outcome = ProviderError(
                kind=FaultKind.PASSING, reason="unreadable", message=error.message
            )
        except MemoryError:
            outcome = _NO_MEMORY
        finally:
            news = _settle_lease(run, lease, outcome, sent=sending.left)
        seconds = run.runtime.clock.now() - started
        attempt = Attempt(
            result=_save(run, beat, request, outcome) if isinstance(outcome, Picture) else outcome,
            seconds=seconds,
            sent=sending.left,
            key=lease.secret.tail if lease else None,
            key_update=news,
            references=references,
        )
    if reserved is not None and run.account is not None:
        _settle_account(run, run.account, reserved, attempt.charge)
    return attempt


def _settle_account(run: RunState, account: RunAccount, reserved: Entry, charge: Charge) -> None:
    """Record what the answer cost; forget a request that cost nothing."""
    cost = run.spending.cost_of(charge)
    is_charged = charge.pictures or charge.lost if cost is None else cost
    if is_charged:
        account.settle(reserved, cost)
    else:
        account.release(reserved)


def _save(
    run: RunState, beat: Beat, request: Request, picture: Picture
) -> Saved | ProviderError | ImagegenError:
    try:
        data = formats.as_png(picture.data, picture.claimed)
    except formats.UnreadableTypeError as error:
        # The form of answers is the service's: every further one would be paid for in vain.
        message = f"The service sent {error}."
        return ProviderError(
            kind=FaultKind.UNUSABLE, reason=UNREADABLE, message=message, usage=picture.usage
        )
    except formats.NotAPictureError as error:
        return ProviderError(
            kind=FaultKind.PASSING, reason=BROKEN_PICTURE, message=str(error), usage=picture.usage
        )
    except MemoryError:
        return msgspec.structs.replace(_NO_MEMORY, usage=picture.usage)
    provenance = run.composer.provenance(
        beat,
        request,
        provider=run.provider.name,
        model=run.provider.model,
        run=run.options.lineage,
    )
    texts = run.composer.texts(beat, created=run.runtime.clock.wall())
    parts = png.add_metadata(data, provenance, texts)
    path = run.layout.picture(*beat.address)
    try:
        files.make_folder(path.parent)
        reject_symlink(path.parent)
        if files.exists(path):
            files.archive_copy(path, run.old_folder / path.relative_to(run.layout.pictures))
        files.write(path, *parts)
    except ImagegenError as error:
        return _rescue(run, parts, error)
    except OSError as error:
        return _rescue(run, parts, files.storage_error(error, path))
    width, height = png.size_of(data) or (0, 0)
    model = run.provider.catalogue.find(run.provider.model)
    expected = model.asked_pixels(request.aspect_ratio, request.image_size)
    return Saved(
        path=run.layout.relative(path),
        bytes=sum(map(len, parts)),
        width=width,
        height=height,
        usage=picture.usage,
        misfit=shape.misfit(width, height, request.aspect_ratio, request.image_size, expected),
    )


def _rescue(run: RunState, parts: tuple[bytes, memoryview], error: ImagegenError) -> ImagegenError:
    """Keep elsewhere what the project's disk refused, and say where: it was paid for."""
    folder = rescue.keep(run.layout, parts)
    if folder is None:
        return error
    message = f"{error.message}. Images that came all the same are in {folder}, and the next run"
    # A link in the way stays the user's to remove, with its own exit code.
    kind = UsageError if isinstance(error, UsageError) else StorageError
    return kind(f"{message} takes them from there", hint=error.hint)


def _settle_lease(
    run: RunState, lease: Lease | None, outcome: Outcome, *, sent: bool
) -> KeyUpdate | None:
    """Report to the pool what the answer says of the key; return its new state, if it changed."""
    if lease is None or run.key_pool is None:
        return None
    keys, allowance = run.key_pool, outcome.allowance
    if not sent:
        keys.release(lease)
    elif allowance is not None:
        keys.record_server_limit(
            lease,
            per_minute=allowance.per_minute,
            remaining=allowance.remaining,
            reset=allowance.reset,
        )
    if isinstance(outcome, ProviderError):
        if outcome.kind in _POOL_ACTIONS:
            return _POOL_ACTIONS[outcome.kind](keys, lease, outcome.message)
        if outcome.kind is FaultKind.LIMITED:
            return keys.record_429(lease, outcome.retry_after)
        if outcome.kind is FaultKind.PASSING:
            return None
    if sent:
        keys.answered(lease)
    return None
