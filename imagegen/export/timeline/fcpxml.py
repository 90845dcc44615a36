"""`timeline.fcpxml`: FCPXML 1.11, which Final Cut Pro 10.6.6 and later import.

Source: Apple, FCPXML Reference, and its document type definition. Every time is a whole number
of frames, as a fraction of seconds: other times are not on an edit boundary.
"""

from fractions import Fraction
from math import floor
from typing import Final
from xml.etree import ElementTree as ET

from imagegen.export.timeline.model import Clip, Sound, Still, Timeline
from imagegen.export.timeline.xml import document

_ALWAYS: Final = "0s"
"""What Final Cut Pro writes for the length of an image, which has none."""


def text(timeline: Timeline) -> bytes:
    """Return the timeline as FCPXML."""
    root = ET.Element("fcpxml", version="1.11")
    _Writer(timeline, ET.SubElement(root, "resources")).write(root)
    return document(root, doctype="<!DOCTYPE fcpxml>")


class _Writer:
    def __init__(self, timeline: Timeline, resources: ET.Element) -> None:
        self._timeline = timeline
        self._resources = resources
        self._count = 0
        self._formats: dict[tuple[int, int], str] = {}
        self._assets: dict[str, str] = {}

    def write(self, root: ET.Element) -> None:
        timeline = self._timeline
        sequence_format = self._resource(
            "format",
            frameDuration=_seconds(1 / timeline.rate.exact),
            width=timeline.width,
            height=timeline.height,
            colorSpace="1-1-1 (Rec. 709)",
        )
        event = ET.SubElement(root, "event", name=timeline.name)
        sequence = ET.SubElement(
            ET.SubElement(event, "project", name=timeline.name),
            "sequence",
            format=sequence_format,
            duration=self._time(timeline.frames),
            tcStart="0s",
            tcFormat="DF" if timeline.rate.drops else "NDF",
            audioLayout="stereo",
            audioRate="48k",
        )
        spine = ET.SubElement(sequence, "spine")
        sounds = list(timeline.sounds)
        for clip in timeline.clips:
            element = self._clip(spine, clip)
            # A connected clip is anchored in the image that is shown when it begins.
            while sounds and (sounds[0].start < clip.end or clip is timeline.clips[-1]):
                self._sound(element, sounds.pop(0), clip.start)
            for heading, comment in clip.markers:
                ET.SubElement(
                    element,
                    "marker",
                    start="0s",
                    duration=self._time(1),
                    value=f"{heading}: {comment}",
                )

    def _clip(self, spine: ET.Element, clip: Clip) -> ET.Element:
        when = {
            "start": "0s",
            "offset": self._time(clip.start),
            "duration": self._time(clip.frames),
        }
        if clip.still is None:
            return ET.SubElement(spine, "gap", {"name": clip.beat, **when})
        ref = self._still(clip.still)
        element = ET.SubElement(spine, "video", {"ref": ref, "name": clip.beat, **when})
        if clip.phrase:
            ET.SubElement(element, "note").text = clip.phrase
        ET.SubElement(element, "adjust-conform", type="fill")
        return element

    def _still(self, still: Still) -> str:
        if still.file in self._assets:
            return self._assets[still.file]
        size = (still.width, still.height)
        if size not in self._formats:
            self._formats[size] = self._resource(
                "format", name="FFVideoFormatRateUndefined", width=size[0], height=size[1]
            )
        return self._asset(
            still.file,
            still.path.as_uri(),
            name=still.name,
            start="0s",
            duration=_ALWAYS,
            hasVideo=1,
            format=self._formats[size],
            videoSources=1,
        )

    def _sound(self, parent: ET.Element, sound: Sound, before: int) -> None:
        recording = sound.recording
        # Not longer than the recording, by not even a part of a frame.
        frames = min(sound.frames, floor(recording.seconds * self._timeline.rate.exact))
        ref = self._assets.get(sound.file) or self._asset(
            sound.file,
            sound.path.as_uri(),
            name=sound.name,
            start="0s",
            duration=_seconds(recording.seconds),
            hasAudio=1,
            audioSources=1,
            audioChannels=recording.channels,
            audioRate=recording.sample_rate,
        )
        ET.SubElement(
            parent,
            "asset-clip",
            ref=ref,
            lane="-1",
            offset=self._time(sound.start - before),
            name=sound.name,
            start="0s",
            duration=self._time(frames),
            audioRole="dialogue",
        )

    def _asset(self, file: str, src: str, **attributes: object) -> str:
        name = self._assets[file] = self._resource("asset", **attributes)
        asset = self._resources[-1]
        ET.SubElement(asset, "media-rep", kind="original-media", src=src)
        return name

    def _resource(self, tag: str, **attributes: object) -> str:
        self._count += 1
        name = f"r{self._count}"
        texts = {key: str(value) for key, value in attributes.items()}
        ET.SubElement(self._resources, tag, {"id": name, **texts})
        return name

    def _time(self, frames: int) -> str:
        return _seconds(self._timeline.rate.seconds(frames))


def _seconds(time: Fraction) -> str:
    if time.denominator == 1:
        return f"{time.numerator}s"
    return f"{time.numerator}/{time.denominator}s"
