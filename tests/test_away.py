"""Runs away from their terminal: detached, watched from outside, stopped, kept awake."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from commands import Commands, pictures
from gemini_server import Answer, GeminiServer
from imagegen.cli import extras
from imagegen.display.views.log import RunLog
from imagegen.errors import StorageError
from imagegen.events import journal as follow
from imagegen.events.journal import Journal
from imagegen.events.types import Complete, WarningEvent
from imagegen.project import record
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest, RunLock, RunRecord
from imagegen.runs import detach
from imagegen.shell import command

POSIX = pytest.mark.skipif(os.name != "posix", reason="terminals of this kind are Unix's")


@pytest.fixture
def ended_runs(commands: Commands) -> Iterator[None]:
    """End whatever a failing test has left running in the background."""
    yield
    for root in commands.folder.iterdir():
        if (root / ".imagegen").is_dir():
            commands.run("stop", root)
            commands.run("status", root, "--watch")


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True])
def test_a_detached_run_finishes_alone(
    commands: Commands, server: GeminiServer, ended_runs: None, *, fresh: bool
) -> None:
    """The command comes back at once, naming the process, and the run goes on without it."""
    root = commands.project()
    with server.held():
        done = commands.run("run", root, "--detach", "--base-url", server.address, fresh=fresh)
        assert done.code == 0, done.text
        found = json.loads(commands.run("status", root, "--json").out)
        assert found["active"]
        assert f"process {found['pid']}" in done.out
        assert not pictures(root)
    commands.run("status", root, "--watch")
    assert len(pictures(root)) == 9
    assert commands.run("status", root, "--check").code == 0


@pytest.mark.slow
@POSIX
def test_a_detached_run_survives_its_window(
    commands: Commands, server: GeminiServer, ended_runs: None
) -> None:
    """Closing the terminal, which hangs up everything in it, does not reach the run."""
    pty = importlib.import_module("pty")
    root = commands.project()
    with server.held():
        # The shell stays, as one at a prompt would, until its terminal is taken away.
        script = 'trap "" TERM; "$@" >/dev/null 2>&1; echo left; read line'
        started = [sys.executable, "-m", "imagegen", "run", str(root), "--detach"]
        pid, terminal = pty.fork()
        if pid == 0:
            # Whoever runs the tests may be deaf to it (nohup).
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            arguments = ["sh", "-c", script, "sh", *started, "--base-url", server.address]
            os.execvpe("sh", arguments, commands.env)
        said = b""
        while b"left" not in said:
            said += os.read(terminal, 1024)
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGHUP
        assert json.loads(commands.run("status", root, "--json").out)["active"]
    commands.run("status", root, "--watch")
    assert commands.run("status", root, "--check").code == 0


def test_what_cannot_start_is_said_in_the_terminal(
    commands: Commands, server: GeminiServer
) -> None:
    """A fault of the project is told by the command itself, not by a process nobody sees."""
    root = commands.project(keys={})
    done = commands.run("run", root, "--detach", "--base-url", server.address)
    assert done.code == 2
    assert "no key" in done.err


@pytest.mark.slow
def test_a_second_detached_run_is_told_of_the_first(
    commands: Commands, server: GeminiServer, ended_runs: None
) -> None:
    """What ends the run before it has the project is passed on, exit code and all."""
    root = commands.project()
    with server.held():
        commands.run("run", root, "--detach", "--base-url", server.address)
        done = commands.run("run", root, "--detach", "--base-url", server.address)
        assert done.code == 4
        assert "another run is active" in done.err
    commands.run("status", root, "--watch")


@pytest.mark.slow
def test_a_detached_run_that_ends_unseen_is_a_run(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One over before anybody looked has its journal, and one that never began has none."""
    root = commands.project(settings='provider = "sketch"\nimage_size = "512"\n')
    monkeypatch.setattr(record, "active_run", lambda _: None)
    layout = ProjectPaths(root)
    for _ in range(2):
        over = detach.start(layout, ["run", str(root), "--limit", "0"], commands.env)
        assert isinstance(over, detach.EarlyExit)
        assert over.run is not None
        assert layout.journal(over.run).is_file()
        assert over.exit_code == 0
    over = detach.start(layout, ["run", str(root), "--beat", "9.9"], commands.env)
    assert isinstance(over, detach.EarlyExit)
    assert over.run is None
    assert over.exit_code == 2
    assert "9.9" in over.output


