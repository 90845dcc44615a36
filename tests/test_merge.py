"""Copies of a project, in which several machines drew, brought together."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import picture
from commands import Commands, pictures
from crashing import Crash, failing
from imagegen.editing import merge as merging
from imagegen.errors import RunActiveError, UsageError
from imagegen.images import png
from imagegen.project import record, steps
from imagegen.project.layout import ProjectPaths
from imagegen.project.selections.copies import sha256
from imagegen.review import choices
from imagegen.review.choices import ChangeSinceChosen
from imagegen.review.project_copies import LeftReason, MergePlan
from imagegen.workspace import recovery
from project_copies import OLD, STYLES, WALL, Copy
from sweep import examples


@pytest.fixture
def copies(tmp_path: Path) -> list[Copy]:
    """Return three copies of a project without an image."""
    return [Copy(tmp_path / name) for name in ("main", "second", "third")]


def left(found: MergePlan) -> dict[str, LeftReason]:
    """Return what stays in the copies, and why."""
    return {one.name: one.reason for one in found.left}


def test_images_choices_and_journals_come_together(copies: Sequence[Copy]) -> None:
    """As they are, in one step that undo takes back; a second time there is nothing to do."""
    main, second, third = copies
    own = main.draw("clear/1.1", 8)
    one, two = second.draw("clear/1.2", 9), third.draw("consistent/1.1", 10)
    third.draw("clear/1.1", 8)
    third.choose("1.1", "consistent", 0)
    second.journal("r-2", "two\n")
    third.journal("r-3", "three\n")
    before = main.tree
    others = [copy.tree for copy in copies[1:]]
    planned = main.merge(second, third, dry_run=True)
    assert main.tree == before
    found = main.merge(second, third)
    assert msgspec.structs.replace(found, dry_run=True) == planned
    assert [(item.copy, item.image_path, item.replaces) for item in found.images] == [
        (str(second.root), "generated_images/clear/Shot_1/Beat_1.2.png", False),
        (str(third.root), "generated_images/consistent/Shot_1/Beat_1.1.png", False),
    ]
    assert (found.same, found.conflicts, found.left, found.exit_code) == (1, (), (), 0)
    assert found.journals == ("r-2.jsonl", "r-3.jsonl")
    after = main.tree
    assert after["generated_images/clear/Shot_1/Beat_1.1.png"] == own
    assert after["generated_images/clear/Shot_1/Beat_1.2.png"] == one
    assert after["generated_images/consistent/Shot_1/Beat_1.1.png"] == two
    assert after["selected_images/Beat_1.1.png"] == two
    assert after[".imagegen/runs/r-3.jsonl"] == b"three\n"
    assert main.chosen == {"1.1": ("consistent", False)}
    progress = json.loads((main.root / "image_progress_clear.json").read_text())
    assert progress["completedBeats"] == ["1.1", "1.2"]
    again = main.merge(second, third)
    assert (again.images, again.choices, again.journals, again.same) == ((), (), (), 3)
    main.undo()
    assert main.tree == before
    assert [copy.tree for copy in copies[1:]] == others


def test_a_redrawn_image_replaces_the_one_that_it_was_redrawn_from(copies: Sequence[Copy]) -> None:
    """The older one is kept; whichever copy redrew it, also if it was redrawn twice."""
    main, second, third = copies
    for copy in copies:
        copy.draw("clear/1.1", 8)
        copy.draw("clear/1.2", 8)
    new = second.draw("clear/1.1", 9)
    newest = [third.draw("clear/1.1", width) for width in (9, 10)][-1]
    own = main.draw("clear/1.2", 11)
    before = main.tree
    found = main.merge(second, third)
    assert [(item.copy, item.replaces) for item in found.images] == [(str(third.root), True)]
    assert found.conflicts == ()
    assert main.place("clear/1.1").read_bytes() == newest != new
    assert main.place("clear/1.2").read_bytes() == own
    main.undo()
    assert main.tree == before


def test_beats_drawn_differently_conflict(copies: Sequence[Copy]) -> None:
    """The first image stays, and the others are named; `use` of another one settles it."""
    main, second, third = copies
    second.draw("clear/1.1", 9)
    third.draw("clear/1.1", 10)
    own = main.draw("clear/1.2", 8)
    other = second.draw("clear/1.2", 9)
    found = main.merge(second, third)
    assert [(item.kept, item.copy, item.beat_number) for item in found.conflicts] == [
        (str(second.root), str(third.root), "1.1"),
        (str(main.root), str(second.root), "1.2"),
    ]
    assert found.exit_code == 1
    assert main.place("clear/1.2").read_bytes() == own
    main.draw("clear/1.2", 9)
    assert main.merge(second).conflicts == ()
    assert main.place("clear/1.2").read_bytes() == other


def test_what_belongs_to_another_storyboard_is_named(tmp_path: Path) -> None:
    """Images of other prompts, of beats that are gone, of other styles; the rest comes."""
    main, other = Copy(tmp_path / "main"), Copy(tmp_path / "other", beats=5)
    rows = json.loads((other.root / "beats.json").read_text())
    rows[0]["ai_prompt"] = "something else"
    (other.root / "beats.json").write_text(json.dumps(rows))
    for beat in ("1.1", "1.2", "1.5"):
        other.draw(f"clear/{beat}")
    (other.root / "generated_images/oil/Shot_1").mkdir(parents=True)
    found = main.merge(other)
    assert [item.beat_number for item in found.images] == ["1.2"]
    assert left(found) == {
        "generated_images/clear/Shot_1/Beat_1.1.png": LeftReason.OTHER_PROMPT,
        "generated_images/clear/Shot_1/Beat_1.5.png": LeftReason.NO_BEAT,
        "generated_images/oil": LeftReason.NO_STYLE,
    }
    assert found.exit_code == 1


def test_a_copy_may_have_other_beat_numbers(tmp_path: Path) -> None:
    """The prompt in an image decides which beat it is of, so nothing is drawn twice."""
    main, other = Copy(tmp_path / "main"), Copy(tmp_path / "other", beats=4)
    rows = json.loads((other.root / "beats.json").read_text())
    for row, words in zip(rows, ("prompt 1", "inserted", "prompt 2", "prompt 3"), strict=True):
        row["ai_prompt"] = words
    (other.root / "beats.json").write_text(json.dumps(rows))
    second, third = other.draw("clear/1.3", 9), other.draw("clear/1.4", 10)
    other.draw("clear/1.2", 11)
    found = main.merge(other)
    assert main.place("clear/1.2").read_bytes() == second
    assert main.place("clear/1.3").read_bytes() == third
    assert left(found) == {
        "generated_images/clear/Shot_1/Beat_1.2.png": LeftReason.OTHER_PROMPT,
    }
    main.undo()
    assert not main.place("clear/1.2").exists()


def test_what_is_no_copy_is_refused(copies: Sequence[Copy], tmp_path: Path) -> None:
    """An empty folder, or a part of a copy: a script must not take it for merged."""
    main, second, _ = copies
    second.draw("clear/1.1")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", second.root / "generated_images"):
        with pytest.raises(UsageError, match="is not a copy of main"):
            merging.merge(main.project, [folder], WALL)


def test_a_chosen_image_that_stays_in_its_copy_is_named(copies: Sequence[Copy]) -> None:
    """The project has another image of the beat: a person decides which one counts."""
    main, second, _ = copies
    main.draw("clear/1.1", 8)
    chosen = second.draw("clear/1.1", 9)
    second.choose("1.1", "clear", 0)
    found = main.merge(second)
    (one,) = found.chosen_elsewhere
    assert (one.copy, one.beat, one.style) == (str(second.root), "1.1", "clear")
    assert (second.root / one.image_path).read_bytes() == chosen
    assert found.exit_code == 1
    assert main.selected == {"Beat_1.1.png": chosen}


def test_an_image_drawn_alike_in_two_copies_is_one(copies: Sequence[Copy]) -> None:
    """Its choice is of the project's file then, and not of an image that was redrawn."""
    main, second, _ = copies
    own = main.draw("clear/1.1", 8)
    assert second.draw("clear/1.1", 8, model="another") != own
    second.choose("1.1", "clear", 0)
    found = main.merge(second)
    assert (found.same, found.conflicts, found.chosen_elsewhere) == (1, (), ())
    assert main.selected == {"Beat_1.1.png": own}
    assert [one.since for one in choices.describe(main.project)] == [ChangeSinceChosen.SAME]


