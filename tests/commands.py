"""The real command, run as users run it, on projects in a folder of the test.

Whatever a command prints, logs or writes is searched for keys after every run.
"""

import contextlib
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


class Commands:
    """Runs `imagegen` with folders of its own for configuration and state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "config"
        self.keys: set[str] = set()
        self._started: list[subprocess.Popen[str]] = []
        kept = ("PATH", "SYSTEMROOT", "LANG", "TMPDIR", "COVERAGE_PROCESS_START")
        self.env = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(self.config),
            "IMAGEGEN_STATE_DIR": str(self.state),
            "PYTHONWARNINGS": "error",
            "PYTHONUTF8": "1",
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
        self, *arguments: object, env: Mapping[str, str] | None = None, stdin: bytes | None = None
    ) -> Done:
        """Run a command to its end; `stdin` is what is piped into it."""
        if stdin is None:
            return self.wait(self.start(*arguments, env=env))
        with tempfile.TemporaryFile() as piped:
            piped.write(stdin)
            piped.seek(0)
            return self.wait(self.start(*arguments, env=env, stdin=piped))

    def start(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        stdin: IO[bytes] | None = None,
        under: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """Start a command; `wait` for it, or kill it. `under` is one that is given it to run."""
        process = subprocess.Popen(
            [*under, sys.executable, "-m", "imagegen", *map(str, arguments)],
            cwd=self.folder,
            env=self.env | dict(env or {}),
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
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
        """Wait for a command, and search all that it left behind for keys."""
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            raise
        done = Done(process.returncode, out, err)
        assert "Traceback" not in done.text, done.text
        self._search(done)
        return done

    def _search(self, done: Done) -> None:
        """Fail if a key is anywhere but in a keys file."""
        for key in self.keys:
            assert key not in done.text
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        for path in files:
            if not path.name.endswith("keys.toml"):
                # A run beside this command may rename its temporary files; what a test made
                # unreadable holds what it held before.
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    data = path.read_bytes()
                    assert not [key for key in self.keys if key.encode() in data], path


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
