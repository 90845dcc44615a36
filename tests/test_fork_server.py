"""Commands that tests start in forks do what they do in interpreters of their own."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest

import commands as starting
from builders import picture
from commands import Commands, pictures
from fork_client import POSSIBLE, Forked, ForkServer, ServerGoneError
from gemini_server import GeminiServer
from serving import Served
from test_cli_help import COMMANDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not POSSIBLE, reason="no process is forked here"),
]

SKETCH = ("--provider", "sketch")
BEAT = "clear/1.1"
CASES = [
    ["--version"],
    ["--help"],
    ["help", "run"],
    ["version"],
    ["init", "other"],
    ["init", "my-video"],
    ["check", "my-video", *SKETCH],
    ["check", "my-video"],
    ["run", "my-video", *SKETCH],
    ["run", "my-video", *SKETCH, "--style", "consistent", "--progress", "json"],
    ["run", "my-video", "--base-url", "http://127.0.0.1:1", "--dry-run"],
    ["run", "nowhere"],
    ["resume", "my-video"],
    ["stop", "my-video"],
    ["status", "my-video"],
    ["status", "my-video", "--json"],
    ["status", "my-video", "--check"],
    ["status", "--all", "my-video", "my-video"],
    ["gallery", "my-video", "--no-open"],
    ["choose", "my-video", BEAT],
    ["choose", "my-video", "--finish"],
    ["redraw", "my-video", BEAT, *SKETCH, "--yes"],
    ["redraw", "my-video", "clear/9.9", *SKETCH],
    ["use", "my-video", BEAT, "mine.png"],
    ["accept", "my-video", BEAT],
    ["skip", "my-video", BEAT],
    ["try", "my-video", *SKETCH, "--style", "clear", "--look", "Chalk."],
    ["cast", "my-video", "mara", *SKETCH],
    ["renumber", "my-video"],
    ["clean", "my-video"],
    ["adopt", "my-video"],
    ["merge", "my-video", "my-video"],
    ["export", "timeline", "my-video", "--choose", "clear"],
    ["export", "svg", "my-video", "--choose", "clear", "--beat", BEAT],
    ["export", "animatic", "my-video"],
    ["undo", "my-video"],
    ["models", "my-video", "--base-url", "http://127.0.0.1:1"],
    ["spend"],
    ["spend", "--by", "model", "--json"],
    ["spend", "reconcile", "costs.csv"],
    ["keys", "list", "my-video"],
    ["keys", "add", "my-video", "clear"],
    ["keys", "check", "my-video", "--base-url", "http://127.0.0.1:1"],
    ["wrong"],
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project of which two styles are drawn."""
    commands = Commands(tmp_path_factory.mktemp("drawn"))
    root = commands.project(
        settings='image_size = "512"\n[characters.mara]\nabout = "A girl with red hair."\n'
    )
    (commands.folder / "mine.png").write_bytes(picture(1344, 768))
    done = commands.run("run", root, *SKETCH, "--style", "clear", "--style", "illustration")
    assert done.code == 0, done.err
    return commands.folder


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_a_fork_does_what_a_fresh_interpreter_does(
    drawn: Path, tmp_path: Path, words: list[str]
) -> None:
    """Output, errors, exit code and files are the same, but for times, numbers and names."""
    found = []
    for fresh in (False, True):
        commands = Commands(tmp_path / "here")
        shutil.copytree(drawn, commands.folder, symlinks=True)
        process = commands.start(*words, fresh=fresh)
        assert isinstance(process, Forked) != fresh
        done = commands.wait(process)
        lines = [("stdout", line) for line in _alike(done.out)]
        lines += [("stderr", line) for line in _alike(done.err)]
        found.append(Counter([("exit", str(done.code)), *lines, *_files(commands.folder)]))
        shutil.rmtree(commands.folder)
    assert (found[0] - found[1], found[1] - found[0]) == ({}, {})


def test_every_command_is_compared() -> None:
    """No command is left out, but `serve`, which has a test of its own."""
    every = {path for path, one in COMMANDS.items() if path and not hasattr(one, "commands")}
    compared = {path for path in every for case in CASES if tuple(case[: len(path)]) == path}
    assert compared == every - {("serve",)}


