"""A storyboard is edited after it was drawn: what runs and commands then do with its pictures."""

import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NamedTuple

import pytest
from PIL import Image

import gemini_replies
from broken import NO_HARD_LINKS
from commands import STYLES, Commands, Done, picture, pictures, row
from gemini_server import GeminiServer, answers
from imagegen.images import png
from imagegen.project.record import DrawRequest
from imagegen.workspace.reading import read_project

BEATS = 60
ONE_STYLE = 'draw = ["clear"]\n'
_WHO = ("boat", "lamp", "keeper", "storm", "gull", "letter", "stair", "harbour", "child", "clock")
_WHERE = ("on a cliff", "under water", "at dawn", "in thick fog", "by candlelight", "from far up")


class Row(NamedTuple):
    """A row of the storyboard: which picture is its own, if any was drawn, and its words."""

    was: int | None
    words: str


ROWS = [
    Row(n, f"The {_WHO[n % 10]}, {_WHERE[n // 10]}, {hashlib.md5(bytes([n])).hexdigest()}")
    for n in range(BEATS)
]
NEW = Row(None, "Something that nobody has drawn yet: zebras.")

Places = dict[tuple[str, int], bytes]
"""The bytes of pictures by style and by which row they lie at."""


def write(root: Path, rows: Sequence[Row], style: str | None = None) -> None:
    """Write a storyboard, numbered from the first; with `style` its words are for that alone."""
    every = {s: rows if style in {None, s} else ROWS[: len(rows)] for s in STYLES}
    shared: list[dict[str, object]] = [row(n, ai_prompt=one.words) for n, one in enumerate(rows)]
    apart: list[dict[str, object]] = [
        row(n, ai_prompt=None, ai_prompts={s: own[n].words for s, own in every.items()})
        for n in range(len(rows))
    ]
    (root / "beats.json").write_text(json.dumps(apart if style else shared), encoding="utf-8")


def draw(root: Path, *, styles: Sequence[str] = STYLES) -> None:
    """Draw a project's beats as a run with Gemini would, but at once."""
    project = read_project(root, DrawRequest())
    for beat in (beat for style in styles for beat in project.beats[style]):
        told = project.expected(beat), project.composer.texts(beat, 1_700_000_000.0)
        prompt = project.composer.request(beat).prompt
        path = project.layout.picture(beat.style, *beat.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(png.add_metadata(gemini_replies.png(prompt), *told)))


def lying(root: Path) -> Places:
    """Return what lies at the places of 70 beats."""
    every = ((style, n, picture(root, style, n)) for style in STYLES for n in range(70))
    return {(style, n): path.read_bytes() for style, n, path in every if path.exists()}


def at_their_beats(rows: Sequence[Row], before: Places, styles: Sequence[str] = STYLES) -> Places:
    """Return where pictures belong once the storyboard has these rows."""
    moved = {
        (style, n): before[style, one.was]
        for style in styles
        for n, one in enumerate(rows)
        if one.was is not None
    }
    return {place: data for place, data in before.items() if place[0] not in styles} | moved


def files(root: Path) -> Mapping[str, bytes]:
    """Return every file of a project that is not in our own folder."""
    every = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in every
        if ".imagegen" not in path.relative_to(root).parts
    }


def status(commands: Commands, root: Path) -> dict[str, dict[str, Any]]:
    """Return what `status --json` tells of each style."""
    done = commands.run("status", root, "--json")
    assert done.code == 0, done.text
    told: dict[str, dict[str, Any]] = json.loads(done.out)["styles"]
    return told


def progress(root: Path, style: str = "clear") -> list[str]:
    """Return the numbers that a progress file has as complete."""
    told: list[str] = json.loads((root / f"image_progress_{style}.json").read_text())[
        "completedBeats"
    ]
    return told


def numbers(count: int) -> list[str]:
    """Return the numbers of so many rows."""
    return [str(row(n)["beat_number"]) for n in range(count)]


def went_well(done: Done) -> Done:
    """Fail with what a command has said, unless it did what it was asked for."""
    assert done.code == 0, done.text
    return done


@pytest.fixture
def drawn(commands: Commands) -> Path:
    """Return a project of 60 beats in three styles, all of them drawn."""
    root = commands.project(beats=1)
    write(root, ROWS)
    draw(root)
    return root


@pytest.fixture
def one_style(commands: Commands) -> Path:
    """Return a project of 30 beats in one style, drawn, with the words of one edited since."""
    root = commands.project(beats=1, settings=ONE_STYLE)
    write(root, ROWS[:30])
    draw(root, styles=["clear"])
    write(root, [*ROWS[:12], NEW, *ROWS[13:30]])
    return root


# Outdated.


