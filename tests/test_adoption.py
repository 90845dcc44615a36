"""Pictures and choices of older tools: found, said, taken over, and given back."""

import contextlib
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from builders import picture
from commands import Commands
from crashing import Crash, failing
from imagegen.editing import adopt as adoption
from imagegen.editing import undo as undoing
from imagegen.errors import RunActiveError, UsageError
from imagegen.files import is_temporary
from imagegen.project import record
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest
from imagegen.review import choices, older_images
from imagegen.review.status import project_status
from imagegen.workspace import recovery
from imagegen.workspace.reading import read_project
from pipeline import OlderProject

WALL = 1_795_341_600.0


@pytest.fixture
def older(tmp_path: Path) -> OlderProject:
    """Return a project of the present layout without a picture."""
    return OlderProject(tmp_path / "my-video")


def put(older: OlderProject, path: str, data: bytes | None = None, *, time: float = WALL) -> bytes:
    """Put a picture somewhere, one that is like no other if none is given."""
    data = data or older.new_picture()
    place = older.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    os.utime(place, (time, time))
    return data


def tree(root: Path) -> dict[str, bytes]:
    """Return all that is in a project but for our own folder and what undo keeps."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and not {".imagegen", "old_images"} & set(path.relative_to(root).parts)
        and not path.name.startswith("image_progress_")
        and not is_temporary(path.name)
    }


def pixels(data: bytes) -> tuple[tuple[int, int], bytes]:
    """Return what a picture shows."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size, image.convert("RGB").tobytes()


def test_pictures_and_choices_are_taken_over(older: OlderProject) -> None:
    """By number, whatever shot they are in; copied, current, chosen as they were, and undone."""
    one = put(older, "images/clear/Beat 1.png")
    two = put(older, "images/Consistent/Beat_2.png")
    put(older, "finalImage/Beat 1.png", one)
    put(older, "finalImage/Beat 2-flag.png", two, time=WALL - 60)
    before = tree(older.root)
    notice = older_images.notice(older.project) or ""
    assert notice.startswith("finalImage/ and images/ (4 images) are of an older layout")
    assert f"imagegen adopt {older.root}" in notice
    assert project_status(older.project, WALL).older_layout == notice
    found = adoption.adopt(older.project, WALL)
    assert {path: old.path for path, old in found.pictures.items()} == {
        "generated_images/clear/Shot_1/Beat_1.png": "images/clear/Beat 1.png",
        "generated_images/consistent/Shot_2/Beat_2.png": "images/Consistent/Beat_2.png",
    }
    after = tree(older.root)
    assert after.items() >= before.items()
    assert pixels(after["generated_images/clear/Shot_1/Beat_1.png"]) == pixels(one)
    assert older.copies == ["Beat_1.png", "Beat_2_flagged.png"]
    assert {k: (e["style"], e["isFlagged"]) for k, e in older.said.items()} == {
        "Beat 1": ("clear", False),
        "Beat 2": ("consistent", True),
    }
    assert older.said["Beat 2"]["selectedAt"] == "2026-11-22T09:59:00Z"
    assert older.completed("consistent") == ["Beat 2"]
    now = project_status(older.project, WALL)
    assert (now.older_layout, now.chosen, now.redrawn_since_chosen) == (None, 2, ())
    assert [style.outdated for style in now.styles.values()] == [0, 0, 0]
    assert [style.complete for style in now.styles.values()] == [0, 1, 1]
    assert not adoption.adopt(older.project, WALL)
    undoing.undo(ProjectPaths(older.root), WALL)
    assert tree(older.root) == before
    assert older_images.notice(older.project) == notice


def test_an_adopted_picture_is_never_outdated(older: OlderProject) -> None:
    """Nobody knows what it was drawn from; and it moves with its beat's words."""
    put(older, "images/clear/Beat 1.png")
    adoption.adopt(older.project, WALL)
    project = read_project(older.root, DrawRequest(provider="sketch", model="sketch-1"))
    found = project.survey(WALL)
    assert not any(one.changed for own in found.beats.values() for one in own)
    assert project.plan(found.beats).to_draw == 8
    path = older.root / "prompts/prompts-clear.json"
    rows = json.loads(path.read_text("utf-8"))
    rows[0]["beat_number"], rows[1]["beat_number"] = "Beat 2", "Beat 1"
    path.write_text(json.dumps(rows), "utf-8")
    assert older.project.survey(WALL).moves == {"clear": {("1", "1"): ("1", "2")}}


def test_no_picture_is_overwritten(older: OlderProject) -> None:
    """What is in the project stays, and what is chosen there."""
    drawn = older.draw("clear", 1, "Beat 1")
    older.draw("clear", 1, "Beat 2")
    older.choose("Beat 1", "clear")
    put(older, "images/clear/Beat 1.png")
    put(older, "finalImage/Beat 1-flag.png", older.place("clear", 1, "Beat 2").read_bytes())
    before = tree(older.root)
    assert older_images.notice(older.project) is None
    assert not adoption.adopt(older.project, WALL)
    assert (tree(older.root), older.place("clear", 1, "Beat 1").read_bytes()) == (before, drawn)


