"""Whatever the disk does: one clear message, nothing half-written, and the next run carries on.

The real command on real faults where the system lets a test make them; `sitecustomize` makes
the others, in the command's own process.
"""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from broken import NO_HARD_LINKS, changed
from builders import beat
from builders import picture as drawn
from commands import Commands, Done, picture, pictures
from evidence import whole
from gemini_server import GeminiServer
from imagegen import files
from imagegen.errors import StorageError
from imagegen.project import rescue
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths
from imagegen.workspace.survey import ImageState, survey
from serving import Served

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
_WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--")
"""Makes root one to whom permissions apply."""

_FULL = """
    import errno
    room = {room}
    write = os.write
    def refusing(descriptor, data):
        global room
        if len(data) > room:
            room = 0
            raise OSError(errno.ENOSPC, "No space left on device")
        room -= len(data)
        return write(descriptor, data)
    os.write = refusing
"""
"""A disk that is full after so many bytes."""

_READ_ONLY = """
    import errno
    opened, mkdir = os.open, os.mkdir
    def refuse(path):
        raise OSError(errno.EROFS, "Read-only file system", os.fspath(path))
    def opening(path, flags, *args, **more):
        if "my-video" in str(path) and flags & (os.O_WRONLY | os.O_RDWR):
            refuse(path)
        return opened(path, flags, *args, **more)
    def making(path, *args, **more):
        return refuse(path) if "my-video" in str(path) else mkdir(path, *args, **more)
    os.open, os.mkdir = opening, making
"""
"""The project's disk, mounted to be read alone."""

_DRAWING_NOTHING = [
    ("gallery",),
    ("choose", "1.1", "clear"),
    ("use", "clear/1.1", "own.png"),
    ("renumber",),
    ("cast", "mara", "--from", "clear/1.1"),
    ("try", "--keep", "look"),
    ("skip", "clear/1.3"),
]
_DRAWING_BESIDE = [
    ("try", "--style", "clear", "--look", "Ink.", "--provider", "sketch"),
    ("cast", "mara", "--provider", "sketch"),
]


class Disk:
    """A project, and the command on it under the faults of a disk."""

    def __init__(self, commands: Commands, server: GeminiServer) -> None:
        self.commands = commands
        self.server = server
        self.root = commands.project()

    def run(self, *arguments: object, rights: Sequence[str] = (), code: str = "") -> Done:
        """Run a command, behind another that takes `rights`, and with `code` in its Python."""
        return self.commands.wait(self.commands.start(*arguments, under=rights, before=code))

    def draw(self, *options: object, rights: Sequence[str] = (), code: str = "") -> Done:
        """Run the project against the server."""
        address = ("--base-url", self.server.address)
        return self.run("run", self.root, *address, *options, rights=rights, code=code)

    def is_sound(self) -> None:
        """Fail if anything is half-written."""
        assert not list(self.root.rglob(".imagegen-*"))
        assert all(whole(path.read_bytes()) for path in pictures(self.root))

    def is_mended(self) -> None:
        """Fail unless a resume draws the rest, and only that: not what is kept elsewhere."""
        rescued = len(list((self.commands.state / "rescued").rglob("*.png")))
        there = {path: path.stat().st_mtime_ns for path in pictures(self.root)}
        sent = len(self.server.requests)
        done = self.run("resume", self.root, "--base-url", self.server.address, "--yes")
        assert done.code == 0, done.text
        self.is_sound()
        assert len(pictures(self.root)) == 9
        assert len(self.server.requests) - sent == 9 - len(there) - rescued
        assert all(path.stat().st_mtime_ns == time for path, time in there.items())


@pytest.fixture
def disk(commands: Commands, server: GeminiServer) -> Disk:
    """Return a project of nine pictures."""
    return Disk(commands, server)


