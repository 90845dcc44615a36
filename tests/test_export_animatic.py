"""The film of the chosen images: its frames, its moves, its sound, and what is rendered again."""

import io
import json
import os
import subprocess
import sys
import wave
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from PIL import Image, ImageDraw

from commands import Commands
from exports import choose, read
from imagegen.cli import entry
from imagegen.errors import StorageError, UsageError
from imagegen.export import record
from imagegen.export.animatic import clips, export, ffmpeg, motion
from imagegen.export.animatic.clips import Clip, Look, Shown
from imagegen.export.animatic.export import Exported, Options
from imagegen.export.animatic.ffmpeg import Ffmpeg
from imagegen.export.animatic.motion import Move
from imagegen.export.selection import Missing
from imagegen.export.timeline.frames import RATES

NUMBERS = ("1.1", "1.2", "2.1")
SIZE = (64, 36)


@pytest.fixture(scope="module")
def encoder() -> Ffmpeg:
    """Return the ffmpeg that is there."""
    try:
        return ffmpeg.find()
    except ffmpeg.MissingError:
        pytest.skip("neither the extra film nor ffmpeg is installed")


def drawing(colour: str, size: tuple[int, int] = (160, 90)) -> bytes:
    """Return an image of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project whose path needs quotes, with the images of one style chosen."""
    root = tmp_path / "it's 100% é; film"
    durations = (0.5, 0.25, 0.4)
    transitions = ("H", "Dissolve", "C")
    rows = [
        {
            "shot_number": number[0],
            "beat_number": number,
            "script_phrase": f"Says {number}.",
            "ai_prompt": number,
            "duration": duration,
            "transition_type": transition,
        }
        for number, duration, transition in zip(NUMBERS, durations, transitions, strict=True)
    ]
    for style, colours in (("clear", ("red", "lime", "blue")), ("consistent", ("white",) * 3)):
        for number, colour in zip(NUMBERS, colours, strict=True):
            place = root / f"generated_images/{style}/Shot_{number[0]}/Beat_{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(drawing(colour))
    (root / "beats.json").write_text(json.dumps(rows))
    choose(root, "clear", *NUMBERS)
    return root


def exported(root: Path, encoder: Ffmpeg, **options: object) -> Exported:
    """Export a film in a small size."""
    return export.export(read(root), Options(**{"size": SIZE} | options), encoder)  # type: ignore[arg-type]