def test_status_tells_which_picture_is_outdated_and_why(
    commands: Commands, one_style: Path
) -> None:
    """An edited prompt makes its own picture outdated, and that is settled for scripts."""
    told = status(commands, one_style)["clear"]
    assert (told["total"], told["complete"], told["outdated"], told["pending"]) == (30, 29, 1, 0)
    (beat,) = [beat for beat in told["beats"] if beat["status"] == "outdated"]
    assert (beat["beat_number"], beat["changed"]) == ("3.3", ["words"])
    said = went_well(commands.run("status", one_style, "--check")).out
    assert "1 outdated, prompt changed: 3.3" in said
    assert f"imagegen run {one_style} --outdated" in said
    place = next(path for path in pictures(one_style) if path.name == "Beat_1.1.png")
    place.unlink()
    said = commands.run("status", one_style).out
    assert "Next: imagegen run" in said
    assert "also redraws 1 outdated image" in said


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('draw = ["clear"]\n[styles.clear]\nlook = "Ink."\n', "look"),
        ('draw = ["clear"]\nmodel = "gemini-3-pro-image"\n', "model"),
        ('draw = ["clear"]\nimage_size = "2K"\n', "size"),
        ('draw = ["clear"]\naspect_ratio = "1:1"\n', "aspect ratio"),
    ],
)
def test_what_the_settings_say_otherwise_outdates_every_picture(
    commands: Commands, settings: str, reason: str
) -> None:
    """Each setting that pictures depend on is named as the reason."""
    root = commands.project(beats=3, settings=ONE_STYLE)
    draw(root, styles=["clear"])
    (root / "imagegen.toml").write_text(settings)
    told = status(commands, root)["clear"]
    assert [beat["changed"] for beat in told["beats"]] == [[reason]] * 3


def test_a_new_reference_outdates_hard_cuts_alone(commands: Commands) -> None:
    """What is sent without a reference is not of another one."""
    root = commands.project(beats=7, settings=ONE_STYLE)
    draw(root, styles=["clear"])
    Image.new("RGB", (32, 18), "teal").save(root / "style_reference.png")
    told = status(commands, root)["clear"]["beats"]
    changed = {beat["beat_number"]: beat["changed"] for beat in told if beat["changed"]}
    assert changed == {"1.1": ["references"], "2.1": ["references"]}


def test_run_leaves_outdated_pictures_and_says_so(
    commands: Commands, server: GeminiServer, one_style: Path
) -> None:
    """Nothing is paid for twice that nobody asked for twice."""
    before = lying(one_style)
    done = went_well(commands.run("run", one_style, "--base-url", server.address))
    assert not server.requests
    assert lying(one_style) == before
    assert "1 image is outdated: prompt changed; redraw with --outdated" in done.text


def test_outdated_draws_just_those_and_undo_brings_them_back(
    commands: Commands, server: GeminiServer, one_style: Path
) -> None:
    """One request for the one edited beat; the old picture is kept, and comes back as it was."""
    before = lying(one_style)
    done = went_well(commands.run("run", one_style, "--outdated", "--base-url", server.address))
    (request,) = server.requests
    assert request.prompt.startswith(f"{NEW.words}\n\n")
    now = picture(one_style, "clear", 12)
    assert answers(now.read_bytes(), request.prompt)
    (kept,) = (one_style / "old_images").rglob("*.png")
    assert kept.name == "Beat_3.3.png"
    assert kept.read_bytes() == before["clear", 12]
    assert "outdated" not in done.out.splitlines()[-1]
    assert status(commands, one_style)["clear"]["complete"] == 30
    undone = went_well(commands.run("undo", one_style)).out
    assert "The image it replaced is in old_images/." in undone
    assert lying(one_style) == before
    assert status(commands, one_style)["clear"]["outdated"] == 1
    assert progress(one_style) == numbers(30)


