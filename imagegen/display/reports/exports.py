"""What an export wrote, for people and as JSON."""

from typing import Final

from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import join_some, plural, sanitize
from imagegen.export.timeline.export import Exported
from imagegen.export.timeline.timing import Source
from imagegen.project.layout import ProjectPaths

_SHOWN: Final = 10


def timeline(paper: Paper, done: Exported) -> None:
    """Say what was written to the folder, and how long it lasts."""
    line = done.timeline
    length = float(line.rate.seconds(line.frames))
    minutes, seconds = divmod(length, 60)
    rate = f"{float(line.rate.exact):.4g}"
    paper.line(
        f"{sanitize(str(done.folder), 4096)}: {plural(len(line.clips), 'beat')}, "
        f"{int(minutes)}:{seconds:04.1f} at {rate} frames a second"
    )
    texts = [name for name in done.files if "/" not in name]
    paper.wrap("  ", join_some(texts, _SHOWN), indent=2)
    in_media = sum("/" in name for name in done.files)
    written = len(done.written)
    news = f", {written:,} written" if written else ", nothing has changed"
    paper.line(f"  media: {plural(in_media, 'file')}{news}")
    _said(paper, "Flagged", _flagged(done))
    _said(paper, "Estimated at 150 words a minute", _estimated(done))
    _said(paper, "The image before is held for", _held(done))
    _said(paper, "Without an image", _skipped(done))


def _said(paper: Paper, label: str, names: list[str]) -> None:
    if names:
        paper.wrap("  ", f"{label}: {join_some(names, _SHOWN)}", indent=2)


def _estimated(done: Exported) -> list[str]:
    return [clip.beat for clip in done.timeline.clips if clip.source is Source.ESTIMATED]


def _flagged(done: Exported) -> list[str]:
    return [clip.beat for clip in done.timeline.clips if clip.flagged and not clip.held]


def _held(done: Exported) -> list[str]:
    return [clip.beat for clip in done.timeline.clips if clip.held]


def _skipped(done: Exported) -> list[str]:
    return [clip.beat for clip in done.timeline.clips if clip.still is None]


def timeline_as_json(layout: ProjectPaths, done: Exported) -> dict[str, object]:
    """Return what `export timeline --json` prints.

    Times are in seconds. Paths are relative to the project if they are inside.
    """

    def relative(name: str = "") -> str:
        path = done.folder / name
        return layout.relative(path) if path.is_relative_to(layout.root) else path.as_posix()

    line = done.timeline
    rate = line.rate
    return {
        "schema": 1,
        "kind": "timeline",
        "project": layout.name,
        "folder": relative(),
        "fps": f"{rate.exact.numerator}/{rate.exact.denominator}",
        "width": line.width,
        "height": line.height,
        "frames": line.frames,
        "seconds": round(float(rate.seconds(line.frames)), 3),
        "files": list(map(relative, done.files)),
        "written": list(map(relative, done.written)),
        "flagged": _flagged(done),
        "estimated": _estimated(done),
        "held": _held(done),
        "skipped": _skipped(done),
        "warnings": list(done.warnings),
        "beats": [
            {
                "beat_number": clip.written,
                "shot_number": clip.shot,
                "style": clip.style,
                "isFlagged": clip.flagged,
                "imagePath": relative(clip.still.file) if clip.still is not None else None,
                "start": round(float(rate.seconds(clip.start)), 3),
                "end": round(float(rate.seconds(clip.end)), 3),
                "frames": clip.frames,
                "timing": clip.source.value,
            }
            for clip in line.clips
        ],
    }
