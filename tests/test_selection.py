"""Which beats --style, --shot and --beat mean."""

from collections import UserDict
from collections.abc import ItemsView, ValuesView
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import beat, storyboard
from commands import Commands, pictures, row
from imagegen.errors import UsageError
from imagegen.project.beat_ids import BeatIndex
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat, Storyboard
from imagegen.workspace.beat_filter import BeatAddresses, Selection

STYLES = ("illustration", "clear", "consistent")
BOARD = storyboard(
    *(beat("1.1", style=style, shot="1") for style in STYLES),
    *(beat("1.2", style=style, shot="1") for style in STYLES),
    *(beat("9", style=style, shot=shot) for style in STYLES for shot in ("1", "2")),
    beat("2.1", style="clear", shot="2"),
)


def chosen(**asked: tuple[str, ...] | int) -> list[str]:
    """Return the addresses of the beats that are chosen."""
    return chosen_of(BOARD, DrawRequest(**asked))  # type: ignore[arg-type]


def chosen_of(board: Storyboard, asked: DrawRequest) -> list[str]:
    """Return the same for any storyboard."""
    selection = Selection(asked, board.beats, lambda: BeatIndex.of(board.beats))
    return [
        "/".join((one.style, *one.key))
        for beats in board.beats.values()
        for one in beats
        if selection(one)
    ]


def found(address: str) -> list[str]:
    """Return the beats that an address names."""
    addresses = BeatAddresses(BOARD.beats, BeatIndex.of(BOARD.beats))
    return ["/".join((one.style, *one.key)) for one in addresses.find(address)]


def refused(**asked: tuple[str, ...] | int) -> UsageError:
    """Return the error that a choice gives."""
    with pytest.raises(UsageError) as caught:
        chosen(**asked)
    assert caught.value.exit_code == 2
    return caught.value


def test_without_options_every_beat_is_asked_for() -> None:
    """A plain run means all of the storyboard."""
    assert len(chosen()) == len(BOARD)


def test_styles_and_shots_narrow_the_choice() -> None:
    """--style and --shot may be repeated, and both must fit."""
    assert len(chosen(styles=("clear",))) == 5
    assert len(chosen(styles=("clear", "consistent"))) == 9
    assert chosen(styles=("clear",), shots=("2",)) == ["clear/2/9", "clear/2/2.1"]
    assert len(chosen(shots=("1", "2"))) == len(BOARD)


def test_a_shot_may_be_named_as_the_beats_file_writes_it() -> None:
    """--shot "Shot 2" is --shot 2."""
    assert chosen(shots=("Shot 2",)) == chosen(shots=("2",))


@pytest.mark.parametrize(
    ("address", "beats"),
    [
        ("1.1", ["illustration/1/1.1", "clear/1/1.1", "consistent/1/1.1"]),
        ("Beat 1.1", ["illustration/1/1.1", "clear/1/1.1", "consistent/1/1.1"]),
        ("clear/1.1", ["clear/1/1.1"]),
        ("1/1.1", ["illustration/1/1.1", "clear/1/1.1", "consistent/1/1.1"]),
        ("clear/2/9", ["clear/2/9"]),
        ("clear/Shot 2/Beat 9", ["clear/2/9"]),
        ("2/9", ["illustration/2/9", "clear/2/9", "consistent/2/9"]),
        ("2.1", ["clear/2/2.1"]),
    ],
)
def test_an_address_names_its_beats(address: str, beats: list[str]) -> None:
    """A beat is addressed by number, style and number, or shot as well."""
    assert found(address) == beats
    assert chosen(beats=(address,)) == beats


def test_addresses_add_up() -> None:
    """--beat may be repeated, and each names more."""
    assert chosen(beats=("clear/1.1", "clear/1.2")) == ["clear/1/1.1", "clear/1/1.2"]
    assert chosen(beats=("1.1", "clear/1.2"), styles=("clear",)) == ["clear/1/1.1", "clear/1/1.2"]


