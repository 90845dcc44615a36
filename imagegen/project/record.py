"""Which run works on a project, which was the last, and what it was asked to do."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

from imagegen import encoding, files
from imagegen.errors import Exit, RunActiveError, StorageError
from imagegen.project.layout import ProjectPaths, reject_hardlink, reject_symlink
from imagegen.shell import project_command

_MAX_BYTES: Final = 1024 * 1024
_ROOM: Final = 16 * 1024
_PROBE_SECONDS: Final = 2.0
_RECORD_LOOKS: Final = 20
_RECORD_PAUSE: Final = 0.1


_CARRIED_ON: Final = frozenset(
    {
        Exit.USAGE,
        Exit.ENDED_EARLY,
        Exit.INTERNAL,
        Exit.SIGHUP,
        Exit.SIGINT,
        Exit.CLOSED_STDOUT,
        Exit.SIGTERM,
    }
)

RunId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z-]{1,64}\Z")]
"""A run's id. It names a file, and a record may come from another user."""


Option = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z")]
"""What can be an option's value: no program can be given a null character."""


class DrawRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    # The names that are on disk.
    rename={"keep_numbers": "as_is"},
):
    """The options that choose what is drawn and how; never keys or addresses.

    `beats_file` is an absolute path. `beats` are addresses as a person types them. `sample`
    is how many beats of each style to draw, evenly spread; 0: all. `as_is` draws although beat
    numbers changed. `shard` is a part of the storyboard, such as `2/5`. Consent to draw many
    images again is not kept: the record may come with another user's project.
    """

    styles: tuple[str, ...] = ()
    shots: tuple[str, ...] = ()
    beats: tuple[str, ...] = ()
    shard: Option | None = None
    sample: int = 0
    force: bool = False
    outdated: bool = False
    keep_numbers: bool = False
    fail_fast: bool = False
    provider: str | None = None
    model: str | None = None
    continuity: bool | None = None
    beats_file: str | None = None


class DrawSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who was asked to draw, and from which beats file; None: as the settings say."""

    provider: Option | None = None
    model: Option | None = None
    continuity: bool | None = None
    beats_file: Option | None = None


class RunRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    # The names that are on disk.
    rename={"root_run": "lineage", "suspended_run": "left", "draw_settings": "drawer"},
):
    """One run. `lineage` is the id of the run that it resumes, or its own.

    Times are ISO 8601 in UTC; `ended` and what follows is None while the run is active, and
    stays so if it was killed. `drawer` drew the project last, except for single beats. `left` is
    the unfinished run that this one, of named beats only, does not replace.
    `answer_seconds` is how long an image took to come, on the average, and `thought_tokens` how
    many tokens the model thought about it.
    """

    run: RunId
    root_run: str
    pid: int
    started: str
    asked: DrawRequest
    schema: int = 1
    ended: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    resume_after: str | None = None
    model: str | None = None
    answer_seconds: float | None = None
    thought_tokens: float | None = None
    draw_settings: DrawSettings = DrawSettings()
    suspended_run: "RunRecord | None" = None

    @property
    def resumable(self) -> "RunRecord":
        """The run that `resume` carries on: this one, or the one that it came in between of."""
        return (
            self.suspended_run if self.suspended_run is not None and not self.is_resumable else self
        )

    @property
    def is_resumable(self) -> bool:
        """Whether it ended, or died, before all was drawn, and `resume` carries on."""
        return self.ended is None or self.exit_code in _CARRIED_ON


def read(layout: ProjectPaths) -> RunRecord | None:
    """Return the record of the last run, if it has a valid one.

    Raises `StorageError` if the disk cannot be read.
    """
    data = files.read(layout.state_dir / "run.json", _MAX_BYTES)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=RunRecord)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def peek(layout: ProjectPaths) -> RunRecord | None:
    """Return what `read` does, or None if the disk cannot be read: for a caller that polls."""
    with contextlib.suppress(StorageError):
        return read(layout)
    return None


def write(layout: ProjectPaths, record: RunRecord) -> None:
    """Write the record of the last run. Raises `StorageError`."""
    files.write(layout.state_dir / "run.json", encoding.to_json(record) + b"\n")


def reserve_space(layout: ProjectPaths) -> None:
    """Reserve space for a run's last records: the disk may be full by then.

    Raises `StorageError`.
    """
    files.write(layout.state_dir / "room", bytes(_ROOM))


def release_space(layout: ProjectPaths) -> None:
    """Release that space."""
    with contextlib.suppress(OSError):
        (layout.state_dir / "room").unlink()


def is_active(layout: ProjectPaths) -> bool:
    """Return whether a run works on the project now. Never gets into a starting run's way."""
    path = layout.state_dir / "active.lock"
    if not path.is_file() or path.is_symlink():
        return False
    import filelock  # noqa: PLC0415  # slow to import, and seldom needed

    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:
        # Not ours to lock: believe the record, but not of a process that has gone.
        last = read(layout)
        return last is not None and last.ended is None and _may_run(last.pid)


