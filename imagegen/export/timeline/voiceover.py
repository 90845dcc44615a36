"""The narration of a project: `voiceover/0.wav`, `1.wav`, … and the texts in `segments.json`."""

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.export.timeline import words
from imagegen.export.timeline.words import Word
from imagegen.project.layout import ProjectPaths

FOLDER: Final = "voiceover"
SEGMENTS: Final = "segments.json"
_NAME: Final = re.compile(r"(\d{1,6})\.wav", re.IGNORECASE)
_MAX_BYTES: Final = 16 * 1024 * 1024


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One WAV file. `number` is its place in segments.json, `samples` are of one channel."""

    path: Path
    number: int
    samples: int
    sample_rate: int
    channels: int
    bits: int

    @property
    def seconds(self) -> Fraction:
        """How long it is."""
        return Fraction(self.samples, self.sample_rate)


class Voiceover(msgspec.Struct, frozen=True, kw_only=True):
    """All recordings, one after the other. `texts` are what is said in each; None if not known."""

    recordings: tuple[Recording, ...]
    texts: tuple[str, ...] | None

    @property
    def seconds(self) -> Fraction:
        """How long they are together."""
        return sum((recording.seconds for recording in self.recordings), Fraction(0))

    def words(self) -> list[Word]:
        """Return what is said, each word at about its time within its recording."""
        start = Fraction(0)
        spoken: list[Word] = []
        for recording, text in zip(self.recordings, self.texts or (), strict=False):
            end = start + recording.seconds
            spoken += words.spread(text, start, end)
            start = end
        return spoken


def load(layout: ProjectPaths) -> Voiceover | None:
    """Return the narration of a project; None if there are no recordings.

    Raises `UsageError` for a file that is not WAV, and for recordings that are not those of
    segments.json.
    """
    folder = layout.root / FOLDER
    try:
        names = os.listdir(folder)  # noqa: PTH208  # names alone
    except OSError:
        return None
    numbers = {int(match[1]): name for name in names if (match := _NAME.fullmatch(name))}
    if not numbers:
        return None
    recordings = tuple(read(folder / numbers[at], at) for at in sorted(numbers))
    return Voiceover(recordings=recordings, texts=_texts(folder, sorted(numbers)))


def _texts(folder: Path, numbers: Sequence[int]) -> tuple[str, ...] | None:
    path = folder / SEGMENTS
    if not path.exists():
        return None
    data = files.read(path, _MAX_BYTES)
    try:
        texts = msgspec.json.decode((data or b"").removeprefix(b"\xef\xbb\xbf"), type=list[str])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a list of texts: {error}") from error
    absent = sorted(set(range(len(texts))) - set(numbers))
    if absent or len(numbers) != len(texts):
        wrong = f"{absent[0]}.wav is missing" if absent else f"{numbers[-1]}.wav is of no text"
        raise UsageError(
            f"{folder}: {wrong}: {SEGMENTS} has {len(texts)} texts, from 0.wav on",
            hint="record it again, or move the file away",
        )
    return tuple(texts)


def read(path: Path, number: int) -> Recording:
    """Read the header of a WAV file (RIFF, any sample format). Raises `UsageError`."""
    try:
        # Opening a pipe would wait for somebody to write to it.
        if not path.is_file():
            raise UsageError(f"{path} is not a file")
        with path.open("rb") as file:
            recording = _read(file, path.stat().st_size, path, number)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if recording is None or not (recording.samples and recording.sample_rate):
        raise UsageError(f"{path} is not a WAV file with sound in it")
    return recording


def _read(file: BinaryIO, size: int, path: Path, number: int) -> Recording | None:
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    layout: tuple[int, int, int, int] | None = None
    while len(chunk := file.read(8)) == 8:
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            # A recording that was not finished claims more than there is.
            length = min(length, size - file.tell())
            if layout is None or not layout[3]:
                return None
            channels, rate, bits, block = layout
            return Recording(
                path=path,
                number=number,
                samples=length // block,
                sample_rate=rate,
                channels=channels,
                bits=bits,
            )
        if chunk[:4] == b"fmt " and length >= 16:
            body = file.read(16)
            if len(body) < 16:
                return None
            layout = (
                int.from_bytes(body[2:4], "little"),
                int.from_bytes(body[4:8], "little"),
                int.from_bytes(body[14:16], "little"),
                int.from_bytes(body[12:14], "little"),
            )
            length -= 16
        file.seek(length + length % 2, os.SEEK_CUR)
    return None