class Counted(UserDict[str, tuple[Beat, ...]]):
    """Beats by style that tell how often they were looked through."""

    looks = 0

    def values(self) -> ValuesView[tuple[Beat, ...]]:
        """Return the styles' beats."""
        self.looks += 1
        return super().values()

    def items(self) -> ItemsView[str, tuple[Beat, ...]]:
        """Return the styles and their beats."""
        self.looks += 1
        return super().items()


def test_many_addresses_cost_one_look_at_the_storyboard() -> None:
    """A script may name hundreds of beats of a large one."""
    few, many = Counted(BOARD.beats), Counted(BOARD.beats)
    Selection(DrawRequest(beats=("1.1",)), few, lambda: BeatIndex.of(few))
    Selection(
        DrawRequest(beats=("1.1", "1.2", "clear/1.1", "1/9", "2/9", "2.1")),
        many,
        lambda: BeatIndex.of(many),
    )
    assert many.looks == few.looks


@pytest.mark.parametrize("address", ["9", "clear/9"])
def test_a_number_in_several_shots_must_say_which(address: str) -> None:
    """A number that shots share is refused, and the ways to write it are given."""
    error = refused(beats=(address,))
    assert "occurs in 2 shots" in error.message
    prefix = address.removesuffix("9")
    assert f"{prefix}1/9, {prefix}2/9" in (error.hint or "")
    with pytest.raises(UsageError):
        found(address)


def test_what_does_not_exist_is_named_with_what_was_meant() -> None:
    """A style, shot or beat that is not there is refused, with the nearest that is."""
    style = refused(styles=("claer",))
    assert 'no style "claer"' in style.message
    assert '"clear"' in (style.hint or "")
    shot = refused(shots=("7",))
    assert 'no shot "7"' in shot.message
    assert "there are: 1, 2" in (shot.hint or "")
    beats = refused(beats=("1.11",))
    assert 'no beat "1.11"' in beats.message
    assert '"1.1"' in (beats.hint or "")
    assert 'unknown style "claer"' in refused(beats=("claer/1/1.1",)).message


