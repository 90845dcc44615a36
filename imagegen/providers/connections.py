"""Connections that keep a deadline and say when a request has left.

A read timeout starts again with every byte, so a server that drips, headers too, keeps a
thread for as long as it likes. Here every connection reports to its thread's exchange its
socket, and one watchdog thread shuts down those that are over time.

An answer is the final one: interim responses (1xx) are skipped. A connection without a clean end
of its answer is never used again. The bytes that follow may belong to one beat's answer, and
would be read as the next beat's.
"""

import heapq
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import SWITCHING_PROTOCOLS, HTTPException, HTTPResponse
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from imagegen.providers import departure

CONNECT_TIMEOUT = 10.0
"""Seconds for reaching the server at all; less where the deadline is nearer."""

_MOST_INTERIM: Final = 100
"""Interim responses before one answer; more are made to keep a client busy."""


class Exchange:
    """One exchange in flight: its deadline, its socket and how far it has come.

    `reused` is whether its connection has served another before. `_lock` guards
    `_socket`, `_ended`, `deadline` and `expired`, which the watchdog's thread touches; the
    other fields belong to the thread of the exchange.
    """

    def __init__(self, timeout: float, sent: Callable[[], None]) -> None:
        self.deadline = time.monotonic() + timeout
        self.connected = False
        self.reused = False
        self.answered = False
        self.expired = False
        self._sent: Callable[[], None] | None = sent
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._ended = False

    def remaining(self) -> float:
        """Return the seconds left, never zero (which means "do not wait" to a socket)."""
        return max(0.001, self.deadline - time.monotonic())

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed, though the watchdog may not have seen it yet."""
        return time.monotonic() >= self.deadline

    def attach(self, fileno: int) -> None:
        """Let the watchdog end the connection behind this descriptor.

        A duplicate, because TLS detaches the first socket object, and because
        `http.client` drops the connection's socket while its answer is still being read.
        """
        self.connected = True
        with self._lock:
            if self._socket is None:
                self._socket = socket.fromfd(fileno, socket.AF_INET, socket.SOCK_STREAM)
            if self.expired:
                _shut_down(self._socket)

    def mark_sent(self) -> None:
        """Report that the request has left; later calls do nothing."""
        sent, self._sent = self._sent, None
        if sent is not None:
            sent()

    def hold_back(self) -> None:
        """Take note that nothing of the request was sent, though a connection was made."""
        self._sent = None

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Let no time pass in the block: what it waits for is not the server's doing."""
        began = time.monotonic()
        with self._lock:
            until, self.deadline = self.deadline, float("inf")
        try:
            yield
        finally:
            with self._lock:
                self.deadline = until + time.monotonic() - began
            _watchdog.guard(self)

    def spoil(self) -> None:
        """End the connection, on which nothing can be trusted any more."""
        with self._lock:
            if self._socket is not None:
                _shut_down(self._socket)

    def expire(self) -> None:
        """End the exchange's connection if its time is over. Called by the watchdog."""
        with self._lock:
            if self._ended or time.monotonic() < self.deadline:
                return
            self.expired = True
            if self._socket is not None:
                _shut_down(self._socket)

    def end(self) -> None:
        """Release the socket; a request that may have left is reported."""
        with self._lock:
            self._ended = True
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        if self.connected:
            self.mark_sent()


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was faster.
        return


