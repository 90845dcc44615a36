"""Starts a run that continues when its starter has left."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from imagegen import files
from imagegen.errors import Exit, ImagegenError, StorageError, UsageError
from imagegen.project import record
from imagegen.project.layout import ProjectPaths, ensure_own_log, reject_symlink
from imagegen.project.record import RunRecord

PRINT_FAILURE_EVENT: Final = "IMAGEGEN_TELLS_FAILURE"
"""Set in its environment, a run with another view prints its `error` event all the same."""

_LOOK: Final = 0.05
_MOST_SHOWN: Final = 64 * 1024 * 1024
"""An `error` event may list ten thousand errors."""


class EarlyExit(msgspec.Struct, frozen=True):
    """A run that ended at once: its exit code and what it printed.

    `run` is its id; None if it never had the project, so that nothing was begun. A run that
    had nothing to draw has left a journal alone, and no record.
    """

    exit_code: int
    output: str
    run: str | None


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs without a terminal what `arguments` ask for.

    The package that runs now is the one that is started: a folder of its name in the
    project is not looked at.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [word for word in arguments[:end] if word != "--detach"]
    quiet = [*options, "--progress", "none", "--yes", *arguments[end:]]
    return [sys.executable, "-P", "-m", "imagegen", *quiet]


def start(
    layout: ProjectPaths, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> RunRecord | EarlyExit:
    """Start a run apart from this process, and wait until it has the project.

    Returns its record, or how it ended, if it was over before that was seen.
    `environment` is the run's, None for this process's own. Raises `UsageError` if it
    cannot be started, and `StorageError` if its output cannot be saved.
    """
    before, journals = record.read(layout), _journals(layout)
    output = _output(layout)
    try:
        child = subprocess.Popen(  # noqa: S603  # our own command, no shell
            command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
            creationflags=_flags(),
        )
    except OSError as error:
        raise UsageError(f"no process can be started: {error.strerror}") from error
    finally:
        os.close(output)
    try:
        while child.poll() is None:
            # By the run, not by its process: on Windows a launcher may stand in between.
            active = record.active_run(layout)
            if active is not None and (before is None or active.run != before.run):
                # It goes on alone. A surviving parent still has to reap it.
                threading.Thread(target=child.wait, name="run's end", daemon=True).start()
                return active
            time.sleep(_LOOK)
    except BaseException:
        # Ctrl-C does not reach it, and it is not known yet.
        child.terminate()
        child.wait()
        raise
    printed = files.read(layout.detached, _MOST_SHOWN) or b""
    run = None
    if child.returncode != Exit.RUN_ACTIVE:
        after = record.read(layout)
        recorded = after is not None and (before is None or after.run != before.run)
        run = after.run if after and recorded else next(iter(_journals(layout) - journals), None)
    return EarlyExit(child.returncode, printed.decode("utf-8", "replace"), run)


def _output(layout: ProjectPaths) -> int:
    """Open the file for a run's output. Raises `UsageError`, and `StorageError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | files.READ_FLAGS
    try:
        layout.prepare()
        reject_symlink(layout.state_dir)
        ensure_own_log(layout.detached)
        # On a full disk a file is opened all the same, and the reason would be lost.
        files.write(layout.detached, b"\n", mode=0o600)
        return os.open(layout.detached, flags, 0o600)
    except (StorageError, OSError) as error:
        refused = (
            error
            if isinstance(error, StorageError)
            else files.storage_error(error, layout.detached)
        )
        message = f"nothing can be drawn: {refused.message}"
        raise StorageError(message, hint=refused.hint) from error
    except ImagegenError as error:
        raise UsageError(f"nothing can be drawn: {error.message}", hint=error.hint) from error


def _journals(layout: ProjectPaths) -> set[str]:
    """Return the runs with a journal."""
    with contextlib.suppress(OSError):
        return {path.stem for path in layout.journal("").parent.iterdir()}
    return set()


def _flags() -> int:
    if sys.platform == "win32":
        return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return 0