@pytest.mark.parametrize(
    "address", ["", "/", "clear/", "clear", "a/b/c/d", "clear/1/1.1/x", "illustration/2.1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """Half an address, or one of a beat that the style leaves out, ends with exit 2."""
    refused(beats=(address,))


def test_other_options_settle_which_beat_is_meant() -> None:
    """A number that occurs in several shots is clear once --shot leaves one of them."""
    assert chosen(shots=("2",), beats=("9",)) == [f"{style}/2/9" for style in STYLES]


def test_options_that_contradict_each_other_are_refused() -> None:
    """A selection without any beat is a mistake, and no idle run."""
    assert "clear/1.1" in refused(styles=("consistent",), beats=("clear/1.1",)).message
    assert "no beat is selected" in chosen_nothing().message


def chosen_nothing() -> UsageError:
    """Return the error for a style without the shot that is asked for."""
    board = storyboard(beat("1", style="clear", shot="1"), beat("2", style="consistent", shot="2"))
    with pytest.raises(UsageError) as caught:
        Selection(
            DrawRequest(styles=("clear",), shots=("2",)),
            board.beats,
            lambda: BeatIndex.of(board.beats),
        )
    return caught.value


# -- samples ---------------------------------------------------------------------------


def board_of(**counts: int) -> Storyboard:
    """Return a storyboard with so many beats in each style, ten a shot."""
    return storyboard(
        *(
            beat(str(n), style=style, shot=str(1 + (n - 1) // 10))
            for style, count in counts.items()
            for n in range(1, count + 1)
        )
    )


def numbers(board: Storyboard, **asked: tuple[str, ...] | int) -> dict[str, list[int]]:
    """Return the beats that are chosen, by style."""
    found: dict[str, list[int]] = {}
    for address in chosen_of(board, DrawRequest(**asked)):  # type: ignore[arg-type]
        style, _, number = address.split("/")
        found.setdefault(style, []).append(int(number))
    return found


def test_a_sample_of_three_is_first_middle_and_last() -> None:
    """In every style, by its own beats."""
    board = board_of(illustration=31, clear=9, consistent=1)
    assert numbers(board, sample=3) == {
        "illustration": [1, 16, 31],
        "clear": [1, 5, 9],
        "consistent": [1],
    }


def test_a_sample_of_one_is_the_first_and_of_two_the_ends() -> None:
    """The fewer the more telling."""
    board = board_of(clear=10)
    assert numbers(board, sample=1) == {"clear": [1]}
    assert numbers(board, sample=2) == {"clear": [1, 10]}
    assert numbers(board, sample=4) == {"clear": [1, 4, 7, 10]}


def test_a_sample_larger_than_a_style_is_all_of_it() -> None:
    """No beat is asked for twice."""
    board = board_of(clear=4, consistent=2)
    assert numbers(board, sample=1000) == numbers(board)


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_sample_is_as_large_as_asked_and_evenly_spread(beats: int, sample: int) -> None:
    """Gaps differ by one at most, and the ends are always there."""
    found = numbers(board_of(clear=beats), sample=sample)["clear"]
    assert len(found) == min(beats, sample)
    assert found[0] == 1
    if len(found) > 1:
        assert found[-1] == beats
        gaps = {after - before for before, after in pairwise(found)}
        assert max(gaps) - min(gaps) <= 1


def test_a_sample_is_taken_of_what_else_is_asked_for() -> None:
    """--style, --shot and --beat narrow it first."""
    board = board_of(clear=30, consistent=30)
    assert numbers(board, sample=3, styles=("clear",)) == {"clear": [1, 15, 30]}
    assert numbers(board, sample=2, shots=("2",)) == {"clear": [11, 20], "consistent": [11, 20]}
    addresses = ("3", "4", "5", "clear/7")
    assert numbers(board, sample=2, beats=addresses) == {"clear": [3, 7], "consistent": [3, 5]}


@pytest.mark.slow
def test_resume_finishes_the_sample_and_no_more(commands: Commands) -> None:
    """With --limit a sample is begun; `resume` draws the rest of it and tells what is left."""
    root = commands.project(beats=[row(n) for n in range(7)])
    sketch = ("--provider", "sketch")
    done = commands.run("run", root, "--sample", "3", "--limit", "4", *sketch)
    assert (done.code, len(pictures(root))) == (0, 4)

    done = commands.run("resume", root)
    assert (done.code, len(pictures(root))) == (0, 9)
    assert drawn(root) == {"1.1", "1.4", "2.2"}
    assert "12 other images of the project were left as before" in done.text

    done = commands.run("resume", root, "--progress", "json")
    assert done.events[-1]["counts"]["clear"] == {  # type: ignore[index]
        "total": 3,
        "pending": 0,
        "complete": 0,
        "skipped": 3,
        "outdated": 0,
        "waived": 0,
        "blocked": 0,
        "error": 0,
    }
    assert commands.run("run", root, *sketch).code == 0
    assert len(pictures(root)) == 21


def drawn(root: Path) -> set[str]:
    """Return the numbers of the beats that have a picture."""
    return {path.stem.removeprefix("Beat_") for path in pictures(root)}


def test_a_sample_of_nothing_is_refused(commands: Commands) -> None:
    """--sample takes a whole number of at least one."""
    root = commands.project(beats=1)
    for text in ("0", "-1", "some"):
        done = commands.run("run", root, f"--sample={text}", "--provider", "sketch")
        assert done.code == 2
        assert "--sample" in done.err


@pytest.mark.parametrize(
    ("address", "meant"), [("claer/1.1", "clear/1.1"), ("clear/1.19", "clear/1.1")]
)
def test_what_was_probably_meant_keeps_its_style(address: str, meant: str) -> None:
    """Following the suggestion draws, and pays for, no more than was asked for."""
    board = storyboard(beat("1.1", style="clear"), beat("1.1", style="consistent"))
    with pytest.raises(UsageError) as found:
        BeatAddresses(board.beats, BeatIndex.of(board.beats)).find(address)
    assert found.value.hint == f'did you mean "{meant}"?'
