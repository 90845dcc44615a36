"""Measures imagegen against what its keys allow, the floor, and what people write instead.

    python bench/suite.py                    all of it: about 20 minutes
    python bench/suite.py raw start-up       some of it
    python bench/suite.py --short            a minute, to see that it works: judges nothing

Prints a table and, with `--json FILE`, writes the figures. Real minutes, on loopback alone.
"""

import argparse
import contextlib
import itertools
import json
import math
import platform
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from measure import STYLES, Bench, Measured, bench, median, names, pools, run, server


@dataclass(frozen=True)
class Row:
    """One measured figure beside its target; `met` is None where it has none."""

    scenario: str
    what: str
    measured: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    short: bool
    runs: int


Rows = Iterator[Row]


def _at_most(scenario: str, what: str, value: float, target: float, unit: str = "") -> Row:
    return Row(scenario, what, f"{value:.3g}{unit}", f"≤ {target:.3g}{unit}", value <= target)


def _at_least(scenario: str, what: str, value: float, target: float, unit: str = "") -> Row:
    return Row(scenario, what, f"{value:.3g}{unit}", f"≥ {target:.3g}{unit}", value >= target)


def _drew(done: Measured, allowed: tuple[int, ...] = (0,)) -> None:
    if done.code not in allowed:
        raise SystemExit(f"imagegen ended with exit {done.code}\n{done.err}")


def quota(options: Options) -> Rows:
    """Three styles of 30 beats, 2 keys of 9 a minute each, answers after 8 seconds."""
    count, latency = (6, 0.5) if options.short else (30, 8.0)
    with bench() as one, server(limit=9, latency=latency) as api:
        one.beats(count)
        one.keys(pools(2), 9)
        done = one.imagegen("run", "--base-url", api.address, "--progress", "none")
        _drew(done)
        best = 60 * (math.ceil(count / 18) - 1) + latency
        yield _at_most("quota", "wall", done.wall, 1.02 * best + 1, " s")
        refused = api.stats()["statuses"].get("429", 0)
        yield _at_most("quota", "429s", refused, 0)
    # They wait most of the time, and do not disturb each other.
    others = ["recipe", *(["sdk"] if _has_sdk() else [])]
    with ThreadPoolExecutor(len(others)) as threads:
        pause = 0.1 if options.short else 60 / 9
        yield from threads.map(lambda name: _others_quota(name, count, latency, pause), others)


def _others_quota(name: str, count: int, latency: float, pause: float) -> Row:
    """Let another contender do the same work on a server of its own."""
    with bench() as one, server(limit=9, latency=latency) as api:
        beats = [(style, f"{n}.png") for n in range(count) for style in STYLES]
        job = {"address": api.address, "beats": beats, "keys": pools(2), "threads": 8}
        job["pause"] = pause
        done = one.contender(name, job)
        refused = api.stats()["statuses"].get("429", 0)
    return Row("quota", f"the same by the {name}", f"{done.wall:.0f} s, {refused} 429s")


def lone(options: Options) -> Rows:
    """90 beats of one style: its own 2 keys, and the 4 of the others."""
    count = 12 if options.short else 90
    latency = 0.5 if options.short else 8.0
    with bench() as one, server(limit=9, latency=latency) as api:
        one.beats(count)
        one.keys(pools(2), 9)
        done = one.imagegen(
            "run", "--style", "clear", "--base-url", api.address, "--progress", "none"
        )
        _drew(done)
        best = 60 * (math.ceil(count / 54) - 1) + latency
        yield _at_most("one style", "wall", done.wall, 1.02 * best + 1, " s")


