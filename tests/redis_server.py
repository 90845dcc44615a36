"""A real Redis or Valkey server on loopback, for one test or bench."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import redis

PROGRAMS = ("redis-server", "valkey-server")
INSTALLED = tuple(filter(shutil.which, PROGRAMS)) or PROGRAMS[:1]
"""Those that can be tested here; of none, the first skips its tests."""
_SECONDS = 10.0


def program(name: str = PROGRAMS[0]) -> str:
    """Return the server's path; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    """Return a port that nothing listens on."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """A server with its data in `folder`; `settings` are its command line's."""

    def __init__(self, folder: Path, *settings: str, command: str, port: int | None = None) -> None:
        self.folder = folder
        self.port = free_port() if port is None else port
        self._command = command
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address without TLS."""
        return f"redis://127.0.0.1:{self.port}/0"

    def admin(self, **options: Any) -> "redis.Redis":
        """Return a client of the test's own."""
        return redis.Redis(port=self.port, socket_timeout=_SECONDS, protocol=2, **options)

    def start(self, *, ready: bool = True) -> None:
        """Start the server and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = ["--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--port"]
        port = [] if "--port" in self._settings else [str(self.port)]
        own = own if port else own[:-1]
        self._process = subprocess.Popen(
            [self._command, *own, *port, *self._settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + _SECONDS
        while ready and time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server as an operator does; what it persists is on the disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End the server as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Let the server answer nothing in the block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)
