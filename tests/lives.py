"""Processes that are going to be killed: what they say, and what stands in the project."""

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import evidence
from evidence import Evidence


class Life:
    """One process, what it says, and when it says it.

    `saved` are the beats that had their picture before it started.
    """

    def __init__(
        self, process: "subprocess.Popen[str]", watched: Evidence, saved: set[tuple[str, int]]
    ) -> None:
        self.process = process
        self.start = threading.Event()
        self.complete = threading.Event()
        self.events = 0
        self.started_after = 0.0
        self.said = ""
        self._watched = watched
        self._saved = saved
        self._before = watched.temporary()
        self._born = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ended_in(self, seconds: float) -> None:
        """Wait so long, or until the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def kill(self) -> bool:
        """Kill the process; returns whether it had not ended by itself."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.said = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode == -signal.SIGKILL

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self._heed(json.loads(line)["type"])
        self.start.set()
        self.complete.set()

    def _heed(self, kind: str) -> None:
        self.events += 1
        if kind == "start":
            self.started_after = time.monotonic() - self._born
            for path in self._before & self._watched.temporary():
                self._watched.report.fault(evidence.STRAYS, f"{path} after a start")
            self._watched.started(self._saved)
            self.start.set()
        elif kind == "complete":
            self.complete.set()


@contextlib.contextmanager
def watching(watched: Evidence) -> Iterator[None]:
    """Look at the project all the time."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            watched.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
