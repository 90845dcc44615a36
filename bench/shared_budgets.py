"""Eight machines share two keys through a Redis server, for ten minutes in real time.

    python bench/shared_budgets.py
    python bench/shared_budgets.py --forget          # the server restarts without its data
    python bench/shared_budgets.py --server valkey-server

Runs the installed command eight times, against the Gemini API of the tests on loopback, which
enforces each key's rolling minute. Each process has a state folder and a wall clock of its own,
and, as root on Linux, a monotonic clock (a time namespace): they differ by minutes. Two are
killed, one is stopped for 70 seconds and continued, and the Redis server is restarted once. Prints
the most requests of each key in any rolling 60 seconds as the API's server saw them, the 429s, and
how much of the budget was used. Exits 1 if a limit was exceeded, or if less than 97 % was used
although the server kept its data.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from commands import row
from gemini_server import GeminiServer, Recorded
from measure import most_in_a_minute
from redis_server import RedisServer

KEYS = tuple(f"shared-key-{number:06d}" for number in range(2))
MINUTES_APART = (-7, -3, -1, 0, 1, 2, 5, 9)
STOPPED_SECONDS = 70
LEAST_USED = 0.97
SET_CLOCK = """
import os, time
_time, _apart = time.time, float(os.environ["BENCH_CLOCK_APART"])
time.time = lambda: _time() + _apart
"""
"""Sets a Python process's wall clock. libfaketime would stop its threads: it also changes how long
they wait."""
PERSISTENCE = ("--appendonly", "yes", "--appendfsync", "everysec")


def main() -> None:
    """Run the scenario and print its figures; exits 1 if a budget was exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--per-minute", type=int, default=9)
    parser.add_argument("--latency", type=float, default=8.0, help="seconds")
    parser.add_argument("--server", default="redis-server")
    parser.add_argument("--forget", action="store_true", help="restart the server without data")
    parser.add_argument("--down", type=float, default=7.0, help="seconds of the restart")
    options = parser.parse_args()
    persistence = () if options.forget else PERSISTENCE
    program = shutil.which(options.server) or sys.exit(f"{options.server} is not installed")
    with (
        tempfile.TemporaryDirectory() as folder,
        GeminiServer(limit=options.per_minute, latency=options.latency) as server,
        RedisServer(Path(folder) / "redis", *persistence, command=program) as shared,
    ):
        _make_old(shared)
        machines = [_Machine(Path(folder), n, options) for n in range(options.processes)]
        began = time.monotonic()
        for machine in machines:
            machine.start(server.address, shared.url)
        _disturb(machines, shared, began, 60 * options.minutes, options)
        requests = list(server.requests)
        for machine in machines:
            machine.kill()
        _report(machines, requests, options)


def _make_old(shared: RedisServer) -> None:
    """Let the server know budgets, since long: one that is new makes all wait for a minute."""
    with shared.admin() as admin:
        fields = {"version": "1", "generation": "bench", "salt": os.urandom(16), "made": "0"}
        admin.hset("imagegen:{default}", mapping=fields)


class _Machine:
    """A process with clocks, a state folder and a project of its own."""

    def __init__(self, folder: Path, number: int, options: argparse.Namespace) -> None:
        self._state = folder / f"state-{number}"
        self._root = folder / f"project-{number}"
        self._apart = 60 * MINUTES_APART[number % len(MINUTES_APART)]
        self.log = folder / f"log-{number}"
        self._clock = folder / "clock"
        self._clock.mkdir(exist_ok=True)
        (self._clock / "sitecustomize.py").write_text(SET_CLOCK)
        self._root.mkdir()
        beats = int(options.minutes * options.per_minute)
        (self._root / "beats.json").write_text(json.dumps([row(beat) for beat in range(beats)]))
        keys = f"requests_per_minute = {options.per_minute}\n[keys]\ndefault = {json.dumps(KEYS)}\n"
        (self._root / "keys.toml").write_text(keys)
        (self._root / "keys.toml").chmod(0o600)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, address: str, budgets: str) -> None:
        """Start the run."""
        command = [sys.executable, "-m", "imagegen", "run", str(self._root)]
        command += ["--base-url", address, "--yes", "--progress", "plain"]
        if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("unshare"):
            ahead = 1000 + self._apart
            clocks = ["--boottime", str(ahead), "--monotonic", str(ahead)]
            command = ["unshare", "--time", *clocks, "--fork", "--kill-child", "--", *command]
        own = {"IMAGEGEN_STATE_DIR": str(self._state), "IMAGEGEN_BUDGETS": budgets}
        clock = {"BENCH_CLOCK_APART": str(self._apart), "PYTHONPATH": str(self._clock)}
        env = os.environ | own | clock
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True
            )

    def signal(self, number: int) -> None:
        """Send a signal to the process and those that it runs in."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it as a crash does."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    @property
    def warnings(self) -> list[str]:
        """What it warned of."""
        text = self.log.read_text(errors="replace")
        return [line for line in text.splitlines() if "record of sent" in line]


def _disturb(
    machines: list[_Machine],
    shared: RedisServer,
    began: float,
    seconds: float,
    options: argparse.Namespace,
) -> None:
    """Kill two, stop and continue one, restart the server: each at its share of the time."""

    def wait_until(share: float) -> None:
        time.sleep(max(0.0, began + share * seconds - time.monotonic()))

    wait_until(0.205)
    machines[1].kill()
    wait_until(0.3035)
    machines[2].signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait_until(0.35)
    machines[3].kill()
    time.sleep(max(0.0, stopped + STOPPED_SECONDS - time.monotonic()))
    machines[2].signal(signal.SIGCONT)
    # When places become free: each process finds the server gone.
    wait_until(0.6)
    shared.stop()
    time.sleep(options.down)
    shared.start()
    wait_until(1.0)


def _report(
    machines: list[_Machine],
    requests: list[Recorded],
    options: argparse.Namespace,
) -> None:
    refused = sum(request.status == 429 for request in requests)
    allowed = len(KEYS) * options.per_minute * options.minutes
    first = min(request.arrived for request in requests)
    counted = [r for r in requests if r.arrived < first + 60 * options.minutes]
    what = "without its data" if options.forget else "with its data"
    print(f"{len(machines)} processes on {len(KEYS)} keys of {options.per_minute} a minute")
    print(f"{options.server}, restarted {what}; {options.minutes:g} minutes")
    most = []
    for key in KEYS:
        arrived = [request.arrived for request in requests if request.key == key]
        most.append(most_in_a_minute(arrived))
        print(f"  …{key[-4:]}   {len(arrived):4d} requests, most in any 60 s: {most[-1]}")
    print(f"  429s      {refused}")
    print(f"  used      {len(counted)} of {allowed:g} requests: {len(counted) / allowed:.1%}")
    for number, machine in enumerate(machines):
        print(f"  machine {number}: {'; '.join(machine.warnings) or 'no warning'}")
    wasted = not options.forget and len(counted) < LEAST_USED * allowed
    sys.exit(bool(refused) or max(most) > options.per_minute or wasted)


if __name__ == "__main__":
    main()
