"""Which beats a person asked for, by style, shot and address."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from imagegen.errors import UsageError
from imagegen.project.beat_ids import BeatId, BeatIndex, folded
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat, BeatAddress, file_number
from imagegen.toml import did_you_mean, nearest


def _never(_: Beat) -> bool:
    return False


class Selection:
    """The beats of `beats` that `--style`, `--shot` and `--beat` name; without these, all.

    `--sample` keeps N of these in each style, evenly spread; none that `continues` lists, for
    they would wait for one that is not drawn. `index` returns which beats are the same in
    several styles, and is called only if beats are named.

    Raises `UsageError` for a style, shot or beat that the storyboard does not have, and
    for a number of several beats.
    """

    def __init__(
        self,
        request: DrawRequest,
        beats: Mapping[str, Sequence[Beat]],
        index: Callable[[], BeatIndex],
        continues: Callable[[Beat], bool] = _never,
    ) -> None:
        self._styles = known("style", request.styles, beats)
        shots = {beat.shot for style_beats in beats.values() for beat in style_beats}
        self._shots = known("shot", [_plain(shot, "shot") for shot in request.shots], shots)
        left = self._narrowed(beats)
        if not any(left.values()) and any(beats.values()):
            raise UsageError(
                "no beat is selected", hint="--style and --shot have no beat in common"
            )
        self._chosen: set[BeatAddress] | None = None
        if request.beats:
            addresses = BeatAddresses(left, index())
            chosen_beats = (beat for address in request.beats for beat in addresses.find(address))
            self._chosen = {beat.address for beat in chosen_beats}
        if request.sample:
            self._chosen = {
                beat.address
                for style_beats in left.values()
                for beat in _spread(
                    [b for b in style_beats if self(b) and not continues(b)], request.sample
                )
            }

    def __call__(self, beat: Beat) -> bool:
        """Return whether the beat was asked for."""
        if self._chosen is not None:
            return beat.address in self._chosen
        return self._in_style_and_shot(beat)

    def _in_style_and_shot(self, beat: Beat) -> bool:
        return (not self._styles or beat.style in self._styles) and (
            not self._shots or beat.shot in self._shots
        )

    def _narrowed(self, beats: Mapping[str, Sequence[Beat]]) -> Mapping[str, Sequence[Beat]]:
        """Leave what `--style` and `--shot` select, so that `--beat` is looked for in that."""
        if not self._styles and not self._shots:
            return beats
        return {
            style: list(filter(self._in_style_and_shot, style_beats))
            for style, style_beats in beats.items()
        }


def _spread(beats: Sequence[Beat], count: int) -> list[Beat]:
    """Return `count` beats evenly spread: the first and the last, and those in between."""
    if count >= len(beats):
        return list(beats)
    if count == 1:
        return [beats[0]]
    return [beats[round(n * (len(beats) - 1) / (count - 1))] for n in range(count)]


def known(kind: str, requested: Iterable[str], existing: Iterable[str]) -> frozenset[str]:
    """Return the names that were asked for. Raises `UsageError` for one that is not there."""
    names = sorted(existing)
    chosen = frozenset(requested)
    for name in sorted(chosen - set(names)):
        hint = did_you_mean(name, names) or f"there are: {', '.join(names[:20])}"
        raise UsageError(f'no {kind} "{name}" in this project', hint=hint)
    return chosen


class BeatAddresses:
    """Finds beats by what the user types: `1.1`, `2/1`, `clear/1.1` or `clear/2/1`.

    `beats` are searched, by style; `index` says which of them are one beat.
    They are indexed once, for any number of searches.
    """

    def __init__(self, beats: Mapping[str, Sequence[Beat]], index: BeatIndex) -> None:
        self._beats = beats
        self._index = index
        self._shots: set[str] = set()
        self._of_number: dict[str, list[Beat]] = {}
        for beat in itertools.chain.from_iterable(beats.values()):
            self._shots.add(folded(beat.shot))
            self._of_number.setdefault(folded(beat.beat), []).append(beat)

    def find(self, address: str) -> list[Beat]:
        """Return the one beat of an address, in each style that it includes.

        Raises `UsageError` without such a beat, or if several beats have its number.
        """
        style, shot, number = self._parts(address)
        matches = self._within(style, shot, number)
        if not matches:
            hint = self._near(address, style, shot, number)
            raise UsageError(f'no beat "{address}" in this storyboard', hint=hint)
        several = dict.fromkeys(self._index.id_of(beat.key) for beat in matches)
        if len(several) > 1:
            prefix = f"{style}/" if style else ""
            ways = ", ".join(f"{prefix}{beat}" for beat in sorted(several)[:10])
            message = f'beat "{address}" occurs in {len(several)} shots'
            raise UsageError(message, hint=f"one of: {ways}")
        return matches

    def _within(self, style: str | None, shot: str | None, number: str) -> list[Beat]:
        matches = [
            beat
            for beat in self._of_number.get(folded(number), ())
            if style in {None, beat.style} and (shot is None or folded(shot) == folded(beat.shot))
        ]
        # A and a may be two beats of a style: then the spelling says which.
        alike = [beat for beat in matches if beat.beat == number]
        beat_ids = {self._index.id_of(beat.key) for beat in alike}
        return (
            [beat for beat in matches if self._index.id_of(beat.key) in beat_ids]
            if beat_ids
            else matches
        )

    def find_id(self, address: str) -> BeatId:
        """Return the beat of an address, in any style. Raises as `find` does."""
        return self._index.id_of(self.find(address)[0].key)

    def _near(self, address: str, style: str | None, shot: str | None, number: str) -> str:
        """Return what was probably meant, within the style and the shot that were named."""
        numbers = (
            other
            for beats in self._of_number.values()
            if any(style in {None, b.style} and shot in {None, b.shot} for b in beats)
            for other in {b.beat for b in beats}
        )
        addresses = [f"{address[: -len(number)]}{other}" for other in numbers]
        near = nearest(address, addresses)
        group = address[: -len(number)] + number.partition(".")[0]
        # A number after the last one is no misspelling of another.
        if addresses and number[:1].isdigit() and (near is None or near.partition(".")[0] != group):
            return f"the last one is {addresses[-1]}"
        suggestion = f'did you mean "{near}"?' if near is not None else None
        return suggestion or "write it as 1.1, clear/1.1, 2/1 or clear/2/1"

    def _parts(self, address: str) -> tuple[str | None, str | None, str]:
        with contextlib.suppress(ValueError):
            # A title behind the number may have a slash.
            return None, None, file_number(address, "beat")
        *before, number = address.split("/")
        style = before.pop(0) if before and before[0] in self._beats else None
        shot = before.pop(0) if before else None
        if before or (shot is not None and folded(_plain(shot, "shot")) not in self._shots):
            near = did_you_mean(shot or "", self._beats)
            if near and style is None:
                right = near.removeprefix('did you mean "').removesuffix('"?')
                near = f'did you mean "{right}{address[len(shot or "") :]}"?'
                raise UsageError(f'"{address}" is not a beat: unknown style "{shot}"', hint=near)
        if before:
            raise UsageError(
                f'"{address}" is not a beat: unknown style "{shot}"',
                hint=did_you_mean(shot or "", self._beats) or "write clear/2/1",
            )
        return style, _plain(shot, "shot") if shot is not None else None, _plain(number, "beat")


def _plain(number: str, kind: str) -> str:
    try:
        return file_number(number, kind)
    except ValueError:
        return number
