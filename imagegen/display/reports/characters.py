"""The characters and their beats, as `check` and `--dry-run` list them."""

from collections.abc import Sequence
from typing import Final

from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import join_some, plural, sanitize
from imagegen.prompts.appearances import Appearance

_SHOWN: Final = 8


def show(paper: Paper, cast: Sequence[Appearance]) -> None:
    """Print the beats that name each character, and the styles without a reference."""
    if not cast:
        return
    paper.line()
    paper.line("  characters:")
    called = [sanitize(", ".join(one.names), 40) for one in cast]
    width = max(map(len, called))
    for name, one in zip(called, cast, strict=True):
        paper.wrap(f"    {name:<{width}}  ", _where(one), indent=6)


def _where(one: Appearance) -> str:
    if not one.beats:
        drawn = f"in {plural(one.elsewhere, 'beat')}, none of which would be drawn"
        return drawn if one.elsewhere else "no beat names it"
    numbers = join_some(one.beats, _SHOWN)
    without = f"; no image in {', '.join(one.without)}" if one.without else ""
    return f"{plural(len(one.beats), 'beat')}: {numbers}{without}"
