"""Timelines: exact frames, times from every source, and files that other programs read."""

import csv
import io
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
import srt

from builders import picture
from commands import Commands
from crashing import Crash, failing, full
from exports import SAMPLE_RATE, choose, make, read, record_voice, row
from imagegen.cli import export_options
from imagegen.cli.commands import export_timeline
from imagegen.errors import StorageError, UsageError
from imagegen.export import record, selection
from imagegen.export.selection import Missing
from imagegen.export.timeline import export as exporting
from imagegen.export.timeline import media, timing, transcript, words
from imagegen.export.timeline.export import Exported, Options
from imagegen.export.timeline.frames import RATES, Rate, cumulative
from imagegen.export.timeline.words import Word

NTSC = Rate(RATES["29.97"])
ROWS = [
    row(
        "Beat 1.1", "The lighthouse stood alone, above the sea.", kinetic_text="ALONE", sfx="waves"
    ),
    row("Beat 1.2", 'Every night a light — "turned" & turned.', kinetic_text="None", sfx="None"),
    row("Beat 2.1", "Until it didn't.", text_overlay="<i>gone</i>", transition_type="Fade"),
]
SPOKEN = (
    ("The lighthouse stood alone above the sea. Every night a light turned and turned.", 127_704),
    ("Until it didn't.", 42_648),
)
HOSTILE = "my film #1 100% é 日本 🎬"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project with a hostile name, chosen images and a narration."""
    root = make(tmp_path / HOSTILE, ROWS)
    choose(root, "clear")
    record_voice(root, *SPOKEN)
    return root


def export(root: Path, **options: Any) -> Exported:
    """Export the timeline of a project."""
    return exporting.export(read(root), Options(**options))


def lengths(done: Exported) -> list[int]:
    """Return how many frames each beat lasts."""
    return [clip.frames for clip in done.timeline.clips]


def sources(done: Exported) -> list[str]:
    """Return where the time of each beat is from."""
    return [clip.source.value for clip in done.timeline.clips]


# Frames and timecode


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (0, "00:00:00;00"),
        (1799, "00:00:59;29"),
        (1800, "00:01:00;02"),
        (3597, "00:01:59;29"),
        (3598, "00:02:00;02"),
        (17981, "00:09:59;29"),
        (17982, "00:10:00;00"),
        (107892, "01:00:00;00"),
    ],
)
def test_drop_frame_timecode_leaves_out_numbers(frames: int, code: str) -> None:
    """Two numbers are left out in each minute but every tenth; an hour is an hour."""
    assert NTSC.timecode(frames) == code


@pytest.mark.parametrize("name", ["24", "25", "30", "60"])
def test_other_rates_count_every_frame(name: str) -> None:
    """Timecode of whole rates has a colon, and as many frames in a second as there are."""
    rate = Rate(RATES[name])
    assert rate.timecode(int(name) * 3661 + 7) == "01:01:01:07"


@pytest.mark.parametrize("name", RATES)
def test_frames_of_2000_beats_are_those_of_the_narration(name: str) -> None:
    """Ends are rounded from the sum, so that 2,000 of them do not drift by one frame."""
    rate = Rate(RATES[name])
    durations = [Fraction(1, 7) + Fraction(at % 13, 10) for at in range(2000)]
    ends = cumulative(durations, rate)
    assert ends[-1] == rate.frames(sum(durations, Fraction(0)))
    exact = (until * rate.exact for until in itertools.accumulate(durations))
    assert all(abs(end - until) <= Fraction(1, 2) for end, until in zip(ends, exact, strict=True))


def test_every_image_lasts_at_least_a_frame() -> None:
    """Beats that share a moment get a frame each, and the end stays where it is."""
    zero = Fraction(0)
    assert cumulative([zero, zero, Fraction(1), zero], Rate(Fraction(10))) == [1, 2, 9, 10]
    with pytest.raises(UsageError, match="3 images are more than the narration has frames at 25"):
        cumulative([zero, zero, Fraction(1, 25)], Rate(Fraction(25)))


# Times


def test_times_come_from_the_recordings(root: Path) -> None:
    """A beat lasts until the next one's first word; the last until the narration ends."""
    done = export(root)
    assert sources(done) == ["voiceover"] * 3
    assert done.timeline.clips[2].start == 160  # 127,704 samples are 5.321 s
    total = sum(samples for _, samples in SPOKEN)
    assert done.timeline.frames == Rate(RATES["30"]).frames(Fraction(total, SAMPLE_RATE))
    assert done.warnings == ()