@pytest.fixture
def rights() -> Sequence[str]:
    """Return what to run a command behind, so that permissions apply to it."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return ()
    if shutil.which(_WITHOUT_RIGHTS[0]) is None:
        pytest.skip("root cannot give up its rights here")
    done = subprocess.run([*_WITHOUT_RIGHTS, sys.executable, "-c", ""], check=False)
    if done.returncode:
        pytest.skip("root cannot give up its rights here")
    return _WITHOUT_RIGHTS


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 36 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or _mount("size=36m", folder):
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(options: str, folder: Path) -> int:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def _remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def _fill(folder: Path) -> None:
    """Leave no room on a disk, not for one byte."""
    with contextlib.suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _told_once(done: Done, words: str) -> None:
    """Fail unless one line has the words, however many threads met the fault."""
    assert [words in line for line in done.text.splitlines()].count(True) == 1, done.text


@pytest.fixture(scope="module")
def sketched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that is drawn, with a candidate in tries/."""
    commands = Commands(tmp_path_factory.mktemp("sketched"))
    settings = 'provider = "sketch"\nimage_size = "512"\n[characters.mara]\nabout = "A keeper."\n'
    root = commands.project(settings=settings)
    assert commands.run("run", root, "--progress", "none").code == 0
    look = ("--style", "clear", "--look", "Ink.")
    assert commands.run("try", root, *look, "--progress", "none").code == 0
    return root


def _with_what_can_be_changed(disk: Disk, name: str, sketched: Path) -> None:
    """Take what is drawn, so that a command that changes it has something to change."""
    shutil.copytree(sketched, disk.root, dirs_exist_ok=True)
    drawn_one = picture(disk.root, "clear", 2)
    shutil.copy(drawn_one, disk.commands.folder / "own.png")
    if name == "renumber":
        drawn_one.rename(drawn_one.with_name("Beat_9.9.png"))
    else:
        drawn_one.unlink()


def _nothing_sent(disk: Disk, done: Done, words: str) -> None:
    assert done.code == 2, done.text
    _told_once(done, words)
    assert not disk.server.requests


def test_a_disk_that_becomes_full_ends_the_run_once(disk: Disk) -> None:
    """However many pictures are in flight: one message, exit 3, and what was saved stays."""
    disk.server.picture_bytes = 100_000
    done = disk.draw(code=_FULL.format(room=450_000))
    assert done.code == 3, done.text
    _told_once(done, "the disk is full")
    _told_once(done, "free some space")
    _told_once(done, "imagegen resume")
    assert 0 < len(pictures(disk.root)) < 9
    disk.is_sound()
    disk.is_mended()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "why"),
    [(_FULL.format(room=0), "the disk is full"), (_READ_ONLY, "is on a read-only disk")],
    ids=["full", "read-only"],
)
def test_a_run_that_the_page_cannot_begin_is_507(disk: Disk, code: str, why: str) -> None:
    """No run is started whose words would be lost: the reason is told as of a refused choice."""
    disk.run("run", disk.root, "--provider", "sketch", "--limit", "1", "--progress", "none")
    # The runs that the page starts are on that disk too.
    env = {"PYTHONPATH": str(changed(disk.commands.folder / "changed", code))}
    with Served(disk.commands, disk.root, env=env) as served:
        refused = served.post("/api/generate-images", {})
    assert refused.status_code == 507
    assert refused.json()["error"].startswith("nothing can be drawn: ")
    assert why in refused.json()["error"]


def test_a_page_on_a_real_disk_that_is_full_says_so(disk: Disk, small: Path) -> None:
    """A file of no bytes can be made there still, and takes none."""
    disk.root = Path(shutil.move(disk.root, small / "my-video"))
    disk.run("run", disk.root, "--provider", "sketch", "--limit", "1", "--progress", "none")
    with Served(disk.commands, disk.root) as served:
        _fill(small)
        refused = served.post("/api/generate-images", {})
    assert refused.status_code == 507
    assert "the disk is full" in refused.json()["error"]
    assert refused.json()["hint"] == "free some space first"


@pytest.mark.parametrize("words", _DRAWING_NOTHING, ids=" ".join)
def test_a_full_disk_is_told_where_nothing_is_drawn(
    disk: Disk, sketched: Path, words: tuple[str, ...]
) -> None:
    """What helps is room, and the same command again: not a run, which costs money. Exit 2."""
    name, *arguments = words
    _with_what_can_be_changed(disk, name, sketched)
    done = disk.run(name, disk.root, *arguments, code=_FULL.format(room=0))
    assert done.code == 2, done.text
    _told_once(done, "the disk is full")
    _told_once(done, "free some space first")
    assert "resume" not in done.text


