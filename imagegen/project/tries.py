"""The folder of candidates, `tries/`."""

from pathlib import Path
from typing import Final

from imagegen import files

FOLDER: Final = "tries"


def folders(tries: Path) -> list[str]:
    """Return the names of the folders in a project's `tries`, the oldest first."""
    try:
        return sorted(path.name for path in tries.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.unreadable(error, tries) from error
