"""One beat across styles: the number counts, whatever shot it is in."""

import json
from pathlib import Path
from typing import Any

import pytest

from commands import Commands
from imagegen.editing import undo as undoing
from imagegen.errors import UsageError
from imagegen.project import record
from imagegen.project.beat_ids import BeatId, BeatIndex
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest
from imagegen.project.selections import copies as selected
from imagegen.project.selections import file as selections
from imagegen.project.selections import moves as moved_selections
from imagegen.review import choices, contact_sheet, picks
from imagegen.review import choose as choosing
from imagegen.review.choose import Pick
from imagegen.review.status import project_status
from imagegen.times import seconds
from imagegen.web.board import BoardCache
from imagegen.workspace.reading import read_project
from pipeline import DIFFERENT, STYLES, OlderProject

WALL = 1_795_341_600.0
TWICE = {
    "illustration": [(1, "Beat 1"), (2, "Beat 1"), (3, "Beat 2")],
    "clear": [(1, "Beat 1"), (3, "Beat 2")],
    "consistent": [(1, "Beat 1"), (2, "Beat 1"), (2, "Beat 2")],
}
ONE, TWO, THREE = map(BeatId, "123")


@pytest.fixture
def older(tmp_path: Path) -> OlderProject:
    """Return a drawn project whose beats are in other shots in each style."""
    made = OlderProject(tmp_path / "my-video")
    made.draw_all()
    return made


def choose(older: OlderProject, beat: BeatId, style: str, *, flagged: bool = False) -> None:
    """Choose one picture as `choose` does."""
    choosing.choose(older.project, {beat: Pick(style, flagged)}, WALL)


def chosen(older: OlderProject) -> dict[str, str]:
    """Return the style that counts for each beat."""
    found = choices.chosen(older.project)
    return {beat: one.style + ("!" if one.flagged else "") for beat, one in found.items()}


# The index


def index(**styles: list[tuple[str, str]]) -> BeatIndex:
    """Return the index of these shots and numbers."""
    return BeatIndex(styles)


def test_a_number_that_is_once_in_each_style_is_one_beat() -> None:
    """In whatever shot, and spelled in whatever case a disk takes for the same."""
    found = index(clear=[("1", "A"), ("2", "e\u0301")], oil=[("3", "a"), ("1", "\u00e9")])
    assert found.ids(["clear", "oil"]) == ("A", "e\u0301")
    assert found.keys(BeatId("A")) == {"clear": ("1", "A"), "oil": ("3", "a")}
    assert found.find("a") == ["A"]
    assert (found.find("a", "3"), found.find("a", "2")) == (["A"], [])


def test_a_number_that_is_twice_in_a_style_is_told_apart_in_all() -> None:
    """By its shot; the other numbers are not."""
    found = index(
        clear=[("1", "1"), ("2", "1"), ("2", "2")], oil=[("2", "1"), ("9", "2")], ink=[("3", "1")]
    )
    assert found.ids(["clear", "oil", "ink"]) == ("1/1", "2/1", "2", "3/1")
    assert found.keys(BeatId("2/1")) == {"clear": ("2", "1"), "oil": ("2", "1")}
    assert found.find("1") == ["1/1", "2/1", "3/1"]
    assert found.find("1", "3") == ["3/1"]
    assert found.key(BeatId("2"), "ink") is None
    assert found.id_of(("9", "1")) == "9/1"


def test_a_style_that_is_not_drawn_tells_beats_apart_too(tmp_path: Path) -> None:
    """A beat keeps its name if another style is left out."""
    older = OlderProject(tmp_path / "my-video", TWICE)
    (older.root / "imagegen.toml").write_text('draw = ["clear"]')
    assert older.project.beat_ids == ("1/1", "2")


# Everywhere the same beats


