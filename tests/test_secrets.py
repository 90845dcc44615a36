"""Keys are in requests and in keys files, and nowhere else: every source, every way out."""

import base64
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

import markers
from commands import Commands, Done
from gemini_server import Answer, GeminiServer
from test_hostile_answers import Hostile, Reply, error

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="there it is done otherwise")
KEY = "test-key-marker+/=?&<0>-000042"
PLAIN = "test-key-plain-000043"
ONE = 'draw = ["clear"]\n'
Source = Callable[[Commands, Path, str], tuple[list[str], dict[str, str]]]


def _project(commands: Commands, root: Path, key: str) -> tuple[list[str], dict[str, str]]:
    _write(root / "keys.toml", key)
    return [], {}


def _user(commands: Commands, root: Path, key: str) -> tuple[list[str], dict[str, str]]:
    (commands.config / "imagegen").mkdir(parents=True)
    _write(commands.config / "imagegen" / "keys.toml", key)
    return [], {}


def _option(commands: Commands, root: Path, key: str) -> tuple[list[str], dict[str, str]]:
    _write(commands.folder / "my-keys.toml", key)
    return ["--keys", str(commands.folder / "my-keys.toml")], {}


def _named(commands: Commands, root: Path, key: str) -> tuple[list[str], dict[str, str]]:
    _write(commands.folder / "my-keys.toml", key)
    return [], {"IMAGEGEN_KEYS": str(commands.folder / "my-keys.toml")}


def _reference(commands: Commands, root: Path, key: str) -> tuple[list[str], dict[str, str]]:
    _write(root / "keys.toml", "env:MY_KEY")
    return [], {"MY_KEY": key}


def _variable(commands: Commands, root: Path, key: str) -> tuple[list[str], dict[str, str]]:
    return [], {"GEMINI_API_KEY": key}


SOURCES = (_project, _user, _option, _named, _reference, _variable)


def _write(path: Path, key: str) -> None:
    path.write_text(f"[keys]\ndefault = [{json.dumps(key)}]\n", encoding="utf-8")
    path.chmod(0o600)


def planted(commands: Commands, key: str, source: Source) -> tuple[Path, list[str], dict[str, str]]:
    """Return a project, and the options and environment that give it this key."""
    root = commands.project(beats=2, settings=ONE)
    (root / "keys.toml").unlink()
    commands.keys = {key}
    return (root, *source(commands, root, key))


def clean(commands: Commands, done: Done, key: str) -> None:
    """Fail if a key, or a spelling of it, is in what was printed or left behind."""
    for spelling in (key, quote(key, safe=""), base64.b64encode(key.encode()).decode().rstrip("=")):
        assert spelling not in done.text
    assert markers.PREFIX.decode() not in done.text
    assert not markers.search(commands.folder)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__.strip("_"))
def test_a_key_reaches_the_service_and_nothing_else(
    commands: Commands, server: GeminiServer, source: Source
) -> None:
    """From wherever a key comes, it is in the request's header, and in nothing we write."""
    root, options, env = planted(commands, PLAIN, source)
    server.fault("prompt <1>", Answer.REFUSED, times=9)
    address = ["--base-url", server.address]
    commands_made: tuple[list[str], ...] = (
        ["check", str(root), "--show", "1.1", *options],
        ["run", str(root), "-v", "--dry-run", *options, *address],
        ["run", str(root), "-v", *options, *address],
        ["resume", str(root), "-v", "--progress", "json", *options, *address],
        ["run", str(root), "--force", "--detach", *options, *address],
        ["status", str(root), "--watch"],
        ["status", str(root), "--json"],
    )
    for arguments in commands_made:
        clean(commands, commands.run(*arguments, env=env), PLAIN)
    assert {request.key for request in server.requests} == {PLAIN}
    assert all(PLAIN not in request.path for request in (*server.requests, *server.listings))


