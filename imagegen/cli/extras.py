"""What is installed only where somebody wants it: `imagegen-storyboard[web]`, `[awake]`."""

import importlib.util
import shutil
import sys
from pathlib import Path

from imagegen.errors import UsageError
from imagegen.shell import command


def missing_extra(what: str, extra: str) -> UsageError:
    """Return the error of an extra that is not installed, with the command that installs it.

    It is for the Python that runs this, which need not be the one that `python` begins. pip and
    uv take the imagegen that is there: the command is the same where it came from a copy of
    its repository. Environments that uv makes have no pip.
    """
    found, python = shutil.which("python"), sys.executable
    if found and Path(found).parent == Path(python).parent:
        python = "python"
    installer = [python, "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        installer = ["uv", "pip", "install", "--python", python]
    return UsageError(
        f"{what} needs an extra that is not installed",
        hint=command(*installer, f"imagegen-storyboard[{extra}]"),
    )