def active_run(layout: ProjectPaths) -> RunRecord | None:
    """Return the record of the run that works on the project now, or None.

    A run that has only just taken the project is waited for until its record is there.
    """
    for _ in range(_RECORD_LOOKS):
        if not is_active(layout):
            return None
        last = read(layout)
        if last is not None and last.ended is None:
            return last
        time.sleep(_RECORD_PAUSE)
    return None


def _may_run(pid: int) -> bool:
    """Return whether there may be a process with this id."""
    if sys.platform == "win32":
        # Asking there ends the process.
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        # Another user's.
        return True
    return True


class RunLock:
    """Held by the one run that works on a project; the system releases it when the process dies.

    There are two locks. Runs compete for `lock` alone, and its holder takes `active`
    too, which is all that `is_active` looks at: so a look never makes a starting run
    believe that another is active.
    """

    def __init__(self, layout: ProjectPaths) -> None:
        import filelock  # noqa: PLC0415

        self._layout = layout
        self._run = filelock.FileLock(self._safe("lock"), timeout=0, thread_local=False)
        self._active = filelock.FileLock(
            self._safe("active.lock"), timeout=_PROBE_SECONDS, thread_local=False
        )

    def acquire(self) -> None:
        """Take the project. Raises `RunActiveError` naming the other run, `StorageError`."""
        import filelock  # noqa: PLC0415

        try:
            self._run.acquire()
            self._active.acquire()
        except filelock.Timeout:
            self.release()
            last = read(self._layout)
            if last is None or last.ended is not None:
                # That one has ended: it does not hold the project.
                raise RunActiveError(
                    f"another command works on {self._layout.name}", hint="try again in a moment"
                ) from None
            raise RunActiveError(
                f"another run is active on {self._layout.name} "
                f"(process {last.pid}, since {last.started})",
                hint=f"{project_command('status', self._layout.root)} shows it; "
                f"{project_command('stop', self._layout.root)} ends it",
            ) from None
        except OSError as error:
            self.release()
            raise files.storage_error(
                error, Path(error.filename or self._layout.state_dir / "lock")
            ) from error

    def release(self) -> None:
        """Release the project."""
        for lock in (self._active, self._run):
            with contextlib.suppress(OSError):
                lock.release()

    def _safe(self, name: str) -> Path:
        reject_symlink(self._layout.state_dir)
        path = self._layout.state_dir / name
        reject_hardlink(path)
        return path


@contextlib.contextmanager
def project_lock(layout: ProjectPaths) -> Iterator[None]:
    """Hold the project as a run does, for a command that moves images.

    Raises `RunActiveError` while a run is active, and `StorageError` if the disk refuses.
    """
    layout.prepare()
    lock = RunLock(layout)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def new_id(started: str) -> str:
    """Return a run's id: sortable by time, unique by a few random characters."""
    digits = "".join(filter(str.isdigit, started))[:14]
    return f"{digits}-{os.urandom(3).hex()}"


def request_stop(layout: ProjectPaths, run: str) -> None:
    """Ask the run with this id to finish what is in flight and end. Raises `StorageError`."""
    files.write(layout.state_dir / "stop", run.encode())


def stop_requested(layout: ProjectPaths, run: str) -> bool:
    """Return whether the run with this id was asked to stop. Looked at again and again."""
    return files.read_cached(layout.state_dir / "stop", 1024) == run.encode()


def clear_stop(layout: ProjectPaths) -> None:
    """Forget a request to stop."""
    with contextlib.suppress(OSError):
        (layout.state_dir / "stop").unlink()
