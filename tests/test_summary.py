"""What is said once: how a run ended, what one would do, where a project stands, faults."""

import datetime as dt
import os
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import reports
from imagegen.display.text import formatting, size_hint
from imagegen.display.text.sanitize import ASCII
from imagegen.engine.estimate import Estimate
from imagegen.errors import Exit, InputError, InvalidInputError, UsageError
from imagegen.events.types import KeyChange, WarningEvent
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.record import DrawRequest, RunRecord
from imagegen.review.status import BeatState, FailedRedraw, ProjectStatus, StyleStatus
from imagegen.times import iso
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState
from reports import NOW, Printed, complete, counts, ended, failed, plan, start

RESUME = "imagegen resume my-video"


@pytest.fixture
def local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test live two hours east of Greenwich."""
    if sys.platform == "win32":
        pytest.skip("Windows cannot set a process's time zone")
    monkeypatch.setenv("TZ", "EET-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(hours: int, minutes: int = 0, days: int = 0) -> float:
    """Return a local time of day of the day on which the tests take place."""
    day = dt.datetime.fromtimestamp(NOW).astimezone()
    return (day.replace(hour=hours, minute=minutes) + dt.timedelta(days=days)).timestamp()


def summary(*args: Any, **fields: Any) -> Printed:
    """Return the summary of a run that ended so."""
    printed = Printed(width=200)
    printed.printer.summary(ended(*args, **fields))
    return printed


# After a run.


def test_a_summary_counts_pictures_time_and_money() -> None:
    """The first line says what matters, and a table tells it style by style."""
    totals = counts(illustration={"complete": 60}, clear={"complete": 47, "skipped": 12})
    printed = summary(complete(counts=totals, seconds=190, cost=16.77))
    assert printed.lines[0].startswith("my-video: 119 of 119 images done.   ")
    assert printed.lines[0].endswith("   3:10 · about $16.77")
    assert printed.lines[2:5] == [
        "                 drawn  existed   error",
        "  illustration      60        0       0",
        "  clear             47       12       0",
    ]
    assert "pending" not in printed.text


@pytest.mark.parametrize("vanished", [False, True])
def test_what_was_warned_of_is_not_said_twice(*, vanished: bool) -> None:
    """Of outdated pictures the summary speaks if no warning did; else it has the warning alone."""
    totals = counts(clear={"skipped": 2, "outdated": 1})
    words = "1 image is outdated: prompt changed; redraw with --outdated"
    quiet = summary(complete(counts=totals), vanished=vanished)
    assert quiet.text.count("redraw with --outdated") == 1
    warned = summary(
        complete(counts=totals), start(), WarningEvent(message=words), vanished=vanished
    )
    assert warned.text.count("outdated: ") == int(vanished)


def test_what_is_pending_has_a_column_of_its_own() -> None:
    """A run that ended early tells how much is left of each style, and how much is missing."""
    totals = counts(clear={"complete": 1, "pending": 2})
    printed = summary(complete(exit_code=3, reason="stopped", counts=totals, cost=None))
    assert printed.lines[0].startswith("my-video: 1 of 3 images done, 2 missing.")
    assert printed.lines[2].endswith("error  pending")
    assert printed.lines[3].split() == ["clear", "1", "0", "0", "2"]


def test_a_redrawn_picture_was_never_missing() -> None:
    """With --force what was not drawn again has its old picture still."""
    drawn = plan(3, styles=("clear",), found=ImageState.VALID)
    how = complete(exit_code=3, reason="money", counts=counts(clear={"complete": 1, "pending": 2}))
    done = reports.progress(Status.COMPLETE)
    printed = summary(how, start(), done, drawn=drawn)
    assert printed.lines[0].startswith("my-video: 3 of 3 images done, 2 not redrawn.")


def test_requests_are_told_by_what_came_of_them() -> None:
    """Answers by kind, 429s with the keys that got them, and tokens in short."""
    how = complete(
        requests=180,
        answers={"picture": 166, "refused": 1, "no picture": 4, "limited": 9},
        limited=9,
        input_tokens=12_345,
        output_tokens=1_234_567,
    )
    limit = KeyChange(style="clear", key="…e71a", state="cooling")
    ready = KeyChange(style="clear", key="…a1f0", state="ready")
    assert (
        "  180 requests: 166 images, 1 refused, 4 without an image, 9 × 429 (…e71a) · "
        "tokens: 12k in, 1.2M out" in summary(how, start(), ready, limit, limit).lines
    )


def test_what_costs_nothing_says_nothing_of_money() -> None:
    """A sketch is free, and an unknown price is not guessed at."""
    for cost in (0.0, None):
        assert "$" not in summary(complete(cost=cost)).text


def test_beats_that_were_not_sent_stand_in_columns() -> None:
    """As those in error do, whatever their styles are called."""
    drawn = plan(2)
    blocked = {
        style: tuple(msgspec.structs.replace(one, blocked_by=("1", "1.0")) for one in own)
        for style, own in drawn.styles.items()
        if style != "consistent"
    }
    how = complete(exit_code=1, counts=counts(illustration={"blocked": 2}, clear={"blocked": 2}))
    printed = summary(how, drawn=msgspec.structs.replace(drawn, styles=blocked))
    assert [line for line in printed.lines if "waits for" in line] == [
        "  ⊘ 1.1 (all 2 styles)  waits for 1.0",
        "  ⊘ 1.2 (all 2 styles)  waits for 1.0",
    ]


def test_an_error_that_styles_share_is_shown_once() -> None:
    """By its number and the styles; the rest is counted in images, not in lines."""
    how = complete(exit_code=1, counts=counts(**{s: {"error": 12} for s in reports.STYLES}))
    alike = [failed(n, style=style) for style in reports.STYLES for n in range(12)]
    lines = summary(how, *alike, drawn=plan(12)).lines
    assert "  ✗ 1.1 (all 3 styles)  SAFETY: I will not draw that." in lines
    assert any("… and 6 more" in line for line in lines)
    two = [failed(0, style=style) for style in reports.STYLES[:2]]
    other = failed(0, style=reports.STYLES[2], message="Nor that.")
    lines = summary(how, *two, other, drawn=plan(12)).lines
    assert "  ✗ 1.1 (illustration, clear)  SAFETY: I will not draw that." in lines
    assert "  ✗ consistent/1.1             SAFETY: Nor that." in lines


def test_beats_in_error_are_grouped_with_what_helps() -> None:
    """Each cause is one group, in the storyboard's order, ending with a command to type."""
    beats = [reports.beat("clear", n, script_phrase=f"Phrase {n}.") for n in range(3)]
    drawn = Plan(styles={"clear": tuple(Planned(b, ImageState.NOTHING, draw=True) for b in beats)})
    printed = summary(
        complete(exit_code=1, reason="errors", messages=("beats in error: clear 3",)),
        failed(2),
        failed(1, cause="no picture", reason="TEXT", message="Here is a poem."),
        failed(0),
        drawn=drawn,
        path="my video",
    )
    text = printed.text
    assert text[text.index("Refused") :].splitlines() == [
        "Refused: the same prompt will probably be refused again",
        '  ✗ clear/1.1  "Phrase 0."  SAFETY: I will not draw that.',
        '  ✗ clear/1.3  "Phrase 2."  SAFETY: I will not draw that.',
        "      imagegen check 'my video' --show clear/1.1          shows the exact prompt",
        "      imagegen redraw 'my video' clear/1.1 --prompt '…'   sends another prompt",
        "      imagegen skip 'my video' clear/1.1                  goes without this image",
        "",
        "Worth another try: the answer had no image",
        '  ✗ clear/1.2  "Phrase 1."  TEXT: Here is a poem.',
        "      imagegen run 'my video'",
    ]


