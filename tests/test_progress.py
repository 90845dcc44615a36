"""Progress files: what the next step of the pipeline reads, and what we read back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import beat
from imagegen.project import progress
from imagegen.project.progress import BeatError, ProgressFile
from imagegen.project.storyboard import Beat

NOON = 1_795_348_800.9
FAILED = BeatError(cause="refused", reason="IMAGE_SAFETY", message="Not drawn: “blood” – é")


def rendered(
    beats: list[Beat],
    drawn: set[tuple[str, str]],
    errors: Mapping[tuple[str, str], BeatError] | None = None,
    words: Mapping[tuple[str, str], str] | None = None,
) -> bytes:
    """Return a progress file's bytes at noon."""
    return progress.render(beats, drawn, errors or {}, words or {}, NOON)


def shown(*arguments: Any) -> dict[str, Any]:
    """Return what another program reads."""
    read: dict[str, Any] = json.loads(rendered(*arguments))
    return read


def test_other_tools_read_two_fields() -> None:
    """The file has the numbers that are drawn, as text in file order, and the time in UTC."""
    beats = [beat("1.2"), beat("1.10"), beat("1.1"), beat("1.3")]
    read = shown(beats, {("1", "1.1"), ("1", "1.2"), ("1", "1.10")})
    assert read["completedBeats"] == ["1.2", "1.10", "1.1"]
    assert read["lastUpdated"] == "2026-11-22T12:00:00Z"


def test_numbers_are_written_as_the_beats_file_writes_them() -> None:
    """A beat that the file calls "Beat 1.1" is complete under that name."""
    one = beat("1.1", written="Beat 1.1")
    read = shown([one], {one.key})
    assert read["completedBeats"] == ["Beat 1.1"]
    assert read["drawn"] == [["1", "1.1"]]


def test_a_number_is_complete_when_every_beat_that_bears_it_is() -> None:
    """Where shots share a beat number, it is listed once, and only when all are drawn."""
    beats = [beat("1", shot="1"), beat("2", shot="1"), beat("1", shot="2"), beat("1", shot="3")]
    two_of_three = {("1", "1"), ("1", "2"), ("3", "1")}
    read = shown(beats, two_of_three)
    assert read["completedBeats"] == ["2"]
    assert read["drawn"] == [["1", "1"], ["1", "2"], ["3", "1"]]
    assert shown(beats, two_of_three | {("2", "1")})["completedBeats"] == ["1", "2"]


def test_pictures_of_no_beat_are_not_listed() -> None:
    """What is drawn and not in the storyboard any more is not complete."""
    read = shown([beat("1.1")], {("1", "1.1"), ("9", "9.9")}, {}, {("9", "9.9"): "ab"})
    assert (read["completedBeats"], read["drawn"], read["words"]) == (["1.1"], [["1", "1.1"]], {})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Beats drawn, errors with their reasons and the time survive."""
    beats = [beat("1.1"), beat("1.2"), beat("1.1", shot="2 – é")]
    drawn = {("1", "1.1"), ("2 – é", "1.1")}
    path = tmp_path / "image_progress_clear.json"
    path.write_bytes(rendered(beats, drawn, {("1", "1.2"): FAILED}, {("1", "1.1"): "ab"}))
    assert progress.read(path) == ProgressFile(
        drawn=frozenset(drawn),
        errors={("1", "1.2"): FAILED},
        last_updated="2026-11-22T12:00:00Z",
    )
    assert json.loads(path.read_bytes())["words"] == {"1/1.1": "ab"}


def test_a_file_of_the_older_tool_is_read(tmp_path: Path) -> None:
    """A file that has only the two fields, or fields of others, is a progress file."""
    path = tmp_path / "image_progress_clear.json"
    path.write_text(
        '{"completedBeats": ["Beat 1.1"], "lastUpdated": "2025-01-01T00:00:00Z", "tool": [1]}'
    )
    assert progress.read(path) == ProgressFile(last_updated="2025-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"completedBeats": "1.1"}',
        b'{"completedBeats": [1.1]}',
        b'{"drawn": [["1"]]}',
        b'{"errors": [{"shot": "1"}]}',
        b'{"lastUpdated": "\xff"}',
        b'{"lastUpdated": "\\ud800"}',
        b'{"tool": ' + b"[" * 100_000,
        b"<html>",
    ],
)
def test_a_foreign_file_is_none(tmp_path: Path, data: bytes) -> None:
    """What is no progress file is as good as none, and no error."""
    path = tmp_path / "image_progress_clear.json"
    path.write_bytes(data)
    assert progress.read(path) is None


def test_a_torn_file_is_none(tmp_path: Path) -> None:
    """Wherever a progress file is cut, it is as good as none."""
    path = tmp_path / "image_progress_clear.json"
    data = rendered([beat("1.1"), beat("1.2")], {("1", "1.1")}, {("1", "1.2"): FAILED}).rstrip()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert progress.read(path) is None


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    """A missing file, a folder and a symbolic link are none."""
    path = tmp_path / "image_progress_clear.json"
    assert progress.read(path) is None
    (tmp_path / "real").write_bytes(rendered([beat()], set()))
    path.symlink_to(tmp_path / "real")
    assert progress.read(path) is None
    path.unlink()
    path.mkdir()
    assert progress.read(path) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["completedBeats", "drawn", "errors", "words", "shot", "beat", "x"]),
            inner,
            max_size=4,
        )
    ),
)


@settings(deadline=None)
@given(data=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_progress_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """A progress file of somebody else's making raises nothing."""
    path = tmp_path_factory.mktemp("project") / "image_progress_clear.json"
    path.write_bytes(data)
    read = progress.read(path)
    assert read is None or isinstance(read, ProgressFile)
