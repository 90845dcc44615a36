"""An exchange ends on time, is bounded and never tells a key, whatever the server does."""

import gzip
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from gemini_server import MODELS, Answer, GeminiServer
from imagegen.errors import UsageError
from imagegen.providers.base import Fault, Kind
from imagegen.providers.connections import Exchange
from imagegen.providers.http import Http, Reply

KEY = "test-key-alpha-000001"
PATH = f"/v1beta/models/{MODELS[0]}:generateContent"
MEBIBYTE = 1024 * 1024
BRIEF = 0.4
"""Seconds after which an exchange that would never end has to be over."""

Script = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    """Serve the model of the API."""
    with GeminiServer() as running:
        yield running


class Sent:
    """Counts how often a request was said to have left, and lets a test wait for it."""

    def __init__(self) -> None:
        self.times = 0
        self.event = threading.Event()

    def __call__(self) -> None:
        """Count."""
        self.times += 1
        self.event.set()


class RawServer:
    """A server on loopback that runs `script` on each connection and then closes it."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._ended = False
        self.connections = 0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        # Wakes the thread that accepts.
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._ended:
                connection.close()
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._script(connection)


def read_request(connection: socket.socket) -> bytes:
    """Return the head of the next request after reading it whole; empty at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while missing > 0:
        missing -= len(connection.recv(65536))
    return head


def always(answer: bytes, heads: list[bytes] | None = None) -> Script:
    """Return a script that gives every request of a connection the same answer."""

    def script(connection: socket.socket) -> None:
        while head := read_request(connection):
            if heads is not None:
                heads.append(head)
            connection.sendall(answer)

    return script


def drip(connection: socket.socket) -> None:
    """Send a byte at a time until the other side has had enough."""
    gone = threading.Event()
    while True:
        connection.sendall(b"x")
        gone.wait(0.02)


def post(
    http: Http, prompt: str = "a fox", *, sent: Sent | None = None, timeout: float = 30.0
) -> Reply | Fault:
    """Ask for a picture."""
    body = msgspec.json.encode({"contents": [{"parts": [{"text": prompt}]}]})
    headers = {"x-goog-api-key": KEY, "Content-Type": "application/json"}
    return http.exchange(
        "POST", PATH, headers=headers, body=body, timeout=timeout, sent=sent or Sent()
    )


def once(address: str, *, sent: Sent | None = None, timeout: float = 30.0) -> Reply | Fault:
    """Ask for a picture over connections that are closed afterwards."""
    http = Http(address, width=2, limit=MEBIBYTE)
    try:
        return post(http, sent=sent, timeout=timeout)
    finally:
        http.close()


def trouble(outcome: Reply | Fault) -> str:
    """Return the reason of a passing fault, whose message tells no key."""
    assert isinstance(outcome, Fault)
    assert outcome.kind is Kind.PASSING
    assert KEY not in outcome.message
    return outcome.reason


# Deadlines: without the watchdog these tests would not end.


@pytest.mark.parametrize("kind", [Answer.DRIPPING_BODY, Answer.DRIPPING_HEADERS, Answer.SILENCE])
def test_deadline(server: GeminiServer, kind: Answer) -> None:
    """A server that drips or says nothing is left when the time is over."""
    server.fault("fox", kind)
    sent = Sent()
    assert trouble(once(server.address, sent=sent, timeout=BRIEF)) == "timeout"
    assert sent.times == 1


