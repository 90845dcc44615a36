"""Connections that keep a deadline and say when a request has left.

A read timeout starts anew with every byte, so a server that drips, headers too, keeps a
thread for as long as it likes. Here every connection tells its thread's exchange about its
socket, and one watchdog thread shuts down those that are over time.
"""

import heapq
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

CONNECT_TIMEOUT = 10.0
"""Seconds for reaching the server at all; less where the deadline is nearer."""


class Exchange:
    """One exchange under way: its deadline, its socket and how far it has come.

    `_lock` guards `_socket`, `_ended` and `expired`, which the watchdog's thread touches;
    the other fields belong to the thread of the exchange.
    """

    def __init__(self, timeout: float, sent: Callable[[], None]) -> None:
        self.deadline = time.monotonic() + timeout
        self.connected = False
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
    def late(self) -> bool:
        """Whether the deadline has passed, though the watchdog may not have seen it yet."""
        return time.monotonic() >= self.deadline

    def watch(self, fileno: int) -> None:
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

    def leave(self) -> None:
        """Report that the request has left; later calls do nothing."""
        sent, self._sent = self._sent, None
        if sent is not None:
            sent()

    def expire(self) -> None:
        """End the exchange's connection: its time is over. Called by the watchdog."""
        with self._lock:
            if self._ended:
                return
            self.expired = True
            if self._socket is not None:
                _shut_down(self._socket)

    def end(self) -> None:
        """Let go of the socket; a request that may have left is reported."""
        with self._lock:
            self._ended = True
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        if self.connected:
            self.leave()


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was faster.
        return


class _Watchdog:
    """One daemon thread that ends every exchange whose deadline has passed.

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


class _Connection(HTTPConnection):
    """A connection that tells its thread's exchange about its socket and its request."""

    def _new_conn(self) -> socket.socket:
        exchange = _current_exchange()
        try:
            connected = _connect(self._dns_host, self.port, self.socket_options, exchange)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except (OSError, UnicodeError) as error:
            # Not an OSError: urllib3 takes a reset during the request for an early answer.
            raise NewConnectionError(self, "failed") from error
        exchange.watch(connected.fileno())
        # For the TLS handshake and the upload, which may take as long as the whole exchange.
        connected.settimeout(exchange.remaining())
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = _current_exchange()
        if self.sock is not None:
            exchange.watch(self.sock.fileno())
        self.timeout = exchange.remaining()
        try:
            super().request(*args, **kwargs)
        finally:
            if exchange.connected:
                exchange.leave()


def _current_exchange() -> Exchange:
    exchange = _this_thread.exchange
    if exchange is None:
        raise RuntimeError("a connection is used outside of an exchange")
    return exchange


def _connect(host: str, port: int, options: Any, exchange: Exchange) -> socket.socket:
    """Return a connection to the first of the host's addresses that answers.

    All addresses together get CONNECT_TIMEOUT, each a fair part of what is left, so that a
    dead IPv6 route does not use up the time of the IPv4 address behind it.
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
    """An adapter whose connections, through a proxy too, are ours."""

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
