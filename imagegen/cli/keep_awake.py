"""Keeps the machine awake during a run."""

import contextlib
from collections.abc import Callable, Iterator

from imagegen.cli import extras


@contextlib.contextmanager
def keep_awake(warn: Callable[[str], None]) -> Iterator[None]:
    """Keep the machine awake within the context; killing the process releases it too.

    Calls `warn` if the system does not support it. Raises `UsageError` if the extra is not
    installed.
    """
    try:
        from wakepy import keep
    except ImportError as error:
        raise extras.missing_extra("--keep-awake", "awake") from error
    with keep.running(on_fail="pass") as mode:
        if not mode.active:
            warn("--keep-awake: not supported on this system; the run continues without it")
        yield
