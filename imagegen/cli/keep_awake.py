"""Keeping the machine from sleeping while a run goes on."""

import contextlib
from collections.abc import Callable, Iterator

from imagegen.cli import extras


@contextlib.contextmanager
def keep_awake(warn: Callable[[str], None]) -> Iterator[None]:
    """Keep the machine awake as long as the context lasts; a killed process lets go too.

    Where the system does not allow it, `warn` is told, and nothing else happens. Raises
    `UsageError` if the extra that does it is not installed.
    """
    try:
        from wakepy import keep
    except ImportError as error:
        raise extras.missing_extra("--keep-awake", "awake") from error
    with keep.running(on_fail="pass") as mode:
        if not mode.active:
            warn("--keep-awake: this system offers no way to keep it awake; the run goes on")
        yield
