"""What lines are printed on: a console, in signs and characters that it can show."""

from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from imagegen.display.text import github_escape
from imagegen.display.text import wrap as fit
from imagegen.display.text.charset import in_ascii
from imagegen.display.text.sanitize import ASCII, Glyphs, escape_control

_WIDEST: Final = 100
"""Columns over which the two ends of a line are put at most."""

_NARROWEST: Final = 40
_FIXED: Final = "\xa0"


class Paper:
    """Prints lines on a console, without sequences that a terminal or CI system executes."""

    def __init__(self, console: Console, glyphs: Glyphs) -> None:
        self._console = console
        self.glyphs = glyphs

    @property
    def width(self) -> int:
        """The console's columns; a file has as many as the terminal it was started from."""
        return self._console.width

    def line(self, text: str | Text = "", style: str = "") -> None:
        """Print one line, however long: no markup, no wrapping."""
        if isinstance(text, str):
            text = Text(self._shown(text), style=style)
        text.rstrip()
        if github_escape.running():
            plain = github_escape.harmless(text.plain)
            text = text if plain == text.plain else Text(plain)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def wrap(self, head: str, text: str, *, style: str = "", indent: int | None = None) -> None:
        """Print a text after its head: on a terminal in several lines, each below the first.

        In a file it stays one line, which can be searched. `indent` is where the next lines
        begin if not after the head.
        """
        head, text = self._shown(head), self._shown(text)
        indent = len(head) if indent is None else indent
        room = self.width - 1
        if not self._console.file.isatty() or cell_len(head + text) <= room or room < _NARROWEST:
            self.line(f"{head}{text}", style)
            return
        # Do not break inside columns.
        lines = fit.wrap(head.replace(" ", _FIXED) + text, room, min(indent, room // 2))
        lines[0] = lines[0].replace(_FIXED, " ")
        for part in lines:
            self.line(part, style)

    def justify(self, left: str, right: str) -> None:
        """Print two texts at the two ends of a line, or of its first columns if it is long."""
        left, right = self._shown(left), self._shown(right)
        gap = min(self.width - 1, _WIDEST) - cell_len(left) - cell_len(right)
        self.line(f"{left}{' ' * max(3, gap)}{right}" if right else left)

    def hint(self, does: str, command: str) -> None:
        """Print what a command does and the command, which is never broken."""
        if self._console.file.isatty() and cell_len(does) + 3 + cell_len(command) > self.width:
            self.wrap("", f"{does}:", indent=2)
            self.line(f"  {command}")
        else:
            self.line(f"{does}:  {command}")

    def command_list(self, *rows: tuple[str, str], indent: int = 2) -> None:
        """Print commands, each with what it does: next to it, or below if it is long."""
        wide = max(cell_len(command) for command, _ in rows)
        beside = all(indent + wide + 3 + cell_len(does) <= self.width for _, does in rows)
        head = " " * indent
        for command, does in rows:
            if beside and does:
                self.line(f"{head}{command:<{wide}}   {does}")
                continue
            self.line(f"{head}{command}")
            if does:
                self.line(f"{head}    {does}")

    def _shown(self, text: str) -> str:
        text = escape_control(text)
        return in_ascii(text) if self.glyphs.dot == ASCII.dot else text
