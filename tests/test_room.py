"""Requests in flight are held against the space that is left on the disk."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagegen.engine.disk_space import Room

MB = 1024 * 1024


def disk(monkeypatch: pytest.MonkeyPatch, free: int, total: int = 100 * MB) -> None:
    """Let the disk have so much space left."""
    usage = SimpleNamespace(total=total, used=total - free, free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_before_the_first_image_its_size_tells_its_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 4K image is expected to be larger than one of 1K; a little is kept for our own files."""
    disk(monkeypatch, 26 * MB)
    assert Room(tmp_path, "1K").allows(12)
    assert not Room(tmp_path, "1K").allows(13)
    assert Room(tmp_path, "4K").allows(1)
    assert not Room(tmp_path, "4K").allows(2)
    assert Room(tmp_path, "of another service").allows(3)


def test_the_largest_image_so_far_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come is a better measure than what was expected, be it more or less."""
    disk(monkeypatch, 12 * MB)
    room = Room(tmp_path, "1K")
    assert not room.allows(6)
    assert room.short
    room.saved(MB)
    assert room.allows(10)
    room.saved(5 * MB)
    room.saved(MB)
    assert room.allows(2)
    assert not room.allows(3)
    assert room.shortage() == "the disk is full: 10.0 MB are left, and an image takes 5.0"


def test_a_disk_that_does_not_tell_holds_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems say of everything that it is 0, and a folder may be missing."""
    assert Room(tmp_path / "missing", "1K").allows(1000)
    disk(monkeypatch, 0, total=0)
    assert Room(tmp_path, "1K").allows(1000)
