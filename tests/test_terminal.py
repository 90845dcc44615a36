"""The live view in a real terminal: at every size, and given back after every ending."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from commands import STYLES, Commands, pictures
from gemini_server import Answer, GeminiServer

if os.name != "posix":
    pytest.skip("terminals of this kind are Unix's", allow_module_level=True)

from terminal import CTRL_C, CTRL_Z, Terminal

SIZES = [(60, 20), (80, 24), (100, 30), (200, 50)]


@pytest.fixture
def held(server: GeminiServer) -> Iterator[ExitStack]:
    """Let the server answer nothing until this is closed."""
    with ExitStack() as stack:
        stack.enter_context(server.held())
        yield stack


def _waiting(commands: Commands, server: GeminiServer, columns: int, lines: int) -> Terminal:
    """Start a run of 2,000 beats a style that waits for its keys' minute, with one error."""
    root = commands.project(beats=2000, keys=2, per_minute=3)
    server.fault("prompt <1>", Answer.REFUSED)
    arguments = ("run", root, "--base-url", server.address)
    return Terminal(commands, *arguments, columns=columns, lines=lines)


def _bars(terminal: Terminal) -> list[str]:
    """Return the styles that have a bar with something drawn, in their order."""
    return [line.split()[0] for line in terminal.lines if "━" in line and "/2,000" in line]


