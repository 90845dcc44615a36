"""Write the README's pictures of the page: a run, and a beat that is reviewed.

    python docs/make_screens.py [--all FOLDER]

Draws the lighthouse example with the sketch provider and looks at it in a headless Chromium.
With `--all` every screen is written to a folder, at both sizes, light and dark. Needs the `test`
extra and a Chromium.
"""  # noqa: INP001  # a script, not a package

import argparse
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from PIL import Image
from playwright.sync_api import Browser, Page

from browser import chromium
from commands import Commands
from gemini_server import Answer, GeminiServer
from serving import Served

HERE: Final = Path(__file__).parent
_EXAMPLE: Final = HERE.parent / "examples" / "lighthouse"
_SIZES: Final = ((1440, 900), (390, 844))
_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


def main() -> None:
    """Take the two of the README, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    folder = parser.parse_args().all
    with chromium() as browser:
        if folder is None:
            _readme(browser)
            return
        folder.mkdir(parents=True, exist_ok=True)
        for size in _SIZES:
            for scheme in _SCHEMES:
                _all(browser, folder, size, scheme)


def _readme(browser: Browser) -> None:
    for served, page in _opened(browser, (1440, 900), "light"):
        page.get_by_role("button", name="Start").click()
        page.locator(".picture img.there").nth(4).wait_for()
        _picture(page, HERE / "page.webp")
        page.get_by_text("All images are done.").wait_for()
        _choose(served)
        page.reload()
        page.get_by_role("button", name="4.4 in clear").click()
        page.keyboard.press("2")
        page.get_by_text("Saved: clear").wait_for()
        _picture(page, HERE / "review.webp")


def _all(
    browser: Browser, folder: Path, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    def picture(page: Page, name: str) -> None:
        _picture(page, folder / f"{name}-{size[0]}-{scheme}.webp")

    for served, page in _opened(browser, size, scheme):
        page.get_by_text("No images yet.").wait_for()
        picture(page, "before")
        page.get_by_role("button", name="Start").click()
        page.locator(".picture img.there").nth(4).wait_for()
        picture(page, "during")
        page.get_by_role("button", name="Hide progress").click()
        picture(page, "background")
        page.get_by_text("All images are done.").wait_for()
        _choose(served)
        page.reload()
        page.get_by_text("5 of 15 chosen").wait_for()
        picture(page, "after")
        page.get_by_role("button", name="4.4 in clear").click()
        page.keyboard.press("2")
        page.get_by_text("Saved: clear").wait_for()
        picture(page, "review")
        page.keyboard.press("z")
        picture(page, "zoomed")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        (served.root / "beats.json").write_text('[{"shot_number": 1}, {"beat_number": []}]')
        page.reload()
        page.get_by_role("button", name="Reload").wait_for()
        picture(page, "faulty")
        served.close()
        page.get_by_role("alert").wait_for()
        picture(page, "offline")
    with GeminiServer(latency=1.0) as server:
        server.fault("iron key", Answer.REFUSED, times=3)
        for _, page in _opened(browser, size, scheme, server):
            page.get_by_role("button", name="Start").click()
            page.get_by_role("button", name="Redraw").first.wait_for()
            picture(page, "failing")
            page.get_by_role("button", name="Stop").click()
            page.get_by_text("Stopped on request").wait_for()
            picture(page, "stopped")


def _opened(
    browser: Browser,
    size: tuple[int, int],
    scheme: Literal["light", "dark"],
    server: GeminiServer | None = None,
) -> Iterator[tuple[Served, Page]]:
    """Serve the example, drawn by the sketch provider or by `server`, and open it."""
    with tempfile.TemporaryDirectory() as folder:
        commands = Commands(Path(folder))
        if server is None:
            root = Path(shutil.copytree(_EXAMPLE, Path(folder) / "lighthouse"))
            for left in ("generated_images", ".imagegen"):
                shutil.rmtree(root / left, ignore_errors=True)
            options: list[str] = []
        else:
            rows = json.loads((_EXAMPLE / "beats.json").read_text())["beats"]
            root = commands.project("lighthouse", beats=rows, keys=2, per_minute=6)
            options = ["--base-url", server.address]
        served = Served(commands, root, *options)
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        page.goto(served.address)
        page.locator(".row:not(.head)").first.wait_for()
        yield served, page
        page.close()
        if served.process.poll() is None:
            served.close()


def _choose(served: Served) -> None:
    """Choose some of it, so that there is something to see."""
    for beat, style in (
        ("1.1", "illustration"),
        ("1.2", "clear"),
        ("1.3", "consistent"),
        ("2.1", "illustration"),
        ("2.2", "clear"),
    ):
        choice = {"shot_number": beat[0], "beat_number": beat, "style": style}
        served.post("/api/save-image-selection", choice | {"isFlagged": beat == "1.2"})


def _picture(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    # Pictures that are on their way are waited for.
    page.wait_for_load_state("networkidle")
    data = page.screenshot(animations="disabled")
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").save(path, "WEBP", quality=86, method=6)
    print(path, flush=True)


if __name__ == "__main__":
    main()
