"""The format of the older service, whose routes the page's own have kept.

Its page sends a `projectPath` with each request: such requests get answers in its format. A path is
only ever compared with the project that is served; nothing is looked for there.
"""

import os
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, Final

import msgspec

from imagegen.errors import Exit, encodable
from imagegen.events.types import Complete, Event, Progress, Start, StartFailed
from imagegen.project import progress
from imagegen.project.beat_status import Status
from imagegen.project.layout import ProjectPaths
from imagegen.project.storyboard import BeatKey
from imagegen.web.follower import News
from imagegen.workspace.project import Project

ProjectPath = Annotated[str, msgspec.Meta(max_length=4096)]
Text = Annotated[str, msgspec.Meta(max_length=200)]

_STATUSES: Final = {
    Status.GENERATING: "generating",
    Status.COMPLETE: "complete",
    Status.SKIPPED: "skipped",
    Status.OUTDATED: "skipped",
    Status.WAIVED: "skipped",
    Status.ERROR: "error",
    Status.BLOCKED: "error",
}
"""What it calls what becomes of a beat; of one that waits for another try it says nothing."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A project that a request names, by its name or as the older service does, by its path."""

    project: Text | None = None
    project_path: ProjectPath | None = msgspec.field(default=None, name="projectPath")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A choice as the older service saves it; `style` null takes it back."""

    beat_number: Text = msgspec.field(name="beatNumber")
    style: Text | None
    flagged: bool = msgspec.field(default=False, name="isFlagged")
    project_path: ProjectPath | None = msgspec.field(default=None, name="projectPath")


def is_project(layout: ProjectPaths, name_or_path: str) -> bool:
    """Return whether this is the project's name, or the path of its folder."""
    if name_or_path == layout.name:
        return True
    # Both as texts alone: no request makes this server look at a path.
    try:
        received = os.path.normcase(os.path.abspath(name_or_path))  # noqa: PTH100
    except ValueError:
        return False
    paths = (os.path.abspath(layout.typed), layout.root)  # noqa: PTH100
    return received in {encodable(os.path.normcase(path)) for path in paths}


def written(project: Project) -> dict[str, dict[BeatKey, str]]:
    """Return each style's beat numbers as its beats file writes them."""
    return {style: {b.key: b.written for b in beats} for style, beats in project.beats.items()}


def progress_of(project: Project, completed: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return what progress files say, of the images that are there now."""
    return {
        style: {"completedBeats": beats, "lastUpdated": _last_updated(project.layout, style)}
        for style, beats in completed.items()
    }


def images(project: Project) -> dict[str, dict[str, str]]:
    """Return the path of each image that is there, relative to the project, by its number."""
    drawn = project.survey(time.time()).there
    paths: dict[str, dict[str, str]] = {}
    for style, numbers in written(project).items():
        paths[style] = {}
        for key, number in numbers.items():
            if key in drawn.get(style, {}):
                # Of two beats of one number in a style, each is called with its shot.
                name = number if number not in paths[style] else "/".join(key)
                paths[style][name] = project.layout.shown_picture(style, *key)
    return paths


async def translated(
    events: AsyncGenerator[News], numbers: Mapping[str, Mapping[BeatKey, str]]
) -> AsyncGenerator[dict[str, Any] | None]:
    """Yield what the older service would have said; None, a sign of life, stays."""
    async for event in events:
        message = _said(event, numbers) if isinstance(event, Event) else None
        if message is not None or event is None:
            yield message


def _said(event: Event, numbers: Mapping[str, Mapping[BeatKey, str]]) -> dict[str, Any] | None:
    match event:
        case Start():
            waiting = sum(totals.pending for totals in event.styles.values())
            word = "image" if waiting == 1 else "images"
            return {"type": "start", "message": f"Generating {waiting:,} {word}"}
        case Progress():
            return _progress(event, numbers)
        case Complete(exit_code=Exit.OK):
            return {"type": "complete", "result": {"success": True, "results": event.counts}}
        case Complete():
            words = "; ".join(event.messages) or event.reason
            if event.resume_after is not None:
                words += f"; it can resume from {event.resume_after}"
            return {"type": "error", "error": words}
        case StartFailed():
            words = f"{event.message} ({event.hint})" if event.hint else event.message
            return {"type": "error", "error": words}
    return None


def _progress(
    event: Progress, numbers: Mapping[str, Mapping[BeatKey, str]]
) -> dict[str, Any] | None:
    status = _STATUSES.get(event.status)
    if status is None:
        return None
    key = event.address.key
    message: dict[str, Any] = {
        "type": "progress",
        "style": event.style,
        "beat_number": numbers.get(event.style, {}).get(key, event.beat_number),
        "completed": event.completed,
        "total": event.total,
        "status": status,
    }
    if event.image_path is not None:
        message["imagePath"] = event.image_path
    if status == "error":
        message["error"] = _reason(event)
    return message


def _reason(event: Progress) -> str:
    if event.error is not None:
        return event.error.message or event.error.reason
    return f"blocked by beat {event.blocked_by}" if event.blocked_by else "not drawn"


def _last_updated(layout: ProjectPaths, style: str) -> str | None:
    read = progress.read(layout.progress(style))
    return (read.last_updated or None) if read is not None else None
