"""A run looks at the project anew where another command changed it before it began."""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from commands import Commands, picture
from gemini_server import GeminiServer
from imagegen.editing import use
from imagegen.project.record import DrawRequest
from imagegen.runs.session import Session
from imagegen.workspace.credentials import CredentialOptions
from imagegen.workspace.plan import Plan
from imagegen.workspace.reading import read_project

if os.name != "posix":
    pytest.skip("terminals of this kind are Unix's", allow_module_level=True)

from terminal import Terminal

BEATS = 14
OWN = "clear/3.3"


@pytest.fixture
def root(commands: Commands, server: GeminiServer) -> Path:
    """Return a project of 14 beats in one style, all but the last two drawn."""
    root = commands.project(beats=BEATS, settings='draw = ["clear"]\n')
    limit = ("--limit", BEATS - 2, "--base-url", server.address)
    assert commands.run("run", root, *limit).code == 0
    return root


@pytest.fixture
def own(commands: Commands) -> Path:
    """Return a picture that a person has made."""
    path = commands.folder / "own.png"
    path.write_bytes(image())
    return path


@pytest.fixture
def asking(commands: Commands, server: GeminiServer, root: Path) -> Iterator[Terminal]:
    """Start a run that has asked whether to draw 12 images again."""
    arguments = ("run", root, "--force", "--base-url", server.address)
    with Terminal(commands, *arguments) as terminal:
        terminal.wait_for("Redraw 12 images")
        yield terminal


def image() -> bytes:
    """Return a picture of another size than those of a run."""
    out = io.BytesIO()
    Image.new("RGB", (96, 54), "teal").save(out, "PNG")
    return out.getvalue()


def size(path: Path) -> tuple[int, int]:
    """Return how large a picture is."""
    with Image.open(path) as found:
        return found.size


def drawn(plan: Plan) -> list[str]:
    """Return the numbers of the beats that are drawn."""
    return [one.beat.beat for one in plan.styles["clear"] if one.draw]


def test_what_is_settled_while_a_question_waits_holds(
    commands: Commands, server: GeminiServer, root: Path, own: Path, asking: Terminal
) -> None:
    """A picture of one's own is not drawn over, and a beat that was skipped is not drawn."""
    before = len(server.requests)
    assert commands.run("use", root, OWN, own).code == 0
    assert commands.run("skip", root, "clear/3.4").code == 0
    asking.type(b"y\n")
    assert asking.end() == 0

    assert size(picture(root, "clear", 12)) == (96, 54)
    assert not picture(root, "clear", 13).exists()
    assert len(server.requests) - before == 12


def test_more_than_was_agreed_to_is_asked_for_again(
    server: GeminiServer, root: Path, asking: Terminal
) -> None:
    """A yes to twelve pictures is none to thirteen."""
    before = len(server.requests)
    shutil.copy(picture(root, "clear", 0), picture(root, "clear", 12))
    asking.type(b"y\n")
    asking.wait_for("Redraw 13 images")
    asking.type(b"n\n")
    assert asking.end() == 2
    assert len(server.requests) == before


def test_what_moves_just_before_a_run_has_the_project_is_seen(root: Path, own: Path) -> None:
    """Between its look and its lock there is a moment for other commands."""
    session = Session(read_project(root, DrawRequest(), CredentialOptions()), last=None)
    assert drawn(session.plan()) == ["3.3", "3.4"]
    use.use_image(
        read_project(root, DrawRequest(beats=(OWN,))),
        own.read_bytes(),
        1_795_341_600.0,
        file="own.png",
    )
    with session:
        assert drawn(session.plan()) == ["3.4"]
