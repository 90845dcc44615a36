"""Projects made by somebody else: they choose what is drawn, and nothing beyond that.

Such a project may not say where keys go, read what lies outside it, or start a program.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders import picture as png_file
from commands import Commands, pictures, row
from gemini_server import GeminiServer
from hostile import Outside

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
ONE = 'draw = ["clear"]\n'
LINKS = "links"
RECORD = {
    "run": "20260101000000-abcdef",
    "lineage": "20260101000000-abcdef",
    "pid": 1,
    "started": "2026-01-01T00:00:00Z",
    "asked": {},
}


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """Return a tree that no command may touch."""
    return Outside(tmp_path)


def put_record(root: Path, **fields: object) -> None:
    """Put a record of a run into a project, as one that came with it would be."""
    (root / ".imagegen").mkdir(exist_ok=True)
    (root / ".imagegen" / "run.json").write_text(json.dumps(RECORD | fields))


def assert_idle(server: GeminiServer) -> None:
    """Fail if anything at all was asked of a server."""
    assert not server.requests
    assert not server.listings


# Where keys go.


@pytest.mark.parametrize("field", ["base_url", "api_url", "endpoint", "address"])
@pytest.mark.parametrize("name", ["imagegen.toml", "keys.toml"])
def test_a_project_cannot_say_where_keys_go(
    commands: Commands, server: GeminiServer, name: str, field: str
) -> None:
    """An address in a project's own files is exit 2, and nobody is connected to."""
    root = commands.project(beats=1)
    before = (root / name).read_text() if (root / name).exists() else ""
    (root / name).write_text(f'{field} = "{server.address}"\n{before}')
    for command in ("check", "run", "resume"):
        done = commands.run(command, root)
        assert done.code == 2, done.text
        assert name in done.text or command == "resume"
    assert_idle(server)


def test_a_record_cannot_say_where_keys_go(commands: Commands, server: GeminiServer) -> None:
    """Addresses and keys files in a shipped record of a run are not looked at."""
    root = commands.project(beats=1, settings=ONE)
    (commands.folder / "other-keys.toml").write_text(
        '[keys]\ndefault = ["test-key-other-000001"]\n'
    )
    evil = {
        "base_url": server.address,
        "keys": str(commands.folder / "other-keys.toml"),
        "provider": "sketch",
        "verify": False,
    }
    put_record(root, **{k: v for k, v in evil.items() if k != "provider"}, asked=evil)
    assert commands.run("resume", root).code == 0
    assert_idle(server)
    with GeminiServer() as mine:
        asked = {"force": True, **evil, "provider": "gemini"}
        put_record(root, **evil, lineage="20260102000000-abcdef", asked=asked)
        done = commands.run("resume", root, "--base-url", mine.address)
        assert done.code == 0, done.text
        assert {request.key for request in mine.requests} <= commands.keys
        assert mine.requests
    assert_idle(server)


@pytest.mark.parametrize("name", ["imagegen.toml", "keys.toml"])
@pytest.mark.parametrize("field", ["verify", "ssl_verify", "ca_bundle", "proxy", "proxies"])
def test_a_project_cannot_weaken_the_connection(
    commands: Commands, server: GeminiServer, name: str, field: str
) -> None:
    """Certificates and proxies are no settings: whoever writes one is told so, exit 2."""
    root = commands.project(beats=1)
    before = (root / name).read_text() if (root / name).exists() else ""
    (root / name).write_text(f"{field} = false\n{before}")
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 2
    assert field in done.err
    assert_idle(server)


