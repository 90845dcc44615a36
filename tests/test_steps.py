"""Files change places in one step that no crash leaves half-done, and that can be taken back."""

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import picture
from crashing import Crash, failing, full
from imagegen.errors import StorageError, UsageError
from imagegen.project import steps
from imagegen.project.layout import ProjectPaths
from imagegen.project.steps import Move
from sweep import SWEEP, examples

WALL = 1_790_000_000.0
FIRST = "2026-09-21T14-13-20Z"
WHOLE = {number: picture(8 + number, 5) for number in range(10)}
"""Pictures that can be told from each other."""

Tree = dict[str, bytes]


def place(number: str, shot: str = "1") -> str:
    """Return where the picture of a beat lies."""
    return f"generated_images/clear/Shot_{shot}/Beat_{number}.png"


def project(root: Path, held: Mapping[str, bytes]) -> ProjectPaths:
    """Make a project that holds these files."""
    root.mkdir(exist_ok=True)
    for name, data in held.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return ProjectPaths(root)


def tree(layout: ProjectPaths) -> Tree:
    """Return every file of a project, but for what steps say of themselves."""
    every = sorted(path for path in layout.root.rglob("*") if path.is_file())
    return {layout.relative(path): path.read_bytes() for path in every if path.name != steps.STEP}


def in_place(layout: ProjectPaths) -> Tree:
    """Return every file that is not among the old pictures."""
    return {name: data for name, data in tree(layout).items() if not name.startswith("old_images")}


def folders(layout: ProjectPaths) -> list[str]:
    """Return the folders of pictures."""
    return sorted(layout.relative(path) for path in layout.pictures.rglob("*") if path.is_dir())


def said(layout: ProjectPaths, name: str = FIRST) -> dict[str, Any]:
    """Return what a step says of itself."""
    data = (layout.archive_dir / name / "step.json").read_bytes()
    return dict(msgspec.json.decode(data))


def hostile(layout: ProjectPaths, data: bytes, name: str = FIRST) -> None:
    """Put a step there that somebody else has written."""
    (layout.archive_dir / name).mkdir(parents=True)
    (layout.archive_dir / name / "step.json").write_bytes(data)


def begun(*moves: tuple[str, str], **fields: Any) -> bytes:
    """Return a step that claims to be half-done."""
    listed = [{"source": source, "target": target} for source, target in moves]
    return msgspec.json.encode(
        {"schema": 1, "kind": "use", "state": "begun", "moves": listed, **fields}
    )


def refuse(*_: object, **__: object) -> None:
    """Stand in for a call that the disk does not know."""
    raise OSError(errno.EPERM, "Operation not permitted")


EVERY = 7 if SWEEP else 28
"""Of the moments at which a recovery is interrupted, how many are tried: 1 is all."""


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let the disk know hard links, or not."""
    if not request.param:
        monkeypatch.setattr(os, "link", refuse)
    return bool(request.param)


@pytest.fixture
def layout(tmp_path: Path) -> ProjectPaths:
    """Return a project with four pictures in two shots."""
    held = {place("1"): WHOLE[1], place("2"): WHOLE[2], place("3"): WHOLE[3]}
    return project(tmp_path / "shop", {**held, place("4", "2"): WHOLE[4]})


SHAPES: list[tuple[list[Move], dict[str, int]]] = [
    ([Move(place("1"), place("7"))], {place("7"): 1, place("2"): 2, place("3"): 3}),
    (
        [Move(place("1"), place("2")), Move(place("2"), place("1"))],
        {place("1"): 2, place("2"): 1, place("3"): 3},
    ),
    (
        [Move(place(a), place(b)) for a, b in ("12", "23", "31")],
        {place("1"): 3, place("2"): 1, place("3"): 2},
    ),
    (
        [Move(place(a), place(b)) for a, b in ("12", "23", "35")],
        {place("2"): 1, place("3"): 2, place("5"): 3},
    ),
    (
        [Move(place("1"), place("2")), Move(place("2"), place("9", "9"))],
        {place("2"): 1, place("9", "9"): 2, place("3"): 3},
    ),
]


@pytest.mark.parametrize(
    ("moves", "then"), SHAPES, ids=["move", "swap", "cycle", "chain", "into a new folder"]
)
def test_pictures_change_places_and_back(
    layout: ProjectPaths, moves: list[Move], then: dict[str, int], *, links: bool
) -> None:
    """Pictures are where the moves say, and taken back where they were, with their folders."""
    before, around = tree(layout), folders(layout)
    step = steps.perform(layout, "renumber", moves, wall=WALL)
    assert in_place(layout) == {
        place("4", "2"): WHOLE[4],
        **{name: WHOLE[at] for name, at in then.items()},
    }
    assert (step.kind, step.state, set(step.moves)) == ("renumber", "done", set(moves))
    taken, undo = steps.undo(layout, WALL) or pytest.fail("nothing to take back")
    assert (taken.kind, taken.undone, undo.kind, undo.state) == ("renumber", True, "undo", "done")
    assert tree(layout) == before
    assert folders(layout) == around


def test_what_stands_in_the_way_is_kept_and_comes_back(
    layout: ProjectPaths, *, links: bool
) -> None:
    """A picture that another replaces lies in the step's folder, until that is taken back."""
    before = tree(layout)
    step = steps.perform(layout, "use", [Move(place("1"), place("2"))], wall=WALL)
    kept = f"old_images/{FIRST}/clear/Shot_1/Beat_2.png"
    assert Move(place("2"), kept) in step.moves
    assert tree(layout)[kept] == WHOLE[2]
    assert in_place(layout)[place("2")] == WHOLE[1]
    steps.undo(layout, WALL)
    assert tree(layout) == before


