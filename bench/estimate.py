"""What `--dry-run` foretells against what the run then takes and costs, in real time.

    python bench/estimate.py

Draws a few pictures first, so that the length of an answer is known, and waits for the minute
that they used to end. Then asks for an estimate, runs, and prints both with their ratio. Runs the
installed command against the Gemini API of the tests, on loopback, which enforces the rolling
minute; takes about three minutes.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from commands import STYLES, row
from gemini_server import GeminiServer

_WITHIN = 0.05


def main() -> None:
    """Run the scenario and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beats", type=int, default=20, help="beats a style")
    parser.add_argument("--keys", type=int, default=1, help="keys a style")
    parser.add_argument("--per-minute", type=int, default=9)
    parser.add_argument("--latency", type=float, default=8.0, help="seconds")
    parser.add_argument("--warm-up", type=int, default=3, help="pictures drawn beforehand")
    parser.add_argument("--pause", type=float, default=61.0, help="seconds after these")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        GeminiServer(limit=options.per_minute, latency=options.latency) as server,
    ):
        root = _project(Path(folder), options)
        asked = ("run", str(root), "--base-url", server.address)
        if options.warm_up:
            _imagegen(*asked, "--limit", str(options.warm_up), "--progress", "none")
            time.sleep(options.pause)
        dry = _imagegen(*asked, "--dry-run")
        print(dry)
        seconds, dollars = _told(dry)
        events = [json.loads(line) for line in _imagegen(*asked, "--progress", "json").splitlines()]
        refused = sum(request.status == 429 for request in server.requests)
        sys.exit(_compare(events[-1], seconds, dollars) or bool(refused))


def _compare(complete: dict[str, Any], seconds: float, dollars: float) -> bool:
    """Print the figures; returns whether one is too far from what was foretold."""
    print(f"              foretold       was     ratio   (exit {complete['exit_code']})")
    far = False
    figures = [("seconds", seconds, complete["seconds"]), ("dollars", dollars, complete["cost"])]
    for what, foretold, was in figures:
        print(f"  {what:<10} {foretold:9.2f} {was:9.2f} {foretold / was:9.3f}")
        far = far or abs(foretold / was - 1) > _WITHIN
    return far


def _told(dry: str) -> tuple[float, float]:
    """Return the seconds and the dollars that a dry run names."""
    last = next(line for line in dry.splitlines() if "$" in line)
    dollars = re.search(r"\$([\d.,]*\d)", last)
    span = re.search(r"(\d+):(\d\d)(?::(\d\d))?", last)
    if dollars is None or span is None:
        raise SystemExit(f"cannot read: {last}")
    seconds = 0
    for part in span.groups():
        seconds = seconds if part is None else seconds * 60 + int(part)
    return float(seconds), float(dollars[1].replace(",", ""))


def _project(folder: Path, options: argparse.Namespace) -> Path:
    root = folder / "bench"
    root.mkdir()
    rows = [row(number) for number in range(options.beats)]
    (root / "beats.json").write_text(json.dumps(rows))
    lines = [f"requests_per_minute = {options.per_minute}", "[keys]"]
    for style in STYLES:
        keys = [f"bench-key-{style}-{number:06d}" for number in range(options.keys)]
        lines.append(f"{style} = {json.dumps(keys)}")
    (root / "keys.toml").write_text("\n".join(lines))
    (root / "keys.toml").chmod(0o600)
    os.environ["IMAGEGEN_STATE_DIR"] = str(folder / "state")
    return root


def _imagegen(*arguments: str) -> str:
    command = [sys.executable, "-m", "imagegen", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


if __name__ == "__main__":
    main()
