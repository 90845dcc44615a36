"""`imagegen keys`: what is listed, tried and added, by the real command."""

import json
import os
import signal
import socket
import stat
import tomllib
from pathlib import Path

import pytest

from commands import Commands
from gemini_server import Answer, GeminiServer

A, B, C = "test-key-alpha-000001", "test-key-beta-000002", "test-key-gamma-000003"
LIKE_REAL = "AIzaSyTest-test-key-00000000000000009999"
posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return what runs the command, and fails wherever one of these keys is shown."""
    runner = Commands(tmp_path)
    runner.keys |= {A, B, C, LIKE_REAL}
    return runner


@pytest.fixture
def home(commands: Commands) -> Path:
    """Return the user's own keys file, which does not exist yet."""
    return commands.config / "imagegen" / "keys.toml"


def write(path: Path, text: str) -> Path:
    """Write a keys file for oneself alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def one_line(text: str) -> str:
    """Return a text without line breaks and indents."""
    return " ".join(text.split())


# list


def test_list_says_which_place_decides_and_which_do_not(commands: Commands, home: Path) -> None:
    """The option, its variable, the project, the user, the environment: the first decides."""
    root = commands.project(keys={"clear": [A]})
    write(home, f'[keys]\ndefault = ["{B}"]')
    named = write(commands.folder / "named-keys.toml", f'[keys]\nclear = ["{C}"]')
    environ = {"IMAGEGEN_KEYS": str(named), "GOOGLE_API_KEY": C}
    orders = [str(named), "my-video/keys.toml", str(home), "$GOOGLE_API_KEY"]
    for step, decides in enumerate(orders):
        found = commands.run("keys", "list", root, env=environ)
        assert found.code == 0
        used, _, others = found.out.partition("Also found, but not used")
        assert decides in used
        assert [name for name in orders if name in others] == orders[step + 1 :]
        if step == 0:
            environ.pop("IMAGEGEN_KEYS")
        else:
            ([root / "keys.toml", home][step - 1] if step < 3 else home).unlink(missing_ok=True)
    none = commands.run("keys", "list", root, "--keys", named)
    assert "named by --keys" in none.out


def test_list_shows_limits_projects_and_what_is_shared(commands: Commands, home: Path) -> None:
    """Each key is named by its tail, with what it may send; one quota is counted once."""
    write(
        home,
        f"""
        requests_per_day = 1000
        [keys]
        clear = ["{A}", {{ key = "{B}", requests_per_minute = 60, project = "studio" }}]
        consistent = ["{A}", "env:NOT_THERE"]
        default = ["{C}"]
        noir = ["{C}"]
        """,
    )
    done = commands.run("keys", "list")
    assert done.code == 0
    assert "clear: 2 keys, 69 requests per minute" in done.out
    assert "…0001  9 a minute, 1,000 a day, shared with consistent" in done.out
    assert '…0002  60 a minute, 1,000 a day, project "studio"\n' in done.out
    assert "env:NOT_THERE is not set" in done.out
    assert "illustration: the default key" in done.out
    assert "noir (not a style of this project)" in done.out
    assert "78 requests per minute in total." in done.out


def test_list_for_programs_has_tails_alone(commands: Commands) -> None:
    """One JSON object: the places, and the keys of each style."""
    root = commands.project(keys={"clear": [A, B], "default": [A]}, per_minute=7)
    done = commands.run("keys", "list", root, "--json", env={"GEMINI_API_KEY": C})
    found = json.loads(done.out)
    assert found["schema"] == 1
    assert found["source"] == str(root / "keys.toml")
    assert [(p["named"], p["exists"], p["used"]) for p in found["places"]] == [
        ("project", True, True),
        ("user", False, False),
        ("environment", True, False),
        ("environment", False, False),
    ]
    clear, other = found["styles"]["clear"], found["styles"]["illustration"]
    assert [key["tail"] for key in clear["keys"]] == ["…0001", "…0002"]
    assert clear["requests_per_minute"] == 14
    assert clear["keys"][0]["shared_with"] == ["default"]
    assert other["list"] == "default"
    assert found["requests_per_minute"] == 14


def test_the_server_of_shared_budgets_is_listed(commands: Commands) -> None:
    """By its address and team; its password is not shown."""
    root = commands.project()
    server = {
        "IMAGEGEN_BUDGETS": "rediss://user:env:BUDGET_PASSWORD@budgets.test/0?team=studio",
        "BUDGET_PASSWORD": "test-password-42",
    }
    done = commands.run("keys", "list", root, env=server)
    assert "budgets.test:6379, team studio, share these budgets" in " ".join(done.out.split())
    listed = commands.run("keys", "list", root, "--json", env=server)
    assert json.loads(listed.out)["budgets"] == {"server": "budgets.test:6379", "team": "studio"}
    assert "test-password-42" not in done.text + listed.text
    assert json.loads(commands.run("keys", "list", root, "--json").out)["budgets"] is None


def test_list_without_keys_says_how_to_add_one(commands: Commands, home: Path) -> None:
    """Every place that was looked at is named, and the command that adds a key."""
    done = commands.run("keys", "list")
    assert done.code == 0
    for name in ("keys.toml", str(home), "$GEMINI_API_KEY", "$GOOGLE_API_KEY"):
        assert name in done.out
    assert "imagegen keys add default" in done.out


@pytest.mark.parametrize("name", ["list", "check"])
def test_a_provider_without_keys_needs_none(commands: Commands, name: str) -> None:
    """Who draws sketches is told so, and all is well."""
    root = commands.project(settings='provider = "sketch"\nimage_size = "512"\n')
    done = commands.run("keys", name, root)
    assert (done.code, done.out) == (0, "sketch needs no keys.\n")


@pytest.mark.parametrize("name", ["list", "check"])
def test_a_faulty_keys_file_is_told(commands: Commands, name: str) -> None:
    """The faults of the file are told, with their fields."""
    root = commands.project()
    write(root / "keys.toml", f'[keys]\nclaer = ["{A}"]\n[prices]\nx = -1')
    done = commands.run("keys", name, root)
    assert done.code == 2
    assert "keys.claer" in done.err
    assert "prices.x" in done.err


# check


def test_check_asks_about_each_key_once_and_costs_no_quota(
    commands: Commands, server: GeminiServer
) -> None:
    """A key under two styles is tried once; all that is asked for is the list of models."""
    root = commands.project(keys={"clear": [A, B], "consistent": [A], "default": [C]})
    done = commands.run("keys", "check", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert sorted(request.key or "" for request in server.listings) == sorted([A, B, C])
    assert server.requests == []
    assert (
        "…0001  clear, consistent  works; sees gemini-3.1-flash-image, gemini-3-pro-image too"
        in done.out
    )
    assert "All 3 keys work" in done.out


@pytest.mark.parametrize("answer", [Answer.BAD_KEY, Answer.LEAKED_KEY])
def test_check_says_why_a_key_is_rejected(
    commands: Commands, server: GeminiServer, answer: Answer
) -> None:
    """One bad key is exit 2, with the service's reason; the others are told to work."""
    root = commands.project(keys={"clear": [A, B]})
    server.key_mode(B, answer)
    done = commands.run("keys", "check", root, "--base-url", server.address)
    assert done.code == 2
    (good,) = [line for line in done.out.splitlines() if "…0001" in line]
    (bad,) = [line for line in done.out.splitlines() if "…0002" in line]
    assert "works" in good
    assert "API key" in bad
    assert "1 of 2 keys do not work." in done.out


