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