@pytest.mark.parametrize("options", [(), ("--outdated",)])
def test_events_count_what_is_outdated(
    commands: Commands, server: GeminiServer, one_style: Path, options: Sequence[str]
) -> None:
    """At the start and at the end, on stdout and in the journal alike."""
    asked = ("--progress", "json", "--base-url", server.address)
    shown: list[dict[str, Any]] = went_well(commands.run("run", one_style, *options, *asked)).events
    (journal,) = (one_style / ".imagegen/runs").glob("*.jsonl")
    journalled = [json.loads(line) for line in journal.read_text().splitlines()]
    for events in (shown, journalled):
        (start,) = (e["styles"]["clear"] for e in events if e["type"] == "start")
        (end,) = (e["counts"]["clear"] for e in events if e["type"] == "complete")
        left = {
            "total": 30,
            "skipped": 29,
            "complete": 0,
            "pending": 0,
            "error": 0,
            "waived": 0,
            "blocked": 0,
        }
        if options:
            assert start == {**left, "pending": 1, "outdated": 0}
            assert end == {**left, "complete": 1, "outdated": 0}
        else:
            assert start == end == {**left, "outdated": 1}


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--outdated", "--force"])
def test_more_than_ten_need_a_word_of_consent(
    commands: Commands, server: GeminiServer, option: str
) -> None:
    """Without a terminal --yes has to be given; the message has the number and the price."""
    root = commands.project(beats=11, settings=ONE_STYLE)
    draw(root, styles=["clear"])
    (root / "imagegen.toml").write_text(f'{ONE_STYLE}[styles.clear]\nlook = "Ink."\n')
    before = files(root)
    address = ("--base-url", server.address)
    refused = commands.run("run", root, option, *address)
    assert refused.code == 2
    assert "11 existing images would be redrawn for about $0.37" in refused.err
    assert "--yes" in refused.err
    assert not server.requests
    assert files(root) == before
    if os.name == "posix":
        closed = ("sh", "-c", 'exec "$@" <&-', "sh")
        told = commands.wait(commands.start("run", root, option, *address, under=closed))
        assert (told.code, told.err) == (refused.code, refused.err)
    went_well(commands.run("run", root, option, "--shot", 1, "--shot", 2, *address))
    assert len(server.requests) == 10
    went_well(commands.run("run", root, option, "--yes", *address))
    assert len(server.requests) == (11 if option == "--outdated" else 21)


def test_resume_after_outdated_sends_nothing_twice(
    commands: Commands, server: GeminiServer
) -> None:
    """What a run with --outdated and a limit has left is drawn by `resume`, and nothing else."""
    root = commands.project(beats=6, settings=ONE_STYLE)
    draw(root, styles=["clear"])
    (root / "imagegen.toml").write_text(f'{ONE_STYLE}[styles.clear]\nlook = "Ink."\n')
    address = ("--base-url", server.address)
    went_well(commands.run("run", root, "--outdated", "--limit", 2, *address))
    went_well(commands.run("resume", root, *address))
    assert set(Counter(r.prompt for r in server.requests).values()) == {1}
    assert len(server.requests) == 6


# Numbers that have moved.


class Edit(NamedTuple):
    """The storyboard after somebody edited it, and how many beats a run then draws a style.

    `moved` is how many pictures of a style change places, `gone` how many give way.
    """

    rows: Sequence[Row]
    moved: int
    drawn: int
    gone: int = 0


def exchanged(rows: Sequence[Row], one: int, other: int) -> list[Row]:
    """Return the rows with two of them in each other's place."""
    found = list(rows)
    found[one], found[other] = found[other], found[one]
    return found


_EDITED = Row(40, ROWS[40].words.replace(",", ", this time in red,", 1))

