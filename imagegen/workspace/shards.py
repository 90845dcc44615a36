"""Which beats each of several machines draws: a storyboard split into shards.

A chain, which is a beat and all that continue it, is drawn by one machine. Every machine works
out the same shards from the storyboard alone.

No rule can have both shards of one size and beats that never change shard: if a beat's shard did
not depend on the other beats, two beats could always meet in one shard and leave the other empty.
So sizes are fixed first, and a hash decides the rest: of the chains of one style and length each
shard gets the same number, and those that remain go to the shards that have least so far. A chain
takes the shard that its hash names while that has room, else the next one that has. A beat that
is added fills one place, and pushes about one chain out of each shard on the way there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import msgspec

from imagegen.errors import UsageError
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.prompts.continuity import Predecessors

MOST: Final = 1000
"""Shards at most; the beats of a longer film would not fill more."""

_TEXT: Final = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")
_MASK: Final = (1 << 64) - 1

Chain = list[Beat]
"""Beats of one style that are drawn one after another."""


class Shard(msgspec.Struct, frozen=True):
    """One of `count` parts of a storyboard; `number` counts from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/5`. Raises `UsageError`."""
        match = _TEXT.fullmatch(text)
        number, count = (int(part) for part in match.groups()) if match else (0, 0)
        if not 1 <= number <= count <= MOST:
            raise UsageError(
                f'--shard: "{text}" is not a shard',
                hint=f"1/5 to 5/5 are the five shards of a project (at most {MOST:,})",
            )
        return cls(number, count)


def assign(
    beats: Mapping[str, Sequence[Beat]], predecessors: Predecessors, count: int
) -> dict[str, dict[BeatKey, int]]:
    """Return for each style which shard, from 1 to `count`, each of its beats is in.

    Within each style and in all, the shards differ by the beats of one chain at most.
    """
    shards: dict[str, dict[BeatKey, int]] = {}
    totals = [0] * count
    for nth, (style, style_beats) in enumerate(beats.items()):
        by_length: dict[int, list[Chain]] = {}
        for chain in _chains(style_beats, predecessors.get(style, {})):
            by_length.setdefault(len(chain), []).append(chain)
        places = _places(
            {n: len(chains) for n, chains in by_length.items()}, totals, nth * count // len(beats)
        )
        shards[style] = {
            beat.key: shard
            for length, chains in by_length.items()
            for chain, shard in _fill(style, chains, places[length])
            for beat in chain
        }
    return shards


def _chains(beats: Iterable[Beat], predecessors: Mapping[BeatKey, BeatKey]) -> list[Chain]:
    """Return the chains of one style, in file order."""
    chains: list[Chain] = []
    chain_of: dict[BeatKey, Chain] = {}
    for beat in beats:
        before = predecessors.get(beat.key)
        if before is None:
            chains.append([])
        chain = chain_of[beat.key] = chains[-1] if before is None else chain_of[before]
        chain.append(beat)
    return chains


def _places(chains: Mapping[int, int], totals: list[int], first: int) -> dict[int, list[int]]:
    """Return by length how many chains of one style each shard gets.

    `chains` counts them by length, `totals` counts the beats that each shard has so far: those of
    this style are added. The longest chains come first, and those left over go to the smallest
    shards, from the shard `first` on: so these differ by one chain.
    """
    count = len(totals)
    order = [*range(first, count), *range(first)]
    sizes = [0] * count
    places: dict[int, list[int]] = {}
    for length in sorted(chains, reverse=True):
        each, left_over = divmod(chains[length], count)
        places[length] = [each] * count
        for shard in sorted(order, key=sizes.__getitem__)[:left_over]:
            places[length][shard] += 1
        sizes = [size + length * n for size, n in zip(sizes, places[length], strict=True)]
    sums = [total + size for total, size in zip(totals, sizes, strict=True)]
    longest = max(max(chains, default=0), max(totals) - min(totals))
    if max(sums) - min(sums) > longest:
        # Shards are alike but for their number: the largest part goes to the emptiest shard,
        # so that the sums differ by no more than the parts and the totals did.
        largest_first = sorted(range(count), key=sizes.__getitem__, reverse=True)
        emptiest_first = sorted(range(count), key=totals.__getitem__)
        part_of = dict(zip(emptiest_first, largest_first, strict=True))
        places = {n: [free[part_of[shard]] for shard in range(count)] for n, free in places.items()}
        sums = [totals[shard] + sizes[part_of[shard]] for shard in range(count)]
    totals[:] = sums
    return places


def _fill(style: str, chains: Iterable[Chain], places: Sequence[int]) -> list[tuple[Chain, int]]:
    """Return the shard, from 1, of each of these chains of one length."""
    free = list(places)
    shards = []
    for rank, chain in sorted(((_hash(style, chain[0]), chain) for chain in chains), key=_rank):
        shard = rank % len(free)
        if not free[shard]:
            open_shards = (n for n, room in enumerate(free) if room)
            shard = min(open_shards, key=lambda n, rank=rank: rank * (2 * n + 3) & _MASK)  # type: ignore[misc]
        free[shard] -= 1
        shards.append((chain, shard + 1))
    return shards


def _rank(ranked: tuple[int, Chain]) -> int:
    return ranked[0]


def _hash(style: str, beat: Beat) -> int:
    """Return a number of 64 bits that is the same on every machine and in every version."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which few commands need

    name = f"{style}/{beat.shot}/{beat.beat}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