def test_deadline_on_a_body_without_length() -> None:
    """A dripping body that ends with its connection is left when the time is over."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        drip(connection)

    with RawServer(script) as raw:
        assert trouble(once(f"http://{raw.address}", timeout=BRIEF)) == "timeout"


def test_deadline_on_a_reused_connection(server: GeminiServer) -> None:
    """The deadline holds on a connection that has answered before."""
    http = Http(server.address, width=1)
    assert isinstance(post(http), Reply)
    server.fault("fox", Answer.DRIPPING_BODY)
    assert trouble(post(http, timeout=BRIEF)) == "timeout"
    assert isinstance(post(http), Reply)
    http.close()


def test_deadline_on_an_upload_that_nobody_reads() -> None:
    """A server that does not read is left when the time is over; the request may have left."""
    listener = socket.create_server(("127.0.0.1", 0))
    http = Http(f"http://127.0.0.1:{listener.getsockname()[1]}", width=1)
    sent = Sent()
    body = bytes(32 * MEBIBYTE)
    outcome = http.exchange("POST", PATH, headers={}, body=body, timeout=BRIEF, sent=sent)
    http.close()
    listener.close()
    assert trouble(outcome) == "timeout"
    assert sent.times == 1


def test_deadline_on_an_upload_of_which_the_watchdog_comes_to_know_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine the socket's own limit may be over first: it is the same."""
    monkeypatch.setattr(Exchange, "expire", lambda exchange: None)
    listener = socket.create_server(("127.0.0.1", 0))
    http = Http(f"http://127.0.0.1:{listener.getsockname()[1]}", width=1)
    body = bytes(32 * MEBIBYTE)
    outcome = http.exchange("POST", PATH, headers={}, body=body, timeout=BRIEF, sent=Sent())
    http.close()
    listener.close()
    assert trouble(outcome) == "timeout"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no full queue")
def test_deadline_on_connecting() -> None:
    """A server that cannot be reached in time is told so, and nothing has left."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for filler in waiting:
        filler.settimeout(0)
        filler.connect_ex(listener.getsockname())
    sent = Sent()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    outcome = once(address, sent=sent, timeout=BRIEF)
    for filler in (*waiting, listener):
        filler.close()
    assert trouble(outcome) == "timeout"
    assert sent.times == 0


def test_many_at_once(server: GeminiServer) -> None:
    """Each of many exchanges gets its own answer, and only the late ones are ended."""
    server.fault("late", Answer.DRIPPING_BODY, times=10)
    http = Http(server.address, width=20)

    def ask(index: int) -> bool:
        if index % 2:
            return trouble(post(http, f"late {index}", timeout=BRIEF)) == "timeout"
        return isinstance(post(http, f"early {index}"), Reply)

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(ask, range(20)))
    http.close()


# Answers.


def test_reply(server: GeminiServer) -> None:
    """An answer of any status comes whole, its headers without regard to case."""
    server.fault("fox", Answer.UNAVAILABLE)
    reply = once(server.address)
    assert isinstance(reply, Reply)
    assert reply.status == 503
    assert reply.headers["content-TYPE"].startswith("application/json")
    assert b"overloaded" in reply.body


def test_huge_body(server: GeminiServer) -> None:
    """A body over the limit is given up by closing the connection, not read to its end."""
    given_up = threading.Event()
    server.on_answered = lambda _: given_up.set()
    server.fault("fox", Answer.HUGE_BODY)
    assert trouble(once(server.address)) == "too large"
    assert given_up.wait(30)
    assert server.requests[0].sent_bytes < 256 * MEBIBYTE


def test_unpacked_size_counts() -> None:
    """A small answer that unpacks to more than the limit is too large."""
    body = gzip.compress(bytes(8 * MEBIBYTE))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    with RawServer(always(head.encode() + body)) as raw:
        assert trouble(once(f"http://{raw.address}")) == "too large"


def test_answer_as_large_as_the_limit() -> None:
    """An answer of exactly the limit is whole."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {MEBIBYTE}\r\n\r\n".encode()
    with RawServer(always(head + bytes(MEBIBYTE))) as raw:
        reply = once(f"http://{raw.address}")
    assert isinstance(reply, Reply)
    assert len(reply.body) == MEBIBYTE


def test_half_a_body(server: GeminiServer) -> None:
    """A body that ends early is cut short, not taken for the answer."""
    server.fault("fox", Answer.HALF_BODY)
    assert trouble(once(server.address)) == "cut short"


