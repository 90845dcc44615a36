"""The page in a real browser: a run watched, reloaded, stopped and resumed; pictures chosen."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

import browser
from commands import Commands, pictures, row
from gemini_server import Answer, GeminiServer
from pipeline import OlderProject
from serving import Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.installed() is None, reason="no Chromium is installed"),
]

SKETCH = 'provider = "sketch"\nimage_size = "512"\n'
STYLES = ("illustration", "clear", "consistent")
MARKUP = '<img src=x onerror="document.title=1"><b>&lt;i&gt;'
expect.set_options(timeout=30_000)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
Scheme = Literal["dark", "light"]
FADING = """() => [...document.querySelectorAll("*")]
  .filter((element) => {
    const { transitionDuration, animationName } = getComputedStyle(element);
    return /[1-9]/.test(transitionDuration) || animationName !== "none";
  })
  .map((element) => element.outerHTML)"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a browser for all tests of this module."""
    with browser.chromium() as running:
        yield running


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Return a window that fails the test where the page's code or its policy complains."""
    yield from _window(chromium, DESK)


def _window(chromium: Browser, size: dict[str, int], scheme: Scheme = "light") -> Iterator[Page]:
    context = chromium.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    complaints: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda said: complaints.append(said.text) if "Content Security" in said.text else None,
    )
    yield opened
    context.close()
    assert not complaints


def count_of(page: Page, style: str) -> Locator:
    """Return where a style's bar says how many pictures are there."""
    return page.locator(".bar", has=page.get_by_role("heading", name=style)).locator(".count")


def cell(page: Page, style: str, beat: str) -> Locator:
    """Return the grid's button of a beat in a style."""
    # A slash ends an expression where the browser reads it.
    number = re.escape(beat).replace("/", r"\/")
    return page.get_by_role("button", name=re.compile(rf"^{number} in {style}:"))


def test_a_beat_in_other_shots_is_one_row(commands: Commands, page: Page, tmp_path: Path) -> None:
    """Each style's picture of it is shown, drawn again and chosen, from the shot it is in there."""
    older = OlderProject(tmp_path / "other-shots")
    older.draw_all()
    (older.root / "imagegen.toml").write_text(SKETCH)
    older.choose("Beat 2", "clear")
    with Served(commands, older.root) as served:
        page.goto(served.address)
        for style in STYLES:
            expect(count_of(page, style)).to_have_text("3/3")
            for number in "123":
                image = cell(page, style, number).locator("img.there")
                image.scroll_into_view_if_needed()
                expect(image).to_be_visible()
        assert page.get_by_role("button", name=re.compile(r" in \w+:")).count() == 9
        expect(cell(page, "clear", "2")).to_have_accessible_name(re.compile("chosen"))
        cell(page, "consistent", "2").click()
        page.keyboard.press("3")
        expect(cell(page, "consistent", "2")).to_have_accessible_name(re.compile("chosen"))
    place = older.place("consistent", 2, "Beat 2")
    assert older.copy("Beat 2").read_bytes() == place.read_bytes()


