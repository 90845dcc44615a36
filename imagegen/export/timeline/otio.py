"""`timeline.otio`: OpenTimelineIO's JSON, which DaVinci Resolve imports.

Source: OpenTimelineIO's serialized schema. `Clip.1` and `Marker.2` are what version 0.13 and all
later ones read. Its library has no build for every Python that this runs on, and would be needed
for nothing but these few objects.
"""

from typing import Any

from imagegen import encoding
from imagegen.export.timeline.model import Clip, Sound, Timeline


def text(timeline: Timeline) -> bytes:
    """Return the timeline as OpenTimelineIO's JSON."""
    writer = _Writer(timeline)
    tracks = [writer.track("Images", "Video", list(map(writer.image, timeline.clips)))]
    if timeline.sounds:
        tracks.append(writer.track("Narration", "Audio", writer.narration()))
    stack = writer.item("Stack.1", "tracks", children=tracks)
    return encoding.to_indented_json(
        {
            "OTIO_SCHEMA": "Timeline.1",
            "metadata": {},
            "name": timeline.name,
            "global_start_time": writer.time(0),
            "tracks": stack,
        }
    )


class _Writer:
    def __init__(self, timeline: Timeline) -> None:
        self._sounds = timeline.sounds
        self._rate = float(timeline.rate.exact)

    def time(self, frames: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "RationalTime.1", "rate": self._rate, "value": float(frames)}

    def _range(self, frames: int) -> dict[str, Any]:
        return {
            "OTIO_SCHEMA": "TimeRange.1",
            "duration": self.time(frames),
            "start_time": self.time(0),
        }

    def item(
        self, schema: str, name: str, frames: int | None = None, **more: Any
    ) -> dict[str, Any]:
        return {
            "OTIO_SCHEMA": schema,
            "metadata": {},
            "name": name,
            "source_range": None if frames is None else self._range(frames),
            "effects": [],
            "markers": [],
            "enabled": True,
            **more,
        }

    def track(self, name: str, kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        return self.item("Track.1", name, kind=kind, children=items)

    def _media(self, url: str, frames: int) -> dict[str, Any]:
        return {
            "OTIO_SCHEMA": "ExternalReference.1",
            "metadata": {},
            "name": "",
            "available_range": self._range(frames),
            "target_url": url,
        }

    def image(self, clip: Clip) -> dict[str, Any]:
        more: dict[str, Any] = {
            "metadata": {"imagegen": _metadata(clip)},
            "markers": [self._marker(f"{heading}: {comment}") for heading, comment in clip.markers],
        }
        if clip.still is None:
            return self.item("Gap.1", clip.beat, clip.frames, **more)
        more["media_reference"] = self._media(clip.still.path.as_uri(), clip.frames)
        return self.item("Clip.1", clip.beat, clip.frames, **more)

    def _marker(self, name: str) -> dict[str, Any]:
        return {
            "OTIO_SCHEMA": "Marker.2",
            "metadata": {},
            "name": name,
            "color": "YELLOW",
            "marked_range": self._range(1),
        }

    def narration(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        at = 0
        for sound in self._sounds:
            if sound.start > at:
                items.append(self.item("Gap.1", "", sound.start - at))
            items.append(self._sound(sound))
            at = sound.end
        return items

    def _sound(self, sound: Sound) -> dict[str, Any]:
        media = self._media(sound.path.as_uri(), sound.frames)
        return self.item("Clip.1", sound.name, sound.frames, media_reference=media)


def _metadata(clip: Clip) -> dict[str, str]:
    return {
        "beat_number": clip.written,
        "shot_number": clip.shot,
        "style": clip.style,
        "transition_type": clip.transition,
        "script_phrase": clip.phrase,
        "timing": clip.source.value,
        **clip.texts,
    }
