"""The timeline as tables: subtitles, CSV, and the pipeline's scan before the edit."""

import csv
import io
import re
from fractions import Fraction
from typing import Final

from imagegen import encoding
from imagegen.export.timeline.frames import clock_time
from imagegen.export.timeline.model import Clip, Timeline

_FORMULA: Final = re.compile(r"[=+@\t\r]|-(?![\s\d])")
"""How a cell begins that a spreadsheet would run."""


def srt(timeline: Timeline) -> bytes:
    """Return the script phrases as subtitles (SubRip)."""
    rate = timeline.rate
    spoken = [clip for clip in timeline.clips if clip.phrase]
    cues = [
        f"{number}\n{clock_time(rate.seconds(clip.start))} --> "
        # What looks like a time would begin another cue.
        f"{clock_time(rate.seconds(clip.end))}\n{clip.phrase.replace('-->', '→')}\n"
        for number, clip in enumerate(spoken, 1)
    ]
    return "\n".join(cues).encode()


def table(timeline: Timeline) -> bytes:
    """Return a row for each beat as CSV, in UTF-8 with a mark that spreadsheets look for."""
    rate = timeline.rate
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(
        (
            *("beat_number", "shot_number", "style", "flagged", "start", "end", "duration"),
            *("start_timecode", "end_timecode", "frames", "timing", "image", "held"),
            *("transition_type", "script_phrase", "text_overlay", "kinetic_text", "sfx"),
        )
    )
    for clip in timeline.clips:
        times = (clip.start, clip.end, clip.frames)
        cells = (
            *(clip.written, clip.shot, clip.style, "yes" if clip.flagged else ""),
            *(f"{float(rate.seconds(frames)):.3f}" for frames in times),
            *(rate.timecode(frames) for frames in times[:2]),
            *(str(clip.frames), clip.source.value),
            *(clip.still.file if clip.still is not None else "", "yes" if clip.held else ""),
            *(clip.transition, clip.phrase),
            *(clip.texts.get(name, "") for name in ("text_overlay", "kinetic_text", "sfx")),
        )
        writer.writerow([f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def scan(timeline: Timeline) -> bytes:
    """Return `pre_edit_scan.json` as the pipeline's edit reads it; times are in seconds."""
    return encoding.to_indented_json([_scan_entry(timeline, clip) for clip in timeline.clips])


def _scan_entry(timeline: Timeline, clip: Clip) -> dict[str, object]:
    return {
        "beat_number": clip.written,
        "start": _hundredths(timeline.rate.seconds(clip.start)),
        "end": _hundredths(timeline.rate.seconds(clip.end)),
        "text": clip.texts.get("kinetic_text"),
        "photo": str(clip.still.path) if clip.still is not None else None,
        "sfx": clip.texts.get("sfx"),
    }


def _hundredths(seconds: Fraction) -> float:
    return round(float(seconds), 2)
