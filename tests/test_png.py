"""PNG files: whole or torn, what they were drawn from, and what else is made into one."""

import io
import struct
import time
import zlib

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from builders import picture, provenance
from imagegen.images import formats, integrity, png
from imagegen.images.formats import NotAPictureError
from sweep import examples

IHDR_END = 33


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Return one chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int = 4, height: int = 3, rest: bytes = b"\x08\x02\0\0\0") -> bytes:
    """Return a signature and an IHDR chunk; `rest` is depth, colour and three methods."""
    return png.SIGNATURE + chunk(b"IHDR", struct.pack(">II", width, height) + rest)


def made(*chunks: bytes, head: bytes | None = None) -> bytes:
    """Return a PNG of these chunks."""
    return (header() if head is None else head) + b"".join(chunks)


def examine(data: bytes) -> png.PngInfo | None:
    """Examine bytes as a file; what tells its content apart is left out."""
    whole = png.read_info(io.BytesIO(data))
    return msgspec.structs.replace(whole, pixel_checksum=0) if whole else None


def content(data: bytes) -> int:
    """Return what tells a picture's content apart."""
    whole = png.read_info(io.BytesIO(data))
    assert whole is not None
    return whole.pixel_checksum


def test_content_is_that_of_the_pixels_and_not_of_what_is_said() -> None:
    """Two pictures differ by it, and one picture with another origin does not."""
    one, other = picture(8, 5), picture(8, 6)
    assert content(one) != content(other) != 0
    assert content(signed(one, provenance())) == content(one)
    assert content(signed(one, provenance(run="r"))) == content(one)


def test_content_is_that_of_all_pixels() -> None:
    """Where the pixels stand in several chunks, the last counts as the first does."""
    chunks = [chunk(b"IDAT", b"a" * 9), chunk(b"IDAT", b"b" * 9)]
    first, second, third = (
        made(*chunks, IEND),
        made(chunks[0], chunk(b"IDAT", b"c" * 9), IEND),
        made(chunk(b"IDAT", b"d" * 9), chunks[1], IEND),
    )
    assert len({content(first), content(second), content(third)}) == 3
    assert content(made(*chunks, chunk(b"tEXt", b"Comment\0x"), IEND)) == content(first)


def signed(data: bytes, origin: png.Provenance) -> bytes:
    """Return a PNG that tells what it was drawn from."""
    return b"".join(png.add_metadata(data, origin))