def test_files_that_libraries_read_by_themselves_are_not_read(
    commands: Commands, server: GeminiServer
) -> None:
    """A .env, .netrc or pip.conf in a project or the current folder changes nothing."""
    root = commands.project(beats=1, settings=ONE)
    for folder in (root, commands.folder):
        (folder / ".env").write_text(f"IMAGEGEN_BASE_URL={server.address}\nHTTPS_PROXY=x\n")
        (folder / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    with GeminiServer() as mine:
        assert commands.run("run", root, "--base-url", mine.address).code == 0
        assert {request.key for request in mine.requests} <= commands.keys
        assert mine.requests
    assert_idle(server)


def test_a_variable_that_a_project_names_goes_to_the_chosen_address_alone(
    commands: Commands, server: GeminiServer
) -> None:
    """A project's keys.toml may name any variable: its value is sent as a key, never shown."""
    root = commands.project(beats=1, settings=ONE)
    (root / "keys.toml").write_text('[keys]\ndefault = ["env:SOME_SECRET"]\n')
    secret = "test-key-of-something-else-000007"
    commands.keys.add(secret)
    done = commands.run(
        "run", root, "-v", "--base-url", server.address, env={"SOME_SECRET": secret}
    )
    assert done.code == 0
    assert {request.key for request in server.requests} == {secret}


# What is read.


@pytest.mark.parametrize(
    "written", ["../outside.json", "{outside}", "sub/../../outside.json", LINKS]
)
@pytest.mark.parametrize("where", ["beats", "style_reference", "styles.clear", "beats_file"])
def test_a_project_reads_nothing_outside_itself(
    commands: Commands, server: GeminiServer, where: str, written: str
) -> None:
    """Beats and references outside the project are refused, by whichever way they are named."""
    secret = commands.folder / "outside.json"
    secret.write_text(json.dumps([row(0, ai_prompt="a secret")]))
    if "style" in where:
        secret.write_bytes(png_file())
    root = commands.project(beats=1, settings=ONE)
    (root / "sub").mkdir()
    name = written.format(outside=secret)
    if written == LINKS:
        if sys.platform == "win32":
            pytest.skip("links need rights there")
        (root / "sub" / "link.json").symlink_to(secret)
        name = "sub/link.json"
    if where == "beats_file":
        put_record(root, asked={"beats_file": name})
    elif where == "styles.clear":
        (root / "imagegen.toml").write_text(
            f"{ONE}[styles.clear]\nstyle_reference = {json.dumps(name)}\n"
        )
    else:
        (root / "imagegen.toml").write_text(f"{ONE}{where} = {json.dumps(name)}\n")
    command = "resume" if where == "beats_file" else "run"
    done = commands.run(command, root, "--base-url", server.address)
    assert done.code == 2, done.text
    assert "outside the project" in done.err or "out of the project" in done.err
    assert_idle(server)


@POSIX
@pytest.mark.parametrize("name", ["beats.json", "prompts", "prompts/prompts-clear.json"])
def test_links_to_beats_elsewhere_are_refused(
    commands: Commands, server: GeminiServer, outside: Outside, name: str
) -> None:
    """A beats file, or the folder of one, that is a link out of the project is not read."""
    root = commands.project(beats=1, settings=ONE)
    (root / "beats.json").unlink()
    folder = commands.folder / "elsewhere"
    folder.mkdir()
    (folder / "prompts-clear.json").write_text(json.dumps([row(0)]))
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(folder if name == "prompts" else folder / "prompts-clear.json")
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 2, done.text
    assert "out of the project" in done.err
    assert_idle(server)


HOSTILE_RECORDS: dict[str, dict[str, object]] = {
    "path": {"run": "../../../outside/sub/old"},
    "nul": {"run": "a\0b", "lineage": "\0"},
    "long": {"run": "x" * 100_000},
    "infinite": {"answer_seconds": 1e308, "model": "sketch"},
    "backward": {"answer_seconds": -1e308, "model": "sketch"},
    "nothing": {"answer_seconds": 0, "model": "sketch"},
    "process": {"pid": -1},
    "huge process": {"pid": 2**62},
    "text": {"started": "\x1b[31m\n[red]", "reason": "\x9b", "resume_after": "\u202e\0"},
    "code": {"ended": "x", "exit_code": 10**18, "reason": "\x1b", "resume_after": "never"},
    "sample": {"asked": {"sample": -5, "provider": "sketch"}},
    "styles": {"asked": {"styles": ["../..", "\0"], "provider": "sketch"}},
    "beats": {"asked": {"beats": ["../../x", "\0", "a/b/c/d"], "provider": "sketch"}},
    "provider": {"asked": {"provider": "os.system"}},
    "model": {"asked": {"model": "../../../x?key=\x1b", "provider": "sketch"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("fields", HOSTILE_RECORDS.values(), ids=HOSTILE_RECORDS.keys())
def test_a_record_made_to_harm_harms_nobody(
    commands: Commands, outside: Outside, fields: dict[str, object]
) -> None:
    """Whatever a shipped record says, every command ends in words, and reads nothing else."""
    root = commands.project(beats=4, settings=ONE + 'provider = "sketch"\nimage_size = "512"\n')
    put_record(root, **fields)
    for arguments in (
        ("status", root),
        ("status", root, "--watch"),
        ("stop", root),
        ("run", root, "--dry-run"),
        ("resume", root, "--dry-run"),
        ("resume", root, "-v"),
        ("run", root, "-v"),
    ):
        done = commands.run(*map(str, arguments))
        assert done.code in {0, 1, 2, 3}, done.text
        assert all(c.isprintable() or c == "\n" for c in done.text), repr(done.text)
    outside.assert_untouched()


# What is started.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["requests", "rich", "typer", "msgspec", "PIL", "tomllib"])
def test_modules_in_a_project_are_not_imported(
    commands: Commands, server: GeminiServer, name: str
) -> None:
    """A requests.py in the current folder is no part of the program."""
    root = commands.project(beats=1, settings=ONE)
    proof = commands.folder / "imported"
    (root / f"{name}.py").write_text(f"open({str(proof)!r}, 'w').close()\nraise SystemExit(99)\n")
    done = subprocess.run(
        [sys.executable, "-m", "imagegen", "run", ".", "--base-url", server.address],
        cwd=root,
        env=commands.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not proof.exists()
    assert done.returncode == 0, done.stderr
    assert len(pictures(root)) == 1


@POSIX
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_repository_that_fetches_by_a_command_starts_none(
    commands: Commands, server: GeminiServer
) -> None:
    """A repository that lacks an object, to be fetched by a command, is not obliged."""
    root = commands.project(beats=1, settings=ONE)
    proof = commands.folder / "started"
    for name in ("in/file", "out/deep/file", "keys.toml.example"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    env = commands.env | {"GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        done = subprocess.run(
            command, cwd=root, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "in", "out", "keys.toml.example")
    git("commit", "-qm", "x")
    git("sparse-checkout", "init", "--cone", "--sparse-index")
    git("sparse-checkout", "set", "in")
    tree = git("rev-parse", "HEAD:out")
    lacking = root / ".git" / "objects" / tree[:2] / tree[2:]
    lacking.chmod(0o600)
    lacking.unlink()
    for name, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::sh -c touch% {proof}",
        "protocol.ext.allow": "always",
        "core.sshCommand": f"touch {proof}",
        "core.pager": f"touch {proof}",
    }.items():
        git("config", name, value)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert not proof.exists()
    kept = {name: env[name] for name in ("PATH", "HOME")}
    subprocess.run(
        ["git", "ls-files", "--error-unmatch", "--", "keys.toml"],
        cwd=root,
        env=kept,
        capture_output=True,
        check=False,
    )
    assert proof.exists(), "this repository attacks nobody"


def test_a_reference_is_a_picture_and_nothing_else(
    commands: Commands, server: GeminiServer
) -> None:
    """A file that is no picture is not sent, whatever it is called."""
    root = commands.project(beats=1, settings=ONE)
    for data in (b"-----BEGIN OPENSSH PRIVATE KEY-----", b"", b"\x89PNX" + bytes(100)):
        (root / "style_reference.png").write_bytes(data)
        done = commands.run("run", root, "--base-url", server.address)
        assert done.code == 2, done.text
    assert_idle(server)
