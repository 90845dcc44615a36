"""The best image of each beat, as the page shows and saves it."""

import threading
import time
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from imagegen.errors import UsageError
from imagegen.project.selections import file
from imagegen.project.selections.file import Entries
from imagegen.review import choices, picks
from imagegen.review import choose as choosing
from imagegen.review.choices import ChoiceStanding
from imagegen.review.choose import Pick
from imagegen.web import older
from imagegen.web.board import BoardCache
from imagegen.web.fingerprints import file_fingerprint
from imagegen.workspace.project import Project

Text = Annotated[str, msgspec.Meta(max_length=200)]


class ChoiceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A choice to save. Without a style only the flag changes; null removes the choice."""

    shot_number: Text
    beat_number: Text
    style: Text | UnsetType | None = UNSET
    flagged: bool | UnsetType = msgspec.field(default=UNSET, name="isFlagged")


class Choices:
    """Reads and saves the choices of one project.

    Its methods wait for files; any thread may call them. `_lock` lets one at a time save, and
    guards what was looked at last: images that were redrawn are read for it.
    """

    def __init__(self, boards: BoardCache) -> None:
        self._boards = boards
        self._lock = threading.Lock()
        self._looked: tuple[Project, str | None, list[ChoiceStanding]] | None = None

    def read(self) -> list[ChoiceStanding]:
        """Return every choice, and what has become of its image since."""
        with self._lock:
            project = self._boards.project()
            mark = file_fingerprint(project.root / file.FILE)
            if self._looked is None or self._looked[:2] != (project, mark):
                self._looked = project, mark, choices.describe(project)
            return self._looked[2]

    def entries(self) -> Entries:
        """Return the content of the file of choices. Raises `UsageError` if it is torn."""
        return file.read(self._boards.layout.root)

    def save_as_older(self, choice: older.Choice) -> ChoiceStanding | None:
        """Save a choice of a beat by its number, as anybody writes it, and return it.

        Raises as `save` does.
        """
        with self._lock:
            project = self._boards.require_unmoved()
            if choice.style is None:
                choosing.clear_choices(
                    project, picks.beats(project, [choice.beat_number]), time.time()
                )
                return None
            words = [choice.beat_number, choice.style]
            picked = picks.parse_picks(project, words, flagged=choice.flagged)
            (saved,) = choosing.choose(project, picked, time.time()).values()
            return choices.list_choices(project, saved)

    def save(self, choice: ChoiceRequest) -> ChoiceStanding | None:
        """Save a choice and return it; None if nothing is chosen now.

        Raises `UsageError` for a missing beat or image, and if beat numbers changed.
        """
        key = (choice.shot_number, choice.beat_number)
        with self._lock:
            project = self._boards.require_unmoved()
            if not any(key in keys for keys in project.beat_ids_by_style.values()):
                raise UsageError(f"the storyboard has no beat {'/'.join(key)}")
            beat, wall = project.beat_index.id_of(key), time.time()
            before = choices.chosen(project).get(beat)
            flagged = before is not None and before.flagged
            flagged = flagged if choice.flagged is UNSET else choice.flagged
            if choice.style is UNSET:
                choosing.flag(project, [beat], wall, flagged=flagged)
            elif choice.style is not None:
                choosing.choose(project, {beat: Pick(choice.style, flagged)}, wall)
            elif before is not None:
                choosing.clear_choices(project, [beat], wall)
            now = choices.chosen(project).get(beat)
            return choices.list_choices(project, now) if now is not None else None