def test_check_wants_the_projects_model(commands: Commands, server: GeminiServer) -> None:
    """A key that does not see the model of the settings fails; the nearest is suggested."""
    root = commands.project(keys={"clear": [A]}, settings='model = "gemini-3-pro-imago"')
    done = commands.run("keys", "check", root, "--base-url", server.address)
    assert done.code == 2
    assert "does not see gemini-3-pro-imago, only gemini-nano-banana-2.1" in done.out
    assert 'did you mean "gemini-3-pro-image"?' in done.out


def test_check_tells_of_the_network_once(commands: Commands, server: GeminiServer) -> None:
    """Where the service is out of reach, that is said once and no key is called bad."""
    root = commands.project(keys={"clear": [A, B, C]})
    server.set_down(True)
    done = commands.run("keys", "check", root, "--base-url", server.address)
    assert done.code == 2
    assert one_line(done.out).count("could not be reached") == 1
    assert "Not reached (…0001, …0002, …0003)" in done.out
    assert "the keys may be fine" in done.out


def test_check_without_a_key_says_what_to_do(commands: Commands) -> None:
    """No key, or only variables that are not set: exit 2 and the command that adds one."""
    root = commands.project(keys={"clear": ["env:NOT_THERE"]})
    for project in (root, "."):
        done = commands.run("keys", "check", project)
        assert done.code == 2
        assert "imagegen keys add default" in done.err
    assert "NOT_THERE" in commands.run("keys", "check", root).err


def test_check_warns_of_keys_sent_in_the_clear(commands: Commands) -> None:
    """An address that begins with http:// is told."""
    root = commands.project(keys={"clear": [A]})
    done = commands.run("keys", "check", root, "--base-url", "http://host.invalid")
    assert done.code == 2
    assert "unencrypted to host.invalid" in done.out


