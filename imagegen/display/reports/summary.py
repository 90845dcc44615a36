"""The summary of a run: its images, cost and errors, and the next step."""

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagegen.display.reports import misfits, next_steps
from imagegen.display.reports.next_steps import REFUSED
from imagegen.display.text import size_hint
from imagegen.display.text.beat_labels import BeatLabels
from imagegen.display.text.formatting import (
    local_time,
    minutes,
    money,
    project_command,
    seconds_until,
    tokens,
)
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import duration, join_some, plural, sanitize, status_word
from imagegen.display.views.run_notes import RunNotes
from imagegen.events.types import BeatCounts, Complete
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import Beat, BeatAddress
from imagegen.workspace.plan import Plan, Planned
from imagegen.workspace.survey import ImageState

_BEATS_SHOWN: Final = 10
_KEYS_SHOWN: Final = 3
_WARNINGS_SHOWN: Final = 5
OUTDATED: Final = "redraw with --outdated"
"""Part of the warning about outdated images; the summary does not repeat it."""
ERRORS: Final = "beats in error: "
_COUNTS: Final = (ERRORS, "not sent, for the beat before them was not drawn: ")
"""Prefixes of messages that only count what is listed above them."""

_HEADINGS: Final = {
    "refused": "Refused: the same prompt will probably be refused again",
    "bad request": "The service rejected the request as invalid: check what is sent",
    "no picture": "Worth another try: the answer had no image",
    "passing": "Worth another try: network or service errors",
    "blocked": "Not sent: the image to continue from is missing",
}
_ALIKE: Final = frozenset({"bad request", "no picture"})
"""Causes that may affect every request; then another prompt does not help."""

