"""API keys in memory show nothing but their last four characters."""

import copy
import pickle
from collections.abc import Callable

import msgspec
import pytest

from imagegen.secret import Secret, redact

KEY = "test-key-alpha-000001"


class Holder(msgspec.Struct, frozen=True):
    """Something that holds a key."""

    secret: Secret


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{!r}".format, "%s".__mod__, lambda s: f"{Holder(s)}", ascii],
)
def test_every_way_to_show_a_key_hides_it(show: Callable[[Secret], str]) -> None:
    """Text made of a key, or of what holds one, has its last four characters alone."""
    shown = show(Secret(KEY))
    assert KEY not in shown
    assert "0001" in shown
    assert "alpha" not in shown


def test_a_key_is_named_by_its_tail() -> None:
    """The tail is an ellipsis and the last four characters."""
    assert Secret(KEY).tail == "…0001"


@pytest.mark.parametrize("short", ["abcd", "abcdefgh", "abcdefghijklmno"])
def test_a_short_key_shows_nothing(short: str) -> None:
    """Of a text so short that four characters would be a good part of it, none are shown."""
    assert str(Secret(short)) == "a short key"


def test_only_reveal_gives_the_key() -> None:
    """`reveal` returns the key as it was given."""
    assert Secret(KEY).reveal() == KEY


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_holds_no_key(protocol: int) -> None:
    """Pickling keeps the tail, not the key."""
    pickled = pickle.dumps(Secret(KEY), protocol)
    assert KEY.encode() not in pickled
    assert pickle.loads(pickled) == "…0001"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_same_key(duplicate: Callable[[Secret], Secret]) -> None:
    """Copies of a key still send the same key."""
    copied = duplicate(Secret(KEY))
    assert isinstance(copied, Secret)
    assert copied.reveal() == KEY


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode])
def test_a_key_cannot_be_written_by_accident(encode: Callable[[object], bytes]) -> None:
    """What holds a key cannot be encoded."""
    with pytest.raises(TypeError):
        encode(Holder(Secret(KEY)))


def test_keys_compare_by_their_text() -> None:
    """Equal keys are equal and hash alike; others, and plain text, are not equal."""
    assert Secret(KEY) == Secret(KEY)
    assert len({Secret(KEY), Secret(KEY), Secret("test-key-beta-000002")}) == 2
    assert Secret(KEY) != Secret("test-key-beta-000002")
    assert Secret(KEY) != object()


def test_redacting_replaces_every_key_seen() -> None:
    """Every occurrence of every key that was read is replaced by its tail."""
    Secret(KEY)
    Secret("test-key-beta-000002")
    text = f"key {KEY} and test-key-beta-000002 are not {KEY}"
    assert redact(text) == "key …0001 and …0002 are not …0001"


def test_redacting_leaves_other_text_alone() -> None:
    """Text without a key comes back as it was."""
    text = "nothing to hide in test-key-nobody-has"
    assert redact(text) == text


def test_redacting_leaves_no_rest_of_a_key_that_begins_with_another() -> None:
    """Where one key begins with another, the longer one is replaced as a whole."""
    Secret("test-key-gamma-000003")
    Secret("test-key-gamma-000003-and-some-more")
    assert redact("test-key-gamma-000003-and-some-more!") == "…more!"
