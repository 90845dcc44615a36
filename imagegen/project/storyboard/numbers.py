"""Shot and beat numbers, in the one form that file names have."""

import math
import re
import unicodedata
from functools import cache, lru_cache
from typing import TypeGuard

from imagegen.project.storyboard.messages import quoted

Number = str | int | float

_LONGEST = 60
_LONGEST_READ = 1000
_EXACT = 2**53
# What nearly every number is: nothing has to be taken off it.
_PLAIN = re.compile(r"[0-9][0-9a-z]*(?:[.\-][0-9a-z]+)*", re.ASCII | re.IGNORECASE)
_REFUSED = re.compile(r"[^\w.\- ]")
_AROUND = " *`'\"“”‘’‹›«»()[]{}#№"
"""Quotes, brackets and Markdown around a number. A file name takes none of them."""

# Full-width digits and letters are what a Chinese or Japanese keyboard types. A keycap and the
# variation selectors are what is left of an emoji digit.
_PLAIN_SIGNS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_INVISIBLE = dict.fromkeys((0xFE0E, 0xFE0F, 0x20E3))
_SIGNS: dict[int, int | str | None] = {**_PLAIN_SIGNS, **_INVISIBLE}


def _word(kind: str) -> re.Pattern[str]:
    """Match the word and what joins it to its number: `Beat `, `beat-`, `Beat #`, `Beat no. `."""
    sign = r"(?:(?:no|nr|num|number)\b\.? *|№ *)"
    counted = rf"(?:{sign}|(?!{sign}))(?=\w)"
    return re.compile(rf"{kind}(?:[ _\-–—:#]+|(?=[0-9№])){counted}(?=\S)", re.IGNORECASE)


_WORDS = {"shot": _word("shot"), "beat": _word("beat")}
# Python 3.11.0 to 3.11.4 go wrong if a possessive group fails in its middle.
_NUMBER = r"(?P<number>[0-9]\w*+(?:[.\-]\w++)*(?![.\-]\w))"
# `6: The door`: none of these signs can be part of a number.
_SIGN = r" *[:|](?: |\D|$)| *[–—] *\D| +\(| *[)\]](?: |$)|, +\D|\.$"
_TITLE = re.compile(rf"{_NUMBER}(?:{_SIGN})")
# `Beat 6 - The door`: without the word before it, all of it may be the number.
_TITLE_AFTER_WORD = re.compile(rf"{_NUMBER}(?:{_SIGN}|(?: +-|\.) +[^\W\d])")
# What word processors make of the hyphen in `1-1`.
_DASH = re.compile(r"(?<=[0-9])[‐‑–−](?=[0-9])")
_DECIMAL_COMMA = re.compile(r"([0-9]+),([0-9]+)")
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec|mrz|mär|mai|okt|dez|janv|févr|fev"
    r"|avr|juin|juil|août|déc|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|january|february|march"
    r"|april|june|july|august|september|october|november|december)\.?"
)


@cache
def _date() -> re.Pattern[str]:
    # Compiled when it is needed: that takes a millisecond, and few files have such numbers.
    return re.compile(
        rf"""
          [0-9]{{1,4}}\.?[ \-/.]{_MONTH}(?:[ \-/.][0-9]{{2,4}})?      # 10-Jan, 10. Jan 26
        | {_MONTH}[ \-/.][0-9]{{1,4}}                                 # Jan-10
        | (?:19|20)[0-9]{{2}}[\-/.][0-9]{{1,2}}[\-/.][0-9]{{1,2}}(?:[T ].*)?    # 2026-01-10
        | [0-9]{{1,2}}[\-/.][0-9]{{1,2}}[\-/.](?:19|20)[0-9]{{2}}(?:[T ].*)?    # 10.01.2026
        | [0-9]{{1,2}}/[0-9]{{1,2}}(?:/[0-9]{{2}})?                   # 1/10
        | [0-9]{{1,2}}(?::[0-9]{{2}}){{1,2}}(?:\.0+)?                     # 1:02, 01:02:00
        """,
        re.VERBOSE | re.IGNORECASE,
    )


