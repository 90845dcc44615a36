"""Shot and beat numbers, as file names bear them."""

import math
import re
from functools import lru_cache

from imagegen.project.storyboard.wording import quoted

Number = str | int | float

_VALID = re.compile(r"[\w.\- ]{1,60}")
_REFUSED = re.compile(r"[^\w.\- ]")
_PREFIX = {
    "shot": re.compile(r"shot +(?=\S)", re.IGNORECASE),
    "beat": re.compile(r"beat +(?=\S)", re.IGNORECASE),
}
_LONGEST = 60


def as_written(value: Number) -> str:
    """Return a number as text; an unquoted one has already lost trailing zeros.

    Raises ValueError with the reason where it has no such text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("is not a finite number")
    # Python refuses to print integers of thousands of digits.
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        raise ValueError(f"is too long: {_LONGEST} characters are allowed")
    return str(value)


# A row asks twice, and a shot has several rows.
@lru_cache(maxsize=1024, typed=True)
def file_number(value: Number, kind: str) -> str:
    """Return the number that a file name bears: `Beat 1.1` and `1.1` both give `1.1`.

    `kind` is `shot` or `beat`, the word that may stand before it. Raises ValueError with the
    reason, to be read after the name of the field, where it cannot be part of a file name.
    """
    text = as_written(value)
    prefix = _PREFIX[kind].match(text)
    number = text[prefix.end() :] if prefix else text
    # Most numbers are fine; the reason is looked for only where one is not.
    if _VALID.fullmatch(number) and number[-1] not in ". " and number[0] != " ":
        return number
    raise ValueError(_reason(number))


def _reason(number: str) -> str:
    if not number.strip():
        return "is empty"
    if len(number) > _LONGEST:
        return f"is {len(number)} characters long, {_LONGEST} are allowed: {quoted(number)}"
    refused = _REFUSED.search(number)
    if refused:
        return (
            f"{quoted(number)} cannot be a file name: {_named(refused[0])} is not allowed "
            '(letters, digits, ".", "-", "_" and spaces are)'
        )
    if number[-1] == ".":
        return f"{quoted(number)} cannot be a file name: it ends with a dot"
    return f'"{number}" begins or ends with a space'


def _named(character: str) -> str:
    if character.isprintable() and not character.isspace():
        return f'"{character}"'
    return f"the character U+{ord(character):04X}"
