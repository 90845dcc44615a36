"""One style's glyphs in lines, a space between shots; only lines that changed are rebuilt."""

import itertools
from collections.abc import Iterable, Mapping

from rich.text import Text

from imagegen.display.text import STYLES, Glyphs
from imagegen.project.status import Status

Key = tuple[str, str]
_UNSETTLED = frozenset({Status.PENDING, Status.GENERATING})


class Sheet:
    """The glyphs of a style's beats, laid out once for a width.

    `statuses` is the tally's own mapping; `changed` says which of its beats have changed.
    """

    def __init__(self, statuses: Mapping[Key, Status], glyphs: Glyphs, width: int) -> None:
        self.width = width
        self._statuses = statuses
        self._glyphs = glyphs
        self._lines = _lay_out(statuses, width)
        self._line_of = {key: n for n, line in enumerate(self._lines) for key in line if key}
        self._texts: list[Text | None] = [None] * len(self._lines)
        self._unsettled = [
            sum(key is not None and statuses[key] in _UNSETTLED for key in line)
            for line in self._lines
        ]

    def changed(self, key: Key, before: Status) -> None:
        """Take note that a beat's status is another than `before`."""
        line = self._line_of[key]
        self._texts[line] = None
        self._unsettled[line] += (self._statuses[key] in _UNSETTLED) - (before in _UNSETTLED)

    def rows(self, most: int) -> list[Text]:
        """Return at most so many lines: of more, those around the first that still moves."""
        first = 0
        if len(self._lines) > most:
            moving = next((n for n, count in enumerate(self._unsettled) if count), 0)
            first = min(max(0, moving - 1), len(self._lines) - most)
        return [self._row(n) for n in range(first, min(first + most, len(self._lines)))]

    def _row(self, number: int) -> Text:
        text = self._texts[number]
        if text is None:
            text = Text("  ")
            signs = (None if key is None else self._statuses[key] for key in self._lines[number])
            for status, run in itertools.groupby(signs):
                count = sum(1 for _ in run)
                if status is None:
                    text.append(" " * count)
                else:
                    text.append(self._glyphs[status] * count, style=STYLES[status])
            self._texts[number] = text
        return text


def _lay_out(keys: Iterable[Key], width: int) -> list[list[Key | None]]:
    """Put shots in lines of at most so many signs; None is the space between two shots."""
    lines: list[list[Key | None]] = [[]]
    for _, shot in itertools.groupby(keys, lambda key: key[0]):
        beats = list(shot)
        if lines[-1] and len(lines[-1]) + 1 + len(beats) > width:
            lines.append([])
        elif lines[-1]:
            lines[-1].append(None)
        for beat in beats:
            if len(lines[-1]) >= width:
                lines.append([])
            lines[-1].append(beat)
    return lines
