"""The live view's glyphs: laid out once, rebuilt only where a beat changed."""

from collections.abc import Iterable

from imagegen.display.text.beat_grid import BeatGrid
from imagegen.display.text.sanitize import ASCII
from imagegen.project.beat_status import Status

Statuses = dict[tuple[str, str], Status]


def _sheet(shots: int, width: int, beats: int = 3) -> tuple[BeatGrid, Statuses]:
    statuses = {(str(s), f"{s}.{b}"): Status.PENDING for s in range(shots) for b in range(beats)}
    return BeatGrid(statuses, ASCII, width), statuses


def _change(sheet: BeatGrid, statuses: Statuses, beats: Iterable[int], status: Status) -> None:
    keys = list(statuses)
    for beat in beats:
        statuses[keys[beat]] = status
        sheet.changed(keys[beat])


def _rows(sheet: BeatGrid, most: int) -> list[str]:
    return [row.plain for row in sheet.rows(most)]


def test_shots_stay_together_and_lines_fit() -> None:
    """A shot is not torn apart where it fits into a line of its own."""
    sheet, _ = _sheet(shots=5, width=10)
    assert _rows(sheet, 9) == ["  ... ...", "  ... ...", "  ..."]
    assert sheet.height == 3


def test_long_shot_goes_on_in_the_next_line() -> None:
    """A shot that is longer than a line loses no beat."""
    statuses = {("1", str(n)): Status.COMPLETE for n in range(10)}
    assert _rows(BeatGrid(statuses, ASCII, 6), 9) == ["  ++++", "  ++++", "  ++"]


def test_a_changed_beat_is_shown() -> None:
    """The sign of a beat follows its status."""
    sheet, statuses = _sheet(shots=2, width=10)
    assert _rows(sheet, 1) == ["  ... ..."]
    _change(sheet, statuses, [0], Status.ERROR)
    assert _rows(sheet, 1) == ["  x.. ..."]


def test_what_does_not_fit_is_told_in_numbers() -> None:
    """Of too many lines those that move are shown, and what is before and after is counted."""
    sheet, statuses = _sheet(shots=10, beats=20, width=24)
    _change(sheet, statuses, range(95), Status.COMPLETE)
    _change(sheet, statuses, [3, 5], Status.ERROR)
    _change(sheet, statuses, range(95, 105), Status.GENERATING)
    assert _rows(sheet, 5) == [
        "  ... 58 + 2 x before",
        "  " + "+" * 20,
        "  " + "+" * 15 + "*" * 5,
        "  " + "*" * 5 + "." * 15,
        "  ... 80 . after",
    ]


def test_numbers_never_stand_for_a_single_line() -> None:
    """At either end the line is shown instead."""
    sheet, statuses = _sheet(shots=10, beats=20, width=24)
    assert _rows(sheet, 4) == ["  " + "." * 20] * 3 + ["  ... 140 . after"]
    _change(sheet, statuses, range(180), Status.COMPLETE)
    _change(sheet, statuses, range(180, 200), Status.GENERATING)
    done = "  " + "+" * 20
    assert _rows(sheet, 4) == ["  ... 140 + before", done, done, "  " + "*" * 20]


def test_in_one_line_everything_is_counted() -> None:
    """Where there is room for a single line, numbers say more than a few of the beats."""
    sheet, statuses = _sheet(shots=20, width=40)
    assert _rows(sheet, 1) == ["  60 ."]
    _change(sheet, statuses, range(4), Status.SKIPPED)
    _change(sheet, statuses, [4], Status.GENERATING)
    assert _rows(sheet, 1) == ["  4 = 1 * 55 ."]
    assert _rows(sheet, 0) == []


def test_beats_that_move_far_apart_are_shown_where_most_are() -> None:
    """A beat left behind for another try does not hold the view where nothing else happens."""
    sheet, statuses = _sheet(shots=100, beats=20, width=24)
    _change(sheet, statuses, range(1000), Status.COMPLETE)
    _change(sheet, statuses, [4], Status.GENERATING)
    _change(sheet, statuses, range(1000, 1004), Status.GENERATING)
    assert "  ****" + "." * 16 in _rows(sheet, 3)


def test_the_shown_lines_stay_until_others_show_more() -> None:
    """Beats keep their place on the screen while they are drawn, to be followed by eye."""
    sheet, statuses = _sheet(shots=100, beats=20, width=24)
    _change(sheet, statuses, range(430, 450), Status.GENERATING)
    before = _rows(sheet, 6)
    _change(sheet, statuses, range(430, 445), Status.COMPLETE)
    assert before[2:4] == ["  " + "." * 10 + "*" * 10, "  " + "*" * 10 + "." * 10]
    assert _rows(sheet, 6)[2:4] == [
        "  " + "." * 10 + "+" * 10,
        "  +++++" + "*" * 5 + "." * 10,
    ]


def test_a_beat_that_changed_twice_is_counted_once() -> None:
    """Several changes between two frames leave the numbers right."""
    sheet, statuses = _sheet(shots=10, width=40)
    for status in (Status.GENERATING, Status.PENDING, Status.GENERATING, Status.COMPLETE):
        statuses["0", "0.0"] = status
    sheet.changed(("0", "0.0"))
    sheet.changed(("0", "0.0"))
    assert sheet.rows(1)[0].plain.split() == ["1", "+", "29", "."]