def pixels(data: bytes) -> tuple[tuple[int, int], str, bytes]:
    """Return size, mode and pixels of a picture file."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size, image.mode, image.tobytes()


def jpeg_claiming(width: int, height: int) -> bytes:
    """Return a small JPEG whose header says that it has this size."""
    data = bytearray(picture(kind="JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


IDAT, IEND = chunk(b"IDAT", b"x"), chunk(b"IEND")
SEEDS = [
    picture(),
    signed(picture(), provenance()),
    picture(kind="JPEG"),
    picture(kind="JPEG", mode="CMYK", exif=Image.Exif().tobytes()),
    picture(kind="JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0"),
    picture(kind="WEBP"),
    picture(kind="WEBP", mode="RGBA", lossless=True),
]


def test_a_real_picture_is_whole() -> None:
    """A PNG that was written to its end is whole, and its size is known."""
    assert examine(picture(640, 360)) == png.PngInfo(640, 360)


def test_a_picture_cut_anywhere_is_torn() -> None:
    """Whichever number of bytes is missing at the end, a PNG is not whole."""
    data = signed(picture(64, 36), provenance())
    assert examine(data) is not None
    assert [size for size in range(len(data)) if examine(data[:size]) is not None] == []


def test_a_hole_of_zeros_is_torn() -> None:
    """A file whose end a crash left as zeros is not whole."""
    data = picture(64, 36)
    for kept in (IHDR_END, len(data) // 2, len(data) - 12, len(data) - 8):
        assert examine(data[:kept] + bytes(len(data) - kept)) is None


def test_bytes_after_the_end_do_no_harm() -> None:
    """What some programs append after IEND leaves a PNG whole."""
    assert examine(picture() + b"appended") is not None


@pytest.mark.parametrize(
    "head",
    [
        header(0, 3),
        header(4, 0),
        header(50_000, 50_000),
        header(2**31, 2**31),
        header(rest=b"\x03\x02\0\0\0"),
        header(rest=b"\x10\x03\0\0\0"),
        header(rest=b"\x08\x05\0\0\0"),
        header(rest=b"\x08\x02\x01\0\0"),
        header(rest=b"\x08\x02\0\x01\0"),
        header(rest=b"\x08\x02\0\0\x02"),
        header().replace(b"IHDR", b"IDHR"),
        header().replace(b"PNG", b"GNP"),
        png.SIGNATURE + chunk(b"IHDR", bytes(14)),
    ],
)
def test_an_unsound_header_is_no_picture(head: bytes) -> None:
    """A size of nothing, a huge one, or a kind of pixels that PNG does not have is refused."""
    assert examine(made(IDAT, IEND)) is not None
    assert examine(made(IDAT, IEND, head=head)) is None


@pytest.mark.parametrize(
    "rest",
    [b"\x01\0\0\0\0", b"\x10\x02\0\0\1", b"\x04\x03\0\0\0", b"\x10\x04\0\0\0", b"\x08\6\0\0\0"],
)
def test_every_kind_of_pixels_of_the_standard_is_known(rest: bytes) -> None:
    """Grey, palette, colour, alpha and interlaced pictures are pictures."""
    assert examine(made(IDAT, IEND, head=header(rest=rest))) == png.PngInfo(4, 3)


def test_a_picture_without_pixels_is_none() -> None:
    """A PNG that has no IDAT chunk is not whole."""
    assert examine(made(IEND)) is None
    assert examine(made(chunk(b"tEXt", b"a\0b"), IEND)) is None


def test_an_end_with_a_body_is_none() -> None:
    """An IEND chunk that is not empty is not the end of a PNG."""
    assert examine(made(IDAT, chunk(b"IEND", b"x"))) is None


def test_a_chunk_that_claims_gigabytes_is_torn() -> None:
    """A chunk longer than a picture may be ends the walk."""
    assert examine(made(struct.pack(">I", 2**32 - 1) + b"IDAT", IDAT, IEND)) is None


def test_a_file_of_countless_empty_chunks_is_given_up() -> None:
    """A file made to keep the walk busy is refused before it has cost a second."""
    data = made(IDAT, chunk(b"tEXt") * 2_000_000, IEND)
    started = time.process_time()
    assert examine(data) is None
    assert time.process_time() - started < 1


def test_a_picture_says_what_it_was_drawn_from() -> None:
    """What is put into a PNG is read back from it, whole."""
    written = provenance(
        beat="é 1",
        look=png.Hash("cd", "default"),
        references=png.Hash("ef"),
        run="r-1",
        id="row-7",
        chosen=("model", "image_size"),
    )
    read = examine(signed(picture(), written))
    assert read == png.PngInfo(8, 5, written)


def test_what_a_picture_says_leaves_its_pixels_alone() -> None:
    """A picture with provenance has the same pixels, and other programs read it."""
    data = picture(64, 36, mode="RGBA")
    told = signed(data, provenance())
    assert pixels(told) == pixels(data)
    with Image.open(io.BytesIO(told)) as image:
        image.verify()
    assert told[:IHDR_END] == data[:IHDR_END]
    assert told.endswith(data[IHDR_END:])


def test_our_word_stands_before_any_other() -> None:
    """A picture that came with provenance of somebody else tells ours."""
    theirs = signed(picture(), provenance(run="theirs"))
    whole = examine(signed(theirs, provenance(run="ours")))
    assert whole is not None
    assert whole.provenance == provenance(run="ours")


PREFIX = b"imagegen\0\0\0\0\0"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"imagegen",
        PREFIX,
        PREFIX + b"{}",
        PREFIX + b"[" * 30_000,
        PREFIX + b"\xff\xfe",
        PREFIX + b'{"style":"\xff"}',
        PREFIX + b'{"style":"\\ud800"}',
        PREFIX + b'{"words":{"sha256":1}}',
        b"imagegen\0\1\0\0\0" + zlib.compress(b"{}"),
        b"other\0\0\0\0\0{}",
    ],
)
def test_hostile_metadata_is_passed_over(body: bytes) -> None:
    """A picture whose metadata is not ours is whole, and says nothing of its origin."""
    assert examine(made(chunk(b"iTXt", body), IDAT, IEND)) == png.PngInfo(4, 3)


def test_metadata_beyond_its_bound_is_not_read() -> None:
    """A huge text in a picture is walked over."""
    big = signed(made(IDAT, IEND), provenance(model="m" * 70_000))
    assert examine(big) == png.PngInfo(4, 3)


def test_a_whole_png_stays_as_it_is() -> None:
    """A PNG of any kind of pixels is returned byte by byte."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        data = picture(mode=mode)
        assert formats.as_png(data) is data


