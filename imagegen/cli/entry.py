"""The command line's entry: every ending has its exit code."""

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import typer

from imagegen import __version__
from imagegen.cli import streams
from imagegen.cli.app import app
from imagegen.cli.draw import InterruptedRunError
from imagegen.errors import ClosedOutputError, Exit, ImagegenError
from imagegen.secret import redact


def main() -> NoReturn:
    """Run the command line; every ending has its exit code."""
    _keep_no_core()
    streams.configure_streams()
    # Reading 300,000 beats makes no garbage in circles, and looking for some takes a tenth of the
    # time; what goes on for long turns it on again.
    gc.disable()
    code: int = Exit.OK
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"imagegen: the output cannot be written: {error.strerror}\n")
        code = code or Exit.CLOSED_STDOUT
        streams.discard_stdout()
    if code == Exit.INTERNAL:
        # Threads of a run that broke may be busy for minutes; Python would wait for them.
        os._exit(code)
    if code == Exit.CLOSED_STDOUT:
        streams.discard_stdout()
    # Python looks for garbage once more as it ends, which takes a fifth of a short command's
    # time and far more after 100,000 beats; what is left goes with the process.
    gc.freeze()
    sys.exit(code)


def _keep_no_core() -> None:
    """Let no crash of the process write its memory, which has keys, into a file."""
    if sys.platform == "win32":
        return
    import resource

    # A limit of ours alone, which the system may have set lower already.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code, with what went wrong told on stderr.

    Raises `OSError` if the output cannot be written.
    """
    try:
        result = app(arguments, standalone_mode=False, prog_name="imagegen")
    except (typer.Exit, InterruptedRunError) as done:
        return done.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return Exit.SIGINT
    except ClosedOutputError:
        return Exit.CLOSED_STDOUT
    except ImagegenError as error:
        return _told(error, arguments)
    except FileNotFoundError as error:
        # No output can be missing: without a name it is the folder that we are in.
        _tell_of_file(error, error.filename or "the current folder")
        return Exit.USAGE
    except OSError as error:
        if error.filename is None:
            # No file's: the output's.
            raise
        _tell_of_file(error, error.filename)
        return Exit.USAGE
    except Exception as error:  # noqa: BLE001  # told apart from all that a user can cause
        return _crashed(error)
    return result if isinstance(result, int) else Exit.OK


def _tell_of_file(error: OSError, name: object) -> None:
    """Say what is wrong with a file, whose name may be anything."""
    from imagegen.display.text.sanitize import escape_control

    named = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    sys.stderr.write(f"imagegen: {escape_control(named)}: {error.strerror}\n")


def _told(error: ImagegenError, arguments: Sequence[str]) -> int:
    """Tell of an error, with the project's folder in the command that it suggests."""
    from imagegen.display import terminal

    if _is_for_program(arguments):
        # Where that cannot be written, the exit code tells.
        with contextlib.suppress(OSError, ClosedOutputError):
            terminal.print_failure_event(error)
    named = error.project not in {None, Path()}
    terminal.printer(errors=True).error(error, str(error.project) if named else "")
    return error.exit_code


def _is_for_program(arguments: Sequence[str]) -> bool:
    """Tell whether a program waits for an event that says why nothing could start."""
    from imagegen.runs.detach import PRINT_FAILURE_EVENT

    # Looked for in the words themselves: some of them may be what is wrong.
    asked = "--progress=json" in arguments or ("--progress", "json") in pairwise(arguments)
    return asked or PRINT_FAILURE_EVENT in os.environ


def _crashed(error: Exception) -> int:
    """Log a fault of ours where it can be found, and say so."""
    from imagegen.paths import state_folder

    text = redact("".join(traceback.format_exception(error)))
    log = state_folder() / "crash.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        with os.fdopen(os.open(log, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            report = f"imagegen {__version__}, Python {sys.version}\n{text}"
            file.write(report.encode("utf-8", "backslashreplace"))
        where = f"details are in {log}"
    except OSError:
        where = text
    sys.stderr.write(
        f"imagegen: a fault of ours: {type(error).__name__}. What was drawn is saved.\n  {where}\n"
    )
    return Exit.INTERNAL