def as_written(value: Number) -> str:
    """Return a number as text; an unquoted one has already lost trailing zeros.

    1.0 is 1, as JSON and spreadsheets have it. Raises ValueError with the reason if it has no
    such text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("is not a finite number")
        if value.is_integer() and abs(value) < _EXACT:
            return str(int(value))
    # Python refuses to print integers of thousands of digits.
    elif abs(value) >= 10**_LONGEST:
        raise ValueError(f"is too long: {_LONGEST} characters are allowed")
    return str(value)


def is_plain(value: Number) -> TypeGuard[str]:
    """Return quickly whether a number surely is a text that a file name has as it is."""
    return isinstance(value, str) and len(value) <= _LONGEST and bool(_PLAIN.fullmatch(value))


# A row asks twice, and a shot has several rows.
@lru_cache(maxsize=1024, typed=True)
def file_number(value: Number, kind: str) -> str:
    """Return the number that a file name has, in NFC: two spellings of it give one text.

    `Beat 1.1`, `Beat_1.1`, `beat-1.1`, `Beat #1.1`, `Beat 1.1: The door` and `1.1` all give
    `1.1`. `kind` is `shot` or `beat`, the word that may be before it. What this returns it
    returns unchanged. Raises ValueError with the reason, to be read after the name of the
    field, if it cannot be part of a file name.
    """
    text = as_written(value)
    if is_plain(text):
        return text
    if len(text) > _LONGEST_READ:
        raise ValueError(f"is {len(text):,} characters long, {_LONGEST} are allowed")
    number = _without_word(_visible(text), kind)
    if reason := _reason(number):
        raise ValueError(reason)
    return number


def looks_like_date(value: Number) -> bool:
    """Return whether a number has the form of a date, which spreadsheets make of 1.10 or 1-10."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return False
    return _date().fullmatch(value.strip()) is not None


def _visible(text: str) -> str:
    """Return a text in NFC, all white space as spaces and without invisible characters."""
    if not text.isascii():
        # Compatibility forms are left, but for those that a keyboard types.
        visible = (char for char in text.translate(_SIGNS) if unicodedata.category(char) != "Cf")
        text = unicodedata.normalize("NFC", "".join(visible))
    return "".join(" " if char.isspace() else char for char in text)


def _without_word(text: str, kind: str) -> str:
    """Return a number without the word before it, the title behind it and quotes around it."""
    number = text.strip(_AROUND)
    titles = _TITLE
    while word := _WORDS[kind].match(number):
        number = number[word.end() :].strip(_AROUND)
        titles = _TITLE_AFTER_WORD
    if title := titles.match(number):
        number = title["number"]
    number = _DASH.sub("-", number)
    decimal = _DECIMAL_COMMA.fullmatch(number)
    return ".".join(decimal.groups()) if decimal else number


def _reason(number: str) -> str | None:
    """Return why a file name cannot have this number, or None if it can."""
    if not number:
        return "is empty"
    if len(number) > _LONGEST:
        return f"is {len(number)} characters long, {_LONGEST} are allowed: {quoted(number)}"
    before = ""
    for char in number:
        if _REFUSED.match(char) and not (_is_mark(char) and (before.isalnum() or _is_mark(before))):
            return (
                f"{quoted(number)} cannot be a file name: {_describe(char)} is not allowed "
                '(letters, digits, ".", "-", "_" and spaces are)'
            )
        before = char
    if number[-1] == ".":
        return f"{quoted(number)} cannot be a file name: it ends with a dot"
    return None


def _is_mark(char: str) -> bool:
    """Return whether a character is a combining mark, which belongs to the letter before it."""
    return bool(char) and unicodedata.category(char)[0] == "M"


def _describe(character: str) -> str:
    if character.isprintable() and not character.isspace():
        return f'"{character}"'
    return f"the character U+{ord(character):04X}"
