"""How long each beat's image stays: from the rows, the narration, or the number of words."""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

import msgspec

from imagegen.errors import UsageError
from imagegen.export.selection import ExportBeat
from imagegen.export.timeline import words
from imagegen.export.timeline.frames import Rate
from imagegen.export.timeline.transcript import seconds
from imagegen.export.timeline.voiceover import Voiceover
from imagegen.export.timeline.words import Word

_DRAWN_FOR_THE_EDIT: Final = "illustration"
"""The style whose rows the edit takes texts and sounds from."""
WORDS_A_MINUTE: Final = 150
SHORTEST: Final = Fraction(3, 2)
_LONGEST: Final = 24 * 3600
_UNSPACED: Final = re.compile(r"[^\x00-\u0dff]")


class Source(StrEnum):
    """Where the time of a beat is from, the first that there is."""

    DURATION = "duration"
    ROWS = "rows"
    WORDS = "words"
    VOICEOVER = "voiceover"
    ESTIMATED = "estimated"


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """A beat and how long it lasts, in seconds. `phrase` is what is said."""

    beat: ExportBeat
    phrase: str
    seconds: Fraction
    source: Source


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the narration. `end` is when it ends, in seconds."""

    words: list[Word]
    end: Fraction
    source: Source


def clock(transcript: list[Word] | None, voiceover: Voiceover | None) -> Clock | None:
    """Return the narration's words: as they were transcribed, else by the recordings' lengths."""
    length = voiceover.seconds if voiceover is not None else Fraction(0)
    if transcript is not None:
        end = max(words.end_of(transcript), length)
        return Clock(words=transcript, end=end, source=Source.WORDS)
    if voiceover is not None and voiceover.texts is not None:
        return Clock(words=voiceover.words(), end=length, source=Source.VOICEOVER)
    return None


def field(beat: ExportBeat, name: str) -> Any:
    """Return a further field of a beat's rows: of the illustration style if that has it.

    The text "None" is what language models write for nothing.
    """
    rows = sorted(beat.rows, key=lambda row: row.style != _DRAWN_FOR_THE_EDIT)
    values = (value for row in rows if (value := (row.extra or {}).get(name)) is not None)
    return next((value for value in values if not _is_nothing(value)), None)


def _is_nothing(value: object) -> bool:
    return isinstance(value, str) and value.strip().casefold() in {"", "none", "null", "n/a"}


def phrase(beat: ExportBeat) -> str:
    """Return what is said while a beat is shown, as one line."""
    rows = (beat.row, *beat.rows)
    return " ".join(next((row.script_phrase for row in rows if row.script_phrase), "").split())


def time(beats: Sequence[ExportBeat], narration: Clock | None) -> list[Timed]:
    """Return how long each beat lasts; skipped beats keep their time if others go by a clock.

    Raises `UsageError` for times that are none, and for a narration of other words.
    """
    times = [_Rows(beat) for beat in beats]
    if narration is None and not any(rows.start is not None for rows in times):
        places = [at for at, beat in enumerate(beats) if beat.image is not None]
        beats, times = [beats[at] for at in places], [times[at] for at in places]
    phrases = [phrase(beat) for beat in beats]
    spoken = _spoken_lengths(phrases, narration) if narration is not None else None
    timed = []
    for at, (beat, rows) in enumerate(zip(beats, times, strict=True)):
        if rows.duration is not None:
            length, source = rows.duration, Source.DURATION
        elif (length_by_rows := _by_rows(times, at)) is not None:
            length, source = length_by_rows, Source.ROWS
        elif spoken is not None:
            length, source = spoken[at]
        else:
            length, source = estimate(phrases[at]), Source.ESTIMATED
        timed.append(Timed(beat=beat, phrase=phrases[at], seconds=length, source=source))
    return timed


class _Rows:
    """The times that a beat's rows have, in seconds."""

    def __init__(self, beat: ExportBeat) -> None:
        self.name = beat.beat
        self.duration = self._read(beat, "duration")
        self.start = self._read(beat, "start")
        self.end = self._read(beat, "end")
        if self.duration == 0:
            raise UsageError(f"{self.name}: duration is 0", hint="write seconds, such as 2.5")

    def _read(self, beat: ExportBeat, name: str) -> Fraction | None:
        value = field(beat, name)
        if value is None:
            return None
        time = seconds(value)
        if time is None or time > _LONGEST:
            raise UsageError(
                f'{self.name}: {name} "{value}" is not a time',
                hint="write seconds, such as 2.5, or 00:00:02,500",
            )
        return time


def _by_rows(rows: Sequence[_Rows], at: int) -> Fraction | None:
    """Return how long a beat lasts by `start` and `end`: until the next one starts."""
    row = rows[at]
    if row.start is None:
        return None
    following = rows[at + 1].start if at + 1 < len(rows) else None
    # Models may write the times of each row from 0.
    end = following if following is not None and following > row.start else row.end
    if end is None:
        return None
    if end <= row.start:
        raise UsageError(
            f"{row.name}: it starts at {float(row.start):g} s and ends at {float(end):g} s",
            hint="each beat starts after the one before it",
        )
    return end if at == 0 else end - row.start


def _spoken_lengths(phrases: Sequence[str], narration: Clock) -> list[tuple[Fraction, Source]]:
    """Return how long each phrase lasts: from its first word to that of the next phrase."""
    spans = words.find(phrases, narration.words)
    if not any(span.matched for span in spans):
        raise UsageError(
            "no word of the script phrases is in the narration's words",
            hint="is it the narration of this storyboard?",
        )
    starts = [Fraction(0), *(span.start for span in spans[1:]), narration.end]
    return [
        (end - start, narration.source if span.matched else Source.ESTIMATED)
        for start, end, span in zip(starts, starts[1:], spans, strict=False)
    ]


def mismatch(timed: Iterable[Timed], narration: Voiceover | None, rate: Rate) -> str | None:
    """Return a warning if the images last longer or shorter than the narration, else None."""
    length = sum((entry.seconds for entry in timed), Fraction(0))
    if narration is None or abs(length - narration.seconds) <= 1 / rate.exact:
        return None
    lasts = f"{float(narration.seconds):.1f} s and the images {float(length):.1f} s"
    return f"the narration lasts {lasts}"


def estimate(text: str) -> Fraction:
    """Return about how long a phrase takes at 150 words a minute, at least 1.5 seconds.

    Characters of scripts without spaces count as half a word.
    """
    halves = sum(1 if _UNSPACED.match(word) and len(word) == 1 else 2 for word in words.fold(text))
    return max(SHORTEST, Fraction(halves * 30, WORDS_A_MINUTE))
