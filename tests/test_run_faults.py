"""Whatever the service answers: the beat ends as it should, and the rest is drawn."""

import datetime as dt
import json
import zoneinfo
from collections import Counter
from pathlib import Path

import pytest

from commands import STYLES, Commands, Done, picture, pictures, row
from gemini_server import Answer, GeminiServer, answers

ONE_STYLE = 'draw = ["clear"]\n'

PASSING = (
    Answer.ERROR_500,
    Answer.UNAVAILABLE,
    Answer.HTML,
    Answer.EMPTY_JSON,
    Answer.WRONG_TYPES,
    Answer.NOT_A_PICTURE,
    Answer.RESET,
    Answer.HALF_BODY,
    Answer.DRIPPING_BODY,
    Answer.DRIPPING_HEADERS,
    Answer.SILENCE,
    Answer.HUGE_BODY,
    Answer.NO_IMAGE,
    Answer.TEXT_ONLY,
    Answer.UNKNOWN_REASON,
)
PICTURES = (Answer.THOUGHTS_FIRST, Answer.JPEG_AS_PNG, Answer.WEBP)


class Mended:
    """One run in which each beat meets one odd answer, once."""

    def __init__(self, folder: Path) -> None:
        self.kinds = (*PASSING, *PICTURES)
        commands = Commands(folder)
        # Two good answers between odd ones, so that no outage is suspected.
        self.root = commands.project(
            beats=3 * len(self.kinds), settings=ONE_STYLE + "timeout = 1\n", keys=2
        )
        with GeminiServer() as server:
            for number, kind in enumerate(self.kinds):
                server.fault(f"prompt <{3 * number}>", kind)
            self.done = commands.run("run", self.root, "--base-url", server.address)
            self.requests = server.requests

    def prompts(self, number: int) -> list[str]:
        """Return the prompts that were sent for a beat."""
        return [r.prompt for r in self.requests if f"prompt <{number}>" in r.prompt]


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Mended:
    """Run once for all tests that look at it."""
    return Mended(tmp_path_factory.mktemp("mended"))


@pytest.mark.slow
@pytest.mark.xdist_group("mended")
def test_passing_faults_end_with_every_picture(mended: Mended) -> None:
    """Every beat is drawn in the end, and the run succeeds."""
    assert mended.done.code == 0, mended.done.text
    assert len(pictures(mended.root)) == 3 * len(mended.kinds)


@pytest.mark.slow
@pytest.mark.xdist_group("mended")
@pytest.mark.parametrize("kind", PASSING)
def test_passing_fault_is_tried_again(mended: Mended, kind: Answer) -> None:
    """An answer that a second try may mend is asked for twice, and its picture saved."""
    number = 3 * mended.kinds.index(kind)
    sent = mended.prompts(number)
    assert len(sent) == 2
    assert answers(picture(mended.root, "clear", number).read_bytes(), sent[0])


@pytest.mark.slow
@pytest.mark.xdist_group("mended")
@pytest.mark.parametrize("kind", PICTURES)
def test_odd_picture_is_taken_at_once(mended: Mended, kind: Answer) -> None:
    """Drafts are skipped, and JPEG or WebP is saved as PNG, without a second request."""
    number = 3 * mended.kinds.index(kind)
    sent = mended.prompts(number)
    assert len(sent) == 1
    data = picture(mended.root, "clear", number).read_bytes()
    assert data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Answer.BLOCKED, "refused"),
        (Answer.REFUSED, "refused"),
        (Answer.BAD_REQUEST, "bad request"),
    ],
)
def test_refused_beat_stops_no_other(
    commands: Commands, server: GeminiServer, kind: Answer, words: str
) -> None:
    """A refusal is asked for once, told in words, kept in the progress file, and exits 1."""
    root = commands.project(beats=4, settings=ONE_STYLE)
    server.fault("prompt <1>", kind, times=9)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 1, done.text
    assert words in done.out
    assert "clear/1.2" in done.out
    assert Counter(r.prompt.split("\n")[0] for r in server.requests)["prompt <1>"] == 1
    assert len(pictures(root)) == 3
    errors = json.loads((root / "image_progress_clear.json").read_text())["errors"]
    assert [(error["shot"], error["beat"], error["cause"]) for error in errors] == [
        ("1", "1.2", words)
    ]
    assert commands.run("status", root, "--check").code == 1


