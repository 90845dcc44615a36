"""Characters that an output can show, and what stands for those that it cannot."""

import codecs
import os
from collections.abc import Mapping
from typing import Final

ERRORS: Final = "imagegen.signs"
"""The name of the way in which streams replace what their encoding does not have."""

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
    """Return text in which ASCII stands for signs; for `every` other character too, as `?`."""
    if text.isascii():
        return text
    return "".join(_IN_ASCII.get(c, "?" if every and not c.isascii() else c) for c in text)


def wants_ascii(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a person says by LANG=C that the terminal shows ASCII alone.

    Python takes the C locale for one that nobody has set, and writes UTF-8. Where none is
    set at all, as in most containers, that is right.
    """
    if environment.get("PYTHONUTF8") == "1" or environment.get("PYTHONIOENCODING"):
        return False
    names = ["LC_ALL", "LC_CTYPE", "LANG"]
    if environment.get("LC_CTYPE") in {"C.UTF-8", "C.utf8", "UTF-8"}:
        # What Python itself sets in a C locale.
        names.remove("LC_CTYPE")
    locale = next((environment[name] for name in names if environment.get(name)), "")
    return locale in {"C", "POSIX"}
