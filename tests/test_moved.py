"""Which pictures belong to other numbers after a storyboard was edited."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from imagegen.project.storyboard import BeatKey
from imagegen.workspace import renames
from imagegen.workspace.renames import UnmatchedBeat, UnmatchedImage

Numbers = dict[str, str]
"""From which beat number to which."""

SHORE = "A red boat lies on the shore while the tide goes out."
EDITED = "A blue boat lies on the shore while the tide comes in."
SEA = "猫が赤い椅子に座って、窓の外の海を見ている。"
SEA_EDITED = "猫が青い椅子に座って、窓の外の山を見ている。"


class One(msgspec.Struct, frozen=True):
    """A beat: its words, and what a storyboard may say besides. `settled` is sent instead."""

    words: str
    id: str | None = None
    shot: str = "1"
    settled: str | None = None


Beats = Sequence[str | One]


def numbered(beats: Beats) -> dict[BeatKey, One]:
    """Give each beat its number: counted within its shot."""
    found: dict[BeatKey, One] = {}
    for beat in (One(words=beat) if isinstance(beat, str) else beat for beat in beats):
        number = sum(shot == beat.shot for shot, _ in found) + 1
        found[beat.shot, f"{beat.shot}.{number}"] = beat
    return found


def rows(beats: Beats) -> list[UnmatchedBeat]:
    """Return beats as rows of a storyboard; the hash of words is the words."""
    return [
        UnmatchedBeat(
            key,
            (one.settled, one.words) if one.settled else (one.words,),
            one.settled or one.words,
            one.id,
        )
        for key, one in numbered(beats).items()
    ]


def pictures(beats: Beats) -> list[UnmatchedImage]:
    """Return a picture of each beat, at its number."""
    return [UnmatchedImage(key, one.words, one.id) for key, one in numbered(beats).items()]


def said(one: UnmatchedImage) -> str | None:
    """Return the words that a picture of these tests was drawn from."""
    return one.words


def moves(
    before: Beats, after: Beats, text_of: Callable[[UnmatchedImage], str | None] = said
) -> Numbers:
    """Return which numbers changed between two states of a storyboard that was drawn."""
    is_now, was = numbered(after), numbered(before)
    staying = {
        key
        for key, one in was.items()
        if key in is_now and is_now[key] == one and one.settled is None
    }
    found = renames.match_moves(
        [row for row in rows(after) if row.key not in staying],
        [picture for picture in pictures(before) if picture.key not in staying],
        text_of,
    )
    return by_number(found)


def by_number(found: Mapping[BeatKey, BeatKey]) -> Numbers:
    """Leave the shot out: it stands in the numbers of these tests."""
    return {was: now for (_, was), (_, now) in found.items()}


def ids(*pairs: tuple[str, str]) -> list[One]:
    """Return beats of these words and ids."""
    return [One(words, id=name) for words, name in pairs]


def shots(*words: str) -> list[One]:
    """Return a shot for each text, a beat for each letter."""
    return [One(letter, shot=str(n)) for n, text in enumerate(words, 1) for letter in text]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param("abcd", "abXcd", {"1.3": "1.4", "1.4": "1.5"}, id="inserted"),
        pytest.param("abc", "Xabc", {"1.1": "1.2", "1.2": "1.3", "1.3": "1.4"}, id="at the start"),
        pytest.param("abc", "abcX", {}, id="at the end"),
        pytest.param("abcd", "acd", {"1.3": "1.2", "1.4": "1.3"}, id="deleted"),
        pytest.param("abc", "ab", {}, id="the last one deleted"),
        pytest.param("abc", "bac", {"1.1": "1.2", "1.2": "1.1"}, id="swapped"),
        pytest.param("abc", "cab", {"1.1": "1.2", "1.2": "1.3", "1.3": "1.1"}, id="in a circle"),
        pytest.param("abcd", "Xabd", {"1.1": "1.2", "1.2": "1.3"}, id="a chain that ends"),
        pytest.param("abc", "XYZ", {}, id="all new"),
        pytest.param("", "abc", {}, id="nothing drawn"),
        pytest.param("abc", "", {}, id="no row left"),
        pytest.param("abc", "abc", {}, id="nothing changed"),
    ],
)
def test_a_picture_follows_its_words(before: str, after: str, expected: Numbers) -> None:
    """Where beats were inserted, deleted or reordered, the words say whose a picture is."""
    assert moves(before, after) == expected


def test_a_picture_follows_its_words_into_another_shot() -> None:
    """A beat that changed its shot is found there, and what comes after it in both shots."""
    assert moves(shots("abc", "de"), shots("ac", "dbe")) == {
        "1.2": "2.2",
        "1.3": "1.2",
        "2.2": "2.3",
    }


def test_beats_of_one_number_in_two_shots_are_told_apart() -> None:
    """A number that several shots have is of one beat in each."""
    at = [("1", "5"), ("2", "5")]
    found = renames.match_moves(
        [UnmatchedBeat(key, (words,), words) for key, words in zip(at, "ba", strict=True)],
        [UnmatchedImage(key, words) for key, words in zip(at, "ab", strict=True)],
        said,
    )
    assert found == {at[0]: at[1], at[1]: at[0]}


@pytest.mark.parametrize("after", [["X", "b"], [EDITED, "b"], ["X", "Y"]])
def test_words_that_were_merely_edited_move_nothing(after: Beats) -> None:
    """A beat that was edited in its place, slightly or entirely, is no other beat."""
    assert moves([SHORE, "b"], after) == {}


def test_the_first_of_several_of_the_same_words_stay_in_their_place() -> None:
    """Of beats with the same words those that can stay do, though others come before them."""
    every = rows(["X", "a", "a", "a"]), pictures(["a", "a", "a"])
    assert by_number(renames.match_moves(*every, said)) == {"1.1": "1.4"}


def test_several_of_the_same_words_move_in_their_order() -> None:
    """Beats with the same words that all have other numbers now keep their order."""
    assert moves("aabb", "bbaa") == {"1.1": "1.3", "1.2": "1.4", "1.3": "1.1", "1.4": "1.2"}


def test_more_pictures_of_the_same_words_than_rows_leave_the_last_where_they_are() -> None:
    """Of the same words as many pictures move as there are beats without one."""
    assert moves("Xaaa", "aX") == {"1.1": "1.2", "1.2": "1.1"}
    assert moves(["b", "a", "a", "a"], ["X", "Y", "b", "Z", "a"])["1.2"] == "1.5"


def test_the_id_decides_between_the_same_words() -> None:
    """Beats with the same words that changed places are told apart by their ids."""
    before = ids(("a", "one"), ("a", "two"), ("a", "three"))
    after = ids(("a", "three"), ("a", "one"), ("a", "two"))
    assert moves(before, after) == {"1.1": "1.2", "1.2": "1.3", "1.3": "1.1"}


def test_an_id_finds_a_beat_that_was_rewritten_while_it_moved() -> None:
    """Where ids stay with their beats, a beat needs no word of what it was."""
    before = ids((SHORE, "one"), ("b", "two"), ("c", "three"))
    after = ids(("new", "four"), ("c", "three"), ("b", "two"), ("旅", "one"))
    assert moves(before, after) == {"1.1": "1.4", "1.2": "1.3", "1.3": "1.2"}


def test_an_id_alone_tells_that_beats_have_moved() -> None:
    """Where every beat was both moved and rewritten, ids are all that is left."""
    before = ids(("a", "one"), ("b", "two"))
    assert moves(before, ids(("X", "two"), ("Y", "one"))) == {"1.1": "1.2", "1.2": "1.1"}


def test_an_id_that_stays_keeps_a_rewritten_picture_in_its_place() -> None:
    """A beat that was rewritten where it is keeps its picture while others move around it."""
    before = ids((SHORE, "one"), ("b", "two"), ("c", "three"))
    after = ids(("X", "one"), ("c", "three"), (EDITED, "two"))
    assert moves(before, after) == {"1.2": "1.3", "1.3": "1.2"}


def test_ids_that_are_counted_anew_are_no_ids() -> None:
    """Ids that every edit numbers from one again say nothing of a beat that was rewritten."""
    before = ids((SHORE, "1"), ("b", "2"), ("c", "3"))
    after = ids(("new", "1"), (EDITED, "2"), ("b", "3"), ("c", "4"))
    # By ids the first picture would be of what is new.
    assert moves(before, after) == {"1.1": "1.2", "1.2": "1.3", "1.3": "1.4"}


def test_ids_that_are_counted_anew_keep_nothing_from_its_words() -> None:
    """A picture goes where its words are, whatever number stands beside them."""
    before = ids(("a", "1"), ("b", "2"))
    assert moves(before, ids(("b", "1"), ("a", "2"))) == {"1.1": "1.2", "1.2": "1.1"}
    staying = ids(("b", "9"), ("a", "8"))
    assert moves(ids(("b", "1"), ("a", "2")), staying) == {}


@pytest.mark.parametrize(("words", "edited"), [(SHORE, EDITED), (SEA, SEA_EDITED)])
def test_a_beat_that_was_edited_while_it_moved_is_found(words: str, edited: str) -> None:
    """Where beat numbers changed, words that are much alike are the same beat, in any script."""
    before = ["a", words, "c"]
    assert moves(before, ["new", "a", edited, "c"]) == {"1.1": "1.2", "1.2": "1.3", "1.3": "1.4"}


def test_letter_case_and_spaces_make_no_other_beat() -> None:
    """Words that were only set differently are alike."""
    after = ["new", "a", f" {SHORE.upper()}\n".replace(" ", " " * 30)]
    assert moves(["a", SHORE], after) == {"1.1": "1.2", "1.2": "1.3"}


@pytest.mark.parametrize(
    ("words", "other"),
    [(SHORE, "A red car stands at the station."), (SEA, "犬が床に寝て、雪を見ている。")],
)
def test_words_that_are_less_than_half_the_same_are_another_beat(words: str, other: str) -> None:
    """A beat that is new is not given what is left of one that is gone."""
    assert moves(["a", words], ["new", "a", other]) == {"1.1": "1.2"}


@pytest.mark.parametrize(("words", "edited"), [(SHORE, EDITED), (SEA, SEA_EDITED)])
def test_where_nothing_has_moved_nothing_moves_by_likeness(words: str, edited: str) -> None:
    """Words that are merely alike are no proof that beat numbers changed."""
    assert moves(["a", words, "c"], ["a", "X", "c", edited]) == {}
    assert moves([words], ["X", edited]) == {}


def test_the_most_alike_are_the_same_beat() -> None:
    """Of several beats that a picture could be of, it is the one that is most alike."""
    before = ["a", SHORE, "c"]
    after = ["new", "a", "A red boat lies in the sea while people go out.", SHORE + " Night.", "c"]
    assert moves(before, after)["1.2"] == "1.4"


def test_of_beats_that_are_as_much_alike_the_one_in_its_place_stays() -> None:
    """A picture that could go to two edited beats alike does not go anywhere."""
    before = ["a", "b", "c", SHORE]
    assert moves(before, ["b", "a", EDITED, EDITED]) == {"1.1": "1.2", "1.2": "1.1"}


def test_a_picture_that_does_not_tell_its_words_is_found_by_their_hash_alone() -> None:
    """Without its words a picture is like nothing; with the same ones it moves as any other."""
    before, after = ["a", SHORE], ["new", "a", EDITED]
    assert moves(before, after, lambda _: None) == {"1.1": "1.2"}


@pytest.mark.parametrize("drawn", ["settled", "own"])
def test_a_settled_beat_is_found_by_either_of_its_words(drawn: str) -> None:
    """A picture may have been drawn from the row's words or from those settled for it."""
    after: Beats = ["new", "a", One("own", settled="settled")]
    assert moves(["a", drawn], after) == {"1.1": "1.2", "1.2": "1.3"}


