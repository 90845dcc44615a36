"""What a picture tells of its origin, in the text fields that image tools show."""

import datetime as dt
import io
import json
import shutil
import struct
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

import gemini_replies
from builders import beat, picture, provenance
from commands import Commands, pictures, row
from commands import picture as picture_of
from gemini_server import GeminiServer
from imagegen import __version__
from imagegen.images import formats, png
from imagegen.project.settings import Settings
from imagegen.prompts.composer import Composer
from imagegen.prompts.references import References

WALL = 1_777_777_777.9
MOMENT = "2026-05-03T03:09:37Z"
IHDR_END = 33
OURS = b"imagegen\0\0\0\0\0"

WORDS = {
    "ascii": "A white lighthouse on a black cliff.",
    "latin": "Café\xa0! Über ½ Straße",
    "japanese": "夜の灯台、黒い崖の上",
    "emoji": "🦊 and 👩‍🚀",
    "newlines": "One.\n\nTwo,\nthree.\n",
    "controls": "tab\t, return\r\n, next line\x85",
    "empty": "",
}
each_kind_of_words = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


def texts(description: str | None = "A cat.", **fields: Any) -> png.TextFields:
    """Return what image tools show of a picture, but for the fields that are given."""
    defaults: dict[str, Any] = {"software": "imagegen 9", "created": WALL}
    return png.TextFields(description=description, **(defaults | fields))


def told(told_texts: png.TextFields, data: bytes | None = None) -> bytes:
    """Return a picture that tells its origin."""
    return b"".join(png.add_metadata(data or picture(), provenance(), told_texts))


def restamped(data: bytes, told_texts: png.TextFields, **fields: Any) -> bytes:
    """Return a picture that tells its origin anew."""
    return b"".join(png.replace_metadata(data, provenance(**fields), told_texts))


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Return one chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the kind and body of each chunk of a whole PNG; their checksums are right."""
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert data[at : at + 12 + length] == chunk(kind, body)
        found.append((kind, body))
        at += 12 + length
    return found


def pixels(data: bytes) -> list[bytes]:
    """Return the bodies of a PNG's IDAT chunks."""
    return [body for kind, body in chunks(data) if kind == b"IDAT"]


def made(*parts: bytes) -> bytes:
    """Return a PNG of these chunks before its pixels."""
    plain = picture()
    return plain[:IHDR_END] + b"".join(parts) + plain[IHDR_END:]


def ours() -> bytes:
    """Return the chunk that makes a PNG one of ours."""
    kind, body = chunks(told(texts(None)))[1]
    return chunk(kind, body)


def shown(data: bytes) -> dict[str, str]:
    """Return the text fields that Pillow reads."""
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, PngImageFile)
        fields = dict(image.text)
        assert all(image.info[name] == text for name, text in fields.items())
    del fields["imagegen"]
    return fields


def description(data: bytes) -> str | None:
    """Read a picture's description as a later run does."""
    return png.description(io.BytesIO(data))


def examined(data: bytes) -> png.PngInfo | None:
    """Examine bytes as a file; what tells its content apart is left out."""
    whole = png.read_info(io.BytesIO(data))
    return msgspec.structs.replace(whole, pixel_checksum=0) if whole else None


def by_exiftool(path: Path) -> dict[str, Any]:
    """Return what exiftool reads, or skip the test where there is none."""
    tool = shutil.which("exiftool")
    if tool is None:
        pytest.skip("exiftool is not on PATH (Debian: libimage-exiftool-perl)")
    done = subprocess.run([tool, "-json", "-PNG:all", path], capture_output=True, check=True)
    (fields,) = json.loads(done.stdout)
    return dict(fields)


@each_kind_of_words
def test_image_tools_show_what_a_picture_is(words: str) -> None:
    """Pillow reads software, words and time, and so does a later run; the file is whole."""
    data = told(texts(words))
    assert shown(data) == {
        "Software": "imagegen 9",
        "Description": words,
        "Creation Time": MOMENT,
    }
    assert description(data) == words
    assert examined(data) == png.PngInfo(8, 5, provenance())


