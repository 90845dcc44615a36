"""Move files within a project in one step that can be undone.

Images that swap numbers, are replaced or come back move all together: a crash at any moment
leaves either everything as it was, or a step that `recover` finishes. Nothing is overwritten and
nothing drawn is deleted: files in the way go into the step's folder in `old_images`.

1. `step.json` is written, state `begun`: what moves where.
2. Each file gets a second name in `_staged`, a hard link (or moves there, where there are no
   links). State `staged`.
3. Each is renamed to its target; then the old paths without a new file are removed. State `done`.

Each part can be repeated from its start. With hard links no path that has a file before and
after is ever without one.
"""

from imagegen.project.steps.folders import STEP, new_folder, newest_first
from imagegen.project.steps.history import last, record_run, undo, unreadable
from imagegen.project.steps.paths import is_place
from imagegen.project.steps.perform import perform, recover, unfinished
from imagegen.project.steps.step import Move, Step

__all__ = [
    "STEP",
    "Move",
    "Step",
    "is_place",
    "last",
    "new_folder",
    "newest_first",
    "perform",
    "record_run",
    "recover",
    "undo",
    "unfinished",
    "unreadable",
]
