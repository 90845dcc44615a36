"""The contact sheet: small copies of pictures, one page that leads nowhere, one picture of it."""

import base64
import hashlib
import io
import json
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

import browser
import exports
from builders import picture
from commands import STYLES, Commands, Done, row
from commands import picture as place
from imagegen.images import png, thumbnails
from imagegen.images.formats import NotAPictureError

SKETCH = 'provider = "sketch"\nimage_size = "512"\n'
RESERVED = {"link", "script", "iframe", "object", "embed", "base", "form", "a", "svg", "meta"}


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        """All that is to be read."""
        return " ".join(" ".join(self.texts).split())


def went_well(done: Done) -> Done:
    """Fail with what a command has said, unless it did what it was asked for."""
    assert done.code == 0, done.text
    return done


def page(commands: Commands, root: Path, *options: object) -> Page:
    """Make a sheet and read it."""
    went_well(commands.run("gallery", root, *options))
    return Page((root / "gallery.html").read_text(encoding="utf-8"))


@pytest.fixture
def root(commands: Commands) -> Path:
    """Return a project of six beats in two shots, drawn in three styles."""
    made = commands.project(beats=6, settings=SKETCH)
    went_well(commands.run("run", made))
    return made


# Thumbnails


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that claims to be so large, and says nothing of its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_thumbnail_is_a_small_jpeg(tmp_path: Path, kind: str) -> None:
    """As wide as asked for, in the picture's shape, whatever its kind."""
    path = tmp_path / "Beat_1.png"
    path.write_bytes(picture(640, 360, kind=kind))
    with Image.open(io.BytesIO(thumbnails.thumbnail(path, 160))) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (160, 90))
        colours = [small.getpixel((x, 45)) for x in (2, 157)]
    assert [colour[0] // 64 for colour in colours if isinstance(colour, tuple)] == [0, 3]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
def test_every_kind_of_pixels_can_be_shown(tmp_path: Path, mode: str) -> None:
    """Grey, palettes and 16 bits; what is transparent shows white."""
    path = tmp_path / "Beat_1.png"
    gradient = Image.linear_gradient("L")
    image = gradient.convert("RGB").convert(mode) if mode != "I;16" else Image.new(mode, (256, 256))
    if mode in {"LA", "RGBA"}:
        image.putalpha(0)
    image.save(path)
    small = thumbnails.load_thumbnail(path, 64)
    assert (small.mode, small.size) == ("RGB", (64, 64))
    if mode in {"LA", "RGBA"}:
        assert small.getpixel((0, 0)) == (255, 255, 255)


def test_a_thumbnail_is_never_larger_than_its_picture(tmp_path: Path) -> None:
    """A narrow picture is as it is, and a very flat one keeps a line."""
    for size, then in {(100, 40): (100, 40), (3000, 1): (320, 1)}.items():
        path = tmp_path / "Beat_1.png"
        path.write_bytes(picture(*size))
        assert thumbnails.load_thumbnail(path, 320).size == then


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        picture()[:-20],
        png_of(20_000, 20_000),
        png_of(9_000, 9_000),
        b"GIF89a\1\0\1\0",
    ],
    ids=["empty", "text", "torn", "too many pixels", "a bomb", "another kind"],
)
def test_what_is_no_picture_is_told(tmp_path: Path, data: bytes) -> None:
    """Hostile files cost little and raise what can be caught."""
    path = tmp_path / "Beat_1.png"
    path.write_bytes(data)
    with pytest.raises(NotAPictureError):
        thumbnails.thumbnail(path, 160)
    link = tmp_path / "link.png"
    path.write_bytes(picture())
    link.symlink_to(path)
    for missing in (link, tmp_path / "nothing.png", tmp_path):
        with pytest.raises(NotAPictureError):
            thumbnails.thumbnail(missing, 160)


def test_several_come_in_order_and_broken_ones_are_none(tmp_path: Path) -> None:
    """Some are made at the same time, and whoever stops early leaves nothing running."""
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(picture(10 + number, 5) if number % 10 else b"torn")
    found = list(thumbnails.load_thumbnails(paths, 320))
    assert [image.width if image else None for image in found] == [
        10 + number if number % 10 else None for number in range(40)
    ]
    some = thumbnails.load_thumbnails(paths, 320)
    next(some)
    some.close()  # type: ignore[attr-defined]


# The page