def test_durations_of_rows_come_first(tmp_path: Path) -> None:
    """The first that there is counts for each beat: duration, start and end, an estimate."""
    root = make(
        tmp_path / "film",
        [
            row("1", "One.", start=0.5, end="00:00:02,000"),
            row("2", "Two.", start=2, end=4),
            row("3", "Three.", duration="1:01"),
            row("4", " ".join(["word"] * 10)),
            row("5", "Five."),
        ],
    )
    choose(root, "clear")
    done = export(root, rate="24")
    assert lengths(done) == [48, 48, 61 * 24, 4 * 24, 36]
    assert sources(done) == ["rows", "rows", "duration", "estimated", "estimated"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"duration": "soon"}, '1: duration "soon" is not a time'),
        ({"duration": -2}, '1: duration "-2" is not a time'),
        ({"duration": 0}, "1: duration is 0"),
        ({"duration": "1e9"}, "is not a time"),
        ({"start": 3, "end": 2}, "1: it starts at 3 s and ends at 2 s"),
    ],
)
def test_refuses_times_that_are_none(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    """A time that cannot be read is named with its beat, and nothing is written."""
    root = make(tmp_path / "film", [row("1", "One.", **fields)])
    choose(root, "clear")
    with pytest.raises(UsageError) as error:
        export(root)
    assert message in error.value.message
    assert not (root / "export").exists()


def test_finds_phrases_in_a_transcription() -> None:
    """Case and punctuation are folded; words that are not found share the time around them."""
    said = "the light house stood alone above the sea every night alight turned and turned until"
    spoken = [
        Word(word, Fraction(at), Fraction(at) + Fraction(1, 2))
        for at, word in enumerate(said.split())
    ]
    spans = words.find([str(one["script_phrase"]) for one in ROWS], spoken)
    assert [span.start for span in spans] == [0, 8, 14]
    assert [span.matched for span in spans] == [6, 4, 1]
    lost = words.find(["Alone.", "Never said so.", "Sea."], spoken)
    assert [span.matched for span in lost] == [1, 0, 1]
    assert lost[0].end <= lost[1].start < lost[1].end <= lost[2].start


def test_words_that_overlap_keep_their_starts() -> None:
    """A recogniser may let a word end after the next one begins; no beat begins before another."""
    spoken = [
        Word(text, Fraction(start), Fraction(end))
        for text, start, end in (("one", 0, 5), ("three", 2, 3), ("four", 2, 9))
    ]
    spans = words.find(["One", "two", "three", "four"], spoken)
    assert [span.start for span in spans] == [0, 2, 2, 2]


def test_finds_2000_phrases_of_common_words() -> None:
    """A long narration is compared piece by piece, though most of its words are alike."""
    phrases = [f"and then the number {at} of the sea and the light" for at in range(2000)]
    said = [word for phrase in phrases for word in words.fold(phrase)]
    spoken = [Word(word, Fraction(at), Fraction(at + 1)) for at, word in enumerate(said)]
    del spoken[5000:5100]
    spans = words.find(phrases, spoken)
    assert [span.start for span in (*spans[:3], spans[-1])] == [0, 11, 22, 11 * 1999]
    assert sum(span.matched for span in spans) == len(spoken)


def test_scripts_without_spaces_are_found_by_characters() -> None:
    """Japanese and Thai have no spaces between words, and recognisers split them as they like."""
    spoken = list(words.spread("灯台は海の上", Fraction(0), Fraction(6)))
    spans = words.find(["灯台は、", "海の上。"], spoken)
    assert [span.start for span in spans] == [0, 3]
    assert [span.matched for span in spans] == [3, 3]


TRANSCRIPTIONS = {
    "words.json": """[
        {"word": "Until", "startTime": "00:00:01,500", "endTime": "00:00:02,000"},
        {"word": "it", "startTime": "00:00:02,000", "endTime": "00:00:02,500"}]""",
    "whisper.json": """{"segments": [{"text": "x", "words": [
        {"word": " Until", "start": 1.5, "end": 2},
        {"word": " it", "start": 2.0, "end": 2.5}]}]}""",
    "words.srt": """1\r
00:00:01,500 --> 00:00:02,000\r
Until\r
\r
2\r
00:00:02,000 --> 00:00:02,500\r
<i>it</i>\r
""",
    "words.vtt": """WEBVTT

name
00:01.500 --> 00:02.000 align:start
Until

00:02.000 --> 00:02.500
<00:02.100><c>it</c>
""",
}


@pytest.mark.parametrize("name", TRANSCRIPTIONS)
def test_reads_transcriptions(tmp_path: Path, name: str) -> None:
    """The pipeline's own JSON, what speech recognition writes, SRT and WebVTT say the same."""
    (tmp_path / name).write_text(TRANSCRIPTIONS[name], encoding="utf-8-sig", newline="")
    assert transcript.load(tmp_path / name) == [
        Word("until", Fraction(3, 2), Fraction(2)),
        Word("it", Fraction(2), Fraction(5, 2)),
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", "no words here", '[{"word": "a"}]', "[[[1]]]"])
def test_refuses_a_transcription_without_times(tmp_path: Path, text: str) -> None:
    """A file without words and times is an error, whatever else it is."""
    (tmp_path / "words").write_text(text)
    with pytest.raises(UsageError, match="--words"):
        transcript.load(tmp_path / "words")


def test_a_transcription_goes_before_the_recordings(root: Path) -> None:
    """`--words` times the beats; a phrase that was not said is estimated, and said to be."""
    said = "the lighthouse stood alone above the sea until it didn't"
    spoken = [
        {"word": word, "startTime": at / 2, "endTime": at / 2 + 0.4}
        for at, word in enumerate(said.split())
    ]
    (root / "words.json").write_text(json.dumps(spoken))
    done = export(root, words=root / "words.json")
    assert sources(done) == ["words", "estimated", "words"]
    assert done.warnings == ("not found in the narration: 1.2",)
    assert done.timeline.clips[2].start == 105
    (root / "words.json").write_text('[{"word": "else", "start": 0, "end": 1}]')
    with pytest.raises(UsageError, match="no word of the script phrases"):
        export(root, words=root / "words.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("0.wav", b"RIFF", "0.wav is not a WAV file"),
        ("0.wav", b"", "0.wav is not a WAV file"),
        ("2.wav", b"", "2.wav is not a WAV file"),
        ("segments.json", b"{}", "segments.json is not a list of texts"),
        ("segments.json", b'["a"]', "1.wav is of no text"),
        ("segments.json", b'["a", "b", "c"]', "2.wav is missing"),
    ],
)
def test_refuses_a_broken_narration(root: Path, name: str, content: bytes, message: str) -> None:
    """Recordings that are not those of segments.json would put every image at a wrong time."""
    (root / "voiceover" / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        export(root)
    assert message in error.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
def test_a_pipe_in_place_of_a_recording_is_not_waited_for(root: Path) -> None:
    """A project made by somebody else must not hang the export."""
    (root / "voiceover/1.wav").unlink()
    os.mkfifo(root / "voiceover/1.wav")
    with pytest.raises(UsageError, match=r"1\.wav is not a file"):
        export(root)


def test_a_recording_that_was_cut_off_is_as_long_as_it_is(root: Path) -> None:
    """The header of a recording that was not finished claims more sound than there is."""
    path = root / "voiceover/1.wav"
    path.write_bytes(path.read_bytes()[: 44 + 2 * SAMPLE_RATE])
    done = export(root)
    assert done.timeline.sounds[1].recording.seconds == 1


# Beats without an image


def test_holds_and_skips_beats_without_a_choice(root: Path) -> None:
    """With a narration their time stays: held by the image before, or empty."""
    (root / "image_selections.json").unlink()
    choose(root, "clear", "1.1", "2.1")
    held = export(root, missing=Missing.HOLD).timeline.clips
    assert [clip.still and clip.still.name for clip in held] == [
        "Beat_1.1_still.png",
        "Beat_1.1_still.png",
        "Beat_2.1_still.png",
    ]
    skipped = export(root, missing=Missing.SKIP).timeline.clips
    assert skipped[1].still is None
    assert [clip.start for clip in skipped] == [clip.start for clip in held]


def test_skipped_beats_take_no_time_without_a_narration(tmp_path: Path) -> None:
    """An estimated time has nothing to stay in step with."""
    root = make(tmp_path / "film", ROWS)
    choose(root, "clear", "1.1", "2.1")
    done = export(root, missing=Missing.SKIP)
    assert [clip.beat for clip in done.timeline.clips] == ["1.1", "2.1"]


# Files that others read


def find_clips(path: Path, adapter: str, **options: Any) -> tuple[Any, list[Any], list[Any]]:
    """Return a timeline as OpenTimelineIO reads it, with its images and its sounds."""
    otio = pytest.importorskip("opentimelineio")
    found = otio.adapters.read_from_file(str(path), adapter, **options)
    if not isinstance(found, otio.schema.Timeline):
        found = next(iter(found))
    tracks = found.video_tracks(), found.audio_tracks()
    images, sounds = ([clip for track in kind for clip in track.find_clips()] for kind in tracks)
    return found, images, sounds


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("name", "adapter"),
    [("timeline.otio", "otio_json"), ("timeline.xml", "fcp_xml"), ("timeline.edl", "cmx_3600")],
)
def test_opentimelineio_reads_them_back(root: Path, rate: str, name: str, adapter: str) -> None:
    """Images and sounds come back with their frames and in their sequence."""
    done = export(root, rate=rate)
    exact = float(RATES[rate])
    options = {"rate": exact} if adapter == "cmx_3600" else {}
    _, images, sounds = find_clips(done.folder / name, adapter, **options)
    assert [clip.source_range.duration.value for clip in images] == lengths(done)
    places = [clip.transformed_time_range(clip.source_range, clip.parent()) for clip in images]
    assert [place.start_time.to_frames() for place in places] == [
        clip.start for clip in done.timeline.clips
    ]
    assert images[0].source_range.duration.rate == pytest.approx(exact)
    assert [clip.source_range.duration.value for clip in sounds] == [
        sound.frames for sound in done.timeline.sounds
    ]


@pytest.mark.parametrize(
    ("name", "adapter"), [("timeline.otio", "otio_json"), ("timeline.xml", "fcp_xml")]
)
def test_urls_of_hostile_names_lead_to_the_files(root: Path, name: str, adapter: str) -> None:
    """A folder's name may hold spaces, `#`, `%`, é, 日本 and emoji."""
    done = export(root)
    _, images, sounds = find_clips(done.folder / name, adapter)
    for clip in (*images, *sounds):
        url = urlsplit(clip.media_reference.target_url)
        assert url.scheme == "file"
        assert not url.fragment
        assert not url.query
        assert Path(unquote(url.path)).is_file()


def test_markers_go_along(root: Path) -> None:
    """Texts and sounds of the rows are markers; "None" is none."""
    done = export(root)
    _, images, _ = find_clips(done.folder / "timeline.otio", "otio_json")
    names = [[marker.name for marker in clip.markers] for clip in images]
    assert names == [["Kinetic text: ALONE", "Sound: waves"], [], ["Text: <i>gone</i>"]]
    found, _, _ = find_clips(done.folder / "timeline.xml", "fcp_xml")
    assert [marker.marked_range.start_time.value for marker in found.tracks.markers] == [0, 0, 160]


def test_final_cut_xml_has_a_format_and_fills_the_frame(root: Path) -> None:
    """Premiere needs the format; an image would be shown pixel for pixel without a scale."""
    done = export(root, size=(1280, 720))
    tree = ET.parse(done.folder / "timeline.xml")
    found = tree.find("sequence/media/video/format/samplecharacteristics")
    assert found is not None
    assert (found.findtext("width"), found.findtext("height")) == ("1280", "720")
    scales = [float(value.text or 0) for value in tree.iterfind(".//effect/parameter/value")]
    # They have 16, 17 and 18 x 9 pixels: of the wider ones the sides are cut off.
    assert scales[:3] == [pytest.approx(8000)] * 3
    rates = {(r.findtext("timebase"), r.findtext("ntsc")) for r in tree.iterfind(".//rate")}
    assert rates == {("30", "FALSE")}


def test_fcpxml_is_on_edit_boundaries(root: Path) -> None:
    """Every time is a whole number of frames; images abut, and the sound is in the spine."""
    done = export(root, rate="29.97")
    tree = ET.parse(done.folder / "timeline.fcpxml")
    assert tree.getroot().get("version") == "1.11"
    spine = tree.find(".//spine")
    assert spine is not None

    def frames(element: ET.Element, name: str) -> Fraction:
        return Fraction(element.get(name, "").removesuffix("s")) * NTSC.exact

    end = Fraction(0)
    for clip, element in zip(done.timeline.clips, spine, strict=True):
        assert frames(element, "offset") == end == clip.start
        end += frames(element, "duration")
        assert end == clip.end
    connected = [(at, one) for at, e in enumerate(spine) for one in e.iterfind("asset-clip")]
    assert [at for at, _ in connected] == [0, 2]
    assert all(one.get("lane") == "-1" and one.get("offset") == "0s" for _, one in connected)
    ids = {element.get("id") for element in tree.iterfind("resources/*")}
    assert all(element.get("ref") in ids for element in tree.iter() if element.get("ref"))
    conform = [element.get("type") for element in tree.iter("adjust-conform")]
    assert conform == ["fill"] * 3


def test_subtitles_are_the_phrases(root: Path) -> None:
    """A parser of SubRip reads the phrases, one after the other to the millisecond."""
    done = export(root, rate="29.97")
    cues = list(srt.parse((done.folder / "timeline.srt").read_text(encoding="utf-8")))
    assert [cue.content for cue in cues] == [one["script_phrase"] for one in ROWS]
    assert cues[0].end == cues[1].start


@pytest.mark.slow
def test_a_long_list_of_edits_is_split(tmp_path: Path) -> None:
    """An EDL has at most 999 events; the next list goes on where it ends."""
    rows = [row(f"1.{at}", "Word.", duration=0.1) for at in range(1001)]
    root = make(tmp_path / "film", rows, styles=("clear",))
    done = export(root, formats=("edl",), fallback="clear", rate="29.97")
    assert [name for name in done.files if name.endswith(".edl")] == [
        "timeline.edl",
        "timeline_2.edl",
    ]
    first, second = ((done.folder / name).read_text().splitlines() for name in done.files[-2:])
    assert sum(line[:3].isdigit() for line in first) == 999
    last = next(line for line in reversed(first) if line[:3].isdigit())
    following = next(line for line in second if line[:3].isdigit())
    assert last.split()[-1] == following.split()[-2]
    assert first[1] == "FCM: DROP FRAME"


def test_the_table_is_read_by_spreadsheets(tmp_path: Path) -> None:
    """A cell that a spreadsheet would run is text; the columns hold what the rows had."""
    root = make(tmp_path / "film", [row("1", "=cmd|'/C calc'!A1", sfx="-2+3"), row("2", "- No.")])
    choose(root, "clear")
    done = export(root)
    data = (done.folder / "timeline.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    found = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [one["script_phrase"] for one in found] == ["'=cmd|'/C calc'!A1", "- No."]
    assert found[0]["sfx"] == "-2+3"
    assert found[0]["timing"] == "estimated"
    assert found[1]["image"] == "media/Beat_2_still.png"


def test_the_scan_is_what_the_pipeline_reads(root: Path) -> None:
    """A reader that knows the scan's fields alone finds the images and the times in seconds."""
    done = export(root)
    entries = json.loads((done.folder / "pre_edit_scan.json").read_bytes())
    end = 0.0
    for entry, one in zip(entries, ROWS, strict=True):
        assert set(entry) == {"beat_number", "start", "end", "text", "photo", "sfx"}
        assert entry["beat_number"] == one["beat_number"]
        assert entry["start"] == end
        assert entry["start"] == round(entry["start"], 2)
        assert Path(entry["photo"]).read_bytes().startswith(b"\x89PNG")
        end = entry["end"]
    assert [entry["text"] for entry in entries] == ["ALONE", None, None]
    assert [entry["sfx"] for entry in entries] == ["waves", None, None]


def test_texts_of_the_edit_come_from_the_illustration(tmp_path: Path) -> None:
    """The pipeline takes texts and sounds from the illustration storyboard."""
    folder = tmp_path / "film/storyboards"
    folder.mkdir(parents=True)
    for style in ("illustration", "clear"):
        rows = [row("Beat 1", "One.", sfx=f"of {style}", kinetic_text="None")]
        (folder / f"{style}.json").write_text(json.dumps(rows))
    root = make(tmp_path / "film", [row("Beat 1", "One.")])
    (root / "beats.json").unlink()
    choose(root, "clear")
    clip = export(root).timeline.clips[0]
    assert clip.texts == {"sfx": "of illustration"}


def test_texts_come_from_storyboards_if_the_prompts_have_none(tmp_path: Path) -> None:
    """The pipeline's prompts have five fields; its storyboards have the texts and the times."""
    root = make(tmp_path / "film", [row("Beat 1", "One."), row("Beat 2", "Two.")])
    folder = root / "storyboards"
    folder.mkdir()
    rows = [row("Beat 1", "One.", sfx="wind", duration=3.5, start=0, end=3.5), row("Beat 9", "x")]
    (folder / "illustration.json").write_text(json.dumps(rows))
    choose(root, "clear")
    done = export(root)
    assert [clip.texts for clip in done.timeline.clips] == [{"sfx": "wind"}, {}]
    assert sources(done) == ["duration", "estimated"]
    (folder / "illustration.json").write_text("[{]")
    assert "storyboards/ is not used" in export(root).warnings[0]


def test_rows_may_count_their_times_from_0(tmp_path: Path) -> None:
    """A model may write start and end of each row by itself."""
    root = make(tmp_path / "film", [row(str(n), "x", start=0, end=2.5) for n in range(3)])
    choose(root, "clear")
    assert lengths(export(root, rate="24")) == [60, 60, 60]


def test_control_characters_reach_no_file(tmp_path: Path) -> None:
    """What XML cannot hold, and what would break a line of an EDL, is left out."""
    phrase = "a\x1b[2J\nc --> d\ufffe ]]> & <x>"
    root = make(tmp_path / "film", [row("1", phrase, sfx="\x07\n\nbang")])
    choose(root, "clear")
    done = export(root)
    for name in ("timeline.xml", "timeline.fcpxml"):
        ET.parse(done.folder / name)
    assert "* LOC: 00:00:00:00 YELLOW  Sound: bang" in (done.folder / "timeline.edl").read_text()
    assert len(list(srt.parse((done.folder / "timeline.srt").read_text("utf-8")))) == 1


# Images


def test_a_second_export_writes_what_changed(root: Path) -> None:
    """Nothing is written twice; another choice takes the place of the image under its name."""
    assert len(export(root).written) == 12
    assert export(root).written == ()
    choose(root, "consistent", "1.2")
    done = export(root)
    assert done.written[0] == "media/Beat_1.2_still.png"
    assert "timeline.srt" not in done.written
    chosen = root / "generated_images/consistent/Shot_1/Beat_1.2.png"
    assert (done.folder / "media/Beat_1.2_still.png").read_bytes() == chosen.read_bytes()


def test_a_redrawn_image_is_exported_as_it_was_chosen(root: Path) -> None:
    """What a person approved goes to the edit, and a warning says that there is another now."""
    chosen = (root / "selected_images/Beat_1.1.png").read_bytes()
    (root / "generated_images/clear/Shot_1/Beat_1.1.png").write_bytes(picture(99, 9))
    done = export(root)
    assert (done.folder / "media/Beat_1.1_still.png").read_bytes() == chosen
    said = "redrawn since they were chosen, the chosen images are exported: 1.1"
    assert done.warnings == (said,)


def test_what_was_drawn_is_never_shared_with_the_editor(root: Path) -> None:
    """A program that writes into media/ must not change a generated image."""
    (root / "selected_images/Beat_1.1.png").unlink()
    done = export(root)
    drawn = root / "generated_images/clear/Shot_1/Beat_1.1.png"
    assert not drawn.samefile(done.folder / "media/Beat_1.1_still.png")


def test_media_that_is_not_used_any_more_is_removed(root: Path) -> None:
    """Files of beats that are gone go; those of other programs stay."""
    done = export(root)
    (done.folder / "media/mine.png").write_bytes(b"mine")
    (root / "beats.json").write_text(json.dumps(ROWS[:2]))
    (root / "voiceover/segments.json").write_text(json.dumps([SPOKEN[0][0]]))
    (root / "voiceover/1.wav").unlink()
    export(root)
    names = {path.name for path in (done.folder / "media").iterdir()}
    assert names == {
        "Beat_1.1_still.png",
        "Beat_1.2_still.png",
        "mine.png",
        "narration_000_voice.wav",
    }


def test_names_in_media_are_ascii_and_apart(tmp_path: Path) -> None:
    """Every system takes the names; none ends in a number, which is a sequence to editors."""
    root = make(tmp_path / "film", [row(n, "x") for n in ("1.é", "1.日本", "1.語", "1.a b")])
    choose(root, "clear")
    done = export(root, formats=("scan",))
    names = [name.removeprefix("media/") for name in done.files if "/" in name]
    assert len({name.casefold() for name in names}) == 4
    assert all(name.isascii() and " " not in name for name in names)
    assert all(name.endswith("_still.png") for name in names)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_an_image_of_another_type_becomes_png(root: Path, kind: str) -> None:
    """Older tools saved JPEGs as .png, which no editor would open."""
    (root / "selected_images/Beat_1.1.png").write_bytes(picture(20, 10, kind=kind))
    done = export(root)
    assert (done.folder / "media/Beat_1.1_still.png").read_bytes().startswith(b"\x89PNG")
    still = done.timeline.clips[0].still
    assert still is not None
    assert (still.width, still.height) == (20, 10)
    assert export(root).written == ()


@pytest.mark.parametrize("data", [b"not an image", picture()[:-20], picture(kind="JPEG")[:99]])
def test_refuses_what_is_not_an_image(root: Path, data: bytes) -> None:
    """A torn file is named, and nothing is written."""
    (root / "selected_images/Beat_1.1.png").write_bytes(data)
    with pytest.raises(UsageError, match=r"Beat_1\.1\.png is not an image"):
        export(root)
    assert not (root / "export").exists()


def test_uses_svgs_that_are_of_the_chosen_images(root: Path) -> None:
    """`--svg` takes what selected_svg has; a missing or outdated one is the PNG, and said."""
    folder = root / "selected_svg"
    folder.mkdir()
    for number in ("1.1", "1.2"):
        (folder / f"Beat_{number}.svg").write_text("<svg/>")
    project = read(root)
    images = [record.image_record(project, image, {}) for image in selection.source_images(project)]
    record.write(folder, record.ExportRecord(kind="svg", images=tuple(images)))
    choose(root, "consistent", "1.2")
    done = export(root, svg=True)
    assert [clip.still and clip.still.name for clip in done.timeline.clips] == [
        "Beat_1.1_still.svg",
        "Beat_1.2_still.png",
        "Beat_2.1_still.png",
    ]
    assert done.warnings == ("no current SVG, the PNG is used: 1.2, 2.1 (imagegen export svg)",)


# The folder


def test_leaves_files_of_others_alone(root: Path) -> None:
    """A file that no export wrote is not replaced."""
    (root / "export").mkdir()
    (root / "export/timeline.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"timeline\.csv is not from an export"):
        export(root)
    assert (root / "export/timeline.csv").read_text() == "mine"
    assert [path.name for path in (root / "export").iterdir()] == ["timeline.csv"]


@pytest.mark.parametrize("place", [".", "selected_images", "generated_images/x", ".imagegen/x"])
def test_refuses_folders_that_are_kept_for_others(root: Path, place: str) -> None:
    """The project's own folders take no export."""
    with pytest.raises(UsageError, match="an export has a folder of its own"):
        export(root, folder=root / place)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
@pytest.mark.parametrize("link", ["export", "export/media"])
def test_writes_through_no_link(root: Path, tmp_path: Path, link: str) -> None:
    """A project made by somebody else must not lead out of its folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(outside)
    with pytest.raises(UsageError, match="is a symbolic link"):
        export(root)
    assert list(outside.iterdir()) == []


def test_a_hostile_record_removes_nothing_elsewhere(root: Path) -> None:
    """What a record claims to have written is removed from media/ alone."""
    done = export(root)
    victims = [root / "beats.json", done.folder / "notes.txt"]
    victims[1].write_text("mine")
    names = ["../beats.json", "media/../../beats.json", str(root / "beats.json"), "notes.txt"]
    before = record.read(done.folder)
    assert before is not None
    claimed = before.files | dict.fromkeys(names, "")
    record.write(done.folder, record.ExportRecord(kind="timeline", files=claimed))
    export(root)
    assert all(path.is_file() for path in victims)


def test_one_format_leaves_the_others(root: Path) -> None:
    """`--format` writes only what is asked for; what is there stays, and stays ours."""
    done = export(root)
    export(root, formats=("csv",), rate="25")
    assert (done.folder / "timeline.otio").is_file()
    assert len(export(root).files) == 12


def test_an_interrupted_export_is_outdated_and_goes_on(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of an export that was killed are known to be ours; status names every beat."""

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(media, "place", killed)
        with pytest.raises(KeyboardInterrupt):
            export(root)
    (standing,) = record.standings(read(root))
    assert standing.outdated == ("1.1", "1.2", "2.1")
    assert len(export(root).written) == 12
    (standing,) = record.standings(read(root))
    assert standing.outdated == ()


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of an export but its record, and what a crash left half-written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if path.name != record.FILE and not path.name.endswith(".tmp")
    }


@pytest.mark.slow
@pytest.mark.parametrize("raising", [Crash, full])
def test_a_crash_or_a_full_disk_leaves_whole_files(
    root: Path, raising: Callable[[], BaseException]
) -> None:
    """Wherever it ends, each file is whole, and the next export is as if nothing had been."""
    with failing() as calls:
        wanted = contents(export(root).folder)
    for at in range(1, len(calls) + 1, 3):
        shutil.rmtree(root / "export")
        with failing(at, raising=raising), pytest.raises((Crash, StorageError)) as error:
            export(root)
        assert error.type is Crash or "the disk is full" in str(error.value)
        left = contents(root / "export") if (root / "export").exists() else {}
        assert {name: wanted[name] for name in left} == left
        assert contents(export(root).folder) == wanted


# The command


def test_the_command_says_what_it_wrote(root: Path, commands: Commands) -> None:
    """For programs it prints times, files and what was estimated; then nothing is outdated."""
    done = commands.run("export", "timeline", root, "--fps", "29.97", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["fps"], found["frames"], found["estimated"]) == ("30000/1001", 213, [])
    assert [beat["timing"] for beat in found["beats"]] == ["voiceover"] * 3
    assert found["beats"][0]["imagePath"] == "export/media/Beat_1.1_still.png"
    assert all((root / name).is_file() for name in found["files"])
    again = commands.run("export", "timeline", root, "--fps", "29.97")
    assert "nothing has changed" in again.out
    choose(root, "consistent", "1.2", "2.1")
    status = commands.run("status", root)
    assert "timeline 2 outdated: 1.2, 2.1" in status.out
    assert "--fps 29.97" in status.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fps", "23"], "one of: 24, 25, 29.97, 30, 60"),
        (["--size", "1920"], "--size 1920x1080"),
        (["--size", "1921x1080"], "--size 1920x1080"),
        (["--format", "fcxpml"], "fcpxml"),
        (["--missing", "fial"], "fail"),
        (["--words", "missing.json"], "is not a file"),
        (["--output", "beats.json"], "is a file"),
        (["--choose", "clera"], "clear"),
    ],
)
def test_wrong_options_say_what_is_right(
    root: Path, commands: Commands, options: list[str], message: str
) -> None:
    """Whatever is wrong, nothing is written, and the exit code is 2."""
    options = [str(root / one) if one == "beats.json" else one for one in options]
    done = commands.run("export", "timeline", root, *options)
    assert done.code == 2
    assert message in done.err
    assert not (root / "export").exists()


def test_beats_without_a_choice_are_named(root: Path, commands: Commands) -> None:
    """Half chosen is exit 2, with the beats and what helps."""
    (root / "image_selections.json").unlink()
    choose(root, "clear", "1.1")
    done = commands.run("export", "timeline", root)
    assert done.code == 2
    assert "2 beats have no chosen image: 1.2, 2.1" in done.err
    assert "--missing hold" in done.err


def test_the_formats_and_rates_of_the_command_are_those_of_the_export() -> None:
    """The command line is read without the module that exports."""
    assert export_timeline.FORMATS == exporting.FORMATS
    assert tuple(RATES) == export_options.RATES
    assert tuple(Missing) == export_options.MISSING
    assert timing.WORDS_A_MINUTE == 150
