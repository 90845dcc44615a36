"""The command that creates a project: `init`."""

from pathlib import Path
from typing import Final

from imagegen.cli.help import examples
from imagegen.cli.options import ProjectArgument

EPILOG: Final = examples(
    ("imagegen init my-video", "creates the folder and its files"),
    ("imagegen init", "creates the files in the current folder"),
)


def init(project: ProjectArgument = Path()) -> None:
    """Create a project: sample beats, settings and a .gitignore.

    Overwrites nothing; a folder that has beats gets no sample. Shows which keys the project
    will use.
    """
    from imagegen.display import terminal
    from imagegen.setup import init as scaffold

    printer = terminal.printer()
    for line in scaffold.create(project):
        printer.line(line)
