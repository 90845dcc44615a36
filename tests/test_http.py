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
from imagegen.providers import departure, memory
from imagegen.providers.base import FaultKind, ProviderError
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
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
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
) -> Reply | ProviderError:
    """Ask for a picture."""
    body = msgspec.json.encode({"contents": [{"parts": [{"text": prompt}]}]})
    headers = {"x-goog-api-key": KEY, "Content-Type": "application/json"}
    return http.exchange(
        "POST", PATH, headers=headers, body=body, timeout=timeout, sent=sent or Sent()
    )


def once(address: str, *, sent: Sent | None = None, timeout: float = 30.0) -> Reply | ProviderError:
    """Ask for a picture over connections that are closed afterwards."""
    http = Http(address, width=2, limit=MEBIBYTE)
    try:
        return post(http, sent=sent, timeout=timeout)
    finally:
        http.close()


def lasting(outcome: Reply | ProviderError, reason: str) -> str:
    """Return the words of a fault that needs a person, which tell no secret."""
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.reason) == (FaultKind.NETWORK, reason)
    assert KEY not in outcome.message
    assert "mine" not in outcome.message
    return outcome.message


def trouble(outcome: Reply | ProviderError) -> str:
    """Return the reason of a passing fault, whose message tells no key."""
    assert isinstance(outcome, ProviderError)
    assert outcome.kind is FaultKind.PASSING
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
    """A redirect is an error that names its target; the target gets no request."""
    with GeminiServer() as other:
        server.redirect_to = f"{other.address}{PATH}"
        server.fault("fox", Answer.REDIRECT)
        reply = once(server.address)
        assert other.requests + other.listings == []
    assert isinstance(reply, ProviderError)
    assert reply.kind is FaultKind.REDIRECTED
    assert "127.0.0.1 redirects to 127.0.0.1 (HTTP 302)" in reply.message


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


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("kind", ["missing", "text", "empty", "folder", "torn"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_certificates_that_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, kind: str, scheme: str
) -> None:
    """Whatever is wrong with a CA bundle is said before anything starts, with its variable."""
    path = tmp_path / "bundle"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        torn = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        path.write_text({"text": "hello", "empty": "", "torn": torn}[kind])
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(UsageError, match=f"{variable} names .*bundle"):
        Http(f"{scheme}://pictures.invalid", width=1)


BAD_PROXIES = (
    "http://user:mine@",
    "http://\x1b[31muser:mine@h:9",
    "ftp://user:mine@h",
    "http://user:mine@[::1",
    "http://user:mine@h:notaport",
    "http://user:mine@h:99999",
    "http://user:mine@h:0",
    "http://user:mine@ h",
    "http://",
    "user:mine@",
    "socks5://user:mine@h:9",
)


@pytest.mark.parametrize("address", BAD_PROXIES)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_one(
    monkeypatch: pytest.MonkeyPatch, address: str, variable: str
) -> None:
    """Whatever is wrong with a proxy's address is said before anything starts, not quoted."""
    monkeypatch.setenv(variable, address)
    with pytest.raises(UsageError, match=variable) as raised:
        Http("http://pictures.invalid", width=1)
    assert "mine" not in raised.value.message
    assert raised.value.message.isprintable()


@pytest.mark.parametrize("tunnel", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1:9", "proxy.invalid:3128"])
def test_a_proxy_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    tunnel: bool,  # noqa: FBT001
) -> None:
    """It is named with its variable, without its password, and nothing has left."""
    scheme = "https" if tunnel else "http"
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:mine@{host}")
    sent = Sent()
    outcome = once(f"{scheme}://pictures.invalid", sent=sent)
    assert lasting(outcome, "proxy").startswith(f"the proxy {host} ({scheme.upper()}_PROXY) could")
    assert sent.times == 0


_AUTHORITY = """
[ca]
default_ca = own
[own]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def make_certificate(folder: Path, names: str, year: int = 2026) -> tuple[Path, Path]:
    """Make a certificate for these names that ends ten years after `year`, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder.mkdir(exist_ok=True)
    certificate, key, asked = folder / "cert.pem", folder / "key.pem", folder / "asked.pem"
    (folder / "index.txt").touch()
    (folder / "ca.cnf").write_text(_AUTHORITY.format(folder=folder))
    for command in (
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
         "-out", asked, "-subj", "/CN=pictures.invalid", "-addext", f"subjectAltName={names}"],
        ["ca", "-config", folder / "ca.cnf", "-batch", "-selfsign", "-keyfile", key, "-in", asked,
         "-out", certificate, "-notext", "-startdate", f"{year - 10}0101000000Z",
         "-enddate", f"{year + 10}0101000000Z"],
    ):  # fmt: skip
        subprocess.run([openssl, *map(str, command)], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and pictures.invalid, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    return make_certificate(folder, "DNS:pictures.invalid,IP:127.0.0.1")


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


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_every_variable_of_certificates_counts(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], variable: str
) -> None:
    """They are trusted wherever other programs of this machine look for them."""
    monkeypatch.setenv(variable, str(certificate[0]))
    with RawServer(tls(certificate, always(HELLO))) as raw:
        assert isinstance(once(f"https://{raw.address}"), Reply)


