"""Characters that an output can show, and replacements for others."""

import codecs
import os
from collections.abc import Mapping
from typing import Final

ERRORS: Final = "imagegen.signs"
"""The error handler of streams for characters that their encoding lacks."""

_IN_ASCII: Final = {
    "…": "..",
    "·": "|",
    "×": "x",
    "–": "-",
    "—": "--",
    "✓": "+",
    "✗": "x",
    "⟳": "*",
    "◦": ".",
    "↻": "~",
    "⊘": "o",
    "━": "#",
    "─": "-",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "→": "->",
    "\xa0": " ",
}


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return in_ascii(error.object[error.start : error.end], every=True), error.end


codecs.register_error(ERRORS, _replace)


def in_ascii(text: str, *, every: bool = False) -> str:
    """Replace signs by ASCII; with `every`, replace all other characters by `?`."""
    if text.isascii():
        return text
    return "".join(_IN_ASCII.get(c, "?" if every and not c.isascii() else c) for c in text)


def wants_ascii(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether LANG=C says that the terminal shows only ASCII.

    Python treats the C locale as unset and writes UTF-8. If no locale is set at all, as in
    most containers, that is right.
    """
    if environment.get("PYTHONUTF8") == "1" or environment.get("PYTHONIOENCODING"):
        return False
    names = ["LC_ALL", "LC_CTYPE", "LANG"]
    if environment.get("LC_CTYPE") in {"C.UTF-8", "C.utf8", "UTF-8"}:
        # What Python itself sets in a C locale.
        names.remove("LC_CTYPE")
    locale = next((environment[name] for name in names if environment.get(name)), "")
    return locale in {"C", "POSIX"}
