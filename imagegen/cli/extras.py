"""Optional dependencies: the extras `[web]` and `[awake]`."""

import importlib.util
import shutil
import sys
from pathlib import Path

from imagegen.errors import UsageError
from imagegen.shell import command


def missing_extra(feature: str, extra: str) -> UsageError:
    """Return the error of an extra that is not installed, with the command that installs it.

    The command is for the Python that runs this, which may differ from `python` on the PATH. pip
    and uv keep the installed imagegen and add what is missing, so it also works if imagegen was
    installed from a copy of its repository. Environments made by uv have no pip.
    """
    python_found, python = shutil.which("python"), sys.executable
    if python_found and Path(python_found).parent == Path(python).parent:
        python = "python"
    installer = [python, "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        installer = ["uv", "pip", "install", "--python", python]
    return UsageError(
        f"{feature} needs an extra that is not installed",
        hint=command(*installer, f"imagegen-storyboard[{extra}]"),
    )