@pytest.mark.slow
def test_the_page_has_every_beat_in_every_style(commands: Commands, root: Path) -> None:
    """A table with headings for rows and columns, and pictures that say what they are."""
    found = page(commands, root)
    images = found.all("img")
    assert [image["alt"] for image in images[:3]] == [
        f"Beat 1.1 in {style}: Phrase 0." for style in STYLES
    ]
    assert len(images) == 18
    with Image.open(io.BytesIO(base64.b64decode(images[1]["src"].partition(",")[2]))) as small:
        assert small.format == "JPEG"
        assert (str(small.width), str(small.height)) == (images[1]["width"], images[1]["height"])
    scopes = [heading["scope"] for heading in found.all("th")]
    assert (scopes.count("col"), scopes.count("rowgroup"), scopes.count("row")) == (4, 2, 6)
    assert "6 beats in 2 shots" in found.text
    assert "18 of 18 images" in found.text
    assert "prompt <5>" in found.text


@pytest.mark.slow
def test_nothing_in_it_leads_outside_or_runs(commands: Commands, root: Path) -> None:
    """Its own policy forbids what it does not have: scripts, links, files of others."""
    found = page(commands, root)
    assert {tag for tag, _ in found.tags} & RESERVED == {"meta"}
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in {"src", "href", "srcset", "background"} & attributes.keys():
            assert attributes[name].startswith("data:image/jpeg;base64,")
    (policy,) = [m["content"] for m in found.all("meta") if "http-equiv" in m]
    text = (root / "gallery.html").read_text(encoding="utf-8")
    style = text.partition("<style>")[2].partition("</style>")[0]
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{hashed}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not re.search(r"url\(|@import|https?:", style)


@pytest.mark.slow
def test_a_storyboards_words_are_text(commands: Commands) -> None:
    """Markup and control characters of others are shown and not obeyed."""
    hostile = '"><img src=x onerror=alert(1)><!-- \u202e\x07 </table>&amp;'
    rows = [row(0, script_phrase=hostile, ai_prompt=hostile + "…" * 5000, shot_number="1")]
    root = commands.project("<b>&", beats=rows, settings=SKETCH)
    went_well(commands.run("run", root))
    found = page(commands, root)
    assert len(found.all("img")) == 3
    assert found.all("b") == []
    assert "<img src=x onerror=alert(1)><!-- \u202e\\u0007 </table>&amp;" in found.text
    # Long words are cut.
    assert found.text.count("…") < 1000


@pytest.mark.slow
def test_what_is_chosen_missing_or_broken_is_said(commands: Commands, root: Path) -> None:
    """In words, not by colour alone."""
    went_well(commands.run("choose", root, "1.1", "clear"))
    went_well(commands.run("choose", root, "1.2", "consistent", "--flag"))
    went_well(commands.run("redraw", root, "clear/1.1", "--prompt", "Another sea"))
    place(root, "illustration", 2).unlink()
    went_well(commands.run("skip", root, "illustration/1.3"))
    place(root, "clear", 3).unlink()
    data = bytearray(place(root, "clear", 4).read_bytes())
    pixels = data.index(b"IDAT") + 4
    data[pixels : pixels + 200] = bytes(200)
    place(root, "clear", 4).write_bytes(data)
    found = page(commands, root)
    assert sum("chosen" in cell.get("class", "").split() for cell in found.all("td")) == 2
    for said in (
        "2 chosen",
        "1 flagged",
        "✓ chosen",
        "⚑ flagged",
        "redrawn since",
        "Needs no image",
        "Not drawn yet",
        "The image cannot be read",
    ):
        assert said in found.text
    assert "Another sea" in found.text