def test_a_service_that_rejects_every_request_ends_the_run(
    commands: Commands, server: GeminiServer
) -> None:
    """However many are in flight: at most three beats are in error, and no prompt is blamed."""
    root = commands.project(beats=30, keys=4)
    server.fault("prompt", Answer.BAD_REQUEST, times=999)
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    assert done.code == 2, done.text
    complete = done.events[-1]
    assert (complete["reason"], complete["resume_after"]) == ("rejected alike", None)
    counts = list(complete["counts"].values())  # type: ignore[attr-defined]
    assert 1 <= sum(style["error"] for style in counts) <= 3
    assert sum(style["pending"] for style in counts) >= 87
    assert "not for its prompt: Request contains an invalid argument." in done.err
    assert "check" not in done.err


def test_refusal_is_told_in_the_models_words(commands: Commands, server: GeminiServer) -> None:
    """What the model said instead of drawing is shown."""
    root = commands.project(beats=1, settings=ONE_STYLE)
    server.fault("prompt <0>", Answer.REFUSED)
    done = commands.run("run", root, "--base-url", server.address)
    error = json.loads((root / "image_progress_clear.json").read_text())["errors"][0]
    assert error["message"]
    assert error["message"][:40] in done.out


@pytest.mark.parametrize("kind", [Answer.MINUTE, Answer.BARE, Answer.SEVERAL])
def test_limited_key_gives_way_to_another(
    commands: Commands, server: GeminiServer, kind: Answer
) -> None:
    """After a 429 the beat goes out with another key at once, and no attempt is lost."""
    keys = {"clear": ["test-key-clear-000001", "test-key-clear-000002"]}
    root = commands.project(beats=3, keys=keys, settings=ONE_STYLE + "max_attempts = 1\n")
    server.key_mode("test-key-clear-000001", kind)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 3


def _end_one_style(commands: Commands, server: GeminiServer, kind: Answer) -> tuple[Path, Done]:
    """Run with one style's only key answered like this; the other styles' keys are good."""
    root = commands.project(beats=3, lend=False)
    server.key_mode("test-key-clear-000000", kind)
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    names = {path.parts[-3] for path in pictures(root)}
    assert len(pictures(root)) == 6
    assert names == set(STYLES) - {"clear"}
    return root, done


def test_day_quota_ends_its_style_alone(commands: Commands, server: GeminiServer) -> None:
    """A spent day ends with exit 3 and the Pacific midnight; the other styles are drawn."""
    _, done = _end_one_style(commands, server, Answer.DAY)
    complete = done.events[-1]
    assert done.code == complete["exit_code"] == 3
    after = dt.datetime.fromisoformat(str(complete["resume_after"]))
    pacific = after.astimezone(zoneinfo.ZoneInfo("America/Los_Angeles"))
    assert (pacific.hour, pacific.minute, pacific.second) == (0, 0, 0)
    assert "…0000" in done.err


@pytest.mark.parametrize("kind", [Answer.DAY, Answer.BAD_KEY])
def test_a_style_without_working_keys_is_lent_some(
    commands: Commands, server: GeminiServer, kind: Answer
) -> None:
    """With keys that others have left over, nothing stays undrawn; what happened is said."""
    root = commands.project(beats=3)
    server.key_mode("test-key-clear-000000", kind)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 9
    assert "…0000" in done.out


@pytest.mark.parametrize("kind", [Answer.LIMIT_0, Answer.BAD_KEY, Answer.LEAKED_KEY])
def test_useless_key_ends_its_style_alone(
    commands: Commands, server: GeminiServer, kind: Answer
) -> None:
    """A style whose keys a person must mend exits 2 when the others are done."""
    root, done = _end_one_style(commands, server, kind)
    assert done.code == 2, done.err
    assert done.events[-1]["resume_after"] is None
    assert "…0000" in done.err
    server.key_mode("test-key-clear-000000", None)
    assert commands.run("resume", root, "--base-url", server.address).code == 0
    assert len(pictures(root)) == 9


def test_bad_key_beside_a_good_one_is_dropped(commands: Commands, server: GeminiServer) -> None:
    """One rejected key of two is named, and costs the run nothing."""
    keys = {"clear": ["test-key-clear-000001", "test-key-clear-000002"]}
    root = commands.project(beats=5, keys=keys, settings=ONE_STYLE)
    server.key_mode("test-key-clear-000001", Answer.BAD_KEY)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert "…0001 rejected" in done.out


def test_style_without_key_exits_2_when_the_others_are_done(
    commands: Commands, server: GeminiServer
) -> None:
    """A style with beats and no key does not keep the others from being drawn."""
    root = commands.project(beats=2, keys={"clear": ["test-key-clear-000001"]})
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 2
    assert len(pictures(root)) == 2
    assert "consistent has beats to draw and no key" in done.out


