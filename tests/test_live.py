"""The live view: what it says at every moment, and that it fits every screen."""

import datetime as dt
import io
import itertools
import re
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from imagegen.display.text.sanitize import ASCII, UNICODE, Glyphs
from imagegen.display.text.wrap import wrap
from imagegen.display.views.frame import FrameRenderer
from imagegen.display.views.live import LiveView
from imagegen.display.views.run_progress import RunProgress
from imagegen.events.types import (
    BeatCounts,
    Complete,
    Event,
    Forecast,
    KeyChange,
    Progress,
    Start,
    Waiting,
    WarningEvent,
)
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import Beat
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState
from sweep import examples

STYLES = ("illustration", "clear", "consistent")
HOSTILE = "\x1b[31mred\x1b[0m [bold]x[/bold] \x07\r\n\u202eevil\u2066 画像を生成できません"
REFUSED = BeatError(cause="refused", reason="IMAGE_SAFETY", message="I cannot draw that.")


class Show:
    """A run made up by a test: events go in, lines of the screen come out."""

    def __init__(
        self,
        beats: int = 10,
        styles: tuple[str, ...] = STYLES,
        *,
        glyphs: Glyphs = UNICODE,
        watching: bool = False,
    ) -> None:
        self.beats = beats
        self.tally = RunProgress(plan(beats, styles))
        self._frames = FrameRenderer(self.tally, glyphs, watching=watching)
        self._completed = dict.fromkeys(styles, 0)
        self.happens(start())

    def happens(self, *events: Event) -> None:
        """Let events happen."""
        for event in events:
            self.tally.handle(event)

    def beat(self, number: int, *statuses: Status, style: str = "clear", **fields: object) -> None:
        """Let a beat go through statuses; `fields` are of the last one's event."""
        for status in statuses:
            self._completed[style] += status is Status.COMPLETE
            more = fields if status is statuses[-1] else {}
            self.happens(
                Progress(
                    style=style,
                    shot_number=str(number // 5 + 1),
                    beat_number=f"{number // 5 + 1}.{number % 5 + 1}",
                    status=status,
                    completed=self._completed[style],
                    total=self.beats,
                    **more,  # type: ignore[arg-type]
                )
            )

    def texts(self, width: int = 100, height: int = 40) -> list[Text]:
        """Return the frame as it is drawn."""
        return self._frames.lines(width, height)

    def lines(self, width: int = 100, height: int = 40) -> list[str]:
        """Return the frame's lines."""
        return [line.plain.rstrip() for line in self.texts(width, height)]

    def under(self, style: str, width: int = 100) -> str:
        """Return the line about a style's keys: the last of its block."""
        lines = self.lines(width)
        first = next(n for n, line in enumerate(lines) if line.startswith(style))
        return list(itertools.takewhile(bool, lines[first:]))[-1].strip()


def test_time_left_is_never_less_than_the_next_requests_countdown() -> None:
    """A forecast counts down alone; a key may be told to wait long after it."""
    show = Show(beats=4, styles=("clear", "consistent"))
    show.happens(Forecast(seconds=10.0, styles={"clear": 10.0, "consistent": 10.0}))
    show.beat(0, Status.GENERATING)
    show.happens(key("…0001", "cooling", 50.0))
    assert "next" not in show.under("consistent")
    assert left_of(show.lines()[0]) >= 49
    show.happens(Waiting(style="clear", reason="keys", message="", seconds=90.0))
    bar = next(line for line in show.lines() if line.startswith("clear"))
    assert left_of(bar) >= 89
    assert left_of(show.lines()[0]) >= 89
    # Of a style that has sent all of its own nothing is waited for.
    for number in range(4):
        show.beat(number, Status.GENERATING, style="consistent")
    bar = next(line for line in show.lines() if line.startswith("consistent"))
    assert left_of(bar) <= 10


def test_a_pause_before_another_try_counts_down() -> None:
    """As a round's does: how many beats it is about, and when they are sent."""
    show = Show(beats=2)
    error = BeatError(cause="passing", reason="HTTP 503", message="busy")
    show.beat(0, Status.GENERATING, Status.COMPLETE)
    show.beat(1, Status.GENERATING, Status.PENDING, error=error)
    show.happens(Waiting(style="clear", reason="retry", message="", seconds=8.0))
    assert "1 failed beat retried in 0:0" in show.under("clear")
    assert "to retry" not in show.under("clear")
    show.beat(1, Status.GENERATING)
    assert "retried in" not in show.under("clear")


def left_of(line: str) -> int:
    """Return the seconds that a line says are left."""
    found = re.search(r"(\d+):(\d\d) left", line)
    assert found is not None, line
    return int(found[1]) * 60 + int(found[2])


def plan(beats: int, styles: tuple[str, ...] = STYLES) -> Plan:
    """Return a plan of so many beats a style, five a shot."""
    return Plan(
        styles={
            style: tuple(
                Planned(_beat(style, number), ImageState.NOTHING, draw=True)
                for number in range(beats)
            )
            for style in styles
        }
    )


def _beat(style: str, number: int) -> Beat:
    shot = str(number // 5 + 1)
    written = f"{shot}.{number % 5 + 1}"
    return Beat(
        style=style, shot=shot, beat=written, written=written, words="words", own_words=True
    )


def start(**fields: object) -> Start:
    """Return the first event of a run."""
    defaults: dict[str, object] = {
        "project": "my-video",
        "provider": "gemini",
        "model": "m",
        "image_size": "2K",
        "aspect_ratio": "16:9",
        "styles": {"clear": BeatCounts(total=10)},
    }
    return Start(**(defaults | fields))  # type: ignore[arg-type]


def key(
    tail: str, state: str, seconds: float | None = None, message: str = "", style: str = "clear"
) -> KeyChange:
    """Return news of a key."""
    return KeyChange(style=style, key=tail, state=state, seconds=seconds, message=message)


def test_the_head_tells_the_project_and_the_time() -> None:
    """What is drawn, in which size, for how long already and for how long yet."""
    show = Show(60)
    show.happens(Forecast(seconds=62.5, styles={"clear": 62.5, "illustration": 30.0}))
    head = show.lines()[0]
    assert head.startswith("my-video · 60 beats in 12 shots · 2K 16:9  ")
    assert head.endswith("elapsed · about 1:03 left")
    assert len(head) == 100


def test_a_bar_tells_count_share_errors_and_time() -> None:
    """Each style says how far it is and how long it takes yet."""
    show = Show(30)
    for number in range(12):
        show.beat(number, Status.GENERATING, Status.COMPLETE)
    show.beat(12, Status.GENERATING, Status.ERROR, error=REFUSED)
    show.happens(Forecast(seconds=62.5, styles={"clear": 62.5}))
    bar = next(line for line in show.lines() if line.startswith("clear"))
    assert bar.split("━")[-1].strip("─").split() == ["12/30", "40", "%", "✗", "1", "1:03", "left"]
    assert "━" in bar


def test_a_waived_beat_is_settled_and_no_picture() -> None:
    """A style whose last picture is there is done; the count is that of status and summary."""
    waived = Planned(_beat("clear", 1), ImageState.NOTHING, draw=False, waived=True)
    tally = RunProgress(Plan(styles={"clear": (*plan(1, ("clear",)).styles["clear"], waived)}))
    done = {"completed": 2, "total": 2, "shot_number": "1", "beat_number": "1.1"}
    for event in (start(), Progress(style="clear", status=Status.COMPLETE, **done)):  # type: ignore[arg-type]
        tally.handle(event)
    lines = [line.plain.rstrip() for line in FrameRenderer(tally, UNICODE).lines(100, 40)]
    bar = next(line for line in lines if line.startswith("clear"))
    assert bar.split("━")[-1].strip("─").split() == ["1/2", "50", "%", "done"]
    assert lines[-1].startswith("1/2 images")


def test_a_waived_beat_that_a_watched_run_draws_is_a_picture() -> None:
    """The run was told of it by name, and who watches was not."""
    waived = Planned(_beat("clear", 0), ImageState.NOTHING, draw=False, waived=True)
    tally = RunProgress(Plan(styles={"clear": (waived,)}))
    done = {"completed": 1, "total": 1, "shot_number": "1", "beat_number": "1.1"}
    tally.handle(Progress(style="clear", status=Status.COMPLETE, **done))  # type: ignore[arg-type]
    assert (tally.there, tally.total) == (1, 1)


def test_bars_stand_under_each_other() -> None:
    """Names and numbers of any length leave the columns in line."""
    show = Show(10, ("a", "b" * 40, "clear"))
    show.beat(0, Status.GENERATING, Status.COMPLETE, style="a")
    for width in (60, 100, 200):
        lines = show.lines(width)
        bars = [line for line in lines if "/10" in line]
        assert len({line.index("/10") for line in bars}) == 1
    assert any(line.startswith("b" * 40 + " ") for line in show.lines(200))


def test_a_finished_style_is_done() -> None:
    """Nothing is waited for any more, and nothing is said of keys that are well."""
    show = Show(1)
    show.happens(key("…aaaa", "waiting", 54), Forecast(seconds=9, styles={"clear": 0.0}))
    show.beat(0, Status.GENERATING, Status.COMPLETE)
    lines = show.lines()
    bar = next(n for n, line in enumerate(lines) if line.startswith("clear"))
    assert lines[bar].endswith("done")
    assert "100 %" in lines[bar]
    assert lines[bar + 2] == ""


@pytest.mark.parametrize(
    ("news", "words"),
    [
        ([("…aaaa", "ready")], "1 key"),
        ([("…aaaa", "waiting", 53.5), ("…bbbb", "waiting", 60)], "2 keys · next request in 0:54"),
        (
            [("…aaaa", "waiting", 53.5), ("…bbbb", "cooling", 27.5)],
            "2 keys · …aaaa next in 0:54 · …bbbb cooling down 0:28",
        ),
        (
            [("…aaaa", "waiting", 53.5), ("…bbbb", "spent today", 9999)],
            "1 of 2 keys · next request in 0:54 · …bbbb daily quota used",
        ),
        (
            [("…aaaa", "cooling", 8, "slowed to 5 requests per minute")],
            "1 key · …aaaa cooling down 0:08 (slowed to 5 requests per minute)",
        ),
        (
            [("…aaaa", "no quota"), ("…bbbb", "rejected"), ("…cccc", "spent")],
            (
                "0 of 3 keys · no key left for 10 beats · …aaaa no quota for the model · "
                "…bbbb rejected · …cccc disabled, always rejected"
            ),
        ),
        (
            [(f"…{n:04}", "ready") for n in range(9)]
            + [(f"…1{n:03}", "waiting", 11.5) for n in range(3)],
            "12 keys · 9 ready, 3 next in 0:12",
        ),
        (
            [(f"…{n:04}", "waiting", 40) for n in range(4)]
            + [(f"…1{n:03}", "cooling", 11.5) for n in range(4)]
            + [(f"…2{n:03}", "rejected") for n in range(4)],
            "8 of 12 keys · 4 next in 0:40, 4 cooling down 0:12 · 4 rejected",
        ),
    ],
)
def test_keys_are_told_in_words(news: list[tuple[str, str]], words: str) -> None:
    """What the next request waits for; keys that are well are counted, others named."""
    show = Show()
    show.happens(*(key(*one) for one in news))
    assert show.under("clear", 200) == words


def test_what_ended_a_key_stays_where_room_is_short() -> None:
    """Other words are left out first, so that a key to be mended is not overlooked."""
    show = Show()
    show.happens(key("…aaaa", "rejected"), key("…bbbb", "waiting", 53.5))
    show.beat(0, Status.GENERATING)
    assert show.under("clear", 40) == "next request in 0:54 · …aaaa rejected"
    assert show.under("clear", 30) == "1 rejected"


def test_a_key_is_ready_when_its_time_has_come() -> None:
    """Nothing counts below zero: without further news it is taken to be ready."""
    show = Show()
    show.happens(key("…aaaa", "waiting", 0.0), key("…bbbb", "waiting", 30))
    assert show.under("clear") == "2 keys · 1 ready, 1 next in 0:30"


def test_a_style_without_a_key_says_so() -> None:
    """Where other styles have keys, one without them will not be drawn."""
    show = Show()
    show.happens(key("…aaaa", "ready", style="illustration"))
    assert show.under("clear") == "no key left for 10 beats"
    show.happens(Waiting(style="clear", reason="keys", message="", seconds=29.5))
    assert show.under("clear") == "next request in 0:30"


def test_a_style_that_will_be_lent_keys_says_what_it_waits_for() -> None:
    """Its own keys are gone, and it is not: no word of beats that nobody can draw."""
    show = Show()
    show.happens(key("…aaaa", "rejected"))
    show.happens(Waiting(style="clear", reason="lending", message="its keys are spent"))
    assert "waiting for keys of other styles" in show.under("clear")
    assert "no key is left" not in show.under("clear")


def test_what_is_under_way_and_what_comes_again_is_counted() -> None:
    """A style says how many beats it draws now, and how many failed and are tried again."""
    show = Show(4)
    show.happens(key("…aaaa", "ready"))
    show.beat(0, Status.GENERATING)
    show.beat(1, Status.GENERATING, Status.PENDING, error=REFUSED)
    assert show.under("clear") == "1 key · 1 in flight · 1 to retry"
    for number in (1, 2, 3):
        show.beat(number, Status.GENERATING)
    assert show.under("clear") == "1 key · all sent · 4 in flight"


def test_another_round_is_counted_down_under_its_style() -> None:
    """Beats that failed in passing wait for half a minute, and the style says so."""
    show = Show()
    show.happens(key("…aaaa", "ready"))
    for number in (0, 1):
        show.beat(number, Status.GENERATING, Status.PENDING, error=REFUSED)
    show.happens(Waiting(style="clear", reason="round", message="", seconds=19.5))
    assert show.under("clear") == "1 key · 2 failed beats retried in 0:20"


def test_an_outage_is_told_once() -> None:
    """It concerns every style: times left and keys' states say nothing meanwhile."""
    show = Show()
    show.happens(key("…aaaa", "waiting", 30), Forecast(seconds=60, styles={"clear": 60.0}))
    message = "offline since 14:31, nothing has failed"
    show.happens(Waiting(reason="offline", message=message, seconds=11.5))
    lines = show.lines()
    assert lines.count("offline since 14:31, nothing has failed · next attempt in 0:12") == 1
    assert show.under("clear") == "1 key"
    assert not [line for line in lines if line.endswith(" left")]
    show.happens(Waiting(reason="online", message="the service answers again"))
    assert "offline" not in "\n".join(show.lines())


@pytest.mark.parametrize(
    ("reason", "words", "way_out"),
    [
        ("finishing", "Stopping: 1 in flight is finished and saved", "Ctrl-C again: stop at once"),
        (
            "stopping",
            "Stopping on request: 1 in flight is finished and saved",
            "Ctrl-C twice: stop at once",
        ),
    ],
)
def test_the_end_is_told_once(reason: str, words: str, way_out: str) -> None:
    """What is still waited for is counted down, and a later outage does not hide it."""
    show = Show()
    show.beat(0, Status.GENERATING)
    show.happens(Waiting(reason=reason, message="finishing", seconds=89.5))
    show.happens(Waiting(reason="offline", message="offline since 14:31", seconds=1))
    assert show.lines().count(f"{words}, 1:30 at most") == 1
    assert show.lines()[-1].endswith(way_out)
    assert show.under("illustration") == "no more requests"


def test_failures_are_told_in_full_words() -> None:
    """The beat as it is typed, what kind of failure, the service's reason and its words."""
    show = Show()
    show.beat(5, Status.GENERATING, Status.ERROR, error=REFUSED, attempt=1)
    error = BeatError(cause="no picture", reason="NO_IMAGE", message="answered with text")
    show.beat(0, Status.GENERATING, Status.ERROR, style="consistent", error=error, attempt=4)
    show.happens(WarningEvent(message="the disk is nearly full"))
    assert [line for line in show.lines() if line[:1] in {"✗", "!"}] == [
        "✗ clear/2.1       refused, IMAGE_SAFETY: I cannot draw that.",
        "✗ consistent/1.1  no image in 4 attempts, NO_IMAGE: answered with text",
        "! the disk is nearly full",
    ]


def test_a_long_reason_goes_on_in_the_next_line() -> None:
    """Where there is room nothing is cut off; where there is none, a sign says so."""
    show = Show()
    message = " ".join(f"word{n}" for n in range(30))
    error = BeatError(cause="refused", reason="R", message=message)
    show.beat(0, Status.GENERATING, Status.ERROR, error=error)
    assert "word29" in "\n".join(show.lines(60, 40))
    lines = show.lines(60, 12)
    assert [line[-1] for line in lines if line.startswith("✗ clear")] == ["…"]


def test_of_many_failures_the_last_are_shown() -> None:
    """The others are counted."""
    show = Show(200)
    for number in range(100):
        show.beat(number, Status.GENERATING, Status.ERROR, error=REFUSED)
    lines = show.lines(100, 24)
    assert any("clear/20.5 " in line for line in lines)
    told = [line for line in lines if line.startswith("✗")]
    assert told[0] == f"✗ {100 - len(told) + 1} earlier failures"


def test_the_foot_tells_pictures_money_and_the_way_out() -> None:
    """Done, under way, spent of about how much, and what Ctrl-C does."""
    show = Show()
    show.happens(start(price=0.1), Forecast(seconds=1, cost=0.1, cost_in_all=3.0))
    show.beat(0, Status.GENERATING, Status.COMPLETE, cost=0.1)
    show.beat(1, Status.GENERATING)
    show.beat(2, Status.GENERATING)
    foot = show.lines()[-1]
    assert foot.startswith("1/30 images · 2 in flight · $0.10 of about $3.00  ")
    assert foot.endswith("  Ctrl-C: finish those 2, then stop")
    assert len(foot) == 100


def test_unknown_and_no_costs_are_left_out() -> None:
    """Where prices are not known, or nothing costs anything, money is not mentioned."""
    assert "$" not in "\n".join(Show().lines())
    show = Show()
    show.happens(start(price=0.0), Forecast(seconds=1, cost=0.0, cost_in_all=0.0))
    assert "$" not in "\n".join(show.lines())


def test_whoever_watches_may_leave() -> None:
    """From outside Ctrl-C does nothing to the run."""
    show = Show(watching=True)
    show.beat(0, Status.GENERATING)
    assert show.lines()[-1].endswith("Ctrl-C: leave; the run continues")
    show.happens(Waiting(reason="finishing", message="", seconds=9))
    assert show.lines()[-1].endswith("Ctrl-C: leave; the run continues")


def test_a_run_joined_late_is_shown_as_it_is() -> None:
    """What events say of the future counts from when they happened."""
    show = Show()
    past = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=40)).isoformat()
    show.happens(
        KeyChange(style="clear", key="…aaaa", state="waiting", seconds=99.5, time=past),
        Forecast(seconds=159.5, styles={"clear": 159.5}, time=past),
    )
    assert show.under("clear") == "1 key · next request in 1:00"
    assert show.lines()[0].endswith("about 2:00 left")


