"""The best picture of each beat: what is written, what is kept, and what a crash leaves."""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import picture
from crashing import Crash, failing, full
from imagegen import files
from imagegen.errors import InvalidInputError, StorageError, UsageError
from imagegen.images import formats
from imagegen.project.beat_ids import BeatId, BeatIndex
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest
from imagegen.project.selections import file as selections
from imagegen.project.selections import moves as moved_selections
from imagegen.project.selections.file import Choice
from imagegen.project.selections.moves import SelectionMoves, restore
from imagegen.project.storyboard import BeatKey
from imagegen.review import choices, picks
from imagegen.review import choose as choosing
from imagegen.review.choices import ChangeSinceChosen, Chosen
from imagegen.review.choose import Pick
from imagegen.workspace import recovery
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project
from sweep import examples

WALL = 1_790_000_000.0
AT = "2026-09-21T14:13:20Z"
KEYS: tuple[BeatKey, ...] = (("1", "1.1"), ("1", "1.2"), ("2", "2.1"))
TWICE: tuple[BeatKey, ...] = (("1", "1"), ("1", "2"), ("2", "1"))
STYLES = ("illustration", "clear", "consistent")
IDS = tuple(BeatId(beat) for _, beat in KEYS)
TWICE_IDS = tuple(map(BeatId, ("1/1", "2", "2/1")))


