"""Adding a key to keys.toml: nothing else in it changes."""

import os
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegen.errors import InvalidInputError, UsageError
from imagegen.keys import edit
from imagegen.keys.edit import NewKey, add_key, parse_key, read_existing, with_key
from imagegen.keys.locations import KeyLocation, LocationKind
from imagegen.secret import Secret

STYLES = ("illustration", "clear", "consistent")
A, B = "test-key-alpha-000001", "test-key-beta-000002"
posix = pytest.mark.skipif(os.name != "posix", reason="file modes and links are POSIX's")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep locks in a folder of the test."""
    monkeypatch.setenv("IMAGEGEN_STATE_DIR", str(tmp_path / "state"))


def place(path: Path, named: LocationKind = LocationKind.USER) -> KeyLocation:
    """Return a keys file, the user's own if nothing else is said."""
    return KeyLocation(named=named, label="my keys.toml", path=path, exists=path.exists())


def new(key: str, **limits: object) -> NewKey:
    """Return a key to add."""
    return NewKey(secret=Secret(key), **limits)  # type: ignore[arg-type]


def mode(path: Path) -> int:
    """Return who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


# The text of the file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[keys]\nclear = ["NEW"]\n'),
        ("# mine\nlend = false", '# mine\nlend = false\n\n[keys]\nclear = ["NEW"]\n'),
        (
            '[keys]\nclear = ["a"] # paid\n\n# Prices\n[prices]\nb = 1\n',
            '[keys]\nclear = ["a", "NEW"] # paid\n\n# Prices\n[prices]\nb = 1\n',
        ),
        (
            '[keys]\ndefault = ["a"] # paid\n\n# Prices\n[prices]\nb = 1\n',
            '[keys]\ndefault = ["a"] # paid\nclear = ["NEW"]\n\n# Prices\n[prices]\nb = 1\n',
        ),
        (
            '[keys]\nclear = [\n    "a", # one\n    { key = "b" },   # two\n]\n',
            '[keys]\nclear = [\n    "a", # one\n    { key = "b" },   # two\n    "NEW",\n]\n',
        ),
        (
            # What is appended there would be a part of the comment.
            '[keys]\nclear = [\n  "a",\n  "b"  # two\n  # end\n]\n',
            '[keys]\nclear = [\n  "NEW",\n  "a",\n  "b"  # two\n  # end\n]\n',
        ),
        ('[keys]\nclear = ["a",\n  "b"]', '[keys]\nclear = ["a",\n  "b",\n  "NEW"]\n'),
        ("[keys]\nclear = []\n", '[keys]\nclear = ["NEW"]\n'),
        ("[keys]\n# none yet\n", '[keys]\nclear = ["NEW"]\n# none yet\n'),
        ('keys = { clear = ["a"] } # x\n', 'keys = { clear = ["a", "NEW"] } # x\n'),
        ('keys.clear = ["a"]\nlend = true\n', 'keys.clear = ["a", "NEW"]\nlend = true\n'),
        (
            '\ufeff[keys]\r\nclear = [\r\n\t"a",\r\n]\r\n',
            '\ufeff[keys]\r\nclear = [\r\n\t"a",\r\n\t"NEW",\r\n]\r\n',
        ),
    ],
)
def test_the_rest_of_the_file_stays_as_it_is(before: str, after: str) -> None:
    """Comments, blank lines, quotes, kinds of line ends and a byte order mark stay."""
    assert with_key(before, "clear", "NEW") == after


@pytest.mark.parametrize("before", ["", '[keys]\nclear = ["a"]\n', '[keys]\nclear = [\n"a"]\n'])
def test_a_key_with_limits_is_a_table_in_the_list(before: str) -> None:
    """Limits of a key stand beside it."""
    entry = {"key": "NEW", "requests_per_minute": 60, "project": "studio"}
    after = with_key(before, "clear", entry)
    assert '{key = "NEW", requests_per_minute = 60, project = "studio"}' in after
    assert tomllib.loads(after)["keys"]["clear"][-1] == entry


_blank = st.sampled_from(["", " ", "  "])
_note = st.sampled_from(["", " # note", '  # it\'s "quoted" [here], {there}', " #"])
_entry = st.sampled_from(['"a"', "'b'", '{ key = "c" }', '{key="d",requests_per_minute=5}'])


@st.composite
def _lists(draw: st.DrawFn) -> str:
    """Draw a list of keys as somebody may write it."""
    entries = draw(st.lists(_entry, max_size=3))
    if draw(st.booleans()):
        return "[" + draw(_blank) + ", ".join(entries) + draw(_blank) + "]"
    lines = [f"  {entry},{draw(_note)}" for entry in entries]
    open_end = draw(st.booleans())
    if lines and open_end:
        lines[-1] = f"  {entries[-1]}{draw(_note)}"
    if draw(st.booleans()):
        lines.append("  # the end")
    return "[\n" + "".join(f"{line}\n" for line in lines) + "]"


@st.composite
def _files(draw: st.DrawFn) -> str:
    """Draw a keys file with comments in odd places."""
    styles = draw(st.lists(st.sampled_from([*STYLES, "default"]), unique=True, max_size=3))
    top = st.sampled_from(["# top", "", "lend = true"])
    lines: list[str] = draw(st.lists(top, max_size=3, unique=True))
    if draw(st.booleans()):
        lines.append(f"[keys]{draw(_note)}")
        for style in styles:
            lines.append(f"{style}{draw(_blank)}={draw(_blank)}{draw(_lists())}{draw(_note)}")
            lines += draw(st.lists(st.sampled_from(["", "# between"]), max_size=2))
    if draw(st.booleans()):
        lines += ["# about prices", "[prices]", '"a-1.0" = { 1K = 0.1 } # dear']
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@given(
    text=_files(),
    style=st.sampled_from([*STYLES, "default"]),
    windows=st.booleans(),
    limited=st.booleans(),
)
def test_whatever_the_layout_the_key_is_added_and_nothing_is_lost(
    *, text: str, style: str, windows: bool, limited: bool
) -> None:
    """The file then says what it said, and one key more; each of its comments is still there."""
    before = text.replace("\n", "\r\n") if windows else text
    entry = {"key": "NEW", "project": "p"} if limited else "NEW"
    after = with_key(before, style, entry)
    wanted, found = tomllib.loads(before), tomllib.loads(after)
    kept = wanted.get("keys", {}).get(style, [])
    assert found["keys"][style] in ([*kept, entry], [entry, *kept])
    found["keys"][style].remove(entry)
    wanted.setdefault("keys", {}).setdefault(style, [])
    assert found == wanted
    assert [w for w in after.split() if w.startswith("#")] == [
        w for w in before.split() if w.startswith("#")
    ]
    assert ("\r" in after) == (windows and "\n" in text)


# The file


def test_a_new_file_holds_the_key_alone(tmp_path: Path) -> None:
    """Folders are made where they are missing; the usual limit is written down."""
    path = tmp_path / "config" / "imagegen" / "keys.toml"
    change = add_key(place(path), STYLES, "clear", new(A))
    assert change.created
    assert tomllib.loads(path.read_text()) == {"requests_per_minute": 9, "keys": {"clear": [A]}}
    assert [key.secret for key in change.ring.pool("clear")] == [Secret(A)]


@posix
def test_only_the_user_can_read_a_keys_file(tmp_path: Path) -> None:
    """A new folder and file are the user's alone, whatever the umask; a wider file is closed."""
    path = tmp_path / "config" / "imagegen" / "keys.toml"
    before = os.umask(0)
    try:
        assert not add_key(place(path), STYLES, "clear", new(A)).permissions_tightened
        assert (mode(path.parent), mode(path)) == (0o700, 0o600)
        path.chmod(0o644)
        assert add_key(place(path), STYLES, "clear", new(B)).permissions_tightened
        assert mode(path) == 0o600
    finally:
        os.umask(before)