def test_a_run_from_start_to_choice(commands: Commands, server: GeminiServer, page: Page) -> None:
    """Start, bars that fill, pictures that arrive, stop, reload, resume, choose, files."""
    root = commands.project(beats=8, per_minute=2)
    with Served(commands, root, "--base-url", server.address) as served:
        page.goto(served.address)
        assert re.fullmatch(rf"{served.base}/[\w-]{{22}}/", page.url)
        expect(count_of(page, "clear")).to_have_text("0/8")
        with server.held():
            page.get_by_role("button", name="Start · 24 images").click()
            expect(page.get_by_text("Drawing", exact=True)).to_be_visible()
            expect(cell(page, "clear", "1.1")).to_have_accessible_name(
                "1.1 in clear: being drawn. Review"
            )
        for style in STYLES:
            expect(count_of(page, style)).to_have_text("2/8")
            expect(page.get_by_role("progressbar", name=style)).to_have_attribute(
                "aria-valuenow", "2"
            )
        image = cell(page, "consistent", "1.2").locator("img.there")
        expect(image).to_be_visible()
        assert image.evaluate("image => image.naturalWidth") > 0
        page.reload()
        expect(count_of(page, "clear")).to_have_text("2/8")
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("Stopped on request.")).to_be_visible()
        page.mouse.move(5, 5)
        keys = root / "keys.toml"
        keys.write_text(keys.read_text().replace("per_minute = 2", "per_minute = 99"))
        page.get_by_role("button", name="Start · 18 images").click()
        expect(page.get_by_text("All images are done.")).to_be_visible()
        assert len(pictures(root)) == 24
        assert len(server.requests) == 24
        page.get_by_role("button", name="Review", exact=True).click()
        page.keyboard.press("2")
        expect(page.get_by_text("Saved: clear")).to_be_visible()
        page.keyboard.press("f")
        expect(page.get_by_text("Saved: clear, flagged")).to_be_visible()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("3")
        expect(page.get_by_text("Saved: consistent")).to_be_visible()
    chosen = json.loads((root / "image_selections.json").read_text())
    assert {name: one["style"] for name, one in chosen.items()} == {
        "1.1": "clear",
        "1.2": "consistent",
    }
    assert chosen["1.1"]["isFlagged"]
    own = (root / "generated_images/consistent/Shot_1/Beat_1.2.png").read_bytes()
    assert (root / "selected_images/Beat_1.2.png").read_bytes() == own


def test_a_terminals_run_is_shown(commands: Commands, server: GeminiServer, page: Page) -> None:
    """Begun before or after the page was opened, and whatever becomes of it."""
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    root = commands.project()
    with Served(commands, root) as served:
        page.goto(served.address)
        expect(page.get_by_role("button", name="Start")).to_be_visible()
        with server.held():
            run = commands.start("run", root, "--base-url", server.address)
            expect(page.get_by_role("button", name="Stop")).to_be_visible()
            assert server.wait_for_requests(9)
            page.reload()
            expect(cell(page, "clear", "1.3")).to_have_accessible_name(
                "1.3 in clear: being drawn. Review"
            )
        commands.wait(run)
        expect(count_of(page, "clear")).to_have_text("2/3")
        expect(page.get_by_text("it names a real person").first).to_be_visible()
        expect(page.get_by_role("button", name="Show 1 failed beat")).to_be_visible()


def test_a_failed_beat_is_tried_again(commands: Commands, server: GeminiServer, page: Page) -> None:
    """By its own button, alone; and the filter then keeps nothing any more."""
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    root = commands.project()
    with Served(commands, root, "--base-url", server.address) as served:
        served.generate().to_end()
        page.goto(served.address)
        page.get_by_role("button", name="Show 1 failed beat").click()
        expect(page.get_by_role("row")).to_have_count(2)
        for style in STYLES:
            page.get_by_role("button", name=f"Redraw 1.2 in {style}").click()
            expect(count_of(page, style)).to_have_text("3/3")
            expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        expect(page.get_by_text("No beat has failed.")).to_be_visible()
    assert len(server.requests) == 12


