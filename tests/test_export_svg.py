"""Chosen images as SVG: what is inside, what is traced again, and what cannot be traced."""

import io
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from commands import Commands
from exports import choose
from imagegen.cli.commands import export_svg
from imagegen.errors import UsageError
from imagegen.export import record, selection
from imagegen.export.svg import document, export, worker
from imagegen.export.svg.document import Origin
from imagegen.export.svg.export import Exported, Names, Options
from imagegen.export.svg.settings import Preset, Settings
from imagegen.export.svg.worker import Request
from imagegen.export.svg.workers import TimeLimitError, Workers
from imagegen.images.formats import NotAPictureError
from imagegen.project.record import DrawRequest
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project

pytest.importorskip("vtracer", reason="the extra svg is not installed")

NUMBERS = ("1.1", "1.2", "2.1")
ORIGIN = Origin(beat="1.1", style="clear", source_sha256="0" * 64, settings={})
SVG = "{http://www.w3.org/2000/svg}"


def drawing(radius: int, size: tuple[int, int] = (160, 90), kind: str = "PNG") -> bytes:
    """Return an image of a disc on paper."""
    image = Image.new("RGB", size, "#fbeee3")
    x, y = size[0] // 2, size[1] // 2
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(image).ellipse(box, fill="#c03020")
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project with an image of each beat in two styles; those of one are chosen."""
    root = tmp_path / "film"
    rows = [
        {"shot_number": n[0], "beat_number": n, "script_phrase": f"Says {n}.", "ai_prompt": n}
        for n in NUMBERS
    ]
    for at, number in enumerate(NUMBERS):
        for style in ("clear", "consistent"):
            place = root / f"generated_images/{style}/Shot_{number[0]}/Beat_{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(drawing(20 + 4 * at + (style == "clear")))
    (root / "beats.json").write_text(json.dumps(rows))
    choose(root, "clear", *NUMBERS)
    return root


def read(root: Path, **asked: tuple[str, ...]) -> Project:
    """Return the project as a command reads it."""
    return read_project(root, DrawRequest(**asked))  # type: ignore[arg-type]


def exported(root: Path, options: Options = Options(), **asked: tuple[str, ...]) -> Exported:  # noqa: B008  # frozen
    """Export a project."""
    return export.export(read(root, **asked), options)


def traced(done: Exported) -> list[str]:
    """Return the files that were traced."""
    return [vector.file for vector in done.vectors if vector.traced]


def names_in(folder: Path) -> set[str]:
    """Return the files in a folder, without the record."""
    return {path.name for path in folder.iterdir()} - {record.FILE}


def test_an_svg_has_size_title_ids_and_origin(root: Path) -> None:
    """A viewBox, a title, an id per path, the source's hash and the settings are inside."""
    exported(root)
    path = root / "selected_svg/Beat_1.1.svg"
    svg = ET.fromstring(path.read_bytes())
    assert svg.attrib == {"width": "160", "height": "90", "viewBox": "0 0 160 90"}
    assert svg.findtext(f"{SVG}title") == "Beat 1.1, clear"
    paths = svg.findall(f".//{SVG}path")
    assert [one.get("id") for one in paths] == [f"p{n}" for n in range(1, len(paths) + 1)]
    assert len(paths) > 1
    inside = json.loads(svg.findtext(f"{SVG}metadata") or "")
    source = record.image_record(read(root), next(iter(selection.source_images(read(root)))), {})
    assert inside["source_sha256"] == source.sha256
    assert inside["settings"]["color_precision"] == 8


@pytest.mark.parametrize("cutout", [False, True])
@pytest.mark.parametrize("preset", [Preset.DEFAULT, Preset.FLAT, Preset.DETAILED])
def test_an_svg_looks_like_its_image(tmp_path: Path, preset: Preset, *, cutout: bool) -> None:
    """Rendered in its size it differs by little, whatever the preset."""
    resvg = pytest.importorskip("resvg_py", reason="resvg-py is not installed")
    source = tmp_path / "a.png"
    source.write_bytes(drawing(60, (320, 180)))
    svg = worker.svg(source, ORIGIN, Settings(preset=preset, cutout=cutout))
    shown = Image.open(io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=svg.decode()))))
    difference = ImageChops.difference(shown.convert("RGB"), Image.open(source))
    assert shown.size == (320, 180)
    assert max(ImageStat.Stat(difference).mean) < 3