def test_files_are_put_away(layout: ProjectPaths, *, links: bool) -> None:
    """What is moved away lies in the step's folder as runs keep it, others by their whole path."""
    project(layout.root, {"selected_images/a.png": b"a", "generated_images/step.json": b"mine"})
    before = tree(layout)
    away = [place("1"), place("4", "2"), "selected_images/a.png", "generated_images/step.json"]
    steps.perform(layout, "clean", wall=WALL, away=away)
    assert sorted(in_place(layout)) == [place("2"), place("3")]
    assert not (layout.pictures / "clear" / "Shot_2").exists()
    assert sorted(name for name in tree(layout) if name.startswith("old_images")) == [
        f"old_images/{FIRST}/_files/selected_images/a.png",
        f"old_images/{FIRST}/clear/Shot_1/Beat_1.png",
        f"old_images/{FIRST}/clear/Shot_2/Beat_4.png",
    ]
    mine = layout.archive_dir / FIRST / "_files" / "generated_images" / "step.json"
    assert mine.read_bytes() == b"mine"
    steps.undo(layout, WALL)
    assert tree(layout) == before


def test_small_files_are_written_in_the_same_step(layout: ProjectPaths, *, links: bool) -> None:
    """A file gets new bytes, the old ones are kept and come back; a new file goes away again."""
    project(layout.root, {"overrides.toml": b"old"})
    before = tree(layout)
    contents = {"overrides.toml": b"new", "image_selections.json": b"{}"}
    moves = [Move(place("1"), place("2")), Move(place("2"), place("1"))]
    steps.perform(layout, "renumber", moves, wall=WALL, contents=contents)
    after = in_place(layout)
    assert (after["overrides.toml"], after["image_selections.json"]) == (b"new", b"{}")
    assert after[place("1")] == WHOLE[2]
    assert tree(layout)[f"old_images/{FIRST}/_files/overrides.toml"] == b"old"
    steps.undo(layout, WALL)
    assert in_place(layout) == before
    kept = {name: data for name, data in tree(layout).items() if name.startswith("old_images")}
    assert kept == {
        f"old_images/{FIRST}-02/_files/overrides.toml": b"new",
        f"old_images/{FIRST}-02/_files/image_selections.json": b"{}",
    }


def test_small_files_can_become_something_else_when_taken_back(layout: ProjectPaths) -> None:
    """Taking back may write a file anew, where a person has changed it since."""
    project(layout.root, {"overrides.toml": b"old"})
    swap = [Move(place("1"), place("2")), Move(place("2"), place("1"))]
    steps.perform(layout, "renumber", swap, wall=WALL, contents={"overrides.toml": b"new"})
    (layout.root / "overrides.toml").write_bytes(b"new and mine")
    steps.undo(layout, WALL, contents={"overrides.toml": b"old and mine"})
    assert in_place(layout)["overrides.toml"] == b"old and mine"
    assert in_place(layout)[place("1")] == WHOLE[1]
    assert tree(layout)[f"old_images/{FIRST}-02/_files/overrides.toml"] == b"new and mine"


def test_the_callers_values_come_back(layout: ProjectPaths) -> None:
    """What undo has to set back besides files is handed back, also where no file moved."""
    steps.perform(layout, "use", wall=WALL, settled={"model": ["a", 1, None]})
    taken, undo = steps.undo(layout, WALL) or pytest.fail("nothing to take back")
    assert taken.settled == undo.settled == {"model": ["a", 1, None]}
    assert steps.undo(layout, WALL) is None


