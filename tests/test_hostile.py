"""Projects made to do harm, read and drawn by the real command.

Whatever a project holds, a command ends with a message and the right exit code, never with
a fault of ours; it writes nothing outside the project, and its memory stays bounded.
"""

import contextlib
import json
import os
import shutil
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import picture as png_file
from commands import Commands, Done, row
from gemini_server import GeminiServer
from hostile import Outside, measured
from sweep import examples

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need rights there")
SKETCH = 'provider = "sketch"\nimage_size = "512"\ndraw = ["clear"]\n'
OURS = (".imagegen/run.json", ".imagegen/index", ".imagegen/stop")


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """Return a tree that no command may touch."""
    return Outside(tmp_path)


def sound(done: Done, *codes: int) -> None:
    """Fail unless a command ended as commands end, with a word why where it is no success."""
    assert done.code in (codes or (0, 1, 2, 3)), (done.code, done.text)
    assert done.code == 0 or done.text.strip()
    assert "internal error" not in done.text


# What a project's files say.


def test_numbers_that_would_leave_the_project_are_refused(
    commands: Commands, outside: Outside
) -> None:
    """Every number that is more than part of a file name is told with its row, exit 2."""
    wrong = [
        "../../../outside/file",
        "..\\..\\x",
        "/etc/passwd",
        "C:\\x",
        "C:x",
        "\\\\server\\share",
        "1/1",
        "a\0b",
        "\u001b[2J",
        "[red]1[/red]",
        "\uff0f",
        "x" * 61,
        "~",
        "$HOME",
        "%USERPROFILE%",
        "*",
        "",
        [],
        {},
        True,
        10**400,
    ]
    rows = [row(n, beat_number=number) for n, number in enumerate(wrong)]
    rows += [row(n, shot_number=number) for n, number in enumerate(wrong)]
    root = commands.project(beats=rows, settings=SKETCH)
    before = sorted(root.rglob("*"))
    done = commands.run("run", root, "--progress", "json")
    sound(done, 2)
    faults = done.events[-1]["faults"]
    assert isinstance(faults, list)
    assert {fault["row"] for fault in faults} == set(range(1, len(rows) + 1))
    assert "\x1b" not in commands.run("run", root).text
    assert sorted(root.rglob("*")) == before
    outside.assert_untouched()


def test_windows_device_names_make_ordinary_files(commands: Commands) -> None:
    """A beat called NUL is Beat_NUL.png, which is no device anywhere; a style may not be."""
    names = ["CON", "nul", "COM1", "aux.x"]
    root = commands.project(
        beats=[row(0, shot_number=n, beat_number=n) for n in names], settings=SKETCH
    )
    sound(commands.run("run", root), 0)
    drawn = {path.name for path in (root / "generated_images").rglob("*.png")}
    assert drawn == {f"Beat_{name}.png" for name in names}
    (root / "imagegen.toml").write_text("[styles.nul]\n")
    sound(commands.run("check", root), 2)


NASTY = (
    "\x1b[31mred\x1b]0;title\x07\x9b1m\u202eback\u2066[bold red]x[/][link=file:///]\x7f\u2028end"
)


def harmless(text: str) -> None:
    """Fail if a terminal would obey anything in a text."""
    assert all(c.isprintable() or c == "\n" for c in text), repr(text)


@pytest.mark.slow
def test_text_moves_no_terminal(commands: Commands, server: GeminiServer) -> None:
    """Control sequences, markup and turned-round text are shown as what they are."""
    beats = [row(0, script_phrase=NASTY, ai_prompt=NASTY, transition_type=NASTY)]
    settings = f'draw = ["clear"]\n[styles.clear]\nlook = {json.dumps(NASTY)}\n'
    root = commands.project("nasty \x1b[31m\u202e[red]", beats=beats, settings=settings)
    address = ("--base-url", server.address)
    for arguments in (
        ("check", root),
        ("check", root, "--show", "1.1"),
        ("run", root, "--dry-run"),
        ("run", root, "-v", "--model", NASTY.replace("\x07", ""), *address),
        ("run", root, "-v", *address),
        ("status", root),
        ("stop", root),
        ("run", root, "--style", NASTY),
        ("run", root, "--beats", root / NASTY),
        ("run", root, "--provider", NASTY),
        ("check", root / NASTY),
    ):
        done = commands.run(*arguments)
        sound(done)
        harmless(done.text)
    log = (root / ".imagegen" / "run.log").read_text("utf-8")
    harmless(log)


