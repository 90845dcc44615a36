"""One line about a style's keys and what it waits for."""

from collections import Counter
from typing import Final

import msgspec
from rich.text import Text

from imagegen.display.text.beat_grid import INDENT
from imagegen.display.text.sanitize import Glyphs, duration, plural
from imagegen.display.text.wrap import sanitize_glyphs, truncate
from imagegen.display.views.run_progress import KeyProgress, RunProgress, StyleProgress

_NAMED: Final = 3
"""Up to this number, keys are shown one by one."""

_MINOR: Final = 2
"""From this rank on, parts are omitted instead of shortening others."""

_OVER: Final = {
    "spent today": "daily quota used",
    "spent": "disabled, always rejected",
    "out of credit": "out of credit",
    "no quota": "no quota for the model",
    "rejected": "rejected",
}
"""Labels of states in which the run no longer uses a key."""


class _Part(msgspec.Struct):
    """A part of the line; if it is too long, the highest ranks are omitted first."""

    words: str
    rank: int
    style: str = "dim"
    short: str = ""


class KeyLine:
    """Describes what a style waits for."""

    def __init__(self, style: StyleProgress, tally: RunProgress, glyphs: Glyphs) -> None:
        self._style = style
        self._tally = tally
        self._glyphs = glyphs
        self._alive = {t: k for t, k in style.keys.items() if k.state not in _OVER}
        self._over = {t: k for t, k in style.keys.items() if k.state in _OVER}

    @property
    def needed(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._over) or not self._style.settled

    @property
    def urgent(self) -> bool:
        """Whether it shows keys that do not work."""
        cooling = any(key.state == "cooling" for key in self._alive.values())
        return cooling or bool(self._over) or self._nothing_left

    def text(self, width: int) -> Text:
        """Return the line, in at most `width` columns."""
        parts = self._parts()
        long = self._reduced(parts, width, _MINOR)
        if long.cell_len <= width:
            return long
        for part in parts:
            part.words = part.short or part.words
        return truncate(self._reduced(parts, width, 1), width, self._glyphs)

    def _reduced(self, parts: list[_Part], width: int, least: int) -> Text:
        """Join the parts that fit; parts of a rank below `least` always stay."""
        remaining = list(parts)
        while (line := self._join(remaining)).cell_len > width:
            last = max(remaining, key=lambda part: part.rank)
            if last.rank < least or len(remaining) == 1:
                break
            remaining.remove(last)
        return line

    def _join(self, parts: list[_Part]) -> Text:
        line = Text(INDENT)
        for n, part in enumerate(parts):
            if n:
                line.append(f" {self._glyphs.dot} ", style="dim")
            line.append(part.words, style=part.style)
        return line

    def _parts(self) -> list[_Part]:
        style = self._style
        parts = []
        if style.keys and not style.settled:
            of = f"{len(self._alive)} of " if self._over else ""
            parts.append(_Part(f"{of}{plural(len(style.keys), 'key')}", 4))
        if not style.settled:
            parts += self._sending()
            if style.in_flight:
                parts.append(_Part(f"{style.in_flight:,} in flight", 2))
            retry_count = len(style.retrying)
            if retry_count and not self._tally.ending and not self._pauses:
                parts.append(_Part(f"{retry_count:,} to retry", 3))
        return parts + self._ended_keys()

    @property
    def _pauses(self) -> bool:
        """Whether only failed beats are left, and the time of their retry is known."""
        wait = self._style.wait
        return wait is not None and wait.reason in {"retry", "round"}

    def _sending(self) -> list[_Part]:
        """Return when this style sends its next request, if that is known."""
        style, wait = self._style, self._style.wait_seconds
        if not style.unsent:
            return [_Part("all sent", 1)]
        if style.wait is not None and style.wait.reason == "lending":
            return [_Part("waiting for keys of other styles", 1)]
        if self._nothing_left:
            short = f"no key for {style.unsent:,}"
            return [_Part(f"no key left for {plural(style.unsent, 'beat')}", 1, "red", short)]
        if self._tally.ending and not style.in_flight:
            return [_Part("no more requests", 1)]
        if self._tally.wait is not None:
            return []
        if self._pauses and wait is not None:
            count = len(style.retrying)
            words = f"{plural(count, 'failed beat')} retried in {duration(wait)}"
            return [_Part(words, 1, "yellow", f"retry in {duration(wait)}")]
        return self._next(wait)

    @property
    def _nothing_left(self) -> bool:
        if self._style.wait_seconds is not None:
            # Another style's key may serve it.
            return False
        styles = self._tally.styles.values()
        has_none = not self._style.keys and any(style.keys for style in styles)
        return not self._alive and not self._style.in_flight and (bool(self._over) or has_none)

    def _next(self, wait: float | None) -> list[_Part]:
        keys = self._alive
        cooling = {tail: key for tail, key in keys.items() if key.state == "cooling"}
        waiting = {tail: key for tail, key in keys.items() if key.state == "waiting"}
        ready = len(keys) - len(cooling) - len(waiting)
        if cooling and len(keys) <= _NAMED:
            return [self._named(tail, key) for tail, key in keys.items() if key.state != "ready"]
        if cooling or (ready and waiting and wait is None):
            return [self._counted(ready, waiting, cooling)]
        if wait is None:
            wait = _soonest(waiting) if waiting else None
        return [] if wait is None else [_Part(f"next request in {duration(wait)}", 1)]

    def _named(self, tail: str, key: KeyProgress) -> _Part:
        name = self._tail(tail)
        if key.state == "waiting":
            return _Part(f"{name} next in {duration(key.left)}", 1)
        words = f"{name} cooling down {duration(key.left)}"
        why = sanitize_glyphs(key.news.message, self._glyphs, 60)
        return _Part(f"{words} ({why})" if why else words, 1, "yellow", words)

    def _counted(
        self, ready: int, waiting: dict[str, KeyProgress], cooling: dict[str, KeyProgress]
    ) -> _Part:
        words = [f"{ready} ready"] if ready else []
        if waiting:
            words.append(f"{len(waiting)} next in {duration(_soonest(waiting))}")
        if cooling:
            words.append(f"{len(cooling)} cooling down {duration(_soonest(cooling))}")
        return _Part(", ".join(words), 1, "yellow" if cooling else "dim")

    def _ended_keys(self) -> list[_Part]:
        """Name the keys that are no longer used, or count them if there are many."""
        states = Counter(key.state for key in self._over.values())
        parts = []
        for state, count in states.items():
            tails = [self._tail(tail) for tail, key in self._over.items() if key.state == state]
            short = f"{count} {_OVER[state]}"
            tails_line = f"{', '.join(tails)} {_OVER[state]}"
            parts.append(_Part(tails_line if count <= _NAMED else short, 0, "red", short))
        return parts

    def _tail(self, tail: str) -> str:
        return sanitize_glyphs(tail, self._glyphs, 12)


def _soonest(keys: dict[str, KeyProgress]) -> float:
    return min(key.left for key in keys.values())
