"""Several files that hold prompts, beats without one, and pictures under other names."""

import json
import os
from pathlib import Path

import platformdirs
import pytest
from PIL import Image

from imagegen.display.reports import status as shown
from imagegen.errors import Exit, InvalidInputError
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard.transitions import Kind, is_known, kind_of
from imagegen.review.status import project_status
from imagegen.setup import init
from imagegen.workspace.notes import project_notes
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project
from reports import Printed

SKETCH = 'provider = "sketch"\nimage_size = "512"\ndraw = ["clear"]\n'
WALL = 4_000_000_000.0


@pytest.fixture(autouse=True)
def no_user_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person who runs the tests is read."""
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project's folder with settings alone."""
    folder = tmp_path / "film"
    folder.mkdir()
    (folder / "imagegen.toml").write_text(SKETCH, encoding="utf-8")
    return folder


def rows(*prompts: str, transition: str = "H") -> list[dict[str, object]]:
    """Return rows with these prompts, each in a shot of its own."""
    return [
        {
            "shot_number": n,
            "beat_number": f"Beat {n}",
            "transition_type": transition,
            "ai_prompt": prompt,
        }
        for n, prompt in enumerate(prompts, 1)
    ]


def write(path: Path, document: object, *, days_old: int = 0) -> None:
    """Write a document, as a JavaScript module if its name says so."""
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(document)
    path.write_text(f"export default {text};" if path.suffix == ".js" else text, encoding="utf-8")
    os.utime(path, (WALL - days_old * 86400,) * 2)


def notes(root: Path) -> str:
    """Return what is to be said of a project's beats, one note a line."""
    return "\n".join(project_notes(read_project(root, DrawRequest())))


class TestSeveralSources:
    """Prompts that are in more than one place."""

    def test_an_edited_module_beside_its_json_is_said(self, root: Path) -> None:
        """The older service reads the module alone, so that is what people edit."""
        write(root / "prompts" / "prompts-clear.json", rows("a", "b", "c"), days_old=2)
        write(root / "prompts" / "prompts-clear.js", rows("a", "B!", "C!"))
        assert notes(root) == (
            "prompts/prompts-clear.json is used, not prompts/prompts-clear.js, which is newer: "
            "2 prompts differ (2, 3)"
        )

    def test_storyboards_that_differ_are_said_with_the_way_to_use_them(self, root: Path) -> None:
        """Whether they are newer, and what they have more."""
        write(root / "prompts" / "prompts-clear.json", rows("a"))
        write(root / "storyboards" / "clear.json", rows("A", "b"), days_old=3)
        note = notes(root)
        assert note.startswith("prompts/ is used, not storyboards/: 1 prompt differs (1)")
        assert "it has 1 beat that prompts/ has not" in note
        assert note.endswith('write beats = "storyboards" in imagegen.toml, or delete prompts/')

    def test_the_same_prompts_are_no_news(self, root: Path) -> None:
        """White space makes no difference."""
        write(root / "prompts" / "prompts-clear.json", rows("a  b"))
        write(root / "prompts" / "prompts-clear.js", rows("a b\n"))
        write(root / "storyboards" / "clear.json", rows("a b"))
        assert notes(root) == ""

    def test_a_file_with_faults_is_said_and_stops_nothing(self, root: Path) -> None:
        """It is not the one that is used."""
        write(root / "beats.json", rows("a"))
        (root / "beats.csv").write_text("shot_number,beat_number,ai_prompt\n1,,x\n")
        assert "beats.csv is not used, and has errors" in notes(root)


def test_a_module_that_was_formatted_is_read_if_there_is_no_other(root: Path) -> None:
    """The older page saves it under this name."""
    write(root / "prompts" / "prompts-clear-formatted.js", rows("a"))
    project = read_project(root, DrawRequest())
    assert [beat.words for beat in project.beats["clear"]] == ["a"]
    write(root / "prompts" / "prompts-clear.js", rows("b"))
    assert [beat.words for beat in read_project(root, DrawRequest()).beats["clear"]] == ["b"]
    assert "prompts/prompts-clear.js is used, not prompts/prompts-clear-formatted.js" in notes(root)


def test_a_number_is_found_where_the_older_service_put_it(root: Path) -> None:
    """It drew Beat_1.1 of a storyboard to Beat_1.1.png: nothing is drawn again."""
    write(root / "prompts" / "prompts-clear.json", [rows("a")[0] | {"beat_number": "Beat_1.1"}])
    project = read_project(root, DrawRequest())
    place = root / "generated_images" / "clear" / "Shot_1" / "Beat_1.1.png"
    place.parent.mkdir(parents=True)
    Image.new("RGB", (16, 9)).save(place)
    assert project_status(project, WALL).check is Exit.OK