def test_settled_words_come_before_the_row_s_own() -> None:
    """Of two pictures the one of what would be sent now is the beat's."""
    after: Beats = ["new", "x", One("own", settled="settled")]
    assert moves(["own", "settled"], after) == {"1.2": "1.3"}


def test_words_that_a_settled_beat_does_not_need_go_to_the_row_that_does() -> None:
    """A picture of words that another row has now is that row's, though it lies elsewhere."""
    after: Beats = [One("own", settled="settled"), "own"]
    assert moves(["own"], after) == {"1.1": "1.2"}


def shifted(
    count: int, words: Callable[[int], str]
) -> tuple[list[UnmatchedBeat], list[UnmatchedImage]]:
    """Return a storyboard of many beats, each of whose pictures lies one number before it."""
    return (
        [UnmatchedBeat(("1", str(n + 1)), (words(n),), words(n)) for n in range(count)],
        [UnmatchedImage(("1", str(n)), words(n)) for n in range(count)],
    )


def calls(work: Callable[[], object]) -> int:
    """Count the calls that work makes of Python's functions and the interpreter's own."""
    counted = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


class Counted(str):
    """A text that counts how often any is compared with another."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def never(_: UnmatchedImage) -> str | None:
    """Fail: the words of no picture are needed."""
    raise AssertionError("a picture was opened")


@pytest.mark.parametrize("words", [lambda _: "the same", str], ids=["same", "distinct"])
def test_many_moved_beats_take_no_longer_than_so_many_beats(words: Callable[[int], str]) -> None:
    """Ten times the beats are ten times the work and no more, and no picture is opened."""
    work = {}
    for count in (2_000, 20_000):
        every = shifted(count, lambda n: Counted(words(n)))
        Counted.compared = 0
        work[count] = calls(partial(renames.match_moves, *every, never)) + Counted.compared
    assert work[20_000] < 11 * work[2_000]


def test_many_beats_are_all_brought_along() -> None:
    """Of 20,000 beats that were all shifted every picture goes one number on."""
    found = renames.match_moves(*shifted(20_000, str), never)
    assert found == {("1", str(n)): ("1", str(n + 1)) for n in range(20_000)}
    # Of the same words only the first has lost its place, and goes where there is none.
    alike = renames.match_moves(*shifted(20_000, lambda _: "the same"), never)
    assert alike == {("1", "0"): ("1", "20000")}


def test_very_many_edited_beats_are_not_compared() -> None:
    """Where comparing words would take minutes, only the same words are the same beat."""
    before = ["a", *(f"{SHORE} {n}" for n in range(150))]
    after = ["new", "a", *(f"{EDITED} {n}" for n in range(150))]
    assert moves(before, after, never) == {"1.1": "1.2"}


def test_each_picture_is_opened_once() -> None:
    """What is compared with every beat that is left is read a single time."""
    opened: list[str] = []

    def text_of(one: UnmatchedImage) -> str | None:
        opened.append(one.key[1])
        return one.words

    moves(["a", SHORE, SEA], ["new", "a", EDITED, SEA_EDITED, "X"], text_of)
    assert sorted(opened) == ["1.2", "1.3"]
