"""Projects with chosen images and a narration, to export from."""

import json
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

from builders import picture
from imagegen.project.beat_ids import BeatId
from imagegen.project.record import DrawRequest
from imagegen.review import choose as choosing
from imagegen.review.choose import Pick
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project

WALL = 1_790_000_000.0
STYLES = ("clear", "consistent")
SAMPLE_RATE = 24_000


def row(number: str, phrase: str, **fields: object) -> dict[str, object]:
    """Return a storyboard row; its shot is the number before the dot."""
    shot = number.removeprefix("Beat ").partition(".")[0]
    defaults = {"shot_number": shot, "beat_number": number, "script_phrase": phrase}
    return {**defaults, "ai_prompt": f"of {number}", **fields}


def make(root: Path, rows: Sequence[Mapping[str, object]], styles: Sequence[str] = STYLES) -> Path:
    """Make a project of these rows with an image of each beat in these styles, all different."""
    for at, one in enumerate(rows):
        for column, style in enumerate(styles):
            number = str(one["beat_number"]).removeprefix("Beat ")
            place = root / f"generated_images/{style}/Shot_{one['shot_number']}/Beat_{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture(16 + at, 9 + column))
    (root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")
    return root


def read(root: Path) -> Project:
    """Return the project as a command reads it."""
    return read_project(root, DrawRequest())


def choose(root: Path, style: str, *numbers: str, flagged: bool = False) -> None:
    """Choose the images of these beats; without any those of all."""
    project = read(root)
    beats = [BeatId(number) for number in numbers] or project.beat_ids
    choosing.choose(project, dict.fromkeys(beats, Pick(style, flagged)), WALL)


def record_voice(root: Path, *recordings: tuple[str, int]) -> None:
    """Record a narration: of each text so many samples of silence."""
    folder = root / "voiceover"
    folder.mkdir(exist_ok=True)
    (folder / "segments.json").write_text(json.dumps([text for text, _ in recordings]))
    for at, (_, samples) in enumerate(recordings):
        with wave.open(str(folder / f"{at}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(bytes(2 * samples))
