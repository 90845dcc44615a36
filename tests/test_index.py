"""The index: a picture is opened once, and never believed beyond what was seen."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import picture, provenance
from imagegen import files
from imagegen.errors import StorageError
from imagegen.images import png
from imagegen.project.index import Index
from imagegen.project.record import DrawRequest
from imagegen.workspace import survey
from imagegen.workspace.reading import read_project

WHOLE = png.PngInfo(8, 5, provenance(look=png.Hash("cd", "default")))
NAME = "generated_images/clear/Shot_1/Beat_1.1.png"


def settled(folder: Path) -> tuple[os.stat_result, float]:
    """Return a file that was last changed a minute ago, and the time now."""
    path = folder / "picture"
    path.write_bytes(b"12345")
    found = path.stat()
    return found, found.st_mtime + 60


def test_what_was_added_is_found_by_the_next_command(tmp_path: Path) -> None:
    """A picture that was looked at once is known, with what it says, after saving."""
    found, now = settled(tmp_path)
    index = Index(tmp_path)
    assert index.find(NAME, found) is None
    index.add(NAME, found, WHOLE, now)
    assert index.find(NAME, found) == WHOLE
    index.save()
    assert Index(tmp_path).find(NAME, found) == WHOLE
    assert Index(tmp_path).find("another", found) is None


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_not_believed(tmp_path: Path, change: str) -> None:
    """A file of another size or time of change is looked at anew."""
    found, now = settled(tmp_path)
    index = Index(tmp_path)
    index.add(NAME, found, WHOLE, now)
    path = tmp_path / "picture"
    if change == "size":
        path.write_bytes(b"123456")
        os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))
    else:
        os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns + 1000))
    assert index.find(NAME, path.stat()) is None


def test_a_file_changed_just_now_is_not_entered(tmp_path: Path) -> None:
    """Within two seconds a second change could leave size and time as they were."""
    found, _ = settled(tmp_path)
    index = Index(tmp_path)
    for age in (-100, 0, 1.9):
        index.add(NAME, found, WHOLE, found.st_mtime + age)
        assert index.find(NAME, found) is None
    index.add(NAME, found, WHOLE, found.st_mtime + 2.1)
    assert index.find(NAME, found) == WHOLE


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    """An index in which nothing has changed leaves its file alone."""
    folder = tmp_path / "ours"
    folder.mkdir()
    Index(folder).save()
    assert list(folder.iterdir()) == []


def test_a_torn_index_is_made_anew(tmp_path: Path) -> None:
    """Wherever an index is cut, the next command begins an empty one and saves it."""
    found, now = settled(tmp_path)
    index = Index(tmp_path)
    index.add(NAME, found, WHOLE, now)
    index.save()
    (file,) = [path for path in tmp_path.iterdir() if path.name != "picture"]
    data = file.read_bytes()
    for size in range(len(data)):
        file.write_bytes(data[:size])
        assert Index(tmp_path).find(NAME, found) is None
    index = Index(tmp_path)
    index.save()
    assert file.read_bytes() not in {data, data[:-1]}


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_an_index_that_is_no_file_is_none(tmp_path: Path, kind: str) -> None:
    """A folder or a link at the index's place is not read."""
    found, now = settled(tmp_path)
    real = tmp_path / "real"
    real.mkdir()
    index = Index(real)
    index.add(NAME, found, WHOLE, now)
    index.save()
    (file,) = real.iterdir()
    other = tmp_path / "other"
    other.mkdir()
    if kind == "folder":
        (other / file.name).mkdir()
    else:
        (other / file.name).symlink_to(file)
    assert Index(other).find(NAME, found) is None


@settings(deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9) | st.binary(),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.text(max_size=8) | st.just("entries"), inner, max_size=4)
            ),
        ).map(msgspec.msgpack.encode),
        st.binary(min_size=1, max_size=9).map(
            lambda name: b"\x82\xa6schema\x01\xa7entries\x81" + bytes([0xA0 + len(name)]) + name
        ),
    )
)
def test_any_bytes_are_an_index_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """An index of somebody else's making, also with names that are no text, raises nothing."""
    folder = tmp_path_factory.mktemp("ours")
    (folder / "index").write_bytes(data)
    Index(folder).save()


def test_what_is_known_goes_along_when_files_change_places(tmp_path: Path) -> None:
    """Pictures that swap numbers need not be opened again, and no old path is kept."""
    found, now = settled(tmp_path)
    other = png.PngInfo(9, 6, provenance(beat="1.2"))
    index = Index(tmp_path)
    index.add("a", found, WHOLE, now)
    index.add("b", found, other, now)
    index.move({"a": "b", "b": "c", "unknown": "a"})
    index.save()
    after = Index(tmp_path)
    assert [after.find(name, found) for name in ("a", "b", "c")] == [None, WHOLE, other]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return a project that imagegen never ran in, with an old image of another tool."""
    root = tmp_path / "project"
    image = root / NAME
    image.parent.mkdir(parents=True)
    image.write_bytes(picture())
    os.utime(image, (1, 1))
    row = {"shot_number": 1, "beat_number": "1.1", "ai_prompt": "a harbour"}
    (root / "beats.json").write_bytes(msgspec.json.encode([row]))
    return root


def opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return which images a survey of a project opens."""
    paths: list[Path] = []
    inspect = survey.inspect_image

    def watched(path: Path) -> object:
        paths.append(path)
        return inspect(path)

    with monkeypatch.context() as patched:
        patched.setattr(survey, "inspect_image", watched)
        read_project(root, DrawRequest(styles=("clear",))).survey(1e9)
    return paths


@pytest.mark.parametrize("before", [None, b"torn", msgspec.msgpack.encode([2, [], {}])])
def test_a_survey_keeps_what_it_learned(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    """The second survey opens no image, in a project that never ran and beside any index."""
    if before is not None:
        (foreign / ".imagegen").mkdir()
        (foreign / ".imagegen/index").write_bytes(before)
    assert len(opened(foreign, monkeypatch)) == 1
    assert (foreign / ".imagegen/.gitignore").is_file()
    assert opened(foreign, monkeypatch) == []
    (foreign / NAME).write_bytes(picture(9, 9))
    os.utime(foreign / NAME, (1, 1))
    assert len(opened(foreign, monkeypatch)) == 1


def test_a_survey_works_where_nothing_can_be_written(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses the index costs time, and nothing else."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise StorageError(f"{path} cannot be written")

    monkeypatch.setattr(files, "write", refuse)
    assert len(opened(foreign, monkeypatch)) == 1
    assert len(opened(foreign, monkeypatch)) == 1