def test_an_image_of_the_prompt_replaces_one_of_an_older_prompt(copies: Sequence[Copy]) -> None:
    """A copy drew the edited beat; the project still has the image of before."""
    main, second, _ = copies
    main.draw("clear/1.1", 8, words=png.Hash("ab" * 32))
    new = second.draw("clear/1.1", 9)
    assert set(left(second.merge(main)).values()) == {LeftReason.OTHER_PROMPT}
    assert second.place("clear/1.1").read_bytes() == new
    found = main.merge(second)
    assert [item.replaces for item in found.images] == [True]
    assert main.place("clear/1.1").read_bytes() == new


def test_placeholders_give_way(copies: Sequence[Copy]) -> None:
    """To images, and never take the place of one."""
    main, second, third = copies
    for copy in copies:
        (copy.root / "imagegen.toml").write_text(f"draw = {json.dumps(STYLES)}\n")
    sketch = second.draw("clear/1.1", 8, provider="sketch")
    second.draw("clear/1.2", 8, provider="sketch")
    drawn = third.draw("clear/1.1", 9)
    kept = main.draw("clear/1.2", 9)
    found = main.merge(second)
    assert main.place("clear/1.1").read_bytes() == sketch
    found = main.merge(third)
    assert [item.replaces for item in found.images] == [True]
    assert main.place("clear/1.1").read_bytes() == drawn
    assert main.place("clear/1.2").read_bytes() == kept
    assert main.merge(second).exit_code == 0


