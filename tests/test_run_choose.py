"""The best picture of each beat, by the real command: chosen, listed, moved, put away."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from commands import STYLES, Commands, Done, picture, row
from gemini_server import GeminiServer

SKETCH = 'provider = "sketch"\nimage_size = "512"\n'


def went_well(done: Done) -> Done:
    """Fail with what a command has said, unless it did what it was asked for."""
    assert done.code == 0, done.text
    return done


def refused(done: Done, *words: str) -> None:
    """Fail unless a command was refused, with these words."""
    assert done.code == 2, done.text
    for said in words:
        assert said in done.err


def write(root: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a storyboard."""
    (root / "beats.json").write_text(json.dumps(list(rows)), encoding="utf-8")


def said(root: Path) -> dict[str, str]:
    """Return which style is chosen, by number."""
    path = root / "image_selections.json"
    entries = json.loads(path.read_bytes()) if path.exists() else {}
    return {name: entry["style"] for name, entry in entries.items()}


def selected(root: Path) -> dict[str, bytes]:
    """Return the chosen pictures."""
    folder = root / "selected_images"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def status(commands: Commands, root: Path) -> dict[str, Any]:
    """Return what `status` tells programs."""
    return dict(json.loads(went_well(commands.run("status", root, "--json")).out))


@pytest.fixture
def root(commands: Commands) -> Path:
    """Return a project of three beats in three styles, drawn."""
    made = commands.project(settings=SKETCH)
    went_well(commands.run("run", made))
    return made


@pytest.mark.slow
def test_beats_are_chosen_marked_and_taken_back(commands: Commands, root: Path) -> None:
    """With their style behind them or before them, one or several at once."""
    done = went_well(commands.run("choose", root, "1.1", "consistent"))
    assert "1 of 3 beats chosen" in done.out
    assert selected(root) == {"Beat_1.1.png": picture(root, "consistent", 0).read_bytes()}
    went_well(commands.run("choose", root, "clear/1.1", "illustration/1.2", "--flag"))
    assert said(root) == {"1.1": "clear", "1.2": "illustration"}
    assert sorted(selected(root)) == ["Beat_1.1_flagged.png", "Beat_1.2_flagged.png"]
    went_well(commands.run("choose", root, "1.1", "1.2", "--unflag"))
    assert sorted(selected(root)) == ["Beat_1.1.png", "Beat_1.2.png"]
    went_well(commands.run("choose", root, "1.1", "1.3", "consistent"))
    assert said(root) == {"1.1": "consistent", "1.2": "illustration", "1.3": "consistent"}
    went_well(commands.run("choose", root, "1.1", "--none"))
    assert sorted(selected(root)) == ["Beat_1.2.png", "Beat_1.3.png"]


@pytest.mark.slow
def test_the_project_may_be_left_out(commands: Commands, root: Path) -> None:
    """In the project's folder the words are beats and styles."""
    inside = Commands(root)
    inside.env, inside.keys = commands.env, commands.keys
    went_well(inside.run("choose", "1.1", "clear"))
    went_well(inside.run("choose", "--all", "consistent"))
    assert said(root) == {"1.1": "clear", "1.2": "consistent", "1.3": "consistent"}


def test_the_rest_is_chosen_at_once(commands: Commands, root: Path) -> None:
    """It says how many, and which beats have no picture in that style."""
    picture(root, "clear", 2).unlink()
    went_well(commands.run("choose", root, "1.1", "consistent"))
    done = went_well(commands.run("choose", root, "--all", "clear"))
    assert "1 beat has no image in clear: 1.3" in done.out
    assert "2 of 3 beats chosen" in done.out
    assert said(root) == {"1.1": "consistent", "1.2": "clear"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_chooses(commands: Commands, root: Path, delimiter: str) -> None:
    """As spreadsheets write it, with or without shots and flags."""
    rows = ["Beat,Style,Shot,Flag,Remark", "1.1,clear,1,yes,good", "Beat 1.2,consistent,,,", ",,,,"]
    table = commands.folder / "picks.csv"
    table.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).replace(",", delimiter).encode())
    went_well(commands.run("choose", root, "--csv", table))
    assert said(root) == {"1.1": "clear", "1.2": "consistent"}
    assert sorted(selected(root)) == ["Beat_1.1_flagged.png", "Beat_1.2.png"]


def test_a_cell_holds_what_ends_no_line_of_a_table(commands: Commands, root: Path) -> None:
    """Soft line breaks of spreadsheets and other odd characters are words like any other."""
    table = commands.folder / "picks.csv"
    table.write_text("remark,beat,style\nsoft\x0bbreak\x0c\x85\u2028there,1.1,clear\n", "utf-8")
    went_well(commands.run("choose", root, "--csv", table))
    assert said(root) == {"1.1": "clear"}