_ANSWERS: Final = {
    "refused": "refused",
    "no picture": "without an image",
    "bad request": "rejected as invalid",
    "passing": "failed temporarily",
    "key rejected": "key rejected",
    "no quota": "without quota",
    "spent today": "over the daily quota",
    "out of credit": "without credit",
}
"""Labels for kinds of answers; `Complete.limited` counts those with status 429."""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run, its plan and the events that its summary needs.

    `path` is the project's folder as typed, `folder` its folder of images, `now` the wall
    clock's time in seconds. `is_resumable` is false for images drawn apart from the project.
    `source_options` name a keys file and a URL; like `--limit` (`limited`), they are not
    remembered for `resume`. `draws_placeholders` means that another provider is to draw the
    project. `view_cleared` means that the live view's output is gone.
    """

    complete: Complete
    plan: Plan | None
    heard: RunNotes
    name: str
    path: str
    folder: str = "generated_images"
    is_resumable: bool = True
    source_options: Sequence[str] = ()
    limited: bool = False
    draws_placeholders: bool = False
    view_cleared: bool = False
    now: float

    @property
    def _planned(self) -> Iterator[Planned]:
        styles = self.plan.styles if self.plan else {}
        return itertools.chain.from_iterable(styles.values())

    @property
    def names(self) -> BeatLabels:
        """The names of its beats."""
        beats = [planned.beat.address for planned in self._planned]
        return BeatLabels(beats, certain=self.plan is not None and not self.plan.unselected_count)

    @property
    def errors(self) -> list[tuple[Beat, BeatError]]:
        """Beats in error and their errors, in the order of the storyboard."""
        errors = self.heard.errors
        return [
            (planned.beat, errors[planned.beat.address])
            for planned in self._planned
            if planned.beat.address in errors
        ]

    @property
    def misfits(self) -> dict[str, str]:
        """How images of this run differ from the request, by beat, in storyboard order."""
        by_beat = self.heard.misfits
        if not by_beat:
            return {}
        names, beats = self.names, [planned.beat.address for planned in self._planned]
        return {names.full(beat): by_beat[beat] for beat in beats if beat in by_beat}

    @property
    def blocked(self) -> dict[BeatAddress, str]:
        """Beats that were not sent, each with the number of the beat that it waits for."""
        if not any(style.blocked for style in self.complete.counts.values()):
            return {}
        planned = {
            planned.beat.address: planned.blocked_by[1]
            for planned in self._planned
            if planned.blocked_by is not None
        }
        return planned | self.heard.blocked

    @property
    def again(self) -> set[BeatAddress]:
        """Beats that still have the image that was to be redrawn."""
        return {
            planned.beat.address
            for planned in self._planned
            if planned.is_redraw and planned.found is ImageState.VALID
        } - self.heard.drawn

    @property
    def redrawn(self) -> list[Beat]:
        """The beats whose image this run replaced; `undo` brings the previous ones back."""
        if not self.is_resumable:
            return []
        return [
            planned.beat
            for planned in self._planned
            if planned.is_redraw
            and planned.found is ImageState.VALID
            and planned.beat.address in self.heard.drawn
        ]


def show(paper: Paper, ended: RunSummary) -> None:
    """Print the summary of a run."""
    complete = ended.complete
    counts = complete.counts
    pictures = done_line(complete, len(ended.again))
    cost = f" {paper.glyphs.dot} about {money(complete.cost)}" if complete.cost else ""
    paper.justify(f"{sanitize(ended.name)}: {pictures}.", f"{duration(complete.seconds)}{cost}")
    paper.line()
    _table(paper, complete)
    _answers(paper, ended)
    reused = ended.heard.start.reused if ended.heard.start is not None else 0
    if reused:
        paper.line(f"  {reused:,} reused at no cost: drawn before from the same inputs")
    unselected = ended.plan.unselected_count if ended.plan else 0
    if unselected:
        others = f"{plural(unselected, 'other image')} of the project"
        paper.line(f"  {others} {_were(unselected)} left as before")
    outdated = sum(style.outdated for style in counts.values())
    if outdated and not any(OUTDATED in warning for warning in ended.heard.warnings):
        paper.line(f"  {plural(outdated, 'image')} {_are(outdated)} outdated: {OUTDATED}")
    redrawn = ended.redrawn
    if any(style.there for style in counts.values()) or ended.again:
        _where(paper, ended, redrawn)
    if ended.draws_placeholders and any(style.there for style in counts.values()):
        run = project_command("run", ended.path)
        paper.wrap("  ", f"They are placeholders: {run} replaces them", indent=4)
    hint = _size_hint(ended)
    if hint:
        paper.wrap("  ", hint, indent=4)
    _warnings(paper, ended)
    misfits.show(paper, ended.misfits, len(ended.heard.drawn), ended.path, ended.source_options)
    if complete.exit_code:
        paper.line()
        problems(paper, ended)
    elif redrawn:
        undo = project_command("undo", ended.path)
        images = "image" if len(redrawn) == 1 else "images"
        paper.command_list((undo, f"brings the previous {images} back"))
    elif ended.is_resumable and any(style.there for style in counts.values()):
        gallery = project_command("gallery", ended.path)
        paper.command_list((gallery, "shows all images side by side"))


def _where(paper: Paper, ended: RunSummary, redrawn: Sequence[Beat]) -> None:
    """Print where the images are: the file if one beat was redrawn, else the folder."""
    folder = Path(ended.path) / ended.folder
    if len(redrawn) == 1:
        beat = redrawn[0]
        folder = folder / beat.style / f"Shot_{beat.shot}" / f"Beat_{beat.beat}.png"
    paper.line(
        f"  {'Image' if len(redrawn) == 1 else 'Images'}: {sanitize(folder.as_posix(), 4096)}"
    )


def _warnings(paper: Paper, ended: RunSummary) -> None:
    """Repeat the warnings if they disappeared with the view."""
    warnings = list(ended.heard.warnings.items()) if ended.view_cleared else []
    for warning, label in warnings[:_WARNINGS_SHOWN]:
        paper.wrap(f"  {label}: ", sanitize(warning, 600), indent=4)
    if len(warnings) > _WARNINGS_SHOWN:
        paper.line(
            f"  … and {len(warnings) - _WARNINGS_SHOWN:,} more warnings in .imagegen/run.log"
        )


def done_line(complete: Complete, not_redrawn: int) -> str:
    """Return how many images exist and how many are missing.

    `not_redrawn` counts images that were to be redrawn and were not.
    """
    counts = complete.counts.values()
    has = sum(style.there for style in counts) + not_redrawn
    total = sum(style.total for style in counts)
    left = sum(style.left for style in counts) - not_redrawn
    missing = f", {left:,} missing" if left else ""
    missing += f", {not_redrawn:,} not redrawn" if not_redrawn else ""
    return f"{has:,} of {plural(total, 'image')} done{missing}"


def columns(counts: Collection[BeatCounts]) -> dict[str, str]:
    """Return the headings of a table of counts, each with the field that it shows.

    The first ones are always shown, the others only if they count anything.
    """
    always = {"drawn": "complete", "existed": "skipped", "error": "error"}
    seldom = (Status.OUTDATED, Status.WAIVED, Status.BLOCKED, Status.PENDING)
    return always | {
        status_word(status): status.value
        for status in seldom
        if any(getattr(c, status.value) for c in counts)
    }


def problems(paper: Paper, ended: RunSummary) -> None:
    """Print which beats failed, why the run ended early, and the next step."""
    _errors(paper, ended)
    _blocked(paper, ended)
    complete = ended.complete
    messages = [message for message in complete.messages if not message.startswith(_COUNTS)]
    if messages and (ended.heard.errors or ended.blocked):
        paper.line()
    for message in messages:
        paper.wrap("", sanitize(message, 600), indent=2)
    pending = sum(style.pending for style in complete.counts.values())
    if pending and not ended.is_resumable:
        paper.line("This cannot be resumed. Run the same command to start over.")
    elif pending:
        start = ended.heard.start
        price = start.price if start is not None else None
        paper.hint(*_next(ended, (price or 0.0) * pending))


def _next(ended: RunSummary, cost: float) -> tuple[str, str]:
    """Return what the next command does, and the command; `cost` is of what is left."""
    complete, path = ended.complete, ended.path
    resume = project_command("resume", path, *ended.source_options)
    go_on = "resume without --limit" if ended.limited else "resume"
    if complete.resume_after is not None:
        wait = seconds_until(complete.resume_after, ended.now)
        if wait < 1:
            return go_on.capitalize(), resume
        when = local_time(complete.resume_after, ended.now)
        return f"{go_on.capitalize()} from {when}, in {minutes(wait)}", resume
    match complete.reason:
        case "model gone":
            return "Draw with one of these", project_command(
                "run", path, "--model", "NAME", *ended.source_options
            )
        case "money":
            most = max(1, math.ceil(cost))
            has_price = cost and not ended.limited
            left = f" (the rest costs about {money(cost)})" if has_price else ""
            return f"Raise the limit to {go_on}{left}", f"{resume} --max-cost {most}"
        case "spending limit":
            return f"Raise the limit, then {go_on}", resume
        case "out of credit":
            return f"Add credit, then {go_on}", resume
        case "time":
            return f"{go_on.capitalize()} with a longer --max-time, or without one", resume
        case "stopped" | "fail-fast" | "interrupted":
            return go_on.capitalize(), resume
        case "internal":
            return "Try again", resume
    return f"Fix this, then {go_on}", resume


def _table(paper: Paper, complete: Complete) -> None:
    counts = {name: style for name, style in complete.counts.items() if style.total}
    width = max(map(len, counts), default=0)
    headings = columns(counts.values())
    cells = {heading: max(6, len(heading)) for heading in headings}
    heads = "".join(f"  {heading:>{wide}}" for heading, wide in cells.items())
    paper.line(f"  {'':<{width}}{heads}")
    for name, style in counts.items():
        row = "".join(f"  {getattr(style, headings[h]):>{wide},}" for h, wide in cells.items())
        paper.line(f"  {sanitize(name):<{width}}{row}")


def _answers(paper: Paper, ended: RunSummary) -> None:
    complete = ended.complete
    if not complete.requests:
        return
    answers = dict(complete.answers)
    drawn = answers.pop("picture", 0)
    parts = [plural(drawn, "image")]
    limited = complete.limited
    if limited:
        answers.pop("limited", None)
    parts += [f"{n:,} {_ANSWERS.get(kind, sanitize(kind))}" for kind, n in answers.items() if n]
    if limited:
        tails = list(ended.heard.limited)
        keys = f" ({join_some(tails, _KEYS_SHOWN)})" if tails else ""
        parts.append(f"{limited:,} × 429{keys}")
    if complete.input_tokens or complete.output_tokens:
        used = f"tokens: {tokens(complete.input_tokens)} in, {tokens(complete.output_tokens)} out"
        parts[-1] += f" {paper.glyphs.dot} {used}"
    paper.wrap(f"  {plural(complete.requests, 'request')}: ", ", ".join(parts), indent=4)


def _errors(paper: Paper, ended: RunSummary) -> None:
    if not ended.heard.errors:
        # Naming 300,000 beats takes a while.
        return
    by_cause: dict[str, list[tuple[Beat, BeatError]]] = {}
    for beat, error in ended.errors:
        by_cause.setdefault(error.cause, []).append((beat, error))
    names = ended.names
    alike = ended.complete.reason == "rejected alike"
    for number, (cause, group) in enumerate(by_cause.items()):
        if number:
            paper.line()
        is_every = alike and cause in _ALIKE
        heading = (
            "Rejected, as every request was" if is_every else _HEADINGS.get(cause, sanitize(cause))
        )
        paper.line(heading, "bold")
        _beats(paper, ended, names, group)
        if ended.is_resumable and not is_every:
            paper.command_list(*_commands(cause, group, names, ended), indent=6)


def _blocked(paper: Paper, ended: RunSummary) -> None:
    blocked = ended.blocked
    if not blocked:
        return
    if ended.heard.errors:
        paper.line()
    paper.line("Not sent: each continues a beat that was not drawn", "bold")
    names = ended.names
    waiting = list(blocked.values())
    merged = names.merge(blocked.items(), ended.complete.counts)
    shown_beats = dict(itertools.islice(merged.items(), _BEATS_SHOWN))
    width = max(map(len, shown_beats))
    for name, (place, _) in shown_beats.items():
        before = sanitize(waiting[place])
        paper.line(f"  {paper.glyphs[Status.BLOCKED]} {name:<{width}}  waits for {before}")
    _more(paper, ended, len(blocked) - sum(count for _, count in shown_beats.values()))


def _beats(
    paper: Paper, ended: RunSummary, names: BeatLabels, group: Sequence[tuple[Beat, BeatError]]
) -> None:
    rows = ((b.address, (b.script_phrase, e.reason, e.message)) for b, e in group)
    merged = names.merge(rows, ended.complete.counts)
    shown_beats = dict(itertools.islice(merged.items(), _BEATS_SHOWN))
    width = max(map(len, shown_beats))
    for name, (place, _) in shown_beats.items():
        beat, error = group[place]
        words = f'"{sanitize(beat.script_phrase, 50)}"  ' if beat.script_phrase else ""
        sign = paper.glyphs[Status.ERROR]
        paper.wrap(
            f"  {sign} {name:<{width}}  ",
            f"{words}{sanitize(error.reason)}: {sanitize(error.message)}",
        )
    _more(paper, ended, len(group) - sum(count for _, count in shown_beats.values()))


def _more(paper: Paper, ended: RunSummary, count: int) -> None:
    """Print how many beats are not listed, and the command that lists them."""
    if count <= 0:
        return
    status = project_command("status", ended.path, "--json")
    rest = f"    … and {count:,} more"
    paper.line(f"{rest}: {status}" if ended.is_resumable else rest)


def _commands(
    cause: str, group: Sequence[tuple[Beat, BeatError]], names: BeatLabels, ended: RunSummary
) -> list[tuple[str, str]]:
    """Return commands that help, each with what it does if that is not obvious."""
    beat = group[0][0]
    name = names.full(beat.address)
    has_picture = beat.address in ended.again
    if cause in REFUSED:
        return next_steps.refused_commands(
            ended.path, name, cause, sources=ended.source_options, has_picture=has_picture
        )
    if has_picture:
        # A run leaves beats that still have an image.
        return [(project_command("redraw", ended.path, name, *ended.source_options), "")]
    return [(project_command("run", ended.path, *ended.source_options), "")]


def _size_hint(ended: RunSummary) -> str | None:
    start, drawn = ended.heard.start, any(s.complete for s in ended.complete.counts.values())
    if start is None or not drawn or not ended.complete.cost:
        return None
    return size_hint.size_hint(start.image_size, start.aspect_ratio)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
