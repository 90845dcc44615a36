"""Files that are edited while a run draws what it read from them."""

import os
from pathlib import Path

import pytest

from imagegen.workspace.file_watch import FileWatch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project with a beats file."""
    (tmp_path / "beats.json").write_text("[]")
    return tmp_path


def test_files_that_stay_are_not_told(root: Path) -> None:
    """Nor is a file that never was there."""
    edited = FileWatch(root, ["beats.json", "imagegen.toml"])
    assert list(edited.changed()) == []
    assert list(edited.changed()) == []


def test_a_file_that_changes_is_told_once(root: Path) -> None:
    """However often it is looked at, and however it changes after that."""
    edited = FileWatch(root, ["beats.json", "imagegen.toml"])
    (root / "beats.json").write_text("[1]")
    assert list(edited.changed()) == ["beats.json"]
    (root / "beats.json").write_text("[1, 2]")
    assert list(edited.changed()) == []


def test_a_file_that_comes_goes_or_is_replaced_has_changed(root: Path) -> None:
    """As editors do it that write beside a file and rename."""
    before = (root / "beats.json").stat()
    edited = FileWatch(root, ["beats.json", "imagegen.toml", "prompts/prompts-clear.json"])
    (root / "other").write_text("[]")
    os.utime(root / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
    (root / "other").replace(root / "beats.json")
    (root / "imagegen.toml").write_text("")
    assert list(edited.changed()) == ["beats.json", "imagegen.toml"]
    gone = FileWatch(root, ["beats.json"])
    (root / "beats.json").unlink()
    assert list(gone.changed()) == ["beats.json"]


def test_a_path_outside_may_be_named_too(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As `--beats` does."""
    outside = tmp_path_factory.mktemp("outside") / "beats.csv"
    outside.write_text("")
    edited = FileWatch(root, [outside.as_posix()])
    outside.write_text("shot_number")
    assert list(edited.changed()) == [outside.as_posix()]
