"""The main job in real time: three styles, two keys each, nine requests a minute and key.

    python bench/quota.py
    python bench/quota.py --chain 3

Runs the installed command against the Gemini API of the tests, on loopback, with a latency of
8 seconds and a server that enforces the rolling minute; takes a little over a minute. Prints what
it took against what the quota allows at best, and checks that no request was refused, that every
picture answers its own prompt, and that the style reference went with hard cuts alone. With
`--chain` the beats of a shot are so many, each drawn from the picture before it; it is then checked
that each was sent with exactly that picture.
"""

import argparse
import hashlib
import heapq
import json
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
    parser.add_argument("--chain", type=int, help="beats a shot, drawn with continuity")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        GeminiServer(limit=options.per_minute, latency=options.latency) as server,
    ):
        root = _project(Path(folder), options)
        began = time.monotonic()
        done = _run(root, server.address)
        took = time.monotonic() - began
        best = _best(options)
        faults = _faults(root, server, options)
        refused = sum(request.status == 429 for request in server.requests)
        print(f"{len(STYLES)} styles x {options.beats} beats, {options.keys} keys each", end=", ")
        print(f"{options.per_minute} a minute, latency {options.latency:g} s", end="")
        print(f", chains of {options.chain}" if options.chain else "")
        print(f"  took        {took:6.1f} s   ({took / best:.3f} x the possible {best:.1f} s)")
        print(f"  requests    {len(server.requests):6d}     429s {refused}, exit {done}")
        for fault in faults:
            print(f"  WRONG: {fault}")
        sys.exit(bool(faults) or bool(refused) or done)


def _best(options: argparse.Namespace) -> float:
    """Return the least seconds in which a style can be drawn.

    Of requests that each take as long and wait for one other at most, those with the longest
    chain behind them first is the best order there is (Hu, 1961).
    """
    places = [0.0] * (options.keys * options.per_minute)
    chain, beats = options.chain or 1, options.beats
    lengths = [min(chain, beats - first) for first in range(0, beats, chain)]
    coming, ready, end = [(0.0, -length) for length in lengths], list[int](), 0.0
    heapq.heapify(coming)
    while coming or ready:
        at = max(places[0], 0.0 if ready else coming[0][0])
        while coming and coming[0][0] <= at:
            heapq.heappush(ready, heapq.heappop(coming)[1])
        heapq.heapreplace(places, at + 60)
        left = heapq.heappop(ready) + 1
        end = max(end, at + options.latency)
        if left:
            heapq.heappush(coming, (at + options.latency, left))
    return end


def _row(number: int, chain: int | None) -> dict[str, object]:
    if chain is None:
        return row(number)
    shot, beat = divmod(number, chain)
    place = {"shot_number": shot + 1, "beat_number": f"{shot + 1}.{beat + 1}"}
    return row(number, **place, transition_type="C" if beat else "H")


def _picture(root: Path, style: str, number: int, chain: int | None) -> Path:
    if chain is None:
        return picture(root, style, number)
    shot, beat = divmod(number, chain)
    return root / f"generated_images/{style}/Shot_{shot + 1}/Beat_{shot + 1}.{beat + 1}.png"


def _project(folder: Path, options: argparse.Namespace) -> Path:
    root = folder / "bench"
    root.mkdir()
    rows = [_row(number, options.chain) for number in range(options.beats)]
    (root / "beats.json").write_text(json.dumps(rows))
    if options.chain:
        (root / "imagegen.toml").write_text("continuity = true\n")
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


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _faults(root: Path, server: GeminiServer, options: argparse.Namespace) -> list[str]:
    """Return what is wrong with the pictures and requests."""
    chain = options.chain
    style_reference = _digest(root / "style_reference.png")
    prompts: dict[int, list[str]] = {number: [] for number in range(options.beats)}
    faults = []
    for request in server.requests:
        number = int(request.prompt.split("<")[1].split(">")[0])
        prompts[number].append(request.prompt)
        allowed = {style_reference}
        if number % (chain or 5):
            before = [_picture(root, style, number - 1, chain) for style in STYLES]
            allowed = set(map(_digest, before)) if chain else set()
        references = {digest for _, digest in request.references}
        if not references <= allowed or len(references) != min(1, len(allowed)):
            faults.append(f"prompt {number}: references {request.references}")
    for style in STYLES:
        for number, sent in prompts.items():
            data = _picture(root, style, number, chain).read_bytes()
            if sum(answers(data, prompt) for prompt in sent) != 1:
                faults.append(f"{style} {number}: the picture answers another prompt")
    return faults


if __name__ == "__main__":
    main()