def test_a_folder_of_certificates_counts(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """SSL_CERT_DIR holds one file for each authority, named by its hash."""
    openssl = shutil.which("openssl")
    assert openssl is not None
    command = [openssl, "x509", "-hash", "-noout", "-in", str(certificate[0])]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(certificate[0], tmp_path / f"{name}.0")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with RawServer(tls(certificate, always(HELLO))) as raw:
        assert isinstance(once(f"https://{raw.address}"), Reply)


def test_untrusted_certificate(certificate: tuple[Path, Path]) -> None:
    """A certificate that nobody vouches for is told in words, and no key leaves."""
    heads: list[bytes] = []
    with RawServer(tls(certificate, always(HELLO, heads))) as raw:
        outcome = once(f"https://{raw.address}")
    message = lasting(outcome, "certificate")
    assert "is not trusted (self" in message
    assert "SSL_CERT_FILE" in message
    assert heads == []


@pytest.mark.parametrize(
    ("names", "year", "words"),
    [
        ("DNS:other.invalid", 2026, "is for another address"),
        ("IP:127.0.0.1", 2010, "has expired"),
        ("IP:127.0.0.1", 2089, "is this machine's clock right"),
    ],
)
def test_a_certificate_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    names: str,
    year: int,
    words: str,
) -> None:
    """One that has expired or is for another host is told as such, however often it is asked."""
    made = make_certificate(tmp_path / "tls", names, year)
    monkeypatch.setenv("SSL_CERT_FILE", str(made[0]))
    with RawServer(tls(made, always(HELLO))) as raw:
        assert words in lasting(once(f"https://{raw.address}"), "certificate")


def test_tls_asked_of_a_server_without() -> None:
    """A wrong scheme in the address is said as such."""
    with RawServer(lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as raw:
        assert "http://" in lasting(once(f"https://{raw.address}"), "tls")


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden"])
def test_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """A proxy that refuses to connect is named and quoted."""
    refusal = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    with RawServer(always(refusal)) as raw:
        monkeypatch.setenv("https_proxy", f"http://me:mine@{raw.address}")
        outcome = once("https://pictures.invalid")
        message = lasting(outcome, "proxy")
        assert message == f"the proxy {raw.address} (https_proxy) refuses: {status}"


def test_proxy_that_wants_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tunnel a 407 is an answer like any other, of the proxy."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(refusal)) as raw:
        monkeypatch.setenv("HTTP_PROXY", f"http://{raw.address}")
        message = lasting(once("http://pictures.invalid"), "proxy")
        assert message.startswith(f"the proxy {raw.address} (HTTP_PROXY) wants a name")


def test_proxy_that_cannot_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """That may pass, as any outage does."""
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(refusal)) as raw:
        monkeypatch.setenv("https_proxy", f"http://{raw.address}")
        assert trouble(once("https://pictures.invalid")) == "connection"


# Answers that are not what HTTP has them be.


def in_turn(*answers: bytes) -> Script:
    """Return a script that gives the requests of all connections these answers in turn."""
    left = iter(answers)

    def script(connection: socket.socket) -> None:
        while read_request(connection):
            connection.sendall(next(left))

    return script


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 199 New\r\n\r\n" * 20,
    ],
)
def test_interim_responses_are_no_answer(interim: bytes) -> None:
    """The final one is, and every request of a connection gets its own."""
    answers = [interim + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % n for n in range(4)]
    with RawServer(in_turn(*answers)) as raw:
        http = Http(f"http://{raw.address}", width=1)
        replies = [post(http) for _ in range(4)]
        http.close()
        assert raw.connections == 1
    bodies = [reply.body for reply in replies if isinstance(reply, Reply)]
    assert bodies == [b"0", b"1", b"2", b"3"]