def test_a_folder_without_a_style_is_the_first_styles_or_as_it_is_said(
    older: OlderProject,
) -> None:
    """It is said; once taken over into any style it is not taken over into another."""
    put(older, "generated_images/Shot_1/Beat_1.png")
    put(older, "generated_images/Shot_9/Beat_3.png")
    assert (older_images.notice(older.project) or "").startswith(
        "generated_images/Shot_1/ (2 images)"
    )
    dry = adoption.adopt(older.project, WALL, dry_run=True)
    assert (dry.guessed, len(dry.pictures)) == ("illustration", 2)
    found = adoption.adopt(older.project, WALL, style="clear")
    assert (found.guessed, sorted(found.pictures)) == (
        None,
        ["generated_images/clear/Shot_1/Beat_1.png", "generated_images/clear/Shot_2/Beat_3.png"],
    )
    assert older_images.notice(older.project) is None
    assert not adoption.adopt(older.project, WALL)
    with pytest.raises(UsageError, match='no style "clera"'):
        adoption.adopt(older.project, WALL, style="clera")


def test_numbers_that_repeat_go_by_their_shot(tmp_path: Path) -> None:
    """Without one it is not known which of them is meant."""
    older = OlderProject(tmp_path / "twice", {"clear": [(1, "Beat 1"), (2, "Beat 1")]})
    put(older, "images/clear/Shot_2/Beat 1.png")
    put(older, "images/clear/Beat 1.png")
    found = adoption.adopt(older.project, WALL)
    assert list(found.pictures) == ["generated_images/clear/Shot_2/Beat_1.png"]
    assert found.without_beat == ("images/clear/Beat 1.png",)


def test_what_cannot_be_taken_over_is_said(older: OlderProject) -> None:
    """Torn files, numbers of no beat, chosen pictures that are like none of several."""
    put(older, "images/clear/Beat 1.png", b"\x89PNG\r\n\x1a\ntorn")
    put(older, "images/clear/Beat 99.png")
    put(older, "images/oil/Beat 1.png")
    put(older, "images/notes.txt", b"notes")
    put(older, "images/clear/Beat 2.jpg", picture(kind="JPEG"))
    older.draw("illustration", 3, "Beat 3")
    older.draw("clear", 2, "Beat 3")
    put(older, "finalImage/Beat 3.png")
    (older.root / "images/clear/Beat 3.png").symlink_to("/etc/hostname")
    found = adoption.adopt(older.project, WALL)
    assert list(found.pictures) == ["generated_images/clear/Shot_1/Beat_2.png"]
    assert found.unusable == ("images/clear/Beat 1.png",)
    assert found.without_beat == ("images/clear/Beat 99.png", "images/oil/Beat 1.png")
    assert found.without_style == ("finalImage/Beat 3.png",)
    assert older.place("clear", 1, "Beat 2").read_bytes().startswith(b"\x89PNG")


def test_of_several_files_of_a_beat_its_own_is_taken(older: OlderProject) -> None:
    """The one named as the beat, the newest of these; the others are named, but for twins."""
    put(older, "images/clear/Beat 1 (1).png")
    put(older, "images/clear/Beat 1.jpg", time=WALL - 60)
    one = put(older, "images/clear/Beat 1.png")
    put(older, "images/clear/Beat 1 copy.png", one)
    put(older, "finalImage/Beat 1.png", one, time=WALL - 60)
    put(older, "finalImage/Beat 1-flag.png", one)
    found = adoption.adopt(older.project, WALL)
    taken = tree(older.root)["generated_images/clear/Shot_1/Beat_1.png"]
    assert pixels(taken) == pixels(one)
    assert older.said["Beat 1"]["isFlagged"]
    assert sorted(found.further) == [
        "finalImage/Beat 1.png",
        "images/clear/Beat 1 (1).png",
        "images/clear/Beat 1.jpg",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "generated_images/clear/Shot_1/Beat 1.png",
        "generated_images/clear/Shot 1/Beat_1.png",
        "generated_images/clear/Shot_1/Beat_1.jpg",
        "generated_images/clear/Shot_1/beat_1.png",
        "generated_images/clear/shot_1/Beat_1.png",
        "generated_images/clear/Beat_1.png",
        "generated_images/Clear/Shot_1/Beat_1.png",
    ],
)
def test_names_that_are_not_quite_ours_are_taken_over(older: OlderProject, path: str) -> None:
    """A picture beside its place is said and taken, and not drawn and paid once more."""
    own = "generated_images/clear/Shot_1/Beat_1.png"
    one = put(older, path)
    if os.path.lexists(older.root / own):
        pytest.skip("the disk takes both names for one")
    folder = "/".join(path.split("/")[:2])
    assert (older_images.notice(older.project) or "").startswith(f"{folder}")
    adoption.adopt(older.project, WALL)
    assert pixels(tree(older.root)[own]) == pixels(one)
    assert older_images.notice(older.project) is None