def test_choosing_needs_no_mouse(commands: Commands, page: Page) -> None:
    """Every key does what it says; what is redrawn since is told, and focus comes back."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:
        served.generate().to_end()
        page.goto(served.address)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the beats")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("radio", name="All")).not_to_be_focused()
        cell(page, "clear", "1.2").focus()
        page.keyboard.press("Enter")
        review = page.get_by_role("dialog")
        expect(review.get_by_role("heading", name="Phrase 1.")).to_be_focused()
        page.keyboard.press("f")
        expect(review.get_by_text("Choose an image first")).to_be_visible()
        page.keyboard.press("2")
        expect(review.get_by_role("button", name="clear", exact=True)).to_have_attribute(
            "aria-pressed", "true"
        )
        expect(review.get_by_text("Saved: clear")).to_be_visible()
        page.keyboard.press("r")
        expect(review.get_by_text("redrawn since chosen")).to_be_visible()
        page.keyboard.press("ArrowDown")
        expect(review.get_by_role("button", name="Redraw consistent")).to_be_visible()
        page.keyboard.press("z")
        expect(review.locator("figure:visible")).to_have_count(1)
        page.keyboard.press("ArrowLeft")
        expect(review.get_by_role("heading", name="Phrase 0.")).to_be_visible()
        expect(review.get_by_role("button", name="Previous")).to_be_disabled()
        page.keyboard.press("Escape")
        expect(review.locator("figure:visible")).to_have_count(3)
        page.keyboard.press("Escape")
        expect(review).to_be_hidden()
        expect(cell(page, "consistent", "1.1")).to_be_focused()
        for name, beats in (("Redrawn since chosen", 1), ("Unchosen", 2), ("Flagged", 0)):
            page.get_by_role("radio", name=name).focus()
            page.keyboard.press("Space")
            expect(page.get_by_role("rowheader")).to_have_count(beats)


def test_redrawn_is_what_was_drawn_after_it_was_chosen(
    commands: Commands, server: GeminiServer, page: Page
) -> None:
    """While the run goes on; and what is told of it anew is no news of the picture."""
    root = commands.project(keys={"clear": ["test-key-clear-000000"]}, settings='draw = ["clear"]')
    with Served(commands, root, "--base-url", server.address) as served:
        served.generate().to_end()
        assert commands.run("choose", root, "1.1", "clear").code == 0
        choices = root / "image_selections.json"
        chosen = json.loads(choices.read_text())
        chosen["1.1"]["selectedAt"] = "2026-01-01T00:00:00Z"
        choices.write_text(json.dumps(chosen))
        # Of four a minute three are used: the run draws one more, and waits.
        keys = root / "keys.toml"
        keys.write_text(keys.read_text().replace("per_minute = 600", "per_minute = 4"))
        page.goto(served.address)
        expect(cell(page, "clear", "1.1")).to_have_accessible_name(re.compile("chosen"))
        redrawn = page.locator(".row").get_by_text("redrawn since chosen")
        expect(redrawn.filter(visible=True)).to_have_count(0)
        run = served.generate(force=True).until("start")["run"]
        expect(redrawn.filter(visible=True)).to_have_count(1)
        cell(page, "clear", "1.1").click()
        page.keyboard.press("1")
        expect(page.get_by_text("Saved: clear")).to_be_visible()
        page.reload()
        image = cell(page, "clear", "1.1").locator("img")
        expect(image).to_have_attribute("src", re.compile(run))
        expect(redrawn.filter(visible=True)).to_have_count(0)
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        served.post("/api/stop-generation")
    commands.run("status", root, "--watch")


def test_a_choice_is_taken_back_by_the_same_key(commands: Commands, page: Page) -> None:
    """As a person expects of a key that turns something on."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:
        served.generate(beat="1.1").to_end()
        page.goto(served.address)
        cell(page, "clear", "1.1").click()
        page.keyboard.press("1")
        expect(page.get_by_text("Saved: illustration")).to_be_visible()
        page.keyboard.press("1")
        expect(page.get_by_text("Saved: no image is chosen")).to_be_visible()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("1")
        expect(page.get_by_text("illustration has no image yet")).to_be_visible()
    assert json.loads((root / "image_selections.json").read_text()) == {}


def test_a_key_that_is_held_does_once_what_it_does(commands: Commands, page: Page) -> None:
    """It repeats itself: what it saves or sends would flicker; only moving goes on."""
    root = commands.project(settings=SKETCH)
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)

    def hold(key: str) -> None:
        for _ in range(4):
            page.keyboard.down(key)
        page.keyboard.up(key)

    with Served(commands, root) as served:
        served.generate().to_end()
        page.goto(served.address)
        cell(page, "clear", "1.1").click()
        hold("2")
        expect(page.get_by_text("Saved: clear", exact=True)).to_be_visible()
        hold("f")
        expect(page.get_by_text("Saved: clear, flagged")).to_be_visible()
        hold("z")
        expect(page.locator("figure:visible")).to_have_count(1)
        hold("r")
        expect(page.get_by_text("redrawn since chosen").first).to_be_visible()
        hold("ArrowRight")
        expect(page.get_by_role("heading", name="Phrase 2.")).to_be_visible()
        assert [url.removeprefix(page.url) for url in sent] == [
            "api/save-image-selection",
            "api/save-image-selection",
            "api/generate-images",
        ]