def test_every_fault_of_a_table_is_told_and_nothing_chosen(commands: Commands, root: Path) -> None:
    """Each with its row and column; the rows that are right are not chosen either."""
    picture(root, "clear", 2).unlink()
    table = commands.folder / "picks.csv"
    table.write_text(
        "\nbeat,style,flag\n1.1,clear,\n9.9,clear,\n1.2,cleer,maybe\n1.3,clear,\n1.1,clear,\n,,x\n"
    )
    done = commands.run("choose", root, "--csv", table)
    refused(
        done,
        "7 errors in 6 rows",
        'row 2 (line 4)  beat   no beat "9.9" in this project',
        'row 3 (line 5)  style  unknown style "cleer": did you mean "clear"?',
        'row 3 (line 5)  flag   "maybe" is neither yes nor no',
        "row 4 (line 6)  style  clear/1.3 has no image yet",
        "row 5 (line 7)  beat   1.1 is already row 1",
        "row 6 (line 8)  beat   missing",
        "row 6 (line 8)  style  missing",
        "imagegen choose",
    )
    assert (said(root), selected(root)) == ({}, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"number,style\n1.1,clear\n", 'has no column "beat"'),
        (b"beat,style,style\n1.1,clear,clear\n", 'has two columns named "style"'),
        (b"", 'has no column "beat"'),
        (b'beat,style\n"1.1,clear\n', "is not valid CSV"),
        (b"beat,style\n\xff,clear\n", "is not UTF-8"),
    ],
)
def test_what_is_no_table_is_told(
    commands: Commands, root: Path, content: bytes, words: str
) -> None:
    """Before anything is chosen."""
    table = commands.folder / "picks.csv"
    table.write_bytes(content)
    refused(commands.run("choose", root, "--csv", table), words)
    refused(commands.run("choose", root, "--csv", commands.folder), "is not a file")
    assert said(root) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["9.9", "clear"], 'no beat "9.9"'),
        (["1.1", "cleer"], 'did you mean "clear"?'),
        (["1.1"], "which style's image of 1.1?"),
        ([], "choose needs a beat and a style"),
        (["1.1", "1.1", "clear"], "1.1 is named twice"),
        (["consistent/1.1", "clear"], "1.1 is named twice"),
        (["1.1", "clear", "--flag", "--none"], "--flag and --none cannot be combined"),
        (["1.1", "--all", "clear"], "--all and a beat cannot be combined"),
        (["1.1", "clear", "--json"], "--json needs --list"),
        (["--all", "cleer"], 'did you mean "clear"?'),
        (["1.1", "--flag"], "nothing is chosen for 1.1"),
        (["1.3", "clear"], "clear/1.3 has no image yet"),
    ],
)
def test_wrong_words_change_nothing(
    commands: Commands, root: Path, words: list[str], message: str
) -> None:
    """Exit 2, with what was probably meant."""
    picture(root, "clear", 2).unlink()
    refused(commands.run("choose", root, *words), message)
    assert (said(root), selected(root)) == ({}, {})


@pytest.mark.slow
def test_what_was_redrawn_since_is_told(commands: Commands, root: Path) -> None:
    """The copy stays as it was chosen until the beat is chosen again, and undo is noticed."""
    went_well(commands.run("choose", root, "--all", "clear", "--flag"))
    before = selected(root)
    went_well(commands.run("redraw", root, "clear/1.2", "--prompt", "Another sea"))
    assert selected(root) == before
    told = status(commands, root)
    assert (told["chosen"], told["beats"]) == (3, 3)
    assert told["redrawn_since_chosen"] == ["1.2"]
    assert told["flagged"] == ["1.1", "1.2", "1.3"]
    assert "3 of 3 beats chosen; redrawn since: 1.2" in went_well(commands.run("status", root)).out
    listed = went_well(commands.run("choose", root, "--list")).out
    assert [line for line in listed.splitlines() if "redrawn since" in line] == [
        line for line in listed.splitlines() if line.startswith("  1.2")
    ]
    told = json.loads(went_well(commands.run("choose", root, "--list", "--json")).out)
    assert [one["since"] for one in told["chosen"]] == ["same", "redrawn", "same"]
    went_well(commands.run("undo", root))
    assert status(commands, root)["redrawn_since_chosen"] == []
    went_well(commands.run("run", root, "--force"))
    went_well(commands.run("choose", root, "1.2", "clear"))
    assert status(commands, root)["redrawn_since_chosen"] == ["1.1", "1.3"]


