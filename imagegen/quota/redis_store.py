"""Budgets of all machines of a team, on a Redis or Valkey server. Needs the extra `redis`.

All that must not be lost in part is in one hash. If it is deleted (an empty restart, an eviction,
FLUSHALL), its generation is gone too, so that every process notices.

    imagegen:{TEAM}           version, generation, salt, made, and each budget by its hashed name
    imagegen:{TEAM}:holders   a sorted set: the processes, by when their leases end (milliseconds)

Times in it are the server's. `budgets.lua` reads them with the change that they belong to.
"""

import contextlib
import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import redis
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from imagegen.errors import causes_of
from imagegen.keys.budget_server import BudgetServer
from imagegen.quota.budget import Budget
from imagegen.quota.server_clock import ServerClock
from imagegen.quota.store import Store, StoreLostError, StoreUnavailableError

ANSWER_SECONDS: Final = 1.0
"""How long a run waits for one answer."""
_LEASE_SECONDS: Final = 20.0
"""How long a process counts as running after it last reached the server."""
_LEASE_MILLISECONDS: Final = int(1000 * _LEASE_SECONDS)
_RENEW_SECONDS: Final = 5.0
_EARLY: Final = 1.0
"""Seconds before its lease ends at which a process sends nothing by it any more."""
_MOST_ERROR: Final = 0.15
"""Seconds by which a machine may err about the server's time; two of them stay below `MARGIN`."""
_MOST_JUMP: Final = 0.25
"""Seconds by which the server's clock may be set forward unnoticed."""
_VERSION: Final = b"1"
_SALT_BYTES: Final = 16
_LARGEST_ROW: Final = 1024 * 1024

_SCRIPT: Final = Path(__file__).with_name("budgets.lua")


