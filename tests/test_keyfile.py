"""keys.toml: where keys are found, and what may stand in the file."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagegen import paths
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.keys.address import address
from imagegen.keys.keyfile import load
from imagegen.keys.keyring import ApiKey, Keyring, RateLimit
from imagegen.keys.section import Section
from imagegen.providers import TABLES
from imagegen.secret import Secret

STYLES = ("illustration", "clear", "consistent")
A, B, C = "test-key-alpha-000001", "test-key-beta-000002", "test-key-gamma-000003"
posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own; return the user's keys file."""
    home = tmp_path / "home"
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    path = paths.user_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return an empty project."""
    folder = tmp_path / "my-video"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    """Write a keys file as careful people do, for themselves alone."""
    path = path / "keys.toml" if path.is_dir() else path
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def read(project: Path, text: str, environ: Mapping[str, str] | None = None) -> Keyring:
    """Read the project's keys.toml with this text."""
    write(project, text)
    return load(project, STYLES, environ=environ or {})


def faults(project: Path, text: str, environ: Mapping[str, str] | None = None) -> list[InputError]:
    """Return the faults of a project's keys.toml with this text."""
    with pytest.raises(InvalidInputError) as caught:
        read(project, text, environ)
    assert caught.value.exit_code == 2
    return list(caught.value.faults)


def revealed(keys: tuple[ApiKey, ...]) -> list[str]:
    """Return the keys themselves."""
    return [key.secret.reveal() for key in keys]


# What the file says


def test_each_style_has_its_own_pool(project: Path) -> None:
    """A style's list is its pool, in the file's order."""
    ring = read(project, f'[keys]\nclear = ["{A}", "{B}"]\nconsistent = ["{C}"]')
    assert revealed(ring.pool("clear")) == [A, B]
    assert revealed(ring.pool("consistent")) == [C]
    assert ring.pool("illustration") == ()
    assert ring.source == str(project / "keys.toml")
    assert ring.warnings == ()


def test_default_serves_styles_without_a_pool(project: Path) -> None:
    """The default pool is for styles that the file does not name, and for those alone."""
    ring = read(project, f'[keys]\ndefault = ["{A}"]\nclear = ["{B}"]')
    assert revealed(ring.pool("illustration")) == [A]
    assert revealed(ring.pool("clear")) == [B]


def test_a_key_may_stand_in_the_environment(project: Path) -> None:
    """`env:NAME` is looked up; blanks around the value are dropped."""
    text = '[keys]\nclear = ["env:ONE", { key = "env:TWO" }]'
    ring = read(project, text, {"ONE": A, "TWO": f" {B}\n"})
    assert revealed(ring.pool("clear")) == [A, B]
    assert ring.warnings == ()


@pytest.mark.parametrize("environ", [{}, {"TWO": ""}, {"TWO": "  "}])
def test_an_unset_variable_is_a_warning_beside_another_key(
    project: Path, environ: dict[str, str]
) -> None:
    """A pool with another key goes on without the unset one, and says so."""
    ring = read(project, f'[keys]\nclear = ["{A}", "env:TWO"]', environ)
    assert revealed(ring.pool("clear")) == [A]
    (warning,) = ring.warnings
    assert "keys.clear" in warning
    assert "TWO" in warning


def test_a_pool_of_unset_variables_has_no_key(project: Path) -> None:
    """A style whose variables are all unset has no key, and the warning says which are."""
    ring = read(project, f'[keys]\nclear = ["env:ONE", "env:TWO"]\nconsistent = ["{A}"]')
    assert ring.pool("clear") == ()
    (warning,) = ring.warnings
    assert "has no key" in warning
    assert "ONE, TWO" in warning
    assert ring.unset == {"clear": ("ONE", "TWO")}


def test_a_key_in_place_of_a_variables_name_is_not_shown(project: Path) -> None:
    """Who writes env: before the key itself is told so by its tail."""
    key = "AIzaSyTest-key-000000000000000000000abcd"
    ring = read(project, f'[keys]\nclear = ["{A}", "env:{key}"]')
    assert key not in repr(ring)
    assert "…abcd" in "".join(ring.warnings)


def test_limits_without_a_word_are_nine_a_minute(project: Path) -> None:
    """The usual limit holds where the file is silent."""
    (key,) = read(project, f'[keys]\nclear = ["{A}"]').pool("clear")
    assert key.limit == RateLimit(9, None)