@posix
def test_check_can_be_interrupted(commands: Commands) -> None:
    """Ctrl-C ends it though the service is silent, long before an answer would be given up."""
    root = commands.project(keys={"clear": [A, B]})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = commands.start("keys", "check", root, "--base-url", address)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            process.send_signal(signal.SIGINT)
            # Two thirds of the time after which a request for the list is given up.
            assert process.wait(timeout=20) == 130
        commands.wait(process)


# add


def test_what_is_too_short_for_a_key_is_not_added(commands: Commands, home: Path) -> None:
    """From a pipe nobody can be asked whether it is all of the key."""
    done = commands.run("keys", "add", "clear", stdin=b"ab\n")
    assert done.code == 2
    assert "nothing was added: the key has fewer than 8 characters" in done.err
    assert not home.exists()


def test_add_reads_the_key_from_a_pipe(commands: Commands, home: Path) -> None:
    """The first line of stdin goes into the user's own file, which is made for it."""
    done = commands.run("keys", "add", "clear", stdin=f"{A}\n{B}\n".encode())
    assert done.code == 0, done.text
    assert tomllib.loads(home.read_text())["keys"] == {"clear": [A]}
    assert f"Added …0001 to clear in {home}, a new file." in done.out
    assert "clear now has 1 key, 9 requests per minute" in done.out
    assert "no key yet for illustration and consistent" in done.out
    done = commands.run("keys", "add", "clear", stdin=b"\xef\xbb\xbf" + B.encode() + b"\r\n")
    assert "clear now has 2 keys, 18 requests per minute" in done.out
    assert "imagegen keys check" in done.out


@pytest.mark.parametrize("provider", ["gemini", "openai"])
def test_add_speaks_of_the_styles_alone_that_the_project_draws(
    commands: Commands, provider: str
) -> None:
    """A style that is not drawn needs no key."""
    root = commands.project(keys={}, settings='draw = ["clear"]\n')
    (root / "keys.toml").unlink()
    add = ("keys", "add", "clear", "--project", root, "--provider", provider)
    done = commands.run(*add, stdin=A.encode())
    assert done.code == 0, done.text
    assert "no key yet" not in done.out
    (root / "imagegen.toml").write_text('draw = ["clear", "consistent"]\n')
    done = commands.run(*add, stdin=B.encode())
    assert f"no key yet for consistent: imagegen keys add default --provider {provider}" in (
        one_line(done.out)
    )


@posix
def test_add_leaves_the_file_to_the_user_alone(commands: Commands, home: Path) -> None:
    """Mode 0600 in a folder of 0700; what was wider is closed, and that is said."""
    commands.run("keys", "add", "clear", stdin=A.encode())
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700
    home.chmod(0o644)
    done = commands.run("keys", "add", "clear", stdin=B.encode())
    assert "Other users could read the file; now only you can." in done.out
    assert stat.S_IMODE(home.stat().st_mode) == 0o600


def test_add_to_a_project_keeps_git_from_its_keys(commands: Commands, home: Path) -> None:
    """The project's file gets the key with its limits, and .gitignore a line for the file."""
    root = commands.project()
    (root / "keys.toml").unlink()
    (root / ".gitignore").write_text("*.tmp")
    write(home, f'[keys]\ndefault = ["{C}"]')
    options = ["--project", root, "--requests-per-minute", "60", "--quota-project", "studio"]
    done = commands.run("keys", "add", "default", *options, stdin=A.encode())
    assert done.code == 0, done.text
    entry = {"key": A, "requests_per_minute": 60, "project": "studio"}
    assert tomllib.loads((root / "keys.toml").read_text())["keys"] == {"default": [entry]}
    assert (root / ".gitignore").read_text() == "*.tmp\nkeys.toml\n"
    assert ".gitignore says now" in done.out
    assert f"no longer {home}" in one_line(done.out)
    assert "styles without their own keys now have 1 key, 60 requests per minute" in done.out
    done = commands.run("keys", "add", "clear", "--project", root, stdin=B.encode())
    assert ".gitignore" not in done.out
    assert "no longer uses the default keys" in done.out


def test_add_says_what_decides_instead(commands: Commands, home: Path) -> None:
    """A key that will not be used where the user stands comes with the reason."""
    named = write(commands.folder / "named-keys.toml", f'[keys]\nclear = ["{C}"]')
    env = {"IMAGEGEN_KEYS": str(named)}
    done = commands.run("keys", "add", "clear", stdin=A.encode(), env=env)
    assert "not used while $IMAGEGEN_KEYS is set" in done.out
    env = {"IMAGEGEN_KEYS": str(home)}
    assert "not used" not in commands.run("keys", "add", "clear", stdin=B.encode(), env=env).out
    write(commands.folder / "keys.toml", f'[keys]\nclear = ["{C}"]')
    done = commands.run("keys", "add", "consistent", stdin=A.encode())
    assert "not used for the project in this folder" in done.out