@pytest.mark.parametrize(
    ("reason", "carries_on"),
    [
        ("stopped", "imagegen resume my-video --keys 'my keys.toml' --base-url http://host"),
        (
            "money",
            "imagegen resume my-video --keys 'my keys.toml' --base-url http://host --max-cost 1",
        ),
        (
            "model gone",
            "imagegen run my-video --model NAME --keys 'my keys.toml' --base-url http://host",
        ),
    ],
)
def test_what_carries_on_uses_the_same_keys(reason: str, carries_on: str) -> None:
    """No project remembers them: without these words others would be used."""
    totals = counts(clear={"complete": 1, "error": 1, "pending": 1})
    sources = ("--keys", "my keys.toml", "--base-url", "http://host")
    how = complete(exit_code=3, reason=reason, counts=totals)
    told = summary(how, failed(1, cause="passing"), sources=sources).lines
    assert told[-1].endswith(f":  {carries_on}")
    assert "      imagegen run my-video --keys 'my keys.toml' --base-url http://host" in told


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("stopped", "Resume without --limit:  imagegen resume my-video"),
        (
            "money",
            "Raise the limit to resume without --limit:  imagegen resume my-video --max-cost 1",
        ),
    ],
)
def test_what_carries_on_forgets_a_limit_and_says_so(reason: str, says: str) -> None:
    """What is left of a few beats costs less than what `resume` would draw."""
    totals = counts(clear={"complete": 2, "pending": 2})
    how = complete(exit_code=3, reason=reason, counts=totals)
    assert summary(how, start(), limited=True).lines[-1] == says


