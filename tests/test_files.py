"""Writing so that a crash harms nothing, reading so that nothing harms us."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagegen import files
from imagegen.errors import StorageError


def names(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def refuse(*_: object, **__: object) -> None:
    """Stand in for a call that the system does not have here."""
    raise OSError(errno.EOPNOTSUPP, "not supported")


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    """A file has the new bytes, and nothing else is left in its folder."""
    path = tmp_path / "a.png"
    files.write(path, b"one")
    files.write(path, b"two" * 1000)
    assert path.read_bytes() == b"two" * 1000
    assert names(tmp_path) == ["a.png"]


def test_a_reader_of_the_old_file_keeps_it_whole(tmp_path: Path) -> None:
    """A file is replaced in one step: whoever has the old one open sees no byte of the new."""
    path = tmp_path / "a.png"
    files.write(path, b"old")
    with path.open("rb") as reader:
        files.write(path, b"new")
        assert reader.read() == b"old"


def test_bytes_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are synced while the name still has the old ones."""
    path, seen = tmp_path / "a.png", []
    files.write(path, b"old")
    sync = os.fsync

    def watched(descriptor: int) -> None:
        sync(descriptor)
        seen.append((path.read_bytes(), names(tmp_path)))

    monkeypatch.setattr(os, "fsync", watched)
    files.write(path, b"new")
    assert seen[0][0] == b"old"
    assert len(seen[0][1]) == 2


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs neither the old file nor space."""
    path = tmp_path / "a.png"
    files.write(path, b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="the disk is full") as caught:
        files.write(path, b"new")
    assert caught.value.exit_code == 2
    assert caught.value.hint == "free some space first"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


def test_a_write_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes are written also where the system takes a few at a time."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:7])))
    files.write(tmp_path / "a", b"0123456789" * 10)
    assert (tmp_path / "a").read_bytes() == b"0123456789" * 10


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Writing where a symbolic link lies leaves alone what it points to."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "a").symlink_to(tmp_path / "theirs")
    files.write(tmp_path / "a", b"ours")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert files.read(tmp_path / "a", 100) == b"ours"


def test_reading_takes_only_regular_files_within_the_bound(tmp_path: Path) -> None:
    """What is missing, a link, a folder or too large reads as None."""
    path = tmp_path / "a"
    assert files.read(path, 10) is None
    path.write_bytes(b"0123456789")
    assert files.read(path, 10) == b"0123456789"
    assert files.read(path, 9) is None
    (tmp_path / "link").symlink_to(path)
    assert files.read(tmp_path / "link", 10) is None
    assert files.read(tmp_path, 10) is None
    assert files.read(path / "below", 10) is None


def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    """Reading folders and files many times uses up nothing."""
    (tmp_path / "a").write_bytes(b"0")
    before = os.dup(0)
    os.close(before)
    assert [files.read(place, 0) for place in (tmp_path, tmp_path / "a") * 50] == [None] * 100
    after = os.dup(0)
    os.close(after)
    assert after < before + 50


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A pipe that lies where a file of ours belongs reads as None at once."""
    os.mkfifo(tmp_path / "pipe")
    reading = "import sys, pathlib; from imagegen import files; "
    reading += "sys.exit(files.read(pathlib.Path(sys.argv[1]), 10) is not None)"
    command = [sys.executable, "-c", reading, str(tmp_path / "pipe")]
    assert subprocess.run(command, timeout=20, check=False).returncode == 0


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "is on a read-only disk"),
        (errno.EACCES, "not permitted to write"),
        (errno.EPERM, "not permitted to write"),
        (errno.ENOTDIR, "there is a file in its place"),
        (errno.EIO, "cannot be written: Input/output error"),
    ],
)
def test_errors_are_said_in_words(number: int, words: str) -> None:
    """Each reason why a disk refuses is told so that a person can act."""
    error = files.storage_error(OSError(number, os.strerror(number)), Path("shop/beats.png"))
    assert isinstance(error, StorageError)
    assert words in error.message
    assert "shop" in error.message


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    """A folder that cannot be made says that a file stands there."""
    (tmp_path / "a").write_bytes(b"")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(StorageError, match="there is a file in its place"):
            files.make_folder(folder)
    with pytest.raises(StorageError, match="there is a file in its place"):
        files.write(tmp_path / "a" / "b", b"")