def _alike(text: str) -> list[str]:
    """Return a text's lines without what no two runs share: numbers, names, widths and order.

    How long it will take is told, or not, by how long it took so far.
    """
    # The end of an id of a run may have no digit.
    numbers = r"(?<=-)[0-9a-f]{6}\b|[0-9a-f]*\d[0-9a-f]*"
    lines = re.sub(numbers, "#", text).splitlines()
    return sorted(re.sub(r" +", " ", x) for x in lines if "forecast" not in x and " left" not in x)


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of every file, and the pixels of every picture."""
    for path in folder.rglob("*"):
        [name] = _alike(path.relative_to(folder).as_posix())
        if path.suffix == ".png":
            with PIL.Image.open(path) as image:
                yield name, hashlib.sha256(image.tobytes()).hexdigest()
        elif path.suffix == ".sqlite":
            yield name, "budgets"
        # Whether the index is written hangs on how old the files are.
        elif path.is_file() and path.name != "index":
            yield from ((name, line) for line in _alike(path.read_text(encoding="utf-8")))


def test_a_server_in_a_fork_ends_as_one_in_a_fresh_interpreter(commands: Commands) -> None:
    """`serve` answers, and ends at Ctrl-C."""
    root = commands.project()
    ends = []
    for fresh in (False, True):
        served = Served(commands, root, fresh=fresh)
        assert isinstance(served.process, Forked) != fresh
        assert served.get("/api/project").status_code == 200
        done = served.close()
        ends.append((done.code, _alike(done.err)))
    assert ends[0] == ends[1]


def test_what_only_a_start_can_heed_has_an_interpreter_of_its_own(commands: Commands) -> None:
    """Variables of Python's, of the loader and of locales are not for a process that runs."""
    for name in ("PYTHONPATH", "PYTHONUTF8", "PYTHONUNBUFFERED", "LD_PRELOAD", "LC_ALL", "LANG"):
        with commands.start("--version", env={name: "0"}) as process:
            assert not isinstance(process, Forked)
    with commands.start("--version", env={"PYTHONPATH": "", "TZ": "UTC", "HOME": "/"}) as process:
        assert isinstance(process, Forked)


def test_a_fork_is_a_process_like_any_other(commands: Commands, server: GeminiServer) -> None:
    """It leads a session of its own, and a signal that kills it is its exit code."""
    root = commands.project(beats=1, keys={"clear": ["test-key-clear"]})
    with server.held():
        process = commands.start("run", root, "--style", "clear", "--base-url", server.address)
        assert server.wait_for_requests(1)
        assert os.getsid(process.pid) == process.pid
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_run_apart_from_its_command_is_started_alike(
    commands: Commands, server: GeminiServer, *, fresh: bool
) -> None:
    """A fork starts it by a fork, and a fresh interpreter with another one."""
    root = commands.project()
    detached = ("--detach", "--base-url", server.address)
    with server.held():
        assert commands.run("run", root, *detached, fresh=fresh).code == 0
        pid = json.loads(commands.run("status", root, "--json").out)["pid"]
        parts = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        assert any(part.endswith("fork_server.py") for part in parts) != fresh
        assert ("--detach" in parts, "imagegen" in parts) == (False, fresh)
        assert os.getsid(pid) == pid
    commands.run("status", root, "--watch")
    assert len(pictures(root)) == 9


def test_tests_fail_when_the_server_is_gone(commands: Commands, server: GeminiServer) -> None:
    """What waits for a command ends with an error, the command is killed, and none starts."""
    root = commands.project(beats=1, keys={"clear": ["test-key-clear"]})
    forks = ForkServer(starting.environment())
    arguments = ["run", str(root), "--style", "clear", "--base-url", server.address]
    with server.held():
        process = forks.start(arguments, commands.folder, commands.env)
        assert server.wait_for_requests(1)
        forks.process.kill()
        with pytest.raises(ServerGoneError):
            process.communicate()
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(ServerGoneError):
        forks.start(["--version"], commands.folder, commands.env)
    forks.close()
    process.__exit__()
