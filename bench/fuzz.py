"""Feeds every reader of outside data what hypothesis thinks of, for as long as it is told.

    python bench/fuzz.py --cases 2000

Each reader has a process of its own. Prints the cases, the time and the peak memory of each,
and what it raised, if it raised anything that it should not.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from hypothesis import HealthCheck, Phase, given, settings

from fuzzing import READERS


def main() -> None:
    """Run every reader, or in a child process one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, help="for each reader")
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        print(json.dumps(_feed(options.reader, options.cases)))
        return
    print(f"{'reader':<28} {'cases':>8} {'seconds':>8} {'slowest':>8} {'peak MB':>8}")
    total, seconds, peak, wrong = 0, 0.0, 0.0, 0
    for reader in READERS:
        cases = max(1, options.cases // 5) if reader.costly else options.cases
        command = [sys.executable, __file__, "--reader", reader.name, "--cases", str(cases)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            wrong += 1
            print(f"{reader.name:<28} WRONG\n{done.stderr[-4000:]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        total += found["cases"]
        seconds += found["seconds"]
        peak = max(peak, found["megabytes"])
        print(
            f"{reader.name:<28} {found['cases']:>8,} {found['seconds']:>8.1f} "
            f"{found['slowest']:>8.2f} {found['megabytes']:>8.0f}",
            flush=True,
        )
    print(f"{'in all':<28} {total:>8,} {seconds:>8.1f} {'':>8} {peak:>8.0f}")
    sys.exit(wrong > 0)


def _feed(name: str, cases: int) -> dict[str, float]:
    """Feed one reader; returns its figures. Raises what the reader raised."""
    reader = next(one for one in READERS if one.name == name)
    times: list[float] = []

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=reader.cases)
    def feed(case: tuple[object, ...]) -> None:
        began = time.perf_counter()
        reader.read(*case)
        times.append(time.perf_counter() - began)

    began = time.monotonic()
    feed()
    took = time.monotonic() - began
    return {
        "cases": len(times),
        "seconds": took,
        "slowest": max(times),
        "megabytes": _peak_megabytes(),
    }


def _peak_megabytes() -> float:
    try:
        import resource
    except ImportError:
        # Windows does not tell.
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