@pytest.mark.slow
def test_a_torn_picture_is_told_and_a_chosen_ones_copy_shown(
    commands: Commands, root: Path
) -> None:
    """It was drawn, so it is not called missing."""
    went_well(commands.run("choose", root, "1.1", "clear"))
    for style in ("clear", "consistent"):
        data = place(root, style, 0).read_bytes()
        place(root, style, 0).write_bytes(data[: len(data) // 2])
    found = page(commands, root, "--beat", "1.1")
    assert found.text.count("The image cannot be read") == 1
    assert "Not drawn yet" not in found.text
    assert [image["alt"] for image in found.all("img")] == [
        f"Beat 1.1 in {style}: Phrase 0." for style in ("illustration", "clear")
    ]


@pytest.mark.slow
def test_the_chosen_pictures_alone(commands: Commands, root: Path) -> None:
    """One picture a beat, as it was chosen, with its style's name."""
    done = commands.run("gallery", root, "--chosen")
    assert done.code == 2
    assert "nothing is chosen" in done.err
    went_well(commands.run("choose", root, "1.2", "1.3", "consistent"))
    found = page(commands, root, "--chosen")
    assert [image["alt"] for image in found.all("img")] == [
        "Beat 1.2 in consistent: Phrase 1.",
        "Beat 1.3 in consistent: Phrase 2.",
    ]
    assert "1.2 consistent" in found.text


@pytest.mark.slow
def test_part_of_it(commands: Commands, root: Path) -> None:
    """Styles, shots and beats are selected as for a run."""
    found = page(commands, root, "--shot", "2", "--style", "clear")
    assert [image["alt"] for image in found.all("img")] == ["Beat 2.1 in clear: Phrase 5."]
    found = page(commands, root, "--beat", "1.1", "--beat", "clear/1.2")
    assert len(found.all("img")) == 4
    done = commands.run("gallery", root, "--style", "cleer")
    assert (done.code, 'did you mean "clear"' in done.err) == (2, True)


def test_a_style_that_leaves_a_beat_out_has_no_picture_there(commands: Commands) -> None:
    """Its place says so."""
    rows = [row(0), row(1, ai_prompt=None, ai_prompts={"clear": "A sea"})]
    root = commands.project(beats=rows, settings=SKETCH)
    went_well(commands.run("run", root))
    found = page(commands, root)
    assert len(found.all("img")) == 4
    assert found.text.count("not in this style") == 2


@pytest.mark.slow
def test_words_of_all_scripts_are_shown_as_they_are(commands: Commands) -> None:
    """In the page whole; the picture has a font of its own, and says once what that lacks."""
    words = "A woman 👩\u200d🚀 می\u200cخواهم"
    root = commands.project(beats=[row(0, script_phrase=words, ai_prompt=words)], settings=SKETCH)
    went_well(commands.run("run", root))
    assert page(commands, root).text.count(words) == 2
    said = "letters that its font lacks"
    assert went_well(commands.run("gallery", root, "--png")).text.count(said) == 1
    assert "\\u200" not in went_well(commands.run("check", root, "--show", "1.1")).text
    rows = [row(0, script_phrase="Élodie - “déjà vu”…")]
    (root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")
    assert said not in went_well(commands.run("gallery", root, "--png")).text


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--chosen",)])
def test_the_picture_marks_what_is_chosen(
    commands: Commands, root: Path, options: tuple[str, ...]
) -> None:
    """By a green line around it, as the page does; on a sheet of the chosen ones too."""
    went_well(commands.run("choose", root, "1.1", "clear"))
    went_well(commands.run("gallery", root, "--png", *options))
    green = (23, 114, 74)
    with Image.open(root / "gallery.png") as drawn:
        colours = {colour: count for count, colour in drawn.getcolors(1 << 24) or ()}
    assert colours.get(green, 0) > 1000


# Where it is written


@pytest.mark.slow
def test_a_file_of_somebody_else_is_left(commands: Commands, root: Path) -> None:
    """A sheet replaces a sheet and nothing else, also where it is named."""
    for options, name in (((), "gallery.html"), (("--png",), "gallery.png")):
        went_well(commands.run("gallery", root, *options))
        went_well(commands.run("gallery", root, *options, "--output", root / name))
        (root / name).write_bytes(b"imagegen, and mine")
        for again in (options, (*options, "--output", root / name)):
            done = commands.run("gallery", root, *again)
            assert done.code == 2
            assert "is not replaced" in done.err
        assert (root / name).read_bytes() == b"imagegen, and mine"
    for where in (root, root / "nowhere/sheet.html"):
        assert commands.run("gallery", root, "-o", where).code == 2
    assert not [path.name for path in root.iterdir() if path.name.endswith(".tmp")]


@pytest.mark.slow
def test_a_name_without_its_ending_is_answered_with_one(commands: Commands, root: Path) -> None:
    """No name that would be taken for an option."""
    for name, better in (("sheet.txt", "sheet.html"), ("-", "gallery.html")):
        done = commands.run("gallery", root, "-o", name)
        assert (done.code, f"  --output {better}\n" in done.err) == (2, True), done.text


@pytest.mark.slow
def test_a_projects_own_files_are_never_replaced(commands: Commands, root: Path) -> None:
    """Neither by a name of another kind, nor in the folders that are kept."""
    went_well(commands.run("choose", root, "1.1", "clear"))
    drawn, copy = place(root, "clear", 0), root / "selected_images/Beat_1.1.png"
    own = (root / "beats.json", root / "image_selections.json", drawn, copy)
    before = [path.read_bytes() for path in own]
    for path in own:
        for options in ((), ("--png",)):
            done = commands.run("gallery", root, *options, "-o", path)
            assert (done.code, str(path) in done.err) == (2, True), done.text
    assert [path.read_bytes() for path in own] == before
    (root / "old_images").mkdir(exist_ok=True)
    (root / "short").symlink_to(root / "generated_images")
    for folder in ("generated_images/clear", "selected_images", "old_images", ".imagegen", "short"):
        done = commands.run("gallery", root, "-o", root / folder / "sheet.html")
        assert (done.code, "is reserved for" in done.err) == (2, True), done.text
        assert not (root / folder / "sheet.html").exists()


@pytest.mark.slow
def test_a_sheet_says_that_numbers_have_moved(commands: Commands, root: Path) -> None:
    """Once, with what mends it; a picture is told by the beat that it belongs to."""
    rows = [row(0), row(1, ai_prompt="new"), row(2, ai_prompt="prompt <1>")]
    (root / "beats.json").write_text(json.dumps(rows))
    done = went_well(commands.run("gallery", root))
    assert "warning: Beat numbers changed: 3 images" in done.err
    assert f"imagegen renumber {root} moves the images" in " ".join(done.err.split())
    text = Page((root / "gallery.html").read_text(encoding="utf-8")).text
    assert text.count("Beat numbers changed: 3 images now belong to another beat.") == 1
    assert text.count("belongs to 1.3") == 3
    # What lies at 1.3 has words that are gone.
    assert text.count("outdated") == 3
    assert "warning: Beat numbers" in went_well(commands.run("gallery", root, "--png")).err
    went_well(commands.run("renumber", root))
    assert "moved" not in page(commands, root).text


@pytest.mark.slow
def test_the_picture_of_the_sheet(commands: Commands, root: Path) -> None:
    """A PNG that is about as wide as it is high, with all the pictures in it."""
    went_well(commands.run("choose", root, "--all", "clear"))
    went_well(commands.run("gallery", root, "--png"))
    with Image.open(root / "gallery.png") as sheet:
        sheet.load()
        assert sheet.format == "PNG"
        assert 0.4 < sheet.width / sheet.height < 2.5
        colours = sheet.convert("RGB").getcolors(1 << 24) or []
    # What is chosen is framed.
    assert (23, 114, 74) in {colour for _, colour in colours}
    went_well(commands.run("gallery", root, "--png", "--chosen"))


@pytest.mark.slow
@pytest.mark.skipif(browser.installed() is None, reason="no Chromium is installed")
@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("options", [[], ["--chosen"]])
def test_six_beats_are_on_a_printed_page(
    commands: Commands, paper: str, options: list[str]
) -> None:
    """31 beats of several shots are six pages, however long they are; every picture is there."""
    phrases = ["A long phrase. " * (1 + n % 3 * 9) for n in range(31)]
    rows = [exports.row(f"{1 + n // 4}.{n}", phrase) for n, phrase in enumerate(phrases)]
    root = exports.make(commands.folder / "my-video", rows)
    for at, path in enumerate(sorted(root.glob("generated_images/*/*/*.png"))):
        # All different: a PDF has equal pictures once.
        Image.effect_noise((320, 180), at + 1).save(path)
    exports.choose(root, "clear")
    went_well(commands.run("gallery", root, *options))
    with browser.chromium() as running:
        sheet = running.new_page()
        sheet.goto((root / "gallery.html").as_uri())
        printed = sheet.pdf(format=paper)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 6
    # A picture that is loaded late may be missing on paper, and is now and then.
    assert b"loading=" not in (root / "gallery.html").read_bytes()
    assert len(re.findall(rb"/Subtype\s*/Image\b", printed)) >= (31 if options else 62)


@pytest.mark.slow
def test_a_sheet_that_would_be_too_large_is_refused(commands: Commands) -> None:
    """It says what to take instead; nothing is written."""
    root = commands.project(beats=1, settings=SKETCH)
    rows = [row(0, beat_number=f"1.{number}") for number in range(3000)]
    (root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")
    done = commands.run("gallery", root, "--png")
    assert done.code == 2
    assert "the PNG would have" in done.err
    for style in STYLES:
        folder = root / f"generated_images/{style}/Shot_1"
        folder.mkdir(parents=True)
        for number in range(3000):
            (folder / f"Beat_1.{number}.png").hardlink_to(shared(root))
    done = commands.run("gallery", root)
    assert done.code == 2
    assert "9,000 images are too many for one sheet" in done.err
    assert not (root / "gallery.html").exists()


def shared(root: Path) -> Path:
    """Return a picture that all beats of a large project share."""
    path = root / "one.png"
    if not path.exists():
        path.write_bytes(picture())
    return path