def test_a_beat_in_other_shots_is_one_beat_everywhere(older: OlderProject) -> None:
    """Choices, status, the sheet, the page and addresses have three beats, and not five."""
    project = older.project
    made, lacking = choosing.choose_remaining(project, "clear", WALL)
    assert (list(made), lacking) == (["1", "2", "3"], [])
    assert older.copies == ["Beat_1.png", "Beat_2.png", "Beat_3.png"]
    assert list(older.said) == ["Beat 1", "Beat 2", "Beat 3"]
    found = project_status(older.project, WALL)
    assert (found.beats, found.chosen, found.choices_left_over) == (3, 3, ())
    sheet = contact_sheet.gather(older.project, WALL)
    assert [row.name for row in sheet.rows] == ["1", "2", "3"]
    assert all(cell and cell.picture for row in sheet.rows for cell in row.cells)
    board = BoardCache(older.root, DrawRequest()).read()
    assert [(row.name, sorted(row.cells)) for row in board.rows] == [
        (name, sorted(STYLES)) for name in "123"
    ]
    assert {style: cell.shot for style, cell in board.rows[1].cells.items()} == {
        "illustration": None,
        "clear": "1",
        "consistent": None,
    }
    asked = read_project(older.root, DrawRequest(beats=("2",))).selected_beats()
    assert [beat.style for beat in asked] == list(STYLES)
    assert [beat.style for beat in project.addresses.find("1/2")] == ["clear"]
    assert picks.parse_picks(project, ["2/2", "clear"], flagged=False) == {"2": Pick("clear")}


def test_a_character_is_in_a_beat_once(older: OlderProject) -> None:
    """However many styles draw the beat in other shots."""
    older.root.joinpath("imagegen.toml").write_text(
        '[characters.beat]\nnames = ["Beat"]\npicture = "x.png"\n'
    )
    (older.root / "x.png").write_bytes(older.new_picture())
    project = older.project
    (one,) = project.characters_in(beat for own in project.beats.values() for beat in own)
    assert one.beats == ("1", "2", "3")


def test_the_picture_of_the_style_is_copied(older: OlderProject) -> None:
    """It is in the shot that the style has the beat in, and so is what became of it since."""
    for style, shot in (("clear", 1), ("consistent", 2), ("illustration", 2)):
        choose(older, TWO, style)
        place = older.place(style, shot, "Beat 2")
        assert older.copy("Beat 2").read_bytes() == place.read_bytes()
        assert older.said["Beat 2"]["shotNumber"] == str(shot)
        older.draw(style, shot, "Beat 2")
        assert project_status(older.project, WALL).redrawn_since_chosen == ("2",)


def test_styles_may_lack_a_beat(tmp_path: Path) -> None:
    """It is one beat of those that have it."""
    shots = {"illustration": DIFFERENT["illustration"], "clear": [(7, "Beat 3"), (8, "Beat 4")]}
    older = OlderProject(tmp_path / "my-video", shots)
    older.draw_all()
    assert older.project.beat_ids == ("1", "2", "3", "4")
    choose(older, THREE, "clear")
    with pytest.raises(UsageError, match="no beat clear/1"):
        choose(older, ONE, "clear")
    assert older.copies == ["Beat_3.png"]


def test_a_number_twice_in_one_style_alone(tmp_path: Path) -> None:
    """It is told apart in the other styles too, and a style that has it once says which."""
    older = OlderProject(tmp_path / "my-video", TWICE)
    older.draw_all()
    assert older.project.beat_ids == ("1/1", "2/1", "2")
    older.say({"Beat 1": {"style": "clear"}, "Beat 2": {"style": "clear"}})
    assert chosen(older) == {"1/1": "clear", "2": "clear"}
    choose(older, BeatId("2/1"), "consistent")
    assert older.copies == ["Beat_2.png", "Shot_1_Beat_1.png", "Shot_2_Beat_1.png"]
    with pytest.raises(UsageError, match='"1" occurs in 2 shots'):
        older.project.addresses.find("1")


# Keys and times