@each_kind_of_words
def test_exiftool_reads_every_field(tmp_path: Path, words: str) -> None:
    """The tool that most people look with shows each field as it was written."""
    path = tmp_path / "picture.png"
    path.write_bytes(told(texts(words)))
    fields = by_exiftool(path)
    assert fields["Software"] == "imagegen 9"
    assert fields["CreationTime"] == MOMENT
    assert fields["Description"] == words
    assert json.loads(fields["Imagegen"])["style"] == "clear"
    assert "Warning" not in fields


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("A cat.\nTwo cats.", b"tEXt"),
        ("Café\xa0!", b"tEXt"),
        ("", b"tEXt"),
        ("夜", b"iTXt"),
        ("Café 🦊", b"iTXt"),
        ("tab\t", b"iTXt"),
        ("next line\x85", b"iTXt"),
        ("delete\x7f", b"iTXt"),
    ],
)
def test_only_printable_latin_goes_into_the_plain_kind(words: str, kind: bytes) -> None:
    """`tEXt` has no meaning for anything but printable Latin-1 and line feeds."""
    assert [k for k, body in chunks(told(texts(words))) if body.startswith(b"Description")] == [
        kind
    ]


def test_what_is_told_stands_right_after_the_header() -> None:
    """Programs that read no further than the pixels find it, our own chunk first."""
    data = picture()
    head, rest = png.add_metadata(data, provenance(), texts())
    assert rest == data[IHDR_END:]
    assert rest.obj is data
    assert [body.split(b"\0")[0] for _, body in chunks(head)[1:]] == [
        b"imagegen",
        b"Software",
        b"Description",
        b"Creation Time",
    ]


def test_a_text_that_is_none_is_left_out() -> None:
    """Without words or time, there is no such field."""
    data = told(texts(None, created=None))
    assert shown(data) == {"Software": "imagegen 9"}
    assert description(data) is None


def test_the_pixels_are_those_that_came() -> None:
    """Whatever a picture tells, its IDAT chunks are byte for byte those of the answer."""
    noise = Image.effect_noise((500, 300), 90).convert("RGB")
    out = io.BytesIO()
    noise.save(out, "PNG")
    data = out.getvalue()
    assert len(pixels(data)) > 1
    once = told(texts(), formats.as_png(data))
    assert pixels(once) == pixels(data)
    assert pixels(restamped(once, texts("夜"))) == pixels(data)
    with Image.open(io.BytesIO(once)) as image:
        assert image.tobytes() == noise.tobytes()


@settings(deadline=None)
@given(any_text, any_text)
def test_any_text_is_read_back_the_same(first: str, second: str) -> None:
    """Words of any script return as they were, before and after they are replaced."""
    data = told(texts(first))
    assert (description(data), shown(data)["Description"]) == (first, first)
    again = restamped(data, texts(second))
    assert (description(again), shown(again)["Description"]) == (second, second)
    assert again == told(texts(second))
    assert examined(data) == examined(again) == png.PngInfo(8, 5, provenance())


@pytest.mark.parametrize(
    "words", ["a" * 100_000, "é" * 100_000, "夜" * 100_000, "a" + "🦊" * 50_000]
)
def test_long_words_are_cut_where_a_character_ends(words: str) -> None:
    """Of words beyond 64 KiB a picture holds the beginning, which a later run can compare."""
    data = told(texts(words))
    read = description(data)
    assert read is not None
    assert 64_000 < len(read.encode()) < 64 * 1024
    assert words.startswith(read)
    assert read == png.truncate_text(words) == png.truncate_text(read)
    assert examined(data) == png.PngInfo(8, 5, provenance())