def test_detached_needs_no_events_and_draws(commands: Commands) -> None:
    """Options that contradict each other are told so."""
    root = commands.project()
    for other in (["--progress", "json"], ["--dry-run"]):
        done = commands.run("run", root, "--detach", *other)
        assert done.code == 2
        assert "--detach" in done.text
    assert not pictures(root)


@pytest.mark.slow
def test_a_module_in_the_project_is_not_what_is_started(
    commands: Commands, server: GeminiServer
) -> None:
    """A folder called imagegen in the current one has no say in what a detached run runs."""
    root = commands.project()
    evil = root / "imagegen"
    evil.mkdir()
    (evil / "__init__.py").write_text("raise SystemExit(99)")
    (evil / "__main__.py").write_text("raise SystemExit(99)")
    command = [sys.executable, "-P", "-m", "imagegen", "run", "--detach"]
    done = subprocess.run(
        [*command, "--base-url", server.address],
        cwd=root,
        env=commands.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    commands.run("status", root, "--watch")
    assert commands.run("status", root, "--check").code == 0


def test_watching_shows_the_run_to_its_end(commands: Commands, server: GeminiServer) -> None:
    """Whoever joins late hears everything: what was drawn before, and how it ended."""
    root = commands.project()
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    with server.held():
        run = commands.start("run", root, "--progress", "json", "--base-url", server.address)
        assert server.wait_for_requests(9)
        watchers = [commands.start("status", root, "--watch", *more) for more in ([], ["--json"])]
        first = [first_line(watcher) for watcher in watchers]
    seen, events = map(rest, watchers)
    ran = commands.wait(run)
    assert ran.code == 1
    assert [commands.wait(watcher).code for watcher in watchers] == [0, 0]
    assert "SAFETY" in seen
    assert "6 of 9" in seen
    assert [json.loads(line) for line in [first[1], *events.splitlines()]] == ran.events


@pytest.mark.parametrize("name", ["imagegen.toml", "beats.json"])
def test_watching_goes_on_while_a_file_is_half_edited(
    commands: Commands, server: GeminiServer, name: str
) -> None:
    """The run does not read it again, and what it does stands in its journal."""
    root = commands.project()
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    with server.held():
        run = commands.start("run", root, "--progress", "json", "--base-url", server.address)
        assert server.wait_for_requests(9)
        (root / name).write_text("[half")
        watchers = [commands.start("status", root, "--watch", *more) for more in ([], ["--json"])]
        first = [first_line(watcher) for watcher in watchers]
    seen, events = map(rest, watchers)
    ran, *watched = map(commands.wait, (run, *watchers))
    assert ran.code == 1
    assert [watcher.code for watcher in watched] == [0, 0]
    assert watched[0].err.startswith("my-video: its files have errors now, ")
    assert "9 images to draw" in first[0]
    assert "clear/1.3" in seen
    assert "SAFETY" in seen
    assert "6 of 9" in seen
    assert [json.loads(line) for line in [first[1], *events.splitlines()]] == ran.events


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for the first line that a command prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def rest(process: subprocess.Popen[str]) -> str:
    """Return what a command prints after its first line, to its end."""
    assert process.stdout is not None
    return process.stdout.read()


def test_stop_ends_a_watched_run(commands: Commands, server: GeminiServer) -> None:
    """`stop` ends it with exit 3 once what is in flight is saved, and `resume` finishes."""
    root = commands.project(beats=8, per_minute=2)
    run = commands.start("run", root, "--base-url", server.address)
    assert server.wait_for_requests(6)
    watcher = commands.start("status", root, "--watch")
    assert watcher.stdout is not None
    assert watcher.stdout.readline()
    assert commands.run("stop", root).code == 0
    ran, seen = commands.wait(run), commands.wait(watcher)
    assert ran.code == 3
    assert "stopped" in ran.text
    assert "stopped" in seen.out
    assert len(pictures(root)) == 6
    keys = root / "keys.toml"
    keys.write_text(keys.read_text().replace("requests_per_minute = 2", "requests_per_minute = 99"))
    assert commands.run("resume", root, "--base-url", server.address).code == 0
    assert len(server.requests) == 24


def test_watching_a_run_that_is_killed_says_so(commands: Commands, server: GeminiServer) -> None:
    """A run that breaks off has no last word: the watcher says what is there."""
    root = commands.project()
    with server.held():
        run = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(9)
        watcher = commands.start("status", root, "--watch")
        run.kill()
        commands.wait(run)
        seen = commands.wait(watcher)
    assert seen.code == 0
    assert "interrupted" in seen.out


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_nothing_to_watch(commands: Commands, more: list[str]) -> None:
    """Without an active run the status is told, and nothing is waited for."""
    root = commands.project()
    done = commands.run("status", root, "--watch", *more)
    assert done.code == 0
    assert bool(done.out) is not bool(more)


def test_a_journal_of_somebody_else_harms_no_watcher(
    commands: Commands, server: GeminiServer
) -> None:
    """Lines that are no events, or of styles that do not exist, are passed over."""
    root = commands.project()
    with server.held():
        run = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(9)
        journal = next((root / ".imagegen" / "runs").glob("*.jsonl"))
        with journal.open("ab") as file:
            file.write(
                b'not json\n{"type": "later", "x": 1}\n[[[[\n\xff\xfe\n'
                b'{"type":"progress","style":"no","shot_number":"1","beat_number":"1",'
                b'"status":"complete","completed":1,"total":1}\n'
                b'{"type":"warning","message":"\\u001b[31mred\\u0007"}\n'
            )
        watcher = commands.start("status", root, "--watch")
        first_line(watcher)
    seen = rest(watcher)
    commands.wait(run)
    assert commands.wait(watcher).code == 0
    assert "9 of 9" in seen
    assert "\x1b" not in seen
    assert "\x07" not in seen


def test_the_log_tells_what_happened(commands: Commands, server: GeminiServer) -> None:
    """One line an event, with time, beat, key and reason; -v says the same on stderr."""
    root = commands.project(beats=2)
    server.fault("prompt <1>", Answer.REFUSED)
    done = commands.run("run", root, "-v", "--style", "clear", "--base-url", server.address)
    assert done.code == 1
    log = (root / ".imagegen" / "run.log").read_text()
    assert [line for line in done.err.splitlines() if "Z  " in line] == log.splitlines()
    assert "complete    clear/1/1.1" in log
    assert "…0000" in log
    assert "refused" in log
    assert "end         exit 1" in log


def test_a_log_in_the_way_of_a_link_is_refused(commands: Commands, server: GeminiServer) -> None:
    """A project's own log may not be a way to write somewhere else."""
    root = commands.project(beats=1)
    (root / ".imagegen").mkdir()
    victim = commands.folder / "victim"
    victim.write_text("mine")
    (root / ".imagegen" / "run.log").symlink_to(victim)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 2, done.text
    assert victim.read_text() == "mine"
    assert not server.requests


def test_keep_awake_asks_the_system(commands: Commands, server: GeminiServer) -> None:
    """Where the system keeps the machine awake nothing is said; where it cannot, a warning."""
    root = commands.project(beats=1)
    granted = {"WAKEPY_FAKE_SUCCESS": "yes"}
    done = commands.run("run", root, "--keep-awake", "--base-url", server.address, env=granted)
    assert done.code == 0, done.text
    assert "--keep-awake" not in done.text
    denied = {"WAKEPY_FORCE_FAILURE": "yes"}
    done = commands.run(
        "run", root, "--force", "--keep-awake", "--base-url", server.address, env=denied
    )
    assert done.code == 0, done.text
    assert "--keep-awake" in done.text


def test_without_the_extra_nothing_is_drawn(commands: Commands, server: GeminiServer) -> None:
    """Whoever asked for it would leave, and the machine would sleep."""
    root = commands.project(beats=1)
    missing = commands.folder / "missing"
    missing.mkdir()
    (missing / "wakepy.py").write_text("raise ImportError(name='wakepy')")
    env = {"PYTHONPATH": str(missing)}
    done = commands.run("run", root, "--keep-awake", "--base-url", server.address, env=env)
    assert done.code == 2
    assert done.err.splitlines()[1].strip() == extras.missing_extra("--keep-awake", "awake").hint
    assert not server.requests


def test_what_is_missing_is_installed_where_imagegen_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is for the Python that runs imagegen, and for what installs packages there."""
    package, python = "imagegen-storyboard[web]", tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.with_suffix(".exe" if os.name == "nt" else "").touch(0o700)
    monkeypatch.setattr("sys.executable", str(python))

    def told() -> str | None:
        return extras.missing_extra("serve", "web").hint

    monkeypatch.setattr("importlib.util.find_spec", lambda _: "pip is there")
    monkeypatch.setenv("PATH", str(python.parent))
    assert told() == command("python", "-m", "pip", "install", package)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert told() == command(str(python), "-m", "pip", "install", package)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert told() == command("uv", "pip", "install", "--python", str(python), package)


@POSIX
def test_leaving_the_watch_leaves_the_run(commands: Commands, server: GeminiServer) -> None:
    """Ctrl-C ends the watching alone."""
    root = commands.project()
    with server.held():
        run = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(9)
        watcher = commands.start("status", root, "--watch")
        first_line(watcher)
        watcher.send_signal(signal.SIGINT)
        assert commands.wait(watcher).code == 130
    assert commands.wait(run).code == 0


@pytest.mark.slow
@POSIX
def test_under_nohup_a_closed_terminal_ends_nothing(
    commands: Commands, server: GeminiServer
) -> None:
    """A run, and whoever watches one or serves its page, ignore what nohup has them ignore."""
    root = commands.project()
    nohup = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    with server.held():
        run = commands.start("run", root, "--base-url", server.address, under=nohup)
        assert server.wait_for_requests(9)
        watcher = commands.start("status", root, "--watch", under=nohup)
        page = commands.start("serve", root, "--no-browser", under=nohup)
        for process in (watcher, page):
            first_line(process)
        for process in (run, watcher, page):
            process.send_signal(signal.SIGHUP)
    assert commands.wait(run).code == 0
    assert commands.wait(watcher).code == 0
    page.send_signal(signal.SIGINT)
    assert commands.wait(page).code == 0


def test_a_full_log_is_put_aside(tmp_path: Path) -> None:
    """Neither the log nor the one before it grows without end."""
    log = RunLog(tmp_path / "run.log", largest=500)
    for number in range(40):
        log.handle(WarningEvent(message=f"warning number {number}"))
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["run.log", "run.log.1"]
    assert all(path.stat().st_size <= 500 for path in tmp_path.iterdir())
    assert "number 39" in (tmp_path / "run.log").read_text()


def test_a_log_that_cannot_be_put_aside_is_closed_once(tmp_path: Path) -> None:
    """A second close could hit whatever file has been opened since."""
    folder = tmp_path / "gone"
    folder.mkdir()
    log = RunLog(folder / "run.log", largest=100)
    (folder / "run.log").unlink()
    folder.rmdir()
    with pytest.raises(StorageError):
        log.handle(WarningEvent(message="too long for what is left " * 5))
    with (tmp_path / "other").open("w") as other:
        log.close()
        other.write("still open")


def test_a_run_that_died_is_not_followed_into_the_next(tmp_path: Path) -> None:
    """Another run that has the project meanwhile does not keep the watching going."""
    layout = ProjectPaths(tmp_path)
    layout.prepare()
    lock = RunLock(layout)
    lock.acquire()
    begun = RunRecord(run="next", root_run="next", pid=os.getpid(), started="", asked=DrawRequest())
    record.write(layout, begun)
    moments = iter(range(100))
    ended = follow.follow(
        layout, "first", [], sleep=lambda _seconds: None, now=lambda: float(next(moments))
    )
    lock.release()
    assert ended is None


def test_how_a_long_run_ended_is_read_from_the_end_of_its_journal(tmp_path: Path) -> None:
    """A journal of 300,000 beats has hundreds of megabytes."""
    path = tmp_path / "run.jsonl"
    told = [WarningEvent(message=f"the {n}th") for n in range(1000)]
    events = [*told, Complete(exit_code=0, reason="complete", counts={})]
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    journal = Journal(path, last=1000)
    read = list(journal.events())
    journal.close()
    assert read == events[-len(read) :]
    assert len(read) < 20
