"""A long run under the eye: neither memory nor a thread or file descriptor may get lost.

    python bench/soak.py --minutes 10

Runs the installed command on one large storyboard against the Gemini API of the tests, on
loopback, with faults of every kind in 5 % of its answers, and looks at the process each few
seconds through /proc (Linux only). Prints first, last and most of its memory, threads and file
descriptors, how memory grew once the run was warm, and a verdict.
"""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from commands import STYLES, pictures, row
from gemini_server import Answer, GeminiServer

FAULTS = (
    Answer.RESET,
    Answer.UNAVAILABLE,
    Answer.HALF_BODY,
    Answer.ERROR_500,
    Answer.NOT_A_PICTURE,
    Answer.HTML,
    Answer.NO_IMAGE,
    Answer.SILENCE,
)
WARM = 0.25
"""Of the time, when threads, connections and buffers have all been made."""

MOST_GROWTH = 1.0
"""KiB a picture that the second half of a warm run may grow by: what is drawn is remembered, in
about 0.3 KiB, and before that buffers settle. One answer kept would be 64 KiB and more."""

TIMEOUT = 5
"""Seconds for one request: what a silent answer costs."""


@dataclass(frozen=True)
class Sample:
    """One look at the process: seconds since it began, MiB, counts."""

    at: float
    memory: float
    threads: int
    files: int


def main() -> None:
    """Run the soak and print its figures; exits 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--faults", type=float, default=0.05, help="part of all answers")
    parser.add_argument("--per-second", type=float, default=15.0, help="pictures, in all styles")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between looks")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        GeminiServer(latency=0.4, picture_bytes=64 * 1024) as server,
    ):
        dice = random.Random(1)
        # The list of models never fails here: only drawing does.
        meets = lambda _request: dice.random() < options.faults  # noqa: E731
        server.fault(meets, *FAULTS, times=100_000)
        root = _project(Path(folder), options)
        samples, code = _watch(root, server.address, options)
        _report(samples, code, root, server)


def _project(folder: Path, options: argparse.Namespace) -> Path:
    """Make a project that cannot be done in time, so that one process lives all the while."""
    root = folder / "soak"
    root.mkdir()
    # A minute's requests leave at once: one minute more than there is time for, and faults.
    beats = int((options.minutes + 1) * 60 * options.per_second / len(STYLES) * 1.2)
    (root / "beats.json").write_text(json.dumps([row(number) for number in range(beats)]))
    (root / "imagegen.toml").write_text(f"timeout = {TIMEOUT}\n")
    per_minute = max(1, round(options.per_second * 60 / len(STYLES) / 2))
    lines = [f"requests_per_minute = {per_minute}", "[keys]"]
    for style in STYLES:
        keys = [f"soak-key-{style}-{number:06d}" for number in range(2)]
        lines.append(f"{style} = {json.dumps(keys)}")
    (root / "keys.toml").write_text("\n".join(lines))
    (root / "keys.toml").chmod(0o600)
    return root


def _watch(root: Path, address: str, options: argparse.Namespace) -> tuple[list[Sample], int]:
    command = [sys.executable, "-m", "imagegen", "run", str(root), "--base-url", address]
    command += ["--progress", "none", "--max-time", f"{round(options.minutes * 60)}s"]
    # By itself the C library keeps an arena for each few threads; what they leave unused grows by
    # more than what would be lost.
    env = os.environ | {
        "IMAGEGEN_STATE_DIR": str(root.parent / "state"),
        "MALLOC_ARENA_MAX": "1",
    }
    began, samples = time.monotonic(), []
    with subprocess.Popen(command, env=env) as process:
        while process.poll() is None:
            time.sleep(options.every)
            # It may have ended since.
            with contextlib.suppress(OSError, KeyError):
                samples.append(_look(process.pid, time.monotonic() - began))
    return samples, process.returncode


def _look(pid: int, at: float) -> Sample:
    folder = Path(f"/proc/{pid}")
    fields = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    return Sample(
        at=at,
        memory=int(fields["VmRSS"].split()[0]) / 1024,
        threads=int(fields["Threads"]),
        files=len(list((folder / "fd").iterdir())),
    )


def _report(
    samples: list[Sample],
    code: int,
    root: Path,
    server: GeminiServer,
) -> None:
    warm = [one for one in samples if one.at >= WARM * samples[-1].at]
    kinds = Counter(request.kind for request in server.requests)
    drawn = len(pictures(root))
    faults = sum(kinds[kind] for kind in FAULTS)
    print(f"{samples[-1].at / 60:.1f} minutes, {len(server.requests)} requests, {drawn} pictures")
    print(f"  faults      {faults} ({faults / len(server.requests):.1%}), exit {code}")
    print(f"  {'':10}  {'first':>8} {'warm':>8} {'last':>8} {'most':>8}")
    for name, unit in (("memory", "MiB"), ("threads", ""), ("files", "")):
        values = [getattr(one, name) for one in samples]
        figures = [values[0], getattr(warm[0], name), values[-1], max(values)]
        print(f"  {name:10}  {'  '.join(f'{figure:7.5g}' for figure in figures)}  {unit}")
    growth = _slope(warm) * 1024 * samples[-1].at / max(1, drawn)
    late = _slope(warm[len(warm) // 2 :]) * 1024 * samples[-1].at / max(1, drawn)
    print(
        f"  memory grows by {growth:+.2f} KiB a picture once warm, {late:+.2f} in the second half"
    )
    wrong = []
    if late > MOST_GROWTH:
        wrong.append("memory grows")
    for name in ("threads", "files"):
        early, after = _halves([getattr(one, name) for one in warm])
        if after > early + max(3, early * 0.1):
            wrong.append(f"{name} grow: {early} at rest in the first half, then {after}")
    if code != 3 or not drawn:
        wrong.append(f"exit {code} instead of 3")
    print("  " + ("nothing is lost" if not wrong else f"WRONG: {'; '.join(wrong)}"))
    sys.exit(bool(wrong))


def _slope(samples: list[Sample]) -> float:
    """Return by how many MiB a second memory grows: the straight line of least squares."""
    mean_at = sum(one.at for one in samples) / len(samples)
    mean = sum(one.memory for one in samples) / len(samples)
    above = sum((one.at - mean_at) * (one.memory - mean) for one in samples)
    return above / (sum((one.at - mean_at) ** 2 for one in samples) or 1.0)


def _halves(values: list[int]) -> tuple[int, int]:
    """Return the least in the first half and in the second: in the pauses between minutes."""
    middle = (len(values) + 1) // 2
    return min(values[:middle]), min(values[middle:] or values)


if __name__ == "__main__":
    main()
