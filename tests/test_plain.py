"""The plain view: lines for pipes and logs, and what GitHub Actions makes of them."""

import io
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reports
from imagegen.display.reports import github
from imagegen.display.text import github_escape
from imagegen.display.text.charset import in_ascii, wants_ascii
from imagegen.display.text.sanitize import ASCII, UNICODE
from imagegen.display.views.github import ActionsView
from imagegen.display.views.ndjson import JsonLines
from imagegen.display.views.plain import Plain
from imagegen.errors import Exit
from imagegen.events.types import (
    BeatCounts,
    Complete,
    Event,
    Forecast,
    KeyChange,
    Start,
    Waiting,
    WarningEvent,
)
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState

HOSTILE = "\x1b[31mred\x1b[0m [bold]x[/bold] \x07\r\n::error::evil\n##[error]\u202eevil\u2066"


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


def lines_of(*events: Event) -> list[str]:
    """Return what the plain view prints for these events."""
    out = io.StringIO()
    view = Plain(reports.plan(), out, UNICODE)
    for event in events:
        view.handle(event)
    view.close()
    return out.getvalue().splitlines()


def actions_lines(*events: Event) -> list[str]:
    """Return what a GitHub Actions log gets for these events."""
    out = io.StringIO()
    view = ActionsView(reports.plan(20), out, UNICODE)
    for event in events:
        view.handle(event)
    view.close()
    return out.getvalue().splitlines()


