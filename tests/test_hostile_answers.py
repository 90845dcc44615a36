"""Answers made to do harm: each is met once, its beat is drawn after all, memory is bounded."""

import gzip
import json
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from builders import picture as png_file
from commands import Commands, pictures
from gemini_replies import Answer, encoded, success
from gemini_requests import Recorded, read
from hostile import Measured, measured

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="memory is not measured there"),
]

MEGABYTE = 1024 * 1024
NASTY = "\x1b[31m\x9b2J\x07\u202e[bold]x[/]\u2028\0"


class Reply:
    """One answer: status, headers and the pieces of its body."""

    def __init__(self, body: bytes = b"", status: int = 200, **headers: object) -> None:
        self.body = body
        self.status = status
        self.headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        self.more: Callable[[], Iterator[bytes]] = lambda: iter(())

    def then(self, more: Callable[[], Iterator[bytes]]) -> "Reply":
        """Return the same answer with a body that goes on."""
        self.more = more
        return self


def endless(piece: bytes, times: int) -> Callable[[], Iterator[bytes]]:
    """Return what repeats a piece."""
    return lambda: (piece for _ in range(times))


def inline(data: bytes, **more: object) -> bytes:
    """Return an answer that holds these bytes as its picture."""
    part = {"inlineData": {"mimeType": "image/png", "data": data}}
    return msgspec.json.encode({"candidates": [{"content": {"parts": [part]}}], **more})


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG's chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width: int, height: int, body: bytes) -> bytes:
    """Return a PNG that says it has this size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg_claiming(width: int, height: int) -> bytes:
    """Return a small JPEG that says it has this size."""
    data = bytearray(png_file(kind="JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def error(http: int, **fields: object) -> Reply:
    """Return an error in the service's form."""
    return Reply(json.dumps({"error": fields}).encode(), http)


GOOD = encoded(success(Answer.PICTURE, "another prompt"))
DEEP = b"[" * 200_000

SINGLE: dict[str, Reply] = {
    "huge counts": Reply(
        encoded(success(Answer.PICTURE, "x"))
        .replace(b"1120", b"9" * 4000)
        .replace(b":80,", b":-1,")
    ),
    "counts of all types": Reply(
        inline(png_file(), usageMetadata={"candidatesTokenCount": [], "promptTokenCount": 1e300})
    ),
    "a foolish type": Reply(inline(png_file()).replace(b"image/png", b"text/html")),
}
"""These are pictures, whatever stands beside them."""