def test_short_screens_keep_what_matters_most() -> None:
    """Spaces go first, then failures, keys and glyphs; bars and the way out stay."""
    show = Show(60)
    show.happens(*(key("…aaaa", "waiting", 30, style=style) for style in STYLES))
    show.beat(0, Status.GENERATING, Status.ERROR, error=REFUSED)
    for height in range(5, 40):
        text = "\n".join(show.lines(60, height))
        assert [style for style in STYLES if style in text] == list(STYLES)
        assert "Ctrl-C" in text
        assert "my-video" in text
        assert ("I cannot draw that." in text) == (height >= 9)
        assert ("next request" in text) == (height >= 10)
        assert ("\n\n" in text) == (height >= 18)


def test_too_many_styles_show_those_that_are_drawn() -> None:
    """A style that is done gives way, and the others are counted."""
    names = tuple(f"style-{n:02}" for n in range(30))
    show = Show(1, names)
    show.beat(0, Status.GENERATING, Status.COMPLETE, style="style-00")
    lines = show.lines(80, 20)
    assert len(lines) <= 20
    assert not [line for line in lines if line.startswith("style-00")]
    assert any(line.startswith("style-01") for line in lines)
    assert any("more styles" in line for line in lines)


def test_ascii_signs_are_all_that_is_drawn() -> None:
    """A terminal without UTF-8 is sent nothing else, but for words from outside."""
    show = Show(glyphs=ASCII)
    show.happens(key("…aaaa", "cooling", 30), key("…bbbb", "rejected"))
    show.beat(0, Status.GENERATING, Status.ERROR, error=REFUSED)
    for width, height in ((100, 40), (60, 20), (30, 8)):
        assert "\n".join(show.lines(width, height)).isascii()