def commands_in(lines: list[str]) -> list[str]:
    """Return the lines that the runner obeys."""
    return [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


def test_plain_lines_hold_no_control_characters() -> None:
    """Whatever events say, a pipe gets lines of printable text, one for each thing."""
    out = io.StringIO()
    view = Plain(reports.plan(), out, ASCII)
    error = BeatError(cause="refused", reason="SAFETY", message=HOSTILE)
    for event in (
        Start(project=HOSTILE, provider="p", model="m", styles={"clear": BeatCounts(total=3)}),
        reports.progress(Status.GENERATING),
        reports.progress(Status.PENDING, error=error),
        reports.progress(Status.ERROR, error=error),
        reports.progress(Status.COMPLETE, 1),
        KeyChange(style="clear", key="…abcd", state="cooling", message=HOSTILE, seconds=3),
        Waiting(reason="offline", message=HOSTILE),
        WarningEvent(message=HOSTILE),
    ):
        view.handle(event)
    view.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == 7
    assert all(line.isprintable() and line.isascii() for line in lines)


def test_an_outage_is_told_once() -> None:
    """Each look at a service that is out of reach is an event, and one line says so."""
    offline = Waiting(reason="offline", message="offline since 14:31, nothing has failed")
    online = Waiting(reason="online", message="the service answers again")
    lines = lines_of(*[offline] * 5, online, offline)
    assert [line.split()[0] for line in lines] == ["offline", "the", "offline"]


def test_the_start_tells_size_price_and_what_exists() -> None:
    """The first line has all that decides about time and money."""
    styles = {"clear": BeatCounts(total=3, pending=2, skipped=1)}
    assert lines_of(reports.start(styles=styles)) == [
        "my-video: 2 images to draw, 1 exist (gemini, flash, 1K, 16:9, about $0.067 an image)"
    ]


def test_an_outdated_picture_exists() -> None:
    """It is there in a dry run, in the summary and in status; a waived beat has none."""
    styles = {"clear": BeatCounts(total=5, pending=1, skipped=1, outdated=2, waived=1)}
    assert "1 image to draw, 3 exist (" in lines_of(reports.start(styles=styles))[0]


def test_a_waived_beat_is_no_picture() -> None:
    """Lines and heartbeat count pictures that are there, as the summary after them does."""
    waived = Planned(reports.beat("clear", 1), ImageState.NOTHING, draw=False, waived=True)
    drawn = reports.plan(1, styles=("clear",)).styles["clear"]
    clock, out = Clock(), io.StringIO()
    view = Plain(Plan(styles={"clear": (*drawn, waived)}), out, UNICODE, now=clock)
    view.handle(reports.start())
    view.handle(reports.progress(Status.COMPLETE, completed=2, total=2))
    clock.now += 30
    view.tick()
    done, heartbeat = out.getvalue().splitlines()[1:]
    assert done.split()[:3] == ["✓", "clear/1.1", "1/2"]
    assert heartbeat == "  1/2 images"


def test_the_first_forecast_is_a_line() -> None:
    """As soon as it can be told, a line says how long it takes and what it costs; once."""
    unknown = Forecast(seconds=None, cost_in_all=0.6)
    known = Forecast(seconds=63.0, cost_in_all=0.6)
    lines = lines_of(reports.start(), unknown, known, known)
    assert lines[1:] == ["  about 1:03 left, $0.60 in all"]


def test_a_wait_has_a_heartbeat() -> None:
    """While nothing happens a line comes within half a minute, and says what is waited for."""
    clock, out = Clock(), io.StringIO()
    view = Plain(reports.plan(), out, UNICODE, now=clock)
    view.handle(reports.start())
    view.handle(reports.progress(Status.GENERATING))
    view.handle(Waiting(style="clear", reason="keys", message="", seconds=600))
    begun = out.getvalue().count("\n")
    for _ in range(12):
        clock.now += 5
        view.tick()
    beats = out.getvalue().splitlines()[begun:]
    assert len(beats) == 2
    assert all(re.search(r"1 in flight, next request in (10:00|9:\d\d)$", line) for line in beats)


def test_news_that_are_no_line_do_not_keep_the_heartbeat_back() -> None:
    """Requests that start are not printed, and the line that shows life comes all the same."""
    clock, out = Clock(), io.StringIO()
    view = Plain(reports.plan(), out, UNICODE, now=clock)
    view.handle(reports.start())
    clock.now += 26
    view.handle(reports.progress(Status.GENERATING))
    assert "in flight" in out.getvalue()


def test_beats_of_several_shots_have_their_shot() -> None:
    """A number that occurs twice in a style is told with its shot, as it would be typed."""
    beats = [reports.beat("clear", n, shot=str(n), beat="1") for n in range(2)]
    planned = tuple(Planned(beat, ImageState.NOTHING, draw=True) for beat in beats)
    out = io.StringIO()
    view = Plain(Plan(styles={"clear": planned}), out, UNICODE)
    done = reports.progress(Status.COMPLETE)
    view.handle(msgspec.structs.replace(done, shot_number="1", beat_number="1"))
    assert "clear/1/1 " in out.getvalue()


def test_actions_fold_the_lines_and_point_at_errors() -> None:
    """On GitHub Actions the beats stand in a group, and errors and warnings on the page."""
    lines = actions_lines(
        reports.start(),
        WarningEvent(message="100% sure"),
        reports.progress(Status.COMPLETE, 1),
        reports.failed(message="no, never"),
        reports.complete(exit_code=Exit.BEATS_IN_ERROR, reason="errors"),
    )
    assert commands_in(lines) == [
        "::group::my-video: drawing",
        "::warning title=imagegen::100%25 sure",
        "::endgroup::",
        "::error title=no image of clear/1.1::refused, SAFETY: no, never",
    ]
    assert lines.index("::endgroup::") > lines.index("✓ clear/1.2              1/3")


def test_actions_get_ten_annotations_at_most() -> None:
    """GitHub shows ten; where there are more the tenth counts the rest."""
    lines = actions_lines(
        reports.start(), *(reports.failed(n) for n in range(20)), reports.complete(exit_code=1)
    )
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == 10
    assert errors[-1] == "::error title=imagegen::11 more beats in error"


def test_a_run_that_ends_early_is_an_error_on_the_page() -> None:
    """Without a beat in error the reason of the ending is what the page shows."""
    how = reports.complete(
        exit_code=3, reason="money", messages=("about $3 is spent, 5% left",), counts={}
    )
    assert "::error title=imagegen%3A money::about $3 is spent, 5%25 left" in actions_lines(
        reports.start(), how
    )


def test_a_group_is_closed_whatever_happens() -> None:
    """A view that hears of no ending closes its group when it is closed."""
    assert actions_lines(reports.start())[-1] == "::endgroup::"


@given(st.text())
def test_words_of_others_are_no_commands(text: str) -> None:
    """No beat, message or name can make the runner do anything."""
    words = f"::stop-commands::x {text}"
    lines = actions_lines(
        reports.start(project=words),
        Waiting(reason="offline", message=f"  ::{text}"),
        Waiting(reason="online", message=f"##[add-path]{text}"),
        reports.failed(reason=text, message=f"\n::set-output::{text}\r##[x]"),
        WarningEvent(message=f"a\n::error::{text}"),
        Complete(exit_code=1, reason=text, counts={}),
    )
    obeyed = [line.split("::")[1].split(" ")[0] for line in commands_in(lines)]
    assert sorted(obeyed) == ["endgroup", "error", "group", "warning"]
    assert all(line.isprintable() for line in lines)


def test_json_lines_are_no_commands() -> None:
    """The old kind of command works anywhere in a line: JSON has another way to write it."""
    out = io.BytesIO()
    JsonLines(out).handle(WarningEvent(message="\\##[add-path]/evil"))
    assert b"##[" not in out.getvalue()
    assert msgspec.json.decode(out.getvalue())["message"] == "\\##[add-path]/evil"


@given(st.text())
def test_markdown_shows_words_as_they_are(text: str) -> None:
    """A table's cell holds no tag, link, code or end of a cell, and no new line."""
    shown = github_escape.markdown(text)
    assert not set(shown) & set("|<>[]()`*_!\\\n\r:/@")
    assert shown.count("&") == shown.count("&#")


def test_the_page_has_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there on the page stays; the counts and the failed beats come after it."""
    page = tmp_path / "summary.md"
    page.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv(github_escape.SUMMARY, str(page))
    how = reports.complete(exit_code=1, counts=reports.counts(clear={"complete": 2, "error": 1}))
    error = BeatError(cause="refused", reason="SAFETY", message="<img src=x> | no")
    assert (
        github_escape.append(
            github.table(how, "my|video", [("clear/1.1", "words", error)], UNICODE)
        )
        is None
    )
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n### my&#124;video: 2 of 3 images done, 1 missing\n")
    assert "| style | drawn | existed | error |\n| --- | ---: | ---: | ---: |\n" in text
    assert "| clear | 2 | 0 | 1 |\n" in text
    assert "<img" not in text


def test_the_page_counts_as_the_summary_does() -> None:
    """Every beat is in a column, and what was not drawn again is there still."""
    totals = reports.counts(
        clear={"complete": 1, "skipped": 2, "outdated": 3, "waived": 4, "blocked": 5, "pending": 6}
    )
    text = github.table(reports.complete(counts=totals), "my-video", [], UNICODE, not_redrawn=6)
    printed = reports.Printed()
    printed.printer.summary(reports.ended(reports.complete(counts=totals)))
    assert "### my&#45;video: 12 of 21 images done, 5 missing, 6 not redrawn\n" in text
    assert "| style | drawn | existed | error | outdated | skipped | blocked | pending |" in text
    assert "| clear | 1 | 2 | 0 | 3 | 4 | 5 | 6 |" in text
    assert printed.lines[2].split() == text.splitlines()[4].strip("| ").split(" | ")[1:]


@pytest.mark.parametrize(("cost", "words"), [(1.2, r"about \$1.20"), (0.002, r"less than \$0.01")])
def test_the_page_tells_the_cost(cost: float, words: str) -> None:
    """A dollar sign begins no formula, and nothing else is marked."""
    text = github.table(reports.complete(cost=cost), "my-video", [], UNICODE)
    assert words in text
    assert text.count("\\") == 1


def test_a_page_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's result does not hang on GitHub's file."""
    monkeypatch.setenv(github_escape.SUMMARY, str(tmp_path))
    assert "could not be written" in (github_escape.append("x") or "")
    monkeypatch.delenv(github_escape.SUMMARY)
    assert github_escape.append("x") is None


@pytest.mark.parametrize(
    ("environment", "ascii_only"),
    [
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, True),
        ({"LANG": "C", "LC_ALL": "de_DE.UTF-8"}, False),
        ({"LANG": "C", "PYTHONUTF8": "1"}, False),
        ({"LANG": "C.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, False),
    ],
)
def test_a_c_locale_that_somebody_set_means_ascii(
    environment: dict[str, str],
    ascii_only: bool,  # noqa: FBT001
) -> None:
    """Python writes UTF-8 there; where no locale is set at all that is right."""
    assert wants_ascii(environment) is ascii_only


def test_ascii_stands_for_signs() -> None:
    """A terminal without our signs gets others, and question marks only for letters."""
    assert in_ascii("…abcd · 9 × 429 – é") == "..abcd | 9 x 429 - é"
    assert "✓ … é".encode("ascii", "imagegen.signs") == b"+ .. ?"
