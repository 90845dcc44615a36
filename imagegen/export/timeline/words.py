"""When each script phrase is spoken: its words, found in the words of a transcription."""

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from fractions import Fraction
from itertools import pairwise
from typing import Final

import msgspec

# Of scripts that write no spaces between words every character is a word of its own: Thai, Lao
# and Khmer, Kana, and Han.
_UNSPACED: Final = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")
_APOSTROPHES: Final = re.compile(r"(?<=\w)['’ʼ](?=\w)")
_ANCHOR: Final = 3
"""Words in a row that occur once in both texts are taken for the same place."""
_LARGEST_GAP: Final = 4_000_000
"""At most this many pairs of words are compared between two places; none in a larger gap."""


class Word(msgspec.Struct, frozen=True):
    """A spoken word as `fold` returns it, and when it begins and ends, in seconds."""

    text: str
    start: Fraction
    end: Fraction


class Span(msgspec.Struct, frozen=True):
    """When a phrase is spoken, in seconds. `matched` counts its words that were found."""

    start: Fraction
    end: Fraction
    matched: int
    words: int


def fold(text: str) -> list[str]:
    """Return the words of a text without what transcriptions change: case and punctuation."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_APOSTROPHES.sub("", plain))


def spread(text: str, start: Fraction, end: Fraction) -> Iterator[Word]:
    """Yield the words of a text that is spoken within a time, each by its share of letters."""
    words = fold(text)
    total = sum(map(len, words))
    before = 0
    for word in words:
        after = before + len(word)
        yield Word(
            word,
            start + (end - start) * Fraction(before, total),
            start + (end - start) * Fraction(after, total),
        )
        before = after


def find(phrases: Sequence[str], spoken: Sequence[Word]) -> list[Span]:
    """Return when each phrase is spoken, in sequence; `spoken` is sorted by its starts.

    Words that are not found share the time between those beside them. A phrase without words
    takes its place between its neighbours as if it had one.
    """
    owners: list[int] = []
    texts: list[str] = []
    for at, phrase in enumerate(phrases):
        words = fold(phrase) or [""]
        texts += words
        owners += [at] * len(words)
    pairs = dict(align(texts, [word.text for word in spoken]))
    times = _times(len(texts), pairs, spoken)
    spans: list[Span] = []
    first = 0
    for at in range(len(phrases)):
        last = first
        while last < len(owners) and owners[last] == at:
            last += 1
        matched = sum(word in pairs for word in range(first, last))
        spans.append(Span(times[first][0], times[last - 1][1], matched, last - first))
        first = last
    return spans


def _times(
    count: int, pairs: dict[int, int], spoken: Sequence[Word]
) -> list[tuple[Fraction, Fraction]]:
    """Return when each word begins and ends; those without a pair share the gap they are in."""
    times: list[tuple[Fraction, Fraction]] = []
    before = Fraction(0)
    while len(times) < count:
        at = len(times)
        if at in pairs:
            word = spoken[pairs[at]]
            times.append((word.start, word.end))
            before = word.end
            continue
        following = next((index for index in range(at, count) if index in pairs), count)
        after = spoken[pairs[following]].start if following < count else end_of(spoken)
        # Words of a transcription may overlap.
        before = min(before, after)
        step = (after - before) / (following - at)
        times += [(before + step * n, before + step * (n + 1)) for n in range(following - at)]
    return times


def align(words: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of words that two texts have in common, in sequence.

    Runs of words that occur once in both are taken first, and what is between them is compared
    word by word: comparing all of two long texts would take minutes.
    """
    anchors = [(-1, -1), *_anchors(words, other), (len(words), len(other))]
    for (a, b), (next_a, next_b) in pairwise(anchors):
        if a >= 0:
            yield a, b
        behind_a, behind_b = a + 1, b + 1
        if 0 < (next_a - behind_a) * (next_b - behind_b) <= _LARGEST_GAP:
            texts = words[behind_a:next_a], other[behind_b:next_b]
            for x, y, size in SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks():
                yield from ((behind_a + x + n, behind_b + y + n) for n in range(size))


def _anchors(words: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """Return places of runs that occur once in both, in sequence: the longest such sequence."""
    first, second = _unique_runs(words), _unique_runs(other)
    common = [(place, second[run]) for run, place in first.items() if run in second]
    return _longest_increasing(sorted(common))


def _unique_runs(words: Sequence[str]) -> dict[Hashable, int]:
    runs = list(zip(*(words[n:] for n in range(_ANCHOR)), strict=False))
    count = Counter(runs)
    return {run: at for at, run in enumerate(runs) if count[run] == 1}


def _longest_increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest sequence whose second numbers increase (patience sorting)."""
    tops: list[int] = []
    chains: list[int] = []
    previous: list[int] = []
    for at, (_, place) in enumerate(pairs):
        pile = bisect_left(tops, place)
        previous.append(chains[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(place)
            chains.append(at)
        else:
            tops[pile] = place
            chains[pile] = at
    longest = []
    at = chains[-1] if chains else -1
    while at >= 0:
        longest.append(pairs[at])
        at = previous[at]
    return longest[::-1]


def end_of(words: Iterable[Word]) -> Fraction:
    """Return when the last word ends; 0 without any."""
    return max((word.end for word in words), default=Fraction(0))