@POSIX
def test_a_folder_whose_name_is_no_text_is_a_project(commands: Commands) -> None:
    """A name of bytes that are not UTF-8 is shown somehow, and everything works in it."""
    made = commands.project(beats=1, settings=SKETCH)
    root = Path(os.fsdecode(os.fsencode(made.parent) + b"/caf\xe9"))
    made.rename(root)
    for arguments in (
        ["check"],
        ["run", "--progress", "json"],
        ["status"],
        ["status", "--json"],
        ["resume"],
        ["stop"],
    ):
        sound(commands.run(arguments[0], root, *arguments[1:]), 0)
    (root / "beats.json").write_text("[]")
    sound(commands.run("run", root, "--progress", "json"), 2)
    (root / "imagegen.toml").write_text("x = 1")
    sound(commands.run("run", root, "--progress", "json"), 2)
    sound(commands.run("run", root), 2)


BEATS = {
    "latin-1": '[{"shot_number": 1, "beat_number": "é"}]'.encode("latin-1"),
    "utf-16": '[{"shot_number": 1}]'.encode("utf-16"),
    "utf-16 without mark": '[{"shot_number": 1}]'.encode("utf-16-le"),
    "utf-32": '[{"shot_number": 1}]'.encode("utf-32"),
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"beats":' * 1_000_000,
    "deep in a row": b'[{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    "nothing": b"",
    "spaces": b" " * 1_000_000,
    "number": b"1",
    "text": b'"beats"',
    "NaN": b'[{"shot_number": NaN, "beat_number": Infinity, "ai_prompt": -Infinity}]',
    "1e400": b'[{"shot_number": 1e400, "beat_number": -1e999, "ai_prompt": "x"}]',
    "huge integer": b'[{"shot_number": ' + b"9" * 100_000 + b', "beat_number": 1}]',
    "half a pair": b'[{"shot_number":1,"beat_number":"1","ai_prompt":"\\ud800"}]',
    "types": b'[{"shot_number":[],"beat_number":{},"ai_prompt":7,"ai_prompts":[1]},null,3]',
    "cut": b'[{"shot_number": 1, "beat',
    "two documents": b"[] []",
    "nul bytes": b"\0" * 1000,
}


@pytest.mark.parametrize("data", BEATS.values(), ids=BEATS.keys())
@pytest.mark.parametrize("name", ["beats.json"])
def test_beats_that_are_none_are_a_fault(commands: Commands, name: str, data: bytes) -> None:
    """Wrong encodings, wrong shapes and bottomless nesting end with exit 2 and the file."""
    root = commands.project(settings=SKETCH)
    (root / name).write_bytes(data)
    done = commands.run("run", root)
    sound(done, 2)
    assert name in done.err
    assert not (root / ".imagegen").exists()


def test_what_json_leaves_open_is_settled(commands: Commands) -> None:
    """Of a field that stands twice the last counts; numbers may be text, and text numbers."""
    root = commands.project(settings=SKETCH)
    (root / "beats.json").write_text(
        '\ufeff[{"shot_number": "9", "shot_number": 1, "beat_number": 1.5, "ai_prompt": "a"},'
        '{"shot_number": 2.0, "beat_number": "02", "ai_prompt": "b", "x": {"y": [1e400]}}]',
        encoding="utf-8",
    )
    done = commands.run("run", root)
    sound(done, 0, 2)


