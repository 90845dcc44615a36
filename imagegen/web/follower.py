"""What happens in the project's runs, for one client, from wherever it was before.

The journal is the queue: each client reads it by itself at its own pace. So one that is slow, or
never reads at all, costs nothing and delays no other, and one that comes back misses nothing.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from anyio import to_thread

from imagegen.errors import Exit
from imagegen.events import journal as follow
from imagegen.events.journal import Journal
from imagegen.events.types import Complete, Event, StartFailed
from imagegen.project import record
from imagegen.project.layout import ProjectPaths
from imagegen.shell import project_command
from imagegen.times import iso_millis
from imagegen.web.watcher import ChangeWatcher, Snapshot

QUIET: Final = 15.0
"""Seconds of silence after which a client gets a heartbeat."""

_PIECE: Final = 64 * 1024
_RELEASE_WAIT: Final = 5.0
_LETS_GO_LOOK: Final = 0.05
_PLACE: Final = re.compile(r"([0-9A-Za-z-]{1,64}):([0-9]{1,9})")


class StreamPosition(msgspec.Struct, frozen=True):
    """How far a client has heard: a run, and the number of its last event."""

    run: str
    seq: int

    @classmethod
    def read(cls, text: str | None) -> "StreamPosition | None":
        """Read a place as `str` writes it; None for anything else."""
        match = _PLACE.fullmatch(text or "")
        return cls(match[1], int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.run}:{self.seq}"


class ChoicesChanged(msgspec.Struct, frozen=True, tag="choices"):
    """The choices have changed. It belongs to no run, and is not in a journal."""


News = Event | ChoicesChanged | None
"""What a client receives; None is a heartbeat."""


class _Choices:
    """How much one client knows of the file of choices."""

    def __init__(self, watcher: ChangeWatcher, snapshot: Snapshot) -> None:
        self._watcher = watcher
        self._known = snapshot.choices

    def have_changed(self) -> bool:
        """Return whether it has changed since this was asked last."""
        before, self._known = self._known, self._watcher.seen.choices
        return before != self._known


class Follower:
    """Follows a project's runs, and on the way what is chosen."""

    def __init__(self, layout: ProjectPaths, watcher: ChangeWatcher) -> None:
        self._layout = layout
        self._watcher = watcher

    async def look(self) -> Snapshot:
        """Record the current choices, so that later changes are reported."""
        return await self._watcher.look()

    async def runs(self, since: StreamPosition | None, snapshot: Snapshot) -> AsyncGenerator[News]:
        """Follow all runs from a position, without end, and report choices made after `snapshot`.

        Without one, or where its journal is not kept any more: the active run from its
        beginning, or whichever comes next.
        """
        choices = _Choices(self._watcher, snapshot)
        journals = await to_thread.run_sync(self._journals)
        if since is not None and since.run in journals:
            run, seq = since.run, since.seq
        elif snapshot.active:
            run, seq = snapshot.run, 0
        else:
            run, seq = "", 0
        before = journals[-1] if journals else ""
        while not self._watcher.closed:
            if run:
                async with contextlib.aclosing(self.run(run, seq, choices)) as events:
                    async for event in events:
                        yield event
                before = run
            snapshot = self._watcher.seen
            if choices.have_changed():
                yield ChoicesChanged()
            run, seq = await to_thread.run_sync(self._after, before), 0
            if not run and not await self._watcher.news_since(snapshot, QUIET):
                yield None

    async def run(
        self, run: str, seq: int = 0, choices: _Choices | None = None
    ) -> AsyncGenerator[News]:
        """Follow one run from behind its event `seq` to its end, the last event.

        By then another can begin. A run that died has no last event: an `error` replaces
        it, without a position in the journal. Changes of `choices` are reported too.
        """
        journal = Journal(self._layout.journal(run), _PIECE)
        last_seq, over = seq, False
        try:
            while not self._watcher.closed:
                snapshot = self._watcher.seen
                if choices is not None and choices.have_changed():
                    yield ChoicesChanged()
                events = await to_thread.run_sync(journal.read_chunk)
                for event in events or ():
                    if isinstance(event, Complete):
                        await self._let_go(run)
                    if event.seq > last_seq:
                        last_seq, seq = 0, max(seq, event.seq)
                        yield event
                    if isinstance(event, Complete):
                        return
                if events is not None:
                    continue
                if over:
                    yield await to_thread.run_sync(self._broken_off, run, seq)
                    return
                # What it wrote before it died is read once more.
                over = await self._is_over(run, snapshot)
                if not over and not await self._watcher.news_since(snapshot, QUIET):
                    yield None
        finally:
            journal.close()

    async def _is_over(self, run: str, snapshot: Snapshot) -> bool:
        if snapshot.run == run and snapshot.active:
            return False
        return not await to_thread.run_sync(follow.is_running, self._layout, run)

    async def _let_go(self, run: str) -> None:
        """Wait until a run with a last event has released the project."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_WAIT):
                while await to_thread.run_sync(follow.is_running, self._layout, run):
                    await asyncio.sleep(_LETS_GO_LOOK)

    def _broken_off(self, run: str, seq: int) -> StartFailed:
        last = record.peek(self._layout)
        ended = last.reason if last and last.run == run else None
        return StartFailed(
            run=run,
            seq=seq + 1,
            time=iso_millis(time.time()),
            exit_code=Exit.ENDED_EARLY,
            message=f"the run ended: {ended}"
            if ended
            else "the run was interrupted: its process died",
            hint=f"{project_command('resume', self._layout.root)} continues it",
        )

    def _after(self, run: str) -> str:
        """Return the run that came after this one, or nothing."""
        journals = self._journals()
        if run in journals:
            journals = journals[journals.index(run) + 1 :]
        return journals[0] if journals else ""

    def _journals(self) -> list[str]:
        """Return the runs whose journals are kept, in their order.

        Only one is written at a time. Names have no order within a second.
        """
        journals = []
        with contextlib.suppress(OSError):
            journals = [
                (path.lstat().st_mtime_ns, path.stem)
                for path in self._layout.journal("").parent.iterdir()
                if path.suffix == ".jsonl" and StreamPosition.read(f"{path.stem}:0")
            ]
        return [run for _, run in sorted(journals)]
