"""Starts commands in forks of a process that has imported the package (`fork_server`)."""

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

SECONDS = 60
"""A server that takes longer to answer has hung."""

POSSIBLE = os.name == "posix" and sys.platform != "darwin"
"""Whether processes can be forked here; on macOS its own libraries do not survive that."""

_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "OPENSSL_", "MALLOC_", "GLIBC_", "COVERAGE_")
"""How the names begin of variables that matter before anything is imported."""


class ServerGoneError(OSError):
    """The fork server has ended, and with it all knowledge of its commands."""


class Forked(subprocess.Popen[str]):
    """A command in a forked process, with all of `Popen` that tests use.

    The server is its parent; it says on `connection` when the process has ended.
    """

    def __init__(
        self,
        connection: socket.socket,
        arguments: Sequence[str],
        outputs: Sequence[IO[str] | None],
    ) -> None:
        self._connection = connection
        # Without a buffer: what is there to read is in the socket, where `poll` sees it.
        self._answers = connection.makefile("rb", buffering=0)
        self._lock = threading.Lock()
        self._read: dict[IO[str], list[bytes]] = {}
        self.args = arguments
        self.stdin = None
        self.stdout, self.stderr = outputs
        self.returncode: int | Any = None
        self.pid = self._number()

    def __exit__(self, *_: object) -> None:
        for stream in filter(None, (self.stdout, self.stderr)):
            stream.close()
        self.wait()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait, for at most so many seconds, until the process has ended."""
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def communicate(
        self,
        input: str | None = None,  # noqa: A002  # Popen's name
        timeout: float | None = None,
    ) -> tuple[str, str]:
        """Read both outputs to their ends, and wait for the process."""
        assert input is None
        end = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            for stream in filter(None, (self.stdout, self.stderr)):
                self._read.setdefault(stream, [])
                if not stream.closed:
                    selector.register(stream, selectors.EVENT_READ)
            if self.returncode is None:
                # So that an end of the server ends this, though the outputs stay open.
                selector.register(self._connection, selectors.EVENT_READ)
            while selector.get_map():
                left = None if end is None else max(0.0, end - time.monotonic())
                ready = selector.select(left)
                if not ready:
                    assert timeout is not None
                    raise subprocess.TimeoutExpired(self.args, timeout)
                for key, _ in ready:
                    if key.fileobj is self._connection:
                        selector.unregister(self._connection)
                        self.poll()
                    else:
                        self._take(selector, key)
        return self._text(self.stdout), self._text(self.stderr)

    def _take(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        """Read a part of an output."""
        stream: Any = key.fileobj
        part = os.read(key.fd, 65536)
        self._read[stream].append(part)
        if not part:
            selector.unregister(stream)
            stream.close()

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended and this knows of it."""
        with self._lock:
            if self.returncode is None:
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def _text(self, stream: IO[str] | None) -> str:
        text = b"".join(self._read[stream]).decode() if stream else ""
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _look(self, timeout: float | None) -> int | None:
        """Return the exit code as soon as there is one; None after so many seconds."""
        end = select.poll()
        with self._lock:
            if self.returncode is not None:
                return self.returncode
            end.register(self._connection, select.POLLIN)
        if end.poll(None if timeout is None else timeout * 1000):
            with self._lock:
                if self.returncode is None:
                    self._reap()
        return self.returncode

    def _reap(self) -> None:
        with self._connection, self._answers:
            if self._answers.read(1):
                self._connection.sendall(b"r")
                self.returncode = self._number()
                return
        self.returncode = -signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        raise ServerGoneError

    def _number(self) -> int:
        self._connection.settimeout(SECONDS)
        line = self._answers.readline()
        if not line:
            raise ServerGoneError
        return int(line)


class Client:
    """Asks the server behind `control` for commands.

    The server began in the environment `env`, and has read the variables `read` of it.
    """

    def __init__(
        self, control: socket.socket, env: Mapping[str, str], read: Collection[str]
    ) -> None:
        self._control = control
        self._env = env
        self._read = frozenset(read)
        self._lock = threading.Lock()

    def fits(self, env: Mapping[str, str]) -> bool:
        """Tell whether a fresh interpreter in this environment would begin as the server did."""
        names = self._read | {name for name in (*env, *self._env) if name.startswith(_AT_START)}
        # To Python, a variable that is empty is none.
        return all((env.get(name) or "") == (self._env.get(name) or "") for name in names)

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        stdin: IO[bytes] | None = None,
        before: str = "",
    ) -> Forked:
        """Start a command whose outputs are pipes, with `stdin` or an empty one.

        `before` is a program that runs in its process first, as `sitecustomize` would.
        """
        with contextlib.ExitStack() as stack:
            outputs: list[IO[str]] = []
            streams = [(stdin or stack.enter_context(open(os.devnull, "rb"))).fileno()]  # noqa: PTH123
            for _ in range(2):
                ours, theirs = os.pipe()
                stack.callback(os.close, theirs)
                outputs.append(open(ours, encoding="utf-8"))  # noqa: PTH123, SIM115
                streams.append(theirs)
            return self._start(arguments, folder, env, streams, outputs, before)

    def start_detached(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], output: int
    ) -> Forked:
        """Start a command with an empty stdin, whose outputs go to a file."""
        with open(os.devnull, "rb") as empty:  # noqa: PTH123
            streams = [empty.fileno(), output, output]
            return self._start(arguments, folder, env, streams, (None, None))

    def start_in_terminal(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], terminal: int
    ) -> Forked:
        """Start a command with all three streams at a terminal, which becomes its own."""
        return self._start(arguments, folder, env, [terminal] * 3, None)

    def _start(
        self,
        arguments: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        streams: Sequence[int],
        outputs: Sequence[IO[str] | None] | None,
        before: str = "",
    ) -> Forked:
        request = {
            "arguments": arguments,
            "folder": str(folder),
            "env": env,
            "umask": _umask(),
            "terminal": outputs is None,
            "before": before,
        }
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
            socket.send_fds(ours, [b"r"], streams)
            ours.sendall(json.dumps(request).encode() + b"\n")
            return Forked(ours, arguments, outputs or (None, None))
        except OSError as error:
            ours.close()
            for output in filter(None, outputs or ()):
                output.close()
            raise ServerGoneError from error


class ForkServer(Client):
    """The server of this test process. `env` is the environment that it begins in."""

    def __init__(self, env: Mapping[str, str]) -> None:
        control, theirs = socket.socketpair()
        with theirs:
            script = Path(__file__).with_name("fork_server.py")
            self.process = subprocess.Popen(
                [sys.executable, script, str(theirs.fileno())],
                cwd="/",
                env=env,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )
        control.settimeout(SECONDS)
        with control.makefile("rb") as lines:
            line = lines.readline()
        if not line:
            raise ServerGoneError
        super().__init__(control, env, json.loads(line))

    def close(self) -> None:
        """End the server, which kills what it has started."""
        self._control.close()
        self.process.wait(SECONDS)


def _umask() -> int:
    """Return the mask of this process, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
