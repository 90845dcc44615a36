"""What lies where a beat's picture belongs."""

import os
import sys
from pathlib import Path

import pytest

from builders import beat, picture, provenance
from imagegen import files
from imagegen.errors import UsageError
from imagegen.images import png
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths
from imagegen.workspace.survey import BeatImage, ImageState, survey

LATER = 4_000_000_000.0
"""Long after every file of a test was written."""


class Project:
    """A project with one beat, and what is at its place."""

    def __init__(self, root: Path) -> None:
        self.layout = ProjectPaths(root)
        self.layout.prepare()
        self.index = Index(self.layout.state_dir)
        self.path = self.layout.picture("clear", "1", "1.1")
        self.path.parent.mkdir(parents=True)

    def look(self) -> BeatImage:
        """Survey the one beat."""
        found = survey(self.layout, {"clear": [beat()]}, self.index, LATER)
        (surveyed,) = found.beats["clear"]
        return surveyed


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project without pictures."""
    return Project(tmp_path)


def test_an_empty_project_has_nothing(tmp_path: Path) -> None:
    """Where no folder was made yet, every beat of every style is without a picture."""
    layout = ProjectPaths(tmp_path)
    beats = {"clear": [beat("1"), beat("2")], "consistent": [beat("1", style="consistent")]}
    found = survey(layout, {**beats, "illustration": []}, Index(layout.state_dir), LATER).beats
    assert {style: [one.found for one in own] for style, own in found.items()} == {
        "clear": [ImageState.NOTHING, ImageState.NOTHING],
        "consistent": [ImageState.NOTHING],
        "illustration": [],
    }
    assert [one.beat.beat for one in found["clear"]] == ["1", "2"]


def test_a_whole_picture_is_there_with_what_it_says(project: Project) -> None:
    """A PNG of ours is the beat's picture, and its origin is known."""
    project.path.write_bytes(b"".join(png.add_metadata(picture(), provenance())))
    found = project.look()
    assert found.found is ImageState.VALID
    assert found.has_image
    assert found.whole is not None
    assert (found.whole.width, found.whole.height, found.provenance) == (8, 5, provenance())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_another_type_under_a_png_name_is_the_picture(project: Project, kind: str) -> None:
    """What the older tool saved as .png is the picture, once it is converted."""
    project.path.write_bytes(picture(kind=kind))
    assert project.look().found is ImageState.CONVERTIBLE
    assert project.look().has_image


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG", picture()[:-1], picture()[:40], b"<html>", b"GIF89a", bytes(1000)],
)
def test_torn_and_foreign_files_are_no_pictures(project: Project, data: bytes) -> None:
    """A torn PNG, an empty file or a page of an error is to be put aside."""
    project.path.write_bytes(data)
    assert project.look() == BeatImage(beat(), ImageState.INVALID)
    assert not project.look().has_image


def test_a_folder_with_the_name_of_a_picture_is_foreign(project: Project) -> None:
    """A folder at a picture's place is put aside like any foreign thing."""
    project.path.mkdir()
    assert project.look().found is ImageState.INVALID


def test_a_link_at_a_picture_s_place_is_foreign(project: Project) -> None:
    """A link is never followed, not even to a whole picture."""
    target = project.layout.root / "mine.png"
    target.write_bytes(picture())
    project.path.symlink_to(target)
    assert project.look().found is ImageState.INVALID
    target.unlink()
    assert project.look().found is ImageState.INVALID


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_at_a_picture_s_place_keeps_nobody_waiting(project: Project) -> None:
    """A pipe is foreign, and is not opened."""
    os.mkfifo(project.path)
    assert project.look().found is ImageState.INVALID


@pytest.mark.parametrize("depth", [0, 1])
def test_folders_that_are_links_are_refused(project: Project, depth: int) -> None:
    """A style's or a shot's folder that is a link ends the command before it starts."""
    folder = [project.path.parent.parent, project.path.parent][depth]
    folder.rename(project.layout.root / "elsewhere")
    folder.symlink_to(project.layout.root / "elsewhere")
    with pytest.raises(UsageError, match=f"{folder.name} is a symbolic link"):
        project.look()


def test_a_file_in_the_way_of_a_shot_is_refused(project: Project) -> None:
    """A file where a shot's folder belongs is named."""
    project.path.parent.rmdir()
    project.path.parent.write_bytes(b"")
    with pytest.raises(UsageError, match="Shot_1 is a file"):
        project.look()


def test_a_picture_that_cannot_be_read_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreadable picture is not taken for a missing one, which would be drawn again."""
    project.path.write_bytes(picture())

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"Beat_1\.1\.png cannot be read: Permission denied"):
        project.look()


def test_a_folder_that_cannot_be_read_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures in an unreadable folder are not taken for missing."""
    real = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("Shot_1"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match="Shot_1 cannot be read"):
        project.look()


def test_a_picture_that_goes_while_it_is_looked_for_is_missing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that a run moves away meanwhile is no error of whoever looks."""
    project.path.write_bytes(picture())
    read = Path.open

    def gone(path: Path, mode: str = "r", buffering: int = -1) -> object:
        project.path.unlink()
        return read(path, mode, buffering)

    monkeypatch.setattr(Path, "open", gone)
    assert project.look() == BeatImage(beat(), ImageState.NOTHING)


def test_a_picture_is_opened_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the index knows is not opened again, until the file changes."""
    project.path.write_bytes(b"".join(png.add_metadata(picture(), provenance())))
    seen = project.look()
    project.index.save()
    opened: list[Path] = []
    real = Path.open

    def watched(path: Path, mode: str = "r", buffering: int = -1) -> object:
        opened.append(path)
        return real(path, mode, buffering)

    monkeypatch.setattr(Path, "open", watched)
    project.index = Index(project.layout.state_dir)
    assert project.look() == seen
    assert opened == []
    with real(project.path, "ab") as file:
        file.truncate(60)
    assert project.look().found is ImageState.INVALID
    assert opened == [project.path]


def test_a_folder_is_read_once_for_all_its_beats(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at many beats of a shot costs one reading of its folder."""
    read: list[object] = []
    real = os.scandir

    def watched(folder: str) -> object:
        read.append(folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", watched)
    beats = [beat(str(number)) for number in range(50)]
    survey(project.layout, {"clear": beats}, project.index, LATER)
    assert read == [str(project.path.parent.parent), str(project.path.parent)]


def test_folders_with_half_written_files_are_named(project: Project) -> None:
    """What a crash left is found on the way, also in shots that the storyboard has lost."""
    elsewhere = project.layout.picture("clear", "9", "9.1")
    elsewhere.parent.mkdir()
    for folder in (elsewhere.parent, elsewhere.parent.parent):
        (folder / f"{files.TEMP_PREFIX}0123456789ab.tmp").write_bytes(b"half")
    found = survey(project.layout, {"clear": [beat()]}, project.index, LATER)
    assert sorted(found.unfinished) == [str(elsewhere.parent.parent), str(elsewhere.parent)]


@pytest.mark.parametrize("name", ["beat_1.1.PNG", "Beat_1.1.png"])
def test_a_name_in_other_letters_is_the_picture_where_the_disk_says_so(
    project: Project, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two spellings are one file, what lies there is found under either."""
    (project.path.parent / name).write_bytes(picture())
    monkeypatch.setattr(os.path, "lexists", lambda _: True)
    assert project.look().found is ImageState.VALID
