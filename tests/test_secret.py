"""API keys in memory show nothing but their last four characters."""

import base64
import copy
import pickle
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


SPELLINGS: list[Callable[[str], str]] = [
    str,
    lambda c: f"%{ord(c):02x}",
    lambda c: f"%{ord(c):02X}",
    lambda c: f"%25{ord(c):02X}",
    lambda c: f"\\u{ord(c):04x}",
    lambda c: f"\\\\u{ord(c):04X}",
    lambda c: f"\\x{ord(c):02x}",
    lambda c: f"&#{ord(c)};",
    lambda c: f"&#x{ord(c):X};",
    lambda c: f"&amp;#{ord(c)};",
]
BREAKS = ["\n", "\r\n    ", " ", "\\n", "\\\n", "<br>", "<wbr/>", "\u200b", "\u00ad", "\t"]


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_key_is_known_however_it_is_spelt(spell: Callable[[str], str]) -> None:
    """In an address, JSON or HTML, and in one of them within another."""
    Secret(KEY)
    assert redact(f"[{''.join(map(spell, KEY))}]") == "[…0001]"


@pytest.mark.parametrize("line", BREAKS)
def test_a_key_is_known_over_lines(line: str) -> None:
    """Wherever it is broken, and in base64 too."""
    Secret(KEY)
    for at in range(1, len(KEY)):
        assert redact(f"[{KEY[:at]}{line}{KEY[at:]}]") == "[…0001]"
    coded = base64.b64encode(f"key={KEY}.".encode()).decode()
    assert coded[8:-8] not in redact("\n".join(coded[n : n + 16] for n in range(0, 40, 16)))


@pytest.mark.parametrize("cut", [slice(1, None), slice(None, -1), slice(1, -1), slice(5, None)])
def test_a_key_that_is_cut_is_known(cut: slice) -> None:
    """By whoever kept a message short: what is left would be most of it."""
    Secret(KEY)
    assert redact(f"({KEY[cut]})") == "(…0001)"
    assert redact(f"({''.join(map(SPELLINGS[4], KEY[cut]))})") == "(…0001)"


def test_a_small_part_of_a_key_is_left() -> None:
    """Names and words may begin as keys do."""
    Secret(KEY)
    assert redact("test-key- and alpha, 000001") == "test-key- and alpha, 000001"
    Secret("short-one")
    assert redact("short and one") == "short and one"
    assert redact("short-on") == "a short key"


@given(
    st.lists(st.tuples(st.sampled_from(SPELLINGS), st.sampled_from(["", *BREAKS])), min_size=21),
    st.text("ab%\\&<\n;", max_size=8),
)
def test_no_mixture_of_spellings_hides_a_key(
    parts: list[tuple[Callable[[str], str], str]], around: str
) -> None:
    """Each character in its own way, with whatever between them."""
    Secret(KEY)
    said = "".join(spell(c) + line for c, (spell, line) in zip(KEY, parts, strict=False))
    shown = redact(f"{around} {said} {around}")
    assert "0001" in shown
    for spell in SPELLINGS:
        assert "".join(map(spell, "alpha")) not in shown
