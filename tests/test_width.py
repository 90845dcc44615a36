"""How many requests of one style are under way at once."""

from pathlib import Path

import pytest

from imagegen.engine.runtime import MAX_WIDTH
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
    return [text for text in texts if "under way" in text]


@pytest.mark.slow
def test_more_keys_than_threads_can_use_are_told_once(tmp_path: Path) -> None:
    """Where the keys allow more than a style may have under way, that is what limits it."""
    show = Show(tmp_path, beats={"clear": 3 * MAX_WIDTH}, keys={"clear": keys(1000)})
    assert show.draw().exit_code == 0
    (text,) = said(show)
    assert text.startswith(f"clear: {MAX_WIDTH} requests are in flight")


@pytest.mark.slow
def test_where_keys_are_what_limits_nothing_is_said(tmp_path: Path) -> None:
    """A few keys never bring so many requests under way."""
    show = Show(tmp_path, beats={"clear": MAX_WIDTH}, keys={"clear": keys(2)})
    assert show.draw().exit_code == 0
    assert said(show) == []
