"""One JSON object a line on stdout, for programs."""

from typing import BinaryIO

import msgspec

from imagegen.generation.events import Event


class JsonLines:
    """A listener that prints every event, each on its line and at once."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()

    def handle(self, event: Event) -> None:
        """Print the event."""
        self._out.write(self._encoder.encode(event) + b"\n")
        self._out.flush()

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: every line was flushed."""