def test_a_folder_in_the_way_of_a_file_is_an_error(tmp_path: Path) -> None:
    """A folder is never replaced by a file, and nothing half-written stays."""
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        files.write(tmp_path / "a", b"x")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("links", [True, False])
def test_an_old_picture_gets_a_second_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """What is kept survives the replacement, on disks with hard links and without."""
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path, old = tmp_path / "a.png", tmp_path / "old" / "clear" / "a.png"
    files.write(path, b"first")
    files.archive_copy(path, old)
    assert path.read_bytes() == b"first"
    assert (path.stat().st_ino == old.stat().st_ino) is links
    files.write(path, b"second")
    assert (path.read_bytes(), old.read_bytes()) == (b"second", b"first")


@pytest.mark.parametrize("links", [True, False])
def test_what_was_kept_before_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """A second picture kept under one name, or moved there, goes beside the first."""
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path, old = tmp_path / "a.png", tmp_path / "old" / "Beat_1.1.png"
    for picture in (b"first", b"second"):
        files.write(path, picture)
        files.archive_copy(path, old)
    files.write(path, b"third")
    assert files.move(path, old).read_bytes() == b"third"
    kept = [(old.parent / name).read_bytes() for name in names(old.parent)]
    assert sorted(kept) == [b"first", b"second", b"third"]
    assert old.read_bytes() == b"first"
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows links only files")
def test_a_link_is_kept_as_a_link(tmp_path: Path) -> None:
    """What a link points to gets no second name among the old pictures."""
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "a.png").symlink_to(tmp_path / "mine")
    files.archive_copy(tmp_path / "a.png", tmp_path / "old" / "a.png")
    assert (tmp_path / "old" / "a.png").is_symlink()


def test_what_cannot_be_kept_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a picture can be neither linked nor read, keeping it fails aloud."""
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(files, "read", lambda *_: None)
    (tmp_path / "a.png").write_bytes(b"first")
    with pytest.raises(StorageError, match=r"a\.png cannot be kept"):
        files.archive_copy(tmp_path / "a.png", tmp_path / "old" / "a.png")


def test_anything_can_be_moved_aside(tmp_path: Path) -> None:
    """A file, a folder and a link itself are moved; what the link points to is not."""
    (tmp_path / "file").write_bytes(b"f")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_bytes(b"i")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("folder", "link"):
        assert files.move(tmp_path / name, tmp_path / "old" / name) == tmp_path / "old" / name
    assert names(tmp_path) == ["file", "old"]
    assert (tmp_path / "old" / "folder" / "inside").read_bytes() == b"i"
    assert (tmp_path / "old" / "link").is_symlink()


def test_moving_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A file that has gone is told in words."""
    with pytest.raises(StorageError, match="cannot be written"):
        files.move(tmp_path / "a", tmp_path / "b")


def test_a_sweep_removes_only_what_we_left(tmp_path: Path) -> None:
    """Half-written files of ours go; files of others and whole ones stay."""
    ours = tmp_path / f"{files.TEMP_PREFIX}0123456789ab.tmp"
    stay = ["Beat_1.1.png", ".imagegen-notes", "x.tmp", f"my{files.TEMP_PREFIX}1.tmp"]
    for name in (ours.name, *stay):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / f"{files.TEMP_PREFIX}folder.tmp").mkdir()
    files.remove_stale(tmp_path)
    assert names(tmp_path) == sorted([*stay, f"{files.TEMP_PREFIX}folder.tmp"])
    files.remove_stale(tmp_path / "missing")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no file that is open")