def _quotes(key: str) -> str:
    data = key.encode()
    coded = [base64.b64encode(b"x" * n + data + b"y").decode() for n in range(3)]
    url_safe = [base64.urlsafe_b64encode(b"x" * n + data).decode() for n in range(3)]
    return " ".join(
        [
            f"API key {key} not valid",
            f"key {key[:20]}\n  {key[20:]}, {key[1:]}, {key[:-1]}",
            "".join(f"&#{ord(c)};" for c in key),
            "".join(f"\\u{ord(c):04x}" for c in key),
            "".join(f"%{byte:02x}" for byte in key.encode()),
            f"https://x/?key={quote(key, safe='')}",
            quote(key),
            json.dumps({"key": key}),
            data.hex(),
            *coded,
            *url_safe,
        ]
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_crash_of_the_process_leaves_no_memory(commands: Commands, server: GeminiServer) -> None:
    """A core file would have the keys: none is written, whatever the shell allows."""
    root = commands.project()
    allow = 'ulimit -c unlimited && exec "$@"'
    with server.held():
        run = commands.start(
            "run", root, "--base-url", server.address, under=["sh", "-c", allow, "sh"]
        )
        assert server.wait_for_requests(9)
        limits = Path(f"/proc/{run.pid}/limits").read_text()
        run.kill()
    commands.wait(run)
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize("key", [PLAIN, KEY])
@pytest.mark.parametrize("http", [400, 401, 403, 404, 429, 500])
def test_a_service_that_quotes_the_key_is_not_repeated(
    commands: Commands, key: str, http: int
) -> None:
    """A key in an error message, plain, in an address, in JSON, base64 or hex, is cut out."""
    root, _, env = planted(commands, key, _project)
    (root / "imagegen.toml").write_text(ONE + "max_attempts = 1\n")
    said = _quotes(key)
    answers = [
        error(http, message=part, status=part, details=[{"reason": part, "quotaId": part}])
        for part in (said, said[::-1] + said)
    ]
    odd = Reply(
        json.dumps({"candidates": [{"finishReason": "SAFETY", "finishMessage": said}]}).encode()
    )
    server = Hostile({0: answers[0], 1: odd}, again=True)
    try:
        arguments = ["run", str(root), "-v", "--max-time", "3m", "--base-url", server.address]
        process = commands.start(*arguments, env=env)
        # A key that is rejected ends the run by itself, perhaps before its second request left.
        while not server.answered.wait(0.1) and process.poll() is None:
            pass
        commands.run("stop", root)
        done = commands.wait(process)
    finally:
        server.shutdown()
        server.server_close()
    clean(commands, done, key)


BROKEN = """
import os, sys
def broken(where):
    import imagegen.keys.keyfile, imagegen.providers.gemini.provider, imagegen.runs.recorder
    import imagegen.display.views.plain
    from imagegen.secret import Secret
    def fail(self, *args, **kwargs):
        secret = next((a for a in args if isinstance(a, Secret)), None)
        key = secret.reveal() if secret else os.environ["MARKER"]
        try:
            raise ValueError(key)
        except ValueError as error:
            raise RuntimeError(f"cannot go on with {key!r}", {"key": key}) from error
    places = {
        "draw": (imagegen.providers.gemini.provider.Gemini, "draw"),
        "models": (imagegen.providers.gemini.provider.Gemini, "close"),
        "recorder": (imagegen.runs.recorder.Recorder, "handle"),
        "display": (imagegen.display.views.plain.Plain, "handle"),
    }
    setattr(*places[where], fail)
if "imagegen" in sys.argv or "-m" in sys.orig_argv:
    broken(os.environ["BROKEN"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["draw", "models", "recorder", "display"])
def test_a_crash_shows_no_key(commands: Commands, server: GeminiServer, where: str) -> None:
    """Where we break with a key in an exception, neither the screen nor crash.log has it."""
    root, _, env = planted(commands, PLAIN, _project)
    site = commands.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BROKEN)
    env |= {"PYTHONPATH": str(site), "BROKEN": where, "MARKER": PLAIN}
    done = commands.run("run", root, "-v", "--base-url", server.address, env=env)
    clean(commands, done, PLAIN)
    if where == "draw":
        assert done.code == 70
        report = (commands.state / "crash.log").read_text("utf-8")
        assert "RuntimeError" in report
        assert "…0043" in report


@POSIX
def test_no_program_that_is_started_sees_a_key(commands: Commands, server: GeminiServer) -> None:
    """The arguments and the environment of every program that we start hold no key."""
    root, _, env = planted(commands, PLAIN, _project)
    env |= {"GEMINI_API_KEY": PLAIN, "GOOGLE_API_KEY": PLAIN}
    (root / ".git").mkdir()
    spy = commands.folder / "bin"
    spy.mkdir()
    seen = commands.folder / "seen"
    for name in ("git", "uname", "dbus-send", "sh", "caffeinate", "systemd-inhibit"):
        (spy / name).write_text(f'#!/bin/sh\n(echo "$0" "$@"; /usr/bin/env) >> {seen}\nexit 1\n')
        (spy / name).chmod(0o755)
    env |= {"PATH": f"{spy}{os.pathsep}{commands.env['PATH']}", "WAKEPY_FAKE_SUCCESS": "yes"}
    done = commands.run("run", root, "--keep-awake", "--base-url", server.address, env=env)
    assert done.code == 0, done.text
    assert "git" in seen.read_text()
    clean(commands, done, PLAIN)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc here")
@pytest.mark.parametrize("source", [_project, _option, _variable])
def test_no_list_of_processes_shows_a_key(
    commands: Commands, server: GeminiServer, source: Source
) -> None:
    """Neither a run nor the process of a detached one has a key among its arguments."""
    root, options, env = planted(commands, PLAIN, source)
    with server.held():
        arguments = ["run", str(root), "--detach", *options, "--base-url", server.address]
        # A fork has the arguments of the process that forked it.
        assert commands.run(*arguments, env=env, fresh=True).code == 0
        record = json.loads((root / ".imagegen" / "run.json").read_text())
        shown = Path(f"/proc/{record['pid']}/cmdline").read_bytes()
    assert b"imagegen" in shown
    assert PLAIN.encode() not in shown
    commands.run("status", root, "--watch")


def test_the_search_finds_what_it_is_for(tmp_path: Path) -> None:
    """A planted key is found in any file but a keys file, in each of its spellings."""
    data = PLAIN.encode()
    spellings: Mapping[str, bytes] = {
        "plain": data,
        "late": bytes(1024 * 1024 - 4) + data,
        "hex": data.hex().encode(),
        **{f"base64 {n}": base64.b64encode(b"x" * n + data) for n in range(3)},
    }
    for name, spelling in spellings.items():
        (tmp_path / name).write_bytes(spelling)
    (tmp_path / "my-keys.toml").write_bytes(data)
    (tmp_path / "harmless").write_bytes(b"a key of yours")
    found = {path.name for path in markers.search(tmp_path)}
    for name in spellings:
        # The search after the last test looks here too.
        (tmp_path / name).unlink()
    assert found == set(spellings)
