"""One JSON object per line on stdout, for programs."""

import errno
from typing import BinaryIO

from imagegen import encoding
from imagegen.errors import ClosedOutputError
from imagegen.events.types import Event


class JsonLines:
    """A listener that prints each event on a line at once.

    Raises `ClosedOutputError` if the disk behind the output is full.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def handle(self, event: Event) -> None:
        """Print the event."""
        try:
            self._out.write(encoding.to_json(event) + b"\n")
            self._out.flush()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                # A program that reads them would miss events without noticing.
                raise ClosedOutputError("the disk for the events is full") from error
            raise

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: every line was flushed."""