def test_every_beat_that_begins_gets_the_style_reference(root: Path) -> None:
    """Whatever its transition is called."""
    called = ("Cut", "Fade", "Dissolve", "Wipe", "Smash Cut", "Cut to")
    write(
        root / "beats.json",
        [rows("a")[0] | {"shot_number": n, "transition_type": t} for n, t in enumerate(called)],
    )
    Image.new("RGB", (16, 9)).save(root / "style_reference.png")
    project = read_project(root, DrawRequest())
    sent = [project.composer.request(beat).references for beat in project.beats["clear"]]
    assert [len(references) for references in sent] == [1] * 6


class TestBeatsWithoutPrompt:
    """Beats that the list of the step before has, and that no prompt was written for."""

    @pytest.fixture
    def project(self, root: Path) -> Project:
        """Return a project whose second beat has no prompt."""
        listed = [{"beat_number": f"Beat {n}", "script_phrase": "Words."} for n in (1, 2)]
        write(root / "beats.json", listed)
        write(root / "prompts" / "prompts-clear.json", rows("a"))
        return read_project(root, DrawRequest())

    def test_are_counted_and_named(self, project: Project) -> None:
        """By the numbers that the list has."""
        assert project.without_prompt == {"clear": ("Beat 2",)}
        assert "clear: 1 beat of beats.json without a prompt (Beat 2)" in project_notes(project)

    def test_not_every_picture_is_there(self, project: Project) -> None:
        """That is said of all beats alone, also by the exit code."""
        place = project.layout.picture("clear", "1", "1")
        place.parent.mkdir(parents=True)
        Image.new("RGB", (16, 9)).save(place)
        found = project_status(project, WALL)
        assert found.check is Exit.BEATS_IN_ERROR
        printed = Printed()
        shown.show(printed.printer, found, "film", WALL)
        assert "All images are done." not in printed.lines
        assert "All beats with a prompt have an image; 1 has no prompt." in printed.lines
        assert "clear: of the beats in beats.json 1 has no prompt (Beat 2)" in printed.lines


class TestTransitions:
    """What a row's transition means."""

    @pytest.mark.parametrize(
        "text",
        [
            *("H", "h", "Cut", "CUT TO:", "hard_cut", "Hard-Cut", "HardCut", "Fade", "Fade in"),
            *("FADE TO BLACK.", "Dissolve", "cross dissolve", "Wipe", "Match cut", "Smash cut!"),
            *("Smash-cut", "J-cut", "Iris out", "Whip pan", "Match Cut (continuous action)"),
        ],
    )
    def test_begins_a_new_picture(self, text: str) -> None:
        """In any spelling and case."""
        assert kind_of(text) is Kind.BEGINS
        assert is_known(text)

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "C",
                "c",
                " c ",
                "Continue",
                "continues",
                "CONTINUOUS",
                "Continued",
                "cont'd",
                "Cont.",
            ),
            *("Same", "Same continue", "same_continue", "Continuous shot", "Continuing"),
            *("No cut", "without cuts", "Continue (no cut)", "C / same"),
        ],
    )
    def test_continues(self, text: str) -> None:
        """What says so in its first word."""
        assert kind_of(text) is Kind.CONTINUES

    @pytest.mark.parametrize("text", ["H/C", "Cut/Continue", "C → H", "cut or continue"])
    def test_a_choice_that_nobody_made_is_not_known(self, text: str) -> None:
        """Both at once is neither; it begins, and is said."""
        assert kind_of(text) is Kind.BEGINS
        assert not is_known(text)

    @pytest.mark.parametrize("text", ["Fade in/out", "Cut / fade", "W/ fade"])
    def test_a_choice_of_what_begins_is_known(self, text: str) -> None:
        """Either of them begins a new picture."""
        assert kind_of(text) is Kind.BEGINS
        assert is_known(text)

    @pytest.mark.parametrize("text", ["", " ", "None", "null", "N/A", "-", "—", "No transition"])
    def test_says_nothing(self, text: str) -> None:
        """An empty one, and blanks in disguise."""
        assert kind_of(text) is Kind.NONE

    def test_a_value_that_is_not_known_begins_and_is_said(self, root: Path) -> None:
        """With the choices, whether continuity is on or off."""
        write(root / "beats.json", rows("a boat", "a cat", transition="Kerplunk"))
        assert kind_of("Kerplunk") is Kind.BEGINS
        for settings in (SKETCH, SKETCH + "continuity = true\n"):
            (root / "imagegen.toml").write_text(settings, encoding="utf-8")
            assert 'unknown transitions begin a new image: "Kerplunk" (2) (H, Cut' in notes(root)