def test_damaged_images_stay(copies: Sequence[Copy]) -> None:
    """Torn ones, and such whose pixels do not unpack; the one of a further copy is taken."""
    main, second, third = copies
    data = second.draw("clear/1.1")
    second.place("clear/1.1").write_bytes(data[:-20])
    damaged = bytearray(second.draw("clear/1.2"))
    damaged[damaged.index(b"IDAT") + 8] ^= 1
    second.place("clear/1.2").write_bytes(damaged)
    whole = third.draw("clear/1.2")
    found = main.merge(second, third)
    assert set(left(found).values()) == {LeftReason.DAMAGED}
    assert len(found.left) == 2
    assert main.place("clear/1.2").read_bytes() == whole


def test_the_later_choice_counts(copies: Sequence[Copy]) -> None:
    """Both are named; the copy in selected_images follows, and undo sets both back."""
    main, second, third = copies
    for copy in copies:
        copy.draw("clear/1.1", 8)
        copy.draw("consistent/1.1", 9)
        copy.draw("clear/1.2", 8)
        copy.draw("consistent/1.2", 9)
    main.choose("1.1", "clear", 0)
    main.choose("1.2", "clear", 0)
    second.choose("1.1", "consistent", 10, flagged=True)
    second.choose("1.2", "clear", -10)
    third.choose("1.1", "clear", 5)
    third.choose("1.2", "consistent", 0)
    before = main.tree
    found = main.merge(second, third)
    assert [(item.beat, item.kept, item.copy) for item in found.choice_conflicts] == [
        ("1.1", str(second.root), str(main.root)),
        ("1.1", str(second.root), str(third.root)),
        ("1.2", str(main.root), str(third.root)),
    ]
    assert found.exit_code == 0
    assert main.chosen == {"1.1": ("consistent", True), "1.2": ("clear", False)}
    assert main.selected == {
        "Beat_1.1_flagged.png": main.place("consistent/1.1").read_bytes(),
        "Beat_1.2.png": main.place("clear/1.2").read_bytes(),
    }
    again = main.merge(second, third)
    assert again.choices == ()
    main.undo()
    assert main.tree == before