def test_beats_are_chosen_while_a_run_is_active(commands: Commands, server: GeminiServer) -> None:
    """What is drawn can be looked at and chosen while the rest is drawn."""
    made = commands.project(beats=2)
    address = ("--base-url", server.address)
    went_well(commands.run("run", made, "--beat", "1.1", *address))
    with server.held():
        process = commands.start("run", made, *address)
        assert server.wait_for_requests(4)
        went_well(commands.run("choose", made, "1.1", "clear"))
        refused(commands.run("choose", made, "1.2", "clear"), "has no image yet")
    assert commands.wait(process).code == 0
    assert said(made) == {"1.1": "clear"}


@pytest.mark.slow
def test_a_torn_file_is_told_and_left(commands: Commands, root: Path) -> None:
    """`status` tells the rest; whoever would write the file is refused."""
    torn = root / "image_selections.json"
    torn.write_text('{"1.1": {"style": "clear",}}')
    assert "understood: JSON is malformed" in status(commands, root)["choices_fault"]
    torn.write_text('{"1.1": {"style": "cl')
    told = status(commands, root)
    assert told["choices_fault"].endswith("input data was truncated")
    assert told["chosen"] == 0
    assert "cannot be understood" in went_well(commands.run("status", root)).out
    for words in (["choose", "1.1", "clear"], ["choose", "--list"], ["clean"], ["renumber"]):
        refused(
            commands.run(words[0], root, *words[1:]),
            "cannot be understood",
            "fix it, or move it away",
        )
    assert torn.read_text() == '{"1.1": {"style": "cl'


@pytest.mark.slow
def test_status_tells_what_became_of_another_tools_choices(commands: Commands, root: Path) -> None:
    """Without a picture, without a copy, or of no choice: in words and as JSON."""
    went_well(commands.run("choose", root, "1.3", "clear"))
    theirs = {"1.1": {"style": "clear"}, "1.2": {"style": "elsewhere"}, "notes": "mine"}
    (root / "image_selections.json").write_text(json.dumps(theirs))
    told = status(commands, root)
    assert (told["chosen"], told["chosen_without_picture"]) == (2, ["1.2"])
    assert told["copies_missing"] == ["1.1"]
    assert told["copies_unclaimed"] == ["selected_images/Beat_1.3.png"]
    assert told["choices_left_over"] == ["selected_images/Beat_1.3.png"]
    assert [one["name"] for one in told["choices_unclear"]] == ["notes"]
    words = " ".join(went_well(commands.run("status", root)).out.split())
    for said_of_it in (
        "missing image: 1.2",
        "no copy in selected_images: 1.1",
        "Copies that belong to no choice (kept): selected_images/Beat_1.3.png",
        "notes is not a choice",
    ):
        assert said_of_it in words
    assert "of deleted beats" not in words
    listed = went_well(commands.run("choose", root, "--list")).out
    assert "1 copy is missing in selected_images." in listed
    assert listed.count("notes") == 1
    told = json.loads(went_well(commands.run("choose", root, "--list", "--json")).out)
    assert [one["imagePath"] for one in told["chosen"]] == [None, None]
    done = went_well(commands.run("gallery", root, "--chosen"))
    assert "1 image of 2 beats" in done.out
    went_well(commands.run("choose", root, "--all", "clear"))
    assert status(commands, root)["copies_missing"] == []
    assert "nothing was chosen for 1.1" not in commands.run("choose", root, "1.1", "--none").out
    assert (
        "nothing was chosen for 1.1" in went_well(commands.run("choose", root, "1.1", "--none")).out
    )


def test_a_choice_that_may_be_of_two_beats_is_told_and_left(commands: Commands) -> None:
    """It is of no beat that is gone."""
    rows = [{"shot_number": shot, "beat_number": "1", "ai_prompt": "A sea"} for shot in "12"]
    made = commands.project(beats=rows, settings=f'{SKETCH}draw = ["clear"]\n')
    (made / "image_selections.json").write_text('{"1": {"style": "clear"}}')
    words = went_well(commands.run("status", made)).out
    assert "1 could be 1/1 or 2/1: choose again" in words
    assert "gone" not in words
    went_well(commands.run("clean", made))
    assert said(made) == {"1": "clear"}


