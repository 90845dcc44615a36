"""The main job against a real HTTP server that speaks the web UIs' API."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from commands import Commands, picture, pictures
from gemini_server import Answer, answers
from sdwebui_server import MODELS, Trouble, WebUiServer

WEB_UI = 'provider = "sdwebui"\n'


@pytest.fixture
def ui() -> Iterator[WebUiServer]:
    """Return a web UI on loopback."""
    with WebUiServer() as running:
        yield running


def own_file(commands: Commands, text: str) -> Path:
    """Write the user's own keys file."""
    path = commands.config / "imagegen" / "keys.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_project_is_drawn_without_a_key(commands: Commands, ui: WebUiServer) -> None:
    """Every picture is there, and the keys of other providers are sent to nobody."""
    root = commands.project(settings=WEB_UI)
    done = commands.run("run", root, "--base-url", ui.address)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 9
    data = picture(root, "clear", 0).read_bytes()
    assert len([request for request in ui.requests if answers(data, request.prompt)]) == 1
    assert {r.key for r in ui.requests} == {None}


def test_one_request_at_a_time(commands: Commands, ui: WebUiServer) -> None:
    """One machine draws one picture: a second request would only wait, and time out."""
    root = commands.project(beats=1, settings=WEB_UI)
    with ui.held():
        process = commands.start("run", root, "--base-url", ui.address)
        assert ui.wait_for_requests(1)
        assert not ui.wait_for_requests(2, timeout=1.0)
    done = commands.wait(process)
    assert done.code == 0, done.text
    assert len(ui.requests) == 3


def test_the_reference_goes_with_hard_cuts_alone(commands: Commands, ui: WebUiServer) -> None:
    """The first beat of each shot begins with it, byte for byte."""
    root = commands.project(beats=6, settings=WEB_UI + 'draw = ["clear"]\n')
    Image.new("RGB", (32, 18), "teal").save(root / "style_reference.png")
    digest = hashlib.sha256((root / "style_reference.png").read_bytes()).hexdigest()
    done = commands.run("run", root, "--base-url", ui.address)
    assert done.code == 0, done.text
    begun = {r.prompt.split("\n")[0]: r.references for r in ui.requests if r.references}
    assert begun == {"prompt <0>": (("", digest),), "prompt <5>": (("", digest),)}


def test_its_address_stands_in_the_users_own_file(commands: Commands, ui: WebUiServer) -> None:
    """A project with keys of another provider does not hide it, and faults there do not matter."""
    root = commands.project(settings=WEB_UI + f'model = "{MODELS[1]}"\n')
    own_file(commands, f'[keys]\nclear = 3\n[sdwebui]\nbase_url = "{ui.address}"\n')
    done = commands.run("run", root)
    assert done.code == 0, done.text
    assert {r.model for r in ui.requests} == {MODELS[1]}


def test_a_project_cannot_say_where_requests_go(commands: Commands, ui: WebUiServer) -> None:
    """Words and pictures too are sent only where the user says."""
    root = commands.project(settings=WEB_UI)
    (root / "keys.toml").write_text(f'[sdwebui]\nbase_url = "{ui.address}"\n')
    done = commands.run("run", root)
    assert done.code == 2
    assert "sdwebui.base_url" in done.err
    assert not ui.requests


@pytest.mark.parametrize(
    ("trouble", "words"), [(Trouble.NO_API, "--api"), (Trouble.WANTS_PASSWORD, "--api-auth")]
)
def test_a_web_ui_that_is_set_up_otherwise_ends_the_run(
    commands: Commands, ui: WebUiServer, trouble: Trouble, words: str
) -> None:
    """Exit 2 with what to do, after one request, and no beat in error."""
    ui.trouble = trouble
    root = commands.project(settings=WEB_UI + 'draw = ["clear"]\n')
    done = commands.run("run", root, "--base-url", ui.address, "--progress", "json")
    assert done.code == 2, done.text
    assert words in done.text
    assert done.events[-1]["reason"] == "unusable"
    assert len(ui.requests) == 1


def test_an_unknown_checkpoint_ends_the_run_with_those_there_are(
    commands: Commands, ui: WebUiServer
) -> None:
    """The web UI is asked for its list."""
    root = commands.project(settings=WEB_UI)
    done = commands.run("run", root, "--model", "no-such", "--base-url", ui.address)
    assert done.code == 2, done.text
    assert ", ".join(MODELS) in " ".join(done.text.split())


def test_too_little_memory_is_the_beats_own(commands: Commands, ui: WebUiServer) -> None:
    """It is tried again, then in error with what helps; the others are drawn."""
    root = commands.project(settings=WEB_UI + 'draw = ["clear"]\nmax_attempts = 2\n')
    ui.fault("prompt <1>", Trouble.NO_MEMORY, times=2)
    done = commands.run("run", root, "--base-url", ui.address)
    assert done.code == 1, done.text
    assert len(pictures(root)) == 2
    status = commands.run("status", root, "--json")
    assert "smaller image_size" in json.dumps(json.loads(status.out))


def test_a_passing_fault_is_tried_again(commands: Commands, ui: WebUiServer) -> None:
    """A web UI that is just starting answers later."""
    root = commands.project(beats=1, settings=WEB_UI + 'draw = ["clear"]\n')
    ui.fault("prompt <0>", Answer.UNAVAILABLE)
    done = commands.run("run", root, "--base-url", ui.address)
    assert done.code == 0, done.text
    assert [r.status for r in ui.requests] == [503, 200]


def test_its_keys_are_none(commands: Commands) -> None:
    """`keys list` and `keys check` say so."""
    root = commands.project(settings=WEB_UI)
    for name in ("list", "check"):
        done = commands.run("keys", name, root)
        assert done.code == 0, done.text
        assert "sdwebui needs no keys." in done.out