def test_a_choice_keeps_its_key_and_other_fields(copies: Sequence[Copy]) -> None:
    """The next tools find it where they left it, with what they wrote besides."""
    main, second, _ = copies
    for copy in (main, second):
        copy.draw("clear/1.1")
    entry = {"style": "clear", "isFlagged": False, "selectedAt": "2020-01-01T00:00:00Z"}
    said = {"Beat #1.1": entry | {"note": "hers"}, "9.9": entry, "settings": 3}
    path = main.root / "image_selections.json"
    path.write_text(json.dumps(said))
    second.choose("1.1", "clear", 0, flagged=True)
    found = main.merge(second)
    now = json.loads(path.read_text())
    assert list(now) == ["Beat #1.1", "9.9", "settings"]
    assert (now["Beat #1.1"]["note"], now["Beat #1.1"]["isFlagged"]) == ("hers", True)
    assert found.left == ()
    assert left(second.merge(main)) == {"9.9": LeftReason.CHOICE, "settings": LeftReason.CHOICE}
    main.undo()
    assert json.loads(path.read_text()) == said


def test_a_chosen_image_comes_though_it_was_redrawn_since(copies: Sequence[Copy]) -> None:
    """Its copy is what was chosen; where that is lost, no other image takes its place."""
    main, second, third = copies
    chosen = second.draw("clear/1.1", 8)
    second.choose("1.1", "clear", 0)
    second.draw("clear/1.1", 9)
    main.merge(second)
    assert main.selected == {"Beat_1.1.png": chosen}
    shutil.rmtree(second.root / "selected_images")
    third.merge(second)
    assert third.chosen == {"1.1": ("clear", False)}
    assert not (third.root / "selected_images").exists()


def test_a_journal_that_goes_on_replaces_its_beginning(copies: Sequence[Copy]) -> None:
    """The project was copied while the run was active; journals that differ stay."""
    main, second, third = copies
    main.journal("r-1", "one\n")
    second.journal("r-1", "one\ntwo\n")
    third.journal("r-1", "one\nthree\n")
    found = main.merge(second, third)
    assert (found.journals, left(found)) == (("r-1.jsonl",), {"r-1.jsonl": LeftReason.JOURNAL})
    assert main.tree[".imagegen/runs/r-1.jsonl"] == b"one\ntwo\n"
    assert second.merge(main).journals == ()
    main.undo()
    assert main.tree[".imagegen/runs/r-1.jsonl"] == b"one\n"


@pytest.mark.parametrize(
    "path",
    [
        "generated_images",
        "generated_images/clear",
        "generated_images/clear/Shot_1",
        "old_images",
        "selected_images",
        "image_selections.json",
        ".imagegen",
        ".imagegen/runs",
    ],
)
def test_no_link_in_a_copy_leads_elsewhere(copies: Sequence[Copy], path: str) -> None:
    """A folder or a record that is a link is refused, and nothing is merged."""
    main, second, third = copies
    third.draw("clear/1.1")
    third.choose("1.1", "clear", 0)
    third.journal("r-3", "three\n")
    (third.root / "old_images").mkdir()
    place = second.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(third.root / path)
    before = main.tree
    with pytest.raises(UsageError, match="link"):
        main.merge(second)
    assert main.tree == before


def test_no_file_in_a_copy_leads_elsewhere(copies: Sequence[Copy]) -> None:
    """Images, chosen images, journals and old images that are links count as none."""
    main, second, third = copies
    third.draw("clear/1.1", 8)
    third.choose("1.1", "clear", 0)
    third.journal("r-3", "three\n")
    for copy in (main, third):
        copy.draw("clear/1.2", 8)
    shutil.copytree(third.root, second.root, dirs_exist_ok=True)
    second.draw("clear/1.2", 9)
    for name in (
        "generated_images/clear/Shot_1/Beat_1.1.png",
        "selected_images/Beat_1.1.png",
        ".imagegen/runs/r-3.jsonl",
    ):
        (second.root / name).unlink()
        (second.root / name).symlink_to(third.root / name)
    kept = second.root / "old_images" / OLD / "clear"
    kept.rename(third.root / "kept")
    kept.symlink_to(third.root / "kept")
    found = main.merge(second)
    assert found.images == ()
    assert left(found) == {
        "generated_images/clear/Shot_1/Beat_1.1.png": LeftReason.DAMAGED,
        "r-3.jsonl": LeftReason.JOURNAL,
    }
    assert [item.beat_number for item in found.conflicts] == ["1.2"]
    assert not (main.root / "selected_images").exists()


