"""What `export animatic` made, for people and as JSON."""

from typing import Final

from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import join_some, plural, sanitize
from imagegen.export.animatic.export import Exported, FilmBeat
from imagegen.export.timeline.timing import Source

_SHOWN: Final = 10
_MB: Final = 1e6


def show(paper: Paper, errors: Paper, done: Exported) -> None:
    """Say on `paper` what the film is, and on `errors` what to look at."""
    minutes, seconds = divmod(float(done.frames / done.rate), 60)
    paper.line(
        f"{sanitize(str(done.film), 4096)}: {plural(len(done.beats), 'beat')}, "
        f"{int(minutes)}:{seconds:04.1f} at {float(done.rate):.4g} frames a second, "
        f"{done.width}x{done.height}, {done.size / _MB:.1f} MB"
    )
    sound = "with narration" if done.has_sound else "without sound"
    news = f"{plural(done.rendered, 'clip')} rendered" if done.rendered else "all clips reused"
    paper.line(f"  {news}, {sound}" if done.written else "  nothing has changed")
    for label, beats in (
        ("Estimated at 150 words a minute", _estimated(done)),
        ("The image before is held for", _held(done)),
        ("Black, without an image", _missing(done)),
    ):
        if beats:
            paper.wrap("  ", f"{label}: {join_some(beats, _SHOWN)}", indent=2)
    for warning in done.warnings:
        errors.wrap("warning: ", warning)


def as_json(project: str, done: Exported) -> dict[str, object]:
    """Return what `export animatic --json` prints; times are in seconds, sizes in bytes."""
    rate = done.rate
    return {
        "schema": 1,
        "kind": "animatic",
        "project": project,
        "film": str(done.film),
        "bytes": done.size,
        "written": done.written,
        "fps": f"{rate.numerator}/{rate.denominator}",
        "width": done.width,
        "height": done.height,
        "frames": done.frames,
        "seconds": round(float(done.frames / rate), 3),
        "narration": done.has_sound,
        "clips_rendered": done.rendered,
        "estimated": _estimated(done),
        "held": _held(done),
        "missing": _missing(done),
        "warnings": list(done.warnings),
        "beats": [_beat(beat, float(rate)) for beat in done.beats],
    }


def _beat(beat: FilmBeat, rate: float) -> dict[str, object]:
    return {
        "beat": beat.beat,
        "style": beat.style,
        "frames": beat.frames,
        "seconds": round(beat.frames / rate, 3),
        "timing": beat.source.value,
    }


def _estimated(done: Exported) -> list[str]:
    return [beat.beat for beat in done.beats if beat.source is Source.ESTIMATED]


def _held(done: Exported) -> list[str]:
    return [beat.beat for beat in done.beats if beat.held]


def _missing(done: Exported) -> list[str]:
    return [beat.beat for beat in done.beats if beat.style is None]