WORDS = st.text(max_size=60) | st.sampled_from([HOSTILE, "画" * 50, "a" * 200, ""])
SECONDS = st.none() | st.floats(0, 1e6)
STATUSES = st.sampled_from([Status.GENERATING, Status.COMPLETE, Status.ERROR, Status.PENDING])
ERRORS = st.builds(BeatError, cause=WORDS, reason=WORDS, message=WORDS)
STATES = st.sampled_from(["ready", "waiting", "cooling", "spent today", "spent", "rejected", "new"])


def _events(names: list[str], beats: int) -> st.SearchStrategy[Event]:
    style = st.sampled_from(names)
    number = st.integers(0, max(0, beats - 1))
    return st.one_of(
        st.builds(
            lambda style, number, status, error, completed: Progress(
                style=style,
                shot_number=str(number // 5 + 1),
                beat_number=f"{number // 5 + 1}.{number % 5 + 1}",
                status=status,
                completed=min(completed, beats),
                total=beats,
                error=error,
                cost=completed * 10.0,
            ),
            style,
            number,
            STATUSES,
            ERRORS,
            st.integers(0, beats),
        ),
        st.builds(
            KeyChange,
            style=style,
            key=st.integers(0, 20).map(lambda n: f"…{n:04}"),
            state=STATES,
            seconds=SECONDS,
            message=WORDS,
        ),
        st.builds(
            Waiting,
            style=st.none() | style,
            reason=st.sampled_from(["keys", "round", "offline", "finishing", "stopping", "online"]),
            message=WORDS,
            seconds=SECONDS,
        ),
        st.builds(
            Forecast,
            seconds=SECONDS,
            styles=st.dictionaries(style, SECONDS),
            cost_in_all=st.none() | st.floats(0, 1e7),
        ),
        st.builds(WarningEvent, message=WORDS),
    )


@pytest.mark.slow
@settings(deadline=None)
@given(data=st.data())
def test_every_frame_fits_its_screen(data: st.DataObject) -> None:
    """Never a line or a column more than there are, whatever happens in the run."""
    count = data.draw(st.integers(1, 12))
    names = [f"s{n}" * data.draw(st.sampled_from([1, 4, 13])) for n in range(count)]
    beats = data.draw(st.sampled_from([1, 2, 3, 10, 60, 700]))
    glyphs = data.draw(st.sampled_from([UNICODE, ASCII]))
    show = Show(beats, tuple(names), glyphs=glyphs, watching=data.draw(st.booleans()))
    show.happens(start(project=data.draw(WORDS), price=data.draw(SECONDS)))
    for _ in range(3):
        show.happens(*data.draw(st.lists(_events(names, beats), max_size=30)))
        width, height = data.draw(st.integers(1, 250)), data.draw(st.integers(1, 80))
        lines = show.texts(width, height)
        assert len(lines) <= height
        assert all(line.cell_len <= width for line in lines)
        assert all(line.plain.isprintable() for line in lines)
        if width >= 20 and height > count:
            assert sum(f"/{beats:,}" in line.plain for line in lines) >= min(count, height - 4)


@given(
    words=st.text("ab \xa0中✗", max_size=60), width=st.integers(1, 12), indent=st.integers(0, 12)
)
@settings(max_examples=examples(500))
def test_words_are_broken_for_any_width(words: str, width: int, indent: int) -> None:
    """Be it as narrow as a character, or as the indent, nothing is lost and nothing hangs."""
    lines = wrap(words, width, indent)
    assert "".join("".join(lines).split()) == "".join(words.split())
    assert all(cell_len(line) <= max(width, 2) for line in lines)


def _painted(console_options: dict[str, object], events: list[Event]) -> tuple[str, str]:
    """Return what the view wrote while it lasted, and what it wrote at its end."""
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=True,
        markup=False,
        legacy_windows=False,
        **console_options,  # type: ignore[arg-type]
    )
    view = LiveView(plan(10), console, UNICODE)
    for event in events:
        view.handle(event)
    view.tick()
    painted = out.getvalue()
    view.close()
    return painted, out.getvalue().removeprefix(painted)


