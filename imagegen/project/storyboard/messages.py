"""How faults quote what a person wrote: shortened, on one line."""

from functools import lru_cache

from imagegen.toml import did_you_mean

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
    near = did_you_mean(name[:_LONGEST].casefold(), styles)
    return f"unknown style {quoted(name)}: {near or 'the styles are ' + ', '.join(styles)}"