class Board:
    """A project with a picture of each beat in each style, all of them different."""

    def __init__(self, root: Path, keys: Sequence[BeatKey] = KEYS) -> None:
        root.mkdir(parents=True)
        self.root = root
        self.drawn = 0
        self.storyboard(keys)
        for style in STYLES:
            for key in keys:
                self.draw(style, key)

    def storyboard(self, keys: Sequence[BeatKey]) -> None:
        """Let the storyboard have these beats."""
        rows = [{"shot_number": s, "beat_number": b, "ai_prompt": f"of {s}/{b}"} for s, b in keys]
        (self.root / "beats.json").write_text(json.dumps(rows))

    def place(self, style: str, key: BeatKey) -> Path:
        """Return where a picture lies."""
        return self.root / f"generated_images/{style}/Shot_{key[0]}/Beat_{key[1]}.png"

    def draw(self, style: str, key: BeatKey, kind: str = "PNG") -> bytes:
        """Draw a picture that is like no other, as runs do: beside its place, and renamed."""
        self.drawn += 1
        place = self.place(style, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix(".new").write_bytes(picture(8 + self.drawn, 5, kind=kind))
        place.with_suffix(".new").replace(place)
        return place.read_bytes()

    @property
    def project(self) -> Project:
        """The project as a command reads it."""
        return read_project(self.root, DrawRequest())

    def choose(self, key: BeatKey, style: str, *, flagged: bool = False) -> Chosen:
        """Choose one picture."""
        beat = self.project.beat_index.id_of(key)
        return choosing.choose(self.project, {beat: Pick(style, flagged)}, WALL)[beat]

    def flag(self, key: BeatKey, *, flagged: bool = True) -> Chosen:
        """Mark what is chosen, or take the mark away."""
        beat = self.project.beat_index.id_of(key)
        return choosing.flag(self.project, [beat], WALL, flagged=flagged)[beat]

    def unchoose(self, key: BeatKey) -> None:
        """Choose nothing for a beat."""
        choosing.clear_choices(self.project, [self.project.beat_index.id_of(key)], WALL)

    def say(self, said: object) -> bytes:
        """Let the file of choices say this."""
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        (self.root / "image_selections.json").write_bytes(data)
        return data

    @property
    def said(self) -> dict[str, Any]:
        """What the file of choices says."""
        path = self.root / "image_selections.json"
        return dict(json.loads(path.read_bytes())) if path.exists() else {}

    @property
    def selected(self) -> dict[str, bytes]:
        """The chosen pictures."""
        folder = self.root / "selected_images"
        return (
            {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
        )

    @property
    def names(self) -> list[str]:
        """The names of the chosen pictures, whatever else a crash left there."""
        return [path.name for path in self.root.glob("selected_images/*.png")]

    @property
    def kept(self) -> list[bytes]:
        """What is kept of chosen pictures that gave way."""
        return [p.read_bytes() for p in self.root.glob("old_images/selected_images/*.png")]


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Return a project of three beats in two shots, drawn in three styles."""
    return Board(tmp_path / "my-video")


@pytest.fixture
def twice(tmp_path: Path) -> Board:
    """Return one whose number 1 occurs in two shots."""
    return Board(tmp_path / "my-video", TWICE)


# What is written


def test_a_choice_is_a_copy_and_an_entry(board: Board) -> None:
    """The picture's copy has the beat's name, and the file says style, flag and time."""
    made = board.choose(KEYS[0], "clear")
    assert board.selected == {"Beat_1.1.png": board.place("clear", KEYS[0]).read_bytes()}
    entry = board.said["1.1"]
    assert {name: entry[name] for name in ("style", "isFlagged", "selectedAt")} == {
        "style": "clear",
        "isFlagged": False,
        "selectedAt": AT,
    }
    assert (made.beat, made.image_path) == ("1.1", "selected_images/Beat_1.1.png")
    assert choices.chosen(board.project) == {IDS[0]: made}


def test_a_flagged_choice_has_one_file(board: Board) -> None:
    """Flagged or plain, and never both, whichever way it became so."""
    board.choose(KEYS[0], "clear")
    board.choose(KEYS[0], "consistent", flagged=True)
    consistent = board.place("consistent", KEYS[0]).read_bytes()
    assert board.selected == {"Beat_1.1_flagged.png": consistent}
    board.flag(KEYS[0], flagged=False)
    assert board.selected == {"Beat_1.1.png": consistent}
    board.flag(KEYS[0])
    assert board.selected == {"Beat_1.1_flagged.png": consistent}
    assert board.said["1.1"]["isFlagged"] is True
    board.choose(KEYS[0], "clear")
    assert list(board.selected) == ["Beat_1.1.png"]
    assert not board.kept


def test_a_mark_leaves_the_picture_that_was_chosen(board: Board) -> None:
    """Marking does not take over what was drawn since, and the time stays."""
    was = board.choose(KEYS[0], "clear")
    before = board.selected["Beat_1.1.png"]
    board.draw("clear", KEYS[0])
    made = board.flag(KEYS[0])
    assert board.selected == {"Beat_1.1_flagged.png": before}
    assert made.selected_at == was.selected_at


def test_a_choice_can_be_taken_back(board: Board) -> None:
    """Then nothing is chosen, and the copy is gone."""
    board.choose(KEYS[0], "clear")
    board.choose(KEYS[1], "clear", flagged=True)
    board.unchoose(KEYS[1])
    assert list(board.said) == ["1.1"]
    assert list(board.selected) == ["Beat_1.1.png"]
    before = board.said
    board.unchoose(KEYS[1])
    assert board.said == before
    with pytest.raises(UsageError, match=r"nothing is chosen for 1\.2"):
        board.flag(KEYS[1])


def test_the_copy_is_no_second_name(board: Board) -> None:
    """Who writes into the chosen picture does not change the one that was drawn."""
    board.choose(KEYS[0], "clear")
    before = board.place("clear", KEYS[0]).read_bytes()
    with (board.root / "selected_images/Beat_1.1.png").open("r+b") as file:
        file.write(b"scribble")
    assert board.place("clear", KEYS[0]).read_bytes() == before


def test_what_other_tools_wrote_stays(board: Board) -> None:
    """Their entries stay as they are, and their fields of a choice that changes."""
    theirs = {"style": "clear", "isFlagged": True, "rating": 5}
    others = {"2.1": {"style": "clear", "by": "somebody"}, "notes": ["a"], "1.2": {"seen": True}}
    board.say({"1.1": theirs, **others})
    board.choose(KEYS[0], "consistent")
    said = board.said
    assert {name: said[name] for name in others} == others
    assert said["1.1"] == {**said["1.1"], "style": "consistent", "isFlagged": False, "rating": 5}


@pytest.mark.parametrize("name", ["1.1", "Beat 1.1", "beat 1.1", "1/1.1"])
def test_other_ways_to_write_a_number_are_read(board: Board, name: str) -> None:
    """A choice of another tool is found under each, and its key says what is chosen since."""
    board.say({name: {"style": "consistent"}})
    (found,) = choices.chosen(board.project).values()
    assert (found.key, found.style) == (KEYS[0], "consistent")
    board.choose(KEYS[0], "clear")
    keys = {name: entry["style"] for name, entry in board.said.items()}
    assert keys == ({"1.1": "clear"} if "/" in name else {name: "clear", "1.1": "clear"})
    assert list(board.selected) == ["Beat_1.1.png"]


def test_a_jpeg_under_a_pngs_name_becomes_a_png(board: Board) -> None:
    """It is chosen as the PNG that a run converts it to, which is not redrawn then."""
    data = board.draw("clear", KEYS[0], "JPEG")
    made = board.choose(KEYS[0], "clear")
    (copy,) = board.selected.values()
    assert copy == formats.as_png(data)
    assert choices.change_since(board.project, made) is ChangeSinceChosen.SAME
    board.place("clear", KEYS[0]).write_bytes(copy)
    assert choices.change_since(board.project, made) is ChangeSinceChosen.SAME


# What cannot be chosen


def test_what_cannot_be_chosen_changes_nothing(board: Board) -> None:
    """A beat, style or picture that is not there is named, and no other choice is made."""
    board.place("clear", KEYS[1]).unlink()
    board.place("clear", KEYS[2]).write_bytes(b"torn")
    wrong = {
        "clear/1.2 has no image yet": {IDS[1]: Pick("clear")},
        "clear/2.1 has no complete image": {IDS[2]: Pick("clear")},
        'no style "oil"': {IDS[0]: Pick("oil")},
        "no beat clear/9.9": {BeatId("9.9"): Pick("clear")},
    }
    for message, wanted in wrong.items():
        with pytest.raises(UsageError, match=message):
            choosing.choose(board.project, {IDS[0]: Pick("clear"), **wanted}, WALL)
    assert (board.said, board.selected) == ({}, {})


@pytest.mark.parametrize("torn", [b'{"1.1": {"sty', b"[]", b"\xff\xfe", b'"text"'])
def test_a_file_that_cannot_be_understood_is_never_replaced(board: Board, torn: bytes) -> None:
    """Whoever would write it is told, and it stays as it is; nothing is copied either."""
    board.say(torn)
    todo: list[Callable[[], object]] = [
        lambda: board.choose(KEYS[0], "clear"),
        lambda: choosing.choose_remaining(board.project, "clear", WALL),
        lambda: board.flag(KEYS[0]),
        lambda: board.unchoose(KEYS[0]),
        lambda: choices.chosen(board.project),
    ]
    for do in todo:
        with pytest.raises(UsageError, match=r"image_selections\.json cannot be understood"):
            do()
    assert (board.root / "image_selections.json").read_bytes() == torn
    assert board.selected == {}


def test_a_file_that_may_not_be_read_is_a_matter_of_permission(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which root, under whom tests may run, is never refused."""
    board.say({})
    monkeypatch.setattr(files, "read", lambda path, limit: None)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match=r"not permitted to read .*image_selections\.json"):
        choices.chosen(board.project)


def test_nothing_is_written_through_a_link(board: Board, tmp_path: Path) -> None:
    """Neither the file nor the folder may lead elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs.json").write_text("{}")
    (board.root / "image_selections.json").symlink_to(elsewhere / "theirs.json")
    with pytest.raises(UsageError, match="cannot be read: it is a link"):
        board.choose(KEYS[0], "clear")
    (board.root / "image_selections.json").unlink()
    (board.root / "selected_images").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a symbolic link"):
        board.choose(KEYS[0], "clear")
    assert [path.name for path in elsewhere.iterdir()] == ["theirs.json"]


def test_entries_that_lead_elsewhere_are_no_choices(board: Board) -> None:
    """Names and styles that are no names are left alone, and read nothing outside."""
    hostile = {
        "../../1.1": {"style": "clear"},
        "1.1": {"style": "../../clear"},
        "1.2": {"style": "clear", "shotNumber": "../1", "sha256": 7, "isFlagged": "yes"},
        "2.1": {"style": ["clear"]},
    }
    board.say(hostile)
    assert list(choices.chosen(board.project)) == [IDS[1]]
    choosing.choose_remaining(board.project, "consistent", WALL)
    assert sorted(board.selected) == ["Beat_1.1.png", "Beat_1.2.png", "Beat_2.1.png"]
    assert board.said["../../1.1"] == {"style": "clear"}


def test_the_rest_is_chosen_where_there_is_a_picture(board: Board) -> None:
    """What is chosen stays, what has no picture is told."""
    board.choose(KEYS[0], "consistent")
    board.place("clear", KEYS[2]).unlink()
    made, lacking = choosing.choose_remaining(board.project, "clear", WALL)
    assert (list(made), lacking) == ([IDS[1]], [IDS[2]])
    assert {name: entry["style"] for name, entry in board.said.items()} == {
        "1.1": "consistent",
        "1.2": "clear",
    }
    assert choosing.choose_remaining(board.project, "clear", WALL) == ({}, [IDS[2]])


def test_a_lock_that_cannot_be_taken_is_told(board: Board) -> None:
    """As every refusal of the disk is, and nothing is chosen."""
    (board.root / ".imagegen" / "selections.lock").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"selections\.lock cannot be written: there is a"):
        board.choose(KEYS[0], "clear")
    assert board.said == {}


def test_a_table_of_nothing_but_faults_is_told_soon(board: Board, tmp_path: Path) -> None:
    """What was meant is sought for what is shown, and after ten thousand faults nothing is read."""
    table = tmp_path / "picks.csv"
    table.write_text("beat,style\n" + "1.3,clear\n" * 20_000)
    with pytest.raises(InvalidInputError) as told:
        picks.from_csv(board.project, table)
    faults = told.value.faults
    assert [fault.hint is not None for fault in faults[:21]] == [True] * 20 + [False]
    assert len(faults) == 10_001
    assert "too many errors" in faults[-1].message


# Redrawn since


def test_content_tells_what_was_redrawn(board: Board) -> None:
    """A picture that moved or was touched is the same; one that came back is again."""
    made = board.choose(KEYS[0], "clear")
    place = board.place("clear", KEYS[0])

    def since() -> ChangeSinceChosen:
        return choices.change_since(board.project, made)

    before = place.read_bytes()
    assert since() is ChangeSinceChosen.SAME
    os.utime(place, (1, 1))
    assert since() is ChangeSinceChosen.SAME
    board.draw("clear", KEYS[0])
    assert since() is ChangeSinceChosen.REDRAWN
    place.write_bytes(before)
    assert since() is ChangeSinceChosen.SAME
    place.unlink()
    assert since() is ChangeSinceChosen.GONE
    assert board.selected == {"Beat_1.1.png": before}


def test_a_retouched_copy_is_not_redrawn_and_never_lost(board: Board) -> None:
    """It counts as what was chosen, and is kept when another choice takes its place."""
    made = board.choose(KEYS[0], "clear")
    (board.root / "selected_images/Beat_1.1.png").write_bytes(b"retouched")
    assert choices.change_since(board.project, made) is ChangeSinceChosen.SAME
    board.choose(KEYS[0], "consistent", flagged=True)
    assert board.kept == [b"retouched"]
    (board.root / "selected_images/Beat_1.1_flagged.png").write_bytes(b"once more")
    board.unchoose(KEYS[0])
    assert sorted(board.kept) == [b"once more", b"retouched"]


def test_a_choice_of_another_tool_is_known_by_its_copy(board: Board) -> None:
    """Without a hash the copy tells; without a copy nothing can be told."""
    board.say({"1.1": {"style": "clear"}, "1.2": {"style": "clear"}})
    copy = board.root / "selected_images/Beat_1.1.png"
    copy.parent.mkdir()
    copy.write_bytes(board.place("clear", KEYS[0]).read_bytes())
    board.draw("clear", KEYS[1])
    assert [one.since for one in choices.describe(board.project)] == [
        ChangeSinceChosen.SAME,
        ChangeSinceChosen.SAME,
    ]
    board.draw("clear", KEYS[0])
    assert [one.since for one in choices.describe(board.project)] == [
        ChangeSinceChosen.REDRAWN,
        ChangeSinceChosen.SAME,
    ]


def test_copies_that_are_missing_are_made_again(board: Board) -> None:
    """With the next choice of any beat, if the picture is still the one that was chosen."""
    for key in KEYS[:2]:
        board.choose(key, "clear")
    for path in (board.root / "selected_images").iterdir():
        path.unlink()
    board.draw("clear", KEYS[1])
    board.choose(KEYS[2], "clear")
    assert board.selected == {
        f"Beat_{key[1]}.png": board.place("clear", key).read_bytes() for key in (KEYS[0], KEYS[2])
    }
    assert list(board.said) == ["1.1", "1.2", "2.1"]


def test_another_tools_choices_get_their_copies(board: Board) -> None:
    """With the next choice, also where nothing is left to choose; until then no path is told."""
    board.say({"1.1": {"style": "clear"}, "Beat 1.2": {"style": "nowhere"}})
    before = board.said
    (first, second) = choices.describe(board.project)
    assert (first.image_path, first.lacks_copy, first.since) == (None, True, ChangeSinceChosen.SAME)
    assert (second.image_path, second.lacks_copy, second.since) == (
        None,
        False,
        ChangeSinceChosen.GONE,
    )
    board.storyboard(KEYS[:2])
    made, lacking = choosing.choose_remaining(board.project, "clear", WALL)
    assert (made, lacking) == ({}, [])
    assert board.selected == {"Beat_1.1.png": board.place("clear", KEYS[0]).read_bytes()}
    assert board.said["1.1"] == before["1.1"]
    assert choices.describe(board.project)[0].image_path == "selected_images/Beat_1.1.png"


def test_two_entries_of_one_beat_both_stay(board: Board) -> None:
    """Without times the one under the beat's own name counts; once it is chosen both say it."""
    for entries in (
        {
            "1.1": {"style": "clear"},
            "Beat 1.1": {"style": "consistent", "isFlagged": True, "shotNumber": "1"},
        },
        {"Beat 1.1": {"style": "consistent"}, "1.1": {"style": "clear"}},
    ):
        board.say(entries)
        assert choices.chosen(board.project)[IDS[0]].style == "clear"
        (unclear,) = choices.left_over(board.project).unclear
        assert (unclear.name, unclear.reason.split(",")[0]) == ("Beat 1.1", "gives way to 1.1")
        board.choose(KEYS[1], "clear")
        assert board.said.items() >= entries.items()
        data = board.place("clear", KEYS[0]).read_bytes()
        assert board.selected["Beat_1.1.png"] == data
        assert sorted(board.selected) == ["Beat_1.1.png", "Beat_1.2.png"]
        board.flag(KEYS[0])
        both = [board.said[name] for name in ("1.1", "Beat 1.1")]
        assert [(one["style"], one["isFlagged"]) for one in both] == [("clear", True)] * 2
        assert choices.left_over(board.project).unclear == ()
        board.say(entries)
        board.unchoose(KEYS[0])
        assert board.said == {}


def test_what_is_not_understood_stays_and_is_told(board: Board) -> None:
    """Whatever else its neighbours become."""
    entries = {"1.1": "clear", "1.2": {"style": "clear", "isFlagged": "yes"}, "notes": ["a"]}
    board.say(entries)
    assert [
        (one.name, one.reason.split()[1]) for one in choices.left_over(board.project).unclear
    ] == [
        ("1.1", "not"),
        ("1.2", "taken"),
        ("notes", "not"),
    ]
    board.choose(KEYS[2], "clear")
    assert board.said.items() >= entries.items()


def test_copies_without_the_file_of_choices_are_told(board: Board) -> None:
    """They stay where they are."""
    board.choose(KEYS[0], "clear")
    (board.root / "image_selections.json").unlink()
    over = choices.left_over(board.project)
    assert (over.unclaimed, over.paths) == (("selected_images/Beat_1.1.png",), ())


def test_unchanged_pictures_are_not_read(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` of a project that is chosen as a whole looks at sizes and times alone."""
    choosing.choose_remaining(board.project, "clear", WALL)
    project = board.project
    found = choices.chosen(project)
    monkeypatch.setattr(files, "read", lambda *_: pytest.fail("a picture was read"))
    assert {choices.change_since(project, one) for one in found.values()} == {
        ChangeSinceChosen.SAME
    }


# Numbers that several shots have


def test_numbers_of_two_shots_are_told_apart(twice: Board) -> None:
    """Key and file have the shot where the number alone would be of two beats."""
    for key, style in zip(TWICE, STYLES, strict=True):
        twice.choose(key, style)
    assert list(twice.said) == ["1/1", "2", "2/1"]
    assert sorted(twice.selected) == ["Beat_2.png", "Shot_1_Beat_1.png", "Shot_2_Beat_1.png"]
    assert [one.style for one in choices.chosen(twice.project).values()] == list(STYLES)


def test_a_number_that_becomes_another_shots_too_gets_its_shot(twice: Board) -> None:
    """After an edit the choice is still its beat's, and is called with its shot from then on."""
    twice.storyboard(TWICE[:2])
    twice.choose(TWICE[0], "clear", flagged=True)
    assert list(twice.said) == ["1"]
    twice.storyboard(TWICE)
    assert list(choices.chosen(twice.project)) == ["1/1"]
    data = twice.selected["Beat_1_flagged.png"]
    twice.choose(TWICE[2], "consistent")
    assert sorted(twice.said) == ["1/1", "2/1"]
    assert twice.selected == {
        "Shot_1_Beat_1_flagged.png": data,
        "Shot_2_Beat_1.png": twice.place("consistent", TWICE[2]).read_bytes(),
    }
    twice.storyboard(TWICE[1:])
    assert list(choices.chosen(twice.project)) == ["1"]
    twice.choose(TWICE[1], "clear")
    assert sorted(twice.said) == ["1", "1/1", "2"]
    assert sorted(twice.selected) == ["Beat_1.png", "Beat_2.png", "Shot_1_Beat_1_flagged.png"]
    over = choices.left_over(twice.project)
    assert (over.names, over.paths) == (("1/1",), ("selected_images/Shot_1_Beat_1_flagged.png",))


def test_a_choice_that_may_be_of_two_beats_is_of_none(twice: Board) -> None:
    """Another tool's entry without a shot is told, and stays until somebody decides."""
    twice.say({"1": {"style": "clear"}})
    assert choices.chosen(twice.project) == {}
    (unclear,) = choices.left_over(twice.project).unclear
    assert (unclear.name, unclear.reason) == ("1", "could be 1/1 or 2/1: choose again")
    assert not choices.left_over(twice.project)
    for key in (TWICE[0], TWICE[2]):
        assert choices.left_over(twice.project).unclear == (unclear,)
        twice.choose(key, "clear")
    assert sorted(twice.said) == ["1", "1/1", "2/1"]
    assert choices.left_over(twice.project).unclear == ()


def test_two_choices_never_have_one_file(tmp_path: Path) -> None:
    """Where one beat's flagged name is another's plain one, the second is refused."""
    board = Board(tmp_path / "odd", (("1", "1.1"), ("1", "1.1_flagged")))
    board.choose(("1", "1.1"), "clear", flagged=True)
    before = board.said, board.selected
    with pytest.raises(UsageError, match=r"would be of 1\.1 and of 1\.1_flagged"):
        board.choose(("1", "1.1_flagged"), "consistent")
    assert (board.said, board.selected) == before


def test_numbers_that_a_disk_takes_for_one_have_their_shots(tmp_path: Path) -> None:
    """A and a are one file on some disks."""
    keys = (("1", "A"), ("2", "a"))
    board = Board(tmp_path / "case", keys)
    for key in keys:
        board.choose(key, "clear")
    assert list(board.said) == ["1/A", "2/a"]


# Beats that are gone, and beats that move


def test_choices_of_beats_that_are_gone_are_told(board: Board) -> None:
    """So are files of chosen pictures that no beat has and nobody chose; others are not ours."""
    board.choose(KEYS[0], "clear")
    board.choose(KEYS[2], "clear", flagged=True)
    for name in ("Beat_8.8.png", "Shot_8_Beat_1.png", "Beat_1.2.png", "notes.txt"):
        (board.root / "selected_images" / name).write_bytes(b"theirs")
    board.storyboard(KEYS[:2])
    over = choices.left_over(board.project)
    assert over.names == ("2.1",)
    assert over.copies == ("selected_images/Beat_2.1_flagged.png",)
    assert over.strays == ("selected_images/Beat_8.8.png", "selected_images/Shot_8_Beat_1.png")
    assert over.unclaimed == ("selected_images/Beat_1.2.png",)
    assert set(over.paths) == {*over.copies, *over.strays}


def moved(
    board: Board, keys: Sequence[BeatKey], moves: dict[str, dict[BeatKey, BeatKey]]
) -> SelectionMoves:
    """Return what happens to choices if pictures move, and the storyboard has these beats."""
    index = BeatIndex(dict.fromkeys(STYLES, keys))
    return moved_selections.plan_selection_moves(board.root, index, str, moves) or pytest.fail(
        "nothing moves"
    )


def entry(style: str = "clear", shot: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return an entry of a shot."""
    return {**Choice(style=style, shot=shot).entry(), **fields}


def test_choices_move_with_the_pictures_of_their_style(board: Board) -> None:
    """Swapped, and into another shot; a style that does not move keeps its own."""
    board.say({"1.1": entry(shot="1"), "1.2": entry("consistent", "1"), "2.1": entry(shot="2")})
    moves = {"clear": {KEYS[0]: KEYS[2], KEYS[2]: KEYS[0]}}
    found = moved(board, KEYS, moves)
    said = json.loads(found.data)
    assert {name: entry["shotNumber"] for name, entry in said.items()} == {
        "1.2": "1",
        "2.1": "2",
        "1.1": "1",
    }
    assert (found.count, found.dropped) == (2, ())
    assert restore(said, found.kept) == board.said


def test_a_choice_whose_picture_gives_way_is_dropped_and_kept(board: Board) -> None:
    """The choice of a deleted beat does not become that of the beat that gets its number."""
    for key in KEYS:
        board.choose(key, "clear", flagged=key == KEYS[0])
    before = board.said
    moves = {"clear": {KEYS[1]: KEYS[0], KEYS[2]: KEYS[1]}}
    found = moved(board, KEYS[:2], moves)
    said = json.loads(found.data)
    assert [entry["sha256"] for entry in said.values()] == [
        before[name]["sha256"] for name in ("1.2", "2.1")
    ]
    assert (list(said), found.dropped) == (["1.1", "1.2"], ("1.1",))
    assert found.away == ("selected_images/Beat_1.1_flagged.png",)
    assert found.pictures == {
        "selected_images/Beat_1.2.png": "selected_images/Beat_1.1.png",
        "selected_images/Beat_2.1.png": "selected_images/Beat_1.2.png",
    }
    assert restore(said, found.kept) == before


def test_a_choice_that_stays_is_not_pushed_out(board: Board) -> None:
    """Where two choices would be of one beat, the one whose picture lies there stays."""
    board.say({"1.1": entry(shot="1"), "2.1": entry("consistent", "2")})
    moves = {"clear": {KEYS[0]: KEYS[2], KEYS[2]: KEYS[0]}}
    found = moved(board, KEYS, moves)
    assert (list(json.loads(found.data)), found.dropped) == (["2.1"], ("1.1",))


def test_choices_since_a_step_are_set_back_too(board: Board) -> None:
    """Undo gives what was chosen since its old number, and what was dropped its place."""
    board.say({"1.1": entry(shot="1"), "1.2": entry(shot="1")})
    moves = {"clear": {KEYS[1]: KEYS[0]}}
    found = moved(board, KEYS[:1], moves)
    since = {"1.1": entry("consistent", "1"), "7.7": {"style": "clear"}}
    assert restore(since, found.kept) == {
        "1.1": entry(shot="1"),
        "1.2": entry("consistent", "1"),
        "7.7": {"style": "clear"},
    }


# Several at once, and crashes


def test_choices_at_the_same_time_are_all_kept(board: Board) -> None:
    """Each waits for the others, and none is overwritten."""
    everything = [(key, style) for key in KEYS for style in STYLES]
    threads = [threading.Thread(target=board.choose, args=one) for one in everything]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = choices.chosen(board.project)
    assert list(found) == list(IDS)
    assert board.selected == {
        Path(one.image_path).name: board.place(one.style, key).read_bytes()
        for key, one in zip(KEYS, found.values(), strict=True)
    }


def test_nothing_is_chosen_while_a_step_is_half_done(board: Board) -> None:
    """What moves pictures moves choices too, and is finished first."""
    folder = board.root / "old_images/2026-09-21T14-13-20Z"
    folder.mkdir(parents=True)
    (folder / "step.json").write_text('{"kind": "use", "state": "begun"}')
    with pytest.raises(UsageError, match="images are being moved"):
        board.choose(KEYS[0], "clear")
    recovery.finish_interrupted(ProjectPaths(board.root), WALL)
    board.choose(KEYS[0], "clear")


OPERATIONS: dict[str, Callable[[Board], object]] = {
    "first": lambda board: board.choose(KEYS[1], "clear"),
    "another style": lambda board: board.choose(KEYS[0], "consistent"),
    "flagged": lambda board: board.choose(KEYS[0], "consistent", flagged=True),
    "flag": lambda board: board.flag(KEYS[0]),
    "all": lambda board: choosing.choose_remaining(board.project, "illustration", WALL),
    "back": lambda board: board.unchoose(KEYS[0]),
}


def whole(board: Board) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what is chosen, after making sure that the folder is in line with the file."""
    said, selected = board.said, board.selected
    wanted = {}
    for name, one in said.items():
        choice = selections.choice_of(one) or pytest.fail(f"{name} is no choice")
        file = selections.file_of(name, flagged=choice.flagged)
        wanted[file] = board.place(choice.style, (name[0], name)).read_bytes()
    assert selected == wanted
    return said, selected


def never_both(board: Board) -> None:
    """Fail where a beat has a plain and a flagged picture at once."""
    plain = [name.replace("_flagged", "") for name in board.names]
    assert len(set(plain)) == len(plain), board.names


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("refusing", [False, True], ids=["killed", "disk full"])
def test_a_crash_at_any_call_leaves_the_one_or_the_other(
    tmp_path: Path, name: str, *, refusing: bool
) -> None:
    """The next command finishes it or gives it up, and never are there both files."""
    operation = OPERATIONS[name]

    def begun(number: object) -> Board:
        board = Board(tmp_path / f"{number}")
        board.choose(KEYS[0], "clear")
        return board

    board = begun("whole")
    before = board.said
    with failing() as calls:
        operation(board)
    after, _ = whole(board)
    outcomes = set()
    for at in range(1, len(calls) + 1):
        board = begun(at)
        expected = (Crash,) if not refusing else (StorageError, OSError)
        with (
            contextlib.suppress(*expected),
            failing(at, raising=full if refusing else Crash, only=refusing),
        ):
            operation(board)
        never_both(board)
        recovery.finish_interrupted(ProjectPaths(board.root), WALL)
        said, _ = whole(board)
        assert said in (before, after)
        outcomes.add(said == after)
    assert outcomes == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize(
    "said", [None, {"1.1": {"style": "clear"}}], ids=["ours", "another tool's"]
)
def test_a_crash_while_a_retouched_choice_is_taken_back_loses_nothing(
    tmp_path: Path, said: dict[str, Any] | None
) -> None:
    """Choice and copy are both there, or neither, and then the copy is kept."""

    def begun(number: object) -> Board:
        board = Board(tmp_path / f"{number}")
        board.choose(KEYS[0], "clear")
        (board.root / "selected_images/Beat_1.1.png").write_bytes(b"retouched")
        if said is not None:
            board.say(said)
        return board

    with failing() as calls:
        begun("whole").unchoose(KEYS[0])
    outcomes = set()
    for at in range(1, len(calls) + 1):
        board = begun(at)
        with contextlib.suppress(Crash), failing(at):
            board.unchoose(KEYS[0])
        recovery.finish_interrupted(ProjectPaths(board.root), WALL)
        if board.said:
            assert board.selected == {"Beat_1.1.png": b"retouched"}
        else:
            assert (board.selected, board.kept) == ({}, [b"retouched"])
        outcomes.add(bool(board.said))
    assert outcomes == {True, False}


def test_what_somebody_chooses_meanwhile_is_not_among_the_rest(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choosing the rest leaves what was chosen while it looked for pictures."""
    look = choosing.why_unavailable

    def looking(project: Project, beat: BeatId, style: str) -> str | None:
        if beat == IDS[2] and style == "clear":
            board.choose(KEYS[0], "consistent")
        return look(project, beat, style)

    monkeypatch.setattr(choosing, "why_unavailable", looking)
    made, _ = choosing.choose_remaining(board.project, "clear", WALL)
    assert list(made) == list(IDS[1:])
    assert board.said["1.1"]["style"] == "consistent"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["choose", "flag", "unflag", "back", "draw", "rest"]),
        st.sampled_from(KEYS),
        st.sampled_from(STYLES),
        st.booleans(),
        st.one_of(st.none(), st.integers(1, 60)),
    ),
    max_size=8,
)


@settings(max_examples=examples(25), deadline=None)
@given(steps=STEPS)
def test_whatever_is_done_and_wherever_it_ends(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, BeatKey, str, bool, int | None]],
) -> None:
    """The file is always whole, no beat has both files, and each copy is what was chosen."""
    board = Board(tmp_path_factory.mktemp("any") / "my-video")
    for what, key, style, flagged, at in steps:
        if what == "draw":
            board.draw(style, key)
            continue
        with (
            contextlib.suppress(UsageError, Crash),
            failing(at) if at else contextlib.nullcontext(),
        ):
            if what == "choose":
                board.choose(key, style, flagged=flagged)
            elif what == "rest":
                choosing.choose_remaining(board.project, style, WALL, flagged=flagged)
            elif what == "back":
                board.unchoose(key)
            else:
                board.flag(key, flagged=what == "flag")
        never_both(board)
        recovery.finish_interrupted(ProjectPaths(board.root), WALL)
        hashes = {name: one["sha256"] for name, one in board.said.items()}
        copies = {
            name.removeprefix("Beat_").removesuffix(".png").removesuffix("_flagged"): data
            for name, data in board.selected.items()
        }
        for name, data in copies.items():
            assert hashlib.sha256(data).hexdigest() == hashes[name]
        if at is None:
            assert copies.keys() == hashes.keys()
