"""keys.toml for several providers: one at its top level, each other in a table of its own."""

import tomllib
from pathlib import Path

import pytest

from imagegen import paths, providers
from imagegen.errors import InputError, InvalidInputError
from imagegen.keys.edit import NewKey, add_key, with_key
from imagegen.keys.key_lists import looks_like_a_key
from imagegen.keys.keyring import Keyring, RateLimit
from imagegen.keys.locations import LocationKind
from imagegen.keys.section import Section
from imagegen.secret import Secret
from imagegen.workspace import credentials

STYLES = ("illustration", "clear", "consistent")
A, B = "test-key-alpha-000001", "test-key-beta-000002"

BOTH = f"""
requests_per_minute = 20
base_url = "https://first.example"
[keys]
clear = ["{A}"]
[prices]
"some-model" = 0.5

[openai]
requests_per_minute = 7
requests_per_day = 700
base_url = "https://second.example/v1"
lend = false
[openai.keys]
clear = [{{ key = "{B}", project = "studio" }}]

[sdwebui]
base_url = "http://127.0.0.1:7861"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own; return the user's keys file."""
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("IMAGEGEN_STATE_DIR", str(tmp_path / "state"))
    for name in ("IMAGEGEN_KEYS", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY"):
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


def write(path: Path, text: str) -> Path:
    """Write a keys file for oneself alone."""
    path = path / "keys.toml" if path.is_dir() else path
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def read(project: Path, provider: str) -> Keyring:
    """Read the keys of a provider for a project."""
    return credentials.load(project, provider, STYLES)


def faults(project: Path, provider: str) -> list[InputError]:
    """Return the faults that a provider's keys have."""
    with pytest.raises(InvalidInputError) as caught:
        read(project, provider)
    return list(caught.value.faults)


def test_the_tables_are_those_of_the_providers() -> None:
    """Whoever takes an address has a part of keys.toml, and no two have the same."""
    sections = {name: providers.provider_class(name) for name in providers.NAMES}
    taken = [own.keys_section for own in sections.values() if own.supports_base_url]
    assert sorted(taken) == sorted(["", *providers.TABLES])
    assert not any(own.key_variables for own in sections.values() if not own.supports_base_url)


def test_each_provider_reads_its_own_part(project: Path, home: Path) -> None:
    """Keys, limits, lending and addresses are one provider's; prices are by model."""
    write(home, BOTH)
    first, second = read(project, "gemini"), read(project, "openai")
    (one,), (other,) = first.pool("clear"), second.pool("clear")
    assert (one.secret.reveal(), one.limit, first.lend) == (A, RateLimit(20), True)
    assert (other.secret.reveal(), other.limit, second.lend) == (B, RateLimit(7, 700), False)
    assert other.project == "studio"
    assert (first.base_url, second.base_url) == (
        "https://first.example",
        "https://second.example/v1",
    )
    assert first.price("some-model", "1K") == second.price("some-model", "1K") == 0.5


def test_a_provider_without_keys_reads_its_address_alone(project: Path, home: Path) -> None:
    """Faults in the parts of others are no concern of who needs no key."""
    write(home, BOTH.replace("[keys]\nclear", "[keys]\nclear = 3\nconsistent"))
    ring = read(project, "sdwebui")
    assert (ring.base_url, ring.pools) == ("http://127.0.0.1:7861", {})
    assert faults(project, "gemini")
    assert read(project, "openai").pool("clear")


def test_a_key_of_the_environment_has_the_providers_usual_limit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file the provider's own variable serves every style, at its own pace."""
    monkeypatch.setenv("OPENAI_API_KEY", A)
    ring = read(project, "openai")
    assert ring.source == "$OPENAI_API_KEY"
    assert [key.limit.per_minute for key in ring.pool("clear")] == [5]
    assert read(project, "gemini").source is None


def test_keys_without_a_limit_have_the_providers_usual_one(project: Path, home: Path) -> None:
    """The limit at the top of the file is not that of another provider's keys."""
    write(home, f'requests_per_minute = 60\n[openai.keys]\ndefault = ["{A}"]')
    assert read(project, "openai").pool("clear")[0].limit.per_minute == 5


@pytest.mark.parametrize(
    ("provider", "table"),
    [("gemini", "openai"), ("gemini", "sdwebui"), ("openai", "openai"), ("sdwebui", "sdwebui")],
)
def test_no_table_of_a_projects_file_says_where_requests_go(
    project: Path, provider: str, table: str
) -> None:
    """An address in a file that came with a project stops whoever reads that file."""
    write(project, f'[keys]\nclear = ["{A}"]\n[{table}]\nbase_url = "https://evil.example"')
    (fault,) = faults(project, provider)
    assert fault.field == f"{table}.base_url"
    assert "evil" not in str(fault)


def test_a_file_that_says_nothing_of_the_provider_is_passed_over(project: Path, home: Path) -> None:
    """A project with keys of one provider leaves another's to the user's own file."""
    write(project, f'[keys]\nclear = ["{A}"]')
    write(home, f'[openai.keys]\ndefault = ["{B}"]\n[sdwebui]\nbase_url = "http://127.0.0.1:1"')
    assert read(project, "openai").pool("clear")[0].secret.reveal() == B
    assert read(project, "sdwebui").base_url == "http://127.0.0.1:1"
    assert read(project, "gemini").pool("clear")[0].secret.reveal() == A
    write(project, f'[openai.keys]\ndefault = ["{A}"]')
    write(home, f'[keys]\ndefault = ["{B}"]')
    assert read(project, "gemini").pool("clear")[0].secret.reveal() == B
    places = credentials.places(project, "gemini")
    assert [(place.named, place.lacks_section) for place in places[:2]] == [
        (LocationKind.PROJECT, True),
        (LocationKind.USER, False),
    ]


@pytest.mark.parametrize("whose", ["project", "user"])
@pytest.mark.parametrize("provider", ["openai", "sdwebui"])
def test_a_misspelt_table_is_told_of_a_file_that_is_passed_over(
    project: Path, home: Path, whose: str, provider: str
) -> None:
    """Else keys that were meant would be passed over, and another account be billed."""
    near = {"openai": "opnai", "sdwebui": "sdwebiu"}[provider]
    table = f'[keys]\nclear = ["{A}"]\n[{near}.keys]\nclear = ["{B}"]'
    write(project if whose == "project" else home, table)
    if whose == "project":
        write(home, f'[openai.keys]\ndefault = ["{B}"]\n[sdwebui]\nbase_url = "http://127.0.0.1:1"')
    (fault,) = faults(project, provider)
    assert (fault.field, fault.hint) == (near, f'did you mean "{provider}"?')


def test_faults_of_files_that_are_passed_over_are_told_with_those_of_the_one_that_decides(
    project: Path, home: Path
) -> None:
    """Whoever mends one file is not sent back for the other."""
    write(project, f'[opnai.keys]\nclear = ["{A}"]')
    write(home, "[openai]\nlend = 7")
    assert [fault.field for fault in faults(project, "openai")] == ["opnai", "openai.lend"]


def test_what_is_wrong_in_the_table_of_another_does_not_matter(project: Path, home: Path) -> None:
    """Of a file that is passed over nothing is read but what it says of everybody."""
    write(project, '[openai]\nlend = 7\nkeys = "none"')
    write(home, f'[keys]\ndefault = ["{B}"]')
    assert read(project, "gemini").pool("clear")[0].secret.reveal() == B


@pytest.mark.parametrize("provider", providers.NAMES)
@pytest.mark.parametrize(
    "field", ["base_url", *(f"{table}.base_url" for table in providers.TABLES)]
)
def test_an_address_in_a_projects_file_is_refused_whoever_draws(
    project: Path, home: Path, provider: str, field: str
) -> None:
    """Also where the file has nothing else, and nothing for the provider."""
    write(project, f'{field} = "https://evil.example"')
    write(home, BOTH)
    (fault,) = faults(project, provider)
    assert fault.field == field
    assert "evil" not in str(fault)


def test_a_provider_without_keys_and_address_asks_nothing_of_ones_own_file(
    project: Path, home: Path
) -> None:
    """To try things out with sketch no keys file has to be in order."""
    write(home, "[opnai]")
    assert read(project, "sketch") == Keyring()
    write(project, "[keys]\nclear = 3")
    assert read(project, "sketch") == Keyring()


def test_a_named_file_decides_even_if_it_says_nothing(project: Path, home: Path) -> None:
    """Who names a file wants that one, and is told what it lacks."""
    write(home, f'[openai.keys]\ndefault = ["{B}"]')
    named = write(project / "mine-keys.toml", f'[keys]\ndefault = ["{A}"]')
    assert credentials.load(project, "openai", STYLES, keys_file=named).pools == {}


@pytest.mark.parametrize("provider", ["gemini", "openai"])
def test_a_misspelt_table_comes_with_the_nearest_one(
    project: Path, home: Path, provider: str
) -> None:
    """Keys that nobody would use are told of, whoever draws."""
    write(home, BOTH + f'[opnai.keys]\nclear = ["{B}"]')
    (fault,) = faults(project, provider)
    assert (fault.field, fault.hint) == ("opnai", 'did you mean "openai"?')


def test_faults_are_named_with_their_table(project: Path, home: Path) -> None:
    """The same word stands in several tables: the fault says in which."""
    write(
        home,
        f"""
        [openai]
        requests_per_minut = 5
        lend = "no"
        [openai.keys]
        clear = ["{A}", {{ key = "{A}", project = "studio" }}, 7]
        """,
    )
    found = {fault.field for fault in faults(project, "openai")}
    assert found == {
        "openai.requests_per_minut",
        "openai.lend",
        "openai.keys.clear[3]",
        "openai.keys.clear",
    }


@pytest.mark.parametrize("value", ["3", '"text"', "[1]"])
def test_a_table_that_is_none_is_a_fault(project: Path, home: Path, value: str) -> None:
    """What stands where a provider's table should be is told."""
    write(home, f"openai = {value}")
    (fault,) = faults(project, "openai")
    assert (fault.field, fault.message) == ("openai", "expected a table")


def test_an_unknown_style_is_told_with_its_table(project: Path) -> None:
    """A project's file may name its own styles alone, in every table."""
    write(project, f'[openai.keys]\nclaer = ["{A}"]')
    (fault,) = faults(project, "openai")
    assert (fault.field, fault.hint) == ("openai.keys.claer", 'did you mean "clear"?')


# Adding


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[openai.keys]\nclear = ["NEW"]\n'),
        (
            '[keys]\nclear = ["a"] # paid\n',
            '[keys]\nclear = ["a"] # paid\n\n[openai.keys]\nclear = ["NEW"]\n',
        ),
        (
            "[openai] # the other one\nlend = false\n\n# web UI\n[sdwebui]\n",
            None,
        ),
        (
            '[openai.keys]\nclear = ["a"] # paid\n\n[keys]\nclear = ["b"]\n',
            '[openai.keys]\nclear = ["a", "NEW"] # paid\n\n[keys]\nclear = ["b"]\n',
        ),
        ('[openai]\nkeys = { clear = ["a"] }\n', '[openai]\nkeys = { clear = ["a", "NEW"] }\n'),
    ],
)
def test_a_key_goes_into_the_providers_table(before: str, after: str | None) -> None:
    """The rest of the file stays, its comments too."""
    found = with_key(before, "clear", "NEW", "openai")
    if after is not None:
        assert found == after
    wanted = tomllib.loads(before)
    own = wanted.setdefault("openai", {}).setdefault("keys", {})
    own["clear"] = [*own.get("clear", []), "NEW"]
    assert tomllib.loads(found) == wanted
    assert [word for word in found.split() if word == "#"] == [
        word for word in before.split() if word == "#"
    ]