def test_a_step_of_somebody_else_moves_journals_alone(tmp_path: Path) -> None:
    """Of our own folder a step may touch nothing else: no lock, no record of a run."""
    assert steps.is_place(".imagegen/runs/20261122-ab.jsonl")
    for name in ("run.json", "lock", "runs/../run.json", "runs/a.txt", "runs/a/b.jsonl"):
        assert not steps.is_place(f".imagegen/{name}")


def test_nothing_is_merged_while_a_run_is_active(copies: Sequence[Copy]) -> None:
    """In the project or in a copy: it may be drawing just these."""
    main, second, _ = copies
    second.draw("clear/1.1")
    for busy in (main, second):
        with record.project_lock(ProjectPaths(busy.root)), pytest.raises(RunActiveError):
            main.merge(second)
    with pytest.raises(UsageError, match="is the project itself"):
        main.merge(main)
    assert not main.place("clear/1.1").exists()


def test_changed_numbers_stop_a_merge(copies: Sequence[Copy]) -> None:
    """The project's images are of other beats until renumber has moved them."""
    main, second, _ = copies
    main.draw("clear/1.1")
    rows = json.loads((main.root / "beats.json").read_text())
    rows[0]["beat_number"], rows[1]["beat_number"] = "1.2", "1.1"
    (main.root / "beats.json").write_text(json.dumps(rows))
    with pytest.raises(UsageError, match="Nothing was merged"):
        main.merge(second)


@pytest.mark.slow
def test_a_crash_leaves_all_or_nothing(tmp_path: Path) -> None:
    """The next command finishes the step, or nothing was brought in."""

    def begun(name: str) -> tuple[Copy, Copy]:
        main, other = (Copy(tmp_path / name / part) for part in ("main", "other"))
        main.draw("clear/1.1", 8)
        other.draw("clear/1.1", 8)
        main.choose("1.1", "clear", 0)
        other.draw("clear/1.1", 9)
        other.draw("consistent/1.1", 9)
        other.choose("1.1", "consistent", 1, flagged=True)
        other.journal("r-2", "two\n")
        return main, other

    main, other = begun("whole")
    before = main.tree
    with failing() as calls:
        main.merge(other)
    after = main.tree
    outcomes = set()
    for at in range(1, len(calls) + 1, 4):
        main, other = begun(str(at))
        with contextlib.suppress(Crash), failing(at):
            main.merge(other)
        recovery.finish_interrupted(ProjectPaths(main.root), WALL)
        assert main.tree in (before, after)
        outcomes.add(main.tree == after)
    assert outcomes == {True, False}


BEATS = 6
COPIES = 16
ADDRESSES = [f"{style}/1.{n}" for style in STYLES for n in range(1, BEATS + 1)]
IMAGES = st.lists(
    st.tuples(st.integers(0, COPIES), st.sampled_from(ADDRESSES), st.integers(8, 10)), max_size=40
)
"""Which copy (0 is the project) drew which beat, and how."""
CHOSEN = st.lists(
    st.tuples(
        st.integers(0, COPIES), st.integers(1, BEATS), st.sampled_from(STYLES), st.integers(0, 3)
    ),
    max_size=20,
)
"""Which copy chose which style of a beat, and when."""


