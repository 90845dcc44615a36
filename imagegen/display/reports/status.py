"""A project's status: a bar per style, a sign per beat, and the next step."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

from rich.text import Text

from imagegen.display.reports import choices, misfits, next_steps
from imagegen.display.text.beat_grid import lay_out, signs
from imagegen.display.text.beat_labels import BeatLabels
from imagegen.display.text.formatting import (
    local_time,
    project_command,
    time_range,
    without_prompts,
)
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import STYLES, join_some, plural, sanitize, status_word
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import BeatAddress
from imagegen.review.status import BeatState, ProjectStatus, StyleStatus
from imagegen.workspace.outdated import changed_label, older_rule
from imagegen.workspace.survey import not_here

_NUMBERS_SHOWN: Final = 5
_ERRORS_SHOWN: Final = 5
_CHOICES_SHOWN: Final = 10
_BESIDE: Final = 40
"""Columns that the bars leave for errors, if needed."""

_PLACEHOLDER: Final = "placeholder"
_ROWS_SHOWN: Final = 40
_ALIKE: Final = 3
"""From this many rows of one sign on, a count replaces them."""


def show(paper: Paper, status: ProjectStatus, path: str, now: float) -> None:
    """Print a project's status; `path` is its folder as typed, `now` the wall clock's time."""
    styles = {name: style for name, style in status.styles.items() if style.total}
    sketches = sum(style.placeholder for style in styles.values())
    done = sum(style.there for style in styles.values()) + sketches
    total = sum(style.total for style in styles.values())
    dot = f" {paper.glyphs.dot} "
    counts = f"{done:,}/{plural(total, 'image')}"
    if sketches:
        are_all = sketches == done > 1
        counts += f", {'all placeholders' if are_all else plural(sketches, 'placeholder')}"
    if status.shard is not None:
        shard = status.shard
        counts += f", shard {shard.shard}: {shard.complete:,}/{shard.total:,}"
    paper.wrap("", dot.join([sanitize(status.project), counts, *_run(status, now)]), indent=2)
    paper.line()
    names = BeatLabels(
        BeatAddress(name, *beat.key) for name, style in styles.items() for beat in style.beats
    )
    width = max(map(len, styles), default=0)
    causes = {name: _causes(paper, style, names) for name, style in styles.items()}
    longest = max((len("  ".join(line)) for line in causes.values()), default=0)
    cells = max(10, min(50, paper.width - width - min(longest, _BESIDE) - 22))
    for name, style in styles.items():
        _style(paper, f"{name:<{width}}", style, causes[name], cells)
    _reasons(paper, styles, names)
    _without_prompt(paper, status)
    if status.elsewhere:
        paper.wrap("", not_here(status.elsewhere), indent=2)
    if status.drawn_by_older_rule:
        paper.wrap("", older_rule(status.drawn_by_older_rule), indent=2)
    unlike = {
        names.full(BeatAddress(name, *beat.key)): beat.misfit
        for name, style in styles.items()
        for beat in (style.beats if style.misfits else ())
        if beat.misfit is not None
    }
    drawn = sum(style.there for style in styles.values())
    misfits.show(paper, unlike, drawn, path, next_steps.beats_option(status, path))
    _choices(paper, status, path)
    _exports(paper, status, path)
    next_steps.show(paper, status, names, path, now)


def _without_prompt(paper: Paper, status: ProjectStatus) -> None:
    """Print which beats have no prompt, style by style."""
    for style, numbers in status.without_prompt.items():
        lacking = f"{without_prompts(len(numbers))} ({join_some(numbers, _NUMBERS_SHOWN)})"
        paper.wrap("", f"{style}: of the beats in beats.json {lacking}", indent=2)


def _run(status: ProjectStatus, now: float) -> list[str]:
    """Return whether a run is active, or how the last one ended."""
    last = status.last_run
    if status.active:
        if status.pid is None or last is None:
            return ["a run is active"]
        return [f"running as process {status.pid} since {local_time(last.started, now)}"]
    if last is None:
        return ["no run yet"]
    if last.ended is None:
        return ["no active run", f"the run of {local_time(last.started, now)} was interrupted"]
    return [
        "no active run",
        f"last run {time_range(last.started, last.ended, now)}, exit {last.exit_code}",
    ]


def _style(
    paper: Paper, name: str, style: StyleStatus, causes: Mapping[str, str], cells: int
) -> None:
    """Print a style's bar, which placeholders fill too, its rows of signs, and its causes."""
    done = style.there + style.placeholder
    full = cells * style.there // style.total
    filled = cells * done // style.total
    bar = Text(f"{name}  ")
    bar.append(paper.glyphs.full * full, style="green")
    bar.append(paper.glyphs.full * (filled - full), style="dim")
    bar.append(paper.glyphs.empty * (cells - filled), style="dim")
    share = 100 * done // style.total
    bar.append(f"  {done:,}/{style.total:,}  {share} %")
    if len(bar) + 2 + len("  ".join(causes)) < paper.width:
        for cause, colour in causes.items():
            bar.append(f"  {cause}", style=colour)
        causes = {}
    paper.line(bar)
    for row in _rows(paper, style.beats):
        paper.line(row)
    for cause, colour in causes.items():
        paper.wrap("  ", cause, style=colour, indent=4)


