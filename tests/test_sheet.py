"""The live view's glyphs: laid out once, rebuilt only where a beat changed."""

from imagegen.display.sheet import Sheet
from imagegen.display.text import ASCII
from imagegen.project.status import Status


def _sheet(shots: int, width: int) -> tuple[Sheet, dict[tuple[str, str], Status]]:
    statuses = {(str(s), f"{s}.{b}"): Status.PENDING for s in range(shots) for b in range(3)}
    return Sheet(statuses, ASCII, width), statuses


def test_shots_stay_together_and_lines_fit() -> None:
    """A shot is not torn apart where it fits into a line of its own."""
    sheet, _ = _sheet(shots=5, width=8)
    assert [row.plain for row in sheet.rows(9)] == ["  ... ...", "  ... ...", "  ..."]


def test_long_shot_goes_on_in_the_next_line() -> None:
    """A shot that is longer than a line loses no beat."""
    statuses = {("1", str(n)): Status.COMPLETE for n in range(10)}
    rows = [row.plain for row in Sheet(statuses, ASCII, 4).rows(9)]
    assert rows == ["  ++++", "  ++++", "  ++"]


def test_a_changed_beat_is_shown() -> None:
    """The sign of a beat follows its status."""
    sheet, statuses = _sheet(shots=2, width=8)
    assert sheet.rows(1)[0].plain == "  ... ..."
    statuses["1", "1.0"] = Status.ERROR
    sheet.changed(("1", "1.0"), Status.PENDING)
    assert sheet.rows(1)[0].plain == "  ... x.."


def test_of_too_many_lines_the_moving_ones_are_shown() -> None:
    """What is done scrolls away: one settled line stays above the first that still moves."""
    sheet, statuses = _sheet(shots=6, width=3)
    for key in list(statuses)[:9]:
        statuses[key] = Status.COMPLETE
        sheet.changed(key, Status.PENDING)
    assert [row.plain for row in sheet.rows(3)] == ["  +++", "  ...", "  ..."]