@pytest.mark.slow
def test_a_real_disk_that_becomes_full_ends_the_run_once(disk: Disk, small: Path) -> None:
    """The same on a small file system; while it is full nothing is begun, exit 2."""
    disk.server.picture_bytes = 5_000_000
    disk.root = Path(shutil.move(disk.root, small / "my-video"))
    done = disk.draw()
    assert done.code == 3, done.text
    _told_once(done, "the disk is full")
    disk.is_sound()
    sent = len(disk.server.requests)
    refused = disk.draw()
    assert refused.code == 2
    _told_once(refused, "MB free")
    assert len(disk.server.requests) == sent
    _remount(small, "size=200m")
    disk.is_mended()


def test_how_a_run_ended_finds_room_on_a_full_disk(disk: Disk, small: Path) -> None:
    """A run that ended in order is not taken for one that was killed."""
    disk.root = Path(shutil.move(disk.root, small / "my-video"))
    with disk.server.held():
        process = disk.commands.start("run", disk.root, "--base-url", disk.server.address)
        assert disk.server.wait_for_requests(1)
        _fill(small)
    done = disk.commands.wait(process)
    assert done.code == 3, done.text
    _told_once(done, "the disk is full")
    assert "exit 3" in disk.run("status", disk.root).out
    (small / "fill").unlink()
    disk.is_mended()


@pytest.mark.parametrize("words", _DRAWING_BESIDE, ids=" ".join)
def test_what_could_not_begin_leaves_no_folder_of_tries(disk: Disk, words: tuple[str, ...]) -> None:
    """A disk that is nearly full: nothing has come of it."""
    (disk.root / "imagegen.toml").write_text('[characters.mara]\nabout = "A keeper."\n')
    nearly = """
    import shutil
    shutil.disk_usage = lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    """
    name, *arguments = words
    done = disk.run(name, disk.root, *arguments, code=nearly)
    assert done.code == 2, done.text
    _told_once(done, "MB free")
    assert not (disk.root / "tries").exists()


