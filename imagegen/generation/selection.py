"""Which beats a person asked for, by style, shot and address."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from imagegen.errors import UsageError
from imagegen.project.record import Asked
from imagegen.project.storyboard import Beat, Storyboard, file_number
from imagegen.tables import did_you_mean


def _never(_: Beat) -> bool:
    return False


class Selection:
    """The beats that `--style`, `--shot` and `--beat` name; all of them without any.

    Of these `--sample` takes so many of each style, evenly spread; none that `continues`
    another says, for they would wait for one that is not drawn.

    Raises `UsageError` for a style, shot or beat that the storyboard does not have, and
    for a beat number that occurs in several shots.
    """

    def __init__(
        self,
        asked: Asked,
        storyboard: Storyboard,
        styles: Sequence[str],
        continues: Callable[[Beat], bool] = _never,
    ) -> None:
        self._styles = known("style", asked.styles, styles)
        shots = {beat.shot for beats in storyboard.beats.values() for beat in beats}
        self._shots = known("shot", [_plain(shot, "shot") for shot in asked.shots], shots)
        left = msgspec.structs.replace(storyboard, beats=self._narrowed(storyboard))
        if not len(left) and len(storyboard):
            raise UsageError(
                "no beat is selected", hint="--style and --shot have no beat in common"
            )
        named = {key for address in asked.beats for key in _find(address, left)}
        self._chosen: set[tuple[str, str, str]] | None = named if asked.beats else None
        if asked.sample:
            self._chosen = {
                (style, *beat.key)
                for style, beats in left.beats.items()
                for beat in _spread(
                    [b for b in beats if self(b) and not continues(b)], asked.sample
                )
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

    def _narrowed(self, storyboard: Storyboard) -> dict[str, tuple[Beat, ...]]:
        """Leave what `--style` and `--shot` select, so that `--beat` is looked for in that."""
        if not self._styles and not self._shots:
            return storyboard.beats
        return {
            style: tuple(filter(self._in_style_and_shot, beats))
            for style, beats in storyboard.beats.items()
        }


def _spread(beats: Sequence[Beat], count: int) -> list[Beat]:
    """Return so many beats evenly spread: the first and the last, and those in between."""
    if count >= len(beats):
        return list(beats)
    if count == 1:
        return [beats[0]]
    return [beats[round(n * (len(beats) - 1) / (count - 1))] for n in range(count)]


def find_one(address: str, storyboard: Storyboard) -> list[Beat]:
    """Return the beats of one address, one for each style that it does not leave out."""
    keys = _find(address, storyboard)
    return [
        beat
        for style, beats in storyboard.beats.items()
        for beat in beats
        if (style, *beat.key) in keys
    ]


def known(what: str, asked: Iterable[str], there: Iterable[str]) -> frozenset[str]:
    """Return the names that were asked for. Raises `UsageError` for one that is not there."""
    names = sorted(there)
    chosen = frozenset(asked)
    for name in sorted(chosen - set(names)):
        hint = did_you_mean(name, names) or f"there are: {', '.join(names[:20])}"
        raise UsageError(f'no {what} "{name}" in this project', hint=hint)
    return chosen


def _find(address: str, storyboard: Storyboard) -> set[tuple[str, str, str]]:
    """Resolve `1.1`, `2/1`, `clear/1.1` or `clear/2/1`."""
    style, shot, number = _parts(address, storyboard)
    beats = [
        beat
        for name, own in storyboard.beats.items()
        if style in {None, name}
        for beat in own
        if beat.beat == number and shot in {None, beat.shot}
    ]
    if not beats:
        numbers = dict.fromkeys(
            b.beat
            for name, own in storyboard.beats.items()
            if style in {None, name}
            for b in own
            if shot in {None, b.shot}
        )
        known = [f"{address[: -len(number)]}{one}" for one in numbers]
        hint = did_you_mean(address, known) or "write it as 1.1, clear/1.1, 2/1 or clear/2/1"
        raise UsageError(f'no beat "{address}" among those that can be selected', hint=hint)
    shots = sorted({beat.shot for beat in beats})
    if len(shots) > 1:
        prefix = f"{style}/" if style else ""
        ways = ", ".join(f"{prefix}{shot}/{number}" for shot in shots[:10])
        raise UsageError(f'beat "{address}" occurs in {len(shots)} shots', hint=f"one of: {ways}")
    return {(beat.style, *beat.key) for beat in beats}


def _parts(address: str, storyboard: Storyboard) -> tuple[str | None, str | None, str]:
    *before, number = address.split("/")
    style = before.pop(0) if before and before[0] in storyboard.beats else None
    shot = before.pop(0) if before else None
    shots = {beat.shot for beats in storyboard.beats.values() for beat in beats}
    if before or (shot is not None and _plain(shot, "shot") not in shots):
        near = did_you_mean(shot or "", storyboard.beats)
        if near and style is None:
            right = near.removeprefix('did you mean "').removesuffix('"?')
            near = f'did you mean "{right}{address[len(shot or "") :]}"?'
            raise UsageError(f'"{address}" is no beat: unknown style "{shot}"', hint=near)
    if before:
        raise UsageError(
            f'"{address}" is no beat: unknown style "{shot}"',
            hint=did_you_mean(shot or "", storyboard.beats) or "write clear/2/1",
        )
    return style, _plain(shot, "shot") if shot is not None else None, _plain(number, "beat")


def _plain(number: str, kind: str) -> str:
    try:
        return file_number(number, kind)
    except ValueError:
        return number