def test_the_notice_names_every_folder(older: OlderProject) -> None:
    """Of shots without a style the first, for there may be many; of styles each."""
    for path in ("Shot_1/Beat_1", "Shot_2/Beat_2", "clear/Beat_1", "consistent/shot 1/Beat_1"):
        put(older, f"generated_images/{path}.png")
    put(older, "generated_images/Beat 3.png")
    notice = older_images.notice(older.project) or ""
    assert notice.startswith(
        "generated_images/, generated_images/Shot_1/, generated_images/clear/ and "
        "generated_images/consistent/ (5 images) are of an older layout"
    )


def test_a_retouched_choice_stays_as_it_is(older: OlderProject) -> None:
    """Its copy is the retouched picture; it counts as that of the style that is said."""
    older.draw("illustration", 3, "Beat 3")
    older.draw("clear", 2, "Beat 3")
    retouched = put(older, "finalImage/Beat 3.png")
    adoption.adopt(older.project, WALL, style="clear")
    assert older.copy("Beat 3").read_bytes() == retouched
    (one,) = choices.describe(older.project)
    assert (one.style, one.since) == ("clear", choices.ChangeSinceChosen.SAME)


def test_chosen_pictures_alone_are_pictures_too(older: OlderProject) -> None:
    """If nothing else is left of them; flagged and unflagged, the one that was written last."""
    put(older, "finalImage/Beat 1.png", time=WALL - 9)
    last = put(older, "finalImage/Beat 1-flag.png")
    found = adoption.adopt(older.project, WALL, style="consistent")
    assert list(found.pictures) == ["generated_images/consistent/Shot_1/Beat_1.png"]
    assert older.copies == ["Beat_1_flagged.png"]
    assert pixels(older.copy("Beat 1", flagged=True).read_bytes()) == pixels(last)


def test_undo_keeps_what_was_chosen_since(older: OlderProject) -> None:
    """Its entry and its copy."""
    data = put(older, "images/clear/Beat 1.png")
    put(older, "finalImage/Beat 1.png", data)
    older.draw("illustration", 1, "Beat 1")
    adoption.adopt(older.project, WALL)
    older.choose("Beat 1", "illustration")
    undoing.undo(ProjectPaths(older.root), WALL)
    assert older.said["Beat 1"]["style"] == "illustration"
    picture = older.place("illustration", 1, "Beat 1").read_bytes()
    assert older.copy("Beat 1").read_bytes() == picture


def test_nothing_is_adopted_while_a_run_is_active(older: OlderProject) -> None:
    """It may be drawing just these."""
    put(older, "images/clear/Beat 1.png")
    with record.project_lock(ProjectPaths(older.root)), pytest.raises(RunActiveError):
        adoption.adopt(older.project, WALL)


@pytest.mark.slow
def test_a_crash_leaves_all_or_nothing(tmp_path: Path) -> None:
    """The next command finishes the step, or nothing was taken over."""

    def begun(name: str) -> OlderProject:
        older = OlderProject(tmp_path / name)
        data = put(older, "images/clear/Beat 1.png")
        put(older, "finalImage/Beat 1.png", data)
        return older

    whole = begun("whole")
    before = tree(whole.root)
    with failing() as calls:
        adoption.adopt(whole.project, WALL)
    after = tree(whole.root)
    outcomes = set()
    for at in range(1, len(calls) + 1, 3):
        older = begun(str(at))
        with contextlib.suppress(Crash), failing(at):
            adoption.adopt(older.project, WALL)
        recovery.finish_interrupted(ProjectPaths(older.root), WALL)
        assert tree(older.root) in (before, after)
        outcomes.add(tree(older.root) == after)
    assert outcomes == {True, False}


@pytest.mark.slow
def test_the_first_tools_folder_is_taken_over(commands: Commands) -> None:
    """Beats and pictures; until then every command names the one that does it."""
    root = commands.folder / "single-script"
    rows = [
        {"shot_number": 1, "beat_number": n, "transition_type": "H", "ai_prompt": f"a {n}"}
        for n in ("1.1", "1.2")
    ]
    root.mkdir()
    (root / "prompts.js").write_text(
        f"const prompts = {json.dumps(rows)};\nexport default prompts;"
    )
    (root / "progress.json").write_text('{"lastProcessedIndex": 0}')
    place = root / "generated_images/Shot_1/Beat_1.1.png"
    place.parent.mkdir(parents=True)
    place.write_bytes(picture())
    done = commands.run("status", root)
    assert (done.code, "imagegen adopt" in done.err) == (2, True)
    done = commands.run("adopt", root)
    assert (done.code, "adopted: 1 image, prompts.js" in done.out) == (0, True)
    assert "adopted as illustration; choose another with --style" in done.out
    assert "1/6 images" in commands.run("status", root).out
    assert commands.run("undo", root).code == 0
    assert not (root / "imagegen.toml").exists()
    assert list(root.rglob("generated_images/*/*/*.png")) == []
