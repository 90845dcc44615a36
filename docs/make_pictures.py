"""Write the pictures of the README: the screens of real runs, as SVG.

    python docs/make_pictures.py

Runs the installed command in a terminal of its own against the tests' image API, on loopback, and
takes minutes: the keys' quota is as real as anywhere. Needs the `test` extra, and Unix.
"""  # noqa: INP001  # a script, not a package

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from PIL import Image
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

import gemini_replies
from commands import Commands, picture
from gemini_server import Answer, GeminiServer
from terminal import Terminal

HERE: Final = Path(__file__).parent
BEATS: Final = 60
_SIZE: Final = (1376, 768)
"""What is asked for: 1K, 16:9."""
KEYS: Final = {
    "illustration": ["picture-key-000000a1f0", "picture-key-0000007c22"],
    "clear": ["picture-key-0000005b1d", "picture-key-000000e71a"],
    "consistent": ["picture-key-000000093e", "picture-key-000000d4c8"],
}
_THEME: Final = TerminalTheme(
    (24, 26, 31),
    (208, 211, 217),
    [
        *((24, 26, 31), (224, 108, 117), (138, 190, 120), (222, 184, 105)),
        *((106, 159, 219), (190, 140, 210), (100, 180, 190), (208, 211, 217)),
    ],
)
_CELL: Final = (12.2, 24.4)
"""What Rich takes for one sign, in the picture's units."""
_MARGIN: Final = 12
_PATIENCE: Final = 5
"""Minutes to wait for a screen."""
_NAMES: Final = {"brown": "yellow", "default": None}
_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 WIDTH HEIGHT" \
xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre;
}}
{styles}
</style>
<defs>{lines}</defs>
<rect fill="#181a1f" width="WIDTH" height="HEIGHT" rx="8"/>
<g transform="translate(12, 12)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def main() -> None:
    """Run, and take pictures on the way."""
    gemini_replies.WIDTH, gemini_replies.HEIGHT = _SIZE
    with tempfile.TemporaryDirectory() as folder, GeminiServer(latency=8.0) as server:
        commands = Commands(Path(folder))
        root = _project(commands)
        server.fault(_asks_for("prompt <32>", "5b1d", "e71a"), Answer.REFUSED)
        server.fault(_asks_for("prompt <16>", "093e", "d4c8"), Answer.TEXT_ONLY, times=4)
        away = {"IMAGEGEN_BASE_URL": server.address}
        with Terminal(commands, "run", root.name, columns=100, lines=24, env=away) as terminal:
            _wait(terminal, "next request in 0:3")
            server.fault(lambda request: bool(request.key and "e71a" in request.key), Answer.MINUTE)
            _wait(terminal, "cooling down")
            _wait(terminal, "7.3")
            _picture(terminal, "live")
            _wait(terminal, "images done")
            terminal.end()
            _picture(terminal, "summary")
        with Terminal(commands, "status", root.name, columns=100, lines=24) as terminal:
            terminal.end()
            _picture(terminal, "status")


def _project(commands: Commands) -> Path:
    rows = [
        {
            "shot_number": n // 5 + 1,
            "beat_number": f"{n // 5 + 1}.{n % 5 + 1}",
            "transition_type": "C" if n % 5 else "H",
            "script_phrase": "His son held the rifle." if n == 32 else f"Phrase {n}.",
            "ai_prompt": f"prompt <{n}>",
        }
        for n in range(BEATS)
    ]
    root = commands.project(beats=rows, keys=KEYS, per_minute=9)
    for n in range(12):
        path = picture(root, "consistent", n)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", _SIZE, "teal").save(path)
    (root / "beats.json").write_text(json.dumps(rows))
    return root


def _wait(terminal: Terminal, there: str) -> None:
    """Wait for minutes."""
    for _ in range(_PATIENCE):
        with contextlib.suppress(AssertionError):
            terminal.wait_for(there)
            return
    raise SystemExit(f"not shown: {there}\n{terminal.text}")


def _asks_for(prompt: str, *tails: str) -> object:
    def asks(request: object) -> bool:
        key = getattr(request, "key", None) or ""
        return prompt in getattr(request, "prompt", "") and key[-4:] in tails

    return asks


def _picture(terminal: Terminal, name: str) -> None:
    screen = terminal.screen
    lines = [_line(screen.buffer[row], screen.columns) for row in range(screen.lines)]
    while lines and not lines[-1].plain.strip():
        lines.pop()
    console = Console(record=True, width=screen.columns, file=io.StringIO())
    for line in lines:
        console.print(line, no_wrap=True, crop=True, highlight=False)
    width, height = _CELL[0] * screen.columns + 2 * _MARGIN, _CELL[1] * len(lines) + 2 * _MARGIN
    form = _FORMAT.replace("WIDTH", f"{width:.0f}").replace("HEIGHT", f"{height:.0f}")
    svg = console.export_svg(title="", theme=_THEME, code_format=form, unique_id=name)
    (HERE / f"{name}.svg").write_text(svg)
    print(f"docs/{name}.svg", flush=True)


def _line(cells: dict[int, object], columns: int) -> Text:
    text = Text()
    for column in range(columns):
        cell = cells[column]
        colour = _NAMES.get(cell.fg, cell.fg)
        if colour is not None and len(colour) == 6 and colour not in _NAMES:
            colour = "#" + colour if all(c in "0123456789abcdef" for c in colour) else colour
        text.append(cell.data, Style(color=colour, bold=cell.bold, reverse=cell.reverse))
    return text


if __name__ == "__main__":
    main()