EDITS = {
    "inserted": Edit([*ROWS[:30], NEW, *ROWS[30:]], moved=30, drawn=1),
    "deleted": Edit([*ROWS[:20], *ROWS[21:]], moved=39, drawn=0, gone=1),
    "swapped": Edit(exchanged(ROWS, 7, 44), moved=2, drawn=0),
    "moved to another shot": Edit([*ROWS[:3], *ROWS[4:50], ROWS[3], *ROWS[50:]], moved=47, drawn=0),
    "edited while moving": Edit(
        [*ROWS[:30], NEW, *ROWS[30:40], _EDITED, *ROWS[41:]], moved=30, drawn=1
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_moved_numbers_stop_a_run_before_anything_is_sent(
    commands: Commands, server: GeminiServer, drawn: Path, edit: Edit
) -> None:
    """Exit 2, nothing is changed, and the message names all the ways out."""
    write(drawn, edit.rows)
    before = files(drawn)
    for asked in (["run"], ["run", "--dry-run"], ["run", "--outdated", "--yes"]):
        done = commands.run(asked[0], drawn, *asked[1:], "--base-url", server.address)
        assert done.code == 2
        assert f"{3 * edit.moved} images now belong to another beat" in done.err
        for way in ("imagegen renumber", "--renumber", "--as-is"):
            assert way in done.err
    assert not server.requests
    assert files(drawn) == before


@pytest.mark.parametrize(
    "asked",
    [
        ("accept", "--all"),
        ("clean",),
        ("use", "clear/7.1", "own.png"),
        ("choose", "7.1", "clear"),
        ("choose", "7.1", "--none"),
        ("choose", "--all", "clear"),
        ("choose", "--csv", "picks.csv"),
        ("cast", "mara", "--from", "clear/7.1"),
        ("skip", "clear/7.1"),
        ("skip", "clear/13.1"),
        ("redraw", "clear/7.1"),
    ],
    ids=" ".join,
)
def test_nothing_is_done_with_another_beats_picture(
    commands: Commands, drawn: Path, asked: Sequence[str]
) -> None:
    """Where beat numbers changed, every command that would take or replace one is refused."""
    went_well(commands.run("choose", drawn, "7.1", "clear"))
    (commands.folder / "own.png").write_bytes(picture(drawn, "clear", 0).read_bytes())
    (commands.folder / "picks.csv").write_text("beat,style\n7.1,clear\n")
    (drawn / "imagegen.toml").write_text('[characters.mara]\nnames = ["Nobody else"]\n')
    write(drawn, EDITS["inserted"].rows)
    before = files(drawn)
    done = commands.run(asked[0], drawn, *asked[1:])
    assert done.code == 2
    assert "beat numbers changed" in done.err
    assert "7.1 → 7.2" in done.err
    assert f"imagegen renumber {drawn} moves the images, at no cost" in " ".join(done.err.split())
    assert files(drawn) == before


def test_what_is_chosen_is_told_where_numbers_have_moved(commands: Commands, drawn: Path) -> None:
    """Looking changes nothing; what is left over is not known, and what to do first is told."""
    went_well(commands.run("choose", drawn, "7.1", "clear"))
    went_well(commands.run("choose", drawn, "12.5", "clear"))
    write(drawn, EDITS["deleted"].rows)
    for options in ((), ("--json",)):
        done = went_well(commands.run("choose", drawn, "--list", *options))
        assert "7.1" in done.out
        told = " ".join(done.err.split())
        assert "images now belong to another beat." in told
        assert f"imagegen renumber {drawn} moves the images, at no cost" in told
        assert "clean" not in done.text
    assert "of beats that are gone" not in went_well(commands.run("choose", drawn, "--list")).out


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_renumber_moves_exactly_what_has_another_number_now(
    commands: Commands, server: GeminiServer, drawn: Path, edit: Edit
) -> None:
    """Each picture comes to its beat byte for byte, and a run then draws what is new alone."""
    before = lying(drawn)
    write(drawn, edit.rows)
    assert {told["moved"] for told in status(commands, drawn).values()} == {edit.moved}
    said = went_well(commands.run("renumber", drawn)).out
    assert f"{3 * edit.moved} images moved to their beats' numbers" in said
    assert lying(drawn) == at_their_beats(edit.rows, before)
    kept = [path.read_bytes() for path in (drawn / "old_images").rglob("*.png")]
    assert len(kept) == 3 * edit.gone
    there = [number for number, one in zip(numbers(61), edit.rows, strict=False) if one != NEW]
    for style in STYLES:
        assert progress(drawn, style) == there
    again = went_well(commands.run("renumber", drawn)).out
    assert "every image already has its beat's number" in again

    went_well(commands.run("run", drawn, "--base-url", server.address))
    assert len(server.requests) == 3 * edit.drawn
    assert {request.prompt.split("\n")[0] for request in server.requests} <= {NEW.words}
    assert {told["complete"] + told["outdated"] for told in status(commands, drawn).values()} == {
        len(edit.rows)
    }
    assert progress(drawn) == numbers(len(edit.rows))


def test_a_beat_edited_while_it_moved_keeps_its_picture_as_outdated(
    commands: Commands, drawn: Path
) -> None:
    """The picture goes along by the words that are left, and is of the old words still."""
    write(drawn, EDITS["edited while moving"].rows)
    went_well(commands.run("renumber", drawn))
    told = status(commands, drawn)["clear"]
    outdated = [beat for beat in told["beats"] if beat["status"] == "outdated"]
    assert [(beat["beat_number"], beat["changed"]) for beat in outdated] == [("9.2", ["words"])]


def test_status_says_that_numbers_have_moved(commands: Commands, drawn: Path) -> None:
    """In words, with the command that mends it."""
    write(drawn, EDITS["swapped"].rows)
    said = went_well(commands.run("status", drawn)).out
    assert "Beat numbers changed: 6 images now belong to another beat." in said
    assert f"imagegen renumber {drawn} --dry-run" in said


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_check_does_not_pass_where_numbers_have_moved(
    commands: Commands, drawn: Path, form: Sequence[str]
) -> None:
    """Scripts are told as by `run`: exit 2, and why on stderr; where it stands on stdout."""
    assert commands.run("status", drawn, "--check").code == 0
    write(drawn, EDITS["swapped"].rows)
    done = commands.run("status", drawn, "--check", *form)
    assert done.code == 2
    assert "beat numbers changed: 6 images now belong to another beat" in done.err
    assert f"imagegen renumber {drawn} moves the images" in " ".join(done.err.split())
    assert done.out == commands.run("status", drawn, *form).out


def test_renumber_tells_beforehand_what_it_would_do(commands: Commands, drawn: Path) -> None:
    """With --dry-run it names where each picture goes, and nothing changes."""
    write(drawn, EDITS["swapped"].rows)
    before = files(drawn)
    said = went_well(commands.run("renumber", drawn, "--dry-run")).out
    assert "6 images would move to their beats' numbers" in said
    assert "2/2.3 → 9/9.5" in said
    assert "9/9.5 → 2/2.3" in said
    assert files(drawn) == before


def test_renumbering_can_be_undone(commands: Commands, drawn: Path) -> None:
    """Pictures that moved and what gave way are all where they were before."""
    before = lying(drawn)
    write(drawn, EDITS["deleted"].rows)
    went_well(commands.run("renumber", drawn))
    assert lying(drawn) != before
    went_well(commands.run("undo", drawn))
    assert lying(drawn) == before
    write(drawn, ROWS)
    assert {told["complete"] for told in status(commands, drawn).values()} == {BEATS}
    assert "nothing to undo" in went_well(commands.run("undo", drawn)).out


def test_undo_stops_at_a_step_that_it_cannot_read(commands: Commands, drawn: Path) -> None:
    """The step before it is not what was meant, and the file is named."""
    write(drawn, EDITS["swapped"].rows)
    went_well(commands.run("renumber", drawn))
    write(drawn, ROWS)
    went_well(commands.run("renumber", drawn))
    newest = max((drawn / "old_images").iterdir())
    (newest / "step.json").write_text("garbage")
    before = lying(drawn)
    done = commands.run("undo", drawn)
    assert done.code == 2
    assert f"{newest.name}/step.json cannot be understood" in done.err
    assert lying(drawn) == before


@pytest.mark.slow
def test_drawing_many_again_is_carried_on_until_undone(commands: Commands, drawn: Path) -> None:
    """A script that was killed resumes with --yes, which no record remembers; undo ends it."""
    sketch = ("--provider", "sketch", "--style", "clear")
    for command in (("run", drawn, "--force", "--yes", *sketch), ("resume", drawn, "--yes")):
        kept = len(list((drawn / "old_images").rglob("*.png")))
        process = commands.start(*command, "--progress", "none")
        while len(list((drawn / "old_images").rglob("*.png"))) == kept:
            assert process.poll() is None
        process.kill()
        commands.wait(process)
    told = json.loads(commands.run("status", drawn, "--json").out)
    assert told["not_redrawn"] > 10
    went_well(commands.run("undo", drawn))
    went_well(commands.run("undo", drawn))
    told = json.loads(commands.run("status", drawn, "--json").out)
    assert told["not_redrawn"] == 0


def test_run_renumbers_and_draws_in_one(
    commands: Commands, server: GeminiServer, drawn: Path
) -> None:
    """With --renumber pictures move first, and then what is new is drawn."""
    before = lying(drawn)
    rows = EDITS["inserted"].rows
    write(drawn, rows)
    went_well(commands.run("run", drawn, "--renumber", "--base-url", server.address))
    assert len(server.requests) == 3
    now = lying(drawn)
    for style in STYLES:
        new = now.pop((style, 30))
        assert any(answers(new, request.prompt) for request in server.requests)
    assert now == at_their_beats(rows, before)
    assert {style: progress(drawn, style) for style in STYLES} == dict.fromkeys(STYLES, numbers(61))


@pytest.mark.parametrize("more", [[], ["--detach"]])
def test_a_run_that_cannot_start_says_what_it_has_moved(
    commands: Commands, drawn: Path, more: list[str]
) -> None:
    """Without a key nothing is drawn, yet pictures are elsewhere than they were."""
    before, rows = lying(drawn), EDITS["inserted"].rows
    write(drawn, rows)
    (drawn / "keys.toml").unlink()
    done = commands.run("run", drawn, "--renumber", *more)
    assert done.code == 2
    assert "no key" in done.err
    assert "90 images moved to their beats' numbers" in done.err
    assert f"imagegen undo {drawn}" in done.err
    assert lying(drawn) == at_their_beats(rows, before)


def test_undo_after_a_renumbering_run_keeps_what_it_drew(
    commands: Commands, server: GeminiServer, drawn: Path
) -> None:
    """Pictures go back to their numbers; new ones that stand there give way to old_images."""
    before = lying(drawn)
    write(drawn, EDITS["inserted"].rows)
    went_well(commands.run("run", drawn, "--renumber", "--base-url", server.address))
    new = [picture(drawn, style, 30).read_bytes() for style in STYLES]
    went_well(commands.run("undo", drawn))
    assert lying(drawn) == before
    assert sorted(p.read_bytes() for p in (drawn / "old_images").rglob("*.png")) == sorted(new)


def test_run_as_is_draws_and_leaves_the_pictures(
    commands: Commands, server: GeminiServer, drawn: Path
) -> None:
    """With --as-is every picture stays, and what has none is drawn."""
    before = lying(drawn)
    write(drawn, EDITS["inserted"].rows)
    done = went_well(commands.run("run", drawn, "--as-is", "--base-url", server.address))
    assert [r.prompt.split("\n")[0] for r in server.requests] == [ROWS[59].words] * 3
    assert "90 images are outdated: prompt changed" in done.text
    now = lying(drawn)
    assert {place: now[place] for place in before} == before
    assert progress(drawn) == numbers(61)


def test_two_ways_out_at_once_are_refused(commands: Commands, drawn: Path) -> None:
    """One may not both move the pictures and leave them."""
    done = commands.run("run", drawn, "--as-is", "--renumber")
    assert done.code == 2
    assert "cannot be combined" in done.err


@pytest.mark.slow
def test_numbers_that_moved_in_one_style_concern_that_style(
    commands: Commands, server: GeminiServer
) -> None:
    """Words of their own that change places move pictures of their style; others are drawn."""
    root = commands.project(beats=1)
    write(root, ROWS, style="clear")
    draw(root)
    before = lying(root)
    rows = exchanged(ROWS, 7, 44)
    write(root, rows, style="clear")
    address = ("--base-url", server.address)
    refused = commands.run("run", root, *address)
    assert refused.code == 2
    assert "2 images now belong" in refused.err
    assert "clear/2.3 → 9.5" in refused.err
    went_well(commands.run("run", root, "--style", "illustration", *address))
    assert {s: told["moved"] for s, told in status(commands, root).items()} == {
        "illustration": 0,
        "clear": 2,
        "consistent": 0,
    }
    went_well(commands.run("renumber", root))
    assert lying(root) == at_their_beats(rows, before, ["clear"])
    went_well(commands.run("run", root, *address))
    assert not server.requests


def test_words_that_stay_alike_are_left_alone(commands: Commands) -> None:
    """Beats of the very same words do not change places for an edit elsewhere."""
    same = [Row(n, "A black frame.") for n in range(4)]
    root = commands.project(beats=1, settings=ONE_STYLE)
    write(root, [*ROWS[:3], *same])
    draw(root, styles=["clear"])
    before = files(root)
    write(root, [ROWS[0], NEW, ROWS[2], *same])
    assert (
        "every image already has its beat's number" in went_well(commands.run("renumber", root)).out
    )
    kept = {name: data for name, data in before.items() if name.endswith(".png")}
    assert {name: data for name, data in files(root).items() if name in kept} == kept


def test_choices_go_along(commands: Commands, drawn: Path) -> None:
    """What was chosen as the best of a beat is still its choice under its new number."""
    chosen = drawn / "selected_images"
    chosen.mkdir()
    shutil.copy(picture(drawn, "clear", 31), chosen / "Beat_7.2.png")
    choice = {"style": "clear", "note": "kept as it is"}
    (drawn / "image_selections.json").write_text(json.dumps({"7.2": choice}))
    data = (chosen / "Beat_7.2.png").read_bytes()
    write(drawn, EDITS["inserted"].rows)
    said = went_well(commands.run("renumber", drawn)).out
    assert "1 chosen image moved too" in said
    assert json.loads((drawn / "image_selections.json").read_text()) == {"7.3": choice}
    assert [path.name for path in chosen.iterdir()] == ["Beat_7.3.png"]
    assert (chosen / "Beat_7.3.png").read_bytes() == data
    went_well(commands.run("undo", drawn))
    assert json.loads((drawn / "image_selections.json").read_text()) == {"7.2": choice}
    assert [path.name for path in chosen.iterdir()] == ["Beat_7.2.png"]


# Left-over pictures.


@pytest.mark.slow
def test_pictures_of_beats_that_are_gone_are_told_and_put_away(
    commands: Commands, server: GeminiServer, drawn: Path
) -> None:
    """`status` lists them, runs leave them, `clean` moves them to old_images, `undo` back."""
    before = lying(drawn)
    rows: list[dict[str, object]] = [row(n, ai_prompt=one.words) for n, one in enumerate(ROWS)]
    del rows[20]
    (drawn / "beats.json").write_text(json.dumps(rows), encoding="utf-8")
    went_well(commands.run("run", drawn, "--base-url", server.address))
    assert not server.requests
    over = {s: f"generated_images/{s}/Shot_5/Beat_5.1.png" for s in STYLES}
    told = status(commands, drawn)
    assert {s: told[s]["left_over"] for s in STYLES} == {s: [path] for s, path in over.items()}
    said = went_well(commands.run("status", drawn)).out
    assert "3 images of deleted beats" in said
    assert f"imagegen clean {drawn}" in said
    assert went_well(commands.run("clean", drawn, "--dry-run")).out.count("Beat_5.1.png") == 3
    assert lying(drawn) == before

    went_well(commands.run("clean", drawn))
    assert lying(drawn) == {place: data for place, data in before.items() if place[1] != 20}
    kept = [path.read_bytes() for path in (drawn / "old_images").rglob("*.png")]
    assert sorted(kept) == sorted(before[style, 20] for style in STYLES)
    assert not any(one["left_over"] for one in status(commands, drawn).values())
    assert progress(drawn) == [number for number in numbers(60) if number != "5.1"]
    assert "no left-over images" in went_well(commands.run("clean", drawn)).out

    undone = went_well(commands.run("undo", drawn)).out
    assert "3 images restored" in undone
    assert "replaced" not in undone
    assert lying(drawn) == before


def test_nothing_is_cleaned_away_while_numbers_have_moved(commands: Commands, drawn: Path) -> None:
    """What is left over is not known yet, and the message says what to do first."""
    write(drawn, EDITS["deleted"].rows)
    before = files(drawn)
    done = commands.run("clean", drawn)
    assert done.code == 2
    assert "imagegen renumber" in done.err
    assert files(drawn) == before


@pytest.mark.slow
def test_nothing_is_advised_or_cleaned_after_a_run_of_other_beats(
    commands: Commands, server: GeminiServer
) -> None:
    """What is left over of one storyboard may be the other's; both ways on are told."""
    root = commands.project(settings='provider = "sketch"\nimage_size = "512"\n')
    (root / "y2").mkdir()
    other = root / "y2" / "alt.json"
    other.write_text(json.dumps([row(0), row(1, ai_prompt="other words"), row(7)]))
    went_well(commands.run("run", root))
    went_well(commands.run("run", root, "--beats", other))
    for again in (False, True):
        if again:
            # Single beats in between change nothing of it.
            went_well(commands.run("redraw", root, "clear/1.1"))
        said = went_well(commands.run("status", root)).out
        assert "The last run read y2/alt.json (--beats); this is beats.json." in said
        assert 'beats = "y2/alt.json" in imagegen.toml' in said
        assert "clean" not in said
        assert "imagegen run" not in said
    before = files(root)
    for options in ((), ("--dry-run",)):
        done = commands.run("clean", root, *options)
        assert done.code == 2
        assert "the last run read y2/alt.json (--beats), and this is beats.json" in done.err
        assert f"imagegen clean {root} --beats {root / 'beats.json'}" in done.err
        assert 'beats = "y2/alt.json" in imagegen.toml' in done.err
    assert files(root) == before

    of_it = went_well(commands.run("status", root, "--beats", other)).out
    assert "The last run was" not in of_it
    assert f"imagegen clean {root} --beats {other}" in of_it
    named = commands.run("clean", root, "--beats", root / "beats.json", "--dry-run")
    assert went_well(named).out.count("Beat_2.3.png") == 3
    settings = (root / "imagegen.toml").read_text()
    (root / "imagegen.toml").write_text(f'beats = "y2/alt.json"\n{settings}')
    assert "The last run was" not in went_well(commands.run("status", root)).out
    assert went_well(commands.run("clean", root, "--dry-run")).out.count("Beat_1.3.png") == 3


# Without PROJECT, with nothing drawn.


@pytest.mark.slow
def test_the_project_is_the_current_folder_where_it_is_left_out(
    commands: Commands, server: GeminiServer, drawn: Path
) -> None:
    """Commands for pictures work inside the project's folder, and their hints fit there."""
    before = lying(drawn)
    rows = EDITS["deleted"].rows
    write(drawn, rows)
    inside = Commands(drawn)
    inside.env, inside.keys = commands.env, commands.keys
    refused = inside.run("run", "--base-url", server.address)
    assert refused.code == 2
    assert "imagegen renumber moves the images" in refused.err
    went_well(inside.run("renumber"))
    assert lying(drawn) == at_their_beats(rows, before)
    (drawn / "generated_images/clear/Shot_99").mkdir()
    shutil.copy(picture(drawn, "clear", 0), drawn / "generated_images/clear/Shot_99/Beat_99.1.png")
    assert "1 image of deleted beats moved" in went_well(inside.run("clean")).out
    went_well(inside.run("undo"))
    went_well(inside.run("undo"))
    assert lying(drawn) == before


def test_a_project_without_pictures_has_nothing_to_move(commands: Commands) -> None:
    """Commands for pictures say so in a line, exit 0, and make none."""
    root = commands.project()
    said = {name: went_well(commands.run(name, root)).out for name in ("renumber", "clean", "undo")}
    assert "every image already has its beat's number" in said["renumber"]
    assert "no left-over images" in said["clean"]
    assert "nothing to undo" in said["undo"]
    assert not pictures(root)
    assert not (root / "old_images").exists()


# Older projects.


def test_pictures_of_an_older_tool_are_complete(commands: Commands, server: GeminiServer) -> None:
    """Pictures that tell nothing of their origin, some of them JPEGs named .png, stay theirs."""
    root = commands.project(beats=6)
    for n, style in ((n, style) for n in range(6) for style in STYLES):
        path = picture(root, style, n)
        path.parent.mkdir(parents=True, exist_ok=True)
        out = io.BytesIO()
        Image.new("RGB", (64, 36), (40 * n, 90, 30)).save(out, "JPEG" if n % 3 == 1 else "PNG")
        path.write_bytes(out.getvalue())
    older = {"completedBeats": ["1.1", "1.2"], "lastUpdated": "2025-01-01T00:00:00.000Z"}
    for style in STYLES:
        (root / f"image_progress_{style}.json").write_text(json.dumps(older))
    before = lying(root)
    told = status(commands, root)
    assert {(s["complete"], s["outdated"], s["moved"]) for s in told.values()} == {(6, 0, 0)}
    # What an older tool has drawn can be told from nothing, so no edit of the words moves it.
    rows = [row(n, ai_prompt=ROWS[n].words) for n in reversed(range(6))]
    for n, one in enumerate(rows):
        one.update({name: row(n)[name] for name in ("shot_number", "beat_number")})
    (root / "beats.json").write_text(json.dumps(rows))

    went_well(commands.run("run", root, "--base-url", server.address))
    assert not server.requests
    for style in STYLES:
        assert progress(root, style) == numbers(6)
    now = lying(root)
    for place, data in before.items():
        if place[1] % 3 != 1:
            assert now[place] == data
        else:
            assert now[place].startswith(png.SIGNATURE)
    told = status(commands, root)
    assert {(s["complete"], s["outdated"], s["moved"]) for s in told.values()} == {(6, 0, 0)}
    assert commands.run("status", root, "--check").code == 0


# Crashes.

DYING = """
    import signal
    left = int(os.environ["DIES_AT"])
    def dying(call):
        def counted(*args, **more):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **more)
        return counted
    os.link, os.unlink, os.mkdir = map(dying, (os.link, os.unlink, os.mkdir))
    files.replace, files.write = map(dying, (files.replace, files.write))
"""
"""Ends the process by kill -9 before such a call to the disk."""
WITHOUT_LINKS = indent(dedent(NO_HARD_LINKS), "    ")


def crashing(commands: Commands, root: Path, code: str, at: int) -> bool:
    """Renumber, and die before the disk's call of this number; tell whether it came to that."""
    return commands.run("renumber", root, env={"DIES_AT": str(at)}, before=code).code != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mend", "code"),
    [
        ("status", DYING),
        ("renumber", DYING),
        ("run", DYING + WITHOUT_LINKS),
        ("undo", DYING + WITHOUT_LINKS),
    ],
    ids=["status", "renumber", "run without links", "undo without links"],
)
def test_a_killed_renumbering_is_finished_by_whatever_comes_next(
    commands: Commands, server: GeminiServer, mend: str, code: str
) -> None:
    """Wherever kill -9 strikes, every image is at its beat in the end, and none is lost."""
    root = commands.project(beats=1, settings=ONE_STYLE)
    write(root, ROWS[:6])
    draw(root, styles=["clear"])
    before = lying(root)
    rows = [ROWS[5], *ROWS[1:3], ROWS[0], ROWS[4]]
    write(root, rows)
    after = at_their_beats(rows, before, ["clear"])
    original = commands.folder / "original"
    root.rename(original)
    died, halfway = 0, 0
    for at in range(4, 60, 3):
        shutil.copytree(original, root)
        crashed = crashing(commands, root, code, at)
        died += crashed
        torn = crashed and lying(root) not in (before, after)
        halfway += torn
        done = commands.run(mend, root, *_with_address(mend, server))
        now = lying(root)
        if mend == "undo":
            assert done.code == 0, done.text
            assert now == before
        else:
            # What had not begun to move has not moved, and then a run refuses.
            assert now in (before, after)
            assert done.code == (2 if mend == "run" and now == before else 0), done.text
        if torn and mend != "undo":
            went_well(commands.run("renumber", root))
            assert lying(root) == after
            kept = [path.read_bytes() for path in (root / "old_images").rglob("*.png")]
            assert kept == [before["clear", 3]]
            again = went_well(commands.run("renumber", root)).out
            assert "every image already has its beat's number" in again
        shutil.rmtree(root)
        # Every call to the disk is tried where steps are; here, what the commands make of it.
        if not crashed or (died > 3 and halfway > 1):
            break
    assert died > 3
    assert halfway
    assert not server.requests


def _with_address(command: str, server: GeminiServer) -> tuple[str, ...]:
    return ("--base-url", server.address) if command == "run" else ()


UNTOLD = """
    whole = files.write
    def write(path, *parts, **more):
        if path.name.startswith("image_progress_"):
            os._exit(9)
        return whole(path, *parts, **more)
    files.write = write
"""
"""Ends the process before it tells others what is drawn."""


def test_progress_that_a_crash_left_behind_is_put_right(commands: Commands, drawn: Path) -> None:
    """A renumbering that died once all had moved is told of by the next one."""
    write(drawn, EDITS["inserted"].rows)
    assert commands.run("renumber", drawn, before=UNTOLD).code == 9
    went_well(commands.run("renumber", drawn))
    assert progress(drawn) == [number for number in numbers(61) if number != "7.1"]