def test_limits_of_the_file_serve_keys_without_their_own(project: Path) -> None:
    """A key's own limits go before the file's."""
    ring = read(
        project,
        f"""
        requests_per_minute = 5
        requests_per_day = 100
        [keys]
        clear = ["{A}", {{ key = "{B}", requests_per_minute = 60 }}]
        consistent = [{{ key = "{C}", requests_per_day = 7, project = "studio" }}]
        """,
    )
    assert [key.limit for key in ring.pool("clear")] == [RateLimit(5, 100), RateLimit(60, 100)]
    assert ring.pool("consistent") == (ApiKey(Secret(C), RateLimit(5, 7), "studio"),)


def test_a_key_that_is_written_twice_counts_once(project: Path) -> None:
    """The same key twice in one pool is one key."""
    ring = read(project, f'[keys]\nclear = ["{A}", "env:ONE"]', {"ONE": A})
    assert revealed(ring.pool("clear")) == [A]


@pytest.mark.parametrize(
    "text",
    [
        f'clear = ["{A}"]\nconsistent = [{{ key = "{A}", requests_per_minute = 60 }}]',
        f'clear = ["{A}", {{ key = "{A}", requests_per_minute = 60 }}]',
        f'clear = ["{A}"]\nconsistent = [{{ key = "{A}", requests_per_day = 60 }}]',
        (
            f'clear = [{{ key = "{A}", project = "p" }}]\n'
            f'consistent = [{{ key = "{B}", project = "p", requests_per_minute = 8 }}]'
        ),
    ],
    ids=["two styles", "one style", "a day", "one project"],
)
def test_two_limits_for_one_budget_are_a_fault(project: Path, text: str) -> None:
    """One key, or one project, with two limits stops before anything starts."""
    (fault,) = faults(project, "[keys]\n" + text)
    assert "two limits" in fault.message
    assert "…0001" in fault.message or '"p"' in fault.message


def test_the_same_limit_at_two_places_is_fine(project: Path) -> None:
    """A key under two styles with one limit is one budget."""
    entry = f'[{{ key = "{A}", requests_per_minute = 60 }}]'
    ring = read(project, f"[keys]\nclear = {entry}\nconsistent = {entry}")
    assert ring.pool("clear") == ring.pool("consistent")


@pytest.mark.parametrize("other", [f'"{A}"', f'{{ key = "{A}", project = "home" }}'])
def test_two_projects_for_one_key_are_a_fault(project: Path, other: str) -> None:
    """A key that would draw on two budgets stops before anything starts."""
    entry = f'{{ key = "{A}", project = "studio" }}'
    (fault,) = faults(project, f"[keys]\nclear = [{entry}]\nconsistent = [{other}]")
    assert "two projects" in fault.message
    assert fault.field == "keys.consistent"


@pytest.mark.parametrize(
    ("text", "field", "hint"),
    [
        ("request_per_minute = 9", "request_per_minute", '"requests_per_minute"'),
        (f'[keys]\nclaer = ["{A}"]', "keys.claer", '"clear"'),
        (f'[keys]\ndefalt = ["{A}"]', "keys.defalt", '"default"'),
        (f'[keys]\nclear = [{{ key = "{A}", projct = "p" }}]', "keys.clear[1].projct", '"project"'),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_one(
    project: Path, text: str, field: str, hint: str
) -> None:
    """An unknown setting or style is a fault that suggests a known one."""
    (fault,) = faults(project, text)
    assert fault.field == field
    assert hint in (fault.hint or "")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("requests_per_minute = 0", "requests_per_minute"),
        ("requests_per_minute = 100001", "requests_per_minute"),
        ("requests_per_minute = true", "requests_per_minute"),
        ('requests_per_day = "many"', "requests_per_day"),
        (f'keys = ["{A}"]', "keys"),
        (f'[keys]\nclear = "{A}"', "keys.clear"),
        (f'[keys]\nclear = ["{A}", 7]', "keys.clear[2]"),
        ("[keys]\nclear = [{}]", "keys.clear[1]"),
        ("[keys]\nclear = [{ key = 3 }]", "keys.clear[1].key"),
        ('[keys]\nclear = [""]', "keys.clear[1]"),
        (f'[keys]\nclear = ["{A} {B}"]', "keys.clear[1]"),
        (f'[keys]\nclear = ["{A}é"]', "keys.clear[1]"),
        (f'[keys]\nclear = [{{ key = "{A}", project = "" }}]', "keys.clear[1].project"),
        (
            f'[keys]\nclear = [{{ key = "{A}", requests_per_minute = 1.5 }}]',
            "keys.clear[1].requests_per_minute",
        ),
    ],
)
def test_a_wrong_value_is_a_fault_that_quotes_no_key(project: Path, text: str, field: str) -> None:
    """A fault names the place of a wrong value and never the key."""
    (fault,) = faults(project, text)
    assert fault.field == field
    assert "test-key" not in repr(fault)