@pytest.mark.slow
@POSIX
def test_a_limit_on_files_is_told_of(disk: Disk) -> None:
    """Where no file may be as large as a picture, the message says where to look."""
    disk.server.picture_bytes = 500_000
    limited = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    """
    done = disk.draw(code=limited)
    assert done.code == 3, done.text
    _told_once(done, "no file may be so large")
    assert "ulimit -f" in done.text
    disk.is_sound()
    disk.is_mended()


def test_a_disk_that_fails_ends_the_run_once(disk: Disk) -> None:
    """A picture that cannot be brought to the disk is none: one message, exit 3."""
    broken = """
        def fsync(descriptor):
            if os.fstat(descriptor).st_size > 50_000:
                raise OSError(5, "Input/output error")
        os.fsync = fsync
    """
    disk.server.picture_bytes = 100_000
    done = disk.draw(code=broken)
    assert done.code == 3, done.text
    _told_once(done, "Input/output error")
    assert not pictures(disk.root)
    disk.is_sound()
    disk.is_mended()


def test_a_read_only_disk_starts_nothing(disk: Disk, small: Path) -> None:
    """On a read-only disk nothing is sent, exit 2; status works, and knows a dead run as dead."""
    disk.root = Path(shutil.move(disk.root, small / "my-video"))
    with disk.server.held():
        only = ("--limit", "1", "--base-url", disk.server.address)
        process = disk.commands.start("run", disk.root, *only)
        assert disk.server.wait_for_requests(1)
        process.send_signal(signal.SIGKILL)
        disk.commands.wait(process)
    sent = len(disk.server.requests)
    _remount(small, "ro")
    done = disk.draw()
    assert done.code == 2, done.text
    _told_once(done, "read-only disk")
    assert len(disk.server.requests) == sent
    status = disk.run("status", disk.root)
    assert status.code == 0
    assert "interrupted" in status.out
    _remount(small, "rw")
    disk.is_mended()


@pytest.mark.parametrize("words", [*_DRAWING_NOTHING, *_DRAWING_BESIDE], ids=" ".join)
def test_a_read_only_disk_is_told_alike(disk: Disk, sketched: Path, words: tuple[str, ...]) -> None:
    """Whatever was to be done, the same words and exit 2; nothing is left behind."""
    name, *arguments = words
    _with_what_can_be_changed(disk, name, sketched)
    before = sorted(disk.root.rglob("*"))
    done = disk.run(name, disk.root, *arguments, code=_READ_ONLY)
    assert done.code == 2, done.text
    _told_once(done, "is on a read-only disk")
    assert "drawn" not in done.text
    assert sorted(disk.root.rglob("*")) == before


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize(
    "folder",
    [
        ".",
        "generated_images",
        "generated_images/clear",
        "generated_images/clear/Shot_1",
        ".imagegen",
        ".imagegen/runs",
    ],
)
def test_a_folder_that_must_not_be_written_in_starts_nothing(
    disk: Disk, rights: Sequence[str], folder: str
) -> None:
    """Every folder that will be written in is tried before anything is sent, exit 2."""
    if folder.endswith("clear"):
        (disk.root / folder).mkdir(parents=True)
    else:
        picture(disk.root, "clear", 0).parent.mkdir(parents=True)
    (disk.root / ".imagegen" / "runs").mkdir(parents=True)
    (disk.root / folder).chmod(0o555)
    _nothing_sent(disk, disk.draw(rights=rights), "not permitted to write")
    (disk.root / folder).chmod(0o755)
    disk.is_sound()
    assert disk.draw().code == 0


@pytest.mark.slow
@POSIX
def test_old_pictures_must_find_a_place_before_anything_starts(
    disk: Disk, rights: Sequence[str]
) -> None:
    """What would replace pictures needs old_images; what replaces none does not."""
    (disk.root / "old_images").mkdir(mode=0o555)
    assert disk.draw(rights=rights).code == 0
    sent = len(disk.server.requests)
    done = disk.draw("--force", "--yes", rights=rights)
    assert done.code == 2, done.text
    _told_once(done, "old_images")
    assert len(disk.server.requests) == sent
    disk.is_sound()


@pytest.mark.slow
@POSIX
def test_a_project_that_must_not_be_read_is_told(disk: Disk, rights: Sequence[str]) -> None:
    """A picture that cannot be looked at is neither drawn again nor called missing."""
    assert disk.draw().code == 0
    sent = len(disk.server.requests)
    harmed = picture(disk.root, "clear", 1)
    shutil.rmtree(disk.root / ".imagegen")
    harmed.chmod(0)
    done = disk.draw(rights=rights)
    harmed.chmod(0o644)
    assert done.code == 2, done.text
    _told_once(done, harmed.name)
    assert len(disk.server.requests) == sent


@pytest.mark.parametrize(
    "folder",
    [
        "generated_images",
        "generated_images/clear",
        "generated_images/clear/Shot_1",
        "old_images",
        ".imagegen",
        ".imagegen/runs",
    ],
)
def test_a_file_where_a_folder_should_be_starts_nothing(disk: Disk, folder: str) -> None:
    """The file is named and left alone, nothing is sent, exit 2."""
    place = disk.root / folder
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("somebody's")
    _nothing_sent(disk, disk.draw(), "is a file, and a folder is needed there")
    assert place.read_text() == "somebody's"
    place.unlink()
    disk.is_sound()
    assert disk.draw().code == 0


@pytest.mark.parametrize(
    "file",
    ["image_progress_clear.json", ".imagegen/run.json", ".imagegen/lock", ".imagegen/run.log"],
)
def test_a_folder_where_a_file_should_be_starts_nothing(disk: Disk, file: str) -> None:
    """The folder is named and left alone, nothing is sent, exit 2."""
    (disk.root / file / "inside").mkdir(parents=True)
    _nothing_sent(disk, disk.draw(), file)
    assert (disk.root / file / "inside").is_dir()
    shutil.rmtree(disk.root / file)
    assert disk.draw().code == 0


def test_a_folder_where_a_picture_belongs_is_put_aside(disk: Disk) -> None:
    """A folder named like a picture is kept in old_images with all that is in it."""
    place = picture(disk.root, "clear", 0)
    place.mkdir(parents=True)
    (place / "notes.txt").write_text("somebody's")
    done = disk.draw()
    assert done.code == 0, done.text
    assert whole(place.read_bytes())
    (kept,) = (disk.root / "old_images").rglob("notes.txt")
    assert kept.read_text() == "somebody's"


def test_without_hard_links_old_pictures_are_copied(disk: Disk) -> None:
    """On FAT and the like what is replaced is kept too, byte for byte."""
    assert disk.draw().code == 0
    before = {path.read_bytes() for path in pictures(disk.root)}
    disk.server.picture_bytes = 3000
    assert disk.draw("--force", "--yes", code=NO_HARD_LINKS).code == 0
    kept = {path.read_bytes() for path in (disk.root / "old_images").rglob("*.png")}
    assert kept == before
    disk.is_sound()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_pictures_may_lie_on_a_disk_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What cannot be renamed into old_images is moved there all the same, whatever it is."""
    place = tmp_path / "generated_images" / "Beat_1.1.png"
    (tmp_path / "generated_images").mkdir()
    (tmp_path / "outside").write_bytes(b"somebody's")
    if kind == "file":
        place.write_bytes(b"torn")
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(tmp_path / "outside")
    rename = os.rename

    def refuse(source: Path | str, to: Path | str) -> None:
        if Path(source) == place:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, to)

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    moved = files.move(place, tmp_path / "old_images" / "Beat_1.1.png")
    assert not os.path.lexists(place)
    assert (moved.is_symlink(), moved.is_dir()) == (kind == "link", kind == "folder")
    assert (tmp_path / "outside").read_bytes() == b"somebody's"


