"""The page's server, run as users run it, and what its clients say and hear."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import anyio
import requests
from starlette.types import ASGIApp, Message

from commands import Commands, Done

SECONDS = 60
"""An answer that takes longer has hung."""


class Served:
    """`imagegen serve` on a project; `with` it, or `close` it. `fresh`: see `Commands.start`."""

    def __init__(
        self,
        commands: Commands,
        root: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> None:
        self._commands = commands
        self.root = root
        self.process: subprocess.Popen[str] = commands.start(
            "serve", root, "--no-browser", *options, env=env, fresh=fresh
        )
        assert self.process.stdout is not None
        found = None
        for line in self.process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                break
        assert found, self.process.stderr and self.process.stderr.read()
        self.address = found[0]
        parts = urlsplit(self.address)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port
        self.base = f"http://{self.host}:{self.port}"
        self.token = parts.query.removeprefix("token=")
        self._streams: list[Stream] = []
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {self.token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> Done:
        """End it as Ctrl-C does."""
        for stream in self._streams:
            stream.close()
        self.session.close()
        if os.name == "posix":
            self.process.send_signal(signal.SIGINT)
        else:
            self.process.terminate()
        return self._commands.wait(self.process)

    def get(self, path: str, **options: Any) -> requests.Response:
        """Ask for something."""
        return self.session.get(self.base + path, timeout=SECONDS, **options)

    def post(self, path: str, body: object = None, **options: Any) -> requests.Response:
        """Ask for something to be done."""
        return self.session.post(self.base + path, json=body, timeout=SECONDS, **options)

    def raw(
        self,
        target: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Ask for exactly this, dots and all; returns the status and the answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        named = {"Authorization": f"Bearer {self.token}"} | dict(headers or {})
        with contextlib.closing(connection):
            connection.request(method, target, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def connect(self, target: str = "/api/events") -> socket.socket:
        """Ask for something, and leave the answer unread."""
        connection = socket.create_connection((self.host, self.port), timeout=SECONDS)
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\n\r\n".encode()
        )
        return connection

    def generate(self, **asked: object) -> "Stream":
        """Start a run, and follow it."""
        return self._stream(self.post("/api/generate-images", asked, stream=True))

    def events(self, since: str | None = None) -> "Stream":
        """Follow whatever runs; `since` is the last id that was heard."""
        headers = {"Last-Event-ID": since} if since else {}
        return self._stream(self.get("/api/events", headers=headers, stream=True))

    def _stream(self, response: requests.Response) -> "Stream":
        self._streams.append(Stream(response))
        return self._streams[-1]

    def memory(self) -> int:
        """Return the most bytes that the server has held so far; Linux only."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


class Stream:
    """Server-Sent Events as they come: each an id, empty where it has none, and an object."""

    def __init__(self, response: requests.Response) -> None:
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "text/event-stream"
        self._response = response
        self._lines = response.iter_lines(chunk_size=1)
        self.last = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        quiet = 0
        for line in self._lines:
            name, _, value = line.decode().partition(": ")
            # Every quarter of a minute a server with nothing to say sends a colon.
            quiet = quiet + 1 if line == b":" else 0 if line else quiet
            assert quiet < 3, "the stream says nothing"
            if name == "id":
                self.last = value
            elif name == "data":
                yield json.loads(value)

    def until(self, kind: str, **fields: object) -> dict[str, Any]:
        """Return the next event of a type with these fields."""
        for event in self:
            if event["type"] == kind and fields.items() <= event.items():
                return event
        raise AssertionError(f"the stream ended without {kind}")

    def to_end(self) -> list[dict[str, Any]]:
        """Return all events up to the run's last, it included."""
        found = []
        for event in self:
            found.append(event)
            if event["type"] in {"complete", "error"}:
                break
        return found

    def close(self) -> None:
        """Leave."""
        self._response.close()


def picture_path(style: str, shot: str, beat: str) -> str:
    """Return where a picture is asked for."""
    return "/images/" + "/".join(quote(part, safe="") for part in (style, shot, f"{beat}.png"))


def journal(root: Path, run: str) -> list[dict[str, Any]]:
    """Return what a run wrote down."""
    lines = (root / ".imagegen" / "runs" / f"{run}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def ask(app: ASGIApp, target: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Ask an application in this process; `headers` have `_` for `-`. Returns its answer."""
    path, _, query = target.partition("?")
    named = {"host": "127.0.0.1:8000"} | {n.replace("_", "-"): v for n, v in headers.items()}
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
    }
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    async def answer() -> None:
        await app(scope, receive, send)

    anyio.run(answer)
    first, *rest = said
    got = {name.decode(): value.decode() for name, value in first["headers"]}
    return first["status"], got, b"".join(one.get("body", b"") for one in rest).decode()
