"""A process that has imported the package, and forks for each command that a test starts.

`fork_client` runs this file. Most commands take a tenth of the time that Python needs to start and
to import what they use; a fork has that behind it. It runs what a fresh interpreter would run: a
process and a session of its own, with its own streams, folder and environment, which ends as
Python ends.
"""

import atexit
import fcntl
import gc
import importlib
import io
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

from fork_client import Client

PACKAGE = Path(__file__).parent.parent / "imagegen"
EXITED = b"x"
"""Sent to a client when its command has ended; the command is a zombie until the client asks."""

_IMPORT = re.compile(
    rb"^\s*(?:from|import) (?P<names>[\w.]+(?: as \w+)?(?:, [\w.]+)*)(?= import|\s*#|$)",
    re.MULTILINE,
)
"""Faster than to parse 200 files in each process that runs tests."""

_LATE = ("encodings.utf_8_sig", "typer._click.decorators")
"""What libraries import late."""

_START = [sys.executable, "-P", "-m", "imagegen"]
"""How the words begin that start a run apart from its command."""

_HARMLESS = {"HOME"}
"""Read by `sysconfig` as it is imported, for the user's site-packages, which nothing here uses."""


@dataclass(frozen=True)
class Request:
    """A command to run, and a program to run before it.

    With `terminal`, stdin becomes the controlling terminal.
    """

    arguments: list[str]
    folder: str
    env: dict[str, str]
    umask: int
    terminal: bool
    before: str


class Server:
    """Starts commands, and reports their ends.

    `control` brings a connection for each command, and so does `inner`, from commands that start
    others. When `control` is closed, nobody is left to serve.
    """

    def __init__(self, control: socket.socket, inner: socket.socket) -> None:
        self._control = control
        self._inner = inner
        self._clients: dict[int, socket.socket] = {}
        self._ended: set[int] = set()
        self._abandoned: set[int] = set()
        self._selector = selectors.DefaultSelector()

    def serve(self) -> tuple[Request, list[int]] | None:
        """Return a request, with its streams, in the process that is to run it.

        None in the server itself, when there is nobody left to serve.
        """
        bell, ringer = socket.socketpair()
        with self._selector, bell, ringer:
            bell.settimeout(0.0)
            ringer.settimeout(0.0)
            signal.signal(signal.SIGCHLD, _nothing)
            signal.set_wakeup_fd(ringer.fileno(), warn_on_full_buffer=False)
            self._selector.register(self._control, selectors.EVENT_READ)
            self._selector.register(self._inner, selectors.EVENT_READ)
            self._selector.register(bell, selectors.EVENT_READ)
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is bell:
                        bell.recv(4096)
                        self._look_for_ends()
                    elif key.fileobj not in {self._control, self._inner}:
                        self._answer(key.data)
                    elif (client := _connection(key.fileobj)) is None:
                        self._kill_all()
                        return None
                    elif (wanted := _request(client)) is not None and self._fork(client, wanted[1]):
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        return wanted

    def _fork(self, client: socket.socket, streams: list[int]) -> bool:
        """Return whether this is the new process, which has none of the server's connections."""
        pid = os.fork()
        if pid == 0:
            for connection in (self._control, self._inner, client, *self._clients.values()):
                connection.close()
            return True
        for stream in streams:
            os.close(stream)
        self._clients[pid] = client
        self._selector.register(client, selectors.EVENT_READ, pid)
        _send(client, f"{pid}\n".encode())
        return False

    def _look_for_ends(self) -> None:
        for pid in self._clients.keys() - self._ended:
            # It stays a zombie, so that no other process gets its number as long as a test may
            # send it a signal.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._ended.add(pid)
                _send(self._clients[pid], EXITED)
        self._abandoned -= {pid for pid in self._abandoned if os.waitpid(pid, os.WNOHANG)[0]}

    def _answer(self, pid: int) -> None:
        """Send the exit code of a command that has ended, or note that its client has left."""
        client = self._clients.pop(pid)
        self._selector.unregister(client)
        with client:
            if _asks(client):
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _send(client, f"{code}\n".encode())
            else:
                self._abandoned.add(pid)
                self._look_for_ends()
        self._ended.discard(pid)

    def _kill_all(self) -> None:
        for pid in (*self._clients, *self._abandoned):
            os.kill(pid, signal.SIGKILL)


def become(request: Request, streams: list[int]) -> None:
    """Make this process what a fresh interpreter is when it begins to run a command."""
    os.setsid()
    if request.terminal:
        fcntl.ioctl(streams[0], termios.TIOCSCTTY, 0)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request.folder)
    os.umask(request.umask)
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    for name, mode in (("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb")):
        stream = _stream(getattr(sys, name), mode)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = [str(PACKAGE / "__main__.py"), *request.arguments]
    sys.orig_argv = [sys.executable, "-m", "imagegen", *request.arguments]
    exec(request.before, {"__name__": "sitecustomize"})  # a test's


