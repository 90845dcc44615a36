"""Many processes, one minute: what each run promises holds for all of them together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from imagegen.clock import SystemClock
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease
from imagegen.secret import Secret

LIMIT = 120
PROCESSES, THREADS = 4, 4

_HAMMER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from imagegen.clock import SystemClock
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.quota.ledger import Ledger
from imagegen.quota.pool import KeyPool, Lease
from imagegen.secret import Secret

folder, limit, threads, least = Path(sys.argv[1]), *map(int, sys.argv[2:])
clock = SystemClock()
ledger = Ledger.open(folder, clock, lambda text: sys.exit(text))
keys = {"clear": (ApiKey(Secret("test-key-alpha-000001"), RateLimit(limit)),)}
pool = KeyPool(keys, provider="p", model="m", ledger=ledger, clock=clock)
print("ready", flush=True)
sys.stdin.readline()

def hammer(number):
    granted = 0
    while granted < least and isinstance(lease := pool.lease("clear"), Lease):
        granted += 1
        if granted % 3 == 0:
            pool.release(lease)
            granted -= 1
            lease = pool.lease("clear")
            if not isinstance(lease, Lease):
                break
            granted += 1
        if granted % 2:
            pool.sent(lease)
    return granted

with ThreadPoolExecutor(threads) as executor:
    print(sum(executor.map(hammer, range(threads))), flush=True)
sys.stdin.readline()
pool.close()
"""


def start(folder: Path, *, least: int) -> "subprocess.Popen[str]":
    """Start a process whose threads take `least` leases each, or as many as there are."""
    arguments = [str(folder), str(LIMIT), str(THREADS), str(least)]
    process = subprocess.Popen(
        [sys.executable, "-c", _HAMMER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    """Let a process begin, or end."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def granted(process: "subprocess.Popen[str]") -> int:
    """Return how many leases a process has taken."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def end(processes: "list[subprocess.Popen[str]]") -> None:
    """End these processes and close their pipes."""
    for process in processes:
        process.kill()
        process.communicate()


def left_over(folder: Path) -> int:
    """Return how many leases a run started now gets."""
    clock, warnings = SystemClock(), list[str]()
    ledger = Ledger.open(folder, clock, warnings.append)
    keys = {"clear": (ApiKey(Secret("test-key-alpha-000001"), RateLimit(LIMIT)),)}
    pool = KeyPool(keys, provider="p", model="m", ledger=ledger, clock=clock)
    try:
        count = 0
        while isinstance(lease := pool.lease("clear"), Lease):
            pool.sent(lease)
            count += 1
        assert warnings == []
        return count
    finally:
        pool.close()


def test_processes_and_threads_together_get_exactly_the_limit(tmp_path: Path) -> None:
    """Four processes of four threads send a minute's requests: not one more, not one less."""
    processes: list[subprocess.Popen[str]] = []
    try:
        processes.extend(start(tmp_path, least=LIMIT) for _ in range(PROCESSES))
        for process in processes:
            go(process)
        # A place that is given back while the others have already seen the budget full
        # is taken by whoever asks next.
        total = sum(granted(process) for process in processes) + left_over(tmp_path)
        assert total == LIMIT
    finally:
        end(processes)


def test_what_a_killed_process_took_stays_counted(tmp_path: Path) -> None:
    """A process killed in the middle frees nothing of the minute, sent or not."""
    processes: list[subprocess.Popen[str]] = []
    try:
        processes.append(start(tmp_path, least=20))
        go(processes[0])
        taken = granted(processes[0])
        assert taken == 20 * THREADS
        os.kill(processes[0].pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        processes[0].wait()
        assert left_over(tmp_path) == LIMIT - taken
    finally:
        end(processes)


def test_a_process_killed_at_any_moment_breaks_nothing(tmp_path: Path) -> None:
    """Others go on while one is killed at work, and all together never exceed the limit."""
    processes: list[subprocess.Popen[str]] = []
    try:
        processes.extend(start(tmp_path, least=LIMIT) for _ in range(2))
        for process in processes:
            go(process)
        processes[0].kill()
        processes[0].wait()
        assert granted(processes[1]) + left_over(tmp_path) <= LIMIT
        assert left_over(tmp_path) == 0
    finally:
        end(processes)
