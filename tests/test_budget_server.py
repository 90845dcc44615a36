"""Which server several machines share their budgets on: only the user may say so."""

import sys
from pathlib import Path

import pytest

import redis_server
from commands import Commands, pictures
from fakes import FakeClock
from gemini_server import GeminiServer
from imagegen import paths
from imagegen.errors import Exit, InputError, InvalidInputError, UsageError
from imagegen.keys import budget_server
from imagegen.keys.budget_server import BudgetServer
from imagegen.keys.keyring import Keyring
from imagegen.project import settings
from imagegen.quota.ledger import Ledger
from imagegen.secret import Secret
from imagegen.workspace import credentials
from redis_server import RedisServer

KEYS = '[keys]\ndefault = ["test-key-alpha-000001"]\n'
TABLE = '[budgets]\nurl = "rediss://redis.example/2?team=blue"\n'
BLUE = BudgetServer(host="redis.example", database=2, team="blue")
PASSWORD = "test-password-000001"
STYLES = ("illustration", "clear", "consistent")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own; return the user's keys file."""
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    for name in ("IMAGEGEN_KEYS", "IMAGEGEN_BUDGETS", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = paths.user_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return an empty project."""
    folder = tmp_path / "my-video"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> None:
    """Write a keys file that only its owner can read."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def read(project: Path) -> Keyring:
    """Read the keys for a project."""
    return credentials.load(project, "gemini", STYLES)


def errors(project: Path) -> list[InputError]:
    """Return the errors that the keys for a project have."""
    with pytest.raises(InvalidInputError) as caught:
        read(project)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("rediss://redis.example", BudgetServer(host="redis.example")),
        (
            "redis://ten:6380/3",
            BudgetServer(host="ten", port=6380, database=3, tls=False),
        ),
        (
            "rediss://ann:env:SECRET@redis.example:1/0?team=blue",
            BudgetServer(
                host="redis.example", port=1, user="ann", password=Secret(PASSWORD), team="blue"
            ),
        ),
        (
            "rediss://:env:SECRET@[::1]/",
            BudgetServer(host="::1", password=Secret(PASSWORD)),
        ),
    ],
)
def test_a_url_names_a_server(url: str, server: BudgetServer) -> None:
    """Host, port, database, user, team, and the variable that has the password."""
    assert budget_server.parse(url, {"SECRET": PASSWORD}) == server


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"rediss://ann:{PASSWORD}@redis.example", "holds a password"),
        ("rediss://ann:env:UNSET@redis.example", "UNSET is not set in the environment"),
        ("https://redis.example", "not one of a Redis or Valkey server"),
        ("rediss://", "not one of a Redis or Valkey server"),
        ("rediss://redis.example:port/0", "not a valid one"),
        ("rediss://[redis.example/0", "not a valid one"),
        ("rediss://redis.example/zero", "not the number of a database"),
        ("rediss://redis.example/0?team=Blue team", "a blank"),
        ("rediss://redis.example/0?team=Blue", "a team's name"),
        ("rediss://redis.example/0?prefix=x", "only one team=NAME"),
        ("rediss://redis.example/0?team=a&team=b", "only one team=NAME"),
        ("rediss://redis.example/0#x", "not one of a Redis or Valkey server"),
        ("", "is missing"),
        (7, "is missing"),
    ],
)
def test_anything_else_is_refused_without_quoting_it(url: object, message: str) -> None:
    """The error says what is wrong, and never shows what may be a password."""
    with pytest.raises(ValueError, match=message) as caught:
        budget_server.parse(url, {})
    assert PASSWORD not in str(caught.value)


def test_the_users_file_names_a_server_for_every_project(project: Path, home: Path) -> None:
    """Keys may come from the project, or from the environment."""
    write(home, TABLE)
    assert read(project).budget_server == BLUE
    write(project / "keys.toml", KEYS)
    assert read(project).budget_server == BLUE
    assert read(project).source == str(project / "keys.toml")


