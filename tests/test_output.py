"""The real command in pipes, files and poor terminals: nothing crashes, nothing is lost."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import STYLES, Commands, Done, pictures, row
from gemini_server import Answer, GeminiServer

SHELL = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
SCRIPT = pytest.mark.skipif(
    shutil.which("script") is None or sys.platform != "linux", reason="needs util-linux"
)
ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
C_LOCALE = {"LANG": "C", "PYTHONUTF8": ""}
FINISHED = re.compile(r"^[✓+] (\w+)/(\d\.\d) ", re.MULTILINE)


def shell(commands: Commands, line: str, **env: str) -> Done:
    """Run a line of bash in which `imagegen` is the command."""
    command = f"{shlex.quote(sys.executable)} -m imagegen"
    script = f'set -o pipefail; imagegen() {{ {command} "$@"; }}; {line}'
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=commands.folder,
        env=commands.env | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    return commands.wait(process)


def every_beat_has_its_line(text: str, beats: int = 2) -> bool:
    """Tell whether each beat of each style was told, once."""
    told = FINISHED.findall(text)
    return sorted(told) == sorted((s, f"1.{n + 1}") for s in STYLES for n in range(beats))


def printable(text: str) -> bool:
    """Tell whether text is lines, and nothing that a terminal would obey."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.slow
@SHELL
@pytest.mark.parametrize(
    "line",
    [
        "imagegen run my-video --provider sketch | cat",
        "imagegen run my-video --provider sketch 2>/dev/null",
        "imagegen run my-video --provider sketch 2>&-",
        "imagegen run my-video --provider sketch > log && cat log",
        "imagegen run my-video --provider sketch < /dev/null 2>&1 | tee log",
    ],
)
def test_no_line_is_lost_wherever_they_go(commands: Commands, line: str) -> None:
    """Through a pipe, into a file and without stderr every beat has its line."""
    commands.project(beats=2)
    done = shell(commands, line)
    assert done.code == 0, done.text
    assert every_beat_has_its_line(done.out)
    assert "6 of 6 images done" in done.out
    assert printable(done.text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, ASCII, C_LOCALE],
    ids=lambda env: " ".join(f"{name}={value}" for name, value in env.items()),
)
def test_poor_outputs_get_every_line(commands: Commands, env: dict[str, str]) -> None:
    """Without UTF-8 or colour nothing crashes, no line is lost and none holds an escape."""
    root = commands.project(beats=2)
    done = commands.run("run", root, "--provider", "sketch", env=env)
    assert done.code == 0, done.text
    assert every_beat_has_its_line(done.out)
    assert printable(done.text)
    for command in ("status", "check"):
        said = commands.run(command, root, env=env)
        assert said.code == 0, said.text
        assert printable(said.text)
        if env in (ASCII, C_LOCALE):
            assert said.text.isascii()
            assert "?" not in said.text


@pytest.mark.slow
@pytest.mark.parametrize("env", [ASCII, C_LOCALE], ids=["encoding", "locale"])
def test_errors_are_readable_in_ascii(
    commands: Commands, server: GeminiServer, env: dict[str, str]
) -> None:
    """Faults, a refused beat and the summary use signs that every terminal has."""
    root = commands.project(beats=[row(0, script_phrase="It was — “over”…")])
    server.fault("<0>", Answer.BLOCKED, times=3)
    done = commands.run("run", root, "--base-url", server.address, env=env)
    assert done.code == 1
    assert done.text.isascii()
    assert "x clear/1.1" in done.out
    assert '"It was -- "over".."' in done.out
    assert "?" not in done.out


