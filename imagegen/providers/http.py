"""HTTP for providers: one bounded exchange at a time, from many threads at once.

What requests does not give by itself, and an engine that runs for hours needs:

- One deadline for a whole exchange, and the moment when a request has left, for that is
  when it counts against a quota: see `connections`.
- Bounded answers, no redirects, no cookies, no ~/.netrc: requests go straight to the adapter,
  past the session that would see to these.
"""

import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec
import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from imagegen import __version__
from imagegen.errors import causes_of
from imagegen.providers import departure, environment, memory
from imagegen.providers.base import NO_MEMORY, TOO_LARGE, FaultKind, ProviderError, noop
from imagegen.providers.connections import CONNECT_TIMEOUT, Adapter, Exchange, exchanging
from imagegen.providers.responses import redirect_error, web_page_error
from imagegen.secret import Secret

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
"""What OpenSSL says of a server that does not speak TLS."""

_EXPIRED, _TOO_EARLY, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's numbers: X509_V_ERR_CERT_HAS_EXPIRED and others (x509_vfy.h)."""


class Reply(msgspec.Struct, frozen=True):
    """An answer of any status. Header names compare without case; the body is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Exchanges with the server at one address.

    `base_url` has no trailing slash. `width` is how many connections are kept for reuse.
    `key_header` is the header that carries a key, and the prefix before it.
    Proxy and certificates come from the environment and are read here, once: see
    `environment`. Raises UsageError if they name something that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        width: int,
        key_header: tuple[str, str] = ("", ""),
        limit: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._base_url = base_url
        self._key_header, self._key_prefix = key_header
        self._limit = limit
        self.host = _host(base_url)
        self._verify = environment.certificates() or True
        self._proxy = environment.proxy(base_url)
        scheme = urlsplit(base_url).scheme
        self._proxies = {} if self._proxy is None else {scheme: self._proxy.url}
        self._headers = {
            "Accept": "application/json",
            # Unpacking gzip costs 14-18 ms an answer and saves only a quarter of its bytes.
            "Accept-Encoding": "identity",
            "User-Agent": f"imagegen/{__version__}",
        }
        self._adapter = Adapter(pool_connections=4, pool_maxsize=width)

    def request(
        self,
        method: str,
        path: str,
        key: Secret | None = None,
        *,
        timeout: float,
        sent: Callable[[], None] = noop,
        body: bytes | None = None,
        media_type: str = "application/json",
    ) -> Reply | ProviderError:
        """Send one request, with the key if there is one; see `exchange`.

        `media_type` is the body's. A key that would break its header is a fault.
        """
        headers = {} if body is None else {"Content-Type": media_type}
        if key is not None:
            # In a header alone: addresses end up in logs.
            revealed = key.reveal()
            if not (revealed.isascii() and revealed.isprintable() and revealed == revealed.strip()):
                message = f"The key {key} has characters that no key has; copy it again."
                return ProviderError(
                    kind=FaultKind.KEY_REJECTED, reason="malformed key", message=message
                )
            headers[self._key_header] = f"{self._key_prefix}{revealed}"
        return self.exchange(method, path, headers=headers, body=body, timeout=timeout, sent=sent)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float,
        sent: Callable[[], None],
    ) -> Reply | ProviderError:
        """Send one request to `base_url + path` and return the whole answer.

        The exchange ends within `timeout` seconds, regardless of the server; only the
        system's name lookup has limits of its own, and time that this waits for memory does
        not count. `sent` is called once, as soon as the request has been handed to the
        system, or when it fails after a connection was made. Each failure is a Fault: of
        kind PASSING with the reason `timeout`, `connection`, `cut short`, `too large` or
        `memory`, or of kind NETWORK if a person must act: `certificate`, `tls`, `proxy`,
        `web page`. A redirect is never followed: it is one of kind REDIRECTED.
        """
        outcome: Reply | ProviderError
        with memory.held(), exchanging(timeout, sent) as under_way:
            try:
                outcome = self._ask(under_way, method, path, headers, body)
                # Where a test replaces the adapter, no connection of ours has said so.
                under_way.mark_sent()
            except Exception as error:  # noqa: BLE001  # of libraries, on what a server sends
                outcome = self._classify(under_way, error)
        if under_way.expired:
            # Headers that were cut by the watchdog look like an empty answer.
            return self._fault("timeout", f"{self.host} did not answer within {timeout:g} s")
        if isinstance(outcome, ProviderError):
            return outcome
        return self._on_the_way(outcome) or outcome

    def close(self) -> None:
        """Close idle connections; exchanges in flight may fail."""
        self._adapter.close()

    def _ask(
        self,
        under_way: Exchange,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Reply | ProviderError:
        request = requests.PreparedRequest()
        request.prepare(method, self._base_url + path, {**self._headers, **headers}, data=body)
        left = under_way.remaining()
        with self._adapter.send(
            request,
            stream=True,
            timeout=(min(left, CONNECT_TIMEOUT), left),
            verify=self._verify,
            proxies=self._proxies,
        ) as response:
            under_way.answered = True
            # Leaving the block before the end of a body closes its connection, without
            # draining it.
            content = _body(response, self._limit + 1, under_way)
            if len(content) > self._limit:
                megabytes = self._limit / (1024 * 1024)
                cause = f"{self.host} sent an answer of more than {megabytes:g} MiB"
                return self._fault(TOO_LARGE, cause)
            return Reply(response.status_code, response.headers, content)

    def _classify(self, under_way: Exchange, error: Exception) -> ProviderError:
        if isinstance(error, MemoryError):
            return self._fault(NO_MEMORY, f"there was no memory for the answer of {self.host}")
        if isinstance(error, departure.HeldBackError):
            fault = self._fault("held back", "this machine slept before the request could leave")
            return msgspec.structs.replace(fault, stale=True)
        causes = list(causes_of(error))
        lasting = self._proxy_fault(causes) or self._tls_fault(causes)
        if lasting is not None:
            return lasting
        # An upload that took too long looks like a connection that broke.
        if under_way.is_late or isinstance(error, requests.Timeout | TimeoutError):
            late = "did not answer" if under_way.connected else "could not be reached"
            return self._fault("timeout", f"{self.host} {late} in time")
        if under_way.answered:
            return self._fault("cut short", f"{self.host} ended its answer in the middle")
        if under_way.connected:
            message = f"the connection to {self.host} broke{_words(causes)}"
            fault = self._fault("connection", message)
            return msgspec.structs.replace(fault, stale=under_way.reused)
        return self._fault("connection", f"{self.host} could not be reached{_words(causes)}")

    def _proxy_fault(self, causes: list[BaseException]) -> ProviderError | None:
        """Return the fault of a proxy that is not there or refuses; None for other trouble."""
        if self._proxy is None:
            return None
        refusal = next(filter(None, map(_tunnel_refusal, causes)), None)
        if refusal is not None:
            # With these a proxy reports that it cannot reach the service.
            if refusal.startswith(("502", "503", "504")):
                message = f"{self.host} could not be reached through the proxy {self._proxy.name}"
                return self._fault("connection", f"{message}: {refusal}")
            return _lasting("proxy", f"the proxy {self._proxy.name} refuses: {refusal}")
        unreached = (NewConnectionError, ConnectTimeoutError)
        if any(isinstance(cause, ProxyError) for cause in causes) and any(
            isinstance(cause, unreached) for cause in causes
        ):
            message = f"the proxy {self._proxy.name} could not be reached{_words(causes)}"
            return _lasting("proxy", message)
        return None

    def _tls_fault(self, causes: list[BaseException]) -> ProviderError | None:
        """Return the fault of a certificate that cannot be trusted; None for other trouble."""
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return _lasting("certificate", _of_certificate(cause, self.host))
            if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
                message = f"{self.host} does not speak TLS: should its address begin with http://?"
                return _lasting("tls", message)
        return None

    def _on_the_way(self, reply: Reply) -> ProviderError | None:
        """Return the fault of an answer of something between here and the service."""
        if reply.status == 407:
            sender = (
                f"the proxy {self._proxy.name}" if self._proxy else f"a proxy before {self.host}"
            )
            return _lasting("proxy", f"{sender} wants a name and password (HTTP 407)")
        if reply.status == 511:
            return _lasting("login", f"this network wants a login before {self.host} (HTTP 511)")
        if 300 <= reply.status < 400:
            return redirect_error(reply, self._base_url)
        return web_page_error(reply, self.host)

    def _fault(self, reason: str, message: str) -> ProviderError:
        return ProviderError(kind=FaultKind.PASSING, reason=reason, message=message)


def _lasting(reason: str, message: str) -> ProviderError:
    return ProviderError(kind=FaultKind.NETWORK, reason=reason, message=message)


def _body(response: requests.Response, most: int, under_way: Exchange) -> bytes:
    """Return the first `most` bytes of an answer, unpacked.

    As few raw reads as can be: `.content` costs 5-9 times the processor time on 2 MB.
    """
    length = response.raw.length_remaining
    packed = "Content-Encoding" in response.headers
    if length is not None and length < most and not packed:
        _reserve(length, under_way)
        # All of it: asked for a number of bytes, urllib3 keeps them in a queue and copies them.
        content: bytes = response.raw.read(decode_content=False)
        return content
    pieces, size = [], 0
    while size < most:
        size_wanted = min(memory.FREE, most - size)
        _reserve(size_wanted, under_way)
        piece = response.raw.read(size_wanted, decode_content=True)
        pieces.append(piece)
        size += len(piece)
        if len(piece) < size_wanted:
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _reserve(size: int, under_way: Exchange) -> None:
    """Wait until there is room for `size` more bytes of the answer."""
    with memory.held() as reserved:
        if reserved.would_wait(size):
            with under_way.pause():
                reserved.grow(size)
        else:
            reserved.grow(size)


def _host(url: str) -> str:
    """Return host and port of an address, without a user name or password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _of_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    """Return in words why a server's certificate is not trusted, and what helps."""
    reasons = {
        _EXPIRED: f"the certificate of {host} has expired",
        _TOO_EARLY: f"the certificate of {host} is not valid yet: is this machine's clock right?",
        _OTHER_HOST: f"the certificate of {host} is for another host name",
        _OTHER_ADDRESS: f"the certificate of {host} is for another address",
    }
    if error.verify_code in reasons:
        return reasons[error.verify_code]
    return (
        f"the certificate of {host} is not trusted ({error.verify_message}): if it is the right "
        "server, set SSL_CERT_FILE to the file of the authority that signed it"
    )


def _tunnel_refusal(error: BaseException) -> str | None:
    """Return the status and the words with which a proxy refused a tunnel."""
    prefix = "Tunnel connection failed: "
    text = str(error) if isinstance(error, OSError) else ""
    return " ".join(text[len(prefix) :].split())[:100] if text.startswith(prefix) else None


def _words(causes: list[BaseException]) -> str:
    """Return the system's own words for a failed connection, from its innermost cause.

    Never the text of a requests or urllib3 error: it may quote headers and addresses.
    """
    messages = (error.strerror for error in causes if isinstance(error, OSError))
    return next((f": {text}" for text in messages if text), "")