def test_a_mounted_folder_of_pictures_is_put_right(disk: Disk, small: Path) -> None:
    """A disk mounted at generated_images: torn pictures are put aside, replaced ones kept."""
    mounted = disk.root / "generated_images"
    mounted.mkdir()
    subprocess.run(["mount", "--bind", str(small), str(mounted)], check=True)
    try:
        torn = picture(disk.root, "clear", 0)
        torn.parent.mkdir(parents=True)
        torn.write_bytes(b"torn")
        assert disk.draw().code == 0
        assert disk.draw("--force", "--yes").code == 0
        kept = [path.read_bytes() for path in (disk.root / "old_images").rglob("*.png")]
        assert len(kept) == 10
        assert [data for data in kept if not whole(data)] == [b"torn"]
        disk.is_sound()
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_a_copy_that_a_crash_left_is_swept(disk: Disk) -> None:
    """What was half-copied to old_images goes with the next run; what was kept stays."""
    (disk.root / "old_images" / "selected_images").mkdir(parents=True)
    folder = disk.root / "old_images" / "2026-11-22T12-00-00Z" / "clear" / "Shot_1"
    folder.mkdir(parents=True)
    (folder / f"{files.TEMP_PREFIX}0123456789ab.tmp").write_bytes(b"half")
    (folder / "Beat_1.1.png").write_bytes(b"whole")
    assert disk.draw().code == 0
    assert [path.name for path in folder.iterdir()] == ["Beat_1.1.png"]


def test_leftovers_in_a_style_that_is_not_drawn_are_swept(disk: Disk) -> None:
    """A style that the settings leave out since the crash keeps nothing half-written."""
    (disk.root / "imagegen.toml").write_text('draw = ["clear"]\n')
    folder = picture(disk.root, "consistent", 0).parent
    folder.mkdir(parents=True)
    (folder / f"{files.TEMP_PREFIX}0123456789ab.tmp").write_bytes(b"half")
    assert disk.draw().code == 0
    disk.is_sound()


def test_a_disk_that_does_not_tell_its_size_is_used(disk: Disk) -> None:
    """Where everything is said to be 0 bytes large, writing is tried all the same."""
    code = """
        import shutil
        import types
        shutil.disk_usage = lambda path: types.SimpleNamespace(total=0, used=0, free=0)
    """
    assert disk.draw(code=code).code == 0


