"""What a row's transition means: whether its image begins something new, or continues."""

import re
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final

from imagegen.project.storyboard.messages import quoted


class Kind(StrEnum):
    """What a transition means for an image."""

    BEGINS = "begins"
    """Something new: it is drawn with the style reference."""

    CONTINUES = "continues"
    """It continues the image before it in its shot."""

    NONE = "none"
    """No transition: it is drawn without the style reference."""


_WORD: Final = re.compile(r"[^\W_]+")
_LONGEST: Final = 200
_MOST_SHOWN: Final = 10
_CHOICE: Final = re.compile(r"[/|→]|->|\bor\b", re.IGNORECASE)
_NO_CUT: Final = re.compile(r"\b(?:no|without|not a) +(?:hard[ -]?)?cuts?\b", re.IGNORECASE)
_NOTHING: Final = frozenset(
    {"", "none", "null", "na", "nan", "nil", "undefined", "tbd", "todo", "notransition"}
)
_CONTINUE: Final = frozenset({"c", "cont", "contd", "cntd", "same", "cc"})
_BEGIN: Final = frozenset(
    """
    h hc hard hardcut cut cuts cutto cutaway cutin cutback smashcut matchcut jumpcut crosscut
    intercut lcut jcut fade fades fadein fadeout fadeto fadetoblack dissolve dissolves crossdissolve
    crossfade xfade wipe wipes iris insert slide slidein slideout push swipe spin zoom whip whippan
    pan flash flashback flashcut blur morph montage glitch burn page pageturn split splitscreen
    superimpose match smash jump new newshot newscene start begin begins opening open first intro
    end ending black white title dip lightleak bounce mask reveal freeze timelapse overlap mix
    """.split()  # noqa: SIM905  # a list has a line for each
)
_OLD_HARD_CUTS: Final = frozenset({"h", "hard cut", "cut"})
_OLD_CONTINUATIONS: Final = frozenset({"c", "continuous", "continue", "continues", "continued"})

CHOICES: Final = "H, Cut, Fade, Dissolve, Wipe … begin a new image, C continues the one before"
"""The accepted spellings."""


def kind_of(transition: str) -> Kind:
    """Return what a transition means, in any case and spelling.

    Anything that does not continue begins something new; only an empty one means nothing.
    """
    return _read(transition)[0]


def is_known(transition: str) -> bool:
    """Return whether a transition is one that people use."""
    return _read(transition)[1]


def was_hard_cut(transition: str) -> bool:
    """Return whether 0.1.0 drew an image of this transition with the style reference."""
    return transition.strip().casefold() in _OLD_HARD_CUTS


def was_continuation(transition: str) -> bool:
    """Return whether 0.1.0 drew an image of this transition from the one before it."""
    return transition.strip().casefold() in _OLD_CONTINUATIONS


def meanings(transitions: Iterable[str]) -> dict[Kind, list[tuple[str, int]]]:
    """Return each transition that there is and how often, by what it means; most frequent first."""
    by_kind: dict[Kind, list[tuple[str, int]]] = {kind: [] for kind in Kind}
    for transition, count in Counter(text.strip() for text in transitions).most_common():
        by_kind[kind_of(transition)].append((transition, count))
    return {kind: listed for kind, listed in by_kind.items() if listed}


def unknown(transitions: Iterable[str]) -> str | None:
    """Return a note on transitions that are not known, with the choices, or None."""
    counts = Counter(text.strip() for text in transitions if not is_known(text))
    if not counts:
        return None
    examples = ", ".join(
        f"{quoted(text)} ({count:,})" for text, count in counts.most_common(_MOST_SHOWN)
    )
    more = f" and {len(counts) - _MOST_SHOWN:,} more" if len(counts) > _MOST_SHOWN else ""
    return f"unknown transitions begin a new image: {examples}{more} ({CHOICES})"


@lru_cache(maxsize=1024)
def _read(transition: str) -> tuple[Kind, bool]:
    text = transition[:_LONGEST]
    words = [word.casefold() for word in _WORD.findall(text)]
    joined = "".join(words)
    if joined in _NOTHING:
        return Kind.NONE, True
    choices = [part for part in _CHOICE.split(text) if _WORD.search(part)]
    if len(choices) > 1 and len({_read(part)[0] for part in choices}) > 1:
        # `H/C` is no answer: nobody chose.
        return Kind.BEGINS, False
    if not _WORD.search(_NO_CUT.sub("", text)):
        return Kind.CONTINUES, True
    if joined in _CONTINUE or _continues(words[0]):
        return Kind.CONTINUES, True
    return Kind.BEGINS, joined in _BEGIN or not _BEGIN.isdisjoint(words)


def _continues(word: str) -> bool:
    return word in _CONTINUE or word.startswith("contin")
