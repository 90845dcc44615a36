"""Where a project's files lie, and which folders are refused."""

from pathlib import Path

import pytest

from imagegen.errors import StorageError, UsageError
from imagegen.project.layout import ProjectPaths, reject_symlink


def test_every_file_has_its_place(tmp_path: Path) -> None:
    """Pictures, progress files and journals lie where scripts look for them."""
    layout = ProjectPaths(tmp_path)
    picture = layout.picture("clear", "1", "1.1")
    assert picture == layout.root / "generated_images" / "clear" / "Shot_1" / "Beat_1.1.png"
    assert layout.relative(picture) == "generated_images/clear/Shot_1/Beat_1.1.png"
    assert picture.parent.parent == layout.style_folder("clear")
    assert layout.progress("clear") == layout.root / "image_progress_clear.json"
    assert layout.journal("r-1") == layout.root / ".imagegen" / "runs" / "r-1.jsonl"
    assert layout.name == tmp_path.name


def test_our_folder_is_hidden_from_version_control(tmp_path: Path) -> None:
    """Preparing makes our folder with a .gitignore of everything, once."""
    layout = ProjectPaths(tmp_path)
    layout.prepare()
    assert (layout.state_dir / ".gitignore").read_text() == "*\n"
    assert layout.journal("r").parent.is_dir()
    (layout.state_dir / ".gitignore").write_text("mine")
    layout.prepare()
    assert (layout.state_dir / ".gitignore").read_text() == "mine"


def test_a_project_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A missing folder and a file are told apart, with what to do."""
    with pytest.raises(UsageError, match="no such folder") as caught:
        ProjectPaths(tmp_path / "missing")
    assert "imagegen init" in (caught.value.hint or "")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        ProjectPaths(tmp_path / "file")


def test_the_project_itself_may_be_a_link(tmp_path: Path) -> None:
    """A link to a project is that project, under its real name."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert ProjectPaths(tmp_path / "link").root == (tmp_path / "real").resolve()
    assert ProjectPaths(tmp_path / "link").name == "real"


@pytest.mark.parametrize("name", [".imagegen", "generated_images", "old_images"])
@pytest.mark.parametrize("target", ["outside", "inside", "nowhere"])
def test_folders_that_are_links_are_refused(tmp_path: Path, name: str, target: str) -> None:
    """Nothing is written through a link, wherever it leads."""
    project = tmp_path / "project"
    (project / "inside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (project / name).symlink_to({"outside": "../outside"}.get(target, target))
    with pytest.raises(UsageError, match=f"{name} is a symbolic link"):
        ProjectPaths(project)


def test_journals_are_not_kept_through_a_link(tmp_path: Path) -> None:
    """Old journals are deleted, so their folder may not be somebody's own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / ".imagegen").mkdir()
    (tmp_path / ".imagegen" / "runs").symlink_to(tmp_path / "mine")
    with pytest.raises(UsageError, match="runs is a symbolic link"):
        ProjectPaths(tmp_path).prepare()


def test_a_file_where_a_folder_belongs_is_refused(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "generated_images").write_text("")
    with pytest.raises(UsageError, match="generated_images is a file") as caught:
        ProjectPaths(tmp_path)
    assert caught.value.exit_code == 2


def test_what_is_not_there_is_no_link(tmp_path: Path) -> None:
    """A folder that is missing or real is fine."""
    reject_symlink(tmp_path)
    reject_symlink(tmp_path / "missing")


def test_a_project_that_takes_no_folder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where our folder cannot be made, the reason is told in words."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    layout = ProjectPaths(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="not permitted"):
        layout.prepare()
