"""What people see: plain lines, the live view, faults, and text that is made harmless."""

import io
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from commands import Commands, pictures, row
from gemini_server import Answer, GeminiServer
from imagegen.display.live import LiveView
from imagegen.display.plain import Plain
from imagegen.display.report import Printer
from imagegen.display.text import ASCII, UNICODE, clean, duration, glyphs_for
from imagegen.errors import InputFault, InputFaultsError
from imagegen.generation.events import KeyChange, Progress, Start, Totals, Wait, Warned
from imagegen.generation.plan import Plan, Planned
from imagegen.generation.survey import Found
from imagegen.project.progress import BeatError
from imagegen.project.status import Status
from imagegen.project.storyboard import Beat

HOSTILE = "\x1b[31mred\x1b[0m [bold]x[/bold] \x07\r\n\u202eevil\u2066"


def plan(count: int = 3) -> Plan:
    """Return a plan of so many beats in three styles, five beats a shot."""
    return Plan(
        styles={
            style: tuple(
                Planned(_beat(style, number), Found.NOTHING, draw=True) for number in range(count)
            )
            for style in ("illustration", "clear", "consistent")
        }
    )


def _beat(style: str, number: int) -> Beat:
    return Beat(
        style=style,
        shot=str(number // 5),
        beat=str(number),
        written=str(number),
        words="words",
        own_words=True,
    )


def _progress(status: Status, error: BeatError | None = None, number: int = 0) -> Progress:
    return Progress(
        style="clear",
        shot_number=str(number // 5),
        beat_number=str(number),
        status=status,
        completed=1,
        total=3,
        error=error,
        seconds=1.0,
    )


@given(st.text())
def test_shown_text_is_one_harmless_line(text: str) -> None:
    """Nothing from outside can move the cursor, colour the screen or turn text around."""
    shown = clean(text)
    assert len(shown) <= 300
    assert shown.isprintable() or not shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (53.2, "0:54"), (723, "12:03"), (3723, "1:02:03")]
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


def test_plain_lines_hold_no_control_characters() -> None:
    """Whatever events say, a pipe gets lines of printable text."""
    out = io.StringIO()
    view = Plain(plan(), out, ASCII)
    error = BeatError(cause="refused", reason="SAFETY", message=HOSTILE)
    for event in (
        Start(project=HOSTILE, provider="p", model="m", styles={"clear": Totals(total=3)}),
        _progress(Status.GENERATING),
        _progress(Status.PENDING, error),
        _progress(Status.ERROR, error),
        _progress(Status.COMPLETE, number=1),
        KeyChange(style="clear", key="…abcd", state="cooling", message=HOSTILE, seconds=3),
        Wait(reason="offline", message=HOSTILE),
        Warned(message=HOSTILE),
    ):
        view.handle(event)
    view.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == 7
    assert all(line.isprintable() for line in lines)


def test_an_outage_is_told_once() -> None:
    """Each look at a service that is out of reach is an event, and one line says so."""
    out = io.StringIO()
    view = Plain(plan(), out, ASCII)
    for _ in range(5):
        view.handle(Wait(reason="offline", message="offline since 14:31, nothing has failed"))
    view.handle(Wait(reason="online", message="the service answers again"))
    view.handle(Wait(reason="offline", message="offline since 14:31, nothing has failed"))
    assert [line.split()[0] for line in out.getvalue().splitlines()] == [
        "offline",
        "the",
        "offline",
    ]


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (100, 30), (200, 50)])
@pytest.mark.parametrize("count", [3, 2000])
def test_live_view_fits_its_terminal(size: tuple[int, int], count: int) -> None:
    """At any size every line fits, and each style has its bar, its beats and the count."""
    width, height = size
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    console = Console(
        file=out, width=width, height=height, force_terminal=True, color_system=None, markup=False
    )
    view = LiveView(plan(count), console, UNICODE)
    view.handle(Start(project="p", provider="p", model="m", styles={}))
    for number in range(3):
        view.handle(_progress(Status.COMPLETE, number=number))
    view.tick()
    out.flush()
    frame = out.buffer.getvalue().decode().rpartition("\x1b[H")[2]
    lines = [line for line in frame.splitlines() if line.strip()]
    view.close()
    assert len(frame.splitlines()) <= height
    assert all(len(line.rstrip()) <= width for line in lines)
    bars = [line.split()[0] for line in lines if "/" in line][:3]
    assert bars == ["illustration", "clear", "consistent"]
    assert f"1/{3 * count} pictures" in frame


def test_faults_are_shown_with_row_field_and_hint() -> None:
    """The first 20 are shown in order, and the rest are counted."""
    out = io.StringIO()
    printer = Printer(Console(file=out, width=100), UNICODE)
    faults = [
        InputFault(file="v/beats.json", row=n, field="ai_prompt", message="missing", hint="add it")
        for n in range(30, 0, -1)
    ]
    printer.error(InputFaultsError(faults, {"v/beats.json": 60}), "v")
    shown = out.getvalue()
    assert "v/beats.json: 30 faults in 60 rows. Nothing was drawn or changed." in shown
    assert shown.index("row 1 ") < shown.index("row 2 ")
    assert "row 20" in shown
    assert "row 21" not in shown
    assert "10 more" in shown
    assert "imagegen check v" in shown


def _on_terminal(commands: Commands, *arguments: object) -> tuple[int, bytes]:
    """Run a command on a pseudo-terminal; returns its exit code and all that it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "imagegen", *map(str, arguments)],
        cwd=commands.folder,
        env=commands.env | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(timeout=60), written


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_terminal_is_given_back(commands: Commands) -> None:
    """The live view leaves the alternate screen and shows the cursor, then the summary."""
    root = commands.project(beats=2)
    code, written = _on_terminal(commands, "run", root, "--provider", "sketch")
    assert code == 0
    assert written.count(b"\x1b[?1049h") == written.count(b"\x1b[?1049l") == 1
    assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l")
    after = written.rpartition(b"\x1b[?1049l")[2]
    assert b"6 of 6 pictures there" in after


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, {"NO_COLOR": "1"}]
)
def test_poor_outputs_get_every_line(commands: Commands, env: dict[str, str]) -> None:
    """Without UTF-8 or colour nothing crashes and no line is lost."""
    root = commands.project(beats=2)
    done = commands.run("run", root, "--provider", "sketch", env=env)
    assert done.code == 0, done.text
    assert len([line for line in done.out.splitlines() if "/1.2" in line]) == 3
    assert "\x1b" not in done.text
    assert commands.run("status", root, env=env).code == 0


def test_hostile_words_stay_words(commands: Commands, server: GeminiServer) -> None:
    """Control sequences and markup in a storyboard reach neither terminal nor file names."""
    root = commands.project(beats=[row(0, script_phrase=HOSTILE, ai_prompt=HOSTILE)])
    server.fault("red", Answer.BLOCKED, times=9)
    shown = [
        commands.run("run", root, "--base-url", server.address),
        commands.run("status", root),
        commands.run("check", root, "--show", "clear/1.1"),
    ]
    for done in shown:
        assert "\x1b" not in done.text
        assert "\u202e" not in done.text
        assert "\x07" not in done.text


def test_closed_pipe_ends_quietly_and_resumes(commands: Commands, tmp_path: Path) -> None:
    """When the reader goes away the run ends with 141, and `resume` draws the rest."""
    root = commands.project(beats=30)
    process = commands.start("run", root, "--provider", "sketch")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=60)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.returncode == 141
    assert commands.run("resume", root).code == 0
    assert len(pictures(root)) == 90
