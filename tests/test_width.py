"""How many requests of one style are under way at once."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagegen.engine import runtime
from imagegen.engine.runtime import max_width
from imagegen.events.types import WarningEvent
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.secret import Secret
from virtual import Show


def keys(count: int) -> tuple[ApiKey, ...]:
    """Return so many keys of 60 a minute."""
    return tuple(ApiKey(Secret(f"test-key-width-{n:06d}"), RateLimit(60)) for n in range(count))


def said(show: Show) -> list[str]:
    """Return what was said of the most that may be under way."""
    texts = [event.message for event in show.events if isinstance(event, WarningEvent)]
    return [text for text in texts if "are in flight" in text]


@pytest.mark.slow
def test_more_keys_than_threads_can_use_are_told_once(tmp_path: Path) -> None:
    """Where the keys allow more than a style may have under way, that is what limits it."""
    show = Show(tmp_path, beats={"clear": 3 * max_width()}, keys={"clear": keys(1000)})
    assert show.draw().exit_code == 0
    (text,) = said(show)
    assert text.startswith(f"clear: {max_width()} requests are in flight")


@pytest.mark.slow
def test_where_keys_are_what_limits_nothing_is_said(tmp_path: Path) -> None:
    """A few keys never bring so many requests under way."""
    show = Show(tmp_path, beats={"clear": max_width()}, keys={"clear": keys(2)})
    assert show.draw().exit_code == 0
    assert said(show) == []


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], int]]:
    """Return what computes the width for so much memory, in GiB, and so many open files."""

    def width(memory: int, files: int) -> int:
        monkeypatch.setattr(runtime, "_memory", lambda: memory * 2**30)
        monkeypatch.setattr(runtime, "_open_files", lambda: files)
        max_width.cache_clear()
        return max_width()

    yield width
    max_width.cache_clear()


@pytest.mark.parametrize(
    ("memory", "files", "width"),
    [(64, 10_000, 1024), (8, 10_000, 341), (64, 768, 256), (1, 10_000, 64), (64, 10, 64)],
)
def test_memory_and_open_files_limit_the_width(
    machine: Callable[[int, int], int], memory: int, files: int, width: int
) -> None:
    """A small machine has fewer requests in flight; 64 a style it always may have."""
    assert machine(memory, files) == width


@pytest.mark.parametrize(
    ("limit", "memory"),
    [("2147483648\n", 2**31), ("max\n", 2**40), ("9223372036854771712\n", 2**40), (None, 2**40)],
)
def test_a_container_has_the_memory_of_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, memory: int
) -> None:
    """A control group's limit counts, of either version, if it is below the machine's memory."""
    files = [tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"]
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**28, "SC_PAGE_SIZE": 2**12}.get)
    monkeypatch.setattr(runtime, "_CONTAINER_LIMITS", tuple(map(str, files)))
    for file in files:
        if limit is not None:
            file.write_text(limit)
        assert runtime._memory() == memory
        file.unlink(missing_ok=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files")
def test_the_soft_limit_of_open_files_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the hard limit; what cannot be raised is what counts."""
    import resource  # noqa: PLC0415  # Windows has none

    limits = [1024, 2000]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.__setitem__(0, wanted[0]))
    assert runtime._open_files() == 2000 - 256
    assert limits == [2000, 2000]
    monkeypatch.setattr(resource, "setrlimit", lambda *_: (_ for _ in ()).throw(ValueError))
    limits[0] = 1024
    assert runtime._open_files() == 1024 - 256