def test_colour_can_be_forced_into_a_pipe(commands: Commands) -> None:
    """FORCE_COLOR colours what is printed, and makes no live view of a pipe."""
    root = commands.project(beats=2, settings='provider = "sketch"\nimage_size = "512"\n')
    done = commands.run("run", root, env={"FORCE_COLOR": "1"})
    assert every_beat_has_its_line(done.out)
    assert "\x1b[?" not in done.text
    status = commands.run("status", root, env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert "\x1b[32m" in status.out


@pytest.mark.slow
@SCRIPT
def test_under_script_a_run_is_shown_live(commands: Commands, tmp_path: Path) -> None:
    """`script` records a terminal's session: the view, and after it the summary."""
    commands.project(beats=2)
    command = f"{shlex.quote(sys.executable)} -m imagegen run my-video --provider sketch"
    line = f"script -qec {shlex.quote(command)} typescript < /dev/null"
    done = shell(commands, line, TERM="xterm-256color")
    assert done.code == 0, done.text
    after = done.out.rpartition("\x1b[?1049l")[2]
    assert "6 of 6 images done" in after


@pytest.mark.slow
@SCRIPT
def test_under_script_a_dumb_terminal_gets_lines(commands: Commands) -> None:
    """TERM=dumb is a terminal that only prints."""
    commands.project(beats=2)
    command = f"{shlex.quote(sys.executable)} -m imagegen run my-video --provider sketch"
    line = f"script -qec {shlex.quote(command)} typescript < /dev/null"
    done = shell(commands, line, TERM="dumb")
    assert done.code == 0, done.text
    shown = done.out.replace("\r\n", "\n")
    assert every_beat_has_its_line(shown)
    assert printable(shown)


@SCRIPT
def test_on_a_terminal_long_lines_are_broken_between_words(
    commands: Commands, server: GeminiServer
) -> None:
    """What is long goes on below itself, and never in the middle of a command or a word."""
    root = commands.project(beats=1)
    server.fault("<0>", Answer.BLOCKED, times=3)
    assert commands.run("run", root, "--base-url", server.address).code == 1
    command = shlex.quote(f"{shlex.quote(sys.executable)} -m imagegen status my-video")
    env = {"TERM": "xterm", "COLUMNS": "60", "NO_COLOR": "1"}
    done = shell(commands, f"script -qec {command} typescript < /dev/null", **env)
    lines = done.out.replace("\r\n", "\n").splitlines()
    assert all(len(line) <= 60 for line in lines if not line.startswith("Next: "))
    first = next(n for n, line in enumerate(lines) if line.startswith("  ✗ 1.1 (all 3 styles) "))
    assert lines[first + 1].startswith(" " * 20)
    assert lines[first + 1].strip()


@pytest.mark.slow
@SHELL
def test_a_reader_that_leaves_ends_the_run_quietly(commands: Commands) -> None:
    """`| head -1` ends it with 141 and without a word, and `resume` draws the rest."""
    root = commands.project(beats=30, settings='provider = "sketch"\nimage_size = "512"\n')
    done = shell(commands, "imagegen run my-video | head -1")
    assert done.code == 141
    assert done.out.count("\n") == 1
    assert done.err == ""
    assert len(pictures(root)) < 90
    assert json.loads(commands.run("status", root, "--json").out)["active"] is False
    assert commands.run("resume", root).code == 0
    assert len(pictures(root)) == 90


@SHELL
@pytest.mark.parametrize("line", ["imagegen status my-video", "imagegen check my-video"])
def test_a_reader_that_leaves_a_short_command(commands: Commands, line: str) -> None:
    """What prints once ends as quietly when nobody reads it."""
    commands.project(beats=[row(n) for n in range(2000)])
    done = shell(commands, f"{line} | true")
    assert done.code in {0, 141}
    assert done.text == ""


@SHELL
def test_a_full_output_is_said(commands: Commands) -> None:
    """Where stdout cannot be written, the reason stands on stderr."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    commands.project(beats=2)
    done = shell(commands, "imagegen status my-video > /dev/full")
    assert done.code == 141
    assert "No space left" in done.err


@pytest.mark.slow
@SHELL
@pytest.mark.parametrize("to", ["2>/dev/full", "2>&1 | true", "2>&-"])
def test_where_stderr_takes_nothing_the_exit_code_tells(commands: Commands, to: str) -> None:
    """As it would be if the words could be read: 1 would say that beats are in error."""
    commands.project(beats=2)
    line = f"imagegen run my-video --provider sketch --style claer {to}; exit ${{PIPESTATUS[0]}}"
    assert shell(commands, line).code == 2
    line = f"imagegen run my-video --provider sketch --progress json {to.replace(' | true', '')}"
    assert shell(commands, f"{line} >/dev/null").code == 0
    assert shell(commands, f"imagegen nonsense {to}; exit ${{PIPESTATUS[0]}}").code == 2


@SHELL
@pytest.mark.parametrize(
    "words",
    ["status my-video --json", "status my-video", "keys list --json", "--version", "run -h"],
)
def test_a_reader_that_left_before_the_first_word_is_told_by_the_exit_code(
    commands: Commands, words: str
) -> None:
    """1 would say that beats are in error."""
    commands.project(beats=1)
    # The pipe is closed before the command begins.
    line = f"exec 3> >(exec 0<&-; echo gone >&2); while ! wait $!; do :; done; imagegen {words} >&3"
    done = shell(commands, line)
    assert (done.code, done.err) == (141, "gone\n")


@pytest.mark.slow
def test_json_lines_share_stdout_with_nothing(commands: Commands) -> None:
    """Every line on stdout is an event; people read stderr."""
    root = commands.project(beats=2)
    done = commands.run("run", root, "--provider", "sketch", "--progress", "json")
    assert done.events[0]["type"] == "start"
    assert done.events[-1]["type"] == "complete"
    assert "6 of 6 images done" in done.err


@pytest.mark.slow
def test_no_progress_is_silent_after_a_success(commands: Commands) -> None:
    """`--progress none` prints nothing where nothing is wrong."""
    root = commands.project(beats=2)
    done = commands.run("run", root, "--provider", "sketch", "--progress", "none")
    assert (done.code, done.text) == (0, "")


def test_on_github_actions_a_run_has_its_page(
    commands: Commands, server: GeminiServer, tmp_path: Path
) -> None:
    """A group, an annotation for a refused beat, and a table; in JSON's stead too."""
    page = tmp_path / "page.md"
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)}
    phrase = "::error::evil ##[error]x | <b>"
    root = commands.project(beats=[row(n, script_phrase=phrase) for n in range(3)])
    server.fault(lambda request: "<1>" in request.prompt, Answer.BLOCKED, times=3)
    done = commands.run("run", root, "--base-url", server.address, env=env)
    assert done.code == 1
    obeyed = [line.split("::")[1] for line in done.out.splitlines() if line.startswith("::")]
    assert obeyed[0] == "group"
    assert sorted(obeyed) == sorted(
        ["group", "warning title=imagegen", "endgroup"]
        + [f"error title=no image of {style}/1.2" for style in STYLES]
    )
    assert not [line for line in done.text.splitlines() if line.startswith((" ::", "##["))]
    assert "##[" not in done.text
    text = page.read_text(encoding="utf-8")
    assert "| clear | 2 | 0 | 1 |\n" in text
    assert "<b>" not in text
    again = commands.run("run", root, "--base-url", server.address, "--progress", "json", env=env)
    assert again.code == 0
    assert all(event["type"] for event in again.events)
    assert page.read_text(encoding="utf-8").count("###") == 2


