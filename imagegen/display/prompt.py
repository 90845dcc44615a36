"""Prompts for a key without echo, or reads it from a pipe."""

import getpass
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from imagegen.display.text.sanitize import sanitize
from imagegen.errors import UsageError

_MOST_TYPED: Final = 8192


def anyhow(question: str, *, unattended: bool = True) -> bool:
    """Ask for confirmation; without a terminal the answer is `unattended`."""
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return unattended
    sys.stderr.write(f"{sanitize(question, 1000)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def key(style: str, file: str, made_at: str | None = None) -> str:
    """Return the key that is typed without echo, or the first line of a pipe.

    `file` is the keys file as shown, and `made_at` the URL at which the service makes keys.

    Raises `UsageError` if there is no input, or if the terminal would show it.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return _piped()
    if made_at is not None:
        sys.stderr.write(f"Create a key at {made_at}\n")
    sys.stderr.write(f"The key for {style} is saved in {sanitize(file)}.\n")
    sys.stderr.flush()
    try:
        with _undisturbed(), warnings.catch_warnings():
            # `getpass` would continue and show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass("Paste it here (it is not shown): ")
    except getpass.GetPassWarning:
        raise UsageError(
            "this terminal cannot hide the input",
            hint=f"pipe the key in: imagegen keys add {style} < file",
        ) from None
    except EOFError:
        sys.stderr.write("\n")
        return ""
    except (KeyboardInterrupt, SystemExit, UsageError):
        # The shell's next prompt begins on a line of its own.
        sys.stderr.write("\n")
        raise


def _piped() -> str:
    if sys.stdin is None:
        return ""
    try:
        line = sys.stdin.buffer.readline(_MOST_TYPED)
    except OSError:
        return ""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("stdin is not UTF-8 text", hint="save it as UTF-8") from None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Defer signals while the terminal does not echo.

    A signal that ends programs does so after the echo is restored. So does Ctrl-Z: the
    terminal has discarded what was typed before it, and the shell would echo the rest of
    the key.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise UsageError("cancelled with Ctrl-Z; no key was added", hint="run the command again")

    handlers = {"SIGTERM": end, "SIGHUP": end, "SIGQUIT": end, "SIGTSTP": leave}
    handlers_by_signal = {
        getattr(signal, name): handler
        for name, handler in handlers.items()
        if hasattr(signal, name)
    }
    before: dict[int, Any] = {
        number: signal.signal(number, handler) for number, handler in handlers_by_signal.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
