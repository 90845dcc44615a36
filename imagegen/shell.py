"""Commands as a person types them: quoted as this system's shell wants it."""

import shlex
import subprocess
import sys


def command(*words: str) -> str:
    """Return a command line of these words."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def on_project(name: str, path: object, *options: str) -> str:
    """Return `imagegen NAME PATH …`; the current folder is left out."""
    folder = str(path)
    if folder.startswith("-"):
        folder = f"./{folder}"
    named = [] if folder in {"", "."} else [folder]
    return command("imagegen", *name.split(), *named, *options)
