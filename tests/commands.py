"""The real command, run as users run it, on projects in a folder of the test.

What a command prints is searched for keys after every run, what it writes after every test.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from broken import changed, patch
from fork_client import POSSIBLE, ForkServer

STYLES = ("illustration", "clear", "consistent")
SECONDS = 60
"""A command that takes longer than this has hung."""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it printed."""
        return self.out + self.err

    @property
    def events(self) -> list[dict[str, object]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment() -> dict[str, str]:
    """Return what every command has in its environment, wherever its folders are."""
    kept = ("PATH", "SYSTEMROOT", "LANG", "TMPDIR", "COVERAGE_PROCESS_START")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "PYTHONWARNINGS": "error",
        "PYTHONUTF8": "1",
    }


def fresh_command(words: Sequence[str]) -> list[str]:
    """Return what starts an interpreter that runs a command."""
    return [sys.executable, "-m", "imagegen", *words]


_server: list[ForkServer] = []


def fork_server(env: Mapping[str, str]) -> ForkServer | None:
    """Return what starts a command in this environment; None if only a fresh interpreter can."""
    if not POSSIBLE:
        return None
    if not _server:
        _server.append(ForkServer(environment()))
    return _server[0] if _server[0].fits(env) else None


def end_fork_server() -> None:
    """End the server that this process has started, and all that still runs there."""
    while _server:
        _server.pop().close()


class Commands:
    """Runs `imagegen` with folders of its own for configuration and state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "config"
        self.keys: set[str] = set()
        self._started: list[subprocess.Popen[str]] = []
        self.env = environment() | {
            "HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(self.config),
            "IMAGEGEN_STATE_DIR": str(self.state),
        }

    def project(
        self,
        name: str = "my-video",
        *,
        beats: Sequence[Mapping[str, object]] | int = 3,
        keys: Mapping[str, Sequence[str]] | int = 1,
        per_minute: int = 600,
        settings: str = "",
        lend: bool = True,
    ) -> Path:
        """Make a project with beats, keys and settings; `keys` counts keys a style."""
        root = self.folder / name
        root.mkdir()
        rows = [row(n) for n in range(beats)] if isinstance(beats, int) else list(beats)
        (root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")
        if settings:
            (root / "imagegen.toml").write_text(settings, encoding="utf-8")
        if isinstance(keys, int):
            keys = {s: [f"test-key-{s}-{n:06d}" for n in range(keys)] for s in STYLES}
        self.keys |= {key for own in keys.values() for key in own}
        lines = [f"requests_per_minute = {per_minute}", f"lend = {str(lend).lower()}", "[keys]"]
        lines += [f"{style} = {json.dumps(list(own))}" for style, own in keys.items()]
        (root / "keys.toml").write_text("\n".join(lines), encoding="utf-8")
        (root / "keys.toml").chmod(0o600)
        return root

    def run(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        before: str = "",
        fresh: bool = False,
    ) -> Done:
        """Run a command to its end; `stdin` is what is piped into it. More is in `start`."""
        if stdin is None:
            return self.wait(self.start(*arguments, env=env, before=before, fresh=fresh))
        with tempfile.TemporaryFile() as piped:
            piped.write(stdin)
            piped.seek(0)
            return self.wait(self.start(*arguments, env=env, stdin=piped, fresh=fresh))

    def start(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        stdin: IO[bytes] | None = None,
        under: Sequence[str] = (),
        before: str = "",
        fresh: bool = False,
    ) -> subprocess.Popen[str]:
        """Start a command; `wait` for it, or kill it. `under` is one that is given it to run.

        Lines of Python that run `before` it change the product (see `broken`).

        It starts in a fork of a process that has imported the package. A test of the start itself
        asks for a `fresh` interpreter; what no fork can have, such as another `PYTHONPATH`, gets
        one by itself.
        """
        words = [str(argument) for argument in arguments]
        env = self.env | dict(env or {})
        forks = None if fresh or under else fork_server(env)
        if before and not forks:
            folder = Path(tempfile.mkdtemp(dir=self.folder)) / "changed"
            env["PYTHONPATH"] = str(changed(folder, before))
        process: subprocess.Popen[str] = (
            forks.start(words, self.folder, env, stdin, before=patch(before) if before else "")
            if forks
            else subprocess.Popen(
                [*under, *fresh_command(words)],
                cwd=self.folder,
                env=env,
                stdin=stdin or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what a failing test has left running, which later tests would be blamed for."""
        for process in self._started:
            with process:
                if process.poll() is None:
                    process.kill()

    def wait(self, process: subprocess.Popen[str]) -> Done:
        """Wait for a command, and search what it printed for keys.

        What it wrote is searched when the test is over (`conftest.no_key_left_behind`).
        """
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            raise
        done = Done(process.returncode, out, err)
        assert "Traceback" not in done.text, done.text
        assert not [key for key in self.keys if key in done.text]
        return done


def row(number: int, **fields: object) -> dict[str, object]:
    """Return a row of a beats file: five beats a shot, each shot begins with a hard cut."""
    shot, beat = divmod(number, 5)
    return {
        "shot_number": shot + 1,
        "beat_number": f"{shot + 1}.{beat + 1}",
        "transition_type": "C" if beat else "H",
        "script_phrase": f"Phrase {number}.",
        "ai_prompt": f"prompt <{number}>",
    } | fields


def pictures(root: Path) -> list[Path]:
    """Return every picture of a project."""
    return sorted((root / "generated_images").rglob("*.png"))


def picture(root: Path, style: str, number: int) -> Path:
    """Return where the picture of `row(number)` lies."""
    shot, beat = divmod(number, 5)
    return root / f"generated_images/{style}/Shot_{shot + 1}/Beat_{shot + 1}.{beat + 1}.png"