def test_a_refused_beat_that_has_its_picture_cannot_be_skipped() -> None:
    """It needs nothing: what helps is other words, or to leave it."""
    drawn = plan(1, styles=("clear",), found=ImageState.VALID)
    how = complete(exit_code=1, reason="errors", counts=counts(clear={"error": 1}))
    text = summary(how, start(), failed(0), drawn=drawn).text
    assert "imagegen redraw my-video clear/1.1 --prompt" in text
    assert "imagegen skip" not in text


def test_warnings_outlive_a_view_that_vanishes() -> None:
    """Where they were printed they stand above; of the second screen nothing is left."""
    told = [WarningEvent(message=f"warning {n}, [bold]") for n in (*range(7), 0)]
    lines = summary(complete(), start(), *told, vanished=True).lines
    assert [line for line in lines if "warning" in line] == [
        *(f"  warning: warning {n}, [bold]" for n in range(5)),
        "  … and 2 more warnings in .imagegen/run.log",
    ]
    assert "warning" not in summary(complete(), start(), *told).text


def test_many_beats_in_error_are_counted() -> None:
    """Ten of a cause are shown, which is enough to know it."""
    printed = summary(
        complete(exit_code=1), *(failed(n) for n in range(30)), drawn=plan(30, styles=("clear",))
    )
    assert printed.text.count("  ✗ ") == 10
    assert "    … and 20 more: imagegen status my-video --json" in printed.lines