def test_interim_responses_without_an_end() -> None:
    """They are given up, not read until the time is over."""
    with RawServer(always(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)) as raw:
        assert trouble(once(f"http://{raw.address}")) == "connection"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(HELLO + b"garbage", id="bytes behind the end"),
        pytest.param(HELLO + HELLO.replace(b"hello", b"WRONG"), id="an answer behind the end"),
        pytest.param(HELLO.replace(b": 5", b": 4"), id="a length too short"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nmore",
            id="bytes behind the last chunk",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="another protocol"),
    ],
)
def test_a_connection_without_a_clean_end_is_not_used_again(answer: bytes) -> None:
    """What follows on it would be taken for the next beat's answer."""
    with RawServer(in_turn(answer, HELLO)) as raw:
        http = Http(f"http://{raw.address}", width=1)
        assert isinstance(post(http), Reply)
        second = post(http)
        http.close()
        assert raw.connections == 2
    assert isinstance(second, Reply)
    assert second.body == b"hello"


@pytest.mark.parametrize("size", ["-5", "-1", "-0x1", "zz", "", "1" * 70_000, "FFFFFFFFFFFFFFFF"])
def test_chunk_sizes_that_cannot_be(size: str) -> None:
    """They are a fault of one answer, within its bounds."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head + size.encode() + b"\r\n" + bytes(3 * MEBIBYTE))

    with RawServer(script) as raw:
        assert trouble(once(f"http://{raw.address}")) in {"cut short", "too large"}


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: -7",
        "Content-Length: 1e9",
        "Content-Length: 5, 6",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, chunked",
        "Content-Encoding: gzip",
        "Content-Encoding: " + ", ".join(["gzip"] * 500),
        "X: " + "x" * 200_000,
        ": no name",
        "\x00: \xff",
    ],
)
def test_heads_that_lie(head: str) -> None:
    """Whatever a library makes of them is one request's fault."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head.encode("latin-1") + b"\r\n\r\nhello")

    with RawServer(script) as raw:
        outcome = once(f"http://{raw.address}", timeout=BRIEF)
    assert isinstance(outcome, Reply) or trouble(outcome)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("boo"), AssertionError(), KeyError(1)])
def test_whatever_a_library_raises_is_one_requests_fault(
    monkeypatch: pytest.MonkeyPatch, server: GeminiServer, error: Exception
) -> None:
    """A fault of parsing, or of memory, is told like a connection that broke."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("urllib3.response.HTTPResponse.read", fail)
    expected = "memory" if isinstance(error, MemoryError) else "cut short"
    assert trouble(once(server.address)) == expected


def test_a_kept_connection_that_was_closed_is_told_apart() -> None:
    """A request that is lost with a connection kept alive was not answered: it may cost nothing."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HELLO)
        read_request(connection)

    with RawServer(script) as raw:
        http = Http(f"http://{raw.address}", width=1)
        assert isinstance(post(http), Reply)
        lost = post(http)
        assert isinstance(lost, ProviderError)
        assert (lost.kind, lost.stale) == (FaultKind.PASSING, True)
        assert isinstance(post(http), Reply)
        http.close()


def test_a_new_connection_that_is_closed_is_a_fault(server: GeminiServer) -> None:
    """Nothing was kept alive there: it is the service's own."""
    server.fault("fox", Answer.RESET)
    outcome = once(server.address)
    assert isinstance(outcome, ProviderError)
    assert not outcome.stale


# Memory.


def test_large_answers_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies share a budget of bytes, and a wait for it uses up nobody's time."""
    size = memory.FREE + MEBIBYTE
    monkeypatch.setattr(memory, "_budget", memory.Budget(MEBIBYTE))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    reading = threading.Event()

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        reading.set()
        connection.sendall(bytes(size))

    with RawServer(script) as raw, ThreadPoolExecutor(1) as pool:
        http = Http(f"http://{raw.address}", width=2)
        with memory.held() as all_of_it:
            all_of_it.grow(size)
            beyond = memory.Reservation(memory._budget)
            beyond.grow(size)
            asked = pool.submit(post, http, timeout=BRIEF)
            assert reading.wait(30)
            with pytest.raises(TimeoutError):
                asked.result(2 * BRIEF)
            beyond.release()
        reply = asked.result(30)
        http.close()
    assert isinstance(reply, Reply)
    assert len(reply.body) == size


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_request_that_may_not_leave_is_held_back(server: GeminiServer, *, kept: bool) -> None:
    """It is asked when the connection is ready; not a byte is sent, and no attempt is lost."""
    http = Http(server.address, width=1)
    asked, sent = list[bool](), Sent()

    def never() -> bool:
        asked.append(True)
        return False

    if kept:
        http.request("GET", "/v1beta/models", timeout=BRIEF)
    with departure.allowed_by(never):
        fault = post(http, sent=sent)
    http.close()
    assert isinstance(fault, ProviderError)
    assert (fault.kind, fault.stale) == (FaultKind.PASSING, True)
    assert (len(asked), sent.times, server.requests) == (1, 0, [])