def hostile() -> dict[str, Reply]:
    """Return answers of which each costs an attempt and no more; they take seconds to make."""
    zeros = gzip.compress(bytes(500 * MEGABYTE), 9)
    return {
        "deep": Reply(b'{"candidates":' + DEEP),
        "deep where nobody looks": Reply(b'{"x":' + DEEP + b"]" * 200_000 + b"}"),
        "deep counts": Reply(b'{"usageMetadata":' + DEEP + b"]" * 200_000 + b"}"),
        "deep details": Reply(b'{"error":{"details":' + DEEP + b"]" * 200_000 + b"}}", 500),
        "violations": Reply(
            b'{"error":{"details":' + b'[{"violations":' * 480 + b"1" + b"}]" * 480 + b"}}", 500
        ),
        "empty lists": Reply(b'{"candidates":[' + b",".join([b"{}"] * 5_000_000) + b"]}"),
        "empty details": Reply(
            b'{"error":{"details":[' + b",".join([b"[]"] * 5_000_000) + b"]}}", 503
        ),
        "spaces": Reply(
            b'{"candidates":[{"content":{"parts":[{"text":"' + b"a " * 8_000_000 + b'"}]}}]}'
        ),
        "a bomb": Reply(zeros, Content_Encoding="gzip"),
        "a bomb in a bomb": Reply(gzip.compress(zeros), Content_Encoding="gzip, gzip"),
        "many wrappers": Reply(b"", Content_Encoding=", ".join(["gzip"] * 500)),
        "no gzip at all": Reply(b"plain", Content_Encoding="gzip"),
        "unknown wrapper": Reply(GOOD[:-9], Content_Encoding="x-unknown"),
        "three gigabytes": Reply(b"", Content_Length=3 * 1024**3).then(
            endless(bytes(MEGABYTE), 3000)
        ),
        "a gigabyte of base64": Reply(
            b'{"candidates":[{"content":{"parts":[{"inlineData":{"data":"', Content_Length=1024**3
        ).then(endless(b"iVBO" * (MEGABYTE // 4), 1000)),
        "shorter than it says": Reply(GOOD, Content_Length=len(GOOD) + 100),
        "longer than it says": Reply(GOOD, Content_Length=len(GOOD) // 2),
        "a negative length": Reply(GOOD, Content_Length=-1),
        "a length that is none": Reply(GOOD[:-1], Content_Length="1e9"),
        "a long header": Reply(GOOD, X="x" * 200_000),
        "many headers": Reply(GOOD, 200, **{f"X{n}": "x" for n in range(1000)}),
        "a huge picture": Reply(
            inline(png_claiming(50_000, 50_000, zlib.compress(bytes(MEGABYTE))))
        ),
        "a huge JPEG": Reply(inline(jpeg_claiming(65_500, 65_500))),
        "torn": Reply(inline(png_file()[:-20])),
        "no pixels": Reply(inline(b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""))),
        "not base64": Reply(inline(b"").replace(b'""', b'"%%%%"')),
        "half a pair": Reply(b'{"candidates":[{"content":{"parts":[{"text":"\\ud800"}]}}]}'),
        "no unicode": Reply(b'{"candidates":[{"content":{"parts":[{"text":"\xff\xfe"}]}}]}'),
        "candidates are text": Reply(b'{"candidates":"none"}'),
        "candidates are null": Reply(b'{"candidates":null}'),
        "parts are a number": Reply(b'{"candidates":[{"content":{"parts":7}}]}'),
        "a list": Reply(b"[]"),
        "null": Reply(b"null"),
        "a number": Reply(b"1e400"),
        "nothing": Reply(b""),
        "an error that is text": Reply(b'{"error":"no"}', 500),
        "an error of nulls": error(500, message=None, status=None, details=None),
        "an error of numbers": error(500, message=1, status=[], details={}),
        "odd retry": error(503, message=NASTY, status=NASTY, details=[{"retryDelay": 7}, None, []]),
        "an unknown status": Reply(b"{}", 799),
        "no content": Reply(b"", 204),
    }


class Hostile(ThreadingHTTPServer):
    """A server that gives each prompt its own answer once, and then a good one.

    With `again` it never gives the good one. `answered` is set when all had theirs.
    """

    daemon_threads = True

    def __init__(self, answers: dict[int, Reply], *, again: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answers = answers
        self.again = again
        self.asked: list[str] = []
        self.answered = threading.Event()
        self.lock = threading.Lock()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that have had enough."""


class _Connection(BaseHTTPRequestHandler):
    server: Hostile
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(
            Reply(
                b'{"models":[{"name":"models/x-image","supportedGenerationMethods":["generateContent"]}]}'
            )
        )

    def do_POST(self) -> None:
        asked = Recorded(0.0, "POST", self.path, None)
        read(asked, self.rfile.read(int(self.headers["Content-Length"])))
        prompt = asked.prompt
        number = int(prompt.partition("<")[2].partition(">")[0])
        with self.server.lock:
            first = prompt not in self.server.asked
            self.server.asked.append(prompt)
        server = self.server
        reply = server.answers.get(number) if first or server.again else None
        self._send(reply or Reply(encoded(success(Answer.PICTURE, prompt))))
        if len(set(server.asked)) >= len(server.answers):
            server.answered.set()

    def _send(self, reply: Reply) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.send_response(reply.status)
            for name, value in {"Content-Length": len(reply.body), **reply.headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(reply.body)
            for piece in reply.more():
                self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def drawn(commands: Commands, answers: dict[int, Reply], beats: int) -> tuple[Measured, list[str]]:
    """Draw a storyboard whose beats meet these answers; returns how it ended and the prompts."""
    root = commands.project(beats=beats, settings='draw = ["clear"]\ntimeout = 10\n', keys=3)
    server = Hostile(answers)
    try:
        done = measured(commands, "run", root, "-v", "--base-url", server.address)
    finally:
        server.shutdown()
        server.server_close()
    assert done.code == 0, done.text
    assert len(pictures(root)) == beats
    assert all(c.isprintable() or c == "\n" for c in done.text), repr(done.text)
    return done, server.asked


def test_every_hostile_answer_is_survived(commands: Commands) -> None:
    """Nothing that a server sends ends a run: the beat is asked for again, and drawn."""
    replies = hostile()
    # Two good answers between hostile ones, so that no outage is suspected.
    answers = {3 * n: reply for n, reply in enumerate(replies.values())}
    done, asked = drawn(commands, answers, 3 * len(replies))
    again = {name for n, name in enumerate(replies) if asked.count(_prompt(asked, 3 * n)) == 2}
    # Of these the part that counts is whole.
    assert set(replies) - again <= {"longer than it says", "a negative length"}
    assert done.megabytes < 1500


def test_a_picture_is_a_picture_whatever_stands_beside_it(commands: Commands) -> None:
    """Counts and types that cannot be cost no second request."""
    _, asked = drawn(commands, dict(enumerate(SINGLE.values())), len(SINGLE))
    assert len(asked) == len(SINGLE)


def test_enormous_pictures_are_unpacked_one_at_a_time(commands: Commands) -> None:
    """A few kilobytes that unpack to 100 MB take that much once, not once in every thread."""
    answers = dict.fromkeys(range(6), Reply(inline(jpeg_claiming(5_700, 5_700))))
    done, asked = drawn(commands, answers, 6)
    assert len(asked) == 6
    assert done.megabytes < 480


def _prompt(asked: list[str], number: int) -> str:
    return next(prompt for prompt in asked if f"<{number}>" in prompt)
