"""Errors of several input files, reported together."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from imagegen.errors import InputError, InvalidInputError, UsageError

T = TypeVar("T")


class FaultCollector:
    """Gathers the errors of files that are read one after another; earlier errors are included."""

    def __init__(self, faults: Iterable[InputError] = ()) -> None:
        self._faults = list(faults)
        self._rows: dict[str, int] = {}

    def collect(self, read: Callable[[], T]) -> T | None:
        """Return what `read` returns; on errors keep them and return None.

        Raises `UsageError` for what cannot be read at all, unless there are errors to report.
        """
        try:
            return read()
        except InvalidInputError as error:
            self._faults += error.faults
            self._rows |= error.rows
            return None
        except UsageError:
            if not self._faults:
                raise
            return None

    def raise_if_any(self, read: T | None) -> T:
        """Return what was read last, or raise all errors that were gathered."""
        if self._faults or read is None:
            raise InvalidInputError(self._faults, self._rows)
        return read
