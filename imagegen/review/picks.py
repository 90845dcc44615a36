"""Read which images the user chooses, from command arguments or from a table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from imagegen import files
from imagegen.csv_rows import CsvError, read_rows
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.project.beat_ids import BeatId
from imagegen.project.selections import file as selections
from imagegen.project.storyboard.messages import quoted, unknown_style
from imagegen.project.storyboard.rows import MOST_FAULTS, TOO_MANY
from imagegen.review.choose import Pick, why_unavailable
from imagegen.shell import project_command
from imagegen.toml import did_you_mean
from imagegen.workspace.project import Project

_MAX_BYTES: Final = 16 * 1024 * 1024
_DELIMITERS: Final = (",", ";", "\t")
_COLUMNS: Final = {"beat_number": "beat", "shot_number": "shot", "flagged": "flag"}
"""Other names of columns."""
_KNOWN: Final = ("beat", "shot", "style", "flag")
_YES: Final = frozenset({"1", "true", "yes", "y", "x", "flag", "flagged"})
_NO: Final = frozenset({"", "0", "false", "no", "n"})
_GUESSED: Final = 20
"""Errors up to which the beat is sought that was meant: each time all of them are looked at, and
no more errors are shown."""


def parse_picks(project: Project, words: Sequence[str], *, flagged: bool) -> dict[BeatId, Pick]:
    """Return the choices in arguments: `7.3 clear`, `7.3 7.4 clear` or `clear/7.3`.

    Raises `UsageError` for beats or styles that are not there, and for a beat without style.
    """
    addresses, style = _split_style(project, words)
    picks: dict[BeatId, Pick] = {}
    for address in addresses:
        beat, of_address = _find_beat(project, address)
        chosen_style = of_address or style
        if chosen_style is None:
            hint = project_command("choose", project.root, beat, next(iter(project.beats)))
            raise UsageError(f"which style's image of {beat}?", hint=hint)
        if beat in picks or style not in {None, chosen_style}:
            raise UsageError(f"{beat} is named twice")
        picks[beat] = Pick(chosen_style, flagged)
    return picks


def names_a_style(project: Project, words: Sequence[str]) -> bool:
    """Return whether the arguments include a style, and not beats alone."""
    addresses, style = _split_style(project, words)
    return style is not None or any(
        address.partition("/")[0] in project.beats for address in addresses
    )


def beats(project: Project, words: Sequence[str]) -> list[BeatId]:
    """Return the beats that arguments name. Raises `UsageError`."""
    return list(dict.fromkeys(_find_beat(project, word)[0] for word in words))


def from_csv(project: Project, path: Path) -> dict[BeatId, Pick]:
    """Read choices from a table with the columns `beat` and `style`, and maybe `shot` and `flag`.

    Raises `InvalidInputError` with every error by its row, and `UsageError` for a file that
    cannot be read.
    """
    data = files.read(path.resolve(), _MAX_BYTES)
    if data is None:
        raise UsageError(f"{path} cannot be read: there is no such file, or it is too large")
    table = _Table(project, str(path))
    picks = table.read(data)
    if table.faults:
        hint = f"Fix {path}, then run again: "
        hint += project_command("choose", project.root, "--csv", str(path))
        raise InvalidInputError(table.faults, {str(path): table.rows}, hint=hint)
    return picks


def _split_style(project: Project, words: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Separate beats from the style that follows them."""
    *before, last = words
    if before and words[0] in project.beats and "/" not in last:
        right = project_command("choose", project.root, *words[1:], words[0])
        raise UsageError(f'"{words[0]}" is a style, and comes after the beats', hint=right)
    if not before or "/" in last:
        return words, None
    if last in project.beats:
        return before, last
    if project.beat_index.has_number(last):
        return words, None
    near = did_you_mean(last, project.beats)
    if near or not last[:1].isdigit():
        hint = near or f"the styles are {', '.join(project.beats)}"
        raise UsageError(f'no style "{last}" in this project', hint=hint)
    return words, None


def _find_beat(project: Project, address: str) -> tuple[BeatId, str | None]:
    """Return the beat of an address, and the style if it names one."""
    first, slash, _ = address.partition("/")
    of_address = first if slash and first in project.beats else None
    return project.addresses.find_id(address), of_address


