"""Quote the user's text in errors: shortened, on one line."""

from functools import lru_cache

from imagegen.toml import did_you_mean

_LONGEST = 60


def quoted(text: str) -> str:
    """Return a text in quotes, white space collapsed, at most 60 characters."""
    line = " ".join(text[: 8 * _LONGEST].split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1].rstrip() + "…"
    return f'"{line}"'


@lru_cache(maxsize=256)
def unknown_style(name: str, styles: tuple[str, ...]) -> str:
    """Return the message for an unknown style, with a similar one or else all."""
    near = did_you_mean(name[:_LONGEST].casefold(), styles)
    return f"unknown style {quoted(name)}: {near or 'the styles are ' + ', '.join(styles)}"
