"""A project is put right before the first request is paid for."""

import io
import shutil
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from builders import beat, picture
from imagegen import files
from imagegen.errors import UsageError
from imagegen.project.layout import ProjectPaths
from imagegen.runs import prepare
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState, Survey, inspect_image

Usage = namedtuple("Usage", ["total", "used", "free"])  # noqa: PYI024  # as shutil has it


@pytest.fixture
def layout(tmp_path: Path) -> ProjectPaths:
    """Return an empty project."""
    return ProjectPaths(tmp_path)


class Aside:
    """A project with one picture file, put right."""

    def __init__(self, layout: ProjectPaths, data: bytes, *, draw: bool = False) -> None:
        self.layout = layout
        self.path = layout.picture("clear", "1", "1.1")
        files.make_folder(self.path.parent)
        self.path.write_bytes(data)
        self.warnings: list[str] = []
        self.old = layout.archive_dir / "2026-11-22T12-00-00Z"
        self.kept = self.old / "clear" / "Shot_1" / "Beat_1.1.png"
        found, _ = inspect_image(self.path)
        self.plan = Plan(styles={"clear": (Planned(beat(), found, draw),)}, unselected_count=3)

    def put_right(self) -> Planned:
        """Put the project right and return what is planned for its beat then."""
        plan = prepare.repair_images(self.layout, self.plan, self.old, self.warnings.append)
        assert plan.unselected_count == 3
        (planned,) = plan.styles["clear"]
        return planned


def test_trying_the_disk_leaves_nothing_behind(layout: ProjectPaths) -> None:
    """A project that can be written to is ready, with no trial file left."""
    prepare.check_disk(layout)
    assert list(layout.pictures.iterdir()) == []
    assert layout.state_dir.is_dir()


