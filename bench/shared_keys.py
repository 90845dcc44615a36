"""Four runs on four projects share three keys, and one of them is killed in the middle.

    python bench/shared_keys.py

Runs the installed command four times at once against the Gemini API of the tests, on loopback,
which enforces each key's rolling minute. One process is killed with SIGKILL and its project
resumed at once. Prints the most requests of each key within any rolling 60 seconds as the server
saw them arrive, the refusals, and the time taken against what the keys allow at best. Takes about
three and a half minutes.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from commands import STYLES, pictures, row
from gemini_server import GeminiServer
from measure import most_in_a_minute

KEYS = tuple(f"shared-key-{number:06d}" for number in range(3))


def main() -> None:
    """Run the scenario and print its figures; exits 1 where a budget was overdrawn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--projects", type=int, default=4)
    parser.add_argument("--beats", type=int, default=8, help="beats a style and project")
    parser.add_argument("--per-minute", type=int, default=9)
    parser.add_argument("--latency", type=float, default=8.0, help="seconds")
    parser.add_argument("--kill-after", type=float, default=63.0, help="seconds")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        GeminiServer(limit=options.per_minute, latency=options.latency) as server,
    ):
        roots = [_project(Path(folder), number, options) for number in range(options.projects)]
        began = time.monotonic()
        runs = [_start(root, server.address, "run") for root in roots]
        time.sleep(options.kill_after)
        # The one with most left to draw, in the middle of its requests.
        victim = min(range(len(roots)), key=lambda number: len(pictures(roots[number])))
        runs[victim].kill()
        runs[victim].wait()
        killed_at = len(server.requests)
        runs[victim] = _start(roots[victim], server.address, "resume")
        codes = [process.wait() for process in runs]
        took = time.monotonic() - began
        _report(roots, server, codes, killed_at, took, options)


def _project(folder: Path, number: int, options: argparse.Namespace) -> Path:
    root = folder / f"project-{number}"
    root.mkdir()
    (root / "beats.json").write_text(json.dumps([row(beat) for beat in range(options.beats)]))
    keys = f"requests_per_minute = {options.per_minute}\n[keys]\ndefault = {json.dumps(KEYS)}\n"
    (root / "keys.toml").write_text(keys)
    (root / "keys.toml").chmod(0o600)
    return root


def _start(root: Path, address: str, what: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "imagegen", what, str(root), "--base-url", address]
    env = os.environ | {"IMAGEGEN_STATE_DIR": str(root.parent / "state")}
    return subprocess.Popen([*command, "--progress", "none"], env=env)


def _report(
    roots: list[Path],
    server: GeminiServer,
    codes: list[int],
    killed_at: int,
    took: float,
    options: argparse.Namespace,
) -> None:
    requests = server.requests
    wanted = len(roots) * len(STYLES) * options.beats
    a_minute = len(KEYS) * options.per_minute
    best = 60 * (math.ceil(len(requests) / a_minute) - 1) + options.latency
    refused = sum(request.status == 429 for request in requests)
    drawn = sum(len(pictures(root)) for root in roots)
    print(f"{len(roots)} projects, {len(KEYS)} keys of {options.per_minute} a minute, ", end="")
    print(f"one process killed after {options.kill_after:g} s and {killed_at} requests")
    most = {}
    for key in KEYS:
        arrived = [request.arrived for request in requests if request.key == key]
        most[key] = most_in_a_minute(arrived)
        print(f"  …{key[-4:]}       {len(arrived):4d} requests, most in any 60 s: {most[key]}")
    print(f"  pictures    {drawn:4d} of {wanted}, for {len(requests)} requests, {refused} refused")
    print(f"  took        {took:6.1f} s   ({took / best:.3f} x the possible {best:.1f} s)")
    fine = not refused and not any(codes) and drawn == wanted
    fine = fine and max(most.values()) <= options.per_minute
    print("  no budget was overdrawn" if fine else f"  WRONG: exits {codes}")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