def test_a_key_that_is_there_is_not_added_again(tmp_path: Path) -> None:
    """Neither a key nor the variable that holds it stands twice under a style."""
    path = tmp_path / "keys.toml"
    path.write_text(f'[keys]\nclear = [{{ key = "{A}" }}, "env:MINE", "env:OTHER"]')
    path.chmod(0o600)
    before = path.read_bytes()
    environ = {"MINE": B}
    for again in (new(A), new(B), NewKey(variable="MINE"), NewKey(variable="OTHER")):
        assert add_key(place(path), STYLES, "clear", again, environ).already_present
    assert path.read_bytes() == before
    assert not add_key(place(path), STYLES, "consistent", new(A), environ).already_present


@pytest.mark.parametrize(
    "content",
    [b'[keys]\nclear = ["a', b"\xff", b"[keys]\nclear = 3", b"requests_per_minute = 0"],
    ids=["torn", "no text", "wrong type", "wrong value"],
)
def test_a_file_with_faults_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """The faults are told, before anybody is asked for a key too, and no byte changes."""
    path = tmp_path / "keys.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError):
        read_existing(place(path), STYLES)
    with pytest.raises(InvalidInputError):
        add_key(place(path), STYLES, "clear", new(A))
    assert path.read_bytes() == content