class _Table:
    """Reads a table row by row, and gathers all that is wrong with it."""

    def __init__(self, project: Project, label: str) -> None:
        self._project = project
        self._shown = label
        self.faults: list[InputError] = []
        self.rows = 0
        self._line = 0
        """Where the row begins in the file."""

    def read(self, data: bytes) -> dict[BeatId, Pick]:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._fault(f"byte {error.start + 1} is not UTF-8", hint="save the file as UTF-8")
            return {}
        rows = self._filled(text)
        picks: dict[BeatId, Pick] = {}
        at: dict[BeatId, int] = {}
        columns = self._columns(next(rows, []))
        for cells in rows if columns else ():
            self.rows += 1
            if len(self.faults) >= MOST_FAULTS:
                self._fault(TOO_MANY)
                break
            parsed = self._row(dict(zip(columns, map(str.strip, cells), strict=False)))
            if parsed is None:
                continue
            beat, pick = parsed
            if beat in at:
                self._fault(f"{beat} is already row {at[beat]}", field="beat")
            at.setdefault(beat, self.rows)
            picks[beat] = pick
        return picks

    def _filled(self, text: str) -> Iterator[list[str]]:
        """Yield the rows that are not empty, and note where each begins."""
        try:
            for self._line, cells in read_rows(text, _delimiter(text)):
                if any(cell.strip() for cell in cells):
                    yield cells
        except CsvError as error:
            self._line = error.line
            self._fault(f"is not valid CSV: {error}")

    def _columns(self, cells: Sequence[str]) -> list[str]:
        names = [cell.strip().casefold().replace(" ", "_") for cell in cells]
        names = [_COLUMNS.get(name, name) for name in names]
        hint = "the first row must name the columns: beat,style (and shot, flag)"
        missing = [name for name in ("beat", "style") if name not in names]
        for name in missing:
            self._fault(f'has no column "{name}"', hint=hint)
        twice = {name for name in names if name in _KNOWN and names.count(name) > 1}
        for name in sorted(twice):
            self._fault(f'has two columns named "{name}"', hint="keep one")
        return [] if missing or twice else names

    def _row(self, cells: Mapping[str, str]) -> tuple[BeatId, Pick] | None:
        faults = len(self.faults)
        beat = self._beat(cells.get("beat", ""), cells.get("shot") or None)
        style = cells.get("style", "")
        if style not in self._project.beats:
            message = unknown_style(style, tuple(self._project.beats)) if style else "missing"
            self._fault(message, field="style")
        elif beat is not None:
            fault = why_unavailable(self._project, beat, style)
            if fault is not None:
                self._fault(fault, field="style")
        flag = cells.get("flag", "").casefold()
        if flag not in _YES | _NO:
            self._fault(f"{quoted(flag)} is neither yes nor no", field="flag")
        if beat is None or len(self.faults) > faults:
            return None
        return beat, Pick(style, flag in _YES)

    def _beat(self, beat: str, shot: str | None) -> BeatId | None:
        if not beat:
            self._fault("missing", field="beat")
            return None
        name = f"{shot}/{beat}" if shot is not None else beat
        shot_and_beat = selections.parse_name(name)
        matches = (
            self._project.beat_index.find(shot_and_beat[1], shot_and_beat[0])
            if shot_and_beat is not None
            else []
        )
        if len(matches) == 1:
            return matches[0]
        if matches:
            ways = ", ".join(matches[:5])
            message, hint = f"{quoted(name)} occurs in {len(matches)} shots", f"write one of {ways}"
            self._fault(message, field="beat", hint=hint)
        else:
            near = self._nearest(name) if len(self.faults) < _GUESSED else None
            self._fault(f"no beat {quoted(name)} in this project", field="beat", hint=near)
        return None

    def _nearest(self, name: str) -> str | None:
        return did_you_mean(name, self._project.beat_ids)

    def _fault(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        row, line = self.rows or None, self._line or None
        self.faults.append(
            InputError(
                file=self._shown, message=message, row=row, line=line, field=field, hint=hint
            )
        )


def _delimiter(text: str) -> str:
    """Return the delimiter that makes most known column names of the first row."""
    first = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]
    return max(_DELIMITERS, key=lambda delimiter: len(set(_KNOWN) & set(_split(first, delimiter))))


def _split(line: str, delimiter: str) -> Iterator[str]:
    for cell in line.split(delimiter):
        name = cell.strip().strip('"').casefold().replace(" ", "_")
        yield _COLUMNS.get(name, name)