def test_the_screen_is_taken_with_the_first_event_and_given_back() -> None:
    """Whatever fails before anything happened leaves the terminal as it was."""
    size: dict[str, object] = {"width": 80, "height": 24}
    painted, end = _painted(size, [start()])
    assert painted.count("\x1b[?1049h") == painted.count("\x1b[?25l") == 1
    assert "\x1b[?1049l" in end
    assert end.endswith("\x1b[?25h")
    out = io.StringIO()
    view = LiveView(plan(1), Console(file=out, force_terminal=True), UNICODE)
    view.close()
    assert out.getvalue() == ""


class _Flaky(io.StringIO):
    """A terminal on which one write fails."""

    fails = False

    def write(self, text: str, /) -> int:
        if self.fails:
            self.fails = False
            raise OSError("the line is down")
        return super().write(text)


def test_a_frame_that_fails_leaves_the_terminal_to_be_given_back() -> None:
    """Whatever is raised while a frame is painted, closing the view afterwards frees the screen."""
    out = _Flaky()
    console = Console(file=out, force_terminal=True, width=80, height=24, legacy_windows=False)
    view = LiveView(plan(10), console, UNICODE)
    view.handle(start())
    out.fails = True
    view.handle(WarningEvent(message="more"))
    with pytest.raises(OSError, match="the line is down"):
        view.tick()
    view.close()
    assert "\x1b[?1049l" in out.getvalue()
    assert out.getvalue().endswith("\x1b[?25h")


