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
    called = [sanitize(", ".join(character.names), 40) for character in cast]
    width = max(map(len, called))
    for name, character in zip(called, cast, strict=True):
        paper.wrap(f"    {name:<{width}}  ", _where(character), indent=6)


def _where(character: Appearance) -> str:
    if not character.beats:
        drawn = f"in {plural(character.elsewhere, 'beat')}, none of which would be drawn"
        return drawn if character.elsewhere else "no beat names it"
    numbers = join_some(character.beats, _SHOWN)
    without = f"; no image in {', '.join(character.without)}" if character.without else ""
    return f"{plural(len(character.beats), 'beat')}: {numbers}{without}"
