"""What tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import markers
from commands import Commands, end_fork_server
from gemini_server import GeminiServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for tests that wait for real minutes."""
    parser.addoption("--real-time", action="store_true", help="run tests that take minutes")


def pytest_configure() -> None:
    """Let commands be interrupted: a script's background jobs are born deaf to Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that wait for real minutes, unless they were asked for."""
    if config.getoption("--real-time"):
        return
    for item in items:
        if item.get_closest_marker("real_time"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --real-time"))


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[None]:
    """End the process that forked the commands."""
    yield
    end_fork_server()


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """Return what runs the command in folders of this test."""
    running = Commands(tmp_path)
    yield running
    running.close()


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    """Return a Gemini API on loopback."""
    with GeminiServer() as running:
        yield running


@pytest.fixture(autouse=True)
def no_key_left_behind(request: pytest.FixtureRequest, searched: set[Path]) -> Iterator[None]:
    """Search all that a test left behind for the keys that it planted."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None:
        searched.add(folder)
        assert_no_key(markers.search(folder))


@pytest.fixture(scope="session", autouse=True)
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[Path]]:
    """Return the folders that were searched for keys; at the end, search all others."""
    folders: set[Path] = set()
    yield folders
    others = set(tmp_path_factory.getbasetemp().iterdir()) - folders
    # Among them are links to folders that were searched.
    kept = [path for path in others if not path.is_symlink()]
    assert_no_key([found for path in kept for found in markers.search(path)])


def assert_no_key(found: list[Path]) -> None:
    """Fail if any file holds a key."""
    assert not found, "keys outside of keys files:\n" + "\n".join(map(str, found))
