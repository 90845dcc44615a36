"""Several copies of a project, summed up."""

import json
from pathlib import Path

import pytest

from commands import Commands
from imagegen.project.beat_status import Status
from imagegen.review.several_copies import SeveralStatus, Sum
from imagegen.review.status import project_status
from project_copies import STYLES, WALL, Copy


def summed(*copies: Copy) -> SeveralStatus:
    """Return the sum of these copies."""
    total = Sum()
    for copy in copies:
        project = copy.project
        total.add(str(copy.root), project, project_status(project, WALL))
    return total.result()


def test_a_beat_counts_once_by_the_best_of_all_copies(tmp_path: Path) -> None:
    """Complete if any copy has its image, in error if none has and one has failed."""
    one, two = Copy(tmp_path / "one", 4), Copy(tmp_path / "two", 4)
    for address in ("clear/1.1", "clear/1.2"):
        one.draw(address)
    two.draw("clear/1.1")
    two.draw("clear/1.3")
    failed = {"shot": "1", "cause": "refused", "reason": "SAFETY", "message": "not drawn"}
    errors = [{"beat": "1.2", **failed}, {"beat": "1.4", **failed}]
    (two.root / "image_progress_clear.json").write_text(json.dumps({"errors": errors}))
    states = summed(two).copies[0].status.styles["clear"].beats
    assert [state.status for state in states].count(Status.ERROR) == 2
    found = summed(one, two)
    clear, consistent = (found.total[style] for style in STYLES)
    assert (clear.total, clear.complete, clear.error, clear.pending) == (4, 3, 1, 0)
    assert (consistent.total, consistent.pending) == (4, 4)
    assert found.check == 3
    for n in range(1, 5):
        one.draw(f"consistent/1.{n}")
    assert summed(one, two).check == 1
    two.draw("clear/1.4")
    assert summed(one, two).check == 0
    assert summed(two).check == 3


def test_other_storyboards_add_up(tmp_path: Path) -> None:
    """A beat with another prompt is another beat, though its number is the same."""
    one, two = Copy(tmp_path / "one", 3), Copy(tmp_path / "two", 2, prompt="other")
    one.draw("clear/1.1")
    clear = summed(one, two).total["clear"]
    assert (clear.total, clear.complete, clear.pending) == (5, 1, 4)


@pytest.mark.slow
def test_the_command_shows_a_line_for_each_copy(commands: Commands) -> None:
    """With its shard, and the sum; `--check` is by the sum, `--json` has all of it."""
    roots = [
        commands.project(name, settings='provider = "sketch"\nimage_size = "512"\n')
        for name in ("a", "b", "c")
    ]
    for number, root in enumerate(roots[:2], 1):
        assert commands.run("run", root, "--shard", f"{number}/3").code == 0
    done = commands.run("status", "--all", *roots[:2], roots[0] / ".", "--check")
    assert done.code == 3
    lines = [line.split() for line in done.out.splitlines()]
    assert [str(roots[1]), "2/3:", "3/3", "3/9", "0", "6", "exit", "0"] in lines
    assert ["total", "6/9", "0", "3"] in lines
    assert done.out.count("exit 0") == 2
    assert commands.run("run", roots[2], "--shard", "3/3").code == 0
    assert commands.run("status", "--all", *roots, "--check").code == 0
    said = json.loads(commands.run("status", "--all", *roots, "--json").out)
    assert [copy["path"] for copy in said["copies"]] == [str(root) for root in roots]
    assert said["copies"][2]["status"]["shard"]["shard"] == "3/3"
    assert {style["complete"] for style in said["total"].values()} == {3}


def test_what_cannot_be_summed_up_is_refused(commands: Commands) -> None:
    """A folder that is not there, `--watch`, and several projects without `--all`."""
    root = commands.project(settings='provider = "sketch"\nimage_size = "512"\n')
    other = commands.project("other", settings='provider = "sketch"\nimage_size = "512"\n')
    for words in (["--all", root, "nowhere"], ["--all", root, other, "--watch"]):
        assert commands.run("status", *words).code == 2
    done = commands.run("status", root, other)
    assert done.code == 2
    assert "status --all" in done.err


def test_changed_numbers_are_found_in_any_copy(commands: Commands) -> None:
    """As for one project: what is missing is not known then, and `--check` exits with 2."""
    roots = [
        commands.project(name, settings='provider = "sketch"\nimage_size = "512"\n')
        for name in ("a", "b")
    ]
    assert commands.run("run", roots[1], "--style", "clear").code == 0
    rows = json.loads((roots[1] / "beats.json").read_text())
    rows[0]["beat_number"], rows[1]["beat_number"] = "1.2", "1.1"
    (roots[1] / "beats.json").write_text(json.dumps(rows))
    assert commands.run("status", "--all", *roots).code == 0
    assert commands.run("status", "--all", *roots, "--check").code == 2
