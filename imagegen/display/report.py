"""What is said once: faults, a run's summary, a project's status."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from imagegen.display.text import STYLES, Glyphs, clean, duration, plural, printable
from imagegen.errors import Exit, ImagegenError, InputFault, InputFaultsError
from imagegen.generation.events import Complete
from imagegen.generation.forecaster import Estimate
from imagegen.generation.plan import Plan
from imagegen.generation.standing import Standing, StyleStanding
from imagegen.project.progress import BeatError
from imagegen.project.status import Status
from imagegen.project.storyboard import Beat
from imagegen.providers.base import Request

_FAULTS_SHOWN: Final = 20
_BEATS_SHOWN: Final = 10
_SIGNS_A_ROW: Final = 100
_HELP: Final = {
    "refused": "Refused: the same words will probably be refused again",
    "bad request": "The service says that the request is wrong",
    "no picture": "Worth another try: answered without a picture",
    "passing": "Worth another try: network or service trouble",
}


class Printer:
    """Prints on one console, in signs that it can show."""

    def __init__(self, console: Console, glyphs: Glyphs) -> None:
        self._console = console
        self._glyphs = glyphs

    def line(self, text: str | Text = "", style: str = "") -> None:
        """Print one line: no markup, no wrapping, nothing that a terminal would obey."""
        if isinstance(text, str):
            text = printable(text)
        else:
            text.rstrip()
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def error(self, error: ImagegenError, project: str = "") -> None:
        """Say what went wrong and what to do."""
        if isinstance(error, InputFaultsError):
            self._faults(error, project)
            return
        first, *rest = error.message.split("\n")
        self.line(f"imagegen: {clean(first)}")
        for line in rest:
            self.line(f"  {clean(line)}")
        if error.hint:
            self.line(f"  {clean(error.hint)}")

    def _faults(self, error: InputFaultsError, project: str) -> None:
        shown = 0
        by_file = itertools.groupby(sorted(error.faults, key=lambda f: f.file), lambda f: f.file)
        for file, group in by_file:
            faults = sorted(group, key=lambda fault: fault.row or 0)
            rows = error.rows.get(file)
            among = f" in {plural(rows, 'row')}" if rows else ""
            self.line(
                f"{clean(file)}: {plural(len(faults), 'fault')}{among}. "
                "Nothing was drawn or changed."
            )
            self.line()
            part = faults[: max(0, _FAULTS_SHOWN - shown)]
            self._fault_lines(part)
            shown += len(part)
            if len(part) < len(faults):
                self.line(f"  … and {len(faults) - len(part):,} more")
            self.line()
        them = "it" if len(error.faults) == 1 else "them"
        self.line(
            f"Mend {them}, then try without drawing:  imagegen check {clean(project)}".rstrip()
        )

    def _fault_lines(self, faults: Sequence[InputFault]) -> None:
        places = [f"row {fault.row}" if fault.row else "" for fault in faults]
        first = max(map(len, places), default=0)
        second = max((len(fault.field or "") for fault in faults), default=0)
        for place, fault in zip(places, faults, strict=True):
            head = f"  {place:<{first}}  {clean(fault.field or ''):<{second}}"
            self.line(f"{head}  {clean(fault.message)}".rstrip())
            if fault.hint:
                self.line(f"{' ' * len(head)}  {clean(fault.hint)}")

    def dry_run(self, plan: Plan, name: str, estimate: Estimate) -> None:
        """Say what a run would do, how long it would take and what it would cost."""
        self.line(f"{clean(name)}: {plural(plan.to_draw, 'picture')} would be drawn.")
        self.line()
        width = max(map(len, plan.styles), default=0)
        for style, beats in plan.styles.items():
            drawn = sum(planned.draw for planned in beats)
            self.line(f"  {style:<{width}}  {drawn:>6,} to draw  {len(beats) - drawn:>6,} exist")
        least, cost = estimate.seconds, estimate.cost
        if plan.to_draw and least is not None:
            answer = "" if estimate.answer_seconds is not None else ", and one answer's time"
            self.line(f"  at least {duration(least)} at the keys' limits{answer}")
        if cost is not None:
            self.line(f"  about ${cost:,.2f}")

    def summary(self, complete: Complete, name: str, path: str, others: int = 0) -> None:
        """Say how a run ended, style by style, and what to type next.

        `others` counts beats of the project that were not asked for.
        """
        counts = complete.counts
        there = sum(style.complete + style.skipped for style in counts.values())
        total = sum(style.total for style in counts.values())
        missing = f", {total - there:,} missing" if total > there else ""
        self.line(
            f"{clean(name)}: {there:,} of {plural(total, 'picture')} there{missing}.   "
            f"{duration(complete.seconds)}"
        )
        self.line()
        self._counts(complete, others)
        self.ending(complete, path)

    def detached(self, name: str, path: str, pid: int) -> None:
        """Say that a run goes on without this terminal, and how to get hold of it."""
        self.line(f"{clean(name)}: goes on as process {pid}; this window may be closed.")
        self.line(f"  imagegen status {clean(path)} --watch   follows it")
        self.line(f"  imagegen stop {clean(path)}   ends it; resume carries on")

    def ending(self, complete: Complete, path: str) -> None:
        """Say why a run ended before all was drawn, and how it goes on."""
        for message in complete.messages:
            self.line(f"  {clean(message, 600)}")
        pending = sum(style.pending for style in complete.counts.values())
        if complete.resume_after is not None:
            self.line(f"  imagegen resume {path}   carries on, from {complete.resume_after}")
        elif complete.reason == "model gone":
            self.line(f"  imagegen run {path} --model NAME   draws with one of those")
        elif pending and complete.exit_code != Exit.BEATS_IN_ERROR:
            self.line(f"  imagegen resume {path}   carries on, once that is mended")

    def _counts(self, complete: Complete, others: int) -> None:
        width = max(map(len, complete.counts), default=0)
        self.line(f"  {'':<{width}}   drawn  existed   error  pending")
        for name, style in complete.counts.items():
            self.line(
                f"  {name:<{width}}  {style.complete:>6,}  {style.skipped:>7,}  "
                f"{style.error:>6,}  {style.pending:>7,}"
            )
        limited = f", {complete.limited:,} × 429" if complete.limited else ""
        self.line(f"  {plural(complete.requests, 'request')}{limited}")
        if others:
            self.line(f"  {plural(others, 'more beat')} of the project not asked for")
        self.line()

    def errors(self, errors: Iterable[tuple[Beat, BeatError]], path: str) -> None:
        """List beats in error, grouped by cause, each group with what helps."""
        by_cause: dict[str, list[tuple[Beat, BeatError]]] = {}
        for beat, error in errors:
            by_cause.setdefault(error.cause, []).append((beat, error))
        for cause, group in by_cause.items():
            self.line(_HELP.get(cause, cause))
            for beat, error in group[:_BEATS_SHOWN]:
                sign = self._glyphs[Status.ERROR]
                words = f'  "{clean(beat.script_phrase, 50)}"' if beat.script_phrase else ""
                self.line(
                    f"  {sign} {_address(beat)}{words}  {error.reason}: {clean(error.message)}"
                )
            if len(group) > _BEATS_SHOWN:
                self.line(f"    … and {len(group) - _BEATS_SHOWN:,} more")
            if cause in {"refused", "bad request"}:
                first = _address(group[0][0])
                self.line(f"      imagegen check {clean(path)} --show {first}")
            else:
                self.line(f"      imagegen run {clean(path)}")

    def status(self, standing: Standing, path: str) -> None:
        """Show where a project stands."""
        styles = standing.styles
        done = sum(style.complete for style in styles.values())
        total = sum(style.total for style in styles.values())
        dot = self._glyphs.dot
        self.line(
            f"{clean(standing.project)} {dot} {done:,}/{plural(total, 'picture')} {dot} "
            f"{clean(standing.last_words)}"
        )
        self.line()
        width = max(map(len, styles), default=0)
        for style, found in styles.items():
            self._status_bar(style, found, width)
            for row in self._signs(found):
                self.line(row)
            for beat in found.beats:
                if beat.error is not None:
                    self.line(
                        f"  {self._glyphs[Status.ERROR]} {beat.shot_number}/{beat.beat_number}  "
                        f"{beat.error.cause}, {beat.error.reason}: {clean(beat.error.message)}"
                    )
        if done < total and not standing.active:
            self.line()
            self.line(f"Next: imagegen run {clean(path)}     {plural(total - done, 'picture')}")

    def _status_bar(self, style: str, found: StyleStanding, width: int) -> None:
        total, done = found.total, found.complete
        cells = max(10, min(50, self._console.width - width - 34))
        full = cells * done // total if total else cells
        failed = found.error
        text = Text(f"{style:<{width}}  ")
        text.append(self._glyphs.full * full, style="green")
        text.append(self._glyphs.empty * (cells - full), style="dim")
        text.append(f"  {done:,}/{total:,}  {100 * done // total if total else 100} %")
        if failed:
            text.append(f"  {self._glyphs[Status.ERROR]} {failed:,}", style="bold red")
        self.line(text)

    def _signs(self, found: StyleStanding) -> Iterable[Text]:
        width = max(20, min(_SIGNS_A_ROW, self._console.width - 4))
        line = Text("  ")
        for _, beats in itertools.groupby(found.beats, lambda one: one.shot_number):
            for status in (beat.status for beat in beats):
                if len(line) > width:
                    yield line
                    line = Text("  ")
                line.append(self._glyphs[status], style=STYLES[status])
            line.append(" ")
        yield line

    def check(self, name: str, source: str, styles: Mapping[str, Sequence[Beat]]) -> None:
        """Say that a project's files are in order."""
        total = sum(map(len, styles.values()))
        self.line(f"{clean(name)}: {plural(total, 'beat')} in {clean(source)}, no faults.")
        width = max(map(len, styles), default=0)
        for style, beats in styles.items():
            cuts = sum(beat.hard_cut for beat in beats)
            shots = len({beat.shot for beat in beats})
            self.line(
                f"  {style:<{width}}  {plural(len(beats), 'beat')} in {plural(shots, 'shot')}, "
                f"{plural(cuts, 'hard cut')}"
            )

    def keys(self, tails: Mapping[str, Sequence[str]], source: str | None) -> None:
        """Say which keys will be used."""
        if source is None:
            self.line("  no keys were found")
            return
        self.line(f"  keys from {clean(source)}:")
        width = max(map(len, tails), default=0)
        for style, names in tails.items():
            self.line(f"    {style:<{width}}  {', '.join(names) or 'none'}")

    def request(self, beat: Beat, request: Request) -> None:
        """Print the exact words and references that would be sent for a beat."""
        transition = f", transition {clean(beat.transition)}" if beat.transition else ""
        self.line(f"{_address(beat)}  ({clean(beat.file)}, row {beat.row}{transition})")
        self.line(f"  {request.aspect_ratio}, {request.image_size}")
        for reference in request.references:
            size = len(reference.data) // 1024
            self.line(f"  style reference: {reference.mime_type}, {size:,} KiB")
        if not request.references:
            self.line("  no reference")
        self.line()
        for line in request.prompt.splitlines():
            self.line(f"  {clean(line, 10_000)}")
        self.line()


def _address(beat: Beat) -> str:
    return f"{beat.style}/{beat.shot}/{beat.beat}"
