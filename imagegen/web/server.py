"""The server: listens, and ends when the command is asked to."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

import uvicorn
from anyio import to_thread

from imagegen.errors import UsageError
from imagegen.web.app import application
from imagegen.web.auth import Auth
from imagegen.web.board import BoardCache
from imagegen.web.connections import Connection
from imagegen.web.watcher import ChangeWatcher

_THREADS: Final = 8
"""As many wait for files at a time: each costs memory, and files are fast."""
_SENT_TO_NOBODY: Final = "socket.send() raised exception."
"""What asyncio warns of, over and over, where a client leaves while it is written to."""
_LAST_SECONDS: Final = 1
"""How long answers in flight may take when the server ends."""


def listen(host: str, port: int) -> socket.socket:
    """Take an address and a port, 0 for any that is free. Raises `UsageError`."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = addresses[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                # Elsewhere it would let another program take the port too.
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"port {port} of {host} cannot be used: {error}", hint="use --port 0 for a free one"
        ) from error
    return listening


def serve(
    boards: BoardCache,
    listening: socket.socket,
    access: Auth,
    options: Sequence[str],
    ready: Callable[[], None],
) -> None:
    """Serve a project until the process is interrupted; `ready` is called once it listens.

    Raises `KeyboardInterrupt` at the end, or what another signal's handler raises.
    """
    # Requests are not logged: the first one has the token in its address.
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    logging.getLogger("uvicorn").propagate = False
    logging.getLogger("asyncio").addFilter(lambda record: record.msg != _SENT_TO_NOBODY)

    async def run() -> None:
        to_thread.current_default_thread_limiter().total_tokens = _THREADS
        watcher = ChangeWatcher(boards.layout)
        config = uvicorn.Config(
            application(boards, access, watcher, options),
            access_log=False,
            log_config=None,
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_LAST_SECONDS,
        )
        server = _Server(config, ready, watcher.close)
        await server.serve([listening])

    asyncio.run(run())


class _Server(uvicorn.Server):
    """Signals when it listens, and when it should end."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], ending: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ending()
        super().handle_exit(sig, frame)
