"""Text and signs for the terminal, escaped and in characters that it can show."""

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from imagegen.project.beat_status import Status

if TYPE_CHECKING:
    from imagegen.project.storyboard import Beat


class Glyphs(msgspec.Struct, frozen=True):
    """One sign for each status, and the characters of bars."""

    signs: dict[Status, str]
    full: str
    empty: str
    dot: str
    more: str
    """Marks omitted text."""

    def __getitem__(self, status: Status) -> str:
        return self.signs[status]


UNICODE: Final = Glyphs(
    {
        Status.PENDING: "◦",
        Status.BLOCKED: "⊘",
        Status.GENERATING: "⟳",
        Status.COMPLETE: "✓",
        Status.SKIPPED: "✓",
        Status.OUTDATED: "↻",
        Status.WAIVED: "–",
        Status.ERROR: "✗",
    },
    full="━",
    empty="─",
    dot="·",
    more="…",
)
ASCII: Final = Glyphs(
    {
        Status.PENDING: ".",
        Status.BLOCKED: "o",
        Status.GENERATING: "*",
        Status.COMPLETE: "+",
        Status.SKIPPED: "=",
        Status.OUTDATED: "~",
        Status.WAIVED: "-",
        Status.ERROR: "x",
    },
    full="#",
    empty="-",
    dot="|",
    more="...",
)
STYLES: Final = {
    Status.PENDING: "dim",
    Status.BLOCKED: "magenta",
    Status.GENERATING: "yellow",
    Status.COMPLETE: "green",
    Status.SKIPPED: "blue",
    Status.OUTDATED: "yellow",
    Status.WAIVED: "dim",
    Status.ERROR: "bold red",
}


def glyphs_for(encoding: str | None, *, colour: bool) -> Glyphs:
    """Return signs that an output of this encoding can show.

    Without colour a skipped beat has a sign of its own.
    """
    chosen = UNICODE
    try:
        "".join([*UNICODE.signs.values(), UNICODE.full, UNICODE.empty]).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        chosen = ASCII
    if colour or chosen is ASCII:
        return chosen
    return msgspec.structs.replace(chosen, signs={**chosen.signs, Status.SKIPPED: "="})


def status_word(status: Status) -> str:
    """Return what people call a status: `skip` makes a beat need no image."""
    return "skipped" if status is Status.WAIVED else status.value


_JOINERS: Final = frozenset("\u200c\u200d")
"""They join or separate letters in Persian, Indic scripts and emoji, nothing else."""
_LONGEST_LIST: Final = 1000
_NEVER_TEXT: Final = frozenset({"Cc", "Cs"})
"""Unicode's categories of control characters, and of halves of characters."""


def sanitize(text: str, limit: int = 300) -> str:
    """Return text from outside as one harmless line of at most `limit` characters."""
    return _line(text, limit, escape_control)


def join_some(names: Sequence[str], most: int) -> str:
    """Return the first of many names as one harmless line: `a, b and 3 more`."""
    listing = sanitize(", ".join(names[:most]), _LONGEST_LIST)
    return f"{listing} and {len(names) - most:,} more" if len(names) > most else listing


def sanitize_html(text: str, limit: int) -> str:
    """Return the same for an element of HTML that sets its own direction, before its markup.

    There a mark that turns text around reaches no further than the element.
    """
    return _line(text, limit, _without_controls)


def escape_control(text: str) -> str:
    """Return text in which nothing can move the cursor, colour the screen or turn it around."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else _escaped(c) for c in text)


def _without_controls(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _NEVER_TEXT else c for c in text)


def _line(text: str, limit: int, safe: Callable[[str], str]) -> str:
    safe_text = safe(" ".join(text.split())[: limit + 1])
    return safe_text if len(safe_text) <= limit else safe_text[: limit - 1] + "…"


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}"


def duration(seconds: float) -> str:
    """Write a duration as 0:54, 12:03 or 1:02:03; begun seconds count."""
    # Differences of clock times are some billionths of a second too long.
    whole = max(0, math.ceil(round(seconds, 6)))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def counts(beats: int, styles: Mapping[str, Sequence["Beat"]]) -> str:
    """Return `6 beats in 2 shots, in 3 styles: 18 images`; `beats` counts once for all styles."""
    drawn = {style: own for style, own in styles.items() if own}
    shots = len({beat.shot for own in drawn.values() for beat in own})
    images = sum(map(len, drawn.values()))
    return (
        f"{plural(beats, 'beat')} in {plural(shots, 'shot')}, "
        f"in {plural(len(drawn), 'style')}: {plural(images, 'image')}"
    )


def plural(count: int, noun: str) -> str:
    """Return `1 beat`, `2 beats`, `1,200 beats`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