def test_steps_are_taken_back_one_after_the_other(layout: ProjectPaths, *, links: bool) -> None:
    """Taking back twice takes back the step before, and an undo is none that is taken back."""
    looks = [tree(layout)]
    for source, target in ("17", "72", "28"):
        steps.perform(layout, "renumber", [Move(place(source), place(target))], wall=WALL)
        looks.append(tree(layout))
    for look in reversed(looks[:-1]):
        assert steps.undo(layout, WALL) is not None
        assert in_place(layout) == {
            name: data for name, data in look.items() if not name.startswith("old_images")
        }
    assert steps.last(layout) is None
    assert steps.undo(layout, WALL) is None
    assert tree(layout) == looks[0]


def test_a_new_step_after_an_undo_is_taken_back_first(layout: ProjectPaths) -> None:
    """After an undo and another step, undo takes back that one and then the oldest."""
    for source, target in ("17", "28"):
        steps.perform(layout, "use", [Move(place(source), place(target))], wall=WALL)
    steps.undo(layout, WALL)
    steps.perform(layout, "clean", wall=WALL, away=[place("3")])
    kinds = [found[0].kind for found in iter(lambda: steps.undo(layout, WALL), None)]
    assert kinds == ["clean", "use"]


def test_what_came_since_is_kept_when_a_step_is_taken_back(layout: ProjectPaths) -> None:
    """A picture that was drawn where one comes back is kept in the undo's own folder."""
    steps.perform(layout, "clean", wall=WALL, away=[place("1")])
    project(layout.root, {place("1"): WHOLE[9]})
    steps.undo(layout, WALL)
    assert in_place(layout)[place("1")] == WHOLE[1]
    assert tree(layout)[f"old_images/{FIRST}-02/clear/Shot_1/Beat_1.png"] == WHOLE[9]


def test_missing_files_links_and_folders_do_not_move(layout: ProjectPaths) -> None:
    """What is no file is left alone and keeps nothing else from moving."""
    (layout.root / place("5")).symlink_to(layout.root / place("1"))
    (layout.root / place("6")).mkdir()
    moves = [Move(place(number), place(f"{number}0")) for number in "12569"]
    step = steps.perform(layout, "renumber", moves, wall=WALL)
    assert {move.source for move in step.moves} == {place("1"), place("2")}
    assert (layout.root / place("5")).is_symlink()
    assert (layout.root / place("6")).is_dir()


def test_where_nothing_moves_nothing_is_written(layout: ProjectPaths) -> None:
    """A step of nothing leaves no folder."""
    moves = [Move(place("9"), place("8")), Move(place("1"), place("1"))]
    step = steps.perform(layout, "renumber", moves, wall=WALL)
    assert (step.state, step.moves) == ("done", ())
    assert not layout.archive_dir.exists()


@pytest.mark.parametrize(
    "moves",
    [
        [Move(place("1"), place("8")), Move(place("2"), place("8"))],
        [Move(place("1"), place("8")), Move(place("1"), place("9"))],
        [Move(place("1"), place("8")), Move(place("2"), place("8") + "/deeper.png")],
        [Move(place("1"), "../elsewhere.png")],
        [Move("beats.json", place("8"))],
        [Move(place("1"), ".imagegen/run.json")],
        [Move(place("1"), f"old_images/{FIRST}/step.json")],
    ],
)
def test_a_callers_fault_is_told_and_changes_nothing(
    layout: ProjectPaths, moves: list[Move]
) -> None:
    """Two files for one place, one file for two, and paths that no step may touch are refused."""
    before = tree(layout)
    with pytest.raises(ValueError, match=r"moved twice|at once|no step may"):
        steps.perform(layout, "renumber", moves, wall=WALL)
    assert tree(layout) == before
    assert not layout.archive_dir.exists()


def test_a_disk_that_folds_case_has_one_place_for_two_spellings(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that the disk shows as a file under another spelling is that file's place."""
    other = place("1").replace("Beat_", "beat_")
    look = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: look(str(path).replace(other, place("1"))))
    moves = [Move(place("1"), place("2")), Move(place("2"), other)]
    steps.perform(layout, "renumber", moves, wall=WALL)
    assert in_place(layout)[place("1")] == WHOLE[2]
    assert Counter(tree(layout).values()) == Counter(WHOLE[at] for at in (1, 2, 3, 4))
    assert steps.perform(layout, "renumber", [Move(place("1"), other)], wall=WALL).moves == ()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_file_is_never_replaced(layout: ProjectPaths, kind: str) -> None:
    """A folder or a link where a file has to go is named, and nothing moves."""
    there = layout.root / place("8")
    if kind == "folder":
        there.mkdir()
    else:
        there.symlink_to(layout.root / place("3"))
    before = tree(layout)
    with pytest.raises(StorageError, match=r"Beat_8\.png is (no file|a symbolic link)"):
        steps.perform(layout, "renumber", [Move(place("1"), place("8"))], wall=WALL)
    assert tree(layout) == before
    assert not layout.archive_dir.exists()