def test_a_choice_that_cannot_be_saved_is_said(commands: Commands, page: Page) -> None:
    """And shown as what it is."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:
        served.generate(beat="1.1").to_end()
        page.goto(served.address)
        cell(page, "clear", "1.1").click()
        (root / "image_selections.json").write_text("torn")
        page.keyboard.press("1")
        expect(page.get_by_text("Not saved:")).to_be_visible()
        expect(page.locator("figure[data-chosen]")).to_have_count(0)
        page.keyboard.press("Escape")
        expect(page.locator(".notice", has_text="image_selections.json")).to_be_visible()
        expect(cell(page, "clear", "1.1")).to_be_visible()


def test_what_is_blocked_is_told_by_name(
    commands: Commands, server: GeminiServer, page: Page
) -> None:
    """With its shot where the number is of several; and a new run begins without old faults."""
    rows = [row(0, beat_number="1"), row(1, beat_number="2"), row(5, beat_number="1")]
    root = commands.project(beats=rows, settings='continuity = true\ndraw = ["clear"]\n')
    server.fault(lambda request: "<0>" in request.prompt, Answer.BLOCKED)
    with Served(commands, root, "--base-url", server.address) as served:
        served.generate().to_end()
        page.goto(served.address)
        expect(cell(page, "clear", "1/1")).to_have_accessible_name(re.compile("failed"))
        expect(cell(page, "clear", "2")).to_have_accessible_name(
            "2 in clear: blocked by 1/1. Review"
        )
        expect(page.locator(".cell").get_by_text("blocked by 1/1")).to_be_visible()
        expect(cell(page, "clear", "2/1")).to_be_visible()
        expect(page.get_by_text("Shot 2", exact=True)).to_be_visible()
        with server.held():
            page.get_by_role("button", name="Start").click()
            expect(page.get_by_role("button", name="Stop")).to_be_visible()
            expect(page.locator('.cell[data-status="error"]')).to_have_count(0)
            expect(page.locator('.cell[data-status="blocked"]')).to_have_count(0)
        expect(page.get_by_text("All images are done.")).to_be_visible()


def test_no_notice_says_that_all_is_there_where_it_is_not(commands: Commands, page: Page) -> None:
    """After a run of a part, and where beat numbers changed since."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:
        served.generate(beat="1.1").to_end()
        page.goto(served.address)
        expect(page.get_by_text("6 images are missing.")).to_be_visible()
        expect(page.get_by_text("All images are done.")).to_have_count(0)
        served.generate().to_end()
        expect(page.get_by_text("All images are done.")).to_be_visible()
        (root / "beats.json").write_text(json.dumps([row(0), row(1, ai_prompt="prompt <2>")]))
        page.reload()
        expect(page.locator(".notice", has_text="Beat numbers changed: 3 images")).to_be_visible()
        expect(page.get_by_text(f"imagegen renumber {root}", exact=False)).to_be_visible()
        expect(page.get_by_text("All images are done.")).to_have_count(0)