class _Watchdog:
    """One daemon thread that ends every exchange past its deadline.

    `_changed` guards `_queue` and `_thread`. An exchange that has ended stays queued until
    its deadline; it holds nothing by then.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, Exchange]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def guard(self, exchange: Exchange) -> None:
        with self._changed:
            heapq.heappush(self._queue, (exchange.deadline, next(self._order), exchange))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            if self._queue[0][2] is exchange:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next().expire()

    def _next(self) -> Exchange:
        with self._changed:
            while True:
                if not self._queue:
                    self._changed.wait()
                    continue
                early = self._queue[0][0] - time.monotonic()
                if early <= 0:
                    return heapq.heappop(self._queue)[2]
                # An hour at most: longer waits overflow on some systems.
                self._changed.wait(min(early, 3600.0))


class _ThisThread(threading.local):
    exchange: Exchange | None = None


_watchdog = _Watchdog()
_this_thread = _ThisThread()


@contextmanager
def exchanging(timeout: float, sent: Callable[[], None]) -> Iterator[Exchange]:
    """Guard what this thread sends through an `Adapter` inside the block.

    The connection is shut down `timeout` seconds from now; look at `expired` afterwards.
    `sent` is called once, when the request has left or, after a failure, may have left.
    """
    exchange = Exchange(timeout, sent)
    _this_thread.exchange = exchange
    _watchdog.guard(exchange)
    try:
        yield exchange
    finally:
        _this_thread.exchange = None
        exchange.end()


class _Response(HTTPResponse):
    """The final answer to a request. Overrides what `http.client` keeps to itself."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._connected = sock

    def begin(self) -> None:
        """Read the head of the answer, past interim responses (RFC 9110, section 15.2).

        `http.client` skips 100 alone.
        """
        for _ in range(_MOST_INTERIM):
            super().begin()
            if not 100 <= self.status < 200 or self.status == SWITCHING_PROTOCOLS:
                return
            self.headers = self.msg = None  # type: ignore[assignment]
        raise HTTPException("too many interim responses")

    def _read_next_chunk_size(self) -> int:
        # `int` takes a sign, and a read of fewer than no bytes takes all that comes.
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise ValueError("a negative chunk size")
        return size

    def _close_conn(self) -> None:
        exchange = _this_thread.exchange
        if exchange is not None and not self.will_close and not self._is_clean():
            exchange.spoil()
        super()._close_conn()  # type: ignore[misc]

    def _is_clean(self) -> bool:
        """Return whether the answer ended where it said, and nothing has come behind it."""
        if (self.chunked and self.chunk_left) or self.length or self.status < 200:
            return False
        if self.chunked and "Content-Length" in self.headers:
            # Which of the two counts is what attacks on proxies play with.
            return False
        before = self._connected.gettimeout()
        try:
            self._connected.settimeout(0)
            return not self.fp.peek(1)
        except OSError as error:
            # Nothing to read, as TLS says it.
            return isinstance(error, ssl.SSLWantReadError)
        finally:
            with suppress(OSError):
                self._connected.settimeout(before)


class _Connection(HTTPConnection):
    """A connection that reports its socket and request to its thread's exchange."""

    response_class = _Response
    _is_fresh = False

    def _new_conn(self) -> socket.socket:
        exchange = _current_exchange()
        try:
            connected = _connect(self._dns_host, self.port, self.socket_options, exchange)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except (OSError, UnicodeError) as error:
            # Not an OSError: urllib3 takes a reset during the request for an early answer.
            raise NewConnectionError(self, "failed") from error
        exchange.attach(connected.fileno())
        # For the TLS handshake and the upload, which may take as long as the whole exchange.
        connected.settimeout(exchange.remaining())
        self._is_fresh = True
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = _current_exchange()
        if self.sock is not None:
            exchange.attach(self.sock.fileno())
        exchange.reused = self.sock is not None and not self._is_fresh
        self.timeout = exchange.remaining()
        if self.sock is None:
            # Over TLS, or through a proxy, it is connected by now.
            self.connect()
        self._is_fresh = False
        try:
            departure.require()
        except departure.HeldBackError:
            exchange.hold_back()
            raise
        try:
            super().request(*args, **kwargs)
        finally:
            self._is_fresh = False
            if exchange.connected:
                exchange.mark_sent()


def _current_exchange() -> Exchange:
    exchange = _this_thread.exchange
    if exchange is None:
        raise RuntimeError("a connection is used outside of an exchange")
    return exchange


def _connect(host: str, port: int, options: Any, exchange: Exchange) -> socket.socket:
    """Return a connection to the first of the host's addresses that answers.

    All addresses together get CONNECT_TIMEOUT, and each a fair part of the rest. So a dead
    IPv6 route leaves time for the IPv4 address after it.
    """
    until = min(exchange.deadline, time.monotonic() + CONNECT_TIMEOUT)
    addresses = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    failure = OSError("no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        share = (until - time.monotonic()) / (len(addresses) - index)
        if share <= 0:
            raise TimeoutError
        candidate = socket.socket(family, kind, protocol)
        try:
            for option in options or ():
                candidate.setsockopt(*option)
            candidate.settimeout(share)
            candidate.connect(address)
        except OSError as error:
            candidate.close()
            failure = error
        else:
            return candidate
    raise failure


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class Adapter(HTTPAdapter):
    """An adapter that uses our connections, also through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools of our connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Return the proxy's pools, with connections of ours."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close every idle connection.

        By itself urllib3 leaves that to the end of the pool object, which an exception's
        traceback may keep alive.
        """
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            # `keys` is a copy: a pool may come or go meanwhile.
            for key in manager.pools.keys():  # noqa: SIM118
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