def test_half_a_chunked_body() -> None:
    """A body in chunks that ends early is cut short too."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    with RawServer(script) as raw:
        assert trouble(once(f"http://{raw.address}")) == "cut short"


def test_not_http() -> None:
    """A server that speaks something else is a broken connection."""
    with RawServer(always(b"SSH-2.0-OpenSSH\r\n\r\n")) as raw:
        assert trouble(once(f"http://{raw.address}")) == "connection"


def test_reset(server: GeminiServer) -> None:
    """A connection that is reset is told as such, and its request may have left."""
    server.fault("fox", Answer.RESET)
    sent = Sent()
    assert trouble(once(server.address, sent=sent)) == "connection"
    assert sent.times == 1


def test_redirect_is_not_followed(server: GeminiServer) -> None:
    """A redirect is returned as it is; the server that it points to hears nothing."""
    with GeminiServer() as other:
        server.redirect_to = f"{other.address}{PATH}"
        server.fault("fox", Answer.REDIRECT)
        reply = once(server.address)
        assert other.requests + other.listings == []
    assert isinstance(reply, Reply)
    assert reply.status == 302
    assert reply.headers["Location"] == server.redirect_to


def test_redirect_with_a_huge_body() -> None:
    """The body of a redirect is as bounded as any."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99999999\r\n\r\n"
    with RawServer(always(head + bytes(2 * MEBIBYTE))) as raw:
        assert trouble(once(f"http://{raw.address}")) == "too large"


# When a request has left.


def test_sent_before_the_answer(server: GeminiServer) -> None:
    """A request is told to have left when it was handed over, not when it is answered."""
    sent = Sent()
    with ThreadPoolExecutor(1) as pool, server.held():
        asked = pool.submit(once, server.address, sent=sent)
        assert sent.event.wait(30)
        assert not asked.done()
    assert isinstance(asked.result(), Reply)
    assert sent.times == 1


def test_not_sent_where_nobody_listens(server: GeminiServer) -> None:
    """A refused connection has used nothing; the server is found again when it is back."""
    sent = Sent()
    server.set_down(True)
    assert trouble(once(server.address, sent=sent)) == "connection"
    assert sent.times == 0
    server.set_down(False)
    assert isinstance(once(server.address, sent=sent), Reply)
    assert sent.times == 1


def test_sent_where_the_handshake_fails() -> None:
    """A failure after the connection was made counts as sent, once."""
    with RawServer(lambda _: None) as raw:
        sent = Sent()
        assert trouble(once(f"https://{raw.address}", sent=sent)) == "connection"
    assert sent.times == 1


def test_header_that_cannot_be_sent(server: GeminiServer) -> None:
    """A header that is no header fails without telling its value and without being sent."""
    http = Http(server.address, width=1)
    sent = Sent()
    headers = {"x-goog-api-key": f"{KEY}\nX: y"}
    outcome = http.exchange("GET", "/", headers=headers, timeout=30, sent=sent)
    http.close()
    assert trouble(outcome) == "connection"
    assert sent.times == 0


# Connections.


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_connections_are_reused(answer: bytes) -> None:
    """A connection whose answer was read to the end serves the next exchange."""
    with RawServer(always(answer)) as raw:
        http = Http(f"http://{raw.address}", width=1)
        replies = [post(http) for _ in range(5)]
        http.close()
        assert raw.connections == 1
    assert [reply.body for reply in replies if isinstance(reply, Reply)] == [b"hello"] * 5


def test_close_ends_idle_connections() -> None:
    """Closing ends what is idle at once, after trouble too."""
    ended = threading.Event()

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HELLO)
        head = read_request(connection)
        if not head:
            ended.set()

    with RawServer(script) as raw:
        http = Http(f"http://{raw.address}", width=2)
        # The second exchange fails on the first one's connection; the third is left idle.
        assert isinstance(post(http), Reply)
        assert trouble(post(http)) == "connection"
        assert isinstance(post(http), Reply)
        http.close()
        assert ended.wait(30)