def mixed(options: Options) -> Rows:
    """Keys of 9, 60 and 300 a minute in one pool; one cools down, one is spent."""
    count = 40 if options.short else 1100
    keys = [("mixed-key-000009", 9), ("mixed-key-000060", 60), ("mixed-key-000300", 300)]
    useless = [("mixed-key-cooling", 60), ("mixed-key-spent00", 60)]
    config = {
        "limits": dict(keys),
        "cooling": [useless[0][0]],
        "spent": [useless[1][0]],
    }
    with bench() as one, server(config, latency=1, picture_bytes=50_000) as api:
        one.beats(count)
        one.keys({"clear": [*keys, *useless]}, 9)
        done = one.imagegen(
            "run", "--style", "clear", "--base-url", api.address, "--progress", "none"
        )
        _drew(done)
        best = 60 * (math.ceil(count / 369) - 1) + 1
        yield Row("mixed keys", "wall, and what is possible", f"{done.wall:.1f} s, {best} s")
        stats = api.stats()
        yield from _used("mixed keys", stats["minutes"], 369, count, 99)
        yield Row("mixed keys", "429s of the two that cannot", str(stats["statuses"].get("429", 0)))


def _used(
    scenario: str, minutes: Mapping[str, int], a_minute: int, count: int, target: float
) -> Rows:
    """Yield how much of the budget was used in the minutes in which work was left."""
    whole = [sent for minute, sent in minutes.items() if int(minute) < count // a_minute]
    if whole:
        used = 100 * sum(whole) / (a_minute * len(whole))
        yield _at_least(scenario, "budget used in whole minutes", used, target, " %")


def hostile(options: Options) -> Rows:
    """Draw from a server that allows less than the keys file says, or counts otherwise."""
    own, other = names("clear", 2)
    # What the server is told, which keys are used, how many others send, what it allows to all.
    cases: dict[str, tuple[dict[str, object], dict[str, object], list[str], int, int]] = {
        "token bucket": ({}, {"bucket": True, "limit": 9}, [own], 0, 9),
        "20 % lower": ({"limits": {own: 7}}, {}, [own], 0, 7),
        "two keys, one quota": ({"groups": {other: own}}, {"limit": 9}, [own, other], 0, 9),
        "with somebody else": ({}, {"limit": 9}, [own], 4, 9),
    }
    for name, (config, extra, keys, others, limit) in cases.items():
        with bench() as one, server(config, latency=1, picture_bytes=50_000, **extra) as api:
            one.beats(90)
            one.settings("timeout = 2" if options.short else "timeout = 10")
            one.keys({"clear": keys}, 9)
            with somebody(api.address, own, others):
                done = one.imagegen(
                    *("run", "--style", "clear", "--base-url", api.address, "--progress", "none"),
                    *("--max-time", "4s" if options.short else "4m"),
                )
            _drew(done, (0, 3))
            stats = api.stats()
        late = stats["late"]
        # The last minute is not a whole one, and the first is when the limit is found out.
        whole = [
            n for minute, n in stats["minutes"].items() if 0 < int(minute) < stats["span"] // 60
        ]
        if not whole:
            yield Row(f"hostile: {name}", "429s", str(stats["statuses"].get("429", 0)))
            continue
        refused, drawn = late.get("429", 0), late.get("200", 0)
        share = 100 * refused / max(1, refused + drawn)
        yield _at_most(f"hostile: {name}", "429s after a minute", share, 2, " %")
        share = 100 * sum(whole) / (limit * len(whole))
        yield _at_least(f"hostile: {name}", "of what it allows", share, 90, " %")


@contextlib.contextmanager
def somebody(address: str, key: str, a_minute: int) -> Iterator[None]:
    """Let somebody else use the same key, so often a minute; the server counts us alone."""
    over = threading.Event()

    def send() -> None:
        url = f"{address}/v1beta/models/m:generateContent"
        headers = {"x-goog-api-key": key, "x-somebody-else": "yes"}
        while a_minute and not over.wait(60 / a_minute):
            request = urllib.request.Request(url, b"{}", headers)
            # Refused: they come again like anybody.
            with (
                contextlib.suppress(urllib.error.HTTPError),
                urllib.request.urlopen(request, timeout=60) as got,
            ):
                got.read()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def raw(options: Options) -> Rows:
    """No limit, no latency: what moving 1.5 MB pictures costs."""
    count = 5 if options.short else 200
    found: dict[str, list[Measured]] = {}
    with bench() as one, server(picture_bytes=1_500_000) as api:
        one.beats(count)
        one.keys(pools(1), 100_000)
        beats = [(style, f"{n}.png") for n in range(count) for style in STYLES]
        job = {"address": api.address, "beats": beats, "keys": pools(1)}
        for _ in range(options.runs):
            one.clear()
            done = one.imagegen("run", "--base-url", api.address, "--progress", "none")
            _drew(done)
            found.setdefault("imagegen", []).append(done)
            found.setdefault("floor", []).append(one.contender("floor", job))
            threads = {**job, "threads": 8}
            found.setdefault("floor-threads", []).append(one.contender("floor-threads", threads))
            if _has_sdk():
                found.setdefault("sdk", []).append(one.contender("sdk", threads))
    total = len(beats)
    for name, runs in found.items():
        cpu, wall = median([r.cpu for r in runs]), median([r.wall for r in runs])
        peak = median([r.peak for r in runs])
        text = f"{1e3 * cpu / total:.1f} ms CPU, {total / wall:.0f} pictures/s, {peak:.0f} MB"
        yield Row("raw", name, text)
    ratio = _ratio(found, "imagegen", "floor", lambda done: done.cpu)
    yield _at_most("raw", "CPU a picture against the floor", ratio, 1.5, " x")
    if "sdk" not in found:
        yield Row("raw", "against the SDK", "not installed: pip install -e '.[bench]'")
        return
    ratio = _ratio(found, "imagegen", "sdk", lambda done: done.cpu)
    yield _at_most("raw", "CPU a picture against the SDK", ratio, 0.35, " x")
    faster = _ratio(found, "sdk", "imagegen", lambda done: done.wall)
    yield _at_least("raw", "pictures a second against the SDK", faster, 3, " x")
    # The floor in as many threads is the most that Python can do of it.
    possible = _ratio(found, "sdk", "floor-threads", lambda done: done.wall)
    yield Row("raw", "the same of the floor in threads", f"{possible:.3g} x")


def _ratio(
    found: dict[str, list[Measured]], one: str, other: str, figure: Callable[[Measured], float]
) -> float:
    """Return the median of a figure's ratios, pair by pair."""
    pairs = zip(found[one], found[other], strict=True)
    return median([figure(a) / figure(b) for a, b in pairs])


def _has_sdk() -> bool:
    try:
        from google import genai  # noqa: F401
    except ImportError:
        return False
    return True


def in_flight(options: Options) -> Rows:
    """Keep 200 requests under way: 10 keys of 60 a minute, answers after 20 seconds."""
    count, latency = (40, 0.5) if options.short else (1500, 20.0)
    with bench() as one, server(limit=60, latency=latency) as api:
        one.beats(count)
        one.keys({"clear": names("clear", 10)}, 60)
        done = one.imagegen(
            "run", "--style", "clear", "--base-url", api.address, "--progress", "none"
        )
        _drew(done)
        stats = api.stats()
    most, minutes = stats["most_in_flight"], stats["minutes"]
    yield Row("in flight", "most at once", str(most))
    yield from _used("in flight", minutes, 600, count, 98)
    yield _at_most("in flight", "memory", done.peak, 100 + 6 * most, " MB")
    yield from _many_keys(options)


def _many_keys(options: Options) -> Rows:
    """Have a thousand keys: what a style may have in flight is what limits, and it says so."""
    count, latency, size = (300, 0.5, 50_000) if options.short else (4000, 20.0, 2_000_000)
    with bench() as one, server(limit=60, latency=latency, picture_bytes=size) as api:
        one.beats(count)
        one.keys({"clear": names("clear", 1000)}, 60)
        done = one.imagegen(
            "run", "--style", "clear", "--base-url", api.address, "--progress", "plain"
        )
        _drew(done)
        most = api.stats()["most_in_flight"]
    yield Row(
        "in flight",
        "1,000 keys: memory, CPU an image",
        f"{done.peak:,.0f} MB, {1000 * done.cpu / count:.1f} ms",
    )
    said = "the limit for one style on this machine" in done.out
    yield Row("in flight", "1,000 keys: most at once", str(most), "and says so", said)


def pool(options: Options) -> Rows:
    """Pick one of a thousand keys, from a hundred threads; beside it the least that it can be."""
    from imagegen.clock import SystemClock
    from imagegen.keys.keyring import ApiKey, RateLimit
    from imagegen.quota.ledger import Ledger
    from imagegen.quota.pool import KeyPool, Lease
    from imagegen.secret import Secret

    count, each = (50, 5) if options.short else (1000, 100)
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        ledger = Ledger.open(Path(folder), clock, print)
        keys = [ApiKey(Secret(name), RateLimit(60)) for name in names("pool", count)]
        many = KeyPool({"clear": keys}, provider="p", model="m", ledger=ledger, clock=clock)
        assert isinstance(many.lease("clear"), Lease)
        alone, together = _each_takes(lambda: many.lease("clear"), each)
        many.close()
        floor = _each_takes(_bare_transaction(Path(folder) / "floor.sqlite", count), each)
    bare = "a bare transaction of SQLite"
    yield Row("pool", f"{bare}, one thread", f"{1e6 * floor[0]:.3g} µs")
    yield _at_most("pool", "a lease, one thread", 1e6 * alone, 100, " µs")
    yield Row("pool", f"{bare}, 100 threads", f"{1e6 * floor[1]:.3g} µs")
    yield _at_most("pool", "a lease, 100 threads", 1e6 * together, 100, " µs")


def _each_takes(job: Callable[[], object], each: int) -> tuple[float, float]:
    """Return the seconds that a job takes, from one thread and from a hundred at once."""

    def work(_: int) -> None:
        for _ in range(each):
            job()

    began = time.perf_counter()
    work(0)
    alone = (time.perf_counter() - began) / each
    with ThreadPoolExecutor(100) as threads:
        began = time.perf_counter()
        list(threads.map(work, range(100)))
        return alone, (time.perf_counter() - began) / (100 * each)


def _bare_transaction(path: Path, count: int) -> Callable[[], object]:
    """Return what changes one of so many rows, as cheaply as SQLite keeps it for all processes."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE budget (name TEXT PRIMARY KEY, state BLOB) WITHOUT ROWID")
    rows = [(str(number), bytes(150)) for number in range(count)]
    connection.executemany("INSERT INTO budget VALUES (?, ?)", rows)
    lock, numbers = threading.Lock(), itertools.cycle(range(count))

    def change() -> None:
        with lock:
            row = bytes(150), str(next(numbers))
            connection.execute("UPDATE budget SET state = ? WHERE name = ?", row)

    return change


def start_up(options: Options) -> Rows:
    """Time small commands against importing what they stand on."""
    times: dict[str, list[float]] = {}
    with bench() as one:
        one.beats(30)
        commands: dict[str, list[object]] = {
            "base": [sys.executable, "-c", "import typer, rich.console"],
            "--version": [sys.executable, "-m", "imagegen", "--version"],
            "--help": [sys.executable, "-m", "imagegen", "--help"],
            "status of 90 beats": [sys.executable, "-m", "imagegen", "status", one.root],
        }
        for _ in range(2 if options.short else 15):
            for name, command in commands.items():
                times.setdefault(name, []).append(run(command).wall)
    targets = {"--version": 1.1, "--help": 2.0, "status of 90 beats": 1.5}
    yield Row("start-up", "import typer, rich.console", f"{1e3 * median(times['base']):.0f} ms")
    for name, target in targets.items():
        pairs = zip(times[name], times["base"], strict=True)
        yield _at_most("start-up", name, median([a / b for a, b in pairs]), target, " x")


def large(options: Options) -> Rows:
    """100,000 beats in three styles, half of them drawn."""
    count = 500 if options.short else 100_000
    with bench() as one:
        one.beats(count)
        one.keys(pools(1), 100_000)
        _draw_half(one)
        cold = one.imagegen("status", "--json")
        yield Row("large", "status, every file opened", f"{cold.wall:.1f} s, {cold.peak:.0f} MB")
        # A run remembers what it saw, once the files are old enough.
        time.sleep(0 if options.short else 3)
        one.imagegen("run", "--limit", "0", "--progress", "none")
        for name, command in {
            "status": ("status",),
            "run --dry-run": ("run", "--dry-run"),
            "run of nothing": ("run", "--limit", "0", "--progress", "none"),
        }.items():
            runs = [one.imagegen(*command) for _ in range(options.runs)]
            wall, peak = median([r.wall for r in runs]), median([r.peak for r in runs])
            yield _at_most("large", f"{name}, warm", wall, 5, " s")
            yield _at_most("large", f"{name}, memory", peak, 400, " MB")
        # A beat deleted at the start: all pictures belong to the number before.
        one.beats(count - 1, first=1)
        runs = [one.imagegen("status", "--json") for _ in range(options.runs)]
        moved = json.loads(runs[0].out)["styles"][STYLES[0]]["moved"]
        wall = median([r.wall for r in runs])
        yield _at_most("large", f"status, {3 * moved:,} moved, warm", wall, 5, " s")
        done = one.imagegen("renumber")
        yield Row("large", "renumber of them", f"{done.wall:.1f} s, {done.peak:.0f} MB")
    yield from _foreign(options, count)
    yield from _per_picture(options)


FLOOR = """
import json, os, sys
root = sys.argv[1]
with open(f"{root}/beats.json", "rb") as file:
    rows = json.load(file)
for style in sys.argv[2:]:
    for row in rows:
        shot, beat = row["shot_number"], row["beat_number"]
        try:
            os.stat(f"{root}/generated_images/{style}/Shot_{shot}/Beat_{beat}.png")
        except FileNotFoundError:
            pass
"""
"""The least that looking at a project can be: read the beats, and look for each one's image."""


def _foreign(options: Options, count: int) -> Rows:
    """Look at as many images of another tool, in a project in which imagegen never ran."""
    commands = {
        "status": ("status",),
        "status --json": ("status", "--json"),
        "run --dry-run": ("run", "--dry-run"),
    }
    with bench() as one:
        one.beats(count)
        one.keys(pools(1), 100_000)
        _draw_half(one, says_origin=False)
        # Files of the last two seconds are not remembered.
        time.sleep(0 if options.short else 3)
        one.imagegen("status")
        floor = [sys.executable, "-I", "-S", "-c", FLOOR, one.root, *STYLES]
        found: dict[str, list[Measured]] = {}
        for _ in range(options.runs):
            found.setdefault("floor", []).append(run(floor))
            for name, command in commands.items():
                found.setdefault(name, []).append(one.imagegen(*command))
    yield Row(
        "large",
        "a script that stats every path",
        f"{median([r.cpu for r in found['floor']]):.1f} s",
    )
    for name in commands:
        ratio = _ratio(found, name, "floor", lambda done: done.cpu)
        yield _at_most("large", f"another tool's images, {name}, CPU", ratio, 2.5, " x")
        peak = median([done.peak for done in found[name]])
        yield _at_most("large", f"another tool's images, {name}", peak, 400, " MB")


def _draw_half(one: Bench, *, says_origin: bool = True) -> None:
    """Put a small picture at every second beat, which may say what it was drawn from."""
    from imagegen.images.png import add_metadata
    from imagegen.project.record import DrawRequest
    from imagegen.workspace.reading import read_project

    project = read_project(one.root, DrawRequest())
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
        "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
    )
    for beats in project.beats.values():
        for beat in beats[::2]:
            path = project.layout.picture(beat.style, *beat.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = add_metadata(png, project.expected(beat)) if says_origin else (png,)
            path.write_bytes(b"".join(parts))


def _per_picture(options: Options) -> Rows:
    """Compare the cost of a picture in a small and in a large storyboard."""
    drawn = 20 if options.short else 500
    run_of = ("--progress", "none", "--limit")
    cost: dict[int, list[float]] = {}
    with server(picture_bytes=300_000) as api:
        for _ in range(options.runs):
            for count in (drawn, 200 if options.short else 100_000):
                with bench() as one:
                    one.beats(count)
                    one.keys(pools(1), 100_000)
                    # Both begin and end; one draws.
                    idle = one.imagegen("run", "--base-url", api.address, *run_of, 3)
                    done = one.imagegen("run", "--base-url", api.address, *run_of, 3 * drawn - 3)
                    _drew(done)
                    each = (done.cpu - idle.cpu) / (3 * drawn - 6)
                    cost.setdefault(count, []).append(each)
    small, big = cost.values()
    ratio = median([b / s for s, b in zip(small, big, strict=True)])
    yield Row("large", "CPU a picture", f"{1e3 * median(small):.1f} and {1e3 * median(big):.1f} ms")
    yield _at_most("large", "CPU a picture against a small one's", ratio, 1.25, " x")


def live(options: Options) -> Rows:
    """Watch 2,000 beats at a hundred events a second."""
    count = 30 if options.short else 2000
    found: dict[str, list[Measured]] = {}
    for _ in range(1 if options.short else options.runs):
        for view in ("none", "live"):
            # About fifty beats a second: two events each.
            with bench() as one, server(picture_bytes=20_000, latency=5.0) as api:
                one.beats(count)
                one.keys({"clear": names("clear", 1)}, 3000)
                command = ("run", "--style", "clear", "--base-url", api.address)
                done = one.imagegen(*command, "--progress", view, painted=view == "live")
                _drew(done)
                found.setdefault(view, []).append(done)
    shares = [
        100 * (with_view.cpu - without.cpu) / with_view.wall
        for with_view, without in zip(found["live"], found["none"], strict=True)
    ]
    yield _at_most("live view", "of one core, over --progress none", median(shares), 10, " %")


def machines(options: Options) -> Rows:
    """Draw in one to eight processes that share a thousand keys on a Redis server.

    Each has beats and a folder of state of its own, as machines have.
    """
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from redis_server import RedisServer, program  # needs the test extra

    count, widths = (12, (1, 2)) if options.short else (600, (1, 2, 4, 8))
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder), command=program()) as shared,
        server(picture_bytes=300_000) as api,
    ):
        budgets = {"IMAGEGEN_BUDGETS": shared.url}
        command = ("run", "--style", "clear", "--base-url", api.address, "--progress", "none")
        # A server without data makes its first run wait for a minute.
        for first, processes in enumerate((1, *widths)):
            with contextlib.ExitStack() as stack:
                several = [stack.enter_context(bench()) for _ in range(processes)]
                for machine in several:
                    machine.environment |= budgets
                    machine.beats(count if first else 1)
                    machine.keys({"clear": names("clear", 1000)}, 600)
                began = time.perf_counter()
                with ThreadPoolExecutor(processes) as threads:
                    done = list(threads.map(lambda one: one.imagegen(*command), several))
                seconds = time.perf_counter() - began
            for one in done:
                _drew(one)
            if not first:
                continue
            drawn = processes * count
            cpu = 1e3 * sum(one.cpu for one in done) / drawn
            rate = f"{drawn / seconds:.0f} images/s, {cpu:.1f} ms CPU an image"
            yield Row("machines", f"{processes} with shared budgets", rate)