def test_of_two_keys_the_later_choice_counts(older: OlderProject) -> None:
    """Whoever wrote it; a command about another beat removes no copy that counts."""
    older.say(
        {
            "2": {
                "style": "consistent",
                "isFlagged": True,
                "selectedAt": "2026-11-22T10:00:00Z",
                "shotNumber": "2",
            }
        }
    )
    older.choose("Beat 2", "clear", "2026-11-22T11:00:00.000Z")
    older.copy("Beat 2", flagged=True).write_bytes(
        older.place("consistent", 2, "Beat 2").read_bytes()
    )
    before = older.said
    assert chosen(older) == {"2": "clear"}
    choose(older, THREE, "clear")
    assert older.copies == ["Beat_2.png", "Beat_3.png"]
    assert older.said.items() >= before.items()
    choose(older, TWO, "illustration")
    assert {older.said[key]["style"] for key in ("2", "Beat 2")} == {"illustration"}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.500Z"),
        ("2026-11-22T10:30:00+01:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00", "2026-11-22T10:00:01Z"),
        (1_795_341_600_000, 1_795_341_601_000),
        ("2026-11-22T09:00:00Z", 1_795_341_600),
        ("1795341600000", "2026-12-22T09:00:00Z"),
        (None, "1970-01-01T00:00:00Z"),
        ("yesterday", "2020-01-01"),
        (True, "2020-01-01"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_times_are_read_as_programs_write_them(
    older: OlderProject, earlier: object, later: object, *, turned: bool
) -> None:
    """With an offset or none, to the millisecond, as a number; what is no time is the oldest."""
    entries = {
        "Beat 2": {"style": "illustration", "selectedAt": earlier},
        "Beat_2": {"style": "consistent", "selectedAt": later},
    }
    older.say(dict(reversed(entries.items())) if turned else entries)
    assert chosen(older) == {"2": "consistent"}


@pytest.mark.parametrize(
    "written",
    [
        "Fri Nov 20 2026 11:30:00 GMT+0100 (Central European Standard Time)",
        "Fri, 20 Nov 2026 10:30:00 GMT",
        "20 Nov 2026 10:30:00 +0000",
        "2026-11-20 10:30:00 UTC",
    ],
)
def test_dates_in_words_are_read(written: str) -> None:
    """As JavaScript's toString and toUTCString, and mail, write them, offset and all."""
    assert seconds(written) == seconds("2026-11-20T10:30:00Z")


@pytest.mark.parametrize(
    "written", ["11/20/2026", "Fri Foo 20 2026 11:30:00", "32 Nov 2026 10:30:00"]
)
def test_what_may_be_two_dates_is_none(written: str) -> None:
    """Nobody knows which of the numbers is the month."""
    assert seconds(written) is None


def test_what_is_not_understood_of_an_entry_is_said(older: OlderProject) -> None:
    """A date that is none, and a style that is none: with what is written there."""
    older.say(
        {
            "Beat 2": {"style": "illustration", "selectedAt": "20.11.2026 10:00"},
            "Beat_2": {"style": "consistent", "selectedAt": "2026-11-20T10:00:00Z"},
            "Beat 1": {"style": "Clear"},
        }
    )
    reasons = {one.name: one.reason for one in choices.left_over(older.project).unclear}
    assert reasons["Beat 2"].endswith("since its selectedAt cannot be read")
    assert reasons["Beat 1"] == 'is not a choice: no style is called "Clear"'


def test_a_number_of_digits_is_no_date() -> None:
    """Milliseconds as text are not read as a year, a month and a day."""
    assert seconds("1711010112345") == pytest.approx(1711010112.345)
    assert seconds("20261122") == seconds("2026-11-22T00:00:00Z")
    assert seconds(float("nan")) is None
    assert seconds(1e300) is None


def test_all_keys_of_a_beat_say_what_is_chosen(older: OlderProject) -> None:
    """However other tools spell it: each keeps its fields, and no reader finds an older choice."""
    keys = ("1", "Beat 1", "Beat_1", "beat-1", "Beat 1: the start/the end", "1/1")
    older.say(
        {
            key: {"style": "clear", "note": key, "selectedAt": f"2026-11-2{n}"}
            for n, key in enumerate(keys)
        }
        | {"other": 7}
    )
    choose(older, ONE, "consistent", flagged=True)
    assert {key: entry["style"] for key, entry in older.said.items() if key != "other"} == (
        dict.fromkeys(keys[:-1], "consistent")
    )
    assert [older.said[key]["note"] for key in ("1", "Beat_1")] == ["1", "Beat_1"]
    assert older.said["other"] == 7
    assert older.copies == ["Beat_1_flagged.png"]
    choosing.clear_choices(older.project, [ONE], WALL)
    assert (older.said, older.copies) == ({"other": 7}, [])


def test_the_key_is_the_number_as_it_is_written(tmp_path: Path) -> None:
    """So that the next step's page, which looks for it, shows the choice; ours shows the page's."""
    written = ["Beat 1", "Beat_2", "3", "Beat #4", "Beat 5: The door"]
    older = OlderProject(tmp_path / "my-video", {"clear": [(1, number) for number in written]})
    for number in "12345":
        place = older.root / f"generated_images/clear/Shot_1/Beat_{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(older.new_picture())
    choosing.choose_remaining(older.project, "clear", WALL)
    assert list(older.said) == written
    assert older.copies == [f"Beat_{number}.png" for number in "12345"]


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf%s", b"\r\n%s\r\n", b"%s"])
def test_the_file_is_read_as_editors_save_it(older: OlderProject, before: bytes) -> None:
    """With a byte order mark or line ends of Windows."""
    text = json.dumps({"Beat 1": {"style": "clear"}}, indent=1).replace("\n", "\r\n").encode()
    (older.root / "image_selections.json").write_bytes(before % text)
    choose(older, TWO, "clear")
    assert chosen(older) == {"1": "clear", "2": "clear"}


def test_what_another_program_writes_meanwhile_is_kept(
    older: OlderProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know our lock: the change is made again on what it wrote."""
    stage = selected.stage
    written: list[str] = []

    def staging(layout: ProjectPaths, file: str, picture: Path) -> str:
        if not written:
            written.append(file)
            older.choose("Beat 1", "consistent")
        return stage(layout, file, picture)

    monkeypatch.setattr(selected, "stage", staging)
    choose(older, TWO, "clear")
    assert chosen(older) == {"1": "consistent", "2": "clear"}
    assert older.copies == ["Beat_1.png", "Beat_2.png"]


# Choices of earlier versions


def chosen_before(older: OlderProject) -> dict[str, Any]:
    """Choose as version 0.1 did: by shot and number if a beat was in several shots."""
    picked = {"1": ("clear", "1"), "1/2": ("clear", "1"), "2/2": ("consistent", "2")}
    entries = {}
    (older.root / "selected_images").mkdir()
    for at, (name, (style, shot)) in enumerate(picked.items()):
        data = older.place(style, shot, f"Beat {name[-1]}").read_bytes()
        file = f"Shot_{shot}_Beat_{name[-1]}.png" if "/" in name else f"Beat_{name}.png"
        (older.root / "selected_images" / file).write_bytes(data)
        entries[name] = {
            "style": style,
            "isFlagged": False,
            "selectedAt": f"2026-11-22T1{at}:00:00Z",
            "shotNumber": shot,
            "sha256": selected.sha256(data),
        }
    older.say(entries)
    return entries


def test_choices_of_an_earlier_version_are_renamed_in_one_step(older: OlderProject) -> None:
    """Of two of one beat the later counts; undo takes it back, and keeps what was chosen since."""
    before = chosen_before(older)
    copies = older.copies
    assert chosen(older) == {"1": "clear", "2": "consistent"}
    assert choosing.rename(older.project, WALL) == 3
    assert {key: entry["style"] for key, entry in older.said.items()} == {
        "1": "clear",
        "Beat 1": "clear",
        "Beat 2": "consistent",
    }
    assert older.copies == ["Beat_1.png", "Beat_2.png"]
    assert older.copy("Beat 2").read_bytes() == older.place("consistent", 2, "Beat 2").read_bytes()
    assert project_status(older.project, WALL).redrawn_since_chosen == ()
    assert choosing.rename(older.project, WALL) == 0
    choose(older, THREE, "clear")
    undoing.undo(ProjectPaths(older.root), WALL)
    assert {key: older.said[key] for key in before} == before
    assert sorted(older.said) == ["1", "1/2", "2/2", "Beat 3"]
    assert older.copies == sorted([*copies, "Beat_3.png"])


def test_choosing_renames_what_an_earlier_version_chose(older: OlderProject) -> None:
    """Before anything else, so that undo takes back the renaming alone."""
    chosen_before(older)
    choose(older, THREE, "clear")
    assert older.copies == ["Beat_1.png", "Beat_2.png", "Beat_3.png"]
    assert chosen(older) == {"1": "clear", "2": "consistent", "3": "clear"}


def test_nothing_is_renamed_while_a_run_is_active(older: OlderProject) -> None:
    """Choosing goes on: old names are understood, and give way to what is chosen."""
    chosen_before(older)
    with record.project_lock(ProjectPaths(older.root)):
        assert choosing.rename(older.project, WALL) == 0
        choosing.flag(older.project, [TWO], WALL)
        assert chosen(older) == {"1": "clear", "2": "consistent!"}
        assert "Shot_2_Beat_2_flagged.png" in older.copies
        choose(older, TWO, "illustration")
    assert chosen(older)["2"] == "illustration"
    assert older.copies == ["Beat_1.png", "Beat_2.png"]
    assert sorted(older.said) == ["1", "Beat 2"]


# Half there, half here


def reads_back(older: OlderProject, expected: dict[str, tuple[str, bool]]) -> None:
    """Fail unless the older page and ours show these choices, and each copy is their picture."""
    shots = {(s, number): shot for s, own in older.shots.items() for shot, number in own}
    theirs = {key: (entry["style"], entry["isFlagged"]) for key, entry in older.said.items()}
    assert theirs == expected
    for number, (style, flagged) in expected.items():
        picture = older.place(style, shots[style, number], number).read_bytes()
        assert older.copy(number, flagged=flagged).read_bytes() == picture
        assert not older.copy(number, flagged=not flagged).exists()
    ours = choices.chosen(older.project)
    assert {one.entry: (one.style, one.flagged) for one in ours.values()} == expected
    found = project_status(older.project, WALL)
    assert (found.redrawn_since_chosen, found.choices_unclear, found.copies_missing) == ((), (), ())


def test_begun_there_and_finished_here(older: OlderProject) -> None:
    """Each side shows what the other chose, to the last copy."""
    older.choose("Beat 1", "consistent", isFlagged=True)
    older.choose("Beat 2", "clear")
    choose(older, TWO, "illustration", flagged=True)
    choosing.choose_remaining(older.project, "clear", WALL)
    reads_back(
        older,
        {
            "Beat 1": ("consistent", True),
            "Beat 2": ("illustration", True),
            "Beat 3": ("clear", False),
        },
    )


def test_begun_here_and_finished_there(older: OlderProject) -> None:
    """The later choice is the one that counts, on both sides."""
    choose(older, ONE, "clear")
    choose(older, TWO, "clear", flagged=True)
    older.choose("Beat 2", "consistent", "2030-01-01T00:00:00.000Z")
    older.choose("Beat 3", "illustration", isFlagged=True)
    expected = {
        "Beat 1": ("clear", False),
        "Beat 2": ("consistent", False),
        "Beat 3": ("illustration", True),
    }
    reads_back(older, expected)
    choosing.flag(older.project, [ONE], WALL)
    reads_back(older, expected | {"Beat 1": ("clear", True)})


def test_pictures_and_progress_are_right_on_both_sides(
    older: OlderProject, commands: Commands
) -> None:
    """Whoever began: nothing is drawn twice, and both know all that is drawn, as it is written."""
    (older.root / "imagegen.toml").write_text('provider = "sketch"\nimage_size = "512"\n')
    missing = ("clear", 1, "Beat 2"), ("consistent", 2, "Beat 3"), ("illustration", 1, "Beat 1")
    for style, shot, number in missing:
        older.place(style, shot, number).unlink()
        rest = [other for other in older.completed(style) if other != number]
        path = older.root / f"image_progress_{style}.json"
        path.write_text(json.dumps({"completedBeats": rest, "lastUpdated": "2026"}), "utf-8")
    kept = older.place("clear", 1, "Beat 1").read_bytes()
    assert "3 images to draw, 6 exist" in commands.run("run", older.root).text
    assert older.place("clear", 1, "Beat 1").read_bytes() == kept
    for style in STYLES:
        assert older.completed(style) == ["Beat 1", "Beat 2", "Beat 3"]
    for style, shot, number in missing:
        older.draw(style, shot, number)
    found = project_status(older.project, WALL)
    assert [style.complete for style in found.styles.values()] == [3, 3, 3]
    assert "0 images to draw, 9 exist" in commands.run("run", older.root).text


def test_a_beat_that_gets_another_shot_keeps_its_choice(older: OlderProject) -> None:
    """Its key stays; of one that gets another number it changes, spelled as it was."""
    for key in ("Beat_2", "Beat 3"):
        older.choose(key.replace("_", " "), "clear")
    older.say({"Beat_2": older.said["Beat 2"], "Beat 3": older.said["Beat 3"]})
    project = older.project
    moves = {"clear": {("1", "2"): ("9", "2")}}
    assert moved_selections.plan_selection_moves(older.root, project.beat_index, str, moves) is None
    moves = {"clear": {("1", "2"): ("2", "3"), ("2", "3"): ("1", "2")}}
    found = moved_selections.plan_selection_moves(older.root, project.beat_index, str, moves)
    assert found is not None
    assert list(json.loads(found.data)) == ["Beat_3", "Beat 2"]
    assert found.pictures == {
        "selected_images/Beat_2.png": "selected_images/Beat_3.png",
        "selected_images/Beat_3.png": "selected_images/Beat_2.png",
    }


def test_names_of_files_are_beats_names_of_both_rules() -> None:
    """A copy that tells its shot is of a beat that is there if a style has it in that shot."""
    found = index(clear=[("1", "2")], oil=[("3", "2")])
    assert not selections.is_lost("Shot_3_Beat_2.png", found)
    assert selections.is_lost("Shot_2_Beat_2.png", found)
    assert selections.is_lost("Beat_4_flagged.png", found)