def test_choices_made_elsewhere_are_shown(commands: Commands, page: Page) -> None:
    """Without a reload; only the row that they are about is touched."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:
        served.generate().to_end()
        page.goto(served.address)
        expect(page.get_by_text("0 of 3 chosen")).to_be_visible()
        page.evaluate(
            """() => {
                window.touched = new Set();
                new MutationObserver((changes) => {
                    for (const { target } of changes) {
                        const row = target.closest(".row");
                        window.touched.add(row.querySelector(".number").textContent);
                    }
                }).observe(document.getElementById("grid"),
                    { attributeFilter: ["aria-label", "data-chosen", "hidden"], subtree: true });
            }"""
        )
        assert commands.run("choose", root, "1.2", "clear").code == 0
        expect(page.get_by_text("1 of 3 chosen")).to_be_visible()
        expect(cell(page, "clear", "1.2")).to_have_accessible_name(re.compile("chosen"))
        touched = page.evaluate("() => [...window.touched]")
        assert [one.partition("flagged")[0] for one in touched] == ["1.2"]
        assert commands.run("choose", root, "--none", "1.2").code == 0
        expect(page.get_by_text("0 of 3 chosen")).to_be_visible()


def test_the_run_may_go_on_in_the_background(
    commands: Commands, server: GeminiServer, page: Page
) -> None:
    """The bars make room, and the page says that it may be closed."""
    root = commands.project()
    with Served(commands, root, "--base-url", server.address) as served:
        with server.held():
            page.goto(served.address)
            page.get_by_role("button", name="Start").click()
            page.get_by_role("button", name="Hide progress").click()
            expect(page.get_by_role("status").first).to_contain_text("you can close this page")
            expect(page.get_by_role("progressbar").first).to_be_hidden()
            page.goto("about:blank")
        page.goto(served.address)
        expect(count_of(page, "clear")).to_have_text("3/3")


def test_nothing_becomes_markup(commands: Commands, page: Page) -> None:
    """Words of the beats file, errors and warnings are shown as they are."""
    rows = [row(0, ai_prompt=MARKUP, script_phrase=MARKUP), row(1)]
    root = commands.project(beats=rows, settings=SKETCH)
    error = {"shot": "1", "beat": "1.1", "cause": "refused", "reason": MARKUP, "message": MARKUP}
    (root / "image_progress_clear.json").write_text(
        json.dumps({"completedBeats": [], "errors": [error]})
    )
    with Served(commands, root) as served:
        page.goto(served.address)
        expect(page.get_by_text(MARKUP, exact=True)).to_have_count(3)
        cell(page, "clear", "1.1").click()
        expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
        assert page.title() == "my-video · imagegen"
        assert page.locator("img[src='x']").count() == 0
        page.keyboard.press("Escape")
        (root / "beats.json").write_text(json.dumps([row(0, transition_type=[MARKUP])]))
        page.reload()
        expect(page.locator(".notice")).to_contain_text("beats.json")
        assert page.title() == "imagegen"


def test_a_server_that_is_gone_is_said(commands: Commands, page: Page) -> None:
    """And when it is back, though not to whom it does not know any more."""
    root = commands.project(settings=SKETCH)
    served = Served(commands, root)
    page.goto(served.address)
    expect(page.get_by_role("heading", name="my-video")).to_be_visible()
    served.close()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.get_by_role("button", name="Start · no connection")).to_be_disabled()
    with Served(commands, root, "--port", str(served.port)) as again:
        expect(page.get_by_role("alert")).to_contain_text("imagegen serve")
        page.goto(again.address)
        expect(page.get_by_role("alert")).to_be_hidden()


def test_no_button_comes_under_the_pointer_that_was_on_stop(
    commands: Commands, server: GeminiServer, page: Page
) -> None:
    """Neither with the first picture nor when the run ends: a second click would draw or open."""
    root = commands.project(per_minute=2)
    with Served(commands, root, "--base-url", server.address) as served:
        page.goto(served.address)
        expect(page.get_by_role("button", name="Review", exact=True)).to_be_disabled()
        stop = page.get_by_role("button", name=re.compile("^(Stop|Stopping|Ended)$"))

        def under_the_pointer() -> object:
            return page.evaluate("([x, y]) => document.elementFromPoint(x, y).id", [at_x, at_y])

        with server.held():
            page.get_by_role("button", name="Start").click()
            expect(stop).to_be_visible()
            box = stop.bounding_box()
            assert box is not None
            at_x, at_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            page.mouse.move(at_x, at_y)
        expect(count_of(page, "clear")).to_have_text("2/3")
        assert under_the_pointer() == "stop"
        page.mouse.click(at_x, at_y)
        expect(page.get_by_text("Stopped on request.")).to_be_visible()
        expect(stop).to_be_disabled()
        assert under_the_pointer() == "stop"
        page.mouse.click(at_x, at_y)
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_role("button", name="Start")).to_be_hidden()
        page.mouse.move(5, 400)
        expect(stop).to_be_hidden()
        expect(page.get_by_role("button", name="Start · 3 images")).to_be_enabled()


def test_notices_say_what_the_buttons_do(commands: Commands, page: Page) -> None:
    """Start carries on where it can, a time is one to come, and outdated is not all there."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:
        served.generate(beat="1.1").to_end()
        run = root / ".imagegen" / "run.json"

        def ended(reason: str, after: str | None, message: str) -> None:
            # As a run leaves it whose keys are spent, say.
            record = json.loads(run.read_text())
            record |= {"reason": reason, "resume_after": after, "exit_code": 3}
            run.write_text(json.dumps(record))
            journal = root / ".imagegen" / "runs" / f"{record['run']}.jsonl"
            lines = journal.read_text().splitlines()
            last = json.loads(lines[-1])
            last |= {"reason": reason, "resume_after": after, "messages": [message]}
            journal.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
            page.goto("about:blank")
            page.goto(served.address)
            expect(page.get_by_text(f"{message.capitalize()}.")).to_be_visible()

        carries_on = page.get_by_text("Start draws the rest.")
        go_on = page.get_by_text("It can resume from")
        ended("keys spent", "2999-01-01T00:00:00Z", "no key is left")
        expect(carries_on).to_be_visible()
        expect(go_on).to_be_visible()
        expect(page.get_by_role("button", name="Start · 6 images")).to_be_enabled()
        ended("keys spent", "2020-01-01T00:00:00Z", "no key is left")
        expect(carries_on).to_be_visible()
        expect(go_on).to_have_count(0)
        assert commands.run("run", root).code == 0
        ended("stopped", "2999-01-01T00:00:00Z", "stopped on request")
        expect(page.get_by_role("button", name="Start · nothing left to draw")).to_be_disabled()
        expect(carries_on).to_have_count(0)
        expect(go_on).to_have_count(0)
        expect(page.get_by_text("All images are done.")).to_be_visible()
        beats = root / "beats.json"
        rows = [row(0), row(1), row(2, ai_prompt="another, as nobody drew it")]
        beats.write_text(json.dumps(rows))
        page.reload()
        expect(page.get_by_text("All images are done; 3 are outdated")).to_be_visible()
        expect(page.get_by_text("All images are done.")).to_have_count(0)
        beats.write_text(json.dumps([row(1, beat_number="1.1"), row(0, beat_number="1.2"), row(2)]))
        page.reload()
        expect(page.get_by_text("Beat numbers changed:")).to_be_visible()
        expect(page.get_by_role("button", name="Start · beat numbers changed")).to_be_disabled()
        expect(carries_on).to_have_count(0)


