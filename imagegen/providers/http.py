"""HTTP for providers: one bounded exchange at a time, from many threads at once.

What requests does not give by itself, and an engine that runs for hours needs:

- One deadline for a whole exchange, and the moment when a request has left, for that is
  when it counts against a quota: see `connections`.
- Bounded answers, no redirects, no cookies, no ~/.netrc: requests go straight to the adapter,
  past the session that would see to these.
"""

import os
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError

from imagegen import __version__
from imagegen.errors import UsageError
from imagegen.providers.base import TOO_LARGE, Fault, Kind, uncounted
from imagegen.providers.connections import CONNECT_TIMEOUT, Adapter, Exchange, exchanging
from imagegen.secret import Secret

MAX_ANSWER_BYTES = 64 * 1024 * 1024


class Reply(msgspec.Struct, frozen=True):
    """An answer of any status. Header names compare without case; the body is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Exchanges with the server at one address.

    `base_url` has no trailing slash. `width` is how many connections are kept for reuse.
    `key_header` is the header that carries a key, and what stands there before it.
    Proxy and CA bundle come from the environment and are read here, once
    (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY; REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE).
    Raises UsageError where they name something that cannot be used.
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
        self._verify = _ca_bundle()
        self._proxies = _proxies(base_url)
        self._headers = {
            "Accept": "application/json",
            # Unpacking gzip costs 14-18 ms an answer and saves only a quarter of its bytes.
            "Accept-Encoding": "identity",
            "User-Agent": f"imagegen/{__version__}",
        }
        self._adapter = Adapter(pool_connections=4, pool_maxsize=width)

    def ask(
        self,
        method: str,
        path: str,
        key: Secret | None = None,
        *,
        timeout: float,
        sent: Callable[[], None] = uncounted,
        body: bytes | None = None,
        media_type: str = "application/json",
    ) -> Reply | Fault:
        """Send one request, with the key if there is one; see `exchange`.

        `media_type` is the body's. A key that would break its header is a fault.
        """
        headers = {} if body is None else {"Content-Type": media_type}
        if key is not None:
            # In a header alone: addresses end up in logs.
            revealed = key.reveal()
            if not (revealed.isascii() and revealed.isprintable() and revealed == revealed.strip()):
                message = f"The key {key} has characters that no key has; copy it again."
                return Fault(kind=Kind.KEY_REJECTED, reason="malformed key", message=message)
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
    ) -> Reply | Fault:
        """Send one request to `base_url + path` and return the whole answer.

        The exchange ends within `timeout` seconds, whatever the server does; only the
        system's name lookup has limits of its own. `sent` is called once, as soon as the
        request has been handed to the system, or when it fails after a connection was
        made. Network trouble is a Fault of kind PASSING with the reason `timeout`,
        `connection`, `cut short` or `too large`.
        """
        outcome: Reply | Fault
        with exchanging(timeout, sent) as under_way:
            try:
                outcome = self._ask(under_way, method, path, headers, body)
                # Where a test replaces the adapter, no connection of ours has said so.
                under_way.leave()
            except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
                outcome = self._trouble(under_way, error)
        if under_way.expired:
            # Headers that were cut by the watchdog look like an empty answer.
            return self._fault("timeout", f"{self.host} did not answer within {timeout:g} s")
        return outcome

    def close(self) -> None:
        """Close idle connections; exchanges under way may fail."""
        self._adapter.close()

    def _ask(
        self,
        under_way: Exchange,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Reply | Fault:
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
            content = _body(response, self._limit + 1)
            if len(content) > self._limit:
                megabytes = self._limit / (1024 * 1024)
                what = f"{self.host} sent an answer of more than {megabytes:g} MiB"
                return self._fault(TOO_LARGE, what)
            return Reply(response.status_code, response.headers, content)

    def _trouble(self, under_way: Exchange, error: Exception) -> Fault:
        # An upload that took too long looks like a connection that broke.
        if under_way.late or isinstance(error, requests.Timeout | TimeoutError):
            late = "did not answer" if under_way.connected else "could not be reached"
            return self._fault("timeout", f"{self.host} {late} in time")
        if under_way.answered:
            return self._fault("cut short", f"{self.host} ended its answer in the middle")
        if under_way.connected:
            what = f"the connection to {self.host} broke{_words(error)}"
            return self._fault("connection", what)
        return self._fault("connection", f"{self.host} could not be reached{_words(error)}")

    def _fault(self, reason: str, message: str) -> Fault:
        return Fault(kind=Kind.PASSING, reason=reason, message=message)


def _body(response: requests.Response, most: int) -> bytes:
    """Return the first `most` bytes of an answer, unpacked.

    One raw read: `.content` costs 5-9 times the processor time on 2 MB.
    """
    length = response.raw.length_remaining
    packed = "Content-Encoding" in response.headers
    if length is not None and length < most and not packed:
        # All of it: asked for so many bytes, urllib3 keeps them in a queue and copies them.
        content: bytes = response.raw.read(decode_content=False)
    else:
        content = response.raw.read(most, decode_content=True)
    return content


def _host(url: str) -> str:
    """Return host and port of an address, without a user name or password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _ca_bundle() -> str | bool:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if not path:
            continue
        if not Path(path).exists():
            raise UsageError(
                f"{variable} names {path}, which does not exist",
                hint=f"Correct it, or unset {variable} to use the usual certificates.",
            )
        return path
    return True


def _proxies(base_url: str) -> dict[str, str]:
    proxy = select_proxy(base_url, get_environ_proxies(base_url, no_proxy=None))
    if not proxy:
        return {}
    if proxy.lower().startswith("socks"):
        # Its connections are made by another library, out of the watchdog's sight.
        raise UsageError(
            "The environment asks for a SOCKS proxy, which imagegen cannot use",
            hint="Set HTTPS_PROXY to an HTTP proxy, or NO_PROXY to the API's host.",
        )
    return {urlsplit(base_url).scheme: proxy}


def _words(error: BaseException | None) -> str:
    """Return the system's own words for a failed connection, from its innermost cause.

    Never the text of a requests or urllib3 error: it may quote headers and addresses.
    """
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return f": {error.strerror}"
        if isinstance(error, OSError) and str(error).startswith("Tunnel connection failed"):
            return f" through the proxy: {' '.join(str(error).split())[:100]}"
        error = error.__cause__ or error.__context__
    return ""
