"""Beats files that are named with `--beats`: commands on one never take it for another."""

import json
from pathlib import Path

import pytest

from commands import Commands, Done, pictures, row

ONE_STYLE = 'provider = "sketch"\nimage_size = "512"\ndraw = ["clear"]\n'


def went_well(done: Done) -> Done:
    """Fail with what a command has said, unless it did what it was asked for."""
    assert done.code == 0, done.text
    return done


def said(done: Done) -> str:
    """Return what a refused command said, on one line."""
    assert done.code == 2, done.text
    return " ".join(done.err.split())


def insert(path: Path, rows: int = 3) -> Path:
    """Write a beats file in which a new beat stands before those of `Commands.project`."""
    new = row(0, ai_prompt="Something that nobody has drawn yet: zebras.")
    old = [row(n + 1, ai_prompt=f"prompt <{n}>") for n in range(rows)]
    path.write_text(json.dumps([new, *old]))
    return path


@pytest.fixture
def other(commands: Commands) -> Path:
    """Return a beats file of which the last run of `my-video` was, and not of its own beats."""
    root = commands.project(settings=ONE_STYLE)
    path = insert(root / "other.json")
    went_well(commands.run("run", root, "--beats", path))
    return path


@pytest.mark.parametrize("how", [("renumber",), ("renumber", "--dry-run"), ("run", "--renumber")])
def test_no_picture_of_other_beats_is_renumbered(
    commands: Commands, other: Path, how: tuple[str, ...]
) -> None:
    """What the last run drew of another storyboard is at its places, and stays there."""
    root = other.parent
    before = {path: path.read_bytes() for path in pictures(root)}
    told = said(commands.run(how[0], root, *how[1:]))
    assert "the last run read other.json (--beats), and this is beats.json" in told
    assert "Nothing was moved" in told
    assert f"imagegen renumber {root} --beats {root / 'beats.json'} goes by this one" in told
    assert 'beats = "other.json" in imagegen.toml' in told
    assert {path: path.read_bytes() for path in pictures(root)} == before


def test_beats_that_are_named_are_renumbered(commands: Commands, other: Path) -> None:
    """Whoever names a file means it."""
    named = ("--beats", other.parent / "beats.json")
    done = went_well(commands.run("renumber", other.parent, *named, "--dry-run"))
    assert "3 images would move" in done.out


@pytest.mark.parametrize(
    "asked",
    [
        ("run",),
        ("choose", "1.1", "clear"),
        ("status", "--check"),
        ("accept", "--all"),
        ("redraw", "clear/1.1"),
    ],
    ids=" ".join,
)
def test_after_a_run_of_other_beats_these_are_named(
    commands: Commands, other: Path, asked: tuple[str, ...]
) -> None:
    """Numbers seem to have moved: what helps is the other file, and not to renumber."""
    root = other.parent
    told = said(commands.run(asked[0], root, *asked[1:]))
    assert "beat numbers changed" in told
    assert "the last run read other.json, and this command reads beats.json" in told
    assert f"--beats {other} uses the first" in told
    assert f"--beats {root / 'beats.json'} the second" in told
    assert "renumber" not in told


@pytest.mark.parametrize(
    "asked",
    [
        ("run",),
        ("choose", "1.1", "clear"),
        ("use", "clear/1.1", "own.png"),
        ("skip", "clear/1.1"),
        ("accept", "--all"),
        ("redraw", "clear/1.1"),
        ("clean",),
        ("gallery",),
        ("status", "--check"),
    ],
    ids=" ".join,
)
def test_what_moves_pictures_along_names_the_beats(
    commands: Commands, asked: tuple[str, ...]
) -> None:
    """Where numbers of beats that were named have moved, to renumber others would do nothing."""
    root = commands.project(settings=ONE_STYLE)
    named = ("--beats", insert(root / "other.json"))
    own = root / "beats.json"
    went_well(commands.run("run", root, "--beats", own))
    (commands.folder / "own.png").write_bytes(pictures(root)[0].read_bytes())
    done = commands.run(asked[0], root, *asked[1:], *named)
    assert done.code == (0 if asked == ("gallery",) else 2)
    helps = f"imagegen renumber {root} --beats {named[1]}"
    assert f"{helps} moves the images, at no cost" in " ".join(done.err.split())