def test_a_state_folder_that_cannot_be_used_ends_no_run(disk: Disk) -> None:
    """A file where the state folder should be: one warning, and everything is drawn."""
    disk.commands.state.write_text("somebody's")
    done = disk.draw()
    assert done.code == 0, done.text
    _told_once(done, "half pace")
    assert disk.commands.state.read_text() == "somebody's"


@pytest.mark.slow
@POSIX
def test_a_state_folder_that_must_not_be_written_in_ends_no_run(
    disk: Disk, rights: Sequence[str]
) -> None:
    """No permission for the state folder: one warning, and everything is drawn."""
    disk.commands.state.mkdir(mode=0o555)
    done = disk.draw(rights=rights)
    assert done.code == 0, done.text
    _told_once(done, "half pace")


def test_a_full_disk_of_the_state_folder_ends_no_run(disk: Disk, small: Path) -> None:
    """No room for the budgets: one warning, and everything is drawn."""
    disk.commands.env["IMAGEGEN_STATE_DIR"] = str(small / "state")
    _fill(small)
    done = disk.draw()
    assert done.code == 0, done.text
    _told_once(done, "half pace")


def test_a_file_that_is_open_elsewhere_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows replaces no file that somebody reads: it is tried again for half a second."""
    refusals = iter([PermissionError("in use")] * 3)
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        for error in refusals:
            raise error
        return replace(self, target)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(files, "_REPLACE_PAUSE", 0.0)
    files.write(tmp_path / "image_progress_clear.json", b"new")
    assert (tmp_path / "image_progress_clear.json").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["image_progress_clear.json"]


def test_a_file_that_stays_open_elsewhere_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After that the old file is whole, nothing half-written is left, and the run is told."""

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "in use", str(self), None, str(target))

    (tmp_path / "old").write_bytes(b"old")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(files, "_REPLACE_PAUSE", 0.0)
    with pytest.raises(StorageError, match="not permitted to write"):
        files.write(tmp_path / "old", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_names_that_differ_in_case_alone_are_refused(disk: Disk) -> None:
    """On a disk that folds case two such beats would have one picture: exit 2."""
    rows = '[{"shot_number": 1, "beat_number": "a", "ai_prompt": "x"}, '
    rows += '{"shot_number": 1, "beat_number": "A", "ai_prompt": "y"}]'
    (disk.root / "beats.json").write_text(rows)
    done = disk.draw()
    assert done.code == 2
    assert not disk.server.requests


@pytest.mark.parametrize("folds", [True, False])
def test_a_picture_whose_name_has_another_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, folds: bool
) -> None:
    """On a disk that folds case it is the beat's picture, and not drawn anew at every run."""
    layout = ProjectPaths(tmp_path)
    place = layout.picture("clear", "1", "1.a")
    place.parent.mkdir(parents=True)
    place.with_name("BEAT_1.A.PNG").write_bytes(drawn())
    if os.path.lexists(place) != folds:
        monkeypatch.setattr(os.path, "lexists", lambda path: folds)
    beats = {"clear": (beat("1.a"), beat("1.b"))}
    found = [
        one.found for one in survey(layout, beats, Index(layout.state_dir), 0.0).beats["clear"]
    ]
    assert found == [ImageState.VALID if folds else ImageState.NOTHING, ImageState.NOTHING]


@POSIX
def test_names_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder, and an old picture's second place, outlast a loss of power."""
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
    new = tmp_path / "generated_images" / "clear" / "Shot_1"
    files.make_folder(new)
    assert {folder.stat().st_ino for folder in (tmp_path, *new.parents[:2])} <= synced
    synced.clear()
    (new / "Beat_1.1.png").write_bytes(b"old")
    old = tmp_path / "old_images" / "Beat_1.1.png"
    files.archive_copy(new / "Beat_1.1.png", old)
    assert old.parent.stat().st_ino in synced
    synced.clear()
    aside = files.move(new / "Beat_1.1.png", tmp_path / "aside" / "Beat_1.1.png")
    assert aside.parent.stat().st_ino in synced


