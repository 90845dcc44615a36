"""Terminal control apart from output: echo, Ctrl-Z, foreground process."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO


def in_foreground(stream: IO[str]) -> bool:
    """Return whether this program is in the foreground of a stream's terminal.

    After `&` or `bg` it is not. Also true if the system has no foreground processes or the
    stream no terminal.
    """
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return True


def silence() -> Callable[[], None]:
    """Stop typed keys from appearing on the screen; return what undoes that.

    An echoed `^C` or a line break would stand in, or scroll away, what is drawn. Nor does
    Ctrl-C throw away what was written and is not shown yet: parts of a frame, which are not
    written again. Does nothing if stdin is not a terminal, or not in the foreground.
    """
    try:
        import termios  # noqa: PLC0415  # not there on Windows
    except ImportError:
        return _nothing
    try:
        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
        if os.tcgetpgrp(keyboard) != os.getpgrp():
            return _nothing
        silent = [*before]
        silent[3] = silent[3] & ~termios.ECHO | termios.NOFLSH
        termios.tcsetattr(keyboard, termios.TCSADRAIN, silent)
    except (OSError, ValueError, AttributeError, termios.error):
        return _nothing

    def restore() -> None:
        # A program in the background that touches the terminal is stopped.
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(keyboard) == os.getpgrp():
                termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

    return restore


def on_suspend(aside: Callable[[], AbstractContextManager[None]]) -> None:
    """Be within `aside` while Ctrl-Z stops this program, so that the shell has its screen.

    Possible from the main thread only, and where the system has such a signal.
    """
    suspend = getattr(signal, "SIGTSTP", None)
    if suspend is None or signal.getsignal(suspend) is signal.SIG_IGN:
        return
    if threading.current_thread() is not threading.main_thread():
        return

    def stop(number: int, _frame: object) -> None:
        with aside():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            # Execution continues here after `fg`.
            signal.signal(number, stop)

    signal.signal(suspend, stop)


def _nothing() -> None:
    pass
