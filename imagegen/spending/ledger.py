"""What runs spent, and may yet spend: a SQLite file in the user's state folder.

A request is written down at the most that it can cost before it leaves, in the same transaction
that compares the sum with the limits. Its answer replaces that by what it cost. So a killed run
loses nothing: a request whose answer never came keeps counting, since it is probably paid for.
"""

import contextlib
import datetime as dt
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import filelock
import msgspec

from imagegen.spending.limits import Limit
from imagegen.times import day as day_of

FILE: Final = "spending.sqlite"
_OPENING: Final = "spending.lock"
BUSY_SECONDS: Final = 5.0
_VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS request (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    time INTEGER NOT NULL,

    project TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    style TEXT NOT NULL,
    key TEXT NOT NULL,
    mode TEXT NOT NULL,

    micro_usd INTEGER,
    answered INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS request_day ON request (day);
CREATE TABLE IF NOT EXISTS total (
    day TEXT NOT NULL,
    project TEXT NOT NULL,
    micro_usd INTEGER NOT NULL,
    PRIMARY KEY (day, project)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS request_inserted AFTER INSERT ON request BEGIN
    INSERT INTO total VALUES (new.day, new.project, coalesce(new.micro_usd, 0))
    ON CONFLICT (day, project) DO UPDATE SET micro_usd = micro_usd + excluded.micro_usd;
END;
CREATE TRIGGER IF NOT EXISTS request_updated AFTER UPDATE OF micro_usd ON request BEGIN
    UPDATE total SET micro_usd = micro_usd + coalesce(new.micro_usd, 0)
        - coalesce(old.micro_usd, 0)
    WHERE day = old.day AND project = old.project;
END;
CREATE TRIGGER IF NOT EXISTS request_deleted AFTER DELETE ON request BEGIN
    UPDATE total SET micro_usd = micro_usd - coalesce(old.micro_usd, 0)
    WHERE day = old.day AND project = old.project;
END;
"""
"""`total` has the sums of `request`, so that a limit is compared with a few rows at any size.

`day` is in UTC, `time` in seconds since 1970. `micro_usd` is null if the price is not known, and
the most that the request can cost while it is not `answered`.
"""


class LedgerError(Exception):
    """The ledger cannot be used; the message says why."""


class Mode(StrEnum):
    """How a request was sent, which decides its price."""

    LIVE = "live"
    BATCH = "batch"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as the ledger has it.

    `time` is when it left, in seconds of the wall clock. `key` is the key's tail, as it is shown
    everywhere. `project` is the project's folder.
    """

    id: int = msgspec.field(default_factory=lambda: secrets.randbits(62))
    time: float
    project: str
    provider: str
    model: str
    style: str
    key: str = ""
    mode: Mode = Mode.LIVE

    @property
    def day(self) -> dt.date:
        """The day on which it counts, in UTC."""
        return day_of(self.time)


class Sum(msgspec.Struct, frozen=True):
    """The sum of some requests, in micro-dollars.

    `requests` were answered and charged, `unknown` of them at a price that is not known.
    `unanswered` are in flight, or their run was killed: they cost `unanswered_cost` at most.
    """

    name: str
    requests: int = 0
    cost: int = 0
    unknown: int = 0
    unanswered: int = 0
    unanswered_cost: int = 0


class SpendingLedger:
    """The ledger in a folder; made if it is missing. Every method may be called from any thread.

    Raises `LedgerError` if it cannot be used: also if others have it locked for `busy_seconds`.
    A damaged file is left as it is: it may hold what months cost.
    """

    def __init__(self, folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = folder / FILE
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        with _translate_errors(self._path):
            self._connection = self._open()

    def reserve(self, entry: Entry, most: int | None, limits: Sequence[Limit] = ()) -> list[Limit]:
        """Write down a request that is about to leave and costs at most `most` micro-dollars.

        Returns the limits that it could pass; then nothing is written, and it must not leave.
        No other process can write between the comparison and the entry.
        """
        with self._lock, _translate_errors(self._path):
            self._reopen_if_replaced()
            if not limits:
                self._write(entry, most, answered=False)
                return []
            with self._transaction():
                passed = [
                    limit
                    for limit in limits
                    if self._sum(limit, entry.day) + (most or 0) > limit.most
                ]
                if not passed:
                    self._write(entry, most, answered=False)
            return passed

    def settle(self, entry: Entry, cost: int | None) -> None:
        """Record what an answer cost, in micro-dollars; None: its price is not known."""
        with self._lock, _translate_errors(self._path):
            self._write(entry, cost, answered=True)

    def release(self, entry: Entry) -> None:
        """Forget a request that never left, or that cost nothing."""
        with self._lock, _translate_errors(self._path):
            self._connection.execute("DELETE FROM request WHERE id = ?", (entry.id,))

    def spent(self, limit: Limit, day: dt.date) -> int:
        """Return what counts against a limit on a day, in micro-dollars."""
        with self._lock, _translate_errors(self._path):
            return self._sum(limit, day)

    def sums(self, by: str, since: dt.date, *, provider: str | None = None) -> list[Sum]:
        """Return the sums of all requests since a day by a column, or an expression, in order."""
        query = f"""
            SELECT {by} AS name, sum(answered), coalesce(sum(micro_usd * answered), 0),
                sum(answered AND micro_usd IS NULL), sum(NOT answered),
                coalesce(sum(micro_usd * (NOT answered)), 0)
            FROM request WHERE day >= ? AND (? IS NULL OR provider = ?)
            GROUP BY name ORDER BY name
        """  # noqa: S608  # `by` is one of ours
        with self._lock, _translate_errors(self._path):
            rows = self._connection.execute(query, (since.isoformat(), provider, provider))
            return [Sum(str(name), *numbers) for name, *numbers in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _sum(self, limit: Limit, day: dt.date) -> int:
        first, end = limit.period.first_day(day), limit.period.next(day)
        (total,) = self._connection.execute(
            "SELECT coalesce(sum(micro_usd), 0) FROM total "
            "WHERE day >= ? AND day < ? AND (? IS NULL OR project = ?)",
            (first.isoformat(), end.isoformat(), limit.project, limit.project),
        ).fetchone()
        return int(total)

    def _write(self, entry: Entry, cost: int | None, *, answered: bool) -> None:
        self._connection.execute(
            "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) "
            "DO UPDATE SET micro_usd = excluded.micro_usd, answered = excluded.answered",
            (
                entry.id,
                entry.day.isoformat(),
                int(entry.time),
                entry.project,
                entry.provider,
                entry.model,
                entry.style,
                entry.key,
                entry.mode.value,
                cost,
                answered,
            ),
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path.is_symlink():
            raise LedgerError(f"{self._path} is a symbolic link")
        # SQLite would make it readable by others.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            # SQLite waits for nobody while it changes the journal's mode.
            lock = self._path.with_name(_OPENING)
            with filelock.FileLock(lock, timeout=self._busy_seconds):
                self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        status = self._path.stat()
        self._identity = (status.st_dev, status.st_ino)
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise LedgerError(f"{self._path} is of a newer version of imagegen: update this one")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            # Network file systems have no shared memory.
            connection.execute("PRAGMA journal_mode = TRUNCATE")
        # The end of a process loses nothing. A power cut may lose the last entries, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < _VERSION:
            connection.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;"
            )

    def _reopen_if_replaced(self) -> None:
        """Use what others use if the file was deleted or replaced since it was opened."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            self._connection.close()
            self._connection = self._open()


@contextlib.contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except filelock.Timeout as error:
        raise LedgerError(f"{path} is locked by another process") from error
    except sqlite3.OperationalError as error:
        raise LedgerError(f"{path} cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        message = f"{path} is damaged ({error}): move it elsewhere to start a new one"
        raise LedgerError(message) from error
    except OSError as error:
        raise LedgerError(f"{path} cannot be used: {error.strerror or error}") from error
