"""The command that stops the active run: `stop`."""

from pathlib import Path
from typing import Final

from imagegen.cli.help import examples
from imagegen.cli.options import ProjectArgument

EPILOG: Final = examples(
    ("imagegen stop my-video", "from another window, or for a detached run"),
)


def stop(project: ProjectArgument = Path()) -> None:
    """Stop the active run. Requests in flight, which are paid for, finish first.

    The run saves its images and ends with exit 3; `imagegen resume` draws the rest.
    """
    from imagegen.display import terminal
    from imagegen.project import record
    from imagegen.project.layout import ProjectPaths

    layout = ProjectPaths(project)
    printer = terminal.printer()
    active = record.active_run(layout)
    if active is None:
        printer.line(f"{layout.name}: no active run.")
        return
    record.request_stop(layout, active.run)
    printer.line(
        f"{layout.name}: process {active.pid} finishes its requests in flight, then stops."
    )