def _causes(paper: Paper, style: StyleStatus, names: BeatLabels) -> dict[str, str]:
    """Return the count and first beats of each cause of errors, coloured."""
    by_cause: dict[tuple[Status, str], list[str]] = {}
    for beat in style.beats if _has_causes(style) else ():
        cause = _cause(beat)
        # While beat numbers have changed, other prompts are only a consequence.
        if cause is not None and not (style.moved and "words" in beat.changed):
            short = names.short(beat.key)
            by_cause.setdefault((beat.status, cause), []).append(short)
    lines = {}
    for (status, cause), beats in by_cause.items():
        numbers = join_some(beats, _NUMBERS_SHOWN)
        colour = "bold red" if status is Status.ERROR else STYLES[status]
        counted = f"{len(beats):,} {sanitize(cause)}"
        if cause == _PLACEHOLDER:
            them = "it" if len(beats) == 1 else "them"
            counted = f"{plural(len(beats), cause)}; the next run replaces {them}"
        lines[f"{paper.glyphs[status]} {counted}: {numbers}"] = colour
    return lines


def _has_causes(style: StyleStatus) -> bool:
    return bool(style.error or style.outdated or style.waived or style.placeholder)


def _cause(beat: BeatState) -> str | None:
    """Return details of a beat that is neither complete nor pending."""
    if beat.error is not None:
        return beat.error.cause
    if beat.blocked_by is not None:
        return f"blocked by {beat.blocked_by}"
    if beat.changed:
        return f"outdated, {changed_label(beat.changed)} changed"
    if beat.status is Status.WAIVED:
        return status_word(beat.status)
    return _PLACEHOLDER if beat.placeholder else None


def _rows(paper: Paper, beats: Sequence[BeatState]) -> Iterator[Text]:
    """Yield lines of signs, a blank between shots; a count replaces many equal rows."""
    rows = lay_out(beats, attrgetter("shot_number"), max(20, min(100, paper.width - 4)))
    shown_count = 0
    kinds = ({beat.status for beat in row if beat is not None} for row in rows)
    alike = [next(iter(kind)) if len(kind) == 1 else None for kind in kinds]
    for status, group in itertools.groupby(zip(alike, rows, strict=True), lambda pair: pair[0]):
        rows_alike = [row for _, row in group]
        is_short = len(rows) <= _ROWS_SHOWN // 4 or len(rows_alike) < _ALIKE
        if status is not None and not is_short:
            count = sum(beat is not None for row in rows_alike for beat in row)
            yield Text.assemble("  … ", (f"{count:,} {status_word(status)}", STYLES[status]))
            continue
        for row in rows_alike[: max(0, _ROWS_SHOWN - shown_count)]:
            yield signs((None if beat is None else beat.status for beat in row), paper.glyphs)
        shown_count += len(rows_alike)
    if shown_count > _ROWS_SHOWN:
        yield Text(f"  … {shown_count - _ROWS_SHOWN:,} more rows; status --json lists all")


