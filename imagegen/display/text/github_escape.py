"""Output for GitHub Actions: workflow commands, and Markdown on the run's page.

The runner executes lines that begin with `::`, after blanks too, and `##[` anywhere in one
(`ActionCommand.cs` of actions/runner). Text from outside must contain neither.
"""

import os
from pathlib import Path
from typing import Final

from imagegen.display.text.sanitize import escape_control

SUMMARY: Final = "GITHUB_STEP_SUMMARY"
ANNOTATIONS: Final = 10
"""The number of annotations of one kind that GitHub shows per step."""

_STRUCTURE: Final = {ord(c): f"&#{ord(c)};" for c in r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""}


def running() -> bool:
    """Return whether this is a step of a GitHub Actions job."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def harmless(line: str) -> str:
    """Return a line that the runner only prints."""
    line = line.replace("##[", "## [")
    rest = line.lstrip()
    return line[: len(line) - len(rest)] + ": " + rest[1:] if rest.startswith("::") else line


def command(name: str, message: str, **properties: str) -> str:
    """Return a workflow command on one line: `::error title=…::message`."""
    parameters = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name}{' ' if parameters else ''}{parameters}::{_data(message)}"


def markdown(text: str) -> str:
    """Return text as Markdown that shows it as it is: no tag, no link, no cell's end."""
    return escape_control(text).translate(_STRUCTURE)


def append(text: str) -> str | None:
    """Add Markdown to the run's page; return the error, or None."""
    path = os.environ.get(SUMMARY)
    if not path:
        return None
    try:
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path"
        return f"the table for the run's page could not be written: {why} (${SUMMARY})"
    return None


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escape_control(escaped).replace("##[", "## [")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