@pytest.mark.parametrize(
    "error", ['ImagegenError("no word for a user")', 'OSError(13, "Permission denied", "x")']
)
def test_an_error_that_nobody_saw_to_is_a_fault_of_ours_everywhere(disk: Disk, error: str) -> None:
    """The exit code, the journal and the record say the same, and a resume carries on."""
    code = f"""
    from imagegen.errors import ImagegenError
    from imagegen.prompts.composer import Composer
    def fails(self, *args, **more):
        raise {error}
    Composer.texts = fails
    """
    done = disk.draw("--progress", "json", code=code)
    assert done.code == 70, done.text
    assert [event["exit_code"] for event in done.events if "exit_code" in event] == [70]
    assert "internal error" in done.err
    told = json.loads(disk.run("status", disk.root, "--json").out)
    assert told["last_run"]["exit_code"] == 70
    disk.is_mended()


def test_a_place_that_cannot_be_looked_at_ends_the_run_in_order(disk: Disk) -> None:
    """A folder may be closed to us in the middle of a run: that is the disk's refusal."""
    code = """
    lstat = os.lstat
    def closed(path, **more):
        if "/Beat_" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return lstat(path, **more)
    os.lstat = closed
    """
    done = disk.draw(code=code)
    assert done.code == 3, done.text
    assert "not permitted to read" in done.text
    disk.is_mended()


@pytest.mark.slow
def test_no_request_leaves_whose_image_would_find_no_room(disk: Disk, small: Path) -> None:
    """What is in flight is held against the free space: every image that was sent for is there."""
    disk.server.picture_bytes = 1_500_000
    disk.root = disk.commands.project("wide", beats=40, settings='draw = ["clear"]\n')
    disk.root = Path(shutil.move(disk.root, small / "my-video"))
    done = disk.draw()
    assert done.code == 3, done.text
    _told_once(done, "the disk is full")
    assert len(pictures(disk.root)) == len(disk.server.requests) > 10
    _remount(small, "size=200m")
    assert disk.draw().code == 0
    assert len(disk.server.requests) == 40


def test_what_the_disk_refuses_is_kept_elsewhere_and_taken_home(disk: Disk, small: Path) -> None:
    """Images that were paid for wait in the state folder, and the next run sends for none."""
    disk.root = disk.commands.project("wide", beats=8, settings='draw = ["clear"]\n')
    disk.root = Path(shutil.move(disk.root, small / "my-video"))
    with disk.server.held():
        process = disk.commands.start("run", disk.root, "--base-url", disk.server.address)
        assert disk.server.wait_for_requests(8)
        _fill(small)
    done = disk.commands.wait(process)
    assert done.code == 3, done.text
    rescued = list((disk.commands.state / "rescued").rglob("*.png"))
    assert len(rescued) == 8
    _told_once(done, str(rescued[0].parent))
    (small / "fill").unlink()
    assert disk.run("resume", disk.root, "--base-url", disk.server.address).code == 0
    assert len(disk.server.requests) == 8
    assert len(pictures(disk.root)) == 8
    assert not list((disk.commands.state / "rescued").rglob("*.png"))


def test_what_no_folder_takes_is_an_error_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the state folder refuses too the temporary one is tried; then nothing is left to do."""
    (tmp_path / "state").write_bytes(b"a file")
    monkeypatch.setenv("IMAGEGEN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    layout = ProjectPaths(tmp_path)
    folder = rescue.keep(layout, [drawn()])
    assert folder is not None
    assert folder.is_relative_to(tmp_path / "temporary")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.read_bytes() for path in rescue.images(layout)] == [drawn()]
    shutil.rmtree(tmp_path / "temporary")
    (tmp_path / "temporary").write_bytes(b"a file")
    assert rescue.keep(layout, [drawn()]) is None
    assert list(rescue.images(layout)) == []


@pytest.mark.slow
def test_a_damaged_image_is_neither_used_nor_chosen(disk: Disk) -> None:
    """One flipped bit is enough, in a file of a person's own or in one that was drawn before."""
    disk.run("run", disk.root, "--provider", "sketch", "--progress", "none")
    place = picture(disk.root, "clear", 0)
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    for words in (("use", disk.root, "clear/1.2", place), ("choose", disk.root, "1.1", "clear")):
        done = disk.run(*words)
        assert done.code == 2, done.text
        assert "the PNG is damaged: the checksum of IDAT is wrong" in done.err
    assert not (disk.root / "image_selections.json").exists()