def test_the_largest_picture_stays_whole_with_the_longest_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is accepted from the service is taken for whole once it tells its origin."""
    data = picture(300, 300)
    monkeypatch.setattr(png, "MAX_BYTES", 4 * 64 * 1024 + len(data))
    longest = texts("a" * 100_000, software="b" * 100_000)
    assert examined(told(longest, formats.as_png(data))) == png.PngInfo(300, 300, provenance())


def test_what_no_png_can_hold_is_left_out() -> None:
    """A NUL would end a text, and half of a surrogate pair is no character."""
    assert png.truncate_text("a\0b\ud83ec") == "abc"
    assert description(told(texts("a\0b\ud83ec"))) == "abc"


def test_a_restamped_picture_tells_the_new_and_nothing_of_the_old() -> None:
    """Beat, words and time are replaced, and each stands there once."""
    data = restamped(told(texts("old")), texts("new 夜", created=0.0), beat="1.2")
    whole = examined(data)
    assert whole is not None
    assert whole.provenance == provenance(beat="1.2")
    assert description(data) == "new 夜"
    assert b"old" not in data
    assert data == b"".join(
        png.add_metadata(picture(), provenance(beat="1.2"), texts("new 夜", created=0.0))
    )


def test_restamping_twice_is_restamping_once() -> None:
    """Nothing grows by being told again, whether or not a picture told anything before."""
    for data in (picture(), told(texts("old")), made(ours(), ours())):
        once = restamped(data, texts())
        assert restamped(once, texts()) == once
        assert once == told(texts())


def test_restamping_keeps_whatever_is_not_ours() -> None:
    """Profiles, other texts, bytes after the end and texts behind the pixels stay in place."""
    own = chunk(b"iCCP", b"name\0\0" + zlib.compress(b"a profile"))
    others = [
        chunk(b"tEXt", b"Software Used\0theirs"),
        chunk(b"tEXt", b"Comment\0theirs"),
        chunk(b"tEXt", b"imagegen\0theirs"),
        chunk(b"iTXt", b"description\0\0\0\0\0theirs"),
        chunk(b"prVt", b"Description\0theirs"),
        chunk(b"tEXt"),
    ]
    replaced = [
        chunk(b"tEXt", b"Software\0theirs"),
        chunk(b"iTXt", b"Description\0\0\0en\0\0theirs"),
        chunk(b"zTXt", b"Description\0\0" + zlib.compress(b"theirs")),
        chunk(b"tEXt", b"Creation Time\0yesterday"),
        chunk(b"tEXt", b"Description"),
        ours(),
    ]
    mixed = [part for pair in zip(replaced, others, strict=True) for part in pair]
    end = chunk(b"IEND")
    tail = chunk(b"tEXt", b"Description\0behind") + end + b"appended"
    data = made(own, *mixed).removesuffix(end) + tail
    expected = made(own, *others).removesuffix(end) + tail
    assert restamped(data, texts()) == told(texts(), expected)


def test_a_restamped_picture_is_written_without_a_copy_of_its_pixels() -> None:
    """The part with the pixels is the old file's own memory."""
    data = told(texts("old"))
    _, rest = png.replace_metadata(data, provenance(), texts())
    assert rest.obj is data
    assert chunks(data[:8] + rest)[0][0] == b"IDAT"


@pytest.mark.parametrize("size", range(IHDR_END, 200, 7))
def test_restamping_a_torn_picture_leaves_it_torn(size: int) -> None:
    """What is cut off anywhere raises nothing, and is not a complete image afterwards."""
    assert examined(restamped(told(texts())[:size], texts())) is None


def test_a_foreign_picture_has_no_description_of_ours() -> None:
    """A Description that somebody else wrote is not taken for the words of a beat."""
    theirs = chunk(b"tEXt", b"Description\0theirs")
    assert description(made(theirs)) is None
    assert description(made(chunk(b"iTXt", OURS + b"{}"), theirs)) is None
    assert description(b"") is None
    assert description(picture(kind="JPEG")) is None


@pytest.mark.parametrize(
    "hostile",
    [
        chunk(b"tEXt", b"Description"),
        chunk(b"tEXt", b"Description\0a\0b"),
        chunk(b"tEXt", b"Description\0" + b"a" * 70_000),
        chunk(b"iTXt", b"Description\0\0\0\0"),
        chunk(b"iTXt", b"Description\0\0\0\0\0\xff\xfe"),
        chunk(b"iTXt", b"Description\0\0\0\0\0\xed\xa0\x80"),
        chunk(b"iTXt", b"Description\0\0\0\0\0a\0b"),
        chunk(b"iTXt", b"Description\0\1\0\0\0" + zlib.compress(b"a" * 10_000_000)),
        chunk(b"iTXt", b"Description\0\0\0en\0\0words"),
        chunk(b"zTXt", b"Description\0\0" + zlib.compress(b"a" * 10_000_000)),
        chunk(b"zTXt", b"Description\0\0\0\0\0words"),
        chunk(b"IEND"),
        struct.pack(">I", 2**32 - 1) + b"tEXt",
    ],
)
def test_a_hostile_description_is_none(hostile: bytes) -> None:
    """What is too long, no text, compressed, or no chunk at all is not read."""
    assert description(made(ours(), hostile)) is None


