"""One beat at a time: drawn anew, a picture of one's own, accepted, skipped, tried."""

import hashlib
import io
import json
import os
import re
import signal
import struct
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from commands import STYLES, Commands, Done, picture, pictures, row
from gemini_server import Answer, GeminiServer, answers
from imagegen.images import png
from imagegen.prompts.composer import LOOKS

OTHER = "The boat, far away"
ADDRESS = "clear/1.2"


def write(root: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a storyboard."""
    (root / "beats.json").write_text(json.dumps(list(rows)), encoding="utf-8")


def files(root: Path) -> dict[str, bytes]:
    """Return every file of a project that is not in our own folder."""
    every = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in every
        if ".imagegen" not in path.relative_to(root).parts
    }


def changed(root: Path, before: Mapping[str, bytes]) -> set[str]:
    """Return which files are new, gone or other than before, but for progress files."""
    now = files(root)
    names = {name for name in {*now, *before} if now.get(name) != before.get(name)}
    return {name for name in names if not name.startswith("image_progress_")}


def status(commands: Commands, root: Path) -> dict[str, dict[str, str]]:
    """Return the status of each beat, by style and number."""
    done = commands.run("status", root, "--json")
    assert done.code == 0, done.text
    styles: dict[str, Any] = json.loads(done.out)["styles"]
    return {
        style: {beat["beat_number"]: beat["status"] for beat in told["beats"]}
        for style, told in styles.items()
    }


def completed(root: Path, style: str = "clear") -> list[str]:
    """Return the numbers that a progress file has as complete."""
    told: list[str] = json.loads((root / f"image_progress_{style}.json").read_text())[
        "completedBeats"
    ]
    return told


def overrides(root: Path) -> dict[str, Any]:
    """Return what overrides.toml says; nothing where there is none."""
    path = root / "overrides.toml"
    return tomllib.loads(path.read_text()) if path.exists() else {}


def image(kind: str = "PNG", colour: str = "teal") -> bytes:
    """Return a picture that a person has made."""
    out = io.BytesIO()
    Image.new("RGB", (96, 54), colour).save(out, kind)
    return out.getvalue()


def went_well(done: Done) -> Done:
    """Fail with what a command has said, unless it did what it was asked for."""
    assert done.code == 0, done.text
    return done


@pytest.fixture
def address(server: GeminiServer) -> tuple[str, str]:
    """Return the option that sends requests to the server of this test."""
    return ("--base-url", server.address)


@pytest.fixture
def root(commands: Commands, address: tuple[str, str]) -> Path:
    """Return a project of three beats in three styles, drawn."""
    made = commands.project()
    went_well(commands.run("run", made, *address))
    return made


@pytest.fixture
def busy(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> Iterator[Path]:
    """Return a project of which a run is drawing a beat."""
    write(root, [row(n) for n in range(5)])
    with server.held():
        process = commands.start("run", root, "--beat", "clear/1.5", *address)
        assert server.wait_for_requests(10)
        yield root
    assert commands.wait(process).code == 0


# redraw


def test_redraw_draws_one_beat_in_one_style(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """One request with the same words; nothing but that picture is another."""
    before = files(root)
    first = next(r for r in server.requests if r.prompt == f"prompt <1>\n\n{LOOKS['clear']}")
    sent = len(server.requests)
    went_well(commands.run("redraw", root, ADDRESS, *address))
    (request,) = server.requests[sent:]
    assert request.prompt == first.prompt
    place = "generated_images/clear/Shot_1/Beat_1.2.png"
    (kept,) = (root / "old_images").rglob("*.png")
    assert kept.read_bytes() == before[place]
    left = {name for name in changed(root, before) if not name.startswith("old_images/")}
    assert left == {place}
    assert not overrides(root)


def test_redraw_of_a_number_draws_every_style(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """1.2 without a style is that beat in all three, several at once."""
    sent = len(server.requests)
    went_well(commands.run("redraw", root, "1.2", "clear/1.3", *address))
    said = sorted(request.prompt.split("\n")[0] for request in server.requests[sent:])
    assert said == ["prompt <1>"] * 3 + ["prompt <2>"]


@pytest.mark.slow
def test_redraw_sends_other_words_with_the_look(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """The words are sent in place of the storyboard's, and stand for the beat from then on."""
    write(root, [row(0), row(1, transition_type="H"), row(2)])
    (root / "style_reference.png").write_bytes(image())
    (root / "imagegen.toml").write_text('[styles.clear]\nlook = "In two colours."\n')
    sent = len(server.requests)
    went_well(commands.run("redraw", root, ADDRESS, "--prompt", OTHER, *address))
    (request,) = server.requests[sent:]
    assert request.prompt == f"{OTHER}\n\nIn two colours."
    digest = hashlib.sha256(image()).hexdigest()
    assert request.references == (("image/png", digest),)
    assert answers(picture(root, "clear", 1).read_bytes(), request.prompt)
    assert status(commands, root)["clear"]["1.2"] == "complete"
    shown = went_well(commands.run("check", root, "--show", ADDRESS)).out
    assert OTHER in shown
    assert "prompt <1>" not in shown
    assert "prompt <1>" in went_well(commands.run("check", root, "--show", "consistent/1.2")).out
    assert overrides(root)["clear/1/1.2"]["prompt"] == OTHER
    # A later redraw without words sends the same ones.
    went_well(commands.run("redraw", root, ADDRESS, *address))
    assert server.requests[-1].prompt == request.prompt


def test_undo_of_a_redraw_puts_picture_and_words_back(
    commands: Commands, address: tuple[str, str], root: Path
) -> None:
    """All is as if the other words had never been sent."""
    before = files(root)
    went_well(commands.run("redraw", root, ADDRESS, "--prompt", OTHER, *address))
    went_well(commands.run("undo", root))
    left = {name for name in changed(root, before) if not name.startswith("old_images/")}
    assert left <= {"overrides.toml"}
    assert not overrides(root)
    assert status(commands, root)["clear"] == dict.fromkeys(["1.1", "1.2", "1.3"], "complete")
    assert "prompt <1>" in went_well(commands.run("check", root, "--show", ADDRESS)).out


@pytest.mark.slow
def test_undo_brings_the_words_of_the_redraw_before_back(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """Of two redraws with other words, each is a step of its own."""
    went_well(commands.run("redraw", root, ADDRESS, "--prompt", OTHER, *address))
    first = picture(root, "clear", 1).read_bytes()
    went_well(commands.run("redraw", root, ADDRESS, "--prompt", "A third thing", *address))
    went_well(commands.run("undo", root))
    assert overrides(root)["clear/1/1.2"]["prompt"] == OTHER
    assert picture(root, "clear", 1).read_bytes() == first
    assert status(commands, root)["clear"]["1.2"] == "complete"
    went_well(commands.run("undo", root))
    assert not overrides(root)


@pytest.mark.slow
def test_other_words_survive_that_the_storyboard_is_renumbered(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """Picture and words belong to the row that they were made for, whatever its number."""
    went_well(commands.run("redraw", root, ADDRESS, "--prompt", OTHER, *address))
    drawn = picture(root, "clear", 1).read_bytes()
    new = row(0, ai_prompt="Zebras, which nobody has drawn")
    write(root, [new, *(row(n, ai_prompt=f"prompt <{n - 1}>") for n in (1, 2, 3))])
    assert commands.run("run", root, *address).code == 2
    said = went_well(commands.run("renumber", root)).out
    assert "9 images moved" in said
    assert "overrides for 1 beat moved too" in said
    assert picture(root, "clear", 2).read_bytes() == drawn
    assert list(overrides(root)) == ["clear/1/1.3"]
    assert OTHER in went_well(commands.run("check", root, "--show", "clear/1.3")).out
    sent = len(server.requests)
    went_well(commands.run("run", root, *address))
    assert {r.prompt.split("\n")[0] for r in server.requests[sent:]} == {new["ai_prompt"]}
    assert set(status(commands, root)["clear"].values()) == {"complete"}
    went_well(commands.run("undo", root))
    assert list(overrides(root)) == ["clear/1/1.2"]
    assert picture(root, "clear", 1).read_bytes() == drawn


def test_a_redraw_that_fails_leaves_the_picture(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """The old picture stays until there is a new one, and undo takes the words back."""
    before = picture(root, "clear", 1).read_bytes()
    server.fault(OTHER, Answer.BLOCKED)
    done = commands.run("redraw", root, ADDRESS, "--prompt", OTHER, *address)
    assert done.code == 1
    assert picture(root, "clear", 1).read_bytes() == before
    assert status(commands, root)["clear"]["1.2"] == "outdated"
    went_well(commands.run("undo", root))
    assert picture(root, "clear", 1).read_bytes() == before
    assert status(commands, root)["clear"]["1.2"] == "complete"
    assert not overrides(root)


def test_redraw_wants_a_skipped_beat_after_all(
    commands: Commands, server: GeminiServer, address: tuple[str, str]
) -> None:
    """Whoever draws a beat by its name does not do without it any more."""
    root = commands.project(beats=1)
    went_well(commands.run("skip", root, "clear/1.1"))
    went_well(commands.run("redraw", root, "clear/1.1", *address))
    assert len(server.requests) == 1
    assert status(commands, root)["clear"]["1.1"] == "complete"
    went_well(commands.run("undo", root))
    assert overrides(root)["clear/1/1.1"]["waived"] is True


def test_an_interrupted_redraw_is_carried_on_with_its_words(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """`resume` draws that beat alone, from the words that were asked for."""
    sent = len(server.requests)
    with server.held():
        process = commands.start("redraw", root, ADDRESS, "--prompt", OTHER, *address)
        assert server.wait_for_requests(sent + 1)
        process.terminate()
        assert commands.wait(process).code == 143
    went_well(commands.run("resume", root, *address))
    prompts = [request.prompt for request in server.requests[sent:]]
    assert prompts == [f"{OTHER}\n\n{LOOKS['clear']}"] * 2
    assert status(commands, root)["clear"]["1.2"] == "complete"


@pytest.mark.parametrize("prompt", ["", " \n", "…", "...", " '…' "])
def test_empty_words_are_refused(
    commands: Commands, server: GeminiServer, root: Path, prompt: str
) -> None:
    """An empty --prompt is a slip, or the one of an advice as it stands: nothing changes."""
    before = files(root)
    done = commands.run("redraw", root, ADDRESS, "--prompt", prompt)
    assert done.code == 2
    assert "--prompt" in done.err
    assert not changed(root, before)


@pytest.mark.parametrize("command", ["redraw", "try"])
def test_words_that_are_no_text_are_told_in_a_line(
    commands: Commands, address: tuple[str, str], root: Path, command: str
) -> None:
    """Bytes that no terminal writes are a wrong option, and no fault of ours."""
    before = files(root)
    words = os.fsdecode(b"half a letter: \xff")
    asked = [ADDRESS, "--prompt"] if command == "redraw" else ["--style", "clear", "--look"]
    done = commands.run(command, root, *asked, words, *address)
    assert done.code == 2, done.text
    assert not changed(root, before)


# use


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_a_picture_of_ones_own_becomes_the_beats(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path, kind: str
) -> None:
    """It lies there as a PNG of the same pixels, the old one is kept, and undo returns it."""
    before = picture(root, "clear", 1).read_bytes()
    own = commands.folder / "own.picture"
    own.write_bytes(image(kind, "black"))
    used = went_well(commands.run("use", root, ADDRESS, own))
    assert f"to undo: imagegen undo {root}" in used.out
    data = picture(root, "clear", 1).read_bytes()
    whole = png.read_info(io.BytesIO(data))
    assert whole is not None
    assert whole.provenance is not None
    assert whole.provenance.provider == "own"
    with Image.open(io.BytesIO(data)) as shown:
        assert shown.size == (96, 54)
        assert shown.convert("RGB").getpixel((40, 20)) == (0, 0, 0)
    (kept,) = (root / "old_images").rglob("Beat_1.2.png")
    assert kept.read_bytes() == before
    assert status(commands, root)["clear"]["1.2"] == "complete"
    assert own.read_bytes() == image(kind, "black")
    went_well(commands.run("undo", root))
    assert picture(root, "clear", 1).read_bytes() == before


@pytest.mark.parametrize(
    ("size", "unlike"),
    [
        ((1376, 768), None),
        ((1920, 1080), None),
        ((683, 384), None),
        ((600, 800), "it has 600 x 800 pixels, the project's images are 16:9"),
        ((640, 360), "it has 640 x 360 pixels, the project's images have about 768 lines"),
        ((3000, 4000), "it has 3000 x 4000 pixels, the project's images are 16:9"),
        (
            (96, 96),
            "it has 96 x 96 pixels, the project's images are 16:9 and have about 768 lines",
        ),
    ],
)
def test_a_picture_that_is_not_like_the_others_is_used_with_a_warning(
    commands: Commands, size: tuple[int, int], unlike: str | None
) -> None:
    """Another shape or far fewer pixels may be meant, and may be the wrong file."""
    root = commands.project(beats=2)
    own = commands.folder / "own.png"
    Image.new("RGB", size).save(own)
    done = went_well(commands.run("use", root, ADDRESS, own))
    assert done.err == (f"warning: {unlike}\n" if unlike else "")
    with Image.open(picture(root, "clear", 1)) as shown:
        assert shown.size == size


@pytest.mark.slow
def test_only_a_run_that_names_the_beat_draws_over_ones_own_picture(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """Neither --force nor another look takes it away; `redraw` does, and keeps it."""
    own = commands.folder / "own.jpg"
    own.write_bytes(image("JPEG"))
    went_well(commands.run("use", root, ADDRESS, own))
    mine = picture(root, "clear", 1).read_bytes()
    (root / "imagegen.toml").write_text('[styles.clear]\nlook = "Ink."\n')
    assert status(commands, root)["clear"] == {
        "1.1": "outdated",
        "1.2": "complete",
        "1.3": "outdated",
    }
    sent = len(server.requests)
    went_well(commands.run("run", root, "--force", "--yes", *address))
    assert len(server.requests) == sent + 8
    assert picture(root, "clear", 1).read_bytes() == mine
    went_well(commands.run("redraw", root, ADDRESS, *address))
    assert len(server.requests) == sent + 9
    assert picture(root, "clear", 1).read_bytes() != mine
    assert mine in [path.read_bytes() for path in (root / "old_images").rglob("*.png")]


def test_ones_own_picture_goes_along_when_numbers_move(commands: Commands, root: Path) -> None:
    """It belongs to the words of the beat that it was put in the place of."""
    own = commands.folder / "own.jpg"
    own.write_bytes(image("JPEG"))
    went_well(commands.run("use", root, ADDRESS, own))
    mine = picture(root, "clear", 1).read_bytes()
    write(root, [row(0, ai_prompt="prompt <1>"), row(1, ai_prompt="prompt <0>"), row(2)])
    went_well(commands.run("renumber", root))
    assert picture(root, "clear", 0).read_bytes() == mine


def test_a_picture_for_a_beat_without_one_can_be_taken_back(commands: Commands) -> None:
    """It is there where nothing was, also for a skipped beat; undo leaves the place empty."""
    root = commands.project(beats=2)
    own = commands.folder / "own.png"
    own.write_bytes(image())
    went_well(commands.run("skip", root, ADDRESS))
    went_well(commands.run("use", root, ADDRESS, own))
    assert status(commands, root)["clear"] == {"1.1": "pending", "1.2": "complete"}
    assert completed(root) == ["1.2"]
    assert not overrides(root)
    went_well(commands.run("undo", root))
    assert status(commands, root)["clear"] == {"1.1": "pending", "1.2": "waived"}
    assert not pictures(root)
    assert completed(root) == []


def enlarged(data: bytes, width: int = 12_000) -> bytes:
    """Return a picture that says it has 9000 lines of so many pixels."""
    if data.startswith(b"\xff\xd8"):
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", 9000, width) + data[at + 4 :]
    head = data[12:16] + struct.pack(">II", width, 9000) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


WRONG = {
    "text": (b"no picture", "not an image of a known type"),
    "torn PNG": (image()[:-20], "not whole"),
    "large PNG": (enlarged(image()), "12000 x 9000 pixels are too many: 100 million at most"),
    "large JPEG": (
        enlarged(image("JPEG")),
        "12000 x 9000 pixels are too many: 100 million at most",
    ),
    "larger JPEG": (
        enlarged(image("JPEG"), 20_000),
        "pixels are too many: 100 million at most",
    ),
    "torn JPEG": (image("JPEG")[:300], "cannot be read"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(40), "the type HEIC, which imagegen cannot read"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "the type SVG, which imagegen"),
    "empty": (b"", "not an image of a known type"),
}


@pytest.mark.parametrize(("data", "why"), WRONG.values(), ids=WRONG)
def test_what_is_no_picture_is_not_used(
    commands: Commands, root: Path, data: bytes, why: str
) -> None:
    """Exit 2 with the file, why it is not used and what is; nothing has changed."""
    before = files(root)
    own = commands.folder / "own.png"
    own.write_bytes(data)
    done = commands.run("use", root, ADDRESS, own)
    assert done.code == 2
    message, hint = done.err.splitlines()
    assert message.startswith(f"imagegen: {own} cannot be used: ")
    assert why in message
    assert "PNG, JPEG or WebP" in hint
    assert not done.out
    assert not changed(root, before)


@pytest.mark.parametrize(("name", "why"), [(".", "is a folder"), ("none.png", "no such file")])
def test_what_is_no_file_is_not_used(commands: Commands, root: Path, name: str, why: str) -> None:
    """A folder, or a name that was mistyped, is exit 2."""
    before = files(root)
    done = commands.run("use", root, ADDRESS, commands.folder / name)
    assert done.code == 2
    assert why in done.err
    assert not changed(root, before)


def test_a_picture_is_used_for_one_beat_alone(commands: Commands, root: Path) -> None:
    """A number is several beats without its style: exit 2, with the names to choose from."""
    before = files(root)
    own = commands.folder / "own.png"
    own.write_bytes(image())
    done = commands.run("use", root, "1.2", own)
    assert done.code == 2
    assert '"1.2" is 3 beats' in done.err
    assert "clear/1/1.2" in done.err
    assert not changed(root, before)


# accept


@pytest.fixture
def mended(root: Path) -> Path:
    """Return a project with the words of two of its beats edited since they were drawn."""
    write(root, [row(0), row(1, ai_prompt="prompt <one>"), row(2, ai_prompt="prompt <two>")])
    return root


def test_an_accepted_picture_counts_as_current(
    commands: Commands, server: GeminiServer, address: tuple[str, str], mended: Path
) -> None:
    """One is accepted, the others stay outdated; nothing is moved or sent for it."""
    before = files(mended)
    said = went_well(commands.run("accept", mended, ADDRESS)).out
    assert "clear/1.2 is now up to date (prompt changed)" in said
    assert changed(mended, before) == {"overrides.toml"}
    told = status(commands, mended)
    assert told["clear"] == {"1.1": "complete", "1.2": "complete", "1.3": "outdated"}
    assert told["consistent"]["1.2"] == "outdated"
    sent = len(server.requests)
    went_well(commands.run("run", mended, "--outdated", *address))
    assert len(server.requests) == sent + 5
    assert files(mended)["generated_images/clear/Shot_1/Beat_1.2.png"] in before.values()


def test_all_that_is_outdated_can_be_accepted(commands: Commands, mended: Path) -> None:
    """With --all every one is named and counts as current."""
    said = went_well(commands.run("accept", mended, "--all")).out
    assert said.count("is now up to date") == 6
    assert {s for own in status(commands, mended).values() for s in own.values()} == {"complete"}


def test_an_acceptance_holds_until_the_words_change_again(commands: Commands, mended: Path) -> None:
    """What was accepted were those words and no others."""
    went_well(commands.run("accept", mended, ADDRESS))
    write(mended, [row(0), row(1, ai_prompt="prompt <another>"), row(2)])
    assert status(commands, mended)["clear"]["1.2"] == "outdated"


def test_accepting_what_is_not_outdated_changes_nothing(commands: Commands, root: Path) -> None:
    """It says so, exit 0, for there is nothing to mend."""
    before = files(root)
    for asked in (["1.1"], ["--all"]):
        assert "no outdated images" in went_well(commands.run("accept", root, *asked)).out
    assert not changed(root, before)


@pytest.mark.parametrize("asked", [[], [ADDRESS, "--all"]])
def test_accept_is_told_what(commands: Commands, mended: Path, asked: Sequence[str]) -> None:
    """Neither nothing nor a beat and all: exit 2."""
    done = commands.run("accept", mended, *asked)
    assert done.code == 2
    assert "accept needs a beat, or --all" in done.err
    assert not overrides(mended)


# skip


@pytest.mark.slow
def test_a_skipped_beat_is_settled(
    commands: Commands, server: GeminiServer, address: tuple[str, str]
) -> None:
    """Runs leave it out, scripts see all that was wanted, and it can be wanted after all."""
    root = commands.project(beats=2)
    said = went_well(commands.run("skip", root, ADDRESS)).out
    assert "clear/1.2 needs no image" in said
    went_well(commands.run("run", root, *address))
    assert len(server.requests) == 5
    assert status(commands, root)["clear"] == {"1.1": "complete", "1.2": "waived"}
    assert "1 skipped: 1.2" in went_well(commands.run("status", root, "--check")).out
    assert completed(root) == ["1.1"]

    assert (
        "is drawn by the next run" in went_well(commands.run("skip", root, ADDRESS, "--undo")).out
    )
    assert not overrides(root)
    assert commands.run("status", root, "--check").code == 3
    went_well(commands.run("run", root, *address))
    assert len(server.requests) == 6


def test_what_is_settled_during_a_run_is_said_to_be_for_the_next(
    commands: Commands, server: GeminiServer, address: tuple[str, str]
) -> None:
    """The active one goes on as it began, and may draw the beat that is skipped."""
    root = commands.project(beats=2)
    with server.held():
        process = commands.start("run", root, *address)
        assert server.wait_for_requests(1)
        done = commands.run("skip", root, ADDRESS)
        assert "the next run will" in went_well(done).err
    assert commands.wait(process).code == 0
    assert commands.run("skip", root, ADDRESS, "--undo").err == ""


def test_a_skipped_beat_is_not_drawn_for_what_lies_in_its_place(
    commands: Commands, server: GeminiServer, address: tuple[str, str]
) -> None:
    """What is no picture is put aside, and no more is sent than was said."""
    root = commands.project(settings='draw = ["clear"]\n')
    went_well(commands.run("skip", root, ADDRESS))
    torn = picture(root, "clear", 1)
    torn.parent.mkdir(parents=True)
    torn.write_bytes(image()[:40])
    assert "2 requests" in went_well(commands.run("run", root, "--dry-run", *address)).out
    went_well(commands.run("run", root, *address))
    assert len(server.requests) == 2
    assert not torn.exists()
    assert status(commands, root)["clear"]["1.2"] == "waived"


def test_a_refused_beat_can_be_skipped(
    commands: Commands, server: GeminiServer, address: tuple[str, str]
) -> None:
    """A beat in error turns no script red any more."""
    root = commands.project(beats=2)
    server.fault(lambda request: request.prompt.startswith("prompt <1>"), Answer.BLOCKED, times=3)
    assert commands.run("run", root, *address).code == 1
    assert commands.run("status", root, "--check").code == 1
    said = went_well(commands.run("skip", root, "1.2")).out
    assert said.count("needs no image") == 3
    assert commands.run("status", root, "--check").code == 0
    went_well(commands.run("run", root, *address))
    assert len(server.requests) == 6


@pytest.mark.slow
def test_a_beat_that_could_not_be_redrawn_is_told_with_its_reason(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """It counts as the picture that it has, until another run or picture takes its place."""

    def told() -> list[tuple[str, str, str]]:
        clear = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]
        assert clear["error"] == 0
        return [
            (one["shot_number"], one["beat_number"], one["error"]["cause"])
            for one in clear["failed_redraws"]
        ]

    def fails() -> None:
        server.fault(lambda request: request.prompt.startswith(OTHER), Answer.BLOCKED)
        assert commands.run("run", root, "--outdated", "--style", "clear", *address).code == 1

    assert told() == []
    write(root, [row(0), row(1, ai_prompt=OTHER), row(2)])
    fails()
    assert told() == [("1", "1.2", "refused")]
    assert status(commands, root)["clear"]["1.2"] == "outdated"
    assert commands.run("status", root, "--check").code == 0
    said = went_well(commands.run("status", root)).out
    assert "Not redrawn in the last run" in said
    assert "  clear/1.2  refused, " in said

    went_well(commands.run("accept", root, ADDRESS))
    assert told() == []
    write(root, [row(0), row(1, ai_prompt=f"{OTHER}, at night"), row(2)])
    assert told() == []
    fails()
    assert told() == [("1", "1.2", "refused")]
    own = commands.folder / "own.png"
    own.write_bytes(image())
    went_well(commands.run("use", root, ADDRESS, own))
    assert told() == []


def test_a_beat_that_failed_and_has_a_picture_now_is_well(
    commands: Commands, server: GeminiServer, address: tuple[str, str]
) -> None:
    """A file that somebody has put there is what was missing, not something to draw again."""
    root = commands.project(beats=2, settings='draw = ["clear"]\n')
    server.fault(lambda request: request.prompt.startswith("prompt <1>"), Answer.BLOCKED)
    assert commands.run("run", root, *address).code == 1
    picture(root, "clear", 1).write_bytes(image())
    clear = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]
    assert (clear["complete"], clear["failed_redraws"]) == (2, [])


def test_a_beat_with_its_picture_cannot_be_skipped(commands: Commands, root: Path) -> None:
    """There is nothing to do without: exit 2, with what may have been meant."""
    before = files(root)
    done = commands.run("skip", root, ADDRESS)
    assert done.code == 2
    assert "has an image" in done.err
    assert "imagegen redraw" in done.err
    assert not changed(root, before)


def test_wanting_a_beat_that_was_not_skipped_promises_nothing(
    commands: Commands, root: Path
) -> None:
    """A beat that has its picture is not said to be drawn by the next run."""
    before = files(root)
    done = commands.run("skip", root, ADDRESS, "--undo")
    assert "is drawn by the next run" not in done.text
    assert not changed(root, before)


def test_skip_says_which_pictures_stay(commands: Commands, root: Path) -> None:
    """Of several beats those without a picture are skipped, and the others are named."""
    missing = picture(root, "clear", 1)
    missing.unlink()
    said = went_well(commands.run("skip", root, "1.2")).out
    assert "clear/1.2 needs no image" in said or "clear/1.2 needs no image" in said
    assert said.count("already has an image and is not skipped") == 2


# try


def test_candidates_change_nothing_else(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """They lie in tries/; project, progress, status and the last run's record are as before."""
    before, told = files(root), status(commands, root)
    record = (root / ".imagegen/run.json").read_bytes()
    sent = len(server.requests)
    said = went_well(commands.run("try", root, "--beat", ADDRESS, "-n", 3, *address)).out
    assert [r.prompt for r in server.requests[sent:]] == [f"prompt <1>\n\n{LOOKS['clear']}"] * 3
    (folder,) = (root / "tries").iterdir()
    shot = folder / "clear/Shot_1"
    names = sorted(path.name for path in shot.iterdir())
    assert names == ["Beat_1.2_1.png", "Beat_1.2_2.png", "Beat_1.2_3.png"]
    shown = re.search(rf"imagegen try {root} --keep (\S+\.png)", said)
    assert shown is not None
    assert Path(shown[1]).is_file()
    assert {name for name in changed(root, before) if not name.startswith("tries/")} == set()
    assert files(root)["image_progress_clear.json"] == before["image_progress_clear.json"]
    assert status(commands, root) == told
    assert (root / ".imagegen/run.json").read_bytes() == record


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a signal ends a process there, always")
@pytest.mark.parametrize("options", [(), ("--force", "--yes")])
@pytest.mark.parametrize("between", [("redraw", "clear/1.1"), ("run", "--beat", "clear/1.1")])
def test_what_is_drawn_in_between_does_not_end_what_broke_off(
    commands: Commands,
    server: GeminiServer,
    address: tuple[str, str],
    options: tuple[str, ...],
    between: tuple[str, ...],
) -> None:
    """Single beats that are named come in between of a run that `resume` carries on."""
    root = commands.project(beats=6)
    if options:
        went_well(commands.run("run", root, *address))
    sent = len(server.requests)
    with server.held():
        process = commands.start("run", root, *options, *address)
        assert server.wait_for_requests(sent + 3)
        process.send_signal(signal.SIGTERM)
        assert commands.wait(process).code == 143
    command, *words = between
    went_well(commands.run(command, root, *words, *address))
    assert "imagegen resume" in commands.run("status", root).out

    sent = len(server.requests)
    went_well(commands.run("resume", root, "--yes", *address))
    assert len(server.requests) - sent == (18 if options else 17)
    assert set(status(commands, root)["clear"].values()) == {"complete"}
    assert "imagegen resume" not in commands.run("status", root).out


@pytest.mark.slow
def test_what_was_taken_back_is_not_carried_on(
    commands: Commands, address: tuple[str, str]
) -> None:
    """Neither the redraw that came in between nor the forced run before it, once it is undone."""
    root = commands.project(beats=2)
    went_well(commands.run("run", root, *address))
    assert commands.run("run", root, "--force", "--yes", "--max-cost", "0.2", *address).code == 3
    assert "imagegen resume" in commands.run("status", root).out
    went_well(commands.run("redraw", root, "clear/1.1", *address))
    went_well(commands.run("undo", root))
    went_well(commands.run("undo", root))
    assert "imagegen resume" not in commands.run("status", root).out


def test_resume_carries_on_the_last_run_and_not_a_try(
    commands: Commands, server: GeminiServer, address: tuple[str, str]
) -> None:
    """What was tried meanwhile is no run of the project."""
    root = commands.project(beats=3)
    went_well(commands.run("run", root, "--style", "consistent", "--limit", 1, *address))
    went_well(commands.run("try", root, "--style", "clear", "--look", "Ink.", *address))
    sent = len(server.requests)
    went_well(commands.run("resume", root, *address))
    assert len(server.requests) == sent + 2
    assert {path.parts[-3] for path in pictures(root)} == {"consistent"}


def test_a_look_is_tried_on_the_first_beat_and_adopted(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """Keeping it edits imagegen.toml and leaves comments as they are; undo takes it back."""
    text = '# Ours.\ntimeout = 60 # short\n\n[styles.clear] # best\nlook = "Pencil." # for now\n'
    (root / "imagegen.toml").write_text(text)
    before = files(root)
    sent = len(server.requests)
    said = went_well(commands.run("try", root, "--style", "clear", "--look", "Ink.", *address)).out
    assert [r.prompt for r in server.requests[sent:]] == ["prompt <0>\n\nInk."] * 2
    assert f"imagegen try {root} --keep look" in said
    assert (root / "imagegen.toml").read_text() == text
    kept = went_well(commands.run("try", root, "--keep", "look")).out
    assert f"to undo: imagegen undo {root}" in kept
    edited = (root / "imagegen.toml").read_text()
    assert tomllib.loads(edited) == {"timeout": 60, "styles": {"clear": {"look": "Ink."}}}
    assert edited == text.replace("Pencil.", "Ink.")
    assert set(status(commands, root)["clear"].values()) == {"outdated"}
    went_well(commands.run("undo", root))
    assert (root / "imagegen.toml").read_text() == text
    left = changed(root, before)
    assert not [name for name in left if not name.startswith(("tries/", "old_images/"))]


@pytest.mark.parametrize(
    "text",
    [
        'styles.illustration.look = "Oil."\nprovider = "gemini"\n',
        'styles = { illustration = { look = "Oil." } }\n',
        'styles = { clear = { look = "Oil." }, illustration = {} }\n',
        'styles.clear.look = "Oil."\ntimeout = 60\n',
    ],
)
def test_a_look_is_kept_rightly_or_not_at_all(
    commands: Commands, address: tuple[str, str], root: Path, text: str
) -> None:
    """However the styles are written: nothing else changes, and what cannot be done is said."""
    (root / "imagegen.toml").write_text(text)
    went_well(commands.run("try", root, "--style", "clear", "--look", "Ink.", *address))
    done = commands.run("try", root, "--keep", "look")
    now = (root / "imagegen.toml").read_text()
    if done.code == 0:
        expected = tomllib.loads(text)
        expected["styles"].setdefault("clear", {})["look"] = "Ink."
        assert tomllib.loads(now) == expected
    else:
        assert (done.code, now) == (2, text)
        assert "[styles.clear]" in done.err


@pytest.mark.skipif(os.name == "nt", reason="a signal ends a process there, always")
def test_a_look_whose_try_was_ended_at_once_is_the_one_that_is_kept(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """And not the one that was tried before it."""
    went_well(commands.run("try", root, "--style", "clear", "--look", "Ink.", *address))
    sent = len(server.requests)
    with server.held():
        process = commands.start("try", root, "--style", "clear", "--look", "Chalk.", *address)
        assert server.wait_for_requests(sent + 2)
        process.send_signal(signal.SIGTERM)
        assert commands.wait(process).code == 143
    went_well(commands.run("try", root, "--keep", "look"))
    settings = tomllib.loads((root / "imagegen.toml").read_text())
    assert settings == {"styles": {"clear": {"look": "Chalk."}}}


def test_a_look_makes_settings_where_there_are_none(
    commands: Commands, address: tuple[str, str], root: Path
) -> None:
    """A project without imagegen.toml gets one, and undo takes it away."""
    went_well(commands.run("try", root, "--style", "clear", "--look", "Ink.", *address))
    went_well(commands.run("try", root, "--keep", "look"))
    settings = tomllib.loads((root / "imagegen.toml").read_text())
    assert settings == {"styles": {"clear": {"look": "Ink."}}}
    went_well(commands.run("undo", root))
    assert not (root / "imagegen.toml").exists()


@pytest.mark.slow
def test_a_candidate_is_adopted_for_its_beat(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """It counts as current though it was drawn in another look; undo brings the old one back."""
    before = picture(root, "clear", 1).read_bytes()
    asked = ("--style", "clear", "--look", "Ink.", "--beat", "1.2")
    went_well(commands.run("try", root, *asked, *address))
    (candidate,) = (root / "tries").rglob("Beat_1.2_2.png")
    said = went_well(commands.run("try", root, "--keep", candidate)).out
    assert "generated_images/clear/Shot_1/Beat_1.2.png is that candidate now" in said
    now = picture(root, "clear", 1).read_bytes()
    assert answers(now, "prompt <1>\n\nInk.")
    whole = png.read_info(io.BytesIO(now))
    assert whole is not None
    assert whole.provenance is not None
    assert whole.provenance.beat == "1.2"
    assert candidate.exists()
    assert set(status(commands, root)["clear"].values()) == {"complete"}
    sent = len(server.requests)
    went_well(commands.run("run", root, "--outdated", *address))
    assert len(server.requests) == sent
    went_well(commands.run("undo", root))
    assert picture(root, "clear", 1).read_bytes() == before
    assert not overrides(root)
    assert set(status(commands, root)["clear"].values()) == {"complete"}


def test_a_candidate_belongs_to_its_words_when_numbers_have_moved(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """A beat inserted since the try does not get the candidate of the one that had its number."""
    went_well(commands.run("try", root, "--beat", "clear/1.2", "-n", 1, *address))
    (candidate,) = (root / "tries").rglob("Beat_1.2_1.png")
    moved = [row(n, ai_prompt=f"prompt <{n - 1}>") for n in range(1, 4)]
    write(root, [row(0, ai_prompt="A new beginning."), *moved])
    went_well(commands.run("renumber", root))
    said = went_well(commands.run("try", root, "--keep", candidate)).out
    assert "generated_images/clear/Shot_1/Beat_1.3.png is that candidate now" in said
    assert answers(picture(root, "clear", 2).read_bytes(), f"prompt <1>\n\n{LOOKS['clear']}")
    write(root, [row(0, ai_prompt="Other words.")])
    done = commands.run("try", root, "--keep", candidate)
    assert done.code == 2
    assert "is no longer in the storyboard" in done.err


def test_redraw_as_written_forgets_other_words(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """The storyboard's words are sent again, and stay."""
    went_well(commands.run("redraw", root, "clear/1.2", "--prompt", "Mine.", *address))
    assert "overrides.toml" in commands.run("check", root, "--show", "clear/1.2").out
    went_well(commands.run("redraw", root, "clear/1.2", "--as-written", *address))
    assert not overrides(root)
    assert answers(picture(root, "clear", 1).read_bytes(), f"prompt <1>\n\n{LOOKS['clear']}")
    done = commands.run("redraw", root, "clear/1.2", "--as-written", "--prompt", "x", *address)
    assert done.code == 2


def test_what_no_try_has_drawn_is_not_kept(commands: Commands, root: Path) -> None:
    """A picture of another origin is for `use`, and without a try there is no look."""
    before = files(root)
    own = commands.folder / "own.png"
    own.write_bytes(image())
    done = commands.run("try", root, "--keep", own)
    assert done.code == 2
    assert "imagegen use" in done.err
    assert commands.run("try", root, "--keep", picture(root, "clear", 0)).code == 2
    none = commands.run("try", root, "--keep", "look")
    assert none.code == 2
    assert "no look was tried yet" in none.err
    assert f"imagegen try {root} --style clear --look " in none.err
    assert commands.run("try", root, "--keep", "tries/none.png").code == 2
    assert not changed(root, before)


@pytest.mark.parametrize("styles", [[], ["--style", "clear", "--style", "consistent"]])
def test_a_look_is_one_styles(
    commands: Commands, server: GeminiServer, address: tuple[str, str], styles: Sequence[str]
) -> None:
    """For several styles at once it is exit 2, and nothing was made or sent."""
    root = commands.project()
    done = commands.run("try", root, *styles, "--look", "Ink.", *address)
    assert done.code == 2
    assert "--style" in done.err
    assert not server.requests
    assert not (root / "tries").exists()


def test_a_try_that_could_not_start_leaves_nothing(commands: Commands, root: Path) -> None:
    """A look that was never drawn cannot be kept by accident."""
    before = files(root)
    (root / "keys.toml").unlink()
    done = commands.run("try", root, "--style", "clear", "--look", "Ink.")
    assert done.code == 2
    assert changed(root, before) == {"keys.toml"}
    assert commands.run("try", root, "--keep", "look").code == 2


# All of them.


@pytest.fixture
def own(commands: Commands) -> Path:
    """Return a picture that a person has made."""
    path = commands.folder / "own.jpg"
    path.write_bytes(image("JPEG"))
    return path


@pytest.mark.parametrize("command", ["redraw", "use", "accept", "skip", "skip --undo", "try"])
def test_an_unknown_beat_is_told_with_the_nearest(
    commands: Commands, server: GeminiServer, own: Path, command: str
) -> None:
    """Exit 2, nothing sent, nothing changed, and what may have been meant."""
    root = commands.project()
    before = files(root)
    name, *options = command.split()
    for beat, near in (("clear/1.9", "clear/1.3"), ("cleer/1.2", "clear/1.2"), ("1.9", "1.3")):
        asked: dict[str, list[object]] = {"use": [beat, own], "try": ["--beat", beat]}
        done = commands.run(name, root, *asked.get(name, [beat]), *options)
        assert done.code == 2
        assert beat in done.err
        assert f'did you mean "{near}"?' in done.err
    assert not server.requests
    assert not changed(root, before)


@pytest.mark.parametrize("command", ["redraw", "use", "accept", "skip"])
def test_a_command_for_a_beat_needs_one(commands: Commands, command: str) -> None:
    """Without a beat it is exit 2, with an example to type."""
    root = commands.project()
    done = commands.run(command, root)
    assert done.code == 2
    assert f"imagegen {command} {root} clear/" in done.err


@pytest.mark.slow
def test_commands_for_a_beat_work_inside_the_project(
    commands: Commands, server: GeminiServer, address: tuple[str, str], mended: Path, own: Path
) -> None:
    """PROJECT is the current folder where it is left out, though a beat comes in its place."""
    inside = Commands(mended)
    inside.env, inside.keys = commands.env, commands.keys
    sent = len(server.requests)
    went_well(inside.run("accept", ADDRESS))
    went_well(inside.run("accept", "--all"))
    went_well(inside.run("redraw", "clear/1.1", "--prompt", OTHER, *address))
    assert server.requests[-1].prompt.startswith(OTHER)
    went_well(inside.run("use", "consistent/1.1", own))
    went_well(inside.run("try", "--beat", "clear/1.3", "-n", 1, *address))
    (candidate,) = (mended / "tries").rglob("*.png")
    went_well(inside.run("try", "--keep", candidate.relative_to(mended)))
    assert len(server.requests) == sent + 2
    picture(mended, "illustration", 2).unlink()
    went_well(inside.run("skip", "illustration/1.3"))
    assert status(commands, mended)["illustration"]["1.3"] == "waived"
    went_well(inside.run("skip", "illustration/1.3", "--undo"))
    assert status(commands, mended)["illustration"]["1.3"] == "pending"
    unknown = inside.run("redraw", "clear/1.9", *address)
    assert unknown.code == 2
    assert 'no beat "clear/1.9"' in unknown.err


@pytest.mark.slow
def test_what_moves_pictures_waits_for_an_active_run(
    commands: Commands, server: GeminiServer, address: tuple[str, str], busy: Path, own: Path
) -> None:
    """Exit 4, with how to see and end the run, and nothing changes."""
    before = files(busy)
    sent = len(server.requests)
    for asked in (
        ["renumber"],
        ["clean"],
        ["undo"],
        ["use", ADDRESS, own],
        ["redraw", ADDRESS, *address],
        ["redraw", ADDRESS, "--prompt", OTHER, *address],
    ):
        done = commands.run(asked[0], busy, *asked[1:])
        assert done.code == 4, asked
        assert "imagegen stop" in done.err
    assert not changed(busy, before)
    assert len(server.requests) == sent


def test_beats_are_settled_while_a_run_is_active(
    commands: Commands, busy: Path, server: GeminiServer
) -> None:
    """`skip` and `accept` only write down what a person says, and the run goes on as it began."""
    (busy / "beats.json").write_text(
        json.dumps([row(0, ai_prompt="prompt <mended>"), *(row(n) for n in range(1, 5))])
    )
    news = "the next run will"
    assert news in went_well(commands.run("skip", busy, "clear/1.4")).err
    assert news in went_well(commands.run("accept", busy, "clear/1.1")).err
    # Where nothing was settled there is nothing to heed.
    assert news not in went_well(commands.run("accept", busy, "clear/1.1")).err
    assert news not in went_well(commands.run("skip", busy, "clear/1.5", "--undo")).err
    told = status(commands, busy)["clear"]
    assert (told["1.1"], told["1.4"]) == ("complete", "waived")


@pytest.mark.slow
def test_a_project_without_pictures_can_be_settled_beat_by_beat(
    commands: Commands, server: GeminiServer, address: tuple[str, str], own: Path
) -> None:
    """Nothing needs to be drawn before a beat is drawn, used, skipped or tried."""
    root = commands.project()
    went_well(commands.run("accept", root, "--all"))
    went_well(commands.run("try", root, "--beat", "clear/1.1", *address))
    assert len(server.requests) == 2
    assert not pictures(root)
    went_well(commands.run("redraw", root, "clear/1.1", "--prompt", OTHER, *address))
    went_well(commands.run("use", root, "clear/1.2", own))
    went_well(commands.run("skip", root, "clear/1.3"))
    told = status(commands, root)
    assert told["clear"] == {"1.1": "complete", "1.2": "complete", "1.3": "waived"}
    assert {s for style in STYLES[::2] for s in told[style].values()} == {"pending"}
    went_well(commands.run("run", root, *address))
    assert len(server.requests) == 9


def test_a_sketch_of_one_beat_leaves_all_others_current(
    commands: Commands, server: GeminiServer, address: tuple[str, str], root: Path
) -> None:
    """Who drew one beat last time says nothing about who draws the project."""
    went_well(commands.run("redraw", root, ADDRESS, "--provider", "sketch"))
    told = status(commands, root)["clear"]
    assert told["1.1"] == told["1.3"] == "complete"


@pytest.mark.parametrize("named", ["{shown}", "clear/Shot_1/Beat_1.2_2.png", "clear/1.2_2"])
def test_a_candidate_is_kept_by_whatever_name_was_shown(
    commands: Commands, root: Path, address: tuple[str, str], named: str
) -> None:
    """The command that `try` prints, the path in its events, and the name of its lines."""
    said = went_well(commands.run("try", root, "--beat", ADDRESS, *address)).out
    shown = re.search(rf"imagegen try {root} --keep (\S+\.png)", said)
    assert shown is not None
    what = named.format(shown=shown[1])
    kept = went_well(commands.run("try", root, "--keep", what)).out
    assert "Beat_1.2.png is that candidate now" in kept
    for outside in ("../clear/Shot_1/Beat_1.2_2.png", "clear/1.2_9", "clear/../../x"):
        assert commands.run("try", root, "--keep", outside).code == 2


def test_undo_says_what_is_chosen_of_another_picture(commands: Commands, root: Path) -> None:
    """The choice stays, with its copy: it is named, with what shows it."""
    went_well(commands.run("redraw", root, ADDRESS, "--provider", "sketch"))
    went_well(commands.run("choose", root, "1.2", "clear"))
    said = went_well(commands.run("undo", root)).out
    assert "The chosen image is no longer the current one: 1.2." in said
    assert f"imagegen choose {root} --list" in said
    assert "redrawn since" in went_well(commands.run("choose", root, "--list")).out
