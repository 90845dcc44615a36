"""Projects as the other steps of the pipeline write them, and as they read ours."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builders import picture
from imagegen.project.record import DrawRequest
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project

STYLES = ("illustration", "clear", "consistent")

Shots = Mapping[str, Sequence[tuple[object, str]]]
"""The shot and number of each style's beats, as its storyboard writes them."""

DIFFERENT: Shots = {
    "illustration": [(1, "Beat 1"), (2, "Beat 2"), (3, "Beat 3")],
    "clear": [(1, "Beat 1"), (1, "Beat 2"), (2, "Beat 3")],
    "consistent": [(1, "Beat 1"), (2, "Beat 2"), (2, "Beat 3")],
}
"""A language model wrote each style's storyboard by itself: the same beat is in other shots."""


class OlderProject:
    """A folder, and what the older service and its page do in it."""

    def __init__(self, root: Path, shots: Shots = DIFFERENT) -> None:
        (root / "prompts").mkdir(parents=True)
        self.root = root
        self.shots = shots
        self._width = 8
        for style, own in shots.items():
            rows = [
                {
                    "shot_number": shot,
                    "beat_number": number,
                    "script_phrase": f"Words of {number}.",
                    "transition_type": "Cut",
                    "ai_prompt": f"{style} picture of {number}",
                }
                for shot, number in own
            ]
            (root / "prompts" / f"prompts-{style}.json").write_text(json.dumps(rows), "utf-8")

    @property
    def project(self) -> Project:
        """The project as a command of ours reads it."""
        return read_project(self.root, DrawRequest())

    def new_picture(self) -> bytes:
        """Return a picture that is like no other."""
        self._width += 1
        return picture(self._width, 5)

    def draw(self, style: str, shot: object, written: str) -> bytes:
        """Draw a picture as the older service does, and write its progress down."""
        place = self.place(style, shot, written)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self.new_picture())
        path = self.root / f"image_progress_{style}.json"
        done = json.loads(path.read_text("utf-8"))["completedBeats"] if path.exists() else []
        data = {"completedBeats": [*done, written], "lastUpdated": "2026-11-22T10:00:00.000Z"}
        path.write_text(json.dumps(data), "utf-8")
        return place.read_bytes()

    def draw_all(self) -> None:
        """Draw every picture."""
        for style, own in self.shots.items():
            for shot, number in own:
                self.draw(style, shot, number)

    def place(self, style: str, shot: object, written: str) -> Path:
        """Return where the older service puts a picture."""
        number = re.sub(r"^Beat[ _]", "", written)
        return self.root / f"generated_images/{style}/Shot_{shot}/Beat_{number}.png"

    def completed(self, style: str) -> list[str]:
        """Return what the older service takes for drawn."""
        path = self.root / f"image_progress_{style}.json"
        return list(json.loads(path.read_text("utf-8"))["completedBeats"])

    def choose(
        self, number: str, style: str, selected_at: object = "2026-11-22T10:00:00.000Z", **more: Any
    ) -> None:
        """Choose a picture as the older page does: an entry and a copy."""
        flagged = bool(more.get("isFlagged", False))
        entry = {"style": style, "isFlagged": flagged, "selectedAt": selected_at, **more}
        self.say({**self.said, number: {k: v for k, v in entry.items() if v is not None}})
        shot = next(shot for shot, written in self.shots[style] if written == number)
        self.copy(number, flagged=flagged).parent.mkdir(exist_ok=True)
        data = self.place(style, shot, number).read_bytes()
        self.copy(number, flagged=flagged).write_bytes(data)
        self.copy(number, flagged=not flagged).unlink(missing_ok=True)

    def copy(self, number: str, *, flagged: bool = False) -> Path:
        """Return where the older page looks for a chosen picture."""
        name = re.sub(r"^Beat[ _]", "", number)
        return self.root / f"selected_images/Beat_{name}{'_flagged' if flagged else ''}.png"

    def say(self, entries: Mapping[str, object]) -> None:
        """Let image_selections.json say this."""
        (self.root / "image_selections.json").write_text(json.dumps(entries), "utf-8")

    @property
    def said(self) -> dict[str, Any]:
        """What image_selections.json says."""
        path = self.root / "image_selections.json"
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}

    @property
    def copies(self) -> list[str]:
        """The names of the copies that there are."""
        return sorted(path.name for path in self.root.glob("selected_images/*.png"))
