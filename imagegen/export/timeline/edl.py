"""`timeline.edl`: an edit decision list (CMX 3600), which nearly every editor imports.

It has no names of files as such, at most 999 events, and timecode of its own: longer timelines
become several lists, and at 29.97 frames a second it is drop-frame timecode, as `FCM` says.
"""

from collections.abc import Iterator
from typing import Final

from imagegen.export.timeline.model import Clip, Sound, Timeline

_MOST_EVENTS: Final = 999
_REEL: Final = "AX"
"""The reel of sources that have no timecode."""


def texts(timeline: Timeline) -> list[bytes]:
    """Return the timeline as edit decision lists, in sequence."""
    clips = [clip for clip in timeline.clips if clip.still is not None]
    events: list[Clip | Sound] = sorted([*clips, *timeline.sounds], key=lambda event: event.start)
    parts = [events[at : at + _MOST_EVENTS] for at in range(0, len(events), _MOST_EVENTS)]
    lists = []
    for number, part in enumerate(parts, 1):
        name = timeline.name if len(parts) == 1 else f"{timeline.name} {number} of {len(parts)}"
        mode = "DROP FRAME" if timeline.rate.drops else "NON-DROP FRAME"
        lines = [f"TITLE: {name}", f"FCM: {mode}"]
        for at, event in enumerate(part, 1):
            lines += ["", *_event(timeline, at, event)]
        lists.append("\r\n".join([*lines, ""]).encode())
    return lists


def _event(timeline: Timeline, number: int, event: Clip | Sound) -> Iterator[str]:
    code = timeline.rate.timecode
    times = (code(0), code(event.frames), code(event.start), code(event.end))
    kind = "A" if isinstance(event, Sound) else "V"
    yield f"{number:03d}  {_REEL:<8} {kind:<5} C        {' '.join(times)}"
    if isinstance(event, Sound):
        yield f"* FROM CLIP NAME: {event.name}"
        yield f"* SOURCE FILE: {event.file}"
        return
    if event.still is not None:
        yield f"* FROM CLIP NAME: {event.still.name}"
        yield f"* SOURCE FILE: {event.still.file}"
    if event.phrase:
        yield f"* COMMENT: {event.phrase}"
    for heading, comment in event.markers:
        yield f"* LOC: {code(event.start)} YELLOW  {heading}: {comment}"