def _is_whole(terminal: Terminal) -> bool:
    """Tell whether the screen shows one frame and nothing beside it."""
    lines = terminal.lines
    used = [n for n, line in enumerate(lines) if line]
    return (
        _bars(terminal) == list(STYLES)
        and terminal.text.count("my-video") == 1
        and terminal.text.count("Ctrl-C") == 1
        and terminal.text.count("/6,000") == 1
        and "Ctrl-C: stop" in lines[used[-1]]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_a_run_that_waits_fits_its_screen(
    commands: Commands, server: GeminiServer, columns: int, lines: int
) -> None:
    """Bars, counts, the reason of an error, the next request and the way out are all there."""
    with _waiting(commands, server, columns, lines) as terminal:
        terminal.wait_for(
            lambda: (
                "17/6,000" in terminal.text
                and "0 in flight" in terminal.text
                and terminal.text.count("next request in 0:") == 3
                and "left" in terminal.lines[0]
            )
        )
        assert terminal.screen.alternate
        assert terminal.screen.cursor.hidden
        assert _is_whole(terminal), terminal.text
        words = " ".join(terminal.text.split())
        assert "refused, IMAGE_SAFETY: I cannot draw th" in words
        assert "! the service ignores image_size: 3 images in a row" in words
        assert "my-video · 2,000 beats" in terminal.lines[0]
        assert "◦ after" in terminal.text or "1,994 ◦" in terminal.text
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert terminal.given_back
        assert not terminal.screen.beyond
        assert b"17 of 6,000" in terminal.written.rpartition(b"\x1b[?1049l")[2]


@pytest.mark.slow
def test_what_is_waited_for_is_counted_down(commands: Commands, server: GeminiServer) -> None:
    """A screen on which nothing happens never looks as if the command hung."""
    with _waiting(commands, server, 80, 24) as terminal:
        terminal.wait_for(lambda: "17/6,000" in terminal.text)
        seen: set[str] = set()

        def counts() -> bool:
            seen.update(word for word in terminal.text.split() if word.startswith("0:5"))
            return len(seen) > 2

        terminal.wait_for(counts)
        terminal.type(CTRL_C)
        assert terminal.end() == 130


@pytest.mark.slow
def test_a_resized_terminal_shows_no_debris(commands: Commands, server: GeminiServer) -> None:
    """Smaller or larger, the next frame is the only thing on the screen."""
    with _waiting(commands, server, 100, 30) as terminal:
        terminal.wait_for(lambda: "17/6,000" in terminal.text and _is_whole(terminal))
        for columns, lines in ((60, 20), (120, 40), (40, 12), (100, 30)):
            terminal.resize(columns, lines)
            terminal.screen.beyond.clear()
            terminal.wait_for(lambda: _is_whole(terminal))
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert terminal.given_back


@pytest.mark.slow
def test_a_finished_run_gives_the_terminal_back(commands: Commands) -> None:
    """After the last picture the normal screen has the summary, and the cursor."""
    root = commands.project(beats=2)
    with Terminal(commands, "run", root, "--provider", "sketch") as terminal:
        assert terminal.end() == 0
        assert terminal.written.count(b"\x1b[?1049h") == 1
        assert terminal.given_back
        assert "6 of 6 images" in terminal.text
        assert "Ctrl-C" not in terminal.text


def test_keys_pressed_meanwhile_leave_no_trace(
    commands: Commands, server: GeminiServer, held: ExitStack
) -> None:
    """Nothing that is typed stands in the view or scrolls it away; later it appears again."""
    root = commands.project(beats=2)
    with Terminal(commands, "run", root, "--base-url", server.address) as terminal:
        terminal.wait_for("6 in flight")
        assert not terminal.echoes
        assert not terminal.loses
        terminal.type(b"typed\r\n")
        terminal.type(CTRL_C)
        terminal.wait_for("Ctrl-C again: stop at once")
        assert "typed" not in terminal.text
        assert "^C" not in terminal.text
        assert terminal.lines[0].startswith("my-video")
        held.close()
        assert terminal.end() == 130
        assert terminal.echoes
        assert terminal.loses


def test_an_edit_meanwhile_is_told_and_kept(
    commands: Commands, server: GeminiServer, held: ExitStack
) -> None:
    """Who edits a storyboard that is being drawn sees that it is too late for this run."""
    root = commands.project(beats=2)
    with Terminal(commands, "run", root, "--base-url", server.address) as terminal:
        terminal.wait_for("6 in flight")
        assert "has changed" not in terminal.text
        (root / "beats.json").write_text((root / "beats.json").read_text() + "\n")
        terminal.wait_for("beats.json has changed")
        held.close()
        assert terminal.end() == 0
        kept = terminal.written.rpartition(b"\x1b[?1049l")[2]
        assert b"warning: beats.json has changed" in kept


@pytest.mark.slow
def test_ctrl_z_gives_the_shell_its_screen(
    commands: Commands, server: GeminiServer, held: ExitStack
) -> None:
    """A stopped run leaves screen, cursor and echo as it found them, and takes them with `fg`."""
    root = commands.project(beats=2)
    shell = ("sh", "-m", "-c", '"$@"; echo "stopped: $?"; read line; fg; echo "ended: $?"', "sh")
    arguments = ("run", root, "--base-url", server.address)
    with Terminal(commands, *arguments, under=shell) as terminal:
        terminal.wait_for("6 in flight")
        terminal.type(CTRL_Z)
        terminal.wait_for("stopped: 1")
        assert terminal.given_back
        assert terminal.echoes
        terminal.type(b"typed\n")
        terminal.wait_for("6 in flight")
        assert terminal.screen.alternate
        assert not terminal.echoes
        held.close()
        terminal.end()
        assert terminal.given_back
        assert b"typed" in terminal.written
        assert "ended: 0" in terminal.text


@pytest.mark.slow
def test_in_the_background_nothing_is_painted(commands: Commands, server: GeminiServer) -> None:
    """After Ctrl-Z and `bg` the screen is the shell's; `fg` shows the run again."""
    root = commands.project(beats=8, per_minute=2)
    script = (
        '"$@"; echo "stopped: $?"; bg; read line; echo "$line"; read line; fg; echo "ended: $?"'
    )
    arguments = ("run", root, "--base-url", server.address)
    with ExitStack() as held:
        held.enter_context(server.held())
        with Terminal(commands, *arguments, under=("sh", "-m", "-c", script, "sh")) as terminal:
            terminal.wait_for("6 in flight")
            terminal.type(CTRL_Z)
            terminal.wait_for("stopped: 1")
            before = len(terminal.written)
            held.close()
            while "6/24 images" not in commands.run("status", root).out:
                pass
            # As long as these take the view, were there one, would be painted time and again.
            for _ in range(3):
                assert commands.run("status", root, "--check").code == 3
            terminal.type(b"typed\n")
            terminal.wait_for(lambda: terminal.text.count("typed") == 2)
            assert terminal.given_back
            assert terminal.echoes
            assert b"\x1b" not in terminal.written[before:]
            terminal.type(b"\n")
            terminal.wait_for("6/24")
            assert terminal.screen.alternate
            terminal.type(CTRL_C)
            terminal.end()
            assert terminal.given_back
            assert "ended: 130" in terminal.text


@pytest.mark.slow
def test_begun_in_the_background_a_run_prints_lines(commands: Commands) -> None:
    """With `&` the prompt stays where it is, and what happens is told below it."""
    root = commands.project(beats=2)
    shell = ("sh", "-m", "-c", '"$@" & wait $!; echo "ended: $?"', "sh")
    with Terminal(commands, "run", root, "--provider", "sketch", under=shell) as terminal:
        terminal.end()
        assert b"\x1b[?" not in terminal.written
        assert "clear/1.2" in terminal.text
        assert "6 of 6 images" in terminal.text
        assert "ended: 0" in terminal.text


def test_whoever_watches_leaves_without_harm(
    commands: Commands, server: GeminiServer, held: ExitStack
) -> None:
    """`status --watch` shows the same view; Ctrl-C there leaves the terminal and the run alone."""
    root = commands.project(beats=2)
    commands.run("run", root, "--detach", "--base-url", server.address)
    for number in (signal.SIGINT, signal.SIGTERM):
        with Terminal(commands, "status", root, "--watch") as terminal:
            terminal.wait_for("Ctrl-C: leave; the run continues")
            terminal.wait_for("6 in flight")
            terminal.process.send_signal(number)
            assert terminal.end() == 128 + number
            assert terminal.given_back
    with Terminal(commands, "status", root, "--watch") as terminal:
        terminal.wait_for("6 in flight")
        held.close()
        assert terminal.end() == 0
        assert terminal.given_back
    assert len(pictures(root)) == 6


def test_a_pipe_is_not_painted_on(commands: Commands) -> None:
    """Where there is no terminal, asking for the live view gives plain lines."""
    root = commands.project(beats=1)
    done = commands.run("run", root, "--provider", "sketch", "--progress", "live")
    assert done.code == 0
    assert "\x1b" not in done.text
    assert "clear/1.1" in done.out


def test_ctrl_c_tells_what_it_waits_for(
    commands: Commands, server: GeminiServer, held: ExitStack
) -> None:
    """The first one finishes what is paid for, says so once, and counts down."""
    root = commands.project(beats=2)
    with Terminal(commands, "run", root, "--base-url", server.address) as terminal:
        terminal.wait_for("Ctrl-C: finish those 6, then stop")
        terminal.type(CTRL_C)
        terminal.wait_for("Ctrl-C again: stop at once")
        assert terminal.text.count("6 in flight are finished and saved, 2:00 at most") == 1
        held.close()
        assert terminal.end() == 130
        assert terminal.given_back
    assert len(pictures(root)) == 6


def test_a_second_ctrl_c_ends_it_at_once(
    commands: Commands, server: GeminiServer, held: ExitStack
) -> None:
    """The terminal is given back although requests are still under way."""
    root = commands.project(beats=2)
    with Terminal(commands, "run", root, "--base-url", server.address) as terminal:
        terminal.wait_for("Ctrl-C: finish those 6, then stop")
        terminal.type(CTRL_C)
        terminal.wait_for("Ctrl-C again: stop at once")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert terminal.given_back
    assert not pictures(root)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(
    commands: Commands, server: GeminiServer, held: ExitStack, number: signal.Signals
) -> None:
    """Whoever ends the command from outside leaves a usable terminal behind."""
    root = commands.project(beats=2)
    with Terminal(commands, "run", root, "--base-url", server.address) as terminal:
        terminal.wait_for("6 in flight")
        terminal.process.send_signal(number)
        assert terminal.end() == 128 + number
        assert terminal.given_back


def test_a_stop_from_elsewhere_is_told(
    commands: Commands, server: GeminiServer, held: ExitStack
) -> None:
    """`stop` in another window shows in this one, with what is still waited for."""
    root = commands.project(beats=2)
    with Terminal(commands, "run", root, "--base-url", server.address) as terminal:
        terminal.wait_for("6 in flight")
        commands.run("stop", root)
        terminal.wait_for("Stopping on request: 6 in flight are finished and saved")
        held.close()
        assert terminal.end() == 0
        assert terminal.given_back


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, {"NO_COLOR": "1"}]
)
def test_poor_terminals_are_shown_everything(
    commands: Commands, server: GeminiServer, env: dict[str, str]
) -> None:
    """Without UTF-8 there are other signs, without colour one more: nothing is lost."""
    root = commands.project(beats=2, keys={"clear": ["test-key-clear"]})
    arguments = ("run", root, "--style", "clear", "--base-url", server.address)
    assert commands.run(*arguments, "--beat", "1.1").code == 0
    held = ExitStack()
    held.enter_context(server.held())
    with held, Terminal(commands, *arguments, env=env) as terminal:
        terminal.wait_for("Ctrl-C: finish that one, then stop")
        if "NO_COLOR" in env:
            assert "  =⟳" in terminal.lines
            assert not re.search(rb"\x1b\[([0-9]+;)*[349][0-9]m", terminal.written)
        else:
            assert "  =*" in terminal.lines
            assert terminal.written.isascii()
        held.close()
        assert terminal.end() == 0
        assert terminal.given_back
