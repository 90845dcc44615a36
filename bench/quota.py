"""The main job in real time: three styles, two keys each, nine requests a minute and key.

    python bench/quota.py

Runs the installed command against the Gemini API of the tests, on loopback, with a latency of
8 seconds and a server that enforces the rolling minute; takes a little over a minute. Prints what
it took against what the quota allows at best, and checks that no request was refused, that every
picture answers its own prompt, and that the style reference went with hard cuts alone.
"""

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from PIL import Image

from commands import STYLES, picture, row
from gemini_server import GeminiServer, answers


def main() -> None:
    """Run the scenario and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beats", type=int, default=30, help="beats a style")
    parser.add_argument("--keys", type=int, default=2, help="keys a style")
    parser.add_argument("--per-minute", type=int, default=9)
    parser.add_argument("--latency", type=float, default=8.0, help="seconds")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        GeminiServer(limit=options.per_minute, latency=options.latency) as server,
    ):
        root = _project(Path(folder), options)
        began = time.monotonic()
        done = _run(root, server.address)
        took = time.monotonic() - began
        best = 60 * (math.ceil(options.beats / (options.keys * options.per_minute)) - 1)
        best += options.latency
        faults = _faults(root, server, options.beats)
        refused = sum(request.status == 429 for request in server.requests)
        print(f"{len(STYLES)} styles x {options.beats} beats, {options.keys} keys each", end=", ")
        print(f"{options.per_minute} a minute, latency {options.latency:g} s")
        print(f"  took        {took:6.1f} s   ({took / best:.3f} x the possible {best:.1f} s)")
        print(f"  requests    {len(server.requests):6d}     429s {refused}, exit {done}")
        for fault in faults:
            print(f"  WRONG: {fault}")
        sys.exit(bool(faults) or bool(refused) or done)


def _project(folder: Path, options: argparse.Namespace) -> Path:
    root = folder / "bench"
    root.mkdir()
    rows = [row(number) for number in range(options.beats)]
    (root / "beats.json").write_text(json.dumps(rows))
    Image.new("RGB", (64, 36), "teal").save(root / "style_reference.png")
    lines = [f"requests_per_minute = {options.per_minute}", "[keys]"]
    for style in STYLES:
        keys = [f"bench-key-{style}-{number:06d}" for number in range(options.keys)]
        lines.append(f"{style} = {json.dumps(keys)}")
    (root / "keys.toml").write_text("\n".join(lines))
    (root / "keys.toml").chmod(0o600)
    return root


def _run(root: Path, address: str) -> int:
    command = [sys.executable, "-m", "imagegen", "run", str(root), "--base-url", address]
    env = os.environ | {"IMAGEGEN_STATE_DIR": str(root.parent / "state")}
    return subprocess.run([*command, "--progress", "none"], env=env, check=False).returncode


def _faults(root: Path, server: GeminiServer, beats: int) -> list[str]:
    """Return what is wrong with the pictures and requests."""
    digest = hashlib.sha256((root / "style_reference.png").read_bytes()).hexdigest()
    prompts: dict[int, list[str]] = {number: [] for number in range(beats)}
    faults = []
    for request in server.requests:
        number = int(request.prompt.split("<")[1].split(">")[0])
        prompts[number].append(request.prompt)
        expected = () if number % 5 else (("image/png", digest),)
        if tuple(request.references) != expected:
            faults.append(f"prompt {number}: references {request.references}")
    for style in STYLES:
        for number, sent in prompts.items():
            data = picture(root, style, number).read_bytes()
            if sum(answers(data, prompt) for prompt in sent) != 1:
                faults.append(f"{style} {number}: the picture answers another prompt")
    return faults


if __name__ == "__main__":
    main()
