"""Where several copies of a project stand: a line for each, and their sum."""

from typing import Final

from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import sanitize
from imagegen.project.record import RunRecord
from imagegen.review.several_copies import SeveralStatus
from imagegen.review.status import ProjectStatus

_HEAD: Final = ("copy", "shard", "images", "error", "pending", "run")
_LONGEST_PATH: Final = 4096


def show(paper: Paper, several: SeveralStatus) -> None:
    """Show each copy with its shard, and the beats of all copies by style and in all."""
    rows: list[tuple[str, ...]] = [_HEAD]
    rows += (_row(sanitize(copy.path, _LONGEST_PATH), copy.status) for copy in several.copies)
    sums = {name: style for name, style in several.total.items() if style.total}
    rows += (
        _counts(name, style.there, style.total, style.error + style.blocked, style.pending)
        for name, style in sums.items()
    )
    totals = sums.values()
    rows.append(
        _counts(
            "total",
            sum(style.there for style in totals),
            sum(style.total for style in totals),
            sum(style.error + style.blocked for style in totals),
            sum(style.pending for style in totals),
        )
    )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        if number in {1, len(rows) - len(sums) - 1}:
            paper.line()
        name, shard, *counts, run = row
        aligned = (f"{text:>{width}}" for text, width in zip(counts, widths[2:-1], strict=True))
        paper.line("  ".join([f"{name:<{widths[0]}}", f"{shard:<{widths[1]}}", *aligned, run]))


def _row(name: str, status: ProjectStatus) -> tuple[str, ...]:
    styles = status.styles.values()
    shard = status.shard
    _, _, *counts, _ = _counts(
        name,
        sum(style.there for style in styles),
        sum(style.total for style in styles),
        sum(style.error + style.blocked for style in styles),
        sum(style.pending for style in styles),
    )
    part = f"{shard.shard}: {shard.complete:,}/{shard.total:,}" if shard is not None else ""
    return (name, part, *counts, _run(status.last_run, active=status.active))


def _counts(name: str, drawn: int, total: int, error: int, pending: int) -> tuple[str, ...]:
    return (name, "", f"{drawn:,}/{total:,}", f"{error:,}", f"{pending:,}", "")


def _run(last: RunRecord | None, *, active: bool) -> str:
    if active:
        return "active"
    if last is None:
        return "none yet"
    return "broke off" if last.ended is None else f"exit {last.exit_code}"