def test_no_key_at_all_starts_nothing(commands: Commands) -> None:
    """Without any key the message says where keys may stand, and what works without."""
    root = commands.project()
    (root / "keys.toml").unlink()
    done = commands.run("run", root)
    assert done.code == 2
    assert "GEMINI_API_KEY" in done.err
    assert "sketch" in done.err
    assert not (root / "generated_images").exists()


def test_gone_model_ends_the_run_and_names_others(commands: Commands, server: GeminiServer) -> None:
    """A model that the service does not know is the whole run's error."""
    root = commands.project(beats=3)
    done = commands.run("run", root, "--base-url", server.address, "--model", "gemini-0-image")
    assert done.code == 2, done.text
    assert "gemini-0-image" in done.out
    assert "gemini-3.1-flash-image" in done.out
    assert not pictures(root)


def test_redirect_is_never_followed(commands: Commands, server: GeminiServer) -> None:
    """An address that redirects ends the run, and the key goes nowhere else."""
    root = commands.project(beats=2)
    with GeminiServer() as other:
        server.redirect_to = other.address
        server.fault("prompt", Answer.REDIRECT, times=99)
        done = commands.run("run", root, "--base-url", server.address)
        assert not other.requests
        assert not other.listings
    assert done.code == 2, done.text
    assert "redirect" in done.out


def test_beat_without_picture_is_given_up_after_its_attempts(
    commands: Commands, server: GeminiServer
) -> None:
    """Text instead of a picture costs attempts, and ends as an error of the beat."""
    root = commands.project(beats=3, settings=ONE_STYLE + "max_attempts = 2\n")
    server.fault("prompt <1>", Answer.TEXT_ONLY, times=99)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 1, done.text
    assert Counter(r.prompt.split("\n")[0] for r in server.requests)["prompt <1>"] == 2
    assert "no picture" in done.out


def test_fail_fast_ends_at_the_first_error(commands: Commands, server: GeminiServer) -> None:
    """With --fail-fast the first beat in error ends the run, exit 1."""
    root = commands.project(beats=60, settings=ONE_STYLE + "timeout = 1\n")
    server.latency = 0.3
    server.fault("prompt <0>", Answer.BLOCKED, times=9)
    done = commands.run("run", root, "--base-url", server.address, "--fail-fast")
    assert done.code == 1, done.text
    assert len(server.requests) < 60


def test_max_time_ends_with_exit_3_and_resumes(commands: Commands, server: GeminiServer) -> None:
    """What could not finish in the time allowed is not sent; the time to go on is given."""
    root = commands.project(
        beats=4,
        keys={"clear": ["test-key-clear-000001"]},
        per_minute=2,
        settings=ONE_STYLE + "timeout = 5\n",
    )
    address = ("--base-url", server.address, "--progress", "json")
    done = commands.run("run", root, *address, "--max-time", "20s")
    assert done.code == 3
    assert done.events[-1]["reason"] == "time"
    assert done.events[-1]["resume_after"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("time", ["1m", "2m"])
def test_time_too_short_for_anything_wants_a_person(
    commands: Commands, server: GeminiServer, time: str
) -> None:
    """A script that resumes at `resume_after` does not go round in circles."""
    root = commands.project(beats=4, settings=ONE_STYLE)
    address = ("--base-url", server.address, "--progress", "json")
    done = commands.run("run", root, *address, "--max-time", time)
    assert done.code == 3
    assert done.events[-1]["resume_after"] is None
    assert "timeout = 120" in done.err
    assert not server.requests


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row(0), row(0)], "is already row 1"),
        ([row(0, ai_prompt=None)], "missing"),
        ([row(0, beat_number="../x")], "cannot be a file name"),
        ([row(0, ai_prompts={"ilustration": "x"})], 'did you mean "illustration"?'),
        ([], "has no rows"),
    ],
)
def test_faulty_beats_start_nothing(
    commands: Commands, rows: list[dict[str, object]], words: str
) -> None:
    """Faults of the beats file are told with file and row, and nothing is drawn or changed."""
    root = commands.project(beats=rows)
    before = sorted(root.rglob("*"))
    done = commands.run("run", root, "--provider", "sketch")
    assert done.code == 2
    assert words in done.err, done.err
    assert "beats.json" in done.err
    assert sorted(root.rglob("*")) == before
