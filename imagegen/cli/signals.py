"""Which signals a command heeds."""

import signal
from typing import Final

_ENDING: Final = ("SIGTERM", "SIGHUP")


def termination_signals() -> list[int]:
    """Return the numbers of the signals that are sent to end a program, Ctrl-C apart.

    Those are left out that this system does not have, and those that whoever started us wished
    to be ignored, as `nohup` does so that a closed terminal ends nothing.

    Ctrl-C is no such wish: shells without job control start with it ignored whatever ends with
    `&`, and some (dash) let no script change that. Whoever presses it there, or has a script
    pass it on as examples/ci.sh does, wants a run that costs money to end.
    """
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
