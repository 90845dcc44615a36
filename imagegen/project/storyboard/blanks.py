"""Cells without text: errors of spreadsheets, and blanks in disguise."""

import re
import unicodedata
from typing import Final

from imagegen.project.storyboard.messages import quoted

LONGEST_BLANK: Final = 40
"""Characters of the longest text that is a placeholder; a formula may be longer."""

# Excel, Google Sheets and LibreOffice, also as their German, French, Spanish and Italian
# versions show them.
_ERROR: Final = re.compile(
    r"#(?:N/A|N/D|NV|ND|KALK|\#+|REF|NAME|VALUE|DIV/0|NULL|NUM|SPILL|CALC|ERROR|FIELD|BLOCKED"
    r"|CONNECT|BUSY|UNKNOWN|GETTING_DATA|PYTHON|BEZUG|WERT|ZAHL|ÜBERLAUF|NOM|VALEUR|NOMBRE"
    r"|¡REF|¡VALOR|¿NOMBRE|¡DIV/0|¡NUM|¡NULO|VALOR|RIF|VALORE)[!?]?|Err:[0-9]{3}",
    re.IGNORECASE,
)
_BLANKS: Final = frozenset(
    """
    undefined null none nil nan nat n/a n.a na n.v k.a todo #todo tbd tba fixme wip xxx ? ?? ???
    true false loading pending generating processing blank empty placeholder prompt ditto idem
    """.split()  # noqa: SIM905  # a list has a line for each
) | {
    "",
    "object object",
    "object undefined",
    "prompt here",
    "your prompt",
    "your prompt here",
    "insert prompt here",
    "add prompt here",
    "prompt goes here",
    "same as above",
    "see above",
    "to do",
    "to be done",
    "not available",
}
_AROUND: Final = " \t\r\n.…:-–—\"'“”‘’`*()[]{}<>"
"""What may be around a placeholder: quotes, brackets, dots."""

_TO_DO: Final = re.compile(r"[\[(<]?(?:todo|fixme|tbd|tba)\b *[:–—-].*", re.IGNORECASE | re.DOTALL)
_FORMULA: Final = re.compile(r"= *[+-]?(?:[A-Z][A-Z0-9.]+\(|\$?[A-Z]{1,3}\$?[0-9]+(?:[&+]|$))")
_INVISIBLE: Final = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_BARE: Final = frozenset({"undefined", "null", "nan", "none", "n/a", "<na>"})


def is_invisible(text: str) -> bool:
    """Return whether a text shows nothing: spaces, control and zero-width characters alone."""
    return all(unicodedata.category(c) in _INVISIBLE for c in text)


def blank_prompt(text: str) -> str | None:
    """Return why a text is not a prompt though it is not empty, or None if it may be one."""
    plain = text.strip()
    if _FORMULA.match(plain):
        return f"is a formula and not a prompt: {quoted(plain)}"
    if len(plain) > LONGEST_BLANK:
        return None
    if _ERROR.fullmatch(plain.rstrip(".")):
        return f'is an error of a spreadsheet and not a prompt: "{plain}"'
    if plain.strip(_AROUND).casefold() in _BLANKS or _TO_DO.fullmatch(plain):
        return f'is a placeholder and not a prompt: "{plain}"'
    return None


def blank_number(text: str) -> str | None:
    """Return why a text is not a number but what a spreadsheet or a program left there."""
    if len(text) > LONGEST_BLANK:
        return None
    plain = text.strip()
    if _ERROR.fullmatch(plain):
        return f'is an error of a spreadsheet: "{plain}"'
    if plain.casefold() in _BARE:
        return f'is a placeholder: "{plain}"'
    return None