def test_nothing_moves_through_a_link(layout: ProjectPaths, tmp_path: Path) -> None:
    """A folder that is a link leads out of the project: nothing is taken or put there."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "Beat_1.png").write_bytes(b"theirs")
    (layout.pictures / "clear" / "Shot_9").symlink_to(tmp_path / "elsewhere")
    for move in Move(place("1"), place("2", "9")), Move(place("1", "9"), place("8")):
        with pytest.raises(UsageError, match="is a symbolic link"):
            steps.perform(layout, "renumber", [move], wall=WALL)
    hostile(layout, begun((place("1"), place("2", "9"))))
    with pytest.raises(UsageError, match="is a symbolic link"):
        steps.recover(layout)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["Beat_1.png"]
    assert in_place(layout)[place("1")] == WHOLE[1]


def test_old_pictures_are_renamed_and_never_written_into(layout: ProjectPaths) -> None:
    """A picture that moved is the same file, with its time and one name."""
    before = (layout.root / place("1")).stat()
    steps.perform(layout, "renumber", [Move(place("1"), place("2"))], wall=WALL)
    after = (layout.root / place("2")).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (
        before.st_ino,
        before.st_mtime_ns,
        1,
    )


def test_two_names_of_one_file_move_like_two_files(layout: ProjectPaths) -> None:
    """Pictures that are hard links of each other swap, move and give way, and both stay."""
    (layout.root / place("5")).hardlink_to(layout.root / place("1"))
    before = tree(layout)
    swap = [Move(place("1"), place("5")), Move(place("5"), place("1"))]
    steps.perform(layout, "renumber", swap, wall=WALL)
    assert tree(layout) == before
    steps.perform(layout, "use", [Move(place("1"), place("5"))], wall=WALL)
    assert Counter(tree(layout).values()) == Counter(before.values())
    assert place("1") not in in_place(layout)
    for _ in range(2):
        steps.undo(layout, WALL)
    assert tree(layout) == before


def test_links_that_show_as_two_files_are_not_relied_on(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk whose links cannot be told from copies, pictures move and leave no second."""
    monkeypatch.setattr(os, "link", lambda source, to, **_: shutil.copy(source, to))
    moves = [Move(place("1"), place("2")), Move(place("3"), place("8"))]
    steps.perform(layout, "use", moves, wall=WALL)
    assert Counter(tree(layout).values()) == Counter(WHOLE[at] for at in (1, 2, 3, 4))
    assert in_place(layout)[place("2")] == WHOLE[1]


def test_folders_of_one_second_sort_in_their_order(layout: ProjectPaths) -> None:
    """Steps of one second, and those after a clock was set back, come after the ones before."""
    names = [steps.new_folder(layout, WALL).name for _ in range(3)]
    assert names == [FIRST, f"{FIRST}-02", f"{FIRST}-03"]
    assert steps.new_folder(layout, WALL - 60).name == f"{FIRST}-04"
    assert steps.new_folder(layout, WALL + 1).name == "2026-09-21T14-13-21Z"


def test_a_hundred_steps_of_one_second_are_taken_back_in_order(layout: ProjectPaths) -> None:
    """The newest of very many steps is the one that is taken back."""
    for number in range(98):
        steps.record_run(steps.new_folder(layout, WALL), f"run-{number}")
    steps.perform(layout, "ninety-ninth", wall=WALL, settled={"at": 99})
    steps.perform(layout, "hundredth", wall=WALL, settled={"at": 100})
    assert (layout.archive_dir / f"{FIRST}-100").is_dir()
    kinds = [found[0].kind for found in iter(lambda: steps.undo(layout, WALL), None)]
    assert kinds == ["hundredth", "ninety-ninth"]


def run_folder(layout: ProjectPaths, name: str = FIRST) -> Path:
    """Let a run have replaced two pictures, and kept what was no picture."""
    kept = {
        "clear/Shot_1/Beat_1.png": WHOLE[5],
        "clear/Shot_1/Beat_2.png": WHOLE[6],
        "clear/Shot_1/Beat_2 (2).png": WHOLE[7],
        "clear/Shot_1/Beat_3.png": WHOLE[8][:-1],
        "clear/Shot_1/notes.txt": b"mine",
        "clear/Beat_4.png": WHOLE[9],
    }
    project(layout.root, {f"old_images/{name}/{path}": data for path, data in kept.items()})
    return layout.archive_dir / name