def test_sketches_are_pictures_to_draw(commands: Commands, page: Page) -> None:
    """If another provider draws the project: Start draws over them, and nothing is missing."""
    root = commands.project(beats=2)
    assert commands.run("run", root, "--provider", "sketch").code == 0
    with Served(commands, root) as served:
        page.goto(served.address)
        expect(page.get_by_role("button", name="Start · 6 images")).to_be_enabled()
        expect(page.get_by_text("6 placeholders to replace.")).to_be_visible()
        expect(page.get_by_text("missing")).to_have_count(0)
        expect(cell(page, "clear", "1.1")).to_have_accessible_name(re.compile("a placeholder"))
        expect(cell(page, "clear", "1.1").locator("img.there")).to_be_visible()
        page.locator("#review-all").click()
        expect(page.locator("#review")).to_contain_text("a placeholder; the next run replaces it")


def test_a_redraw_while_a_run_is_active_says_so(
    commands: Commands, server: GeminiServer, page: Page
) -> None:
    """In words for people, without a process's number; and no longer than the run is active."""
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    root = commands.project(per_minute=3)
    with Served(commands, root, "--base-url", server.address) as served:
        served.generate(beat=["1.1", "1.2"]).to_end()
        keys = root / "keys.toml"
        keys.write_text(keys.read_text().replace("per_minute = 3", "per_minute = 99"))
        with server.held():
            run = commands.start("run", root, "--beat", "1.3", "--base-url", server.address)
            page.goto(served.address)
            expect(page.get_by_role("button", name="Stop")).to_be_visible()
            cell(page, "clear", "1.1").click()
            page.keyboard.press("r")
            said = page.locator("#review-said")
            expect(said).to_contain_text("A run is active: stop it, or try again")
            expect(said).not_to_contain_text("process")
            page.keyboard.press("Escape")
            page.get_by_role("button", name="Redraw 1.2 in clear").click()
            expect(page.locator(".notice", has_text="A run is active")).to_be_visible()
        commands.wait(run)
        expect(page.locator(".notice", has_text="A run is active")).to_have_count(0)


