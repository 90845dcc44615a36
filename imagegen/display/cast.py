"""Who appears where, as `check` and `--dry-run` list it."""

from collections.abc import Iterable, Sequence
from typing import Final

from imagegen.display.names import Names
from imagegen.display.paper import Paper
from imagegen.display.text import clean, plural, some
from imagegen.generation.appearances import Appearance
from imagegen.project.storyboard import Beat

_SHOWN: Final = 8


def show(paper: Paper, cast: Sequence[Appearance], beats: Iterable[Beat]) -> None:
    """Say for each character which beats name it, and where there is no picture to send."""
    if not cast:
        return
    names = Names((beat.style, *beat.key) for beat in beats)
    style = next((beat.style for beat in beats), "")
    paper.line()
    paper.line("  characters:")
    called = [clean(", ".join(one.names), 40) for one in cast]
    width = max(map(len, called))
    for name, one in zip(called, cast, strict=True):
        paper.wrapped(f"    {name:<{width}}  ", _where(one, names, style), indent=6)


def _where(one: Appearance, names: Names, style: str) -> str:
    if not one.beats:
        drawn = f"in {plural(one.elsewhere, 'beat')}, and none of them would be drawn"
        return drawn if one.elsewhere else "no beat names it"
    numbers = some([names.short(style, *key) for key in one.beats], _SHOWN)
    without = f"; no picture in {', '.join(one.without)}" if one.without else ""
    return f"{plural(len(one.beats), 'beat')}: {numbers}{without}"