def test_black_and_white_has_black_alone(tmp_path: Path) -> None:
    """The preset bw writes black shapes."""
    (tmp_path / "a.png").write_bytes(drawing(30))
    svg = worker.svg(tmp_path / "a.png", ORIGIN, Settings(preset=Preset.BW)).decode()
    assert set(re.findall(r'fill="([^"]+)"', svg)) == {"#000000"}


def test_an_embedded_image_has_the_same_box(root: Path) -> None:
    """With embed the image itself is inside, and the viewBox is as in a trace."""
    done = exported(root, Options(settings=Settings(embed=True)))
    svg = ET.fromstring((done.folder / "Beat_1.1.svg").read_bytes())
    image = svg.find(f"{SVG}image")
    assert image is not None
    assert (svg.get("viewBox"), image.get("width")) == ("0 0 160 90", "160")
    assert (image.get("href") or "").startswith("data:image/png;base64,iVBOR")


@pytest.mark.slow
def test_large_images_are_reduced_and_keep_their_box(tmp_path: Path) -> None:
    """An image of 50 million pixels is traced in full HD, and drawn in its own size."""
    source = tmp_path / "a.png"
    source.write_bytes(drawing(900, (8000, 6250)))
    svg = ET.fromstring(worker.svg(source, ORIGIN, Settings()))
    group = svg.find(f"{SVG}g")
    assert group is not None
    assert svg.get("viewBox") == "0 0 8000 6250"
    assert group.get("transform") == "scale(4.91099)"


def test_a_jpeg_by_the_name_of_a_png_is_traced(tmp_path: Path) -> None:
    """The type of a file is in its first bytes, not in its name."""
    (tmp_path / "a.png").write_bytes(drawing(30, kind="JPEG"))
    assert b'viewBox="0 0 160 90"' in worker.svg(tmp_path / "a.png", ORIGIN, Settings())


def test_a_title_cannot_break_out(tmp_path: Path) -> None:
    """Signs that mean something in XML are escaped, and the origin is read as it was written."""
    origin = Origin(beat='</title><script x="', style="a&b", source_sha256="", settings={})
    (tmp_path / "a.png").write_bytes(drawing(30))
    (tmp_path / "a.svg").write_bytes(worker.svg(tmp_path / "a.png", origin, Settings()))
    svg = ET.parse(tmp_path / "a.svg").getroot()
    assert svg.findtext(f"{SVG}title") == 'Beat </title><script x=", a&b'
    assert document.origin_of(tmp_path / "a.svg") == origin.key()


@pytest.mark.slow
def test_traces_only_what_changed(root: Path) -> None:
    """A second export traces nothing; another choice, content or setting is traced."""
    assert len(traced(exported(root))) == 3
    assert traced(exported(root)) == []
    choose(root, "consistent", "1.2")
    assert traced(exported(root)) == ["Beat_1.2.svg"]
    (root / "selected_images/Beat_2.1.png").write_bytes(drawing(5))
    assert traced(exported(root)) == ["Beat_2.1.svg"]
    assert len(traced(exported(root, Options(settings=Settings(cutout=True))))) == 3


def test_knows_its_files_without_the_record(root: Path) -> None:
    """If the record is lost, the origin inside shows what is current; other files stay."""
    done = exported(root)
    (done.folder / record.FILE).write_text("{")
    assert traced(exported(root)) == []
    (done.folder / record.FILE).unlink()
    (done.folder / "Beat_1.1.svg").write_text("<svg>mine</svg>")
    with pytest.raises(UsageError, match=r"Beat_1\.1\.svg is not from an export"):
        exported(root)