def test_a_description_is_not_looked_for_behind_the_pixels() -> None:
    """Reading the words of a picture does not cost a walk through all of it."""
    data = made(ours()).removesuffix(chunk(b"IEND"))
    assert description(data + chunk(b"tEXt", b"Description\0late") + chunk(b"IEND")) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.binary(min_size=1, max_size=4)), max_size=6))
def test_a_damaged_picture_raises_nothing(wounds: list[tuple[int, bytes]]) -> None:
    """Whatever bytes are damaged, its words are read or not, and it can be told anew."""
    data = bytearray(told(texts("Café 🦊")))
    for at, wound in wounds:
        place = at % len(data)
        data[place : place + len(wound)] = wound
    description(bytes(data))
    restamped(bytes(data), texts())


def test_a_beat_s_words_are_its_picture_s_description() -> None:
    """The version and the words go into the picture; the words only where the settings say."""
    one = beat(words="A cat.\n")
    told_of = Composer(Settings(), References()).texts(one, created=WALL)
    assert told_of == png.TextFields(
        software=f"imagegen {__version__}", description="A cat.\n", created=WALL
    )
    silent = Composer(Settings(provenance=False), References()).texts(one, created=WALL)
    assert silent == png.TextFields(
        software=f"imagegen {__version__}", description=None, created=WALL
    )


@pytest.mark.parametrize("settings_text", ["", "provenance = true\n"])
def test_a_drawn_picture_tells_its_origin(commands: Commands, settings_text: str) -> None:
    """After a run each picture shows its beat's words, the program and the time."""
    words = "灯台 at night,\nby Zoë"
    rows = [row(0, ai_prompt=words), row(1)]
    root = commands.project(beats=rows, settings=settings_text + 'draw = ["clear"]\n')
    before = time.time()
    done = commands.run("run", root, "--provider", "sketch")
    assert done.code == 0, done.text
    for number, expected in enumerate([words, "prompt <1>"]):
        fields = shown(picture_of(root, "clear", number).read_bytes())
        drawn = dt.datetime.fromisoformat(fields.pop("Creation Time"))
        assert int(before) <= drawn.timestamp() <= time.time()
        assert fields == {"Software": f"imagegen {__version__}", "Description": expected}


@pytest.mark.slow
def test_exiftool_reads_a_drawn_picture(commands: Commands) -> None:
    """What a run has saved shows in exiftool as it does in Pillow."""
    root = commands.project(beats=[row(0, ai_prompt="灯台 at night,\nby Zoë")])
    done = commands.run("run", root, "--provider", "sketch")
    assert done.code == 0, done.text
    for path in pictures(root):
        fields, expected = by_exiftool(path), shown(path.read_bytes())
        assert {name: fields[name.replace(" ", "")] for name in expected} == expected


@pytest.mark.slow
def test_prompts_stay_out_of_pictures_where_the_settings_say_so(commands: Commands) -> None:
    """With `provenance = false` a picture holds none of the words, but their hash."""
    root = commands.project(beats=[row(0, ai_prompt="secret plot")], settings="provenance = false")
    done = commands.run("run", root, "--provider", "sketch")
    assert done.code == 0, done.text
    assert len(pictures(root)) == 3
    for path in pictures(root):
        data = path.read_bytes()
        assert set(shown(data)) == {"Software", "Creation Time"}
        assert b"secret plot" not in data
        whole = examined(data)
        assert whole is not None
        assert whole.provenance is not None
        assert len(whole.provenance.words.sha256) == 64


def test_a_saved_picture_has_the_pixels_that_the_api_sent(
    commands: Commands, server: GeminiServer
) -> None:
    """Every IDAT chunk on the disk is one of the service's answer, byte for byte."""
    root = commands.project(beats=2)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    sent = [pixels(gemini_replies.png(request.prompt)) for request in server.requests]
    saved = [pixels(path.read_bytes()) for path in pictures(root)]
    assert len(saved) == 6
    assert sorted(saved) == sorted(sent)
