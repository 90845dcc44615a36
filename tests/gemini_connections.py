"""The connections of the model of the Gemini API: HTTP as it should be, and as it should not."""

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from gemini_replies import REJECTIONS, Answer, encoded, error, success
from gemini_requests import Recorded, read

if TYPE_CHECKING:
    from gemini_server import GeminiServer

HUGE = 3 * 1024**3
_DRIP = 0.02


class Listener(ThreadingHTTPServer):
    """The listening socket and its connections, until the server goes down.

    `_connections_lock` guards `_connections`.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(
        self, address: tuple[str, int], api: "GeminiServer", connection: "type[Connection]"
    ) -> None:
        self.api = api
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, connection)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop listening and end every connection."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._connections_lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection while it lasts."""
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection, the hard way if it is to be reset."""
        with self._connections_lock:
            self._connections.discard(request)
        lingering = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        if lingering == _RESET:
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing such a socket resets its connection."""


class Connection(BaseHTTPRequestHandler):
    """One connection of a client. Servers of other APIs override what is the API's."""

    server: Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """List the models, or show one of them."""
        api = self.server.api
        request = self.arrive()
        turned_away = api.of_the_key(request.key)
        if turned_away in (Answer.NO_KEY, Answer.BAD_KEY, Answer.LEAKED_KEY):
            request.kind = turned_away
            self.answer(request, *error(Answer(turned_away), ""))
            return
        url = urlsplit(self.path)
        # Google's own client asks for the list under /v1.
        name = url.path.replace("/v1/", "/v1beta/", 1)
        name = name.removeprefix("/v1beta/models").removeprefix("/")
        if name and name not in api.models:
            request.kind = Answer.MODEL_GONE
            self.answer(request, *error(Answer.MODEL_GONE, name))
        elif name:
            self.answer(request, 200, _model(name))
        else:
            self.answer(request, 200, _page(api, parse_qs(url.query)))

    def do_POST(self) -> None:
        """Draw a picture."""
        api = self.server.api
        request = self.arrive()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request.model = unquote(urlsplit(self.path).path).rpartition("/")[2].partition(":")[0]
        kind, retry, why = self.judge(request, body)
        request.kind = kind
        api.wait_before_answering()
        if kind in _MISBEHAVIOURS:
            self.close_connection = True
            with suppress(OSError):
                _MISBEHAVIOURS[kind](self, request)
            api.on_answered(request)
        else:
            self.answer(request, *self.reply(request, retry, why))

    def reply(
        self, request: Recorded, retry: float, why: str
    ) -> tuple[int, Any, Mapping[str, object]]:
        """Return the status, the body and more headers for a request of this kind."""
        kind = request.kind
        if kind in REJECTIONS or kind in (Answer.ERROR_500, Answer.UNAVAILABLE):
            return *error(Answer(kind), request.model, retry=retry, why=why), {}
        answer = success(Answer(kind), request.prompt, self.server.api.picture_bytes)
        if "usageMetadata" in answer:
            answer = {**answer, "usageMetadata": _counted(answer["usageMetadata"], request)}
        return 200, answer, {}

    def judge(self, request: Recorded, body: bytes) -> tuple[Answer | str, float, str]:
        """Return what to answer, the retry delay, and what is wrong with the request."""
        api = self.server.api
        try:
            read(request, body, api.unknown_fields)
        except ValueError as wrong:
            api.record(request)
            return api.of_the_key(request.key) or Answer.BAD_REQUEST, 0.0, str(wrong)
        api.record(request)
        turned_away = api.of_the_key(request.key)
        if turned_away is not None:
            return turned_away, 34.0, ""
        if request.model not in api.models or not self.path.endswith(":generateContent"):
            return Answer.MODEL_GONE, 0.0, ""
        return *api.decide(request), ""

    def arrive(self) -> Recorded:
        """Return the request as its head tells it."""
        request = Recorded(
            arrived=time.monotonic(),
            method=self.command,
            path=self.path,
            key=self.headers.get("x-goog-api-key"),
        )
        if self.command == "GET":
            self.server.api.record(request)
        return request

    def answer(
        self, request: Recorded, status: int, answer: Any, headers: Mapping[str, object] = {}
    ) -> None:
        """Send a whole answer."""
        body = encoded(answer)
        try:
            self.send(request, status, {"Content-Length": len(body), **headers}, body)
            request.whole = True
        finally:
            self.server.api.on_answered(request)

    def send(
        self, request: Recorded, status: int, headers: Mapping[str, object], body: bytes = b""
    ) -> None:
        """Send a response, its first bytes at least."""
        request.status = status
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=UTF-8", **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
        request.sent_bytes += len(body)

    def drip(self, request: Recorded, line: bytes) -> None:
        """Send `line` a byte at a time, over and over, until the client has enough."""
        while not self.server.api.ending.is_set():
            for byte in line:
                self.wfile.write(bytes([byte]))
                request.sent_bytes += 1
                if self.server.api.ending.wait(_DRIP):
                    return

    def log_message(self, *_: object) -> None:
        """Stay silent; the server has its own log."""


