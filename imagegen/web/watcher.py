"""Polls runs and choices once on behalf of all connected clients."""

import asyncio
from typing import Final

import msgspec
from anyio import to_thread

from imagegen.project import record
from imagegen.project.layout import ProjectPaths
from imagegen.project.selections import file
from imagegen.web.fingerprints import file_fingerprint

LOOK: Final = 0.2
"""Seconds between two looks, while anybody waits for news."""


class Snapshot(msgspec.Struct, frozen=True):
    """The last run, whether it goes on, and how many bytes its journal has.

    `choices` is a mark of the file of choices, None if there is none.
    """

    run: str = ""
    active: bool = False
    size: int = 0
    choices: str | None = None


class ChangeWatcher:
    """Knows when there is something new to read. Belongs to the server's event loop."""

    def __init__(self, layout: ProjectPaths) -> None:
        self._layout = layout
        self._news = asyncio.Event()
        self._waiting = 0
        self._watch: asyncio.Task[None] | None = None
        self.seen = Snapshot()
        """What the last look saw."""
        self.closed = False
        """Whether the server is ending, so that clients must not wait."""

    async def look(self) -> Snapshot:
        """Look now."""
        snapshot = await to_thread.run_sync(self._look)
        if snapshot != self.seen:
            self.seen = snapshot
            self._ring()
        return snapshot

    async def news_since(self, snapshot: Snapshot, seconds: float) -> bool:
        """Wait until a look sees something else; False after `seconds` without a change."""
        if self.closed or snapshot != self.seen:
            return True
        news = self._news
        self._waiting += 1
        try:
            if self._watch is None or self._watch.done():
                self._watch = asyncio.create_task(self._keep_looking())
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def close(self) -> None:
        """Let everyone go who waits."""
        self.closed = True
        self._ring()

    def _ring(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _keep_looking(self) -> None:
        while self._waiting and not self.closed:
            await asyncio.sleep(LOOK)
            await self.look()

    def _look(self) -> Snapshot:
        choices = file_fingerprint(self._layout.root / file.FILE)
        last = record.peek(self._layout)
        if last is None:
            return Snapshot(choices=choices)
        # A run that only begins has not replaced the record of the one before.
        active = last.ended is None and record.is_active(self._layout)
        try:
            size = self._layout.journal(last.run).stat().st_size
        except OSError:
            size = 0
        return Snapshot(run=last.run, active=active, size=size, choices=choices)
