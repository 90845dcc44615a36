"""Server-Sent Events: what happens in a project as a browser or a script receives it.

Facts from the HTML standard (9.2, Server-sent events): a line `id:` is what a client says in
Last-Event-ID when it comes back, and a line that begins with a colon is passed over.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import anyio
import anyio.lowlevel
from starlette.types import Receive, Scope, Send

from imagegen import encoding
from imagegen.events.types import StartFailed
from imagegen.web.follower import ChoicesChanged, News, StreamPosition

_STUCK: Final = 60.0
"""Seconds after which a client that takes nothing is let go."""
RETRY: Final = b"retry: 1000\n\n"
"""How soon a browser comes back, in milliseconds."""
_HEADERS: Final = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


class EventStream:
    """An answer that goes on as long as there are events, or until the client has left.

    `opening` is what it begins with.
    """

    def __init__(
        self, events: Callable[[], AsyncGenerator[News | dict[str, Any]]], opening: bytes = RETRY
    ) -> None:
        self._events = events
        self._opening = opening

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
            await self._send(send)
            tasks.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        with anyio.move_on_after(_STUCK) as patience:
            await _body(send, self._opening)
            async with contextlib.aclosing(self._events()) as events:
                async for event in events:
                    patience.deadline = anyio.current_time() + _STUCK
                    await _body(send, _written(event))
            await send({"type": "http.response.body", "body": b""})


def _written(event: News | dict[str, Any]) -> bytes:
    if event is None:
        return b":\n\n"
    data = b"data: " + encoding.to_json(event) + b"\n\n"
    if isinstance(event, dict):
        # The older service's clients read lines of data, and no others.
        return data
    if isinstance(event, ChoicesChanged):
        # By a name of its own, so that it is not taken for an event of a run.
        return b"event: choices\n" + data
    if isinstance(event, StartFailed):
        # It is not in a journal.
        return data
    return f"id: {StreamPosition(event.run, event.seq)}\n".encode() + data


async def _body(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
    # Sending need not wait for anything; only in between is it seen that the client has left.
    await anyio.lowlevel.checkpoint()


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
