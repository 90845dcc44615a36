"""`imagegen keys add` asks on a terminal: nothing that is typed is ever seen."""

import tomllib
from pathlib import Path

import pytest

from commands import Commands

pytest.importorskip("termios", reason="pseudo-terminals are POSIX's")

from terminal import CTRL_C, CTRL_Z, Terminal

KEY = "test-key-alpha-000001"


@pytest.fixture
def home(commands: Commands) -> Path:
    """Return the user's own keys file, which does not exist yet."""
    commands.keys.add(KEY)
    return commands.config / "imagegen" / "keys.toml"


def test_a_terminal_does_not_show_what_is_typed(commands: Commands, home: Path) -> None:
    """The key is taken from the keyboard in silence."""
    with Terminal(commands, "keys", "add", "clear") as terminal:
        terminal.wait_for("not shown")
        assert not terminal.echoes
        terminal.type(f"{KEY}\r".encode())
        assert terminal.end() == 0
        assert terminal.echoes
        assert "clear now has 1 key" in terminal.text
    assert tomllib.loads(home.read_text())["keys"] == {"clear": [KEY]}


@pytest.mark.parametrize(
    ("how", "code"), [("Ctrl-C", 130), ("Ctrl-D", 2), ("Ctrl-Z", 2), ("SIGTERM", 143)]
)
def test_a_terminal_is_given_back(commands: Commands, home: Path, how: str, code: int) -> None:
    """However the question is left, what is typed is shown again, and nothing is added."""
    with Terminal(commands, "keys", "add", "clear") as terminal:
        terminal.wait_for("not shown")
        if how == "SIGTERM":
            terminal.process.terminate()
        else:
            terminal.type(KEY[:8].encode() if how == "Ctrl-Z" else b"")
            terminal.type({"Ctrl-C": CTRL_C, "Ctrl-D": b"\x04", "Ctrl-Z": CTRL_Z}[how])
        assert terminal.end() == code
        assert terminal.echoes
    assert not home.exists()


def test_it_is_said_where_keys_are_made(commands: Commands) -> None:
    """Of the service that the key is for."""
    for options, address in (
        ((), "aistudio.google.com/apikey"),
        (("--provider", "openai"), "platform.openai.com/api-keys"),
    ):
        with Terminal(commands, "keys", "add", "clear", *options) as terminal:
            terminal.wait_for("not shown")
            assert address in terminal.text
            terminal.type(CTRL_C)
            assert terminal.end() == 130


def test_a_style_that_no_project_has_is_asked_about(commands: Commands, home: Path) -> None:
    """It is a slip, most of the time; one of the project in this folder is none."""
    with Terminal(commands, "keys", "add", "clea", columns=120) as terminal:
        terminal.wait_for("[y/N]")
        assert 'did you mean "clear"?' in terminal.text
        terminal.type(b"n\r")
        assert terminal.end() == 2
        assert "nothing was added" in terminal.text
    assert not home.exists()
    with Terminal(commands, "keys", "add", "ink", columns=120) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type(b"y\r")
        terminal.wait_for("not shown")
        terminal.type(f"{KEY}\r".encode())
        assert terminal.end() == 0
    (commands.folder / "imagegen.toml").write_text("[styles.water]\n")
    with Terminal(commands, "keys", "add", "water", columns=120) as terminal:
        terminal.wait_for("not shown")
        assert "[y/N]" not in terminal.text
        terminal.type(CTRL_C)
        terminal.end()


def test_keys_that_end_alike_are_two(commands: Commands, home: Path) -> None:
    """In the list, in what was added, and in what a run says."""
    alike = [f"test-key-{name}-000001" for name in ("one", "two")]
    commands.keys |= set(alike)
    for number, key in enumerate(alike, 1):
        said = commands.run("keys", "add", "clear", stdin=key.encode()).out
        assert ("…0001 (2)" in said) == (number == 2)
    listed = commands.run("keys", "list").out
    assert "…0001 (1)" in listed
    assert "…0001 (2)" in listed
