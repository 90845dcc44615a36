"""`python -m imagegen`."""

import os
import sys


def _forget_the_current_folder() -> None:
    """Import nothing from the current folder, where `-m` would look first.

    It may be another user's project, with a `requests.py` in it.
    """
    try:
        here = os.path.realpath(os.getcwd())  # noqa: PTH109 - pathlib is not imported yet
    except FileNotFoundError:
        # It is gone, and with it all that could be imported from it.
        return
    if sys.path and os.path.realpath(sys.path[0]) == here:
        del sys.path[0]


if __name__ == "__main__":
    if not sys.flags.safe_path:
        _forget_the_current_folder()
    from imagegen.cli import main

    main()