def _stream(old: Any, mode: str) -> io.TextIOWrapper:
    """Return a standard stream as Python makes it (`create_stdio` in pylifecycle.c)."""
    file = open(old.fileno(), mode, closefd=False)  # noqa: SIM115  # a descriptor
    return io.TextIOWrapper(
        file,
        encoding=old.encoding,
        errors=old.errors,
        newline="\n",
        line_buffering=file.isatty() or old is sys.stderr,
    )


def _connection(control: Any) -> socket.socket | None:
    """Return the next client's connection; None if no client will come."""
    data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    return socket.socket(fileno=descriptors[0]) if data else None


def _request(client: socket.socket) -> tuple[Request, list[int]] | None:
    """Read what a client wants to run, and its streams; None if it has left."""
    data, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as lines:
        line = lines.readline() if data else b""
    if line:
        return Request(**json.loads(line)), list(streams)
    client.close()
    return None


def _asks(client: socket.socket) -> bool:
    """Return whether a client asks for the exit code; if not, it has left."""
    try:
        return bool(client.recv(1))
    except ConnectionResetError:
        # It left before it read that its command has ended.
        return False


def _send(client: socket.socket, data: bytes) -> None:
    # One that has left will be seen to have.
    with suppress(OSError):
        client.sendall(data)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal: it has rung the bell already."""


class Detached(ModuleType):
    """The module `subprocess`, to a command that starts another one: that one is forked too."""

    def __init__(self, client: Client) -> None:
        super().__init__("subprocess")
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(  # noqa: N802
        self,
        words: list[str],
        *,
        stdout: int,
        env: Mapping[str, str] | None,
        **options: Any,
    ) -> "subprocess.Popen[Any]":
        """Start what `imagegen.runs.detach` starts, with a fresh interpreter if it needs one."""
        env = dict(os.environ) if env is None else env
        if words[: len(_START)] != _START or not self._client.fits(env):
            return subprocess.Popen(words, stdout=stdout, env=env, **options)
        return self._client.start_detached(words[len(_START) :], Path.cwd(), env, stdout)


def import_all() -> set[str]:
    """Import all that commands import, early or late; returns the variables that this has read.

    A command whose environment differs in one of those needs an interpreter of its own.
    """
    read: set[str] = set()
    environment = type(os.environ)
    get = environment.__getitem__

    def noted(self: Any, name: str) -> str:
        read.add(name)
        return get(self, name)

    environment.__getitem__ = noted  # type: ignore[method-assign]
    try:
        for name in (*sorted(_imported()), *_LATE):
            # Some are another system's, or an extra's.
            with suppress(ImportError):
                importlib.import_module(name)
        importlib.import_module("PIL.Image").preinit()
    finally:
        environment.__getitem__ = get  # type: ignore[method-assign]
    return read - _HARMLESS


def _imported() -> set[str]:
    """Return the package's modules, and all that they import wherever in them."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "__main__.py":
            continue
        names.add(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
        for line in _IMPORT.finditer(path.read_bytes()):
            names |= {name.split()[0] for name in line["names"].decode().split(",")}
    return {name.removesuffix(".__init__") for name in names}


def main() -> bool:
    """Serve the client at the socket whose number is given; True in a process that runs a command.

    The first line to the client is the variables that commands must share with this process.
    """
    ours, inner = socket.socketpair()
    with socket.socket(fileno=int(sys.argv[1])) as control, inner:
        env = dict(os.environ)
        gc.disable()
        read = import_all()
        if threading.active_count() > 1:
            raise RuntimeError("a process with threads cannot fork")
        gc.freeze()
        gc.enable()
        control.sendall(json.dumps(sorted(read)).encode() + b"\n")
        wanted = Server(control, inner).serve()
    if wanted is None:
        ours.close()
    else:
        become(*wanted)
        detach: Any = importlib.import_module("imagegen.runs.detach")
        detach.subprocess = Detached(Client(ours, env, read))
    return wanted is not None


def end(code: int) -> NoReturn:
    """End this process as Python ends, but for tidying the memory, which takes longest.

    As in `Py_FinalizeEx`: threads are waited for, exit handlers run, and streams are written out.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = 120
    os._exit(code)


if __name__ == "__main__":
    # The first entry is the tests' folder, where a command finds nothing.
    del sys.path[0]
    if main():
        from imagegen.cli import main as run

        try:
            run()
        except SystemExit as ended:
            end(int(ended.code or 0))
