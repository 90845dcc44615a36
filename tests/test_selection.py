"""Which beats --style, --shot and --beat mean."""

import pytest

from builders import beat, storyboard
from imagegen.errors import UsageError
from imagegen.generation.selection import Selection, find_one
from imagegen.project.record import Asked

STYLES = ("illustration", "clear", "consistent")
BOARD = storyboard(
    *(beat("1.1", style=style, shot="1") for style in STYLES),
    *(beat("1.2", style=style, shot="1") for style in STYLES),
    *(beat("9", style=style, shot=shot) for style in STYLES for shot in ("1", "2")),
    beat("2.1", style="clear", shot="2"),
)


def chosen(**asked: tuple[str, ...]) -> list[str]:
    """Return the addresses of the beats that are chosen."""
    selection = Selection(Asked(**asked), BOARD, STYLES)  # type: ignore[arg-type]
    return [
        "/".join((one.style, *one.key))
        for beats in BOARD.beats.values()
        for one in beats
        if selection(one)
    ]


def found(address: str) -> list[str]:
    """Return the beats that an address names."""
    return ["/".join((one.style, *one.key)) for one in find_one(address, BOARD)]


def refused(**asked: tuple[str, ...]) -> UsageError:
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
    "address", ["", "/", "clear/", "clear", "a/b/c/d", "clear/1/1.1/x", "illustration/2.1", "1.1 "]
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
        Selection(Asked(styles=("clear",), shots=("2",)), board, STYLES)
    return caught.value
