"""Where budgets are kept between processes: a SQLite file in the user's state folder.

`redis_store` keeps them on a server instead, for several machines.

Every change is a compare-and-set of one row by its version, so that processes never wait
for each other longer than one statement takes. Keys are in the file only as salted hashes.
"""

import contextlib
import hashlib
import math
import os
import secrets
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import filelock

_FILE: Final = "budgets.sqlite"
_VERSION: Final = 1
BUSY_SECONDS: Final = 5.0
_HOLDERS: Final = "processes"


class StoreUnavailableError(Exception):
    """The store cannot be used now: locked for too long, not writable, not of our version."""


class StoreLostError(StoreUnavailableError):
    """The store has lost what was in it; opened again, it can be used."""


class StoreTornError(Exception):
    """The store's file is damaged."""


class Store(ABC):
    """Rows of bytes by name, each with a version that every change raises.

    `is_remote` means that the store is on a server, which other machines use too. `reason` says
    why it knows nothing of the last minute, if this process made it, as the end of a sentence;
    `made_at` is when it was made, in `Clock.now()` seconds, if that is known. `holder` is this
    process's own name.
    """

    is_remote = False
    made_at = -math.inf
    reason = ""
    salt: bytes
    holder: str

    @abstractmethod
    def load(self, name: str) -> tuple[int, bytes] | None:
        """Return the row's version and bytes, or None if there is no such row."""

    @abstractmethod
    def swap(self, name: str, version: int, row: bytes) -> bool:
        """Write the row if its version is still `version` (0: not there), else return False."""

    def alive(self, holder: str) -> bool:
        """Return whether the process that wrote this holder's name still runs."""
        return holder == self.holder

    def holds(self, holder: str) -> bool:
        """Whether this process may send what was granted to it under that name."""
        return holder == self.holder

    def renew(self) -> bool:
        """Show that this process runs; to be called every second or so.

        Returns whether it has a new name since the last call, because others took it for dead.
        """
        return False

    @property
    def gone(self) -> bool:
        """Whether what others would find in the store's place is not this store."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Release files and locks."""


class MemoryStore(Store):
    """Budgets of this process alone, for when the file cannot be used."""

    def __init__(self, salt: bytes = b"", holder: str = "") -> None:
        self.salt = salt or secrets.token_bytes(16)
        self.holder = holder or secrets.token_hex(8)
        self._rows: dict[str, tuple[int, bytes]] = {}

    def load(self, name: str) -> tuple[int, bytes] | None:
        """Return the row's version and bytes, or None if there is no such row."""
        return self._rows.get(name)

    def swap(self, name: str, version: int, row: bytes) -> bool:
        """Write the row if its version is still `version`."""
        if self._rows.get(name, (0, b""))[0] != version:
            return False
        self._rows[name] = (version + 1, row)
        return True

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


