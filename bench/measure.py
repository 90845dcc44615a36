"""What the benches share: a server, projects, and the measuring of a process."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STYLES = ("illustration", "clear", "consistent")


@dataclass(frozen=True)
class Measured:
    """A process from start to end: seconds of wall and CPU time, peak memory in MB."""

    code: int
    wall: float
    cpu: float
    peak: float
    out: str = ""
    err: str = ""


def run(
    command: Sequence[object], env: Mapping[str, str] | None = None, *, painted: bool = False
) -> Measured:
    """Run a command to its end and measure it, its children included.

    With `painted` its output is a terminal of 120 columns that somebody reads, else a file.
    Modules may be kept compiled, as they are wherever a program is installed. What the user has
    set for imagegen, keys say, does not count.
    """
    own = {k: v for k, v in os.environ.items() if not k.startswith(("IMAGEGEN_", "GEMINI_API_KEY"))}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    env = own | dict(env or {})
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
        errors = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
        stdout = stack.enter_context(_terminal()) if painted else out.fileno()
        process = subprocess.Popen(
            list(map(str, command)), env=env, stdout=stdout, stderr=errors.fileno()
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        out.seek(0)
        text = out.read()
        errors.seek(0)
        said = errors.read()
    # Linux counts kilobytes, macOS bytes.
    peak = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Measured(process.returncode, wall, used.ru_utime + used.ru_stime, peak, text, said)


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """Open a terminal whose other end is read all the time."""
    import pty
    import termios

    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 120))

    def drain() -> None:
        # The end of a terminal is an error.
        with contextlib.suppress(OSError):
            while os.read(reader, 65536):
                pass

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield terminal
    finally:
        os.close(terminal)
        thread.join()
        os.close(reader)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


class Server:
    """The local server in a process of its own."""

    def __init__(self, address: str) -> None:
        self.address = address

    def stats(self) -> dict[str, Any]:
        """Return what was asked of it so far."""
        with urllib.request.urlopen(f"{self.address}/stats", timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


@contextlib.contextmanager
def server(config: Mapping[str, object] | None = None, **options: object) -> Iterator[Server]:
    """Run the local server; options are those of its command line."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config or {}, file)
        file.flush()
        command = [sys.executable, str(HERE / "local_server.py"), "--config", file.name]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            command += [flag] if value is True else [flag, str(value)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield Server(process.stdout.readline().strip())
        finally:
            process.terminate()
            process.wait()


class Bench:
    """A folder with a project, and keys that are none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "bench"
        self.root.mkdir()
        self.environment = {
            "IMAGEGEN_STATE_DIR": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "TERM": "xterm-256color",
        }

    def beats(self, count: int, first: int = 0) -> None:
        """Write a storyboard of so many beats, five a shot; `first` counts their prompts."""
        rows = [
            {
                "shot_number": n // 5 + 1,
                "beat_number": f"{n // 5 + 1}.{n % 5 + 1}",
                "transition_type": "C" if n % 5 else "H",
                "ai_prompt": f"prompt {n + first}",
            }
            for n in range(count)
        ]
        (self.root / "beats.json").write_text(json.dumps(rows))

    def keys(self, pools: Mapping[str, Sequence[object]], per_minute: int) -> None:
        """Write the keys file; a key is a name or a (name, requests a minute)."""
        lines = [f"requests_per_minute = {per_minute}", "[keys]"]
        for style, own in pools.items():
            entries = [
                f'"{key}"'
                if isinstance(key, str)
                else '{{ key = "{}", requests_per_minute = {} }}'.format(*key)  # type: ignore[misc]
                for key in own
            ]
            lines.append(f"{style} = [{', '.join(entries)}]")
        path = self.root / "keys.toml"
        path.write_text("\n".join(lines))
        path.chmod(0o600)

    def settings(self, text: str) -> None:
        """Write imagegen.toml."""
        (self.root / "imagegen.toml").write_text(text)

    def imagegen(self, command: str, *options: object, painted: bool = False) -> Measured:
        """Run an imagegen command on the project and measure it."""
        words = [sys.executable, "-m", "imagegen", command, self.root, *options]
        return run(words, self.environment, painted=painted)

    def contender(self, name: str, job: Mapping[str, object]) -> Measured:
        """Let another contender do a job and measure it."""
        folder = self.folder / f"{name}-{time.monotonic_ns()}"
        for style in STYLES:
            (folder / style).mkdir(parents=True)
        path = self.folder / "job.json"
        path.write_text(json.dumps({**job, "folder": str(folder)}))
        done = run([sys.executable, HERE / "contenders.py", name, path])
        beats = job["beats"]
        assert isinstance(beats, list)
        drawn = sum(1 for _ in folder.rglob("*.png"))
        if done.code or drawn != len(beats):
            raise SystemExit(
                f"{name} drew {drawn} of {len(beats)} pictures, exit {done.code}\n{done.err}"
            )
        return done

    def clear(self) -> None:
        """Remove what was drawn, and forget what was sent."""
        for path in (self.root / "generated_images", self.folder / "state"):
            subprocess.run(["rm", "-rf", str(path)], check=True)
        for path in self.root.glob("image_progress_*"):
            path.unlink()


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Make a folder for one bench."""
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(Path(folder))


def most_in_a_minute(times: Iterable[float]) -> int:
    """Return the most of these moments, in seconds, within any 60 seconds."""
    recent: deque[float] = deque()
    most = 0
    for at in sorted(times):
        recent.append(at)
        while recent[0] <= at - 60:
            recent.popleft()
        most = max(most, len(recent))
    return most


def names(style: str, count: int) -> list[str]:
    """Return so many keys that are none."""
    return [f"bench-key-{style}-{number:06d}" for number in range(count)]


def pools(count: int) -> dict[str, list[str]]:
    """Return so many keys for each style."""
    return {style: names(style, count) for style in STYLES}
