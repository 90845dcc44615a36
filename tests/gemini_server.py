"""The Gemini API on loopback: a real HTTP server that counts, validates and misbehaves.

    with GeminiServer(limit=9) as server:
        server.fault("a red fox", Answer.UNAVAILABLE, times=2)
        ...
        assert [request.status for request in server.requests] == [503, 503, 200]

From a shell, for benches: `python tests/gemini_server.py --limit 9` prints its address as
the first line and serves until it is killed.
"""

import argparse
import json
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from gemini_connections import Connection, Listener
from gemini_replies import REJECTIONS, Answer, answers, expected_pixels
from gemini_requests import Recorded

__all__ = ["Answer", "GeminiServer", "Recorded", "answers", "expected_pixels"]

MODELS = (
    "gemini-nano-banana-2.1",
    "gemini-3.1-flash-image",
    "gemini-3-pro-image",
    "gemini-3.1-pro",
)

Kind = Answer | str
"""What to do with a request; other APIs have words of their own."""

Which = str | Callable[["Recorded"], bool]


@dataclass
class _Fault:
    when: Which
    kinds: deque[Kind] = field(default_factory=deque)

    def meets(self, request: Recorded) -> bool:
        if isinstance(self.when, str):
            return self.when in request.prompt
        return self.when(request)