def test_a_second_limit_of_one_budget_is_refused(tmp_path: Path) -> None:
    """What would make the file faulty is not written."""
    path = tmp_path / "keys.toml"
    add_key(place(path), STYLES, "clear", new(A))
    before = path.read_bytes()
    with pytest.raises(InvalidInputError) as caught:
        add_key(place(path), STYLES, "consistent", new(A, requests_per_minute=60))
    assert "two limits" in caught.value.faults[0].message
    assert path.read_bytes() == before


@posix
def test_links_are_followed_for_the_user_alone(tmp_path: Path) -> None:
    """The user's link stays one, and its file gets the key; a project's is refused."""
    real, link = tmp_path / "dotfiles" / "keys.toml", tmp_path / "keys.toml"
    real.parent.mkdir()
    link.symlink_to(real)
    add_key(place(link), STYLES, "clear", new(A))
    assert link.is_symlink()
    assert A in real.read_text()
    before = real.read_bytes()
    for attempt in (read_existing, lambda p, s: add_key(p, s, "clear", new(B))):
        with pytest.raises(UsageError, match="is a link"):
            attempt(place(link, LocationKind.PROJECT), STYLES)
    assert real.read_bytes() == before


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_wrong_usage(tmp_path: Path) -> None:
    """Where nothing can be saved the message says so, and it is no error of ours."""
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="was not saved"):
        add_key(place(tmp_path / "keys.toml"), STYLES, "clear", new(A))


def test_a_file_in_place_of_the_folder_is_wrong_usage(tmp_path: Path) -> None:
    """Nothing can be saved below a file."""
    (tmp_path / "config").write_text("")
    with pytest.raises(UsageError, match="was not saved"):
        add_key(place(tmp_path / "config" / "keys.toml"), STYLES, "clear", new(A))


def test_keys_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    """Each that adds a key reads what the one before it has written."""
    path = tmp_path / "keys.toml"
    keys = [f"test-key-{number:08d}" for number in range(12)]
    threads = [
        threading.Thread(target=add_key, args=(place(path), STYLES, "clear", new(key)))
        for key in keys
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tomllib.loads(path.read_text())["keys"]["clear"]) == keys


# What is typed


def test_blanks_around_a_key_are_dropped() -> None:
    """A line end belongs to the line."""
    assert parse_key(f" {A}\r\n") == new(A)
    assert parse_key("env:GEMINI_KEY_1\n") == NewKey(variable="GEMINI_KEY_1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no key"),
        (" \n", "no key"),
        (f"{A} {B}", "blanks"),
        (f"{A}é", "unusual"),
        (f"{A}\x1b[31m", "unusual"),
        ("k" * 600, "long"),
        (f'"{A}"', "quotes"),
        (f"GEMINI_API_KEY={A}", '"="'),
        ("env:", "variable"),
        ("env:1", "variable"),
        ("env:AIzaTestTestTestTestTestTest000001", "variable"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(text: str, words: str) -> None:
    """The message says what is wrong with it, without a part of it."""
    with pytest.raises(UsageError, match=words) as caught:
        parse_key(text)
    said = f"{caught.value.message} {caught.value.hint}"
    assert A not in said
    assert "AIza" not in said
    assert edit.parse_key(A).shown == "…0001"
