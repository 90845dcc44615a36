"""What the page costs with 300 beats in three styles: time to see it, frames, and memory.

    python bench/page.py

Serves a project that the sketch provider draws, opens it in a headless Chromium, starts a run
there and lets it end, opens it again, and has 50 more clients follow a run. Needs the `test`
extra, a Chromium, and Linux.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from playwright.sync_api import Page

from browser import chromium
from commands import Commands, row
from serving import Served

_SEEN = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return { painted: paint?.startTime, rows: document.querySelectorAll(".row").length };
}"""
_WATCH = """() => {
  window.long = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.long.push(entry.duration);
  }).observe({ type: "longtask" });
  window.frames = [];
  let last = performance.now();
  const frame = (now) => {
    window.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""
_WATCHED = """() => {
  const frames = window.frames.sort((one, other) => one - other);
  return {
    "tasks over 50 ms": window.long.length,
    "longest ms": Math.round(Math.max(0, ...window.long)),
    "median frame ms": Math.round(frames[frames.length >> 1]),
    "frame of the 99th percentile ms": Math.round(frames[Math.floor(frames.length * 0.99)]),
  };
}"""


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beats", type=int, default=300)
    beats = parser.parse_args().beats
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        commands = Commands(Path(folder))
        words = "The harbour at dawn, small boats, one lamp still lit, gulls over the pier"
        rows = [row(n, ai_prompt=f"{words}, {n}") for n in range(beats)]
        root = commands.project(beats=rows, settings='provider = "sketch"\n')
        with Served(commands, root) as served:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            _tell("before a run", _open(page, served) | _memory(served))
            page.evaluate(_WATCH)
            page.get_by_role("button", name="Start").click()
            page.get_by_text("All that was asked for is there.").wait_for(timeout=600_000)
            _tell("during a run of all", page.evaluate(_WATCHED) | _memory(served))
            _tell("after it", _open(page, served) | _memory(served))
            streams = [served.events() for _ in range(50)]
            served.generate(force=True, style="clear").to_end()
            for stream in streams:
                stream.to_end()
                stream.close()
            _tell("with 50 clients more", _memory(served))


def _open(page: Page, served: Served) -> dict[str, Any]:
    """Open the page anew, in milliseconds until something of it, and its first rows, is seen."""
    page.goto("about:blank")
    page.goto(served.address)
    page.locator(".row:not(.head)").first.wait_for()
    seen: dict[str, Any] = page.evaluate("() => ({ 'rows after ms': performance.now() })")
    seen |= {"first paint ms": page.evaluate(_SEEN)["painted"]}
    return {name: round(value) for name, value in seen.items()}


def _memory(served: Served) -> dict[str, Any]:
    return {"server's most MB": round(served.memory() / 1e6)}


def _tell(what: str, figures: dict[str, Any]) -> None:
    print(what, json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
