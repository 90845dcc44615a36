"""The page's server among others on the machine: who connects, reads or waits, and gets nothing."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from uvicorn.config import Config
from uvicorn.server import ServerState

from commands import SECONDS, Commands
from gemini_server import GeminiServer
from imagegen.web.connections import HEAD_SECONDS, MOST_STRANGERS, Connection
from serving import Served

if sys.platform == "win32":
    pytest.skip("looks at other users as Unix has them", allow_module_level=True)

from terminal import CTRL_C, Terminal

SKETCH = 'provider = "sketch"\nimage_size = "512"\n'
NOBODY = 65534


class _Timer:
    """A timer of the fake loop."""

    def __init__(self, seconds: float, act: Callable[[], None]) -> None:
        self.seconds = seconds
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        self.act = None


class _Loop:
    """An event loop of which only time and timers are asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[_Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, act: Callable[[], None]) -> _Timer:
        self.timers.append(_Timer(seconds, act))
        return self.timers[-1]

    def create_task(self, coroutine: Any, **_: object) -> Any:
        coroutine.close()
        return _Task()

    def pass_time(self) -> None:
        """Let every timer that was not cancelled go off."""
        due, self.timers = self.timers, []
        for timer in due:
            if timer.act is not None:
                timer.act()


class _Task:
    def add_done_callback(self, _: object) -> None:
        """Never done."""


class _Transport:
    """One end of a connection: what was written, and whether it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, _: str, default: object = None) -> object:
        return default


class Listener:
    """The server's side of connections, without a network."""

    def __init__(self) -> None:
        self.loop = _Loop()
        self.state = ServerState()
        self.config = Config(_app, lifespan="off", log_config=None)
        self.config.load()

    def connect(self) -> tuple[Connection, _Transport]:
        """Return one more connection, a second later than the one before."""
        self.loop.now += 1
        made = Connection(self.config, self.state, {}, self.loop)  # type: ignore[arg-type]
        transport = _Transport()
        made.connection_made(transport)  # type: ignore[arg-type]
        return made, transport


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"G"])
def test_a_head_has_a_bounded_time(said: bytes) -> None:
    """However it drips: the time is not begun again by what comes."""
    listener = Listener()
    connection, transport = listener.connect()
    for byte in said:
        connection.data_received(bytes([byte]))
    assert [timer.seconds for timer in listener.loop.timers] == [HEAD_SECONDS]
    listener.loop.pass_time()
    assert transport.closed


def test_a_whole_request_is_not_hurried() -> None:
    """A stream may be open for hours; the head of the next request has its time again."""
    listener = Listener()
    connection, transport = listener.connect()
    connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    listener.loop.pass_time()
    assert not transport.closed
    asyncio.run(_answer(connection))
    connection.data_received(b"G")
    waiting = [timer for timer in listener.loop.timers if timer.act is not None]
    assert [timer.seconds for timer in waiting] == [HEAD_SECONDS]
    listener.loop.pass_time()
    assert transport.closed


async def _answer(connection: Connection) -> None:
    await connection.cycle.send({"type": "http.response.start", "status": 200, "headers": []})
    await connection.cycle.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _app(_: object, __: object, ___: object) -> None:
    """Answer nothing."""


def test_one_stranger_too_many_closes_the_oldest() -> None:
    """And never a connection that has brought the token."""
    listener = Listener()
    friend, kept = listener.connect()
    friend.admit()
    strangers = [listener.connect()[1] for _ in range(MOST_STRANGERS + 2)]
    assert [one.closed for one in strangers] == [True, True] + [False] * MOST_STRANGERS
    assert not kept.closed


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"", b"GET /api/project HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_idle_connections_keep_nobody_out(commands: Commands, said: bytes) -> None:
    """As anybody on the machine can make them; the owner's own streams go on meanwhile."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served, contextlib.ExitStack() as held:
        stream = served.events()
        for _ in range(320):
            address = (served.host, served.port)
            connection = held.enter_context(socket.create_connection(address))
            with contextlib.suppress(ConnectionError):
                connection.sendall(said)
        with requests.Session() as fresh:
            fresh.trust_env = False
            headers = {"Authorization": f"Bearer {served.token}"}
            assert fresh.get(f"{served.base}/api/project", headers=headers, timeout=10).ok
        served.generate().to_end()
        assert stream.until("complete")["exit_code"] == 0


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000,
    ],
)
def test_what_is_no_request_is_answered_as_every_error(said: bytes) -> None:
    """With the headers that keep a browser from doing more with it."""
    connection, transport = Listener().connect()
    connection.data_received(said)
    head = transport.written.decode().lower()
    assert head.startswith("http/1.1 400 ")
    for name in ("content-security-policy", "x-content-type-options", "referrer-policy"):
        assert f"\r\n{name}: " in head
    assert transport.closed


# Another user of the machine

SPY = """
import json, os, pathlib, sys
folder, shared = sys.argv[1:]
seen = []

