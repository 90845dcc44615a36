"""What a step keeps so that it can be undone: overrides and choices as they were."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from imagegen.project.storyboard import BeatAddress
from imagegen.workspace.project import Project

OVERRIDES: Final = "overrides"
"""The name under which a step keeps the previous overrides.toml."""


SELECTIONS: Final = "selections"
"""Under which name a step keeps what happened to choices."""


def overrides_undo_data(project: Project, changes: Iterable[BeatAddress]) -> dict[str, Any]:
    """Return what a step keeps of overrides.toml, to undo these changes."""
    before = {
        str(where): msgspec.to_builtins(project.raw_overrides.get(where)) for where in changes
    }
    return {OVERRIDES: before} if before else {}