@pytest.mark.parametrize(
    ("kind", "mode", "comes_as"),
    [
        ("JPEG", "RGB", "RGB"),
        ("JPEG", "L", "L"),
        ("JPEG", "CMYK", "RGB"),
        ("WEBP", "RGB", "RGB"),
        ("WEBP", "RGBA", "RGBA"),
        ("WEBP", "P", "RGB"),
    ],
)
def test_other_types_become_png(kind: str, mode: str, comes_as: str) -> None:
    """A JPEG or WebP of any kind of pixels becomes a whole PNG of the same pixels."""
    data = picture(64, 36, kind=kind, mode=mode)
    converted = formats.as_png(data)
    assert examine(converted) == png.PngInfo(64, 36)
    with Image.open(io.BytesIO(data)) as image:
        expected = image.convert(comes_as)
    assert pixels(converted) == (expected.size, comes_as, expected.tobytes())


def test_a_colour_profile_is_kept_where_it_still_speaks_of_the_colours() -> None:
    """The profile of a colour JPEG stays; that of four inks goes with the inks."""
    for mode, kept in (("RGB", b"a profile"), ("CMYK", None)):
        data = formats.as_png(picture(kind="JPEG", mode=mode, icc_profile=b"a profile"))
        with Image.open(io.BytesIO(data)) as image:
            assert image.info.get("icc_profile") == kept


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [(1, (8, 4), (0, 0)), (3, (8, 4), (7, 3)), (6, (4, 8), (3, 0)), (8, (4, 8), (0, 7))],
)
def test_a_photograph_stands_as_its_camera_was_held(
    kind: str, orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    """Nothing but pixels is kept of it, so they are turned; orientations are those of EXIF."""
    image = Image.new("L", (8 * 8, 4 * 8))
    image.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.convert("RGB").save(out, kind, exif=exif, quality=95)
    with Image.open(io.BytesIO(formats.as_png(out.getvalue()))) as upright:
        assert upright.size == (size[0] * 8, size[1] * 8)
        bright = upright.convert("L").getpixel((corner[0] * 8 + 4, corner[1] * 8 + 4))
    assert isinstance(bright, int)
    assert bright > 200


def test_odd_metadata_costs_neither_the_picture_nor_a_warning() -> None:
    """A JPEG whose EXIF is damaged is converted, and nothing is written to the terminal."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 10_000) + struct.pack("<HHII", 274, 2, 9_999, 500)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x07\0" + entry
    for data in (picture(kind="JPEG", exif=exif), picture(kind="JPEG", exif=exif[:-6])):
        assert examine(formats.as_png(data)) == png.PngInfo(8, 5)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_torn_picture_of_another_type_is_refused(kind: str) -> None:
    """A JPEG or WebP that ends early is no picture."""
    data = picture(64, 64, kind=kind)
    for size in (12, 30, len(data) // 2, len(data) - 20):
        with pytest.raises(NotAPictureError):
            formats.as_png(data[:size])


@pytest.mark.parametrize(
    "data",
    [
        made(IDAT, IEND, head=header(50_000, 50_000)),
        jpeg_claiming(50_000, 50_000),
        jpeg_claiming(9_700, 9_700 + 1_000),
    ],
)
def test_a_small_file_that_claims_a_huge_picture_is_refused(data: bytes) -> None:
    """Nothing is unpacked for a file that says it is larger than any picture of ours."""
    with pytest.raises(NotAPictureError):
        formats.as_png(data)


def test_a_picture_too_large_for_a_file_of_ours_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What would not be taken for whole once it is saved is refused before."""
    data = picture(300, 300, kind="JPEG")
    monkeypatch.setattr(png, "MAX_BYTES", 4 * 64 * 1024 + len(formats.as_png(data)))
    told = signed(formats.as_png(data), provenance())
    assert examine(told) is not None
    monkeypatch.setattr(png, "MAX_BYTES", png.MAX_BYTES - 1)
    for refused in (data, told):
        with pytest.raises(NotAPictureError, match="MB as PNG"):
            formats.as_png(refused)


@pytest.mark.parametrize(
    "data",
    [b"", b"<!DOCTYPE html>", b"GIF89a", b"%PDF-1.7", bytes(100), b"\0\0\0\x18ftypheic" + bytes(9)],
)
def test_foreign_bytes_are_no_picture(data: bytes) -> None:
    """A page of an error, another type or nothing at all is refused."""
    with pytest.raises(NotAPictureError):
        formats.as_png(data)


def test_types_are_told_by_first_bytes() -> None:
    """A picture's type is what its bytes say, not its name."""
    assert formats.format_of(picture()) is formats.Format.PNG
    assert formats.format_of(picture(kind="JPEG")) is formats.Format.JPEG
    assert formats.format_of(picture(kind="WEBP")) is formats.Format.WEBP
    assert formats.format_of(b"\0\0\0\x18ftypheic") is formats.Format.HEIC
    assert formats.format_of(b"RIFF\0\0\0\0WAVE") is None


def never_worse(data: bytes) -> None:
    """Assert that bytes are a picture or refused in words."""
    examine(data)
    try:
        converted = formats.as_png(data)
    except NotAPictureError as error:
        assert str(error)  # noqa: PT017
    else:
        assert examine(converted) is not None


@settings(deadline=None)
@given(st.sampled_from([b"", *(seed[:40] for seed in SEEDS)]), st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_refused(head: bytes, rest: bytes) -> None:
    """Random bytes, also after a real beginning, raise nothing else."""
    never_worse(head + rest)


@settings(deadline=None, max_examples=examples(300))
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=6),
)
@example(SEEDS[4], [])
def test_a_damaged_picture_is_a_picture_or_refused(
    seed: bytes, wounds: list[tuple[int, bytes]]
) -> None:
    """Whatever bytes of a real picture are damaged, nothing else is raised, not even a warning."""
    data = bytearray(seed)
    for at, wound in wounds:
        place = at % len(data)
        data[place : place + len(wound)] = wound
    never_worse(bytes(data))