class SqliteStore(Store):
    """Budgets of all processes of this user on this machine.

    `made` means that there was none when this one was opened, `damaged` that a damaged one was
    found and moved away, and `lost` that there was none although runs have been here before. A
    file that others have locked is waited for `busy_seconds`.
    Raises `StoreUnavailableError` if the folder or file cannot be used. Calls must not
    overlap; the pool's lock sees to that.
    """

    def __init__(self, folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.made = False
        self.damaged = False
        self.lost = False
        self._busy_seconds = busy_seconds
        self._folder = folder
        self._path = folder / _FILE
        self._known_dead: set[str] = set()
        with _translate_errors():
            self._prepare()
            with filelock.FileLock(folder / "opening.lock", timeout=busy_seconds):
                self._connection = self._open_or_replace()
                try:
                    status = self._path.stat()
                    self._identity = (status.st_dev, status.st_ino)
                    self.salt = self._read_salt()
                    self._presence = _ProcessLock(folder / _HOLDERS)
                except BaseException:
                    self._connection.close()
                    raise
        self.holder = self._presence.name
        if self.damaged:
            self.reason = "was damaged and was moved away"
        elif self.lost:
            self.reason = "was deleted"

    def load(self, name: str) -> tuple[int, bytes] | None:
        """Return the row's version and bytes, or None if there is no such row."""
        with _translate_errors():
            query = "SELECT version, state FROM budget WHERE name = ?"
            row = self._connection.execute(query, (name,)).fetchone()
        if row is None:
            return None
        version, state = row
        if not isinstance(version, int) or not isinstance(state, bytes):
            raise StoreTornError(f"row {name} holds {type(state).__name__}")
        return version, state

    def swap(self, name: str, version: int, row: bytes) -> bool:
        """Write the row if its version is still `version` (0: not there), else return False."""
        with _translate_errors():
            if version == 0:
                statement = "INSERT OR IGNORE INTO budget (name, version, state) VALUES (?, 1, ?)"
                done = self._connection.execute(statement, (name, row))
            else:
                statement = (
                    "UPDATE budget SET version = version + 1, state = ? "
                    "WHERE name = ? AND version = ?"
                )
                done = self._connection.execute(statement, (row, name, version))
        return done.rowcount == 1

    def alive(self, holder: str) -> bool:
        """Return whether the process that wrote this holder's name still runs."""
        if holder == self.holder:
            return True
        if holder in self._known_dead:
            return False
        if self._presence.is_alive(holder):
            return True
        self._known_dead.add(holder)
        return False

    @property
    def gone(self) -> bool:
        """Whether the file was deleted or replaced since it was opened."""
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            # Unknown; the open file still works.
            return False
        return (status.st_dev, status.st_ino) != self._identity or status.st_size == 0

    def close(self) -> None:
        """Close the file and end this process's presence."""
        self._connection.close()
        self._presence.release()

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path.is_symlink():
            raise StoreUnavailableError(f"{self._path} is a symbolic link")
        if not self._path.exists():
            # SQLite would make it readable by others.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))

    def _open_or_replace(self) -> sqlite3.Connection:
        if self._path.stat().st_size == 0:
            # What belonged to a file that was deleted would harm the new one.
            self._remove_companions()
        try:
            return self._open()
        except StoreTornError:
            self.damaged = True
        aside = self._path.with_name(f"budgets-damaged-{int(time.time())}.sqlite")
        self._path.replace(aside)
        self._remove_companions()
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        return self._open()

    def _remove_companions(self) -> None:
        for suffix in ("-wal", "-shm", "-journal"):
            self._path.with_name(_FILE + suffix).unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            with _translate_errors():
                self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            # Network file systems have no shared memory.
            connection.execute("PRAGMA journal_mode = TRUNCATE")
        # A crash of the machine may lose the last grants: budgets then count again within
        # a minute. A crash of the process loses nothing.
        connection.execute("PRAGMA synchronous = OFF")
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise StoreTornError(str(finding))
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreUnavailableError(
                f"{self._path} is of a newer version of imagegen: update this one"
            )
        self.made = version == 0
        self.lost = self.made and (self._folder / _HOLDERS).is_dir()
        connection.execute(
            "CREATE TABLE IF NOT EXISTS budget "
            "(name TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS salt (salt BLOB NOT NULL)")
        connection.execute(
            "INSERT INTO salt SELECT ? WHERE NOT EXISTS (SELECT * FROM salt)",
            (secrets.token_bytes(16),),
        )
        connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _read_salt(self) -> bytes:
        (salt,) = self._connection.execute("SELECT salt FROM salt").fetchone()
        return bytes(salt)


class _ProcessLock:
    """A locked file that says that this process runs; the system unlocks it at any death.

    Made while the store's opening lock is held, so that no other process takes a file that
    is not locked yet for a dead one's.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._sweep()
        self.name = secrets.token_hex(8)
        # Not bound to this thread: another one may close the store.
        self._lock = filelock.FileLock(self._file(self.name), timeout=0, thread_local=False)
        self._lock.acquire()

    def is_alive(self, name: str) -> bool:
        """Return whether another process holds its file locked; a dead one's file is removed."""
        if not name.isalnum() or not self._file(name).exists():
            return False
        try:
            with filelock.FileLock(self._file(name), timeout=0):
                pass
        except OSError:
            # Locked, or unknown (no file descriptor left): its requests count.
            return True
        with contextlib.suppress(OSError):
            self._file(name).unlink(missing_ok=True)
        return False

    def release(self) -> None:
        """Unlock and remove this process's file."""
        self._lock.release()
        with contextlib.suppress(OSError):
            self._file(self.name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _sweep(self) -> None:
        for file in self._folder.glob("*.lock"):
            self.is_alive(file.stem)


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn what SQLite and the file system raise into the two faults a pool knows."""
    try:
        yield
    except filelock.Timeout as error:
        raise StoreUnavailableError("locked by another process for too long") from error
    except sqlite3.OperationalError as error:
        raise StoreUnavailableError(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise StoreTornError(str(error)) from error
    except OSError as error:
        raise StoreUnavailableError(error.strerror or str(error)) from error


def digest(salt: bytes, *parts: str) -> str:
    """Return the name of a budget's row: a hash that does not reveal the key."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, key=salt, digest_size=16).hexdigest()
