"""Whether a request may still leave: asked at the last moment, when its connection is ready.

Between a key's lease and that moment lie a name lookup, a connection and a TLS handshake; and the
machine may sleep, so that others no longer count the request.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class HeldBackError(Exception):
    """The request may not leave any more; nothing of it was sent."""


class _ThisThread(threading.local):
    may_leave: Callable[[], bool] | None = None


_this_thread = _ThisThread()


@contextmanager
def allowed_by(may_leave: Callable[[], bool]) -> Iterator[None]:
    """Ask this before each request of this thread in the block."""
    _this_thread.may_leave = may_leave
    try:
        yield
    finally:
        _this_thread.may_leave = None


def require() -> None:
    """Raise `HeldBackError` if this thread's request may not leave."""
    may_leave = _this_thread.may_leave
    if may_leave is not None and not may_leave():
        raise HeldBackError