def test_a_new_file_begins_with_the_providers_limit(project: Path) -> None:
    """What a first key may send stands in the file, to be found and changed."""
    place = next(p for p in credentials.places(project, "openai") if p.named is LocationKind.USER)
    change = add_key(place, STYLES, "default", NewKey(secret=Secret(A)))
    assert change.created
    written = tomllib.loads(change.path.read_text())
    assert written == {"openai": {"requests_per_minute": 5, "keys": {"default": [A]}}}
    again = add_key(place, STYLES, "default", NewKey(secret=Secret(A)))
    assert again.already_present
    assert read(project, "openai").pool("clear")[0].secret.reveal() == A


def test_headings_are_those_to_write() -> None:
    """A message names the heading under which keys belong."""
    assert Section().heading == "[keys]"
    assert Section(table="openai").heading == "[openai.keys]"


# Keys where none belong


@pytest.mark.parametrize(
    "text",
    ["sk-proj-abcdefghij0123456789", "sk-ABCDEFGHIJKLMNOPqrst", "sk-litellm-master-key-1234"],
)
def test_keys_of_other_services_are_known_by_their_look(text: str) -> None:
    """Whoever puts one in a wrong place does not see it repeated."""
    assert looks_like_a_key(text)


@pytest.mark.parametrize("text", ["sk-1234", "sk-storyboard-sketches", "sketches-of-the-old-town"])
def test_names_that_begin_alike_are_no_keys(text: str) -> None:
    """A style or a file may begin with the same letters."""
    assert not looks_like_a_key(text)
