"""Words and signs for the terminal: harmless, short, and in characters that it can show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegen.display.text.sanitize import (
    ASCII,
    UNICODE,
    duration,
    glyphs_for,
    sanitize,
    sanitize_html,
)
from imagegen.project.beat_status import Status

JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))


@given(st.text())
def test_shown_text_is_one_harmless_line(text: str) -> None:
    """Nothing from outside can move the cursor, colour the screen or turn text around."""
    shown = sanitize(text)
    assert len(shown) <= 300
    assert shown.translate(JOINERS).isprintable()


def test_joiners_are_text_and_what_turns_text_around_is_not() -> None:
    """Emoji, Persian and Indic words stay whole; a page keeps the marks of its languages too."""
    words = "👩\u200d🚀 می\u200cخواهم क्\u200dष"
    assert sanitize(words) == sanitize_html(words, 99) == words
    turning = "a\u202eb\u2066c\u2069d\u200fe"
    assert sanitize(turning) == "a\\u202eb\\u2066c\\u2069d\\u200fe"
    assert sanitize_html(turning, 99) == turning
    assert sanitize_html("a\x1b\x9b\x00\ud800", 99) == "a\\u001b\\u009b\\u0000\\ud800"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (53.2, "0:54"), (723, "12:03"), (3723, "1:02:03"), (33.3 + 125 - 33.3, "2:05")],
)
def test_spans_of_time_are_short(seconds: float, shown: str) -> None:
    """Begun seconds count, so that a countdown ends at zero."""
    assert duration(seconds) == shown


def test_signs_fit_the_terminal() -> None:
    """A terminal without these characters gets ASCII, one without colour a `=` for exists."""
    assert glyphs_for("utf-8", colour=True) == UNICODE
    assert glyphs_for("ascii", colour=True) == ASCII
    assert glyphs_for(None, colour=True) == ASCII
    assert glyphs_for("utf-8", colour=False)[Status.SKIPPED] == "="
    assert "".join(ASCII.signs.values()).isascii()
