"""Connections to the page's server: those of strangers cannot keep its owner out."""

import asyncio
from typing import Any, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from imagegen.web.middleware import ADMIT, HEADERS

HEAD_SECONDS: Final = 10.0
"""How long a request's head may take, from the connection or from its first byte."""
MOST_STRANGERS: Final = 100
"""Connections that have not brought the token yet; one more closes the oldest."""


class Connection(H11Protocol):
    """One connection: closed where no whole request comes, or where too many wait for one.

    Anybody on the machine can connect, and uvicorn bounds neither the time of a head nor the
    number of those who say nothing, but for all connections together.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, ADMIT: self.admit}, _loop)
        self.stranger = True
        self.since = 0.0
        self._head: asyncio.TimerHandle | None = None

    def admit(self) -> None:
        """Record that a request of this connection brought the token."""
        self.stranger = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head, and let the oldest stranger go if there are too many."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._wait_for_head()
        # Not those that are closing already: they leave the set a little later.
        strangers = [
            connection
            for connection in self.connections
            if isinstance(connection, Connection)
            and connection.stranger
            and not connection.transport.is_closing()
        ]
        if len(strangers) > MOST_STRANGERS:
            min(strangers, key=lambda connection: connection.since).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that has begun must be whole in time."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif not self.transport.is_closing():
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, as every error is answered."""
        headers = {"content-type": "text/plain; charset=utf-8", "connection": "close", **HEADERS}
        answer = [
            h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request"),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ]
        for event in answer:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
