"""A timeline as values: which image from which frame to which, and what belongs to it."""

import re
from pathlib import Path
from typing import Final

import msgspec

from imagegen.export.timeline.frames import Rate
from imagegen.export.timeline.timing import Source
from imagegen.export.timeline.voiceover import Recording

MARKERS: Final = {"text_overlay": "Text", "kinetic_text": "Kinetic text", "sfx": "Sound"}
"""The fields of rows that become markers, and what these are called."""
# XML 1.0 has no place for other characters, whether escaped or not.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Still(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the export's folder. `file` is relative to it, `width` and `height` in pixels."""

    file: str
    path: Path
    width: int
    height: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A beat on the timeline, from frame `start` until before frame `end`.

    `still` is None if there is no image at this time; `held` says that it is another beat's.
    `texts` are those of `MARKERS` that the beat has.
    """

    beat: str
    written: str
    shot: str
    style: str
    transition: str
    phrase: str
    texts: dict[str, str]
    source: Source
    start: int
    end: int
    still: Still | None
    flagged: bool
    held: bool

    @property
    def frames(self) -> int:
        """How many frames it lasts."""
        return self.end - self.start

    @property
    def markers(self) -> list[tuple[str, str]]:
        """What is called to the editor's attention: a heading and a text each."""
        return [
            (heading, self.texts[name]) for name, heading in MARKERS.items() if name in self.texts
        ]


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """A recording on the timeline. `file` is relative to the export's folder."""

    file: str
    path: Path
    recording: Recording
    start: int
    end: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def frames(self) -> int:
        """How many frames it lasts."""
        return self.end - self.start


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A whole timeline, `width` by `height` pixels. Its clips abut, from frame 0 on."""

    name: str
    rate: Rate
    width: int
    height: int
    clips: tuple[Clip, ...]
    sounds: tuple[Sound, ...]

    @property
    def frames(self) -> int:
        """How many frames it lasts, with a narration that is longer than the images."""
        ends = [clip.end for clip in self.clips] + [sound.end for sound in self.sounds]
        return max(ends, default=0)


def one_line(text: str) -> str:
    """Return a text as one line, without control characters and what XML cannot hold."""
    return " ".join(_NOT_XML.sub("", text.encode("utf-8", "replace").decode()).split())