def test_nothing_is_carried_from_one_exchange_to_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Cookies are not kept, ~/.netrc is not read, and gzip is not asked for."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    heads: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: who=me\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(answer, heads)) as raw:
        http = Http(f"http://{raw.address}", width=1)
        post(http)
        post(http)
        http.close()
    assert len(heads) == 2
    for head in (head.lower() for head in heads):
        assert b"cookie:" not in head
        assert b"authorization:" not in head
        assert b"accept-encoding: identity" in head


# Proxies and certificates.


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, server: GeminiServer) -> None:
    """Requests go through the environment's proxy, and their deadlines hold there too."""
    monkeypatch.setenv("http_proxy", server.address)
    server.fault("fox", Answer.PICTURE, Answer.DRIPPING_HEADERS)
    assert isinstance(once("http://pictures.invalid"), Reply)
    assert trouble(once("http://pictures.invalid", timeout=BRIEF)) == "timeout"
    assert server.requests[0].path == f"http://pictures.invalid{PATH}"


def test_exempt_from_the_proxy(monkeypatch: pytest.MonkeyPatch, server: GeminiServer) -> None:
    """NO_PROXY is respected."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert isinstance(once(server.address), Reply)


def test_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy is refused in words before anything starts."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(UsageError, match="SOCKS"):
        Http("https://pictures.invalid", width=1)


def test_missing_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A CA bundle that is not there is refused in words before anything starts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match=r"none\.pem"):
        Http("https://pictures.invalid", width=1)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and pictures.invalid, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=pictures.invalid", "-keyout", str(key), "-out", str(certificate),
         "-addext", "subjectAltName=DNS:pictures.invalid,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def tls(certificate: tuple[Path, Path], script: Script) -> Script:
    """Return a script that runs another one over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            script(secured)

    return wrapped


def behind_a_tunnel(script: Script) -> Script:
    """Return a script that plays a proxy in front of another one."""

    def proxy(connection: socket.socket) -> None:
        assert read_request(connection).startswith(b"CONNECT pictures.invalid:443 ")
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        script(connection)

    return proxy


HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def dripping(connection: socket.socket) -> None:
    """Answer with a body that never ends."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    drip(connection)


@pytest.mark.parametrize("tunnel", [False, True])
@pytest.mark.parametrize(("script", "ending"), [(always(HELLO), "hello"), (dripping, "timeout")])
def test_tls(
    monkeypatch: pytest.MonkeyPatch,
    certificate: tuple[Path, Path],
    script: Script,
    ending: str,
    tunnel: bool,  # noqa: FBT001
) -> None:
    """The environment's CA bundle is used, and deadlines hold over TLS and through proxies."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    secured = tls(certificate, script)
    sent = Sent()
    with RawServer(behind_a_tunnel(secured) if tunnel else secured) as raw:
        address = f"https://{raw.address}"
        if tunnel:
            monkeypatch.setenv("https_proxy", f"http://{raw.address}")
            address = "https://pictures.invalid"
        patience: Any = BRIEF if ending == "timeout" else 30.0
        outcome = once(address, sent=sent, timeout=patience)
    if ending == "timeout":
        assert trouble(outcome) == "timeout"
    else:
        assert isinstance(outcome, Reply)
        assert outcome.body.decode() == ending
    assert sent.times == 1


def test_untrusted_certificate(certificate: tuple[Path, Path]) -> None:
    """A certificate that nobody vouches for is told in words, and no key leaves."""
    heads: list[bytes] = []
    with RawServer(tls(certificate, always(HELLO, heads))) as raw:
        outcome = once(f"https://{raw.address}")
    assert trouble(outcome) == "connection"
    assert isinstance(outcome, Fault)
    assert "certificate" in outcome.message
    assert heads == []


def test_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses to connect is quoted."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(refusal)) as raw:
        monkeypatch.setenv("https_proxy", f"http://me:mine@{raw.address}")
        outcome = once("https://pictures.invalid")
    assert trouble(outcome) == "connection"
    assert isinstance(outcome, Fault)
    assert "407" in outcome.message
    assert "mine" not in outcome.message