def test_add_of_a_key_that_is_there_changes_nothing(commands: Commands, home: Path) -> None:
    """It says so, and that is no error."""
    commands.run("keys", "add", "clear", stdin=A.encode())
    before = home.read_bytes()
    done = commands.run("keys", "add", "clear", stdin=A.encode())
    assert done.code == 0
    assert "…0001 is already in clear" in done.out
    assert home.read_bytes() == before


def test_add_takes_the_name_of_a_variable(commands: Commands, home: Path) -> None:
    """env:NAME is stored as it is; one that is not set is told."""
    done = commands.run("keys", "add", "clear", stdin=b"env:MY_KEY\n")
    assert done.code == 0
    assert "$MY_KEY is not set here" in done.out
    assert tomllib.loads(home.read_text())["keys"] == {"clear": ["env:MY_KEY"]}
    done = commands.run("keys", "add", "consistent", stdin=b"env:MY_KEY", env={"MY_KEY": A})
    assert "not set" not in one_line(done.out).replace("env:MY_KEY is not set", "")
    assert "consistent now has 1 key" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ["clear", A],
        [A, "clear"],
        [LIKE_REAL],
        ["clear", LIKE_REAL],
        ["clear", "--key", A],
        ["clear", f"--key={A}"],
        ["clear", f"--{A}"],
        ["clear", f"-{A}"],
        ["clear", "--", A],
        ["clear", "--requests-per-minute", A],
        ["clear", "--project", LIKE_REAL],
        ["--quota-project", "x", "clear", "more", A],
    ],
)
def test_a_key_on_the_command_line_is_not_taken_or_repeated(
    commands: Commands, home: Path, words: list[str]
) -> None:
    """Wherever it stands among the words, it ends with exit 2, and nothing shows it."""
    done = commands.run("keys", "add", *words, stdin=B.encode())
    assert done.code == 2
    assert not home.exists()
    if "--requests-per-minute" not in words and words[-1] not in {f"--{A}", f"-{A}"}:
        assert "not taken from the command line" in done.err


def test_a_key_in_place_of_a_command_is_not_repeated(commands: Commands) -> None:
    """`imagegen keys KEY` is wrong usage that does not show it."""
    done = commands.run("keys", LIKE_REAL)
    assert done.code == 2
    assert "not taken from the command line" in done.err


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\xff\xfe", b"two words\n"])
def test_without_a_key_nothing_is_added(commands: Commands, home: Path, stdin: bytes) -> None:
    """What comes through the pipe and is no key is exit 2."""
    done = commands.run("keys", "add", "clear", stdin=stdin)
    assert done.code == 2
    assert not home.exists()


def test_a_wrong_style_is_told_before_the_key_is_read(commands: Commands, home: Path) -> None:
    """A project's styles are known, and the nearest is suggested; the user's file is for all."""
    root = commands.project()
    before = (root / "keys.toml").read_bytes()
    done = commands.run("keys", "add", "claer", "--project", root, stdin=A.encode())
    assert done.code == 2
    assert 'did you mean "clear"?' in done.err
    assert (root / "keys.toml").read_bytes() == before
    assert commands.run("keys", "add", "No Style", stdin=A.encode()).code == 2
    done = commands.run("keys", "add", "claer", stdin=A.encode())
    assert done.code == 0
    assert 'did you mean "clear"?' in one_line(done.out)


def test_add_to_a_file_with_faults_changes_nothing(commands: Commands, home: Path) -> None:
    """The faults are told; the file stays."""
    write(home, "[keys]\nclear = 3")
    done = commands.run("keys", "add", "clear", stdin=A.encode())
    assert done.code == 2
    assert "keys.clear" in done.err
    assert home.read_text() == "[keys]\nclear = 3"


def test_a_project_that_is_not_there(commands: Commands) -> None:
    """A folder that does not exist is exit 2 for each of the commands."""
    for words in (["list", "nowhere"], ["check", "nowhere"]):
        done = commands.run("keys", *words)
        assert done.code == 2
        assert "no such folder" in done.err
    done = commands.run("keys", "add", "clear", "--project", "nowhere", stdin=A.encode())
    assert done.code == 2
    assert "imagegen init nowhere" in done.err


def test_a_wrong_limit_is_not_taken_for_a_key(commands: Commands) -> None:
    """A 0 stands in the very message that says what is allowed."""
    done = commands.run("keys", "add", "clear", "--requests-per-minute", "0")
    assert done.code == 2
    assert "from 1 to" in done.err
    assert "command line" not in done.err


def test_a_project_without_keys_is_pointed_to_its_own_file(commands: Commands) -> None:
    """Where the project's file decides, a key in the user's own would change nothing."""
    root = commands.project(keys={})
    for command in ("list", "check"):
        done = commands.run("keys", command, root)
        assert f"keys add default --project {root}" in done.text, done.text