@pytest.mark.parametrize("noted", [True, False])
def test_what_a_run_replaced_comes_back(layout: ProjectPaths, *, noted: bool, links: bool) -> None:
    """The whole pictures that a run replaced return, the run's own are kept, others stay."""
    folder = run_folder(layout)
    if noted:
        steps.record_run(folder, "20260921-abc")
        assert (said(layout)["kind"], said(layout)["run"]) == ("run", "20260921-abc")
    found = steps.last(layout) or pytest.fail("nothing to take back")
    assert found[0] == folder
    assert [move.source for move in found[1].moves] == [place("1"), place("2")]
    taken, _ = steps.undo(layout, WALL) or pytest.fail("nothing to take back")
    assert (taken.kind, taken.run) == ("run", "20260921-abc" if noted else None)
    now = in_place(layout)
    assert [now[place(number)] for number in "123"] == [WHOLE[5], WHOLE[6], WHOLE[3]]
    kept = tree(layout)
    assert kept[f"old_images/{FIRST}-02/clear/Shot_1/Beat_1.png"] == WHOLE[1]
    assert kept[f"old_images/{FIRST}-02/clear/Shot_1/Beat_2.png"] == WHOLE[2]
    assert kept[f"old_images/{FIRST}/clear/Shot_1/Beat_2 (2).png"] == WHOLE[7]
    assert said(layout)["undone"] is True
    assert steps.undo(layout, WALL) is None


def test_a_run_that_replaced_nothing_is_passed_over(layout: ProjectPaths) -> None:
    """Undo takes back the step before a run that only drew what was missing."""
    steps.perform(layout, "use", [Move(place("1"), place("8"))], wall=WALL)
    steps.record_run(steps.new_folder(layout, WALL), "1-a")
    steps.new_folder(layout, WALL)
    taken, _ = steps.undo(layout, WALL) or pytest.fail("nothing to take back")
    assert taken.kind == "use"


def test_folders_of_others_are_no_steps(layout: ProjectPaths, tmp_path: Path) -> None:
    """Folders with other names, files and links among the old pictures are left alone."""
    run_folder(layout, "my favourites")
    run_folder(layout, FIRST)
    (layout.archive_dir / FIRST).rename(tmp_path / "elsewhere")
    (layout.archive_dir / FIRST).symlink_to(tmp_path / "elsewhere")
    (layout.archive_dir / f"{FIRST}-02").write_bytes(b"")
    before = tree(layout)
    assert steps.last(layout) is None
    assert steps.recover(layout) is None
    assert steps.undo(layout, WALL) is None
    assert tree(layout) == before
    assert steps.new_folder(layout, WALL).name == f"{FIRST}-03"