@pytest.mark.usefixtures("local_time")
@pytest.mark.parametrize(
    ("how", "last"),
    [
        (
            {"exit_code": 3, "reason": "stopped", "messages": ("stopped on request",)},
            ["stopped on request", "Resume:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 130, "reason": "interrupted", "resume_after": iso(NOW)},
            ["Resume:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 3, "reason": "provider down", "resume_after": iso(NOW + 720)},
            ["Resume from 12:12, in 12 min:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 3, "reason": "keys spent", "resume_after": iso(NOW + 20 * 3600)},
            ["Resume from tomorrow 08:00, in 20 h:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 3, "reason": "money"},
            [f"Raise the limit to resume (the rest costs about $0.13):  {RESUME} --max-cost 1"],
        ),
        (
            {"exit_code": 3, "reason": "out of credit"},
            ["Add credit, then resume:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 3, "reason": "time"},
            ["Resume with a longer --max-time, or without one:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 3, "reason": "disk", "messages": ("the disk is full",)},
            ["the disk is full", "Fix this, then resume:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 2, "reason": "keys rejected", "messages": ("clear: no key is left",)},
            ["clear: no key is left", "Fix this, then resume:  imagegen resume my-video"],
        ),
        (
            {"exit_code": 2, "reason": "model gone"},
            ["Draw with one of these:  imagegen run my-video --model NAME"],
        ),
    ],
    ids=lambda how: how["reason"] if isinstance(how, dict) else "",
)
def test_every_early_ending_says_what_to_type(how: dict[str, Any], last: list[str]) -> None:
    """Why it ended, and the command that carries on, with the local time from which it can."""
    printed = summary(complete(counts=counts(clear={"complete": 1, "pending": 2}), **how))
    assert printed.lines[-len(last) :] == last


def test_a_finished_run_shows_where_its_images_are_and_one_next_step() -> None:
    """The folder of the images comes last, and the command that shows them."""
    lines = summary(complete(), start(image_size="2K")).lines
    assert lines[-2:] == [
        "  Images: my-video/generated_images",
        "  imagegen gallery my-video   shows all images side by side",
    ]


def test_an_unfinished_run_shows_where_its_images_are() -> None:
    """The images drawn so far have the same folder."""
    how = complete(
        exit_code=3, reason="stopped", counts=counts(clear={"complete": 1, "pending": 2})
    )
    assert "  Images: my-video/generated_images" in summary(how).lines


def test_a_redrawn_beat_ends_with_its_file_and_undo() -> None:
    """Undo brings back the image that was replaced."""
    drawn = plan(1, styles=("clear",), found=ImageState.VALID)
    how = complete(counts=counts(clear={"complete": 1}))
    lines = summary(how, start(), reports.progress(Status.COMPLETE), drawn=drawn).lines
    assert "  Image: my-video/generated_images/clear/Shot_1/Beat_1.1.png" in lines
    assert lines[-1] == "  imagegen undo my-video   brings the previous image back"


def test_no_progress_means_no_words_unless_something_is_wrong() -> None:
    """`--progress none` is silent after a success, and tells of errors and endings."""
    silent, told = Printed(), Printed()
    silent.printer.problems(ended(complete()))
    assert silent.text == ""
    told.printer.problems(
        ended(
            complete(exit_code=3, reason="stopped", counts=counts(clear={"pending": 2})), failed()
        )
    )
    assert "clear/1.1" in told.text
    assert told.lines[-1] == "Resume:  imagegen resume my-video"


def test_small_pictures_are_mentioned_once() -> None:
    """Where money was spent on pictures below full HD, one line says how to get it."""
    assert summary(complete()).text.count('image_size = "2K"') == 1
    assert "image_size" not in summary(complete(), start(image_size="2K")).text
    assert "image_size" not in summary(complete(cost=0.0), start(price=0.0)).text


@pytest.mark.parametrize(
    ("image_size", "ratio", "lines", "better"),
    [
        ("1K", "16:9", 768, "2K"),
        ("512", "16:9", 384, "2K"),
        ("2K", "16:9", 1536, None),
        ("1K", "9:16", 768, "2K"),
        ("1K", "1:1", 1024, "2K"),
        ("2K", "1:8", 724, "4K"),
        ("9K", "16:9", None, None),
        ("1K", "wide", None, None),
    ],
)
def test_full_hd_is_judged_by_the_shorter_side(
    image_size: str, ratio: str, lines: int | None, better: str | None
) -> None:
    """Sizes have an area; the hint names the smallest one with 1080 lines."""
    assert size_hint.short_side(image_size, ratio) == lines
    hint = size_hint.size_hint(image_size, ratio)
    assert (
        (hint is None) if better is None else (hint or "").endswith(f'"{better}" in imagegen.toml')
    )


# Before a run.


def test_a_dry_run_tells_time_and_money() -> None:
    """Style by style what would be drawn, and in all the least time and about the cost."""
    printed = Printed()
    estimate = Estimate(
        last_send_seconds={"illustration": 60.0, "clear": 0.0},
        keys={"illustration": 1, "clear": 2},
        image_size="1K",
        aspect_ratio="16:9",
        answer_seconds=8.0,
        price=0.067,
        cost=0.067 * 20,
    )
    both = plan(10, styles=("illustration", "clear"), others=3)
    printed.printer.dry_run(both, "my-video", estimate)
    assert printed.lines == [
        "my-video: 20 images would be drawn.",
        "",
        "                to draw   exist  at least",
        "  illustration       10       0      1:08",
        "  clear              10       0      0:08",
        "  3 other images of the project would not be drawn",
        "",
        "  20 requests · at least 1:08 at the keys' limits · about $1.34",
        '  Images have about 768 lines, full HD has 1080: image_size = "2K" in imagegen.toml',
    ]


def test_a_dry_run_says_what_it_does_not_know() -> None:
    """Without an answer's time or a price it says so; a style without keys is named."""
    printed = Printed()
    estimate = Estimate(
        last_send_seconds={"illustration": 60.0, "clear": None}, keys={"illustration": 1}
    )
    printed.printer.dry_run(plan(2, styles=("illustration", "clear")), "my-video", estimate)
    least = "at least 1:00 at the keys' limits"
    assert printed.lines[3:] == [
        "  illustration        2       0      1:00",
        "  clear               2       0    no key",
        "",
        f"  2 requests · {least}, and one answer's time · cost unknown",
        "  clear cannot be drawn: no key; add one to keys.toml under [keys]",
    ]


def test_a_dry_run_with_nothing_to_do_says_so() -> None:
    """Where every picture is there neither time nor money is told."""
    printed = Printed()
    there = plan(2, styles=("clear",), found=ImageState.VALID, draw=False)
    printed.printer.dry_run(
        there, "my-video", Estimate(last_send_seconds={"clear": 0.0}, price=0.067)
    )
    assert printed.lines[0] == "my-video: 0 images would be drawn, 2 exist."
    assert printed.lines[-1].split() == ["clear", "0", "2"]


# Where a project stands.


def standing(*marks: str, style: str = "clear", **fields: Any) -> ProjectStatus:
    """Return where a project stands: a string of ✓, ↻, ✗ (refused), ! (passing) and ◦ a shot."""
    kinds = {
        "✓": Status.COMPLETE,
        "↻": Status.OUTDATED,
        "✗": Status.ERROR,
        "!": Status.ERROR,
        "◦": Status.PENDING,
    }
    errors = {
        "✗": BeatError(cause="refused", reason="SAFETY", message="No."),
        "!": BeatError(cause="passing", reason="HTTP 503", message="Busy."),
    }
    beats = tuple(
        BeatState(
            shot_number=str(shot),
            beat_number=f"{shot}.{number}",
            status=kinds[mark],
            error=errors.get(mark),
        )
        for shot, row in enumerate(marks, 1)
        for number, mark in enumerate(row, 1)
    )
    found = [beat.status for beat in beats]
    own = StyleStatus(
        total=len(beats),
        complete=found.count(Status.COMPLETE),
        outdated=found.count(Status.OUTDATED),
        error=found.count(Status.ERROR),
        pending=found.count(Status.PENDING),
        beats=beats,
    )
    defaults: dict[str, Any] = {"project": "my-video", "active": False, "price": 0.1}
    return ProjectStatus(**(defaults | fields), styles={style: own})


def status(found: ProjectStatus, width: int = 80) -> list[str]:
    """Return the lines of `imagegen status`."""
    printed = Printed(width=width)
    printed.printer.status(found, "my-video", NOW)
    return printed.lines


def last_run(**fields: Any) -> RunRecord:
    """Return the record of a run that began at 14:02 on the tests' day."""
    defaults: dict[str, Any] = {
        "run": "r",
        "root_run": "r",
        "pid": 7,
        "started": iso(at(14, 2)),
        "asked": DrawRequest(),
    }
    return RunRecord(**(defaults | fields))


def sketched(marks: str, placeholders: int, **fields: Any) -> ProjectStatus:
    """Return where a project stands after a preview that drew so many placeholders."""
    status = standing(marks, **fields)
    own = msgspec.structs.replace(status.styles["clear"], placeholder=placeholders)
    return msgspec.structs.replace(status, styles={"clear": own})


@pytest.mark.usefixtures("local_time")
def test_a_status_tells_when_the_last_run_was() -> None:
    """Times are this place's, and a run of another day has its date."""
    ended_today = last_run(ended=iso(at(14, 5)), exit_code=1)
    assert status(standing("✓◦", last_run=ended_today))[0] == (
        "my-video · 1/2 images · no active run · last run 14:02–14:05, exit 1"
    )
    day = dt.datetime.fromtimestamp(at(14, 2, days=-3)).strftime("%d %b").lstrip("0")
    before = last_run(started=iso(at(14, 2, days=-3)), ended=iso(at(14, 5, days=-3)), exit_code=0)
    assert f"last run {day} 14:02–14:05, exit 0" in status(standing("✓", last_run=before))[0]
    assert status(standing("✓"))[0].endswith("no run yet")


def test_a_status_shows_beats_by_shot_and_errors_by_cause() -> None:
    """A sign for each beat, a blank between shots, and what is in error with its numbers."""
    lines = status(standing("✓✓✗", "✗✓!"), width=90)
    assert lines[2].startswith("clear  ━")
    assert lines[2].endswith("3/6  50 %  ✗ 2 refused: 1.3, 2.1  ✗ 1 passing: 2.3")
    assert lines[3] == "  ✓✓✗ ✗✓✗"
    assert "  ✗ clear/2.3  passing, HTTP 503: Busy." in lines


def test_a_status_with_many_errors_counts_them() -> None:
    """The first numbers of a cause are shown, and why of the first beats."""
    lines = status(standing("✗" * 30))
    assert "  ✗ 30 refused: 1.1, 1.2, 1.3, 1.4, 1.5 and 25 more" in lines
    assert "    … and 25 more; status --json lists all" in lines


def test_a_status_names_what_could_not_be_redrawn() -> None:
    """Counted as the picture that is there, and told apart from beats without one."""
    found = standing("✓✓✗")
    error = BeatError(cause="no picture", reason="TEXT", message="A poem.")
    failed = tuple(
        FailedRedraw(shot_number="1", beat_number=f"1.{n + 1}", error=error) for n in range(7)
    )
    own = msgspec.structs.replace(found.styles["clear"], failed_redraws=failed)
    lines = status(msgspec.structs.replace(found, styles={"clear": own}))
    assert lines[2].split()[2:] == ["2/3", "66", "%", "✗", "1", "refused:", "1.3"]
    at = lines.index("Not redrawn in the last run; the previous images are still there")
    assert lines[at + 1] == "  clear/1.1  no picture, TEXT: A poem."
    assert lines[at + 6] == "    … and 2 more; status --json lists all"


def test_a_status_of_very_many_beats_is_condensed() -> None:
    """Rows that are alike are counted; those in which something is missing are shown."""
    lines = status(standing(*["✓" * 50] * 100, "✓◦✓", *["✓" * 50] * 100))
    assert len(lines) < 20
    assert any("◦" in line for line in lines)
    assert sum("complete" in line for line in lines) == 2


def test_a_status_fits_its_width() -> None:
    """No line of signs or bar is wider than the terminal."""
    lines = status(standing(*["✓◦✗!" * 7] * 9), width=60)
    assert all(len(line) <= 60 for line in lines if "clear/" not in line)


@pytest.mark.usefixtures("local_time")
@pytest.mark.parametrize(
    ("found", "last"),
    [
        (standing("✓✓"), ["All images are done."]),
        (standing("✓◦"), ["Next: imagegen run my-video     1 image, about $0.10"]),
        (standing("✓◦", price=None), ["Next: imagegen run my-video     1 image"]),
        (
            standing("✗◦"),
            [
                "Next: imagegen run my-video     2 images, about $0.20",
                "Refused prompts will probably be refused again:",
                "  imagegen check my-video --show clear/1.1          shows the exact prompt",
                "  imagegen redraw my-video clear/1.1 --prompt '…'   sends another prompt",
                "  imagegen skip my-video clear/1.1                  goes without this image",
            ],
        ),
        (
            standing("✓✗"),
            [
                "Next:",
                "  imagegen check my-video --show clear/1.2          shows the exact prompt",
                "  imagegen redraw my-video clear/1.2 --prompt '…'   sends another prompt",
                "  imagegen skip my-video clear/1.2                  goes without this image",
            ],
        ),
        (
            standing("↻✗"),
            [
                "  imagegen skip my-video clear/1.2                  goes without this image",
                "Next: imagegen run my-video --outdated     1 image, about $0.10",
            ],
        ),
        (
            standing("✓◦", last_run=last_run()),
            ["Next: imagegen resume my-video     1 image, about $0.10"],
        ),
        (
            standing(
                "✓◦",
                resume_after=iso(NOW + 720),
                last_run=last_run(ended=iso(NOW), exit_code=Exit.ENDED_EARLY),
            ),
            [
                "Next: imagegen resume my-video     1 image, about $0.10",
                "      from 12:12, in 12 min",
            ],
        ),
        (
            sketched("◦◦◦", 2, last_run=last_run(asked=DrawRequest(provider="sketch"))),
            ["Next: imagegen resume my-video     1 image"],
        ),
        (
            standing("✓◦", last_run=last_run(asked=DrawRequest(styles=("clear",)))),
            [
                "Next:",
                "  imagegen resume my-video   continues the last run's selection",
                "  imagegen run my-video      draws everything missing: 1 image, about $0.10",
            ],
        ),
        (
            standing("✓◦", beats_file="beats.json", last_beats_file="y2/alt.json"),
            [
                "The last run read y2/alt.json (--beats); this is beats.json.",
                'beats = "y2/alt.json" in imagegen.toml keeps it',
                "  imagegen status my-video --beats my-video/y2/alt.json   shows its status",
            ],
        ),
        (
            standing("✓✓", beats_file="beats.json", last_beats_file="/x/\x1b[2J\nrm ~"),
            [
                "The last run read /x/\\u001b[2J rm ~ (--beats); this is beats.json.",
                "  imagegen status my-video --beats '/x/\\u001b[2J rm ~'   shows its status",
            ],
        ),
        (
            standing("✓◦", beats_file="y2/alt.json", beats_named=True),
            ["Next: imagegen run my-video --beats my-video/y2/alt.json     1 image, about $0.10"],
        ),
        (
            standing("◦", active=True, pid=7, last_run=last_run()),
            [
                "  imagegen status my-video --watch   follows the run",
                "  imagegen stop my-video             stops it; resume continues",
            ],
        ),
    ],
)
def test_a_status_says_what_to_type_next(found: ProjectStatus, last: list[str]) -> None:
    """The command that fits: resume what ended early, run what is missing, look at words."""
    assert status(found)[-len(last) :] == last


@pytest.mark.usefixtures("local_time")
def test_an_active_run_is_named() -> None:
    """The process, and since when it runs."""
    found = standing("◦", active=True, pid=7, last_run=last_run())
    assert "running as process 7 since 14:02" in status(found)[0]


# Faults, and words.


def test_faults_are_shown_with_row_field_and_hint() -> None:
    """The first 60 are shown in order, and the rest are counted."""
    printed = Printed()
    faults = [
        InputError(file="v/beats.json", row=n, field="ai_prompt", message=f"no {n}", hint="add it")
        for n in range(110, 0, -1)
    ]
    printed.printer.error(InvalidInputError(faults, {"v/beats.json": 160}), "v")
    shown = printed.text
    assert "v/beats.json: 110 errors in 160 rows. Nothing was drawn or changed." in shown
    assert shown.index("row 1 ") < shown.index("row 2 ")
    assert "row 60" in shown
    assert "row 61" not in shown
    assert "50 more" in shown
    assert printed.lines[-1].startswith("Fix them, then check without drawing:  imagegen check v  ")
    assert printed.lines[-1].endswith("exit 2")


def test_one_cause_is_shown_once() -> None:
    """What is wrong with many rows in the same way is one fault, with the rows that have it."""
    printed = Printed()
    shot = [
        InputError(file="b.json", row=n, field="shot_number", message='"shot" should be so')
        for n in range(1, 9)
    ]
    prompt = [
        InputError(
            file="b.json", row=n, line=3 * n, field="ai_prompt", message="missing", detail="x"
        )
        for n in (1, 2, 3, 7)
    ]
    lone = InputError(file="b.json", row=5, line=15, field="id", message="odd", detail="so")
    printed.printer.error(InvalidInputError([*shot, *prompt, lone], {"b.json": 8}), ".")
    assert printed.lines[0] == "b.json: 3 errors in 8 rows. Nothing was drawn or changed."
    assert printed.lines[2:5] == [
        '  all 8 rows       shot_number  "shot" should be so',
        "  rows 1–3, 7      ai_prompt    missing",
        "  row 5 (line 15)  id           odd (so)",
    ]


def test_a_syntax_error_is_shown_in_its_line() -> None:
    """A caret is below the place, also in a long line and behind wide characters."""
    printed = Printed()
    near = InputError(
        file="b.json", line=4, column=5, message="a comma is missing", source='{"雨" "b": 1}'
    )
    far = InputError(
        file="b.json", line=9, column=301, message="what is this", source="x" * 300 + "!" + "y" * 99
    )
    printed.printer.error(InvalidInputError([near, far]), ".")
    at = printed.lines.index("  line 4, column 5    a comma is missing")
    excerpt, caret = printed.lines[at + 1 : at + 3]
    assert excerpt == '    4 | {"雨" "b": 1}'
    assert caret == "      |      ^"
    excerpt, caret = printed.lines[at + 4 : at + 6]
    assert excerpt[caret.index("^")] == "!"
    assert len(excerpt) <= 100


def test_few_faults_are_not_hidden_behind_many() -> None:
    """What is wrong with the settings stands above the beats, whatever the files' names."""
    printed = Printed()
    faults = [InputError(file="beats.json", row=n + 1, message=f"no {n}") for n in range(110)]
    faults.append(InputError(file="imagegen.toml", field="timeout", message="too short"))
    printed.printer.error(InvalidInputError(faults), ".")
    assert "  timeout  too short" in printed.lines
    assert "  row 59  no 58" in printed.lines
    assert "51 more" in printed.text


def test_an_error_has_its_hint_below_it() -> None:
    """What went wrong stands first, what to do comes after it."""
    printed = Printed()
    printed.printer.error(UsageError("no such thing\nmore of it", hint="do that"))
    assert printed.lines == ["imagegen: no such thing", "  more of it", "  do that"]


def test_poor_terminals_lose_no_words() -> None:
    """Signs that ASCII does not have are written in others."""
    printed = Printed(ASCII)
    how = complete(limited=2, answers={"limited": 2})
    event = KeyChange(style="clear", key="…e71a", state="cooling")
    printed.printer.summary(ended(how, start(), event, failed()))
    assert printed.text.isascii()
    assert "2 x 429 (..e71a)" in printed.text


@pytest.mark.skipif(os.name != "posix", reason="other shells quote in another way")
@pytest.mark.parametrize("path", ["my-video", "my video", "it's", "a;b", "$(x)", "-v"])
def test_commands_can_be_typed(path: str) -> None:
    """A shell takes a suggested command apart into the words that are meant."""
    said = shlex.split(formatting.project_command("resume", path))
    assert said[:2] == ["imagegen", "resume"]
    assert os.path.normpath(said[2]) == path
    assert not said[2].startswith("-")
    assert formatting.project_command("run", ".", "--style", "x") == "imagegen run --style x"


def test_money_and_spans_are_short() -> None:
    """As a person would say them."""
    assert [formatting.money(d) for d in (0.0, 0.001, 16.774, 1234.5)] == [
        "$0.00",
        "less than $0.01",
        "$16.77",
        "$1,234.50",
    ]
    assert [formatting.price(d) for d in (0.067, 0.1, 0.24)] == ["$0.067", "$0.10", "$0.24"]
    assert [formatting.minutes(s) for s in (3, 89, 720, 7200, 7500, 5 * 86400)] == [
        "3 s",
        "89 s",
        "12 min",
        "2 h",
        "2 h 5 min",
        "5 days",
    ]
    assert [formatting.tokens(n) for n in (950, 12_345, 999_600, 1_234_567)] == [
        "950",
        "12k",
        "1.0M",
        "1.2M",
    ]


def test_a_time_that_is_none_is_shown_as_it_stands() -> None:
    """A journal of somebody else's may say anything."""
    assert formatting.local_time("soon\x1b[2J", NOW) == "soon\\u001b[2J"
    assert formatting.local_time("9999-12-31T23:59:59+00:00", NOW)
    assert formatting.seconds_until("soon", NOW) == 0