def decoded(encoder: Ffmpeg, film: Path, *options: str) -> bytes:
    """Return what ffmpeg reads from a film."""
    command = [encoder.path, "-v", "error", "-i", f"file:{film}", *options, "pipe:1"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def pixels(encoder: Ffmpeg, film: Path) -> list[tuple[int, ...]]:
    """Return the pixel in the middle of each frame that is in a film."""
    data = decoded(encoder, film, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24")
    size = SIZE[0] * SIZE[1] * 3
    middle = (SIZE[0] * SIZE[1] // 2 + SIZE[0] // 2) * 3
    assert len(data) % size == 0
    return [tuple(data[at + middle : at + middle + 3]) for at in range(0, len(data), size)]


def shade(pixel: Sequence[int]) -> str:
    """Return which channels of a pixel are bright."""
    return "".join(name for name, value in zip("rgb", pixel, strict=True) if value > 127)


def test_what_changed_since_it_was_chosen_is_a_warning(root: Path, encoder: Ffmpeg) -> None:
    """Redrawn images go in as they were chosen; flagged ones need another look."""
    choose(root, "clear", "2.1", flagged=True)
    place = root / "generated_images/clear/Shot_1/Beat_1.1.png"
    place.write_bytes(drawing("black"))
    done = exported(root, encoder)
    assert done.warnings == (
        "redrawn since they were chosen, the chosen images are exported: 1.1",
        "flagged for another look: 2.1",
    )
    assert shade(pixels(encoder, done.film)[0]) == "r"


def test_each_image_lasts_as_its_beat(root: Path, encoder: Ffmpeg) -> None:
    """Images abut, and frames are what the durations add up to."""
    done = exported(root, encoder)
    assert [one.frames for one in done.beats] == [15, 8, 12]
    shades = [shade(pixel) for pixel in pixels(encoder, done.film)]
    assert shades == ["r"] * 15 + ["g"] * 8 + ["b"] * 12
    assert done.film == root.resolve() / "animatic.mp4"


@pytest.mark.parametrize("rate", ["24", "25", "29.97", "60"])
def test_joining_many_clips_rounds_no_time(tmp_path: Path, encoder: Ffmpeg, rate: str) -> None:
    """Each frame begins one frame after the one before it, at any rate."""
    exact = RATES[rate]
    look = Look(width=64, height=36, rate=float(exact))
    clip, film = Clip(frames=7, shown=None), tmp_path / "film.mp4"
    encoder.encode(clips.frames(clip, look), tmp_path / "clip.mp4", look, exact)
    names = ["clip.mp4"] * 300
    encoder.join(tmp_path, names, [], film, rate=exact, frames=2100, title="x")
    said = decoded(encoder, film, "-c", "copy", "-f", "framecrc").decode()
    base = next(line for line in said.splitlines() if line.startswith("#tb"))
    times = [int(line.split(",")[2]) for line in said.splitlines() if not line.startswith("#")]
    tick = Fraction(base.split(": ")[1])
    assert len(times) == 2100
    assert {(after - before) * tick for before, after in pairwise(times)} == {1 / exact}


def test_renders_only_what_changed(root: Path, encoder: Ffmpeg) -> None:
    """A second film renders nothing, and one changed beat costs one clip."""
    assert exported(root, encoder).rendered == 3
    again = exported(root, encoder)
    assert (again.rendered, again.written) == (0, False)
    choose(root, "consistent", "1.2")
    (standing,) = record.standings(read(root))
    assert (standing.folder, standing.outdated) == ("animatic.mp4", ("1.2",))
    done = exported(root, encoder)
    assert (done.rendered, done.written) == (1, True)
    assert shade(pixels(encoder, done.film)[20]) == "rgb"
    assert len(list((root / ".imagegen/animatic").glob("*.mp4"))) == 3


def test_an_interrupted_film_goes_on(root: Path, encoder: Ffmpeg) -> None:
    """Clips that were rendered stay, no torn one is left, and the film before stays whole."""

    def interrupt(done: int, _: int) -> None:
        if done > 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export.export(read(root), Options(size=SIZE), encoder, interrupt)
    assert not (root / "animatic.mp4").exists()
    left = list((root / ".imagegen/animatic").iterdir())
    assert all(path.suffix == ".mp4" for path in left)
    done = exported(root, encoder)
    assert done.rendered == 3 - len(left)
    assert len(pixels(encoder, done.film)) == 35


def test_an_image_fades_in_if_its_transition_says_so(root: Path, encoder: Ffmpeg) -> None:
    """With a dissolve the film is as long as without, and H and C stay cuts."""
    done = exported(root, encoder, dissolve=0.1)
    found = pixels(encoder, done.film)
    assert len(found) == 35
    assert [pixel[1] for pixel in found[14:19]] == sorted(pixel[1] for pixel in found[14:19])
    assert 40 < found[15][1] < found[17][1] < 230
    assert shade(found[22]) + shade(found[23]) == "gb"


def test_sound_is_as_long_as_the_film(root: Path, encoder: Ffmpeg) -> None:
    """The recordings are laid under the images one after the other, whatever their format."""
    (root / "voiceover").mkdir()
    for number, rate in enumerate((24_000, 48_000)):
        with wave.open(str(root / f"voiceover/{number}.wav"), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(b"\0\x20" * (rate * 3 // 5))
    done = exported(root, encoder)
    sound = decoded(encoder, done.film, "-f", "s16le", "-ac", "1", "-ar", "8000")
    assert abs(len(sound) / 2 / 8000 - 35 / 30) < 0.05
    assert done.warnings == ("the narration lasts 1.2 s and the images 1.1 s",)
    assert not exported(root, encoder).written


LOOK = Look(width=320, height=180, rate=30)


def checker(tmp_path: Path, size: tuple[int, int] = (320, 180)) -> Path:
    """Return an image of black and white squares, eight in a row."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    step = size[0] // 8
    for x in range(8):
        for y in range(size[1] // step + 1):
            if (x + y) % 2:
                draw.rectangle(
                    (x * step, y * step, (x + 1) * step - 1, (y + 1) * step - 1), fill="black"
                )
    image.save(tmp_path / "checker.png")
    return tmp_path / "checker.png"


def images(clip: Clip, look: Look = LOOK) -> list[Image.Image]:
    """Return the frames of a clip."""
    size = (look.width, look.height)
    return [Image.frombytes("RGB", size, data) for data in clips.frames(clip, look)]


def shown(path: Path, move: Move, frames: int = 60) -> Shown:
    """Return an image that is shown with a move."""
    return Shown(path=path, sha256="0" * 64, move=move, frames=frames)


@pytest.mark.parametrize("move", [Move.IN, Move.OUT, Move.LEFT, Move.RIGHT])
def test_moves_are_even(tmp_path: Path, move: Move) -> None:
    """Edges of a checker pattern move by the same part of a pixel from frame to frame."""
    clip = Clip(frames=60, shown=shown(checker(tmp_path), move))
    found = []
    for frame in images(clip):
        # The first edge of a row: how much of it is white until the middle of the second square.
        row = frame.convert("L").crop((0, 10, 60, 11))
        found.append(sum(row.tobytes()) / 255)
    steps = [after - before for before, after in pairwise(found)]
    mean = sum(steps) / len(steps)
    assert abs(mean) > 0.05
    assert {step > 0 for step in steps} == {mean > 0}
    # An edge's pixels are rounded to 256 levels, and sharpened at some parts of a pixel.
    assert max(abs(step - mean) for step in steps) < 0.4 * abs(mean)


def test_a_move_stays_within_its_image() -> None:
    """Whatever the move and its length: nothing outside is shown."""
    whole = (10.0, 20.0, 330.0, 200.0)
    for move in Move:
        for seconds in (0.1, 3, 100):
            path = motion.Path(move=move, seconds=seconds)
            for progress in (0, 0.3, 1):
                left, top, right, bottom = path.at(progress, whole)
                assert 10 <= left < right <= 330
                assert 20 <= top < bottom <= 200
                assert (right - left) / (bottom - top) == pytest.approx(16 / 9)


def test_nothing_moves_in_a_still(tmp_path: Path) -> None:
    """Every frame is the same."""
    clip = Clip(frames=3, shown=shown(checker(tmp_path), Move.NONE, 3))
    assert len(set(clips.frames(clip, LOOK))) == 1


@pytest.mark.parametrize(("size", "place"), [((90, 180), (5, 90)), ((360, 90), (160, 5))])
def test_another_shape_gets_bars_or_is_cropped(
    tmp_path: Path, size: tuple[int, int], place: tuple[int, int]
) -> None:
    """Bars are black; with fill the image covers the frame."""
    (tmp_path / "a.png").write_bytes(drawing("white", size))
    clip = Clip(frames=1, shown=shown(tmp_path / "a.png", Move.IN, 1))
    (barred,) = images(clip)
    (filled,) = images(clip, Look(width=320, height=180, rate=30, fill=True))
    assert (barred.getpixel(place), barred.getpixel((160, 90))) == ((0, 0, 0), (255, 255, 255))
    assert filled.getpixel(place) == (255, 255, 255)


def test_a_beat_without_an_image_is_black() -> None:
    """It lasts as long all the same."""
    found = images(Clip(frames=2, shown=None))
    assert [one.getextrema() for one in found] == [((0, 0),) * 3] * 2


def test_captions_are_over_the_image(tmp_path: Path) -> None:
    """White letters on a dark panel, in the lower part."""
    (tmp_path / "a.png").write_bytes(drawing("lime"))
    still = shown(tmp_path / "a.png", Move.NONE, 1)
    (frame,) = images(Clip(frames=1, shown=still, caption="A key, heavier than a suitcase."))
    assert frame.crop((0, 0, 320, 90)).getcolors() == [(320 * 90, (0, 255, 0))]
    colours = {colour for _, colour in frame.crop((0, 90, 320, 180)).getcolors(99_999) or ()}
    assert any(min(colour) > 240 for colour in colours if isinstance(colour, tuple))


def test_a_clip_is_known_by_all_that_is_seen() -> None:
    """Another image, move, length, caption, look or encoder is another clip; a path is not."""
    one = Shown(path=Path("a"), sha256="1", move=Move.IN, frames=9)
    clip = Clip(frames=9, shown=one, caption="x")
    replace = msgspec.structs.replace
    others = [
        (replace(clip, shown=replace(one, sha256="2")), LOOK, "6"),
        (replace(clip, shown=replace(one, move=Move.OUT)), LOOK, "6"),
        (replace(clip, shown=replace(one, frames=10)), LOOK, "6"),
        (replace(clip, shown=None), LOOK, "6"),
        (replace(clip, frames=8), LOOK, "6"),
        (replace(clip, dissolve=2, before=one), LOOK, "6"),
        (replace(clip, caption="y"), LOOK, "6"),
        (clip, replace(LOOK, fill=True), "6"),
        (clip, replace(LOOK, rate=25), "6"),
        (clip, LOOK, "7"),
    ]
    keys = {clip.key(look, version) for clip, look, version in [(clip, LOOK, "6"), *others]}
    assert len(keys) == len(others) + 1
    assert replace(clip, shown=replace(one, path=Path("b"))).key(LOOK, "6") in keys


def test_a_corrupt_image_is_named(root: Path, encoder: Ffmpeg) -> None:
    """No film is written, and the message has the file."""
    (root / "selected_images/Beat_1.2.png").write_bytes(drawing("red")[:-40])
    with pytest.raises(UsageError, match=r"Beat_1\.2\.png: the image cannot be read"):
        exported(root, encoder)
    assert not (root / "animatic.mp4").exists()


def test_beats_without_a_choice(root: Path, encoder: Ffmpeg) -> None:
    """They end the export, hold the image before, or are skipped."""
    (root / "image_selections.json").write_text(
        json.dumps({"1.1": {"style": "clear", "isFlagged": False}})
    )
    with pytest.raises(UsageError, match="2 beats have no chosen image"):
        exported(root, encoder)
    held = exported(root, encoder, missing=Missing.HOLD)
    assert [shade(pixel) for pixel in pixels(encoder, held.film)] == ["r"] * 35
    assert exported(root, encoder, missing=Missing.SKIP).frames == 15


def test_replaces_no_film_of_another_program(root: Path, encoder: Ffmpeg) -> None:
    """A file that no export wrote stays."""
    (root / "animatic.mp4").write_text("mine")
    with pytest.raises(UsageError, match="not from an export"):
        exported(root, encoder)
    assert (root / "animatic.mp4").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="a script is a program on POSIX alone")
@pytest.mark.parametrize(
    ("says", "error", "shown"),
    [
        ("av_interleaved_write_frame(): No space left on device", StorageError, "the disk is full"),
        ("Unknown encoder 'libx264'", UsageError, "Unknown encoder 'libx264'"),
    ],
)
def test_an_ffmpeg_that_fails_is_an_error(
    root: Path, tmp_path: Path, says: str, error: type[Exception], shown: str
) -> None:
    """Its last line is the reason, and nothing half-written is left."""
    script = tmp_path / "ffmpeg"
    script.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && echo "ffmpeg version 6" && exit\n'
        f'echo "{says}" >&2\nexit 1\n'
    )
    script.chmod(0o755)
    with pytest.raises(error, match=shown):
        exported(root, Ffmpeg(str(script)))
    assert not list((root / ".imagegen/animatic").iterdir())


def test_says_what_is_missing_without_ffmpeg(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the extra and without ffmpeg it is exit code 2, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", os.devnull)
    assert entry.run(["export", "animatic", str(root)]) == 2
    assert "imagegen-storyboard[film]" in capsys.readouterr().err


def test_the_command_says_what_it_did(root: Path, encoder: Ffmpeg, commands: Commands) -> None:
    """JSON has the film, its length and its beats."""
    done = commands.run("export", "animatic", str(root), "--size", "64x36", "--still", "--json")
    found = json.loads(done.out)
    assert (done.code, found["frames"], found["seconds"]) == (0, 35, 1.167)
    assert [beat["timing"] for beat in found["beats"]] == ["duration"] * 3
    assert found["clips_rendered"] == 3
    assert "animatic.mp4: 3 beats, 0:01.2 at 30 frames a second, 64x36" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--dissolve", "long"], '--dissolve: "long" is not a time'),
        (["--output", "film.mov"], "is not an MP4"),
        (["--size", "63x35"], "is not a size"),
    ],
)
def test_refuses_what_cannot_be(
    root: Path, commands: Commands, arguments: list[str], says: str
) -> None:
    """Wrong usage is exit code 2."""
    done = commands.run("export", "animatic", str(root), *arguments)
    assert (done.code, says in done.err) == (2, True)