class GeminiServer:
    """A server for one test or bench.

    `limit` requests in any `window` seconds, and `daily` in all, are allowed to every
    group of keys; `groups` names the group of a key (its project), a key without one is its
    own. `latency` in seconds precedes every answer of the drawing endpoint.
    `picture_bytes` pads pictures to a realistic size. `unknown_fields` are optional fields of
    a request that this server does not know.

    `connection` is what speaks the API, `rejections` what costs no quota. `_lock` guards
    the log, the faults, the key modes and the windows.
    """

    connection: type[Connection] = Connection
    rejections: frozenset[str] = REJECTIONS

    def __init__(
        self,
        *,
        limit: int | None = None,
        window: float = 60.0,
        daily: int | None = None,
        groups: Mapping[str, str] | None = None,
        latency: float = 0.0,
        models: tuple[str, ...] = MODELS,
        picture_bytes: int = 0,
        unknown_fields: frozenset[str] = frozenset(),
        port: int = 0,
    ) -> None:
        self.limit = limit
        self.window = window
        self.daily = daily
        self.groups = dict(groups or {})
        self.latency = latency
        self.models = models
        self.picture_bytes = picture_bytes
        self.unknown_fields = unknown_fields
        self.page_size = 1000
        self.redirect_to = "http://127.0.0.1:9/elsewhere"
        self.on_answered: Callable[[Recorded], None] = lambda _: None
        self.ending = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._log: list[Recorded] = []
        self._faults: list[_Fault] = []
        self._key_modes: dict[str, Kind] = {}
        self._granted: dict[str, deque[float]] = {}
        self._granted_in_all: dict[str, int] = {}
        self._http: Listener | None = None
        self._listen(port)
        self.port: int = self._listening.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and end every connection."""
        self.set_down(True)

    @property
    def requests(self) -> list[Recorded]:
        """Every drawing request so far, in order of arrival."""
        with self._lock:
            return [request for request in self._log if request.method == "POST"]

    @property
    def listings(self) -> list[Recorded]:
        """Every request for the list of models so far."""
        with self._lock:
            return [request for request in self._log if request.method == "GET"]

    def fault(self, when: Which, *kinds: Kind, times: int = 1) -> None:
        """Answer matching requests with `kinds` in turn, the whole row `times` times.

        `when` is a part of the prompt or a function of the request. The first matching
        fault that has something left decides; after that requests are answered well.
        """
        with self._lock:
            self._faults.append(_Fault(when, deque(kinds * times)))

    def key_mode(self, key: str, kind: Kind | None) -> None:
        """Answer every request with `key` like this from now on; None: as any other."""
        with self._lock:
            if kind is None:
                self._key_modes.pop(key, None)
            else:
                self._key_modes[key] = kind

    def set_down(self, down: bool) -> None:  # noqa: FBT001
        """Refuse and reset all connections, or listen again on the same port."""
        if not down:
            if self._http is None:
                self._listen(self.port)
            return
        if self._http is not None:
            listener, self._http = self._http, None
            self.ending.set()
            self._open.set()
            listener.end()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let requests arrive, but answer none of them until the block ends."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def wait_for_requests(self, count: int, timeout: float = 30.0) -> bool:
        """Wait until `count` drawing requests have arrived; False if they did not."""

        def there() -> bool:
            return sum(request.method == "POST" for request in self._log) >= count

        with self._arrived:
            return self._arrived.wait_for(there, timeout)

    @property
    def _listening(self) -> Listener:
        assert self._http is not None
        return self._http

    def _listen(self, port: int) -> None:
        self.ending.clear()
        self._http = Listener(("127.0.0.1", port), self, self.connection)

    # What follows is called by the connections' threads.

    def record(self, request: Recorded) -> None:
        """Add a request to the log."""
        with self._arrived:
            self._log.append(request)
            self._arrived.notify_all()

    def wait_before_answering(self) -> None:
        """Wait as long as an answer of the service takes."""
        if self.latency:
            self.ending.wait(self.latency)
        self._open.wait()

    def of_the_key(self, key: str | None) -> Kind | None:
        """Return how a request is turned away for its key alone."""
        with self._lock:
            return self._key_modes.get(key, None) if key else Answer.NO_KEY

    def decide(self, request: Recorded) -> tuple[Kind, float]:
        """Return what to answer a valid request, and its retry delay in seconds."""
        with self._lock:
            fault = next((f for f in self._faults if f.kinds and f.meets(request)), None)
            if fault is not None and fault.kinds[0] in self.rejections:
                return fault.kinds.popleft(), 34.0
            refusal = self._over_quota(request)
            if refusal is not None:
                return refusal
            return (Answer.PICTURE if fault is None else fault.kinds.popleft()), 0.0

    def used(self, key: str) -> tuple[int, float]:
        """Return how many requests of a key its window holds, and when the oldest came."""
        with self._lock:
            granted = self._granted.get(self.groups.get(key, key), deque())
            recent = [at for at in granted if at > time.monotonic() - self.window]
            return len(recent), min(recent, default=0.0)

    def _over_quota(self, request: Recorded) -> tuple[Answer, float] | None:
        """Count the request against its group's quota, or say which one is used up."""
        key = request.key or ""
        group = self.groups.get(key, key)
        granted = self._granted.setdefault(group, deque())
        while granted and granted[0] <= request.arrived - self.window:
            granted.popleft()
        if self.daily is not None and self._granted_in_all.get(group, 0) >= self.daily:
            return Answer.DAY, 34.0
        if self.limit is not None and len(granted) >= self.limit:
            return Answer.MINUTE, max(0.001, granted[0] + self.window - request.arrived)
        granted.append(request.arrived)
        self._granted_in_all[group] = self._granted_in_all.get(group, 0) + 1
        return None


def main() -> None:
    """Serve until killed; the first line printed is the address."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--limit", type=int, help="requests in a window for each key")
    parser.add_argument("--window", type=float, default=60.0, help="seconds")
    parser.add_argument("--daily", type=int, help="requests in all for each key")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--picture-bytes", type=int, default=0, help="size of each picture")
    parser.add_argument("--log", type=Path, help="a JSON line for every drawing request")
    options = parser.parse_args()
    with GeminiServer(
        port=options.port,
        limit=options.limit,
        window=options.window,
        daily=options.daily,
        latency=options.latency,
        picture_bytes=options.picture_bytes,
    ) as server:
        if options.log:
            writing = threading.Lock()
            log = options.log.open("a", encoding="utf-8")

            def write(request: Recorded) -> None:
                with writing:
                    log.write(json.dumps(asdict(request)) + "\n")
                    log.flush()

            server.on_answered = write
        print(server.address, flush=True)
        ended = threading.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: ended.set())
        ended.wait()


if __name__ == "__main__":
    main()
