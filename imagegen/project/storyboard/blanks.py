"""Cells that hold no words: errors of spreadsheets, and blanks in disguise."""

import re
from typing import Final

_LONGEST: Final = 24

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
    undefined null none nil nan nat n/a n.a. na n.v. k.a. todo tbd tba fixme xxx - -- --- – — . ..
    ... … ? ?? ??? true false loading loading... loading… pending... todo: #todo (empty) (none)
    (blank) empty <na> <null> <none> <empty> placeholder prompt [prompt] {prompt} {{prompt}}
    <prompt>
    """.split()  # noqa: SIM905  # a list has a line for each
) | {
    "[object object]",
    "[object undefined]",
    "prompt here",
    "your prompt here",
    "to do",
    "not available",
}
_BARE: Final = frozenset({"undefined", "null", "nan", "none", "n/a", "<na>"})


def blank_prompt(text: str) -> str | None:
    """Return why a text is not a prompt though it is not empty, or None if it may be one."""
    if len(text) > _LONGEST:
        return None
    plain = text.strip()
    if _ERROR.fullmatch(plain):
        return f'is an error of a spreadsheet and not a prompt: "{plain}"'
    if plain.casefold() in _BLANKS:
        return f'is a placeholder and not a prompt: "{plain}"'
    return None


def blank_number(text: str) -> str | None:
    """Return why a text is not a number but what a spreadsheet or a program left there."""
    if len(text) > _LONGEST:
        return None
    plain = text.strip()
    if _ERROR.fullmatch(plain):
        return f'is an error of a spreadsheet: "{plain}"'
    if plain.casefold() in _BARE:
        return f'is a placeholder: "{plain}"'
    return None