def test_only_what_changed_is_painted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame writes the lines that are not as they were; a terminal far away is not flooded."""
    # The first line has the seconds since the start.
    clock = types.SimpleNamespace(monotonic=lambda: 1.0)
    monkeypatch.setattr("imagegen.display.views.frame.time", clock)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, legacy_windows=False)
    view = LiveView(plan(10), console, UNICODE)
    view.handle(start())
    before = out.tell()
    view.handle(Waiting(reason="finishing", message="", seconds=60))
    view.tick()
    again = out.getvalue()[before:]
    assert "Stopping" in again
    assert "2K 16:9" not in again
    view.close()


def test_without_colour_nothing_is_coloured() -> None:
    """The signs alone tell everything."""
    size: dict[str, object] = {"width": 80, "height": 24}
    coloured = re.compile(r"\x1b\[([0-9]+;)*[349][0-9]m")
    event = WarningEvent(message="a warning")
    size["color_system"] = "256"
    assert coloured.search(_painted(size | {"no_color": False}, [event])[0])
    assert not coloured.search(_painted(size | {"no_color": True}, [event])[0])


def test_the_end_of_a_run_is_no_fault_of_the_view() -> None:
    """The last event is like any other."""
    complete = Complete(exit_code=0, reason="complete", counts={})
    _, end = _painted({"width": 80, "height": 24}, [start(), complete])
    assert "\x1b[?1049l" in end
