"""What tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import markers
from commands import Commands
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


@pytest.fixture(scope="session", autouse=True)
def no_key_left_anywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search all that the tests of this process left behind for the keys that they planted."""
    yield
    found = markers.search(tmp_path_factory.getbasetemp())
    assert not found, "keys outside of keys files:\n" + "\n".join(map(str, found))
