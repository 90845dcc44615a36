"""Entry point of the command line: maps every error to an exit code."""

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
    """Run the command line and exit with its code."""
    _keep_no_core()
    streams.configure_streams()
    # Reading 300,000 beats creates no reference cycles, and the collector would take a tenth of
    # the time. Long-running commands turn it on again.
    gc.disable()
    code: int = Exit.OK
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"imagegen: cannot write to stdout: {error.strerror}\n")
        code = code or Exit.CLOSED_STDOUT
        streams.discard_stdout()
    if code == Exit.INTERNAL:
        # Threads of a failed run may be busy for minutes; Python would wait for them.
        os._exit(code)
    if code == Exit.CLOSED_STDOUT:
        streams.discard_stdout()
    # Python collects garbage once more at exit, which takes a fifth of a short command's time
    # and far more after 100,000 beats.
    gc.freeze()
    sys.exit(code)


def _keep_no_core() -> None:
    """Disable core dumps: the memory of the process has API keys."""
    if sys.platform == "win32":
        return
    import resource

    # Only this process's limit; the system may have set it lower already.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(arguments: list[str]) -> int:
    """Run one command, report errors on stderr and return the exit code.

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
        return _report(error, arguments)
    except FileNotFoundError as error:
        # Output cannot be missing: without a name it is the current folder.
        _report_file(error, error.filename or "the current folder")
        return Exit.USAGE
    except OSError as error:
        if error.filename is None:
            # Without a file name it is an error of the output.
            raise
        _report_file(error, error.filename)
        return Exit.USAGE
    except Exception as error:  # noqa: BLE001  # an internal error has an exit code of its own
        return _crashed(error)
    return result if isinstance(result, int) else Exit.OK


def _report_file(error: OSError, name: object) -> None:
    """Report an error of a file, with control characters of its name escaped."""
    from imagegen.display.text.sanitize import escape_control

    shown_name = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    sys.stderr.write(f"imagegen: {escape_control(shown_name)}: {error.strerror}\n")


def _report(error: ImagegenError, arguments: Sequence[str]) -> int:
    """Report an error, with the project's folder in the command that it suggests."""
    from imagegen.display import terminal

    if _is_for_program(arguments):
        # If that cannot be written, the exit code is enough.
        with contextlib.suppress(OSError, ClosedOutputError):
            terminal.print_failure_event(error)
    has_project = error.project not in {None, Path()}
    terminal.printer(errors=True).error(error, str(error.project) if has_project else "")
    return error.exit_code


def _is_for_program(arguments: Sequence[str]) -> bool:
    """Return whether a program waits for an event with the error."""
    from imagegen.runs.detach import PRINT_FAILURE_EVENT

    # Searched for in the raw arguments: the error may be that they cannot be parsed.
    as_json = "--progress=json" in arguments or ("--progress", "json") in pairwise(arguments)
    return as_json or PRINT_FAILURE_EVENT in os.environ


def _crashed(error: Exception) -> int:
    """Log an internal error to crash.log and report it."""
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
        f"imagegen: internal error ({type(error).__name__}); finished images are saved\n  {where}\n"
    )
    return Exit.INTERNAL