def test_all_faults_are_reported_at_once(project: Path) -> None:
    """One reading reports every fault of the file."""
    text = f'requests_per_minute = 0\nbase_url = "x"\nfoo = 1\n[keys]\nnoir = ["{A}"]\nclear = [3]'
    fields = {fault.field for fault in faults(project, text)}
    assert fields == {"requests_per_minute", "base_url", "foo", "keys.noir", "keys.clear[1]"}


@pytest.mark.parametrize(
    "content",
    [
        f'[keys]\nclear = ["{A}'.encode(),
        f'[keys]\nclear = ["{A}"]\nclear = ["{A}"]'.encode(),
        f'# \xff\n[keys]\nclear = ["{A}"]'.encode("latin-1"),
        f"{A}\n".encode(),
        f"{A} = {'9' * 5000}".encode(),
    ],
    ids=["cut", "twice", "latin-1", "bare key", "long number"],
)
def test_a_file_that_is_no_toml_is_a_fault_without_the_key(project: Path, content: bytes) -> None:
    """Whatever is wrong with the bytes, the message names the file and quotes no key."""
    write(project, "").write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        load(project, STYLES, environ={})
    (fault,) = caught.value.faults
    assert fault.file == str(project / "keys.toml")
    assert A not in repr(fault) + str(caught.value)


def test_a_byte_order_mark_is_accepted(project: Path) -> None:
    """Files that an editor on Windows saved are read."""
    write(project, "").write_bytes(b"\xef\xbb\xbf" + f'[keys]\nclear = ["{A}"]'.encode())
    assert revealed(load(project, STYLES, environ={}).pool("clear")) == [A]


# Prices


def test_prices_are_for_a_model_or_for_its_sizes(project: Path) -> None:
    """A price holds for every size, or for those that have one; other models have none."""
    ring = read(project, '[prices]\n"a-1.0" = 0.05\nb = { 1K = 0.1, 512 = 0, "4K" = 1 }')
    assert [ring.price("a-1.0", size) for size in ("512", "4K")] == [0.05, 0.05]
    assert [ring.price("b", size) for size in ("512", "1K", "2K", "4K")] == [0, 0.1, None, 1]
    assert ring.price("c", "1K") is None


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("prices = 3", "prices", "table"),
        ("[prices]\na = -0.01", "prices.a", "from 0 to"),
        ("[prices]\na = 1001", "prices.a", "from 0 to"),
        ('[prices]\na = "0.05"', "prices.a", "a number"),
        ("[prices]\na = true", "prices.a", "a number"),
        ("[prices]\na = nan", "prices.a", "a number"),
        ("[prices]\na = inf", "prices.a", "a number"),
        ("[prices]\na = [0.05]", "prices.a", "a number"),
        ('[prices]\n"a-1.0" = { 1K = "x" }', 'prices."a-1.0".1K', "a number"),
        ("[prices]\na = { 3K = 0.1 }", "prices.a.3K", "one of 512, 1K, 2K, 4K"),
        ("[prices]\na = { 4k = 0.1 }", "prices.a.4k", 'did you mean "4K"'),
        ("[prices]\na-1.0-image = 0.1", "prices.a-1.0-image", 'quotes: "a-1.0-image"'),
        ("[prices]\na-1.0-b = { 1K = 0.1 }", "prices.a-1.0-b", 'quotes: "a-1.0-b"'),
    ],
)
def test_what_is_no_price_is_a_fault(project: Path, text: str, field: str, words: str) -> None:
    """A fault of a price names model and size, and says what is wanted."""
    (fault,) = faults(project, text)
    assert fault.field == field
    assert words in f"{fault.message} {fault.hint}"


