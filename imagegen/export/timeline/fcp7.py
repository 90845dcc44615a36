"""`timeline.xml`: Final Cut Pro 7 XML (xmeml 4), which Premiere and DaVinci Resolve import.

Source: Apple, Final Cut Pro XML Interchange Format. An image lasts as long as it is used, and is
scaled so that it fills the frame: these editors would show it pixel for pixel.
"""

from xml.etree import ElementTree as ET

from imagegen.export.timeline.model import Clip, Sound, Still, Timeline
from imagegen.export.timeline.xml import document

_MUCH: int = 10 * 3600
"""Seconds that an image could last: room to make a clip longer."""


def text(timeline: Timeline) -> bytes:
    """Return the timeline as Final Cut Pro 7 XML."""
    root = ET.Element("xmeml", version="4")
    writer = _Writer(timeline, ET.SubElement(root, "sequence", id="sequence-1"))
    writer.write()
    return document(root, doctype="<!DOCTYPE xmeml>")


class _Writer:
    def __init__(self, timeline: Timeline, sequence: ET.Element) -> None:
        self._timeline = timeline
        self._sequence = sequence
        self._files: dict[str, str] = {}
        self._items = 0

    def write(self) -> None:
        timeline, sequence = self._timeline, self._sequence
        _add(sequence, "name", timeline.name)
        _add(sequence, "duration", timeline.frames)
        self._rate(sequence)
        code = ET.SubElement(sequence, "timecode")
        self._rate(code)
        _add(code, "string", timeline.rate.timecode(0))
        _add(code, "frame", 0)
        _add(code, "displayformat", "DF" if timeline.rate.drops else "NDF")
        media = ET.SubElement(sequence, "media")
        video = ET.SubElement(media, "video")
        self._format(ET.SubElement(video, "format"))
        track = ET.SubElement(video, "track")
        for clip in timeline.clips:
            if clip.still is not None:
                self._image(track, clip, clip.still)
        if timeline.sounds:
            self._narration(ET.SubElement(media, "audio"))
        for clip in timeline.clips:
            for heading, comment in clip.markers:
                marker = ET.SubElement(sequence, "marker")
                _add(marker, "name", f"{heading}: {comment}")
                _add(marker, "comment", comment)
                _add(marker, "in", clip.start)
                _add(marker, "out", -1)

    def _rate(self, parent: ET.Element) -> None:
        rate = ET.SubElement(parent, "rate")
        _add(rate, "timebase", self._timeline.rate.nominal)
        _add(rate, "ntsc", "TRUE" if self._timeline.rate.drops else "FALSE")

    def _format(self, parent: ET.Element) -> None:
        traits = ET.SubElement(parent, "samplecharacteristics")
        self._rate(traits)
        _add(traits, "width", self._timeline.width)
        _add(traits, "height", self._timeline.height)
        _add(traits, "pixelaspectratio", "square")
        _add(traits, "fielddominance", "none")

    def _item(self, track: ET.Element, name: str, source: int, start: int, end: int) -> ET.Element:
        self._items += 1
        item = ET.SubElement(track, "clipitem", id=f"clipitem-{self._items}")
        _add(item, "name", name)
        _add(item, "enabled", "TRUE")
        _add(item, "duration", source)
        self._rate(item)
        _add(item, "start", start)
        _add(item, "end", end)
        _add(item, "in", 0)
        _add(item, "out", end - start)
        return item

    def _image(self, track: ET.Element, clip: Clip, still: Still) -> None:
        much = _MUCH * self._timeline.rate.nominal
        item = self._item(track, clip.beat, much, clip.start, clip.end)
        _add(item, "stillframe", "TRUE")
        _add(item, "anamorphic", "FALSE")
        _add(item, "alphatype", "none")
        file, is_new = self._file(item, still.file)
        if is_new:
            _add(file, "name", still.name)
            _add(file, "pathurl", _url(still.path.as_uri()))
            self._rate(file)
            _add(file, "duration", much)
            video = ET.SubElement(ET.SubElement(file, "media"), "video")
            traits = ET.SubElement(video, "samplecharacteristics")
            _add(traits, "width", still.width)
            _add(traits, "height", still.height)
            _add(traits, "pixelaspectratio", "square")
        self._scale(item, still)
        if clip.phrase:
            _add(ET.SubElement(item, "comments"), "mastercomment1", clip.phrase)

    def _scale(self, item: ET.Element, still: Still) -> None:
        timeline = self._timeline
        scale = max(timeline.width / still.width, timeline.height / still.height)
        effect = ET.SubElement(ET.SubElement(item, "filter"), "effect")
        for name, value in (
            ("name", "Basic Motion"),
            ("effectid", "basic"),
            ("effectcategory", "motion"),
            ("effecttype", "motion"),
            ("mediatype", "video"),
        ):
            _add(effect, name, value)
        parameter = ET.SubElement(effect, "parameter")
        _add(parameter, "parameterid", "scale")
        _add(parameter, "name", "Scale")
        _add(parameter, "valuemin", 0)
        _add(parameter, "valuemax", 1000)
        _add(parameter, "value", f"{100 * scale:.3f}")

    def _narration(self, audio: ET.Element) -> None:
        """Add a track for each channel of the recordings, as these editors have them."""
        sounds = self._timeline.sounds
        _add(audio, "numOutputChannels", 2)
        traits = ET.SubElement(ET.SubElement(audio, "format"), "samplecharacteristics")
        _add(traits, "depth", 16)
        _add(traits, "samplerate", 48000)
        for channel in range(1, max(sound.recording.channels for sound in sounds) + 1):
            track = ET.SubElement(audio, "track")
            for sound in sounds:
                if channel <= sound.recording.channels:
                    self._sound(track, sound, channel)

    def _sound(self, track: ET.Element, sound: Sound, channel: int) -> None:
        recording = sound.recording
        item = self._item(track, sound.name, sound.frames, sound.start, sound.end)
        file, is_new = self._file(item, sound.file)
        if is_new:
            _add(file, "name", sound.name)
            _add(file, "pathurl", _url(sound.path.as_uri()))
            self._rate(file)
            _add(file, "duration", sound.frames)
            audio = ET.SubElement(ET.SubElement(file, "media"), "audio")
            traits = ET.SubElement(audio, "samplecharacteristics")
            _add(traits, "depth", recording.bits)
            _add(traits, "samplerate", recording.sample_rate)
            _add(audio, "channelcount", recording.channels)
        source = ET.SubElement(item, "sourcetrack")
        _add(source, "mediatype", "audio")
        _add(source, "trackindex", channel)

    def _file(self, item: ET.Element, file: str) -> tuple[ET.Element, bool]:
        """Add the file of a clip; one that was described before is referred to by its id."""
        is_new = file not in self._files
        name = self._files.setdefault(file, f"file-{len(self._files) + 1}")
        return ET.SubElement(item, "file", id=name), is_new


def _url(uri: str) -> str:
    """Return a file's URL as Final Cut Pro 7 writes it: with the name of the host."""
    return uri.replace("file:///", "file://localhost/", 1)


def _add(parent: ET.Element, name: str, value: object) -> None:
    ET.SubElement(parent, name).text = str(value)
