"""Exports of the chosen images: which image is which beat's, and when an export is outdated."""

import json
import os
from pathlib import Path

import pytest

from builders import picture
from commands import Commands
from exports import choose, make, read, row
from imagegen.errors import UsageError
from imagegen.export import record, selection
from imagegen.export.record import ExportRecord
from imagegen.export.selection import Missing

NUMBERS = ("1.1", "1.2", "2.1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project with an image of each beat in two styles, of which none is chosen."""
    return make(tmp_path / "film", [row(number, f"Says {number}.") for number in NUMBERS])


def test_exports_the_copies_of_chosen_images_in_order(root: Path) -> None:
    """The image of a beat is its copy in selected_images, whatever order they were chosen in."""
    choose(root, "clear", "2.1", "1.2")
    choose(root, "consistent", "1.1", flagged=True)
    found = selection.select(read(root))
    images = [one.image for one in found]
    assert [one.beat for one in found] == list(NUMBERS)
    assert [image and image.style for image in images] == ["consistent", "clear", "clear"]
    assert [image and image.name for image in images] == [
        "Beat_1.1_flagged",
        "Beat_1.2",
        "Beat_2.1",
    ]
    assert all(image and image.path.parent.name == "selected_images" for image in images)


def test_takes_the_generated_image_if_the_copy_is_missing(root: Path) -> None:
    """A choice of another tool may have no copy."""
    choose(root, "clear", *NUMBERS)
    (root / "selected_images/Beat_1.2.png").unlink()
    image = selection.select(read(root))[1].image
    assert image is not None
    assert image.path == root.resolve() / "generated_images/clear/Shot_1/Beat_1.2.png"


def test_names_beats_without_a_choice(root: Path) -> None:
    """By default an export fails if a beat has no image."""
    choose(root, "clear", "1.1")
    with pytest.raises(UsageError, match=r"2 beats have no chosen image: 1\.2, 2\.1"):
        selection.select(read(root))


def test_holds_the_image_before(root: Path) -> None:
    """With hold the image before stays, and at the beginning the first that there is."""
    choose(root, "clear", "1.2")
    found = selection.select(read(root), Missing.HOLD)
    assert [one.image and one.image.beat for one in found] == ["1.2", "1.2", "1.2"]
    assert [one.held for one in found] == [True, False, True]


def test_skips_beats_without_a_choice(root: Path) -> None:
    """With skip they have no image."""
    choose(root, "clear", "1.2")
    found = selection.select(read(root), Missing.SKIP)
    assert [one.image is None for one in found] == [True, False, True]


@pytest.mark.parametrize("missing", list(Missing))
def test_refuses_an_export_without_any_image(root: Path, missing: Missing) -> None:
    """Whatever is missing: without a single image there is nothing to export."""
    with pytest.raises(UsageError, match="no beat has a chosen image"):
        selection.select(read(root), missing)


def test_uses_another_style_for_the_rest(root: Path) -> None:
    """`--choose` uses a style for beats without a choice, and chooses nothing."""
    choose(root, "consistent", "1.2")
    found = selection.select(read(root), fallback="clear")
    assert [one.image and one.image.style for one in found] == ["clear", "consistent", "clear"]
    assert [one.image and one.image.name for one in found] == ["Beat_1.1", "Beat_1.2", "Beat_2.1"]
    assert len(json.loads((root / "image_selections.json").read_bytes())) == 1
    with pytest.raises(UsageError, match='no style "clera"'):
        selection.select(read(root), fallback="clera")


def exported(root: Path, **fields: object) -> None:
    """Leave the record of an export as a kind does."""
    project = read(root)
    images = tuple(
        record.image_record(project, image, {}) for image in selection.source_images(project)
    )
    (root / "export").mkdir(exist_ok=True)
    details = {"kind": "timeline", "images": images} | fields
    record.write(root / "export", ExportRecord(**details))  # type: ignore[arg-type]


def outdated(root: Path) -> list[tuple[str, ...]]:
    """Return the outdated beats of each export."""
    return [one.outdated for one in record.standings(read(root))]


def test_knows_which_beats_have_changed_since(root: Path) -> None:
    """Another choice, another content and a new choice are changes; another time is none."""
    choose(root, "clear", "1.1", "1.2")
    exported(root)
    os.utime(root / "selected_images/Beat_1.1.png", (1, 1))
    assert outdated(root) == [()]
    choose(root, "consistent", "1.1")
    (root / "selected_images/Beat_1.2.png").write_bytes(picture(3, 3))
    choose(root, "clear", "2.1")
    assert outdated(root) == [("1.1", "1.2", "2.1")]
    (root / "image_selections.json").write_text("{}")
    assert outdated(root) == [("1.1", "1.2")]


def test_an_export_of_some_images_knows_only_these(root: Path) -> None:
    """An export that does not follow the choices is outdated only if its own images changed."""
    choose(root, "clear", "1.1", "1.2")
    exported(root, follows_choices=False)
    choose(root, "clear", "2.1")
    assert outdated(root) == [()]
    (root / "selected_images/Beat_1.2.png").write_bytes(picture(3, 3))
    assert outdated(root) == [("1.2",)]


@pytest.mark.parametrize("said", ["", "{", "[]", '{"kind": 3}', '{"schema": 1}'])
def test_ignores_a_record_that_is_not_one(root: Path, said: str) -> None:
    """A torn record is as none: the next export writes it."""
    (root / "export").mkdir()
    (root / "export" / record.FILE).write_text(said)
    assert outdated(root) == []


def test_replaces_no_file_of_another_program(tmp_path: Path) -> None:
    """Only files that the record names are replaced."""
    (tmp_path / "a.csv").write_text("mine")
    record.require_ours(tmp_path, ["b.csv"], None)
    record.require_ours(tmp_path, ["a.csv"], ExportRecord(kind="x", files={"a.csv": ""}))
    with pytest.raises(UsageError, match=r"a\.csv is not from an export"):
        record.require_ours(tmp_path, ["a.csv"], ExportRecord(kind="x"))


def test_status_says_what_updates_an_export(root: Path, commands: Commands) -> None:
    """`status` counts the beats that changed, and prints the command with its options."""
    choose(root, "clear", *NUMBERS)
    exported(root, options=("--fps", "25"))
    choose(root, "consistent", "1.1")
    shown = commands.run("status", str(root))
    assert "timeline 1 outdated: 1.1" in shown.out
    assert f"imagegen export timeline {root} --fps 25" in shown.out.replace("\n", " ")
    found = json.loads(commands.run("status", str(root), "--json").out)["exports"]
    assert found == [
        {"kind": "timeline", "folder": "export", "outdated": ["1.1"], "options": ["--fps", "25"]}
    ]