def test_the_example_is_valid_with_all_that_it_shows(project: Path, home: Path) -> None:
    """keys.example.toml can be copied, and each line works without its mark of a comment."""
    all_of_it = {name: Section(table=name, tables=TABLES) for name in ("", *TABLES)}
    example = Path(__file__).parents[1] / "keys.example.toml"
    text = example.read_text(encoding="utf-8")
    environ = {f"GEMINI_KEY_{n}": f"test-key-{n:06d}" for n in range(1, 6)}
    assert read(project, text, environ).warnings == ()
    shown = re.sub(r"^# (?=[\w\[\"-]+ ?(=|$)|\[)", "", text, flags=re.MULTILINE)
    environ |= {"GEMINI_API_KEY": "test-key-000009", "OPENAI_API_KEY": "test-key-000010"}
    environ["REDIS_PASSWORD"] = "test-password-000001"
    # An address may stand in one's own file alone.
    (project / "keys.toml").unlink()
    write(home, shown)
    rings = {
        name: load(project, STYLES, section=section, environ=environ)
        for name, section in all_of_it.items()
    }
    ring = rings[""]
    assert rings["openai"].pool("clear")
    assert rings["sdwebui"].base_url
    assert ring.price("gemini-3-pro-image", "4K") == 0.2
    assert not ring.lend
    assert ring.budget_server is not None
    assert ring.budget_server.team == "studio"
    assert ring.warnings == ()


# Which file counts


def test_the_first_source_of_keys_decides(project: Path, home: Path, tmp_path: Path) -> None:
    """The option goes before its variable, then the project, the user's file, a variable."""

    def pool(name: str) -> str:
        return f'[keys]\ndefault = ["test-key-from-{name}"]'

    named = write(tmp_path / "named-keys.toml", pool("option"))
    variable = write(tmp_path / "variable-keys.toml", pool("variable"))
    own, user = write(project, pool("project")), write(home, pool("user"))
    environ = {"IMAGEGEN_KEYS": str(variable), "FIRST_KEY": "", "SECOND_KEY": "test-key-from-env"}
    names = ("FIRST_KEY", "SECOND_KEY", "THIRD_KEY")

    def found(named: Path | None = None) -> tuple[str, str | None]:
        ring = load(project, STYLES, keys_file=named, variables=names, environ=environ)
        return ring.pool("clear")[0].secret.reveal(), ring.source

    assert found(named) == ("test-key-from-option", str(named))
    assert found() == ("test-key-from-variable", str(variable))
    del environ["IMAGEGEN_KEYS"]
    assert found() == ("test-key-from-project", str(own))
    own.unlink()
    assert found() == ("test-key-from-user", str(user))
    user.unlink()
    assert found() == ("test-key-from-env", "$SECOND_KEY")


def test_without_any_source_there_are_no_keys(project: Path) -> None:
    """No file and no variable: the ring is empty and names no source."""
    ring = load(project, STYLES, variables=("ONE",), environ={})
    assert ring.source is None
    assert ring.pool("clear") == ()


def test_a_variable_with_something_else_is_refused_without_quoting_it(project: Path) -> None:
    """A variable that holds no key stops the command and is not shown."""
    with pytest.raises(UsageError) as caught:
        load(project, STYLES, variables=("ONE",), environ={"ONE": f"{A} and more"})
    assert "$ONE" in caught.value.message
    assert A not in caught.value.message


@pytest.mark.parametrize("how", ["--keys", "IMAGEGEN_KEYS"])
def test_a_named_file_must_exist(project: Path, tmp_path: Path, how: str) -> None:
    """A file that the user named and that is missing is an error, not a reason to look on."""
    write(project, f'[keys]\nclear = ["{A}"]')
    missing = tmp_path / "missing-keys.toml"
    environ = {"IMAGEGEN_KEYS": str(missing)} if how == "IMAGEGEN_KEYS" else {}
    with pytest.raises(UsageError, match=how):
        load(project, STYLES, keys_file=missing if how == "--keys" else None, environ=environ)


@pytest.mark.parametrize("how", ["--keys", "IMAGEGEN_KEYS"])
def test_a_key_in_place_of_a_files_name_is_not_shown(project: Path, how: str) -> None:
    """Who gives the key itself where a file is wanted is told so by its tail."""
    key = "AIzaSyTest-key-000000000000000000000abcd"
    environ = {"IMAGEGEN_KEYS": key} if how == "IMAGEGEN_KEYS" else {}
    with pytest.raises(UsageError) as caught:
        load(project, STYLES, keys_file=Path(key) if how == "--keys" else None, environ=environ)
    assert caught.value.message == f"…abcd: no such file (named by {how})"
    assert "name of a keys file" in (caught.value.hint or "")


def test_the_users_file_may_serve_styles_of_other_projects(project: Path, home: Path) -> None:
    """A style that this project lacks is no fault in the user's own file; a slip is a warning."""
    write(home, f'[keys]\nnoir = ["{A}"]\nclaer = ["{B}"]')
    ring = load(project, STYLES, environ={})
    (warning,) = ring.warnings
    assert '"clear"' in warning


# Addresses