def test_a_page_that_cannot_be_written_changes_nothing(commands: Commands, tmp_path: Path) -> None:
    """The run ends as it would have, with one warning."""
    root = commands.project(beats=1)
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "page.md")}
    done = commands.run("run", root, "--provider", "sketch", env=env)
    assert done.code == 0
    assert done.out.count("::warning title=imagegen::the table for the run's page") == 1


def test_suggested_commands_name_the_folder_as_typed(
    commands: Commands, server: GeminiServer
) -> None:
    """A folder with a blank is quoted, and the current one is left out."""
    root = commands.project("my video", beats=1)
    server.fault("<0>", Answer.BLOCKED, times=3)
    done = commands.run("run", "my video", "--base-url", server.address)
    quoted = '"my video"' if os.name == "nt" else "'my video'"
    assert f"imagegen check {quoted} --show illustration/1.1" in done.out
    folder = Commands(commands.folder)
    folder.folder = root
    assert "imagegen check --show illustration/1.1" in folder.run("status").out


def test_what_carries_on_names_the_keys_that_were_named(
    commands: Commands, server: GeminiServer
) -> None:
    """Without them `resume` would pay with those of the project."""
    root = commands.project(beats=2, keys=0)
    named = commands.project("other", keys=1) / "keys.toml"
    sources = ("--keys", named, "--base-url", server.address)
    done = commands.run("run", root, "--style", "clear", "--max-cost", "0.05", *sources)
    carry_on = f"imagegen resume {root} --keys {named} --base-url {server.address} --max-cost 1"
    assert (done.code, carry_on in done.out) == (3, True), done.text
    few = commands.run("run", root, "--limit", "2", "--max-cost", "0.05", *sources)
    assert (few.code, "Raise the limit to resume without --limit:" in few.out) == (3, True), (
        few.text
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_events_that_cannot_be_written_end_the_run(
    commands: Commands, server: GeminiServer
) -> None:
    """A program that reads events must not miss some without knowing: exit 141, resumable."""
    root = commands.project()
    command = [sys.executable, "-m", "imagegen", "run", str(root), "--progress", "json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*command, "--base-url", server.address],
            env=commands.env,
            cwd=commands.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 141, done.stderr
    last = json.loads(commands.run("status", root, "--json").out)["last_run"]
    assert last["reason"] == "closed"
    assert commands.run("resume", root, "--base-url", server.address).code == 0


@SHELL
def test_a_current_folder_that_is_gone_is_told(commands: Commands) -> None:
    """And not taken for an output that cannot be written."""
    done = shell(commands, "mkdir gone && cd gone && rmdir ../gone && imagegen status")
    assert (done.code, "current folder" in done.err) == (2, True)
