"""One JSON object a line on stdout, for programs."""

import errno
from typing import BinaryIO

import msgspec

from imagegen.display import actions
from imagegen.errors import ClosedOutputError
from imagegen.generation.events import Event


class JsonLines:
    """A listener that prints every event, each on its line and at once.

    Raises `ClosedOutputError` where the disk behind the output is full.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()

    def handle(self, event: Event) -> None:
        """Print the event."""
        line = self._encoder.encode(event)
        if actions.running():
            # Its runner takes this for a command wherever it stands in a line.
            line = line.replace(b"##[", b"\\u0023#[")
        try:
            self._out.write(line + b"\n")
            self._out.flush()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                # A program that reads them would miss events, and not know it.
                raise ClosedOutputError("the disk that the events go to is full") from error
            raise

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: every line was flushed."""
