"""Kills runs at random moments and counts what was lost: nothing must be.

    python bench/kill.py --kills 200
    python bench/kill.py --break "rename first" --kills 10

Draws storyboards with the installed command against the Gemini API of the tests, on loopback;
kills it with SIGKILL while it starts, draws, saves and ends; carries on until every picture is
there. The disk is watched all the time. `--break` does it with a product that keeps a promise
less, which must show. Exits 1 if a promise was broken.
"""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import broken
import evidence
from killing import KINDS, Killing

_SHARE: Final = {"plain": 8, "force": 8, "jpeg": 8, "copied": 8, "tight": 30}
"""Kills of one storyboard, at most; the budget needs more than a minute of them."""

_IDLE: Final = 5
"""Storyboards without a kill after which nothing seems to live long enough to be killed."""


def main() -> None:
    """Kill, carry on, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--beats", type=int, default=40, help="beats a style")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--kind", choices=KINDS, action="append", help="only such storyboards")
    parser.add_argument("--break", dest="broken", choices=broken.BREAKS, metavar="NAME")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        harm = broken.folder(path / "broken", options.broken) if options.broken else None
        with Killing(path, seed=options.seed, beats=options.beats, broken=harm) as killing:
            report = killing.report
            _kill(killing, options.kills, tuple(options.kind or KINDS))
        _print(report, time.monotonic() - began)
    sys.exit(bool(report.faults))


def _kill(killing: Killing, kills: int, kinds: tuple[str, ...]) -> None:
    done, turn, idle = killing.report.done, 0, 0
    while done["kills"] < kills and idle < _IDLE:
        before = done["kills"]
        kind = kinds[turn % len(kinds)]
        killing.storyboard(kind, min(_SHARE[kind], kills - done["kills"]))
        print(f"  {done['kills']} kills", end="\r", file=sys.stderr, flush=True)
        turn += 1
        idle = 0 if done["kills"] > before else idle + 1


def _print(report: evidence.Report, seconds: float) -> None:
    print(f"{seconds:.0f} seconds")
    for name, count in sorted(report.done.items()):
        print(f"  {name:<50}{count:>8,}")
    print("broken promises")
    for promise in evidence.FAULTS:
        print(f"  {promise:<50}{report.faults[promise]:>8,}")
    for example in report.examples:
        print(f"  WRONG: {example}")


if __name__ == "__main__":
    main()