def test_a_users_file_with_a_server_alone_hides_no_key(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys still come from the environment."""
    monkeypatch.setenv("GEMINI_API_KEY", "test-key-alpha-000001")
    write(home, TABLE)
    ring = read(project)
    assert (ring.source, ring.budget_server) == ("$GEMINI_API_KEY", BLUE)


def test_the_environment_comes_before_the_users_file(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`$IMAGEGEN_BUDGETS` is for one shell or one job."""
    write(home, TABLE + KEYS)
    monkeypatch.setenv("IMAGEGEN_BUDGETS", "redis://localhost")
    assert read(project).budget_server == BudgetServer(host="localhost", tls=False)
    monkeypatch.setenv("IMAGEGEN_BUDGETS", f"redis://:{PASSWORD}@localhost")
    with pytest.raises(UsageError, match="IMAGEGEN_BUDGETS: the url holds a password") as caught:
        read(project)
    assert PASSWORD not in str(caught.value)


def test_no_file_of_a_project_names_a_server(project: Path, home: Path) -> None:
    """Whoever made a project would learn when its user's keys are used."""
    write(project / "keys.toml", TABLE + KEYS)
    (error,) = errors(project)
    assert (error.field, error.message) == (
        "budgets",
        "a project may not say where budgets are shared",
    )
    (project / "imagegen.toml").write_text(TABLE)
    with pytest.raises(InvalidInputError) as caught:
        settings.load(project)
    assert [(fault.field, fault.message) for fault in caught.value.faults] == [
        ("budgets", "a project may not say where budgets are shared")
    ]


@pytest.mark.parametrize(
    ("table", "field", "message"),
    [
        ("budgets = 3\n", "budgets", "expected a table"),
        ("[budgets]\n", "budgets.url", "a url is missing"),
        (TABLE + 'password = "x"\n', "budgets.password", "unknown setting"),
    ],
)
def test_what_is_wrong_in_the_users_file_is_reported(
    project: Path, home: Path, table: str, field: str, message: str
) -> None:
    """The error names the file and the field."""
    write(home, table + KEYS if "[" in table else table)
    error = next(error for error in errors(project) if error.field == field)
    assert (error.file, error.message) == (str(home), message)


def test_a_password_without_tls_is_warned_of(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine than this it could be read on the way."""
    monkeypatch.setenv("SECRET", PASSWORD)
    write(home, KEYS)
    for host, warned in (("redis.example", True), ("localhost", False)):
        monkeypatch.setenv("IMAGEGEN_BUDGETS", f"redis://:env:SECRET@{host}")
        assert any("unencrypted" in text for text in read(project).warnings) is warned


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing starts, and the error says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "imagegen.quota.redis_store", raising=False)
    with pytest.raises(UsageError, match="need an extra") as caught:
        Ledger.connect(BudgetServer(host="localhost"), FakeClock(), print)
    assert "imagegen-storyboard[redis]" in (caught.value.hint or "")


def test_runs_of_two_machines_share_a_minute(
    commands: Commands, server: GeminiServer, tmp_path: Path
) -> None:
    """Two runs with state folders of their own send nine together, and no request is refused."""
    shared = {style: ["test-key-shared-0001"] for style in STYLES}
    with RedisServer(tmp_path / "redis", command=redis_server.program()) as running:
        with running.admin() as admin:
            fields = {"version": "1", "generation": "old", "salt": b"0" * 16, "made": "0"}
            admin.hset("imagegen:{blue}", mapping=fields)
        server.limit = 9
        one = commands.project("one", beats=2, keys=shared, per_minute=9)
        two = commands.project("two", keys=shared, per_minute=9, settings="timeout = 2")
        done = []
        for name, root, more in (("a", one, ()), ("b", two, ("--max-time", "5s"))):
            env = {
                "IMAGEGEN_STATE_DIR": str(tmp_path / name),
                "IMAGEGEN_BUDGETS": f"{running.url}?team=blue",
            }
            done.append(
                commands.run("run", root, "--base-url", server.address, *more, env=env).code
            )
    assert done == [Exit.OK, Exit.ENDED_EARLY]
    assert (len(pictures(one)), len(pictures(two))) == (6, 3)
    assert [request.status for request in server.requests] == [200] * 9