SCENARIOS: dict[str, Callable[[Options], Rows]] = {
    "quota": quota,
    "one-style": lone,
    "mixed": mixed,
    "hostile": hostile,
    "raw": raw,
    "in-flight": in_flight,
    "pool": pool,
    "start-up": start_up,
    "large": large,
    "live": live,
    "machines": machines,
}


def main() -> None:
    """Measure, and print a line for each figure as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"all, or some of: {', '.join(SCENARIOS)}"
    )
    parser.add_argument(
        "--short", action="store_true", help="see that it works, in a minute: judges nothing"
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="of each contender, for medians (default: 3)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args()
    unknown = set(chosen.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    options = Options(short=chosen.short, runs=1 if chosen.short else chosen.runs)
    rows: list[Row] = []
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in chosen.scenarios or SCENARIOS:
        for measured in SCENARIOS[name](options):
            # So little of each says nothing of the targets.
            row = replace(measured, target="", met=None) if options.short else measured
            rows.append(row)
            verdict = {True: "met", False: "MISSED", None: ""}[row.met]
            line = f"{row.scenario:<28} {row.what:<36} {row.measured:>36}  {row.target:<12}"
            print(f"{line} {verdict}".rstrip(), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    missed = sum(row.met is False for row in rows)
    if not options.short:
        print(f"{missed} targets missed" if missed else "every target met")
    sys.exit(min(1, missed))


if __name__ == "__main__":
    main()