class TestStyleReference:
    """The picture that hard cuts are drawn with, under whatever name it has."""

    @pytest.mark.parametrize(
        "name",
        [
            "style_reference.png",
            "style_reference.jpg",
            "style_reference.webp",
            "Style_Reference.PNG",
            "STYLE-REFERENCE.jpeg",
        ],
    )
    def test_is_used(self, root: Path, name: str) -> None:
        """By its name in any case and of each type that is sent."""
        write(root / "beats.json", rows("a boat"))
        kind = {"jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}.get(
            name.lower().split(".")[1], "PNG"
        )
        Image.new("RGB", (16, 9)).save(root / name, kind)
        project = read_project(root, DrawRequest())
        request = project.composer.request(project.beats["clear"][0])
        assert [reference.role.name for reference in request.references] == ["STYLE"]
        assert project_notes(project) == ()

    def test_one_that_is_not_used_is_said(self, root: Path) -> None:
        """Of two, and of a type that no service takes."""
        write(root / "beats.json", rows("a boat"))
        (root / "style_reference.gif").write_bytes(b"GIF89a")
        assert "style_reference.gif is not used" in notes(root)
        for name in ("style_reference.png", "style_reference.jpg"):
            Image.new("RGB", (16, 9)).save(root / name)
        assert "style_reference.jpg is not used: style_reference.png is" in notes(root)

    def test_one_that_no_beat_gets_is_said(self, root: Path) -> None:
        """With what a transition would have to be."""
        write(root / "beats.json", rows("a boat", transition=""))
        Image.new("RGB", (16, 9)).save(root / "style_reference.png")
        assert "the style reference goes with no beat of clear" in notes(root)


@pytest.mark.parametrize("name", ["Storyboard - Sheet1.csv", "my storyboard.json"])
def test_init_writes_no_sample_beside_beats_of_another_name(tmp_path: Path, name: str) -> None:
    """In front of them it would be what is drawn, and paid for."""
    folder = tmp_path / "film"
    folder.mkdir()
    (folder / name).write_text("x", encoding="utf-8")
    told = "\n".join(init.create(folder))
    assert not (folder / "beats.json").exists()
    assert f"with {name} for its beats" in told
    assert "--beats" in told


class TestCloudDrives:
    """Files of which a cloud drive keeps a placeholder alone."""

    @pytest.mark.parametrize("name", [".Beat_1.png.icloud", "Beat_1.png.nextcloud"])
    def test_a_picture_is_not_drawn_again(self, root: Path, name: str) -> None:
        """It counts as there, and a note says that it is not on this machine."""
        write(root / "beats.json", rows("a", "b"))
        project = read_project(root, DrawRequest())
        place = project.layout.picture("clear", "1", "1")
        place.parent.mkdir(parents=True)
        place.with_name(name).write_bytes(b"bplist00")
        found = project.survey(WALL)
        assert [planned.draw for planned in project.plan(found.beats).styles["clear"]] == [
            False,
            True,
        ]
        assert project_status(project, WALL).elsewhere == ("clear/1/1",)
        printed = Printed()
        shown.show(printed.printer, project_status(project, WALL), "film", WALL)
        assert "1 image is not on this machine but on a cloud drive (clear/1/1)" in printed.text

    @pytest.mark.skipif(os.name == "nt", reason="holes in files need an attribute there")
    def test_a_hole_is_a_placeholder(self, root: Path) -> None:
        """A size without any room on the disk: nothing is put aside or drawn."""
        write(root / "beats.json", rows("a"))
        project = read_project(root, DrawRequest())
        place = project.layout.picture("clear", "1", "1")
        place.parent.mkdir(parents=True)
        with place.open("wb") as file:
            file.truncate(50_000)
        if place.stat().st_blocks:
            pytest.skip("this disk has no holes")
        assert project.survey(WALL).elsewhere == ("clear/1/1",)

    def test_beats_are_not_taken_for_missing(self, root: Path) -> None:
        """The file is named, and what to do."""
        (root / ".beats.json.icloud").write_bytes(b"bplist00")
        with pytest.raises(InvalidInputError) as caught:
            read_project(root, DrawRequest())
        (fault,) = caught.value.faults
        assert "is not on this machine" in fault.message
        assert "download it" in (fault.hint or "")

    def test_a_style_reference_is_not_left_out_in_silence(self, root: Path) -> None:
        """Nothing is drawn without it and without a word."""
        write(root / "beats.json", rows("a"))
        (root / ".style_reference.png.icloud").write_bytes(b"bplist00")
        assert "style_reference.png is not on this machine" in notes(root)
