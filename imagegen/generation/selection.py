"""Which beats a person asked for, by style, shot and address."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from imagegen.errors import UsageError
from imagegen.project.record import Asked
from imagegen.project.storyboard import Beat, file_number
from imagegen.tables import did_you_mean


def _never(_: Beat) -> bool:
    return False


class Selection:
    """The beats that `--style`, `--shot` and `--beat` name of `beats`; all of them without any.

    Of these `--sample` takes so many of each style, evenly spread; none that `continues`
    another says, for they would wait for one that is not drawn.

    Raises `UsageError` for a style, shot or beat that the storyboard does not have, and
    for a beat number that occurs in several shots.
    """

    def __init__(
        self,
        asked: Asked,
        beats: Mapping[str, Sequence[Beat]],
        continues: Callable[[Beat], bool] = _never,
    ) -> None:
        self._styles = known("style", asked.styles, beats)
        shots = {beat.shot for own in beats.values() for beat in own}
        self._shots = known("shot", [_plain(shot, "shot") for shot in asked.shots], shots)
        left = self._narrowed(beats)
        if not any(left.values()) and any(beats.values()):
            raise UsageError(
                "no beat is selected", hint="--style and --shot have no beat in common"
            )
        self._chosen: set[tuple[str, str, str]] | None = None
        if asked.beats:
            addresses = Addresses(left)
            found = (beat for address in asked.beats for beat in addresses.find(address))
            self._chosen = {(beat.style, *beat.key) for beat in found}
        if asked.sample:
            self._chosen = {
                (style, *beat.key)
                for style, own in left.items()
                for beat in _spread([b for b in own if self(b) and not continues(b)], asked.sample)
            }

    def __call__(self, beat: Beat) -> bool:
        """Tell whether the beat was asked for."""
        if self._chosen is not None:
            return (beat.style, *beat.key) in self._chosen
        return self._in_style_and_shot(beat)

    def _in_style_and_shot(self, beat: Beat) -> bool:
        return (not self._styles or beat.style in self._styles) and (
            not self._shots or beat.shot in self._shots
        )

    def _narrowed(self, beats: Mapping[str, Sequence[Beat]]) -> Mapping[str, Sequence[Beat]]:
        """Leave what `--style` and `--shot` select, so that `--beat` is looked for in that."""
        if not self._styles and not self._shots:
            return beats
        return {style: list(filter(self._in_style_and_shot, own)) for style, own in beats.items()}


def _spread(beats: Sequence[Beat], count: int) -> list[Beat]:
    """Return so many beats evenly spread: the first and the last, and those in between."""
    if count >= len(beats):
        return list(beats)
    if count == 1:
        return [beats[0]]
    return [beats[round(n * (len(beats) - 1) / (count - 1))] for n in range(count)]


def known(what: str, asked: Iterable[str], there: Iterable[str]) -> frozenset[str]:
    """Return the names that were asked for. Raises `UsageError` for one that is not there."""
    names = sorted(there)
    chosen = frozenset(asked)
    for name in sorted(chosen - set(names)):
        hint = did_you_mean(name, names) or f"there are: {', '.join(names[:20])}"
        raise UsageError(f'no {what} "{name}" in this project', hint=hint)
    return chosen


class Addresses:
    """Finds beats by what a person types: `1.1`, `2/1`, `clear/1.1` or `clear/2/1`.

    `beats` are those among which is looked, by style. They are looked through once, however
    many are then sought.
    """

    def __init__(self, beats: Mapping[str, Sequence[Beat]]) -> None:
        self._beats = beats
        self._shots: set[str] = set()
        self._of_number: dict[str, list[Beat]] = {}
        for beat in itertools.chain.from_iterable(beats.values()):
            self._shots.add(beat.shot)
            self._of_number.setdefault(beat.beat, []).append(beat)

    def find(self, address: str) -> list[Beat]:
        """Return the beats of an address, one for each style that it does not leave out.

        Raises `UsageError` where there is none, or where its number occurs in several shots.
        """
        style, shot, number = self._parts(address)
        found = [
            beat
            for beat in self._of_number.get(number, ())
            if style in {None, beat.style} and shot in {None, beat.shot}
        ]
        if not found:
            hint = self._near(address, style, shot, number)
            raise UsageError(f'no beat "{address}" among those that can be selected', hint=hint)
        shots = sorted({beat.shot for beat in found})
        if len(shots) > 1:
            prefix = f"{style}/" if style else ""
            ways = ", ".join(f"{prefix}{shot}/{number}" for shot in shots[:10])
            message = f'beat "{address}" occurs in {len(shots)} shots'
            raise UsageError(message, hint=f"one of: {ways}")
        return found

    def _near(self, address: str, style: str | None, shot: str | None, number: str) -> str:
        """Return what was probably meant, within the style and the shot that were named."""
        others = (
            other
            for other, beats in self._of_number.items()
            if any(style in {None, b.style} and shot in {None, b.shot} for b in beats)
        )
        known = [f"{address[: -len(number)]}{other}" for other in others]
        return did_you_mean(address, known) or "write it as 1.1, clear/1.1, 2/1 or clear/2/1"

    def _parts(self, address: str) -> tuple[str | None, str | None, str]:
        *before, number = address.split("/")
        style = before.pop(0) if before and before[0] in self._beats else None
        shot = before.pop(0) if before else None
        if before or (shot is not None and _plain(shot, "shot") not in self._shots):
            near = did_you_mean(shot or "", self._beats)
            if near and style is None:
                right = near.removeprefix('did you mean "').removesuffix('"?')
                near = f'did you mean "{right}{address[len(shot or "") :]}"?'
                raise UsageError(f'"{address}" is no beat: unknown style "{shot}"', hint=near)
        if before:
            raise UsageError(
                f'"{address}" is no beat: unknown style "{shot}"',
                hint=did_you_mean(shot or "", self._beats) or "write clear/2/1",
            )
        return style, _plain(shot, "shot") if shot is not None else None, _plain(number, "beat")


def _plain(number: str, kind: str) -> str:
    try:
        return file_number(number, kind)
    except ValueError:
        return number
