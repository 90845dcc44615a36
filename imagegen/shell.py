"""Commands as the user types them: quoted as this system's shell wants it."""

import shlex
import sys


def command(*words: str) -> str:
    """Return a command line of these arguments."""
    if sys.platform != "win32":
        return shlex.join(words)
    import subprocess  # noqa: PLC0415  # slow to import

    return subprocess.list2cmdline(words)


def project_command(name: str, path: object, *options: str) -> str:
    """Return `imagegen NAME PATH …`; the current folder is left out."""
    folder = str(path)
    if folder.startswith("-"):
        folder = f"./{folder}"
    folders = [] if folder in {"", "."} else [folder]
    return command("imagegen", *name.split(), *folders, *options)