INTACT = [
    *(picture(mode=mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    picture(1, 1),
    picture(700, 500),
]


def interlaced(width: int, height: int) -> bytes:
    """Return an interlaced RGB image of zeros, as seven passes of rows."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    rows = b""
    for left, top, across, down in (*passes, (0, 1, 1, 2)):
        columns = len(range(left, width, across))
        rows += bytes(1 + 3 * columns) * len(range(top, height, down)) if columns else b""
    body = chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND")
    return made(*body, head=header(width, height, b"\x08\x02\0\0\x01"))


@pytest.mark.parametrize("data", [*INTACT, interlaced(1, 1), interlaced(5, 3), interlaced(40, 33)])
def test_an_undamaged_picture_is_taken(data: bytes) -> None:
    """Every kind of pixels, interlaced or not, unpacks to the size that its header says."""
    assert integrity.damage(data) is None
    with Image.open(io.BytesIO(data)) as image:
        image.load()


@pytest.mark.parametrize("data", INTACT[:8])
def test_any_flipped_bit_is_seen(data: bytes) -> None:
    """Whatever byte changes on the way, the image is refused."""
    for at in range(len(png.SIGNATURE), len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        with pytest.raises(NotAPictureError):
            formats.as_png(bytes(flipped))


def rgb(pixels: bytes, head: bytes | None = None) -> bytes:
    """Return a PNG of 4 × 3 pixels with this stream, its checksums right."""
    return made(chunk(b"IDAT", pixels), chunk(b"IEND"), head=head)


ROWS = (b"\0" + bytes(12)) * 3


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (rgb(b"not zlib at all"), "cannot be unpacked"),
        (rgb(zlib.compress(ROWS)[:-5]), "end early"),
        (rgb(zlib.compress(ROWS[:-1])), "end early"),
        (rgb(zlib.compress(bytes(100))), "more pixels"),
        (rgb(zlib.compress(ROWS + b"\0")), "more pixels"),
        (rgb(zlib.compress(b"\x05" + ROWS[1:])), "no known filter"),
        (rgb(zlib.compress(ROWS[:26] + b"\x09" + ROWS[27:])), "no known filter"),
        (rgb(zlib.compress(bytes(15)), header(rest=b"\x08\x03\0\0\0")), "no palette"),
        (
            made(chunk(b"IDAT", b"x"), chunk(b"tEXt", b"a\0b"), chunk(b"IDAT"), chunk(b"IEND")),
            "interrupted",
        ),
    ],
)
def test_what_only_looks_like_a_picture_is_refused(data: bytes, fault: str) -> None:
    """Chunks that are all there and right by their checksums still have to unpack to pixels."""
    assert examine(data) is not None
    with pytest.raises(NotAPictureError, match=fault):
        formats.as_png(data)


def test_pixels_that_unpack_to_gigabytes_are_given_up_at_once() -> None:
    """No more is unpacked than the header says, however small the file is."""
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    assert integrity.damage(rgb(bomb)) == "it has more pixels than it should have"