FULL: dict[str, Callable[[int], bytes]] = {
    "rows": lambda n: b"[" + b",".join([b'{"shot_number":1,"beat_number":2}'] * (n // 34)) + b"]",
    "empty rows": lambda n: b"[" + b"{}," * (n // 3) + b"{}]",
    "numbers": lambda n: b"[" + b"1," * (n // 2) + b"1]",
    "lists": lambda n: b"[" + b"[]," * (n // 3) + b"[]]",
    "styles": lambda n: (
        b'[{"ai_prompts":{' + b",".join(b'"%07d":null' % i for i in range(n // 15)) + b"}}]"
    ),
    "one text": lambda n: b'[{"ai_prompt":"' + b"x" * n + b'"}]',
    "one emoji": lambda n: '[{"ai_prompt":"😀'.encode() + b"x" * n + b'"}]',
    "brackets": lambda n: b"[" * n,
    "quotes": lambda n: b'"' * n,
}


@pytest.mark.slow
@pytest.mark.sweep
@POSIX
@pytest.mark.parametrize("make", FULL.values(), ids=FULL.keys())
def test_a_large_beats_file_fits(commands: Commands, make: Callable[[int], bytes]) -> None:
    """However a file is filled, reading it takes a bounded part of the machine's memory."""
    root = commands.project(settings=SKETCH)
    (root / "beats.json").write_bytes(make(examples(100_000_000)))
    done = measured(commands, "check", root)
    (root / "beats.json").unlink()
    sound(done, 2)
    assert done.megabytes < examples(1000)


TOML = {
    "a name of countless parts": "a" + ".a" * 1_000_000 + " = 1",
    "quoted parts": '"\\""' + '."\\""' * 200_000 + " = 1",
    "a table of countless parts": "[a" + ".a" * 1_000_000 + "]",
    "deep lists": "a = " + "[" * 1_000_000,
    "deep tables": "a = " + "{a = " * 500_000,
    "digits": "timeout = " + "9" * 1_000_000,
    "not finite": "timeout = nan\nmax_attempts = inf",
    "unknown": "\n".join(f"k{n} = 1" for n in range(100_000)),
    "a long name": "a" * 4_000_000 + " = 1",
    "draws": "draw = [" + '"x",' * 500_000 + "]",
    "control": 'provider = "\\u001b[31m\\u0000"',
    "path": 'style_reference = "\\u0000"',
    "beats": 'beats = "\\u0000"',
    "a loop": 'beats = "loop/loop"',
    "types": "provider = 1\nmodel = []\ntimeout = {}\nstyles = 7\ndraw = 1979-05-27",
    "no unicode": "\udcff",
}


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("text", TOML.values(), ids=TOML.keys())
def test_settings_made_to_harm_are_a_fault(commands: Commands, text: str) -> None:
    """Whatever imagegen.toml holds, it is a fault of its own in bounded time and memory."""
    root = commands.project(settings=SKETCH)
    (root / "loop").symlink_to(root / "loop")
    (root / "imagegen.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = measured(commands, "check", root)
    sound(done, 2)
    harmless(done.text)
    assert len(done.text) < 20_000
    assert done.megabytes < 700


# What stands where a file or folder of the project belongs.

FILES = (
    "beats.json",
    "imagegen.toml",
    "keys.toml",
    "style_reference.png",
    "image_progress_clear.json",
    "generated_images/clear/Shot_1/Beat_1.1.png",
    ".imagegen/run.json",
    ".imagegen/index",
    ".imagegen/lock",
    ".imagegen/active.lock",
    ".imagegen/stop",
    ".imagegen/run.log",
    ".imagegen/run.log.1",
    ".imagegen/detached.log",
    ".imagegen/.gitignore",
)
FOLDERS = (
    ".imagegen",
    ".imagegen/runs",
    "generated_images",
    "generated_images/clear",
    "generated_images/clear/Shot_1",
    "old_images",
)


def _link(path: Path, outside: Outside) -> None:
    path.symlink_to(outside.file if str(path).endswith(tuple(FILES)) else outside.folder / "sub")


def _dangling(path: Path, outside: Outside) -> None:
    path.symlink_to(outside.folder / "new")


def _pipe(path: Path, outside: Outside) -> None:
    os.mkfifo(path)


def _socket(path: Path, outside: Outside) -> None:
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def _folder(path: Path, outside: Outside) -> None:
    path.mkdir()
    (path / "in it").write_text("x")


def _hard_link(path: Path, outside: Outside) -> None:
    path.hardlink_to(outside.file)


def _loop(path: Path, outside: Outside) -> None:
    path.symlink_to(path)


IN_PLACE = (_link, _dangling, _pipe, _socket, _folder, _hard_link, _loop)


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("place", [*FILES, *FOLDERS])
def test_nothing_outside_is_touched_whatever_stands_in_a_place(
    commands: Commands, outside: Outside, place: str
) -> None:
    """Links, pipes, sockets, folders and second names of a file end in words, or do no harm."""
    for number, put in enumerate(IN_PLACE):
        root = commands.project(str(number), beats=1, settings=SKETCH)
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            path.unlink()
        put(path, outside)
        made = (["run", "--provider", "sketch"], ["status"], ["resume", "-v"])
        for command in made if put in {_link, _pipe} else made[:1]:
            done = commands.run(command[0], root, *command[1:])
            sound(done)
            outside.assert_untouched()
        shutil.rmtree(root)


@pytest.mark.slow
@POSIX
def test_a_detached_run_writes_through_nothing(commands: Commands, outside: Outside) -> None:
    """The file that a run without a terminal writes to may be none of yours either."""
    for number, put in enumerate(IN_PLACE):
        root = commands.project(str(number), beats=1, settings=SKETCH)
        (root / ".imagegen").mkdir()
        put(root / ".imagegen" / "detached.log", outside)
        sound(commands.run("run", root, "--detach"))
        outside.assert_untouched()
        commands.run("status", root, "--watch")


@POSIX
@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root may read it all")
@pytest.mark.parametrize("place", [*FILES, *FOLDERS])
def test_what_may_not_be_read_is_told(commands: Commands, place: str) -> None:
    """A file or folder without permission ends in words that name it, or is passed over."""
    root = commands.project(beats=1, settings=SKETCH)
    sound(commands.run("run", root), 0)
    path = root / place
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if place in FOLDERS else path.write_bytes(b"")
    path.chmod(0)
    try:
        for command in ("run", "status", "resume", "stop"):
            sound(commands.run(command, root))
    finally:
        # A run clears a request to stop away.
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o700)


@pytest.mark.slow
def test_pictures_that_are_bombs_are_put_aside(commands: Commands) -> None:
    """A file that claims to be enormous is kept, not unpacked, and its beat is drawn."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    whole = png_file()
    head, rest = whole[:33], whole[33:]
    huge = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    squeezed = zlib.compress(bytes(200_000_000), 9)
    jpeg = bytearray(png_file(kind="JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    bombs = [
        whole[:8] + chunk(b"IHDR", huge) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b""),
        bytes(jpeg),
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        b"RIFF\xff\xff\xff\xffWEBPVP8L" + b"\xff" * 100,
        b"\xff\xd8\xff",
        b"",
    ]
    texts = [
        head + chunk(b"zTXt", b"a\0\0" + squeezed) + rest,
        head + chunk(b"iTXt", b"imagegen\0\1\0\0\0" + squeezed) + rest,
        head + chunk(b"iTXt", b"imagegen\0\0\0\0\0" + b"[" * 60_000) + rest,
        head + chunk(b"iTXt", b"imagegen\0\0\0\0\0" + b" " * 30_000_000) + rest,
    ]
    root = commands.project(beats=len(bombs) + len(texts), settings=SKETCH)
    for number, data in enumerate([*bombs, *texts]):
        shot, beat = divmod(number, 5)
        path = root / f"generated_images/clear/Shot_{shot + 1}/Beat_{shot + 1}.{beat + 1}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    done = measured(commands, "run", root, "--progress", "json")
    sound(done, 0)
    assert done.megabytes < 700
    assert "Beat_1.1.png cannot be used (50000 x 50000 pixels are too many" in done.text
    kept = [path for path in (root / "old_images").rglob("*") if path.is_file()]
    assert len(kept) == len(bombs)
