"""One bar with the time left, for commands that work without a run."""

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imagegen.display import terminal


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr while the block runs, and none in a pipe.

    Yields what takes how much is done, and of how much.
    """
    console = terminal.console(errors=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda *_: None
        return
    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