@pytest.mark.slow
def test_a_flag_changes_the_name(root: Path) -> None:
    """The file without the flag goes when that with it comes, also if one beat is exported."""
    exported(root)
    choose(root, "clear", "1.1", flagged=True)
    done = exported(root, Options(partial=True), beats=("1.1",))
    assert done.removed == ("Beat_1.1.svg",)
    assert names_in(done.folder) == {"Beat_1.1_flagged.svg", "Beat_1.2.svg", "Beat_2.1.svg"}
    assert [one.outdated for one in record.standings(read(root))] == [()]


@pytest.mark.slow
def test_some_beats_leave_the_others(root: Path) -> None:
    """Exporting one shot keeps what was exported of others, and what is outdated of them."""
    exported(root)
    choose(root, "consistent", *NUMBERS)
    assert traced(exported(root, Options(partial=True), shots=("1",))) == [
        "Beat_1.1.svg",
        "Beat_1.2.svg",
    ]
    assert [one.outdated for one in record.standings(read(root))] == [("2.1",)]


@pytest.mark.slow
def test_keeps_what_was_edited(root: Path) -> None:
    """A current SVG that somebody edited stays; an outdated one goes to old_images."""
    done = exported(root)
    for name in ("Beat_1.1.svg", "Beat_1.2.svg"):
        (done.folder / name).write_text("<svg>mine</svg>")
    assert traced(exported(root)) == []
    choose(root, "consistent", "1.1")
    assert exported(root).kept == ("Beat_1.1.svg",)
    assert (root / "old_images/selected_svg/Beat_1.1.svg").read_text() == "<svg>mine</svg>"
    assert (done.folder / "Beat_1.2.svg").read_text() == "<svg>mine</svg>"


def test_original_names_are_those_of_the_next_step(root: Path) -> None:
    """The pipeline's step reads finalImageSVG with spaces in names and another flag."""
    choose(root, "clear", "1.2", flagged=True)
    done = exported(root, Options(names=Names.ORIGINAL))
    assert done.folder == root.resolve() / "finalImageSVG"
    assert names_in(done.folder) == {"Beat 1.1.svg", "Beat 1.2-flag.svg", "Beat 2.1.svg"}


@pytest.mark.slow
def test_uses_another_style_for_the_rest(root: Path) -> None:
    """Beats without a choice are listed, or taken from another style."""
    (root / "image_selections.json").write_text(
        json.dumps({"1.1": {"style": "clear", "isFlagged": False}})
    )
    assert exported(root).missing == ("1.2", "2.1")
    done = exported(root, Options(fallback="consistent"))
    assert [vector.image.style for vector in done.vectors] == ["clear", "consistent", "consistent"]
    assert [one.outdated for one in record.standings(read(root))] == [()]


@pytest.mark.slow
def test_whole_styles_lie_as_their_images(root: Path) -> None:
    """Styles have folders of their own, and one keeps those of another; chosen or not."""
    (root / "generated_images/clear/Shot_2/Beat_2.1.png").unlink()
    exported(root, Options(styles=("consistent",)), styles=("consistent",))
    done = exported(root, Options(styles=("clear",)), styles=("clear",))
    assert done.missing == ("clear/2/2.1",)
    folder = root / "generated_svg"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.svg")) == [
        "clear/Shot_1/Beat_1.1.svg",
        "clear/Shot_1/Beat_1.2.svg",
        "consistent/Shot_1/Beat_1.1.svg",
        "consistent/Shot_1/Beat_1.2.svg",
        "consistent/Shot_2/Beat_2.1.svg",
    ]
    (root / "generated_images/consistent/Shot_2/Beat_2.1.png").write_bytes(drawing(3))
    (standing,) = record.standings(read(root))
    assert (standing.outdated, standing.options) == (
        ("2.1",),
        ("--style", "clear", "--style", "consistent"),
    )


def test_a_corrupt_image_holds_up_no_other(root: Path) -> None:
    """It is named with its reason, and stays outdated."""
    (root / "selected_images/Beat_1.2.png").write_bytes(drawing(20)[:-30])
    done = exported(root)
    assert traced(done) == ["Beat_1.1.svg", "Beat_2.1.svg"]
    assert [(one.image.beat, one.slow) for one in done.failures] == [("1.2", False)]
    assert names_in(done.folder) == {"Beat_1.1.svg", "Beat_2.1.svg"}
    assert [one.outdated for one in record.standings(read(root))] == [("1.2",)]