def look():
    for path in (*pathlib.Path("/proc").glob("[0-9]*/cmdline"),
                 *pathlib.Path("/proc").glob("[0-9]*/environ")):
        read(path)
    for root, _, names in os.walk(folder):
        seen.append(root)
        for name in names:
            seen.append(name)
            read(pathlib.Path(root) / name)

def read(path):
    try:
        seen.append(path.read_bytes().decode("utf-8", "replace"))
    except OSError:
        pass

while not os.path.exists(shared + "/end"):
    opened = os.path.exists(shared + "/open")
    look()
    if opened:
        pathlib.Path(shared + "/seen").touch()
look()
print(json.dumps(sorted(set(seen))))
"""

BROWSER = """#!{python}
import pathlib, re, sys, time, urllib.request
shared = pathlib.Path({shared!r})
(shared / "open").touch()
while not (shared / "seen").exists():
    time.sleep(0.01)
page = pathlib.Path(urllib.request.url2pathname(sys.argv[1].removeprefix("file://")))
mode = page.stat().st_mode & 0o777
address = re.search(r'href="([^"]+)"', page.read_text())[1]
request = urllib.request.Request(address, headers={{"Sec-Fetch-Site": "cross-site"}})
answer = urllib.request.urlopen(request)
home = re.search(r'href="([^"]+)"', answer.read().decode())[1]
cookie = answer.headers["Set-Cookie"].partition(";")[0]
(shared / "browser").write_text("\\n".join([oct(mode), sys.argv[1], address, home, cookie]))
(shared / "browser").chmod(0o600)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a folder that every user of the machine reaches."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def at_end() -> Iterator[contextlib.ExitStack]:
    """Return what is undone at the end of a test."""
    with contextlib.ExitStack() as stack:
        yield stack


def _python_of_anybody() -> str | None:
    """Return a Python that another user can start."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([python, "-c", ""], user=NOBODY, check=True, capture_output=True)
            return python
    return None


def _wait_until_there(file: Path) -> None:
    end = time.monotonic() + SECONDS
    while not file.exists() or not file.stat().st_size:
        assert time.monotonic() < end, f"no {file}"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, and /proc")
def test_another_user_gets_nothing(
    shared: Path, server: GeminiServer, at_end: contextlib.ExitStack
) -> None:
    """Reads all arguments and files while a browser is opened and a run draws, and connects."""
    python = _python_of_anybody()
    if python is None:
        pytest.skip("no Python that another user can start")
    folder = shared / "mine"
    folder.mkdir()
    commands = Commands(folder)
    root = commands.project()
    browser = shared / "browse"
    browser.write_text(BROWSER.format(python=sys.executable, shared=str(shared)))
    browser.chmod(0o755)
    env = {"BROWSER": f"{browser} %s", "DISPLAY": ":0"}
    spy = at_end.enter_context(
        subprocess.Popen(
            [python, "-c", SPY, str(folder), str(shared)],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    at_end.callback(spy.kill)
    options = ("--base-url", server.address)
    with Terminal(commands, "serve", root, *options, columns=200, env=env) as terminal:
        terminal.wait_for("Ctrl-C")
        _wait_until_there(shared / "browser")
        found = re.search(r"(http://\S+)/\?token=(\S+)", terminal.text)
        assert found is not None
        base, token = found[1], found[2]
        mode, argument, address, home, cookie = (shared / "browser").read_text().split("\n")
        assert mode == "0o600"
        assert argument.startswith(f"file://{folder}/state/page-")
        assert not list((folder / "state").glob("page-*")), "it is removed once it was used"
        headers = {"Authorization": f"Bearer {token}"}
        begun = requests.post(f"{base}/api/generate-images", json={}, headers=headers, timeout=60)
        assert '"exit_code":0' in begun.text
        for path, given in (("/", {}), (home, {}), ("/api/project", {"Sec-Fetch-Site": "none"})):
            answer = requests.get(base + path, headers=given, timeout=10)
            assert answer.status_code == 401
            assert "my-video" not in answer.text
        # The second to come with the one-time address, as one who read it somehow.
        assert requests.get(address, timeout=10).status_code == 401
        (shared / "end").touch()
        told, _ = spy.communicate(timeout=60)
        terminal.type(CTRL_C)
        assert terminal.end() == 0
    text = "\n".join(json.loads(told))
    assert argument in text, "it has read the browser's arguments"
    assert "Phrase 1." in text, "it has read what every user may"
    secrets = [token, address.partition("token=")[2], home, cookie.partition("=")[2]]
    secrets += commands.keys
    assert not [secret for secret in secrets if secret in text]
