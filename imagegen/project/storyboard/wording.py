"""How faults quote what a person wrote: shortened, on one line."""

from difflib import get_close_matches
from functools import lru_cache

_LONGEST = 60


def quoted(text: str) -> str:
    """Put a text in quotes, its white space collapsed, at most 60 characters of it."""
    line = " ".join(text[: 8 * _LONGEST].split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1].rstrip() + "…"
    return f'"{line}"'


@lru_cache(maxsize=256)
def unknown_style(name: str, styles: tuple[str, ...]) -> str:
    """Say that a style is unknown, with the one probably meant or else all there are."""
    close = get_close_matches(name[:_LONGEST].casefold(), styles, n=1)
    if close:
        return f'unknown style {quoted(name)}: did you mean "{close[0]}"?'
    return f"unknown style {quoted(name)}: the styles are {', '.join(styles)}"