@given(drawn=IMAGES, chosen=CHOSEN)
@settings(max_examples=examples(15), deadline=None)
def test_sixteen_copies_come_together(
    drawn: list[tuple[int, str, int]], chosen: list[tuple[int, int, str, int]]
) -> None:
    """Each beat has its first image, every other one is shown, and the latest choice counts."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder, f"copy-{n}"), BEATS) for n in range(COPIES + 1)]
        images: dict[tuple[str, int], bytes] = {}
        for nth, address, width in drawn:
            if (address, nth) not in images:
                images[address, nth] = copies[nth].draw(address, width)
        picks: dict[tuple[str, int], tuple[int, str]] = {}
        for nth, beat, style, at in chosen:
            if (f"{style}/1.{beat}", nth) in images and (f"1.{beat}", nth) not in picks:
                picks[f"1.{beat}", nth] = at, style
                copies[nth].choose(f"1.{beat}", style, at)
        main, *others = copies
        before = main.tree
        found = main.merge(*others)
        _check_images(main, images, found)
        _check_choices(main, images, picks, found)
        again = main.merge(*others)
        assert (again.images, again.choices) == ((), ())
        assert len(again.conflicts) == len(found.conflicts)
        if main.tree != before:
            main.undo()
        assert main.tree == before


def _check_images(main: Copy, images: Mapping[tuple[str, int], bytes], found: MergePlan) -> None:
    conflicts = 0
    for address in ADDRESSES:
        own = [images[address, nth] for nth in range(COPIES + 1) if (address, nth) in images]
        assert main.place(address).exists() == bool(own)
        if own:
            assert main.place(address).read_bytes() == own[0]
        conflicts += sum(data != own[0] for data in own)
    assert len(found.conflicts) == conflicts
    assert (found.exit_code == 1) == bool(conflicts)


def _check_choices(
    main: Copy,
    images: Mapping[tuple[str, int], bytes],
    picks: Mapping[tuple[str, int], tuple[int, str]],
    found: MergePlan,
) -> None:
    expected, shown = {}, 0
    for beat in {beat for beat, _ in picks}:
        best: tuple[int, str, bytes] | None = None
        for nth in range(COPIES + 1):
            if (beat, nth) in picks:
                at, style = picks[beat, nth]
                data = images[f"{style}/{beat}", nth]
                differs = best is not None and (style, data) != best[1:]
                shown += differs
                if best is None or (differs and at > best[0]):
                    best = at, style, data
        assert best is not None
        expected[beat] = best
    assert main.chosen == {beat: (style, False) for beat, (_, style, _) in expected.items()}
    entries = json.loads((main.root / "image_selections.json").read_text()) if expected else {}
    assert {beat: entries[beat]["sha256"] for beat in expected} == {
        beat: sha256(data) for beat, (_, _, data) in expected.items()
    }
    copied = main.selected if expected else {}
    assert {name: data for name, data in copied.items() if name.endswith(".png")} == {
        f"Beat_{beat}.png": data for beat, (_, _, data) in expected.items()
    }
    assert len(found.choice_conflicts) == shown


@pytest.mark.slow
def test_shards_of_three_machines_are_merged(commands: Commands) -> None:
    """Nothing is left to draw; the command shows what came, conflicts, and how to take it back."""
    roots = [
        commands.project(name, settings='provider = "sketch"\nimage_size = "512"\n')
        for name in ("a", "b", "c")
    ]
    for number, root in enumerate(roots, 1):
        assert commands.run("run", root, "--shard", f"{number}/3").code == 0
    done = commands.run("merge", *roots)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("a: 6 images, 2 journals came from 2 copies.")
    assert commands.run("status", roots[0], "--check").code == 0
    assert len(pictures(roots[0])) == 9
    undone = commands.run("undo", roots[0])
    assert (undone.code, "undid the last merging of copies" in undone.out) == (0, True)
    assert len(pictures(roots[0])) == 3
    twin = roots[1] / pictures(roots[0])[0].relative_to(roots[0])
    twin.parent.mkdir(parents=True, exist_ok=True)
    twin.write_bytes(picture(9))
    done = commands.run("merge", *roots, "--json", "--dry-run")
    said = json.loads(done.out)
    assert (done.code, said["dry_run"], len(said["conflicts"])) == (1, True, 1)
    done = commands.run("merge", *roots)
    assert f"imagegen use {roots[0]} " in done.out
    assert "Conflict, drawn differently" in done.out
    assert commands.run("merge", roots[0]).code == 2
    assert commands.run("merge", roots[0], roots[0]).code == 2
    assert commands.run("merge", roots[0], commands.folder / "nowhere").code == 2
