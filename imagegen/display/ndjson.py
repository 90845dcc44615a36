"""One JSON object a line on stdout, for programs."""

from typing import BinaryIO

import msgspec

from imagegen.display import actions
from imagegen.generation.events import Event


class JsonLines:
    """A listener that prints every event, each on its line and at once."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()

    def handle(self, event: Event) -> None:
        """Print the event."""
        line = self._encoder.encode(event)
        if actions.running():
            # Its runner takes this for a command wherever it stands in a line.
            line = line.replace(b"##[", b"\\u0023#[")
        self._out.write(line + b"\n")
        self._out.flush()

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: every line was flushed."""