def test_a_sweep_leaves_what_is_being_written(tmp_path: Path) -> None:
    """However long that takes: a run may begin while a contact sheet is written."""

    def parts() -> Iterator[bytes]:
        yield b"first "
        files.remove_stale(tmp_path)
        yield b"second"
        files.remove_stale(tmp_path)

    files.write_parts(tmp_path / "gallery.html", parts())
    assert names(tmp_path) == ["gallery.html"]
    assert (tmp_path / "gallery.html").read_bytes() == b"first second"


@pytest.mark.parametrize("moment", ["before it is locked", "while it is locked"])
def test_a_file_that_is_swept_as_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whoever sweeps may come between the file and its lock."""
    fcntl = pytest.importorskip("fcntl", reason="Windows deletes no file that is open")
    lock = fcntl.flock
    swept: list[Path] = []

    def late(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
            if moment == "while it is locked":
                raise BlockingIOError(errno.EWOULDBLOCK, "Resource temporarily unavailable")
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    files.write(tmp_path / "a", b"whole")
    assert len(swept) == 1
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has its own way")
def test_a_disk_that_renames_no_open_file_is_written_to_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders that are shared from Windows refuse to."""
    replace, tries = Path.replace, []

    def refusing(self: Path, target: Path) -> Path:
        tries.append(target)
        if len(tries) == 1:
            raise OSError(errno.ETXTBSY, "Text file busy")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refusing)
    files.write(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_where_nothing_can_be_locked_leftovers_are_swept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems know no locks: there an hour is long enough for any write."""
    fcntl = pytest.importorskip("fcntl", reason="Windows deletes no file that is open")
    monkeypatch.setattr(fcntl, "flock", refuse)
    files.write(tmp_path / "a", b"whole")
    half = tmp_path / f"{files.TEMP_PREFIX}0123456789ab.tmp"
    half.write_bytes(b"half")
    files.remove_stale(tmp_path)
    assert names(tmp_path) == [half.name, "a"]
    os.utime(half, (0, time.time() - 3601))
    files.remove_stale(tmp_path)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE])
def test_what_cannot_be_read_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A disk that fails, or too many open files, is an error with its reason."""
    (tmp_path / "a").write_bytes(b"whole")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("open", "fstat"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(StorageError, match="a cannot be read: "):
                files.read(tmp_path / "a", 10)
            assert files.read_cached(tmp_path / "a", 10) is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", fail)
        with pytest.raises(StorageError, match="a cannot be read: "):
            files.exists(tmp_path / "a")
    assert files.exists(tmp_path / "a")
    assert not files.exists(tmp_path / "b")


@pytest.mark.parametrize("number", [errno.EISDIR, errno.EEXIST, errno.EIO, errno.EFBIG])
def test_an_error_names_the_file_that_the_system_refused(number: int) -> None:
    """The system's file counts, unless it is a temporary one that no user knows."""
    target, other = Path("shop/target.png"), Path("attic/other.png")
    text, temporary = os.strerror(number), f"shop/{files.TEMP_PREFIX}0123.tmp"
    for error, refused in (
        (OSError(number, text), target),
        (OSError(number, text, 3), target),
        (OSError(number, text, str(other)), other),
        (OSError(number, text, str(target), None, str(other)), other),
        (OSError(number, text, temporary), target),
        (OSError(number, text, temporary, None, str(other)), other),
    ):
        assert files.storage_error(error, target).message.startswith(f"{refused} cannot be ")


def test_the_first_write_in_a_folder_sweeps_it(tmp_path: Path) -> None:
    """Whatever command is next removes what a crash left where it writes, wherever that is."""
    (tmp_path / f"{files.TEMP_PREFIX}0123456789ab.tmp").write_bytes(b"half")
    files.write(tmp_path / "a", b"whole")
    assert names(tmp_path) == ["a"]


def test_a_refused_move_names_the_folder_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system names both files, and not which of their folders may not be written to."""
    closed, open_ = tmp_path / "closed", tmp_path / "open"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    for source, target in ((open_ / "a", closed / "b"), (closed / "a", open_ / "b")):
        error = PermissionError(errno.EACCES, "Permission denied", str(source), None, str(target))
        assert files.storage_error(error, target).message.endswith(
            (f"in {closed}", f"{closed / 'b'}")
        )