@pytest.mark.slow
def test_an_interruption_keeps_what_is_traced(root: Path) -> None:
    """After Ctrl-C whole files are left, and the next export traces the rest."""

    def interrupt(done: int, _: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export.export(read(root), Options(), interrupt)
    (before,) = names_in(root / "selected_svg")
    assert document.origin_of(root / "selected_svg" / before) is not None
    assert set(traced(exported(root))) == {f"Beat_{n}.svg" for n in NUMBERS} - {before}


def requests(count: int, seconds: float = 60) -> list[Request]:
    """Return requests for images that are not there."""
    return [
        Request(path=f"{n}.png".encode(), origin=ORIGIN, settings=Settings(), seconds=seconds)
        for n in range(count)
    ]


def test_an_image_that_takes_too_long_is_given_up() -> None:
    """Its process is ended, and the next image gets a new one."""
    with Workers(1, [sys.executable, "-c", "import time; time.sleep(600)"]) as pool:
        found = [svg for _, svg in pool.trace(requests(2, 0.1))]
    assert [type(error) for error in found] == [TimeLimitError] * 2


def test_a_tracer_that_crashes_is_an_error_of_its_image() -> None:
    """Whatever ends a process, the other images go on."""
    with Workers(2, [sys.executable, "-c", "import os; os.abort()"]) as pool:
        found = [svg for _, svg in pool.trace(requests(3))]
    assert [str(error) for error in found] == ["the tracer crashed"] * 3


def test_a_panic_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is not an `Exception` does not end the process."""

    class PanicError(BaseException):
        pass

    def panic(*_: object) -> bytes:
        raise PanicError("index out of bounds")

    monkeypatch.setattr(worker, "svg", panic)
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in requests(2))
    out = io.BytesIO()
    worker.serve(io.BytesIO(lines), out)
    assert out.getvalue() == b'{"size":0,"error":"index out of bounds"}\n' * 2


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """An image that went away meanwhile cannot be traced."""
    with pytest.raises(NotAPictureError, match="no such file"):
        worker.svg(tmp_path / "a.png", ORIGIN, Settings())


@pytest.mark.slow
def test_the_command_says_what_it_did(root: Path, commands: Commands) -> None:
    """JSON has each file; exit code 1 means that some could not be traced."""
    (root / "selected_images/Beat_1.2.png").write_bytes(b"no image")
    done = commands.run("export", "svg", str(root), "--json", "--beat", "1.1", "--beat", "1.2")
    found = json.loads(done.out)
    assert done.code == 1
    assert found["written"] == ["Beat_1.1.svg"]
    assert found["errors"] == [
        {"beat": "1.2", "style": "clear", "error": "not an image of a known type"}
    ]
    assert "1.2: " in done.err


def test_the_presets_and_names_of_the_command_are_those_of_the_export() -> None:
    """The command line is read without the module that exports."""
    assert {"default", *export_svg.PRESETS} == set(Preset)
    assert tuple(Names) == export_svg.NAMES


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--preset", "flt"], '--preset: "flt" is not known'),
        (["--embed", "--cutout"], "--embed traces nothing"),
        (["--names", "original", "--style", "clear"], "not for whole styles"),
        (["--output", "{root}/selected_images"], "an export has a folder of its own"),
        (["--output", "{root}"], "an export has a folder of its own"),
        (["--style", "clera"], "clera"),
    ],
)
def test_refuses_what_cannot_be(
    root: Path, commands: Commands, arguments: list[str], says: str
) -> None:
    """Wrong usage is exit code 2, and writes nothing."""
    typed = [word.replace("{root}", str(root)) for word in arguments]
    done = commands.run("export", "svg", str(root), *typed)
    assert (done.code, says in done.err) == (2, True)
    assert not (root / "selected_svg").exists()