PATHS = [
    "../theirs.png",
    "/etc/hostname",
    "generated_images/../../theirs.png",
    "generated_images/./x.png",
    "generated_images//x.png",
    "generated_images/.. /x.png",
    "generated_images",
    "generated_images/",
    "C:/x.png",
    "generated_images/C:x.png",
    "generated_images\\x.png",
    "generated_images/a\\..\\..\\x.png",
    "generated_images/a\0b.png",
    "generated_imagesx/a.png",
    ".imagegen/run.json",
    "beats.json",
    "overrides.toml/x",
    "a/overrides.toml",
    "overrides.toml\n",
    "old_images/x.png",
    f"old_images/{FIRST}/step.json",
    f"old_images/{FIRST}/STEP.json",
    f"old_images/{FIRST}/_staged/0",
    "generated_images/" + "a" * 5000,
    "",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("state", ["begun", "staged", "done"])
def test_a_step_that_leads_elsewhere_is_none(layout: ProjectPaths, path: str, state: str) -> None:
    """A step with a path that none of ours has is not followed, in neither direction."""
    (layout.root.parent / "theirs.png").write_bytes(b"theirs")
    assert not steps.is_place(path)
    for name, move in (FIRST, (path, place("8"))), (f"{FIRST}-02", (place("1"), path)):
        hostile(layout, begun(move, state=state), name)
        before = tree(layout)
        assert not steps.unfinished(layout)
        assert steps.recover(layout) is None
        assert steps.last(layout) is None
        assert steps.undo(layout, WALL) is None
        assert tree(layout) == before
    assert (layout.root.parent / "theirs.png").read_bytes() == b"theirs"


WHOLE_STEP = begun((place("1"), place("8")), settled={"a": 1})
STRANGE = [
    b"",
    b"{}",
    b"[]",
    b"\xff\xfe",
    b'{"schema":2' + WHOLE_STEP[len(b'{"schema":1') :],
    b"[" * 100_000,
    begun((place("1"), place("8")), state="odd"),
    begun((place("1"), place("8")), kind="k" * 65),
    begun((place("1"), place("8")), takes_back="../.."),
    begun((place("1"), place("8")), run="../.."),
    begun((place("1"), place("8")), (place("2"), place("8"))),
    begun((place("1"), place("8")), (place("1"), place("9"))),
    begun((place("1"), place("8")), (place("2"), place("8") + "/x.png")),
    WHOLE_STEP[:-1] + b',"settled":' + b"[" * 100_000,
    *(WHOLE_STEP[:cut] for cut in range(1, len(WHOLE_STEP), 7)),
]


@pytest.mark.parametrize("data", STRANGE, ids=range(len(STRANGE)))
def test_a_step_that_cannot_be_understood_is_none(layout: ProjectPaths, data: bytes) -> None:
    """Torn, odd and endless steps are not followed, and do not keep others from being done."""
    before = tree(layout)
    hostile(layout, data)
    assert not steps.unfinished(layout)
    assert steps.recover(layout) is None
    assert steps.last(layout) is None
    assert tree(layout) == before
    steps.perform(layout, "use", [Move(place("1"), place("8"))], wall=WALL)
    steps.undo(layout, WALL)
    assert tree(layout) == before
    assert (layout.archive_dir / FIRST / "step.json").read_bytes() == data


def test_a_step_that_is_too_large_or_a_link_is_none(layout: ProjectPaths, tmp_path: Path) -> None:
    """A step of many megabytes is not read, nor one that is a link."""
    hostile(layout, WHOLE_STEP)
    with (layout.archive_dir / FIRST / "step.json").open("r+b") as file:
        file.truncate(257 * 1024 * 1024)
    assert not steps.unfinished(layout)
    (tmp_path / "step.json").write_bytes(WHOLE_STEP)
    (layout.archive_dir / FIRST / "step.json").unlink()
    (layout.archive_dir / FIRST / "step.json").symlink_to(tmp_path / "step.json")
    assert not steps.unfinished(layout)
    assert steps.recover(layout) is None
    assert in_place(layout)[place("1")] == WHOLE[1]


@pytest.mark.parametrize("state", ["begun", "staged"])
def test_what_is_staged_but_no_file_is_left_alone(
    layout: ProjectPaths, tmp_path: Path, state: str
) -> None:
    """Links, folders and names without a move among staged files never come to be pictures."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    hostile(layout, begun((place("8"), place("9")), (place("2"), place("8")), state=state))
    staged = layout.archive_dir / FIRST / "_staged"
    staged.mkdir()
    (staged / "0").symlink_to(tmp_path / "theirs")
    (staged / "1").mkdir()
    for name in ("2", "99999", "01", "x"):
        (staged / name).write_bytes(b"x")
    with contextlib.suppress(StorageError):
        steps.recover(layout)
    assert in_place(layout)[place("1")] == WHOLE[1]
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert not (layout.root / place("9")).is_symlink()
    assert Counter(tree(layout).values())[b"x"] == 4


def test_a_disk_of_its_own_for_old_pictures_is_told(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be moved in one step nothing is, and the message says why."""
    before = tree(layout)
    rename = os.replace

    def apart(source: Any, target: Any, **options: Any) -> None:
        if ("old_images" in str(source)) != ("old_images" in str(target)):
            raise OSError(errno.EXDEV, "Invalid cross-device link", source, None, target)
        rename(source, target, **options)

    monkeypatch.setattr(os, "link", apart)
    monkeypatch.setattr(os, "replace", apart)
    with pytest.raises(StorageError, match="is on another disk"):
        steps.perform(layout, "use", [Move(place("1"), place("8"))], wall=WALL)
    assert tree(layout) == before
    assert not steps.unfinished(layout)
    assert list(layout.archive_dir.iterdir()) == []


def test_a_folder_that_must_not_be_written_in_stops_the_step_before_it_moves_a_file(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be ended is not begun."""
    before = tree(layout)
    monkeypatch.setattr(os, "access", lambda path, _: not str(path).endswith("Shot_2"))
    with pytest.raises(StorageError, match=r"not permitted to write in .*Shot_2"):
        steps.perform(layout, "use", [Move(place("1"), place("4", "2"))], wall=WALL)
    assert tree(layout) == before
    assert not steps.unfinished(layout)


def test_a_look_needs_no_old_pictures(layout: ProjectPaths) -> None:
    """A project without any step has none to finish or to take back."""
    assert not steps.unfinished(layout)
    assert steps.recover(layout) is None
    assert steps.last(layout) is None
    assert steps.undo(layout, WALL) is None
    assert not layout.archive_dir.exists()


HELD = {
    place("1"): WHOLE[1],
    place("2"): WHOLE[2],
    place("3", "2"): WHOLE[3],
    place("4"): WHOLE[4],
    place("5"): WHOLE[5],
    "overrides.toml": b"old",
}
MOVES = [
    Move(place("1"), place("2")),
    Move(place("2"), place("1")),
    Move(place("3", "2"), place("4")),
    Move(place("5"), place("6", "3")),
]


def changed(layout: ProjectPaths) -> None:
    """Swap, replace, move to a new folder, put away and write: all in one step."""
    contents = {"overrides.toml": b"new"}
    steps.perform(layout, "renumber", MOVES, wall=WALL, contents=contents)


def put_away(layout: ProjectPaths) -> None:
    """Move a picture along and one away."""
    moves = [Move(place("1"), place("2"))]
    steps.perform(layout, "clean", moves, wall=WALL, away=[place("2")])


def taken_back(layout: ProjectPaths) -> None:
    """Take the last step back."""
    steps.undo(layout, WALL)


def run_before(layout: ProjectPaths) -> None:
    """Let a run have replaced two pictures."""
    run_folder(layout)


def nothing(_: ProjectPaths) -> None:
    """Do nothing before."""


OPERATIONS = [
    (nothing, changed),
    (nothing, put_away),
    (changed, taken_back),
    (run_before, taken_back),
]
NAMES = ["perform", "away", "undo", "undo of a run"]


class Trial:
    """One operation, tried again and again from the same beginning."""

    def __init__(
        self,
        root: Path,
        first: Callable[[ProjectPaths], None],
        then: Callable[[ProjectPaths], None],
    ) -> None:
        self._root = root
        self._numbers = itertools.count()
        self._first = first
        self.then = then
        self.layout = self.fresh()
        self.before = tree(self.layout)
        self.begun = len(list(self.layout.archive_dir.glob("*/step.json")))
        with failing() as calls:
            then(self.layout)
        self.calls = list(calls)
        self.after = tree(self.layout)
        self.said = said_all(self.layout)
        self.always = {
            name
            for name in self.before.keys() & self.after.keys()
            if name.startswith("generated_images")
        }

    @property
    def changes(self) -> list[int]:
        """The calls at which a crash finds another disk than at the call before."""
        before = ["write", *self.calls]
        return [at for at in range(1, len(self.calls) + 1) if before[at - 1] != "fsync"]

    def fresh(self) -> ProjectPaths:
        """Return a project as it is before the operation."""
        root = self._root / str(next(self._numbers))
        layout = project(root, HELD)
        with failing():
            self._first(layout)
        self.layout = layout
        return layout

    def crash(self, at: int, then: Callable[[ProjectPaths], object]) -> bool:
        """Do something that ends at the call number `at`; False if it came to its end before."""
        try:
            with failing(at):
                then(self.layout)
        except Crash:
            return True
        return False

    @property
    def committed(self) -> bool:
        """Whether the step was written down before the crash."""
        own = f"{FIRST}-02" if self.then is taken_back else FIRST
        return (self.layout.archive_dir / own / "step.json").exists()

    def check(self) -> None:
        """Look whether all is either as before, or as the finished step leaves it."""
        self.check_nothing_unfinished()
        if self.committed:
            assert tree(self.layout) == self.after
            assert said_all(self.layout) == self.said
        else:
            assert tree(self.layout) == self.before
            assert len(list(self.layout.archive_dir.glob("*/step.json"))) == self.begun

    def check_nothing_unfinished(self) -> None:
        """Look whether anything says or shows that a step is half-done."""
        assert not steps.unfinished(self.layout)
        left = [path.name for path in self.layout.archive_dir.glob("*/*")]
        assert not [name for name in left if name in {"_staged", "_new"} or ".imagegen" in name]

    def drop(self) -> None:
        """Remove the project: there are thousands."""
        shutil.rmtree(self.layout.root)


def said_all(layout: ProjectPaths) -> dict[str, Any]:
    """Return what every step says of itself."""
    written = sorted(layout.archive_dir.glob("*/step.json"))
    return {path.parent.name: msgspec.json.decode(path.read_bytes()) for path in written}


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), OPERATIONS, ids=NAMES)
def test_a_crash_at_any_call_leaves_all_as_it_was_or_is_finished(
    tmp_path: Path,
    first: Callable[[ProjectPaths], None],
    then: Callable[[ProjectPaths], None],
    *,
    links: bool,
) -> None:
    """After a crash at each call to the disk, a recovery leaves no picture at a wrong place."""
    trial = Trial(tmp_path, first, then)
    assert trial.before != trial.after
    seen = set()
    for at in range(1, len(trial.calls) + 1):
        layout = trial.fresh()
        assert trial.crash(at, then)
        if links:
            assert trial.always <= tree(layout).keys()
        committed = trial.committed
        seen.add(committed)
        with failing():
            steps.recover(layout)
        trial.check()
        assert trial.committed is committed
        if not committed:
            with failing():
                then(layout)
            trial.check()
            assert trial.committed
        trial.drop()
    assert seen == {True, False}


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize(("first", "then"), OPERATIONS, ids=NAMES)
def test_a_crash_at_any_call_of_a_recovery_is_recovered_from(
    tmp_path: Path,
    first: Callable[[ProjectPaths], None],
    then: Callable[[ProjectPaths], None],
    *,
    links: bool,
) -> None:
    """A recovery that is interrupted at any call is carried on by the next."""
    trial = Trial(tmp_path, first, then)
    for at in trial.changes:
        # All pairs take minutes. A recovery has few calls more than what it finishes.
        for again in range(1 + at % EVERY, len(trial.calls) + 100, EVERY):
            layout = trial.fresh()
            assert trial.crash(at, then)
            interrupted = trial.crash(again, steps.recover)
            if links:
                assert trial.always <= tree(layout).keys()
            with failing():
                steps.recover(layout)
            trial.check()
            trial.drop()
            if not interrupted:
                break
        else:
            pytest.fail("a recovery without an end")


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), OPERATIONS, ids=NAMES)
def test_what_a_person_puts_there_after_a_crash_is_kept(
    tmp_path: Path,
    first: Callable[[ProjectPaths], None],
    then: Callable[[ProjectPaths], None],
    *,
    links: bool,
) -> None:
    """A file that came to a free place before the recovery is not overwritten by it."""
    trial = Trial(tmp_path, first, then)
    for at in range(1, len(trial.calls) + 1):
        layout = trial.fresh()
        trial.crash(at, then)
        here = Counter(tree(layout).values())
        came = 0
        for name in sorted(trial.before.keys() | trial.after.keys()):
            if not name.startswith("old_images") and not (layout.root / name).exists():
                came += 1
                project(layout.root, {name: b"a person's"})
        with failing():
            steps.recover(layout)
        now = Counter(tree(layout).values())
        assert now[b"a person's"] == came
        assert set(trial.before.values()) <= set(now)
        assert set(now) <= {*here, *trial.after.values(), b"a person's"}
        trial.check_nothing_unfinished()
        trial.drop()


@pytest.mark.parametrize(("first", "then"), OPERATIONS, ids=NAMES)
def test_a_disk_that_refuses_any_one_call_loses_nothing(
    tmp_path: Path,
    first: Callable[[ProjectPaths], None],
    then: Callable[[ProjectPaths], None],
    *,
    links: bool,
) -> None:
    """A refused step has changed nothing, or the next command finishes it."""
    trial = Trial(tmp_path, first, then)
    refused = 0
    for at in range(1, len(trial.calls) + 1):
        layout = trial.fresh()
        try:
            with failing(at, raising=full, only=True):
                then(layout)
        except StorageError:
            refused += 1
        with failing():
            steps.recover(layout)
        # An empty folder may stay where it could not be removed.
        assert not steps.unfinished(layout)
        assert tree(layout) in (trial.before, trial.after)
        trial.drop()
    assert refused


PLACES = [place(str(number), shot) for shot in "123" for number in range(4)]


@given(st.permutations(PLACES), st.permutations(PLACES), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=examples(60), deadline=None)
def test_any_step_can_be_taken_back(
    held: list[str], targets: list[str], pictures: int, moving: int
) -> None:
    """Whatever moves where, what is expected is there, and undo gives the very same tree."""
    with tempfile.TemporaryDirectory() as folder, failing():
        layout = project(Path(folder), {name: WHOLE[at] for at, name in enumerate(held[:pictures])})
        before, around = tree(layout), folders(layout)
        moves = list(map(Move, held[:moving], targets))
        steps.perform(layout, "renumber", moves, wall=WALL)
        come = {move.target: before[move.source] for move in moves if move.source in before}
        sources = {move.source for move in moves}
        stay = {name: data for name, data in before.items() if name not in sources}
        assert in_place(layout) == {**stay, **come}
        assert Counter(tree(layout).values()) == Counter(before.values())
        steps.undo(layout, WALL)
        assert tree(layout) == before
        assert folders(layout) == around