def client(server: BudgetServer, answer_seconds: float = ANSWER_SECONDS) -> "redis.Redis":
    """Return a client that waits so long for an answer, and repeats nothing."""
    tls: dict[str, Any] = {}
    if server.tls:
        tls = {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return redis.Redis(
        host=server.host,
        port=server.port,
        db=server.database,
        username=server.user,
        password=server.password.reveal() if server.password else None,
        socket_timeout=answer_seconds,
        socket_connect_timeout=answer_seconds,
        # A repeated change could be made twice: the caller decides what follows an error.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **tls,
    )


class RedisStore(Store):
    """Budgets of all processes of a team, on any machine.

    `reason` says why the store knows nothing of what was sent before, if this process made it.
    `made_at` is when it was made, in seconds of `clock`. Calls wait a second for each answer at
    most, name lookups aside. They raise `StoreUnavailableError`, and `StoreLostError`
    if the server has lost what it had, and must not overlap.
    """

    is_remote = True

    def __init__(self, server: BudgetServer, clock: ServerClock) -> None:
        self.holder = secrets.token_hex(8)
        self._server = server
        self._clock = clock
        self._held_until = 0.0
        self._renamed = False
        self._has_failed = False
        self._jump = 0.0
        self._running: frozenset[str] = frozenset()
        self._versions: dict[str, int] = {}
        self._redis = client(server)
        key = f"imagegen:{{{server.team}}}"
        self._keys = [key, f"{key}:holders"]
        self._script = self._redis.register_script(_SCRIPT.read_bytes())
        try:
            self._open()
        except BaseException:
            self._disconnect()
            raise

    def load(self, name: str) -> tuple[int, bytes] | None:
        """Return the row's version and bytes, or None if there is no such row."""
        reply = self._call("load", self._generation, name)
        parts = self._list(reply, 5)
        self._running = self._names(parts[4])
        version, row = self._split(parts[3])
        if version < self._versions.get(name, 0):
            # A replica that took over had not heard of the last changes.
            self._forget("has lost changes")
        self._versions[name] = version
        return (version, self._to_local(row)) if version else None

    def swap(self, name: str, version: int, row: bytes) -> bool:
        """Write the row if its version is still `version` (0: not there), else return False.

        Also returns False if this process has a new name by now: it must repeat its change.
        """
        result = self._call(
            "swap",
            self._generation,
            name,
            version,
            self._to_server(row),
            self.holder,
            _LEASE_MILLISECONDS,
            renews=True,
        )[2]
        if result == b"expired":
            self._rejoin()
        if result == b"written":
            self._versions[name] = version + 1
        return bool(result == b"written")

    def alive(self, holder: str) -> bool:
        """Whether this process, or another one's lease, was running when last looked at."""
        return holder == self.holder or holder in self._running

    def holds(self, holder: str) -> bool:
        """Whether others still count this process as running under that name, so it may send."""
        return holder == self.holder and self._clock.now() < self._held_until

    def renew(self) -> bool:
        """Keep this process's lease; to be called every second or so.

        Returns whether the process has a new name since the last call: others took it for dead.
        """
        if self._clock.now() >= self._held_until - _LEASE_SECONDS + _EARLY + _RENEW_SECONDS:
            reply = self._call(
                "renew", self._generation, self.holder, _LEASE_MILLISECONDS, renews=True
            )
            if reply[2] == b"expired":
                self._rejoin()
            else:
                self._running = self._names(self._list(reply, 4)[3])
        renamed, self._renamed = self._renamed, False
        return renamed

    def close(self) -> None:
        """End this process's lease and the connection."""
        if not self._has_failed:
            # A lease that stays ends by itself: a server that hangs is not waited for twice.
            with contextlib.suppress(StoreUnavailableError), self._translate_errors():
                self._redis.zrem(self._keys[1], self.holder)
        self._disconnect()

    def _open(self) -> None:
        candidate, salt = secrets.token_hex(16), secrets.token_bytes(_SALT_BYTES)
        for _ in range(3):
            # The first answer also took the time of connecting.
            reply = self._call(
                "open", _VERSION, candidate, salt, self.holder, _LEASE_MILLISECONDS, renews=True
            )
            if self._clock.error <= _MOST_ERROR:
                break
        _, _, version, generation, self.salt, age = self._list(reply, 6)
        if version != _VERSION:
            raise StoreUnavailableError("is of a newer version of imagegen")
        if not (isinstance(self.salt, bytes) and len(self.salt) == _SALT_BYTES) or age < 0:
            raise self._unexpected_answer()
        self._generation = generation
        self.made_at = self._clock.now() - age / 1000
        if generation == candidate.encode():
            self.reason = f"on {self._server.name} is new, or was lost"
        self._require_reliable_time()

    def _rejoin(self) -> None:
        """Take a new name: what the old one held counts as sent by now."""
        before, self.holder, self._renamed = self.holder, secrets.token_hex(8), True
        self._call("rejoin", before, self.holder, _LEASE_MILLISECONDS, renews=True)

    def _forget(self, why: str) -> None:
        """Let every process know that the store's counts are too low."""
        self._call("forget", self._generation, secrets.token_hex(16))
        raise StoreLostError(f"on {self._server.name} {why}")

    def _call(self, operation: str, *arguments: Any, renews: bool = False) -> list[Any]:
        """Run an operation of the script; raises `StoreLostError` if the store was replaced."""
        sent_at = self._clock.now()
        with self._translate_errors():
            reply = self._script(keys=self._keys, args=[operation, *arguments])
        answered = self._clock.now()
        parts = self._list(reply, 2)
        try:
            server = int(parts[0]) + int(parts[1]) / 1_000_000
        except ValueError:
            raise self._unexpected_answer() from None
        if renews and parts[2:3] != [b"expired"]:
            self._held_until = sent_at + _LEASE_SECONDS - _EARLY
        self._jump = max(self._jump, self._clock.observe(server, sent_at, answered))
        if parts[2:3] == [b"lost"]:
            raise StoreLostError(f"on {self._server.name} was lost")
        if operation not in {"open", "forget"}:
            self._require_reliable_time()
        return parts

    def _require_reliable_time(self) -> None:
        if self._jump > _MOST_JUMP:
            # Every request of the last minute would seem to be older than it is.
            self._forget(f"is useless: the server's clock was set forward by {self._jump:.1f} s")
        if self._clock.error > _MOST_ERROR:
            seconds = 2 * self._clock.error
            raise StoreUnavailableError(f"{self._server.name}: an answer takes {seconds:.1f} s")

    def _to_local(self, row: bytes) -> bytes:
        return self._shift(row, -self._clock.offset, self._clock.boot)

    def _to_server(self, row: bytes) -> bytes:
        return self._shift(row, self._clock.offset, "")

    @staticmethod
    def _shift(row: bytes, by: float, boot: str) -> bytes:
        """Return a budget with its times by another clock; a damaged one as it is."""
        try:
            budget = msgspec.msgpack.decode(row, type=Budget)
            budget.shift(by)
            budget.boot, budget.now = boot, budget.now + by
            return msgspec.msgpack.encode(budget)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return row

    def _split(self, value: object) -> tuple[int, bytes]:
        if value is None:
            return 0, b""
        if not isinstance(value, bytes) or len(value) > _LARGEST_ROW:
            raise self._unexpected_answer()
        version, colon, row = value.partition(b":")
        if not colon or not version.isdigit() or len(version) > 18:
            raise self._unexpected_answer()
        return int(version), row

    def _names(self, reply: object) -> frozenset[str]:
        return frozenset(name.decode("ascii", "replace") for name in self._list(reply, 0))

    def _list(self, reply: object, least: int) -> list[Any]:
        if not isinstance(reply, list) or len(reply) < least:
            raise self._unexpected_answer()
        return reply

    def _unexpected_answer(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self._server.name} gave an unexpected answer")

    def _disconnect(self) -> None:
        with contextlib.suppress(errors.RedisError, OSError):
            self._redis.close()
            self._redis.connection_pool.disconnect()

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn what the client raises into a sentence of ours, which never quotes an answer."""
        try:
            yield
        except (errors.RedisError, OSError) as error:
            self._has_failed = True
            raise StoreUnavailableError(f"{self._server.name} {why(error)}") from None
        except (ValueError, TypeError, IndexError, RecursionError):
            raise self._unexpected_answer() from None


_UNAUTHENTICATED: Final = "needs a password, and its url names none"
_OF_A_CLUSTER: Final = "is a node of a cluster, which is not supported"
_MEANINGS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.AuthenticationError, "does not accept the user or password"),
    (errors.NoPermissionError, "does not allow the user what imagegen needs"),
    (errors.ReadOnlyError, "is a read-only replica"),
    (errors.MasterDownError, "is a replica without its primary"),
    (errors.OutOfMemoryError, "has no memory left"),
    (errors.BusyLoadingError, "is still loading its data"),
    (errors.ClusterDownError, _OF_A_CLUSTER),
    (errors.MovedError, _OF_A_CLUSTER),
    (errors.InvalidResponse, "is not a Redis or Valkey server"),
)
_WORDS: Final = {
    # The client has classes for these two since 6.0.
    "Authentication required": _UNAUTHENTICATED,
    "NOAUTH": _UNAUTHENTICATED,
    # A server takes no long commands before the password.
    "Protocol error: unauthenticated": _UNAUTHENTICATED,
    "DB index is out of range": "has no database of this number",
    "CLUSTERDOWN": _OF_A_CLUSTER,
    "MOVED": _OF_A_CLUSTER,
    "MISCONF": "cannot write to its disk",
    "NOREPLICAS": "has too few replicas",
    "max number of clients": "has too many connections",
    "WRONGTYPE": "has something else under the team's name",
}
"""What other errors of a server begin with (`createSharedObjects` in its `src/server.c`)."""


def why(error: BaseException) -> str:
    """Return why the server cannot be used, as the end of a sentence that begins with its name."""
    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError) or "handshake" in str(cause):
            return "does not speak TLS: should its url begin with redis://?"
    meanings = [words for beginning, words in _WORDS.items() if str(error).startswith(beginning)]
    meanings += [words for kind, words in _MEANINGS if isinstance(error, kind)]
    if meanings:
        return meanings[0]
    if isinstance(error, errors.TimeoutError | TimeoutError):
        return "did not answer in time"
    for cause in causes_of(error):
        if isinstance(cause, OSError) and cause.strerror:
            return f"could not be reached: {cause.strerror}"
    if isinstance(error, errors.ConnectionError):
        return "ended the connection"
    return "refuses what imagegen asks"