def _reasons(paper: Paper, styles: Mapping[str, StyleStatus], names: BeatLabels) -> None:
    """Print the first errors of failed beats, and of failed redraws."""
    failed = [
        (BeatAddress(name, *beat.key), _in_full(beat.error))
        for name, style in styles.items()
        for beat in style.beats
        if beat.error is not None
    ]
    if failed:
        paper.line()
        _errors(paper, f"  {paper.glyphs[Status.ERROR]} ", failed, names, styles)
    old = [
        (BeatAddress(name, *beat.key), _in_full(beat.error))
        for name, style in styles.items()
        for beat in style.failed_redraws
    ]
    if old:
        paper.line()
        paper.line("Not redrawn in the last run; the previous images are still there")
        _errors(paper, "  ", old, names, styles)


def _in_full(error: BeatError) -> str:
    return f"{sanitize(error.cause)}, {sanitize(error.reason)}: {sanitize(error.message)}"


def _errors(
    paper: Paper,
    head: str,
    failed: Sequence[tuple[BeatAddress, str]],
    names: BeatLabels,
    styles: Collection[str],
) -> None:
    """Print beats with their errors; once if styles share the error."""
    merged = names.merge(failed, styles)
    shown_errors = dict(itertools.islice(merged.items(), _ERRORS_SHOWN))
    width = max(map(len, shown_errors))
    for name, (place, _) in shown_errors.items():
        paper.wrap(f"{head}{name:<{width}}  ", failed[place][1])
    more = len(failed) - sum(count for _, count in shown_errors.values())
    if more:
        paper.line(f"    … and {more:,} more; status --json lists all")


def _choices(paper: Paper, status: ProjectStatus, path: str) -> None:
    """Print how many beats have a chosen image, and which were redrawn since."""
    if status.choices_fault is not None:
        paper.line()
        paper.wrap("", sanitize(status.choices_fault, 600), indent=2)
        return
    if status.chosen:
        _chosen(paper, status, path)
    if status.choices_unclear or status.copies_unclaimed:
        paper.line()
        choices.unclear(paper, status.choices_unclear)
        choices.unclaimed(paper, status.copies_unclaimed)


def _exports(paper: Paper, status: ProjectStatus, path: str) -> None:
    """Say which exports have other images than those that are chosen now."""
    old = [export for export in status.exports if export.outdated]
    if not old:
        return
    paper.line()
    for export in old:
        beats = join_some(export.outdated, _CHOICES_SHOWN)
        outdated = f"{export.kind} {len(export.outdated):,} outdated"
        paper.wrap("", f"{sanitize(outdated)}: {beats}", indent=2)
        export_again = project_command(f"export {export.kind}", path, *export.options)
        paper.command_list((export_again, f"updates {sanitize(export.folder)}"))


def _chosen(paper: Paper, status: ProjectStatus, path: str) -> None:
    parts = [f"{status.chosen:,} of {plural(status.beats, 'beat')} chosen"]
    for names, label in (
        (status.redrawn_since_chosen, "redrawn since"),
        (status.flagged, "flagged"),
        (
            status.placeholders_chosen,
            "placeholder" if len(status.placeholders_chosen) == 1 else "placeholders",
        ),
        (status.chosen_without_picture, "missing image"),
        (status.copies_missing, "no copy in selected_images"),
    ):
        if names:
            parts.append(f"{label}: {join_some(names, _CHOICES_SHOWN)}")
    paper.line()
    paper.wrap("", "; ".join(parts), indent=2)
    if status.redrawn_since_chosen or status.chosen_without_picture or status.copies_missing:
        listing = project_command("choose", path, "--list", *next_steps.beats_option(status, path))
        paper.command_list((listing, "lists the choices, to choose again if needed"))