_REFERENCE_TOKENS = 1120
_PICTURE_TOKENS = {"512": 747, "1K": 1120, "2K": 1680, "4K": 2520}
_OF_MODELS = {"gemini-nano-banana-2.1": {"1K": 1120, "2K": 1680, "4K": 3767}}


def _counted(usage: dict[str, int], request: Recorded) -> dict[str, object]:
    """Return the tokens of an answer with those of references and of the size's pixels."""
    brought = len(request.references) * _REFERENCE_TOKENS
    counted: dict[str, object] = {**usage}
    if brought:
        text = usage["promptTokenCount"]
        counted["promptTokenCount"] = text + brought
        counted["promptTokensDetails"] = [
            {"modality": "TEXT", "tokenCount": text},
            {"modality": "IMAGE", "tokenCount": brought},
        ]
    if "candidatesTokenCount" in usage:
        sizes = _OF_MODELS.get(request.model, _PICTURE_TOKENS)
        counted["candidatesTokenCount"] = sizes.get(request.size, usage["candidatesTokenCount"])
    return counted


def _half_body(connection: Connection, request: Recorded) -> None:
    body = encoded(success(Answer.PICTURE, request.prompt))
    connection.send(request, 200, {"Content-Length": len(body)}, body[: len(body) // 2])


def _html(connection: Connection, request: Recorded) -> None:
    body = b"<!DOCTYPE html><html><body>Sign in to the guest network</body></html>"
    connection.send(request, 200, {"Content-Type": "text/html", "Content-Length": len(body)}, body)


def _redirect(connection: Connection, request: Recorded) -> None:
    headers = {"Location": connection.server.api.redirect_to, "Content-Length": 0}
    connection.send(request, 302, headers)


def _huge_body(connection: Connection, request: Recorded) -> None:
    connection.send(request, 200, {"Content-Length": HUGE})
    zeros = bytes(64 * 1024)
    while request.sent_bytes < HUGE:
        connection.wfile.write(zeros)
        request.sent_bytes += len(zeros)


def _dripping_body(connection: Connection, request: Recorded) -> None:
    connection.send(request, 200, {"Content-Length": 1_000_000})
    connection.drip(request, b" ")


def _dripping_headers(connection: Connection, request: Recorded) -> None:
    connection.wfile.write(b"HTTP/1.1 200 OK\r\n")
    connection.drip(request, b"X-Padding: more to come\r\n")


def _reset(connection: Connection, _request: Recorded) -> None:
    connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _silence(connection: Connection, _request: Recorded) -> None:
    """Wait for the client to give up."""
    connection.rfile.read(1)


_MISBEHAVIOURS: dict[str, Callable[[Connection, Recorded], None]] = {
    Answer.HALF_BODY: _half_body,
    Answer.HTML: _html,
    Answer.REDIRECT: _redirect,
    Answer.HUGE_BODY: _huge_body,
    Answer.DRIPPING_BODY: _dripping_body,
    Answer.DRIPPING_HEADERS: _dripping_headers,
    Answer.RESET: _reset,
    Answer.SILENCE: _silence,
}


def _model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _page(api: "GeminiServer", query: Mapping[str, list[str]]) -> dict[str, Any]:
    start = int(query.get("pageToken", ["0"])[0])
    end = start + min(api.page_size, int(query.get("pageSize", ["50"])[0]))
    page: dict[str, Any] = {"models": [_model(name) for name in api.models[start:end]]}
    if end < len(api.models):
        page["nextPageToken"] = str(end)
    return page
