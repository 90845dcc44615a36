"""A storyboard in parts: one for each machine that draws it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import beat
from commands import STYLES, Commands, pictures
from imagegen.cli.shard import shard_of, with_shard
from imagegen.errors import UsageError
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.prompts.continuity import Predecessors, predecessors
from imagegen.workspace.shards import Shard, assign
from sweep import examples

Board = dict[str, tuple[Beat, ...]]
Shards = Mapping[str, Mapping[BeatKey, int]]

ROWS = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), max_size=60)
"""For each row its shot, whether it continues, and whether it needs no image."""


def board(rows: Sequence[tuple[int, bool, bool]], styles: Sequence[str]) -> Board:
    """Return a storyboard; every second style lacks every third row."""
    return {
        style: tuple(
            beat(
                f"{shot}.{number}",
                style=style,
                shot=str(shot),
                transition="C" if continues else "H",
            )
            for number, (shot, continues, _) in enumerate(rows)
            if nth % 2 == 0 or number % 3
        )
        for nth, style in enumerate(styles)
    }


def chained(beats: Board, waived: Sequence[int] = ()) -> Predecessors:
    """Return which beats continue which, without the images of rows that need none."""
    none = {str(number) for number in waived}
    return {
        style: predecessors(own, lambda one: one.beat.partition(".")[2] in none)
        for style, own in beats.items()
    }


def sizes(found: Mapping[BeatKey, int], count: int) -> list[int]:
    """Return how many beats each shard has."""
    numbers = list(found.values())
    return [numbers.count(shard) for shard in range(1, count + 1)]


def spread(counts: Sequence[int]) -> int:
    """Return by how many beats the largest shard is larger than the smallest."""
    return max(counts) - min(counts)


def longest(beats: Board, before: Predecessors) -> dict[str, int]:
    """Return how many beats the longest chain of each style has."""
    found = {}
    for style, own in beats.items():
        heads: dict[BeatKey, BeatKey] = {}
        for one in own:
            previous = before.get(style, {}).get(one.key)
            heads[one.key] = heads[previous] if previous is not None else one.key
        found[style] = max(map(list(heads.values()).count, heads.values()), default=0)
    return found


def moved(before: Shards, after: Shards) -> int:
    """Return how many beats are in another shard than before."""
    return sum(after[style][key] != n for style, own in before.items() for key, n in own.items())


@given(rows=ROWS, count=st.integers(1, 16), styles=st.integers(1, 4), continuity=st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_each_beat_is_in_one_shard_of_fair_size(
    rows: list[tuple[int, bool, bool]], count: int, styles: int, *, continuity: bool
) -> None:
    """Chains stay whole, and sizes differ by one chain at most, in each style and in all."""
    beats = board(rows, [f"style-{n}" for n in range(styles)])
    waived = [number for number, (_, _, none) in enumerate(rows) if none]
    before = chained(beats, waived) if continuity else {}
    found = assign(beats, before, count)
    lengths = longest(beats, before)
    for style, own in beats.items():
        assert list(found[style]) or not own
        assert set(found[style]) == {one.key for one in own}
        assert set(found[style].values()) <= set(range(1, count + 1))
        for key, previous in before.get(style, {}).items():
            assert found[style][key] == found[style][previous]
        assert spread(sizes(found[style], count)) <= lengths[style]
    totals = [
        sum(parts) for parts in zip(*(sizes(own, count) for own in found.values()), strict=True)
    ]
    assert spread(totals) <= max(lengths.values())
    if not any(before.values()):
        assert spread(totals) <= 1
    assert assign(beats, before, count) == found


@pytest.mark.parametrize("count", [2, 5, 16])
@pytest.mark.parametrize("continuity", [False, True], ids=["single", "chains"])
def test_an_added_beat_moves_few_others(count: int, *, continuity: bool) -> None:
    """Wherever it is added, in three styles: about one of 900 beats for each shard and style."""
    rows = [(n // 12, n % 5 in {1, 2, 4}, False) for n in range(300)]
    own = board(rows, STYLES[:1])[STYLES[0]]
    beats = {
        style: tuple(msgspec.structs.replace(one, style=style) for one in own) for style in STYLES
    }
    before = assign(beats, chained(beats) if continuity else {}, count)
    counts = []
    for place in range(0, 300, 30):
        more = {
            style: (*own[:place], beat("new", style=style, shot="99"), *own[place:])
            for style, own in beats.items()
        }
        after = assign(more, chained(more) if continuity else {}, count)
        counts.append(moved(before, after))
    assert sum(counts) / len(counts) <= 4 * count


def test_shards_are_the_same_in_every_version() -> None:
    """Machines with different versions must agree: the hash and its use are a file format."""
    beats = board([(n // 4, n % 4 > 1, False) for n in range(12)], STYLES)
    found = assign(beats, chained(beats), 3)
    assert {style: "".join(map(str, own.values())) for style, own in found.items()} == {
        "illustration": "123222333111",
        "clear": "11333222",
        "consistent": "321111222333",
    }


@pytest.mark.parametrize(
    "text", ["", "2", "0/5", "6/5", "1/0", "-1/5", "a/b", "1/5/9", "1/1001", "١/٢"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    """With one message that names the option, or the variable, and shows how shards look."""
    with pytest.raises(UsageError, match=r'^--shard: ".*" is not a shard$') as caught:
        Shard.parse(text)
    assert caught.value.hint is not None
    assert "1/5" in caught.value.hint


SLURM = {
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_MAX": "9",
    "SLURM_ARRAY_TASK_STEP": "4",
    "SLURM_ARRAY_TASK_COUNT": "3",
}


@pytest.mark.parametrize(
    ("env", "shard"),
    [
        ({}, None),
        ({"IMAGEGEN_SHARD_INDEX": "0", "IMAGEGEN_SHARD_COUNT": "5"}, "1/5"),
        ({"JOB_COMPLETION_INDEX": "4", "IMAGEGEN_SHARD_COUNT": "5"}, "5/5"),
        ({"SLURM_ARRAY_TASK_ID": "5"} | SLURM, "2/3"),
        ({"SLURM_ARRAY_TASK_ID": "3", "IMAGEGEN_SHARD_COUNT": "5"} | SLURM, "4/5"),
    ],
)
def test_schedulers_name_the_shard(env: dict[str, str], shard: str | None) -> None:
    """From 0, but for Slurm, whose arrays begin and step as they are told."""
    found = shard_of(env)
    assert (str(found[1]) if found else None) == shard
    asked, note = with_shard(DrawRequest(), Path("v"), resumes=False, env=env)
    assert asked.shard == shard
    assert (note is not None) == (shard is not None)
    asked, note = with_shard(DrawRequest(shard="1/1"), Path("v"), resumes=False, env=env)
    assert (asked.shard, note) == ("1/1", None)


@pytest.mark.parametrize(
    "env",
    [
        {"IMAGEGEN_SHARD_COUNT": "5"},
        {"IMAGEGEN_SHARD_INDEX": "0"},
        {"IMAGEGEN_SHARD_INDEX": "5", "IMAGEGEN_SHARD_COUNT": "5"},
        {"IMAGEGEN_SHARD_INDEX": "one", "IMAGEGEN_SHARD_COUNT": "5"},
        {"JOB_COMPLETION_INDEX": "0"},
        {"JOB_COMPLETION_INDEX": "0", "IMAGEGEN_SHARD_COUNT": "-1"},
        {"SLURM_ARRAY_TASK_ID": "1"},
        {"SLURM_ARRAY_TASK_ID": "2"} | SLURM,
        {"SLURM_ARRAY_TASK_ID": "1"} | SLURM | {"SLURM_ARRAY_TASK_COUNT": "2"},
    ],
)
def test_a_scheduler_that_names_no_shard_is_refused(env: dict[str, str]) -> None:
    """Rather than that each machine draws, and pays for, every beat."""
    with pytest.raises(UsageError) as caught:
        with_shard(DrawRequest(), Path("v"), resumes=False, env=env)
    assert caught.value.hint is not None
    assert "--shard" in caught.value.hint
    asked, _ = with_shard(DrawRequest(shard="2/3"), Path("v"), resumes=False, env=env)
    assert asked.shard == "2/3"


def test_a_resumed_run_keeps_its_shard() -> None:
    """Another that the scheduler names is refused: two machines would draw the same beats."""
    env = {"JOB_COMPLETION_INDEX": "1", "IMAGEGEN_SHARD_COUNT": "3"}
    assert with_shard(DrawRequest(shard="2/3"), Path("v"), resumes=True, env=env)[0].shard == "2/3"
    assert with_shard(DrawRequest(shard="2/3"), Path("v"), resumes=True, env={})[0].shard == "2/3"
    assert with_shard(DrawRequest(), Path("v"), resumes=True, env=env)[0].shard == "2/3"
    with pytest.raises(UsageError, match="the last run drew shard 1/3") as caught:
        with_shard(DrawRequest(shard="1/3"), Path("v"), resumes=True, env=env)
    assert caught.value.hint == "to draw that one: imagegen run v --shard 2/3"


@pytest.mark.slow
def test_all_shards_draw_each_beat_once(commands: Commands) -> None:
    """The runs of all machines together draw what one run would; each shows its shard."""
    drawn: list[str] = []
    for number in (1, 2, 3):
        root = commands.project(
            f"copy-{number}", beats=5, settings='provider = "sketch"\nimage_size = "512"\n'
        )
        shard = f"{number}/3"
        planned = commands.run("run", root, "--shard", shard, "--dry-run")
        assert planned.out.startswith(f"copy-{number}, shard {shard}: 5 images would be drawn")
        if number == 2:
            env = {"IMAGEGEN_SHARD_INDEX": "1", "IMAGEGEN_SHARD_COUNT": "3"}
            done = commands.run("run", root, "--progress", "json", "--limit", "1", env=env)
            assert "IMAGEGEN_SHARD_INDEX says to draw shard 2/3" in done.out
            done = commands.run("resume", root, "--progress", "json")
        else:
            done = commands.run("run", root, "--shard", shard, "--progress", "json")
        assert done.code == 0, done.text
        assert done.events[0]["shard"] == shard
        status = json.loads(commands.run("status", root, "--json").out)
        expected = {"shard": shard, "total": 5, "complete": 5, "error": 0, "pending": 0}
        assert status["shard"] == expected
        assert f"shard {shard}: 5/5" in commands.run("status", root).out
        drawn += [path.relative_to(root).as_posix() for path in pictures(root)]
    assert len(drawn) == len(set(drawn)) == 15


def test_a_shard_that_is_wrong_starts_nothing(commands: Commands) -> None:
    """Exit 2 with one message; also from a run's record, which another user may have written."""
    root = commands.project(settings='provider = "sketch"\nimage_size = "512"\n')
    done = commands.run("run", root, "--shard", "4/3")
    assert (done.code, done.err.splitlines()[0]) == (2, 'imagegen: --shard: "4/3" is not a shard')
    commands.run("run", root, "--shard", "1/3", "--limit", "1")
    path = root / ".imagegen/run.json"
    path.write_text(path.read_text().replace("1/3", "4/3").replace('"ended"', '"was"'))
    done = commands.run("resume", root)
    assert (done.code, done.err.splitlines()[0]) == (2, 'imagegen: --shard: "4/3" is not a shard')
    assert json.loads(commands.run("status", root, "--json").out)["shard"] is None
    assert len(pictures(root)) == 1
