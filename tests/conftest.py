"""What tests share."""

import gc
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest

import markers
from commands import Commands, end_fork_server
from gemini_server import GeminiServer
from sweep import examples

# Each worker would compile all tests in every run, where Python is told to keep nothing.
sys.dont_write_bytecode = False
# Thousands of tests stay in memory, none of them garbage: the collector would look at them in vain.
gc.set_threshold(50_000, 20, 100)

hypothesis.settings.register_profile("quick", max_examples=examples(100))
hypothesis.settings.load_profile("quick")

_INHERITED = re.compile(
    r"(?i:.*_proxy)|.*_API_KEY|LANG|LANGUAGE|LC_.*|TZ|TERM|COLUMNS|LINES|NO_COLOR|FORCE_COLOR"
    r"|CI|GITHUB_.*|IMAGEGEN_(?!LITELLM|SWEEP).*|XDG_(CONFIG|STATE)_HOME|NETRC"
    r"|SSL_CERT_.*|(REQUESTS|CURL)_CA_BUNDLE"
)
"""Variables that change what the package or its tests do; each test sets those that it is about."""

_IGNORED_BY_PYTHON = {getattr(signal, name, None) for name in ("SIGPIPE", "SIGXFSZ")}
"""Of these `subprocess` takes care."""

_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 * 1024**3
"""Bytes that must be free there. At once, tests leave less than a tenth of it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for tests that wait for real minutes."""
    parser.addoption("--real-time", action="store_true", help="run tests that take minutes")


def pytest_configure() -> None:
    """Begin with what every test may count on, whatever this process was started with."""
    for name in list(os.environ):
        if _INHERITED.fullmatch(name):
            del os.environ[name]
    if os.name == "posix":
        os.environ["LANG"] = "C.UTF-8"
        os.environ["TZ"] = "UTC"
        time.tzset()
    os.umask(0o022)
    # A third of the time on a disk goes into waiting for it to write down what is deleted again.
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Start more workers than there are processors: tests wait for a third of their time."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (os.cpu_count() or 1) * 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that wait for real minutes, unless they were asked for."""
    if config.getoption("--real-time"):
        return
    for item in items:
        if item.get_closest_marker("real_time"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --real-time"))


@pytest.fixture(scope="session", autouse=True)
def signals() -> None:
    """Let every signal reach the commands, which inherit what is ignored or blocked here.

    Shells start background jobs deaf to Ctrl-C, and `nohup` starts what it runs deaf to a closed
    terminal. A handler is not inherited; this one leaves the tests themselves as deaf as they
    were. The process that starts the workers has nothing but workers to start, which must
    inherit that.
    """
    for number in signal.valid_signals():
        if number not in _IGNORED_BY_PYTHON and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


@pytest.fixture(scope="session", autouse=True)
def garbage() -> None:
    """Look for garbage among what tests make alone, not among all tests and what they import."""
    gc.collect()
    gc.freeze()


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
    # What is requested here is torn down later: the folder is still there.
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
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