@pytest.mark.parametrize("where", ["--keys", "IMAGEGEN_KEYS", "user"])
def test_a_file_of_the_users_may_say_where_keys_go(
    project: Path, home: Path, tmp_path: Path, where: str
) -> None:
    """An address counts in a file that the user named or that is the user's own."""
    path = home if where == "user" else tmp_path / "named-keys.toml"
    write(path, f'base_url = "https://proxy.example/"\n[keys]\nclear = ["{A}"]')
    environ = {"IMAGEGEN_KEYS": str(path)} if where == "IMAGEGEN_KEYS" else {}
    ring = load(project, STYLES, keys_file=path if where == "--keys" else None, environ=environ)
    assert address(None, ring, {}) == "https://proxy.example"


def test_a_projects_file_may_not(project: Path) -> None:
    """An address in a project's keys.toml is a fault."""
    (fault,) = faults(project, f'base_url = "https://elsewhere.example"\n[keys]\nclear = ["{A}"]')
    assert fault.field == "base_url"
    assert "--base-url" in (fault.hint or "")


def test_the_first_address_decides() -> None:
    """The option goes before the variable, then comes the keys file; else the provider's own."""
    ring = Keyring(base_url="https://file.example")
    environ = {"IMAGEGEN_BASE_URL": "https://variable.example"}
    assert address("https://option.example", ring, environ) == "https://option.example"
    assert address(None, ring, environ) == "https://variable.example"
    assert address(None, ring, {}) == "https://file.example"
    assert address(None, Keyring(), {}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "ftp://host",
        "host",
        "https://",
        "https://host/?key=" + A,
        "https://host/#" + A,
        f"https://{A}@host",
        f"https://name:{A}@host?x=1",
        "http://[::1",
        "http://host:port",
        f"http://127.0.0.1:9/ {A}",
        "http://127.0.0.1:9/ x",
        "http://ho st/",
        " https://host",
        "https://host ",
        "https://host\n",
        "https://ho\tst/v1",
        "https://host/\x00",
        "https://host/\x1b[31m",
        "https://host/\u2028v1",
        "https://host/\u00a0v1",
        "https://host/\ud800",
    ],
)
def test_what_is_no_address_is_refused_without_quoting_a_key(wrong: str) -> None:
    """Only plain http and https addresses are accepted, and no key in one is shown."""
    with pytest.raises(UsageError) as caught:
        address(wrong, Keyring(), {})
    assert A not in str(caught.value)


# Files that others can read


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_a_warning(project: Path, mode: int) -> None:
    """The warning says how to close the file."""
    write(project, f'[keys]\nclear = ["{A}"]').chmod(mode)
    (warning,) = load(project, STYLES, environ={}).warnings
    assert "chmod 600" in warning


@pytest.fixture
def repository(project: Path) -> Path:
    """Make the project a git repository."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(project, "init", "-q")
    return project


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder."""
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_a_file_that_git_tracks_is_a_warning(repository: Path) -> None:
    """Keys that git would publish are said, in a folder below the repository's too."""
    folder = repository / "part one"
    folder.mkdir()
    path = write(folder, f'[keys]\nclear = ["{A}"]')
    assert load(folder, STYLES, environ={}).warnings == ()
    git(repository, "add", str(path))
    (warning,) = load(folder, STYLES, environ={}).warnings
    assert "tracked by git" in warning


@posix
def test_a_tracked_file_behind_a_link_is_a_warning(repository: Path, tmp_path: Path) -> None:
    """A link elsewhere to a file that git tracks does not hide it."""
    path = write(repository / "my-keys.toml", f'[keys]\nclear = ["{A}"]')
    git(repository, "add", str(path))
    other = tmp_path / "other"
    other.mkdir()
    (other / "keys.toml").symlink_to(path)
    (warning,) = load(other, STYLES, environ={}).warnings
    assert "tracked by git" in warning


@posix
def test_a_repository_of_somebody_else_starts_no_program(repository: Path, tmp_path: Path) -> None:
    """Settings in a repository's configuration that would start a program are not followed."""
    ran = tmp_path / "ran"
    git(repository, "config", "core.fsmonitor", f"touch {ran}; false")
    write(repository, f'[keys]\nclear = ["{A}"]')
    load(repository, STYLES, environ={})
    assert not ran.exists()


def test_more_lists_than_anybody_has_styles_are_a_fault(project: Path) -> None:
    """For each the style is sought that was meant."""
    lists = "".join(f'x{n} = ["{"k" * 20}"]\n' for n in range(1001))
    found = faults(project, "[keys]\n" + lists)
    told = next(fault for fault in found if fault.field == "keys")
    assert told.message == "has 1,001 lists: 1,000 at most"
