"""The signals that end a command."""

import signal
from typing import Final

_ENDING: Final = ("SIGTERM", "SIGHUP")


def termination_signals() -> list[int]:
    """Return the numbers of the signals that end a program, except Ctrl-C.

    Leaves out signals that this system does not have, and those that the caller set to be
    ignored: `nohup` does so, to keep a program running when the terminal closes.

    An ignored Ctrl-C is handled all the same: shells without job control ignore it for each
    command that ends with `&`, and some (dash) let no script change that. A user who presses it
    there, or a script that passes it on like examples/ci.sh, wants to stop a run that costs money.
    """
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
