"""JSON as imagegen writes it everywhere: harmless to a terminal and to a CI runner.

Text from outside (prompts, file names, error messages of a service) may have control characters
that move a terminal, marks that turn text around, or commands for a CI runner. They are
written as JSON escapes: the same values to every reader of JSON.
"""

import re
from typing import Final

import msgspec

from imagegen.errors import encodable

_ENCODER: Final = msgspec.json.Encoder()

# In UTF-8: U+007F, U+0080 to U+009F (a terminal takes them for escape sequences), the marks of
# Unicode's bidirectional algorithm, and the separators of lines and paragraphs, which JavaScript
# once took for the end of a line. The first of two colons and of `##[` is enough: GitHub Actions
# looks for `::` and `##[` (`ActionCommand.cs` of actions/runner), and neither occurs outside of
# strings in JSON. Below U+0020 JSON itself wants escapes.
_HARMFUL: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
    rb"|:(?=:)|#(?=#\[)"
)


def to_json(value: object) -> bytes:
    """Return a value as one line of JSON, without the line's end.

    Text that UTF-8 cannot encode, as in undecodable file names, becomes `?`.
    """
    try:
        data = _ENCODER.encode(value)
    except UnicodeEncodeError:
        data = _ENCODER.encode(_sendable(msgspec.to_builtins(value, str_keys=True)))
    return _escaped(data)


def to_indented_json(value: object, indent: int = 1) -> bytes:
    """Return a value as JSON for people to read, with a line's end."""
    return msgspec.json.format(to_json(value), indent=indent) + b"\n"


def _escaped(data: bytes) -> bytes:
    # Nearly all lines are plain, and this is all that they cost.
    if data.isascii() and b"::" not in data and b"##[" not in data and b"\x7f" not in data:
        return data
    return _HARMFUL.sub(_escape, data)


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def _sendable(value: object) -> object:
    match value:
        case str():
            return encodable(value)
        case dict():
            return {_sendable(key): _sendable(item) for key, item in value.items()}
        case list() | tuple():
            return [_sendable(item) for item in value]
    return value
