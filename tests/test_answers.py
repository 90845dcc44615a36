"""What all image APIs' answers have in common: pictures in base64, however it is written."""

import base64
from textwrap import wrap

import msgspec
import pytest

from builders import picture
from imagegen.providers import responses
from imagegen.providers.base import FaultKind, Picture, ProviderError

DATA = picture()
CODED = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode().rstrip("=")
PADDED = next(
    base64.b64encode(one).decode() for n in range(3) if len(one := DATA + bytes(n)) % 3 == 1
)


def json_of(text: str) -> msgspec.Raw:
    """Return text as a piece of JSON."""
    return msgspec.Raw(msgspec.json.encode(text))


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param(CODED, id="text"),
        pytest.param(json_of(CODED), id="JSON"),
        pytest.param(msgspec.Raw(f'"{CODED}"'.replace("/", "\\/").encode()), id="escaped slashes"),
        pytest.param(msgspec.Raw(f'"\\u{ord(CODED[0]):04x}{CODED[1:]}"'.encode()), id="escaped"),
        pytest.param(URL_SAFE, id="url-safe"),
        pytest.param(json_of(URL_SAFE), id="url-safe in JSON"),
        pytest.param(json_of("\r\n".join(wrap(CODED, 76)) + "\n"), id="line breaks"),
        pytest.param("data:image/png;base64," + CODED, id="address"),
        pytest.param(json_of("data:image/png;base64," + CODED), id="address in JSON"),
    ],
)
def test_a_picture_is_read_however_it_is_written(coded: msgspec.Raw | str) -> None:
    """Writers of JSON may escape any character; some gateways send a whole address."""
    assert responses.picture(coded) == Picture(data=DATA)


@pytest.mark.parametrize("sign", ["=", "\\u003d", "%3D", ""])
def test_padding_may_be_escaped_or_left_out(sign: str) -> None:
    """Writers that take care of HTML or of addresses do so."""
    outcome = responses.picture(msgspec.Raw(f'"{PADDED}"'.replace("=", sign).encode()))
    assert isinstance(outcome, Picture)
    assert base64.b64encode(outcome.data).decode() == PADDED


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param(CODED[:-2] + "!", id="no base64"),
        pytest.param(json_of(CODED + "é"), id="no ASCII"),
        pytest.param(msgspec.Raw(b'"' + CODED.encode() + b'\xff"'), id="no Unicode"),
        pytest.param(json_of(CODED[: len(CODED) // 4 * 4 - 3]), id="one character too many"),
        pytest.param(json_of(" \n="), id="blank"),
        pytest.param(json_of("none"), id="a word"),
    ],
)
def test_a_picture_that_cannot_be_read_was_drawn(coded: msgspec.Raw | str) -> None:
    """It costs an attempt, and what a picture does."""
    outcome = responses.picture(coded)
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.reason, outcome.was_drawn) == (
        FaultKind.PASSING,
        "broken picture",
        True,
    )


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param(msgspec.Raw(b'""'), id="empty"),
        pytest.param(msgspec.Raw(b"null"), id="null"),
        pytest.param(msgspec.Raw(b"1234567890"), id="number"),
        pytest.param(msgspec.Raw(f'["{CODED}"]'.encode()), id="list"),
    ],
)
def test_what_is_no_text_is_a_broken_answer(coded: msgspec.Raw) -> None:
    """It costs an attempt and no more."""
    outcome = responses.picture(coded)
    assert isinstance(outcome, ProviderError)
    assert (outcome.kind, outcome.reason, outcome.was_drawn) == (
        FaultKind.PASSING,
        "broken answer",
        False,
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b'"a"', True), (b'""', False), (b"null", False), (b"12345", False), (b'["a"]', False)],
)
def test_text_is_told_from_what_is_none(value: bytes, expected: bool) -> None:  # noqa: FBT001
    """A field that stands empty or null is as good as missing."""
    assert responses.is_text(msgspec.Raw(value)) is expected
