"""Copies of a project, as several machines have them."""

import json
from pathlib import Path
from typing import Any

import msgspec

from builders import picture
from imagegen import files
from imagegen.editing import merge as merging
from imagegen.editing import undo as undoing
from imagegen.images import png
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest
from imagegen.review import choices
from imagegen.review.choose import Pick, choose
from imagegen.review.project_copies import MergePlan
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project

WALL = 1_795_341_600.0
STYLES = ("clear", "consistent")
OLD = "2026-11-22T10-00-00Z"


class Copy:
    """A copy of a project of a few beats in two styles."""

    def __init__(self, root: Path, beats: int = 3, prompt: str = "prompt") -> None:
        self.root = root
        rows = [
            {"shot_number": 1, "beat_number": f"1.{n}", "ai_prompt": f"{prompt} {n}"}
            for n in range(1, beats + 1)
        ]
        root.mkdir(parents=True)
        (root / "beats.json").write_text(json.dumps(rows), "utf-8")
        settings = f'provider = "sketch"\nimage_size = "512"\ndraw = {json.dumps(STYLES)}\n'
        (root / "imagegen.toml").write_text(settings, "utf-8")

    @property
    def project(self) -> Project:
        """The project as a command reads it."""
        return read_project(self.root, DrawRequest())

    def place(self, address: str) -> Path:
        """Return where the image of `clear/1.1` is."""
        style, beat = address.split("/")
        return self.root / f"generated_images/{style}/Shot_1/Beat_{beat}.png"

    def draw(self, address: str, width: int = 8, **fields: Any) -> bytes:
        """Draw an image of a width; what was there goes to old_images/."""
        place = self.place(address)
        if place.exists():
            kept = (
                self.root / "old_images" / OLD / place.relative_to(self.root / "generated_images")
            )
            files.archive_copy(place, kept)
            place.unlink()
        (beat,) = self.project.addresses.find(address)
        origin = msgspec.structs.replace(self.project.expected(beat), **fields)
        data = b"".join(png.add_metadata(picture(width), origin))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return data

    def choose(self, beat: str, style: str, seconds: float, *, flagged: bool = False) -> None:
        """Choose an image so many seconds after noon."""
        found = self.project.addresses.find_id(beat)
        choose(self.project, {found: Pick(style, flagged)}, WALL + seconds)

    def journal(self, name: str, text: str) -> None:
        """Write the journal of a run."""
        path = self.root / f".imagegen/runs/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def merge(self, *others: "Copy", dry_run: bool = False) -> MergePlan:
        """Bring the other copies into this one."""
        return merging.merge(self.project, [other.root for other in others], WALL, dry_run=dry_run)

    def undo(self) -> None:
        """Take the last step back."""
        undoing.undo(ProjectPaths(self.root), WALL)

    @property
    def tree(self) -> dict[str, bytes]:
        """All files but those that the last step keeps for undo, and what is made again."""
        return {
            path.relative_to(self.root).as_posix(): (
                # The order of its entries means nothing.
                json.dumps(json.loads(path.read_bytes()), sort_keys=True).encode()
                if path.name == "image_selections.json"
                else path.read_bytes()
            )
            for path in self.root.rglob("*")
            if path.is_file()
            and "old_images" not in path.parts
            and not path.name.startswith("image_progress_")
            and not files.is_temporary(path.name)
            and (path.suffix == ".jsonl" or ".imagegen" not in path.parts)
        }

    @property
    def chosen(self) -> dict[str, tuple[str, bool]]:
        """Which style is chosen of each beat, and whether it is flagged."""
        return {one.name: (one.style, one.flagged) for one in choices.describe(self.project)}

    @property
    def selected(self) -> dict[str, bytes]:
        """The files in selected_images/."""
        return {path.name: path.read_bytes() for path in (self.root / "selected_images").iterdir()}
