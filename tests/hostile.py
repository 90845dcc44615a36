"""What attacks share: a tree that nothing may touch, and a command whose memory is measured."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from commands import Commands, Done

SECONDS = 180
"""A command that takes longer than this has hung, beside whatever else runs."""


@dataclass(frozen=True)
class Measured(Done):
    """How a command ended, and the most memory that it had, in MB."""

    megabytes: float


class Outside:
    """Files beside a project that no command has any business with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "outside"
        (self.folder / "sub").mkdir(parents=True)
        self.file = self.folder / "file"
        self.file.write_text("mine, and nobody else's\n", encoding="utf-8")
        (self.folder / "sub" / "Beat_1.1.png").write_bytes(b"no picture of yours")
        (self.folder / "sub" / "old.jsonl").write_text("{}\n", encoding="utf-8")
        (self.folder / "sub" / ".imagegen-0.tmp").write_text("not yours to sweep")
        self._before = self._now()

    def assert_untouched(self) -> None:
        """Fail if anything in it is not as it was: content, names, sizes or times."""
        assert self._now() == self._before

    def _now(self) -> dict[str, tuple[int, int, str]]:
        return {
            str(path): (
                path.lstat().st_mode,
                path.lstat().st_mtime_ns if path.is_file() else 0,
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            )
            for path in sorted(self.folder.rglob("*"))
        }


# Linux counts what a process was forked from as its own: something small stands in between.
_WEIGH = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"\\n{usage.ru_maxrss}")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(commands: Commands, *arguments: object) -> Measured:
    """Run a command to its end and measure its memory. For systems that have `wait4`."""
    out, err = commands.folder / "out.txt", commands.folder / "err.txt"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.run(
            [sys.executable, "-c", _WEIGH, sys.executable, "-m", "imagegen", *map(str, arguments)],
            cwd=commands.folder,
            env=commands.env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            timeout=SECONDS,
            check=False,
        )
    said, _, weight = err.read_text("utf-8").rpartition("\n")
    scale = 1024**2 if sys.platform == "darwin" else 1024
    done = Measured(process.returncode, out.read_text("utf-8"), said, int(weight) / scale)
    assert "Traceback" not in done.text, done.text
    return done