def test_a_full_disk_ends_before_anything_starts(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too little free space nothing is drawn, exit 2."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 10 * 1024**2))
    with pytest.raises(UsageError, match="only 10 MB free") as caught:
        prepare.check_disk(layout)
    assert caught.value.exit_code == 2


def test_a_disk_that_takes_no_file_ends_before_anything_starts(
    layout: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the trial fails, the reason and what helps are told, exit 2."""

    def refuse(path: Path, _: bytes) -> None:
        raise files.storage_error(OSError(28, "No space left on device"), path)

    layout.prepare()
    monkeypatch.setattr(files, "write", refuse)
    with pytest.raises(UsageError, match="nothing can be drawn: the disk is full") as caught:
        prepare.check_disk(layout)
    assert "free some space" in (caught.value.hint or "")


def test_a_file_where_pictures_belong_ends_before_anything_starts(layout: ProjectPaths) -> None:
    """A file in the way of the pictures' folder is exit 2."""
    layout.pictures.write_bytes(b"")
    with pytest.raises(UsageError, match="there is a file in its place"):
        prepare.check_disk(layout)


def test_leftovers_of_a_crash_are_swept(layout: ProjectPaths, tmp_path: Path) -> None:
    """Half-written files go from every folder that we write to, and nothing else does."""
    layout.prepare()
    places = [
        layout.root,
        layout.state_dir,
        layout.pictures,
        layout.style_folder("clear"),
        layout.picture("clear", "1", "1.1").parent,
        layout.picture("clear", "2", "2.1").parent,
    ]
    for place in places:
        files.make_folder(place)
        (place / f"{files.TEMP_PREFIX}0123456789ab.tmp").write_bytes(b"half")
        (place / "Beat_1.1.png").write_bytes(b"whole")
    prepare.remove_temp_files(layout, Survey(beats={}))
    assert not list(tmp_path.rglob(f"{files.TEMP_PREFIX}*"))
    assert all((place / "Beat_1.1.png").exists() for place in places)


def test_nothing_is_swept_through_links(layout: ProjectPaths) -> None:
    """Folders that are links are left alone."""
    outside = layout.root / "outside"
    left = outside / f"{files.TEMP_PREFIX}0123456789ab.tmp"
    files.make_folder(outside)
    left.write_bytes(b"theirs")
    files.make_folder(layout.style_folder("clear"))
    (layout.style_folder("clear") / "Shot_1").symlink_to(outside)
    prepare.remove_temp_files(layout, Survey(beats={}))
    assert left.exists()


def test_whole_pictures_are_left_alone(layout: ProjectPaths) -> None:
    """A whole PNG is neither moved nor written, whether it is drawn again or not."""
    project = Aside(layout, picture(), draw=True)
    assert project.put_right() == project.plan.styles["clear"][0]
    assert not layout.archive_dir.exists()
    assert project.warnings == []


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("draw", [True, False])
def test_another_type_is_converted_in_its_place(
    layout: ProjectPaths, kind: str, *, draw: bool
) -> None:
    """A JPEG or WebP becomes a PNG of the same size, and the original is kept."""
    data = picture(64, 36, kind=kind)
    project = Aside(layout, data, draw=draw)
    planned = project.put_right()
    assert (planned.found, planned.draw) == (ImageState.VALID, draw)
    assert project.kept.read_bytes() == data
    with Image.open(io.BytesIO(project.path.read_bytes())) as image:
        assert (image.format, image.size) == ("PNG", (64, 36))
    assert project.warnings == []


@pytest.mark.parametrize("data", [b"<html>", picture()[:-5], picture(kind="JPEG")[:-50]])
def test_what_is_no_picture_is_put_aside_and_drawn(layout: ProjectPaths, data: bytes) -> None:
    """A torn or foreign file is kept in old_images, said, and its beat is drawn."""
    project = Aside(layout, data)
    planned = project.put_right()
    assert (planned.found, planned.draw) == (ImageState.NOTHING, True)
    assert project.kept.read_bytes() == data
    assert not project.path.exists()
    assert "generated_images/clear/Shot_1/Beat_1.1.png" in project.warnings[-1]
    assert "old_images/2026-11-22T12-00-00Z/clear/Shot_1/Beat_1.1.png" in project.warnings[-1]


@pytest.mark.parametrize("settled", [{"waived": True}, {"blocked_by": ("1", "1.0")}])
def test_what_is_put_aside_is_drawn_only_where_its_beat_may_be(
    layout: ProjectPaths, settled: Mapping[str, Any]
) -> None:
    """A beat that needs no picture, or waits for another, does so whatever lies in its place."""
    project = Aside(layout, b"<html>")
    (planned,) = project.plan.styles["clear"]
    planned = msgspec.structs.replace(planned, **settled)
    project.plan = Plan(styles={"clear": (planned,)}, unselected_count=3)
    assert project.put_right() == msgspec.structs.replace(planned, found=ImageState.NOTHING)
    assert project.kept.read_bytes() == b"<html>"
    assert not project.path.exists()
    assert "drawn again" not in project.warnings[-1]


def test_a_second_thing_put_aside_leaves_the_first(layout: ProjectPaths) -> None:
    """Two runs within one second lose nothing, and each says where its file went."""
    for data in (b"first", b"second"):
        project = Aside(layout, data)
        project.put_right()
    kept = sorted(path.read_bytes() for path in project.kept.parent.iterdir())
    assert kept == [b"first", b"second"]
    said = project.warnings[-1].split("moved to ")[1].split(",")[0]
    assert (layout.root / said).read_bytes() == b"second"


def test_a_link_is_put_aside_itself(layout: ProjectPaths) -> None:
    """A link at a picture's place is moved; what it points to stays."""
    project = Aside(layout, b"<html>")
    project.path.unlink()
    target = layout.root / "mine.png"
    target.write_bytes(picture())
    project.path.symlink_to(target)
    assert project.put_right().draw
    assert project.kept.is_symlink()
    assert target.read_bytes() == picture()


def test_a_folder_is_put_aside_whole(layout: ProjectPaths) -> None:
    """A folder at a picture's place is moved with what is in it."""
    project = Aside(layout, b"<html>")
    project.path.unlink()
    project.path.mkdir()
    (project.path / "notes").write_bytes(b"mine")
    assert project.put_right().draw
    assert (project.kept / "notes").read_bytes() == b"mine"


def test_nothing_is_moved_through_a_link(layout: ProjectPaths) -> None:
    """A shot's folder that became a link since it was looked at is refused."""
    project = Aside(layout, b"<html>")
    shot = project.path.parent
    shot.rename(layout.root / "elsewhere")
    shot.symlink_to(layout.root / "elsewhere")
    with pytest.raises(UsageError, match="Shot_1 is a symbolic link"):
        project.put_right()