def test_a_resumed_run_names_the_beats_that_it_remembers(commands: Commands) -> None:
    """It was told of them by the run before."""
    root = commands.project(settings=ONE_STYLE)
    other = root / "other.json"
    other.write_text((root / "beats.json").read_text())
    went_well(commands.run("run", root, "--beats", other))
    insert(other)
    told = said(commands.run("resume", root))
    assert f"imagegen renumber {root} --beats {other} moves the images" in told


def test_what_has_its_picture_is_redrawn_from_the_same_beats(commands: Commands) -> None:
    """The hint of a refused `skip` names them too."""
    root = commands.project(settings=ONE_STYLE)
    named = ("--beats", insert(root / "other.json"))
    went_well(commands.run("run", root, *named))
    told = said(commands.run("skip", root, "clear/1.4", *named))
    assert f"imagegen redraw {root} clear/1.4 --beats {named[1]} draws it again" in told


def test_a_candidate_of_named_beats_is_kept_for_these(commands: Commands) -> None:
    """Every hint on the way names the file; without it the candidate is of unknown words."""
    root = commands.project(settings=ONE_STYLE)
    named = ("--beats", insert(root / "other.json"))
    asked = ("--beat", "clear/1.1", "--look", "Ink.", "-n", 1)
    tried = " ".join(went_well(commands.run("try", root, *asked, *named)).out.split())
    (candidate,) = (root / "tries").rglob("*.png")
    assert f"imagegen try {root} --keep {candidate} --beats {named[1]}" in tried
    assert f"imagegen try {root} --keep look --beats {named[1]} uses it for the style" in tried
    assert commands.run("try", root, "--keep", candidate).code == 2
    kept = went_well(commands.run("try", root, "--keep", candidate, *named)).out
    assert "Beat_1.1.png is that candidate now" in kept


def test_what_is_no_candidate_is_used_for_the_named_beats(commands: Commands) -> None:
    """The hint of a refused `try --keep` names the file."""
    root = commands.project(settings=ONE_STYLE)
    named = ("--beats", insert(root / "other.json"))
    went_well(commands.run("try", root, "--beat", "clear/1.1", "-n", 1, *named))
    (candidate,) = (root / "tries").rglob("*.png")
    named[1].write_text((root / "beats.json").read_text())
    told = said(commands.run("try", root, "--keep", candidate, *named))
    assert f"imagegen use {root} clear/1.1 {candidate} --beats {named[1]}" in told


def test_no_choice_is_left_over_of_other_beats(commands: Commands) -> None:
    """Choices of the last run's beats are not of beats that are gone; `clean` is refused."""
    root = commands.project(settings=ONE_STYLE)
    (root / "other.json").write_text(json.dumps([row(0), row(7)]))
    named = ("--beats", root / "other.json")
    went_well(commands.run("run", root, *named))
    went_well(commands.run("choose", root, "2.3", "clear", *named))
    listed = went_well(commands.run("choose", root, "--list")).text
    assert "gone" not in listed
    assert "clean" not in listed


@pytest.mark.slow
def test_what_is_said_of_choices_names_the_beats(commands: Commands, other: Path) -> None:
    """To choose again, and to clean, among the beats that were named."""
    root, named = other.parent, ("--beats", other)
    went_well(commands.run("choose", root, "1.1", "clear", *named))
    went_well(commands.run("choose", root, "1.4", "clear", *named))
    went_well(commands.run("redraw", root, "clear/1.1", "--prompt", "Another.", *named))
    insert(other, rows=2)
    stands = went_well(commands.run("status", root, *named)).out
    assert f"imagegen choose {root} --list --beats {other}" in stands
    listed = went_well(commands.run("choose", root, "--list", *named)).out
    assert f"imagegen choose {root} 1.1 clear --beats {other}" in listed
    assert f"imagegen clean {root} --beats {other}" in listed


def test_a_project_of_named_beats_alone_is_told_which(commands: Commands, other: Path) -> None:
    """Where it has none of its own the last run's are told, and no sample is advised."""
    root = other.parent
    for name in ("beats.json", "imagegen.toml"):
        (root / name).unlink()
        for asked in ("status", "check", "gallery"):
            told = said(commands.run(asked, root))
            assert f"no beats in {root}" in told
            assert f"the last run read other.json: name it with --beats {other}" in told
            assert 'beats = "other.json" in imagegen.toml keeps it' in told
            assert "imagegen init" not in told
    went_well(commands.run("status", root, "--beats", other))
