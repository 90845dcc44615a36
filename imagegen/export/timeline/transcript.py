"""Transcriptions: spoken words with their times, from JSON, SRT or WebVTT."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import files
from imagegen.errors import UsageError
from imagegen.export.timeline import words
from imagegen.export.timeline.words import Word

_MAX_BYTES: Final = 64 * 1024 * 1024
_CLOCK: Final = re.compile(
    r"(?:(?:(?P<hours>\d{1,3}):)?(?P<minutes>\d{1,3}):)?(?P<seconds>\d{1,6}(?:[.,]\d{1,9})?) ?s?"
)
_CUE: Final = re.compile(
    r"^[ \t]*(?P<start>[\d:.,]{5,20})[ \t]*-->[ \t]*(?P<end>[\d:.,]{5,20})", re.MULTILINE
)
_TAG: Final = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_START: Final = ("startTime", "start", "start_time")
_END: Final = ("endTime", "end", "end_time")
_TEXT: Final = ("word", "text", "punctuated_word")


def seconds(value: object) -> Fraction | None:
    """Return a time: a number of seconds, `2.5`, `2.5s`, `1:02`, `00:00:03,500`; None if not."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Fraction(str(value)) if 0 <= value < 1_000_000 else None
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    whole = int(match["hours"] or 0) * 3600 + int(match["minutes"] or 0) * 60
    return whole + Fraction(match["seconds"].replace(",", "."))


def load(path: Path) -> list[Word]:
    """Read the words of a transcription in their sequence.

    JSON is a list of `{word, startTime, endTime}`, or what speech recognition writes: `words`,
    also within `segments`. A subtitle of several words shares its time among them. Raises
    `UsageError` for a file without words and times.
    """
    data = files.read(path.resolve(), _MAX_BYTES)
    if data is None:
        raise UsageError(f"--words {path} cannot be read, or is larger than 64 MB")
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    spoken = list(_from_json(text) if text.lstrip()[:1] in {"[", "{"} else _from_cues(text))
    if not spoken:
        raise UsageError(
            f"--words {path} has no words with times",
            hint='it is JSON ([{"word", "startTime", "endTime"}]), SRT or VTT',
        )
    return sorted(spoken, key=lambda word: word.start)


def _from_json(text: str) -> Iterator[Word]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"--words: the file is not valid JSON: {error}") from error
    yield from _entries(document)


def _entries(document: Any) -> Iterator[Word]:
    if isinstance(document, dict):
        for name in ("words", "segments"):
            if isinstance(document.get(name), list):
                yield from _entries(document[name])
                return
    for entry in document if isinstance(document, list) else ():
        if not isinstance(entry, dict):
            continue
        if isinstance(entry.get("words"), list):
            yield from _entries(entry["words"])
            continue
        text = next((entry[name] for name in _TEXT if isinstance(entry.get(name), str)), "")
        start = next((seconds(entry[name]) for name in _START if name in entry), None)
        end = next((seconds(entry[name]) for name in _END if name in entry), None)
        if start is not None and end is not None:
            yield from words.spread(text, start, max(start, end))


def _from_cues(text: str) -> Iterator[Word]:
    cues = list(_CUE.finditer(text))
    for at, cue in enumerate(cues):
        stop = cues[at + 1].start() if at + 1 < len(cues) else len(text)
        # On the line of the times are settings of WebVTT; an empty line ends the cue, and what
        # follows is the number or the name of the next.
        spoken = text[cue.end() : stop].partition("\n")[2].partition("\n\n")[0]
        start, end = seconds(cue["start"]), seconds(cue["end"])
        if start is not None and end is not None:
            yield from words.spread(_TAG.sub("", spoken), start, max(start, end))
