"""What `export svg` did, for people and as JSON."""

from typing import Final

from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import join_some, plural, sanitize
from imagegen.export.svg.export import LARGE, Exported

_SHOWN: Final = 10
_MB: Final = 1e6


def show(paper: Paper, errors: Paper, done: Exported) -> None:
    """Say what was written on `paper`, and what was not on `errors`."""
    traced = sum(vector.traced for vector in done.vectors)
    size = sum(vector.size for vector in done.vectors) / _MB
    news = f"{traced:,} new" if traced else "nothing has changed"
    count = plural(len(done.vectors), "SVG")
    paper.line(f"{sanitize(str(done.folder), 4096)}: {count}, {size:.1f} MB, {news}")
    for label, names in (
        ("Without an image", done.missing),
        ("Removed, since it is not chosen any more", done.removed),
        ("Edited since it was traced, and now in old_images/", done.kept),
    ):
        if names:
            paper.wrap("  ", f"{label}: {join_some(names, _SHOWN)}", indent=2)
    large = [vector.file for vector in done.vectors if vector.size > LARGE]
    if large:
        errors.wrap(
            "warning: ",
            f"over {LARGE // 10**6} MB, since the image is photo-like: {join_some(large, _SHOWN)}. "
            "--preset flat makes it smaller, --embed keeps the image as it is",
        )
    for failure in done.failures:
        helps = " (--embed puts the image itself inside)"
        reason = f"{failure.image.path}: {failure.reason}{helps if failure.slow else ''}"
        errors.wrap("error: ", f"{failure.image.beat}: {reason}")


def as_json(project: str, done: Exported) -> dict[str, object]:
    """Return what `export svg --json` prints; sizes are in bytes."""
    return {
        "schema": 1,
        "kind": "svg",
        "project": project,
        "folder": str(done.folder),
        "written": [vector.file for vector in done.vectors if vector.traced],
        "images": [
            {
                "beat": vector.image.beat,
                "style": vector.image.style,
                "isFlagged": vector.image.flagged,
                "file": vector.file,
                "bytes": vector.size,
                "photo_like": vector.size > LARGE,
            }
            for vector in done.vectors
        ],
        "errors": [
            {"beat": failure.image.beat, "style": failure.image.style, "error": failure.reason}
            for failure in done.failures
        ],
        "missing": list(done.missing),
        "removed": list(done.removed),
        "moved_to_old_images": list(done.kept),
    }
