"""A terminal for the real command: a pseudo-terminal, and an emulator that shows its screen.

    with Terminal(commands, "run", root, columns=80, lines=24) as terminal:
        terminal.wait_for("Ctrl-C")
        terminal.type(CTRL_C)
        assert terminal.end() == 130

Nothing here works on Windows, which has no such terminals.
"""

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pyte
from pyte.screens import StaticDefaultDict

from commands import SECONDS, Commands, fork_server, fresh_command

CTRL_C = b"\x03"
CTRL_Z = b"\x1a"
_ALTERNATE = 1049
_FRAME = 2026 << 5
"""The mode in which a frame is being written, as pyte keeps private modes."""

_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes the pseudo-terminal the command's own, so that Ctrl-C typed there reaches it."""


class _Screen(pyte.Screen):
    """An emulator with an alternate screen; it notes what is written beyond the last column."""

    def __init__(self, columns: int, lines: int) -> None:
        self.alternate = False
        self.beyond: list[str] = []
        self._normal: Any = None
        super().__init__(columns, lines)

    def set_mode(self, *modes: int, **how: bool) -> None:
        super().set_mode(*modes, **how)
        if _ALTERNATE in modes and how.get("private"):
            self.alternate = True
            self._normal = self.buffer
            self.buffer = defaultdict(lambda: StaticDefaultDict(self.default_char))

    def reset_mode(self, *modes: int, **how: bool) -> None:
        super().reset_mode(*modes, **how)
        if _ALTERNATE in modes and how.get("private") and self.alternate:
            self.alternate = False
            self.buffer = self._normal

    def draw(self, data: str) -> None:
        for sign in data:
            if self.alternate and self.cursor.x >= self.columns:
                self.beyond.append(self.display[self.cursor.y])
            super().draw(sign)


class Terminal:
    """A command in a terminal of a size. Use it as a context manager.

    `under` is a command that is given this one to run.
    """

    def __init__(
        self,
        commands: Commands,
        *arguments: object,
        columns: int = 80,
        lines: int = 24,
        env: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        self._keys = commands.keys
        self.screen = _Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self._ours, theirs = os.openpty()
        self._set_size(columns, lines)
        words = [str(argument) for argument in arguments]
        env = commands.env | {"TERM": "xterm-256color"} | dict(env or {})
        forks = None if under else fork_server(env)
        self.process: subprocess.Popen[Any] = (
            forks.start_in_terminal(words, commands.folder, env, theirs)
            if forks
            else subprocess.Popen(
                [sys.executable, "-c", _TAKE_TERMINAL, *under, *fresh_command(words)],
                cwd=commands.folder,
                env=env,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, without the spaces at the ends of lines."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """What the screen shows, as one text."""
        return "\n".join(self.lines)

    @property
    def given_back(self) -> bool:
        """Whether the normal screen and the cursor are there, and lines wrap again."""
        wraps = pyte.modes.DECAWM in self.screen.mode
        return not self.screen.alternate and not self.screen.cursor.hidden and wraps

    @property
    def echoes(self) -> bool:
        """Whether keys that are pressed appear on the screen."""
        return bool(self._modes & termios.ECHO)

    @property
    def loses(self) -> bool:
        """Whether Ctrl-C throws away what was written and not read yet."""
        return not self._modes & termios.NOFLSH

    @property
    def _modes(self) -> int:
        modes: int = termios.tcgetattr(self._ours)[3]
        return modes

    def wait_for(self, there: str | Callable[[], bool]) -> None:
        """Read until whole frames show a text, or fulfil a condition."""
        fulfilled = there if callable(there) else lambda: there in self.text
        end = time.monotonic() + SECONDS
        while _FRAME in self.screen.mode or not fulfilled():
            if time.monotonic() > end or not self._read(end):
                raise AssertionError(f"not shown: {there}\n{self.text}")

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; the command is told so by its system."""
        self._set_size(columns, lines)
        self.screen.resize(lines, columns)

    def end(self) -> int:
        """Read until the command has ended; returns its exit code."""
        end = time.monotonic() + SECONDS
        while self._read(end):
            pass
        code = self.process.wait(timeout=SECONDS)
        assert b"Traceback" not in self.written, self.text
        assert not [key for key in self._keys if key.encode() in self.written]
        return code

    def _read(self, end: float) -> bool:
        if not select.select([self._ours], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            part = os.read(self._ours, 65536)
        except OSError:
            # Linux says so where nobody has the other side open any more.
            return False
        self.written += part
        self._stream.feed(part)
        return bool(part)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