@pytest.mark.slow
def test_choices_of_deleted_beats_are_told_put_away_and_come_back(
    commands: Commands, root: Path
) -> None:
    """They are listed until `clean` takes them, which undo takes back."""
    went_well(commands.run("choose", root, "--all", "clear"))
    before, data = (root / "image_selections.json").read_bytes(), selected(root)
    write(root, [row(0), row(1)])
    assert status(commands, root)["choices_left_over"] == ["1.3"]
    assert "Choices of deleted beats: 1.3" in went_well(commands.run("status", root)).out
    assert "of deleted beats: 1.3" in went_well(commands.run("choose", root, "--list")).out
    went_well(commands.run("clean", root, "--dry-run"))
    assert selected(root) == data
    done = went_well(commands.run("clean", root))
    assert "3 images and 1 choice of deleted beats" in done.out
    assert list(said(root)) == ["1.1", "1.2"]
    assert sorted(selected(root)) == ["Beat_1.1.png", "Beat_1.2.png"]
    (kept,) = (root / "old_images").rglob("selected_images/*.png")
    assert kept.read_bytes() == data["Beat_1.3.png"]
    assert status(commands, root)["choices_left_over"] == []
    went_well(commands.run("undo", root))
    assert json.loads((root / "image_selections.json").read_bytes()) == json.loads(before)
    assert selected(root) == data


@pytest.mark.slow
def test_renumbering_brings_choices_of_two_shots_along(commands: Commands) -> None:
    """Beats of two shots with the same numbers swap, and one is deleted; undo takes it back."""
    words = {("1", "1"): "A boat.", ("1", "2"): "A lamp.", ("2", "1"): "A cat.", ("2", "2"): "Fog."}
    rows = [
        {"shot_number": shot, "beat_number": beat, "ai_prompt": prompt}
        for (shot, beat), prompt in words.items()
    ]
    root = commands.project(beats=rows, settings=f'{SKETCH}draw = ["clear"]\n')
    went_well(commands.run("run", root))
    went_well(commands.run("choose", root, "--all", "clear"))
    went_well(commands.run("choose", root, "2/1", "--flag"))
    before, data = said(root), selected(root)
    assert sorted(data) == [
        "Shot_1_Beat_1.png",
        "Shot_1_Beat_2.png",
        "Shot_2_Beat_1_flagged.png",
        "Shot_2_Beat_2.png",
    ]
    # The lamp is gone, boat and cat change places.
    left = [("1", "1", "A cat."), ("2", "1", "A boat."), ("2", "2", "Fog.")]
    write(root, [{"shot_number": s, "beat_number": b, "ai_prompt": p} for s, b, p in left])
    refused(commands.run("run", root), "belong to another beat")
    done = went_well(commands.run("renumber", root))
    assert "chosen images moved too" in done.out
    assert selected(root) == {
        "Shot_1_Beat_1_flagged.png": data["Shot_2_Beat_1_flagged.png"],
        "Shot_2_Beat_1.png": data["Shot_1_Beat_1.png"],
        "Beat_2.png": data["Shot_2_Beat_2.png"],
        "Shot_1_Beat_2.png": data["Shot_1_Beat_2.png"],
    }
    assert sorted(said(root)) == ["1/1", "1/2", "2", "2/1"]
    told = status(commands, root)
    assert (told["chosen"], told["redrawn_since_chosen"]) == (3, [])
    assert told["choices_left_over"] == ["1/2"]
    went_well(commands.run("undo", root))
    assert (said(root), selected(root)) == (before, data)


@pytest.mark.slow
def test_a_deleted_beats_choice_gives_way_to_the_one_that_gets_its_number(
    commands: Commands, root: Path
) -> None:
    """It goes to old_images with the picture, and is told."""
    went_well(commands.run("choose", root, "1.1", "clear"))
    went_well(commands.run("choose", root, "1.2", "consistent"))
    data = selected(root)
    write(root, [row(n, beat_number=f"1.{n}") for n in (1, 2)])
    done = went_well(commands.run("renumber", root))
    assert "choices dropped, because their beats were deleted" in done.out
    assert said(root) == {"1.1": "consistent"}
    assert selected(root) == {"Beat_1.1.png": data["Beat_1.2.png"]}
    went_well(commands.run("undo", root))
    assert said(root) == {"1.1": "clear", "1.2": "consistent"}
    assert selected(root) == data


@pytest.mark.slow
def test_styles_and_beats_are_offered(commands: Commands, root: Path) -> None:
    """The Tab key knows beats first, and the styles once one is begun or named."""
    env = {
        "_IMAGEGEN_COMPLETE": "complete_bash",
        "COMP_WORDS": f"imagegen choose {root} 1.1 c",
        "COMP_CWORD": "4",
    }
    offered = commands.run(env=env).out.split()
    assert offered[:2] == [style for style in STYLES if style[0] == "c"]
    assert "consistent/1.2" in offered
    assert commands.run(
        env=env | {"COMP_WORDS": f"imagegen choose {root} ", "COMP_CWORD": "3"}
    ).out.split() == [
        "1.1",
        "1.2",
        "1.3",
    ]
    named = env | {"COMP_WORDS": f"imagegen choose {root} 1.1 ", "COMP_CWORD": "4"}
    assert commands.run(env=named).out.split()[:3] == list(STYLES)