def test_a_click_enlarges_and_enter_chooses(commands: Commands, page: Page) -> None:
    """A picture is looked at before it is taken; and what is chosen may be outdated."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:
        served.generate().to_end()
        page.goto(served.address)
        cell(page, "clear", "1.1").click()
        review = page.get_by_role("dialog")
        frame = review.locator("figure").nth(2).locator(".frame")
        frame.click()
        expect(review.locator("figure:visible")).to_have_count(1)
        expect(review.locator("figure[data-chosen]")).to_have_count(0)
        frame.click()
        expect(review.locator("figure:visible")).to_have_count(3)
        expect(review.locator("figure[data-chosen]")).to_have_count(0)
        page.keyboard.press("Enter")
        expect(review.get_by_text("Saved: consistent")).to_be_visible()
        review.get_by_role("button", name="clear", exact=True).focus()
        page.keyboard.press("Enter")
        expect(review.get_by_text("Saved: clear")).to_be_visible()
        (root / "beats.json").write_text(json.dumps([row(0, ai_prompt="other words")]))
        page.reload()
        expect(page.locator(".row").get_by_text("chosen image is outdated")).to_be_visible()
        cell(page, "clear", "1.1").click()
        expect(review.get_by_text("chosen, outdated: prompt changed")).to_be_visible()


def test_no_other_port_gets_the_cookie(commands: Commands, page: Page) -> None:
    """Browsers send cookies to all ports of a host; this one is sent to the page alone."""
    heard: list[str | None] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Cookie"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with (
        Served(commands, commands.project(settings=SKETCH)) as served,
        ThreadingHTTPServer(("127.0.0.1", 0), Other) as other,
    ):
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page.goto(served.address)
        expect(page.get_by_role("heading", name="my-video")).to_be_visible()
        assert [cookie["name"] for cookie in page.context.cookies(page.url)]
        for path in ("/", "/api/project", "/favicon.ico"):
            page.goto(f"http://127.0.0.1:{other.server_port}{path}")
        other.shutdown()
    assert heard
    assert set(heard) == {None}


@pytest.mark.parametrize("another", [False, True], ids=["that run", "another since"])
def test_an_end_that_nobody_told_is_seen(
    commands: Commands, server: GeminiServer, page: Page, *, another: bool
) -> None:
    """Of a run that was shown when the connection was lost, whatever was drawn since."""
    root = commands.project()
    address = ("--base-url", server.address)
    with Served(commands, root, *address) as served:
        page.route("**/api/events", lambda route: route.abort())
        with server.held():
            run = commands.start("run", root, *address)
            assert server.wait_for_requests(9)
            page.goto(served.address)
            expect(page.get_by_role("alert")).to_contain_text("does not answer")
            expect(page.get_by_role("button", name="Stop")).to_be_visible()
        commands.wait(run)
        if another:
            done = commands.run("run", root, "--beat", "clear/1.1", "--force", *address)
            assert done.code == 0
        page.unroute("**/api/events")
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.get_by_text("All images are done.")).to_be_visible()
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        expect(page.get_by_role("button", name="Start")).to_be_visible()
        assert page.title() == "my-video · imagegen"


def test_an_event_touches_its_own_row_alone(
    commands: Commands, server: GeminiServer, page: Page
) -> None:
    """Of 300 beats too: nothing else is built or changed anew."""
    root = commands.project(beats=300)
    with Served(commands, root, "--base-url", server.address) as served:
        page.goto(served.address)
        expect(page.get_by_role("rowheader")).to_have_count(300)
        page.evaluate(
            """() => {
              window.touched = new Set();
              new MutationObserver((changes) => {
                for (const change of changes) {
                  const row = change.target.closest(".row");
                  const number = row?.querySelector(".number > span");
                  window.touched.add(number ? number.textContent : "grid");
                }
              }).observe(document.getElementById("grid"), {
                subtree: true, childList: true, attributes: true, attributeFilter: ["data-status"],
              });
            }"""
        )
        stream = served.generate(beat="7.3", style="clear")
        stream.to_end()
        expect(count_of(page, "clear")).to_have_text("1/300")
        drawn = "7.3 in clear: drawn, asked 1K, came 64 x 36. Review"
        expect(cell(page, "clear", "7.3")).to_have_accessible_name(drawn)
        assert page.evaluate("() => [...window.touched]") == ["7.3"]


def test_what_is_out_of_sight_is_not_asked_for(commands: Commands, page: Page) -> None:
    """Of a long storyboard the pictures near the screen alone, until it is scrolled."""
    root = commands.project(beats=60, settings=SKETCH + 'draw = ["clear"]\n')
    assert commands.run("run", root).code == 0
    asked: set[str] = set()
    page.on("request", lambda one: asked.add(one.url) if "/thumbnails/" in one.url else None)
    with Served(commands, root) as served:
        page.goto(served.address)
        expect(page.get_by_role("rowheader")).to_have_count(60)
        expect(cell(page, "clear", "1.1").locator("img.there")).to_be_visible()
        assert not [url for url in asked if "12.5.jpg" in url]
        cell(page, "clear", "12.5").scroll_into_view_if_needed()
        expect(cell(page, "clear", "12.5").locator("img.there")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_serious_fault(
    chromium: Browser,
    commands: Commands,
    server: GeminiServer,
    size: dict[str, int],
    scheme: Scheme,
) -> None:
    """While it draws, after it, and in review; and nothing is wider than the window."""
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    root = commands.project(per_minute=2)
    with Served(commands, root, "--base-url", server.address) as served:
        for page in _window(chromium, size, scheme):
            page.goto(served.address)
            with server.held():
                page.get_by_role("button", name="Start").click()
                expect(page.get_by_role("button", name="Stop")).to_be_visible()
                assert serious(page) == []
            expect(count_of(page, "clear")).to_have_text("1/3")
            page.get_by_role("button", name="Stop").click()
            expect(page.get_by_role("button", name="Show 1 failed beat")).to_be_visible()
            cell(page, "clear", "1.1").click()
            page.keyboard.press("2")
            expect(page.get_by_text("Saved: clear")).to_be_visible()
            assert serious(page) == []
            page.keyboard.press("Escape")
            assert serious(page) == []
            wide = "() => document.scrollingElement.scrollWidth - window.innerWidth"
            assert page.evaluate(wide) <= 0


def test_nothing_fades_for_who_asks_for_less_motion(
    commands: Commands, server: GeminiServer, page: Page
) -> None:
    """Words on a ground that is half way to another colour would be hard to read."""
    root = commands.project(beats=1)
    with Served(commands, root, "--base-url", server.address) as served:
        page.goto(served.address)
        cell(page, "clear", "1.1").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate(FADING) == []
        page.emulate_media(reduced_motion="no-preference")
        assert page.evaluate(FADING) != []


def serious(page: Page) -> list[Any]:
    """Return what axe-core finds that is serious or worse: its rule, and where."""
    found = Axe().run(page).response["violations"]
    return [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    ]


def test_the_example_is_drawn_and_shown(commands: Commands, page: Page) -> None:
    """The lighthouse, with words of its own for single styles."""
    root = Path(
        shutil.copytree(
            Path(__file__).parents[1] / "examples/lighthouse", commands.folder / "lighthouse"
        )
    )
    for left in ("generated_images", ".imagegen"):
        shutil.rmtree(root / left, ignore_errors=True)
    config = root / "imagegen.toml"
    # Most of the time would go into drawing them large.
    config.write_text('image_size = "512"\n' + config.read_text())
    with Served(commands, root) as served:
        page.goto(served.address)
        page.get_by_role("button", name="Start · 45 images").click()
        expect(page.get_by_text("All images are done.")).to_be_visible()
        cell(page, "clear", "2.3").click()
        expect(page.get_by_text("flat shapes, nothing else in the room")).to_be_visible()
