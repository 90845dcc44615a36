"""The memory that answers may take together, however many come at once.

An answer is bounded by itself, and 256 of the largest at once would take 16 GiB. So each reader
reserves bytes first, and waits while others hold too many. Small answers are free:
they need no waiting, and many at once are what a run is made of.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FREE: Final = 3 * 1024 * 1024
"""Bytes of an answer that count for nothing: an image of 2 MB in base64 has less."""

TOGETHER: Final = 256 * 1024 * 1024
"""Bytes that all larger answers may have together, each beyond what is free."""


class Budget:
    """Bytes that threads share.

    One thread at a time may go beyond the total, so that threads which all hold some and all
    want more do not wait for each other for ever. `_changed` guards `_used` and `_beyond`.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._changed = threading.Condition()
        self._used = 0
        self._beyond: Reservation | None = None

    def take(self, reservation: "Reservation", size: int) -> None:
        """Wait until `size` bytes more fit, and reserve them."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(reservation, size))
            if self._used + size > self._total:
                self._beyond = reservation
            self._used += size

    def has_room(self, reservation: "Reservation", size: int) -> bool:
        """Return whether `size` bytes more fit now."""
        with self._changed:
            return self._fits(reservation, size)

    def give_back(self, reservation: "Reservation", size: int) -> None:
        """Let others have `size` bytes, all that the reservation holds."""
        with self._changed:
            self._used -= size
            if self._beyond is reservation:
                self._beyond = None
            self._changed.notify_all()

    def _fits(self, reservation: "Reservation", size: int) -> bool:
        return self._used + size <= self._total or self._beyond in {None, reservation}


class Reservation:
    """What one thread holds of a budget while it reads an answer and uses what came."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._read = 0
        self._reserved = 0

    def would_wait(self, size: int) -> bool:
        """Return whether `size` more bytes must wait for room."""
        more = self._beyond_free(size)
        return more > 0 and not self._budget.has_room(self, more)

    def grow(self, size: int) -> None:
        """Reserve room for `size` more bytes, as soon as there is some."""
        more = self._beyond_free(size)
        if more > 0:
            self._budget.take(self, more)
            self._reserved += more
        self._read += size

    def _beyond_free(self, size: int) -> int:
        return max(0, self._read + size - FREE) - self._reserved

    def release(self) -> None:
        """Give all of it back."""
        if self._reserved:
            self._budget.give_back(self, self._reserved)
            self._reserved = 0


class _ThisThread(threading.local):
    reservation: Reservation | None = None


_budget = Budget(TOGETHER)
_this_thread = _ThisThread()


@contextmanager
def held() -> Iterator[Reservation]:
    """Hold what this thread reserves until the outermost block ends."""
    outer = _this_thread.reservation
    if outer is not None:
        yield outer
        return
    reservation = _this_thread.reservation = Reservation(_budget)
    try:
        yield reservation
    finally:
        _this_thread.reservation = None
        reservation.release()
