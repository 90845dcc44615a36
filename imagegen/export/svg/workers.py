"""Processes that trace images, as many at a time as the machine has cores."""

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final, Self

import msgspec

from imagegen.export.svg.worker import Answer, Request
from imagegen.images.formats import NotAPictureError

SECONDS: Final = 60
"""How long one image may take."""
_COMMAND: Final = (sys.executable, "-P", "-m", "imagegen.export.svg.worker")
"""Without -P Python would run a module of that name that is in the current folder."""


class TimeLimitError(Exception):
    """An image took too long to trace."""


class Workers:
    """Traces images at the same time. As a context manager it ends its processes at once."""

    def __init__(self, count: int, command: Iterable[str] = _COMMAND) -> None:
        self._workers = [_Worker(tuple(command)) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.close()

    def trace(self, requests: Iterable[Request]) -> Iterator[tuple[Request, bytes | Exception]]:
        """Yield each request with its SVG as soon as that is there.

        An image that cannot be traced comes with a `NotAPictureError` or `TimeLimitError`.
        """
        futures = {self._threads.submit(self._trace, request): request for request in requests}
        for future in as_completed(futures):
            # What was yielded is not kept in memory.
            yield futures.pop(future), future.result()

    def _trace(self, request: Request) -> bytes | Exception:
        worker = self._idle.get()
        try:
            return worker.trace(request)
        except (NotAPictureError, TimeLimitError) as error:
            return error
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, which starts when it is needed. `_lock` guards `_process` and `_closed`."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def trace(self, request: Request) -> bytes:
        process = self._running()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(request.seconds, end)
        timer.start()
        try:
            return _ask(process, request)
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            _end(process)
            if late.is_set():
                raise TimeLimitError(f"it took more than {request.seconds:g} s") from error
            raise NotAPictureError("the tracer crashed") from error
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End the process at once; the thread that waits for it continues."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Close what was open to the process. No thread may wait for it any more."""
        if self._process is not None:
            _end(self._process)

    def _running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                if self._closed:
                    raise NotAPictureError("the export ended")
                # Away from the terminal: Ctrl-C is for the command, which ends it.
                self._process = subprocess.Popen(  # noqa: S603  # our own command, no shell
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            return self._process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _ask(process: subprocess.Popen[bytes], request: Request) -> bytes:
    """Return an SVG. Raises `NotAPictureError`, and others if the process ended."""
    assert process.stdin is not None  # noqa: S101  # for the type checker
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(msgspec.json.encode(request) + b"\n")
    process.stdin.flush()
    answer = msgspec.json.decode(process.stdout.readline(), type=Answer)
    if answer.error is not None:
        raise NotAPictureError(answer.error)
    data = process.stdout.read(answer.size)
    if len(data) < answer.size:
        raise EOFError
    return data
